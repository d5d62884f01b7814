//! The cell of one upstream: what is in flight, and who waits.

use std::fmt;
use std::task::Waker;
use std::time::Duration;

use super::super::concurrency::line::{Admission, Line};
use super::super::concurrency::sync::{Arc, AtomicU32, AtomicU64, Mutex, MutexGuard, Ordering};
use super::learn::{LIMIT_MAX, LIMIT_START};
use super::meter::Meter;
use super::{Entry, Permit, Waiting};
use crate::config::plan::Overload;
use crate::kit::clock::Mono;

/// What protects one upstream from more than it can do. Outlives reloads; the policy comes with each request.
pub struct Throttle {
    /// Requests in flight in the lower half, those who wait in the upper: one word, so that whoever comes or goes while nobody
    /// waits needs no lock and still cannot miss one who begins to wait at that moment. The upper half changes under the
    /// line's lock only, and while it is not zero so does the lower.
    load: AtomicU64,
    line: Mutex<Standing>,
    /// Of the policy that was brought last: whoever leaves brings none. 0 = no limit.
    bound: AtomicU32,
    /// 1 if the limit is learnt.
    is_adaptive: AtomicU32,
    /// What has been learnt, and what of it is in force.
    learnt: AtomicU32,
    in_force: AtomicU32,
    meter: Mutex<Meter>,
    shed: AtomicU64,
    timed_out: AtomicU64,
}

/// Those who wait.
#[derive(Default)]
struct Standing {
    line: Line,
    /// Since when there have been some, with breaks that were shorter than one may wait: a line under overload is empty at
    /// moments too.
    since: Mono,
    /// When last somebody wanted to join.
    asked: Mono,
}

/// One who waits, in [`Throttle::load`].
const ONE_WAITS: u64 = 1 << 32;

impl Default for Throttle {
    fn default() -> Self {
        Self::new()
    }
}

impl Throttle {
    /// Nothing in flight, nothing learnt.
    pub fn new() -> Self {
        Self {
            load: AtomicU64::new(0),
            line: Mutex::default(),
            bound: AtomicU32::new(0),
            is_adaptive: AtomicU32::new(0),
            learnt: AtomicU32::new(LIMIT_START),
            in_force: AtomicU32::new(LIMIT_START),
            meter: Mutex::default(),
            shed: AtomicU64::new(0),
            timed_out: AtomicU64::new(0),
        }
    }

    /// Asks for a place. Nobody overtakes one who waits.
    pub fn enter(self: &Arc<Self>, policy: &Overload, now: Mono) -> Entry {
        self.note(policy);
        let admit = |load| (waiting(load) == 0 && in_flight(load) < self.allowed()).then_some(load + 1);
        if self.change(admit) {
            return Entry::Permit(Permit::new(Arc::clone(self)));
        }
        if policy.queue == 0 {
            return self.refuse();
        }
        self.enter_line(policy, now)
    }

    /// What [`enter`](Self::enter) would come to at this moment. Nobody is let in, and no policy taken over.
    pub fn peek(&self, policy: &Overload, now: Mono) -> Admission {
        let allowed = bounded(policy.adaptive, policy.max_requests, &self.in_force);
        let standing = self.line.lock();
        let load = self.load.load(Ordering::Acquire);
        let places = allowed.saturating_sub(in_flight(load));
        // Without a line nobody looks after those who wait, which is left to whoever goes; else they come first, where
        // there are places for them.
        let (has_line, waits) = (policy.queue > 0, waiting(load));
        if places > waits && (has_line || waits == 0) {
            return Admission::Inside;
        }
        let length = waits.saturating_sub(places) as usize;
        match has_line && length < standing.longest(policy, allowed, length == 0, now).1 {
            true => Admission::Line,
            false => Admission::Full,
        }
    }

