//! Our side of TLS towards servers.

use std::fmt;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use crate::config::plan::{Address, UpstreamTls, Verify};
use crate::secrets::certificate;

/// Names of servers whose sessions are remembered.
const SESSIONS_MAX: usize = 1_024;

/// Authorities that the operating system believes. Reading them costs tens of milliseconds: once is enough.
#[derive(Clone)]
pub struct SystemAuthorities(Arc<RootCertStore>);

impl SystemAuthorities {
    /// Reads the disk. A system without a store has none, and then no server is believed that is not certified by a
    /// `ca_file`.
    pub fn load() -> Self {
        let mut roots = RootCertStore::empty();
        // Of the system's some are too odd to be used, on every system.
        roots.add_parsable_certificates(pingora::tls::load_native_certs().unwrap_or_default());
        Self(Arc::new(roots))
    }

    /// How many are believed.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Debug for SystemAuthorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SystemAuthorities").field(&self.count()).finish()
    }
}

/// What the servers of an upstream are greeted with. One for each upstream, shared by the workers, as it remembers the
/// sessions to go on with; it stays as it is over a reload that leaves the upstream's `tls` as it was.
#[derive(Debug)]
pub struct ClientSide {
    config: Arc<ClientConfig>,
    /// None takes each server's host.
    name: Option<ServerName<'static>>,
}

impl ClientSide {
    /// As a plan says.
    pub fn new(tls: &UpstreamTls, system: &SystemAuthorities) -> Self {
        let provider = certificate::provider();
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("ring has the cipher suites of TLS 1.2 and 1.3");
        let builder = match &tls.verify {
            Verify::System => builder.with_root_certificates(Arc::clone(&system.0)),
            Verify::Authorities { authorities, .. } => builder.with_root_certificates(authorities.store()),
            Verify::Nothing => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(TrustsAnyCertificate(provider))),
        };
        let mut config = match &tls.client {
            None => builder.with_no_client_auth(),
            Some(client) => {
                let certified = SingleCertAndKey::from(client.identity.certified(None));
                builder.with_client_cert_resolver(Arc::new(certified))
            }
        };
        config.alpn_protocols.push(b"http/1.1".to_vec());
        config.resumption = Resumption::in_memory_sessions(SESSIONS_MAX);
        let name = tls.sni.as_deref().map(|sni| {
            let name = ServerName::try_from(sni).expect("a plan's sni was checked to be a name");
            name.to_owned()
        });
        Self {
            config: Arc::new(config),
            name,
        }
    }

    /// The same towards servers that speak HTTP/2: nothing else is offered, so a server that does not speak it says so in
    /// the handshake.
    #[must_use]
    pub fn for_http2(mut self) -> Self {
        Arc::make_mut(&mut self.config).alpn_protocols = vec![b"h2".to_vec()];
        self
    }

    /// What the next handshake begins with.
    pub fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }

    /// What the certificate of the server at this address must be for. A host that is an address is asked for by no SNI
    /// (RFC 6066 §3), and verified all the same.
    ///
    /// None for a socket of the file system without `sni`, which no plan has.
    pub fn name(&self, address: &Address) -> Option<ServerName<'static>> {
        if let Some(name) = &self.name {
            return Some(name.clone());
        }
        match address {
            Address::Unix(_) => None,
            Address::Tcp { host, .. } => {
                let inner = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
                let name = ServerName::try_from(inner.unwrap_or(host)).ok()?;
                Some(name.to_owned())
            }
        }
    }
}

/// `verify = false`: takes whatever certificate it is shown, from whomever, for whatever name. What is left is that the
/// peer has the key of the certificate it has shown.
#[derive(Debug)]
pub struct TrustsAnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for TrustsAnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
