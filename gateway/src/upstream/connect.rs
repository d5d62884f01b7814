//! Getting a connection to a server.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use rustix::io::Errno;
use tokio::net::{TcpStream, UnixStream, lookup_host};

use crate::config::plan::Address;
use crate::kit::clock::Mono;
use crate::stream::{IoFault, Stream, within};

/// How long a name's addresses are used before they are asked for again. The system's resolver does not tell
/// how long they are good for; this is what people accept who move a service by DNS.
const NAME_KEPT: Duration = Duration::from_secs(10);
/// Addresses tried of one name.
const ADDRESSES_MAX: usize = 4;
/// Names kept by a worker; there are as many as an operator writes, so this only bounds mistakes.
const NAMES_MAX: usize = 4096;

/// The names a worker has resolved.
#[derive(Debug, Default)]
pub struct Names {
    known: RefCell<HashMap<String, (Mono, Vec<SocketAddr>)>>,
}

impl Names {
    /// Connects within `limit`, name resolution included.
    pub async fn connect(&self, address: &Address, limit: Duration, now: Mono) -> Result<Stream, IoFault> {
        let opened = within(limit, async { Ok(self.open(address, limit, now).await) }).await;
        let opened = opened.and_then(|opened| opened);
        if let (Err(fault), Address::Tcp { host, .. }) = (&opened, address)
            && !is_of_ours(fault)
        {
            // Whatever we know of the name has led nowhere.
            self.known.borrow_mut().remove(host);
        }
        opened
    }

    async fn open(&self, address: &Address, limit: Duration, now: Mono) -> Result<Stream, IoFault> {
        let (host, port) = match address {
            Address::Unix(path) => return Ok(UnixStream::connect(path).await.map(Stream::Unix)?),
            Address::Tcp { host, port } => (host, *port),
        };
        let literal = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<IpAddr>();
        if let Ok(ip) = literal {
            return Ok(open_tcp(SocketAddr::new(ip, port)).await?);
        }
        let mut last = IoFault::from(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        let mut left = limit;
        let addresses = self.resolve(host, port, now).await?;
        for (index, address) in (0..).zip(&addresses) {
            // One that says nothing at all may not use up the time of those behind it. Whatever else ends a try ends it at once.
            let share = left / (addresses.len() as u32 - index);
            match within(share, open_tcp(*address)).await {
                Ok(stream) => return Ok(stream),
                Err(fault) => {
                    if matches!(fault, IoFault::TimedOut) {
                        left -= share;
                    }
                    // Of our own making: whether the address would have answered is not known then.
                    if !is_of_ours(&last) {
                        last = fault;
                    }
                }
            }
        }
        Err(last)
    }

    async fn resolve(&self, host: &str, port: u16, now: Mono) -> io::Result<Vec<SocketAddr>> {
        if let Some((at, addresses)) = self.known.borrow().get(host)
            && now.since(*at) < NAME_KEPT
        {
            return Ok(addresses.iter().map(|a| SocketAddr::new(a.ip(), port)).collect());
        }
        let addresses = look_up(host, port, ADDRESSES_MAX).await?;
        let mut known = self.known.borrow_mut();
        if known.len() >= NAMES_MAX {
            known.clear();
        }
        known.insert(host.to_owned(), (now, addresses.clone()));
        Ok(addresses)
    }
}

async fn open_tcp(address: SocketAddr) -> io::Result<Stream> {
    let stream = TcpStream::connect(address)
        .await
        .map_err(|error| blamed(error, address))?;
    stream.set_nodelay(true)?;
    Ok(Stream::Tcp(stream))
}

/// Whether a connection has not come about for want of something of this machine: a descriptor, memory, a port to come from.
/// That says nothing of the server, so nothing may be held against it.
pub fn is_ours(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM | Errno::ADDRNOTAVAIL)
    )
}

fn is_of_ours(fault: &IoFault) -> bool {
    matches!(fault, IoFault::Broken(error) if is_ours(error))
}

/// An error of connect(2), told so that [`is_ours`] is right about it.
///
/// EADDRNOTAVAIL means that all ports towards this server are in use, and it passes. It also means that this machine has no
/// address at all to ask such a server from, as it has none of IPv6 where that is turned off: then the server is out of
/// reach like any other without a route, and another one is to be asked from now on.
pub fn blamed(error: io::Error, address: SocketAddr) -> io::Error {
    match Errno::from_io_error(&error) {
        Some(Errno::ADDRNOTAVAIL) if !has_source(address) => Errno::NETUNREACH.into(),
        Some(_) | None => error,
    }
}

