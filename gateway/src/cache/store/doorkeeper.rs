//! How often keys were asked for lately that are not kept: bounded, and forgetful.

use parking_lot::Mutex;

use crate::cache::object::Key;

/// Keys remembered at most: 64 Ki entries of 8 bytes.
const ENTRIES: usize = 65_536;
/// Entries a key can be in.
const WAYS: usize = 8;
/// Keys that meet at one lock.
const SHARDS: usize = 16;

/// Counts of recent keys. Of each 44 bits are compared, of the 64 that its halves are folded to: 31 in the tag, 4 by the lock, 9
/// by the neighbourhood. Two keys that look alike bring one of them to disk a little early.
pub struct Doorkeeper {
    shards: Box<[Mutex<Box<[Entry]>>]>,
}

/// The tag is 0 in an entry that nobody has.
#[derive(Clone, Copy, Default)]
struct Entry {
    tag: u32,
    count: u32,
}

impl Default for Doorkeeper {
    fn default() -> Self {
        let empty = || Mutex::new(vec![Entry::default(); ENTRIES / SHARDS].into_boxed_slice());
        Self {
            shards: (0..SHARDS).map(|_| empty()).collect(),
        }
    }
}

impl Doorkeeper {
    /// Adds to the count of a key; what it is then.
    ///
    /// A key that is not remembered takes the place of the one in its neighbourhood with the smallest count, and the others
    /// there lose one: who is not asked for any more makes room.
    pub fn add(&self, key: Key, uses: u32) -> u32 {
        let hash = (key.primary ^ key.variance.rotate_left(64)) as u64;
        let tag = (hash >> 32) as u32 | 1;
        let mut entries = self.shards[hash as usize % SHARDS].lock();
        let neighbourhoods = entries.len() / WAYS;
        let at = (hash >> 4) as usize % neighbourhoods * WAYS;
        let ways = &mut entries[at..at + WAYS];
        if let Some(entry) = ways.iter_mut().find(|e| e.tag == tag) {
            entry.count = entry.count.saturating_add(uses);
            return entry.count;
        }
        let mut least = 0;
        for (i, entry) in ways.iter().enumerate() {
            if entry.count < ways[least].count {
                least = i;
            }
        }
        if ways[least].tag != 0 {
            ways.iter_mut().for_each(|e| e.count = e.count.saturating_sub(1));
        }
        ways[least] = Entry { tag, count: uses };
        uses
    }

    /// Forgets a key that was let in.
    pub fn forget(&self, key: Key) {
        let hash = (key.primary ^ key.variance.rotate_left(64)) as u64;
        let tag = (hash >> 32) as u32 | 1;
        let mut entries = self.shards[hash as usize % SHARDS].lock();
        let neighbourhoods = entries.len() / WAYS;
        let at = (hash >> 4) as usize % neighbourhoods * WAYS;
        if let Some(entry) = entries[at..at + WAYS].iter_mut().find(|e| e.tag == tag) {
            *entry = Entry::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u64) -> Key {
        let hash = u128::from(n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        Key {
            primary: hash << 64 | hash,
            variance: 0,
        }
    }

    #[test]
    fn keys_are_counted_until_they_are_let_in() {
        let door = Doorkeeper::default();
        assert_eq!(
            [door.add(key(1), 1), door.add(key(1), 1), door.add(key(2), 1)],
            [1, 2, 1]
        );
        assert_eq!(door.add(key(1), 0), 2);
        door.forget(key(1));
        assert_eq!(door.add(key(1), 1), 1);
    }

    #[test]
    fn what_is_asked_for_now_and_then_outlives_a_flood_of_strangers() {
        let door = Doorkeeper::default();
        let mut counts = 0;
        for n in 0..400_000 {
            door.add(key(n + 10), 1);
            if n % 1_000 == 0 {
                counts = door.add(key(1), 1);
            }
        }
        assert!(counts > 100, "{counts}");
    }
}
