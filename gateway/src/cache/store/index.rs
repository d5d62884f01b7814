//! Which objects there are and where: in memory, in a file, or both.
//!
//! 64 parts under a lock each, which is never held while the file system is called. A part is a table of slots and a map from
//! half a key to a slot; slots of the same half are chained. An object of eight facets costs 220 to 250 bytes: a slot of
//! 96 and an eighth that is reserved, 20 to 39 in the map (load between 7/16 and 7/8), 80 for the facets in a piece of their
//! own, and 20 to 39 for the count of the one facet it has alone, its URL. A million of them was measured at 250.
//!
//! Objects on disk are evicted by a clock: the hand goes round the slots, spares what was used since it last came by, as
//! often as it was used up to three times, and takes the first that was not. A new object takes the slot that was freed last,
//! behind the hand, and has a whole turn to be asked for.

mod table;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use self::table::{IN_MEMORY, NONE, Packed, QUEUED, Shard, Slot, halves};
use super::purges::Purges;
use crate::cache::disk::Location;
use crate::cache::object::Key;

/// Parts of the index.
pub const SHARDS: usize = 64;
/// How often an object is spared by the hand at most.
const SPARED_MAX: u8 = 3;
/// Slots one step of the hand looks at: bounds the time a part is locked.
const STEP: usize = 256;

/// A certain object of a key: by its number, or as what is in a certain file (0: no file).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Which {
    /// Its number.
    pub id: u64,
    /// Its file.
    pub generation: u64,
}

/// What the index knows of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Which.
    pub key: Key,
    /// Which object of the key.
    pub id: u64,
    /// Its purge serial.
    pub serial: u64,
    /// Its file.
    pub location: Option<Location>,
    /// Whether it is in memory.
    pub is_in_memory: bool,
    /// Whether it waits to be written to disk.
    pub is_queued: bool,
}

/// An object that comes.
#[derive(Clone, Copy)]
pub struct Arrival<'a> {
    /// Which.
    pub key: Key,
    /// Which object of the key; higher than all before.
    pub id: u64,
    /// Its purge serial.
    pub serial: u64,
    /// What a purge can reach it by.
    pub facets: &'a [u64],
    /// Its file, if it has one.
    pub location: Option<Location>,
    /// Whether it is in memory, or will be in a moment.
    pub is_in_memory: bool,
    /// Whether it waits to be written to disk.
    pub is_queued: bool,
}

/// The index of a store.
///
/// Locks: one of `shards` at a time; under it those of [`Purges`] and nothing else.
pub struct Index {
    shards: Box<[Mutex<Shard>]>,
    objects: AtomicU64,
    on_disk: AtomicU64,
}

impl Default for Index {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            objects: AtomicU64::new(0),
            on_disk: AtomicU64::new(0),
        }
    }
}

impl Index {
    /// Objects in all.
    pub fn objects(&self) -> u64 {
        self.objects.load(Ordering::Relaxed)
    }

    /// Objects that have a file.
    pub fn on_disk(&self) -> u64 {
        self.on_disk.load(Ordering::Relaxed)
    }

    /// What is known of a key's object.
    pub fn find(&self, key: Key) -> Option<Known> {
        let shard = self.shard(key).lock();
        shard.find(key).map(|at| shard.slots[at].known())
    }

    /// The same for a request, which where it `spares` keeps the object from eviction; with the way purges have reached it.
    pub fn ask(&self, key: Key, spares: bool, purges: &Purges) -> Option<(Known, super::purges::Reach)> {
        let mut shard = self.shard(key).lock();
        let at = shard.find(key)?;
        let slot = &mut shard.slots[at];
        if spares {
            slot.spared = (slot.spared + 1).min(SPARED_MAX);
        }
        Some((slot.known(), purges.reach(slot.serial, &slot.facets)))
    }

    /// Takes up an object in place of the key's former one, which is returned. Refused if that one is younger.
    pub fn insert(&self, new: Arrival<'_>, purges: &Purges) -> Result<Option<Known>, ()> {
        let mut shard = self.shard(new.key).lock();
        let Some(at) = shard.find(new.key) else {
            self.add(&mut shard, &new, purges);
            return Ok(None);
        };
        let old = shard.slots[at].known();
        if old.id >= new.id {
            return Err(());
        }
        self.replace(&mut shard.slots[at], &new, purges);
        Ok(Some(old))
    }

