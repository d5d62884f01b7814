//! Copies of large bodies that the system can send without copying them once more.
//!
//! What is written to a socket is copied into it, and at 100 KiB that copy is most of what an answer costs. A file in memory
//! is handed over page by page instead. So large bodies that are asked for again get such a file, out of a share of the
//! memory tier that is kept for this, and lose it when they leave memory.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{MemfdFlags, memfd_create};

use crate::cache::object::{Body, Object};

/// Bytes from which a body is worth a file: below, the call of its own costs more than the copy.
const BODY_BYTES_MIN: usize = 32 * 1024;
/// Hits before a body gets one: most are asked for once.
const HITS_MIN: u32 = 2;
/// Files of a cache at once. Each takes a descriptor, of which clients need most.
const FILES_MAX: u64 = 256;
/// The share of the memory tier that is kept for them.
pub const MEMORY_SHARE: u64 = 16;

/// What the files of one cache take.
#[derive(Debug, Default)]
pub struct Stages {
    bytes: AtomicU64,
    files: AtomicU64,
}

/// A body's file in memory. Its bytes are given back by dropping.
#[derive(Debug)]
pub struct Staged {
    /// Never written to again.
    pub file: File,
    bytes: u64,
    stages: Arc<Stages>,
}

impl Stages {
    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The file of an object, made if it has earned one and there is room; None where the body is to be written as it is.
    pub fn of<'a>(self: &Arc<Self>, object: &'a Object, bytes_max: u64) -> Option<&'a Staged> {
        if let Some(staged) = object.staged.get() {
            return Some(staged);
        }
        let Body::Memory(body) = &object.body else {
            return None;
        };
        if body.len() < BODY_BYTES_MIN || object.mark.wishes.fetch_add(1, Ordering::Relaxed) < HITS_MIN {
            return None;
        }
        let staged = self.stage(body, bytes_max)?;
        // Should another thread have been faster, ours is given back.
        Some(object.staged.get_or_init(|| staged))
    }

    fn stage(self: &Arc<Self>, body: &[u8], bytes_max: u64) -> Option<Staged> {
        let bytes = body.len() as u64;
        take(&self.files, 1, FILES_MAX)?;
        if take(&self.bytes, bytes, bytes_max).is_none() {
            self.files.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        // From here on whatever fails gives both back.
        let file = memfd_create(c"sluice", MemfdFlags::CLOEXEC).ok();
        let Some(file) = file.map(File::from) else {
            self.give_back(bytes);
            return None;
        };
        let mut staged = Staged {
            file,
            bytes,
            stages: Arc::clone(self),
        };
        staged.file.write_all(body).ok()?;
        Some(staged)
    }

    fn give_back(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.files.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        self.stages.give_back(self.bytes);
    }
}

fn take(from: &AtomicU64, n: u64, max: u64) -> Option<()> {
    let more = |used: u64| (used + n <= max).then_some(used + n);
    from.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
        .ok()?;
    Some(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use bytes::Bytes;

    use super::*;
    use crate::cache::object::Key;
    use crate::cache::store::tests::meta;

    fn object(length: usize) -> Object {
        let key = Key {
            primary: 1,
            variance: 0,
        };
        Object::new(key, meta(1, &[], 1), Body::Memory(Bytes::from(vec![7; length])))
    }

    #[test]
    fn a_large_body_that_is_asked_for_again_gets_a_file_and_gives_it_back() {
        let stages = Arc::new(Stages::default());
        let large = object(BODY_BYTES_MIN);
        for _ in 0..HITS_MIN {
            assert!(stages.of(&large, 1 << 20).is_none());
        }
        let staged = stages.of(&large, 1 << 20).unwrap();
        let mut bytes = vec![0; BODY_BYTES_MIN];
        staged.file.read_exact_at(&mut bytes, 0).unwrap();
        assert!(bytes.iter().all(|b| *b == 7));
        assert_eq!(stages.bytes(), BODY_BYTES_MIN as u64);
        drop(large);
        assert_eq!((stages.bytes(), stages.files.load(Ordering::Relaxed)), (0, 0));
    }

    #[test]
    fn small_bodies_and_those_beyond_the_share_get_none() {
        let stages = Arc::new(Stages::default());
        let (small, large) = (object(BODY_BYTES_MIN - 1), object(BODY_BYTES_MIN));
        for _ in 0..10 {
            assert!(stages.of(&small, 1 << 20).is_none());
            assert!(stages.of(&large, BODY_BYTES_MIN as u64 - 1).is_none());
        }
        assert_eq!((stages.bytes(), stages.files.load(Ordering::Relaxed)), (0, 0));
    }
}
