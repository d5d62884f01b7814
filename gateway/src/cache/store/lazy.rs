//! A draft for a fill that may never need one.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Spill, Store};
use crate::cache::fill;

/// A draft of the disk tier whose file is made by the first append: most bodies never come to that.
pub struct DraftSpill {
    store: Arc<Store>,
    draft: Mutex<Option<Arc<Spill>>>,
}

impl DraftSpill {
    /// A draft that is not begun.
    pub fn new(store: Arc<Store>) -> Self {
        Self {
            store,
            draft: Mutex::new(None),
        }
    }

    /// The draft, if something was written to it.
    pub fn opened(&self) -> Option<Arc<Spill>> {
        self.draft.lock().clone()
    }

    /// The draft, made if there is none yet. The lock is not held while the file is written or read.
    fn open(&self) -> io::Result<Arc<Spill>> {
        let mut draft = self.draft.lock();
        if let Some(draft) = &*draft {
            return Ok(Arc::clone(draft));
        }
        let made = self.store.draft().ok_or(io::ErrorKind::StorageFull)?;
        let made = Arc::new(made);
        *draft = Some(Arc::clone(&made));
        Ok(made)
    }
}

impl fill::Spill for DraftSpill {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.open()?.append(bytes).map(drop)
    }

    fn read_at(&self, offset: u64, out: &mut [u8], may_wait: bool) -> io::Result<Option<usize>> {
        self.open()?.read_at(offset, out, may_wait)
    }
}
