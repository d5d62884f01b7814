//! From an origin's answer to an object, and what becomes of it.

use std::io;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use super::index::Arrival;
use super::purges::Reach;
use super::queue::Job;
use super::shared::{Shared, count};
use super::space::rounded;
use super::writer::estimate;
use crate::cache::disk::Draft;
use crate::cache::object::{Body, Key, Meta, Object};

/// Bytes of disk a draft takes at a time, and the part of the tier they may be.
const STEP_MAX: u64 = 1 << 20;
const STEP_MIN: u64 = 64 * 1024;
const STEP_SHARE: u64 = 256;

/// How a fill may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FillPlan {
    /// Up to so many bytes it is kept in memory and admitted with [`Store::admit`](super::Store::admit).
    pub memory_bytes_max: u64,
    /// A longer one may go to a draft; otherwise it is not kept.
    pub may_spill: bool,
    /// Bytes of the longest one that is kept.
    pub length_max: u64,
}

/// Why a fill is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotKept {
    /// It is larger than an object may be.
    TooLarge,
    /// It is too large for memory, and was not asked for often enough to go to disk.
    TooSeldom,
}

/// A fill that purges have to think of, until it is dropped: see [`Store::begin_fill`](super::Store::begin_fill).
pub struct FillMark {
    shared: Arc<Shared>,
    serial: u64,
}

impl FillMark {
    /// For [`Meta::serial`].
    pub fn serial(&self) -> u64 {
        self.serial
    }
}

impl Drop for FillMark {
    fn drop(&mut self) {
        self.shared.purges.end(self.serial);
    }
}

/// A [`Draft`] whose bytes count against the disk tier's limit while they are written.
pub struct Spill {
    draft: Draft,
    shared: Arc<Shared>,
    /// Bytes that are counted for it.
    taken: AtomicU64,
}

impl Deref for Spill {
    type Target = Draft;
    fn deref(&self) -> &Draft {
        &self.draft
    }
}

