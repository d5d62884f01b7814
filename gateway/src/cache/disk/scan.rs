//! What is in a folder after a restart, or after a kill in the middle of writes.

use std::io::{self, IoSliceMut};
use std::ops::{AddAssign, ControlFlow, Range};
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::bytes::{Reading, persist, read_at};
use super::decode_meta;
use super::folder::{Folder, Shared};
use super::format::{HEADER, Location, Seal, TAIL, Tail, check_header, part};
use super::name::{self, ObjectPath};
use crate::cache::object::{Key, Meta};

/// Into how many parts a scan can be divided.
pub const SHARDS: u16 = 256;
/// Bytes that are read from the end of each file: a tail and the record of nearly every answer, or all of a small file.
const END: usize = 4096;
const LEAVES: usize = 16;

/// An object that a scan has found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Which.
    pub key: Key,
    /// Where its parts are.
    pub location: Location,
    /// All about it but its body, which was not read.
    pub meta: Meta,
    /// When its file was last written, in milliseconds since the Unix epoch.
    pub modified_ms: u64,
}

/// What a scan has met, in files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Sound objects, reported.
    pub found: u64,
    /// Not as they were written: removed.
    pub damaged: u64,
    /// Of a key that has a newer version: removed.
    pub superseded: u64,
    /// Could not be opened or read: left, and not reported.
    pub unreadable: u64,
    /// Not ours: left.
    pub foreign: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.found += other.found;
        self.damaged += other.damaged;
        self.superseded += other.superseded;
        self.unreadable += other.unreadable;
        self.foreign += other.foreign;
    }
}

/// What became of one file.
enum Verdict {
    Found(Box<Found>),
    Damaged,
    Unreadable,
    Foreign,
    Gone,
}

impl Folder {
    /// Walks through the objects of some of the [`SHARDS`], in no order; all of them are `0..SHARDS`.
    ///
    /// Each key is reported once, with its newest sound version; older ones and damaged files are removed. Objects of this
    /// start are not reported, as whoever wrote them knows of them; so a scan can run while the cache is in use. What it
    /// reports may have been written anew since: the greater generation is right, whoever told of it first, and the other
    /// file is the caller's to remove. An object that was invalidated before the scan came to it is reported all the same:
    /// only a serial in its meta can tell. Scan each shard once per start, in several threads at once if you like.
    ///
    /// `Break` ends it.
    pub fn scan(&self, shards: Range<u16>, mut visit: impl FnMut(Found) -> ControlFlow<()>) -> Tally {
        let mut tally = Tally::default();
        for shard in shards.filter_map(|shard| u8::try_from(shard).ok()) {
            let folder = match self.shared().open_folder(&name::shard_name(shard)) {
                Ok(folder) => folder,
                Err(error) => {
                    tally.note_missing(error);
                    continue;
                }
            };
            for leaf in 0..LEAVES {
                if self
                    .shared()
                    .scan_leaf(&folder, shard, leaf, &mut tally, &mut visit)
                    .is_break()
                {
                    return tally;
                }
            }
        }
        tally
    }

    /// Removes drafts that an earlier start has left; returns how many. Those of this start are in use.
    pub fn sweep_drafts(&self) -> io::Result<u64> {
        let shared = self.shared();
        let mut swept = 0;
        let drafts = match shared.open_listing(name::DRAFTS) {
            Err(Errno::NOENT) => return Ok(0),
            other => other?,
        };
        for entry in Dir::read_from(&drafts)? {
            let entry = entry?;
            if name::draft_mark(entry.file_name()).is_none_or(|mark| mark == shared.mark) {
                continue;
            }
            match persist(|| rustix::fs::unlinkat(&drafts, entry.file_name(), AtFlags::empty())) {
                Ok(()) => swept += 1,
                // Somebody's folder with such a name.
                Err(Errno::ISDIR | Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(swept)
    }
}

impl Tally {
    /// A folder that cannot be entered: most often one that no object has needed yet.
    fn note_missing(&mut self, error: Errno) {
        match error {
            Errno::NOENT => {}
            Errno::NOTDIR | Errno::LOOP => self.foreign += 1,
            _ => self.unreadable += 1,
        }
    }
}

impl Shared {
    fn scan_leaf(
        &self,
        shard_folder: &OwnedFd,
        shard: u8,
        leaf: usize,
        tally: &mut Tally,
        visit: &mut impl FnMut(Found) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let name = name::leaf_name(leaf);
        let opened = persist(|| rustix::fs::openat(shard_folder, &name[..], flags, Mode::empty()));
        let listed = opened.and_then(|folder| list(&folder, shard, leaf, tally).map(|names| (folder, names)));
        let (folder, mut names) = match listed {
            Ok(listed) => listed,
            Err(error) => {
                tally.note_missing(error);
                return ControlFlow::Continue(());
            }
        };
        // The versions of a key together, the newest first.
        names.sort_unstable_by_key(|(key, generation)| (*key, std::cmp::Reverse(*generation)));
        for versions in names.chunk_by(|a, b| a.0 == b.0) {
            if let Some(found) = self.newest_sound(&folder, versions, tally) {
                tally.found += 1;
                visit(*found)?;
            }
        }
        ControlFlow::Continue(())
    }

    /// The newest version that can be used, unless it is of this start; the others are removed.
    fn newest_sound(
        &self,
        folder: &OwnedFd,
        versions: &[(Key, u64)],
        tally: &mut Tally,
    ) -> Option<Box<Found>> {
        let mut newest = None;
        let mut is_settled = false;
        for (key, generation) in versions {
            let (key, generation) = (*key, *generation);
            if generation >= self.first_generation() {
                is_settled = true;
                continue;
            }
            if is_settled {
                tally.superseded += remove(folder, key, generation);
                continue;
            }
            match self.look(folder, key, generation) {
                Verdict::Found(found) => (newest, is_settled) = (Some(found), true),
                Verdict::Damaged => tally.damaged += remove(folder, key, generation),
                Verdict::Unreadable => {
                    // It may be sound, and then what is older is out of date.
                    is_settled = true;
                    tally.unreadable += 1;
                }
                Verdict::Foreign => tally.foreign += 1,
                Verdict::Gone => {}
            }
        }
        newest
    }

    /// One open, one stat, one read, and a second one where the record is long.
    fn look(&self, folder: &OwnedFd, key: Key, generation: u64) -> Verdict {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let path = ObjectPath::new(key, generation);
        let file = match persist(|| rustix::fs::openat(folder, path.name(), flags, Mode::empty())) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Verdict::Gone,
            Err(Errno::LOOP | Errno::NXIO) => return Verdict::Foreign,
            Err(_) => return Verdict::Unreadable,
        };
        let stat = match rustix::fs::fstat(&file) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode).is_file() => stat,
            Ok(_) => return Verdict::Foreign,
            Err(_) => return Verdict::Unreadable,
        };
        let length = u64::try_from(stat.st_size).unwrap_or(0);
        match self.read_end(&file, length, key, generation) {
            Ok(Some((location, meta))) => {
                let modified_ms = milliseconds(stat.st_mtime, stat.st_mtime_nsec);
                Verdict::Found(Box::new(Found {
                    key,
                    location,
                    meta,
                    modified_ms,
                }))
            }
            Ok(None) => Verdict::Damaged,
            Err(_) => Verdict::Unreadable,
        }
    }

