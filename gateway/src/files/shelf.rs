//! A bounded shelf of values that hold for a moment and are then looked at again. Pure: the clock is an argument.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::RwLock;

use crate::kit::clock::Mono;

/// Values kept by one shelf; the least recently used one makes room. Each is an open file or up to 64 KiB of memory,
/// so this bounds a route's descriptors, and its memory to 64 MiB.
pub(super) const ENTRIES_MAX: usize = 1024;

/// How long a value is taken as it is.
pub(super) const FRESH_FOR: Duration = Duration::from_secs(1);

/// What nobody asked for this long is let go, so that a deleted file does not hold its space on the disk.
pub(super) const IDLE_MAX: Duration = Duration::from_secs(10);

/// Values by path. Readers share one lock; a hit writes nothing but an atomic.
#[derive(Debug)]
pub(super) struct Shelf<V> {
    slots: RwLock<HashMap<Box<[u8]>, Slot<V>>>,
    swept: AtomicU64,
}

#[derive(Debug)]
struct Slot<V> {
    value: V,
    /// When it was last known to be true.
    checked: AtomicU64,
    /// When it was last asked for.
    used: AtomicU64,
}

/// What a shelf has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Look<V> {
    /// Nothing.
    Absent,
    /// A value whose time is up: it may be confirmed.
    Due(V),
    /// A value that may be used.
    Fresh(V),
}

impl<V: Clone> Shelf<V> {
    /// An empty one.
    pub fn new() -> Self {
        Self {
            slots: RwLock::default(),
            swept: AtomicU64::new(0),
        }
    }

    /// What is there for a path.
    pub fn look(&self, path: &[u8], now: Mono) -> Look<V> {
        let slots = self.slots.read();
        let Some(slot) = slots.get(path) else {
            return Look::Absent;
        };
        slot.used.fetch_max(now.0, Ordering::Relaxed);
        let checked = Mono(slot.checked.load(Ordering::Relaxed));
        let value = slot.value.clone();
        match now.since(checked) < FRESH_FOR {
            true => Look::Fresh(value),
            false => Look::Due(value),
        }
    }

    /// The value that is there was found true again.
    pub fn confirm(&self, path: &[u8], now: Mono) {
        if let Some(slot) = self.slots.read().get(path) {
            slot.checked.fetch_max(now.0, Ordering::Relaxed);
        }
    }

    /// Keeps a value that was true at `now`, in place of any other.
    pub fn put(&self, path: &[u8], value: V, now: Mono) {
        let slot = Slot {
            value,
            checked: AtomicU64::new(now.0),
            used: AtomicU64::new(now.0),
        };
        let mut slots = self.slots.write();
        if slots.len() >= ENTRIES_MAX && !slots.contains_key(path) {
            evict(&mut slots);
        }
        slots.insert(path.into(), slot);
    }

    /// Lets go of a path's value.
    pub fn forget(&self, path: &[u8]) {
        // Most paths that are forgotten were never known: no reason to keep the readers out.
        if self.slots.read().contains_key(path) {
            self.slots.write().remove(path);
        }
    }

    /// Lets go of all of them.
    pub fn clear(&self) {
        self.slots.write().clear();
    }

    /// Lets go of what has been idle for [`IDLE_MAX`], if that was not done within that time.
    pub fn sweep(&self, now: Mono) {
        let last = self.swept.load(Ordering::Relaxed);
        if now.since(Mono(last)) < IDLE_MAX {
            return;
        }
        // One worker does it; the others go on.
        let mine = self
            .swept
            .compare_exchange(last, now.0, Ordering::Relaxed, Ordering::Relaxed);
        if mine.is_ok() {
            let idle = |slot: &Slot<V>| now.since(Mono(slot.used.load(Ordering::Relaxed))) >= IDLE_MAX;
            self.slots.write().retain(|_, slot| !idle(slot));
        }
    }

    /// How many values there are.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.slots.read().len()
    }
}

