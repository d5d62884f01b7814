//! `[upstreams.NAME]`

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::values::{self, Zero};
use super::{discover, overload, probing, protocol, tls};
use crate::config::findings::Findings;
use crate::config::hints;
use crate::config::plan::{Address, HashBy, LoadBalancing, Upstream, UpstreamServer, WEIGHT_TOTAL_MAX};
use crate::config::raw;
use crate::config::raw::leaf::{At, Span};
use crate::wire::syntax;

/// A server in the same network answers a SYN in a millisecond; 5 s outlast three lost ones.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A server that takes nothing for so long has stopped reading.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Slow pages exist; a route with slower ones has its own upstream.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// Below the 75 s after which common servers close.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Enough for a worker's concurrency, few enough for the server's limit of connections.
const MAX_IDLE: usize = 64;

/// Upstreams by name, in the order of [`crate::config::plan::UpstreamId`].
pub fn upstreams(
    raw: Option<&At<BTreeMap<At<String>, At<raw::Upstream>>>>,
    now: Duration,
    findings: &mut Findings<'_>,
) -> Vec<Arc<Upstream>> {
    let named = raw.into_iter().flat_map(|section| &section.value);
    named
        .map(|(name, item)| Arc::new(upstream(name, item, now, findings)))
        .collect()
}

fn upstream(
    name: &At<String>,
    item: &At<raw::Upstream>,
    now: Duration,
    findings: &mut Findings<'_>,
) -> Upstream {
    let path = format!("upstreams.{}", name.value);
    values::name(name, &path, findings);
    let raw = &item.value;
    let protocol = protocol::protocol(item, &path, findings);
    let mut timeout = |value, key: &str, default| {
        let zero = match key {
            "idle_timeout" if !protocol.is_http2() => "`max_idle = 0` keeps no idle connections",
            _ => "every wait must end some time; \"1h\" is patient",
        };
        values::duration(
            value,
            &format!("{path}.{key}"),
            Zero::Means(zero),
            default,
            findings,
        )
    };
    let connect_timeout = timeout(&raw.connect_timeout, "connect_timeout", CONNECT_TIMEOUT);
    let write_timeout = timeout(&raw.write_timeout, "write_timeout", WRITE_TIMEOUT);
    let read_timeout = timeout(&raw.read_timeout, "read_timeout", READ_TIMEOUT);
    let idle_timeout = timeout(&raw.idle_timeout, "idle_timeout", IDLE_TIMEOUT);
    let servers = configured_servers(item, &path, findings);
    let tls = raw.tls.as_ref();
    Upstream {
        name: name.value.clone(),
        load_balancing: load_balancing(item, &path, findings),
        tls: tls.map(|section| tls::upstream(section, &servers, &path, now, findings)),
        send_proxy_protocol: tls::send_proxy_protocol(&raw.send_proxy_protocol),
        servers,
        discover: discover::discover(&raw.discover, &path, findings),
        protocol,
        connect_timeout,
        write_timeout,
        read_timeout,
        idle_timeout,
        max_idle: raw.max_idle.as_ref().map_or(MAX_IDLE, |n| n.value.usize()),
        sticky_cookie: sticky_cookie(raw, &path, findings),
        health_check: probing::health_check(raw.health_check.as_ref(), protocol, &path, findings),
        outlier_detection: probing::outlier_detection(raw.outlier_detection.as_ref(), &path, findings),
        retries: probing::retries(raw.retries.as_ref(), &path, findings),
        overload: overload::overload(raw.overload.as_ref(), &path, findings),
    }
}

