//! What can be wrong with a folder, a file in it, or the disk below.

use std::fmt::{self, Display, Formatter};
use std::io;
use std::path::PathBuf;

use rustix::io::Errno;

/// Why a folder cannot be used. Its text says where, what, and what to do.
#[derive(Debug)]
pub struct FolderFault {
    /// Which folder.
    pub path: PathBuf,
    /// What is wrong with it.
    pub why: FolderTrouble,
}

/// What is wrong with a folder.
#[derive(Debug)]
pub enum FolderTrouble {
    /// There is something else at its path.
    NotAFolder,
    /// This user may not read, write or enter it.
    Denied,
    /// Its file system is mounted read-only.
    ReadOnly,
    /// Another process, or another cache of this one, holds its lock.
    InUse,
    /// It was not made by a cache and is not empty: the name of something in it.
    Foreign(String),
    /// A build with another file format made it: the version it has.
    Version(u32),
    /// No space, no inode or no quota is left.
    Full,
    /// Anything else the system said.
    Io(io::Error),
}

impl FolderTrouble {
    /// What an error of the system means for a folder.
    pub fn of(error: io::Error) -> Self {
        match errno(&error) {
            Some(Errno::NOTDIR | Errno::LOOP) => Self::NotAFolder,
            Some(Errno::ACCESS | Errno::PERM) => Self::Denied,
            Some(Errno::ROFS) => Self::ReadOnly,
            Some(Errno::WOULDBLOCK) => Self::InUse,
            Some(Errno::NOSPC | Errno::DQUOT) => Self::Full,
            _ => Self::Io(error),
        }
    }

    /// One word, for logs that are searched.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::NotAFolder => "not_a_folder",
            Self::Denied => "denied",
            Self::ReadOnly => "read_only",
            Self::InUse => "in_use",
            Self::Foreign(_) => "foreign",
            Self::Version(_) => "version",
            Self::Full => "full",
            Self::Io(_) => "io",
        }
    }
}

impl Display for FolderFault {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.path.display())?;
        match &self.why {
            FolderTrouble::NotAFolder => {
                f.write_str("is not a folder: name a folder, or a path that is free")
            }
            FolderTrouble::Denied => {
                f.write_str("permission denied: give the user of this process the folder (chown, chmod 700)")
            }
            FolderTrouble::ReadOnly => {
                f.write_str("the file system is read-only: mount it for writing, or name another folder")
            }
            FolderTrouble::InUse => f.write_str(
                "is in use by another cache: stop the other process, or give each cache a folder of its own",
            ),
            FolderTrouble::Foreign(name) => write!(
                f,
                "holds something that no cache put there ({name}): name an empty folder; nothing in it was changed"
            ),
            FolderTrouble::Version(version) => write!(
                f,
                "was made by a build with file format {version}, this one knows {}: \
                 empty the folder, or name another",
                super::format::VERSION
            ),
            FolderTrouble::Full => f.write_str(
                "the disk is full, or its inodes or quota are used up: free some, or name another folder",
            ),
            FolderTrouble::Io(error) => write!(f, "{error}: check the disk and the kernel's log"),
        }
    }
}

impl std::error::Error for FolderFault {}

/// Why an object cannot be read from its file. The file is never believed; what to do is to ask the origin again.
#[derive(Debug)]
pub enum ReadFault {
    /// There is no file: evicted, or deleted by somebody.
    Gone,
    /// The file is not as it was written; [`Folder::remove`](super::Folder::remove) it.
    Damaged(Damage),
    /// A sound file of another object stands under this one's name; remove it.
    Foreign,
    /// The system could not open or read it; the file itself may be sound.
    Io(io::Error),
}

/// Which part of an object's file is not as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// It is a folder, a link, a pipe or a device.
    NotAFile,
    /// It is shorter than it was.
    Short,
    /// Its first bytes.
    Header,
    /// It has another format version.
    Version,
    /// The record at its end that says where things are.
    Tail,
    /// What is known about the answer.
    Meta,
    /// The checksums of the body's blocks.
    Table,
    /// This block of the body.
    Block(u64),
}

impl ReadFault {
    /// What an error of the system means for a file that was there.
    pub fn of(error: io::Error) -> Self {
        match errno(&error) {
            Some(Errno::NOENT) => Self::Gone,
            Some(Errno::LOOP | Errno::ISDIR | Errno::NOTDIR | Errno::NXIO | Errno::SPIPE | Errno::XDEV) => {
                Self::Damaged(Damage::NotAFile)
            }
            _ => Self::Io(error),
        }
    }

