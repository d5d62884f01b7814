//! Passive ejection: a server that fails real requests in a row is left alone for a while.

use std::time::Duration;

use crate::config::plan::OutlierDetection;
use crate::kit::clock::Mono;

/// How a try went wrong.
///
/// Not on the list, and therefore nobody's failure: a client that went away, a refusal of our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No connection came about.
    Connect,
    /// It did not answer in time.
    Timeout,
    /// The connection broke before the answer was whole.
    Reset,
    /// The answer was not HTTP, or ambiguous.
    InvalidResponse,
    /// It answered, with a status that is tried again elsewhere.
    Status(u16),
}

/// What a server's record is kept on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It answered like a server that is alive.
    Answered,
    /// It failed in a way that counts.
    Failed,
}

/// A server's record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Failures since the last answer.
    streak: u32,
    /// Ejections not yet forgiven.
    ejections: u32,
    ejected_until: Mono,
}

/// A server was taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ejection {
    /// When it comes back.
    pub until: Mono,
    /// For how long.
    pub time: Duration,
    /// Which in a row this is, from 1; good behaviour as long as an ejection takes one back.
    pub nth: u32,
}

/// Longest ejection, unless the configured first one is longer already.
pub const EJECTION_TIME_MAX: Duration = Duration::from_secs(300);

impl Record {
    /// Failures since the last answer or ejection.
    pub fn streak(&self) -> u32 {
        self.streak
    }
}

impl Failure {
    /// Whether it speaks against the server.
    ///
    /// Transport failures do, and what proxies in front of a dead or overloaded application answer: 502, 503, 504. A 500
    /// is an application's answer to one request; taking the server out for it would let one bad URL empty the pool.
    pub fn outcome(self) -> Outcome {
        match self {
            Self::Connect | Self::Timeout | Self::Reset | Self::InvalidResponse => Outcome::Failed,
            Self::Status(502..=504) => Outcome::Failed,
            Self::Status(_) => Outcome::Answered,
        }
    }

    /// The reason's label in metrics and logs. Statuses are kept few: only those that may be retried come here.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect_failure",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::InvalidResponse => "invalid_response",
            Self::Status(500) => "500",
            Self::Status(502) => "502",
            Self::Status(503) => "503",
            Self::Status(504) => "504",
            Self::Status(_) => "status",
        }
    }
}

/// Takes one outcome into the record; `may_eject` is asked only when the record calls for an ejection.
///
/// Refused, the streak stands, and the next failure asks again.
pub fn step(
    record: &mut Record,
    outcome: Outcome,
    policy: &OutlierDetection,
    may_eject: impl FnOnce() -> bool,
    now: Mono,
) -> Option<Ejection> {
    match outcome {
        Outcome::Answered => {
            record.streak = 0;
            None
        }
        // Stragglers sent before the ejection, or a pool with nobody left: it is out already.
        Outcome::Failed if now < record.ejected_until => None,
        Outcome::Failed => {
            record.streak = record.streak.saturating_add(1);
            let due = policy.consecutive_failures > 0 && record.streak >= policy.consecutive_failures;
            (due && may_eject()).then(|| eject(record, policy, now))
        }
    }
}

fn eject(record: &mut Record, policy: &OutlierDetection, now: Mono) -> Ejection {
    record.ejections = forgiven(record, policy, now).saturating_add(1);
    let time = ejection_time(policy, record.ejections);
    record.ejected_until = now.plus(time);
    record.streak = 0;
    Ejection {
        until: record.ejected_until,
        time,
        nth: record.ejections,
    }
}

/// The ejections that are still held against it: each is forgiven by as long a time in service as it took.
fn forgiven(record: &Record, policy: &OutlierDetection, now: Mono) -> u32 {
    let mut behaved = now.since(record.ejected_until);
    let mut left = record.ejections;
    while left > 0 {
        let Some(rest) = behaved.checked_sub(ejection_time(policy, left)) else {
            break;
        };
        behaved = rest;
        left -= 1;
    }
    left
}

/// The nth ejection's time: the first as configured, each further one twice as long.
fn ejection_time(policy: &OutlierDetection, nth: u32) -> Duration {
    let doubled = 2u32
        .checked_pow(nth.saturating_sub(1))
        .and_then(|factor| policy.ejection_time.checked_mul(factor))
        .unwrap_or(Duration::MAX);
    doubled.min(EJECTION_TIME_MAX.max(policy.ejection_time))
}

