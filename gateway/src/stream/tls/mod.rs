//! TLS beneath a [`Stream`](super::Stream): whoever reads and writes one does not know it.
//!
//! **What is written and when it is out.** A record, once sealed, cannot be sealed otherwise: its number is used up. So
//! when the socket takes only a part of one, the rest waits in the outbox, and somebody has to send it. Nobody is needed
//! for it, because whoever wrote always comes back: a write says that it took everything only when the outbox is empty.
//! If it is not, at least one byte is held back from the count, although it is sealed. The write that brings this byte
//! again sends the rest first, and does not seal the byte twice. So a full count means that the socket has all of it.
//!
//! What the session has to say by itself (alerts, new keys, its end) goes out with what is written, with what is read,
//! and while somebody waits for something to read.
//!
//! **Ends.** A peer's `close_notify` is the end, 0. Without it the end is `UnexpectedEof`, always: a body that ends with
//! the connection must not be taken for whole, and whatever else ends there is over either way. Our own `close_notify`
//! goes out with `finish_sending`, or when the stream is dropped, unless a write was left unfinished or the close is to
//! be a reset. So a peer that was told less than all is never told that it was all. Dropping cannot wait: if the socket is
//! full at that moment, the word is lost, and the peer has to take all for less. [`Stream::end`] waits.
//!
//! **Memory.** An idle session holds no buffer: they are the shelf's, and lent while there is something in them.
//! 1,000 idle sessions of a server, which had carried 400 bytes in and 9,000 out, took 4.6 KiB each of resident memory,
//! as much with TLS 1.2 as with 1.3: the session, its keys, and what the runtime keeps of its socket and the peer's.
//!
//! Renegotiation does not exist in rustls. Early data (0-RTT) is neither offered nor taken: whoever makes the
//! configurations leaves `max_early_data_size` and `enable_early_data` as they are.

mod handshake;
mod pieces;
mod session;

use std::cell::RefCell;
use std::fmt;
use std::fs::File;
use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use tokio::sync::Notify;

use super::Stream;
use super::socket::Socket;
pub use handshake::{Greeting, HandshakeFault, accept, connect};
use pieces::{Pieces, Scratch, Source, Stretch};
use session::{End, RECORD_BYTES, Session};

/// Records sealed before the socket is asked to take them: fewer calls for a peer that takes all it gets. A peer that
/// does not gets one at a time, so that little waits for it.
const RECORDS_PER_SEND: usize = 3;

/// Plaintext one write takes at most: some hundred microseconds' work, after which others have their turn.
const WRITE_BYTES_MAX: usize = 256 * 1024;

/// Reads from the socket in vain (only parts of records, or what the session says to itself) before others have their turn.
const READS_IN_VAIN_MAX: usize = 8;

/// A TLS session over a socket.
pub struct Tls {
    /// Never TLS itself.
    socket: Stream,
    inner: RefCell<Inner>,
    /// There is something to send while somebody may be waiting to read.
    has_to_send: Notify,
}

struct Inner {
    session: Session,
    sending: Sending,
    /// The byte that was sealed and not counted.
    held_back: Option<u8>,
    /// The socket did not take all it was given the last time.
    is_slow: bool,
    /// The last read has asked the socket, and took all it had. One that was served from what lay here says nothing of it.
    has_drained: bool,
    /// Whether the peer is told of the end when the stream is dropped.
    ends_in_order: bool,
}

/// How far sending has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sending {
    Open,
    /// The word of the end is in the outbox; then the socket's direction is to be closed.
    Finishing,
    Finished,
    /// The socket takes nothing more.
    Broken,
}

impl Tls {
    fn new(socket: Stream, session: Session) -> Self {
        Self {
            socket,
            inner: RefCell::new(Inner {
                session,
                sending: Sending::Open,
                held_back: None,
                is_slow: false,
                has_drained: false,
                ends_in_order: true,
            }),
            has_to_send: Notify::new(),
        }
    }

