//! One connected byte stream, plain, by TLS or within this worker, and the buffers it is read into.

pub mod buffer;
mod lent;
pub mod memory;
mod polled;
mod socket;
pub mod tls;

use std::fs::File;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};

pub use buffer::{Buffer, Shelf};
pub use lent::Lent;
pub use memory::Memory;
pub use polled::Polled;
use socket::Socket;
use tls::Tls;

// Trying a socket costs nothing of the runtime's budget for a task: without paying it here, a fast peer that is
// always ready would keep its worker to itself.
use tokio::task::coop::consume_budget;

/// A connected socket. Everything takes `&self`, so that both directions can go on at once in one task.
///
/// A write that took less than it was given is gone on with from where it stopped, or given up together with the
/// connection: under TLS, what was taken cannot be unsaid.
#[derive(Debug)]
pub enum Stream {
    /// TCP, with Nagle's algorithm off.
    Tcp(TcpStream),
    /// A socket of the file system.
    Unix(UnixStream),
    /// TLS over one of the two; see [`tls::accept`] and [`tls::connect`].
    Tls(Box<Tls>),
    /// No socket: the other end is in this worker; see [`memory::pair`].
    Memory(Memory),
}

/// A short body is copied behind its head up to here: one piece costs the system less than two.
pub const COPIED_BYTES_MAX: usize = 4 * 1024;

/// Why a read or write has come to nothing.
#[derive(Debug)]
pub enum IoFault {
    /// The operating system says so.
    Broken(io::Error),
    /// The limit given has run out.
    TimedOut,
}

impl From<io::Error> for IoFault {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

impl Stream {
    fn socket(&self) -> Socket<'_> {
        match self {
            Self::Tcp(socket) => Socket::Tcp(socket),
            Self::Unix(socket) => Socket::Unix(socket),
            Self::Memory(end) => Socket::Memory(end),
            Self::Tls(tls) => tls.socket(),
        }
    }

