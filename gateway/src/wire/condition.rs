//! Conditional requests (RFC 9110 §13): whether to send, and whether a range may be sent.

use super::fields::Fields;
use super::name::Name;
use crate::kit::etag::{Comparison, EntityTag, any_matches};
use crate::kit::http_date;

/// A date counts for a range only when the clock is further than this past it (RFC 9110 §8.8.2.2): until then the
/// file can change again within the same second. One more than that second, because file times lag by a tick.
const STRONG_AFTER_SECS: u64 = 1;

/// What the selected representation can be recognised by.
#[derive(Clone, Copy, Debug)]
pub struct Validators<'a> {
    /// Its entity tag as it is sent, with quotes.
    pub etag: Option<&'a str>,
    /// Its Last-Modified in seconds since the epoch, not after `now_secs`.
    pub modified_secs: Option<u64>,
    /// The wall clock in seconds since the epoch.
    pub now_secs: u64,
}

/// What the conditions say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// 412
    Failed,
    /// 304
    NotModified,
    /// As without conditions; a range is still to be judged.
    Proceed,
}

/// Evaluates the preconditions of a GET or HEAD in the order of RFC 9110 §13.2.2.
pub fn evaluate(fields: &Fields, current: Validators<'_>) -> Outcome {
    // Steps 1 and 2: "When recipient is the origin server and If-Match is present … If-Match is not present, and
    // If-Unmodified-Since is present".
    if fields.first(Name::IfMatch).is_some() {
        if !any_matches(fields.values(Name::IfMatch), current.tag(), Comparison::Strong) {
            return Outcome::Failed;
        }
    } else if current.changed_since(date(fields, Name::IfUnmodifiedSince)) == Some(true) {
        return Outcome::Failed;
    }
    // Steps 3 and 4; §13.1.3: a recipient MUST ignore If-Modified-Since if the request contains If-None-Match.
    if fields.first(Name::IfNoneMatch).is_some() {
        if any_matches(fields.values(Name::IfNoneMatch), current.tag(), Comparison::Weak) {
            return Outcome::NotModified;
        }
    } else if current.changed_since(date(fields, Name::IfModifiedSince)) == Some(false) {
        return Outcome::NotModified;
    }
    Outcome::Proceed
}

/// Step 5: whether the Range field of a GET counts. Without If-Range it does; with one, only for the same bytes.
pub fn range_counts(fields: &Fields, current: Validators<'_>) -> bool {
    let mut lines = fields.values(Name::IfRange);
    let Some(value) = lines.next() else {
        return true;
    };
    if lines.next().is_some() {
        return false;
    }
    if let Some(tag) = EntityTag::parse(value) {
        return current.tag().is_some_and(|c| c.matches(tag, Comparison::Strong));
    }
    // RFC 9110 §13.1.5: if the date "is not a strong validator in the sense defined by Section 8.8.2.2, the condition
    // is false", and else it must match exactly.
    let same = current
        .modified_secs
        .filter(|at| http_date::parse(value) == Some(*at));
    same.is_some_and(|at| at.saturating_add(STRONG_AFTER_SECS) < current.now_secs)
}

impl<'a> Validators<'a> {
    fn tag(&self) -> Option<EntityTag<'a>> {
        self.etag.and_then(|text| EntityTag::parse(text.as_bytes()))
    }

    /// None where either side has no date: the condition is then to be ignored (RFC 9110 §13.1.3 and §13.1.4).
    fn changed_since(&self, date: Option<u64>) -> Option<bool> {
        Some(self.modified_secs? > date?)
    }
}

