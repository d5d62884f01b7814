//! What of a stored whole answers a request: all of it, a part, or only that it has not changed.

use super::age::{date, single_date};
use super::storable::etag;
use crate::cache::object::Meta;
use crate::kit::range::{self, ByteRange, Selection};
use crate::wire::condition::{self, Outcome, Validators};
use crate::wire::{Fields, Method, Name, Request};

/// What to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selected {
    /// All of it.
    Whole,
    /// 304
    NotModified,
    /// What is stored fails If-Match or If-Unmodified-Since.
    ///
    /// RFC 9111 §4.3.2: these "conditional header fields are not applicable to a cache": they are about what the origin
    /// has now. The request is to go to the origin; 412 from here would be a guess.
    PreconditionFailed,
    /// 206 with these, in this order; at least one.
    Ranges(Vec<ByteRange>),
    /// 416
    Unsatisfiable,
}

/// Selects from an answer of `size` bytes that may be used. Allocates only for ranges.
///
/// RFC 9110 §13.2.1: conditions are for what would be answered with a 2xx; RFC 9111 §4.3.2: of what is stored, with 200.
pub fn select(meta: &Meta, size: u64, request: &Request, now_secs: u64) -> Selected {
    if meta.status != 200 || !asks_for_less(&request.fields) {
        return Selected::Whole;
    }
    let current = validators(&meta.fields, &request.fields, now_secs);
    match condition::evaluate(&request.fields, current) {
        Outcome::Failed => Selected::PreconditionFailed,
        Outcome::NotModified => Selected::NotModified,
        Outcome::Proceed => part(meta, size, request),
    }
}

/// Whether there is a condition or a range at all; in most requests there is none.
fn asks_for_less(fields: &Fields) -> bool {
    fields.iter().any(|field| {
        matches!(
            field.known,
            Name::IfMatch
                | Name::IfModifiedSince
                | Name::IfNoneMatch
                | Name::IfRange
                | Name::IfUnmodifiedSince
                | Name::Range
        )
    })
}

/// RFC 9111 §4.3.2: where there is no Last-Modified, a Date "earlier than or equal to the conditional timestamp" of
/// If-Modified-Since will do. It will not for If-Unmodified-Since, which §4.3.2 says nothing of.
fn validators<'a>(stored: &'a Fields, asked: &Fields, now_secs: u64) -> Validators<'a> {
    let has_other = asked.first(Name::IfUnmodifiedSince).is_some();
    let instead = || date(stored).filter(|_| !has_other);
    Validators {
        etag: tag(stored),
        modified_secs: single_date(stored, Name::LastModified)
            .or_else(instead)
            .filter(|at| *at <= now_secs),
        now_secs,
    }
}

fn tag(stored: &Fields) -> Option<&str> {
    etag(stored).and_then(|tag| std::str::from_utf8(tag).ok())
}

