//! What outlives a reload: cells, found again by identity.
//!
//! A cell's key holds all that its meaning depends on, and nothing else; whatever a reload may change is
//! policy, stands in the snapshot, and is handed to the cell with each call.

mod guards;
mod ordered;
mod tls;

use std::collections::HashMap;
use std::hash::Hash;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::cache::fill::Budget;
use crate::cache::flight::{FLIGHTS_MAX, Flights};
use crate::cache::passes::Passes;
use crate::cache::store::Store;
use crate::config::plan::{self, Address, DiscoverSource, HealthCheck};
use crate::discovery::Roster;
use crate::kit::clock::{Clock, Mono};
use crate::listen::Admission;
use crate::observe::{CacheMetrics, Metrics};
use crate::reply::Refusal;
use crate::upstream::{Changes, Health, Running, Seat, Server};

pub use guards::{Guards, Rate};
pub use ordered::{OrderCells, Ordered};
pub use tls::{Outward, TlsCells};

/// Cells of one kind. A cell lives as long as some snapshot holds it.
#[derive(Debug)]
pub struct Cells<K, V> {
    held: Mutex<HashMap<K, Weak<V>>>,
}

impl<K, V> Default for Cells<K, V> {
    fn default() -> Self {
        Self {
            held: Mutex::default(),
        }
    }
}

impl<K: Eq + Hash + Clone, V> Cells<K, V> {
    /// The cell of that key: the one that lives, or a new one.
    pub fn claim(&self, key: &K, make: impl FnOnce() -> V) -> Arc<V> {
        let mut held = self.held.lock();
        if let Some(cell) = held.get(key).and_then(Weak::upgrade) {
            return cell;
        }
        // Those that have gone are taken out whenever the table would have to grow, which keeps it at no more
        // than twice what lives without a look at all of it for each claim.
        if held.len() == held.capacity() {
            held.retain(|_, cell| cell.strong_count() > 0);
        }
        let cell = Arc::new(make());
        held.insert(key.clone(), Arc::downgrade(&cell));
        cell
    }

    /// All that live, with their keys.
    pub fn alive(&self) -> Vec<(K, Arc<V>)> {
        let held = self.held.lock();
        let living = |(key, cell): (&K, &Weak<V>)| Some((key.clone(), cell.upgrade()?));
        held.iter().filter_map(living).collect()
    }
}

/// Keys remembered as uncacheable, in each cache; beyond it the oldest is forgotten, and asked for together once more.
const PASSES_MAX: usize = 65_536;

/// The least that bodies on their way may hold in memory: a cache with little memory and much disk has many of them too.
const FILLING_BYTES_MIN: u64 = 64 << 20;

/// All that a cache consists of.
pub struct Zone {
    /// The answers.
    pub store: Arc<Store>,
    /// Questions that many requests share.
    pub flights: Arc<Flights<Refusal>>,
    /// What bodies on their way may hold in memory.
    pub filling: Arc<Budget>,
    /// Keys whose answers are not kept.
    pub passes: Passes,
    /// What is counted.
    pub metrics: CacheMetrics,
}

impl Zone {
    /// Takes over new limits.
    pub fn resize(&self, cache: &plan::Cache) {
        self.store.resize(cache);
        self.filling.resize(filling_bytes(cache));
    }
}

/// As much as what is stored may hold, and beside it: what has come whole is counted there.
fn filling_bytes(cache: &plan::Cache) -> usize {
    usize::try_from(cache.memory.max(FILLING_BYTES_MIN)).unwrap_or(usize::MAX)
}

/// All cells of one gateway.
pub struct State {
    servers: Cells<Address, Server>,
    healths: Cells<(Address, HealthCheck, u64), Health>,
    seats: Cells<(String, Address), Seat>,
    running: Cells<String, Running>,
    rosters: Cells<DiscoverSource, Roster>,
    zones: Cells<(String, Option<PathBuf>), Zone>,
    /// What the guards remember.
    pub guards: Guards,
    /// What TLS remembers.
    pub tls: TlsCells,
    /// Certificates that are ordered.
    pub orders: OrderCells,
    clock: Clock,
    /// Tells pools that a cell has changed.
    pub changes: Changes,
    /// Open connections.
    pub admission: Arc<Admission>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Held by each snapshot, so that those alive can be counted.
    pub alive: Arc<()>,
    server_ids: AtomicU64,
    serials: AtomicU64,
}

