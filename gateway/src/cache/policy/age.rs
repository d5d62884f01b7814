//! How old an answer is when it comes (RFC 9111 §4.2.3).

use std::time::Duration;

use super::directive::Delta;
use crate::kit::clock::Now;
use crate::kit::http_date;
use crate::wire::{Fields, Name};

/// When the origin was asked and when the head of its answer was there.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Before the first byte of the request was sent.
    pub asked_at: Now,
    /// When the head was complete.
    pub received_at: Now,
}

/// What is known of an answer's age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Age {
    /// `corrected_initial_age`
    pub at_receipt: Duration,
    /// When it was made, in seconds since the epoch: its Date, or else when it was received.
    pub date_secs: u64,
    /// False where the Age field cannot be read. §5.1: "a cache SHOULD consider the response to be stale".
    pub is_known: bool,
}

impl Age {
    /// Calculates it. A date in the future, or a clock that was set back in between, makes no age negative.
    pub fn of(fields: &Fields, times: Times) -> Self {
        let received_secs = times.received_at.wall.as_secs();
        let date_secs = date(fields).unwrap_or(received_secs);
        // "apparent_age = max(0, response_time - date_value)", in whole seconds as the date is.
        let apparent = Duration::from_secs(received_secs.saturating_sub(date_secs));
        // "corrected_age_value = age_value + response_delay", the delay taken from the clock that never jumps.
        let delay = times.received_at.mono.since(times.asked_at.mono);
        let value = age_value(fields);
        let corrected = value.or_zero().saturating_add(delay);
        Self {
            at_receipt: apparent.max(corrected),
            date_secs,
            is_known: value != Delta::Invalid,
        }
    }
}

/// §5.1: "a cache encountering a message with multiple Age field lines SHOULD use the first field line". A list on one
/// line is invalid.
fn age_value(fields: &Fields) -> Delta {
    fields.first(Name::Age).map_or(Delta::Absent, Delta::parse)
}

/// The Date that is there exactly once and is one.
pub fn date(fields: &Fields) -> Option<u64> {
    single_date(fields, Name::Date)
}

/// A date that is there exactly once and is one: of two that differ neither can be believed.
pub fn single_date(fields: &Fields, name: Name) -> Option<u64> {
    let mut lines = fields.values(name);
    let first = lines.next()?;
    lines.next().is_none().then(|| http_date::parse(first))?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::clock::Mono;

    const NOON: u64 = 1_700_000_000;

    fn now(secs: u64, mono_ms: u64) -> Now {
        Now {
            mono: Mono(mono_ms * 1_000_000),
            wall: Duration::from_millis(secs * 1000 + 900),
        }
    }

    fn age(lines: &[(&str, String)], delay_ms: u64) -> Age {
        let mut fields = Fields::default();
        for (name, value) in lines {
            fields.push(name.as_bytes(), value.as_bytes());
        }
        let times = Times {
            asked_at: now(NOON - 500, 1000),
            received_at: now(NOON, 1000 + delay_ms),
        };
        Age::of(&fields, times)
    }

    fn at(secs: u64) -> (&'static str, String) {
        ("Date", http_date::format(secs))
    }

    fn aged(value: &str) -> (&'static str, String) {
        ("Age", value.to_owned())
    }

    #[test]
    fn the_greater_of_both_ways_to_tell_the_age_counts() {
        let ms = |lines: &[_], delay| age(lines, delay).at_receipt.as_millis();
        assert_eq!(ms(&[], 0), 0);
        assert_eq!(ms(&[at(NOON)], 1500), 1500);
        assert_eq!(ms(&[at(NOON - 10)], 1500), 10_000);
        assert_eq!(ms(&[at(NOON - 10), aged("20")], 1500), 21_500);
        assert_eq!(ms(&[at(NOON - 100), aged("20")], 1500), 100_000);
        assert_eq!(ms(&[at(NOON + 1000)], 0), 0);
    }

    #[test]
    fn the_first_age_line_counts_and_what_is_no_number_makes_it_unknown() {
        assert_eq!(age(&[aged("5"), aged("500")], 0).at_receipt.as_secs(), 5);
        for bad in ["5, 500", "-5", "", "1.5", "\"5\"", "five"] {
            assert!(!age(&[aged(bad)], 0).is_known, "{bad}");
        }
        let huge = age(&[aged("99999999999999999999")], 0);
        assert!(huge.is_known && huge.at_receipt.as_secs() == 1 << 31);
    }

    #[test]
    fn a_date_that_is_none_or_two_is_the_time_of_receipt() {
        for lines in [
            vec![("Date", "yesterday".to_owned())],
            vec![at(NOON - 9), at(NOON - 5)],
            Vec::new(),
        ] {
            assert_eq!(
                age(&lines, 0),
                Age {
                    at_receipt: Duration::ZERO,
                    date_secs: NOON,
                    is_known: true
                }
            );
        }
    }
}
