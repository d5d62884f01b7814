//! Whether Redis is asked, and what was counted: written by workers and the link's task, without a lock.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use crate::guard::shared::{Answer, SharedFault};

/// Late answers in a row, of all workers together, after which nobody is asked for a while. One alone may be a hiccup of
/// the network, and each costs a request its whole deadline.
pub const LATE_MAX: u32 = 5;

/// Whether Redis is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// There is no connection that has proved good.
    Down,
    /// Answers were late; until one comes in time to a probe, nothing else is asked.
    Slow,
    /// It is.
    Up,
}

/// What was asked, and what came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Questions of requests, the ones that nobody was asked among them.
    pub asks: u64,
    /// Answered by an error, or by something else than was asked.
    pub errors: u64,
    /// Not answered within the deadline.
    pub timeouts: u64,
    /// Answered at once because Redis was away, or not at all because it went.
    pub unavailable: u64,
}

/// See the module.
pub struct Gauge {
    phase: AtomicU8,
    late_in_a_row: AtomicU32,
    timeout_ns: AtomicU64,
    asks: AtomicU64,
    errors: AtomicU64,
    timeouts: AtomicU64,
    unavailable: AtomicU64,
    /// Wakes the link's task when [`Phase::Slow`] was entered.
    pub slowed: Notify,
}

impl Gauge {
    /// Down.
    pub fn new(timeout: Duration) -> Self {
        let gauge = Self {
            phase: AtomicU8::new(Phase::Down as u8),
            late_in_a_row: AtomicU32::new(0),
            timeout_ns: AtomicU64::new(0),
            asks: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            timeouts: AtomicU64::new(0),
            unavailable: AtomicU64::new(0),
            slowed: Notify::new(),
        };
        gauge.set_timeout(timeout);
        gauge
    }

    /// The deadline of a question.
    pub fn timeout(&self) -> Duration {
        Duration::from_nanos(self.timeout_ns.load(Ordering::Relaxed))
    }

    /// Another deadline.
    pub fn set_timeout(&self, timeout: Duration) {
        let ns = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        self.timeout_ns.store(ns, Ordering::Relaxed);
    }

    /// Whether Redis is asked.
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            p if p == Phase::Up as u8 => Phase::Up,
            p if p == Phase::Slow as u8 => Phase::Slow,
            _ => Phase::Down,
        }
    }

    /// What the link's task has found out.
    pub fn set_phase(&self, phase: Phase) {
        self.late_in_a_row.store(0, Ordering::Relaxed);
        self.phase.store(phase as u8, Ordering::Release);
    }

    /// A request asks.
    pub fn asked(&self) {
        self.asks.fetch_add(1, Ordering::Relaxed);
    }

    /// What a request was answered.
    pub fn answered(&self, answer: &Result<Answer, SharedFault>) {
        match answer {
            Ok(_) => self.in_time(),
            Err(SharedFault::Failed | SharedFault::Garbled) => {
                self.in_time();
                self.errors.fetch_add(1, Ordering::Relaxed);
            }
            Err(SharedFault::Unavailable) => _ = self.unavailable.fetch_add(1, Ordering::Relaxed),
            Err(SharedFault::Late) => {
                self.timeouts.fetch_add(1, Ordering::Relaxed);
                self.late();
            }
        }
    }

    /// What was counted so far.
    pub fn counts(&self) -> Counts {
        Counts {
            asks: self.asks.load(Ordering::Relaxed),
            errors: self.errors.load(Ordering::Relaxed),
            timeouts: self.timeouts.load(Ordering::Relaxed),
            unavailable: self.unavailable.load(Ordering::Relaxed),
        }
    }

    fn in_time(&self) {
        // Read first: nearly always there is nothing to write, and the line stays shared between the workers.
        if self.late_in_a_row.load(Ordering::Relaxed) != 0 {
            self.late_in_a_row.store(0, Ordering::Relaxed);
        }
    }

    fn late(&self) {
        let late = self
            .late_in_a_row
            .fetch_add(1, Ordering::Relaxed)
            .saturating_add(1);
        if late < LATE_MAX {
            return;
        }
        // Only from up: a link that is down has nothing to be woken for.
        let (up, slow) = (Phase::Up as u8, Phase::Slow as u8);
        let changed = self
            .phase
            .compare_exchange(up, slow, Ordering::AcqRel, Ordering::Relaxed);
        if changed.is_ok() {
            self.slowed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IN_TIME: Result<Answer, SharedFault> = Ok(Answer::Admitted(Vec::new()));
    const LATE: Result<Answer, SharedFault> = Err(SharedFault::Late);

    fn up() -> Gauge {
        let gauge = Gauge::new(Duration::from_millis(10));
        gauge.set_phase(Phase::Up);
        gauge
    }

    fn late(gauge: &Gauge, times: u32) {
        for _ in 0..times {
            gauge.answered(&LATE);
        }
    }

    #[test]
    fn several_late_answers_in_a_row_are_slow_and_fewer_are_not() {
        let gauge = up();
        late(&gauge, LATE_MAX - 1);
        assert_eq!(gauge.phase(), Phase::Up);
        late(&gauge, 1);
        assert_eq!(gauge.phase(), Phase::Slow);
    }

    #[test]
    fn an_answer_in_time_begins_the_row_anew_even_a_bad_one() {
        for answer in [IN_TIME, Err(SharedFault::Failed), Err(SharedFault::Garbled)] {
            let gauge = up();
            late(&gauge, LATE_MAX - 1);
            gauge.answered(&answer);
            late(&gauge, LATE_MAX - 1);
            assert_eq!(gauge.phase(), Phase::Up, "{answer:?}");
        }
    }

    #[test]
    fn an_answer_that_nobody_was_asked_for_says_nothing_of_lateness() {
        let gauge = up();
        late(&gauge, LATE_MAX - 1);
        gauge.answered(&Err(SharedFault::Unavailable));
        late(&gauge, 1);
        assert_eq!(gauge.phase(), Phase::Slow);
    }

    #[test]
    fn late_answers_of_a_link_that_has_gone_down_do_not_make_it_slow() {
        let gauge = up();
        gauge.set_phase(Phase::Down);
        late(&gauge, 3 * LATE_MAX);
        assert_eq!(gauge.phase(), Phase::Down);
        // And are forgotten when it is back.
        gauge.set_phase(Phase::Up);
        late(&gauge, LATE_MAX - 1);
        assert_eq!(gauge.phase(), Phase::Up);
    }

    #[test]
    fn each_outcome_is_counted_once() {
        let gauge = up();
        let answers = [
            IN_TIME,
            Err(SharedFault::Failed),
            Err(SharedFault::Garbled),
            LATE,
            Err(SharedFault::Unavailable),
        ];
        for answer in &answers {
            gauge.asked();
            gauge.answered(answer);
        }
        let expected = Counts {
            asks: 5,
            errors: 2,
            timeouts: 1,
            unavailable: 1,
        };
        assert_eq!(gauge.counts(), expected);
    }
}
