//! The file that makes a folder ours, and whose lock keeps it ours alone.
//!
//! `magic 8 | version 4 | 0 4 | seed 8 | checksum 8`, then two slots `starts 8 | checksum 8` that are written in turn: the
//! lock is on this very file, so it cannot be replaced by a rename, and a torn slot leaves the other one.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::bytes::{persist, read_at, write_at};
use super::fault::FolderTrouble;
use super::format::{VERSION, part};

/// Its name.
pub(super) const NAME: &str = "sluice-cache";
const MAGIC: [u8; 8] = *b"sluiceC\n";
const LENGTH: usize = 64;
/// Starts that a folder counts, so that each has a range of generations; after the last one it begins anew, with a new seed.
pub(super) const STARTS_MAX: u64 = 1 << 24;

/// An open and locked marker. Closing it gives the folder up.
#[derive(Debug)]
pub(super) struct Marker {
    /// Locked for as long as it is open.
    file: OwnedFd,
    /// The folder's secret.
    pub(super) seed: u64,
    /// How often the folder was opened, this time included.
    pub(super) starts: u64,
}

impl Marker {
    /// Opens, locks, reads and counts. `seed` is taken if the folder has none yet, or lost it.
    pub(super) fn open(root: &OwnedFd, seed: u64) -> Result<Self, FolderTrouble> {
        let file = open_file(root)?;
        persist(|| rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)).map_err(trouble)?;
        if !is_at_its_name(root, &file) {
            return Err(FolderTrouble::InUse);
        }
        let mut bytes = [0; LENGTH];
        // A short one, as a power failure leaves it, reads as zeros where it ends.
        read_at(&file, &mut [IoSliceMut::new(&mut bytes)], 0, true).map_err(FolderTrouble::of)?;
        let is_new = bytes == [0; LENGTH];
        let known = if is_new { None } else { contents(&bytes)? };
        let (seed, starts) = known.unwrap_or((seed, 0));
        let starts = starts + 1;
        write(&file, seed, starts).map_err(FolderTrouble::of)?;
        Ok(Self { file, seed, starts })
    }

    /// Whether the next process would meet this lock.
    pub(super) fn is_still_there(&self, root: &OwnedFd) -> bool {
        is_at_its_name(root, &self.file)
    }
}

/// Opens the marker, or makes it if the folder is empty. One that is not empty and has none is somebody else's.
fn open_file(root: &OwnedFd) -> Result<OwnedFd, FolderTrouble> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let open = |flags| persist(|| rustix::fs::openat(root, NAME, flags, Mode::RUSR | Mode::WUSR));
    let opened = match open(flags) {
        Err(Errno::NOENT) => {
            refuse_foreign(root)?;
            open(flags | OFlags::CREATE)
        }
        other => other,
    };
    let file = match opened {
        Err(Errno::LOOP | Errno::ISDIR | Errno::NXIO) => return Err(FolderTrouble::Foreign(NAME.to_owned())),
        other => other.map_err(trouble)?,
    };
    let stat = rustix::fs::fstat(&file).map_err(trouble)?;
    match FileType::from_raw_mode(stat.st_mode).is_file() {
        true => Ok(file),
        false => Err(FolderTrouble::Foreign(NAME.to_owned())),
    }
}

/// `lost+found` is what a file system of its own has from the beginning.
fn refuse_foreign(root: &OwnedFd) -> Result<(), FolderTrouble> {
    for entry in rustix::fs::Dir::read_from(root).map_err(trouble)? {
        let entry = entry.map_err(trouble)?;
        let known: [&[u8]; 3] = [b".", b"..", b"lost+found"];
        if !known.contains(&entry.file_name().to_bytes()) && !has_marker(root) {
            return Err(FolderTrouble::Foreign(
                entry.file_name().to_string_lossy().into_owned(),
            ));
        }
    }
    Ok(())
}

/// Another process can have made it since, and other things after it; then the lock decides.
fn has_marker(root: &OwnedFd) -> bool {
    rustix::fs::statat(root, NAME, AtFlags::SYMLINK_NOFOLLOW).is_ok()
}

/// Whether what was locked is what the next process will find: a file deleted meanwhile can be locked and is no lock.
fn is_at_its_name(root: &OwnedFd, file: &OwnedFd) -> bool {
    let there = rustix::fs::statat(root, NAME, AtFlags::SYMLINK_NOFOLLOW);
    let held = rustix::fs::fstat(file);
    matches!((there, held), (Ok(a), Ok(b)) if (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino))
}

/// Seed and starts; None where they are lost, so that a new seed makes all that is in the folder unreadable.
fn contents(bytes: &[u8; LENGTH]) -> Result<Option<(u64, u64)>, FolderTrouble> {
    if bytes[..8] != MAGIC {
        return Err(FolderTrouble::Foreign(NAME.to_owned()));
    }
    let version = u32::from_le_bytes(part(bytes, 8));
    if version != VERSION {
        return Err(FolderTrouble::Version(version));
    }
    let number = |at| u64::from_le_bytes(part(bytes, at));
    let slot = |at: usize| (number(at + 8) == sum(&bytes[at..at + 8])).then(|| number(at));
    let starts = slot(32).max(slot(48)).filter(|starts| *starts < STARTS_MAX - 1);
    let holds = number(24) == sum(&bytes[..24]);
    Ok(starts.filter(|_| holds).map(|starts| (number(16), starts)))
}

/// Synced, unlike the objects: without the seed they are all lost, and without the count an old version could pass for a new one.
fn write(file: &OwnedFd, seed: u64, starts: u64) -> io::Result<()> {
    let mut head = [0; 32];
    head[..8].copy_from_slice(&MAGIC);
    head[8..12].copy_from_slice(&VERSION.to_le_bytes());
    head[16..24].copy_from_slice(&seed.to_le_bytes());
    let head_sum = sum(&head[..24]);
    head[24..].copy_from_slice(&head_sum.to_le_bytes());
    let mut slot = [0; 16];
    slot[..8].copy_from_slice(&starts.to_le_bytes());
    let slot_sum = sum(&slot[..8]);
    slot[8..].copy_from_slice(&slot_sum.to_le_bytes());
    // The head is the same each time; a torn write of equal bytes tears nothing.
    write_at(file, &mut [IoSlice::new(&head)], 0)?;
    write_at(file, &mut [IoSlice::new(&slot)], 32 + 16 * (starts % 2))?;
    persist(|| rustix::fs::fdatasync(file.as_fd())).map_err(io::Error::from)
}

fn sum(bytes: &[u8]) -> u64 {
    xxh3_64_with_seed(bytes, 0)
}

fn trouble(errno: Errno) -> FolderTrouble {
    FolderTrouble::of(errno.into())
}
