//! The socket beneath a stream: what the operating system is asked.

use std::fs::File;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};

use super::memory::Memory;

/// A socket of any kind.
#[derive(Clone, Copy, Debug)]
pub(super) enum Socket<'a> {
    /// Of a network.
    Tcp(&'a TcpStream),
    /// Of the file system.
    Unix(&'a UnixStream),
    /// None: an end within this worker.
    Memory(&'a Memory),
}

/// Runs an arm on whichever kind of socket it is, and another one where there is none.
macro_rules! either {
    ($self:expr, $socket:ident => $work:expr, $memory:ident => $other:expr) => {
        match $self {
            Socket::Tcp($socket) => $work,
            Socket::Unix($socket) => $work,
            Socket::Memory($memory) => $other,
        }
    };
}

impl Socket<'_> {
    pub(super) async fn readable(self) -> io::Result<()> {
        either!(self, s => s.readable().await, m => m.readable().await)
    }

    pub(super) async fn writable(self) -> io::Result<()> {
        either!(self, s => s.writable().await, m => m.writable().await)
    }

    pub(super) fn receive(self, space: &mut [u8]) -> io::Result<usize> {
        // Not through the C library: its calls can be cancelled, which costs as much as the call itself.
        let take = |socket: BorrowedFd<'_>, space: &mut [u8]| Ok(recv(socket, space, RecvFlags::empty())?.1);
        either!(self, s => s.try_io(Interest::READABLE, || take(s.as_fd(), space)), m => m.try_read(space))
    }

    /// What has arrived, which stays there.
    pub(super) fn peek(self, space: &mut [u8]) -> io::Result<usize> {
        let look = |socket: BorrowedFd<'_>, space: &mut [u8]| Ok(recv(socket, space, RecvFlags::PEEK)?.1);
        let nothing = || Err(io::ErrorKind::Unsupported.into());
        either!(self, s => s.try_io(Interest::READABLE, || look(s.as_fd(), space)), _m => nothing())
    }

    /// The same whatever the runtime believes of the socket: its end may not have been reported yet.
    pub(super) fn receive_now(self, space: &mut [u8]) -> io::Result<usize> {
        either!(self, s => Ok(recv(s, space, RecvFlags::DONTWAIT)?.1), m => m.try_read(space))
    }

    pub(super) fn note_drained(self) {
        let nothing = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
        let _ = either!(self, s => s.try_io(Interest::READABLE, nothing), _m => Ok(()));
    }

    pub(super) fn send(self, bytes: &[u8]) -> io::Result<usize> {
        let give = |socket: BorrowedFd<'_>| Ok(send(socket, bytes, SendFlags::NOSIGNAL)?);
        either!(self, s => s.try_io(Interest::WRITABLE, || give(s.as_fd())), m => m.try_write(&[IoSlice::new(bytes)]))
    }

    /// The same whatever the runtime believes of the socket: for the last bytes of a connection.
    pub(super) fn send_now(self, bytes: &[u8]) -> io::Result<usize> {
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        either!(self, s => Ok(send(s, bytes, flags)?), m => m.try_write(&[IoSlice::new(bytes)]))
    }

    pub(super) fn send_several(self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let give = |socket: BorrowedFd<'_>| Ok(rustix::io::writev(socket, pieces)?);
        either!(self, s => s.try_io(Interest::WRITABLE, || give(s.as_fd())), m => m.try_write(pieces))
    }

    pub(super) fn send_file(self, file: &File, offset: u64, length: usize) -> io::Result<usize> {
        let give = |socket: BorrowedFd<'_>| {
            let mut at = offset;
            Ok(rustix::fs::sendfile(socket, file, Some(&mut at), length)?)
        };
        either!(self, s => s.try_io(Interest::WRITABLE, || give(s.as_fd())), m => m.try_send_file(file, offset, length))
    }

    pub(super) async fn broken(self) -> io::Error {
        match either!(self, s => s.ready(Interest::ERROR).await, m => Err(m.broken().await)) {
            Ok(_) => either!(self, s => s.take_error(), _m => Ok(None))
                .ok()
                .flatten()
                .unwrap_or(io::ErrorKind::ConnectionReset.into()),
            Err(e) => e,
        }
    }

    /// Whether nothing has arrived that was not received: neither bytes nor the end.
    pub(super) fn is_quiet(self) -> bool {
        let mut byte = [0u8; 1];
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        let is_empty = |peeked| matches!(peeked, Err(rustix::io::Errno::AGAIN));
        either!(self, s => is_empty(recv(s, &mut byte[..], flags)), m => m.is_quiet())
    }

    pub(super) fn finish_sending(self) {
        either!(self, s => _ = shutdown(s, Shutdown::Write), m => m.finish_sending());
    }

    pub(super) fn linger(self, time: Option<Duration>) {
        match self {
            Self::Tcp(s) => _ = socket2::SockRef::from(s).set_linger(time),
            // A socket of the file system knows no reset.
            Self::Unix(_) => {}
            Self::Memory(m) => m.close_by_reset(time == Some(Duration::ZERO)),
        }
    }

    pub(super) fn poll_readable(self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, s => s.poll_read_ready(cx), _m => Poll::Ready(Err(io::ErrorKind::Unsupported.into())))
    }

    pub(super) fn poll_writable(self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, s => s.poll_write_ready(cx), _m => Poll::Ready(Err(io::ErrorKind::Unsupported.into())))
    }
}
