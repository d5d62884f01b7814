//! Sockets that listen, one per worker where the system can share a port.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use socket2::{Domain, SockRef, Socket, Type};

use crate::config::plan::SocketSpec;

/// Connections the system completes before we take them. The kernel's own limit (somaxconn) may be lower.
const BACKLOG: i32 = 4096;

/// A bound address and a socket for each worker.
#[derive(Debug)]
pub struct Bound {
    /// Where it really is: port 0 has become a number.
    pub address: SocketSpec,
    /// One per worker.
    pub sockets: Vec<Listening>,
}

/// One listening socket, in non-blocking mode.
#[derive(Debug)]
pub enum Listening {
    /// TCP; the kernel spreads connections over all sockets of the port.
    Tcp(std::net::TcpListener),
    /// A path; all workers take from the same queue.
    Unix(UnixListener),
}

/// An address that cannot be listened on.
#[derive(Debug)]
pub struct BindFault {
    address: SocketSpec,
    error: io::Error,
}

impl fmt::Display for BindFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let help = match self.error.kind() {
            io::ErrorKind::AddrInUse => "; another program listens there",
            io::ErrorKind::PermissionDenied => {
                "; ports below 1024 need CAP_NET_BIND_SERVICE, and a socket's folder must be writable"
            }
            _ if self.error.raw_os_error() == Some(rustix::io::Errno::MFILE.raw_os_error()) => {
                "; raise the limit of open files (ulimit -n, LimitNOFILE)"
            }
            io::ErrorKind::AddrNotAvailable => "; this machine has no such address",
            _ => "",
        };
        write!(f, "cannot listen on {}: {}{help}", self.address, self.error)
    }
}

impl std::error::Error for BindFault {}

impl Bound {
    /// Binds an address for that many workers.
    pub fn new(spec: &SocketSpec, workers: usize) -> Result<Self, BindFault> {
        let bound = match spec {
            SocketSpec::Tcp(address) => bind_tcp(*address, workers),
            SocketSpec::Unix(path) => bind_unix(path, workers),
        };
        bound.map_err(|error| BindFault {
            address: spec.clone(),
            error,
        })
    }

    /// Sockets that were bound by another process, for that many workers. What is missing is made, and does not listen
    /// before [`Bound::listen`]; what is too much stays, since connections wait in it.
    ///
    /// # Errors
    /// A socket that is missing cannot be had.
    pub fn fit(mut self, workers: usize) -> Result<Self, BindFault> {
        let missing = workers.saturating_sub(self.sockets.len());
        let made: io::Result<Vec<_>> = (0..missing)
            .map(|_| match (&self.address, self.sockets.first()) {
                (SocketSpec::Tcp(address), _) => join(*address).map(|s| Listening::Tcp(s.into())),
                (SocketSpec::Unix(_), Some(first)) => first.copy(),
                (SocketSpec::Unix(_), None) => Err(io::ErrorKind::NotFound.into()),
            })
            .collect();
        match made {
            Ok(made) => {
                self.sockets.extend(made);
                Ok(self)
            }
            Err(error) => Err(BindFault {
                address: self.address,
                error,
            }),
        }
    }

    /// Lets those listen that do not yet.
    ///
    /// # Errors
    /// The system's.
    pub fn listen(&self) -> io::Result<()> {
        self.sockets.iter().try_for_each(|socket| match socket {
            Listening::Tcp(socket) => SockRef::from(socket).listen(BACKLOG),
            Listening::Unix(_) => Ok(()),
        })
    }

    /// Another handle of each socket.
    ///
    /// # Errors
    /// There is no descriptor left.
    pub fn copies(&self) -> Result<Vec<Listening>, BindFault> {
        copies(&self.address, &self.sockets)
    }
}

/// Another handle of each of the sockets at an address.
///
/// # Errors
/// There is no descriptor left.
pub fn copies(address: &SocketSpec, sockets: &[Listening]) -> Result<Vec<Listening>, BindFault> {
    let copies: io::Result<_> = sockets.iter().map(Listening::copy).collect();
    copies.map_err(|error| BindFault {
        address: address.clone(),
        error,
    })
}

impl Listening {
    /// Another handle of the same socket.
    ///
    /// # Errors
    /// There is no descriptor left.
    pub fn copy(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(listener) => Self::Tcp(listener.try_clone()?),
            Self::Unix(listener) => Self::Unix(listener.try_clone()?),
        })
    }
}