/// How many of an upstream's servers may be out at once: the percentage, but one of two, and never all.
pub fn ejections_max(servers: usize, percent: u32) -> usize {
    let share = u64::try_from(servers)
        .unwrap_or(u64::MAX)
        .saturating_mul(percent.min(100).into())
        / 100;
    usize::try_from(share)
        .unwrap_or(servers)
        .max(1)
        .min(servers.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const POLICY: OutlierDetection = OutlierDetection {
        consecutive_failures: 3,
        ejection_time: Duration::from_secs(30),
        max_ejection_percent: 50,
        half_open_requests: std::num::NonZeroU32::MIN,
    };

    fn at(secs: u64) -> Mono {
        Mono::default().plus(Duration::from_secs(secs))
    }

    fn fail(record: &mut Record, secs: u64) -> Option<Ejection> {
        step(record, Outcome::Failed, &POLICY, || true, at(secs))
    }

    /// Fails until it is out; returns for how many seconds.
    fn fall(record: &mut Record, secs: u64) -> u64 {
        (0..3).find_map(|_| fail(record, secs)).unwrap().time.as_secs()
    }

    #[test]
    fn only_failures_in_a_row_eject() {
        let mut record = Record::default();
        for _ in 0..10 {
            assert_eq!((fail(&mut record, 1), fail(&mut record, 1)), (None, None));
            step(&mut record, Outcome::Answered, &POLICY, || true, at(1));
        }
        assert_eq!(fall(&mut record, 2), 30);
    }

    #[test]
    fn a_repeat_offender_is_out_twice_as_long_up_to_five_minutes() {
        let mut record = Record::default();
        let mut now = 1;
        let times: Vec<u64> = (0..6)
            .map(|_| {
                let time = fall(&mut record, now);
                now += time;
                time
            })
            .collect();
        assert_eq!(times, [30, 60, 120, 240, 300, 300]);
    }

    #[test]
    fn good_behaviour_as_long_as_an_ejection_takes_it_back() {
        let mut record = Record::default();
        assert_eq!(fall(&mut record, 0), 30);
        assert_eq!(fall(&mut record, 30), 60);
        assert_eq!(fall(&mut record.clone(), 90 + 59), 120, "not long enough");
        assert_eq!(fall(&mut record.clone(), 90 + 60), 60, "the second is forgiven");
        assert_eq!(fall(&mut record.clone(), 90 + 60 + 30), 30, "and the first");
    }

    #[test]
    fn failures_of_stragglers_do_not_extend_an_ejection() {
        let mut record = Record::default();
        fall(&mut record, 0);
        assert!((0..10).all(|_| fail(&mut record, 29).is_none()));
        assert_eq!(fail(&mut record, 30), None, "back with a clean streak");
        assert_eq!(fail(&mut record, 30), None);
    }

    #[test]
    fn a_refused_ejection_is_asked_for_again_at_the_next_failure() {
        let mut record = Record::default();
        for _ in 0..5 {
            assert_eq!(step(&mut record, Outcome::Failed, &POLICY, || false, at(1)), None);
        }
        assert!(fail(&mut record, 1).is_some());
    }

    #[test]
    fn zero_consecutive_failures_means_never() {
        let never = OutlierDetection {
            consecutive_failures: 0,
            ..POLICY
        };
        let mut record = Record::default();
        assert!((0..100).all(|_| step(&mut record, Outcome::Failed, &never, || true, at(1)).is_none()));
    }

    #[test]
    fn an_applications_500_is_an_answer() {
        assert_eq!(Failure::Status(500).outcome(), Outcome::Answered);
        assert_eq!(Failure::Status(503).outcome(), Outcome::Failed);
        assert_eq!(Failure::Connect.outcome(), Outcome::Failed);
    }

    #[test]
    fn the_share_is_held_but_one_of_two_may_go_and_the_last_never() {
        let cases = [
            (0, 50, 0),
            (1, 100, 0),
            (2, 0, 1),
            (2, 100, 1),
            (3, 50, 1),
            (4, 50, 2),
            (10, 50, 5),
            (10, 100, 9),
        ];
        for (servers, percent, max) in cases {
            assert_eq!(ejections_max(servers, percent), max, "{servers} at {percent}%");
        }
    }

    proptest! {
        #[test]
        fn no_ejection_is_longer_than_the_limit_or_shorter_than_the_first(
            failures in proptest::collection::vec((any::<bool>(), 0u64..100), 1..300),
        ) {
            let (mut record, mut now) = (Record::default(), 0);
            for (failed, pause) in failures {
                now += pause;
                let outcome = if failed { Outcome::Failed } else { Outcome::Answered };
                if let Some(ejection) = step(&mut record, outcome, &POLICY, || true, at(now)) {
                    prop_assert!((POLICY.ejection_time..=EJECTION_TIME_MAX).contains(&ejection.time));
                    prop_assert_eq!(ejection.until, at(now).plus(ejection.time));
                }
            }
        }
    }
}
