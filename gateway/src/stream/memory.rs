//! A connection within one worker: two ends and no socket. What is written at one end is read at the other.
//!
//! It means what a socket means: an end that is dropped has finished sending, unless it was to be a reset; a reset takes
//! with it what was not read; whoever writes to an end that has gone is told that nobody reads it.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;
use std::rc::Rc;

use bytes::{Buf, BytesMut};
use tokio::sync::Notify;

/// Bytes that wait in one direction at most: what one write brings at best, see [`super::buffer::LARGE_BYTES`].
pub const PIPE_BYTES: usize = 64 * 1024;

/// One end of a pair. Everything takes `&self`, as of every [`super::Stream`].
#[derive(Debug)]
pub struct Memory {
    shared: Rc<Shared>,
    /// Which of the two directions is the outgoing one.
    side: usize,
    /// Whether dropping it is a reset.
    resets: Cell<bool>,
}

#[derive(Debug, Default)]
struct Shared {
    ways: [Way; 2],
    is_broken: Cell<bool>,
    broken: Notify,
}

/// One direction.
#[derive(Debug, Default)]
struct Way {
    bytes: RefCell<BytesMut>,
    is_finished: Cell<bool>,
    /// Whether its reader has gone.
    is_deaf: Cell<bool>,
    /// Bytes have come or gone, or an end has been reached. A reader waits for bytes and a writer for room, so that never
    /// both of them wait here.
    moved: Notify,
}

impl Way {
    fn room(&self) -> usize {
        PIPE_BYTES.saturating_sub(self.bytes.borrow().len())
    }
}

/// Two ends that are connected.
pub fn pair() -> (Memory, Memory) {
    let shared = Rc::<Shared>::default();
    let end = |side| Memory {
        shared: Rc::clone(&shared),
        side,
        resets: Cell::new(false),
    };
    (end(0), end(1))
}

impl Memory {
    fn outgoing(&self) -> &Way {
        &self.shared.ways[self.side]
    }

    fn incoming(&self) -> &Way {
        &self.shared.ways[1 - self.side]
    }

    fn check(&self) -> io::Result<()> {
        if self.shared.is_broken.get() {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }

    /// Reads what has arrived, if anything has: `WouldBlock` otherwise. 0 is the end.
    pub fn try_read(&self, space: &mut [u8]) -> io::Result<usize> {
        self.check()?;
        let way = self.incoming();
        let mut bytes = way.bytes.borrow_mut();
        if bytes.is_empty() {
            return match way.is_finished.get() {
                true => Ok(0),
                false => Err(io::ErrorKind::WouldBlock.into()),
            };
        }
        let n = space.len().min(bytes.len());
        bytes.copy_to_slice(&mut space[..n]);
        drop(bytes);
        way.moved.notify_waiters();
        Ok(n)
    }

    /// All that has arrived, without a copy; empty if nothing has.
    pub fn take(&self) -> BytesMut {
        let way = self.incoming();
        let bytes = std::mem::take(&mut *way.bytes.borrow_mut());
        if !bytes.is_empty() {
            way.moved.notify_waiters();
        }
        bytes
    }

    /// Whether neither end has written or said anything.
    pub fn is_untouched(&self) -> bool {
        let is_new =
            |way: &Way| way.bytes.borrow().is_empty() && !way.is_finished.get() && !way.is_deaf.get();
        self.check().is_ok() && self.shared.ways.iter().all(is_new)
    }

    /// Whether the other end has said, and said in order, that no more comes than what is there to be read.
    pub fn is_finished(&self) -> bool {
        !self.shared.is_broken.get() && self.incoming().is_finished.get()
    }

    /// Resolves when there is something to read, the end or an error.
    pub async fn readable(&self) -> io::Result<()> {
        let way = self.incoming();
        loop {
            let moved = way.moved.notified();
            self.check()?;
            if !way.bytes.borrow().is_empty() || way.is_finished.get() {
                return Ok(());
            }
            moved.await;
        }
    }

    /// Resolves when there is room to write, or a write would fail.
    pub async fn writable(&self) -> io::Result<()> {
        let way = self.outgoing();
        loop {
            let moved = way.moved.notified();
            self.check()?;
            if way.room() > 0 || way.is_deaf.get() {
                return Ok(());
            }
            moved.await;
        }
    }

    fn writing(&self) -> io::Result<&Way> {
        self.check()?;
        let way = self.outgoing();
        if way.is_deaf.get() || way.is_finished.get() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if way.room() == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(way)
    }

    /// Writes as much of the pieces as there is room for: `WouldBlock` if there is none.
    pub fn try_write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let way = self.writing()?;
        let mut room = way.room();
        let mut bytes = way.bytes.borrow_mut();
        let before = bytes.len();
        for piece in pieces {
            let n = piece.len().min(room);
            bytes.extend_from_slice(&piece[..n]);
            room -= n;
        }
        let written = bytes.len() - before;
        drop(bytes);
        way.moved.notify_waiters();
        Ok(written)
    }

    /// Writes a stretch of a file, as much as there is room for. 0 means that the file has ended before.
    pub fn try_send_file(&self, file: &File, offset: u64, length: usize) -> io::Result<usize> {
        let way = self.writing()?;
        let mut bytes = way.bytes.borrow_mut();
        let before = bytes.len();
        let room = PIPE_BYTES - before;
        bytes.resize(before + length.min(room), 0);
        let read = file.read_at(&mut bytes[before..], offset);
        bytes.truncate(before + *read.as_ref().unwrap_or(&0));
        drop(bytes);
        way.moved.notify_waiters();
        read
    }

    /// Resolves when the connection has broken.
    pub async fn broken(&self) -> io::Error {
        let broken = self.shared.broken.notified();
        if !self.shared.is_broken.get() {
            broken.await;
        }
        io::ErrorKind::ConnectionReset.into()
    }

    /// Resolves when nobody reads any more what is written here.
    pub async fn abandoned(&self) {
        let way = self.outgoing();
        loop {
            let moved = way.moved.notified();
            if way.is_deaf.get() || self.shared.is_broken.get() {
                return;
            }
            moved.await;
        }
    }

    /// Tells the other end that nothing more of what it writes is read here.
    pub fn stop_reading(&self) {
        let way = self.incoming();
        way.is_deaf.set(true);
        way.moved.notify_waiters();
    }

    /// Whether nothing has arrived that was not read: neither bytes nor the end.
    pub fn is_quiet(&self) -> bool {
        let way = self.incoming();
        self.check().is_ok() && way.bytes.borrow().is_empty() && !way.is_finished.get()
    }

    /// Tells the other end that nothing more will be sent.
    pub fn finish_sending(&self) {
        let way = self.outgoing();
        way.is_finished.set(true);
        way.moved.notify_waiters();
    }

    /// Whether the coming drop is a reset.
    pub fn close_by_reset(&self, resets: bool) {
        self.resets.set(resets);
    }

    /// Breaks the connection for both ends. What was not read is gone.
    pub fn break_off(&self) {
        self.shared.is_broken.set(true);
        self.shared.broken.notify_waiters();
        for way in &self.shared.ways {
            way.bytes.borrow_mut().clear();
            way.moved.notify_waiters();
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if self.resets.get() {
            return self.break_off();
        }
        self.finish_sending();
        self.stop_reading();
    }
}

#[cfg(test)]
mod tests;
