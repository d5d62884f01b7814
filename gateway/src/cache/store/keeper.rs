//! The thread that keeps house: opens the folder, finds what is in it, sweeps what was purged, evicts.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::index::{Arrival, SHARDS};
use super::purges::{ByHash, Purges, RECORDS_MAX, Reach, Record};
use super::shared::Shared;
use super::space::rounded;
use super::tier::{Tier, lines};
use super::unlinks::Evicted;
use crate::cache::disk::{self, Found};
use crate::kit::clock::Mono;

/// How often the keeper looks around unasked.
const TICK: Duration = Duration::from_secs(1);
/// How often a folder is tried that could not be opened, or a disk that could not be written.
const RETRY: Duration = Duration::from_secs(3);
/// Files evicted between two looks at everything else.
const EVICTIONS: usize = 256;
/// How long the keeper lets the disk rest after as many, unless somebody waits for room: about 50,000 files a second at most.
const REST: Duration = Duration::from_millis(5);
/// How often records are looked at that nothing new has come to: the last objects they reach may have gone by themselves.
const SWEEP_AGAIN: Duration = Duration::from_secs(60);
/// The part of its time that sweeps may take.
const SWEEP_SHARE: u32 = 10;
/// Objects found in one step of the rebuild: some twenty milliseconds of work before the disk rests.
const FOUND_PER_STEP: u64 = 2048;
/// Empty steps of the hand in a row after which an eviction is left for later: four turns with every object spared three
/// times come before that for a part of 2,000 objects.
const EMPTY_STEPS: usize = SHARDS * 32;
/// The part of the limit that is left free on the file system, and its most.
const FLOOR_SHARE: u64 = 10;
const FLOOR_MAX: u64 = 1 << 30;

/// What the keeper is at.
pub struct Keeper {
    shared: Arc<Shared>,
    rebuild: Option<Rebuild>,
    /// Up to which serial purges were forgotten.
    swept: u64,
    /// The serial at the last sweep.
    looked: u64,
    tried: Option<Mono>,
    swept_at: Option<Mono>,
    sweep_took: Duration,
    hand: usize,
    /// Purges were forgotten that a folder to come should have known.
    has_forgotten: bool,
}

/// A walk through a folder that was just opened.
struct Rebuild {
    next: u16,
    tally: disk::Tally,
    /// When files were written, by generation.
    modified: ByHash<u64>,
    dropped: u64,
}

/// Works until the store is dropped.
pub fn run(mut keeper: Keeper) {
    loop {
        let has_more = keeper.step();
        let bell = &keeper.shared.bell;
        let mut rung = bell.state.lock();
        if rung.is_closed {
            return;
        }
        if !rung.is_rung {
            bell.rings.wait_for(&mut rung, if has_more { REST } else { TICK });
        }
        if rung.is_closed {
            return;
        }
        rung.is_rung = false;
    }
}

