//! `upstream`, `proxy_pass`, `grpc_pass` and what `proxy_…` and `grpc_…` say of waiting and trying again: Sluice keeps all of it in the upstream.

use super::model::{Retries, Server, Upstream, UpstreamTls};
use super::scope::Scope;
use super::tree::Directive;
use super::values;
use super::work::Work;

/// nginx's own, where nothing is written.
const TIMEOUT: &str = "1m";
/// Sluice's most.
const ATTEMPTS_MAX: usize = 10;
/// Statuses that `proxy_next_upstream` may name.
const STATUSES: [&str; 7] = ["500", "502", "503", "504", "403", "404", "429"];

/// Where a `proxy_pass` or `grpc_pass` leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub tls: bool,
    /// Whether calls of gRPC are passed on.
    pub grpc: bool,
    /// As written: the name of an `upstream`, or a host with its port.
    pub host: String,
    /// What follows, from its slash on.
    pub uri: Option<String>,
}

/// Takes the URL of a directive of this name apart; None if it holds variables or is none.
pub(super) fn target(pass: &str, url: &str) -> Option<Target> {
    let grpc = pass == "grpc_pass";
    if values::has_variable(url) {
        return None;
    }
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (scheme, rest),
        // `grpc_pass app` is allowed.
        None if grpc => ("grpc", url),
        None => return None,
    };
    let tls = match (scheme, grpc) {
        ("http", false) | ("grpc", true) => false,
        ("https", false) | ("grpcs", true) => true,
        _ => return None,
    };
    located(rest, tls, grpc)
}

/// What stands behind the scheme.
fn located(rest: &str, tls: bool, grpc: bool) -> Option<Target> {
    if let Some(socket) = rest.strip_prefix("unix:") {
        let (path, uri) = match socket.split_once(':') {
            Some((path, uri)) => (path, Some(uri.to_owned())),
            None => (socket, None),
        };
        return path.starts_with('/').then(|| Target {
            tls,
            grpc,
            host: format!("unix:{path}"),
            uri,
        });
    }
    let (host, uri) = match rest.find('/') {
        Some(at) => (&rest[..at], Some(rest[at..].to_owned())),
        None => (rest, None),
    };
    (!host.is_empty() && !host.contains(['?', '#'])).then(|| Target {
        tls,
        grpc,
        host: host.to_owned(),
        uri,
    })
}

impl Target {
    /// What is spoken there; None is HTTP/1.1.
    fn protocol(&self) -> Option<&'static str> {
        self.grpc.then_some(if self.tls { "http2" } else { "h2c" })
    }

    /// What nginx puts into $proxy_host.
    pub fn proxy_host(&self) -> &str {
        if self.host.starts_with("unix:") {
            "localhost"
        } else {
            &self.host
        }
    }
}

/// The name of the document's upstream for this target and these settings; a new one if none is the same.
pub(super) fn upstream<'t>(target: &Target, scope: &Scope<'t>, work: &mut Work<'t>) -> Option<String> {
    let mut upstream = match work.upstreams.get(target.host.as_str()).copied() {
        Some(block) => group(block, target.tls, work),
        None => Upstream {
            load_balancing: "round_robin",
            servers: vec![Server {
                address: with_port(&target.host, target.tls)?,
                ..Server::default()
            }],
            ..Upstream::default()
        },
    };
    if upstream.servers.is_empty() {
        return None;
    }
    target.host.clone_into(&mut upstream.called);
    upstream.protocol = target.protocol();
    if target.grpc {
        // One connection serves many calls: there is no number of idle ones to keep.
        upstream.max_idle = None;
    }
    waits(&mut upstream, scope, work);
    retries(&mut upstream, scope, work);
    if target.tls {
        upstream.tls = Some(tls(target, scope, work));
    }
    let told = scope.one("proxy_protocol").filter(|d| d.arg(0) == "on");
    if let Some(directive) = told.filter(|_| !target.grpc) {
        work.ledger.done(directive);
        upstream.send_proxy_protocol = true;
    }
    let same = work
        .document
        .upstreams
        .iter()
        .find(|(_, known)| **known == upstream);
    if let Some((name, _)) = same {
        return Some(name.clone());
    }
    let mut others = work.document.upstreams.values();
    let is_split = others.any(|o| o.called == upstream.called && o.protocol != upstream.protocol);
    let pass = scope.own_one(&scope.passing("pass"));
    if let Some(pass) = pass.filter(|_| is_split) {
        let remark = format!(
            "the servers of {} are asked over HTTP/1.1 and over HTTP/2: there are two upstreams of them, each with a balance, failures and `max_conns` of its own",
            target.host
        );
        work.ledger.differs(pass, &remark);
    }
    let base = match values::name(&target.host) {
        name if name.is_empty() => "origin".to_owned(),
        name => name,
    };
    let mut name = base.clone();
    let mut count = 1;
    while work.document.upstreams.contains_key(&name) {
        count += 1;
        name = format!("{base}-{count}");
    }
    work.document.upstreams.insert(name.clone(), upstream);
    Some(name)
}

