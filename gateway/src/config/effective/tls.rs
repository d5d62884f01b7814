//! `[certificates.NAME]`, and `tls`

use std::path::Path;

use super::{Section, bare_or_quoted, duration, list, names, plain, quoted, table};
use crate::config::plan::{Acme, Certificate, CertificateSource, ListenerTls, Plan, UpstreamTls, Verify};

pub fn certificate(certificate: &Certificate) -> Section {
    let mut out = Section::new(format!("[certificates.{}]", bare_or_quoted(&certificate.name)));
    let domains: Vec<String> = certificate.domains.iter().map(ToString::to_string).collect();
    out.key("domains", names(&domains));
    match &certificate.source {
        CertificateSource::Files(files) => {
            out.key("cert_file", file(Some(&files.cert_file)));
            out.key("key_file", file(Some(&files.key_file)));
            out.key("ocsp_file", file(files.ocsp.as_ref().map(|o| &*o.file)));
        }
        CertificateSource::Acme(order) => out.key("acme", acme(order)),
    }
    out
}

fn acme(acme: &Acme) -> String {
    table([
        ("email", plain(acme.email.as_deref().unwrap_or(""))),
        ("directory", plain(&acme.directory)),
        ("storage", file(Some(&acme.storage))),
        ("ca_file", file(acme.trust.as_ref().map(|trust| &*trust.file))),
        // Without it there is no plan.
        ("terms_agreed", true.to_string()),
    ])
}

/// What a listener with certificates says of TLS, into its section.
pub fn listener(tls: &ListenerTls, plan: &Plan, out: &mut Section) {
    let name = |id: usize| quoted(&plan.certificates[id].name);
    out.key("certificates", list(tls.certificates.iter().map(|id| name(id.0))));
    out.key("default_certificate", name(tls.default_certificate.0));
    out.key("http2", tls.http2);
    out.key("min_version", quoted(tls.min_version.name()));
    out.key("handshake_timeout", duration(tls.handshake_timeout));
    out.key(
        "client_ca_file",
        file(tls.client_auth.as_ref().map(|a| &*a.ca_file)),
    );
    if let Some(auth) = &tls.client_auth {
        out.key(
            "client_auth",
            quoted(if auth.required { "require" } else { "optional" }),
        );
    }
}

pub fn upstream(tls: &UpstreamTls) -> String {
    let ca_file = match &tls.verify {
        Verify::Authorities { file, .. } => Some(&**file),
        Verify::System | Verify::Nothing => None,
    };
    table([
        ("sni", plain(tls.sni.as_deref().unwrap_or(""))),
        ("ca_file", file(ca_file)),
        (
            "client_cert_file",
            file(tls.client.as_ref().map(|c| &*c.cert_file)),
        ),
        ("client_key_file", file(tls.client.as_ref().map(|c| &*c.key_file))),
        ("verify", (tls.verify != Verify::Nothing).to_string()),
    ])
}

fn file(path: Option<&Path>) -> String {
    plain(&path.map_or(String::new(), |path| path.display().to_string()))
}
