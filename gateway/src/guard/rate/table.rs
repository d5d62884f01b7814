//! What each key owes: bounded, sharded, and kept across reloads.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};

use super::gcra::Pace;
use super::shard::{Shard, Slot};
use crate::guard::key::KeyHash;

/// Shards of a large table. With a million keys each has 4,000: what one lock holds up while a shard grows or is
/// converted is some tens of microseconds.
const SHARDS_MAX: usize = 256;

/// A table has no more shards than leave each so many keys. A full table forgets one of the shard where the new key
/// belongs: so there always is one, and there is a choice.
const SHARD_KEYS_MIN: usize = 64;

/// The cell of a rate limit: for each key when its debt will be paid. It outlives reloads.
///
/// At most 64 bytes for each key remembered, 34 for each of a million; nothing before the first one comes. At
/// `max_keys` the idlest are forgotten: first those that owe nothing, of whom there is nothing to know, then those
/// that owe least.
pub struct Table {
    shards: Box<[Mutex<Shard>]>,
    /// Shards in use, a power of two. Changes only while all shards are locked, so it stands while one is.
    spread: AtomicUsize,
    max_keys: AtomicUsize,
    keys: AtomicUsize,
    forgotten: AtomicU64,
    generations: AtomicU64,
    /// One resize at a time.
    resizing: Mutex<()>,
}

impl Table {
    /// An empty table for so many keys; it remembers one at the least.
    pub fn new(max_keys: usize) -> Self {
        let max_keys = max_keys.max(1);
        Self {
            shards: (0..SHARDS_MAX).map(|_| Mutex::default()).collect(),
            spread: AtomicUsize::new(spread_for(max_keys)),
            max_keys: AtomicUsize::new(max_keys),
            keys: AtomicUsize::new(0),
            forgotten: AtomicU64::new(0),
            generations: AtomicU64::new(0),
            resizing: Mutex::new(()),
        }
    }

    /// Keys remembered, those included that owe nothing any more and have not been dropped yet.
    pub fn keys(&self) -> usize {
        self.keys.load(Ordering::Relaxed)
    }

    /// Keys that were forgotten while they owed something, because there was no room.
    pub fn forgotten(&self) -> u64 {
        self.forgotten.load(Ordering::Relaxed)
    }

    /// Memory held, in bytes.
    pub fn bytes(&self) -> usize {
        let slots: usize = self.shards.iter().map(|shard| shard.lock().bytes()).sum();
        size_of::<Self>() + size_of_val(&*self.shards) + slots
    }

    /// Another number of keys. Those that owe the most are kept.
    ///
    /// Keys are taken out shard by shard. All of them stand still only when the number of shards changes, and by then
    /// they hold some 16,000 keys together at the most.
    pub fn resize(&self, max_keys: usize) {
        let _one = self.resizing.lock();
        let max_keys = max_keys.max(1);
        self.max_keys.store(max_keys, Ordering::Relaxed);
        let spread = self.spread.load(Ordering::Acquire);
        for (at, shard) in self.shards[..spread].iter().enumerate() {
            if self.keys() <= max_keys {
                break;
            }
            let share = max_keys / spread + usize::from(at < max_keys % spread);
            let (gone, indebted) = shard.lock().trim(share);
            self.keys.fetch_sub(gone, Ordering::Relaxed);
            self.forgotten.fetch_add(indebted as u64, Ordering::Relaxed);
        }
        if spread_for(max_keys) != spread {
            self.spread_over(spread_for(max_keys));
        }
    }

    /// Deals the keys to another number of shards.
    fn spread_over(&self, spread: usize) {
        // In the order of their addresses, as everybody does who locks more than one.
        let mut shards: Vec<MutexGuard<'_, Shard>> = self.shards.iter().map(Mutex::lock).collect();
        let now_ns = shards.iter().map(|s| s.latest_ns()).max().unwrap_or_default();
        let newest = shards.iter().max_by_key(|s| s.generation());
        if let Some((generation, pace)) = newest.and_then(|s| Some((s.generation(), s.pace()?))) {
            for shard in &mut shards {
                shard.adopt(generation, pace, now_ns);
            }
        }
        let converted_ns = shards.iter().map(|s| s.converted_ns()).max().unwrap_or_default();
        shards.iter_mut().for_each(|s| s.mix(converted_ns));
        let all: Vec<Slot> = shards.iter_mut().flat_map(|s| s.drain()).collect();
        let mut shares = vec![0; spread];
        all.iter()
            .for_each(|slot| shares[shard_of(slot.tag, spread)] += 1);
        for (shard, share) in shards.iter_mut().zip(shares) {
            shard.reserve(share);
        }
        for slot in all {
            shards[shard_of(slot.tag, spread)].insert(slot);
        }
        self.spread.store(spread, Ordering::Release);
    }

