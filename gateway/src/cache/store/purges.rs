//! Which objects a purge has reached: a number that grows with every purge, and what was purged at which number.
//!
//! A purge costs the same whatever it reaches: it writes down its serial beside the facet, and objects whose own serial is
//! older are not used any more. An object remembers up to which serial it was compared, so a hit looks at one word as long
//! as nobody purges.
//!
//! How many objects carry a facet is counted as they come and go, so that a purge can tell how many it reached. Objects that
//! a hard purge of the facet has reached and the sweep has not come to yet are counted beside it: a second purge does not
//! report them again. Records are forgotten when no object can be older than they are.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::{Mutex, RwLock};

/// Parts of the table, so that threads that add objects seldom meet.
const SHARDS: usize = 16;
/// Records kept. One costs some 40 bytes and a sweep looks into all of them; beyond that the oldest soft ones become one
/// record for everything older.
pub const RECORDS_MAX: usize = 65_536;

/// Under which the record of old soft purges is written down that stands for everything. No hash but by an accident of one in
/// 2^64; then the purge of that facet is a soft one of everything besides.
pub const EVERYTHING: u64 = u64::MAX;

/// Which purges reached one facet: their serials, 0 for never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The last hard one: older objects are not used any more.
    pub hard: u64,
    /// The last soft one: older objects are stale.
    pub soft: u64,
}

impl Record {
    fn reach(self, serial: u64) -> Reach {
        if serial < self.hard {
            Reach::Hard
        } else if serial < self.soft {
            Reach::Soft
        } else {
            Reach::Not
        }
    }
}

/// Whether purges have reached an object, the stronger one last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// No purge that is younger than the object.
    Not,
    /// It is stale, whatever its freshness says.
    Soft,
    /// It must not be used at all.
    Hard,
}

/// What a purge did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// Objects it reached. One that has several of the facets counts for each of them; one that a hard purge of another facet
    /// reached counts until it is swept away.
    pub objects: u64,
    /// Objects on disk are not all known yet: there may be more.
    pub is_at_least: bool,
    /// It holds now, but would be lost with the process: what went wrong and what to do.
    pub fault: Option<String>,
}

/// Facets are hashes already.
#[derive(Clone, Default)]
pub struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for b in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*b);
        }
    }
    fn write_u64(&mut self, n: u64) {
        self.0 ^= n;
    }
}

pub type ByHash<V> = HashMap<u64, V, BuildHasherDefault<AsIs>>;

#[derive(Default)]
struct Shard {
    /// Objects that carry a facet, dead or not.
    counts: ByHash<u32>,
    records: ByHash<Written>,
}

#[derive(Clone, Copy, Default)]
struct Written {
    record: Record,
    /// Objects of the facet's count that are older than `record.hard`.
    dead: u32,
}

/// The purges of one store and the facets of its objects.
///
/// Locks: `turn` before `shards`; `flights` alone. A holder of a lock of the index may take one of `shards`.
pub struct Purges {
    serial: AtomicU64,
    shards: [RwLock<Shard>; SHARDS],
    /// How many records there are in all shards.
    records: AtomicUsize,
    /// Softly purged is whatever is older, because there were too many records.
    blanket_soft: AtomicU64,
    /// An object that is admitted now and is older may have been reached by a purge that was forgotten.
    forgotten: AtomicU64,
    /// Fills in flight by the serial they began at.
    flights: Mutex<BTreeMap<u64, u32>>,
    in_flight: AtomicUsize,
    /// One purge after the other, so that serials come in the order in which they are written down.
    turn: Mutex<()>,
}

impl Default for Purges {
    /// Begins at 1, so that an object that knows of no purge is younger than a journal that was lost.
    fn default() -> Self {
        Self {
            serial: AtomicU64::new(1),
            shards: Default::default(),
            records: AtomicUsize::new(0),
            blanket_soft: AtomicU64::new(0),
            forgotten: AtomicU64::new(0),
            flights: Mutex::default(),
            in_flight: AtomicUsize::new(0),
            turn: Mutex::new(()),
        }
    }
}

impl Purges {
    /// The serial of the last purge.
    pub fn serial(&self) -> u64 {
        self.serial.load(Ordering::Acquire)
    }

    /// Records kept now.
    pub fn records(&self) -> usize {
        self.records.load(Ordering::Relaxed)
    }

    /// How purges have reached an object with this serial and these facets.
    pub fn reach(&self, serial: u64, facets: &[u64]) -> Reach {
        let mut reach = Record {
            hard: 0,
            soft: self.blanket_soft.load(Ordering::Acquire),
        }
        .reach(serial);
        if self.records.load(Ordering::Acquire) == 0 {
            return reach;
        }
        for facet in facets {
            if let Some(written) = self.shard(*facet).read().records.get(facet) {
                reach = reach.max(written.record.reach(serial));
            }
            if reach == Reach::Hard {
                break;
            }
        }
        reach
    }

