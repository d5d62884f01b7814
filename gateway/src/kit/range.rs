//! Byte ranges (RFC 9110 §14): which stretches of a representation a Range field asks for.

/// More stretches than this in one request are no use to a reader, and each costs a part of its own.
pub const RANGES_MAX: usize = 16;

/// A stretch of bytes, both ends included and inside the representation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    /// Position of its first byte.
    pub first: u64,
    /// Position of its last byte, not before the first.
    pub last: u64,
}

/// What a Range field selects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// The field is to be ignored: all of it, as without the field.
    Whole,
    /// These, in the order asked for; at least one, no two overlapping.
    Ranges(Vec<ByteRange>),
    /// Nothing of what is asked for is there: 416.
    Unsatisfiable,
}

enum Spec {
    /// A stretch that is there.
    Within(ByteRange),
    /// A suffix of a representation without bytes: satisfiable, and yet no Content-Range can say it.
    Empty,
    /// Past the end.
    Beyond,
}

impl ByteRange {
    /// How many bytes it has.
    pub fn length(self) -> u64 {
        self.last - self.first + 1
    }
}

/// What the value of a Range field selects of `size` bytes.
///
/// Ignored are a unit other than bytes and what breaks the grammar (RFC 9110 §14.2: an origin server MUST ignore a
/// unit it does not understand; MAY ignore the rest). So are more than [`RANGES_MAX`] stretches and those that
/// overlap, which §14.2 names as a sign of an attack.
pub fn select(value: &[u8], size: u64) -> Selection {
    let Some(set) = after_unit(value) else {
        return Selection::Whole;
    };
    let mut ranges = Vec::new();
    let (mut seen, mut empty) = (0, false);
    for text in set.split(|b| *b == b',').map(<[u8]>::trim_ascii) {
        if text.is_empty() {
            continue; // RFC 9110 §5.6.1.2: a recipient must bear empty elements.
        }
        seen += 1;
        match resolve(text, size) {
            None => return Selection::Whole,
            Some(_) if seen > RANGES_MAX => return Selection::Whole,
            Some(Spec::Within(range)) => ranges.push(range),
            Some(Spec::Empty) => empty = true,
            Some(Spec::Beyond) => {}
        }
    }
    if seen == 0 || empty || overlap(&ranges) {
        return Selection::Whole;
    }
    if ranges.is_empty() {
        return Selection::Unsatisfiable;
    }
    Selection::Ranges(ranges)
}

/// RFC 9110 §14.1: "range unit names are case-insensitive".
fn after_unit(value: &[u8]) -> Option<&[u8]> {
    let (unit, rest) = value.split_at_checked(6)?;
    unit.eq_ignore_ascii_case(b"bytes=").then_some(rest)
}

/// One element; None where it breaks the grammar.
fn resolve(text: &[u8], size: u64) -> Option<Spec> {
    let dash = text.iter().position(|b| *b == b'-')?;
    let (first, last) = (&text[..dash], &text[dash + 1..]);
    if first.is_empty() {
        return Some(suffix(number(last)?, size));
    }
    let first = number(first)?;
    let last = match last {
        b"" => u64::MAX,
        digits => number(digits)?,
    };
    // RFC 9110 §14.1.1: "An int-range is invalid if the last-pos value is present and less than first-pos."
    if last < first {
        return None;
    }
    if first >= size {
        return Some(Spec::Beyond);
    }
    Some(Spec::Within(ByteRange {
        first,
        last: last.min(size - 1),
    }))
}

/// RFC 9110 §14.1.2: a suffix longer than the representation is all of it; one of length zero is unsatisfiable.
fn suffix(length: u64, size: u64) -> Spec {
    match (length, size) {
        (0, _) => Spec::Beyond,
        (_, 0) => Spec::Empty,
        _ => Spec::Within(ByteRange {
            first: size.saturating_sub(length),
            last: size - 1,
        }),
    }
}

/// Digits only. What does not fit lies beyond any representation, and so does the largest number.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let add = |n: u64, b: &u8| n.saturating_mul(10).saturating_add(u64::from(b - b'0'));
    Some(digits.iter().fold(0, add))
}