    /// Reads what has arrived, waiting for the first byte. 0 is the end.
    ///
    /// Under TLS an end that the peer has not announced is the error `UnexpectedEof`: somebody else may have cut the
    /// connection, so what came is not to be taken for the whole (RFC 8446 §6.1).
    pub async fn read(&self, space: &mut [u8]) -> io::Result<usize> {
        loop {
            consume_budget().await;
            match self.try_read(space) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.readable().await?,
                done => return done,
            }
        }
    }

    /// Looks at what has arrived on the socket itself, waiting for the first byte, and leaves it there. 0 is the end.
    pub async fn peek(&self, space: &mut [u8]) -> io::Result<usize> {
        loop {
            consume_budget().await;
            match self.socket().peek(space) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.socket().readable().await?,
                done => return done,
            }
        }
    }

    /// Waits until there may be something to read, or the end.
    pub async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Tls(tls) => tls.readable().await,
            Self::Tcp(_) | Self::Unix(_) | Self::Memory(_) => self.socket().readable().await,
        }
    }

    /// The same for whoever is polled: at most one task, and only for a stream with a socket beneath.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tls(tls) => tls.poll_readable(cx),
            Self::Tcp(_) | Self::Unix(_) | Self::Memory(_) => self.socket().poll_readable(cx),
        }
    }

    /// Whether a write may take something; as [`Stream::poll_readable`].
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket().poll_writable(cx)
    }

    /// Reads what has arrived, if anything has: `WouldBlock` otherwise. 0 is the end.
    pub fn try_read(&self, space: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tls(tls) => tls.try_read(space),
            Self::Tcp(_) | Self::Unix(_) | Self::Memory(_) => self.socket().receive(space),
        }
    }

    /// Tells the runtime that the last read has taken all there was, so that the next wait does not begin with a
    /// read in vain. Only right after a read that brought less than there was room for, or a look that found nothing: what
    /// comes later is announced anew.
    pub fn note_drained(&self) {
        match self {
            Self::Tls(tls) => tls.note_drained(),
            Self::Tcp(_) | Self::Unix(_) | Self::Memory(_) => self.socket().note_drained(),
        }
    }

    /// Writes as much as the socket takes of the pieces, waiting for the first byte.
    pub async fn write_some(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        loop {
            consume_budget().await;
            match self.try_write(pieces) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.socket().writable().await?,
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                done => return done,
            }
        }
    }

    /// Writes as much as the socket takes right now: `WouldBlock` if it takes nothing.
    ///
    /// If the whole was taken, the socket has all of it, whatever it had to become on its way.
    pub fn try_write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match (self, pieces) {
            (Self::Tls(tls), pieces) => tls.try_write(pieces),
            (Self::Tcp(_) | Self::Unix(_) | Self::Memory(_), [one]) => self.socket().send(one),
            (Self::Tcp(_) | Self::Unix(_) | Self::Memory(_), several) => self.socket().send_several(several),
        }
    }

    /// Writes all pieces; each single wait for the peer takes at most `limit`.
    pub async fn write_all(&self, mut pieces: &mut [IoSlice<'_>], limit: Duration) -> Result<(), IoFault> {
        IoSlice::advance_slices(&mut pieces, 0);
        while !pieces.is_empty() {
            consume_budget().await;
            match self.try_write(pieces) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
                Ok(written) => IoSlice::advance_slices(&mut pieces, written),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    within(limit, self.socket().writable()).await?;
                }
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    /// Sends as much of a stretch of a file as the socket takes right now: `WouldBlock` if it takes nothing.
    pub fn try_send_file(&self, file: &File, offset: u64, length: usize) -> io::Result<usize> {
        match self {
            Self::Tls(tls) => tls.try_send_file(file, offset, length),
            Self::Tcp(_) | Self::Unix(_) | Self::Memory(_) => self.socket().send_file(file, offset, length),
        }
    }

    /// Whether a file goes out without a copy through this process. If not, bytes that are in memory anyway are the
    /// shorter way.
    pub fn hands_over_files(&self) -> bool {
        match self {
            Self::Tls(_) | Self::Memory(_) => false,
            Self::Tcp(_) | Self::Unix(_) => true,
        }
    }

    /// Sends a stretch of a file, if it can without a copy through this process; returns how many bytes the socket took.
    ///
    /// 0 means that the file has ended before `length`.
    pub async fn send_file(&self, file: &File, offset: u64, length: usize) -> io::Result<usize> {
        loop {
            match self.try_send_file(file, offset, length) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.socket().writable().await?,
                done => return done,
            }
        }
    }

    /// Resolves when the connection has broken, and not when the peer has merely finished sending: a client
    /// that half-closes still waits for its answer.
    pub async fn broken(&self) -> io::Error {
        self.socket().broken().await
    }

    /// Whether an idle connection is still good: nothing has arrived on it, neither bytes nor its end.
    ///
    /// What TLS says to itself, such as a late session ticket, is no noise.
    pub fn is_quiet(&self) -> bool {
        match self {
            Self::Tls(tls) => tls.is_quiet(),
            Self::Tcp(_) | Self::Unix(_) | Self::Memory(_) => self.socket().is_quiet(),
        }
    }

    /// Tells the peer that nothing more will be sent.
    pub fn finish_sending(&self) {
        match self {
            Self::Tls(tls) => tls.finish_sending(),
            Self::Tcp(_) | Self::Unix(_) | Self::Memory(_) => self.socket().finish_sending(),
        }
    }

    /// Ends the connection before it is dropped: under TLS the word of the end may have to wait for room in the socket,
    /// at most for `limit`. A plain connection ends by being dropped.
    pub async fn end(&self, limit: Duration) {
        if let Self::Tls(tls) = self {
            tls.finish_sending();
            // Whoever does not take it in time finds out by itself.
            let _ = within(limit, tls.finished()).await;
        }
    }

    /// Makes the coming close a reset, so that the peer cannot take what it has for the whole.
    pub fn close_by_reset(&self) {
        if let Self::Tls(tls) = self {
            tls.end_in_order(false);
        }
        self.socket().linger(Some(Duration::ZERO));
    }

    /// Makes the coming close an ordinary one again.
    pub fn close_in_order(&self) {
        if let Self::Tls(tls) = self {
            tls.end_in_order(true);
        }
        self.socket().linger(None);
    }
}

/// Runs a read or write for at most `limit`. No timer is set up if it is ready at once.
///
/// What is handed over by value is moved twice on its way in, all of its room: whoever comes here with each request hands
/// over a pinned reference.
pub async fn within<T>(limit: Duration, work: impl Future<Output = io::Result<T>>) -> Result<T, IoFault> {
    let mut work = pin!(work);
    if let Some(done) = once(work.as_mut()).await {
        return Ok(done?);
    }
    match tokio::time::timeout(limit, work).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(IoFault::TimedOut),
    }
}

/// One poll: the output if it is there already.
async fn once<F: Future>(mut work: std::pin::Pin<&mut F>) -> Option<F::Output> {
    std::future::poll_fn(|cx| {
        Poll::Ready(match work.as_mut().poll(cx) {
            Poll::Ready(done) => Some(done),
            Poll::Pending => None,
        })
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn block_on(work: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime.unwrap(), work);
    }

    #[test]
    fn a_stream_that_is_always_ready_leaves_others_their_turn() {
        const BYTES: usize = 10_000;
        block_on(async {
            let (a, b) = UnixStream::pair().unwrap();
            let (from, to) = (Stream::Unix(a), Stream::Unix(b));
            to.write_all(&mut [IoSlice::new(&[0; BYTES])], Duration::MAX)
                .await
                .unwrap();
            let others = std::rc::Rc::new(Cell::new(0));
            let count = std::rc::Rc::clone(&others);
            let other = tokio::task::spawn_local(async move {
                loop {
                    count.set(count.get() + 1);
                    tokio::task::yield_now().await;
                }
            });
            let reader = tokio::task::spawn_local(async move {
                for _ in 0..BYTES {
                    assert_eq!(from.read(&mut [0]).await.unwrap(), 1);
                }
            });
            reader.await.unwrap();
            other.abort();
            assert!(others.get() > 10, "{} turns", others.get());
        });
    }
}
