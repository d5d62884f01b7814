//! Time as an argument: the only file that asks the operating system what time it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// One moment, on both clocks.
///
/// `mono` never jumps and is what intervals are measured on; `wall` is what people and HTTP dates read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Time since the clock was made.
    pub mono: Mono,
    /// Time since the Unix epoch.
    pub wall: Duration,
}

/// A point on the monotonic clock, in nanoseconds since the clock was made.
///
/// A plain number, so that a cell can keep one in an atomic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mono(pub u64);

impl Mono {
    /// How long after `earlier` this is; zero if it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This point moved into the future.
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(nanos(by)))
    }
}

impl Now {
    /// The wall clock in whole milliseconds since the Unix epoch.
    pub fn unix_ms(self) -> u64 {
        u64::try_from(self.wall.as_millis()).unwrap_or(u64::MAX)
    }

    /// The wall clock as the standard library's type, for HTTP dates.
    pub fn system_time(self) -> SystemTime {
        UNIX_EPOCH + self.wall
    }
}

/// Where the time comes from: the system, or a test's hand.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System {
        origin: Instant,
    },
    Manual {
        mono_ns: Arc<AtomicU64>,
        /// What the wall clock said when the other one was zero. A plain number, as it may be set.
        epoch_ns: Arc<AtomicU64>,
    },
}

impl Clock {
    /// The operating system's clocks.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the system's clock"
    )]
    pub fn system() -> Self {
        Self(Source::System {
            origin: Instant::now(),
        })
    }

    /// A clock that stands still until it is advanced. Clones share the hand.
    pub fn manual(epoch: Duration) -> Self {
        Self(Source::Manual {
            mono_ns: Arc::default(),
            epoch_ns: Arc::new(AtomicU64::new(nanos(epoch))),
        })
    }

    /// The present moment.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the system's clock"
    )]
    pub fn now(&self) -> Now {
        match &self.0 {
            Source::System { origin } => Now {
                mono: Mono(nanos(origin.elapsed())),
                wall: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
            },
            Source::Manual { mono_ns, epoch_ns } => {
                let ns = mono_ns.load(Ordering::Acquire);
                let epoch_ns = epoch_ns.load(Ordering::Acquire);
                Now {
                    mono: Mono(ns),
                    wall: Duration::from_nanos(epoch_ns.saturating_add(ns)),
                }
            }
        }
    }

    /// The present moment on the monotonic clock alone: half the price where nobody reads a date.
    pub fn mono(&self) -> Mono {
        match &self.0 {
            Source::System { origin } => Mono(nanos(origin.elapsed())),
            Source::Manual { mono_ns, .. } => Mono(mono_ns.load(Ordering::Acquire)),
        }
    }

    /// Moves a manual clock on; a system clock moves by itself and ignores this.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual { mono_ns, .. } = &self.0 {
            mono_ns.fetch_add(nanos(by), Ordering::AcqRel);
        }
    }

    /// Sets a manual clock's wall time, as people and time servers do with a machine's; what intervals are measured on
    /// does not notice. A system clock ignores it. No earlier than the manual clock has run.
    pub fn set_wall(&self, to: Duration) {
        if let Source::Manual { mono_ns, epoch_ns } = &self.0 {
            let epoch = nanos(to).saturating_sub(mono_ns.load(Ordering::Acquire));
            epoch_ns.store(epoch, Ordering::Release);
        }
    }
}

/// 584 years fit; what does not is as good as never.
fn nanos(d: Duration) -> u64 {
    u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_by_hand_and_both_hands_together() {
        let clock = Clock::manual(Duration::from_secs(1_000));
        let before = clock.now();
        let hand = clock.clone();
        hand.advance(Duration::from_secs(5));
        let after = clock.now();
        assert_eq!(after.mono.since(before.mono), Duration::from_secs(5));
        assert_eq!(after.wall - before.wall, Duration::from_secs(5));
    }

    #[test]
    fn a_wall_clock_that_is_set_moves_no_interval() {
        let clock = Clock::manual(Duration::from_secs(1_000));
        clock.advance(Duration::from_secs(5));
        let before = clock.now();
        clock.set_wall(Duration::from_secs(700));
        assert_eq!(clock.now().mono, before.mono);
        assert_eq!(clock.now().wall, Duration::from_secs(700));
        clock.advance(Duration::from_secs(1));
        assert_eq!(clock.now().wall, Duration::from_secs(701));
    }

    #[test]
    fn an_interval_that_would_be_negative_is_zero() {
        assert_eq!(Mono(1).since(Mono(2)), Duration::ZERO);
    }
}
