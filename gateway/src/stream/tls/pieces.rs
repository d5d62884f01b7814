//! Where the plaintext of records comes from.

use std::fs::File;
use std::io::{self, IoSlice};
use std::rc::Rc;

use crate::stream::{Buffer, Shelf};

/// Bytes to be written.
pub(super) trait Source {
    /// How many there are.
    fn length(&self) -> usize;

    /// The next ones, at least one and no more than `max`; none where there are fewer than [`Source::length`] said.
    fn next<'s>(&'s mut self, max: usize, scratch: &'s mut Scratch) -> io::Result<&'s [u8]>;
}

/// A place to put bytes together, lent when it is needed.
pub(super) struct Scratch {
    shelf: Rc<Shelf>,
    buffer: Option<Buffer>,
}

impl Scratch {
    pub(super) fn new(shelf: &Rc<Shelf>) -> Self {
        Self {
            shelf: Rc::clone(shelf),
            buffer: None,
        }
    }

    fn empty(&mut self) -> &mut Buffer {
        let buffer = self.buffer.get_or_insert_with(|| self.shelf.lend());
        buffer.consume(buffer.unread().len());
        buffer
    }
}

/// Pieces in memory, one behind the other.
pub(super) struct Pieces<'a> {
    pieces: &'a [IoSlice<'a>],
    /// How much of the first piece is used.
    used: usize,
}

impl<'a> Pieces<'a> {
    pub(super) fn new(pieces: &'a [IoSlice<'a>]) -> Self {
        Self { pieces, used: 0 }
    }

    /// The first bytes that lie together.
    fn first(&mut self) -> &'a [u8] {
        while let Some((piece, others)) = self.pieces.split_first() {
            if self.used < piece.len() {
                return &piece[self.used..];
            }
            (self.pieces, self.used) = (others, 0);
        }
        &[]
    }
}

impl Source for Pieces<'_> {
    fn length(&self) -> usize {
        self.pieces.iter().map(|piece| piece.len()).sum::<usize>() - self.used
    }

    fn next<'s>(&'s mut self, max: usize, scratch: &'s mut Scratch) -> io::Result<&'s [u8]> {
        let first = self.first();
        if first.len() >= max || self.pieces.len() <= 1 {
            let n = first.len().min(max);
            self.used += n;
            return Ok(&first[..n]);
        }
        // One record for several pieces: each would cost a header, a tag, and a packet's worth of work at the peer.
        let together = scratch.empty();
        let room = &mut together.room(max)[..max];
        let mut filled = 0;
        while filled < max {
            let first = self.first();
            if first.is_empty() {
                break;
            }
            let n = first.len().min(max - filled);
            room[filled..filled + n].copy_from_slice(&first[..n]);
            self.used += n;
            filled += n;
        }
        together.commit(filled);
        Ok(together.unread())
    }
}

/// A stretch of a file.
pub(super) struct Stretch<'a> {
    file: &'a File,
    offset: u64,
    length: usize,
}

impl<'a> Stretch<'a> {
    pub(super) fn new(file: &'a File, offset: u64, length: usize) -> Self {
        Self { file, offset, length }
    }
}

impl Source for Stretch<'_> {
    fn length(&self) -> usize {
        self.length
    }

    fn next<'s>(&'s mut self, max: usize, scratch: &'s mut Scratch) -> io::Result<&'s [u8]> {
        let together = scratch.empty();
        let max = max.min(self.length);
        let room = &mut together.room(max)[..max];
        let read = rustix::io::retry_on_intr(|| rustix::io::pread(self.file, &mut *room, self.offset))?;
        self.offset += read as u64;
        self.length -= read;
        together.commit(read);
        Ok(together.unread())
    }
}
