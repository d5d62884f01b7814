//! Records of metas: what goes in comes out, and nothing else does.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::cache::disk::{META_MAX, decode_meta};

fn duration() -> impl Strategy<Value = Duration> {
    (any::<u64>(), 0u32..1_000_000_000).prop_map(|(seconds, nanos)| Duration::new(seconds, nanos))
}

fn freshness() -> impl Strategy<Value = Freshness> {
    (
        any::<u64>(),
        [duration(), duration(), duration(), duration()],
        any::<(bool, bool)>(),
    )
        .prop_map(
            |(
                received_ms,
                [age_at_receipt, lifetime, while_revalidate, if_error],
                (must_revalidate, no_cache),
            )| {
                Freshness {
                    received_ms,
                    age_at_receipt,
                    lifetime,
                    stale_while_revalidate: while_revalidate,
                    stale_if_error: if_error,
                    must_revalidate,
                    no_cache,
                }
            },
        )
}

fn fields() -> impl Strategy<Value = Vec<(String, Vec<u8>)>> {
    let value = vec(prop_oneof![Just(b'\t'), 0x20u8..0x7f, 0x80u8..=0xff], 0..40);
    vec(("[!#$%&'*+.^_`|~0-9A-Za-z-]{1,20}", value), 0..12)
}

prop_compose! {
    fn any_meta()(
        texts in (vec(any::<u8>(), 0..80), vec(any::<u8>(), 0..40), "[ -~]{0,20}"),
        vary in vec("[a-z-]{1,16}", 0..4),
        status in any::<u16>(),
        is_old in any::<bool>(),
        lines in fields(),
        freshness in freshness(),
        facets in vec(any::<u64>(), 0..20),
        serial in any::<u64>(),
    ) -> Meta {
        let mut fields = Fields::default();
        for (name, value) in &lines {
            fields.push(name.as_bytes(), value);
        }
        Meta {
            key_text: texts.0.into(),
            variance: texts.1.into(),
            vary: vary.into_iter().map(Into::into).collect(),
            status,
            reason: texts.2.into_bytes().into(),
            version: if is_old { Version::Http10 } else { Version::Http11 },
            fields,
            freshness,
            facets: Facets(facets.into()),
            serial,
        }
    }
}

fn assert_same(a: &Meta, b: &Meta) {
    assert_eq!(
        (&a.key_text, &a.variance, &a.vary),
        (&b.key_text, &b.variance, &b.vary)
    );
    assert_eq!((a.status, &a.reason, a.version), (b.status, &b.reason, b.version));
    assert_eq!(
        (a.freshness, &a.facets, a.serial),
        (b.freshness, &b.facets, b.serial)
    );
    assert!(a.fields.iter().eq(b.fields.iter()));
}

proptest! {
    #[test]
    fn what_is_encoded_decodes_to_the_same(meta in any_meta()) {
        let bytes = encode_meta(&meta).unwrap();
        assert_same(&decode_meta(&bytes).unwrap(), &meta);
    }

    #[test]
    fn a_record_cut_or_made_longer_is_refused(meta in any_meta(), at in any::<proptest::sample::Index>()) {
        let mut bytes = encode_meta(&meta).unwrap();
        prop_assert!(decode_meta(&bytes[..at.index(bytes.len())]).is_none());
        bytes.push(0);
        prop_assert!(decode_meta(&bytes).is_none());
    }

    #[test]
    fn changed_bytes_never_panic_and_mean_themselves(
        meta in any_meta(),
        changes in vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6)
    ) {
        let mut bytes = encode_meta(&meta).unwrap();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        // One record has one meaning and one meaning one record.
        if let Some(meta) = decode_meta(&bytes) {
            prop_assert_eq!(encode_meta(&meta).unwrap(), bytes);
        }
    }

    #[test]
    fn noise_never_panics(mut bytes in vec(any::<u8>(), 0..300)) {
        _ = decode_meta(&bytes);
        if let Some(version) = bytes.first_mut() {
            *version = 1;
        }
        _ = decode_meta(&bytes);
    }
}

#[test]
fn a_mark_that_only_says_by_what_answers_vary_is_kept() {
    let mark = Meta {
        status: 0,
        reason: Box::default(),
        fields: Fields::default(),
        freshness: Freshness::default(),
        facets: Facets::default(),
        ..meta("a")
    };
    assert_same(&decode_meta(&record(&mark)).unwrap(), &mark);
}

#[test]
fn the_limit_is_exact() {
    let room = META_MAX - record(&meta("")).len();
    assert_eq!(encode_meta(&meta(&"x".repeat(room))).unwrap().len(), META_MAX);
    assert!(encode_meta(&meta(&"x".repeat(room + 1))).is_none());
    assert!(encode_meta(&meta(&"x".repeat(10 * META_MAX))).is_none());
    let facets = Facets(vec![0; META_MAX / 8].into());
    assert!(encode_meta(&Meta { facets, ..meta("") }).is_none());
}

#[test]
fn a_count_that_cannot_be_allocates_nothing() {
    let empty = Meta {
        key_text: Box::default(),
        variance: Box::default(),
        reason: Box::default(),
        vary: Box::default(),
        fields: Fields::default(),
        facets: Facets::default(),
        ..meta("")
    };
    let bytes = record(&empty);
    // The last six numbers are the lengths of what is empty.
    for list in 1..=6 {
        let mut huge = bytes.clone();
        let at = huge.len() - 4 * list;
        huge[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(decode_meta(&huge).is_none());
    }
}

#[test]
fn fields_that_would_split_an_answer_are_refused() {
    for (name, value) in [
        (&b"A"[..], &b"b\r\nC: d"[..]),
        (b"A\n", b"b"),
        (b"A b", b"c"),
        (b"", b"c"),
    ] {
        let mut fields = Fields::default();
        fields.push(name, value);
        assert!(decode_meta(&record(&Meta { fields, ..meta("a") })).is_none());
    }
    let reason = b"OK\r\nA: b".as_slice().into();
    assert!(decode_meta(&record(&Meta { reason, ..meta("a") })).is_none());
}

#[test]
fn a_record_of_another_version_is_refused() {
    let mut bytes = record(&meta("a"));
    bytes[0] = 2;
    assert!(decode_meta(&bytes).is_none());
}
