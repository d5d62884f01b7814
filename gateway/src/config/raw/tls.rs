//! `[certificates.NAME]`, and `tls` of an upstream

use schemars::JsonSchema;
use serde::Deserialize;

use super::leaf::{Flag, List, Maybe};

/// Who we are to clients, for some names.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// Names it is shown for: "example.com", or "*.example.com" for those with one label more.
    pub domains: List<String>,
    /// The certificate and those that lead to its authority, in PEM. Read again when it changes.
    pub cert_file: Maybe<String>,
    /// Its private key, in PEM and not encrypted. Read again when it changes.
    pub key_file: Maybe<String>,
    /// What its authority says of it (OCSP), in DER; handed to clients. "" for nothing. Default `""`.
    pub ocsp_file: Maybe<String>,
    /// Ordered and renewed by the gateway itself, instead of cert_file and key_file.
    pub acme: Maybe<Acme>,
}

/// Where a certificate is ordered (ACME, RFC 8555). The authority asks for a proof on port 80 of each domain.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Acme {
    /// Whom the authority writes to; "" for nobody. Default `""`.
    pub email: Maybe<String>,
    /// The authority's directory. Default `"https://acme-v02.api.letsencrypt.org/directory"`.
    pub directory: Maybe<String>,
    /// A folder for account, certificates and keys, which the gateway can write. Default `"/var/lib/sluice/acme"`.
    pub storage: Maybe<String>,
    /// Authorities that the directory's own certificate is believed by, in PEM; "" for those of the system. Default `""`.
    pub ca_file: Maybe<String>,
    /// Must be true: that you agree to the authority's terms of service, which nobody else can say for you.
    pub terms_agreed: Maybe<Flag>,
}

/// The oldest version of TLS that is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum TlsVersion {
    /// TLS 1.2
    #[serde(rename = "1.2")]
    V1_2,
    /// TLS 1.3
    #[serde(rename = "1.3")]
    V1_3,
}

/// Whether a client must show a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ClientAuth {
    /// One that shows none is let in as nobody.
    Optional,
    /// One that shows none is refused.
    Require,
}

/// TLS to the servers; `{}` for all defaults.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpstreamTls {
    /// The name that is asked for and must be certified; "" takes each server's host. Default `""`.
    pub sni: Maybe<String>,
    /// Authorities that are believed instead of the system's, in PEM; "" for those of the system. Default `""`.
    pub ca_file: Maybe<String>,
    /// A certificate to show to the servers, in PEM; "" for none. Default `""`.
    pub client_cert_file: Maybe<String>,
    /// Its private key, in PEM and not encrypted. Default `""`.
    pub client_key_file: Maybe<String>,
    /// Whether a server must prove its name; without, anybody in between can pass for it. Default `true`.
    pub verify: Maybe<Flag>,
}

/// How servers are told who the client is, before the first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SendProxyProtocol {
    /// Not at all.
    Off,
    /// By a line of text.
    V1,
    /// By a binary header.
    V2,
}
