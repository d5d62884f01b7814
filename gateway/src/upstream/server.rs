//! One server, wherever it is used: what it is doing, and what its record says.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::Changes;
use super::circuit::{Breaker, Circuit, Epoch, Probing, Ticket};
use super::outlier::{self, Failure, Outcome, Record, Shift};
use crate::config::plan::{Address, OutlierDetection};
use crate::kit::clock::Mono;
use crate::kit::ewma::PeakEwma;

/// The cell of one server; its key is the address as written.
///
/// Two upstreams that name the same address share it: its load and its failures are its own, whoever sent them. So is
/// its circuit. It is one for all: open, it is so for each of them; half-open, the probe places that are taken are counted
/// together, and each upstream goes up to its own `half_open_requests`; a success closes it for all, whoever sent the
/// request. What opens it, and for how long, follows the policy of the upstream whose request has failed: one that never
/// ejects (`consecutive_failures = 0`) does not open it again either, but heeds that it is open.
#[derive(Debug)]
pub struct Server {
    hot: Hot,
    id: u64,
    address: Address,
    record: Mutex<Record>,
    /// End of the last ejection, copied out of the record for readers; 0 = none yet. Written before the circuit opens, so
    /// that who sees it open finds the end of this ejection and not of the one before.
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
    /// Beside the load, because whoever reads one reads the other.
    circuit: Circuit,
    /// Failures in a row, so that an answer need not lock the record of a server that has none.
    streak: AtomicU32,
    breaks: AtomicU32,
    latency: AtomicU64,
    requests: AtomicU64,
    failures: AtomicU64,
}

/// What a server has to do, as far as it counts for who is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// Its circuit is closed: requests in flight.
    Requests(u32),
    /// It is tripped: requests that probe.
    Probes(u32),
}

/// A failure counts in the latency average as at least this: a server that fails fast must not look fast.
const FAILURE_LATENCY_MIN: Duration = Duration::from_secs(1);