/// "HOST:PORT", or None if it is none.
fn with_port(host: &str, tls: bool) -> Option<String> {
    if host.starts_with("unix:") {
        return Some(host.to_owned());
    }
    if host.is_empty() || host.contains(['/', '$', '"', ' ']) {
        return None;
    }
    let has_port = host.rsplit_once(':').is_some_and(|(before, port)| {
        !port.is_empty()
            && port.bytes().all(|b| b.is_ascii_digit())
            && (!before.contains(':') || before.ends_with(']'))
    });
    Some(match has_port {
        true => host.to_owned(),
        false => format!("{host}:{}", if tls { 443 } else { 80 }),
    })
}

fn group<'t>(block: &'t Directive, tls: bool, work: &mut Work<'t>) -> Upstream {
    work.ledger.done(block);
    let mut upstream = Upstream {
        load_balancing: "round_robin",
        ..Upstream::default()
    };
    for directive in block.block() {
        match directive.name.as_str() {
            "server" => server(directive, tls, &mut upstream, work),
            "keepalive" => {
                upstream.max_idle = directive.arg(0).parse().ok();
                work.ledger.done(directive);
            }
            "keepalive_timeout" => {
                upstream.idle_timeout = values::wait(directive.arg(0));
                work.ledger.done(directive);
            }
            "zone" | "keepalive_requests" | "keepalive_time" | "state" | "resolver" | "resolver_timeout" => {
                work.ledger.done_as(
                    directive,
                    "needs not be said: workers share what they know of servers",
                );
            }
            "sticky" => sticky(directive, &mut upstream, work),
            _ => balancing(directive, &mut upstream, work),
        }
    }
    failures(block, &mut upstream, work);
    upstream
}

fn balancing(directive: &Directive, upstream: &mut Upstream, work: &mut Work<'_>) {
    let mut chosen = |method: &'static str| upstream.load_balancing = method;
    match (directive.name.as_str(), directive.arg(0)) {
        ("least_conn", _) => {
            chosen("least_conn");
            work.ledger.done(directive);
        }
        ("random", _) => {
            chosen("random_two");
            match directive.args.as_slice() {
                [two, rest @ ..] if two == "two" && !rest.iter().any(|r| r.starts_with("least_time")) => {
                    work.ledger.done(directive)
                }
                _ => work
                    .ledger
                    .differs(directive, "of two drawn by chance the less loaded one is taken"),
            }
        }
        ("least_time", _) => {
            chosen("least_time");
            work.ledger.done(directive);
        }
        ("ip_hash", _) => {
            chosen("hash");
            upstream.hash_by = Some("client_ip".to_owned());
            work.ledger.differs(
                directive,
                "the whole address counts, not its first three bytes; clients move to other servers once",
            );
        }
        ("hash", key) => {
            let by = match key {
                "$request_uri" | "$uri" | "$document_uri" => Some("path".to_owned()),
                "$host" | "$http_host" => None,
                key => values::key(key).filter(|k| k != "global"),
            };
            let Some(by) = by else {
                let remark = "Sluice hashes by \"client_ip\", \"path\", \"header:NAME\" or \"cookie:NAME\"; here servers take turns";
                return work.ledger.lost(directive, remark);
            };
            if key == "$request_uri" {
                work.ledger.differs(directive, "the query does not count");
            } else if directive.arg(1) == "consistent" {
                work.ledger.done(directive);
            } else {
                work.ledger.differs(
                    directive,
                    "hashing is consistent, so clients move to other servers once",
                );
            }
            chosen("hash");
            upstream.hash_by = Some(by);
        }
        _ => {
            let remark = "Sluice balances by round_robin, least_conn, random_two, least_time and hash";
            work.ledger.lost(directive, remark);
        }
    }
}

