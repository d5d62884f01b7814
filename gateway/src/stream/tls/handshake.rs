//! How a session begins.

use std::fmt;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::{Accepted, Acceptor, ClientHello, UnbufferedServerConnection};
use rustls::{CipherSuite, ClientConfig, Error, HandshakeKind, ProtocolVersion, ServerConfig};
use tokio::time::timeout;

use super::Tls;
use super::session::{Session, Side};
use crate::stream::{Buffer, Shelf, Stream};

/// Bytes a client may send before its hello is whole: one record. What browsers send is 2 KiB at most, with keys that
/// withstand quantum computers.
const HELLO_BYTES_MAX: usize = 16 * 1024 + 512;

/// The content type of records of the handshake (RFC 8446 §5.1).
const HANDSHAKE: u8 = 22;
/// And of alerts, which a server may begin with.
const ALERT: u8 = 21;

/// An alert as it is sent before there are keys: level fatal, description `unrecognized_name` (RFC 6066 §3: "the server
/// SHOULD take one of two actions: either abort the handshake by sending a fatal-level unrecognized_name(112) alert or
/// continue the handshake").
const UNRECOGNIZED_NAME: [u8; 7] = [ALERT, 3, 3, 0, 2, 2, 112];

/// What two peers have agreed upon.
#[derive(Clone, Debug)]
pub struct Greeting {
    /// The name the client asked for (SNI), in lower case; of a connection of ours, None.
    pub server_name: Option<Box<str>>,
    /// The protocol to be spoken within (ALPN), if any was agreed upon.
    pub alpn: Option<Box<[u8]>>,
    /// TLS 1.2 or 1.3.
    pub version: ProtocolVersion,
    /// What it is sealed with.
    pub cipher_suite: CipherSuite,
    /// Whether an earlier session was gone on with.
    pub is_resumed: bool,
    /// The peer's certificates, its own first; none if it has shown none.
    pub peer_certificates: Vec<CertificateDer<'static>>,
}

/// Why there is no session.
#[derive(Debug)]
pub enum HandshakeFault {
    /// The limit has run out.
    TimedOut,
    /// The connection has broken or ended.
    Broken(io::Error),
    /// The peer does not speak TLS. Here is what it has said, and the connection, to answer it in its own tongue.
    NotTls {
        /// As it was before.
        stream: Stream,
        /// What the peer began with.
        heard: Buffer,
    },
    /// Nothing is set up for the name the client asked for, or for none.
    UnknownName(Option<Box<str>>),
    /// The peer has refused us; the text is its alert.
    Alert(String),
    /// We have refused the peer; the text says why.
    Refused(String),
}

impl fmt::Display for HandshakeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => f.write_str("TLS handshake: the peer took too long"),
            Self::Broken(error) => write!(f, "TLS handshake: the connection broke: {error}"),
            Self::NotTls { .. } => f.write_str("TLS handshake: the peer does not speak TLS"),
            Self::UnknownName(Some(name)) => {
                write!(f, "TLS handshake: no certificate is set up for {name:?}")
            }
            Self::UnknownName(None) => {
                f.write_str("TLS handshake: the client named no host, and no certificate is set up for that")
            }
            Self::Alert(alert) => write!(f, "TLS handshake: the peer refused: {alert}"),
            Self::Refused(reason) => write!(f, "TLS handshake: refused: {reason}"),
        }
    }
}

impl std::error::Error for HandshakeFault {}

