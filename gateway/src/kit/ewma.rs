//! Peak-sensitive average of a latency: it follows a rise at once and forgets it by halves.
//!
//! Kept as one `u64`, so that a cell updates it with one compare-and-exchange and a reader never sees half of it.

use std::time::Duration;

use super::clock::Mono;

/// An average and the moment of its last sample: microseconds in the upper half, milliseconds in the lower.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeakEwma(pub u64);

/// Time in which an old peak loses half its height, as a power of two so that ageing is a shift: 8.2 s.
///
/// Long against one slow answer, short against an operator's patience.
const HALF_LIFE_LOG2_MS: u32 = 13;

/// Largest latency kept, in microseconds: 67 s. What is slower is no worse; and products of a load comparison
/// keep room in 64 bits.
pub const LATENCY_US_MAX: u32 = 1 << 26;

impl PeakEwma {
    /// The average after one more sample.
    pub fn observed(self, sample: Duration, now: Mono) -> Self {
        let sample_us = u32::try_from(sample.as_micros())
            .unwrap_or(u32::MAX)
            .clamp(1, LATENCY_US_MAX);
        let (held_us, _) = self.parts();
        let aged_us = self.latency_us(now);
        // Below the peak the sample pulls by as much as the average has aged since the last one: many samples in a
        // moment weigh no more than one, so a burst of quick answers does not wipe out a slow server's record.
        let gone_us = held_us.saturating_sub(aged_us);
        let next_us = if sample_us >= aged_us {
            sample_us
        } else if gone_us == 0 {
            // Too little time for a whole microsecond: it must add up, so the old sample's time stays.
            return self;
        } else {
            let pull = u64::from(gone_us) * u64::from(sample_us) / u64::from(held_us.max(1));
            aged_us + u32::try_from(pull).unwrap_or(0)
        };
        Self(u64::from(next_us) << 32 | u64::from(millis(now)))
    }

    /// The average aged to this moment, in microseconds; 0 = never measured, or so long ago that it says nothing.
    pub fn latency_us(self, now: Mono) -> u32 {
        let (held_us, at_ms) = self.parts();
        let age_ms = match millis(now).wrapping_sub(at_ms) {
            // Another thread's clock reading may be the older one: no time has passed, not 49 days.
            age if age > u32::MAX / 2 => 0,
            age => age,
        };
        let halvings = age_ms >> HALF_LIFE_LOG2_MS;
        let halved = held_us.checked_shr(halvings).unwrap_or(0);
        // Between two halvings a straight line stands in for the exponential: within 6%, and no floating point.
        let rest = u64::from(age_ms & ((1 << HALF_LIFE_LOG2_MS) - 1));
        let slope = (u64::from(halved) * rest) >> (HALF_LIFE_LOG2_MS + 1);
        halved - u32::try_from(slope).unwrap_or(halved)
    }

    fn parts(self) -> (u32, u32) {
        let high = u32::try_from(self.0 >> 32).unwrap_or(u32::MAX);
        let low = u32::try_from(self.0 & u64::from(u32::MAX)).unwrap_or(u32::MAX);
        (high, low)
    }
}

/// Milliseconds on a clock that wraps after 49 days.
fn millis(now: Mono) -> u32 {
    const WRAP: u64 = 1 << 32;
    u32::try_from(now.0 / 1_000_000 % WRAP).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Mono {
        Mono(ms * 1_000_000)
    }

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn a_rise_is_taken_over_at_once_and_forgotten_by_halves() {
        let average = PeakEwma::default()
            .observed(ms(10), at(0))
            .observed(ms(80), at(1));
        assert_eq!(average.latency_us(at(1)), 80_000);
        assert_eq!(average.latency_us(at(1 + 8_192)), 40_000);
        assert_eq!(average.latency_us(at(1 + 3 * 8_192)), 10_000);
        assert_eq!(average.latency_us(at(1_000_000)), 0, "old news is no news");
    }

    #[test]
    fn ageing_never_rises_between_two_halvings() {
        let average = PeakEwma::default().observed(ms(1_000), at(0));
        let aged: Vec<u32> = (0..40_000)
            .step_by(7)
            .map(|t| average.latency_us(at(t)))
            .collect();
        assert!(aged.windows(2).all(|w| w[1] <= w[0]));
    }

    #[test]
    fn a_burst_of_quick_answers_does_not_wipe_out_a_peak() {
        let mut average = PeakEwma::default().observed(ms(500), at(0));
        for _ in 0..1_000 {
            average = average.observed(ms(1), at(10));
        }
        assert!(average.latency_us(at(10)) > 400_000);
        for t in (0..60_000).step_by(50) {
            average = average.observed(ms(1), at(t));
        }
        assert!(
            average.latency_us(at(60_000)) < 20_000,
            "in a minute it has come down"
        );
    }

    #[test]
    fn a_peak_fades_under_samples_that_come_faster_than_it_ages() {
        let mut average = PeakEwma::default().observed(ms(10), at(0));
        for t in 0..60_000 {
            average = average.observed(ms(1), at(t));
        }
        assert!(average.latency_us(at(60_000)) < 1_200);
    }

    #[test]
    fn a_reading_from_a_slower_clock_does_not_age_it() {
        let average = PeakEwma::default().observed(ms(5), at(100));
        assert_eq!(average.latency_us(at(99)), 5_000);
    }
}