fn sticky(directive: &Directive, upstream: &mut Upstream, work: &mut Work<'_>) {
    if directive.arg(0) != "cookie" || directive.arg(1).is_empty() {
        let remark =
            "only a cookie of the gateway's own keeps a client on its server: sticky_cookie = \"NAME\"";
        return work.ledger.lost(directive, remark);
    }
    upstream.sticky_cookie = Some(directive.arg(1).to_owned());
    if directive.args.len() > 2 {
        work.ledger
            .differs(directive, "the cookie's attributes are Sluice's own");
    } else {
        work.ledger.done(directive);
    }
}

fn server(directive: &Directive, tls: bool, upstream: &mut Upstream, work: &mut Work<'_>) {
    let Some(address) = with_port(directive.arg(0), tls) else {
        return work.ledger.lost(directive, "this is no address of a server");
    };
    if upstream.servers.iter().any(|s| s.address == address) {
        return work.ledger.lost(
            directive,
            "the server is listed twice: a larger `weight` gives it more requests",
        );
    }
    work.ledger.done(directive);
    let mut server = Server {
        address,
        ..Server::default()
    };
    for word in &directive.args[1..] {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        match key {
            "weight" => server.weight = value.parse().ok().filter(|w| *w != 1),
            "max_conns" => server.max_conns = value.parse().ok().filter(|c| *c != 0),
            "slow_start" => server.slow_start = values::wait(value),
            "backup" => server.backup = true,
            "down" => server.down = true,
            // Read with all servers, because Sluice has one rule for them.
            "max_fails" | "fail_timeout" => {}
            "resolve" => work
                .ledger
                .differs(directive, "names are looked up again when a connection is made"),
            _ => work
                .ledger
                .lost(directive, &format!("`{key}` has no counterpart")),
        }
    }
    upstream.servers.push(server);
}

/// max_fails and fail_timeout of the servers, of which Sluice has one for all.
fn failures(block: &Directive, upstream: &mut Upstream, work: &mut Work<'_>) {
    let servers = block.block().iter().filter(|d| d.name == "server");
    let said = |d: &'_ Directive| {
        let of = |key: &str| d.args.iter().find_map(|w| w.strip_prefix(key)).map(str::to_owned);
        (of("max_fails="), of("fail_timeout="))
    };
    let mut first: Option<(Option<String>, Option<String>)> = None;
    for directive in servers {
        let said = said(directive);
        if said == (None, None) {
            continue;
        }
        match &first {
            None => {
                let count = said.0.as_deref().map_or(Some(1), |n| n.parse().ok());
                let time = said.1.as_deref().and_then(values::wait);
                upstream.outlier = count.map(|c| (c, time.or_else(|| Some("10s".to_owned()))));
                first = Some(said);
            }
            Some(known) if *known == said => {}
            Some(_) => {
                let remark = "max_fails and fail_timeout are those of the upstream's first server: Sluice has one outlier_detection for all";
                work.ledger.differs(directive, remark);
            }
        }
    }
}

fn waits(upstream: &mut Upstream, scope: &Scope<'_>, work: &mut Work<'_>) {
    let mut wait = |name: &str| {
        let Some(directive) = scope.one(&scope.passing(name)) else {
            return TIMEOUT.to_owned();
        };
        match values::wait(directive.arg(0)) {
            Some(wait) => {
                work.ledger.done(directive);
                wait
            }
            None => {
                work.ledger.differs(
                    directive,
                    "this is no time to wait: nginx's default of a minute is written",
                );
                TIMEOUT.to_owned()
            }
        }
    };
    upstream.connect_timeout = wait("connect_timeout");
    upstream.write_timeout = wait("send_timeout");
    upstream.read_timeout = wait("read_timeout");
}