impl Keeper {
    pub fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            rebuild: None,
            swept: 1,
            looked: 1,
            tried: None,
            swept_at: None,
            sweep_took: Duration::ZERO,
            hand: 0,
            has_forgotten: false,
        }
    }

    /// One round of everything. Whether there is more to do at once.
    pub fn step(&mut self) -> bool {
        self.retry();
        self.find();
        self.look_at_disk();
        let left = self.shared.remove_files() | self.evict();
        self.sweep();
        left || self.rebuild.is_some()
    }

    fn retry(&mut self) {
        let now = self.shared.clock.mono();
        if self.tried.is_some_and(|tried| now.since(tried) < RETRY) {
            return;
        }
        let wants_disk = self.shared.path.is_some() && self.shared.limits.disk.load(Ordering::Relaxed) != 0;
        if wants_disk && self.shared.tier.load().is_none() {
            self.tried = Some(now);
            self.open(true);
        }
        if self.shared.is_paused.swap(false, Ordering::AcqRel) {
            self.tried = Some(now);
        }
    }

    /// Opens the folder; `is_late` if the store was used without it.
    pub fn open(&mut self, is_late: bool) {
        let shared = self.shared.clone();
        let Some(path) = &shared.path else { return };
        let random = || next_random(&mut shared.random.lock());
        match Tier::open(path, random) {
            Ok((mut tier, records)) => {
                if self.has_forgotten {
                    tier.trusted = None;
                }
                self.take_up(Arc::new(tier), &records);
                let fault = shared.fault.lock().take();
                if is_late {
                    log::info!(
                        "cache {}: {} is open, what was kept in memory is dropped",
                        shared.name,
                        path.display()
                    );
                }
                drop(fault);
            }
            Err(fault) => {
                let mut told = shared.fault.lock();
                if told.as_ref() != Some(&fault) {
                    log::warn!(
                        "cache {}: {fault}; until then it is kept in memory only",
                        shared.name
                    );
                }
                *told = Some(fault);
            }
        }
        self.tried = Some(shared.clock.mono());
    }

    /// Begins to use a folder. Its keys are hashed with a secret of its own, so what is in memory cannot be found any more.
    fn take_up(&mut self, tier: Arc<Tier>, records: &[(u64, Record)]) {
        let shared = &self.shared;
        shared.forget_all();
        let at_ms = shared.clock.now().unix_ms();
        let highest = tier.highest_serial();
        shared.purges.adopt(highest, records, |serial, ours| {
            let lines: Vec<disk::Record> = ours.iter().flat_map(|(f, r)| lines(*f, *r, at_ms)).collect();
            if !lines.is_empty()
                && let Some(fault) = tier.note(&lines)
            {
                log::warn!("cache {}: {fault}", shared.name);
            }
            debug_assert!(serial >= highest);
            shared.seed.store(tier.folder.seed(), Ordering::Release);
            shared.tier.store(Some(tier.clone()));
        });
        self.rebuild = Some(Rebuild {
            next: 0,
            tally: disk::Tally::default(),
            modified: HashMap::default(),
            dropped: 0,
        });
    }

    /// Takes up one more part of what is in the folder.
    fn find(&mut self) {
        let Some(mut rebuild) = self.rebuild.take() else {
            return;
        };
        let Some(tier) = self.shared.tier.load_full() else {
            return;
        };
        if rebuild.next == 0
            && let Err(error) = tier.folder.sweep_drafts()
        {
            log::warn!(
                "cache {}: drafts of an earlier start cannot be removed: {error}",
                self.shared.name
            );
        }
        let shared = &self.shared;
        let (modified, dropped) = (&mut rebuild.modified, &mut rebuild.dropped);
        // A small folder is known at once: it is files that the disk has to rest from, not parts without any.
        let enough = rebuild.tally.found + FOUND_PER_STEP;
        while rebuild.next < disk::SHARDS && rebuild.tally.found < enough {
            let part = rebuild.next..rebuild.next + 1;
            rebuild.next += 1;
            rebuild.tally += tier.folder.scan(part, |found| {
                match shared.take_found(&tier, &found) {
                    true => _ = modified.insert(found.location.generation, found.modified_ms),
                    false => *dropped += 1,
                }
                ControlFlow::Continue(())
            });
        }
        if rebuild.next < disk::SHARDS {
            self.rebuild = Some(rebuild);
        } else {
            self.finish(&rebuild);
        }
    }

    fn finish(&mut self, rebuild: &Rebuild) {
        let shared = &self.shared;
        for part in 0..SHARDS {
            // What was written since is not in the list, and the youngest.
            shared.index.sort(part, |generation| {
                rebuild.modified.get(&generation).copied().unwrap_or(u64::MAX)
            });
        }
        shared
            .counters
            .damaged
            .fetch_add(rebuild.tally.damaged, Ordering::Relaxed);
        shared.is_complete.store(true, Ordering::Release);
        // What was read from the journal may be forgotten after the next sweep.
        (self.swept, self.looked) = (0, 0);
        log::info!(
            "cache {}: {} objects found on disk, {} purged or replaced ones, {} damaged files and {} old versions removed, \
             {} files cannot be read",
            shared.name,
            rebuild.tally.found - rebuild.dropped,
            rebuild.dropped,
            rebuild.tally.damaged,
            rebuild.tally.superseded,
            rebuild.tally.unreadable,
        );
    }

    /// Some of the file system stays free for others. A folder that was deleted or replaced below us is given up.
    fn look_at_disk(&mut self) {
        let Some(tier) = self.shared.tier.load_full() else {
            return;
        };
        if !tier.folder.is_ours() {
            self.rebuild = None;
            self.shared.give_up_folder();
            return;
        }
        if let Ok(free) = tier.folder.free_bytes() {
            let floor = (self.shared.space.limit() / FLOOR_SHARE).min(FLOOR_MAX);
            self.shared.space.leave(free, floor);
        }
    }

    /// Evicts from disk until there is room. Whether there is more to do.
    fn evict(&mut self) -> bool {
        let shared = self.shared.clone();
        let (mut empty, mut evicted) = (0, 0);
        while shared.space.excess() > 0 && shared.index.on_disk() > 0 {
            if evicted == EVICTIONS {
                return true;
            }
            self.hand = (self.hand + 1) % SHARDS;
            let victim = shared.index.candidate(self.hand);
            match victim.map_or(Evicted::Not, |known| shared.evict(&known)) {
                Evicted::Freed => (empty, evicted) = (0, evicted + 1),
                Evicted::Not => empty += 1,
                // A disk that nothing can be removed from would lose all of its objects, and have no more room.
                Evicted::Stuck => return false,
            }
            if empty == EMPTY_STEPS {
                return true;
            }
        }
        shared.space.grow();
        false
    }

    /// Removes what hard purges have reached, and forgets records that no object needs any more.
    fn sweep(&mut self) {
        let shared = self.shared.clone();
        if shared.purges.records() == 0 && self.swept != 0 {
            (self.swept, self.looked) = (shared.purges.serial(), shared.purges.serial());
            return self.tidy();
        }
        let begun = shared.clock.mono();
        let rest = (self.sweep_took * SWEEP_SHARE).max(TICK);
        if self.swept_at.is_some_and(|at| begun.since(at) < rest) {
            return;
        }
        let (limit, serial) = (shared.purges.limit(), shared.purges.serial());
        let is_complete = shared.is_complete.load(Ordering::Acquire);
        let is_due = self.swept_at.is_none_or(|at| begun.since(at) >= SWEEP_AGAIN);
        if serial == self.looked && (limit <= self.swept || !is_complete) && !is_due {
            return self.tidy();
        }
        let records: ByHash<Record> = shared.purges.all().into_iter().collect();
        let mut needed = HashSet::new();
        for part in 0..SHARDS {
            self.sweep_part(part, &records, &mut needed);
        }
        // A folder that is not ours yet has to be told of all purges; if these are too many, nothing in it will be used.
        let is_crowded = shared.tier.load().is_none() && shared.purges.records() > RECORDS_MAX;
        self.has_forgotten |= is_crowded;
        if is_crowded || is_complete && shared.unlinks.is_empty() {
            shared.purges.forget(limit, &needed);
            self.swept = limit;
        }
        self.looked = serial;
        self.swept_at = Some(shared.clock.mono());
        self.sweep_took = shared.clock.mono().since(begun);
        self.tidy();
    }

    fn sweep_part(&self, part: usize, records: &ByHash<Record>, needed: &mut HashSet<u64>) {
        let shared = &self.shared;
        let mut from = Some(0);
        let mut gone = Vec::new();
        while let Some(at) = from {
            from = shared
                .index
                .sweep(part, at, &shared.purges, &mut gone, |known, facets| {
                    Purges::needed(records, known.serial, facets, needed) != Reach::Hard
                });
            for known in gone.drain(..) {
                shared.dispose(&known);
            }
            while shared.remove_files() {}
        }
    }

    fn tidy(&self) {
        if let Some(tier) = self.shared.tier.load_full() {
            let at_ms = self.shared.clock.now().unix_ms();
            let may_forget = self.shared.is_complete.load(Ordering::Acquire);
            tier.tidy(&self.shared.purges, may_forget, at_ms);
        }
    }
}

