//! A fill that is being written, and read by those who follow it.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use xxhash_rust::xxh3::Xxh3;

use super::StoredFile;
use super::bytes::{persist, read_now, write_at};
use super::fault::too_large;
use super::folder::{Ending, Shared};
use super::format::{BLOCK, BODY_MAX, HEADER, Location, Seal, header};
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
    writer: Mutex<Writer>,
}

struct Writer {
    /// Of the block that is not full yet.
    hasher: Xxh3,
    /// Of the full blocks.
    sums: Vec<u64>,
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
        f.debug_struct("Writer")
            .field("blocks", &self.sums.len())
            .field("state", &self.state)
            .finish()
    }
}

impl Draft {
    pub(super) fn new(folder: Arc<Shared>, number: u64) -> io::Result<Self> {
        let name = DraftName::new(folder.mark, number);
        let file = folder.create_draft(&name)?;
        let writer = Writer {
            hasher: Xxh3::with_seed(folder.seed()),
            sums: Vec::new(),
            state: State::Open,
        };
        Ok(Self {
            folder,
            file,
            name,
            length: AtomicU64::new(0),
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
        writer.digest(before, bytes);
        self.length.store(after, Ordering::Release);
        Ok(after)
    }

    /// Reads from `offset` of the body on, as much as is there and fits; `Some(0)` where nothing is there yet.
    ///
    /// None if `may_wait` is false and the bytes are not in memory, or the kernel or the file system cannot tell. The bytes
    /// are as the page cache or the disk gives them: their checksums stand only when the draft is finished.
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

    /// Writes what belongs behind and before the body and puts the file in its place.
    ///
    /// Nothing is synced: a file that a power failure tears has no sound tail, or blocks that do not fit their checksums,
    /// and is dropped. After an error the draft is still there and can be finished again. Followers go on reading.
    pub fn finish(&self, key: Key, generation: u64, meta: &Meta) -> io::Result<(Location, StoredFile)> {
        let mut writer = self.writer.lock();
        writer.check_open()?;
        let seed = self.folder.seed();
        let length = self.length.load(Ordering::Relaxed);
        let sums = writer.all_sums(length);
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

    /// Takes bytes that begin at `at` of the body into the checksums.
    fn digest(&mut self, at: u64, bytes: &[u8]) {
        let filled = usize::try_from(at % BLOCK as u64).expect("less than a block");
        let (first, rest) = bytes.split_at(bytes.len().min(BLOCK - filled));
        self.hasher.update(first);
        if filled + first.len() == BLOCK {
            self.close_block();
        }
        for block in rest.chunks(BLOCK) {
            self.hasher.update(block);
            if block.len() == BLOCK {
                self.close_block();
            }
        }
    }

    fn close_block(&mut self) {
        self.sums.push(self.hasher.digest());
        self.hasher.reset();
    }

    /// With the one of a last short block.
    fn all_sums(&self, length: u64) -> Vec<u64> {
        let mut sums = self.sums.clone();
        if !length.is_multiple_of(BLOCK as u64) {
            sums.push(self.hasher.digest());
        }
        sums
    }
}
