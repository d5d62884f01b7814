//! Ranges, conditions, entity tags and dates.

use gateway::kit::byteranges::{Byteranges, content_range};
use gateway::kit::etag::{Comparison, EntityTag};
use gateway::kit::http_date;
use gateway::kit::range::{RANGES_MAX, Selection, select};
use gateway::wire::condition::{Outcome, Validators, evaluate, range_counts};
use gateway::wire::head::parse_fields;
use gateway::wire::{Fields, Name};

/// The first eight bytes are a size, the next one says how large it may be; the rest is a Range, a tag, a date, and lines.
pub fn target(data: &[u8]) {
    let (size, text) = data.split_at_checked(8).unwrap_or((&[0; 8], data));
    let (shift, text) = super::chooser(text);
    let size = u64::from_le_bytes(size.try_into().expect("eight bytes")) >> (shift % 64);
    range(text, size);
    tag(text);
    if let Some(secs) = http_date::parse(text) {
        assert_eq!(http_date::parse(http_date::format(secs).as_bytes()), Some(secs));
    }
    conditions(text);
}

fn range(value: &[u8], size: u64) {
    let Selection::Ranges(ranges) = select(value, size) else {
        return;
    };
    assert!(!ranges.is_empty() && ranges.len() <= RANGES_MAX);
    let mut sorted = ranges.clone();
    sorted.sort_by_key(|r| r.first);
    assert!(
        sorted
            .iter()
            .all(|r| r.first <= r.last && r.last < size && r.length() > 0)
    );
    assert!(
        sorted.windows(2).all(|pair| pair[0].last < pair[1].first),
        "{sorted:?}"
    );
    let told: Vec<_> = ranges.iter().map(|r| format!("{}-{}", r.first, r.last)).collect();
    let told = format!("bytes={}", told.join(","));
    assert_eq!(
        select(told.as_bytes(), size),
        Selection::Ranges(ranges.clone()),
        "{told}"
    );
    for range in &ranges {
        assert_eq!(
            content_range(*range, size),
            format!("bytes {}-{}/{size}", range.first, range.last)
        );
    }
    let frame = Byteranges::new(&ranges, size, Some("text/plain"), "identity");
    let framed: u64 = frame.parts.iter().map(|(head, _)| head.len() as u64).sum();
    let of_ranges: u128 = ranges.iter().map(|r| u128::from(r.length())).sum();
    if let Ok(of_ranges) = u64::try_from(of_ranges + u128::from(framed) + frame.end.len() as u128) {
        assert_eq!(frame.length(), of_ranges);
    }
}

fn tag(text: &[u8]) {
    let Some(tag) = EntityTag::parse(text) else { return };
    let mut told = if tag.weak {
        b"W/\"".to_vec()
    } else {
        b"\"".to_vec()
    };
    told.extend_from_slice(tag.opaque);
    told.push(b'"');
    assert_eq!(told, text);
    assert!(tag.matches(tag, Comparison::Weak) && tag.matches(tag, Comparison::Strong) != tag.weak);
}

/// The same question about a thing that has a validator and one that has none.
fn conditions(lines: &[u8]) {
    let mut fields = Fields::default();
    // As they stand behind a head that was found.
    if !lines.ends_with(b"\r\n\r\n") || parse_fields(lines, &mut fields, 16).is_err() {
        return;
    }
    let current = Validators {
        etag: Some("\"a\""),
        modified_secs: Some(784_111_777),
        now_secs: 1_700_000_000,
    };
    let bare = Validators {
        etag: None,
        modified_secs: None,
        now_secs: 1_700_000_000,
    };
    let names = [
        Name::IfMatch,
        Name::IfNoneMatch,
        Name::IfModifiedSince,
        Name::IfUnmodifiedSince,
    ];
    if names.iter().all(|name| fields.first(*name).is_none()) {
        assert_eq!(
            (evaluate(&fields, current), evaluate(&fields, bare)),
            (Outcome::Proceed, Outcome::Proceed)
        );
    }
    let is_dated_only = fields.first(Name::IfMatch).is_none() && fields.first(Name::IfNoneMatch).is_none();
    assert!(!is_dated_only || evaluate(&fields, bare) == Outcome::Proceed);
    if let (Some(b"\"a\""), None) = (fields.first(Name::IfNoneMatch), fields.first(Name::IfMatch)) {
        assert_ne!(evaluate(&fields, current), Outcome::Proceed);
    }
    assert!(fields.first(Name::IfRange).is_none() == range_counts(&fields, bare));
}