    /// None if the file is damaged. The header is looked at where it was read anyway: it says nothing that the seal of the
    /// tail does not say, and on a cold disk it would cost one more seek for each file.
    fn read_end(
        &self,
        file: &OwnedFd,
        length: u64,
        key: Key,
        generation: u64,
    ) -> io::Result<Option<(Location, Meta)>> {
        if length < (HEADER + TAIL) as u64 {
            return Ok(None);
        }
        let mut buf = [0; END];
        let end = &mut buf[..usize::try_from(length).unwrap_or(END).min(END)];
        if !read(file, end, length - end.len() as u64)? {
            return Ok(None);
        }
        let is_all = end.len() as u64 == length;
        if is_all && check_header(&part(end, 0), self.seed(), key, generation).is_err() {
            return Ok(None);
        }
        let seal = Seal::new(self.seed(), key, generation);
        let Some(tail) = Tail::parse(&part(end, end.len() - TAIL), seal, length) else {
            return Ok(None);
        };
        if tail.location.generation != generation {
            return Ok(None);
        }
        let (records, meta_length) = (&end[..end.len() - TAIL], tail.location.meta_length as usize);
        let long: Vec<u8>;
        let record = match records.len().checked_sub(meta_length) {
            Some(at) => &records[at..],
            None => {
                let mut record = vec![0; meta_length];
                if !read(file, &mut record, tail.location.meta_at())? {
                    return Ok(None);
                }
                long = record;
                &long
            }
        };
        let is_sound = seal.sum(record) == tail.meta_sum;
        Ok(is_sound
            .then(|| decode_meta(record))
            .flatten()
            .map(|meta| (tail.location, meta)))
    }
}

/// The objects' names in a folder. What is not ours is counted.
fn list(folder: &OwnedFd, shard: u8, leaf: usize, tally: &mut Tally) -> Result<Vec<(Key, u64)>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let is_file = matches!(entry.file_type(), FileType::RegularFile | FileType::Unknown);
        match name::parse(shard, leaf, entry.file_name()).filter(|_| is_file) {
            Some(name) => names.push(name),
            None if matches!(entry.file_name().to_bytes(), b"." | b"..") => {}
            None => tally.foreign += 1,
        }
    }
    Ok(names)
}

/// 1 if it is removed.
fn remove(folder: &OwnedFd, key: Key, generation: u64) -> u64 {
    let path = ObjectPath::new(key, generation);
    persist(|| rustix::fs::unlinkat(folder, path.name(), AtFlags::empty()))
        .is_ok()
        .into()
}

/// False if the file has become shorter.
fn read(file: &OwnedFd, buf: &mut [u8], at: u64) -> io::Result<bool> {
    read_at(file, &mut [IoSliceMut::new(buf)], at, true).map(|reading| reading == Reading::Full)
}

/// The fields' types differ between machines.
fn milliseconds(seconds: impl TryInto<u64>, nanos: impl TryInto<u64>) -> u64 {
    let seconds = seconds.try_into().unwrap_or(0);
    seconds
        .saturating_mul(1000)
        .saturating_add(nanos.try_into().unwrap_or(0) / 1_000_000)
}