fn load_balancing(item: &At<raw::Upstream>, path: &str, findings: &mut Findings<'_>) -> LoadBalancing {
    let raw = &item.value;
    let chosen = raw
        .load_balancing
        .as_ref()
        .map_or(raw::LoadBalancing::LeastConn, |c| c.value);
    let at = format!("{path}.hash_by");
    if let Some(by) = &raw.hash_by
        && chosen != raw::LoadBalancing::Hash
        && findings.is_whole(&item.span)
    {
        let problem = findings.error(
            &by.span,
            &at,
            "`hash_by` has no effect without `load_balancing = \"hash\"`",
        );
        problem.help("add it, or take `hash_by` out");
    }
    match chosen {
        raw::LoadBalancing::Hash => LoadBalancing::Hash(hash_by(item, &at, findings)),
        raw::LoadBalancing::LeastConn => LoadBalancing::LeastConn,
        raw::LoadBalancing::LeastTime => LoadBalancing::LeastTime,
        raw::LoadBalancing::RandomTwo => LoadBalancing::RandomTwo,
        raw::LoadBalancing::RoundRobin => LoadBalancing::RoundRobin,
    }
}

fn hash_by(item: &At<raw::Upstream>, path: &str, findings: &mut Findings<'_>) -> HashBy {
    const HELP: &str = "write \"client_ip\", \"path\", \"header:NAME\" or \"cookie:NAME\"";
    let Some(raw) = &item.value.hash_by else {
        if findings.is_whole(&item.span) {
            let span = item.value.load_balancing.as_ref().map_or(&item.span, |c| &c.span);
            let message = "`load_balancing = \"hash\"` does not say by what";
            findings
                .error(span, path, message)
                .help(format!("add hash_by: {HELP}"));
        }
        return HashBy::ClientIp;
    };
    let text = raw.value.as_str();
    let (kind, name) = text.split_once(':').unwrap_or((text, ""));
    match (kind, syntax::is_token(name.as_bytes())) {
        ("client_ip", _) if text == "client_ip" => HashBy::ClientIp,
        ("path", _) if text == "path" => HashBy::Path,
        ("header", true) => HashBy::Header(name.to_ascii_lowercase()),
        ("cookie", true) => HashBy::Cookie(name.to_owned()),
        _ => {
            let close = hints::closest(text, ["client_ip", "path"]);
            let help = close.map_or(HELP.to_owned(), hints::did_you_mean);
            let message = format!("`hash_by` does not know \"{text}\"");
            findings.error(&raw.span, path, message).help(help);
            HashBy::ClientIp
        }
    }
}

fn sticky_cookie(raw: &raw::Upstream, path: &str, findings: &mut Findings<'_>) -> Option<String> {
    let name = raw.sticky_cookie.as_ref().filter(|n| !n.value.is_empty())?;
    if !syntax::is_token(name.value.as_bytes()) {
        let message = format!("\"{}\" cannot be the name of a cookie", name.value);
        let problem = findings.error(&name.span, &format!("{path}.sticky_cookie"), message);
        problem.help("write letters, digits, \"-\" or \"_\"");
        return None;
    }
    Some(name.value.clone())
}

fn configured_servers(
    item: &At<raw::Upstream>,
    path: &str,
    findings: &mut Findings<'_>,
) -> Vec<UpstreamServer> {
    let listed = item.value.servers.as_ref();
    let span = listed.map_or(&item.span, |list| &list.span);
    let at = format!("{path}.servers");
    let has_none = listed.is_none_or(|list| list.value.is_empty()) && item.value.discover.is_none();
    if has_none && findings.is_whole(&item.span) {
        let problem = findings.error(span, &at, "an upstream without servers can answer nothing");
        problem.help("add servers = [{ address = \"10.0.0.1:8000\" }]");
    }
    let servers = servers(listed, &at, findings);
    // Others may be found later.
    if item.value.discover.is_none() {
        warn_of_idle_servers(&servers, span, &at, findings);
    }
    servers
}

