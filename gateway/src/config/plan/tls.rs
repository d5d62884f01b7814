//! Who we are to clients, whom we believe, and what is spoken below HTTP.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::kit::host::HostPattern;
use crate::secrets::{Authorities, Identity, Staple};

/// An index into [`Plan::certificates`](super::Plan::certificates).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CertificateId(pub usize);

/// `[certificates.NAME]`; what stands in the files belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// NAME
    pub name: String,
    /// Names of servers it is shown for, none twice; at least one.
    pub domains: Vec<Domain>,
    /// Where it comes from.
    pub source: CertificateSource,
}

/// Where a certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateSource {
    /// `cert_file` and `key_file`
    Files(CertificateFiles),
    /// `acme`
    Acme(Acme),
}

/// `cert_file` and `key_file`; what stands in them belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, in PEM.
    pub cert_file: PathBuf,
    /// The key of its first certificate, in PEM.
    pub key_file: PathBuf,
    /// What both say.
    pub identity: Arc<Identity>,
    /// What its authority has said of it lately; None without `ocsp_file`.
    pub ocsp: Option<Ocsp>,
}

/// `acme`. What has been ordered is state, not plan: it does not belong to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acme {
    /// Whom the authority writes to.
    pub email: Option<String>,
    /// An https URL.
    pub directory: String,
    /// The folder of account, certificates and keys.
    pub storage: PathBuf,
    /// Who vouches for the directory; None = the authorities of the system.
    pub trust: Option<AcmeTrust>,
}

/// `ca_file` of `acme`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcmeTrust {
    /// The file, in PEM.
    pub file: PathBuf,
    /// What it says.
    pub authorities: Arc<Authorities>,
}

/// `ocsp_file`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ocsp {
    /// The file, in DER.
    pub file: PathBuf,
    /// What it says.
    pub staple: Arc<Staple>,
}

/// Of which names a certificate is shown. In lower case, without a trailing dot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Domain {
    /// `example.com`
    Exact(String),
    /// `*.example.com`: names with one label more than this, "example.com". RFC 6125 §6.4.3 allows no certificate more.
    Below(String),
}

/// TLS of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerTls {
    /// What it may show, none twice, no domain in two of them; at least one.
    pub certificates: Vec<CertificateId>,
    /// One of them, for a client that names no server, or one that none is for.
    pub default_certificate: CertificateId,
    /// Whether HTTP/2 is offered (ALPN).
    pub http2: bool,
    /// The oldest version that is spoken.
    pub min_version: TlsVersion,
    /// Who clients must be; None asks for nothing.
    pub client_auth: Option<ClientAuth>,
    /// For a whole handshake.
    pub handshake_timeout: Duration,
}

/// `min_version`
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246)
    V1_2,
    /// TLS 1.3 (RFC 8446)
    V1_3,
}

/// `client_ca_file` and `client_auth`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientAuth {
    /// The file, in PEM.
    pub ca_file: PathBuf,
    /// Whose certificates are believed.
    pub authorities: Arc<Authorities>,
    /// Whether a client without a certificate is refused.
    pub required: bool,
}

/// `upstreams.*.tls`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamTls {
    /// The name that is asked for and must be certified; None = each server's host.
    pub sni: Option<String>,
    /// Who is believed.
    pub verify: Verify,
    /// Who we are; None = nobody.
    pub client: Option<ClientCertificate>,
}

/// Whose word is taken for a server's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verify {
    /// The authorities of the system.
    System,
    /// Those of `ca_file`, and no others.
    Authorities {
        /// The file, in PEM.
        file: PathBuf,
        /// What it says.
        authorities: Arc<Authorities>,
    },
    /// Nobody's: `verify = false`. Whoever stands in between can read and change everything.
    Nothing,
}

/// `client_cert_file` and `client_key_file`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The chain, in PEM.
    pub cert_file: PathBuf,
    /// The key of its first certificate, in PEM.
    pub key_file: PathBuf,
    /// What both say.
    pub identity: Arc<Identity>,
}

/// `send_proxy_protocol`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SendProxyProtocol {
    /// Servers are told the client by fields alone.
    #[default]
    Off,
    /// By a line of text before the first byte.
    V1,
    /// By a binary header before the first byte.
    V2,
}

impl Certificate {
    /// The files it comes from; None for one that is ordered.
    pub fn files(&self) -> Option<&CertificateFiles> {
        match &self.source {
            CertificateSource::Files(files) => Some(files),
            CertificateSource::Acme(_) => None,
        }
    }

    /// How it is ordered; None for one that comes from files.
    pub fn acme(&self) -> Option<&Acme> {
        match &self.source {
            CertificateSource::Files(_) => None,
            CertificateSource::Acme(acme) => Some(acme),
        }
    }
}

impl Domain {
    /// Reads `example.com` or `*.example.com`, in any case. None for an address, a bare `*` or no name at all.
    pub fn parse(text: &str) -> Option<Self> {
        let domain = match HostPattern::parse(text)? {
            HostPattern::Exact(name) => Self::Exact(name),
            HostPattern::Below(suffix) => Self::Below(suffix.trim_start_matches('.').to_owned()),
            HostPattern::Any => return None,
        };
        let (Self::Exact(name) | Self::Below(name)) = &domain;
        // RFC 6066 §3: "Literal IPv4 and IPv6 addresses are not permitted" in a client's SNI.
        let last = name.rsplit('.').next().unwrap_or_default();
        let is_address = name.starts_with('[') || last.bytes().all(|b| b.is_ascii_digit());
        (!is_address).then_some(domain)
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Below(domain) => write!(f, "*.{domain}"),
        }
    }
}

impl TlsVersion {
    /// As the configuration names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::V1_2 => "1.2",
            Self::V1_3 => "1.3",
        }
    }
}

impl SendProxyProtocol {
    /// As the configuration names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }
}
