//! Both sides against rustls as it is, over buffers in memory.

mod clients;
mod listeners;
mod returning;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::client::Tls12Resumption;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Error, HandshakeKind, ServerConfig, ServerConnection};

use super::*;
use crate::config::plan::{
    Certificate, CertificateFiles, CertificateId, CertificateSource, ClientAuth, ClientCertificate, Domain,
    ListenerTls, Ocsp, TlsVersion,
};
use crate::kit::clock::{Clock, Mono};
use crate::secrets::certificate::{self, Chain, PrivateKey};
use crate::secrets::{Authorities, Identity};

fn of_files(identity: Arc<Identity>, ocsp: Option<Ocsp>) -> CertificateSource {
    CertificateSource::Files(CertificateFiles {
        cert_file: PathBuf::from("a.crt"),
        key_file: PathBuf::from("a.key"),
        identity,
        ocsp,
    })
}

/// Who signs, for servers and clients alike.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            pem,
            issuer: Issuer::new(params, key),
        }
    }

    /// For these names, of a subject.
    fn sign(&self, names: &[&str], subject: &str) -> Arc<Identity> {
        let key = KeyPair::generate().unwrap();
        let names = names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, subject);
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        let chain = Chain::parse(format!("{}{}", leaf.pem(), self.pem).as_bytes()).unwrap();
        let key = PrivateKey::parse(key.serialize_pem().as_bytes()).unwrap();
        Arc::new(Identity::new(chain, key).unwrap())
    }

    fn authorities(&self) -> Arc<Authorities> {
        Arc::new(Authorities::parse(self.pem.as_bytes()).unwrap())
    }

    fn auth(&self, required: bool) -> ClientAuth {
        ClientAuth {
            ca_file: PathBuf::from("ca.pem"),
            authorities: self.authorities(),
            required,
        }
    }

    /// A certificate of the plan for these names.
    fn certificate(&self, names: &[&str]) -> Arc<Certificate> {
        Arc::new(Certificate {
            name: names[0].to_owned(),
            domains: names.iter().map(|name| Domain::parse(name).unwrap()).collect(),
            source: of_files(self.sign(names, "server"), None),
        })
    }

    /// A client that believes this authority and shows a certificate or none.
    fn client(&self, shows: Option<Arc<Identity>>) -> ClientConfig {
        self.client_of(
            rustls::DEFAULT_VERSIONS,
            Tls12Resumption::SessionIdOrTickets,
            shows,
        )
    }

    fn client_of(
        &self,
        versions: &[&'static rustls::SupportedProtocolVersion],
        tls12: Tls12Resumption,
        shows: Option<Arc<Identity>>,
    ) -> ClientConfig {
        let builder = ClientConfig::builder_with_provider(certificate::provider())
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(self.authorities().store());
        let mut config = match shows {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let certified = rustls::sign::SingleCertAndKey::from(identity.certified(None));
                builder.with_client_cert_resolver(Arc::new(certified))
            }
        };
        config.resumption = rustls::client::Resumption::in_memory_sessions(16).tls12_resumption(tls12);
        config
    }
}

/// What a listener says that has all of so many certificates, the first by default.
fn listener_tls(certificates: usize) -> ListenerTls {
    ListenerTls {
        certificates: (0..certificates).map(CertificateId).collect(),
        default_certificate: CertificateId(0),
        http2: true,
        min_version: TlsVersion::V1_2,
        client_auth: None,
        handshake_timeout: Duration::from_secs(10),
    }
}

fn resumption() -> Resumption {
    Resumption::new(1_000, Mono::default()).unwrap()
}

fn now() -> Duration {
    Clock::system().now().wall
}

/// Two ends that talk in memory.
struct Pair {
    client: ClientConnection,
    server: ServerConnection,
}

impl Pair {
    /// After a handshake and a word in each direction, so that tickets have arrived.
    fn meet(client: &Arc<ClientConfig>, name: &str, server: Arc<ServerConfig>) -> Result<Self, Error> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        Self::with(ClientConnection::new(Arc::clone(client), name).unwrap(), server)
    }

    fn with(client: ClientConnection, server: Arc<ServerConfig>) -> Result<Self, Error> {
        let server = ServerConnection::new(server).unwrap();
        let mut pair = Self { client, server };
        pair.exchange()?;
        pair.echo();
        Ok(pair)
    }

    /// Until neither has anything more to send.
    fn exchange(&mut self) -> Result<(), Error> {
        loop {
            let mut bytes = Vec::new();
            while self.client.wants_write() {
                self.client.write_tls(&mut bytes).unwrap();
            }
            let sent = bytes.len();
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                self.server.read_tls(&mut rest).unwrap();
                self.server.process_new_packets()?;
            }
            let mut bytes = Vec::new();
            while self.server.wants_write() {
                self.server.write_tls(&mut bytes).unwrap();
            }
            if sent + bytes.len() == 0 {
                return Ok(());
            }
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                self.client.read_tls(&mut rest).unwrap();
                self.client.process_new_packets()?;
            }
        }
    }

    /// A word there and back.
    fn echo(&mut self) {
        use std::io::{Read, Write};
        let mut word = [0; 4];
        self.client.writer().write_all(b"ping").unwrap();
        self.exchange().unwrap();
        self.server.reader().read_exact(&mut word).unwrap();
        self.server.writer().write_all(&word).unwrap();
        self.exchange().unwrap();
        self.client.reader().read_exact(&mut word).unwrap();
        assert_eq!(&word, b"ping");
    }

    fn is_resumed(&self) -> bool {
        assert_eq!(self.client.handshake_kind(), self.server.handshake_kind());
        self.server.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// The first certificate the server has shown.
    fn shown(&self) -> &[u8] {
        &self.client.peer_certificates().unwrap()[0]
    }
}

fn first_of(certificate: &Certificate) -> Vec<u8> {
    certificate.files().unwrap().identity.certified(None).cert[0].to_vec()
}
