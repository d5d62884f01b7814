//! What the handle of a store, its threads, its fills and its drafts have in common.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use parking_lot::{Condvar, Mutex};

use super::doorkeeper::Doorkeeper;
use super::index::{Index, Which};
use super::memory::Memory;
use super::purges::{Purges, Reach};
use super::queue::{Job, Queue};
use super::space::Space;
use super::stage::{MEMORY_SHARE, Stages};
use super::tier::Tier;
use super::unlinks::Unlinks;
use crate::cache::disk::DiskFault;
use crate::cache::object::{Body, Held, Key, Mark, Meta, Object};
use crate::config::plan::Cache as Plan;
use crate::kit::clock::Clock;

/// Bytes of the largest object in memory where there is a disk for larger ones: a hit from disk costs little beside the
/// time it takes to send a mebibyte.
const MEMORY_OBJECT_MAX: u64 = 1 << 20;
/// The part of the memory tier one object may take where there is a disk, and where there is none.
const MEMORY_SHARE_WITH_DISK: u64 = 16;
const MEMORY_SHARE_WITHOUT_DISK: u64 = 8;
/// The part of the disk tier one object may take.
const DISK_SHARE: u64 = 4;
/// How long a write waits for room before it is left out: many rounds of the keeper.
const ROOM_WAIT: Duration = Duration::from_secs(1);

/// What a plan says, as it is now.
pub struct Limits {
    pub memory: AtomicU64,
    pub disk: AtomicU64,
    pub object: AtomicU64,
    pub min_uses: AtomicU32,
}

/// Numbers that only grow.
#[derive(Default)]
pub struct Counters {
    pub evicted_memory: AtomicU64,
    pub evicted_disk: AtomicU64,
    pub damaged: AtomicU64,
    pub skipped_writes: AtomicU64,
    pub failed_writes: AtomicU64,
    pub failed_reads: AtomicU64,
    pub hard_purges: AtomicU64,
    pub soft_purges: AtomicU64,
}

/// Adds one.
pub fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Wakes the keeper, and ends it.
#[derive(Default)]
pub struct Bell {
    pub state: Mutex<Rung>,
    pub rings: Condvar,
}

/// What the keeper was told.
#[derive(Default)]
pub struct Rung {
    pub is_rung: bool,
    pub is_closed: bool,
    /// Threads that have ended.
    pub ended: usize,
}

impl Bell {
    pub fn ring(&self) {
        self.state.lock().is_rung = true;
        self.rings.notify_all();
    }
}

/// Order of locks. No two of these are held at once, except along an arrow:
///
/// * a part of the index → a part of the purges' table
/// * the turn of purges → a part of their table; the turn → the journal; the turn → the flights
///
/// A part of the memory tier, the queue, the space, the bell, the files to be removed and the doorkeeper are held alone.
/// The file system is called under none of them but two: the journal, whose lines come in the order of purges, and the disk
/// module's own. The disk is waited for under neither: see `book`.
///
/// Whoever brings or takes an object goes through the index first and through memory second, and looks into the index again
/// after an insertion into memory: an object that lost its place meanwhile is taken out. So whatever is found in memory for
/// longer than a moment is in the index, and whatever a purge has to reach is counted.
pub struct Shared {
    pub name: String,
    pub path: Option<PathBuf>,
    pub clock: Clock,
    pub seed: AtomicU64,
    pub random: Mutex<u64>,
    pub limits: Limits,
    pub memory: Memory,
    /// Bytes of all bodies in memory that somebody has: the tier, or a client that is still being sent one.
    pub bodies: Arc<AtomicU64>,
    /// Large bodies as files in memory.
    pub stages: Arc<Stages>,
    pub index: Index,
    pub purges: Purges,
    pub doorkeeper: Doorkeeper,
    pub tier: ArcSwapOption<Tier>,
    pub space: Space,
    pub queue: Queue,
    pub unlinks: Unlinks,
    /// Apart, because it is rung once more by a thread that has given up everything else.
    pub bell: Arc<Bell>,
    pub counters: Counters,
    /// Every object there is is in the index.
    pub is_complete: AtomicBool,
    /// Nothing is written to disk because of a fault, which the keeper tries to get over.
    pub is_paused: AtomicBool,
    pub fault: Mutex<Option<String>>,
    /// How long a write waits for room.
    pub room_wait: Duration,
    ids: AtomicU64,
}

