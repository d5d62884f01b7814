//! Trouble on purpose: late answers and errors, for trying out what stands in front of this service.

use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use fastrand::Rng;

use crate::flags::duration;

/// How much trouble, as in `latency=10ms..50ms,error=0.01`.
#[derive(Clone, Debug, PartialEq)]
pub struct Chaos {
    latency: RangeInclusive<Duration>,
    /// The share of requests that fail, from 0 to 1.
    error: f64,
}

/// What happens to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blow {
    /// It is begun that much later.
    pub latency: Duration,
    /// It is refused.
    pub fails: bool,
}

impl Blow {
    /// Nothing happens.
    pub const NONE: Blow = Blow {
        latency: Duration::ZERO,
        fails: false,
    };
}

/// An experiment that waits longer than any client is a mistyped unit.
const LATENCY_MAX: Duration = Duration::from_secs(60);

impl Chaos {
    /// Draws the fate of a request.
    pub fn strike(&self, rng: &mut Rng) -> Blow {
        let micros = |latency: &Duration| latency.as_micros() as u64;
        let latency = rng.u64(micros(self.latency.start())..=micros(self.latency.end()));
        Blow {
            latency: Duration::from_micros(latency),
            fails: rng.f64() < self.error,
        }
    }
}

impl FromStr for Chaos {
    type Err = String;

    fn from_str(text: &str) -> Result<Chaos, String> {
        let mut chaos = Chaos {
            latency: Duration::ZERO..=Duration::ZERO,
            error: 0.0,
        };
        for part in text.split(',') {
            match part.split_once('=') {
                Some(("latency", range)) => chaos.latency = latency(range)?,
                Some(("error", share)) => chaos.error = share_of_one(share)?,
                _ => {
                    return Err(format!(
                        "{part:?} is neither latency=20ms, latency=10ms..50ms nor error=0.01"
                    ));
                }
            }
        }
        Ok(chaos)
    }
}

fn latency(text: &str) -> Result<RangeInclusive<Duration>, String> {
    let (from, to) = text.split_once("..").unwrap_or((text, text));
    let range = duration(from)?..=duration(to)?;
    if range.is_empty() {
        return Err(format!("latency {text} ends before it starts"));
    }
    if *range.end() > LATENCY_MAX {
        return Err(format!("latency {text} is more than {}s", LATENCY_MAX.as_secs()));
    }
    Ok(range)
}

fn share_of_one(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| format!("error={text} is not a share from 0 to 1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_stays_within_what_was_asked_for() {
        let chaos: Chaos = "latency=10ms..50ms,error=0.25".parse().unwrap();
        let mut rng = Rng::with_seed(7);
        let blows: Vec<Blow> = (0..4_000).map(|_| chaos.strike(&mut rng)).collect();
        assert!(
            blows
                .iter()
                .all(|blow| (10..=50).contains(&blow.latency.as_millis()))
        );
        let fails = blows.iter().filter(|blow| blow.fails).count();
        assert!((800..1_200).contains(&fails), "{fails} of 4000");
    }

    #[test]
    fn none_and_all_are_exact() {
        let mut rng = Rng::with_seed(7);
        let calm: Chaos = "latency=20ms".parse().unwrap();
        let storm: Chaos = "error=1".parse().unwrap();
        for _ in 0..1_000 {
            assert_eq!(
                calm.strike(&mut rng),
                Blow {
                    latency: Duration::from_millis(20),
                    fails: false
                }
            );
            assert_eq!(
                storm.strike(&mut rng),
                Blow {
                    latency: Duration::ZERO,
                    fails: true
                }
            );
        }
    }

    #[test]
    fn a_mistyped_experiment_is_refused() {
        for text in [
            "",
            "latency",
            "latency=20",
            "latency=50ms..10ms",
            "latency=2h",
            "error=2",
            "error=NaN",
            "drop=1",
        ] {
            assert!(text.parse::<Chaos>().is_err(), "{text:?}");
        }
    }
}