impl From<io::Error> for HandshakeFault {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

/// Takes a client's handshake on a plain connection, within `limit` in all.
///
/// `choose` is asked for the configuration once the client's hello is there; None refuses the name.
pub async fn accept(
    stream: Stream,
    shelf: &Rc<Shelf>,
    choose: impl FnOnce(&ClientHello<'_>) -> Option<Arc<ServerConfig>>,
    limit: Duration,
) -> Result<(Stream, Greeting), HandshakeFault> {
    let work = async {
        let (stream, heard, accepted) = hear(plain(stream)?, shelf).await?;
        let hello = accepted.client_hello();
        let name = hello
            .server_name()
            .map(|name| name.to_ascii_lowercase().into_boxed_str());
        let Some(config) = choose(&hello) else {
            farewell(&stream, &UNRECOGNIZED_NAME);
            return Err(HandshakeFault::UnknownName(name));
        };
        let connection = UnbufferedServerConnection::new(config).map_err(refused)?;
        let mut session = Session::new(Side::Server(Box::new(connection)), shelf);
        session.arrived_before(heard.unread());
        drop(heard);
        let greeting = shake(&stream, &mut session, name).await?;
        Ok((Stream::Tls(Box::new(Tls::new(stream, session))), greeting))
    };
    timeout(limit, work)
        .await
        .unwrap_or(Err(HandshakeFault::TimedOut))
}

/// Begins a session with a server on a plain connection, within `limit` in all. `name` is what its certificate must be for.
pub async fn connect(
    stream: Stream,
    shelf: &Rc<Shelf>,
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    limit: Duration,
) -> Result<(Stream, Greeting), HandshakeFault> {
    let work = async {
        let connection = UnbufferedClientConnection::new(config, name).map_err(refused)?;
        let mut session = Session::new(Side::Client(Box::new(connection)), shelf);
        let stream = plain(stream)?;
        // Its hello, to which a server answers first of all.
        session.shake().map_err(fault)?;
        flush(&stream, &mut session).await?;
        if !matches!(receive(&stream, &mut session).await?, HANDSHAKE | ALERT) {
            let heard = session.into_arrived();
            return Err(HandshakeFault::NotTls { stream, heard });
        }
        let greeting = shake(&stream, &mut session, None).await?;
        Ok((Stream::Tls(Box::new(Tls::new(stream, session))), greeting))
    };
    timeout(limit, work)
        .await
        .unwrap_or(Err(HandshakeFault::TimedOut))
}

/// TLS within TLS is nothing anybody asked for, and neither is it where there is no socket.
fn plain(stream: Stream) -> io::Result<Stream> {
    match stream {
        Stream::Tcp(_) | Stream::Unix(_) => Ok(stream),
        Stream::Tls(_) | Stream::Memory(_) => Err(io::ErrorKind::InvalidInput.into()),
    }
}

/// Reads a client's hello: the bytes as they came, and what they mean.
async fn hear(stream: Stream, shelf: &Rc<Shelf>) -> Result<(Stream, Buffer, Accepted), HandshakeFault> {
    let mut acceptor = Acceptor::default();
    let mut heard = shelf.lend();
    let mut understood = 0;
    loop {
        if heard.is_full() {
            heard.grow(HELLO_BYTES_MAX);
        }
        if heard.fill(&stream).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        if heard.unread()[0] != HANDSHAKE {
            return Err(HandshakeFault::NotTls { stream, heard });
        }
        let mut fresh = &heard.unread()[understood..];
        while !fresh.is_empty() {
            // It takes as much at a time as it likes.
            acceptor
                .read_tls(&mut fresh)
                .map_err(|e| HandshakeFault::Refused(e.to_string()))?;
            match acceptor.accept() {
                Ok(Some(accepted)) => return Ok((stream, heard, accepted)),
                Ok(None) => {}
                Err((error, mut alert)) => {
                    let mut bytes = Vec::new();
                    let _ = alert.write_all(&mut bytes);
                    farewell(&stream, &bytes);
                    return Err(fault(error));
                }
            }
        }
        understood = heard.unread().len();
        if understood > HELLO_BYTES_MAX {
            return Err(HandshakeFault::Refused(
                "the client's hello is too large".to_owned(),
            ));
        }
    }
}

/// Goes on until the session is open and all of our part is sent.
async fn shake(
    stream: &Stream,
    session: &mut Session,
    server_name: Option<Box<str>>,
) -> Result<Greeting, HandshakeFault> {
    loop {
        let is_open = match session.shake() {
            Ok(is_open) => is_open,
            Err(error) => {
                farewell(stream, session.outgoing());
                return Err(fault(error));
            }
        };
        flush(stream, session).await?;
        if is_open {
            return Ok(greeting(session, server_name));
        }
        receive(stream, session).await?;
    }
}

/// Reads once. The first byte of all that has arrived and is not understood yet.
async fn receive(stream: &Stream, session: &mut Session) -> io::Result<u8> {
    loop {
        match session.room().and_then(|room| stream.try_read(room)) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => return Ok(session.arrived(n)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.readable().await?,
            Err(error) => return Err(error),
        }
    }
}

async fn flush(stream: &Stream, session: &mut Session) -> io::Result<()> {
    while !session.outgoing().is_empty() {
        let n = stream.write_some(&[IoSlice::new(session.outgoing())]).await?;
        session.sent(n);
    }
    Ok(())
}

fn greeting(session: &Session, server_name: Option<Box<str>>) -> Greeting {
    let common = session.common();
    Greeting {
        server_name,
        alpn: common.alpn_protocol().map(Into::into),
        version: common.protocol_version().unwrap_or(ProtocolVersion::Unknown(0)),
        cipher_suite: common
            .negotiated_cipher_suite()
            .map_or(CipherSuite::Unknown(0), |suite| suite.suite()),
        is_resumed: common.handshake_kind() == Some(HandshakeKind::Resumed),
        peer_certificates: common.peer_certificates().unwrap_or_default().to_vec(),
    }
}

/// Sends an alert, if the socket takes it: the connection ends here either way.
fn farewell(stream: &Stream, alert: &[u8]) {
    let _ = stream.try_write(&[IoSlice::new(alert)]);
}

fn fault(error: Error) -> HandshakeFault {
    match error {
        Error::AlertReceived(alert) => HandshakeFault::Alert(format!("{alert:?}")),
        other => HandshakeFault::Refused(other.to_string()),
    }
}

fn refused(error: Error) -> HandshakeFault {
    HandshakeFault::Refused(error.to_string())
}
