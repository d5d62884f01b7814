//! One question to one server.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::os::unix::net::SocketAddr as UnixAddress;
use std::time::Duration;

use pingora::connectors::ConnectorOptions;
use pingora::connectors::http::Connector;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::lb::health_check::{HealthCheck as _, HttpHealthCheck};
use pingora::lb::{Backend, Extensions};
use pingora::protocols::l4::socket::SocketAddr;
use pingora::{Error, ErrorType};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::sealed::{Sealed, Via};
use crate::config::plan::{Address, HealthCheck, HealthQuestion};
use crate::upstream::connect::{blamed, is_ours, look_up};

/// A question, ready to be asked any number of times. Each time on a connection of its own: one that is kept
/// open says nothing about whether new ones are accepted.
pub struct Probe {
    target: Target,
    limit: Duration,
    http: Option<HttpHealthCheck>,
    /// What takes the place of all that where the server speaks TLS or wants a PROXY header.
    sealed: Option<Sealed>,
}

/// Why a server is not well.
#[derive(Debug)]
pub enum Bad {
    /// It did not answer, or not as HTTP.
    Http(Box<Error>),
    /// No connection, or no address for its name.
    Io(io::Error),
    /// It answered with a status that is not expected.
    Status(u16),
    /// It answered by gRPC, and not that it serves; the text says what.
    Grpc(String),
    /// It took longer than the probe's timeout.
    TimedOut(Duration),
    /// It could not be asked, for want of something of this machine: that says nothing of it.
    Ours(io::Error),
}

/// Where a server is.
enum Target {
    /// An address that needs no resolving.
    Literal(SocketAddr),
    /// Resolved at each probe, as a name may move.
    Name(String, u16),
}

/// Addresses of one name that are tried in turn.
const ADDRESSES_MAX: usize = 4;

/// What a status that is not expected is called inside Pingora's error.
const STATUS: &str = "status";

impl Probe {
    /// # Errors
    /// If the address or the path cannot be put on the wire.
    pub fn new(address: &Address, check: &HealthCheck, via: &Via) -> Result<Self, Bad> {
        let path = check.question.as_ref().and_then(HealthQuestion::path);
        let http = path.map(|path| http_check(address, path, &check.expect_status));
        Ok(Self {
            target: Target::new(address)?,
            limit: check.timeout,
            http: http.transpose().map_err(Bad::Http)?,
            sealed: (via.id() != 0).then(|| Sealed::new(via.clone(), address, check)),
        })
    }

    /// Asks, name resolution and all within the probe's timeout. A name is well if one of its addresses is.
    pub async fn ask(&self) -> Result<(), Bad> {
        let late = |_| Err(Bad::TimedOut(self.limit));
        timeout(self.limit, self.ask_each()).await.unwrap_or_else(late)
    }

    async fn ask_each(&self) -> Result<(), Bad> {
        let addresses = self.target.resolve().await.map_err(Bad::of_io)?;
        // An address that swallows everything must not use up the time of the next one.
        let share = self.limit / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
        let mut last = Bad::Io(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        for address in addresses {
            match timeout(share, self.ask_one(address.clone())).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(bad)) => last = bad.blamed(&address),
                Err(_) => last = Bad::TimedOut(share),
            }
        }
        Err(last)
    }

    async fn ask_one(&self, address: SocketAddr) -> Result<(), Bad> {
        if let Some(sealed) = &self.sealed {
            return match &address {
                SocketAddr::Inet(address) => {
                    sealed
                        .ask_tcp(TcpStream::connect(address).await.map_err(Bad::Io)?)
                        .await
                }
                SocketAddr::Unix(address) => {
                    let path = address.as_pathname();
                    let path = path.ok_or_else(|| Bad::Io(io::ErrorKind::InvalidInput.into()))?;
                    sealed
                        .ask_unix(UnixStream::connect(path).await.map_err(Bad::Io)?)
                        .await
                }
            };
        }
        let Some(http) = &self.http else {
            return connect(&address).await.map_err(Bad::Io);
        };
        let backend = Backend {
            addr: address,
            weight: 1,
            ext: Extensions::new(),
        };
        http.check(&backend).await.map_err(Bad::of)
    }
}

/// A connection that stands is all the answer there is.
///
/// By hand, since `TcpHealthCheck` cannot be had without loading the system's certificates, and panics
/// where they cannot be read.
async fn connect(address: &SocketAddr) -> io::Result<()> {
    match address {
        SocketAddr::Inet(address) => TcpStream::connect(address).await.map(drop),
        SocketAddr::Unix(address) => {
            let path = address.as_pathname().ok_or(io::ErrorKind::InvalidInput)?;
            UnixStream::connect(path).await.map(drop)
        }
    }
}

