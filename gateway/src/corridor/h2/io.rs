//! The client's stream as the `h2` crate reads and writes it.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop::poll_proceed;
use tokio::time::Instant;

use super::gauge::Gauge;
use crate::stream::{Buffer, Lent, Shelf, Stream};

/// Bytes that wait to be sent together. The `h2` crate writes each frame of data by itself, and an answer of a kilobyte
/// costs less than the system call and the record it would go out in. Three full records, which the socket is given at once.
const OUTBOX_BYTES: usize = 48 * 1024;

/// What the connection's loop sees of its stream while the `h2` crate has it.
pub(super) struct Wire {
    pub(super) stream: Stream,
    now: Box<dyn Fn() -> Instant>,
    pub(super) gauge: RefCell<Gauge>,
    /// Written by the `h2` crate and not sent, see [`Wire::poll_drain`].
    outbox: RefCell<Lent>,
    /// Since when the client takes nothing of what there is for it.
    blocked_since: Cell<Option<Instant>>,
    /// When the client last took something.
    sent_at: Cell<Instant>,
}

/// The stream, to be read and written by polling.
pub(super) struct Io {
    wire: Rc<Wire>,
    /// What was read before it was known to be HTTP/2.
    begun: Option<Buffer>,
}

impl Wire {
    pub(super) fn new(stream: Stream, shelf: &Rc<Shelf>, now: impl Fn() -> Instant + 'static) -> Self {
        let begun = now();
        Self {
            stream,
            gauge: Gauge::new(begun).into(),
            outbox: Lent::new(shelf).into(),
            now: Box::new(now),
            blocked_since: Cell::default(),
            sent_at: begun.into(),
        }
    }

    pub(super) fn blocked_since(&self) -> Option<Instant> {
        self.blocked_since.get()
    }

    /// When the client last took something; at first, when it came.
    pub(super) fn sent_at(&self) -> Instant {
        self.sent_at.get()
    }

    fn observe(&self, bytes: &[u8]) {
        self.gauge.borrow_mut().observe(bytes, (self.now)());
    }

    /// Sends what was written. Whoever polls the `h2` crate does this when that has to wait: nobody else does.
    pub(super) fn poll_drain(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut outbox = self.outbox.borrow_mut();
        while !outbox.is_empty() {
            let coop = ready!(poll_proceed(cx));
            match self.stream.try_write(&[IoSlice::new(outbox.bytes())]) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(n) => {
                    self.blocked_since.set(None);
                    self.sent_at.set((self.now)());
                    coop.made_progress();
                    outbox.consume(n);
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    if self.blocked_since.get().is_none() {
                        self.blocked_since.set(Some((self.now)()));
                    }
                    ready!(self.stream.poll_writable(cx))?;
                }
                Err(e) => {
                    outbox.clear();
                    return Poll::Ready(Err(e));
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Polls `work`, which uses the `h2` crate, and sends what it has written when it waits.
    pub(super) async fn draining<F: Future>(&self, work: F) -> F::Output {
        let mut work = pin!(work);
        poll_fn(|cx| {
            let done = work.as_mut().poll(cx);
            if done.is_pending() {
                // What became of it, whoever reads or writes next is told.
                let _ = self.poll_drain(cx);
            }
            done
        })
        .await
    }

    fn poll_write(&self, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if self.outbox.borrow().bytes().len() >= OUTBOX_BYTES {
            ready!(self.poll_drain(cx))?;
        }
        let mut outbox = self.outbox.borrow_mut();
        let before = outbox.bytes().len();
        for piece in pieces {
            let room = OUTBOX_BYTES - outbox.bytes().len();
            outbox.put(&piece[..room.min(piece.len())]);
        }
        Poll::Ready(Ok(outbox.bytes().len() - before))
    }
}

impl Io {
    pub(super) fn new(wire: Rc<Wire>, begun: Option<Buffer>) -> Self {
        Self { wire, begun }
    }

    fn take_begun(&mut self, out: &mut ReadBuf<'_>) -> bool {
        let Some(begun) = self.begun.as_mut().filter(|b| !b.is_empty()) else {
            return false;
        };
        let n = begun.unread().len().min(out.remaining());
        out.put_slice(&begun.unread()[..n]);
        begun.consume(n);
        if begun.is_empty() {
            self.begun = None;
        }
        true
    }
}

impl AsyncRead for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = out.filled().len();
        if self.take_begun(out) {
            self.wire.observe(&out.filled()[before..]);
            return Poll::Ready(Ok(()));
        }
        let wire = &*self.wire;
        // Not read on: the loop of the connection, which polls this, looks at it next.
        if wire.gauge.borrow().flood().is_some() {
            return Poll::Pending;
        }
        // The `h2` crate asks after each request. There is nothing most times, which is known without any room for it.
        ready!(wire.stream.poll_readable(cx))?;
        let coop = ready!(poll_proceed(cx));
        let space = out.initialize_unfilled();
        let room = space.len();
        let read = loop {
            match wire.stream.try_read(space) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => ready!(wire.stream.poll_readable(cx))?,
                done => break done?,
            }
        };
        coop.made_progress();
        // 0 is the end, which is not announced twice.
        if read > 0 && read < room {
            wire.stream.note_drained();
        }
        wire.observe(&space[..read]);
        out.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.wire.poll_write(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.wire.poll_write(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Does nothing: the `h2` crate flushes after each frame of data. See [`Wire::poll_drain`].
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.wire.poll_drain(cx))?;
        self.wire.stream.finish_sending();
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests;
