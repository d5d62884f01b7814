//! Fills that can be followed, by key and tag.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::record::Slot;
use crate::cache::Key;
use crate::cache::fill::{Fill, Follower};
use crate::cache::store::Store;

/// Fills of one key with their tags.
type Tagged = Vec<(u64, Arc<Fill>)>;

/// Fills whose answers are not stored yet, the oldest of a key first.
#[derive(Default)]
pub struct InFlight {
    fills: Mutex<HashMap<Key, Tagged>>,
    /// Of all keys: while it is 0 nobody takes the lock.
    count: AtomicUsize,
    tags: AtomicU64,
}

impl InFlight {
    /// Until what this returns is dropped, the fill may be followed.
    pub fn enter(self: &Arc<Self>, fill: &Arc<Fill>) -> Listed {
        let tag = self.tags.fetch_add(1, Ordering::Relaxed);
        let mut fills = self.fills.lock();
        fills.entry(fill.key).or_default().push((tag, Arc::clone(fill)));
        // Under the lock, so that it is never below what the list has.
        self.count.fetch_add(1, Ordering::Release);
        Listed {
            fills: Arc::clone(self),
            key: fill.key,
            tag,
            tag_bytes: tag.to_le_bytes(),
        }
    }

    /// The youngest that no purge has reached and that can still be had from its beginning.
    pub fn newest(&self, slot: &Slot, store: &Store) -> Option<Follower> {
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let known: Vec<_> = {
            let fills = self.fills.lock();
            let known = fills.get(&slot.key)?.iter().rev();
            known.map(|(_, fill)| Arc::clone(fill)).collect()
        };
        let is_good =
            |fill: &&Arc<Fill>| slot.is(&fill.meta) && !store.reaches(fill.meta.serial, &fill.meta.facets.0);
        known.iter().filter(is_good).find_map(Fill::follow)
    }

    /// Exactly the one that is asked for.
    pub fn tagged(&self, slot: &Slot, tag: &[u8]) -> Option<Follower> {
        let tag = u64::from_le_bytes(tag.try_into().ok()?);
        let fills = self.fills.lock();
        let (_, fill) = fills.get(&slot.key)?.iter().find(|(known, _)| *known == tag)?;
        slot.is(&fill.meta).then(|| fill.follow()).flatten()
    }
}

/// A place in the list of fills in flight.
pub struct Listed {
    fills: Arc<InFlight>,
    key: Key,
    tag: u64,
    /// The tag, as the fill's writer hands it out.
    pub tag_bytes: [u8; 8],
}

impl Drop for Listed {
    fn drop(&mut self) {
        let mut fills = self.fills.fills.lock();
        let mut gone = None;
        if let Some(known) = fills.get_mut(&self.key) {
            let at = known.iter().position(|(tag, _)| *tag == self.tag);
            gone = at.map(|at| known.remove(at));
            if known.is_empty() {
                fills.remove(&self.key);
            }
        }
        self.fills.count.fetch_sub(1, Ordering::Release);
        drop(fills);
        // Not under the lock: the last one to hold a fill removes its draft.
        drop(gone);
    }
}
