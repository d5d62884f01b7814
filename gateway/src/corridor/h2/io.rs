//! The client's stream as the `h2` crate reads and writes it.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop::poll_proceed;
use tokio::time::Instant;

use super::gauge::Gauge;
use crate::stream::{Buffer, Stream};

/// What the connection's loop sees of its stream while the `h2` crate has it.
pub(super) struct Wire {
    pub(super) stream: Stream,
    now: Box<dyn Fn() -> Instant>,
    pub(super) gauge: RefCell<Gauge>,
    /// Since when the client takes nothing of what there is for it.
    blocked_since: Cell<Option<Instant>>,
}

/// The stream, to be read and written by polling.
pub(super) struct Io {
    wire: Rc<Wire>,
    /// What was read before it was known to be HTTP/2.
    begun: Option<Buffer>,
}

impl Wire {
    pub(super) fn new(stream: Stream, now: impl Fn() -> Instant + 'static) -> Self {
        Self {
            stream,
            gauge: Gauge::new(now()).into(),
            now: Box::new(now),
            blocked_since: Cell::default(),
        }
    }

    pub(super) fn blocked_since(&self) -> Option<Instant> {
        self.blocked_since.get()
    }

    fn observe(&self, bytes: &[u8]) {
        self.gauge.borrow_mut().observe(bytes, (self.now)());
    }

    fn poll_write(&self, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let coop = ready!(poll_proceed(cx));
        loop {
            match self.stream.try_write(pieces) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    if self.blocked_since.get().is_none() {
                        self.blocked_since.set(Some((self.now)()));
                    }
                    ready!(self.stream.poll_writable(cx))?;
                }
                done => {
                    self.blocked_since.set(None);
                    coop.made_progress();
                    return Poll::Ready(done);
                }
            }
        }
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

    /// What a stream took is out, see [`Stream::try_write`].
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wire.stream.finish_sending();
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests;