    /// A number that is higher than all before it.
    pub(super) fn next_generation(&self) -> u64 {
        self.generations.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The shard of a key. It has to be asked again once the shard is locked: see [`owns`](Self::owns).
    pub(super) fn shard(&self, key: KeyHash) -> &Mutex<Shard> {
        &self.shards[shard_of(tag(key), self.spread.load(Ordering::Acquire))]
    }

    /// Whether the shard, which is locked, is still where this key belongs.
    pub(super) fn owns(&self, shard: &Mutex<Shard>, key: KeyHash) -> bool {
        std::ptr::eq(self.shard(key), shard)
    }

    /// What this key owes, and the pace to judge it by.
    pub(super) fn debt(shard: &mut Shard, key: KeyHash, policy: (u64, Pace), now_ns: u64) -> (u64, Pace) {
        let pace = shard.adopt(policy.0, policy.1, now_ns);
        let due_ns = shard.due_ns(tag(key)).unwrap_or_default();
        (due_ns.saturating_sub(now_ns), pace)
    }

    /// The same without leaving a trace, under the key's lock.
    pub(super) fn peek(&self, key: KeyHash, policy: (u64, Pace), now_ns: u64) -> (u64, Pace) {
        loop {
            let home = self.shard(key);
            let shard = home.lock();
            if self.owns(home, key) {
                return shard.debt_if_adopted(tag(key), policy, now_ns);
            }
        }
    }

    /// Writes what this key owes from now on, in its shard.
    pub(super) fn charge(&self, shard: &mut Shard, key: KeyHash, debt_ns: u64, now_ns: u64) {
        let slot = Slot {
            tag: tag(key),
            due_ns: now_ns + debt_ns,
        };
        if shard.update(slot.tag, slot.due_ns) {
            return;
        }
        if !self.take_place() {
            match shard.forget_idlest(now_ns) {
                Some(gone) if gone.due_ns > now_ns => _ = self.forgotten.fetch_add(1, Ordering::Relaxed),
                Some(_) => {}
                // All places are in other shards, whose locks may not be waited for here. The key is remembered all
                // the same, or it had no limit: one more for each shard, of the 64 that it would have.
                None => _ = self.keys.fetch_add(1, Ordering::Relaxed),
            }
        }
        self.keys.fetch_sub(shard.make_room(now_ns), Ordering::Relaxed);
        shard.insert(slot);
    }

    /// Gives back what is certainly left of a charge.
    ///
    /// Had there been no charge, the key would be ahead by a whole interval at the moment of the charge. Since then it
    /// may have stood at the end of its burst, where time is worth nothing, so of the interval no more may be certain
    /// than the time since leaves. What is given back beyond that would be admitted on top of the limit.
    pub(super) fn uncharge(&self, key: KeyHash, admitted_ns: u64, now_ns: u64) {
        loop {
            let home = self.shard(key);
            let mut shard = home.lock();
            if !self.owns(home, key) {
                continue;
            }
            let (Some(due_ns), Some(pace)) = (shard.due_ns(tag(key)), shard.pace()) else {
                return;
            };
            // The interval was another one then.
            if admitted_ns < shard.converted_ns() {
                return;
            }
            let left_ns = pace
                .interval_ns()
                .saturating_sub(now_ns.saturating_sub(admitted_ns));
            shard.update(tag(key), due_ns.saturating_sub(left_ns));
            return;
        }
    }

    /// Counts one more key, if there is room.
    fn take_place(&self) -> bool {
        let max_keys = self.max_keys.load(Ordering::Relaxed);
        let one_more = |keys| (keys < max_keys).then_some(keys + 1);
        self.keys
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more)
            .is_ok()
    }
}

/// A slot's tag is never zero. The one hash that is changed for it gets the count of another.
fn tag(key: KeyHash) -> u64 {
    key.0.max(1)
}

fn shard_of(tag: u64, spread: usize) -> usize {
    tag as usize & (spread - 1)
}

fn spread_for(max_keys: usize) -> usize {
    let most = (max_keys / SHARD_KEYS_MIN).clamp(1, SHARDS_MAX);
    1 << most.ilog2()
}
