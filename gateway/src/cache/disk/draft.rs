//! A fill that is being written, and read by those who follow it.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use xxhash_rust::xxh3::Xxh3;

use super::StoredFile;
use super::bytes::{Reading, persist, read_at, read_now, write_at};
use super::fault::{Damage, ReadFault, too_large};
use super::folder::{Ending, Shared};
use super::format::{BLOCK, BODY_MAX, HEADER, Location, Seal, block_sum, header};
use super::name::{DraftName, ObjectPath};
use crate::cache::object::{Key, Meta};

/// An object whose body is arriving. One thread appends; any number read what is there.
///
/// Its file has a name that no index knows, and is removed with the draft unless it was finished.
#[derive(Debug)]
pub struct Draft {
    folder: Arc<Shared>,
    pub(super) file: OwnedFd,
    name: DraftName,
    /// Bytes of the body that may be read. Stored after they are written.
    length: AtomicU64,
    /// Checksums of the full blocks; of a last short one when the draft is finished. Added after the length is stored, so
    /// that a block with a checksum can be read. Not with the writer: that lock is held while a disk is waited for.
    sums: RwLock<Vec<u64>>,
    writer: Mutex<Writer>,
}

struct Writer {
    /// Of the block that is not full yet.
    hasher: Xxh3,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The file ends where the body does, or where its ending is about to be written.
    Open,
    /// In its place under its own name.
    Placed,
    /// An attempt that failed has left bytes behind that could not be cut off: they would hide the tail.
    Broken,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("state", &self.state).finish()
    }
}

impl Draft {
    pub(super) fn new(folder: Arc<Shared>, number: u64) -> io::Result<Self> {
        let name = DraftName::new(folder.mark, number);
        let file = folder.create_draft(&name)?;
        let writer = Writer {
            hasher: Xxh3::with_seed(folder.seed()),
            state: State::Open,
        };
        Ok(Self {
            folder,
            file,
            name,
            length: AtomicU64::new(0),
            sums: RwLock::default(),
            writer: Mutex::new(writer),
        })
    }

    /// Bytes of the body so far.
    pub fn length(&self) -> u64 {
        self.length.load(Ordering::Acquire)
    }

    /// Adds to the body; returns its new length. May wait for the disk.
    ///
    /// After an error the draft is as it was before, and the same bytes may be tried again. A finished draft takes no more.
    pub fn append(&self, bytes: &[u8]) -> io::Result<u64> {
        let mut writer = self.writer.lock();
        let before = self.length.load(Ordering::Relaxed);
        let after = before.saturating_add(bytes.len() as u64);
        writer.check_open()?;
        if after > BODY_MAX {
            return Err(too_large());
        }
        let written = write_at(&self.file, &mut [IoSlice::new(bytes)], HEADER as u64 + before);
        self.or_cut(&mut writer, before, written)?;
        let sums = writer.digest(before, bytes);
        self.length.store(after, Ordering::Release);
        if !sums.is_empty() {
            self.sums.write().extend(sums);
        }
        Ok(after)
    }

    /// Reads from `offset` of the body on, as much as is there and fits; `Some(0)` where nothing is there yet.
    ///
    /// None if `may_wait` is false and the bytes are not in memory, or the kernel or the file system cannot tell. The bytes
    /// are as the page cache or the disk gives them; [`read_block_from`](Self::read_block_from) checks them.
    pub fn read_at(&self, offset: u64, buf: &mut [u8], may_wait: bool) -> io::Result<Option<usize>> {
        let there = self.length().saturating_sub(offset);
        let wanted = buf.len().min(usize::try_from(there).unwrap_or(usize::MAX));
        if wanted == 0 {
            return Ok(Some(0));
        }
        let (buf, at) = (&mut buf[..wanted], HEADER as u64 + offset);
        let length = match may_wait {
            true => Some(persist(|| rustix::io::pread(&self.file, &mut *buf, at))?),
            false => read_now(&self.file, &mut [IoSliceMut::new(buf)], at)?,
        };
        match length {
            // The bytes were written: somebody has cut the file.
            Some(0) if may_wait => Err(io::ErrorKind::UnexpectedEof.into()),
            Some(0) => Ok(None),
            other => Ok(other),
        }
    }

