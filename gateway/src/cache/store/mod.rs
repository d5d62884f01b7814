//! The objects of one cache: an index, a tier in memory, a tier on disk, and what was purged.
//!
//! ```text
//!  look_up ──► memory ──► index ──► ticket ──► load ──► file      (hit: one lock of the memory tier, one word of the purges)
//!  admit ────► index ───► memory ──► queue ──► writer ──► file    (never waits for the disk)
//!  purge ────► journal ─► records ◄── keeper: sweep, evict, find what is there after a restart
//! ```
//!
//! An object is used only if its texts are those that were asked for, no hard purge is younger than it, and every byte that
//! comes from a file fits its checksum. What fails any of this is fetched again; nothing here can fail a request.
//!
//! `purges` counts facets and says what was purged, `index` knows where objects are, `memory` and `tier` are the two places,
//! `space` and `queue` bound what is written, `unlinks` has what is to be removed, `book` what was purged, `writer` and `keeper`
//! are the two threads. The order of locks is written down in `shared`.

mod admit;
mod book;
mod doorkeeper;
mod index;
mod keeper;
mod lazy;
mod lookup;
mod memory;
mod purges;
mod queue;
mod shared;
mod space;
mod stage;
mod status;
#[cfg(test)]
mod tests;
mod tier;
mod unlinks;
mod writer;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;

pub use admit::{FillMark, FillPlan, NotKept, Spill};
pub use lazy::DraftSpill;
pub use lookup::{Hit, Loaded, Look, LookUp, Ticket};
pub use purges::Purged;
pub use stage::Staged;
pub use status::StoreStatus;

use self::keeper::Keeper;
use self::purges::{Reach, Record};
use self::shared::{Shared, count};
use super::object::{Body, Key, Meta, Object};
use crate::config::plan::Cache as Plan;
use crate::kit::clock::Clock;

/// How long the end of a store waits for its threads: what is queued can mostly be written in this time.
const END_WAIT: Duration = Duration::from_secs(2);

/// The objects of one cache. Shared by all workers; dropping it ends its threads.
pub struct Store {
    shared: Arc<Shared>,
    threads: usize,
}

impl Store {
    /// Opens a cache. Never fails: a folder that cannot be opened leaves it in memory only, with the fault in
    /// [`StoreStatus::disk_fault`] and in the log, and is tried again every few seconds.
    ///
    /// `seed` is a random number: what keys are hashed with where there is no folder, and what a new folder's secret is made
    /// from.
    pub fn open(plan: &Plan, seed: u64, clock: Clock) -> Arc<Self> {
        let (shared, keeper) = Self::prepare(plan, seed, clock);
        let mut threads = 0;
        let writer = shared.clone();
        threads += spawn(&shared, "writer", move || writer::run(&writer));
        threads += spawn(&shared, "keeper", move || keeper::run(keeper));
        Arc::new(Self { shared, threads })
    }

    /// All but the threads.
    fn prepare(plan: &Plan, seed: u64, clock: Clock) -> (Arc<Shared>, Keeper) {
        let shared = Arc::new(Shared::new(plan, seed, clock));
        let mut keeper = Keeper::new(shared.clone());
        keeper.open(false);
        (shared, keeper)
    }

    /// What keys are to be hashed with: the folder's secret, so that they are the same after a restart.
    ///
    /// Changes once if the folder is opened late; what was kept in memory by then is dropped, as its keys cannot be found any
    /// more. Ask for each key.
    pub fn seed(&self) -> u64 {
        self.shared.seed.load(Ordering::Acquire)
    }