/// A list of servers, without those that are none.
pub fn servers(
    list: Option<&At<Vec<At<raw::UpstreamServer>>>>,
    at: &str,
    findings: &mut Findings<'_>,
) -> Vec<UpstreamServer> {
    let Some(At { value: listed, span }) = list else {
        return Vec::new();
    };
    let mut seen: BTreeMap<Address, Span> = BTreeMap::new();
    let mut servers = Vec::with_capacity(listed.len());
    for (index, line) in listed.iter().enumerate() {
        let at = format!("{at}.{index}");
        let Some((address, written)) = address(line, &at, findings) else {
            continue;
        };
        if let Some(first) = seen.insert(address.clone(), written.clone()) {
            let message = format!("{address} is listed twice");
            let help = format!(
                "the other stands at {}; a larger `weight` gives it more requests",
                findings.place(&first)
            );
            findings
                .error(&written, &format!("{at}.address"), message)
                .help(help);
        }
        servers.push(server(&line.value, address, &at, findings));
    }
    let total: u64 = servers.iter().map(|s| u64::from(s.weight.get())).sum();
    if total > WEIGHT_TOTAL_MAX {
        let message = format!("the weights add up to {total}, more than {WEIGHT_TOTAL_MAX}");
        findings
            .error(span, at, message)
            .help("only their ratio matters: divide them all");
    }
    servers
}

fn server(
    raw: &raw::UpstreamServer,
    address: Address,
    path: &str,
    findings: &mut Findings<'_>,
) -> UpstreamServer {
    let weight = raw.weight.as_ref().map_or(1, |w| w.value.u32());
    UpstreamServer {
        address,
        weight: NonZeroU32::new(weight).unwrap_or(NonZeroU32::MIN),
        backup: raw.backup.as_ref().is_some_and(|f| f.value.0),
        down: raw.down.as_ref().is_some_and(|f| f.value.0),
        max_conns: raw.max_conns.as_ref().map_or(0, |n| n.value.u32()),
        slow_start: values::duration(
            &raw.slow_start,
            &format!("{path}.slow_start"),
            Zero::Allowed,
            Duration::ZERO,
            findings,
        ),
    }
}

fn address(
    line: &At<raw::UpstreamServer>,
    path: &str,
    findings: &mut Findings<'_>,
) -> Option<(Address, Span)> {
    let at = format!("{path}.address");
    let Some(raw) = &line.value.address else {
        if findings.is_whole(&line.span) {
            let problem = findings.error(&line.span, &at, "a server has no address");
            problem.help("write { address = \"10.0.0.1:8000\" }");
        }
        return None;
    };
    let Some(address) = Address::parse(&raw.value) else {
        let message = format!("\"{}\" is not the address of a server", raw.value);
        findings
            .error(&raw.span, &at, message)
            .help(address_help(&raw.value));
        return None;
    };
    if let Address::Unix(socket) = &address {
        values::unix_path(socket, &raw.span, &at, findings).then_some(())?;
    }
    Some((address, raw.span.clone()))
}

fn address_help(text: &str) -> String {
    if let Some((scheme, rest)) = text.split_once("://") {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let port = if scheme == "https" { 443 } else { 80 };
        let whole = [authority.to_owned(), format!("{authority}:{port}")];
        if let Some(address) = whole.iter().find(|address| Address::parse(address).is_some()) {
            return format!("write the host and port alone: \"{address}\"");
        }
    }
    if Address::parse(&values::with_port(text)).is_some() {
        return format!("add a port: \"{}\"", values::with_port(text));
    }
    "write \"HOST:PORT\", \"[IPv6]:PORT\" or \"unix:/path\"".to_owned()
}

fn warn_of_idle_servers(servers: &[UpstreamServer], span: &Span, path: &str, findings: &mut Findings<'_>) {
    if servers.is_empty() {
        return;
    }
    if servers.iter().all(|s| s.down) {
        let problem = findings.warning(span, path, "every server is down: all requests will be refused");
        problem.help("take `down = true` off one of them");
    } else if servers.iter().all(|s| s.backup || s.down) {
        let problem = findings.warning(
            span,
            path,
            "every server is a backup or down: the backups serve all the time",
        );
        problem.help("take `backup = true` off those that should serve first");
    }
}
