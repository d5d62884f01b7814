//! `[certificates.NAME]`, and files of certificates wherever they are named

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::auth::{self, needed};
use super::values;
use crate::config::findings::Findings;
use crate::config::plan::{Certificate, CertificateFiles, CertificateSource, Domain, Ocsp};
use crate::config::raw;
use crate::config::raw::leaf::{At, List, Maybe};
use crate::kit::http_date;
use crate::secrets::certificate::{Chain, PrivateKey};
use crate::secrets::{Authorities, Identity, Staple};

/// Those of a section, sorted by name as [`crate::config::plan::CertificateId`] counts them; None for one with a problem.
pub fn certificates(
    raw: Option<&At<BTreeMap<At<String>, At<raw::Certificate>>>>,
    now: Duration,
    findings: &mut Findings<'_>,
) -> Vec<Option<Arc<Certificate>>> {
    let named = raw.into_iter().flat_map(|section| &section.value);
    named
        .map(|(name, item)| certificate(name, item, now, findings).map(Arc::new))
        .collect()
}

fn certificate(
    name: &At<String>,
    item: &At<raw::Certificate>,
    now: Duration,
    findings: &mut Findings<'_>,
) -> Option<Certificate> {
    let path = format!("certificates.{}", name.value);
    values::name(name, &path, findings);
    let raw = &item.value;
    let domains = domains(item, &path, findings);
    if let Some(acme) = &raw.acme {
        let acme = super::acme::acme(item, acme, &domains, &path, findings);
        return Some(Certificate {
            name: name.value.clone(),
            domains: domains.into_iter().map(|(domain, _)| domain).collect(),
            source: CertificateSource::Acme(acme?),
        });
    }
    let files = files(item, &domains, &path, now, findings);
    Some(Certificate {
        name: name.value.clone(),
        domains: domains.into_iter().map(|(domain, _)| domain).collect(),
        source: CertificateSource::Files(files?),
    })
}

fn files(
    item: &At<raw::Certificate>,
    domains: &[(Domain, &At<String>)],
    path: &str,
    now: Duration,
    findings: &mut Findings<'_>,
) -> Option<CertificateFiles> {
    let raw = &item.value;
    let at = format!("{path}.cert_file");
    let cert_file = needed(
        &raw.cert_file,
        item,
        ("cert_file", "/etc/tls/example.crt"),
        &at,
        findings,
    );
    let at = format!("{path}.key_file");
    let key_file = needed(
        &raw.key_file,
        item,
        ("key_file", "/etc/tls/example.key"),
        &at,
        findings,
    );
    let (Some(cert_file), Some(key_file)) = (cert_file, key_file) else {
        // What is wrong with the one that is there is told as well.
        cert_file.and_then(|file| auth::file(file, &format!("{path}.cert_file"), findings, Chain::parse));
        key_file.and_then(|file| auth::file(file, &format!("{path}.key_file"), findings, PrivateKey::parse));
        return None;
    };
    let identity = identity(
        (cert_file, "cert_file"),
        (key_file, "key_file"),
        path,
        now,
        findings,
    )?;
    warn_of_uncovered(domains, &identity, cert_file, &raw.domains, path, findings);
    let ocsp = match given(&raw.ocsp_file) {
        Some(written) => Some(ocsp(
            written,
            &identity,
            &format!("{path}.ocsp_file"),
            now,
            findings,
        )?),
        None => None,
    };
    Some(CertificateFiles {
        cert_file: PathBuf::from(&cert_file.value),
        key_file: PathBuf::from(&key_file.value),
        identity: Arc::new(identity),
        ocsp,
    })
}

/// A text that is there and not empty.
pub fn given(raw: &Maybe<String>) -> Option<&At<String>> {
    raw.as_ref().filter(|written| !written.value.is_empty())
}

/// Names none twice, each with what was written.
fn domains<'r>(
    item: &'r At<raw::Certificate>,
    path: &str,
    findings: &mut Findings<'_>,
) -> Vec<(Domain, &'r At<String>)> {
    let path = format!("{path}.domains");
    let raw = &item.value.domains;
    let listed = raw.as_ref().map_or(&[][..], |list| &list.value);
    let span = raw.as_ref().map_or(&item.span, |list| &list.span);
    if listed.is_empty() && findings.is_whole(&item.span) && findings.is_whole(span) {
        let problem = findings.error(
            span,
            &path,
            "a certificate without `domains` would be shown to nobody",
        );
        problem.help("write domains = [\"example.com\", \"*.example.com\"]");
    }
    let mut found: Vec<(Domain, &At<String>)> = Vec::new();
    for item in listed {
        match Domain::parse(&item.value) {
            Some(domain) if found.iter().any(|(known, _)| *known == domain) => {
                let message = format!("\"{domain}\" is listed twice");
                findings.warning(&item.span, &path, message);
            }
            Some(domain) => found.push((domain, item)),
            None => {
                let message = format!("\"{}\" is not the name of a site", item.value);
                findings
                    .error(&item.span, &path, message)
                    .help(domain_help(&item.value));
            }
        }
    }
    found
}