    /// An object's body as a file in memory, to be sent without a copy; None where it is to be written as it is.
    pub fn staged<'a>(&self, object: &'a Object) -> Option<&'a Staged> {
        let memory = self.shared.limits.memory.load(Ordering::Relaxed);
        self.shared.stages.of(object, memory / stage::MEMORY_SHARE)
    }

    /// What there is of a key. `is_it` compares the texts of the key and its variance, should two of them have one hash.
    ///
    /// Takes one lock of the memory tier for reading, and one of the index if it is not there. Allocates nothing. After a
    /// restart the folder is walked through in the background; what was not come to yet is not there.
    pub fn look_up(&self, key: Key, is_it: impl FnOnce(&Meta) -> bool) -> LookUp {
        self.shared.look_up(key, Look::Use, is_it)
    }

    /// The same, where a look may be one that leaves no trace: then neither does [`load`](Self::load) with its ticket.
    pub fn look(&self, key: Key, look: Look, is_it: impl FnOnce(&Meta) -> bool) -> LookUp {
        self.shared.look_up(key, look, is_it)
    }

    /// Reads an object from disk, checked. Small ones come with their bytes and are in memory from now on; the body of
    /// others is read from the open file, block by block.
    ///
    /// `may_wait` false reads only what the system has in memory, and is for threads that must not wait for a disk.
    pub fn load(&self, ticket: &Ticket, may_wait: bool, is_it: impl FnOnce(&Meta) -> bool) -> Loaded {
        self.shared.load(ticket, may_wait, is_it)
    }

    /// How an answer that is about to be fetched for `key` may be kept. Counts a request for it: ask once for each fill.
    pub fn plan_fill(&self, key: Key, length: Option<u64>) -> Result<FillPlan, NotKept> {
        self.shared.plan_fill(key, length)
    }

    /// Whether an answer of that length could be kept, if it is asked for often enough. Counts nothing.
    pub fn holds(&self, length: u64) -> bool {
        self.shared.holds(length)
    }

    /// Begins a fill, before the origin is asked: its serial is for [`Meta::serial`]. To be held until the object is admitted;
    /// a purge that came between then reaches it.
    pub fn begin_fill(&self) -> FillMark {
        admit::begin_fill(&self.shared)
    }

    /// Fills in flight.
    pub fn fills_in_flight(&self) -> usize {
        self.shared.purges.in_flight()
    }

    /// A file for a fill that is too long for memory; None if there is no disk to write to.
    pub fn draft(&self) -> Option<Spill> {
        admit::draft(&self.shared)
    }

    /// Keeps an answer in place of the key's former one: in memory at once, on disk when it was asked for often enough and
    /// the writer has room. None if a purge reached it meanwhile or it is too large.
    pub fn admit(&self, key: Key, meta: Meta, body: Bytes) -> Option<Arc<Object>> {
        self.shared.admit(key, meta, body)
    }

    /// The same for an answer that was written to a draft. Waits for the disk.
    pub fn admit_draft(&self, key: Key, meta: Meta, draft: &Spill) -> Option<Arc<Object>> {
        self.shared.admit_draft(key, meta, draft)
    }

    /// Gives an object a new head: for a validation. The new object is not kept if the old one is not any more, or if a purge
    /// reached it.
    pub fn freshen(&self, old: &Arc<Object>, meta: Meta) -> Arc<Object> {
        self.shared.freshen(old, meta)
    }

    /// Forgets the object of a key. Whether there was one.
    ///
    /// Its file is removed in a moment by the store's own thread: an end of the process right now may bring it back. What must
    /// not come back is purged.
    pub fn remove(&self, key: Key) -> bool {
        self.shared.remove(key, None)
    }

    /// Forgets an object, unless its key has another one by now.
    pub fn remove_if(&self, object: &Object) -> bool {
        self.shared.remove(object.key, Some(Shared::which(object)))
    }

    /// Forgets an object whose file was found not to be what was written, and counts it.
    pub fn remove_damaged(&self, object: &Object) {
        count(&self.shared.counters.damaged);
        let mut which = Shared::which(object);
        // By its file: an object that was made for one answer alone has no place here, but it has the file of one.
        if let Body::File(file) = &object.body {
            which.generation = file.location().generation;
        }
        self.shared.remove(object.key, Some(which));
    }

    /// The serial of the last purge. A fill takes its own from [`Store::begin_fill`].
    pub fn serial(&self) -> u64 {
        self.shared.purges.serial()
    }

    /// Purges all objects that have one of the facets, in memory, on disk, and in fills in flight. Softly: they may still be
    /// used as stale ones.
    ///
    /// In effect when this returns, after a restart too. Costs the same whatever it reaches. Writes to the journal, which the
    /// system takes into memory: no lock that is taken for it is held by anybody who waits for the disk.
    pub fn purge(&self, facets: &[u64], is_soft: bool) -> Purged {
        let shared = &self.shared;
        let is_complete = shared.is_complete.load(Ordering::Acquire);
        let at_ms = shared.clock.now().unix_ms();
        count(if is_soft {
            &shared.counters.soft_purges
        } else {
            &shared.counters.hard_purges
        });
        shared.purges.purge(facets, is_soft, is_complete, |serial| {
            let record = if is_soft {
                Record {
                    hard: 0,
                    soft: serial,
                }
            } else {
                Record {
                    hard: serial,
                    soft: 0,
                }
            };
            let lines: Vec<_> = facets
                .iter()
                .flat_map(|facet| tier::lines(*facet, record, at_ms))
                .collect();
            match shared.tier.load_full() {
                Some(tier) => tier.note(&lines),
                None => shared.path.as_ref().map(|path| {
                    format!(
                        "{}: is not open: the purge reaches what is in it when it is, unless this process ends before",
                        path.display()
                    )
                }),
            }
        })
    }

    /// Whether a hard purge has reached a fill with this serial and these facets.
    pub fn reaches(&self, serial: u64, facets: &[u64]) -> bool {
        self.shared.purges.reach_new(serial, facets) == Reach::Hard
    }

    /// Whether this store can become what the plan says: the folder stays what it is, or is not used any more.
    pub fn can_become(&self, plan: &Plan) -> bool {
        plan.disk == 0 || plan.path == self.shared.path
    }

    /// Takes over new limits. What fits into them stays; the rest is evicted, from disk in the background.
    pub fn resize(&self, plan: &Plan) {
        self.shared.resize(plan);
    }

    /// How it is doing. Walks through the parts of the memory tier, not through objects.
    pub fn status(&self) -> StoreStatus {
        status::status(&self.shared)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.shared.queue.close();
        let bell = &self.shared.bell;
        let mut rung = bell.state.lock();
        rung.is_closed = true;
        bell.rings.notify_all();
        // A disk that hangs must not hang the process.
        let threads = self.threads;
        bell.rings
            .wait_while_for(&mut rung, |rung| rung.ended < threads, END_WAIT);
    }
}

