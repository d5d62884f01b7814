//! The places of one limit, by key.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::task::Waker;

use super::line::{Admission, Line};
use super::sync::{Arc, AtomicU32, AtomicU64, AtomicUsize, Mutex, MutexGuard, Ordering};
use super::{Entry, Permit, Waiting};
use crate::config::plan::ConcurrencyLimit;

/// Parts of the table, each with its own lock: several times the number of workers, so that two seldom meet. As a power
/// of two.
const SHARDS_LOG2: u32 = 6;

/// Room for keys that a shard may keep unused. Beyond it a table that is nearly empty is made smaller: a flood of keys
/// that has passed holds no memory.
const SPARE_KEYS: usize = 64;

/// The cell of one concurrency limit: who is inside and who waits, by key.
///
/// A key takes memory only while somebody is inside or waits. All who enter at one time should bring one policy; after a reload
/// the newest counts for whoever leaves.
pub struct Gate {
    shards: Box<[Mutex<Shard>]>,
    /// Of the policy that was brought last: whoever leaves brings none.
    max: AtomicU32,
    keys: AtomicUsize,
    queue_full: AtomicU64,
    keys_full: AtomicU64,
    timed_out: AtomicU64,
}

/// How one key stands, see [`Gate::peek`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outlook {
    /// Requests inside.
    pub inside: u32,
    /// Requests that wait.
    pub waiting: usize,
    /// What one more would get.
    pub admission: Admission,
}

#[derive(Default)]
struct Shard {
    places: HashMap<u128, Places, BuildHasherDefault<Fold>>,
    inside: usize,
    waiting: usize,
}

/// Of one key.
#[derive(Default)]
struct Places {
    inside: u32,
    line: Line,
}

impl Places {
    /// Whether one who waits may come in.
    fn may_serve(&self, max: u32) -> bool {
        self.inside < max && !self.line.is_empty()
    }

    fn is_deserted(&self) -> bool {
        self.inside == 0 && self.line.is_empty()
    }
}

impl Shard {
    /// The first in line comes in; whom to wake for it.
    fn serve(&mut self, key: u128, max: u32) -> Option<Option<Waker>> {
        let places = self.places.get_mut(&key)?;
        if !places.may_serve(max) {
            return None;
        }
        let waker = places.line.serve()?;
        places.inside += 1;
        self.inside += 1;
        self.waiting -= 1;
        Some(waker)
    }