    /// Takes up an object found on disk, unless the key has another one, or a file that is younger. What has no place any
    /// more is returned: the former object, or as an error the one that was found.
    pub fn insert_found(&self, new: Arrival<'_>, purges: &Purges) -> Result<Option<Known>, ()> {
        let mut shard = self.shard(new.key).lock();
        let Some(at) = shard.find(new.key) else {
            self.add(&mut shard, &new, purges);
            return Ok(None);
        };
        let old = shard.slots[at].known();
        match (old.location, new.location) {
            (Some(there), Some(found))
                if !old.is_in_memory && !old.is_queued && there.generation < found.generation =>
            {
                self.replace(&mut shard.slots[at], &new, purges);
                Ok(Some(old))
            }
            _ => Err(()),
        }
    }

    /// An object gets a new head and keeps its file. None if it is not the key's object any more.
    pub fn renew(&self, old: Which, new: Arrival<'_>, purges: &Purges) -> Option<Known> {
        let mut shard = self.shard(new.key).lock();
        let at = shard.find(new.key)?;
        let slot = &mut shard.slots[at];
        if !slot.is(old) {
            return None;
        }
        let kept = Arrival {
            location: slot.file.location(),
            ..new
        };
        self.replace(slot, &kept, purges);
        Some(slot.known())
    }

    /// Forgets a key's object, or only a certain one.
    pub fn remove(&self, key: Key, which: Option<Which>, purges: &Purges) -> Option<Known> {
        let mut shard = self.shard(key).lock();
        let at = shard.find(key)?;
        if which.is_some_and(|which| !shard.slots[at].is(which)) {
            return None;
        }
        Some(self.take(&mut shard, at, purges))
    }

    /// An object was read from its file and goes to memory as `id`. False if the key has no such file any more, if it is in
    /// memory already, or if it is about to be written: then what was read may be old.
    pub fn promote(&self, key: Key, generation: u64, id: u64) -> bool {
        let mut shard = self.shard(key).lock();
        let Some(at) = shard.find(key) else { return false };
        let slot = &mut shard.slots[at];
        if slot.file.generation != generation || slot.flags & (IN_MEMORY | QUEUED) != 0 {
            return false;
        }
        slot.id = id;
        slot.flags |= IN_MEMORY;
        true
    }

    /// An object left memory. It is forgotten if that was the only place it had.
    pub fn left_memory(&self, key: Key, id: u64, was_used: bool, purges: &Purges) -> Option<Known> {
        self.change(key, id, purges, |slot| {
            slot.flags &= !IN_MEMORY;
            slot.spared = (slot.spared + u8::from(was_used)).min(SPARED_MAX);
        })
    }

    /// An object is to be written to disk; false if it is not the key's object any more, has a file or waits already.
    pub fn queue(&self, key: Key, id: u64) -> bool {
        let queued = self.with(key, id, |slot| {
            let may = slot.flags & QUEUED == 0 && slot.file.generation == 0;
            if may {
                slot.flags |= QUEUED;
            }
            may
        });
        queued == Some(true)
    }

    /// An object was written. The file it had before, to be removed; as an error if it is not the key's object any more,
    /// and the new file is to be removed.
    pub fn stored(&self, key: Key, id: u64, location: Location) -> Result<Option<Location>, ()> {
        let old = self.with(key, id, |slot| {
            slot.flags &= !QUEUED;
            let old = slot.file.location();
            slot.file = Packed::new(location);
            if old.is_none() {
                self.on_disk.fetch_add(1, Ordering::Relaxed);
            }
            old
        });
        old.ok_or(())
    }

    /// An object was not written after all. It is forgotten if it has no place any more.
    pub fn not_stored(&self, key: Key, id: u64, purges: &Purges) -> Option<Known> {
        self.change(key, id, purges, |slot| slot.flags &= !QUEUED)
    }

    /// An object loses its file, if it is this one. It is forgotten if it has no other place. The file is to be removed by
    /// the caller, who is the only one to get this answer.
    pub fn drop_file(&self, key: Key, generation: u64, purges: &Purges) -> Option<Location> {
        let mut shard = self.shard(key).lock();
        let at = shard.find(key)?;
        let slot = &mut shard.slots[at];
        let location = slot.file.location().filter(|l| l.generation == generation)?;
        slot.file = Packed::default();
        self.on_disk.fetch_sub(1, Ordering::Relaxed);
        if slot.is_nowhere() {
            self.take(&mut shard, at, purges);
        }
        Some(location)
    }

    /// Moves the hand of a part to the next object with a file that nobody asked for since the last turn. None if this step
    /// found none.
    pub fn candidate(&self, shard: usize) -> Option<Known> {
        let mut shard = self.shards[shard % SHARDS].lock();
        let length = shard.slots.len();
        for _ in 0..STEP.min(length) {
            let at = shard.hand as usize % length;
            shard.hand = (at + 1) as u32;
            let slot = &mut shard.slots[at];
            if slot.id == 0 || slot.file.generation == 0 {
                continue;
            }
            if slot.spared > 0 {
                slot.spared -= 1;
                continue;
            }
            return Some(slot.known());
        }
        None
    }