impl Spill {
    /// Adds to the body; returns its new length. May wait for the disk, and up to a second for room on it.
    ///
    /// After an error the draft is as it was before: StorageFull if there is no room, FileTooLarge beyond the largest object.
    pub fn append(&self, bytes: &[u8]) -> io::Result<u64> {
        let after = self.draft.length() + bytes.len() as u64;
        if after > self.shared.disk_object_max() {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let taken = self.taken.load(Ordering::Relaxed);
        if after > taken {
            let step = (self.shared.space.limit() / STEP_SHARE).clamp(STEP_MIN, STEP_MAX);
            let more = rounded((after - taken).max(step));
            if !self
                .shared
                .space
                .take(more, self.shared.room_wait(), || self.shared.bell.ring())
            {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.taken.fetch_add(more, Ordering::Relaxed);
        }
        self.draft
            .append(bytes)
            .inspect_err(|error| self.shared.pause(error))
    }
}

impl Drop for Spill {
    fn drop(&mut self) {
        self.shared.space.free(*self.taken.get_mut());
    }
}

/// Begins a fill.
pub fn begin_fill(shared: &Arc<Shared>) -> FillMark {
    let serial = shared.purges.begin();
    FillMark {
        shared: shared.clone(),
        serial,
    }
}

/// Begins a draft, if there is a disk that can be written.
pub fn draft(shared: &Arc<Shared>) -> Option<Spill> {
    let tier = shared.writable()?;
    let draft = tier
        .folder
        .draft()
        .inspect_err(|error| shared.pause(error))
        .ok()?;
    Some(Spill {
        draft,
        shared: shared.clone(),
        taken: AtomicU64::new(0),
    })
}

impl Shared {
    pub fn holds(&self, length: u64) -> bool {
        let (memory_max, disk_max) = self.longest();
        length <= memory_max.max(disk_max)
    }

    /// Bytes of the longest answer that memory takes, and of the longest that the disk does.
    fn longest(&self) -> (u64, u64) {
        let object_max = self.limits.object.load(Ordering::Relaxed);
        let memory_max = self.memory_object_max().min(object_max);
        let has_disk = self.writable().is_some();
        (memory_max, if has_disk { self.disk_object_max() } else { 0 })
    }

    pub fn plan_fill(&self, key: Key, length: Option<u64>) -> Result<FillPlan, NotKept> {
        let (memory_max, disk_max) = self.longest();
        let min_uses = self.min_uses();
        let is_wanted = min_uses <= 1 || self.doorkeeper.add(key, 1) >= min_uses;
        let length_max = if is_wanted {
            memory_max.max(disk_max)
        } else {
            memory_max
        };
        match length {
            Some(length) if length > memory_max.max(disk_max) => Err(NotKept::TooLarge),
            Some(length) if length > length_max => Err(NotKept::TooSeldom),
            _ => Ok(FillPlan {
                memory_bytes_max: memory_max,
                may_spill: length_max > memory_max,
                length_max,
            }),
        }
    }

    /// How often a key was asked for, up to what brings it to disk.
    fn uses(&self, key: Key) -> u32 {
        if self.min_uses() <= 1 {
            1
        } else {
            self.doorkeeper.add(key, 0).max(1)
        }
    }

    pub fn admit(&self, key: Key, meta: Meta, body: Bytes) -> Option<Arc<Object>> {
        let serial = meta.serial;
        let _flight = self.flight(serial);
        let max = self
            .memory_object_max()
            .min(self.limits.object.load(Ordering::Relaxed));
        if body.len() as u64 > max || self.purges.reach_new(serial, &meta.facets.0) == Reach::Hard {
            return None;
        }
        if self.is_held_back() {
            return None;
        }
        let uses = self.uses(key);
        let is_wanted = uses >= self.min_uses();
        let is_queued = is_wanted && self.writable().is_some();
        if is_wanted && !is_queued && self.is_paused.load(Ordering::Relaxed) {
            count(&self.counters.skipped_writes);
        }
        let object = self.object(key, meta, Body::Memory(body), self.next_id(), 0);
        object.mark.uses.store(uses, Ordering::Relaxed);
        let object = Arc::new(object);
        self.arrive(&object, is_queued)?;
        if is_queued {
            if self.min_uses() > 1 {
                self.doorkeeper.forget(key);
            }
            self.push(Job::Write(object.clone()));
        }
        Some(object)
    }

    /// Index, purges, memory, in this order; None if it has no place after all.
    fn arrive(&self, object: &Arc<Object>, is_queued: bool) -> Option<()> {
        let id = object.mark.id;
        let arrival = Arrival {
            is_in_memory: true,
            is_queued,
            ..arrival(object)
        };
        let _hold = self.hold();
        let old = self.index.insert(arrival, &self.purges).ok()?;
        let is_kept = !self.is_reached(object) && self.keep_in_memory(object);
        if let Some(old) = old {
            // After the new one is there, so that nobody finds neither of them in memory.
            self.dispose(&old);
        }
        if is_kept {
            return Some(());
        }
        // Too heavy for memory, or replaced or removed in this moment; what waits to be written is kept all the same.
        self.index
            .find(object.key)
            .filter(|known| known.id == id)
            .map(|_| ())
    }

    /// Whether a purge has come between; then it goes again.
    fn is_reached(&self, object: &Object) -> bool {
        let is_reached = self.purges.reach_new(object.meta.serial, &object.meta.facets.0) == Reach::Hard;
        if is_reached {
            self.remove(object.key, Some(Self::which(object)));
        }
        is_reached
    }

    pub fn admit_draft(&self, key: Key, meta: Meta, spill: &Spill) -> Option<Arc<Object>> {
        let serial = meta.serial;
        let _flight = self.flight(serial);
        let tier = self.writable()?;
        let length = spill.draft.length();
        if length > self.disk_object_max() || self.purges.reach_new(serial, &meta.facets.0) == Reach::Hard {
            return None;
        }
        let estimate = estimate(length, &meta);
        let more = estimate.saturating_sub(spill.taken.load(Ordering::Relaxed));
        if !self.space.take(more, self.room_wait(), || self.bell.ring()) {
            count(&self.counters.skipped_writes);
            return None;
        }
        spill.taken.fetch_add(more, Ordering::Relaxed);
        let (location, file) = match spill.draft.finish(key, tier.next_generation(), &meta) {
            Ok(placed) => placed,
            Err(error) => {
                count(&self.counters.failed_writes);
                self.pause(&error);
                return None;
            }
        };
        // The file is the index's from here on.
        self.space.correct(
            spill.taken.swap(0, Ordering::Relaxed),
            rounded(location.file_length),
        );
        self.doorkeeper.forget(key);
        let object = self.object(
            key,
            meta,
            Body::File(Arc::new(file)),
            self.next_id(),
            location.generation,
        );
        let object = Arc::new(object);
        {
            let _hold = self.hold();
            let arrival = Arrival {
                location: Some(location),
                ..arrival(&object)
            };
            match self.index.insert(arrival, &self.purges) {
                Ok(Some(old)) => self.dispose(&old),
                Ok(None) => {}
                Err(()) => {
                    self.dispose_file(key, &location);
                    return None;
                }
            }
        }
        if self.space.is_tight() {
            self.bell.ring();
        }
        (!self.is_reached(&object)).then_some(object)
    }

    pub fn freshen(&self, old: &Arc<Object>, meta: Meta) -> Arc<Object> {
        let _flight = self.flight(meta.serial);
        let key = old.key;
        let is_in_memory = matches!(old.body, Body::Memory(_));
        let object = self.object(key, meta, old.body.clone(), self.next_id(), old.mark.generation);
        object
            .mark
            .uses
            .store(old.mark.uses.load(Ordering::Relaxed), Ordering::Relaxed);
        let object = Arc::new(object);
        // What a purge has reached while it was held in hand is not made young by a validation: its bytes are from before.
        // One that was forgotten since does not count, since the object has then lost its place.
        let is_purged = self.purges.reach(old.meta.serial, &old.meta.facets.0) == Reach::Hard;
        if is_purged || self.purges.reach_new(object.meta.serial, &object.meta.facets.0) == Reach::Hard {
            self.remove(key, Some(Self::which(old)));
            return object;
        }
        let arrival = Arrival {
            is_in_memory,
            is_queued: true,
            ..arrival(&object)
        };
        let Some(known) = self.index.renew(Self::which(old), arrival, &self.purges) else {
            return object;
        };
        if is_in_memory && !self.is_reached(&object) {
            self.keep_in_memory(&object);
        }
        self.memory.remove(key, old.mark.id);
        // One that was on its way to disk has to set out again: its job knows the old number.
        let is_wanted = self.uses_of(&object) >= self.min_uses() && self.writable().is_some();
        match known.location {
            Some(_) => self.push(Job::Renew(object.clone())),
            None if is_wanted => self.push(Job::Write(object.clone())),
            None => _ = self.index.not_stored(key, object.mark.id, &self.purges),
        }
        object
    }

    fn uses_of(&self, object: &Object) -> u32 {
        object.mark.uses.load(Ordering::Relaxed)
    }
}

fn arrival(object: &Object) -> Arrival<'_> {
    Arrival {
        key: object.key,
        id: object.mark.id,
        serial: object.meta.serial,
        facets: &object.meta.facets.0,
        location: None,
        is_in_memory: false,
        is_queued: false,
    }
}
