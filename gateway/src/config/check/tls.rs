//! TLS of a listener, and of an upstream

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;

use super::certificates::{self, given};
use super::names::Names;
use super::values::{self, Zero};
use crate::config::findings::Findings;
use crate::config::plan::{
    Address, Certificate, CertificateId, ClientAuth, ClientCertificate, Domain, ListenerTls,
    SendProxyProtocol, TlsVersion, UpstreamServer, UpstreamTls, Verify,
};
use crate::config::raw;
use crate::config::raw::leaf::{At, Maybe, Span};

/// Three round trips of a slow mobile client take two seconds; whoever takes longer is stuck or means harm.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The certificates of a file, by name.
pub struct Shown<'r> {
    names: Names<'r>,
    /// In the order of the names; None for one with a problem.
    certificates: Vec<Option<Arc<Certificate>>>,
}

impl<'r> Shown<'r> {
    /// Those of the section, as [`certificates::certificates`] has read them.
    pub fn of(file: &'r raw::File, certificates: Vec<Option<Arc<Certificate>>>) -> Self {
        Self {
            names: Names::of("certificate", "certificates", file.certificates.as_ref()).used_by("listener"),
            certificates,
        }
    }

    /// What no listener shows is no use to anybody.
    pub fn warn_of_unused(&self, findings: &mut Findings<'_>) {
        self.names
            .warn_of_unused(|name| format!("certificates = [\"{name}\"]"), findings);
    }

    /// In the order of their names; None for one with a problem.
    pub fn certificates(&self) -> &[Option<Arc<Certificate>>] {
        &self.certificates
    }

    /// Those without a problem.
    pub fn into_certificates(self) -> Vec<Arc<Certificate>> {
        self.certificates.into_iter().flatten().collect()
    }

    /// Those a listener lists, none twice, and no domain in two of them.
    fn listed(
        &mut self,
        item: &raw::Listener,
        path: &str,
        findings: &mut Findings<'_>,
    ) -> Vec<CertificateId> {
        let path = format!("{path}.certificates");
        let mut ids: Vec<CertificateId> = Vec::new();
        let mut domains: Vec<(&Domain, usize)> = Vec::new();
        for name in item.certificates.iter().flat_map(|list| &list.value) {
            let Some(at) = self.names.find(name, &path, findings) else {
                continue;
            };
            if ids.contains(&CertificateId(at)) {
                let message = format!("\"{}\" is listed twice", name.value);
                findings.warning(&name.span, &path, message);
                continue;
            }
            ids.push(CertificateId(at));
            let Some(certificate) = &self.certificates[at] else {
                continue;
            };
            for domain in &certificate.domains {
                if let Some((_, other)) = domains.iter().find(|(known, _)| *known == domain) {
                    let other = self.names.name(*other);
                    let message = format!("\"{}\" and \"{other}\" are both for {domain}", name.value);
                    let problem = findings.error(&name.span, &path, message);
                    problem.help(format!("take {domain} out of the `domains` of one of them"));
                } else {
                    domains.push((domain, at));
                }
            }
        }
        ids
    }
}

/// TLS of a listener; None without certificates.
pub fn listener(
    item: &At<raw::Listener>,
    path: &str,
    shown: &mut Shown<'_>,
    findings: &mut Findings<'_>,
) -> Option<ListenerTls> {
    let raw = &item.value;
    let is_plain = raw.certificates.as_ref().is_none_or(|list| list.value.is_empty());
    let is_whole = findings.is_whole(&item.span)
        && raw
            .certificates
            .as_ref()
            .is_none_or(|list| findings.is_whole(&list.span));
    let client_auth = client_auth(item, path, findings);
    let handshake_timeout = values::duration(
        &raw.handshake_timeout,
        &format!("{path}.handshake_timeout"),
        Zero::Means("every wait must end some time; \"1m\" is patient"),
        HANDSHAKE_TIMEOUT,
        findings,
    );
    if is_plain {
        if is_whole {
            refuse_on_plain(raw, path, findings);
        }
        return None;
    }
    refuse_on_tls(raw, path, findings);
    let certificates = shown.listed(raw, path, findings);
    let default_certificate = default(raw, &certificates, path, shown, findings)?;
    Some(ListenerTls {
        certificates,
        default_certificate,
        http2: raw.http2.as_ref().is_none_or(|f| f.value.0),
        min_version: match raw.min_version.as_ref().map(|v| v.value) {
            None | Some(raw::TlsVersion::V1_2) => TlsVersion::V1_2,
            Some(raw::TlsVersion::V1_3) => TlsVersion::V1_3,
        },
        client_auth,
        handshake_timeout,
    })
}