    fn at(&mut self, key: u128) -> &mut Places {
        self.places.get_mut(&key).expect("a key with somebody has places")
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl Gate {
    /// A gate with nobody in it.
    pub fn new() -> Self {
        Self {
            shards: (0..1 << SHARDS_LOG2).map(|_| Mutex::default()).collect(),
            max: AtomicU32::new(0),
            keys: AtomicUsize::new(0),
            queue_full: AtomicU64::new(0),
            keys_full: AtomicU64::new(0),
            timed_out: AtomicU64::new(0),
        }
    }

    /// Asks for a place. Nobody overtakes one who waits.
    pub fn enter(self: &Arc<Self>, key: u128, policy: &ConcurrencyLimit) -> Entry {
        let max = policy.max.get();
        // Read first: a store would take the line from every other worker's cache.
        if self.max.load(Ordering::Relaxed) != max {
            self.max.store(max, Ordering::Relaxed);
        }
        // A reload that raised the limit left places for those who wait: they come before this one.
        let mut shard = self.hand_on(self.shard(key).lock(), key, max);
        let Some(places) = shard.places.get_mut(&key) else {
            return self.first(shard, key, policy.max_keys);
        };
        if places.inside < max {
            places.inside += 1;
            shard.inside += 1;
            return Entry::Permit(Permit::new(Arc::clone(self), key));
        }
        if places.line.len() < policy.queue as usize {
            let ticket = places.line.join();
            shard.waiting += 1;
            return Entry::Wait(Waiting::new(Arc::clone(self), key, ticket));
        }
        drop(shard);
        self.queue_full.fetch_add(1, Ordering::Relaxed);
        Entry::Full
    }

    /// What [`enter`](Self::enter) would come to at this moment. Nobody is let in.
    pub fn peek(&self, key: u128, policy: &ConcurrencyLimit) -> Outlook {
        let max = policy.max.get();
        let shard = self.shard(key).lock();
        let (inside, waiting) = shard
            .places
            .get(&key)
            .map_or((0, 0), |places| (places.inside, places.line.len()));
        drop(shard);
        // Those who wait come first, where there are places for them.
        let served = (max.saturating_sub(inside) as usize).min(waiting);
        let is_new = inside == 0 && waiting == 0;
        let admission = match () {
            () if is_new && self.keys() >= policy.max_keys => Admission::Full,
            () if (inside as usize) + served < max as usize => Admission::Inside,
            () if waiting - served < policy.queue as usize => Admission::Line,
            () => Admission::Full,
        };
        Outlook {
            inside,
            waiting,
            admission,
        }
    }

    /// The first of its key.
    fn first(self: &Arc<Self>, mut shard: MutexGuard<'_, Shard>, key: u128, max_keys: usize) -> Entry {
        let one_more = |keys| (keys < max_keys).then_some(keys + 1);
        let counted = self
            .keys
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        if counted.is_err() {
            drop(shard);
            self.keys_full.fetch_add(1, Ordering::Relaxed);
            return Entry::Full;
        }
        let places = Places {
            inside: 1,
            line: Line::default(),
        };
        shard.places.insert(key, places);
        shard.inside += 1;
        Entry::Permit(Permit::new(Arc::clone(self), key))
    }

    /// A place is given back.
    pub(super) fn exit(&self, key: u128) {
        let mut shard = self.shard(key).lock();
        shard.at(key).inside -= 1;
        shard.inside -= 1;
        self.settle(shard, key);
    }

    /// One who waited goes: with the place it was given by then, or without.
    pub(super) fn leave(&self, key: u128, ticket: u64) {
        let mut shard = self.shard(key).lock();
        let places = shard.at(key);
        if places.line.is_served(ticket) {
            places.inside -= 1;
            shard.inside -= 1;
            self.settle(shard, key);
            return;
        }
        let waker = places.line.leave(ticket);
        shard.waiting -= 1;
        self.settle(shard, key);
        drop(waker);
    }

    /// Whether the turn of one who waits has come; if not, its waker is told when it does.
    pub(super) fn is_served(&self, key: u128, ticket: u64, waker: &Waker) -> bool {
        let mut shard = self.shard(key).lock();
        let line = &mut shard.at(key).line;
        if line.is_served(ticket) {
            return true;
        }
        let old = line.listen(ticket, waker);
        drop(shard);
        drop(old);
        false
    }

    /// After somebody went: places that are free are handed on, and a key with nobody is forgotten.
    fn settle(&self, shard: MutexGuard<'_, Shard>, key: u128) {
        let max = self.max.load(Ordering::Relaxed);
        let mut shard = self.hand_on(shard, key, max);
        if shard.places.get(&key).is_none_or(|p| !p.is_deserted()) {
            return;
        }
        let deserted = shard.places.remove(&key);
        self.keys.fetch_sub(1, Ordering::Relaxed);
        let (capacity, left) = (shard.places.capacity(), shard.places.len());
        if capacity > SPARE_KEYS && capacity > 8 * left {
            shard.places.shrink_to(2 * left);
        }
        drop(shard);
        drop(deserted);
    }

    /// Lets in all who wait and have a place; when it returns, under the lock, nobody has to come before a newcomer. Nobody is
    /// woken under the lock, as a waker may do anything, such as drop a permit of this very gate; so it is given back and
    /// taken again for each. More than one is only let in after a reload has raised the limit.
    fn hand_on<'a>(&'a self, mut shard: MutexGuard<'a, Shard>, key: u128, max: u32) -> MutexGuard<'a, Shard> {
        while let Some(waker) = shard.serve(key, max) {
            drop(shard);
            if let Some(waker) = waker {
                waker.wake();
            }
            shard = self.shard(key).lock();
        }
        shard
    }

    /// Requests inside.
    pub fn in_use(&self) -> usize {
        self.shards.iter().map(|s| s.lock().inside).sum()
    }

    /// Requests that wait.
    pub fn waiting(&self) -> usize {
        self.shards.iter().map(|s| s.lock().waiting).sum()
    }

    /// Keys with somebody inside or waiting.
    pub fn keys(&self) -> usize {
        self.keys.load(Ordering::Relaxed)
    }

    /// Requests refused because so many waited already.
    pub fn refused_queue_full(&self) -> u64 {
        self.queue_full.load(Ordering::Relaxed)
    }

    /// Requests refused because too many other keys had somebody.
    pub fn refused_keys_full(&self) -> u64 {
        self.keys_full.load(Ordering::Relaxed)
    }

    /// Requests that waited in vain, as told by [`Gate::count_timeout`].
    pub fn timed_out(&self) -> u64 {
        self.timed_out.load(Ordering::Relaxed)
    }

    /// One has waited as long as it may. The clock is the caller's, so is this count.
    pub fn count_timeout(&self) {
        self.timed_out.fetch_add(1, Ordering::Relaxed);
    }

    /// Keys each shard has room for.
    #[cfg(test)]
    pub(super) fn room(&self) -> Vec<usize> {
        self.shards.iter().map(|s| s.lock().places.capacity()).collect()
    }

    fn shard(&self, key: u128) -> &Mutex<Shard> {
        // From the middle: the table within a shard goes by the lowest bits and the highest seven.
        let at = (fold(key) >> 40) & ((1 << SHARDS_LOG2) - 1);
        &self.shards[usize::try_from(at).expect("a shard's number is small")]
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("in_use", &self.in_use())
            .field("waiting", &self.waiting())
            .finish_non_exhaustive()
    }
}

/// Keys are hashes already, seeded so that nobody can choose them; those of limits without a key may be plain small
/// numbers. So one multiplication is enough to spread them.
fn fold(key: u128) -> u64 {
    const GOLDEN_RATIO: u64 = 0x9E37_79B9_7F4A_7C15;
    let (high, low) = ((key >> 64) as u64, key as u64);
    let mixed = (high.rotate_left(32) ^ low).wrapping_mul(GOLDEN_RATIO);
    mixed ^ (mixed >> 32)
}

#[derive(Default)]
struct Fold(u64);

impl Hasher for Fold {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u128(&mut self, key: u128) {
        self.0 = fold(key);
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = fold(u128::from(self.0.rotate_left(8) ^ u64::from(*byte)));
        }
    }
}