    /// Reads from `offset` to the end of its block, or of what is there; empty where nothing is there yet.
    ///
    /// A block that is complete is read as a whole and checked, so what is handed out is what was appended even if it has
    /// been to the disk and back since. The block that is being filled is at most [`BLOCK`] bytes old and not checked.
    pub fn read_block_from(&self, offset: u64, may_wait: bool) -> Result<Option<Bytes>, ReadFault> {
        let start = offset - offset % BLOCK as u64;
        let index = offset / BLOCK as u64;
        let sum = usize::try_from(index)
            .ok()
            .and_then(|index| self.sums.read().get(index).copied());
        let end = self.length().min(start.saturating_add(BLOCK as u64));
        if offset >= end {
            return Ok(Some(Bytes::new()));
        }
        let from = if sum.is_some() { start } else { offset };
        let mut bytes = vec![0; usize::try_from(end - from).expect("at most a block")];
        let parts = &mut [IoSliceMut::new(&mut bytes)];
        match read_at(&self.file, parts, HEADER as u64 + from, may_wait).map_err(ReadFault::of)? {
            Reading::Full => {}
            Reading::Short => return Err(Damage::Short.into()),
            Reading::Waits => return Ok(None),
        }
        if sum.is_some_and(|sum| sum != block_sum(self.folder.seed(), &bytes)) {
            return Err(Damage::Block(index).into());
        }
        let skipped = usize::try_from(offset - from).expect("less than a block");
        Ok(Some(Bytes::from(bytes).slice(skipped..)))
    }

    /// Writes what belongs behind and before the body and puts the file in its place.
    ///
    /// Nothing is synced: a file that a power failure tears has no sound tail, or blocks that do not fit their checksums,
    /// and is dropped. After an error the draft is still there and can be finished again. Followers go on reading.
    pub fn finish(&self, key: Key, generation: u64, meta: &Meta) -> io::Result<(Location, StoredFile)> {
        let mut writer = self.writer.lock();
        writer.check_open()?;
        let seed = self.folder.seed();
        let length = self.length.load(Ordering::Relaxed);
        let mut sums = self.sums.read().clone();
        sums.extend(writer.short_block(length));
        let ending = Ending::new(Seal::new(seed, key, generation), generation, length, &sums, meta)?;
        let place = || {
            let file = rustix::io::fcntl_dupfd_cloexec(&self.file, 0)?;
            write_at(
                &self.file,
                &mut [IoSlice::new(&ending.bytes)],
                HEADER as u64 + length,
            )?;
            write_at(&self.file, &mut [IoSlice::new(&header(seed, key, generation))], 0)?;
            self.folder.place(&self.name, &ObjectPath::new(key, generation))?;
            Ok(file)
        };
        let file = self.or_cut(&mut writer, length, place())?;
        writer.state = State::Placed;
        self.sums.write().clone_from(&sums);
        let stored = StoredFile::with_table(file, seed, key, ending.location, sums.into());
        Ok((ending.location, stored))
    }

    /// After a failure cuts off what was written behind the body; a full disk gets its room back, too.
    fn or_cut<T>(&self, writer: &mut Writer, length: u64, result: io::Result<T>) -> io::Result<T> {
        if result.is_err() && rustix::fs::ftruncate(&self.file, HEADER as u64 + length).is_err() {
            writer.state = State::Broken;
        }
        result
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if self.writer.get_mut().state != State::Placed {
            // If this fails the file is swept by the next start's scan.
            _ = self.folder.unlink_draft(&self.name);
        }
    }
}

impl Writer {
    fn check_open(&self) -> io::Result<()> {
        match self.state {
            State::Open => Ok(()),
            State::Placed | State::Broken => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// Takes bytes that begin at `at` of the body; returns the checksums of the blocks that they fill.
    fn digest(&mut self, at: u64, bytes: &[u8]) -> Vec<u64> {
        let mut sums = Vec::new();
        let mut room = BLOCK - usize::try_from(at % BLOCK as u64).expect("less than a block");
        let mut rest = bytes;
        while let Some((filling, after)) = rest.split_at_checked(room) {
            self.hasher.update(filling);
            sums.push(self.hasher.digest());
            self.hasher.reset();
            (rest, room) = (after, BLOCK);
        }
        self.hasher.update(rest);
        sums
    }

    /// The checksum of the last block, if it is not full.
    fn short_block(&self, length: u64) -> Option<u64> {
        (!length.is_multiple_of(BLOCK as u64)).then(|| self.hasher.digest())
    }
}
