//! `[server]` and `[admin]`

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::values::{self, BODY_BYTES, Zero};
use crate::config::findings::Findings;
use crate::config::plan::{Admin, Limits, Server, SocketSpec};
use crate::config::raw;
use crate::config::raw::leaf::{At, List, Threads};
use crate::kit::networks::{self, Networks};

/// Long enough for a slow upload to end, short enough for a deployment.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
/// A large configuration is loaded within seconds; a binary that takes longer is not the right one.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(60);
/// Two connections a request and some files stay below the usual limit of 100,000 descriptors.
const MAX_CONNECTIONS: usize = 50_000;
/// A head fits one packet; whoever takes longer is stuck or means harm.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// As nginx, so that clients tuned for it stay connected.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(75);
/// Ends even a busy connection now and then, so that load spreads anew.
const KEEPALIVE_REQUESTS: u64 = 10_000;
/// Mobile clients pause; more than this they are gone.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Four times nginx's large buffer: cookies and tokens have grown.
const MAX_HEADER_SIZE: u64 = 32 << 10;
/// Browsers send about 20.
const MAX_HEADERS: usize = 100;
/// RFC 9112 §3 recommends at least 8000 octets for the request line.
const MAX_URI: u64 = 8 << 10;
/// Forms and photos pass, disk images do not.
const MAX_BODY: u64 = 10 << 20;
/// As RFC 9113 §6.5.2 advises, at least 100; with a body each, they fill a worker's memory no faster than connections do.
const HTTP2_STREAMS: u32 = 128;
/// A handshake costs half a millisecond of a core: more of them at once only wait longer.
const HANDSHAKES: usize = 1_024;
/// Where the commands look for the running gateway.
const ADMIN_PORT: u16 = 9_900;

/// `[server]`
pub fn server(raw: Option<&At<raw::Server>>, cores: usize, findings: &mut Findings<'_>) -> Server {
    let empty = At::default();
    let raw = &raw.unwrap_or(&empty).value;
    let threads = raw.threads.as_ref().map(|t| t.value).unwrap_or_default();
    Server {
        threads: match threads {
            Threads::Auto => cores.max(1),
            Threads::Count(n) => n,
        },
        // Zero: stop at once.
        drain_timeout: values::duration(
            &raw.drain_timeout,
            "server.drain_timeout",
            Zero::Allowed,
            DRAIN_TIMEOUT,
            findings,
        ),
        upgrade_timeout: values::duration(
            &raw.upgrade_timeout,
            "server.upgrade_timeout",
            Zero::Means("a new process needs some time to start; \"60s\" is patient"),
            UPGRADE_TIMEOUT,
            findings,
        ),
        trusted_proxies: trusted_proxies(&raw.trusted_proxies, findings),
        limits: limits(raw.limits.as_ref(), findings),
    }
}

fn limits(raw: Option<&At<raw::Limits>>, findings: &mut Findings<'_>) -> Limits {
    let empty = At::default();
    let raw = &raw.unwrap_or(&empty).value;
    let mut timeout = |value, key: &str, zero, default| {
        values::duration(
            value,
            &format!("server.limits.{key}"),
            Zero::Means(zero),
            default,
            findings,
        )
    };
    let patient = "every timer must run out some time; \"1h\" is patient";
    let header_timeout = timeout(&raw.header_timeout, "header_timeout", patient, HEADER_TIMEOUT);
    let keepalive_timeout = timeout(
        &raw.keepalive_timeout,
        "keepalive_timeout",
        "`keepalive_requests = 1` turns keep-alive off",
        KEEPALIVE_TIMEOUT,
    );
    let body_timeout = timeout(&raw.body_timeout, "body_timeout", patient, BODY_TIMEOUT);
    let mut bytes = |value, key: &str, bounds, default| {
        values::size(value, &format!("server.limits.{key}"), bounds, default, findings)
    };
    let head_bytes = 1 << 10..=1 << 20;
    let max_header_size = bytes(
        &raw.max_header_size,
        "max_header_size",
        head_bytes,
        MAX_HEADER_SIZE,
    );
    let max_uri = bytes(
        &raw.max_uri,
        "max_uri",
        64..=1 << 20,
        MAX_URI.min(max_header_size),
    );
    let max_body = bytes(&raw.max_body, "max_body", BODY_BYTES, MAX_BODY);
    if let Some(uri) = &raw.max_uri
        && max_uri > max_header_size
    {
        let message = "`max_uri` is larger than `max_header_size`, which counts the request line too";
        let problem = findings.error(&uri.span, "server.limits.max_uri", message);
        problem.help("raise `max_header_size` or lower `max_uri`");
    }
    let usize_of = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    Limits {
        max_connections: raw
            .max_connections
            .as_ref()
            .map_or(MAX_CONNECTIONS, |n| n.value.usize()),
        connections_per_ip: raw.connections_per_ip.as_ref().map_or(0, |n| n.value.usize()),
        header_timeout,
        keepalive_timeout,
        keepalive_requests: raw
            .keepalive_requests
            .as_ref()
            .map_or(KEEPALIVE_REQUESTS, |n| n.value.0),
        body_timeout,
        max_header_size: usize_of(max_header_size),
        max_headers: raw.max_headers.as_ref().map_or(MAX_HEADERS, |n| n.value.usize()),
        max_uri: usize_of(max_uri),
        max_body,
        http2_streams: raw
            .http2_streams
            .as_ref()
            .map_or(HTTP2_STREAMS, |n| n.value.u32()),
        handshakes: raw.handshakes.as_ref().map_or(HANDSHAKES, |n| n.value.usize()),
    }
}

fn trusted_proxies(raw: &List<String>, findings: &mut Findings<'_>) -> Networks {
    let path = "server.trusted_proxies";
    let list = raw.as_ref().map_or(&[][..], |list| &list.value);
    let found = values::networks(list, path, findings);
    for item in list {
        if networks::parse(&item.value).is_some_and(|network| network.prefix_len() == 0) {
            let message = format!(
                "\"{}\" lets every client choose the address it is known by",
                item.value
            );
            let problem = findings.warning(&item.span, path, message);
            problem.help("list only the networks of your own proxies");
        }
    }
    Networks::new(found)
}

/// `[admin]`
pub fn admin(raw: Option<&At<raw::Admin>>, findings: &mut Findings<'_>) -> Option<Admin> {
    let section = raw?;
    let raw = &section.value;
    let default = SocketSpec::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, ADMIN_PORT)));
    let path = "admin.address";
    let address = match &raw.address {
        Some(written) => values::socket(written, path, findings)?,
        None => default,
    };
    let token_file = raw.token_file.as_ref().filter(|t| !t.value.is_empty());
    if let Some(written) = &raw.address
        && token_file.is_none()
        && !address.is_local()
        && findings.is_whole(&section.span)
    {
        let message = format!("others than this machine can reach {address}, and there is no `token_file`");
        let problem = findings.error(&written.span, path, message);
        problem.help("name a file that holds a secret: token_file = \"/etc/sluice/admin.token\"");
    }
    Some(Admin {
        address,
        token_file: token_file.map(|t| PathBuf::from(&t.value)),
    })
}
