//! What plays of TLS are made of: authorities, certificates, and HTTP/1.1 over TLS.

use std::cell::RefCell;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned};

use crate::body::Collector;
use crate::client::Request;
use crate::patience::patience;
use crate::wire::{Fault, Framing, Head, Reader};

/// The one that all ends of the plays use.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Who signs.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate.
    root: CertificateDer<'static>,
    folder: tempfile::TempDir,
}

/// A certificate and its key, in a folder of their own.
pub struct Leaf {
    /// The certificate.
    pub der: CertificateDer<'static>,
    key: String,
    pem: String,
    folder: tempfile::TempDir,
}

impl Authority {
    /// One that nobody believes yet.
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("there are random bits");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let root = params.self_signed(&key).expect("it may sign itself");
        let folder = tempfile::tempdir().expect("a temporary folder is to be had");
        fs::write(folder.path().join("ca.pem"), root.pem()).expect("its folder can be written");
        Self {
            root: root.der().clone(),
            issuer: Issuer::new(params, key),
            folder,
        }
    }

    /// Signs a certificate for these names and addresses.
    pub fn sign(&self, names: &[&str]) -> Leaf {
        let key = KeyPair::generate().expect("there are random bits");
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let cert = CertificateParams::new(names)
            .expect("plays use names that are some")
            .signed_by(&key, &self.issuer);
        let cert = cert.expect("its key signs");
        let leaf = Leaf {
            der: cert.der().clone(),
            key: key.serialize_pem(),
            pem: cert.pem(),
            folder: tempfile::tempdir().expect("a temporary folder is to be had"),
        };
        leaf.put(&leaf.pem, &leaf.key);
        leaf
    }

    /// The file of its certificate.
    pub fn file(&self) -> String {
        self.folder.path().join("ca.pem").display().to_string()
    }

    /// What believes it, and nobody else.
    pub fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).expect("it has just been made");
        Arc::new(roots)
    }

    /// A client that believes it.
    pub fn client(&self) -> ClientConfig {
        self.client_of(rustls::DEFAULT_VERSIONS, None)
    }

    /// A client that believes it and remembers no sessions.
    pub fn forgetful_client(&self) -> ClientConfig {
        let mut client = self.client();
        client.resumption = rustls::client::Resumption::disabled();
        client
    }

    /// The same, by these versions, showing this certificate.
    pub fn client_of(
        &self,
        versions: &[&'static rustls::SupportedProtocolVersion],
        shows: Option<&Leaf>,
    ) -> ClientConfig {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .expect("ring has suites for both")
            .with_root_certificates(self.roots());
        match shows {
            None => builder.with_no_client_auth(),
            Some(leaf) => {
                let (chain, key) = leaf.parts();
                builder
                    .with_client_auth_cert(chain, key)
                    .expect("the key is the certificate's")
            }
        }
    }
}

impl Leaf {
    /// Certificate and key as files.
    pub fn files(&self) -> (String, String) {
        ["leaf.crt", "leaf.key"]
            .map(|name| self.folder.path().join(name).display().to_string())
            .into()
    }

    /// Certificate and key as rustls takes them.
    pub fn parts(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).expect("it was written as PEM");
        (vec![self.der.clone()], key)
    }

    /// The files are those of another certificate from now on.
    pub fn become_as(&self, other: &Self) {
        self.put(&other.pem, &other.key);
    }

    /// The certificate's file is none from now on.
    pub fn break_certificate(&self) {
        replace(&self.folder.path().join("leaf.crt"), "no certificate\n");
    }

    fn put(&self, pem: &str, key: &str) {
        replace(&self.folder.path().join("leaf.crt"), pem);
        replace(&self.folder.path().join("leaf.key"), key);
    }
}

/// By renaming, as those do who renew certificates.
fn replace(path: &Path, text: &str) {
    let fresh = path.with_extension("new");
    fs::write(&fresh, text).expect("the folder can be written");
    fs::set_permissions(&fresh, fs::Permissions::from_mode(0o600)).expect("the file is ours");
    fs::rename(&fresh, path).expect("within a folder, renaming works");
}

type Session = StreamOwned<ClientConnection, TcpStream>;

/// Both halves of a session: the reader keeps one, requests are written by the other.
#[derive(Clone)]
struct Half(Rc<RefCell<Session>>);

impl Read for Half {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.borrow_mut().read(buf)
    }
}

/// A connection of HTTP/1.1 over TLS.
pub struct TlsClient {
    session: Half,
    reader: Reader<Half>,
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its head.
    pub head: Head,
    /// Its body as text.
    pub body: String,
}

impl TlsClient {
    /// Shakes hands, for this name.
    #[track_caller]
    pub fn open(to: SocketAddr, config: &Arc<ClientConfig>, name: &str) -> Self {
        Self::try_open(to, config, name, b"")
            .unwrap_or_else(|error| panic!("no handshake for {name}: {error}"))
    }

    /// Sends these bytes and shakes hands, or says why not.
    pub fn try_open(
        to: SocketAddr,
        config: &Arc<ClientConfig>,
        name: &str,
        before: &[u8],
    ) -> io::Result<Self> {
        let mut socket = TcpStream::connect(to)?;
        socket.set_read_timeout(Some(patience()))?;
        socket.set_nodelay(true)?;
        let name = ServerName::try_from(name.to_owned()).expect("plays use names that are some");
        let mut tls = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
        // In one write, as a balancer passes on what it has: the gateway must not take the one for part of the other.
        let mut first = before.to_vec();
        tls.write_tls(&mut first)?;
        socket.write_all(&first)?;
        while tls.is_handshaking() {
            tls.complete_io(&mut socket)?;
        }
        let session = Half(Rc::new(RefCell::new(StreamOwned::new(tls, socket))));
        Ok(Self {
            reader: Reader::new(session.clone()),
            session,
        })
    }

    /// Sends a request and reads its answer.
    #[track_caller]
    pub fn ask(&mut self, request: &Request) -> Answer {
        self.try_ask(request)
            .unwrap_or_else(|fault| panic!("no answer to {request:?}: {fault}"))
    }

    /// GET
    #[track_caller]
    pub fn get(&mut self, target: &str) -> Answer {
        self.ask(&Request::get(target))
    }

    /// Sends a request and reads its answer, or says why not.
    pub fn try_ask(&mut self, request: &Request) -> Result<Answer, Fault> {
        self.session.0.borrow_mut().write_all(&request.bytes())?;
        let head = self.reader.head()?;
        let head = head.ok_or_else(|| Fault::Ended("an answer".to_owned()))?;
        let framing = head.framing()?.unwrap_or(Framing::UntilClose);
        let message = self.reader.body(framing, &mut Collector::default())?;
        let status = head.start.split(' ').nth(1).and_then(|word| word.parse().ok());
        Ok(Answer {
            status: status.ok_or_else(|| Fault::Syntax(head.start.clone()))?,
            body: message.body.text().into_owned(),
            head,
        })
    }

    /// The first certificate the server has shown.
    pub fn shown(&self) -> CertificateDer<'static> {
        let session = self.session.0.borrow();
        session
            .conn
            .peer_certificates()
            .expect("the server has shown some")[0]
            .clone()
            .into_owned()
    }

    /// How it began.
    pub fn is_resumed(&self) -> bool {
        self.session.0.borrow().conn.handshake_kind() == Some(HandshakeKind::Resumed)
    }
}

impl Answer {
    /// Fails unless it has this status.
    #[track_caller]
    pub fn expect(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "{}{}", self.head, self.body);
        self
    }
}
