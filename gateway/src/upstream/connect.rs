//! Getting a connection to a server.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

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
        within(limit, self.open(address, now)).await
    }

    async fn open(&self, address: &Address, now: Mono) -> io::Result<Stream> {
        let (host, port) = match address {
            Address::Unix(path) => return UnixStream::connect(path).await.map(Stream::Unix),
            Address::Tcp { host, port } => (host, *port),
        };
        let literal = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<IpAddr>();
        if let Ok(ip) = literal {
            return open_tcp(SocketAddr::new(ip, port)).await;
        }
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in self.resolve(host, port, now).await? {
            match open_tcp(address).await {
                Ok(stream) => return Ok(stream),
                Err(e) => last = e,
            }
        }
        // Whatever we know of the name has led nowhere.
        self.known.borrow_mut().remove(host);
        Err(last)
    }

    async fn resolve(&self, host: &str, port: u16, now: Mono) -> io::Result<Vec<SocketAddr>> {
        if let Some((at, addresses)) = self.known.borrow().get(host)
            && now.since(*at) < NAME_KEPT
        {
            return Ok(addresses.iter().map(|a| SocketAddr::new(a.ip(), port)).collect());
        }
        let addresses: Vec<_> = lookup_host((host, port)).await?.take(ADDRESSES_MAX).collect();
        let mut known = self.known.borrow_mut();
        if known.len() >= NAMES_MAX {
            known.clear();
        }
        known.insert(host.to_owned(), (now, addresses.clone()));
        Ok(addresses)
    }
}

async fn open_tcp(address: SocketAddr) -> io::Result<Stream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(Stream::Tcp(stream))
}