impl State {
    /// A gateway that has not begun.
    pub fn new(metrics: Arc<Metrics>, clock: Clock) -> Self {
        Self {
            servers: Cells::default(),
            healths: Cells::default(),
            seats: Cells::default(),
            running: Cells::default(),
            rosters: Cells::default(),
            zones: Cells::default(),
            guards: Guards::default(),
            tls: TlsCells::default(),
            orders: OrderCells::default(),
            clock,
            changes: Changes::default(),
            admission: Arc::default(),
            metrics,
            alive: Arc::default(),
            server_ids: AtomicU64::new(1),
            serials: AtomicU64::new(1),
        }
    }

    /// The server at that address, in whichever upstream. `new_since` is None at the start of the process.
    pub fn server(&self, address: &Address, new_since: Option<Mono>) -> Arc<Server> {
        self.servers.claim(address, || {
            let id = self.server_ids.fetch_add(1, Ordering::Relaxed);
            Server::new(id, address.clone(), new_since, self.changes.clone())
        })
    }

    /// What that probe says of that address, met with what has this number; 0 is plain HTTP.
    pub fn health(&self, address: &Address, check: &HealthCheck, via: u64) -> Arc<Health> {
        self.healths.claim(&(address.clone(), check.clone(), via), || {
            Health::new(self.changes.clone())
        })
    }

    /// A server's place in one upstream.
    pub fn seat(&self, upstream: &str, address: &Address) -> Arc<Seat> {
        self.seats.claim(&(upstream.to_owned(), address.clone()), || {
            Seat::new(self.changes.clone())
        })
    }

    /// What an upstream is busy with.
    pub fn running(&self, upstream: &str) -> Arc<Running> {
        self.running.claim(&upstream.to_owned(), Running::default)
    }

    /// What is known from that source, for all upstreams that ask it.
    pub fn roster(&self, source: &DiscoverSource) -> Arc<Roster> {
        self.rosters.claim(source, Roster::default)
    }

    /// The zone of that cache. Its limits stay as they are until it is resized.
    pub fn zone(&self, cache: &plan::Cache) -> Arc<Zone> {
        let key = (cache.name.clone(), cache.path.clone());
        self.zones.claim(&key, || Zone {
            store: Store::open(cache, fastrand::u64(..), self.clock.clone()),
            flights: Arc::new(Flights::new(FLIGHTS_MAX)),
            filling: Arc::new(Budget::new(filling_bytes(cache))),
            passes: Passes::new(PASSES_MAX),
            metrics: self.metrics.cache(&cache.name),
        })
    }

    /// Every zone that lives, by the name of its cache: one that the configuration has no more can still be held by a
    /// request, and is found again if the next reload brings it back.
    pub fn zones_alive(&self) -> Vec<(String, Arc<Zone>)> {
        let alive = self.zones.alive().into_iter();
        alive.map(|((name, _), zone)| (name, zone)).collect()
    }

    /// The next snapshot's number.
    pub fn serial(&self) -> u64 {
        self.serials.fetch_add(1, Ordering::Relaxed)
    }

    /// Snapshots that some request or the gateway still holds.
    pub fn snapshots_alive(&self) -> usize {
        Arc::strong_count(&self.alive) - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_found_again_while_somebody_holds_it_and_forgotten_then() {
        let cells = Cells::<u32, u32>::default();
        let first = cells.claim(&7, || 1);
        assert!(Arc::ptr_eq(&first, &cells.claim(&7, || 2)));
        drop(first);
        assert_eq!(*cells.claim(&7, || 3), 3);
        for n in 0..1_000 {
            cells.claim(&n, || n);
        }
        assert!(cells.held.lock().len() < 20);
    }
}