    fn enter_line(self: &Arc<Self>, policy: &Overload, now: Mono) -> Entry {
        // A limit that was raised left places for those who wait: they come before this one.
        let mut standing = self.hand_on(self.line.lock());
        loop {
            let load = self.load.load(Ordering::Acquire);
            let has_room = waiting(load) == 0 && in_flight(load) < self.allowed();
            if !has_room && !standing.may_join(policy, self.allowed(), now) {
                drop(standing);
                return self.refuse();
            }
            let next = if has_room { load + 1 } else { load + ONE_WAITS };
            // Somebody may go without the lock while nobody waits; then there is a place after all.
            let swapped = self
                .load
                .compare_exchange(load, next, Ordering::AcqRel, Ordering::Acquire);
            match swapped {
                Ok(_) if has_room => return Entry::Permit(Permit::new(Arc::clone(self))),
                Ok(_) => return Entry::Wait(Waiting::new(Arc::clone(self), standing.line.join())),
                Err(_) => {}
            }
        }
    }

    fn refuse(&self) -> Entry {
        self.shed.fetch_add(1, Ordering::Relaxed);
        Entry::Full
    }

    /// A place is given back.
    pub(super) fn exit(&self) {
        let go = |load| (waiting(load) == 0).then(|| load - 1);
        if !self.change(go) {
            let standing = self.line.lock();
            self.load.fetch_sub(1, Ordering::AcqRel);
            drop(self.hand_on(standing));
        }
    }

    /// One who waited goes: with the place it was given by then, or without.
    pub(super) fn leave(&self, ticket: u64) {
        let mut standing = self.line.lock();
        if standing.line.is_served(ticket) {
            drop(standing);
            return self.exit();
        }
        let waker = standing.line.leave(ticket);
        self.load.fetch_sub(ONE_WAITS, Ordering::AcqRel);
        drop(standing);
        drop(waker);
    }

    /// Whether the turn of one who waits has come; if not, its waker is told when it does.
    pub(super) fn is_served(&self, ticket: u64, waker: &Waker) -> bool {
        let mut standing = self.line.lock();
        if standing.line.is_served(ticket) {
            return true;
        }
        let old = standing.line.listen(ticket, waker);
        drop(standing);
        drop(old);
        false
    }

    /// One came back: an answer and its latency, or a failure.
    pub(super) fn observe(&self, latency: Option<Duration>, now: Mono) {
        if self.is_adaptive.load(Ordering::Relaxed) == 0 {
            return;
        }
        // Whoever meets another here goes without a word: windows are samples, and which ones are missing has nothing to do
        // with their latency.
        let Some(mut meter) = self.meter.try_lock() else {
            return;
        };
        let in_flight = in_flight(self.load.load(Ordering::Relaxed));
        let has_stepped = meter.add(latency, in_flight, self.learnt_max(), now);
        if has_stepped {
            self.learnt.store(meter.learnt().limit(), Ordering::Relaxed);
            self.in_force.store(meter.learnt().in_force(), Ordering::Relaxed);
        }
        drop(meter);
        // Those who wait need not wait until one goes: a raised limit has room for them now.
        if has_stepped && waiting(self.load.load(Ordering::Relaxed)) > 0 {
            drop(self.hand_on(self.line.lock()));
        }
    }

    /// Lets in all who wait and have a place; nobody is woken under the lock, as a waker may do anything.
    fn hand_on<'a>(&'a self, mut standing: MutexGuard<'a, Standing>) -> MutexGuard<'a, Standing> {
        loop {
            let load = self.load.load(Ordering::Acquire);
            if waiting(load) == 0 || in_flight(load) >= self.allowed() {
                return standing;
            }
            let waker = standing.line.serve().expect("whoever is counted stands in line");
            self.load.fetch_sub(ONE_WAITS - 1, Ordering::AcqRel);
            drop(standing);
            if let Some(waker) = waker {
                waker.wake();
            }
            standing = self.line.lock();
        }
    }

