//! Lists of directives: `name`, `name=value`, `name="value, with comma"` (RFC 9111 §5.2).

use std::time::Duration;

use crate::wire::syntax;

/// RFC 9111 §1.2.2: what is greater than can be represented is to be taken for 2^31 seconds, "or the greatest positive
/// integer it can conveniently represent". With this limit no sum of two of them overflows anything.
pub const DELTA_SECS_MAX: u32 = 1 << 31;

/// One directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Directive<'a> {
    /// What stands before `=`, in any case.
    pub name: &'a [u8],
    /// What stands behind `=`, quotes included; None without `=`.
    pub argument: Option<&'a [u8]>,
    /// Whether a quoted string that never ends began on this line, here or before.
    pub is_broken: bool,
}

/// A number of seconds that may be missing, or no number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delta {
    /// Not there.
    #[default]
    Absent,
    /// There, and of no meaning.
    Invalid,
    /// At most [`DELTA_SECS_MAX`].
    Seconds(u32),
}

impl Delta {
    /// RFC 9111 §1.2.2: `delta-seconds = 1*DIGIT`.
    pub fn parse(text: &[u8]) -> Self {
        if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
            return Self::Invalid;
        }
        let add = |n: u32, d: &u8| n.saturating_mul(10).saturating_add(u32::from(d - b'0'));
        Self::Seconds(text.iter().fold(0, add).min(DELTA_SECS_MAX))
    }

    /// Takes in another occurrence of the same directive.
    ///
    /// RFC 9111 §4.2.1: "either the first occurrence should be used, or the response should be considered stale." Which
    /// of two different values was meant nobody can tell, and the stale reading is never wrong.
    pub fn add(&mut self, other: Self) {
        *self = match (*self, other) {
            (one, Self::Absent) => one,
            (Self::Absent, other) => other,
            (one, other) if one == other => one,
            _ => Self::Invalid,
        };
    }

    /// The time, None where the directive is not there, zero where it cannot be read.
    pub fn duration(self) -> Option<Duration> {
        match self {
            Self::Absent => None,
            Self::Invalid => Some(Duration::ZERO),
            Self::Seconds(n) => Some(Duration::from_secs(n.into())),
        }
    }

    /// The time, zero where there is none.
    pub fn or_zero(self) -> Duration {
        self.duration().unwrap_or_default()
    }
}

impl<'a> Directive<'a> {
    /// The argument without its quotes; None without argument. RFC 9111 §5.2: "recipients ought to accept both forms".
    ///
    /// An escape inside stays as it is: neither a number nor a field name has use for one.
    pub fn text(&self) -> Option<&'a [u8]> {
        let argument = self.argument?;
        let inner = argument.strip_prefix(b"\"").and_then(|a| a.strip_suffix(b"\""));
        Some(inner.unwrap_or(argument))
    }

    /// The argument as a number; invalid without one.
    pub fn delta(&self) -> Delta {
        self.text().map_or(Delta::Invalid, Delta::parse)
    }
}

/// The directives of one field line. Nothing is allocated, and no byte is looked at more than twice.
///
/// A quoted string that does not end would swallow every directive behind it, no-store among them. From there on the
/// line is split at each comma, and marked, so that what it permits is not believed.
pub fn directives(line: &[u8]) -> impl Iterator<Item = Directive<'_>> {
    let mut rest = Some(line);
    let mut is_broken = false;
    std::iter::from_fn(move || {
        let text = rest?;
        let (end, is_open) = if is_broken {
            (plain_comma(text), false)
        } else {
            comma(text)
        };
        let end = if is_open { plain_comma(text) } else { end };
        is_broken |= is_open;
        rest = end.map(|at| &text[at + 1..]);
        Some(directive(&text[..end.unwrap_or(text.len())], is_broken))
    })
    .filter(|d| !d.name.is_empty())
}

fn directive(text: &[u8], is_broken: bool) -> Directive<'_> {
    let text = syntax::trim(text);
    match memchr::memchr(b'=', text) {
        // Space around "=" is no part of the grammar: the name is recognised all the same, and the value, which keeps
        // its space, is no number.
        Some(at) => Directive {
            name: syntax::trim(&text[..at]),
            argument: Some(&text[at + 1..]),
            is_broken,
        },
        None => Directive {
            name: text,
            argument: None,
            is_broken,
        },
    }
}

fn plain_comma(text: &[u8]) -> Option<usize> {
    memchr::memchr(b',', text)
}

/// Where the first comma outside of quotes is, and whether the text ends inside of quotes.
fn comma(text: &[u8]) -> (Option<usize>, bool) {
    let mut from = 0;
    while let Some(at) = memchr::memchr2(b',', b'"', &text[from..]) {
        let at = from + at;
        if text[at] == b',' {
            return (Some(at), false);
        }
        match closing_quote(&text[at + 1..]) {
            Some(length) => from = at + 1 + length + 1,
            None => return (None, true),
        }
    }
    (None, false)
}

