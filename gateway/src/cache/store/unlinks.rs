//! Files that are to be removed: a list that the keeper works through, and what cannot be removed.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use super::index::Known;
use super::shared::{Shared, count};
use super::space::rounded;
use crate::cache::disk::Location;
use crate::cache::object::Key;

/// Files that wait to be removed: 56 bytes each. Beyond that whoever has one more removes it itself; only where that fails
/// too the list grows, by what is in the folder all the same.
const UNLINKS_MAX: usize = 65_536;
/// Files tried between two looks at everything else. If as many cannot be removed one after the other, the rest waits for
/// the next look.
const TRIES: usize = 256;

/// A file that is to be removed.
#[derive(Clone, Copy)]
struct Unlink {
    key: Key,
    generation: u64,
    bytes: u64,
}

/// The list.
#[derive(Default)]
pub struct Unlinks {
    list: Mutex<VecDeque<Unlink>>,
    /// Why some of it cannot be removed.
    fault: Mutex<Option<String>>,
}

impl Unlinks {
    /// Whether every file that was to go has gone.
    pub fn is_empty(&self) -> bool {
        self.list.lock().is_empty()
    }

    /// Why something cannot be removed.
    pub fn fault(&self) -> Option<String> {
        self.fault.lock().clone()
    }

    /// Forgets all of them; how many bytes of disk they took.
    pub fn forget(&self) -> u64 {
        let all = std::mem::take(&mut *self.list.lock());
        all.iter().map(|unlink| unlink.bytes).sum()
    }
}

/// What came of evicting an object from disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evicted {
    /// It has no file any more.
    Freed,
    /// It has, or had none.
    Not,
    /// It is forgotten, but its file cannot be removed.
    Stuck,
}

impl Shared {
    /// Takes an object that the index has forgotten out of memory and puts its file on the list.
    pub fn dispose(&self, known: &Known) {
        self.memory.remove(known.key, known.id);
        if let Some(location) = known.location {
            self.dispose_file(known.key, &location);
        }
    }

    /// Has a file removed that no index knows any more.
    pub fn dispose_file(&self, key: Key, location: &Location) {
        let unlink = Unlink {
            key,
            generation: location.generation,
            bytes: rounded(location.file_length),
        };
        let mut list = self.unlinks.list.lock();
        if list.len() < UNLINKS_MAX {
            list.push_back(unlink);
            return;
        }
        drop(list);
        if self.unlink(unlink).is_err() {
            self.unlinks.list.lock().push_back(unlink);
        }
    }

    /// Removes files that are on the list, each tried once at most: one that cannot be removed holds up none of the others.
    /// Whether there are more to try at once. For the keeper alone.
    pub fn remove_files(&self) -> bool {
        let tries = self.unlinks.list.lock().len().min(TRIES);
        let (mut removed, mut failed) = (0, None);
        for _ in 0..tries {
            let next = self.unlinks.list.lock().front().copied();
            let Some(next) = next else { break };
            let result = self.unlink(next);
            // It stays on the list until it is gone: records of purges that reach it are not forgotten before.
            let mut list = self.unlinks.list.lock();
            list.pop_front();
            match result {
                Ok(()) => removed += 1,
                Err(error) => {
                    list.push_back(next);
                    failed = Some(error);
                }
            }
        }
        let is_empty = self.unlinks.is_empty();
        match failed {
            Some(error) => self.note_stuck(&error),
            None if is_empty => self.note_unstuck(),
            None => {}
        }
        removed > 0 && !is_empty
    }

    /// Takes an object's file, unless the object was used in memory since the hand last came by.
    pub fn evict(&self, known: &Known) -> Evicted {
        let Some(location) = known.location else {
            return Evicted::Not;
        };
        if known.is_in_memory
            && let Some(object) = self.memory.peek(known.key)
            && object.mark.is_touched.swap(false, Ordering::Relaxed)
        {
            self.index.spare(known.key, known.id);
            return Evicted::Not;
        }
        let Some(location) = self.index.drop_file(known.key, location.generation, &self.purges) else {
            return Evicted::Not;
        };
        count(&self.counters.evicted_disk);
        let unlink = Unlink {
            key: known.key,
            generation: location.generation,
            bytes: rounded(location.file_length),
        };
        match self.unlink(unlink) {
            Ok(()) => Evicted::Freed,
            Err(error) => {
                self.unlinks.list.lock().push_back(unlink);
                self.note_stuck(&error);
                Evicted::Stuck
            }
        }
    }

    /// Removes a file. After an error it may still be there.
    fn unlink(&self, unlink: Unlink) -> io::Result<()> {
        let Some(tier) = self.tier.load_full() else {
            return Ok(());
        };
        tier.folder.remove(unlink.key, unlink.generation)?;
        self.space.free(unlink.bytes);
        Ok(())
    }

    /// Something cannot be removed. That is no reason to write nothing more: its bytes stay counted, and whether the disk can be
    /// written is found out by who writes.
    fn note_stuck(&self, error: &io::Error) {
        let path = self.path.as_ref().map(|path| path.display().to_string());
        let path = path.unwrap_or_default();
        let text = format!(
            "{path}: files that are to go cannot be removed, and take room until they are: {error}: check whose they are, \
             and the kernel's log"
        );
        let mut fault = self.unlinks.fault.lock();
        // Told once, however often it is tried.
        if fault.as_ref() != Some(&text) {
            log::warn!("cache {}: {text}", self.name);
        }
        *fault = Some(text);
    }

    fn note_unstuck(&self) {
        if let Some(fault) = self.unlinks.fault.lock().take() {
            log::info!("cache {}: files are removed again after: {fault}", self.name);
        }
    }
}