    /// The same for one that is about to be admitted: it may be older than what was forgotten, and then counts as reached.
    pub fn reach_new(&self, serial: u64, facets: &[u64]) -> Reach {
        // The order counts: who forgets raises the limit first and drops the records after.
        let reach = self.reach(serial, facets);
        if serial < self.forgotten.load(Ordering::Acquire) || serial > self.serial() {
            Reach::Hard
        } else {
            reach
        }
    }

    /// Counts an object that comes.
    pub fn count(&self, serial: u64, facets: &[u64]) {
        for facet in facets {
            let mut shard = self.shard(*facet).write();
            *shard.counts.entry(*facet).or_insert(0) += 1;
            if let Some(dead) = shard.dead(*facet, serial) {
                *dead += 1;
            }
        }
    }

    /// Forgets an object that goes; the same arguments as when it came.
    pub fn discount(&self, serial: u64, facets: &[u64]) {
        for facet in facets {
            let mut shard = self.shard(*facet).write();
            if let Some(dead) = shard.dead(*facet, serial) {
                *dead = dead.saturating_sub(1);
            }
            if let Entry::Occupied(mut count) = shard.counts.entry(*facet) {
                *count.get_mut() -= 1;
                if *count.get() == 0 {
                    count.remove();
                }
            }
        }
    }

    /// How records reach an object; one that stays needs those of the soft purges that do.
    pub fn needed(records: &ByHash<Record>, serial: u64, facets: &[u64], needed: &mut HashSet<u64>) -> Reach {
        let of = |facet: &u64| records.get(facet).copied().unwrap_or_default();
        let reach = facets
            .iter()
            .map(|facet| of(facet).reach(serial))
            .max()
            .unwrap_or(Reach::Not);
        if reach == Reach::Soft {
            needed.extend(facets.iter().filter(|facet| serial < of(facet).soft));
        }
        reach
    }

    /// Objects that carry a facet and were not reached by a hard purge of it.
    pub fn live(&self, facet: u64) -> u64 {
        self.shard(facet).read().live(facet)
    }

    /// Begins a fill: its serial, to be told again when it ends.
    pub fn begin(&self) -> u64 {
        // Counted before the serial is read: a purge that sees no fill in flight began before this one.
        self.in_flight.fetch_add(1, Ordering::SeqCst);
        let mut flights = self.flights.lock();
        let serial = self.serial();
        *flights.entry(serial).or_insert(0) += 1;
        serial
    }

    /// The same for one whose serial is known.
    pub fn begin_at(&self, serial: u64) {
        self.in_flight.fetch_add(1, Ordering::SeqCst);
        *self.flights.lock().entry(serial).or_insert(0) += 1;
    }

    /// Ends a fill that began at this serial.
    pub fn end(&self, serial: u64) {
        let mut flights = self.flights.lock();
        if let Some(count) = flights.get_mut(&serial) {
            *count -= 1;
            if *count == 0 {
                flights.remove(&serial);
            }
        }
        drop(flights);
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
    }

