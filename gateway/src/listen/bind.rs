//! Sockets that listen, one per worker where the system can share a port.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use socket2::{Domain, Socket, Type};

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
        let socket = tcp_socket(address)?;
        socket.set_reuse_port(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(Listening::Tcp(socket.into()))
    });
    Ok(Bound {
        address: SocketSpec::Tcp(address),
        sockets: sockets.collect::<io::Result<_>>()?,
    })
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
