//! Which objects are being fetched.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::task::Waker;

use super::super::fill::{Fill, FillState};
use super::super::object::{Facets, Key, Meta};
use super::super::sync::{Arc, AtomicU64, AtomicUsize, Mutex, Ordering};
use super::{Landed, Leader, Waiting};

/// Flights at once. Each is a request to an origin, and a gateway has fewer connections than this; a flight takes about
/// 300 bytes, its waiters and its fill apart. Beyond it a request asks for itself.
pub const FLIGHTS_MAX: usize = 65_536;

/// Parts of the table, each with its own lock: several times the number of workers, so that two seldom meet.
const SHARDS: usize = 64;

/// The fetches under way in one store. `E` is what waiters are told of a failure.
pub struct Flights<E> {
    shards: Box<[Shard<E>]>,
    flights_max: usize,
    aloft: AtomicUsize,
    pub(super) waiting: AtomicUsize,
    pub(super) collapsed: AtomicU64,
}

type Shard<E> = Mutex<HashMap<Key, Arc<Flight<E>>>>;

/// When a request for an object began, and what a purge can reach it by before there is an answer.
#[derive(Clone, Debug, Default)]
pub struct Began {
    /// The purge serial of the store, read before the origin is asked.
    pub serial: u64,
    /// URL, host and path prefixes.
    pub facets: Facets,
}

/// What is known of a flight, for the question whether a purge concerns it.
#[derive(Debug)]
pub struct FlightFacts<'a> {
    /// The purge serial when it began: an older purge does not concern it.
    pub serial: u64,
    /// What a purge can reach it by without knowing the answer.
    pub facets: &'a Facets,
    /// The answer's head, tags among its facets, once there is one.
    pub meta: Option<&'a Meta>,
}

/// What a request is to do.
#[derive(Debug)]
pub enum Joined<E> {
    /// Ask the origin, for all who come meanwhile.
    Lead(Leader<E>),
    /// Wait for what another finds.
    Wait(Waiting<E>),
    /// Too many flights: ask the origin for yourself.
    Full,
}

/// One object being fetched.
pub(super) struct Flight<E> {
    pub key: Key,
    began: Began,
    pub course: Mutex<Course<E>>,
}

/// How far a flight is. Invariant: wakers are there only while `landed` is None.
pub(super) struct Course<E> {
    pub landed: Option<Landed<E>>,
    /// Of those who wait, each at its own place.
    pub wakers: Vec<Option<Waker>>,
    pub vacant: Vec<usize>,
}

impl<E: Clone + Send> Default for Flights<E> {
    fn default() -> Self {
        Self::new(FLIGHTS_MAX)
    }
}

impl<E> Flights<E> {
    /// Requests that wait for another's answer now.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Requests that were spared the origin, since the beginning: told of a fill, a validated object or a failure.
    pub fn collapsed(&self) -> u64 {
        self.collapsed.load(Ordering::Relaxed)
    }

    /// Flights that newcomers can find now.
    pub fn aloft(&self) -> usize {
        self.aloft.load(Ordering::Relaxed)
    }

    /// Removes a flight, if it is still the one that newcomers find under its key.
    pub(super) fn remove(&self, flight: &Arc<Flight<E>>) {
        let mut shard = self.shard(&flight.key).lock();
        if let Entry::Occupied(entry) = shard.entry(flight.key)
            && Arc::ptr_eq(entry.get(), flight)
        {
            entry.remove();
            self.aloft.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn shard(&self, key: &Key) -> &Shard<E> {
        let mixed = key.primary ^ key.variance;
        // The keys are hashes: any of their bits will do.
        &self.shards[(mixed % SHARDS as u128) as usize]
    }

    /// Takes a place among `flights_max`.
    fn reserve(&self) -> bool {
        let more = |aloft| (aloft < self.flights_max).then_some(aloft + 1);
        self.aloft
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .is_ok()
    }
}

impl<E: Clone + Send> Flights<E> {
    /// An empty table for at most so many flights.
    pub fn new(flights_max: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::new(HashMap::new())).collect(),
            flights_max,
            aloft: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            collapsed: AtomicU64::new(0),
        }
    }

    /// Joins the flight for an object, or begins one.
    ///
    /// `began` is asked by who leads. `is_reached` says whether a purge newer than the flight concerns it: then it is left
    /// to those who wait for it already, and a new one takes its place. A broken fill is replaced likewise. Both are called under a lock and must not come back
    /// here.
    pub fn join(
        self: &Arc<Self>,
        key: Key,
        began: impl FnOnce() -> Began,
        is_reached: impl Fn(&FlightFacts<'_>) -> bool,
    ) -> Joined<E> {
        let mut shard = self.shard(&key).lock();
        match shard.entry(key) {
            Entry::Occupied(mut entry) => {
                if entry.get().may_be_joined(is_reached) {
                    return Joined::Wait(Waiting::at(self, entry.get()));
                }
                let flight = Flight::of(key, began());
                entry.insert(Arc::clone(&flight));
                Joined::Lead(Leader::of(self, flight))
            }
            Entry::Vacant(entry) => {
                let flight = Flight::of(key, began());
                if !self.reserve() {
                    return Joined::Full;
                }
                entry.insert(Arc::clone(&flight));
                Joined::Lead(Leader::of(self, flight))
            }
        }
    }
}

impl<E> Flights<E> {
    /// Whether [`join`](Self::join) would wait for another's answer.
    pub fn is_awaited(&self, key: Key, is_reached: impl Fn(&FlightFacts<'_>) -> bool) -> bool {
        let shard = self.shard(&key).lock();
        shard
            .get(&key)
            .is_some_and(|flight| flight.may_be_joined(is_reached))
    }
}

impl<E> Flight<E> {
    fn of(key: Key, began: Began) -> Arc<Self> {
        Arc::new(Self {
            key,
            began,
            course: Mutex::new(Course {
                landed: None,
                wakers: Vec::new(),
                vacant: Vec::new(),
            }),
        })
    }

    /// Whether a newcomer may have what this flight finds.
    fn may_be_joined(&self, is_reached: impl Fn(&FlightFacts<'_>) -> bool) -> bool {
        let fill = match &self.course.lock().landed {
            None => None,
            Some(Landed::Filling(fill)) => Some(Arc::clone(fill)),
            // It is on its way out of the table.
            Some(Landed::Pass | Landed::LookAgain | Landed::Failed(_) | Landed::Vacant) => return false,
        };
        // Whoever joined it now would get a torn body, though the origin may be well again.
        if fill.as_deref().map(Fill::state) == Some(FillState::Broken) {
            return false;
        }
        !is_reached(&FlightFacts {
            serial: self.began.serial,
            facets: &self.began.facets,
            meta: fill.as_ref().map(|fill| &*fill.meta),
        })
    }

    /// Tells all who wait. The first word counts.
    pub fn land(&self, landed: Landed<E>) {
        let mut course = self.course.lock();
        if course.landed.is_some() {
            return;
        }
        course.landed = Some(landed);
        let wakers = std::mem::take(&mut course.wakers);
        drop(course);
        // Without the lock: a waker may run what it wakes.
        wakers.into_iter().flatten().for_each(Waker::wake);
    }
}

impl<E> fmt::Debug for Flights<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flights")
            .field("aloft", &self.aloft())
            .field("waiting", &self.waiting())
            .field("collapsed", &self.collapsed())
            .finish_non_exhaustive()
    }
}
