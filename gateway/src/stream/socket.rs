//! The socket beneath a stream: what the operating system is asked.

use std::fs::File;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};

/// A socket of either kind.
#[derive(Clone, Copy, Debug)]
pub(super) enum Socket<'a> {
    /// Of a network.
    Tcp(&'a TcpStream),
    /// Of the file system.
    Unix(&'a UnixStream),
}

/// Runs the two arms on whichever kind of socket it is.
macro_rules! either {
    ($self:expr, $socket:ident => $work:expr) => {
        match $self {
            Socket::Tcp($socket) => $work,
            Socket::Unix($socket) => $work,
        }
    };
}

impl Socket<'_> {
    pub(super) async fn readable(self) -> io::Result<()> {
        either!(self, s => s.readable().await)
    }

    pub(super) async fn writable(self) -> io::Result<()> {
        either!(self, s => s.writable().await)
    }

    pub(super) fn receive(self, space: &mut [u8]) -> io::Result<usize> {
        // Not through the C library: its calls can be cancelled, which costs as much as the call itself.
        let take = |socket: BorrowedFd<'_>, space: &mut [u8]| Ok(recv(socket, space, RecvFlags::empty())?.1);
        either!(self, s => s.try_io(Interest::READABLE, || take(s.as_fd(), space)))
    }

    /// The same whatever the runtime believes of the socket: its end may not have been reported yet.
    pub(super) fn receive_now(self, space: &mut [u8]) -> io::Result<usize> {
        Ok(either!(self, s => recv(s, space, RecvFlags::DONTWAIT))?.1)
    }

    pub(super) fn note_drained(self) {
        let nothing = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
        let _ = either!(self, s => s.try_io(Interest::READABLE, nothing));
    }

    pub(super) fn send(self, bytes: &[u8]) -> io::Result<usize> {
        let give = |socket: BorrowedFd<'_>| Ok(send(socket, bytes, SendFlags::NOSIGNAL)?);
        either!(self, s => s.try_io(Interest::WRITABLE, || give(s.as_fd())))
    }

    /// The same whatever the runtime believes of the socket: for the last bytes of a connection.
    pub(super) fn send_now(self, bytes: &[u8]) -> io::Result<usize> {
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        Ok(either!(self, s => send(s, bytes, flags))?)
    }

    pub(super) fn send_several(self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        either!(self, s => s.try_write_vectored(pieces))
    }

    pub(super) fn send_file(self, file: &File, offset: u64, length: usize) -> io::Result<usize> {
        let give = |socket: BorrowedFd<'_>| {
            let mut at = offset;
            Ok(rustix::fs::sendfile(socket, file, Some(&mut at), length)?)
        };
        either!(self, s => s.try_io(Interest::WRITABLE, || give(s.as_fd())))
    }

    pub(super) async fn broken(self) -> io::Error {
        match either!(self, s => s.ready(Interest::ERROR).await) {
            Ok(_) => either!(self, s => s.take_error())
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
        let peeked = either!(self, s => recv(s, &mut byte[..], flags));
        matches!(peeked, Err(rustix::io::Errno::AGAIN))
    }

    pub(super) fn finish_sending(self) {
        let _ = either!(self, s => shutdown(s, Shutdown::Write));
    }

    pub(super) fn linger(self, time: Option<Duration>) {
        match self {
            Self::Tcp(s) => _ = socket2::SockRef::from(s).set_linger(time),
            // A socket of the file system knows no reset.
            Self::Unix(_) => {}
        }
    }
}
