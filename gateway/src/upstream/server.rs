//! One server, wherever it is used: what it is doing, and what its record says.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::Changes;
use super::outlier::{self, Ejection, Failure, Outcome, Record};
use crate::config::plan::{Address, OutlierDetection};
use crate::kit::clock::Mono;
use crate::kit::ewma::PeakEwma;

/// The cell of one server; its key is the address as written.
///
/// Two upstreams that name the same address share it: its load and its failures are its own, whoever sent them.
#[derive(Debug)]
pub struct Server {
    hot: Hot,
    id: u64,
    address: Address,
    record: Mutex<Record>,
    /// End of the last ejection, copied out of the record for readers; 0 = none yet.
    ejected_until_ns: AtomicU64,
    /// When its slow start begins or began; 0 = it has been up since before we looked.
    up_since_ns: AtomicU64,
    changes: Changes,
}

/// What each request writes, in one line of memory that it shares with no other server.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Hot {
    in_flight: AtomicU32,
    /// Failures in a row, so that an answer need not lock the record of a server that has none.
    streak: AtomicU32,
    latency: AtomicU64,
    requests: AtomicU64,
    failures: AtomicU64,
}

/// A failure counts in the latency average as at least this: a server that fails fast must not look fast.
const FAILURE_LATENCY_MIN: Duration = Duration::from_secs(1);

impl Server {
    /// A server nobody has spoken to.
    ///
    /// `id` is unique in the process. `new_since` is the moment it was added to a running gateway, from which it starts
    /// slowly; None at the start of the process, when all are equally new and somebody has to carry the load.
    pub fn new(id: u64, address: Address, new_since: Option<Mono>, changes: Changes) -> Self {
        Self {
            hot: Hot::default(),
            id,
            address,
            record: Mutex::default(),
            ejected_until_ns: AtomicU64::new(0),
            up_since_ns: AtomicU64::new(new_since.map_or(0, |at| at.0.max(1))),
            changes,
        }
    }

    /// Unique in the process, also among servers of former configurations.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Where it is.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Requests it is working on.
    pub fn in_flight(&self) -> u32 {
        self.hot.in_flight.load(Ordering::Relaxed)
    }

    /// Requests ever sent to it.
    pub fn requests(&self) -> u64 {
        self.hot.requests.load(Ordering::Relaxed)
    }

    /// Requests that failed, whether or not they count towards ejection.
    pub fn failures(&self) -> u64 {
        self.hot.failures.load(Ordering::Relaxed)
    }

    /// Recent latency in microseconds, peaks weighing most; 0 = not measured lately.
    pub fn latency_us(&self, now: Mono) -> u32 {
        PeakEwma(self.hot.latency.load(Ordering::Relaxed)).latency_us(now)
    }

    /// Until when it is ejected; None if it is not.
    pub fn ejected_until(&self, now: Mono) -> Option<Mono> {
        Some(Mono(self.ejected_until_ns.load(Ordering::Acquire))).filter(|until| now < *until)
    }

    /// When its slow start begins or began.
    pub fn up_since(&self) -> Option<Mono> {
        Some(self.up_since_ns.load(Ordering::Acquire))
            .filter(|ns| *ns != 0)
            .map(Mono)
    }

    /// It has come (back) up: its slow start begins now.
    pub fn came_up(&self, now: Mono) {
        self.up_since_ns.fetch_max(now.0.max(1), Ordering::AcqRel);
        self.changes.note();
    }

    /// Takes a place if its load is still what the caller chose it by.
    pub fn join_at(&self, in_flight: u32) -> bool {
        let joined = self
            .hot
            .in_flight
            .compare_exchange(in_flight, in_flight + 1, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok();
        self.count_request(joined)
    }

    /// Takes a place if fewer than `max` are taken.
    pub fn join_below(&self, max: u32) -> bool {
        let admit = |n| (n < max).then(|| n + 1);
        let joined = self
            .hot
            .in_flight
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, admit)
            .is_ok();
        self.count_request(joined)
    }

    /// Gives a place back. For each join that was true, once.
    pub fn leave(&self) {
        self.hot.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// It answered, after this time.
    pub fn answered(&self, latency: Duration, policy: &OutlierDetection, now: Mono) {
        self.observe_latency(|_| latency, now);
        self.clear_streak(policy, now);
    }

    /// It failed. `may_eject` is asked only when its record calls for an ejection.
    pub fn failed(
        &self,
        failure: Failure,
        policy: &OutlierDetection,
        may_eject: impl FnOnce() -> bool,
        now: Mono,
    ) -> Option<Ejection> {
        self.hot.failures.fetch_add(1, Ordering::Relaxed);
        self.observe_latency(|average| (average * 2).max(FAILURE_LATENCY_MIN), now);
        let outcome = failure.outcome();
        if outcome == Outcome::Answered {
            self.clear_streak(policy, now);
            return None;
        }
        let _one_at_a_time = self.changes.ejecting();
        let mut record = self.record.lock();
        let ejection = outlier::step(&mut record, outcome, policy, may_eject, now);
        self.hot.streak.store(record.streak(), Ordering::Relaxed);
        if let Some(ejection) = ejection {
            self.ejected_until_ns.store(ejection.until.0, Ordering::Release);
            // Its slow start begins when the ejection ends.
            self.up_since_ns.fetch_max(ejection.until.0, Ordering::AcqRel);
            self.changes.note();
        }
        ejection
    }

    fn clear_streak(&self, policy: &OutlierDetection, now: Mono) {
        if self.hot.streak.load(Ordering::Relaxed) != 0 {
            let mut record = self.record.lock();
            outlier::step(&mut record, Outcome::Answered, policy, || false, now);
            self.hot.streak.store(record.streak(), Ordering::Relaxed);
        }
    }

    fn observe_latency(&self, sample: impl Fn(Duration) -> Duration, now: Mono) {
        let next = |held| {
            let average = PeakEwma(held);
            let sample = sample(Duration::from_micros(average.latency_us(now).into()));
            Some(average.observed(sample, now).0).filter(|next| *next != held)
        };
        // None = nothing to write.
        let _ = self
            .hot
            .latency
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
    }

    fn count_request(&self, joined: bool) -> bool {
        if joined {
            self.hot.requests.fetch_add(1, Ordering::Relaxed);
        }
        joined
    }
}
