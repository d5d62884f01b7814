//! Read buffers, lent by a worker's shelf for as long as something is being read.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use super::Stream;

/// What a buffer begins with: a head, or a small body with its head.
pub const SMALL_BYTES: usize = 8 * 1024;
/// What a buffer becomes for a large body: fewer system calls, without a large buffer for each connection.
pub const LARGE_BYTES: usize = 64 * 1024;

/// Empty buffers of each size that a worker keeps. More are freed: a burst must not hold its memory for ever.
const SPARE_SMALL_MAX: usize = 512;
const SPARE_LARGE_MAX: usize = 64;

/// Bytes read and not yet used. Goes back to its shelf by dropping.
#[derive(Debug)]
pub struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// Whether the last read took all the room there was: then there is more where it came from.
    was_filled: bool,
    shelf: Rc<Shelf>,
}

/// The spare buffers of one worker.
#[derive(Debug, Default)]
pub struct Shelf {
    small: RefCell<Vec<Vec<u8>>>,
    large: RefCell<Vec<Vec<u8>>>,
}

impl Shelf {
    /// An empty buffer of [`SMALL_BYTES`].
    pub fn lend(self: &Rc<Self>) -> Buffer {
        let spare = self.small.borrow_mut().pop();
        let bytes = spare.unwrap_or_else(|| vec![0; SMALL_BYTES]);
        Buffer {
            bytes,
            start: 0,
            end: 0,
            was_filled: false,
            shelf: Rc::clone(self),
        }
    }

    fn take_back(&self, bytes: Vec<u8>) {
        let (spare, max) = match bytes.len() {
            SMALL_BYTES => (&self.small, SPARE_SMALL_MAX),
            LARGE_BYTES => (&self.large, SPARE_LARGE_MAX),
            _ => return,
        };
        let mut spare = spare.borrow_mut();
        if spare.len() < max {
            spare.push(bytes);
        }
    }
}

impl Buffer {
    /// What has been read and not used.
    pub fn unread(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
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
        if size <= self.bytes.len() {
            return;
        }
        let spare = if size <= LARGE_BYTES {
            self.shelf.large.borrow_mut().pop()
        } else {
            None
        };
        let mut bytes = spare.unwrap_or_else(|| vec![0; size.max(LARGE_BYTES)]);
        let unread = self.end - self.start;
        bytes[..unread].copy_from_slice(self.unread());
        self.shelf.take_back(std::mem::replace(&mut self.bytes, bytes));
        (self.start, self.end) = (0, unread);
    }

    /// Becomes a large one if the last read has shown that it is worth it.
    pub fn grow_if_filled(&mut self) {
        if self.was_filled {
            self.grow(LARGE_BYTES);
        }
    }

    /// Reads once from `stream`; 0 is the end. The buffer must not be full. Dropping the future loses nothing.
    pub async fn fill(&mut self, stream: &Stream) -> io::Result<usize> {
        debug_assert!(
            !self.is_full(),
            "a full buffer would make every read look like the end"
        );
        let space = self.space();
        let room = space.len();
        let read = stream.read(space).await?;
        self.was_filled = read == room;
        self.end += read;
        Ok(read)
    }

    /// The same without waiting: `WouldBlock` if nothing has arrived.
    pub fn try_fill(&mut self, stream: &Stream) -> io::Result<usize> {
        let space = self.space();
        let room = space.len();
        let read = stream.try_read(space)?;
        self.was_filled = read == room;
        self.end += read;
        // 0 is the end, which is not announced twice.
        if read > 0 && !self.was_filled {
            stream.note_drained();
        }
        Ok(read)
    }

    /// The unread bytes, to be changed where they lie.
    pub(super) fn unread_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.end]
    }

    /// Room for at least `min` bytes behind the unread ones, in one piece; [`Buffer::commit`] says how many came.
    pub(super) fn room(&mut self, min: usize) -> &mut [u8] {
        let unread = self.end - self.start;
        if self.bytes.len() < unread + min {
            self.grow(unread + min);
        } else if self.bytes.len() < self.end + min {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, unread);
        }
        &mut self.bytes[self.end..]
    }

    /// The first `n` bytes of the room have come.
    pub(super) fn commit(&mut self, n: usize) {
        self.was_filled = self.end + n == self.bytes.len();
        self.end += n;
        assert!(
            self.end <= self.bytes.len(),
            "more has come than there was room for"
        );
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
        self.shelf.take_back(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(buffer: &mut Buffer, bytes: &[u8]) {
        buffer.space()[..bytes.len()].copy_from_slice(bytes);
        buffer.end += bytes.len();
    }

    #[test]
    fn bytes_come_out_as_they_went_in_and_room_is_regained() {
        let shelf = Rc::new(Shelf::default());
        let mut buffer = shelf.lend();
        put(&mut buffer, &[1; SMALL_BYTES]);
        assert!(buffer.is_full());
        buffer.consume(SMALL_BYTES - 2);
        put(&mut buffer, &[2; 5]);
        assert_eq!(buffer.unread(), [1, 1, 2, 2, 2, 2, 2]);
        buffer.grow(LARGE_BYTES);
        put(&mut buffer, &[3; LARGE_BYTES - 7]);
        assert!(buffer.is_full() && buffer.unread().starts_with(&[1, 1, 2]));
    }

    #[test]
    fn a_dropped_buffer_is_lent_again_empty_and_of_its_size() {
        let shelf = Rc::new(Shelf::default());
        let mut buffer = shelf.lend();
        put(&mut buffer, &[1; 10]);
        buffer.grow(LARGE_BYTES);
        drop(buffer);
        assert_eq!((shelf.small.borrow().len(), shelf.large.borrow().len()), (1, 1));
        let again = shelf.lend();
        assert!(again.is_empty() && again.bytes.len() == SMALL_BYTES);
        drop(again);
        let mut huge = shelf.lend();
        huge.grow(LARGE_BYTES * 4);
        drop(huge);
        assert_eq!((shelf.small.borrow().len(), shelf.large.borrow().len()), (1, 1));
    }
}