    fn change(&self, change: impl Fn(u64) -> Option<u64>) -> bool {
        self.load
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, change)
            .is_ok()
    }

    /// Keeps what whoever leaves has to know. Read first: a store would take the line from every other worker's cache.
    fn note(&self, policy: &Overload) {
        let is_adaptive = u32::from(policy.adaptive);
        for (cell, value) in [
            (&self.bound, policy.max_requests),
            (&self.is_adaptive, is_adaptive),
        ] {
            if cell.load(Ordering::Relaxed) != value {
                cell.store(value, Ordering::Relaxed);
            }
        }
    }

    /// What may be in flight now.
    fn allowed(&self) -> u32 {
        self.bounded(&self.in_force)
    }

    fn bounded(&self, learnt: &AtomicU32) -> u32 {
        let is_adaptive = self.is_adaptive.load(Ordering::Relaxed) != 0;
        bounded(is_adaptive, self.bound.load(Ordering::Relaxed), learnt)
    }

    fn learnt_max(&self) -> u32 {
        learnt_max(self.bound.load(Ordering::Relaxed))
    }

    /// What may be in flight, the short whiles apart in which less is tried; None = whatever comes.
    pub fn limit(&self) -> Option<u32> {
        Some(self.bounded(&self.learnt)).filter(|limit| *limit < u32::MAX)
    }

    /// Requests in flight.
    pub fn in_flight(&self) -> u32 {
        in_flight(self.load.load(Ordering::Relaxed))
    }

    /// Requests that wait.
    pub fn waiting(&self) -> u32 {
        waiting(self.load.load(Ordering::Relaxed))
    }

    /// Requests refused at once.
    pub fn shed(&self) -> u64 {
        self.shed.load(Ordering::Relaxed)
    }

    /// Requests that waited in vain, as told by [`Throttle::count_timeout`].
    pub fn timed_out(&self) -> u64 {
        self.timed_out.load(Ordering::Relaxed)
    }

    /// One has waited as long as it may. The clock is the caller's, so is this count.
    pub fn count_timeout(&self) {
        self.timed_out.fetch_add(1, Ordering::Relaxed);
    }
}

impl Standing {
    /// Whether one more may wait. A line serves a burst: for as long as one may wait, it takes as many as the policy says. When
    /// there has been somebody in it ever since, that is more than the upstream can do, and all that a long line does then is to
    /// make everybody late, and most of them in vain. So it holds no more than are in flight: by Little's law the last of them
    /// waits about as long as an answer takes.
    fn may_join(&mut self, policy: &Overload, allowed: u32, now: Mono) -> bool {
        let longest;
        (self.since, longest) = self.longest(policy, allowed, self.line.is_empty(), now);
        self.asked = self.asked.max(now);
        self.line.len() < longest
    }

    /// Since when there has been somebody, if one more came now, and how many may wait then.
    fn longest(&self, policy: &Overload, allowed: u32, is_empty: bool, now: Mono) -> (Mono, usize) {
        let is_over = is_empty && now.since(self.asked) >= policy.queue_timeout;
        let since = if is_over { now } else { self.since };
        let is_lasting = now.since(since) >= policy.queue_timeout;
        let longest = if is_lasting {
            policy.queue.min(allowed)
        } else {
            policy.queue
        };
        (since, longest as usize)
    }
}

/// What may be in flight by a policy and by what has been learnt; a bound of 0 is none.
fn bounded(is_adaptive: bool, bound: u32, learnt: &AtomicU32) -> u32 {
    match (is_adaptive, bound) {
        (false, 0) => u32::MAX,
        (false, max) => max,
        (true, _) => learnt.load(Ordering::Relaxed).min(learnt_max(bound)),
    }
}

fn learnt_max(bound: u32) -> u32 {
    match bound {
        0 => LIMIT_MAX,
        max => max,
    }
}

fn in_flight(load: u64) -> u32 {
    load as u32
}

fn waiting(load: u64) -> u32 {
    (load >> 32) as u32
}

impl fmt::Debug for Throttle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Throttle")
            .field("in_flight", &self.in_flight())
            .field("waiting", &self.waiting())
            .field("limit", &self.limit())
            .finish_non_exhaustive()
    }
}