fn domain_help(text: &str) -> &'static str {
    if text == "*" {
        return "a listener's `default_certificate` is for every name that no other is for";
    }
    if !text.is_ascii() {
        return "write it as DNS has it, in Punycode: \"xn--mnchen-3ya.de\"";
    }
    if text.contains(':') || text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return "clients name no address and no port: name the site, or make this the `default_certificate`";
    }
    "write \"example.com\", or \"*.example.com\" for names with one label more"
}

/// Who we are by two files; None with a problem told. What time will do to it is a warning: it must not keep all the
/// rest from starting.
pub fn identity(
    (cert_file, cert_key): (&At<String>, &str),
    (key_file, key_key): (&At<String>, &str),
    path: &str,
    now: Duration,
    findings: &mut Findings<'_>,
) -> Option<Identity> {
    let at = format!("{path}.{cert_key}");
    let chain = auth::file(cert_file, &at, findings, Chain::parse);
    let key_at = format!("{path}.{key_key}");
    let key = auth::file(key_file, &key_at, findings, PrivateKey::parse);
    let (chain, key) = (chain?, key?);
    warn_of_times(&chain, cert_file, &at, now, findings);
    if let Some(place) = chain.stray() {
        let message = format!(
            "certificate {place} in \"{}\" has not signed the one before it: clients may not find their way to an authority",
            cert_file.value
        );
        let problem = findings.warning(&cert_file.span, &at, message);
        problem.help("our own comes first, then the one that has signed it, and so on");
    }
    match Identity::new(chain, key) {
        Ok(identity) => Some(identity),
        Err(fault) => {
            let message = format!(
                "\"{}\" does not fit \"{}\": line {}: {}",
                key_file.value, cert_file.value, fault.line, fault.message
            );
            findings.error(&key_file.span, &key_at, message);
            None
        }
    }
}

fn warn_of_times(
    chain: &Chain,
    written: &At<String>,
    path: &str,
    now: Duration,
    findings: &mut Findings<'_>,
) {
    let leaf = chain.leaf();
    let date = |time: Duration| http_date::format(time.as_secs());
    if now > leaf.not_after {
        let message = format!(
            "the certificate in \"{}\" has expired on {}",
            written.value,
            date(leaf.not_after)
        );
        let problem = findings.warning(&written.span, path, message);
        problem.help("clients will refuse it: put a renewed one into the file; no reload is needed");
    } else if now < leaf.not_before {
        let message = format!(
            "the certificate in \"{}\" holds from {} on",
            written.value,
            date(leaf.not_before)
        );
        let problem = findings.warning(&written.span, path, message);
        problem.help("until then clients will refuse it; is the clock of this machine right?");
    }
}

fn warn_of_uncovered(
    domains: &[(Domain, &At<String>)],
    identity: &Identity,
    cert_file: &At<String>,
    list: &List<String>,
    path: &str,
    findings: &mut Findings<'_>,
) {
    let leaf = identity.chain().leaf();
    for (domain, written) in domains {
        let domain = domain.to_string();
        if leaf.covers(&domain) {
            continue;
        }
        let message = format!(
            "the certificate in \"{}\" is not for \"{domain}\"",
            cert_file.value
        );
        let span = if list.is_some() {
            &written.span
        } else {
            &cert_file.span
        };
        let problem = findings.warning(span, &format!("{path}.domains"), message);
        problem.help(match leaf.names.as_slice() {
            [] => "it names no site at all: clients will refuse it".to_owned(),
            names => format!("it is for {}", shown(names)),
        });
    }
}

/// Names that help to see a mistake; a certificate may have hundreds.
fn shown(names: &[String]) -> String {
    const SHOWN_MAX: usize = 5;
    let mut text = names
        .iter()
        .take(SHOWN_MAX)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > SHOWN_MAX {
        text.push_str(&format!(" and {} more", names.len() - SHOWN_MAX));
    }
    text
}

fn ocsp(
    written: &At<String>,
    identity: &Identity,
    path: &str,
    now: Duration,
    findings: &mut Findings<'_>,
) -> Option<Ocsp> {
    let staple = auth::file(written, path, findings, |bytes| {
        Staple::parse(bytes, identity.chain())
    })?;
    if !staple.is_good() {
        let message = format!(
            "\"{}\" says that the certificate is revoked or unknown",
            written.value
        );
        let problem = findings.warning(&written.span, path, message);
        problem.help("clients will refuse it: order a new certificate");
    } else if let Some(until) = staple.next_update().filter(|until| now > *until) {
        let date = http_date::format(until.as_secs());
        let message = format!("what \"{}\" says held until {date}", written.value);
        let problem = findings.warning(&written.span, path, message);
        problem.help("it is not handed to clients any more: fetch it anew, every day");
    }
    Some(Ocsp {
        file: PathBuf::from(&written.value),
        staple: Arc::new(staple),
    })
}

/// Whom we believe by a file; None with a problem told.
pub fn authorities(
    written: &At<String>,
    path: &str,
    findings: &mut Findings<'_>,
) -> Option<Arc<Authorities>> {
    auth::file(written, path, findings, Authorities::parse).map(Arc::new)
}
