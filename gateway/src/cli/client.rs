//! As much of an HTTP client as it takes to ask the admin address one question.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use gateway::config::plan::SocketSpec;
use gateway::kit::clock::Clock;
use memchr::memmem;
use socket2::{Domain, SockAddr, Socket, Type};

/// Until a connection stands. Longer is an address that drops what it is sent.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For a whole exchange. A reload of thousands of servers takes a second or two.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(60);
/// For one that starts a process. The gateway gives up by itself before, by `server.upgrade_timeout`.
const START_TIMEOUT: Duration = Duration::from_secs(3_600);
/// The status of 50,000 servers is half of it.
const ANSWER_BYTES_MAX: usize = 32 << 20;
/// More than that is not the head of a gateway's answer.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// Where a gateway is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A name or IP literal with its port.
    Tcp(String),
    /// A socket's path.
    Unix(PathBuf),
}

/// What is asked.
pub struct Question<'a> {
    /// GET or POST.
    pub method: &'static str,
    /// Percent-encoded.
    pub path: &'a str,
    /// The bearer token.
    pub token: Option<&'a str>,
    /// JSON, or nothing.
    pub body: &'a str,
    /// Whether a process is started first.
    pub is_slow: bool,
}

/// What was answered.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// Three digits.
    pub status: u16,
    /// All of it.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Trouble {
    /// No connection came about.
    Connect(io::Error),
    /// It broke.
    Broken(io::Error),
    /// The answer ended early.
    Cut,
    /// It took too long.
    Slow(Duration),
    /// What answers is no gateway.
    Nonsense(&'static str),
}

impl Place {
    /// Reads "HOST:PORT", "http://HOST:PORT", ":PORT" or "unix:/PATH".
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(path) = text.strip_prefix("unix:") {
            return path.starts_with('/').then(|| Self::Unix(path.into()));
        }
        let text = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
        let (host, port) = text.rsplit_once(':')?;
        let is_port = port.parse::<u16>().is_ok_and(|port| port != 0);
        let is_host = !host.contains('/') && (!host.contains(':') || host.starts_with('['));
        let host = if host.is_empty() { "localhost" } else { host };
        (is_port && is_host).then(|| Self::Tcp(format!("{host}:{port}")))
    }

    /// Where a gateway that listens there is asked; None if the system has chosen its port.
    pub fn of(spec: &SocketSpec) -> Option<Self> {
        match spec {
            SocketSpec::Unix(path) => Some(Self::Unix(path.clone())),
            SocketSpec::Tcp(address) if address.port() == 0 => None,
            SocketSpec::Tcp(address) => {
                let mut address = *address;
                // Every address is none to connect to.
                if address.ip().is_unspecified() {
                    address.set_ip(match address {
                        SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                        SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
                    });
                }
                Some(Self::Tcp(address.to_string()))
            }
        }
    }

    /// Connects, and says what the gateway is called there.
    fn connect(&self) -> io::Result<(Socket, String)> {
        match self {
            Self::Unix(path) => {
                let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
                socket.connect_timeout(&SockAddr::unix(path)?, CONNECT_TIMEOUT)?;
                Ok((socket, "localhost".to_owned()))
            }
            Self::Tcp(name) => {
                let mut last = io::Error::from(io::ErrorKind::NotFound);
                for address in name.to_socket_addrs()? {
                    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
                    match socket.connect_timeout(&address.into(), CONNECT_TIMEOUT) {
                        // By number: a gateway without a token answers to no names, lest a page's script leads a
                        // browser to it.
                        Ok(()) => return Ok((socket, authority(address))),
                        Err(error) => last = error,
                    }
                }
                Err(last)
            }
        }
    }
}

fn authority(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(address) => address.to_string(),
        // Without the zone, which means nothing on the other side.
        SocketAddr::V6(address) => format!("[{}]:{}", address.ip(), address.port()),
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(name) => write!(f, "http://{name}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => write!(f, "no connection: {error}"),
            Self::Broken(error) => write!(f, "the connection broke: {error}"),
            Self::Cut => f.write_str("the connection ended in the middle of the answer"),
            Self::Slow(timeout) => write!(f, "no answer within {} s", timeout.as_secs()),
            Self::Nonsense(what) => write!(f, "what listens there is not a gateway: {what}"),
        }
    }
}

