//! The other side: a session of rustls with its own buffers.

use std::io::{self, Read, Write};
use std::rc::Rc;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ClientConfig, ClientConnection, Connection, RootCertStore, ServerConfig, ServerConnection,
    SupportedProtocolVersion,
};
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream};

use super::LIMIT;
use crate::stream::tls::{Greeting, accept, connect};
use crate::stream::{Shelf, Stream};

pub(super) const NAME: &str = "sluice.test";

/// What both sides need to know of each other.
pub(super) struct Certificate {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Certificate {
    pub(super) fn new() -> Self {
        let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
        Self {
            chain: vec![made.cert.der().clone()],
            key: PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap(),
        }
    }

    pub(super) fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.chain[0].clone()).unwrap();
        Arc::new(roots)
    }

    pub(super) fn server(&self) -> ServerConfig {
        self.server_by(ring::default_provider(), false)
    }

    pub(super) fn server_by(&self, provider: CryptoProvider, asks_for_certificate: bool) -> ServerConfig {
        let provider = Arc::new(provider);
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = match asks_for_certificate {
            false => builder.with_no_client_auth(),
            true => {
                let verifier = WebPkiClientVerifier::builder_with_provider(self.roots(), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        builder
            .with_single_cert(self.chain.clone(), self.key.clone_key())
            .unwrap()
    }

    pub(super) fn client(&self) -> ClientConfig {
        self.client_by(ring::default_provider(), rustls::ALL_VERSIONS, false)
    }

    pub(super) fn client_by(
        &self,
        provider: CryptoProvider,
        versions: &[&'static SupportedProtocolVersion],
        shows_certificate: bool,
    ) -> ClientConfig {
        let builder = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(self.roots());
        match shows_certificate {
            false => builder.with_no_client_auth(),
            true => builder
                .with_client_auth_cert(self.chain.clone(), self.key.clone_key())
                .unwrap(),
        }
    }
}

pub(super) struct Peer {
    pub(super) socket: TcpStream,
    pub(super) session: Connection,
    /// Bytes read from the socket at a time: a small number makes a slow reader.
    pub(super) pace: usize,
    has_ended: bool,
}

/// How much the sockets buffer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Width {
    Usual,
    /// About a record.
    Narrow,
    /// As little as the system lets them: the last bytes of a window take a timer of its own to get through.
    Tiny,
}

/// Two ends of a connection whose buffers are that wide.
pub(super) async fn sockets(width: Width) -> (TcpStream, TcpStream) {
    let bytes = match width {
        Width::Usual => None,
        Width::Narrow => Some(16 * 1024),
        Width::Tiny => Some(1),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    if let Some(bytes) = bytes {
        socket2::SockRef::from(&listener)
            .set_recv_buffer_size(bytes)
            .unwrap();
    }
    let there = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (here, _) = listener.accept().await.unwrap();
    for socket in [&there, &here] {
        socket.set_nodelay(true).unwrap();
        if let Some(bytes) = bytes {
            socket2::SockRef::from(socket)
                .set_send_buffer_size(bytes)
                .unwrap();
            socket2::SockRef::from(socket)
                .set_recv_buffer_size(bytes)
                .unwrap();
        }
    }
    (here, there)
}

/// Our server and a client of rustls.
pub(super) async fn with_client(
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    width: Width,
) -> (Stream, Greeting, Peer) {
    let (here, there) = sockets(width).await;
    let name = ServerName::try_from(NAME).unwrap();
    let mut peer = Peer::new(there, ClientConnection::new(client, name).unwrap().into());
    let shelf = Rc::new(Shelf::default());
    let (accepted, ()) = tokio::join!(
        accept(Stream::Tcp(here), &shelf, |_| Some(server), LIMIT),
        peer.shake()
    );
    let (stream, greeting) = accepted.unwrap();
    (stream, greeting, peer)
}

/// Our client and a server of rustls.
pub(super) async fn with_server(
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    width: Width,
) -> (Stream, Greeting, Peer) {
    let (here, there) = sockets(width).await;
    let mut peer = Peer::new(there, ServerConnection::new(server).unwrap().into());
    let shelf = Rc::new(Shelf::default());
    let name = ServerName::try_from(NAME).unwrap();
    let (connected, ()) = tokio::join!(
        connect(Stream::Tcp(here), &shelf, client, name, LIMIT),
        peer.shake()
    );
    let (stream, greeting) = connected.unwrap();
    (stream, greeting, peer)
}

impl Peer {
    pub(super) fn new(socket: TcpStream, session: Connection) -> Self {
        Self {
            socket,
            session,
            pace: usize::MAX,
            has_ended: false,
        }
    }

    pub(super) async fn shake(&mut self) {
        while self.session.is_handshaking() || self.session.wants_write() {
            self.step().await.unwrap();
        }
    }

    /// Moves something between session and socket.
    pub(super) async fn step(&mut self) -> io::Result<()> {
        loop {
            let mut raw = Raw(&self.socket, self.pace);
            let mut has_moved = false;
            if self.session.wants_write() {
                has_moved |= moved(self.session.write_tls(&mut raw))?;
            }
            if self.session.wants_read() && !self.has_ended {
                let read = self.session.read_tls(&mut raw);
                self.has_ended = matches!(read, Ok(0));
                if moved(read)? {
                    let processed = self.session.process_new_packets();
                    processed.map_err(io::Error::other)?;
                    has_moved = true;
                }
            }
            if has_moved {
                return Ok(());
            }
            let interest = match self.session.wants_write() {
                true => Interest::READABLE | Interest::WRITABLE,
                false => Interest::READABLE,
            };
            self.socket.ready(interest).await?;
        }
    }

    /// Sends and receives at once, until all is sent and so much is received.
    pub(super) async fn exchange(&mut self, mut out: &[u8], expected: usize) -> io::Result<Vec<u8>> {
        let mut heard = Vec::new();
        let mut piece = vec![0; 64 * 1024];
        while !out.is_empty() || self.session.wants_write() || heard.len() < expected {
            let n = self.session.writer().write(out)?;
            out = &out[n..];
            match self.session.reader().read(&mut piece) {
                Ok(0) if out.is_empty() && !self.session.wants_write() => return Ok(heard),
                Ok(0) => {}
                Ok(n) => {
                    heard.extend_from_slice(&piece[..n]);
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            self.step().await?;
            tokio::task::yield_now().await;
        }
        Ok(heard)
    }

    /// All until the end.
    pub(super) async fn rest(&mut self) -> io::Result<Vec<u8>> {
        self.exchange(&[], usize::MAX).await
    }

    pub(super) async fn say(&mut self, bytes: &[u8]) {
        self.exchange(bytes, 0).await.unwrap();
    }

    pub(super) async fn hear(&mut self, length: usize) -> Vec<u8> {
        self.exchange(&[], length).await.unwrap()
    }

    /// Sends what the session has to say by itself.
    pub(super) async fn flush(&mut self) {
        while self.session.wants_write() {
            self.step().await.unwrap();
        }
    }
}

fn moved(result: io::Result<usize>) -> io::Result<bool> {
    match result {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}

struct Raw<'a>(&'a TcpStream, usize);

impl Read for Raw<'_> {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        let n = space.len().min(self.1);
        self.0.try_read(&mut space[..n])
    }
}

impl Write for Raw<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
