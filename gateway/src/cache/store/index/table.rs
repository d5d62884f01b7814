//! One part of the index: slots, and a map from half a key to the first of those that have it.

use super::{Arrival, Known, Which};
use crate::cache::disk::Location;
use crate::cache::object::Key;
use crate::cache::store::purges::ByHash;

/// No slot.
pub(super) const NONE: u32 = u32::MAX;
/// It is in memory.
pub(super) const IN_MEMORY: u8 = 1;
/// It waits to be written.
pub(super) const QUEUED: u8 = 2;

/// A [`Location`] in 24 bytes.
#[derive(Clone, Copy, Default)]
pub(super) struct Packed {
    /// 0: in no file.
    pub(super) generation: u64,
    /// Bytes of the file in the upper 44 bits, of the meta record in the lower 20.
    pub(super) lengths: u64,
    pub(super) body_length: u64,
}

pub(super) const META_BITS: u32 = 20;

impl Packed {
    pub(super) fn new(location: Location) -> Self {
        Self {
            generation: location.generation,
            lengths: location.file_length << META_BITS | u64::from(location.meta_length),
            body_length: location.body_length,
        }
    }

    pub(super) fn location(self) -> Option<Location> {
        (self.generation != 0).then_some(Location {
            generation: self.generation,
            file_length: self.lengths >> META_BITS,
            body_length: self.body_length,
            meta_length: (self.lengths & ((1 << META_BITS) - 1)) as u32,
        })
    }
}

pub(super) struct Slot {
    /// The two halves of primary and variance; u128 would align a slot to 16.
    pub(super) key: [u64; 4],
    pub(super) file: Packed,
    /// Which object of the key; 0 for a free slot.
    pub(super) id: u64,
    pub(super) serial: u64,
    pub(super) facets: Box<[u64]>,
    /// The next slot of the same half key, or the next free one.
    pub(super) next: u32,
    pub(super) flags: u8,
    pub(super) spared: u8,
}

pub(super) fn halves(key: Key) -> [u64; 4] {
    let low = |n: u128| n as u64;
    [
        low(key.primary),
        low(key.primary >> 64),
        low(key.variance),
        low(key.variance >> 64),
    ]
}

pub(super) fn whole([a, b, c, d]: [u64; 4]) -> Key {
    Key {
        primary: u128::from(b) << 64 | u128::from(a),
        variance: u128::from(d) << 64 | u128::from(c),
    }
}

#[derive(Default)]
pub(super) struct Shard {
    pub(super) map: ByHash<u32>,
    pub(super) slots: Vec<Slot>,
    pub(super) free: Option<u32>,
    pub(super) hand: u32,
}

impl Slot {
    pub(super) fn new(new: &Arrival<'_>) -> Self {
        let mut facets = new.facets.to_vec();
        // Twice the same would be counted twice.
        facets.sort_unstable();
        facets.dedup();
        let flag = |is: bool, bit: u8| if is { bit } else { 0 };
        Self {
            key: halves(new.key),
            file: new.location.map(Packed::new).unwrap_or_default(),
            id: new.id,
            serial: new.serial,
            facets: facets.into_boxed_slice(),
            next: NONE,
            flags: flag(new.is_in_memory, IN_MEMORY) | flag(new.is_queued, QUEUED),
            spared: 0,
        }
    }

    pub(super) fn known(&self) -> Known {
        Known {
            key: whole(self.key),
            id: self.id,
            serial: self.serial,
            location: self.file.location(),
            is_in_memory: self.flags & IN_MEMORY != 0,
            is_queued: self.flags & QUEUED != 0,
        }
    }

    pub(super) fn is(&self, which: Which) -> bool {
        self.id == which.id || which.generation != 0 && self.file.generation == which.generation
    }

    pub(super) fn is_nowhere(&self) -> bool {
        self.flags & (IN_MEMORY | QUEUED) == 0 && self.file.generation == 0
    }
}

impl Shard {
    pub(super) fn find(&self, key: Key) -> Option<usize> {
        let key = halves(key);
        let mut at = *self.map.get(&key_tag(&key))?;
        while at != NONE {
            let slot = &self.slots[at as usize];
            if slot.key == key {
                return Some(at as usize);
            }
            at = slot.next;
        }
        None
    }

    /// Puts a slot into the place that was freed last, or at the end.
    pub(super) fn put(&mut self, slot: Slot) -> u32 {
        if let Some(at) = self.free {
            let place = &mut self.slots[at as usize];
            self.free = Some(place.next).filter(|next| *next != NONE);
            *place = slot;
            return at;
        }
        if self.slots.len() == self.slots.capacity() {
            // An eighth instead of the double: memory is what an index of a million objects is made of.
            self.slots.reserve_exact(self.slots.len() / 8 + 8);
        }
        self.slots.push(slot);
        (self.slots.len() - 1) as u32
    }

    pub(super) fn link(&mut self, at: u32) {
        let first = self.map.insert(key_tag(&self.slots[at as usize].key), at);
        self.slots[at as usize].next = first.unwrap_or(NONE);
    }

    pub(super) fn unlink(&mut self, at: usize) {
        let tag = key_tag(&self.slots[at].key);
        let next = self.slots[at].next;
        let first = self.map.get(&tag).copied().unwrap_or(NONE);
        if first as usize == at {
            if next == NONE {
                self.map.remove(&tag);
            } else {
                self.map.insert(tag, next);
            }
            return;
        }
        let mut before = first;
        while before != NONE {
            let slot = &mut self.slots[before as usize];
            if slot.next as usize == at {
                slot.next = next;
                return;
            }
            before = slot.next;
        }
    }
}

/// Half a key. Variants of one primary differ in it as well.
pub(super) fn key_tag(key: &[u64; 4]) -> u64 {
    key[0] ^ key[2].rotate_left(32)
}