impl Shared {
    fn resize(&self, plan: &Plan) {
        let limits = &self.limits;
        limits.object.store(plan.max_object, Ordering::Relaxed);
        limits.min_uses.store(plan.min_uses.max(1), Ordering::Relaxed);
        limits.disk.store(plan.disk, Ordering::Relaxed);
        if self.space.limit() != plan.disk {
            self.space.resize(plan.disk);
        }
        let memory = limits.memory.swap(plan.memory, Ordering::Relaxed);
        if memory != plan.memory {
            self.memory
                .resize(plan.memory - plan.memory / stage::MEMORY_SHARE);
        }
        if plan.memory < memory {
            self.forget_left();
        }
        self.bell.ring();
    }

    /// Finds out what left memory without a word.
    fn forget_left(&self) {
        for part in 0..index::SHARDS {
            let mut in_memory = Vec::new();
            let mut from = Some(0);
            while let Some(at) = from {
                from = self
                    .index
                    .sweep(part, at, &self.purges, &mut Vec::new(), |known, _| {
                        if known.is_in_memory {
                            in_memory.push((known.key, known.id));
                        }
                        true
                    });
            }
            for (key, id) in in_memory {
                if self.memory.peek(key).is_none_or(|object| object.mark.id != id) {
                    self.index.left_memory(key, id, false, &self.purges);
                }
            }
        }
    }
}

/// Starts a thread; how many were.
fn spawn(shared: &Arc<Shared>, what: &str, work: impl FnOnce() + Send + 'static) -> usize {
    let bell = shared.bell.clone();
    let thread = std::thread::Builder::new().name(format!("cache-{what}"));
    let spawned = thread.spawn(move || {
        // Takes its part in the store with it: the folder is free when the store's end has waited for this.
        work();
        bell.state.lock().ended += 1;
        bell.rings.notify_all();
    });
    match spawned {
        Ok(_) => 1,
        Err(error) => {
            log::warn!(
                "cache {}: no thread for its {what}: {error}: raise the limit of threads",
                shared.name
            );
            0
        }
    }
}
