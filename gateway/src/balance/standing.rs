//! Whether a server serves, and with how much of its weight: pure functions of what its cells say.

use std::time::Duration;

use crate::kit::clock::Mono;
use crate::upstream::Order;

/// Whether a server serves. The words are those of `/status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// `down = true`; no order or probe changes that.
    Off,
    /// Its probes fail, or the operator took it down.
    Down,
    /// It failed real requests.
    Ejected,
    /// Only clients that are bound to it.
    Drain,
    /// It serves.
    Up,
}

/// What a standing follows from.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// `down = true`
    pub off: bool,
    /// The operator's.
    pub order: Order,
    /// The probes' verdict; true without probes.
    pub healthy: bool,
    /// By passive detection, at this moment.
    pub ejected: bool,
}

impl Standing {
    /// The worst that is true.
    pub fn of(facts: Facts) -> Self {
        match facts {
            Facts { off: true, .. } => Self::Off,
            Facts {
                order: Order::Down, ..
            }
            | Facts { healthy: false, .. } => Self::Down,
            Facts { ejected: true, .. } => Self::Ejected,
            Facts {
                order: Order::Drain, ..
            } => Self::Drain,
            Facts { order: Order::Up, .. } => Self::Up,
        }
    }

    /// The word of `/status`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Down => "down",
            Self::Ejected => "ejected",
            Self::Drain => "drain",
            Self::Up => "up",
        }
    }
}

/// Heaviest weight that is told apart; heavier ones count as this. Keeps products of load and weight within 64 bits.
pub const WEIGHT_MAX: u32 = 1 << 20;

/// Steps of a slow start; an effective weight is the weight × the steps done, so that it stays an integer.
pub const STEPS: u32 = 256;

/// The steps of its weight that a server has climbed, from 1 to [`STEPS`], and when the next one is due.
///
/// A ramp whose beginning lies ahead (an ejection that has not ended) stands on its first step.
pub fn climbed(since: Option<Mono>, slow_start: Duration, now: Mono) -> (u32, Option<Mono>) {
    let Some(since) = since else { return (STEPS, None) };
    let elapsed = now.since(since);
    if elapsed >= slow_start {
        return (STEPS, None);
    }
    let (steps, ramp_ns) = (u128::from(STEPS), slow_start.as_nanos());
    let done = elapsed.as_nanos() * steps / ramp_ns;
    // Rounded up: at the time it names the step has been climbed.
    let next_ns = (ramp_ns * (done + 1)).div_ceil(steps);
    let next = since.plus(Duration::from_nanos(u64::try_from(next_ns).unwrap_or(u64::MAX)));
    (u32::try_from(done).unwrap_or(STEPS).max(1), Some(next))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_worst_that_is_true_is_what_a_server_is() {
        let facts = Facts {
            off: false,
            order: Order::Up,
            healthy: true,
            ejected: false,
        };
        let cases = [
            (facts, "up"),
            (
                Facts {
                    order: Order::Drain,
                    ..facts
                },
                "drain",
            ),
            (
                Facts {
                    order: Order::Drain,
                    ejected: true,
                    ..facts
                },
                "ejected",
            ),
            (
                Facts {
                    healthy: false,
                    ejected: true,
                    ..facts
                },
                "down",
            ),
            (
                Facts {
                    order: Order::Down,
                    ..facts
                },
                "down",
            ),
            (
                Facts {
                    off: true,
                    order: Order::Down,
                    ..facts
                },
                "off",
            ),
        ];
        for (facts, word) in cases {
            assert_eq!(Standing::of(facts).name(), word, "{facts:?}");
        }
    }

    #[test]
    fn without_a_beginning_or_a_ramp_all_of_the_weight_counts() {
        assert_eq!(climbed(None, Duration::from_secs(30), Mono(5)), (STEPS, None));
        assert_eq!(climbed(Some(Mono(5)), Duration::ZERO, Mono(5)), (STEPS, None));
    }

    proptest! {
        #[test]
        fn a_slow_start_climbs_step_by_step_from_the_first_to_the_last(
            begin in 0u64..u64::MAX / 2,
            slow_start_ms in 1u64..600_000,
        ) {
            let slow_start = Duration::from_millis(slow_start_ms);
            let (mut now, mut last, mut visits) = (Mono(begin), 0, 0);
            loop {
                let (steps, next) = climbed(Some(Mono(begin)), slow_start, now);
                prop_assert!(steps >= 1 && steps >= last);
                (last, visits) = (steps, visits + 1);
                let Some(next) = next else { break };
                prop_assert!(next > now, "the next step lies ahead");
                now = next;
            }
            prop_assert_eq!(last, STEPS);
            prop_assert_eq!(now.since(Mono(begin)), slow_start);
            prop_assert!(visits <= STEPS as usize + 1);
        }
    }
}