/// A fill that purges have to think of, until it is dropped.
pub struct Flight<'a> {
    purges: &'a Purges,
    serial: u64,
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.purges.end(self.serial);
    }
}

impl Shared {
    pub fn new(plan: &Plan, seed: u64, clock: Clock) -> Self {
        let path = plan.path.clone().filter(|_| plan.disk != 0);
        let space = Space::default();
        space.resize(plan.disk);
        Self {
            name: plan.name.clone(),
            clock,
            seed: AtomicU64::new(seed),
            random: Mutex::new(seed),
            limits: Limits {
                memory: AtomicU64::new(plan.memory),
                disk: AtomicU64::new(plan.disk),
                object: AtomicU64::new(plan.max_object),
                min_uses: AtomicU32::new(plan.min_uses.max(1)),
            },
            bodies: Arc::default(),
            memory: Memory::new(plan.memory - plan.memory / MEMORY_SHARE, path.is_some()),
            stages: Arc::default(),
            index: Index::default(),
            purges: Purges::default(),
            doorkeeper: Doorkeeper::default(),
            tier: ArcSwapOption::empty(),
            space,
            queue: Queue::default(),
            unlinks: Unlinks::default(),
            bell: Arc::default(),
            counters: Counters::default(),
            is_complete: AtomicBool::new(path.is_none()),
            is_paused: AtomicBool::new(false),
            fault: Mutex::default(),
            path,
            room_wait: ROOM_WAIT,
            ids: AtomicU64::new(0),
        }
    }

    /// How long a write waits for room: not at all when nobody evicts any more.
    pub fn room_wait(&self) -> Duration {
        if self.queue.is_closed() {
            Duration::ZERO
        } else {
            self.room_wait
        }
    }

    pub fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The folder, if something may be written to it.
    pub fn writable(&self) -> Option<Arc<Tier>> {
        let is_wanted =
            self.limits.disk.load(Ordering::Relaxed) != 0 && !self.is_paused.load(Ordering::Relaxed);
        // Until all that is in the folder is known nobody can say how much more it may hold.
        let is_known = self.is_complete.load(Ordering::Acquire) || self.space.has_blind_room();
        (is_wanted && is_known).then(|| self.tier.load_full()).flatten()
    }

    pub fn memory_object_max(&self) -> u64 {
        let memory = self.limits.memory.load(Ordering::Relaxed);
        let max = match self.writable() {
            Some(_) => MEMORY_OBJECT_MAX.min(memory / MEMORY_SHARE_WITH_DISK),
            None => memory / MEMORY_SHARE_WITHOUT_DISK,
        };
        max.min(self.memory.object_max())
    }

    /// Bytes of the largest object that may go to disk.
    pub fn disk_object_max(&self) -> u64 {
        let disk = self.limits.disk.load(Ordering::Relaxed) / DISK_SHARE;
        disk.min(self.limits.object.load(Ordering::Relaxed))
    }

    pub fn min_uses(&self) -> u32 {
        self.limits.min_uses.load(Ordering::Relaxed)
    }