impl From<Listening> for OwnedFd {
    fn from(socket: Listening) -> Self {
        match socket {
            Listening::Tcp(listener) => listener.into(),
            Listening::Unix(listener) => listener.into(),
        }
    }
}

fn bind_tcp(address: SocketAddr, workers: usize) -> io::Result<Bound> {
    // The first one is bound without SO_REUSEPORT in effect for others: two gateways of the same user would
    // otherwise silently share the port.
    let probe = tcp_socket(address)?;
    probe.bind(&address.into())?;
    let address = probe
        .local_addr()?
        .as_socket()
        .ok_or(io::ErrorKind::AddrNotAvailable)?;
    drop(probe);
    let sockets = (0..workers).map(|_| {
        let socket = join(address)?;
        socket.listen(BACKLOG)?;
        Ok(Listening::Tcp(socket.into()))
    });
    Ok(Bound {
        address: SocketSpec::Tcp(address),
        sockets: sockets.collect::<io::Result<_>>()?,
    })
}

/// One more socket at a port that is shared.
fn join(address: SocketAddr) -> io::Result<Socket> {
    let socket = tcp_socket(address)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn tcp_socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // Lets a restart take the port over while old connections are still in TIME_WAIT.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// A socket file that nobody answers at is what a killed process has left; one that is answered at is in use.
fn bind_unix(path: &Path, workers: usize) -> io::Result<Bound> {
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    match std::fs::symlink_metadata(path) {
        Ok(found) if std::os::unix::fs::FileTypeExt::is_socket(&found.file_type()) => {
            std::fs::remove_file(path)?
        }
        Ok(_) => {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "there is a file that is no socket",
            ));
        }
        Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    listener.set_nonblocking(true)?;
    let sockets = (0..workers)
        .map(|_| listener.try_clone().map(Listening::Unix))
        .collect::<io::Result<_>>()?;
    Ok(Bound {
        address: SocketSpec::Unix(path.to_owned()),
        sockets,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_0_becomes_one_port_for_all_workers() {
        let bound = Bound::new(&SocketSpec::parse("127.0.0.1:0").unwrap(), 3).unwrap();
        let port = |l: &Listening| match l {
            Listening::Tcp(l) => l.local_addr().unwrap().port(),
            Listening::Unix(_) => unreachable!("a TCP address was bound"),
        };
        let ports: Vec<_> = bound.sockets.iter().map(port).collect();
        assert!(ports.len() == 3 && ports[0] != 0 && ports.iter().all(|p| *p == ports[0]));
    }

    #[test]
    fn sockets_of_another_process_get_company_that_takes_nothing_before_its_time() {
        let first = Bound::new(&SocketSpec::parse("127.0.0.1:0").unwrap(), 1).unwrap();
        let SocketSpec::Tcp(address) = first.address else {
            panic!("it was bound as TCP");
        };
        let more = first.fit(8).unwrap();
        assert_eq!(more.sockets.len(), 8);
        let waits_in = |at: usize| {
            let Listening::Tcp(listener) = &more.sockets[at] else {
                panic!("it was bound as TCP");
            };
            std::iter::from_fn(|| listener.accept().ok()).count()
        };
        let knock = || (0..64).for_each(|_| drop(std::net::TcpStream::connect(address).unwrap()));
        knock();
        assert_eq!(waits_in(0), 64);
        more.listen().unwrap();
        knock();
        assert_eq!((0..8).map(waits_in).sum::<usize>(), 64);
        assert_eq!(more.fit(2).unwrap().sockets.len(), 8, "none is given up");
    }

    #[test]
    fn a_port_in_use_is_told_and_not_shared() {
        let first = Bound::new(&SocketSpec::parse("127.0.0.1:0").unwrap(), 2).unwrap();
        let fault = Bound::new(&first.address, 1).unwrap_err();
        assert!(
            fault.to_string().contains("another program listens there"),
            "{fault}"
        );
    }

    #[test]
    fn a_socket_file_left_behind_is_taken_over_and_one_in_use_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let spec = SocketSpec::Unix(folder.path().join("s"));
        let first = Bound::new(&spec, 2).unwrap();
        assert!(Bound::new(&spec, 1).is_err());
        drop(first);
        assert!(Bound::new(&spec, 1).is_ok());
        std::fs::write(folder.path().join("f"), "text").unwrap();
        assert!(Bound::new(&SocketSpec::Unix(folder.path().join("f")), 1).is_err());
    }
}
