//! The link between the two processes: frames of JSON, and sockets.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::kit::clock::{Clock, Mono};

/// Bytes of a frame: ten thousand sockets and as many orders are a few MiB.
const FRAME_BYTES_MAX: usize = 16 << 20;

/// Sockets beside one byte. The kernel takes 253 at most (SCM_MAX_FD).
const SOCKETS_PER_BYTE: usize = 128;

/// One end. Reads and writes wait, up to a deadline.
#[derive(Debug)]
pub struct Link(UnixStream);

/// Until when something has to have happened.
#[derive(Clone, Debug)]
pub struct Deadline {
    clock: Clock,
    ends: Mono,
}

/// Why nothing more is heard, or can be said.
#[derive(Debug)]
pub enum LinkFault {
    /// The other process has closed its end, or has ended.
    Ended,
    /// The deadline is over.
    Late,
    /// The system.
    Io(io::Error),
    /// What was said makes no sense.
    Nonsense(String),
}

impl fmt::Display for LinkFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended => f.write_str("the other process has closed the link"),
            Self::Late => f.write_str("the time is over"),
            Self::Io(error) => write!(f, "the link broke: {error}"),
            Self::Nonsense(what) => write!(f, "the other process speaks another language: {what}"),
        }
    }
}

impl std::error::Error for LinkFault {}

impl From<io::Error> for LinkFault {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind::{BrokenPipe, ConnectionReset, NotConnected, TimedOut, UnexpectedEof, WouldBlock};
        match error.kind() {
            WouldBlock | TimedOut => Self::Late,
            BrokenPipe | ConnectionReset | NotConnected | UnexpectedEof => Self::Ended,
            _ => Self::Io(error),
        }
    }
}

impl From<rustix::io::Errno> for LinkFault {
    fn from(errno: rustix::io::Errno) -> Self {
        io::Error::from(errno).into()
    }
}

impl Deadline {
    /// So long from now.
    pub fn after(clock: &Clock, time: Duration) -> Self {
        Self {
            ends: clock.mono().plus(time),
            clock: clock.clone(),
        }
    }

    /// So long from now, by the same clock.
    pub fn again(&self, time: Duration) -> Self {
        Self::after(&self.clock, time)
    }

    /// What is left of it.
    ///
    /// # Errors
    /// Nothing is left.
    pub fn left(&self) -> Result<Duration, LinkFault> {
        let left = self.ends.since(self.clock.mono());
        Some(left).filter(|left| !left.is_zero()).ok_or(LinkFault::Late)
    }
}

