//! What a request says about being answered from a cache (RFC 9111 §5.2.1).

use std::time::Duration;

use super::control::has_pragma_no_cache;
use super::directive::{Delta, Directive, directives};
use crate::wire::{Fields, Name, Request};

/// The request's wishes. They are advisory (§5.2.1), and heard all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Nothing stored without asking the origin.
    pub no_cache: bool,
    /// The answer is not to be stored.
    pub no_store: bool,
    /// The origin is not to be asked: what is not stored is answered with 504.
    pub only_if_cached: bool,
    /// The greatest age that will do.
    pub max_age: Option<Duration>,
    /// How long it must still be fresh.
    pub min_fresh: Duration,
    /// For how long it may have been stale.
    pub max_stale: Option<Duration>,
}

impl Asked {
    /// Reads a request. Allocates nothing.
    pub fn of(request: &Request) -> Self {
        Self::of_fields(&request.fields)
    }

    /// The same from the fields alone.
    pub fn of_fields(fields: &Fields) -> Self {
        let mut wishes = Wishes::default();
        let mut has_control = false;
        for line in fields.values(Name::CacheControl) {
            has_control = true;
            directives(line).for_each(|d| wishes.take(&d));
        }
        // RFC 9111 §5.4: Pragma is what Cache-Control was for HTTP/1.0, and heard only in its absence.
        if !has_control && has_pragma_no_cache(fields) {
            wishes.asked.no_cache = true;
        }
        wishes.asked
    }

    /// Whether the request leaves it to the cache: most do.
    pub fn is_plain(&self) -> bool {
        !self.no_cache && self.max_age.is_none() && self.min_fresh.is_zero()
    }
}

#[derive(Default)]
struct Wishes {
    asked: Asked,
}

impl Wishes {
    /// A wish that cannot be read is taken for the strictest: the client gets what it would get without a cache.
    fn take(&mut self, directive: &Directive<'_>) {
        let name = |n: &str| directive.name.eq_ignore_ascii_case(n.as_bytes());
        let asked = &mut self.asked;
        if name("no-cache") {
            asked.no_cache = true;
        } else if name("no-store") {
            asked.no_store = true;
        } else if name("only-if-cached") {
            asked.only_if_cached = true;
        } else if name("max-age") {
            let age = directive.delta().or_zero();
            asked.max_age = Some(asked.max_age.map_or(age, |other| other.min(age)));
        } else if name("min-fresh") {
            let fresh = match directive.delta() {
                Delta::Seconds(n) => Duration::from_secs(n.into()),
                Delta::Absent | Delta::Invalid => Duration::MAX,
            };
            asked.min_fresh = asked.min_fresh.max(fresh);
        } else if name("max-stale") {
            asked.max_stale = Some(max_stale(directive, asked.max_stale));
        }
    }
}

/// RFC 9111 §5.2.1.2: "If no value is assigned to max-stale, then the client will accept a stale response of any age."
fn max_stale(directive: &Directive<'_>, before: Option<Duration>) -> Duration {
    let stale = match directive.argument {
        None => Duration::MAX,
        Some(_) => directive.delta().or_zero(),
    };
    before.map_or(stale, |other| other.min(stale))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn asked(lines: &[(&str, &str)]) -> Asked {
        let mut fields = Fields::default();
        for (name, value) in lines {
            fields.push(name.as_bytes(), value.as_bytes());
        }
        Asked::of_fields(&fields)
    }

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn directives_are_read_from_all_lines_in_any_case() {
        let read = asked(&[
            ("Cache-Control", "Max-Age=5, foo=\"no-store\""),
            ("cache-control", "MIN-FRESH=\"7\", max-stale, only-if-cached"),
        ]);
        let expected = Asked {
            max_age: Some(secs(5)),
            min_fresh: secs(7),
            max_stale: Some(Duration::MAX),
            only_if_cached: true,
            ..Asked::default()
        };
        assert_eq!(read, expected);
        assert!(!read.is_plain() && asked(&[]).is_plain());
    }

    #[test]
    fn of_two_wishes_and_of_a_wish_that_cannot_be_read_the_strictest_counts() {
        let read = asked(&[(
            "Cache-Control",
            "max-age=9, max-age=3, min-fresh=1, min-fresh=4, max-stale, max-stale=2",
        )]);
        assert_eq!(
            (read.max_age, read.min_fresh, read.max_stale),
            (Some(secs(3)), secs(4), Some(secs(2)))
        );
        let read = asked(&[("Cache-Control", "max-age=x, min-fresh=-1, max-stale=1.5")]);
        assert_eq!(
            (read.max_age, read.min_fresh, read.max_stale),
            (Some(secs(0)), Duration::MAX, Some(secs(0)))
        );
    }

    #[test]
    fn pragma_counts_only_without_cache_control() {
        assert!(asked(&[("Pragma", "foo, No-Cache")]).no_cache);
        assert!(!asked(&[("Pragma", "no-cache"), ("Cache-Control", "max-age=60")]).no_cache);
        assert!(!asked(&[("Pragma", "no-cache=1")]).no_cache);
    }

    #[test]
    fn a_huge_number_is_no_danger() {
        assert_eq!(
            asked(&[("Cache-Control", "max-age=99999999999999999999")]).max_age,
            Some(secs(1 << 31))
        );
    }

    proptest! {
        #[test]
        fn no_input_makes_it_panic(value in proptest::collection::vec(0x20u8..0xff, 0..60)) {
            let mut fields = Fields::default();
            fields.push(b"Cache-Control", &value);
            let _ = Asked::of_fields(&fields);
        }
    }
}
