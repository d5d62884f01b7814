//! How long the link waits before it tries again.

use std::time::Duration;

/// Before the first try after a connection was lost.
const BACKOFF_MIN: Duration = Duration::from_millis(100);
/// Between two tries, at most: Redis is missed no longer than this after it is back.
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// Without questions, before the first probe of a Redis that was slow. Most stalls (a fork, a long command) are over.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The same for one that is slow again and again: each time costs [`LATE_MAX`](super::gauge::LATE_MAX) requests their
/// deadline.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// The pause before a try, after so many in a row that have failed. `random` is in 0..1: gateways that have lost Redis in
/// the same moment do not come back in the same moment.
pub fn backoff(failures: u32, random: f64) -> Duration {
    doubled(BACKOFF_MIN, failures, BACKOFF_MAX).mul_f64(0.5 + random / 2.0)
}

/// The pause before a probe, after so many times of being slow in a row.
pub fn pause(slow: u32) -> Duration {
    doubled(PAUSE_MIN, slow, PAUSE_MAX)
}

fn doubled(first: Duration, times: u32, max: Duration) -> Duration {
    first
        .saturating_mul(1u32.checked_shl(times).unwrap_or(u32::MAX))
        .min(max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_backoff_grows_up_to_its_limit_and_is_spread_over_its_upper_half(failures in 0u32..100, random in 0.0..1.0f64) {
            // A naive model: doubled one by one.
            let mut full = BACKOFF_MIN;
            for _ in 0..failures {
                full = (full * 2).min(BACKOFF_MAX);
            }
            let waits = backoff(failures, random);
            prop_assert!(waits >= full / 2 && waits <= full, "{waits:?} of {full:?}");
            prop_assert!(backoff(failures, 0.9) > backoff(failures, 0.1));
        }

        #[test]
        fn a_pause_never_shrinks_and_never_exceeds_its_limit(slow in 0u32..100) {
            prop_assert!(pause(slow) <= pause(slow + 1));
            prop_assert!((PAUSE_MIN..=PAUSE_MAX).contains(&pause(slow)));
        }
    }

    #[test]
    fn pauses_double() {
        assert_eq!(pause(0), PAUSE_MIN);
        assert_eq!(pause(1), 2 * PAUSE_MIN);
        assert_eq!(pause(100), PAUSE_MAX);
    }
}
