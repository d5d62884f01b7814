//! A question over TLS, which Pingora's checks would ask by the system's authorities and another name; or behind a PROXY
//! header, which they do not know.

use std::io;
use std::ops::RangeInclusive;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use super::framed;
use super::probe::Bad;
use crate::config::plan::{Address, HealthCheck, HealthQuestion, Protocol, SendProxyProtocol};
use crate::state::Outward;
use crate::upstream::proxy_line::{OnBehalf, ProxyLine};

/// Bytes of an answer's first line: a status, and a reason of some length.
const STATUS_LINE_BYTES_MAX: usize = 1024;

/// What a server is met with before it is asked.
#[derive(Clone, Debug, Default)]
pub struct Via {
    /// By whose word it is believed; None is plain HTTP.
    pub tls: Option<Arc<Outward>>,
    /// Whether it is told who connects.
    pub proxy: SendProxyProtocol,
    /// What is spoken then.
    pub protocol: Protocol,
}

impl Via {
    /// What tells one from another; 0 for nothing at all.
    pub fn id(&self) -> u64 {
        let proxy = match self.proxy {
            SendProxyProtocol::Off => 0,
            SendProxyProtocol::V1 => 1,
            SendProxyProtocol::V2 => 2,
        };
        let protocol = match self.protocol {
            Protocol::Http1 => 0,
            Protocol::Http2 => 1,
            Protocol::H2c => 2,
        };
        self.tls.as_ref().map_or(0, |tls| tls.id) << 4 | protocol << 2 | proxy
    }
}

/// What is asked, and by whose word the server is believed.
pub struct Sealed {
    via: Via,
    address: Address,
    host: String,
    /// What is asked; None = a handshake is all the answer there is.
    question: Option<HealthQuestion>,
    /// The statuses that are good.
    expected: Vec<RangeInclusive<u16>>,
}

impl Sealed {
    /// A question to that server. The path was checked to be fit for the wire.
    pub fn new(via: Via, address: &Address, check: &HealthCheck) -> Self {
        let host = match address {
            Address::Tcp { .. } => address.to_string(),
            Address::Unix(_) => "localhost".to_owned(),
        };
        Self {
            via,
            address: address.clone(),
            host,
            question: check.question.clone(),
            expected: check.expect_status.clone(),
        }
    }

    /// Asks over a connection that stands.
    pub async fn ask_tcp(&self, stream: TcpStream) -> Result<(), Bad> {
        self.ask(stream).await
    }

    /// Asks over a connection that stands.
    pub async fn ask_unix(&self, stream: UnixStream) -> Result<(), Bad> {
        self.ask(stream).await
    }

    async fn ask(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<(), Bad> {
        if let Some(line) = ProxyLine::new(self.via.proxy, OnBehalf::Ourselves) {
            stream.write_all(line.bytes()).await.map_err(Bad::Io)?;
        }
        let Some(outward) = &self.via.tls else {
            return self.ask_over(stream).await;
        };
        let name = outward.side.name(&self.address);
        let name = name.ok_or_else(|| Bad::Io(io::Error::other("there is no name to ask for: set `sni`")))?;
        let connector = TlsConnector::from(outward.side.config());
        let stream = connector.connect(name, stream).await.map_err(Bad::Io)?;
        if self.via.protocol == Protocol::Http2 && stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err(Bad::Io(io::Error::other(
                "it has not agreed to HTTP/2 (ALPN \"h2\")",
            )));
        }
        self.ask_over(stream).await
    }

    async fn ask_over(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<(), Bad> {
        let Some(question) = &self.question else {
            return Ok(());
        };
        let path = match question {
            HealthQuestion::Path(path) if !self.via.protocol.is_http2() => path,
            HealthQuestion::Path(_) | HealthQuestion::Grpc(_) => {
                let asked = framed::Asked {
                    scheme: if self.via.tls.is_some() { "https" } else { "http" },
                    authority: &self.host,
                    question,
                    expected: &self.expected,
                };
                return framed::ask(stream, &asked).await;
            }
        };
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: sluice-health-check\r\nConnection: close\r\n\r\n",
            self.host
        );
        stream.write_all(request.as_bytes()).await.map_err(Bad::Io)?;
        stream.flush().await.map_err(Bad::Io)?;
        let status = read_status(&mut stream).await.map_err(Bad::Io)?;
        match self.expected.iter().any(|range| range.contains(&status)) {
            true => Ok(()),
            false => Err(Bad::Status(status)),
        }
    }
}

/// The status of an answer: `HTTP/1.1 200 …` (RFC 9112 §4).
async fn read_status(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<u16> {
    let mut line = Vec::with_capacity(64);
    while !line.contains(&b'\n') && line.len() < STATUS_LINE_BYTES_MAX {
        if stream.read_buf(&mut line).await? == 0 {
            break;
        }
    }
    status_of(&line).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "its answer is not HTTP"))
}

fn status_of(line: &[u8]) -> Option<u16> {
    let rest = line.strip_prefix(b"HTTP/1.")?;
    let digits = rest.get(2..5).filter(|_| rest.get(1) == Some(&b' '))?;
    let number: u16 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (100..=599).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_from_a_status_line_and_from_nothing_else() {
        assert_eq!(status_of(b"HTTP/1.1 200 OK\r\n"), Some(200));
        assert_eq!(status_of(b"HTTP/1.0 503\r\n"), Some(503));
        for bad in [
            &b"HTTP/2 200\r\n"[..],
            b"HTTP/1.1  20 OK\r\n",
            b"HTTP/1.1 2",
            b"SSH-2.0",
            b"",
            b"HTTP/1.1 999 x",
        ] {
            assert_eq!(status_of(bad), None, "{bad:?}");
        }
    }
}
