//! An object's file that is open for reading. No byte leaves it unchecked.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::OwnedFd;
use std::sync::OnceLock;

use bytes::Bytes;
use rustix::fs::FileType;

use super::bytes::{Reading, read_at, write_at};
use super::fault::{AppendFault, Damage, ReadFault, too_large};
use super::folder::record_and_tail;
use super::format::{BLOCK, HEADER, Location, Seal, TAIL, Tail, block_sum, check_header, part, table_sums};
use super::{decode_meta, encode_meta};
use crate::cache::object::{Key, Meta};

/// An open object. Readable to the end even after it was removed or written anew.
///
/// Reads that may wait always have an answer; the others answer None where the bytes are not in memory.
#[derive(Debug)]
pub struct StoredFile {
    file: OwnedFd,
    seed: u64,
    key: Key,
    location: Location,
    /// Checksums of the blocks, once they were read.
    table: OnceLock<Box<[u64]>>,
}

impl StoredFile {
    pub(super) fn open(file: OwnedFd, seed: u64, key: Key, location: Location) -> Result<Self, ReadFault> {
        let stat = rustix::fs::fstat(&file).map_err(|errno| ReadFault::of(errno.into()))?;
        if !FileType::from_raw_mode(stat.st_mode).is_file() {
            return Err(Damage::NotAFile.into());
        }
        if u64::try_from(stat.st_size).unwrap_or(0) < location.file_length {
            return Err(Damage::Short.into());
        }
        // Nothing is allocated by a length that the file does not have.
        if !location.is_possible() {
            return Err(Damage::Tail.into());
        }
        Ok(Self {
            file,
            seed,
            key,
            location,
            table: OnceLock::new(),
        })
    }

    pub(super) fn with_table(
        file: OwnedFd,
        seed: u64,
        key: Key,
        location: Location,
        table: Box<[u64]>,
    ) -> Self {
        Self {
            file,
            seed,
            key,
            location,
            table: OnceLock::from(table),
        }
    }

    /// Where its parts are.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// What is known of the answer: one read of the record and the tail.
    pub fn meta(&self, may_wait: bool) -> Result<Option<Meta>, ReadFault> {
        let Some(mut bytes) = self.read(self.location.meta_at(), self.records_room(), may_wait)? else {
            return Ok(None);
        };
        let tail = self.check_tail(&part(&bytes, bytes.len() - TAIL))?;
        bytes.truncate(bytes.len() - TAIL);
        self.check_meta(&tail, &bytes).map(Some)
    }

    /// All of it in one read: for objects that go to memory as a whole.
    pub fn read_whole(&self, may_wait: bool) -> Result<Option<(Meta, Bytes)>, ReadFault> {
        let mut head = [0; HEADER];
        let mut body = vec![0; room(self.location.body_length)];
        let mut rest = vec![0; room(self.location.file_length - self.location.table_at())];
        let mut parts = [
            IoSliceMut::new(&mut head),
            IoSliceMut::new(&mut body),
            IoSliceMut::new(&mut rest),
        ];
        if !self.fill(&mut parts, 0, may_wait)? {
            return Ok(None);
        }
        check_header(&head, self.seed, self.key, self.location.generation)?;
        let tail = self.check_tail(&part(&rest, rest.len() - TAIL))?;
        let (table, records) = rest.split_at(room(self.location.table_length()));
        let table = self.check_table(&tail, table)?;
        for (index, block) in body.chunks(BLOCK).enumerate() {
            self.check_block(&table, index as u64, block)?;
        }
        let meta_at = records.len() - self.records_room();
        let meta = self.check_meta(&tail, &records[meta_at..records.len() - TAIL])?;
        Ok(Some((meta, Bytes::from(body))))
    }

    /// The block of the body with this index, checked; empty behind the last one.
    ///
    /// The first call reads the header and the table too.
    pub fn read_block(&self, index: u64, may_wait: bool) -> Result<Option<Bytes>, ReadFault> {
        if index >= self.location.blocks() {
            return Ok(Some(Bytes::new()));
        }
        let Some(table) = self.table(may_wait)? else {
            return Ok(None);
        };
        let start = index * BLOCK as u64;
        let length = room((self.location.body_length - start).min(BLOCK as u64));
        let Some(block) = self.read(HEADER as u64 + start, length, may_wait)? else {
            return Ok(None);
        };
        self.check_block(table, index, &block)?;
        Ok(Some(Bytes::from(block)))
    }

