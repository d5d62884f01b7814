//! Keys whose answers cannot be shared: who asks for one of them waits for nobody.
//!
//! Only a hint. A key that was forgotten costs one round of waiting for a head; one that is remembered too long costs
//! requests to the origin until its time is over.

use std::collections::{BTreeMap, HashMap};

use super::object::Key;
use super::sync::{AtomicUsize, Mutex, Ordering};
use crate::kit::clock::Mono;

/// Keys remembered at once, at about 150 bytes each. One that is asked for often is soon back if it was forgotten.
pub const PASSES_MAX: usize = 16_384;

/// Parts of the table, each with its own lock: several times the number of workers, so that two seldom meet.
const SHARDS: usize = 32;

/// A bounded table of keys and the time until which they are known to be uncacheable. The oldest is forgotten first.
#[derive(Debug)]
pub struct Passes {
    shards: Box<[Mutex<Shard>]>,
    /// Of each shard.
    keys_max: usize,
    /// Of all shards: while it is 0 nobody takes a lock.
    keys: AtomicUsize,
}

/// Invariant: `order` has each key of `notes` once, under the turn that is noted there.
#[derive(Debug, Default)]
struct Shard {
    notes: HashMap<Key, Note>,
    order: BTreeMap<u64, Key>,
    turn: u64,
}

#[derive(Clone, Copy, Debug)]
struct Note {
    until: Mono,
    turn: u64,
}

impl Default for Passes {
    fn default() -> Self {
        Self::new(PASSES_MAX)
    }
}

impl Passes {
    /// An empty table for about `keys_max` keys: each of its parts takes an equal share, at least one.
    pub fn new(keys_max: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            keys_max: (keys_max / SHARDS).max(1),
            keys: AtomicUsize::new(0),
        }
    }

    /// Remembers a key until `until`, in the place of what was known of it.
    pub fn insert(&self, key: Key, until: Mono) {
        let mut shard = self.shard(&key).lock();
        let before = shard.notes.len();
        shard.insert(key, until);
        if shard.notes.len() > self.keys_max {
            shard.forget_oldest();
        }
        // Under the lock, so that the count is never behind a removal of the same key.
        if shard.notes.len() > before {
            self.keys.fetch_add(1, Ordering::Release);
        }
    }

    /// Whether a key is known to be uncacheable; one whose time is over is forgotten.
    pub fn contains(&self, key: &Key, now: Mono) -> bool {
        if self.is_empty() {
            return false;
        }
        let mut shard = self.shard(key).lock();
        let Some(note) = shard.notes.get(key) else {
            return false;
        };
        if now < note.until {
            return true;
        }
        shard.remove(key);
        self.keys.fetch_sub(1, Ordering::Release);
        false
    }

    /// The same, and nothing is forgotten.
    pub fn peek(&self, key: &Key, now: Mono) -> bool {
        let note = || self.shard(key).lock().notes.get(key).copied();
        !self.is_empty() && note().is_some_and(|note| now < note.until)
    }

    /// Forgets a key: an answer that can be shared was seen.
    pub fn remove(&self, key: &Key) {
        if self.is_empty() {
            return;
        }
        if self.shard(key).lock().remove(key) {
            self.keys.fetch_sub(1, Ordering::Release);
        }
    }

    /// Keys remembered now, some perhaps beyond their time.
    pub fn len(&self) -> usize {
        self.keys.load(Ordering::Acquire)
    }

    /// Whether no key is remembered; one atomic load.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn shard(&self, key: &Key) -> &Mutex<Shard> {
        let mixed = key.primary ^ key.variance;
        // The keys are hashes: any of their bits will do.
        &self.shards[(mixed % SHARDS as u128) as usize]
    }
}

impl Shard {
    fn insert(&mut self, key: Key, until: Mono) {
        self.turn += 1;
        let turn = self.turn;
        if let Some(old) = self.notes.insert(key, Note { until, turn }) {
            self.order.remove(&old.turn);
        }
        self.order.insert(turn, key);
    }

    fn remove(&mut self, key: &Key) -> bool {
        match self.notes.remove(key) {
            Some(note) => self.order.remove(&note.turn).is_some(),
            None => false,
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, oldest)) = self.order.pop_first() {
            self.notes.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(number: u128) -> Key {
        Key {
            primary: number,
            variance: 0,
        }
    }

    #[test]
    fn a_key_is_remembered_until_its_time_and_not_at_it() {
        let passes = Passes::default();
        assert!(passes.is_empty() && !passes.contains(&key(1), Mono(0)));
        passes.insert(key(1), Mono(10));
        assert!(passes.contains(&key(1), Mono(9)));
        assert!(!passes.contains(&key(2), Mono(9)));
        assert!(!passes.contains(&key(1), Mono(10)));
        assert!(passes.is_empty(), "it was forgotten when it was asked for");
    }

    #[test]
    fn variants_of_one_answer_are_told_apart() {
        let passes = Passes::default();
        let variant = Key {
            variance: 1,
            ..key(1)
        };
        passes.insert(variant, Mono(10));
        assert!(passes.contains(&variant, Mono(0)));
        assert!(!passes.contains(&key(1), Mono(0)));
    }

    #[derive(Clone, Debug)]
    enum Act {
        Insert(u128, u64),
        Ask(u128, u64),
        Remove(u128),
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            4 => (0..12u128, 0..20u64).prop_map(|(k, until)| Act::Insert(k, until)),
            4 => (0..12u128, 0..20u64).prop_map(|(k, now)| Act::Ask(k, now)),
            1 => (0..12u128).prop_map(Act::Remove),
        ]
    }

    proptest! {
        /// The model is a list from the oldest to the newest; all keys fall into one shard.
        #[test]
        fn it_does_what_a_short_list_does(
            acts in prop::collection::vec(act(), 1..200),
            keys_max in 1..6usize,
        ) {
            let of = |k: u128| key(k * SHARDS as u128);
            let passes = Passes::new(keys_max * SHARDS);
            let mut list: Vec<(u128, u64)> = Vec::new();
            for act in acts {
                match act {
                    Act::Insert(k, until) => {
                        passes.insert(of(k), Mono(until));
                        list.retain(|(other, _)| *other != k);
                        list.push((k, until));
                        if list.len() > keys_max {
                            list.remove(0);
                        }
                    }
                    Act::Ask(k, now) => {
                        let expected = list.iter().any(|(other, until)| *other == k && now < *until);
                        prop_assert_eq!(passes.contains(&of(k), Mono(now)), expected);
                        list.retain(|(other, until)| *other != k || now < *until);
                    }
                    Act::Remove(k) => {
                        passes.remove(&of(k));
                        list.retain(|(other, _)| *other != k);
                    }
                }
                prop_assert_eq!(passes.len(), list.len());
            }
        }
    }
}