/// What means something only with certificates.
fn refuse_on_plain(raw: &raw::Listener, path: &str, findings: &mut Findings<'_>) {
    if let Some(written) = &raw.http2 {
        let message = "`http2` has no effect without `certificates`: clients agree on it in TLS";
        let problem = findings.error(&written.span, &format!("{path}.http2"), message);
        problem.help("write h2c = true for HTTP/2 in plain, or list certificates");
    }
    let others = [
        ("min_version", raw.min_version.as_ref().map(|v| &v.span)),
        (
            "handshake_timeout",
            raw.handshake_timeout.as_ref().map(|v| &v.span),
        ),
        ("client_ca_file", given(&raw.client_ca_file).map(|v| &v.span)),
        ("client_auth", raw.client_auth.as_ref().map(|v| &v.span)),
        (
            "default_certificate",
            raw.default_certificate.as_ref().map(|v| &v.span),
        ),
    ];
    for (key, span) in others {
        if let Some(span) = span {
            let message = format!("`{key}` has no effect without `certificates`");
            let problem = findings.error(span, &format!("{path}.{key}"), message);
            problem.help(format!("list certificates, or take `{key}` out"));
        }
    }
}

/// What means something only without certificates.
fn refuse_on_tls(raw: &raw::Listener, path: &str, findings: &mut Findings<'_>) {
    if let Some(written) = raw.h2c.as_ref().filter(|f| f.value.0) {
        let message = "`h2c` is HTTP/2 in plain, and this listener speaks TLS";
        let problem = findings.error(&written.span, &format!("{path}.h2c"), message);
        problem.help("take it out: with certificates HTTP/2 is offered anyway");
    }
    if let Some(written) = raw.redirect_to_https.as_ref().filter(|f| f.value.0) {
        let message = "a listener with certificates would redirect to itself for ever";
        let problem = findings.error(&written.span, &format!("{path}.redirect_to_https"), message);
        problem.help("`redirect_to_https` belongs to the listener without certificates");
    }
}

fn default(
    raw: &raw::Listener,
    listed: &[CertificateId],
    path: &str,
    shown: &mut Shown<'_>,
    findings: &mut Findings<'_>,
) -> Option<CertificateId> {
    let Some(written) = &raw.default_certificate else {
        return listed.first().copied();
    };
    let path = format!("{path}.default_certificate");
    let id = CertificateId(shown.names.find(written, &path, findings)?);
    if !listed.contains(&id) {
        let message = format!(
            "\"{}\" is not one of this listener's `certificates`",
            written.value
        );
        let problem = findings.error(&written.span, &path, message);
        problem.help("add it to them");
    }
    Some(id)
}

fn client_auth(item: &At<raw::Listener>, path: &str, findings: &mut Findings<'_>) -> Option<ClientAuth> {
    let raw = &item.value;
    let Some(written) = given(&raw.client_ca_file) else {
        let is_plain = raw.certificates.as_ref().is_none_or(|list| list.value.is_empty());
        if let Some(auth) = &raw.client_auth
            && !is_plain
            && findings.is_whole(&item.span)
        {
            let message = "`client_auth` has no effect without `client_ca_file`: nobody could sign a client's certificate";
            let problem = findings.error(&auth.span, &format!("{path}.client_auth"), message);
            problem.help("write client_ca_file = \"/etc/tls/clients-ca.pem\"");
        }
        return None;
    };
    let authorities = certificates::authorities(written, &format!("{path}.client_ca_file"), findings)?;
    Some(ClientAuth {
        ca_file: PathBuf::from(&written.value),
        authorities,
        required: match raw.client_auth.as_ref().map(|a| a.value) {
            None | Some(raw::ClientAuth::Require) => true,
            Some(raw::ClientAuth::Optional) => false,
        },
    })
}

/// `tls` of an upstream.
pub fn upstream(
    section: &At<raw::UpstreamTls>,
    servers: &[UpstreamServer],
    path: &str,
    now: Duration,
    findings: &mut Findings<'_>,
) -> UpstreamTls {
    let path = format!("{path}.tls");
    let raw = &section.value;
    let sni = given(&raw.sni);
    if let Some(written) = sni
        && ServerName::try_from(written.value.as_str()).is_err()
    {
        let message = format!(
            "\"{}\" is not a name that a certificate can be for",
            written.value
        );
        let problem = findings.error(&written.span, &format!("{path}.sni"), message);
        problem.help("write the host alone: \"app.internal\"");
    }
    let verify = verify(raw, &path, findings);
    if sni.is_none() {
        nameless(servers, &verify, section, &path, findings);
    }
    UpstreamTls {
        sni: sni.map(|written| written.value.clone()),
        verify,
        client: client(section, &path, now, findings),
    }
}