    /// One word, for metrics.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Damaged(_) => "damaged",
            Self::Foreign => "foreign",
            Self::Io(_) => "io",
        }
    }

    /// Whether the file is of no use to anybody and should be removed.
    pub const fn is_lost(&self) -> bool {
        matches!(self, Self::Damaged(_) | Self::Foreign)
    }
}

impl From<Damage> for ReadFault {
    fn from(damage: Damage) -> Self {
        Self::Damaged(damage)
    }
}

impl Display for ReadFault {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("there is no such file"),
            Self::Damaged(damage) => write!(f, "{damage}"),
            Self::Foreign => f.write_str("it is the file of another object"),
            Self::Io(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for ReadFault {}

impl Display for Damage {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAFile => f.write_str("it is not a regular file"),
            Self::Short => f.write_str("it is shorter than it was"),
            Self::Header => f.write_str("its header is damaged"),
            Self::Version => f.write_str("it has another format version"),
            Self::Tail => f.write_str("its tail is damaged"),
            Self::Meta => f.write_str("its meta record is damaged"),
            Self::Table => f.write_str("its table of checksums is damaged"),
            Self::Block(index) => write!(f, "block {index} of its body is damaged"),
        }
    }
}

/// Why a new meta record was not appended. The old one holds on.
#[derive(Debug)]
pub enum AppendFault {
    /// So much was appended already that the object is to be written anew: [`Folder::rewrite`](super::Folder::rewrite).
    Crowded,
    /// Somebody has appended since: the location is not the last one.
    Outdated,
    /// The file is not what the location says.
    Stored(ReadFault),
    /// Writing failed; what was written of the record is cut off again.
    Disk(io::Error),
}

impl Display for AppendFault {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Crowded => f.write_str("too many records are appended already"),
            Self::Outdated => f.write_str("a newer record was appended since"),
            Self::Stored(fault) => write!(f, "{fault}"),
            Self::Disk(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for AppendFault {}

/// Why an object could not be written anew.
#[derive(Debug)]
pub enum RewriteFault {
    /// The file it was to be copied from.
    Stored(ReadFault),
    /// Writing the new one failed; nothing of it is left.
    Disk(io::Error),
}

impl Display for RewriteFault {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stored(fault) => write!(f, "{fault}"),
            Self::Disk(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for RewriteFault {}

/// What an error of the system says about the disk; what a store decides by whether to go on writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DiskFault {
    /// No space, no inode or no quota is left: evict, then go on.
    Full,
    /// The file system became read-only, as some do after an error: read on, write no more.
    ReadOnly,
    /// This process or the system has no descriptor left: not the disk's fault, and it passes.
    Descriptors,
    /// Permissions were changed below us.
    Denied,
    /// The folder was deleted below us, or its file system is gone.
    Gone,
    /// The object has more bytes than the format takes: only this object is concerned.
    TooLarge,
    /// Anything else: a failing device, a file system gone.
    Io,
}

impl DiskFault {
    /// All of them, for metrics that begin at zero.
    pub const ALL: [Self; 7] = [
        Self::Full,
        Self::ReadOnly,
        Self::Descriptors,
        Self::Denied,
        Self::Gone,
        Self::TooLarge,
        Self::Io,
    ];

    /// What kind of fault an error is.
    pub fn of(error: &io::Error) -> Self {
        match errno(error) {
            Some(Errno::NOSPC | Errno::DQUOT) => Self::Full,
            Some(Errno::ROFS) => Self::ReadOnly,
            Some(Errno::MFILE | Errno::NFILE) => Self::Descriptors,
            Some(Errno::ACCESS | Errno::PERM) => Self::Denied,
            Some(Errno::NOENT | Errno::STALE) => Self::Gone,
            Some(Errno::FBIG) => Self::TooLarge,
            _ => Self::Io,
        }
    }

    /// One word, for metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::ReadOnly => "read_only",
            Self::Descriptors => "descriptors",
            Self::Denied => "denied",
            Self::Gone => "gone",
            Self::TooLarge => "too_large",
            Self::Io => "io",
        }
    }
}

/// What is written for objects beyond the format's limits; the same a file system says about files beyond its own.
pub(super) fn too_large() -> io::Error {
    Errno::FBIG.into()
}

fn errno(error: &io::Error) -> Option<Errno> {
    error.raw_os_error().map(Errno::from_raw_os_error)
}