fn retries(upstream: &mut Upstream, scope: &Scope<'_>, work: &mut Work<'_>) {
    let mut retry_on = Vec::new();
    let mut add = |word: &str| {
        if !retry_on.iter().any(|w| w == word) {
            retry_on.push(word.to_owned());
        }
    };
    let mut retries = Retries::default();
    let directive = scope.one(&scope.passing("next_upstream"));
    let words: Vec<&str> = match directive {
        Some(directive) => directive.args.iter().map(String::as_str).collect(),
        None => vec!["error", "timeout"],
    };
    let mut is_off = false;
    for word in &words {
        match *word {
            "error" => ["connect_failure", "reset"].into_iter().for_each(&mut add),
            "timeout" => add("timeout"),
            "invalid_header" => add("invalid_response"),
            "non_idempotent" => retries.any_method = true,
            "off" => is_off = true,
            word => match word.strip_prefix("http_").filter(|s| STATUSES.contains(s)) {
                Some(status) => add(status),
                None => {
                    if let Some(directive) = directive {
                        work.ledger
                            .lost(directive, &format!("\"{word}\" is no reason to try again"));
                    }
                }
            },
        }
    }
    if let Some(directive) = directive {
        work.ledger.done(directive);
    }
    let others = upstream
        .servers
        .iter()
        .filter(|s| !s.down)
        .count()
        .saturating_sub(1);
    let mut attempts = others.min(ATTEMPTS_MAX);
    if let Some(directive) = scope.one(&scope.passing("next_upstream_tries")) {
        work.ledger.done(directive);
        if let Ok(tries @ 1..) = directive.arg(0).parse::<usize>() {
            attempts = (tries - 1).min(ATTEMPTS_MAX);
        }
    }
    retries.attempts = if is_off { 0 } else { attempts as u64 };
    if retries.attempts == 0 {
        retries.any_method = false;
        retry_on.clear();
    }
    retries.retry_on = retry_on;
    let total = scope.one(&scope.passing("next_upstream_timeout"));
    if let Some(directive) = total {
        work.ledger.done(directive);
    }
    if retries.attempts > 0 {
        let limit = total.and_then(|d| values::wait(d.arg(0)));
        // nginx has no limit of its own; Sluice's would be over before one of nginx's waits is.
        retries.timeout = Some(limit.unwrap_or_else(|| patient(upstream, retries.attempts)));
    }
    upstream.retries = retries;
}

/// Long enough for each try to use up its time.
fn patient(upstream: &Upstream, attempts: u64) -> String {
    let waits = [&upstream.connect_timeout, &upstream.read_timeout];
    let one: std::time::Duration = waits
        .iter()
        .filter_map(|text| crate::kit::units::parse_duration(text).ok())
        .sum();
    let tries = u32::try_from(attempts + 1).unwrap_or(1);
    values::written(one.saturating_mul(tries))
}

fn tls(target: &Target, scope: &Scope<'_>, work: &mut Work<'_>) -> UpstreamTls {
    let mut file = |name: &str| {
        let directive = scope
            .one(&scope.passing(name))
            .filter(|d| !values::has_variable(d.arg(0)))?;
        work.ledger.done(directive);
        Some(values::literal(directive.arg(0)))
    };
    let mut tls = UpstreamTls {
        sni: None,
        ca_file: file("ssl_trusted_certificate"),
        client_cert_file: file("ssl_certificate"),
        client_key_file: file("ssl_certificate_key"),
        verify: false,
    };
    if let Some(directive) = scope.one(&scope.passing("ssl_name")) {
        tls.sni = Some(directive.arg(0).to_owned()).filter(|n| !values::has_variable(n));
        work.ledger.done(directive);
    } else if work.upstreams.contains_key(target.host.as_str()) {
        tls.sni = Some(target.host.clone()).filter(|n| n.contains('.'));
    }
    match scope.one(&scope.passing("ssl_verify")) {
        Some(directive) if directive.arg(0) == "on" => {
            work.ledger.done(directive);
            tls.verify = true;
        }
        other => {
            if let Some(directive) = other.or_else(|| scope.own_one(&scope.passing("pass"))) {
                let remark = "nginx does not ask who the server is unless told to: with `verify = false` taken out Sluice does";
                work.ledger.differs(directive, remark);
            }
        }
    }
    if let Some(directive) = scope.one(&scope.passing("ssl_server_name")) {
        work.ledger.done_as(directive, "the name is always sent");
    }
    tls
}

#[cfg(test)]
mod tests;