impl Shared {
    /// Forgets everything that is in memory only. What comes after this with a key of the old secret is never asked for, and
    /// evicted like anything else that nobody wants.
    fn forget_all(&self) {
        let mut gone = Vec::new();
        for part in 0..SHARDS {
            let mut from = Some(0);
            while let Some(at) = from {
                from = self.index.sweep(part, at, &self.purges, &mut gone, |_, _| false);
            }
        }
        for known in gone {
            self.memory.remove(known.key, known.id);
        }
    }

    /// Forgets all files: what is in their folder now is somebody else's. It is opened again like one that was in use.
    fn give_up_folder(&self) {
        // First: nobody writes or reads any more. Purges are remembered until there is a folder again.
        self.is_complete.store(false, Ordering::Release);
        self.tier.store(None);
        for part in 0..SHARDS {
            let mut files = Vec::new();
            let mut from = Some(0);
            while let Some(at) = from {
                from = self
                    .index
                    .sweep(part, at, &self.purges, &mut Vec::new(), |known, _| {
                        files.extend(known.location.map(|location| (known.key, location.generation)));
                        true
                    });
            }
            for (key, generation) in files {
                if let Some(location) = self.index.drop_file(key, generation, &self.purges) {
                    self.space.free(rounded(location.file_length));
                }
            }
        }
        self.space.free(self.unlinks.forget());
        let path = self
            .path
            .as_ref()
            .map(|p| p.display().to_string())
            .unwrap_or_default();
        let fault =
            format!("{path}: was deleted or replaced while it was in use: leave it to this cache alone");
        log::warn!("cache {}: {fault}", self.name);
        *self.fault.lock() = Some(fault);
    }

    /// Takes up an object that was found in the folder; false if it has no place, and its file goes.
    fn take_found(&self, tier: &Tier, found: &Found) -> bool {
        let serial = found.meta.serial;
        let bytes = rounded(found.location.file_length);
        self.space.find(bytes);
        // A serial above the journal's: the journal was lost and begun anew, and with it what was purged.
        let is_trusted = tier.trusted.is_some_and(|highest| serial <= highest);
        let is_purged = self.purges.reach(serial, &found.meta.facets.0) == Reach::Hard;
        let arrival = Arrival {
            key: found.key,
            id: self.next_id(),
            serial,
            facets: &found.meta.facets.0,
            location: Some(found.location),
            is_in_memory: false,
            is_queued: false,
        };
        if !is_trusted || is_purged {
            self.dispose_file(found.key, &found.location);
            return false;
        }
        match self.index.insert_found(arrival, &self.purges) {
            Ok(None) => true,
            Ok(Some(old)) => {
                self.dispose(&old);
                true
            }
            Err(()) => {
                self.dispose_file(found.key, &found.location);
                false
            }
        }
    }
}

/// The next of a sequence that nobody can tell from its beginning (SplitMix64's step).
fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
