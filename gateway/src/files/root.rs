//! The published folder, held by a descriptor, and opens that cannot leave it.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::RwLock;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use super::opened::Stamp;
use super::shelf::FRESH_FOR;
use crate::kit::clock::Mono;

/// A rename somewhere in the tree makes the kernel ask for another try; that many in a row are no accident.
const TRIES_MAX: usize = 8;

/// The folder's path, and the folder that was last seen there.
///
/// The path is looked at again every [`FRESH_FOR`]: a release that is switched by a symbolic link, and a folder that
/// appears after the start, are picked up without a reload.
#[derive(Debug)]
pub(super) struct Root {
    path: PathBuf,
    seen: RwLock<Seen>,
    walks: bool,
}

#[derive(Debug, Default)]
struct Seen {
    folder: Option<Arc<Folder>>,
    checked: Option<Mono>,
}

/// The root as it is now: one descriptor, which follows no later change of the path.
#[derive(Debug)]
pub(super) struct Folder {
    fd: OwnedFd,
    identity: (u64, u64),
    /// The kernel has no `openat2`: paths are walked segment by segment, and no symbolic link is followed.
    walks: AtomicBool,
}

/// What an open is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Read the names in a folder.
    List,
    /// Learn what is there.
    Look,
    /// Read a file, or find out that it is a folder.
    Read,
}

impl Root {
    /// The path is not looked at before it is needed.
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            seen: RwLock::default(),
            walks: false,
        }
    }

    /// As on a kernel without `openat2`.
    #[cfg(test)]
    pub fn without_openat2(path: &Path) -> Self {
        Self {
            walks: true,
            ..Self::new(path)
        }
    }

    /// The folder, and whether it is another one than the last time.
    pub fn folder(&self, now: Mono) -> (Option<Arc<Folder>>, bool) {
        {
            let seen = self.seen.read();
            if seen.checked.is_some_and(|at| now.since(at) < FRESH_FOR) {
                return (seen.folder.clone(), false);
            }
        }
        // Opened under the lock: a worker that was held up must not put an older folder back.
        let mut seen = self.seen.write();
        if seen.checked.is_some_and(|at| now.since(at) < FRESH_FOR) {
            return (seen.folder.clone(), false);
        }
        let found = self.open();
        let before = seen.folder.as_ref().map(|f| f.identity);
        let after = found.as_ref().ok().map(|f| f.identity);
        if seen.checked.is_none() || before != after {
            self.report(found.as_ref().err());
            seen.folder = found.ok().map(Arc::new);
        }
        seen.checked = Some(now);
        (seen.folder.clone(), before.is_some() && before != after)
    }

    fn report(&self, fault: Option<&Errno>) {
        let path = self.path.display();
        match fault {
            None => log::info!("{path}: its files are served"),
            Some(why) => log::warn!(
                "{path}: cannot be opened ({why}); requests for its files get 404 until it can be: \
                 check static_files.root"
            ),
        }
    }

    /// A symbolic link in the root's own path is the operator's and is followed.
    fn open(&self) -> Result<Folder, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(CWD, &self.path, flags, Mode::empty())?;
        let stat = rustix::fs::fstat(&fd)?;
        Ok(Folder {
            fd,
            identity: (stat.st_dev, stat.st_ino),
            walks: AtomicBool::new(self.walks),
        })
    }
}

impl Folder {
    /// Opens what a path below the folder names; `path` has no empty and no dot segments.
    ///
    /// Never waits: a FIFO without a writer opens at once, and is then seen to be no file. Symbolic links are
    /// followed while they stay below the folder; an absolute one does not, wherever it points.
    pub fn open(&self, path: &[u8], purpose: Purpose) -> Result<OwnedFd, Errno> {
        let path = if path.is_empty() { b"." } else { path };
        if self.walks.load(Ordering::Relaxed) {
            return self.walk(path, purpose);
        }
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let open = || rustix::fs::openat2(&self.fd, path, purpose.flags(), Mode::empty(), resolve);
        match persist(open) {
            Err(Errno::NOSYS) => {
                self.walks.store(true, Ordering::Relaxed);
                self.walk(path, purpose)
            }
            // How older sandboxes refuse a call they do not know; the walk finds out if it is meant.
            Err(Errno::PERM) => self.walk(path, purpose),
            other => other,
        }
    }

    /// What the path leads to now. It may lead out: compare the stamp, and do nothing else with it.
    pub fn stat(&self, path: &[u8]) -> Result<Stamp, Errno> {
        rustix::fs::statat(&self.fd, path, AtFlags::empty()).map(|stat| Stamp::of(&stat))
    }

    /// What the path leads to without leaving the folder.
    pub fn stat_beneath(&self, path: &[u8]) -> Result<Stat, Errno> {
        rustix::fs::fstat(self.open(path, Purpose::Look)?)
    }

    /// Whether the path leads to a folder, readable or not.
    pub fn has_folder(&self, path: &[u8]) -> bool {
        let stat = self.stat_beneath(path);
        stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_dir())
    }

    fn walk(&self, path: &[u8], purpose: Purpose) -> Result<OwnedFd, Errno> {
        let through = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut segments = path.split(|b| *b == b'/').peekable();
        let mut at: Option<OwnedFd> = None;
        while let Some(segment) = segments.next() {
            let folder = at.as_ref().unwrap_or(&self.fd);
            let flags = match segments.peek() {
                Some(_) => through,
                None => purpose.flags() | OFlags::NOFOLLOW,
            };
            at = Some(persist(|| {
                rustix::fs::openat(folder, segment, flags, Mode::empty())
            })?);
        }
        at.ok_or(Errno::NOENT)
    }
}

impl Purpose {
    fn flags(self) -> OFlags {
        let read = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        match self {
            Self::List => read | OFlags::DIRECTORY,
            Self::Look => OFlags::PATH | OFlags::CLOEXEC,
            Self::Read => read,
        }
    }
}

fn persist<T>(open: impl Fn() -> Result<T, Errno>) -> Result<T, Errno> {
    for _ in 1..TRIES_MAX {
        match open() {
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other,
        }
    }
    open()
}