impl Load {
    /// Requests, of either kind.
    pub fn count(self) -> u32 {
        match self {
            Self::Requests(count) | Self::Probes(count) => count,
        }
    }
}

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

    /// How its circuit stands, and since which opening.
    pub fn circuit(&self, now: Mono) -> (Breaker, Epoch) {
        let reading = self.hot.circuit.read();
        let breaker = match reading.is_tripped {
            false => Breaker::Closed,
            true if now < Mono(self.ejected_until_ns.load(Ordering::Acquire)) => Breaker::Open,
            true => Breaker::HalfOpen,
        };
        (breaker, reading.epoch)
    }

    /// Until when it is ejected; None if it is not.
    pub fn ejected_until(&self, now: Mono) -> Option<Mono> {
        let is_tripped = self.hot.circuit.read().is_tripped;
        let until = Mono(self.ejected_until_ns.load(Ordering::Acquire));
        (is_tripped && now < until).then_some(until)
    }

    /// Probe places that are taken.
    pub fn probes(&self) -> u32 {
        self.hot.circuit.read().probes
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

    /// The load to choose it by, if its circuit lets one more request in: the requests in flight, or while it is tripped
    /// only those that probe. Requests from before its ejection may hang there for long, and must not keep the probes away.
    ///
    /// `probing` is None for who takes it to be closed.
    #[inline]
    pub fn load(&self, probing: Option<Probing>) -> Option<Load> {
        let circuit = self.hot.circuit.read();
        if !circuit.is_tripped {
            return Some(Load::Requests(self.in_flight()));
        }
        let has_room = probing.is_some_and(|probing| circuit.has_room(probing));
        has_room.then_some(Load::Probes(circuit.probes))
    }

    /// Takes a place if fewer than `max` are taken and its load is still what the caller chose it by.
    pub fn join_at(&self, seen: Load, max: u32, probing: Option<Probing>) -> Option<Ticket> {
        match seen {
            Load::Requests(in_flight) => {
                let circuit = self.hot.circuit.read();
                let is_free = !circuit.is_tripped && in_flight < max;
                let joined = is_free
                    && self
                        .hot
                        .in_flight
                        .compare_exchange(in_flight, in_flight + 1, Ordering::Relaxed, Ordering::Relaxed)
                        .is_ok();
                self.count_request(joined.then_some(Ticket {
                    epoch: circuit.epoch,
                    is_probe: false,
                }))
            }
            Load::Probes(probes) => self.join_probing(probing?, Some(probes), max),
        }
    }

    /// Takes a place if fewer than `max` are taken and its circuit lets one more in.
    pub fn join_below(&self, max: u32, probing: Option<Probing>) -> Option<Ticket> {
        // Read before the place is taken: if it opens in between, the request counts as one from before.
        let circuit = self.hot.circuit.read();
        if circuit.is_tripped {
            return self.join_probing(probing?, None, max);
        }
        let joined = self.take_place(max);
        self.count_request(joined.then_some(Ticket {
            epoch: circuit.epoch,
            is_probe: false,
        }))
    }

    fn join_probing(&self, probing: Probing, seen: Option<u32>, max: u32) -> Option<Ticket> {
        let ticket = self.hot.circuit.enter(probing, seen)?;
        if !self.take_place(max) {
            self.hot.circuit.leave();
            return None;
        }
        self.count_request(Some(ticket))
    }

    fn take_place(&self, max: u32) -> bool {
        let admit = |n| (n < max).then(|| n + 1);
        self.hot
            .in_flight
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, admit)
            .is_ok()
    }

    /// Gives a place back. For each join that was Some, once.
    pub fn leave(&self) {
        self.hot.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// Gives a probe place back. For each ticket that is a probe's, once: when it has decided, or is dropped.
    pub fn leave_probing(&self) {
        self.hot.circuit.leave();
    }

    /// It answered a request that began in `epoch`, after this time.
    pub fn answered(
        &self,
        latency: Duration,
        epoch: Epoch,
        policy: &OutlierDetection,
        now: Mono,
    ) -> Option<Shift> {
        self.observe_latency(|_| latency, now);
        self.speaks_for(epoch, policy, now)
    }

    /// It failed a request that began in `epoch`. `may_eject` is asked only when its record calls for an ejection.
    pub fn failed(
        &self,
        failure: Failure,
        epoch: Epoch,
        policy: &OutlierDetection,
        may_eject: impl FnOnce() -> bool,
        now: Mono,
    ) -> Option<Shift> {
        self.hot.failures.fetch_add(1, Ordering::Relaxed);
        self.observe_latency(|average| (average * 2).max(FAILURE_LATENCY_MIN), now);
        if failure.outcome() == Outcome::Answered {
            return self.speaks_for(epoch, policy, now);
        }
        let _one_at_a_time = self.changes.ejecting();
        self.step(Outcome::Failed, epoch, policy, may_eject, now)
    }

    /// It broke off the answer to a request that began in `epoch`. `may_eject` as for [`Server::failed`].
    pub fn broke_off(
        &self,
        epoch: Epoch,
        policy: &OutlierDetection,
        may_eject: impl FnOnce() -> bool,
        now: Mono,
    ) -> Option<Shift> {
        self.hot.failures.fetch_add(1, Ordering::Relaxed);
        let _one_at_a_time = self.changes.ejecting();
        self.step(Outcome::BrokeOff, epoch, policy, may_eject, now)
    }

    /// Its answer to a request that began in `epoch` has come to its end.
    pub fn ended(&self, epoch: Epoch, policy: &OutlierDetection, now: impl FnOnce() -> Mono) {
        // Nothing to clear, which is so for nearly all answers: no lock.
        if self.hot.breaks.load(Ordering::Relaxed) != 0 {
            self.step(Outcome::Ended, epoch, policy, || false, now());
        }
    }

    fn speaks_for(&self, epoch: Epoch, policy: &OutlierDetection, now: Mono) -> Option<Shift> {
        let circuit = self.hot.circuit.read();
        // Nothing to clear and nothing to close, which is so for nearly all answers: no lock.
        let is_news = circuit.is_tripped || self.hot.streak.load(Ordering::Relaxed) != 0;
        (is_news && circuit.epoch == epoch)
            .then(|| self.step(Outcome::Answered, epoch, policy, || false, now))
            .flatten()
    }

    fn step(
        &self,
        outcome: Outcome,
        epoch: Epoch,
        policy: &OutlierDetection,
        may_eject: impl FnOnce() -> bool,
        now: Mono,
    ) -> Option<Shift> {
        let mut record = self.record.lock();
        let shift = outlier::step(&mut record, outcome, epoch, policy, may_eject, now);
        self.hot.streak.store(record.streak(), Ordering::Relaxed);
        self.hot.breaks.store(record.breaks(), Ordering::Relaxed);
        match shift? {
            Shift::Opened(ejection) => {
                self.ejected_until_ns.store(ejection.until.0, Ordering::Release);
                self.hot.circuit.trip(record.epoch());
                self.changes.note();
            }
            Shift::Closed => {
                // Before it closes, so that nobody takes it for one that has been up for long.
                self.came_up(now);
                self.hot.circuit.close();
                self.changes.note();
            }
        }
        shift
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

    fn count_request(&self, joined: Option<Ticket>) -> Option<Ticket> {
        if joined.is_some() {
            self.hot.requests.fetch_add(1, Ordering::Relaxed);
        }
        joined
    }
}

#[cfg(test)]
mod tests;
