//! How much memory bodies on their way may hold, all of them together.

use super::super::sync::{AtomicUsize, Ordering};

/// Bytes of a body that is on its way while there is no room for more: enough that neither side waits for each packet.
pub const CROWDED_BYTES_MAX: usize = 64 * 1024;

/// Bytes held by all fills of a cache, and how many there should be at most.
///
/// A limit for each fill alone is none: an origin sends as fast as it can, whether anybody reads or not, so that a few
/// hundred clients that ask for something large and read nothing would be as many bodies in memory. What a fill holds
/// counts until the fill is gone, because its slowest follower keeps it.
#[derive(Debug)]
pub struct Budget {
    held: AtomicUsize,
    bytes_max: AtomicUsize,
}

impl Budget {
    /// A budget of so many bytes, of which nothing is held.
    pub fn new(bytes_max: usize) -> Self {
        Self {
            held: AtomicUsize::new(0),
            bytes_max: AtomicUsize::new(bytes_max),
        }
    }

    /// Sets the limit. What is held beyond it stays.
    pub fn resize(&self, bytes_max: usize) {
        self.bytes_max.store(bytes_max, Ordering::Relaxed);
    }

    /// Bytes held.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Whether so many bytes more may be held. Nothing is reserved: fills that ask at once go beyond the limit by what each
    /// of them pushes next.
    pub fn has_room_for(&self, bytes: usize) -> bool {
        self.held().saturating_add(bytes) <= self.bytes_max.load(Ordering::Relaxed)
    }

    /// One fill holds `after` bytes now instead of `before`.
    pub(super) fn change(&self, before: usize, after: usize) {
        if after >= before {
            self.held.fetch_add(after - before, Ordering::Relaxed);
        } else {
            self.held.fetch_sub(before - after, Ordering::Relaxed);
        }
    }
}