    /// The checksums of the blocks, checked themselves and kept by the first call that can read them.
    fn table(&self, may_wait: bool) -> Result<Option<&[u64]>, ReadFault> {
        if let Some(table) = self.table.get() {
            return Ok(Some(table));
        }
        let mut head = [0; HEADER];
        let mut table = vec![0; room(self.location.table_length())];
        let mut tail = [0; TAIL];
        let is_read = self.fill(&mut [IoSliceMut::new(&mut head)], 0, may_wait)?
            && self.fill(
                &mut [IoSliceMut::new(&mut table)],
                self.location.table_at(),
                may_wait,
            )?
            && self.fill(
                &mut [IoSliceMut::new(&mut tail)],
                self.location.file_length - TAIL as u64,
                may_wait,
            )?;
        if !is_read {
            return Ok(None);
        }
        check_header(&head, self.seed, self.key, self.location.generation)?;
        let tail = self.check_tail(&tail)?;
        let table = self.check_table(&tail, &table)?;
        Ok(Some(self.table.get_or_init(|| table)))
    }

    /// Appends a record. The caller has locked out other appenders of this object.
    pub(super) fn append(&self, meta: &Meta) -> Result<Location, AppendFault> {
        let stored = |fault| AppendFault::Stored(fault);
        let record = encode_meta(meta).ok_or_else(|| AppendFault::Disk(too_large()))?;
        let end = self.location.file_length;
        let stat = rustix::fs::fstat(&self.file).map_err(|errno| stored(ReadFault::of(errno.into())))?;
        if u64::try_from(stat.st_size).unwrap_or(0) != end {
            return Err(AppendFault::Outdated);
        }
        let bytes = self.read(end - TAIL as u64, TAIL, true).map_err(stored)?;
        let bytes = bytes.expect("a read that may wait has an answer");
        let tail = self.check_tail(&part(&bytes, 0)).map_err(stored)?;
        let Location {
            generation,
            body_length,
            ..
        } = self.location;
        let (location, bytes) =
            record_and_tail(self.seal(), generation, body_length, tail.table_sum, &record, end);
        match write_at(&self.file, &mut [IoSlice::new(&bytes)], end) {
            Ok(()) => Ok(location),
            Err(error) => {
                // If this fails too, the next append finds the file longer than it knows, and a scan a torn tail.
                _ = rustix::fs::ftruncate(&self.file, end);
                Err(AppendFault::Disk(error))
            }
        }
    }

    fn seal(&self) -> Seal {
        Seal::new(self.seed, self.key, self.location.generation)
    }

    /// Bytes of the record and the tail behind it.
    fn records_room(&self) -> usize {
        self.location.meta_length as usize + TAIL
    }

    fn read(&self, at: u64, length: usize, may_wait: bool) -> Result<Option<Vec<u8>>, ReadFault> {
        let mut bytes = vec![0; length];
        let is_read = self.fill(&mut [IoSliceMut::new(&mut bytes)], at, may_wait)?;
        Ok(is_read.then_some(bytes))
    }

    /// False if the bytes are not in memory.
    fn fill(&self, parts: &mut [IoSliceMut<'_>], at: u64, may_wait: bool) -> Result<bool, ReadFault> {
        match read_at(&self.file, parts, at, may_wait).map_err(ReadFault::of)? {
            Reading::Full => Ok(true),
            Reading::Waits => Ok(false),
            Reading::Short => Err(Damage::Short.into()),
        }
    }

    fn check_tail(&self, bytes: &[u8; TAIL]) -> Result<Tail, ReadFault> {
        let tail = Tail::parse(bytes, self.seal(), self.location.file_length);
        Ok(tail
            .filter(|tail| tail.location == self.location)
            .ok_or(Damage::Tail)?)
    }

    fn check_meta(&self, tail: &Tail, bytes: &[u8]) -> Result<Meta, ReadFault> {
        if self.seal().sum(bytes) != tail.meta_sum {
            return Err(Damage::Meta.into());
        }
        Ok(decode_meta(bytes).ok_or(Damage::Meta)?)
    }

    fn check_table(&self, tail: &Tail, bytes: &[u8]) -> Result<Box<[u64]>, ReadFault> {
        match self.seal().sum(bytes) == tail.table_sum {
            true => Ok(table_sums(bytes)),
            false => Err(Damage::Table.into()),
        }
    }

    fn check_block(&self, table: &[u64], index: u64, block: &[u8]) -> Result<(), ReadFault> {
        let expected = usize::try_from(index).ok().and_then(|index| table.get(index));
        match expected == Some(&block_sum(self.seed, block)) {
            true => Ok(()),
            false => Err(Damage::Block(index).into()),
        }
    }
}

/// A length that was compared with the file's.
fn room(length: u64) -> usize {
    usize::try_from(length).expect("lengths are at most BODY_MAX, and memory is 64 bits wide")
}
