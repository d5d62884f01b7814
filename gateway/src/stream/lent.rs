//! A buffer that is held only while there is something in it.

use std::rc::Rc;

use super::{Buffer, Shelf};

/// Bytes on their way through a session. Empty, it holds no memory.
#[derive(Debug)]
pub struct Lent {
    shelf: Rc<Shelf>,
    buffer: Option<Buffer>,
}

impl Lent {
    /// Empty.
    pub fn new(shelf: &Rc<Shelf>) -> Self {
        Self {
            shelf: Rc::clone(shelf),
            buffer: None,
        }
    }

    /// Where its buffers come from.
    pub fn shelf(&self) -> &Rc<Shelf> {
        &self.shelf
    }

    /// What there is.
    pub fn bytes(&self) -> &[u8] {
        self.buffer.as_ref().map_or(&[], Buffer::unread)
    }

    /// What there is, to be changed where it lies.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.buffer.as_mut().map_or(&mut [], Buffer::unread_mut)
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.bytes().is_empty()
    }

    /// Whether it holds no memory.
    #[cfg(test)]
    pub fn is_given_back(&self) -> bool {
        self.buffer.is_none()
    }

    /// Room for at least `min` bytes more. If none come, [`Lent::give_back`] is due.
    pub fn room(&mut self, min: usize) -> &mut [u8] {
        self.lend().room(min)
    }

    /// Room for what a socket has, more of it if the last time it was filled.
    pub fn room_to_receive(&mut self, min: usize) -> &mut [u8] {
        let buffer = self.lend();
        buffer.grow_if_filled();
        buffer.room(min)
    }

    /// The first `n` bytes of the room have come.
    pub fn commit(&mut self, n: usize) {
        self.lend().commit(n);
        self.give_back();
    }

    /// Appends these.
    pub fn put(&mut self, bytes: &[u8]) {
        self.room(bytes.len())[..bytes.len()].copy_from_slice(bytes);
        self.commit(bytes.len());
    }

    /// The first `n` bytes are used.
    pub fn consume(&mut self, n: usize) {
        if let Some(buffer) = &mut self.buffer {
            buffer.consume(n);
        } else {
            assert!(n == 0, "more was used than had come");
        }
        self.give_back();
    }

    /// Lets go of the buffer if there is nothing in it.
    pub fn give_back(&mut self) {
        if self.is_empty() {
            self.buffer = None;
        }
    }

    /// Forgets what there is.
    pub fn clear(&mut self) {
        self.buffer = None;
    }

    /// What there is, in a buffer.
    pub fn into_buffer(self) -> Buffer {
        self.buffer.unwrap_or_else(|| self.shelf.lend())
    }

    fn lend(&mut self) -> &mut Buffer {
        self.buffer.get_or_insert_with(|| self.shelf.lend())
    }
}