    /// Spares an object for one turn of the hand.
    pub fn spare(&self, key: Key, id: u64) {
        self.with(key, id, |slot| slot.spared = slot.spared.max(1));
    }

    /// Shows the objects of a part, from a slot on, and removes those that are not to be kept. The slot to go on with; None
    /// at the end. `keep` is called under the part's lock.
    pub fn sweep(
        &self,
        shard: usize,
        from: usize,
        purges: &Purges,
        gone: &mut Vec<Known>,
        mut keep: impl FnMut(&Known, &[u64]) -> bool,
    ) -> Option<usize> {
        let mut shard = self.shards[shard].lock();
        let end = (from + STEP).min(shard.slots.len());
        for at in from..end {
            let slot = &shard.slots[at];
            if slot.id != 0 && !keep(&slot.known(), &slot.facets) {
                gone.push(self.take(&mut shard, at, purges));
            }
        }
        (end < shard.slots.len()).then_some(end)
    }

    /// Puts the slots of a part in an order, the first to be evicted first; `order` is told generations.
    pub fn sort(&self, shard: usize, order: impl Fn(u64) -> u64) {
        let mut shard = self.shards[shard].lock();
        let mut slots: Vec<Slot> = std::mem::take(&mut shard.slots);
        slots.retain(|slot| slot.id != 0);
        slots.sort_by_cached_key(|slot| order(slot.file.generation));
        shard.map.clear();
        shard.free = None;
        shard.hand = 0;
        for mut slot in slots {
            slot.next = NONE;
            let at = shard.slots.len() as u32;
            shard.slots.push(slot);
            shard.link(at);
        }
    }

    fn shard(&self, key: Key) -> &Mutex<Shard> {
        // Neither the bits that choose the bucket in the map nor those of its tags.
        &self.shards[(halves(key)[1] >> 32) as usize % SHARDS]
    }

    fn with<T>(&self, key: Key, id: u64, f: impl FnOnce(&mut Slot) -> T) -> Option<T> {
        let mut shard = self.shard(key).lock();
        let at = shard.find(key)?;
        let slot = &mut shard.slots[at];
        (slot.id == id).then(|| f(slot))
    }

    /// Changes an object and forgets it if it is nowhere then.
    fn change(&self, key: Key, id: u64, purges: &Purges, f: impl FnOnce(&mut Slot)) -> Option<Known> {
        let mut shard = self.shard(key).lock();
        let at = shard.find(key)?;
        let slot = &mut shard.slots[at];
        if slot.id != id {
            return None;
        }
        f(slot);
        slot.is_nowhere().then(|| self.take(&mut shard, at, purges))
    }

    fn add(&self, shard: &mut Shard, new: &Arrival<'_>, purges: &Purges) {
        let slot = Slot::new(new);
        purges.count(slot.serial, &slot.facets);
        self.objects.fetch_add(1, Ordering::Relaxed);
        self.on_disk
            .fetch_add(u64::from(new.location.is_some()), Ordering::Relaxed);
        let at = shard.put(slot);
        shard.link(at);
    }

    fn replace(&self, slot: &mut Slot, new: &Arrival<'_>, purges: &Purges) {
        let fresh = Slot::new(new);
        purges.count(fresh.serial, &fresh.facets);
        purges.discount(slot.serial, &slot.facets);
        self.on_disk
            .fetch_sub(u64::from(slot.file.generation != 0), Ordering::Relaxed);
        self.on_disk
            .fetch_add(u64::from(new.location.is_some()), Ordering::Relaxed);
        // Whoever replaced it asked for it.
        let spared = slot.spared.max(1);
        *slot = Slot {
            next: slot.next,
            spared,
            ..fresh
        };
    }

    fn take(&self, shard: &mut Shard, at: usize, purges: &Purges) -> Known {
        shard.unlink(at);
        let free = shard.free.replace(at as u32).unwrap_or(NONE);
        let slot = &mut shard.slots[at];
        let known = slot.known();
        let facets = std::mem::take(&mut slot.facets);
        slot.id = 0;
        slot.file = Packed::default();
        slot.next = free;
        purges.discount(known.serial, &facets);
        self.objects.fetch_sub(1, Ordering::Relaxed);
        self.on_disk
            .fetch_sub(u64::from(known.location.is_some()), Ordering::Relaxed);
        known
    }
}
