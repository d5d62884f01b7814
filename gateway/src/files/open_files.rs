//! Files found by path and kept at hand for a moment (nginx: open_file_cache).
//!
//! What it promises: an answer is one content of the file, whole, with the tag and length of that content. A change
//! is seen at most [`FRESH_FOR`](super::shelf::FRESH_FOR) late. A small file that is asked for all the time costs no
//! system call within that time and one `fstatat` after it; a large one costs one `fstat` per request.
//!
//! What nobody can promise: a file written in place has, in between, a content that is neither the old nor the new
//! one. It may be seen, for that second. Who publishes writes beside and renames.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::Fault;
use super::listing::Listing;
use super::opened::{Kind, Opened};
use super::root::{Folder, Purpose, Root};
use super::shelf::{Look, Shelf};
use crate::kit::clock::{Mono, Now};

/// One route's folder with what is known of its files. Shared by all workers.
#[derive(Debug)]
pub(super) struct OpenFiles {
    root: Root,
    /// None: nothing is there. Remembered of precompressed siblings only, whose paths no client can make up.
    shelf: Shelf<Option<Arc<Opened>>>,
}

/// What a path leads to.
#[derive(Clone, Debug)]
pub(super) enum Found {
    /// A regular file.
    File(Arc<Opened>),
    /// A folder.
    Folder,
    /// Nothing that is served.
    Nothing,
}

impl OpenFiles {
    /// Opens nothing yet.
    pub fn new(root: Root) -> Self {
        Self {
            root,
            shelf: Shelf::new(),
        }
    }

    /// What a path below the root leads to.
    pub fn find(&self, path: &[u8], now: Now) -> Result<Found, Fault> {
        match self.recall(path, now) {
            Ok(None) => Ok(Found::Nothing),
            Ok(Some(file)) => Ok(Found::File(file)),
            Err(known) => self.look_again(path, known, now),
        }
    }

    /// A file that may be sent instead of another. That it is not there is remembered, too: most files have no
    /// sibling, and to learn that anew would cost each request a system call per coding.
    pub fn find_sibling(&self, path: &[u8], now: Now) -> Option<Arc<Opened>> {
        let known = match self.recall(path, now) {
            Ok(certain) => return certain,
            Err(known) => known,
        };
        if let Ok(Found::File(file)) = self.look_again(path, known, now) {
            return Some(file);
        }
        self.shelf.put(path, None, now.mono);
        None
    }

    /// What a folder holds; None where there is no folder.
    pub fn list(&self, path: &[u8], now: Now) -> Result<Option<Listing>, Fault> {
        let (Some(folder), _) = self.root.folder(now.mono) else {
            return Ok(None);
        };
        match Listing::read(&folder, path) {
            Ok(listing) => Ok(Some(listing)),
            Err(Fault::Nothing) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// Closes what nobody has asked for lately.
    pub fn sweep(&self, now: Mono) {
        self.shelf.sweep(now);
    }

    /// Ok: certain for the moment. Err: to be looked at again, with the file that was there before.
    fn recall(&self, path: &[u8], now: Now) -> Result<Option<Arc<Opened>>, Option<Arc<Opened>>> {
        match self.shelf.look(path, now.mono) {
            Look::Absent => Err(None),
            Look::Due(known) => Err(known),
            Look::Fresh(known) if known.as_ref().is_none_or(|file| file.is_intact()) => Ok(known),
            Look::Fresh(_) => Err(None),
        }
    }

    fn look_again(&self, path: &[u8], known: Option<Arc<Opened>>, now: Now) -> Result<Found, Fault> {
        self.shelf.sweep(now.mono);
        let (folder, switched) = self.root.folder(now.mono);
        if switched {
            self.shelf.clear();
        }
        let Some(folder) = folder else {
            return Ok(Found::Nothing);
        };
        if let Some(file) = known.filter(|f| folder.stat(path).is_ok_and(|stamp| f.holds(&stamp))) {
            self.shelf.confirm(path, now.mono);
            return Ok(Found::File(file));
        }
        let kind = self.open(&folder, path).and_then(|fd| Kind::of(fd, now.wall));
        if let Ok(Kind::File(file)) = kind {
            let file = Arc::new(file);
            self.shelf.put(path, Some(Arc::clone(&file)), now.mono);
            return Ok(Found::File(file));
        }
        self.shelf.forget(path);
        match kind {
            Ok(Kind::Folder) => Ok(Found::Folder),
            Ok(_) | Err(Fault::Nothing) => Ok(Found::Nothing),
            // One may pass through it and not list it, which is all that its index needs.
            Err(Fault::Forbidden) if folder.has_folder(path) => Ok(Found::Folder),
            Err(fault) => Err(fault),
        }
    }

    fn open(&self, folder: &Folder, path: &[u8]) -> Result<OwnedFd, Fault> {
        let open = || folder.open(path, Purpose::Read).map_err(Fault::from);
        open().or_else(|fault| match fault {
            // The descriptors kept here are the first to be given up when there are no more.
            Fault::Exhausted => {
                self.shelf.clear();
                open()
            }
            other => Err(other),
        })
    }
}