/// A scan: it is a thousand loads, and what led here has just opened a file.
fn evict<V>(slots: &mut HashMap<Box<[u8]>, Slot<V>>) {
    let oldest = slots
        .iter()
        .min_by_key(|(_, slot)| slot.used.load(Ordering::Relaxed))
        .map(|(path, _)| path.clone());
    if let Some(path) = oldest {
        slots.remove(&path);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(ms: u64) -> Mono {
        Mono(ms * 1_000_000)
    }

    #[test]
    fn a_value_is_fresh_for_a_second_and_then_due_until_confirmed() {
        let shelf = Shelf::new();
        shelf.put(b"a", 1, at(0));
        assert_eq!(shelf.look(b"a", at(999)), Look::Fresh(1));
        assert_eq!(shelf.look(b"a", at(1000)), Look::Due(1));
        shelf.confirm(b"a", at(1000));
        assert_eq!(shelf.look(b"a", at(1999)), Look::Fresh(1));
        shelf.forget(b"a");
        assert_eq!(shelf.look(b"a", at(1999)), Look::Absent);
    }

    #[test]
    fn a_full_shelf_lets_the_least_recently_used_go() {
        let shelf = Shelf::new();
        for n in 0..ENTRIES_MAX {
            shelf.put(&n.to_be_bytes(), n, at(n as u64));
        }
        let late = at(ENTRIES_MAX as u64);
        shelf.look(&0usize.to_be_bytes(), late);
        shelf.put(b"new", 0, late);
        assert_eq!(shelf.len(), ENTRIES_MAX);
        assert_eq!(shelf.look(&1usize.to_be_bytes(), late), Look::Absent);
        assert_ne!(shelf.look(&0usize.to_be_bytes(), late), Look::Absent);
    }

    #[test]
    fn a_worker_that_lags_does_not_make_a_value_older() {
        let shelf = Shelf::new();
        shelf.put(b"a", 1, at(5000));
        shelf.confirm(b"a", at(10));
        assert_eq!(shelf.look(b"a", at(5500)), Look::Fresh(1));
        assert_eq!(shelf.look(b"a", at(10)), Look::Fresh(1));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Confirm(u8),
        Forget(u8),
        Look(u8),
        Put(u8),
        Sweep,
        Wait(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0u8..4).prop_map(Step::Confirm),
            (0u8..4).prop_map(Step::Forget),
            (0u8..4).prop_map(Step::Look),
            (0u8..4).prop_map(Step::Put),
            Just(Step::Sweep),
            (0u64..6000).prop_map(Step::Wait),
        ]
    }

    /// (value, checked, used) in milliseconds.
    type Model = HashMap<u8, (usize, u64, u64)>;

    fn expected(model: &mut Model, path: u8, ms: u64) -> Look<usize> {
        match model.get_mut(&path) {
            None => Look::Absent,
            Some((value, checked, used)) => {
                *used = ms;
                let fresh = ms - *checked < 1000;
                if fresh {
                    Look::Fresh(*value)
                } else {
                    Look::Due(*value)
                }
            }
        }
    }

    proptest! {
        #[test]
        fn it_answers_as_a_plain_map_with_times_does(steps in proptest::collection::vec(step(), 0..80)) {
            let (shelf, mut model) = (Shelf::new(), Model::new());
            let (mut ms, mut swept) = (0, 0);
            for (value, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Confirm(path) => {
                        shelf.confirm(&[path], at(ms));
                        model.entry(path).and_modify(|slot| slot.1 = ms);
                    }
                    Step::Forget(path) => {
                        shelf.forget(&[path]);
                        model.remove(&path);
                    }
                    Step::Look(path) => {
                        prop_assert_eq!(shelf.look(&[path], at(ms)), expected(&mut model, path, ms));
                    }
                    Step::Put(path) => {
                        shelf.put(&[path], value, at(ms));
                        model.insert(path, (value, ms, ms));
                    }
                    Step::Sweep => {
                        shelf.sweep(at(ms));
                        if ms - swept >= 10_000 {
                            swept = ms;
                            model.retain(|_, slot| ms - slot.2 < 10_000);
                        }
                    }
                    Step::Wait(by) => ms += by,
                }
                prop_assert_eq!(shelf.len(), model.len());
            }
        }
    }
}