    /// Keeps a purge at this serial from being forgotten.
    pub fn flight(&self, serial: u64) -> Flight<'_> {
        self.purges.begin_at(serial);
        Flight {
            purges: &self.purges,
            serial,
        }
    }

    /// Keeps every purge from being forgotten: for the moment in which a file is known to nobody but its remover.
    pub fn hold(&self) -> Flight<'_> {
        self.flight(0)
    }

    /// Whether clients hold as much of what has left memory as memory may hold. What they read slowly cannot be freed:
    /// nothing is to be put in its place then, or a few hundred of them would be as many bodies beside the tier.
    pub fn is_held_back(&self) -> bool {
        let limit = self.limits.memory.load(Ordering::Relaxed);
        // Besides the tier: what waits to be written may be as much, too.
        let shares = if self.path.is_some() { 3 } else { 2 };
        self.bodies.load(Ordering::Relaxed) > limit.saturating_mul(shares)
    }

    /// An object with its number.
    pub fn object(&self, key: Key, meta: Meta, body: Body, id: u64, generation: u64) -> Object {
        let mut object = Object::new(key, meta, body);
        object.mark = Mark {
            id,
            generation,
            weight: object.weight(),
            _held: Some(Held::new(&self.bodies, object.body.memory_bytes())),
            ..Mark::default()
        };
        object
    }

    /// Whether an object may be used, and whether it is softly purged. None: it may not.
    pub fn is_soft_purged(&self, object: &Object) -> Option<bool> {
        // Before the records are looked at: a purge that comes after this is found by the next look-up.
        let serial = self.purges.serial();
        let checked = object.mark.checked.load(Ordering::Relaxed);
        if checked >> 1 == serial {
            return Some(checked & 1 == 1);
        }
        let is_soft = match self.purges.reach(object.meta.serial, &object.meta.facets.0) {
            Reach::Hard => return None,
            Reach::Soft => true,
            Reach::Not => false,
        };
        object
            .mark
            .checked
            .store(serial << 1 | u64::from(is_soft), Ordering::Relaxed);
        Some(is_soft)
    }

    /// Puts an object that the index knows into memory. False if it has lost its place meanwhile.
    pub fn keep_in_memory(&self, object: &Arc<Object>) -> bool {
        let (key, id) = (object.key, object.mark.id);
        for left in self.memory.insert(object.clone()) {
            self.note_left(&left, key);
        }
        let is_there = self
            .index
            .find(key)
            .is_some_and(|known| known.id == id && known.is_in_memory);
        if !is_there {
            self.memory.remove(key, id);
        }
        is_there
    }

    /// An object left memory because of another one.
    fn note_left(&self, left: &Object, by: Key) {
        let was_used = left.mark.is_touched.load(Ordering::Relaxed);
        let gone = self
            .index
            .left_memory(left.key, left.mark.id, was_used, &self.purges);
        if left.key != by {
            count(&self.counters.evicted_memory);
        }
        let uses = left.mark.uses.load(Ordering::Relaxed);
        if gone.is_some() && self.min_uses() > 1 && uses > 1 {
            // The first use was counted when it was filled.
            self.doorkeeper.add(left.key, uses - 1);
        }
    }

    /// Forgets an object, wherever it is. Whether there was one.
    pub fn remove(&self, key: Key, which: Option<Which>) -> bool {
        let _hold = self.hold();
        let known = self.index.remove(key, which, &self.purges);
        if let Some(known) = &known {
            self.dispose(known);
        }
        known.is_some()
    }

    /// Queues an object to be written, if it waits in the index already. If there is no room it stays where it is.
    pub fn push(&self, job: Job) {
        let Err(job) = self.queue.push(job, self.limits.memory.load(Ordering::Relaxed)) else {
            return;
        };
        count(&self.counters.skipped_writes);
        self.give_up(&job);
    }

    /// A job cannot be done. A file whose head could not be renewed must go: it does not know what it can be purged by.
    pub fn give_up(&self, job: &Job) {
        let (Job::Write(object) | Job::Renew(object)) = job;
        let _hold = self.hold();
        if let Some(known) = self.index.find(object.key)
            && known.id == object.mark.id
            && let (Job::Renew(_), Some(location)) = (job, known.location)
            && let Some(location) = self
                .index
                .drop_file(object.key, location.generation, &self.purges)
        {
            self.dispose_file(object.key, &location);
        }
        self.index.not_stored(object.key, object.mark.id, &self.purges);
    }

    /// What an error of the disk means for what is to be written after it.
    pub fn pause(&self, error: &std::io::Error) {
        let fault = DiskFault::of(error);
        match fault {
            DiskFault::TooLarge | DiskFault::Descriptors => return,
            DiskFault::Full => self.space.shrink(),
            DiskFault::ReadOnly | DiskFault::Denied | DiskFault::Gone | DiskFault::Io => {}
        }
        if fault == DiskFault::Full {
            self.bell.ring();
        }
        let path = self
            .path
            .as_ref()
            .map(|p| p.display().to_string())
            .unwrap_or_default();
        let todo = match fault {
            DiskFault::Full => {
                "objects are evicted until there is room; free some, or lower the cache's limit"
            }
            DiskFault::ReadOnly => "what is there is served, nothing is written; mount it for writing",
            DiskFault::Gone => "somebody has removed the folder or what is in it; it is made anew",
            DiskFault::Denied => {
                "what is there is served, nothing is written; give this user the folder back"
            }
            DiskFault::Io | DiskFault::TooLarge | DiskFault::Descriptors => {
                "what is there is served, nothing is written for a while; check the disk and the kernel's log"
            }
        };
        let text = format!("{path}: {error}: {todo}");
        self.is_paused.store(true, Ordering::Release);
        let mut fault = self.fault.lock();
        // Told once, however often it is tried.
        if fault.as_ref() != Some(&text) {
            log::warn!("cache {}: {text}", self.name);
        }
        *fault = Some(text);
    }
}