    /// Fills between [`Purges::begin`] and [`Purges::end`].
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::SeqCst)
    }

    /// Takes up what earlier processes have purged: the records of a folder whose objects have serials up to `highest`.
    ///
    /// Purges of our own that are known so far reach the folder's objects too, as if they were given now: they get a serial
    /// above all of them. `write` is shown these and the serial, before anybody can purge again.
    pub fn adopt(&self, highest: u64, theirs: &[(u64, Record)], write: impl FnOnce(u64, &[(u64, Record)])) {
        let _turn = self.turn.lock();
        let mut ours = self.all();
        let mut serial = self.serial().max(highest);
        if !ours.is_empty() {
            serial += 1;
        }
        for (_, record) in &mut ours {
            record.hard = if record.hard == 0 { 0 } else { serial };
            record.soft = if record.soft == 0 { 0 } else { serial };
        }
        for (facet, record) in theirs.iter().chain(&ours) {
            self.write(*facet, *record);
        }
        write(serial, &ours);
        self.serial.store(serial, Ordering::Release);
    }

    /// Purges all objects that carry one of the facets, now. `write` puts it where it outlives the process, before anybody
    /// can have seen its effect; told are the serial and what it says.
    ///
    /// `is_complete` says that every object is counted. Then a facet nobody has needs no record, if no fill is in flight that
    /// might bring it; the whole purge is left out if that holds for all of its facets.
    pub fn purge(
        &self,
        facets: &[u64],
        is_soft: bool,
        is_complete: bool,
        write: impl FnOnce(u64) -> Option<String>,
    ) -> Purged {
        let _turn = self.turn.lock();
        // Read before the counts: a fill that ended before this has counted its object.
        let may_skip = is_complete && self.in_flight() == 0;
        let mut purged = Purged {
            is_at_least: !is_complete,
            ..Purged::default()
        };
        if may_skip && facets.iter().all(|facet| self.live(*facet) == 0) {
            // Dead ones do not matter: the record that made them dead is still there.
            return purged;
        }
        let serial = self.serial() + 1;
        purged.fault = write(serial);
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
        for facet in facets {
            purged.objects += self.write(*facet, record);
        }
        // Last: who reads this serial finds the records.
        self.serial.store(serial, Ordering::Release);
        purged
    }

    /// Writes a record over what there is; how many objects were reached.
    fn write(&self, facet: u64, new: Record) -> u64 {
        if facet == EVERYTHING {
            self.blanket_soft.fetch_max(new.soft, Ordering::AcqRel);
        }
        let mut shard = self.shard(facet).write();
        let reached = shard.live(facet);
        let count = shard.counts.get(&facet).copied().unwrap_or(0);
        let written = shard.records.entry(facet).or_insert_with(|| {
            self.records.fetch_add(1, Ordering::AcqRel);
            Written::default()
        });
        if new.hard > written.record.hard {
            written.dead = count;
        }
        written.record.hard = written.record.hard.max(new.hard);
        written.record.soft = written.record.soft.max(new.soft);
        reached
    }

    /// Up to which serial a sweep that begins now may forget afterwards: what was purged by now, but not what a fill in flight
    /// is older than. If there are too many records they are forgotten all the same, and such a fill is not admitted.
    pub fn limit(&self) -> u64 {
        let serial = self.serial();
        if self.records() > RECORDS_MAX / 2 {
            return serial;
        }
        let oldest = self.flights.lock().keys().next().copied();
        serial.min(oldest.unwrap_or(u64::MAX))
    }

    /// Forgets what no object can be older than any more, up to `limit`, for a sweep that began after [`Purges::limit`] and has
    /// removed every object that a hard purge had reached. `needed` are the facets whose soft purges still reach an object.
    pub fn forget(&self, limit: u64, needed: &HashSet<u64>) {
        let _turn = self.turn.lock();
        // First: an admission that does not find a record finds this.
        self.forgotten.fetch_max(limit, Ordering::AcqRel);
        self.clear(|facet, record| {
            if record.hard <= limit {
                record.hard = 0;
            }
            if record.soft <= limit && !needed.contains(&facet) {
                record.soft = 0;
            }
        });
        if self.records() > RECORDS_MAX {
            self.merge_soft(limit);
        }
    }

    /// Makes one record of the older half of the soft ones. What is older than the youngest of them is stale then.
    fn merge_soft(&self, swept: u64) {
        let mut softs: Vec<u64> = Vec::new();
        for shard in &self.shards {
            softs.extend(
                shard
                    .read()
                    .records
                    .values()
                    .map(|w| w.record.soft)
                    .filter(|s| *s > 0 && *s <= swept),
            );
        }
        if softs.is_empty() {
            return;
        }
        let middle = softs.len() / 2;
        let (_, limit, _) = softs.select_nth_unstable(middle);
        let limit = *limit;
        self.blanket_soft.fetch_max(limit, Ordering::AcqRel);
        self.clear(|_, record| {
            if record.soft <= limit {
                record.soft = 0;
            }
        });
    }

    /// Changes every record and drops those of which nothing is left.
    fn clear(&self, change: impl Fn(u64, &mut Record)) {
        for shard in &self.shards {
            shard.write().records.retain(|facet, written| {
                change(*facet, &mut written.record);
                if written.record.hard == 0 {
                    written.dead = 0;
                }
                let is_kept = written.record != Record::default();
                if !is_kept {
                    self.records.fetch_sub(1, Ordering::AcqRel);
                }
                is_kept
            });
        }
    }

    /// All records and the serial they go with, to be written down in one piece. No purge happens meanwhile.
    pub fn with_all<T>(&self, f: impl FnOnce(u64, &[(u64, Record)]) -> T) -> T {
        let _turn = self.turn.lock();
        f(self.serial(), &self.all())
    }

    /// All records; the one for everything stands under [`EVERYTHING`].
    pub fn all(&self) -> Vec<(u64, Record)> {
        let mut all = Vec::with_capacity(self.records());
        for shard in &self.shards {
            all.extend(shard.read().records.iter().map(|(facet, w)| (*facet, w.record)));
        }
        let soft = self.blanket_soft.load(Ordering::Acquire);
        if soft != 0 {
            all.push((EVERYTHING, Record { hard: 0, soft }));
        }
        all
    }

    fn shard(&self, facet: u64) -> &RwLock<Shard> {
        // The low bits choose the bucket and the highest the tag in the table within; these are used by neither.
        let at = (facet >> 40) as usize % SHARDS;
        &self.shards[at]
    }
}

impl Shard {
    fn live(&self, facet: u64) -> u64 {
        let dead = self.records.get(&facet).map_or(0, |w| w.dead);
        let count = self.counts.get(&facet).copied().unwrap_or(0);
        count.saturating_sub(dead).into()
    }

    /// Where the facet's dead are counted, if an object with this serial is one of them.
    fn dead(&mut self, facet: u64, serial: u64) -> Option<&mut u32> {
        let written = self.records.get_mut(&facet)?;
        (serial < written.record.hard).then_some(&mut written.dead)
    }
}
