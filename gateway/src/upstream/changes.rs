//! One counter that says "some server's standing may have changed", shared by all cells of a gateway.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};

/// Counts changes of standing: a probe's verdict, an ejection, an operator's word. Clones count together.
///
/// A pool keeps what it worked out from its cells and looks at them again only when this has moved. A cell writes its
/// state first and counts second; a pool reads the count first and the states second: it can be early, never late.
#[derive(Clone, Debug, Default)]
pub struct Changes(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    count: AtomicU64,
    ejecting: Mutex<()>,
}

impl Changes {
    /// Tells every pool to look again.
    pub fn note(&self) {
        self.0.count.fetch_add(1, Ordering::AcqRel);
    }

    /// How many changes there have been.
    pub fn count(&self) -> u64 {
        self.0.count.load(Ordering::Acquire)
    }

    /// Ejections are decided one at a time, or two that each leave enough servers leave too few together.
    ///
    /// One lock for all upstreams, because they may share servers. Taken on failures only.
    pub fn ejecting(&self) -> MutexGuard<'_, ()> {
        self.0.ejecting.lock()
    }
}
