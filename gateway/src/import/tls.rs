//! Certificates, and what a listener asks of TLS.

use std::collections::BTreeSet;

use super::model::{Certificate, Listener};
use super::sockets::{self, Socket, Sockets};
use super::values;
use super::work::{Server, Work};

/// The certificates of a server, by name; they are in the document from then on.
pub(super) fn certificates(server: &Server<'_>, work: &mut Work<'_>) -> Vec<String> {
    let certs = server.scope.all("ssl_certificate");
    let keys = server.scope.all("ssl_certificate_key");
    let mut names = Vec::new();
    for (cert, key) in certs.iter().zip(&keys) {
        if values::has_variable(cert.arg(0))
            || values::has_variable(key.arg(0))
            || cert.arg(0).starts_with("data:")
        {
            let remark = "files of certificates have fixed names: write each into [certificates.NAME]";
            work.ledger.lost(cert, remark);
            work.ledger.lost(key, remark);
            continue;
        }
        work.ledger.done(cert);
        work.ledger.done(key);
        let (cert_file, key_file) = (values::literal(cert.arg(0)), values::literal(key.arg(0)));
        let domains = sockets::domains(server);
        if domains.first().is_some_and(|d| d == "default.invalid") {
            let remark = "the server has no name: write those of the certificate into `domains`";
            work.ledger.differs(cert, remark);
        }
        if let Some(known) = sockets::same_files(&work.document.certificates, &cert_file, &key_file).cloned()
        {
            let all = work.document.certificates.entry(known.clone()).or_default();
            for domain in domains {
                if !all.domains.contains(&domain) {
                    all.domains.push(domain);
                }
            }
            names.push(known);
            continue;
        }
        let base = match values::name(server.names.first.as_str()) {
            name if name.is_empty() => "default".to_owned(),
            name => name,
        };
        let mut name = base.clone();
        let mut count = 1;
        while work.document.certificates.contains_key(&name) {
            count += 1;
            name = format!("{base}-{count}");
        }
        let certificate = Certificate {
            domains,
            cert_file,
            key_file,
        };
        work.document.certificates.insert(name.clone(), certificate);
        names.push(name);
    }
    names
}

/// What servers of a socket ask of TLS: nginx asks by server, Sluice by listener.
pub(super) fn listener(
    socket: &Socket,
    servers: &[Server<'_>],
    listener: &mut Listener,
    work: &mut Work<'_>,
) {
    for (at, index) in socket.servers.iter().enumerate() {
        let scope = &servers[*index].scope;
        if let Some(protocols) = scope.one("ssl_protocols") {
            work.ledger.done(protocols);
            let has = |version: &str| protocols.args.iter().any(|a| a == version);
            let old = protocols
                .args
                .iter()
                .any(|a| !matches!(a.as_str(), "TLSv1.2" | "TLSv1.3"));
            if old {
                work.ledger
                    .differs(protocols, "Sluice speaks TLS 1.2 and 1.3 alone");
            }
            let min = (!has("TLSv1.2") && has("TLSv1.3")).then_some("1.3");
            if at > 0 && min != listener.min_version {
                work.ledger.differs(
                    protocols,
                    "versions are a matter of the listener: those of its first server hold",
                );
            } else {
                listener.min_version = min;
            }
        }
        client_auth(*index, at == 0, servers, listener, work);
    }
    let mut names = listener.certificates.iter();
    if names.next().is_none() {
        let directive = servers[socket.default].directive;
        let remark = "a socket with `ssl` has no certificate here: write one into [certificates.NAME] and the listener";
        work.ledger.lost(directive, remark);
    }
}

/// Servers, by their directives' ids, that let in nobody without a certificate while the listener they share does not ask:
/// it asks as its first server does.
pub(super) fn unasked(servers: &[Server<'_>], sockets: &Sockets) -> BTreeSet<usize> {
    let asks = |index: usize| {
        let scope = &servers[index].scope;
        (
            scope.word("ssl_verify_client"),
            scope.word("ssl_client_certificate"),
        )
    };
    let mut found = BTreeSet::new();
    for socket in sockets.all.iter().filter(|s| s.ssl) {
        let first = socket.servers.first().map(|index| asks(*index));
        for index in &socket.servers {
            let own = asks(*index);
            let is_fine = matches!(own.0, "" | "off" | "optional") || first == Some(own) && !own.1.is_empty();
            if own.0 == "optional_no_ca" || !is_fine {
                found.insert(servers[*index].directive.id);
            }
        }
    }
    found
}

fn client_auth(
    index: usize,
    is_first: bool,
    servers: &[Server<'_>],
    listener: &mut Listener,
    work: &mut Work<'_>,
) {
    let scope = &servers[index].scope;
    let (auth, remark) = match scope.word("ssl_verify_client") {
        "on" => (Some("require"), ""),
        "optional" => (Some("optional"), ""),
        "" | "off" => (None, ""),
        _ => (None, "this way of asking for certificates is not there"),
    };
    let directive = scope.one("ssl_verify_client");
    let file = scope.one("ssl_client_certificate");
    if let Some(directive) = directive.filter(|_| !remark.is_empty()) {
        work.ledger.lost(directive, remark);
        return;
    }
    let wanted = auth.and(file).map(|f| values::literal(f.arg(0)));
    if !is_first
        && (wanted != listener.client_ca_file || auth != listener.client_auth.or(auth.and(Some("require"))))
    {
        for directive in directive.into_iter().chain(file) {
            let remark = "asking for certificates is a matter of the listener: those of its first server hold; give this server an address of its own";
            work.ledger.lost(directive, remark);
        }
        return;
    }
    for directive in directive.into_iter().chain(file) {
        work.ledger.done(directive);
    }
    listener.client_auth = auth.filter(|a| *a == "optional" && wanted.is_some());
    listener.client_ca_file = wanted;
}