/// Whether this machine has an address to ask that one from. Nothing is sent: connecting a socket of UDP only chooses one.
fn has_source(address: SocketAddr) -> bool {
    let any: IpAddr = match address {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    // Without a socket to ask with there is no telling, and nobody is blamed.
    UdpSocket::bind((any, 0)).is_ok_and(|socket| socket.connect(address).is_ok()) || shortage().is_some()
}

/// The first addresses of a name, by the system's resolver.
///
/// # Errors
/// What the resolver says; but where this machine has run out of something, that: the resolver itself needs descriptors, and
/// says of their want that the name is not known for now.
pub async fn look_up(host: &str, port: u16, most: usize) -> io::Result<Vec<SocketAddr>> {
    match lookup_host((host, port)).await {
        Ok(found) => Ok(found.take(most).collect()),
        Err(error) => Err(shortage().unwrap_or(error)),
    }
}

/// What this machine is short of right now.
fn shortage() -> Option<io::Error> {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).err().filter(is_ours)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use socket2::{Domain, Socket, Type};

    use super::*;

    #[test]
    fn only_what_this_machine_lacks_is_its_own_fault() {
        for errno in [
            Errno::MFILE,
            Errno::NFILE,
            Errno::NOBUFS,
            Errno::NOMEM,
            Errno::ADDRNOTAVAIL,
        ] {
            assert!(is_ours(&errno.into()), "{errno}");
        }
        for errno in [
            Errno::CONNREFUSED,
            Errno::NETUNREACH,
            Errno::TIMEDOUT,
            Errno::AGAIN,
            Errno::ACCESS,
        ] {
            assert!(!is_ours(&errno.into()), "{errno}");
        }
        assert!(!is_ours(&io::ErrorKind::NotFound.into()));
    }

    #[test]
    fn ports_that_are_used_up_are_told_from_a_server_that_nothing_here_can_reach() {
        let near: SocketAddr = "127.0.0.1:9".parse().unwrap();
        assert!(is_ours(&blamed(Errno::ADDRNOTAVAIL.into(), near)));
        // RFC 4291 §2.5.6: a link-local address says nothing without the link it is on, and there is none of number 0.
        let far: SocketAddr = "[fe80::1]:9".parse().unwrap();
        assert!(!is_ours(&blamed(Errno::ADDRNOTAVAIL.into(), far)));
        assert!(!is_ours(&blamed(Errno::CONNREFUSED.into(), near)));
    }

    /// A port of 127.0.0.1 that answers nobody any more, as its queue is full, with what fills it; at 127.0.0.2 it is served.
    fn half_dead() -> (Vec<Socket>, TcpListener) {
        let socket = |ip: [u8; 4], port: u16| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            let address = SocketAddr::from((ip, port));
            socket.bind(&address.into()).map(|()| socket)
        };
        loop {
            let dead = socket([127, 0, 0, 1], 0).unwrap();
            dead.listen(0).unwrap();
            let address = dead.local_addr().unwrap();
            let Ok(alive) = socket([127, 0, 0, 2], address.as_socket().unwrap().port()) else {
                continue;
            };
            alive.listen(8).unwrap();
            let mut held = vec![dead];
            loop {
                let next = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
                let is_taken = next.connect_timeout(&address, Duration::from_millis(200)).is_ok();
                held.push(next);
                if !is_taken {
                    return (held, alive.into());
                }
            }
        }
    }

    fn knowing(ips: &[[u8; 4]]) -> Names {
        let addresses = ips.iter().map(|ip| SocketAddr::from((*ip, 0))).collect();
        let names = Names::default();
        let known = (Mono::default(), addresses);
        names.known.borrow_mut().insert("app.test".to_owned(), known);
        names
    }

    #[tokio::test]
    async fn an_address_that_says_nothing_leaves_time_for_the_next_one() {
        let (_held, alive) = half_dead();
        let port = alive.local_addr().unwrap().port();
        let address = Address::parse(&format!("app.test:{port}")).unwrap();
        let names = knowing(&[[127, 0, 0, 1], [127, 0, 0, 2]]);
        let limit = Duration::from_secs(4);
        let stream = names.connect(&address, limit, Mono::default()).await.unwrap();
        let Stream::Tcp(stream) = stream else {
            panic!("it is TCP")
        };
        assert_eq!(stream.peer_addr().unwrap(), alive.local_addr().unwrap());
    }

    #[tokio::test]
    async fn a_name_whose_addresses_say_nothing_is_asked_for_again() {
        let (_held, alive) = half_dead();
        let port = alive.local_addr().unwrap().port();
        let address = Address::parse(&format!("app.test:{port}")).unwrap();
        let names = knowing(&[[127, 0, 0, 1]]);
        let limit = Duration::from_millis(50);
        let fault = names.connect(&address, limit, Mono::default()).await.unwrap_err();
        assert!(matches!(fault, IoFault::TimedOut), "{fault:?}");
        assert!(names.known.borrow().is_empty());
    }
}