impl Link {
    /// A link and its other end, which is not inherited by any process it is not given to.
    ///
    /// # Errors
    /// The system's.
    pub fn pair() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = UnixStream::pair()?;
        Ok((Self(ours), theirs.into()))
    }

    /// An end that was given to this process.
    pub fn of(end: OwnedFd) -> Self {
        Self(end.into())
    }

    /// Whoever waits at either end hears that it is over.
    pub fn hang_up(&self) {
        // One that is not connected any more is hung up already.
        let _ = self.0.shutdown(Shutdown::Both);
    }

    /// Says something.
    ///
    /// # Errors
    /// It may have been said in part: the link is of no more use.
    pub fn tell(&self, what: &impl Serialize, deadline: &Deadline) -> Result<(), LinkFault> {
        let text = serde_json::to_vec(what).map_err(|error| LinkFault::Nonsense(error.to_string()))?;
        let length = u32::try_from(text.len()).ok().filter(|n| fits(*n));
        let length = length.ok_or_else(|| LinkFault::Nonsense("it has too much to say".to_owned()))?;
        let frame = [&length.to_le_bytes()[..], &text].concat();
        let mut rest = frame.as_slice();
        while !rest.is_empty() {
            self.0.set_write_timeout(Some(deadline.left()?))?;
            match (&self.0).write(rest) {
                Ok(n) => rest = &rest[n..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Waits for something to be said.
    ///
    /// # Errors
    /// The link is of no more use.
    pub fn hear<T: DeserializeOwned>(&self, deadline: &Deadline) -> Result<T, LinkFault> {
        let mut length = [0; 4];
        self.read(&mut length, deadline)?;
        let length = u32::from_le_bytes(length);
        if !fits(length) {
            return Err(LinkFault::Nonsense(format!("a frame of {length} bytes")));
        }
        let mut text = vec![0; length as usize];
        self.read(&mut text, deadline)?;
        serde_json::from_slice(&text).map_err(|error| LinkFault::Nonsense(error.to_string()))
    }

    fn read(&self, mut space: &mut [u8], deadline: &Deadline) -> Result<(), LinkFault> {
        while !space.is_empty() {
            self.0.set_read_timeout(Some(deadline.left()?))?;
            match (&self.0).read(space) {
                Ok(0) => return Err(LinkFault::Ended),
                Ok(n) => space = &mut space[n..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Gives copies of sockets to the other process.
    ///
    /// # Errors
    /// Some may have been given: the link is of no more use.
    pub fn give(&self, sockets: &[OwnedFd], deadline: &Deadline) -> Result<(), LinkFault> {
        for batch in sockets.chunks(SOCKETS_PER_BYTE) {
            let batch: Vec<BorrowedFd<'_>> = batch.iter().map(AsFd::as_fd).collect();
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_PER_BYTE))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            if !ancillary.push(SendAncillaryMessage::ScmRights(&batch)) {
                return Err(LinkFault::Nonsense("there is no room for sockets".to_owned()));
            }
            self.0.set_write_timeout(Some(deadline.left()?))?;
            let byte = [IoSlice::new(&[0])];
            while let Err(errno) = sendmsg(&self.0, &byte, &mut ancillary, SendFlags::NOSIGNAL) {
                if errno != rustix::io::Errno::INTR {
                    return Err(errno.into());
                }
            }
        }
        Ok(())
    }

    /// Takes so many sockets. No other process will inherit them.
    ///
    /// # Errors
    /// Those that have come are closed.
    pub fn take(&self, n: usize, deadline: &Deadline) -> Result<Vec<OwnedFd>, LinkFault> {
        let mut sockets = Vec::new();
        while sockets.len() < n {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_PER_BYTE))];
            let mut ancillary = RecvAncillaryBuffer::new(&mut space);
            self.0.set_read_timeout(Some(deadline.left()?))?;
            let mut byte = [0];
            // Never more than the one byte: what follows may have sockets of its own.
            let mut bytes = [IoSliceMut::new(&mut byte)];
            let got = match recvmsg(&self.0, &mut bytes, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
                Err(rustix::io::Errno::INTR) => continue,
                got => got?,
            };
            let before = sockets.len();
            for message in ancillary.drain() {
                if let RecvAncillaryMessage::ScmRights(batch) = message {
                    sockets.extend(batch);
                }
            }
            if got.bytes == 0 {
                return Err(LinkFault::Ended);
            }
            // What the limit of descriptors has no room for is left out without another word.
            if got.flags.contains(ReturnFlags::CTRUNC) || sockets.len() == before {
                let error = io::Error::other("not all sockets have come: raise the limit of open files");
                return Err(LinkFault::Io(error));
            }
        }
        match sockets.len() == n {
            true => Ok(sockets),
            false => Err(LinkFault::Nonsense(
                "there are more sockets than were offered".to_owned(),
            )),
        }
    }
}

fn fits(length: u32) -> bool {
    usize::try_from(length).is_ok_and(|n| n <= FRAME_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends() -> (Link, Link) {
        let (ours, theirs) = Link::pair().unwrap();
        (ours, Link::of(theirs))
    }

    fn soon() -> Deadline {
        Deadline::after(&Clock::system(), Duration::from_secs(10))
    }

    #[test]
    fn what_is_told_is_heard_frame_by_frame() {
        let (ours, theirs) = ends();
        let long = "long ".repeat(10_000);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                ours.tell(&"short", &soon()).unwrap();
                ours.tell(&long, &soon()).unwrap();
            });
            assert_eq!(theirs.hear::<String>(&soon()).unwrap(), "short");
            assert_eq!(theirs.hear::<String>(&soon()).unwrap(), long);
        });
    }

    #[test]
    fn more_sockets_than_fit_in_one_message_arrive_in_order_and_are_the_very_same() {
        let (ours, theirs) = ends();
        let listeners: Vec<_> = (0..SOCKETS_PER_BYTE + 9)
            .map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap())
            .collect();
        let addresses: Vec<_> = listeners.iter().map(|l| l.local_addr().unwrap()).collect();
        // They wait in sockets that are closed here before they are taken there.
        let clients: Vec<_> = addresses.iter().map(std::net::TcpStream::connect).collect();
        let given: Vec<OwnedFd> = listeners.into_iter().map(OwnedFd::from).collect();
        ours.tell(&"sockets follow", &soon()).unwrap();
        ours.give(&given, &soon()).unwrap();
        ours.tell(&"that was it", &soon()).unwrap();
        drop(given);

        assert_eq!(theirs.hear::<String>(&soon()).unwrap(), "sockets follow");
        let taken = theirs.take(addresses.len(), &soon()).unwrap();
        assert_eq!(theirs.hear::<String>(&soon()).unwrap(), "that was it");
        for ((socket, address), client) in taken.into_iter().zip(addresses).zip(clients) {
            let flags = rustix::io::fcntl_getfd(&socket).unwrap();
            assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
            let listener = std::net::TcpListener::from(socket);
            assert_eq!(listener.local_addr().unwrap(), address);
            let (_, peer) = listener.accept().unwrap();
            assert_eq!(peer, client.unwrap().local_addr().unwrap());
        }
    }

    #[test]
    fn an_end_silence_and_nonsense_are_told_apart() {
        let (ours, theirs) = ends();
        let now = Deadline::after(&Clock::system(), Duration::from_millis(1));
        assert!(matches!(theirs.hear::<u8>(&now), Err(LinkFault::Late)));
        ours.tell(&"text", &soon()).unwrap();
        assert!(matches!(theirs.hear::<u8>(&soon()), Err(LinkFault::Nonsense(_))));
        (&ours.0).write_all(&u32::MAX.to_le_bytes()).unwrap();
        assert!(matches!(theirs.hear::<u8>(&soon()), Err(LinkFault::Nonsense(_))));
        let (ours, theirs) = ends();
        ours.tell(&1, &soon()).unwrap();
        drop(ours);
        assert!(matches!(
            theirs.take(2, &soon()),
            Err(LinkFault::Io(_) | LinkFault::Ended)
        ));
        assert!(matches!(theirs.tell(&1, &soon()), Err(LinkFault::Ended)));
    }
}
