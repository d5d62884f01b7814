//! `acme` of `[certificates.NAME]`: what can be said of an order before anybody is asked for one.

use std::path::PathBuf;

use super::certificates::{authorities, given};
use super::urls;
use crate::config::findings::Findings;
use crate::config::plan::{Acme, AcmeTrust, Certificate, Domain, Listener, SocketSpec};
use crate::config::raw;
use crate::config::raw::leaf::At;

/// Let's Encrypt, for certificates that count; its staging directory is for trying.
const DIRECTORY: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// What deploy/systemd/sluice.service lets the process write.
const STORAGE: &str = "/var/lib/sluice/acme";

/// Names of one certificate: the most that Let's Encrypt takes, and others take no more.
const DOMAINS_MAX: usize = 100;

/// The order that a certificate's `acme` means; None with a problem told.
pub fn acme(
    item: &At<raw::Certificate>,
    section: &At<raw::Acme>,
    domains: &[(Domain, &At<String>)],
    path: &str,
    findings: &mut Findings<'_>,
) -> Option<Acme> {
    refuse_files(&item.value, path, findings);
    orderable(domains, path, findings);
    let raw = &section.value;
    let path = format!("{path}.acme");
    terms(section, &path, findings);
    let email = given(&raw.email).and_then(|written| email(written, &path, findings));
    let directory = match given(&raw.directory) {
        None => Some(DIRECTORY.to_owned()),
        Some(written) => directory(written, &format!("{path}.directory"), findings),
    };
    let trust = given(&raw.ca_file).map(|written| {
        let authorities = authorities(written, &format!("{path}.ca_file"), findings)?;
        let file = PathBuf::from(&written.value);
        Some(AcmeTrust { file, authorities })
    });
    let storage = given(&raw.storage).map_or(STORAGE, |written| &written.value);
    Some(Acme {
        email,
        directory: directory?,
        storage: PathBuf::from(storage),
        trust: match trust {
            None => None,
            Some(read) => Some(read?),
        },
    })
}

/// A certificate comes from files or from an authority: of both nobody could say which one counts.
fn refuse_files(raw: &raw::Certificate, path: &str, findings: &mut Findings<'_>) {
    let files = [
        ("cert_file", &raw.cert_file),
        ("key_file", &raw.key_file),
        ("ocsp_file", &raw.ocsp_file),
    ];
    for (key, written) in files {
        if let Some(written) = given(written) {
            let message =
                format!("`{key}` and `acme` exclude each other: an ordered certificate lies in `storage`");
            let problem = findings.error(&written.span, &format!("{path}.{key}"), message);
            problem.help(format!("take `{key}` out, or `acme`"));
        }
    }
}

/// Only what HTTP-01 can prove (RFC 8555 §8.3).
fn orderable(domains: &[(Domain, &At<String>)], path: &str, findings: &mut Findings<'_>) {
    let path = format!("{path}.domains");
    for (domain, written) in domains {
        let message = match domain {
            // §7.1.3 and CA/Browser Forum baseline requirements §3.2.2.4: a wildcard is proved in DNS alone.
            Domain::Below(_) => format!(
                "\"{domain}\" cannot be ordered: a wildcard needs a proof in DNS (DNS-01), which this build does not do"
            ),
            // RFC 1123 §2.1: what real hosts have besides, no authority certifies.
            Domain::Exact(name)
                if !name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.')) =>
            {
                format!(
                    "\"{domain}\" cannot be ordered: a certified name has letters, digits, \"-\" and \".\" only"
                )
            }
            Domain::Exact(_) => continue,
        };
        let problem = findings.error(&written.span, &path, message);
        problem.help("list each name by itself, or bring the certificate in cert_file and key_file");
    }
    if let Some((_, written)) = domains.get(DOMAINS_MAX) {
        let message = format!("a certificate is ordered for at most {DOMAINS_MAX} names");
        findings
            .error(&written.span, &path, message)
            .help("make it several certificates");
    }
}

fn terms(section: &At<raw::Acme>, path: &str, findings: &mut Findings<'_>) {
    let agreed = &section.value.terms_agreed;
    if agreed.as_ref().is_some_and(|flag| flag.value.0) {
        return;
    }
    let (span, path) = match agreed {
        Some(written) => (&written.span, format!("{path}.terms_agreed")),
        None if findings.is_whole(&section.span) => (&section.span, path.to_owned()),
        None => return,
    };
    let message = "an account at the authority needs your consent to its terms of service";
    let problem = findings.error(span, &path, message);
    problem.help("read them (the directory names them, https://letsencrypt.org/repository for Let's Encrypt) and write terms_agreed = true");
}

/// RFC 8555 §7.3: the URL of a contact has one address and no header fields.
fn email(written: &At<String>, path: &str, findings: &mut Findings<'_>) -> Option<String> {
    let text = &written.value;
    let is_plain = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"!#$&'*+-/=^_`{|}~.".contains(&b))
    };
    match text.split_once('@') {
        Some((local, host)) if is_plain(local) && is_plain(host) => Some(text.clone()),
        Some(_) | None => {
            let message = format!("\"{text}\" is not one plain e-mail address");
            let problem = findings.error(&written.span, &format!("{path}.email"), message);
            problem.help("write email = \"ops@example.com\", or leave it out");
            None
        }
    }
}

fn directory(written: &At<String>, path: &str, findings: &mut Findings<'_>) -> Option<String> {
    let url = urls::http(written, DIRECTORY, path, findings)?;
    // RFC 8555 §6.1: "ACME clients MUST use HTTPS".
    if !url.starts_with("https://") {
        let message = format!(
            "\"{url}\" is asked in clear text, where anybody in between could pass for the authority"
        );
        let problem = findings.error(&written.span, path, message);
        problem.help("write it with https://; for an authority of your own name its certificate in ca_file");
        return None;
    }
    Some(url)
}

/// The proof is asked for on port 80, which some listener in clear text has to answer.
pub fn warn_of_unanswerable(
    file: &raw::File,
    certificates: &[Option<std::sync::Arc<Certificate>>],
    listeners: &[Listener],
    findings: &mut Findings<'_>,
) {
    let answers =
        |listener: &Listener| listener.tls.is_none() && matches!(listener.address, SocketSpec::Tcp(_));
    if listeners.iter().any(answers) || !findings.is_complete() {
        return;
    }
    let named = file.certificates.iter().flat_map(|section| &section.value);
    for ((name, item), certificate) in named.zip(certificates) {
        if let Some(acme) = &item.value.acme
            && certificate.is_some()
        {
            let path = format!("certificates.{}.acme", name.value);
            let message = "no listener in clear text is there to answer the authority, which asks on port 80";
            let problem = findings.warning(&acme.span, &path, message);
            problem.help("add [[listeners]] with address = \"0.0.0.0:80\" and redirect_to_https = true");
        }
    }
}