fn verify(raw: &raw::UpstreamTls, path: &str, findings: &mut Findings<'_>) -> Verify {
    let at = format!("{path}.ca_file");
    let ca_file = given(&raw.ca_file);
    let Some(off) = raw.verify.as_ref().filter(|flag| !flag.value.0) else {
        let believed = ca_file.and_then(|written| {
            let authorities = certificates::authorities(written, &at, findings)?;
            Some(Verify::Authorities {
                file: PathBuf::from(&written.value),
                authorities,
            })
        });
        return believed.unwrap_or(Verify::System);
    };
    if let Some(written) = ca_file {
        let problem = findings.error(
            &written.span,
            &at,
            "`ca_file` has no effect with `verify = false`",
        );
        problem.help("take `verify = false` out, and the servers are verified by it");
    }
    let message = "NOT VERIFIED: whoever stands between here and the servers can pass for them, and read and change \
                   every request, passwords and cookies among them";
    let problem = findings.warning(&off.span, &format!("{path}.verify"), message);
    problem.help("name the authority that has signed their certificates, or one of your own: ca_file = \"/etc/tls/internal-ca.pem\"");
    Verify::Nothing
}

/// Servers whose address is no name.
fn nameless(
    servers: &[UpstreamServer],
    verify: &Verify,
    section: &At<raw::UpstreamTls>,
    path: &str,
    findings: &mut Findings<'_>,
) {
    let message = servers.iter().find_map(|server| match &server.address {
        Address::Unix(_) => Some(format!("{} has no name to ask for", server.address)),
        // Underscores are fine in DNS, and in no certificate.
        Address::Tcp { host, .. } if ServerName::try_from(bare(host)).is_err() => {
            Some(format!("\"{host}\" is not a name that a certificate can be for"))
        }
        Address::Tcp { .. } => None,
    });
    if let Some(message) = message.filter(|_| findings.is_whole(&section.span)) {
        let what = match verify {
            Verify::Nothing => "some name is needed even so",
            Verify::System | Verify::Authorities { .. } => "it is what the server's certificate must be for",
        };
        let problem = findings.error(&section.span, &format!("{path}.sni"), message);
        problem.help(format!("write sni = \"app.internal\": {what}"));
    }
}

/// An IPv6 literal without its brackets.
fn bare(host: &str) -> &str {
    host.strip_prefix('[')
        .and_then(|h| h.strip_suffix(']'))
        .unwrap_or(host)
}

fn client(
    section: &At<raw::UpstreamTls>,
    path: &str,
    now: Duration,
    findings: &mut Findings<'_>,
) -> Option<ClientCertificate> {
    let raw = &section.value;
    let (cert_file, key_file) = match (given(&raw.client_cert_file), given(&raw.client_key_file)) {
        (None, None) => return None,
        (Some(cert), Some(key)) => (cert, key),
        (Some(cert), None) => {
            return alone(
                cert,
                section,
                ("client_cert_file", "client_key_file"),
                path,
                findings,
            );
        }
        (None, Some(key)) => {
            return alone(
                key,
                section,
                ("client_key_file", "client_cert_file"),
                path,
                findings,
            );
        }
    };
    let identity = certificates::identity(
        (cert_file, "client_cert_file"),
        (key_file, "client_key_file"),
        path,
        now,
        findings,
    )?;
    Some(ClientCertificate {
        cert_file: PathBuf::from(&cert_file.value),
        key_file: PathBuf::from(&key_file.value),
        identity: Arc::new(identity),
    })
}

fn alone<T, N>(
    written: &At<String>,
    section: &At<T>,
    (key, other): (&str, &str),
    path: &str,
    findings: &mut Findings<'_>,
) -> Option<N> {
    if findings.is_whole(&section.span) {
        let message = format!("`{key}` is of no use without `{other}`");
        let problem = findings.error(&written.span, &format!("{path}.{key}"), message);
        problem.help(format!("add {other} = \"…\""));
    }
    None
}

/// `send_proxy_protocol`
pub fn send_proxy_protocol(raw: &Maybe<raw::SendProxyProtocol>) -> SendProxyProtocol {
    match raw.as_ref().map(|choice| choice.value) {
        None | Some(raw::SendProxyProtocol::Off) => SendProxyProtocol::Off,
        Some(raw::SendProxyProtocol::V1) => SendProxyProtocol::V1,
        Some(raw::SendProxyProtocol::V2) => SendProxyProtocol::V2,
    }
}

/// Where a PROXY line is asked for from everybody and believed from nobody.
pub fn warn_of_disbelief(span: &Span, path: &str, findings: &mut Findings<'_>) {
    let message = "`proxy_protocol` believes nobody: `trusted_proxies` in [server] is empty";
    let problem = findings.warning(span, &format!("{path}.proxy_protocol"), message);
    problem.help("list the networks of your balancers there");
}