/// RFC 9110 §14.2: Range is for GET only. Two Range lines ask for nothing that can be told.
fn part(meta: &Meta, size: u64, request: &Request) -> Selected {
    let mut lines = request.fields.values(Name::Range);
    let (Some(value), None, Method::Get) = (lines.next(), lines.next(), request.method) else {
        return Selected::Whole;
    };
    // RFC 9110 §8.8.2.2: for a cache a date is a strong validator if what is stored "includes a Date value which is at
    // least one second after the Last-Modified value": its own clock says nothing of when the bytes were made.
    let made = Validators {
        etag: tag(&meta.fields),
        modified_secs: single_date(&meta.fields, Name::LastModified),
        now_secs: date(&meta.fields).unwrap_or_default(),
    };
    if !condition::range_counts(&request.fields, made) {
        return Selected::Whole;
    }
    match range::select(value, size) {
        Selection::Whole => Selected::Whole,
        Selection::Ranges(ranges) => Selected::Ranges(ranges),
        Selection::Unsatisfiable => Selected::Unsatisfiable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::policy::tests::meta;
    use crate::kit::http_date;

    const MADE: u64 = 784_111_777;

    fn request(method: Method, lines: &[(&str, &str)]) -> Request {
        let mut request = Request {
            method,
            ..Request::default()
        };
        for (name, value) in lines {
            request.fields.push(name.as_bytes(), value.as_bytes());
        }
        request
    }

    fn stored(status: u16, modified_before: Option<u64>) -> Meta {
        let mut lines = vec![("Date", http_date::format(MADE)), ("ETag", "\"a\"".to_owned())];
        if let Some(secs) = modified_before {
            lines.push(("Last-Modified", http_date::format(MADE - secs)));
        }
        let lines: Vec<_> = lines.iter().map(|(n, v)| (*n, v.as_str())).collect();
        meta(status, &lines)
    }

    fn selected(lines: &[(&str, &str)]) -> Selected {
        select(
            &stored(200, Some(100)),
            1000,
            &request(Method::Get, lines),
            MADE + 50,
        )
    }

    fn one(first: u64, last: u64) -> Selected {
        Selected::Ranges(vec![ByteRange { first, last }])
    }

    #[test]
    fn conditions_come_before_ranges() {
        assert_eq!(selected(&[]), Selected::Whole);
        assert_eq!(
            selected(&[("If-None-Match", "W/\"a\""), ("Range", "bytes=0-1")]),
            Selected::NotModified
        );
        assert_eq!(
            selected(&[("If-None-Match", "\"b\""), ("Range", "bytes=0-1")]),
            one(0, 1)
        );
        assert_eq!(selected(&[("If-Match", "\"b\"")]), Selected::PreconditionFailed);
        assert_eq!(selected(&[("Range", "bytes=1000-")]), Selected::Unsatisfiable);
        assert_eq!(selected(&[("Range", "bytes=-5")]), one(995, 999));
        assert_eq!(
            selected(&[("Range", "bytes=0-1"), ("Range", "bytes=2-3")]),
            Selected::Whole
        );
    }

    #[test]
    fn only_a_get_of_a_200_has_parts() {
        let range = [("Range", "bytes=0-1"), ("If-None-Match", "\"a\"")];
        let head = request(Method::Head, &range[..1]);
        assert_eq!(select(&stored(200, None), 10, &head, MADE), Selected::Whole);
        let get = request(Method::Get, &range);
        assert_eq!(select(&stored(404, None), 10, &get, MADE), Selected::Whole);
        let head = request(Method::Head, &range[1..]);
        assert_eq!(select(&stored(200, None), 10, &head, MADE), Selected::NotModified);
    }

    #[test]
    fn without_last_modified_the_date_stands_in_for_if_modified_since_alone() {
        let since =
            |lines: &[(&str, &str)]| select(&stored(200, None), 10, &request(Method::Get, lines), MADE + 50);
        let (before, same) = (http_date::format(MADE - 1), http_date::format(MADE));
        assert_eq!(since(&[("If-Modified-Since", &same)]), Selected::NotModified);
        assert_eq!(since(&[("If-Modified-Since", &before)]), Selected::Whole);
        assert_eq!(since(&[("If-Unmodified-Since", &before)]), Selected::Whole);
    }

    #[test]
    fn a_date_is_strong_for_a_range_only_if_it_was_old_when_the_answer_was_made() {
        let with = |before: u64| {
            let date = http_date::format(MADE - before);
            let lines = [("Range", "bytes=0-1"), ("If-Range", date.as_str())];
            select(
                &stored(200, Some(before)),
                10,
                &request(Method::Get, &lines),
                MADE + 1_000_000,
            )
        };
        assert_eq!(with(0), Selected::Whole);
        assert_eq!(with(100), one(0, 1));
        let tag = [("Range", "bytes=0-1"), ("If-Range", "\"a\"")];
        assert_eq!(
            select(&stored(200, None), 10, &request(Method::Get, &tag), MADE),
            one(0, 1)
        );
    }

    #[test]
    fn an_empty_whole_has_no_parts_and_makes_nobody_panic() {
        for range in ["bytes=0-", "bytes=-0", "bytes=-5", "bytes=0-0"] {
            let request = request(Method::Get, &[("Range", range)]);
            let selected = select(&stored(200, None), 0, &request, MADE);
            assert!(!matches!(selected, Selected::Ranges(_)), "{range}");
        }
    }
}
