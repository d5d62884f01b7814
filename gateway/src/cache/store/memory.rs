//! The objects in memory: bounded by their weight, the least wanted go first.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use quick_cache::sync::Cache;
use quick_cache::{Lifecycle, OptionsBuilder, Weighter};

use crate::cache::object::{Key, Object};

/// Parts where large objects are on disk: more threads at once.
const SHARDS_WITH_DISK: usize = 16;
/// Parts where they are not: an object has to fit into one of them several times.
const SHARDS_WITHOUT_DISK: usize = 4;
/// Bytes of a part at least: what is small enough for a small tier has to fit into a part of it.
const PART_BYTES_MIN: u64 = 4 << 20;
/// Bytes of an object as it is mostly found: only the number of keys that are remembered after they left depends on it.
const TYPICAL_BYTES: u64 = 16 * 1024;
/// Objects of a part that quick_cache reckons with at least; it would make fewer parts otherwise.
const PART_ITEMS_MIN: u64 = 32;

/// The memory tier.
///
/// Locks: one of its own parts, under which nothing else is locked: what has to leave is returned to the caller.
pub struct Memory {
    cache: Cache<Key, Arc<Object>, Weight, Keys, Leaving>,
}

/// Keys are hashes already.
#[derive(Clone, Default)]
pub struct Keys;

/// Folds a key to half.
#[derive(Default)]
pub struct Fold(u64);

impl BuildHasher for Keys {
    type Hasher = Fold;
    fn build_hasher(&self) -> Fold {
        Fold(0)
    }
}

impl Hasher for Fold {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for b in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*b);
        }
    }
    fn write_u128(&mut self, n: u128) {
        // Turned, so that two halves that are alike do not cancel out.
        self.0 = self.0.rotate_left(29) ^ n as u64 ^ (n >> 64) as u64;
    }
}

#[derive(Clone)]
struct Weight;

impl Weighter<Key, Arc<Object>> for Weight {
    fn weight(&self, _: &Key, object: &Arc<Object>) -> u64 {
        // 0 would pin it.
        object.mark.weight.max(1)
    }
}

#[derive(Clone)]
struct Leaving;

impl Lifecycle<Key, Arc<Object>> for Leaving {
    type RequestState = Vec<Arc<Object>>;

    fn on_evict(&self, leaving: &mut Vec<Arc<Object>>, _: Key, object: Arc<Object>) {
        leaving.push(object);
    }
}

impl Memory {
    /// A tier of so many bytes.
    pub fn new(bytes: u64, has_disk: bool) -> Self {
        let shards = if has_disk {
            SHARDS_WITH_DISK
        } else {
            SHARDS_WITHOUT_DISK
        };
        let shards = usize::try_from(bytes / PART_BYTES_MIN)
            .unwrap_or(shards)
            .clamp(1, shards);
        // quick_cache would round up.
        let shards = 1 << shards.ilog2();
        let items = (bytes / TYPICAL_BYTES).max(PART_ITEMS_MIN * shards as u64);
        let options = OptionsBuilder::new()
            .shards(shards)
            .estimated_items_capacity(usize::try_from(items).unwrap_or(usize::MAX))
            .weight_capacity(bytes)
            .build()
            .expect("both capacities are set");
        Self {
            cache: Cache::with_options(options, Weight, Keys, Leaving),
        }
    }

    /// The object of a key, which counts as used.
    pub fn ask(&self, key: Key) -> Option<Arc<Object>> {
        self.cache.get(&key)
    }

    /// The object of a key, which does not.
    pub fn peek(&self, key: Key) -> Option<Arc<Object>> {
        self.cache.peek(&key)
    }

    /// Takes up an object in place of the key's former one. What had to leave for it is returned: the former one among
    /// others, or itself if it is too heavy.
    pub fn insert(&self, object: Arc<Object>) -> Vec<Arc<Object>> {
        let mut leaving = Vec::new();
        self.cache.insert_with_lifecycle(object.key, object, &mut leaving);
        leaving
    }

    /// Forgets an object, if it is the one with this number.
    pub fn remove(&self, key: Key, id: u64) {
        self.cache.remove_if(&key, |object| object.mark.id == id);
    }

    /// Changes the limit. What had to leave is not told.
    pub fn resize(&self, bytes: u64) {
        self.cache.set_capacity(bytes);
    }

    /// Bytes in use.
    pub fn bytes(&self) -> u64 {
        self.cache.weight()
    }

    /// Objects in it.
    pub fn objects(&self) -> u64 {
        self.cache.len() as u64
    }

    /// Bytes of the heaviest object: half a part.
    pub fn object_max(&self) -> u64 {
        self.cache.shard_capacity() / 2
    }
}
