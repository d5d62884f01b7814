//! Passive ejection: a server that fails real requests in a row is left alone for a while, and is then let back in by
//! a few requests that have to succeed first. It is a circuit breaker per server.

use std::time::Duration;

use super::circuit::{Breaker, Epoch};
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
    /// It answered, and broke the answer off.
    BrokeOff,
    /// An answer came to its end.
    Ended,
}

/// A server's record: the state machine of its circuit breaker.
///
/// ```text
///            consecutive_failures in a row
///   closed ───────────────────────────────► open ── ejection_time ──► half-open
///      ▲                                      ▲                        │     │
///      │                                      └──── a failure ─────────┘     │
///      └────────────────────────────── a success ────────────────────────────┘
/// ```
///
/// Only requests that began after the last opening are heard: what one from before it says is about a server that was.
/// A success while it is still open (it was used although it is ejected, for want of anybody else) closes it too;
/// a failure then tells nothing new.
///
/// Answers that break off are counted apart, as many in a row eject just so: each of them has begun like a success, so that
/// the other count would never get beyond one. What ends that row is an answer that comes to its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Failures since the last answer.
    streak: u32,
    /// Answers that broke off since the last one that came to its end.
    breaks: u32,
    /// Ejections not yet forgiven.
    ejections: u32,
    /// Openings ever.
    epoch: Epoch,
    /// Open until `ejected_until`, half-open from then on.
    is_tripped: bool,
    ejected_until: Mono,
    /// When it was closed last: good behaviour counts from there.
    closed_at: Mono,
}

/// What an outcome has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shift {
    /// It was taken out.
    Opened(Ejection),
    /// It is back in full service.
    Closed,
}

/// A server was taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ejection {
    /// When the first requests may go there again.
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

    /// Answers that broke off since the last one that came to its end, or since the last ejection.
    pub fn breaks(&self) -> u32 {
        self.breaks
    }

    /// The last opening.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// How the circuit stands.
    pub fn breaker(&self, now: Mono) -> Breaker {
        match self.is_tripped {
            false => Breaker::Closed,
            true if now < self.ejected_until => Breaker::Open,
            true => Breaker::HalfOpen,
        }
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

/// Takes the outcome of a request that began in `epoch` into the record; `may_eject` is asked only when the record
/// calls for an ejection.
///
/// Refused while it is closed, the streak stands, and the next failure asks again. Refused while it is half-open, it
/// stays so.
pub fn step(
    record: &mut Record,
    outcome: Outcome,
    epoch: Epoch,
    policy: &OutlierDetection,
    may_eject: impl FnOnce() -> bool,
    now: Mono,
) -> Option<Shift> {
    if epoch != record.epoch {
        return None;
    }
    match (outcome, record.breaker(now)) {
        (Outcome::Answered, Breaker::Closed) => {
            record.streak = 0;
            None
        }
        (Outcome::Answered, Breaker::Open | Breaker::HalfOpen) => {
            record.is_tripped = false;
            record.closed_at = now;
            Some(Shift::Closed)
        }
        (Outcome::Ended, _) => {
            record.breaks = 0;
            None
        }
        (Outcome::Failed | Outcome::BrokeOff, Breaker::Closed) => {
            let row = if outcome == Outcome::BrokeOff {
                &mut record.breaks
            } else {
                &mut record.streak
            };
            *row = row.saturating_add(1);
            let is_due = policy.consecutive_failures > 0 && *row >= policy.consecutive_failures;
            (is_due && may_eject()).then(|| {
                record.ejections = forgiven(record, policy, now);
                eject(record, policy, now)
            })
        }
        (Outcome::Failed | Outcome::BrokeOff, Breaker::HalfOpen) => {
            // Zero failures means never, also for who inherits a circuit that another policy has opened.
            (policy.consecutive_failures > 0 && may_eject()).then(|| eject(record, policy, now))
        }
        (Outcome::Failed | Outcome::BrokeOff, Breaker::Open) => None,
    }
}

fn eject(record: &mut Record, policy: &OutlierDetection, now: Mono) -> Shift {
    record.ejections = record.ejections.saturating_add(1);
    record.epoch = record.epoch.next();
    record.is_tripped = true;
    (record.streak, record.breaks) = (0, 0);
    let time = ejection_time(policy, record.ejections);
    record.ejected_until = now.plus(time);
    Shift::Opened(Ejection {
        until: record.ejected_until,
        time,
        nth: record.ejections,
    })
}

/// The ejections that are still held against it: each is forgiven by as long a time in full service as it took.
fn forgiven(record: &Record, policy: &OutlierDetection, now: Mono) -> u32 {
    let mut behaved = now.since(record.closed_at);
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
mod tests;