    pub(super) fn socket(&self) -> Socket<'_> {
        self.socket.socket()
    }

    pub(super) async fn readable(&self) -> io::Result<()> {
        loop {
            let waits_to_send = {
                let mut inner = self.inner.borrow_mut();
                if inner.session.has_news() {
                    return Ok(());
                }
                // A broken socket tells the reader too.
                !inner.flush(self.socket()).unwrap_or(true)
            };
            tokio::select! {
                biased;
                readable = self.socket().readable() => return readable,
                writable = self.socket().writable(), if waits_to_send => writable?,
                () = self.has_to_send.notified() => {}
            }
        }
    }

    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let waits_to_send = {
                let mut inner = self.inner.borrow_mut();
                if inner.session.has_news() {
                    return Poll::Ready(Ok(()));
                }
                !inner.flush(self.socket()).unwrap_or(true)
            };
            if let Poll::Ready(readable) = self.socket().poll_readable(cx) {
                return Poll::Ready(readable);
            }
            if !waits_to_send {
                return Poll::Pending;
            }
            ready!(self.socket().poll_writable(cx))?;
        }
    }

    pub(super) fn try_read(&self, space: &mut [u8]) -> io::Result<usize> {
        let inner = &mut *self.inner.borrow_mut();
        let read = inner.read(self.socket(), space);
        // Alerts and the like. Whether the socket takes them does not change what was read.
        let _ = inner.flush(self.socket());
        read
    }

    pub(super) fn note_drained(&self) {
        let inner = self.inner.borrow();
        if inner.has_drained && !inner.session.has_news() {
            self.socket().note_drained();
        }
    }

    pub(super) fn try_write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut pieces = Pieces::new(pieces);
        self.inner.borrow_mut().write(self.socket(), &mut pieces)
    }

    pub(super) fn try_send_file(&self, file: &File, offset: u64, length: usize) -> io::Result<usize> {
        let mut stretch = Stretch::new(file, offset, length);
        self.inner.borrow_mut().write(self.socket(), &mut stretch)
    }

    pub(super) fn is_quiet(&self) -> bool {
        let inner = &mut *self.inner.borrow_mut();
        for _ in 0..READS_IN_VAIN_MAX {
            if inner.session.has_news() {
                return false;
            }
            if self.socket().is_quiet() {
                // The beginning of a record may be that of an answer's.
                return !inner.session.is_within_record();
            }
            let received = inner
                .session
                .room()
                .and_then(|room| self.socket().receive_now(room));
            match received {
                Ok(0) | Err(_) => inner.session.ended(),
                Ok(n) => _ = inner.session.arrived(n),
            }
            inner.session.unseal(&mut []);
        }
        false
    }

    pub(super) fn finish_sending(&self) {
        let inner = &mut *self.inner.borrow_mut();
        if inner.say_the_end() {
            match inner.flush(self.socket()) {
                Ok(true) | Err(_) => {}
                Ok(false) => self.has_to_send.notify_waiters(),
            }
        } else {
            self.socket().finish_sending();
        }
    }

    /// Waits until the word of the end is out.
    pub(super) async fn finished(&self) -> io::Result<()> {
        while !self.inner.borrow_mut().flush(self.socket())? {
            self.socket().writable().await?;
        }
        Ok(())
    }

    pub(super) fn end_in_order(&self, is_in_order: bool) {
        self.inner.borrow_mut().ends_in_order = is_in_order;
    }
}

