//! From a key to an object.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::index::Which;
use super::purges::Reach;
use super::queue::Job;
use super::shared::{Shared, count};
use crate::cache::disk::{DiskFault, Location, ReadFault, StoredFile};
use crate::cache::object::{Body, Key, Meta, Object};

/// What a store has of a key.
#[derive(Debug)]
pub enum LookUp {
    /// An object in memory.
    Hit(Hit),
    /// One on disk, to be read with [`Store::load`](super::Store::load).
    OnDisk(Ticket),
    /// None that may be used.
    Nothing,
}

/// An object that may be used.
#[derive(Clone, Debug)]
pub struct Hit {
    /// It.
    pub object: Arc<Object>,
    /// It is stale, whatever its freshness says.
    pub is_soft_purged: bool,
}

/// Where an object is on disk, or was a moment ago.
#[derive(Clone, Copy, Debug)]
pub struct Ticket {
    key: Key,
    serial: u64,
    look: Look,
}

/// Whether a look at an object is a use of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Look {
    /// It spares the object from eviction, counts towards its place on disk, and brings it from there to memory.
    #[default]
    Use,
    /// Nothing of it is noted, and nothing changes its place.
    Peek,
}

/// What came of reading an object.
#[derive(Debug)]
pub enum Loaded {
    /// It may be used.
    Hit(Hit),
    /// The disk has to be waited for: ask again from a thread that may wait.
    WouldWait,
    /// It is gone, purged, damaged, or of another key.
    Nothing,
}

impl Shared {
    pub fn look_up(&self, key: Key, look: Look, is_it: impl FnOnce(&Meta) -> bool) -> LookUp {
        if let Some(object) = self.in_memory(key, look) {
            return match self.check(object, look, is_it) {
                Some(hit) => LookUp::Hit(hit),
                None => LookUp::Nothing,
            };
        }
        if self.index.on_disk() == 0 {
            return LookUp::Nothing;
        }
        match self.index.ask(key, look == Look::Use, &self.purges) {
            Some((known, Reach::Not | Reach::Soft)) if known.location.is_some() => LookUp::OnDisk(Ticket {
                key,
                serial: known.serial,
                look,
            }),
            _ => LookUp::Nothing,
        }
    }

    fn in_memory(&self, key: Key, look: Look) -> Option<Arc<Object>> {
        match look {
            Look::Use => self.memory.ask(key),
            Look::Peek => self.memory.peek(key),
        }
    }

    /// What was found in memory.
    fn check(&self, object: Arc<Object>, look: Look, is_it: impl FnOnce(&Meta) -> bool) -> Option<Hit> {
        if !is_it(&object.meta) {
            return None;
        }
        let is_soft_purged = self.is_soft_purged(&object)?;
        if look == Look::Use {
            self.note_use(&object);
        }
        Some(Hit {
            object,
            is_soft_purged,
        })
    }

    fn note_use(&self, object: &Arc<Object>) {
        if !object.mark.is_touched.load(Ordering::Relaxed) {
            object.mark.is_touched.store(true, Ordering::Relaxed);
        }
        let min_uses = self.min_uses();
        if min_uses > 1 && object.mark.uses.load(Ordering::Relaxed) < min_uses {
            self.count_use(object, min_uses);
        }
    }

    fn count_use(&self, object: &Arc<Object>, min_uses: u32) {
        let uses = object.mark.uses.fetch_add(1, Ordering::Relaxed) + 1;
        if uses == min_uses && self.writable().is_some() && self.index.queue(object.key, object.mark.id) {
            self.doorkeeper.forget(object.key);
            self.push(Job::Write(object.clone()));
        }
    }