fn overlap(ranges: &[ByteRange]) -> bool {
    let mut sorted = ranges.to_vec();
    sorted.sort_unstable_by_key(|r| r.first);
    sorted.windows(2).any(|pair| pair[1].first <= pair[0].last)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ranges(pairs: &[(u64, u64)]) -> Selection {
        let range = |(first, last): &(u64, u64)| ByteRange {
            first: *first,
            last: *last,
        };
        Selection::Ranges(pairs.iter().map(range).collect())
    }

    #[test]
    fn the_examples_of_the_rfc_select_what_it_says_and_overlaps_select_all() {
        // RFC 9110 §14.1.2, for a representation of 10000 bytes; the last one it calls legal but not canonical.
        for (value, expected) in [
            ("bytes=0-499", ranges(&[(0, 499)])),
            ("bytes=500-999", ranges(&[(500, 999)])),
            ("bytes=-500", ranges(&[(9500, 9999)])),
            ("bytes=9500-", ranges(&[(9500, 9999)])),
            ("bytes=0-0,-1", ranges(&[(0, 0), (9999, 9999)])),
            (
                "bytes= 0-999, 4500-5499, -1000",
                ranges(&[(0, 999), (4500, 5499), (9000, 9999)]),
            ),
            ("bytes=500-600,601-999", ranges(&[(500, 600), (601, 999)])),
            ("bytes=500-700,601-999", Selection::Whole),
        ] {
            assert_eq!(select(value.as_bytes(), 10_000), expected, "{value}");
        }
    }

    #[test]
    fn what_breaks_the_grammar_is_ignored() {
        for value in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=a-b",
            "bytes=1",
            "bytes=5-1",
            "bytes=1-2-3",
            "bytes=+1-2",
            "bytes=0x0-1",
            "bytes 0-1",
            "items=0-1",
            "bytes =0-1",
            "bytes=1 -2",
            "bytes=0-1,x",
            "bytes=--1",
            "bytes=0-1;",
        ] {
            assert_eq!(select(value.as_bytes(), 10), Selection::Whole, "{value}");
        }
        assert_eq!(select(b"BYTES=1-2", 10), ranges(&[(1, 2)]));
    }

    #[test]
    fn numbers_too_large_for_a_word_neither_wrap_nor_panic() {
        let huge = "9".repeat(60);
        assert_eq!(
            select(format!("bytes=0-{huge}").as_bytes(), 10),
            ranges(&[(0, 9)])
        );
        assert_eq!(select(format!("bytes=-{huge}").as_bytes(), 10), ranges(&[(0, 9)]));
        assert_eq!(
            select(format!("bytes={huge}-").as_bytes(), 10),
            Selection::Unsatisfiable
        );
        assert_eq!(
            select(format!("bytes={huge}-{huge}").as_bytes(), u64::MAX),
            Selection::Unsatisfiable
        );
    }

    #[test]
    fn nothing_can_be_cut_out_of_nothing() {
        assert_eq!(select(b"bytes=0-", 0), Selection::Unsatisfiable);
        assert_eq!(select(b"bytes=-0", 0), Selection::Unsatisfiable);
        assert_eq!(select(b"bytes=-0", 10), Selection::Unsatisfiable);
        assert_eq!(select(b"bytes=-5", 0), Selection::Whole);
    }

    #[test]
    fn more_stretches_than_the_limit_are_all_of_it() {
        let specs: Vec<_> = (0..=RANGES_MAX).map(|i| format!("{}-{}", i * 2, i * 2)).collect();
        let all = |n: usize| select(format!("bytes={}", specs[..n].join(",")).as_bytes(), 1000);
        assert!(matches!(all(RANGES_MAX), Selection::Ranges(r) if r.len() == RANGES_MAX));
        assert_eq!(all(RANGES_MAX + 1), Selection::Whole);
    }

    /// Marks byte by byte what each element selects, and judges by the marks alone.
    fn naive(specs: &[(Option<u64>, Option<u64>)], size: u64) -> Selection {
        let mut out = Vec::new();
        let mut marks = vec![0; usize::try_from(size).unwrap()];
        for (first, last) in specs {
            if matches!((first, last), (Some(f), Some(l)) if l < f) {
                return Selection::Whole;
            }
            let picked: Vec<u64> = (0..size)
                .filter(|at| match (first, last) {
                    (Some(first), last) => at >= first && last.is_none_or(|last| *at <= last),
                    (None, length) => size - at <= length.unwrap(),
                })
                .collect();
            if size == 0 && first.is_none() && *last > Some(0) {
                return Selection::Whole;
            }
            for at in &picked {
                marks[usize::try_from(*at).unwrap()] += 1;
            }
            if let (Some(first), Some(last)) = (picked.first(), picked.last()) {
                out.push(ByteRange {
                    first: *first,
                    last: *last,
                });
            }
        }
        match out.is_empty() {
            _ if marks.iter().any(|m| *m > 1) => Selection::Whole,
            true => Selection::Unsatisfiable,
            false => Selection::Ranges(out),
        }
    }

    proptest! {
        #[test]
        fn it_selects_what_a_byte_by_byte_reading_selects(
            specs in proptest::collection::vec(
                prop_oneof![
                    (0u64..40, 0u64..40).prop_map(|(a, b)| (Some(a), Some(b))),
                    (0u64..40, 0u64..6).prop_map(|(a, b)| (Some(a), Some(a + b))),
                    (0u64..40).prop_map(|a| (Some(a), None)),
                    (0u64..40).prop_map(|n| (None, Some(n))),
                ],
                1..6,
            ),
            size in 0u64..40,
        ) {
            let text = |n: &Option<u64>| n.map(|n| n.to_string()).unwrap_or_default();
            let joined: Vec<_> = specs.iter().map(|(a, b)| format!("{}-{}", text(a), text(b))).collect();
            let value = format!("bytes={}", joined.join(" ,\t"));
            // An invalid element spoils the set wherever it stands; the model must see it before an empty suffix.
            let invalid = specs.iter().any(|s| matches!(s, (Some(f), Some(l)) if l < f));
            let expected = if invalid { Selection::Whole } else { naive(&specs, size) };
            prop_assert_eq!(select(value.as_bytes(), size), expected);
        }

        #[test]
        fn whatever_comes_the_stretches_lie_inside(value in "bytes=[0-9,\\-]{0,60}", size in any::<u64>()) {
            if let Selection::Ranges(ranges) = select(value.as_bytes(), size) {
                prop_assert!(ranges.iter().all(|r| r.first <= r.last && r.last < size));
                prop_assert!(ranges.iter().map(|r| u128::from(r.length())).sum::<u128>() <= u128::from(size));
            }
        }
    }
}
