//! The purges of a cache, kept beside its objects: what was purged stays purged after a restart.
//!
//! `magic 8 | version 4 | 0 4 | highest serial 8 | checksum 8`, then records of 40 bytes `facet | serial | at_ms | soft |
//! checksum`. Checksums are seeded with the folder's secret.
//!
//! What waits for the disk can be done beside the journal: [`Journal::draft`] writes what is to take its place,
//! [`Journal::unsynced`] is what is to be brought to the disk. So nobody who appends has to wait for either.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::bytes::{Reading, persist, read_at, write_at};
use super::fault::too_large;
use super::folder::{Folder, Shared};
use super::format::part;

const NAME: &str = "purges";
const NEW_NAME: &str = "purges.new";
const MAGIC: [u8; 8] = *b"sluiceP\n";
const VERSION: u32 = 1;
const HEAD: usize = 32;
const RECORD: usize = 40;
/// Records of the longest journal: 40 MiB, read at once at a start. A file that is longer counts as damaged.
pub const RECORDS_MAX: u64 = 1 << 20;

/// One purge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Hash of what is purged; see [`Facets`](crate::cache::object::Facets).
    pub facet: u64,
    /// Objects with a smaller one are meant.
    pub serial: u64,
    /// They may still be used as stale ones.
    pub soft: bool,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
}

/// What a journal held when it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JournalContents {
    /// In the order they were appended.
    pub records: Vec<Record>,
    /// The highest serial ever appended or set, whether its record is still there or not; where the journal is damaged it
    /// may be too low, so the serials of the objects count too.
    pub highest_serial: u64,
    /// Some of it is damaged: purges may be missing, so nothing that was stored before may be trusted to be unpurged.
    pub is_damaged: bool,
}

/// What is to take a journal's place: whole and on the disk, but under another name.
#[derive(Debug)]
pub struct JournalDraft(Journal);

/// What was appended to a journal, and its name: neither may be on the disk yet.
#[derive(Debug)]
pub struct Unsynced {
    folder: Arc<Shared>,
    file: Arc<OwnedFd>,
}

