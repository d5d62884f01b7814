//! One connected byte stream, and the buffers it is read into.

pub mod buffer;

use std::fs::File;
use std::future::Future;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};

pub use buffer::{Buffer, Shelf};

// Trying a socket costs nothing of the runtime's budget for a task: without paying it here, a fast peer that is
// always ready would keep its worker to itself.
use tokio::task::coop::consume_budget;

/// A connected socket. Everything takes `&self`, so that both directions can go on at once in one task.
#[derive(Debug)]
pub enum Stream {
    /// TCP, with Nagle's algorithm off.
    Tcp(TcpStream),
    /// A socket of the file system.
    Unix(UnixStream),
}

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

/// Runs the two arms on whichever kind of socket it is.
macro_rules! either {
    ($self:expr, $socket:ident => $work:expr) => {
        match $self {
            Stream::Tcp($socket) => $work,
            Stream::Unix($socket) => $work,
        }
    };
}

impl Stream {
    /// Reads what has arrived, waiting for the first byte. 0 is the end.
    pub async fn read(&self, space: &mut [u8]) -> io::Result<usize> {
        loop {
            consume_budget().await;
            match self.try_read(space) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.readable().await?,
                done => return done,
            }
        }
    }

    /// Waits until there may be something to read, or the end.
    pub async fn readable(&self) -> io::Result<()> {
        either!(self, s => s.readable().await)
    }

    /// Reads what has arrived, if anything has: `WouldBlock` otherwise. 0 is the end.
    pub fn try_read(&self, space: &mut [u8]) -> io::Result<usize> {
        use rustix::net::{RecvFlags, recv};
        // Not through the C library: its calls can be cancelled, which costs as much as the call itself.
        let take = |socket: BorrowedFd<'_>, space: &mut [u8]| Ok(recv(socket, space, RecvFlags::empty())?.1);
        either!(self, s => s.try_io(Interest::READABLE, || take(s.as_fd(), space)))
    }

    /// Tells the runtime that the last read has taken all there was, so that the next wait does not begin with a
    /// read in vain. Only right after a read that brought less than there was room for: what comes later is
    /// announced anew.
    pub fn note_drained(&self) {
        let nothing = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
        let _ = either!(self, s => s.try_io(Interest::READABLE, nothing));
    }

    /// Writes as much as the socket takes of the pieces, waiting for the first byte.
    pub async fn write_some(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        loop {
            consume_budget().await;
            match self.try_write(pieces) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => either!(self, s => s.writable().await)?,
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                done => return done,
            }
        }
    }

    /// Writes as much as the socket takes right now: `WouldBlock` if it takes nothing.
    pub fn try_write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match pieces {
            [one] => {
                use rustix::net::{SendFlags, send};
                let give = |socket: BorrowedFd<'_>| Ok(send(socket, one, SendFlags::NOSIGNAL)?);
                either!(self, s => s.try_io(Interest::WRITABLE, || give(s.as_fd())))
            }
            several => either!(self, s => s.try_write_vectored(several)),
        }
    }

    /// Writes all pieces; each single wait for the peer takes at most `limit`.
    pub async fn write_all(&self, mut pieces: &mut [IoSlice<'_>], limit: Duration) -> Result<(), IoFault> {
        IoSlice::advance_slices(&mut pieces, 0);
        while !pieces.is_empty() {
            let written = within(limit, self.write_some(pieces)).await?;
            IoSlice::advance_slices(&mut pieces, written);
        }
        Ok(())
    }

    /// Sends as much of a stretch of a file as the socket takes right now: `WouldBlock` if it takes nothing.
    pub fn try_send_file(&self, file: &File, offset: u64, length: usize) -> io::Result<usize> {
        let send = |socket: BorrowedFd<'_>| {
            let mut at = offset;
            Ok(rustix::fs::sendfile(socket, file, Some(&mut at), length)?)
        };
        either!(self, s => s.try_io(Interest::WRITABLE, || send(s.as_fd())))
    }

    /// Sends a stretch of a file without a copy through this process; returns how many bytes the socket took.
    ///
    /// 0 means that the file has ended before `length`.
    pub async fn send_file(&self, file: &File, offset: u64, length: usize) -> io::Result<usize> {
        loop {
            match self.try_send_file(file, offset, length) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => either!(self, s => s.writable().await)?,
                done => return done,
            }
        }
    }

    /// Resolves when the connection has broken, and not when the peer has merely finished sending: a client
    /// that half-closes still waits for its answer.
    pub async fn broken(&self) -> io::Error {
        match either!(self, s => s.ready(Interest::ERROR).await) {
            Ok(_) => either!(self, s => s.take_error())
                .ok()
                .flatten()
                .unwrap_or(io::ErrorKind::ConnectionReset.into()),
            Err(e) => e,
        }
    }

    /// Whether an idle connection is still good: nothing has arrived on it, neither bytes nor its end.
    pub fn is_quiet(&self) -> bool {
        use rustix::net::{RecvFlags, recv};
        let mut byte = [0u8; 1];
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        let peeked = either!(self, s => recv(s, &mut byte[..], flags));
        matches!(peeked, Err(rustix::io::Errno::AGAIN))
    }

    /// Tells the peer that nothing more will be sent.
    pub fn finish_sending(&self) {
        let _ = either!(self, s => rustix::net::shutdown(s, rustix::net::Shutdown::Write));
    }

    /// Makes the coming close a reset, so that the peer cannot take what it has for the whole.
    pub fn close_by_reset(&self) {
        self.linger(Some(Duration::ZERO));
    }

    /// Makes the coming close an ordinary one again.
    pub fn close_in_order(&self) {
        self.linger(None);
    }

    fn linger(&self, time: Option<Duration>) {
        if let Self::Tcp(s) = self {
            let _ = socket2::SockRef::from(s).set_linger(time);
        }
    }
}

/// Runs a read or write for at most `limit`. No timer is set up if it is ready at once.
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