/// A date that is there exactly once and is one. RFC 9110 §13.1.3: a recipient MUST ignore the field "if the received
/// field value is not a valid HTTP-date, the field value has more than one member".
fn date(fields: &Fields, name: Name) -> Option<u64> {
    let mut lines = fields.values(name);
    let first = lines.next()?;
    if lines.next().is_some() {
        return None;
    }
    http_date::parse(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const SAME: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
    const MODIFIED: u64 = 784_111_777;

    fn current() -> Validators<'static> {
        Validators {
            etag: Some("\"a\""),
            modified_secs: Some(MODIFIED),
            now_secs: MODIFIED + 100,
        }
    }

    fn fields(lines: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::default();
        for (name, value) in lines {
            fields.push(name.as_bytes(), value.as_bytes());
        }
        fields
    }

    #[test]
    fn each_condition_alone() {
        use Outcome::{Failed, NotModified, Proceed};
        for (name, value, expected) in [
            ("If-Match", "\"a\"", Proceed),
            ("If-Match", "*", Proceed),
            ("If-Match", "\"b\", \"a\"", Proceed),
            ("If-Match", "W/\"a\"", Failed),
            ("If-Match", "\"b\"", Failed),
            ("If-Match", "", Failed),
            ("If-None-Match", "\"a\"", NotModified),
            ("If-None-Match", "W/\"a\"", NotModified),
            ("If-None-Match", "*", NotModified),
            ("If-None-Match", "\"b\"", Proceed),
            ("If-None-Match", "a", Proceed),
            ("If-Modified-Since", OLD, Proceed),
            ("If-Modified-Since", SAME, NotModified),
            ("If-Modified-Since", LATER, NotModified),
            ("If-Modified-Since", "yesterday", Proceed),
            ("If-Unmodified-Since", OLD, Failed),
            ("If-Unmodified-Since", SAME, Proceed),
            ("If-Unmodified-Since", LATER, Proceed),
            ("If-Unmodified-Since", "yesterday", Proceed),
        ] {
            assert_eq!(
                evaluate(&fields(&[(name, value)]), current()),
                expected,
                "{name}: {value}"
            );
        }
    }

    #[test]
    fn the_earlier_step_decides_and_a_tag_silences_a_date() {
        let outcome = |lines: &[(&str, &str)]| evaluate(&fields(lines), current());
        assert_eq!(
            outcome(&[("If-Match", "\"a\""), ("If-Unmodified-Since", OLD)]),
            Outcome::Proceed
        );
        assert_eq!(
            outcome(&[("If-Match", "\"b\""), ("If-None-Match", "\"a\"")]),
            Outcome::Failed
        );
        assert_eq!(
            outcome(&[("If-Match", "\"a\""), ("If-None-Match", "\"a\"")]),
            Outcome::NotModified
        );
        assert_eq!(
            outcome(&[("If-None-Match", "\"b\""), ("If-Modified-Since", SAME)]),
            Outcome::Proceed
        );
        assert_eq!(
            outcome(&[("If-Unmodified-Since", SAME), ("If-Modified-Since", SAME)]),
            Outcome::NotModified
        );
    }

    #[test]
    fn a_date_said_twice_is_ignored_and_tags_on_several_lines_are_one_list() {
        let outcome = |lines: &[(&str, &str)]| evaluate(&fields(lines), current());
        assert_eq!(
            outcome(&[("If-Modified-Since", SAME), ("If-Modified-Since", SAME)]),
            Outcome::Proceed
        );
        assert_eq!(
            outcome(&[("If-Unmodified-Since", OLD), ("If-Unmodified-Since", OLD)]),
            Outcome::Proceed
        );
        assert_eq!(
            outcome(&[("If-None-Match", "\"b\""), ("If-None-Match", "\"a\"")]),
            Outcome::NotModified
        );
    }

    #[test]
    fn a_file_without_validators_satisfies_no_date_and_only_a_star() {
        let bare = Validators {
            etag: None,
            modified_secs: None,
            now_secs: MODIFIED,
        };
        let outcome = |name, value| evaluate(&fields(&[(name, value)]), bare);
        assert_eq!(outcome("If-Modified-Since", LATER), Outcome::Proceed);
        assert_eq!(outcome("If-Unmodified-Since", OLD), Outcome::Proceed);
        assert_eq!(outcome("If-None-Match", "\"a\""), Outcome::Proceed);
        assert_eq!(outcome("If-None-Match", "*"), Outcome::NotModified);
        assert!(!range_counts(&fields(&[("If-Range", SAME)]), bare));
    }

    #[test]
    fn a_range_counts_for_the_very_same_bytes_only() {
        let counts = |lines: &[(&str, &str)]| range_counts(&fields(lines), current());
        assert!(counts(&[]));
        assert!(counts(&[("If-Range", "\"a\"")]) && counts(&[("If-Range", SAME)]));
        for other in [
            "W/\"a\"",
            "\"b\"",
            "\"a\", \"b\"",
            "*",
            "",
            OLD,
            LATER,
            "Sun Nov  6 08:49:36 1994",
        ] {
            assert!(!counts(&[("If-Range", other)]), "{other}");
        }
        assert!(!counts(&[("If-Range", "\"a\""), ("If-Range", "\"a\"")]));
    }

    #[test]
    fn a_date_of_the_running_second_is_too_weak_for_a_range() {
        for (later, expected) in [(0, false), (1, false), (2, true)] {
            let now_secs = MODIFIED + later;
            let current = Validators {
                now_secs,
                ..current()
            };
            assert_eq!(
                range_counts(&fields(&[("If-Range", SAME)]), current),
                expected,
                "{later}"
            );
        }
    }
}