/// Its own timeouts are per read and therefore no limit; ours is around all of it, also around a body without end.
///
/// It takes an interim answer (1xx) for the answer: a health path that sends early hints is not understood.
fn http_check(
    address: &Address,
    path: &str,
    expected: &[RangeInclusive<u16>],
) -> Result<HttpHealthCheck, Box<Error>> {
    let host = match address {
        Address::Tcp { .. } => address.to_string(),
        Address::Unix(_) => "localhost".to_owned(),
    };
    let mut request = RequestHeader::build("GET", path.as_bytes(), None)?;
    request.insert_header("Host", &host)?;
    request.insert_header("User-Agent", "sluice-health-check")?;
    request.insert_header("Connection", "close")?;
    // Plain HTTP needs no trust: without this every probe would hold two copies of the system's certificates.
    let mut options = ConnectorOptions::new(1);
    options.ca_file = Some("/dev/null".to_owned());
    let mut check = HttpHealthCheck::new_custom(&host, false, Connector::new(Some(options)));
    check.req = request;
    check.peer_template.options.connection_timeout = None;
    check.peer_template.options.read_timeout = None;
    let expected = expected.to_vec();
    check.validator = Some(Box::new(move |answer: &ResponseHeader| {
        let status = answer.status.as_u16();
        match expected.iter().any(|range| range.contains(&status)) {
            true => Ok(()),
            false => Err(Error::new(ErrorType::CustomCode(STATUS, status))),
        }
    }));
    Ok(check)
}

impl Target {
    fn new(address: &Address) -> Result<Self, Bad> {
        match address {
            Address::Unix(path) => UnixAddress::from_pathname(path)
                .map(|address| Self::Literal(SocketAddr::Unix(address)))
                .map_err(Bad::Io),
            Address::Tcp { host, port } => {
                let bare = host
                    .strip_prefix('[')
                    .and_then(|h| h.strip_suffix(']'))
                    .unwrap_or(host);
                Ok(match bare.parse::<IpAddr>() {
                    Ok(ip) => Self::Literal(SocketAddr::Inet((ip, *port).into())),
                    Err(_) => Self::Name(host.clone(), *port),
                })
            }
        }
    }

    /// Asks the system's resolver on a thread of its own, so a slow name server holds up nobody else's probe.
    async fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        match self {
            Self::Literal(address) => Ok(vec![address.clone()]),
            Self::Name(host, port) => {
                let found = look_up(host, *port, ADDRESSES_MAX).await?;
                Ok(found.into_iter().map(SocketAddr::Inet).collect())
            }
        }
    }
}

impl Bad {
    fn of(error: Box<Error>) -> Self {
        match error.etype() {
            ErrorType::CustomCode(STATUS, status) => Self::Status(*status),
            _ => Self::Http(error),
        }
    }

    fn of_io(error: io::Error) -> Self {
        match is_ours(&error) {
            true => Self::Ours(error),
            false => Self::Io(error),
        }
    }

    /// The same, if it is this server's fault at all.
    fn blamed(self, address: &SocketAddr) -> Self {
        let error = match &self {
            Self::Http(error) => system_error(error),
            Self::Io(error) => error.raw_os_error(),
            Self::Status(_) | Self::Grpc(_) | Self::TimedOut(_) | Self::Ours(_) => None,
        };
        let Some(error) = error.map(io::Error::from_raw_os_error).filter(is_ours) else {
            return self;
        };
        let error = match address {
            SocketAddr::Inet(address) => blamed(error, *address),
            SocketAddr::Unix(_) => error,
        };
        Self::of_io(error)
    }
}

/// What the system said, below what Pingora makes of it.
fn system_error(error: &Error) -> Option<i32> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> =
        error.cause.as_deref().map(|cause| cause as _);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return error.raw_os_error();
        }
        cause = match error.downcast_ref::<Box<Error>>() {
            Some(error) => error.cause.as_deref().map(|cause| cause as _),
            None => error.source(),
        };
    }
    None
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(error) => write!(f, "{}", error.etype().as_str()),
            Self::Io(error) => error.fmt(f),
            Self::Status(status) => write!(f, "it answered {status}, see expect_status"),
            Self::Grpc(what) => write!(f, "it is not SERVING by gRPC: {what}"),
            Self::TimedOut(limit) => write!(f, "no answer within {limit:?}, see timeout"),
            Self::Ours(error) => write!(f, "it could not be asked: {error}"),
        }
    }
}
