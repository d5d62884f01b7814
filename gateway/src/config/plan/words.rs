//! Addresses, codings and policies as people write them, and what holds where they write nothing.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use super::{
    Action, Address, Coding, HealthQuestion, Limits, LoadBalancing, Protocol, SocketSpec, UpstreamId,
};
use crate::kit::host::HostPattern;

impl SocketSpec {
    /// Reads `0.0.0.0:80`, `[::]:80`, `:80` (every address), `localhost:80` or `unix:/path`.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(path) = text.strip_prefix("unix:") {
            return path.starts_with('/').then(|| Self::Unix(path.into()));
        }
        if let Some(port) = text.strip_prefix(':') {
            return Some(Self::Tcp(SocketAddr::from(([0, 0, 0, 0], port.parse().ok()?))));
        }
        if let Some(port) = text.strip_prefix("localhost:") {
            return Some(Self::Tcp(SocketAddr::from(([127, 0, 0, 1], port.parse().ok()?))));
        }
        text.parse().ok().map(Self::Tcp)
    }

    /// Whether only this machine can reach it.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

impl fmt::Display for SocketSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Address {
    /// Reads `10.0.0.1:8000`, `app.internal:8000`, `[::1]:8000` or `unix:/path`.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(path) = text.strip_prefix("unix:") {
            return path.starts_with('/').then(|| Self::Unix(path.into()));
        }
        let (host, port) = crate::kit::host::split_port(text)?;
        let HostPattern::Exact(host) = HostPattern::parse(host)? else {
            return None;
        };
        port.filter(|p| *p != 0).map(|port| Self::Tcp { host, port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Coding {
    /// As `Content-Encoding` names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// The ending of a precompressed sibling, with its point.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Brotli => ".br",
            Self::Gzip => ".gz",
            Self::Zstd => ".zst",
        }
    }
}

impl Action {
    /// Whether a request is sent on, so that edits of it and a rewrite of its path mean something.
    pub fn asks_an_origin(&self) -> bool {
        match self {
            Self::Split(_) | Self::Upstream(_) => true,
            Self::Redirect { .. } | Self::Respond { .. } | Self::StaticFiles(_) => false,
        }
    }

    /// Whether that upstream may be asked.
    pub fn asks(&self, upstream: UpstreamId) -> bool {
        match self {
            Self::Split(shares) => shares.iter().any(|(id, _)| *id == upstream),
            Self::Upstream(id) => *id == upstream,
            Self::Redirect { .. } | Self::Respond { .. } | Self::StaticFiles(_) => false,
        }
    }
}

impl Protocol {
    /// As the configuration names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http1 => "http1",
            Self::Http2 => "http2",
            Self::H2c => "h2c",
        }
    }

    /// Whether requests share connections.
    pub fn is_http2(self) -> bool {
        self != Self::Http1
    }
}

impl HealthQuestion {
    /// The path, where one is asked for.
    pub fn path(&self) -> Option<&str> {
        match self {
            Self::Path(path) => Some(path),
            Self::Grpc(_) => None,
        }
    }
}

impl LoadBalancing {
    /// As the configuration names it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Hash(_) => "hash",
            Self::LeastConn => "least_conn",
            Self::LeastTime => "least_time",
            Self::RandomTwo => "random_two",
            Self::RoundRobin => "round_robin",
        }
    }
}

impl Default for Limits {
    /// What holds where the configuration says nothing.
    fn default() -> Self {
        Self {
            max_connections: 50_000,
            connections_per_ip: 0,
            header_timeout: Duration::from_secs(10),
            keepalive_timeout: Duration::from_secs(75),
            keepalive_requests: 10_000,
            body_timeout: Duration::from_secs(30),
            max_header_size: 32 << 10,
            max_headers: 100,
            max_uri: 8 << 10,
            max_body: 10 << 20,
            http2_streams: 128,
            handshakes: 1_024,
        }
    }
}
