//! Read buffers, lent by a worker's shelf for as long as something is being read.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use super::Stream;

/// What a buffer begins with: a head, or a small body with its head.
pub const SMALL_BYTES: usize = 16 * 1024;
/// What a buffer grows to for a large body: fewer system calls, without a buffer for each connection.
pub const LARGE_BYTES: usize = 64 * 1024;

/// Empty buffers a worker keeps. More are freed: a burst must not hold its memory for ever.
const SHELF_BUFFERS_MAX: usize = 256;

/// Bytes read and not yet used. Goes back to its shelf by dropping.
#[derive(Debug)]
pub struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    shelf: Rc<Shelf>,
}

/// The spare buffers of one worker.
#[derive(Debug, Default)]
pub struct Shelf {
    spare: RefCell<Vec<Vec<u8>>>,
}

impl Shelf {
    /// An empty buffer of [`SMALL_BYTES`].
    pub fn lend(self: &Rc<Self>) -> Buffer {
        let spare = self.spare.borrow_mut().pop();
        let bytes = spare.unwrap_or_else(|| vec![0; SMALL_BYTES]);
        Buffer {
            bytes,
            start: 0,
            end: 0,
            shelf: Rc::clone(self),
        }
    }
}

impl Buffer {
    /// What has been read and not used.
    pub fn unread(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// The same, to be rearranged in place.
    pub fn unread_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.end]
    }

    /// Marks the first `n` unread bytes as used.
    pub fn consume(&mut self, n: usize) {
        self.start += n;
        assert!(self.start <= self.end, "more was used than had been read");
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Whether there is nothing unread.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Whether no byte more can be read before some are used or it grows.
    pub fn is_full(&self) -> bool {
        self.end - self.start == self.bytes.len()
    }

    /// Makes room for `size` bytes in all, never less than there is.
    pub fn grow(&mut self, size: usize) {
        if size > self.bytes.len() {
            self.bytes.resize(size, 0);
        }
    }

    /// Puts bytes behind those unread, growing if need be.
    pub fn append(&mut self, bytes: &[u8]) {
        self.grow(self.end - self.start + bytes.len());
        let space = self.space();
        space[..bytes.len()].copy_from_slice(bytes);
        self.end += bytes.len();
    }

    /// Reads once from `stream`; 0 is the end. The buffer must not be full. Dropping the future loses nothing.
    pub async fn fill(&mut self, stream: &Stream) -> io::Result<usize> {
        debug_assert!(
            !self.is_full(),
            "a full buffer would make every read look like the end"
        );
        let read = stream.read(self.space()).await?;
        self.end += read;
        Ok(read)
    }

    fn space(&mut self) -> &mut [u8] {
        if self.end == self.bytes.len() {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        &mut self.bytes[self.end..]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        let mut spare = self.shelf.spare.borrow_mut();
        if spare.len() < SHELF_BUFFERS_MAX {
            bytes.truncate(SMALL_BYTES);
            bytes.shrink_to_fit();
            spare.push(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_as_they_went_in_and_room_is_regained() {
        let shelf = Rc::new(Shelf::default());
        let mut buffer = shelf.lend();
        buffer.append(&[1; SMALL_BYTES]);
        assert!(buffer.is_full());
        buffer.consume(SMALL_BYTES - 2);
        buffer.append(&[2; 5]);
        assert_eq!(buffer.unread(), [1, 1, 2, 2, 2, 2, 2]);
        buffer.append(&vec![3; LARGE_BYTES]);
        assert_eq!(buffer.unread().len(), 7 + LARGE_BYTES);
    }

    #[test]
    fn a_dropped_buffer_is_lent_again_empty_and_small() {
        let shelf = Rc::new(Shelf::default());
        let mut buffer = shelf.lend();
        buffer.append(&vec![1; LARGE_BYTES]);
        drop(buffer);
        let again = shelf.lend();
        assert!(again.is_empty() && again.bytes.len() == SMALL_BYTES);
        assert!(shelf.spare.borrow().is_empty());
    }
}