impl Unsynced {
    /// Waits until all of it is on the disk.
    pub fn sync(&self) -> io::Result<()> {
        persist(|| rustix::fs::fdatasync(&self.file))?;
        match persist(|| rustix::fs::fsync(&self.folder.root)) {
            // A file system that brings names to the disk in its own way.
            Ok(()) | Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// An open journal. There must be one at a time for a folder: each writes where it knows the end.
#[derive(Debug)]
pub struct Journal {
    folder: Arc<Shared>,
    file: Arc<OwnedFd>,
    /// Bytes that count; what stands behind them is torn.
    length: u64,
    highest_serial: u64,
}

impl Journal {
    /// Opens the journal of a folder, and makes it if there is none.
    ///
    /// A record at the end that was cut short is dropped: its `append` never returned. Any other damage is told.
    pub fn open(folder: &Folder) -> io::Result<(Self, JournalContents)> {
        let shared = folder.shared().clone();
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = persist(|| rustix::fs::openat(&shared.root, NAME, flags, Mode::empty()));
        let file = match opened {
            Ok(file) => file,
            Err(Errno::NOENT) => {
                let journal = Self::fresh(folder, 0, &[])?;
                return Ok((journal, JournalContents::default()));
            }
            Err(error) => return Err(error.into()),
        };
        let stat = rustix::fs::fstat(&file)?;
        if !FileType::from_raw_mode(stat.st_mode).is_file() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let contents = read(&file, u64::try_from(stat.st_size).unwrap_or(0), shared.seed())?;
        if contents.is_damaged {
            // Written anew from what could be read, so that the damage is told once.
            let journal = Self::fresh(folder, contents.highest_serial, &contents.records)?;
            return Ok((journal, contents));
        }
        let length = (HEAD + contents.records.len() * RECORD) as u64;
        let journal = Self {
            folder: shared,
            file: Arc::new(file),
            length,
            highest_serial: contents.highest_serial,
        };
        Ok((journal, contents))
    }

    /// Adds records with one write. After an error none of them is in the journal.
    ///
    /// More than [`RECORDS_MAX`] are refused as too large: [`replace`](Self::replace) it by what still matters before that.
    /// They survive the process, not a power failure: for that there is [`unsynced`](Self::unsynced).
    pub fn append(&mut self, records: &[Record]) -> io::Result<()> {
        if self.records().saturating_add(records.len() as u64) > RECORDS_MAX {
            return Err(too_large());
        }
        let seed = self.folder.seed();
        let bytes: Vec<u8> = records.iter().flat_map(|record| record.bytes(seed)).collect();
        if let Err(error) = write_at(&self.file, &mut [IoSlice::new(&bytes)], self.length) {
            // The next append writes over it, whether this works or not.
            _ = rustix::fs::ftruncate(&self.file, self.length);
            return Err(error);
        }
        self.length += bytes.len() as u64;
        self.highest_serial = highest(self.highest_serial, records);
        Ok(())
    }

    /// What has to be waited for until all that was appended is on the disk, and the journal found under its name.
    pub fn unsynced(&self) -> Unsynced {
        Unsynced {
            folder: self.folder.clone(),
            file: self.file.clone(),
        }
    }

    /// Writes a journal of these records that is to take the place of the folder's. Waits for the disk. `serial` is the highest
    /// there ever was; one at a time for a folder.
    pub fn draft(folder: &Folder, serial: u64, records: &[Record]) -> io::Result<JournalDraft> {
        let folder = folder.shared().clone();
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let file = persist(|| rustix::fs::openat(&folder.root, NEW_NAME, flags, mode))?;
        let highest_serial = highest(serial, records);
        let mut bytes = head(highest_serial, folder.seed()).to_vec();
        bytes.extend(records.iter().flat_map(|record| record.bytes(folder.seed())));
        write_at(&file, &mut [IoSlice::new(&bytes)], 0)?;
        persist(|| rustix::fs::fdatasync(&file))?;
        Ok(JournalDraft(Self {
            folder,
            file: Arc::new(file),
            length: bytes.len() as u64,
            highest_serial,
        }))
    }

    /// Has the draft take this journal's place, with what was appended since it was begun. Does not wait until that is on the
    /// disk: see [`unsynced`](Self::unsynced). After an error the journal is what it was.
    pub fn replace(&mut self, draft: JournalDraft, since: &[Record]) -> io::Result<()> {
        let JournalDraft(mut new) = draft;
        new.append(since)?;
        new.place()?;
        *self = new;
        Ok(())
    }

    /// How many records it holds.
    pub fn records(&self) -> u64 {
        (self.length - HEAD as u64) / RECORD as u64
    }

    /// The highest serial ever appended or set.
    pub fn highest_serial(&self) -> u64 {
        self.highest_serial
    }

    /// A journal of these records that is on the disk under its name.
    pub fn fresh(folder: &Folder, serial: u64, records: &[Record]) -> io::Result<Self> {
        let JournalDraft(new) = Self::draft(folder, serial, records)?;
        new.place()?;
        new.unsynced().sync()?;
        Ok(new)
    }

    fn place(&self) -> io::Result<()> {
        let root = &self.folder.root;
        Ok(persist(|| rustix::fs::renameat(root, NEW_NAME, root, NAME))?)
    }
}

impl Record {
    fn bytes(&self, seed: u64) -> [u8; RECORD] {
        let mut bytes = [0; RECORD];
        bytes[..8].copy_from_slice(&self.facet.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.serial.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.at_ms.to_le_bytes());
        bytes[24] = self.soft.into();
        let sum = xxh3_64_with_seed(&bytes[..32], seed);
        bytes[32..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    fn parse(bytes: &[u8; RECORD], seed: u64) -> Option<Self> {
        let number = |at| u64::from_le_bytes(part(bytes, at));
        let is_sound = number(32) == xxh3_64_with_seed(&bytes[..32], seed);
        is_sound.then(|| Self {
            facet: number(0),
            serial: number(8),
            at_ms: number(16),
            soft: bytes[24] != 0,
        })
    }
}

fn highest(serial: u64, records: &[Record]) -> u64 {
    records
        .iter()
        .fold(serial, |highest, record| highest.max(record.serial))
}

fn head(serial: u64, seed: u64) -> [u8; HEAD] {
    let mut bytes = [0; HEAD];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    bytes[16..24].copy_from_slice(&serial.to_le_bytes());
    let sum = xxh3_64_with_seed(&bytes[..24], seed);
    bytes[24..].copy_from_slice(&sum.to_le_bytes());
    bytes
}

fn read(file: &OwnedFd, length: u64, seed: u64) -> io::Result<JournalContents> {
    let damaged = JournalContents {
        is_damaged: true,
        ..JournalContents::default()
    };
    if length < HEAD as u64 || length > HEAD as u64 + RECORDS_MAX * RECORD as u64 {
        return Ok(damaged);
    }
    let mut bytes = vec![0; usize::try_from(length).expect("at most RECORDS_MAX records")];
    if read_at(file, &mut [IoSliceMut::new(&mut bytes)], 0, true)? != Reading::Full {
        return Ok(damaged);
    }
    let (first, rest) = bytes.split_at(HEAD);
    let serial = u64::from_le_bytes(part(first, 16));
    let has_head = first == head(serial, seed);
    let whole = rest.as_chunks::<RECORD>().0;
    let records: Vec<Record> = whole
        .iter()
        .filter_map(|bytes| Record::parse(bytes, seed))
        .collect();
    Ok(JournalContents {
        highest_serial: highest(if has_head { serial } else { 0 }, &records),
        is_damaged: !has_head || records.len() < whole.len(),
        records,
    })
}
