//! The folder of a cache: opened and locked once, then written into.

use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags, ResolveFlags};
use rustix::io::Errno;

use super::bytes::{persist, write_at};
use super::fault::{AppendFault, FolderFault, FolderTrouble, ReadFault, RewriteFault, too_large};
use super::format::{BLOCK, BODY_MAX, Location, Seal, TAIL, Tail, block_sum, header, table_bytes};
use super::marker::{Marker, STARTS_MAX};
use super::name::{DRAFTS, DraftName, ObjectPath};
use super::{Draft, StoredFile, encode_meta};
use crate::cache::object::{Key, Meta};

/// Generations of one start: a thousand a second for thirty years. The rest of the bits counts the starts.
const GENERATIONS_BITS: u32 = 40;
/// Appended bytes that are put up with in each file, besides a sixteenth of its body: about a hundred validations.
const APPENDED_MAX: u64 = 64 * 1024;
const _: () = assert!(STARTS_MAX << (GENERATIONS_BITS - 1) == 1 << 63);
/// Locks that appending threads share by key; more than the threads that write.
const APPEND_LOCKS: usize = 16;

/// An open folder. Cheap to clone; the lock on it is given up with the last clone, draft and journal.
#[derive(Clone, Debug)]
pub struct Folder {
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Shared {
    path: PathBuf,
    pub(super) root: OwnedFd,
    marker: Marker,
    /// Of this start: drafts with another one are left over.
    pub(super) mark: u64,
    drafts_made: AtomicU64,
    appending: [Mutex<()>; APPEND_LOCKS],
    /// The kernel has no openat2: paths are walked.
    pub(super) walks: AtomicBool,
}

impl Folder {
    /// Opens a folder, and makes it (mode 0700) if there is none.
    ///
    /// `random` is asked for the secret of a new folder and for the mark of this start. A folder that is not empty and
    /// has no marker of ours is refused and left as it is. The lock is on the open file: a second `open` of the same
    /// folder fails in this process too.
    pub fn open(path: &Path, mut random: impl FnMut() -> u64) -> Result<Self, FolderFault> {
        let fault = |why| FolderFault {
            path: path.to_owned(),
            why,
        };
        let (seed, mark) = (random(), random());
        let root = open_root(path).map_err(fault)?;
        let marker = Marker::open(&root, seed).map_err(fault)?;
        Ok(Self {
            shared: Arc::new(Shared {
                path: path.to_owned(),
                root,
                marker,
                mark,
                drafts_made: AtomicU64::new(0),
                appending: [const { Mutex::new(()) }; APPEND_LOCKS],
                walks: AtomicBool::new(false),
            }),
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// The secret that keys are to be hashed with, the same for as long as the folder exists.
    pub fn seed(&self) -> u64 {
        self.shared.marker.seed
    }

    /// The first generation of this start: greater than any of an earlier one, so count up from here.
    ///
    /// Files with this generation or a greater one are not reported by a [`scan`](Self::scan).
    pub fn first_generation(&self) -> u64 {
        self.shared.marker.starts << GENERATIONS_BITS
    }

    /// Bytes that an unprivileged process may still write to the file system.
    pub fn free_bytes(&self) -> io::Result<u64> {
        let stat = rustix::fs::fstatvfs(&self.shared.root)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// Begins a fill. Its file goes with the draft unless it is finished.
    pub fn draft(&self) -> io::Result<Draft> {
        let number = self.shared.drafts_made.fetch_add(1, Ordering::Relaxed);
        Draft::new(self.shared.clone(), number)
    }

    /// Writes an object in one go: for bodies that are in memory and not large.
    ///
    /// `generation` must be new for this key. Nothing is left behind by an error. Written under the final name: who knows
    /// the name knows it from the location that is returned, and a file cut short by a crash has no sound tail.
    pub fn write(&self, key: Key, generation: u64, meta: &Meta, body: &[u8]) -> io::Result<Location> {
        if body.len() as u64 > BODY_MAX {
            return Err(too_large());
        }
        let sums: Vec<u64> = body
            .chunks(BLOCK)
            .map(|block| block_sum(self.seed(), block))
            .collect();
        let seal = Seal::new(self.seed(), key, generation);
        let ending = Ending::new(seal, generation, body.len() as u64, &sums, meta)?;
        let path = ObjectPath::new(key, generation);
        let file = self.shared.create(&path)?;
        let head = header(self.seed(), key, generation);
        let mut parts = [
            IoSlice::new(&head),
            IoSlice::new(body),
            IoSlice::new(&ending.bytes),
        ];
        match write_at(&file, &mut parts, 0) {
            Ok(()) => Ok(ending.location),
            Err(error) => {
                // What is left of it if this fails too is found to be damaged by the next scan.
                _ = self.shared.unlink(&path);
                Err(error)
            }
        }
    }

    /// Opens an object for reading.
    ///
    /// One open and one stat, which a disk may have to be waited for when the folder is not in memory.
    pub fn open_object(&self, key: Key, location: &Location) -> Result<StoredFile, ReadFault> {
        let path = ObjectPath::new(key, location.generation);
        let file = self
            .shared
            .open_file(path.whole(), OFlags::RDONLY)
            .map_err(ReadFault::of)?;
        StoredFile::open(file, self.seed(), key, *location)
    }

    /// The same without waiting for a disk: None where the folders that lead to the file are not in memory.
    pub fn open_object_now(&self, key: Key, location: &Location) -> Result<Option<StoredFile>, ReadFault> {
        let path = ObjectPath::new(key, location.generation);
        match self.shared.open_now(path.whole()) {
            Ok(Some(file)) => StoredFile::open(file, self.seed(), key, *location).map(Some),
            Ok(None) => Ok(None),
            Err(error) => Err(ReadFault::of(error.into())),
        }
    }

    /// Gives an object a new meta record, behind what is there; readers of the old one are not disturbed.
    ///
    /// The location must be the last one: what another thread has appended since is found out and refused. The write is
    /// not atomic against a crash: a file whose last record is torn counts as damaged, though an older record may stand
    /// before it. To look for one backwards would mean to believe bytes that nothing points at, for the sake of one refetch.
    pub fn append_meta(&self, key: Key, location: &Location, meta: &Meta) -> Result<Location, AppendFault> {
        if location.records_length() > APPENDED_MAX + location.body_length / 16 {
            return Err(AppendFault::Crowded);
        }
        let path = ObjectPath::new(key, location.generation);
        let _one_at_a_time = self.shared.appending[key.primary as usize % APPEND_LOCKS].lock();
        let file = self.shared.open_file(path.whole(), OFlags::RDWR);
        let file = file.map_err(ReadFault::of).map_err(AppendFault::Stored)?;
        let stored = StoredFile::open(file, self.seed(), key, *location).map_err(AppendFault::Stored)?;
        stored.append(meta)
    }

    /// Copies an object to a new generation with a new meta record, each block checked on its way. The old one stays.
    pub fn rewrite(
        &self,
        key: Key,
        location: &Location,
        generation: u64,
        meta: &Meta,
    ) -> Result<(Location, StoredFile), RewriteFault> {
        let stored = self.open_object(key, location).map_err(RewriteFault::Stored)?;
        let draft = self.draft().map_err(RewriteFault::Disk)?;
        for index in 0..location.blocks() {
            let block = stored.read_block(index, true).map_err(RewriteFault::Stored)?;
            let block = block.expect("a read that may wait has an answer");
            draft.append(&block).map_err(RewriteFault::Disk)?;
        }
        draft.finish(key, generation, meta).map_err(RewriteFault::Disk)
    }

    /// Removes an object's file; false if there was none. Who has it open can go on reading.
    pub fn remove(&self, key: Key, generation: u64) -> io::Result<bool> {
        match self.shared.unlink(&ObjectPath::new(key, generation)) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the folder's lock still is what another process would meet.
    ///
    /// False after somebody has emptied or replaced the folder below us: then a second process can open it too, and this
    /// one should write no more.
    pub fn is_ours(&self) -> bool {
        self.shared.marker.is_still_there(&self.shared.root)
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl Shared {
    pub(super) fn seed(&self) -> u64 {
        self.marker.seed
    }

    pub(super) fn first_generation(&self) -> u64 {
        self.marker.starts << GENERATIONS_BITS
    }

    /// Opens a regular file below the root, without following any link, and without waiting for a pipe's other end.
    pub(super) fn open_file(&self, path: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
        self.open(path, flags | OFlags::NONBLOCK).map_err(io::Error::from)
    }

    /// Makes a draft's file. The folder is made where it is missing, so that a cache emptied by hand goes on.
    pub(super) fn create_draft(&self, name: &DraftName) -> io::Result<OwnedFd> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        match self.open(name.whole(), flags) {
            Err(Errno::NOENT) => {
                make_folder(&self.root, DRAFTS)?;
                self.open(name.whole(), flags).map_err(io::Error::from)
            }
            other => other.map_err(io::Error::from),
        }
    }

    /// Makes an object's file, and the folders it is in.
    fn create(&self, path: &ObjectPath) -> io::Result<OwnedFd> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        match self.open(path.whole(), flags) {
            Err(Errno::NOENT) => {
                self.make_leaf(path)?;
                self.open(path.whole(), flags).map_err(io::Error::from)
            }
            other => other.map_err(io::Error::from),
        }
    }

    /// Puts a finished draft in its place; never over a file that is there.
    pub(super) fn place(&self, draft: &DraftName, path: &ObjectPath) -> io::Result<()> {
        let drafts = self.open_folder(DRAFTS)?;
        let leaf = match self.open_folder(path.leaf()) {
            Err(Errno::NOENT) => {
                self.make_leaf(path)?;
                self.open_folder(path.leaf())?
            }
            other => other?,
        };
        let rename =
            |flags| persist(|| rustix::fs::renameat_with(&drafts, draft.name(), &leaf, path.name(), flags));
        match rename(RenameFlags::NOREPLACE) {
            // A file system that cannot promise it. Generations are used once, so nobody comes in between.
            Err(Errno::INVAL | Errno::NOSYS) => {
                match rustix::fs::statat(&leaf, path.name(), AtFlags::SYMLINK_NOFOLLOW) {
                    Err(Errno::NOENT) => rename(RenameFlags::empty()).map_err(io::Error::from),
                    Ok(_) => Err(Errno::EXIST.into()),
                    Err(error) => Err(error.into()),
                }
            }
            other => other.map_err(io::Error::from),
        }
    }

    fn unlink(&self, path: &ObjectPath) -> Result<(), Errno> {
        let leaf = self.open_folder(path.leaf())?;
        persist(|| rustix::fs::unlinkat(&leaf, path.name(), AtFlags::empty()))
    }

    pub(super) fn unlink_draft(&self, name: &DraftName) -> Result<(), Errno> {
        let drafts = self.open_folder(DRAFTS)?;
        persist(|| rustix::fs::unlinkat(&drafts, name.name(), AtFlags::empty()))
    }

    fn make_leaf(&self, path: &ObjectPath) -> Result<(), Errno> {
        make_folder(&self.root, path.shard())?;
        let shard = self.open_folder(path.shard())?;
        make_folder(&shard, &path.leaf()[3..])
    }

    /// Opens a folder for looking up names in it.
    pub(super) fn open_folder(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        self.open(path, OFlags::PATH | OFlags::DIRECTORY)
    }

    /// Opens a folder for listing the names in it.
    pub(super) fn open_listing(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        self.open(path, OFlags::RDONLY | OFlags::DIRECTORY)
    }

    /// Opens a file whose path is in memory; None if it is not, or if the kernel cannot tell (before 5.12).
    fn open_now(&self, path: &[u8]) -> Result<Option<OwnedFd>, Errno> {
        if self.walks.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::CACHED;
        match persist(|| rustix::fs::openat2(&self.root, path, flags, Mode::empty(), resolve)) {
            Ok(file) => Ok(Some(file)),
            Err(Errno::AGAIN | Errno::INVAL | Errno::NOSYS | Errno::PERM) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn open(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        if self.walks.load(Ordering::Relaxed) {
            return self.walk(path, flags);
        }
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let opened = persist(|| rustix::fs::openat2(&self.root, path, flags, mode(flags), resolve));
        match opened {
            // NOSYS: an old kernel. PERM: how older sandboxes refuse a call they do not know; the walk finds out if it is meant.
            Err(Errno::NOSYS | Errno::PERM) => {
                let walked = self.walk(path, flags);
                self.walks.store(walked.is_ok(), Ordering::Relaxed);
                walked
            }
            other => other,
        }
    }

    /// Segment by segment, so that no link is followed on the way.
    fn walk(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        let through = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut segments = path.split(|b| *b == b'/').peekable();
        let mut at: Option<OwnedFd> = None;
        while let Some(segment) = segments.next() {
            let folder = at.as_ref().unwrap_or(&self.root);
            let flags = if segments.peek().is_some() { through } else { flags };
            at = Some(persist(|| {
                rustix::fs::openat(folder, segment, flags, mode(flags))
            })?);
        }
        at.ok_or(Errno::NOENT)
    }
}

/// What stands behind a body: table, meta record, tail.
pub(super) struct Ending {
    pub(super) bytes: Vec<u8>,
    pub(super) location: Location,
}

impl Ending {
    pub(super) fn new(
        seal: Seal,
        generation: u64,
        body_length: u64,
        sums: &[u64],
        meta: &Meta,
    ) -> io::Result<Self> {
        let record = encode_meta(meta).ok_or_else(too_large)?;
        let mut bytes = table_bytes(sums);
        let table_sum = seal.sum(&bytes);
        let (location, rest) = record_and_tail(seal, generation, body_length, table_sum, &record, {
            super::format::HEADER as u64 + body_length + bytes.len() as u64
        });
        bytes.extend_from_slice(&rest);
        Ok(Self { bytes, location })
    }
}

/// A meta record that begins at `at`, and the tail behind it.
pub(super) fn record_and_tail(
    seal: Seal,
    generation: u64,
    body_length: u64,
    table_sum: u64,
    record: &[u8],
    at: u64,
) -> (Location, Vec<u8>) {
    let meta_length = u32::try_from(record.len()).expect("META_MAX fits 32 bits");
    let file_length = at + record.len() as u64 + TAIL as u64;
    let location = Location {
        generation,
        file_length,
        body_length,
        meta_length,
    };
    let tail = Tail {
        location,
        table_sum,
        meta_sum: seal.sum(record),
    };
    let mut bytes = Vec::with_capacity(record.len() + TAIL);
    bytes.extend_from_slice(record);
    bytes.extend_from_slice(&tail.bytes(seal));
    (location, bytes)
}

/// Bytes that an unprivileged process may still write to the file system of `path`.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// openat2 refuses a mode where nothing is made.
fn mode(flags: OFlags) -> Mode {
    match flags.contains(OFlags::CREATE) {
        true => Mode::RUSR | Mode::WUSR,
        false => Mode::empty(),
    }
}

fn make_folder(parent: &OwnedFd, name: &[u8]) -> Result<(), Errno> {
    match persist(|| rustix::fs::mkdirat(parent, name, Mode::RWXU)) {
        Err(Errno::EXIST) => Ok(()),
        other => other,
    }
}

/// A symbolic link in the root's own path is the operator's and is followed.
fn open_root(path: &Path) -> Result<OwnedFd, FolderTrouble> {
    use std::os::unix::fs::DirBuilderExt;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = || persist(|| rustix::fs::open(path, flags, Mode::empty()));
    match open() {
        Err(Errno::NOENT) => {
            let made = std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path);
            made.map_err(FolderTrouble::of)?;
            open().map_err(|errno| FolderTrouble::of(errno.into()))
        }
        other => other.map_err(|errno| FolderTrouble::of(errno.into())),
    }
}