impl Inner {
    fn read(&mut self, socket: Socket<'_>, space: &mut [u8]) -> io::Result<usize> {
        self.has_drained = false;
        let mut is_drained = false;
        for _ in 0..READS_IN_VAIN_MAX {
            let filled = self.session.unseal(space);
            if filled > 0 {
                return Ok(filled);
            }
            if let Some(end) = self.session.end() {
                return said(end);
            }
            if std::mem::take(&mut is_drained) {
                socket.note_drained();
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let room = self.session.room()?;
            let room_bytes = room.len();
            match socket.receive(room) {
                Ok(0) => self.session.ended(),
                Ok(n) => {
                    self.session.arrived(n);
                    is_drained = n < room_bytes;
                    self.has_drained = is_drained;
                }
                Err(error) => {
                    self.session.rest();
                    return Err(error);
                }
            }
        }
        // The runtime still believes that there is more, so nobody will wait in vain.
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// Writes as much as the socket takes, and what it takes only in part to its end with the next write.
    fn write(&mut self, socket: Socket<'_>, source: &mut impl Source) -> io::Result<usize> {
        if self.sending != Sending::Open || matches!(self.session.end(), Some(End::Failed(_))) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if !self.flush(socket)? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let written = self.seal_and_send(socket, source);
        if let Err(error) = &written
            && error.kind() != io::ErrorKind::WouldBlock
        {
            // Something was sealed of which nobody knows how much: nothing may come behind it.
            self.sending = Sending::Broken;
        }
        written
    }

    fn seal_and_send(&mut self, socket: Socket<'_>, source: &mut impl Source) -> io::Result<usize> {
        let mut scratch = Scratch::new(self.session.shelf());
        let length = source.length();
        let most = length.min(WRITE_BYTES_MAX);
        let mut taken = 0;
        if let Some(held_back) = self.held_back.filter(|_| most > 0) {
            match source.next(1, &mut scratch)?.first() {
                None => return Ok(0),
                Some(byte) if *byte == held_back => taken = 1,
                Some(_) => return Err(io::ErrorKind::InvalidInput.into()),
            }
            self.held_back = None;
        }
        while taken < most {
            let batch = if self.is_slow { 1 } else { RECORDS_PER_SEND };
            let (sealed, last) = self.seal_batch(source, &mut scratch, batch, most - taken)?;
            taken += sealed;
            if !self.flush(socket)? {
                if taken < length {
                    return Ok(taken);
                }
                self.held_back = last;
                return match taken - 1 {
                    0 => Err(io::ErrorKind::WouldBlock.into()),
                    counted => Ok(counted),
                };
            }
            if sealed == 0 {
                break;
            }
            self.is_slow = false;
        }
        Ok(taken)
    }

    /// Seals that many records, of `most` bytes together. How many bytes it was, and the last one.
    fn seal_batch(
        &mut self,
        source: &mut impl Source,
        scratch: &mut Scratch,
        records: usize,
        most: usize,
    ) -> io::Result<(usize, Option<u8>)> {
        let (mut sealed, mut last) = (0, None);
        for _ in 0..records {
            let max = RECORD_BYTES.min(most - sealed);
            if max == 0 {
                break;
            }
            let bytes = source.next(max, scratch)?;
            if bytes.is_empty() {
                break;
            }
            self.session.seal(bytes).map_err(io::Error::other)?;
            last = bytes.last().copied();
            sealed += bytes.len();
        }
        Ok((sealed, last))
    }

    /// Sends what is sealed. Whether all of it is out.
    fn flush(&mut self, socket: Socket<'_>) -> io::Result<bool> {
        self.flush_by(|bytes| socket.send(bytes), socket)
    }

    fn flush_by(
        &mut self,
        send: impl Fn(&[u8]) -> io::Result<usize>,
        socket: Socket<'_>,
    ) -> io::Result<bool> {
        while !self.session.outgoing().is_empty() {
            match send(self.session.outgoing()) {
                Ok(n) => self.session.sent(n),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.is_slow = true;
                    return Ok(false);
                }
                Err(error) => {
                    self.session.drop_outgoing();
                    self.sending = Sending::Broken;
                    return Err(error);
                }
            }
        }
        if self.sending == Sending::Finishing {
            self.sending = Sending::Finished;
            socket.finish_sending();
        }
        Ok(true)
    }

    /// Seals the word of the end, if everything before it was said. Whether it was.
    fn say_the_end(&mut self) -> bool {
        match self.sending {
            Sending::Open => {}
            Sending::Finishing | Sending::Finished => return true,
            Sending::Broken => return false,
        }
        let is_whole = self.held_back.is_none() && self.session.seal_close().is_ok();
        self.sending = if is_whole {
            Sending::Finishing
        } else {
            Sending::Broken
        };
        is_whole
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        let inner = self.inner.get_mut();
        if inner.ends_in_order && inner.say_the_end() {
            let socket = self.socket.socket();
            let _ = inner.flush_by(|bytes| socket.send_now(bytes), socket);
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = self.inner.borrow();
        f.debug_struct("Tls")
            .field("socket", &self.socket)
            .field("sending", &inner.sending)
            .field("end", &inner.session.end())
            .finish_non_exhaustive()
    }
}

/// What a reader is told of an end.
fn said(end: &End) -> io::Result<usize> {
    match end {
        End::Closed => Ok(0),
        End::Cut => Err(io::ErrorKind::UnexpectedEof.into()),
        End::Failed(error) => Err(io::Error::new(io::ErrorKind::InvalidData, error.clone())),
    }
}

#[cfg(test)]
mod tests;