    pub fn load(&self, ticket: &Ticket, may_wait: bool, is_it: impl FnOnce(&Meta) -> bool) -> Loaded {
        // From here on a purge that reaches it is not forgotten before it is in memory, or handed out.
        let _flight = self.flight(ticket.serial);
        let look = ticket.look;
        let Some((known, reach)) = self.index.ask(ticket.key, look == Look::Use, &self.purges) else {
            return Loaded::Nothing;
        };
        if known.is_in_memory
            && let Some(object) = self.in_memory(ticket.key, look)
        {
            return self
                .check(object, look, is_it)
                .map_or(Loaded::Nothing, Loaded::Hit);
        }
        let Some((location, tier)) = known.location.zip(self.tier.load_full()) else {
            return Loaded::Nothing;
        };
        if reach == Reach::Hard {
            return Loaded::Nothing;
        }
        let opened = match may_wait {
            true => tier.folder.open_object(ticket.key, &location).map(Some),
            false => tier.folder.open_object_now(ticket.key, &location),
        };
        let file = match opened {
            Ok(Some(file)) => file,
            Ok(None) => return Loaded::WouldWait,
            Err(_) if look == Look::Peek => return Loaded::Nothing,
            Err(fault) => return self.lose(ticket.key, &location, &fault),
        };
        match self.read(file, may_wait) {
            Ok(Some((meta, body))) => self.hand_out(ticket, &location, meta, body, is_it),
            Ok(None) => Loaded::WouldWait,
            Err(_) if look == Look::Peek => Loaded::Nothing,
            Err(fault) => self.lose(ticket.key, &location, &fault),
        }
    }

    fn read(&self, file: StoredFile, may_wait: bool) -> Result<Option<(Meta, Body)>, ReadFault> {
        if file.location().body_length <= self.memory_object_max() {
            let whole = file.read_whole(may_wait)?;
            return Ok(whole.map(|(meta, bytes)| (meta, Body::Memory(bytes))));
        }
        let meta = file.meta(may_wait)?;
        Ok(meta.map(|meta| (meta, Body::File(Arc::new(file)))))
    }

    fn hand_out(
        &self,
        ticket: &Ticket,
        location: &Location,
        meta: Meta,
        body: Body,
        is_it: impl FnOnce(&Meta) -> bool,
    ) -> Loaded {
        if !is_it(&meta) {
            return Loaded::Nothing;
        }
        let (key, is_used) = (ticket.key, ticket.look == Look::Use);
        let goes_to_memory = is_used && matches!(body, Body::Memory(_));
        let id = self.next_id();
        let object = self.object(key, meta, body, id, location.generation);
        object.mark.uses.store(u32::MAX, Ordering::Relaxed);
        let object = Arc::new(object);
        let Some(is_soft_purged) = self.is_soft_purged(&object) else {
            return Loaded::Nothing;
        };
        if goes_to_memory && self.index.promote(key, location.generation, id) {
            self.keep_in_memory(&object);
        }
        Loaded::Hit(Hit {
            object,
            is_soft_purged,
        })
    }

    /// An object cannot be read: it is forgotten.
    fn lose(&self, key: Key, location: &Location, fault: &ReadFault) -> Loaded {
        if let ReadFault::Io(error) = fault
            && DiskFault::of(error) == DiskFault::Descriptors
        {
            count(&self.counters.failed_reads);
            return Loaded::Nothing;
        }
        let _hold = self.hold();
        // Whoever evicts or replaces it between the look into the index and the read has taken it out already.
        if let Some(location) = self.index.drop_file(key, location.generation, &self.purges) {
            self.note_unreadable(fault);
            self.dispose_file(key, &location);
        }
        Loaded::Nothing
    }

    /// Counts a file that cannot be used.
    pub fn note_unreadable(&self, fault: &ReadFault) {
        match fault {
            ReadFault::Gone | ReadFault::Damaged(_) | ReadFault::Foreign => count(&self.counters.damaged),
            ReadFault::Io(_) => count(&self.counters.failed_reads),
        }
        log::warn!(
            "cache {}: an object on disk cannot be used and is fetched again: {fault}",
            self.name
        );
    }

    /// Which object of its key this is.
    pub fn which(object: &Object) -> Which {
        Which {
            id: object.mark.id,
            generation: object.mark.generation,
        }
    }
}
