//! How long is waited before a batch is sent once more.

use std::time::Duration;

/// Before the first further try.
const BACKOFF_MIN: Duration = Duration::from_millis(500);

/// Between two tries, at most: a collector is missed no longer than this after it is back.
const BACKOFF_MAX: Duration = Duration::from_secs(10);

/// What a collector may ask for by Retry-After. Beyond it a batch is too old to be waited for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// How long a batch is tried for. Then it makes room for those behind it, which say more about the present.
pub const RETRY_TIME_MAX: Duration = Duration::from_secs(120);

/// The pause before a further try, after so many that have failed. `random` is in 0..1: gateways that have lost their
/// collector in the same moment do not come back in the same moment.
pub fn pause(failures: u32, asked: Option<Duration>, random: f64) -> Duration {
    let doubled = BACKOFF_MIN.saturating_mul(1_u32.checked_shl(failures).unwrap_or(u32::MAX));
    let own = doubled.min(BACKOFF_MAX).mul_f64(0.5 + random / 2.0);
    own.max(asked.unwrap_or_default().min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_pause_is_as_long_as_was_asked_for_and_never_beyond_all_measure(
            failures in 0u32..100, asked_s in proptest::option::of(0u64..10_000), random in 0.0..1.0f64,
        ) {
            let asked = asked_s.map(Duration::from_secs);
            let pause = pause(failures, asked, random);
            prop_assert!(pause >= asked.unwrap_or_default().min(RETRY_AFTER_MAX));
            prop_assert!(pause >= BACKOFF_MIN / 2 && pause <= RETRY_AFTER_MAX);
            prop_assert!(asked.is_some() || pause <= BACKOFF_MAX);
        }
    }

    #[test]
    fn pauses_double_up_to_their_limit() {
        assert_eq!(pause(0, None, 1.0), BACKOFF_MIN);
        assert_eq!(pause(1, None, 1.0), 2 * BACKOFF_MIN);
        assert_eq!(pause(99, None, 1.0), BACKOFF_MAX);
    }
}