fn closing_quote(text: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = memchr::memchr2(b'"', b'\\', &text[from..]) {
        if text[from + at] == b'"' {
            return Some(from + at);
        }
        from = (from + at + 2).min(text.len());
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(line: &str) -> Vec<&str> {
        directives(line.as_bytes())
            .map(|d| std::str::from_utf8(d.name).unwrap())
            .collect()
    }

    #[test]
    fn a_line_is_split_at_commas_outside_of_quotes() {
        assert_eq!(names("a, b=1 ,, c=\"x, no-store\" ,d"), ["a", "b", "c", "d"]);
        assert_eq!(names("a=\"x\\\", y\", b"), ["a", "b"]);
        assert_eq!(names(""), Vec::<&str>::new());
        assert_eq!(names(" , ,"), Vec::<&str>::new());
    }

    #[test]
    fn a_quote_that_never_closes_hides_nothing() {
        let line = b"a=\"1\", x=\"abc, no-store, b=2";
        let read: Vec<_> = directives(line).map(|d| (d.name, d.is_broken)).collect();
        assert_eq!(
            read,
            [
                (&b"a"[..], false),
                (b"x", true),
                (b"no-store", true),
                (b"b", true)
            ]
        );
        assert!(directives(b"a=\"\\").all(|d| d.is_broken));
    }

    #[test]
    fn numbers_are_digits_and_have_a_ceiling() {
        for (text, expected) in [
            ("0", Delta::Seconds(0)),
            ("0060", Delta::Seconds(60)),
            ("2147483648", Delta::Seconds(DELTA_SECS_MAX)),
            ("99999999999999999999999999", Delta::Seconds(DELTA_SECS_MAX)),
            ("", Delta::Invalid),
            ("-1", Delta::Invalid),
            ("+1", Delta::Invalid),
            ("1.5", Delta::Invalid),
            (" 1", Delta::Invalid),
            ("1s", Delta::Invalid),
            ("\u{661}", Delta::Invalid),
        ] {
            assert_eq!(Delta::parse(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn a_number_may_be_quoted_and_stands_right_behind_its_sign() {
        let delta = |line: &'static str| directives(line.as_bytes()).next().unwrap().delta();
        assert_eq!(delta("max-age=\"60\""), Delta::Seconds(60));
        assert_eq!(delta("max-age= 60"), Delta::Invalid);
        assert_eq!(delta("max-age =60"), Delta::Seconds(60));
        assert_eq!(delta("max-age"), Delta::Invalid);
        assert_eq!(delta("max-age=\"6\\0\""), Delta::Invalid);
    }

    #[test]
    fn said_twice_the_same_is_said_once_and_anything_else_is_nothing() {
        let sum = |deltas: &[Delta]| {
            let mut sum = Delta::Absent;
            deltas.iter().for_each(|d| sum.add(*d));
            sum
        };
        assert_eq!(sum(&[Delta::Seconds(5), Delta::Seconds(5)]), Delta::Seconds(5));
        assert_eq!(
            sum(&[Delta::Seconds(5), Delta::Seconds(6), Delta::Seconds(5)]),
            Delta::Invalid
        );
        assert_eq!(sum(&[Delta::Invalid, Delta::Seconds(5)]), Delta::Invalid);
        assert_eq!(sum(&[Delta::Absent, Delta::Seconds(5)]), Delta::Seconds(5));
        assert_eq!(sum(&[Delta::Seconds(5), Delta::Absent]), Delta::Seconds(5));
    }

    proptest! {
        #[test]
        fn well_formed_lists_are_read_as_they_were_written(list in proptest::collection::vec(("[a-z-]{1,8}", proptest::option::of("[ -~]{0,8}")), 0..6)) {
            let quoted = |v: &String| format!("=\"{}\"", v.replace('\\', "\\\\").replace('"', "\\\""));
            let written: Vec<_> = list.iter().map(|(n, v)| format!("{n}{}", v.as_ref().map_or(String::new(), quoted))).collect();
            let line = written.join(" , ");
            let read: Vec<_> = directives(line.as_bytes()).map(|d| (d.name.to_vec(), d.argument.is_some(), d.is_broken)).collect();
            let expected: Vec<_> = list.iter().map(|(n, v)| (n.as_bytes().to_vec(), v.is_some(), false)).collect();
            prop_assert_eq!(read, expected);
        }

        #[test]
        fn no_input_makes_it_panic_and_no_store_is_never_hidden(before in "[a\"\\\\,= ]{0,12}") {
            let line = format!("{before},no-store,");
            let read: Vec<_> = directives(line.as_bytes()).collect();
            let is_quoted = before.contains('"') && !read.iter().any(|d| d.is_broken);
            prop_assert!(is_quoted || read.iter().any(|d| d.name == b"no-store"));
        }
    }
}