/// Asks one question over a connection of its own.
pub fn ask(place: &Place, question: &Question<'_>, clock: &Clock) -> Result<Answer, Trouble> {
    let begin = clock.now().mono;
    let (mut socket, host) = place.connect().map_err(Trouble::Connect)?;
    let timeout = match question.is_slow {
        true => START_TIMEOUT,
        false => EXCHANGE_TIMEOUT,
    };
    let broken = |error: io::Error| match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Trouble::Slow(timeout),
        _ => Trouble::Broken(error),
    };
    let remaining = || {
        let spent = clock.now().mono.since(begin);
        let left = timeout.checked_sub(spent).filter(|left| !left.is_zero());
        left.ok_or(Trouble::Slow(timeout))
    };
    socket.set_write_timeout(Some(remaining()?)).map_err(broken)?;
    socket
        .write_all(question.text(&host).as_bytes())
        .map_err(broken)?;
    let mut bytes = Vec::new();
    let mut chunk = vec![0; 64 << 10];
    loop {
        socket.set_read_timeout(Some(remaining()?)).map_err(broken)?;
        match socket.read(&mut chunk) {
            Ok(0) => return Err(Trouble::Cut),
            Ok(n) => bytes.extend_from_slice(&chunk[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(broken(error)),
        }
        if let Some(answer) = parse(&bytes)? {
            return Ok(answer);
        }
    }
}

impl Question<'_> {
    fn text(&self, host: &str) -> String {
        let Self {
            method,
            path,
            token,
            body,
            is_slow: _,
        } = self;
        let token = token.map_or(String::new(), |t| format!("Authorization: Bearer {t}\r\n"));
        format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{token}Content-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }
}

/// The answer, once all of it is there.
fn parse(bytes: &[u8]) -> Result<Option<Answer>, Trouble> {
    let Some(end) = memmem::find(&bytes[..bytes.len().min(HEAD_BYTES_MAX)], b"\r\n\r\n") else {
        if bytes.len() >= HEAD_BYTES_MAX {
            return Err(Trouble::Nonsense("its head does not end"));
        }
        return Ok(None);
    };
    let head = std::str::from_utf8(&bytes[..end]).map_err(|_| Trouble::Nonsense("its head is no text"))?;
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.strip_prefix("HTTP/1."))
        .and_then(|rest| rest.get(2..5)?.parse().ok())
        .ok_or(Trouble::Nonsense("it does not speak HTTP/1.1"))?;
    let length = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok())
        .ok_or(Trouble::Nonsense("it does not say how long its answer is"))?;
    if length > ANSWER_BYTES_MAX {
        return Err(Trouble::Nonsense("its answer is too long"));
    }
    let body = bytes[end + 4..].get(..length).map(<[u8]>::to_vec);
    Ok(body.map(|body| Answer { status, body }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &[u8] = b"HTTP/1.1 200 OK\r\nDate: x\r\ncontent-LENGTH: 5\r\n\r\nhello";

    #[test]
    fn an_answer_is_whole_only_at_its_end() {
        for end in 0..WHOLE.len() {
            assert!(matches!(parse(&WHOLE[..end]), Ok(None)), "{end}");
        }
        let answer = parse(WHOLE).unwrap().unwrap();
        assert_eq!(
            (answer.status, answer.body.as_slice()),
            (200, b"hello".as_slice())
        );
    }

    #[test]
    fn what_is_no_gateway_is_told_apart() {
        let endless = vec![b'a'; HEAD_BYTES_MAX];
        for text in [
            b"SSH-2.0-OpenSSH_9.6\r\n\r\n".as_slice(),
            b"HTTP/1.1 xyz\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX: \xff\r\n\r\n",
            &endless,
        ] {
            assert!(
                matches!(parse(text), Err(Trouble::Nonsense(_))),
                "{}",
                text.escape_ascii()
            );
        }
    }

    #[test]
    fn an_address_is_read_as_people_write_it() {
        let tcp = |text: &str| Some(Place::Tcp(text.to_owned()));
        assert_eq!(Place::parse("127.0.0.1:9900"), tcp("127.0.0.1:9900"));
        assert_eq!(Place::parse("http://gw:9900/"), tcp("gw:9900"));
        assert_eq!(Place::parse(":9900"), tcp("localhost:9900"));
        assert_eq!(Place::parse("[::1]:9900"), tcp("[::1]:9900"));
        assert_eq!(Place::parse("unix:/s"), Some(Place::Unix("/s".into())));
        for text in [
            "",
            "gw",
            "gw:",
            "gw:0",
            "gw:x",
            "https://gw:1",
            "::1:9900",
            "unix:s",
            "a/b:1",
        ] {
            assert_eq!(Place::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_gateway_at_every_address_is_asked_at_this_machine() {
        let of = |text: &str| Place::of(&SocketSpec::parse(text).unwrap());
        assert_eq!(of("0.0.0.0:9900"), Some(Place::Tcp("127.0.0.1:9900".to_owned())));
        assert_eq!(of("[::]:9900"), Some(Place::Tcp("[::1]:9900".to_owned())));
        assert_eq!(of("10.0.0.1:9900"), Some(Place::Tcp("10.0.0.1:9900".to_owned())));
        assert_eq!(of("127.0.0.1:0"), None);
    }
}
