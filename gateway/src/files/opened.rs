//! One file as it was opened: what identifies its content, and the content or the way to it.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustix::fs::{FileType, Stat};
use rustix::io::Errno;
use xxhash_rust::xxh3::xxh3_128;

use super::Fault;

/// Files up to this size are read whole and kept in memory; larger ones are kept open and streamed.
pub(super) const KEPT_MAX: u64 = 64 << 10;

/// A file that is being written while it is read is read again, this often.
const READS_MAX: usize = 8;

/// A change within the same tick of the file system's clock leaves the same time behind. What was read this long
/// after the last change cannot have been changed so; two seconds is the coarsest clock in use (FAT).
const SETTLED_AFTER: Duration = Duration::from_secs(2);

/// Modification times up to this second are no times: images are built with all files at 0 or 1.
const NO_TIME_SECS: i64 = 1;

/// What changes when a file's content does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Bytes.
    pub size: u64,
    /// Device and inode: another file under the same name.
    identity: (u64, u64),
    /// Of the content, settable by anybody.
    modified_ns: i128,
    /// Of the inode, set by the kernel: an edit that puts the modification time back is seen here.
    changed_ns: i128,
}

/// A regular file.
#[derive(Debug)]
pub(super) struct Opened {
    /// As it was when the content was read or the file was opened.
    pub stamp: Stamp,
    /// Where the content is.
    pub content: Content,
    /// What stands between the quotes of its entity tag; None where nothing tells two contents apart.
    pub tag: Option<String>,
    /// Whether the same stamp will mean the same content from now on.
    settled: bool,
}

/// Where a file's content is.
#[derive(Debug)]
pub(super) enum Content {
    /// Read whole.
    Kept(Bytes),
    /// Still in the file.
    OnDisk(Arc<File>),
}

/// What a descriptor turned out to be.
#[derive(Debug)]
pub(super) enum Kind {
    /// A file.
    File(Opened),
    /// A folder.
    Folder,
    /// Something that is not served: a FIFO, a socket, a device.
    Other,
}

impl Stamp {
    /// The part of a stat that matters.
    pub fn of(stat: &Stat) -> Self {
        Self {
            size: u64::try_from(stat.st_size).unwrap_or(0),
            identity: (stat.st_dev, stat.st_ino),
            modified_ns: nanoseconds(stat.st_mtime, stat.st_mtime_nsec),
            changed_ns: nanoseconds(stat.st_ctime, stat.st_ctime_nsec),
        }
    }

    /// Seconds since the epoch; None where the time means nothing.
    pub fn modified_secs(&self) -> Option<u64> {
        let secs = i64::try_from(self.modified_ns.div_euclid(1_000_000_000)).ok()?;
        u64::try_from(secs).ok().filter(|_| secs > NO_TIME_SECS)
    }

    /// Whether its content was written before that of `other`.
    pub fn is_older_than(&self, other: &Self) -> bool {
        self.modified_ns < other.modified_ns
    }
}

impl Kind {
    /// Looks at a descriptor that was opened for reading, and reads it if it is a small file.
    ///
    /// `wall` is a time before the call, since the epoch.
    pub fn of(fd: OwnedFd, wall: Duration) -> Result<Self, Fault> {
        let stat = rustix::fs::fstat(&fd)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Opened::read(File::from(fd), Stamp::of(&stat), wall).map(Self::File),
            FileType::Directory => Ok(Self::Folder),
            _ => Ok(Self::Other),
        }
    }
}

impl Opened {
    fn read(file: File, mut stamp: Stamp, wall: Duration) -> Result<Self, Fault> {
        for _ in 0..READS_MAX {
            if stamp.size > KEPT_MAX {
                return Ok(Self::on_disk(file, stamp));
            }
            let bytes = read_whole(&file, stamp.size)?;
            let after = stamp_of(&file)?;
            if after == stamp && bytes.len() as u64 == stamp.size {
                return Ok(Self::kept(bytes, stamp, wall));
            }
            stamp = after;
        }
        Err(Fault::Busy)
    }

    /// The tag is the content's own: the same on every gateway, and after a deployment that changed nothing.
    fn kept(bytes: Vec<u8>, stamp: Stamp, wall: Duration) -> Self {
        let settled = i128::try_from(wall.saturating_sub(SETTLED_AFTER).as_nanos()).unwrap_or(0);
        Self {
            stamp,
            tag: Some(format!("{:032x}", xxh3_128(&bytes))),
            content: Content::Kept(bytes.into()),
            settled: stamp.changed_ns <= settled,
        }
    }

    /// The tag is of modification time and size, so that gateways with copies of a file agree; the inode is not in
    /// it. Two contents of the same size and nanosecond cannot be told apart, hence `rename` is how to replace one.
    fn on_disk(file: File, stamp: Stamp) -> Self {
        let tag = || format!("{:x}-{:x}", stamp.modified_ns, stamp.size);
        Self {
            stamp,
            tag: stamp.modified_secs().map(|_| tag()),
            content: Content::OnDisk(Arc::new(file)),
            settled: true,
        }
    }

    /// Whether a path that leads to this stamp leads to this content.
    pub fn holds(&self, stamp: &Stamp) -> bool {
        self.settled && self.stamp == *stamp
    }

    /// Whether the open file still is what the stamp says; what is in memory always is.
    ///
    /// One call per use: otherwise a file edited in place would be sent under the length and tag of its old content.
    pub fn is_intact(&self) -> bool {
        match &self.content {
            Content::Kept(_) => true,
            Content::OnDisk(file) => stamp_of(file).is_ok_and(|now| now == self.stamp),
        }
    }
}

/// The fields' types differ between machines.
fn nanoseconds(secs: impl Into<i128>, ns: impl Into<i128>) -> i128 {
    secs.into() * 1_000_000_000 + ns.into()
}

fn stamp_of(file: &File) -> Result<Stamp, Errno> {
    rustix::fs::fstat(file).map(|stat| Stamp::of(&stat))
}

/// Up to `size` bytes and one more, which says that the file has grown.
fn read_whole(file: &File, size: u64) -> Result<Vec<u8>, Fault> {
    let room = usize::try_from(size).expect("at most KEPT_MAX is read whole") + 1;
    let mut bytes = vec![0; room];
    let mut length = 0;
    while length < room {
        match file.read_at(&mut bytes[length..], length as u64) {
            Ok(0) => break,
            Ok(n) => length += n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => {
                return Err(e
                    .raw_os_error()
                    .map_or(Fault::Broken, |n| Errno::from_raw_os_error(n).into()));
            }
        }
    }
    bytes.truncate(length);
    Ok(bytes)
}
