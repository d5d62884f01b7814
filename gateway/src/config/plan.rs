//! What a configuration means: checked, complete, comparable data without handles.
//!
//! No `Option` here stands for "default", no string for a choice, and no name dangles: whoever holds a
//! [`Plan`] need not check it again.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::kit::host::HostPattern;
use crate::kit::networks::Networks;
use crate::kit::pattern::Pattern;
use crate::kit::template::{RequestVariable, Template};

mod access_log;
mod cache;
mod discover;
mod guard;
mod guard_words;
mod health;
mod tls;
mod tracing;
mod words;

pub use access_log::{AccessLog, LogFormat, LogTarget};
pub use cache::{Bypass, Cache, CacheRule, Compression, KeyRule, QueryRule};
pub use discover::{Consul, DISCOVERED_MAX, Discover, DiscoverName, DiscoverSource, WEIGHT_TOTAL_MAX};
pub use guard::{
    Auth, AuthId, AuthMethod, Basic, ConcurrencyLimit, ConcurrencyLimitId, Cors, Forward, Guards, Jwt, Keys,
    LimitKey, OnRedisError, Origins, Overload, RateLimit, RateLimitId, Redis, TokenAlgorithm, TokenKeys,
};
pub use guard_words::is_claim;
pub use health::{HealthCheck, HealthQuestion};
pub use tls::{
    Acme, AcmeTrust, Certificate, CertificateFiles, CertificateId, CertificateSource, ClientAuth,
    ClientCertificate, Domain, ListenerTls, Ocsp, SendProxyProtocol, TlsVersion, UpstreamTls, Verify,
};
pub use tracing::Tracing;

/// Everything an operator has decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// `[server]`
    pub server: Server,
    /// `[admin]`; None without the section.
    pub admin: Option<Admin>,
    /// `[access_log]`
    pub access_log: AccessLog,
    /// `[certificates.*]`, sorted by name; listeners refer to them by index.
    pub certificates: Vec<Arc<Certificate>>,
    /// `[[listeners]]`, no address twice.
    pub listeners: Vec<Listener>,
    /// `[upstreams.*]`, sorted by name; routes refer to them by index.
    pub upstreams: Vec<Arc<Upstream>>,
    /// `[caches.*]`, sorted by name; routes refer to them by index.
    pub caches: Vec<Arc<Cache>>,
    /// `[compression]`
    pub compression: Compression,
    /// `[redis]`; None without the section.
    pub redis: Option<Redis>,
    /// `[rate_limits.*]`, sorted by name; routes refer to them by index.
    pub rate_limits: Vec<Arc<RateLimit>>,
    /// `[concurrency_limits.*]`, sorted by name; routes refer to them by index.
    pub concurrency_limits: Vec<Arc<ConcurrencyLimit>>,
    /// `[auth.*]`, sorted by name; routes refer to them by index.
    pub auths: Vec<Arc<Auth>>,
    /// `[tracing]`; None without the section.
    pub tracing: Option<Tracing>,
    /// `[[routes]]` in file order, names unique.
    pub routes: Vec<Arc<Route>>,
}

/// An index into [`Plan::upstreams`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UpstreamId(pub usize);

/// An index into [`Plan::caches`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CacheId(pub usize);

/// `[server]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Workers; "auto" has become the number of cores.
    pub threads: usize,
    /// How long a stop or a removed listener waits for running requests.
    pub drain_timeout: Duration,
    /// How long an upgrade waits until the new process can serve.
    pub upgrade_timeout: Duration,
    /// Whose forwarding fields are believed.
    pub trusted_proxies: Networks,
    /// `[server.limits]`
    pub limits: Limits,
}

/// `[server.limits]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Client connections open at once.
    pub max_connections: usize,
    /// Of one address; 0 = no limit.
    pub connections_per_ip: usize,
    /// The whole head, from its first byte.
    pub header_timeout: Duration,
    /// Between two requests of a connection.
    pub keepalive_timeout: Duration,
    /// Requests of one connection.
    pub keepalive_requests: u64,
    /// Between two reads of a body, and between two writes to a client.
    pub body_timeout: Duration,
    /// Bytes of a head, request line included.
    pub max_header_size: usize,
    /// Fields of a head.
    pub max_headers: usize,
    /// Bytes of the request target.
    pub max_uri: usize,
    /// Bytes of a request body where the route does not say.
    pub max_body: u64,
    /// Requests at once on one connection of HTTP/2.
    pub http2_streams: u32,
    /// TLS handshakes in flight at once.
    pub handshakes: usize,
}

/// `[admin]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// Where it listens.
    pub address: SocketSpec,
    /// Holds the bearer token; required off loopback.
    pub token_file: Option<PathBuf>,
}

/// Where a socket is bound.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SocketSpec {
    /// An address and port; port 0 lets the system choose.
    Tcp(SocketAddr),
    /// A path in the file system, written `unix:/path`.
    Unix(PathBuf),
}

/// `[[listeners]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// What a route's `match.listener` refers to.
    pub name: Option<String>,
    /// Where it listens.
    pub address: SocketSpec,
    /// Every request is answered with a redirect to https on the same host. Never with TLS.
    pub redirect_to_https: bool,
    /// None is plain HTTP.
    pub tls: Option<ListenerTls>,
    /// Whether a connection without TLS may begin with HTTP/2. Never with TLS.
    pub h2c: bool,
    /// Whether a connection begins with a PROXY line or header.
    pub proxy_protocol: bool,
}

/// `[upstreams.NAME]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// NAME
    pub name: String,
    /// How a server is chosen.
    pub load_balancing: LoadBalancing,
    /// In file order, addresses unique. Empty only where servers are discovered.
    pub servers: Vec<UpstreamServer>,
    /// Where more servers are found; None = nowhere.
    pub discover: Option<Discover>,
    /// What is spoken to the servers. [`Protocol::Http2`] goes with `tls` and [`Protocol::H2c`] without, and neither with
    /// `send_proxy_protocol`.
    pub protocol: Protocol,
    /// Until a connection stands.
    pub connect_timeout: Duration,
    /// Between two writes.
    pub write_timeout: Duration,
    /// Until the answer's head, then between two reads.
    pub read_timeout: Duration,
    /// How long an idle connection is kept.
    pub idle_timeout: Duration,
    /// Idle connections kept per worker and server.
    pub max_idle: usize,
    /// Name of the cookie that binds a client to a server.
    pub sticky_cookie: Option<String>,
    /// Active probes; None without the section.
    pub health_check: Option<HealthCheck>,
    /// Passive ejection.
    pub outlier_detection: OutlierDetection,
    /// Further tries.
    pub retries: Retries,
    /// What protects it from more than it can do.
    pub overload: Overload,
    /// None is plain HTTP.
    pub tls: Option<UpstreamTls>,
    /// How servers are told who the client is, below HTTP.
    pub send_proxy_protocol: SendProxyProtocol,
}

/// `upstreams.*.protocol`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.1, over TLS or not.
    #[default]
    Http1,
    /// HTTP/2 over TLS (ALPN "h2").
    Http2,
    /// HTTP/2 without TLS, by prior knowledge (RFC 9113 §3.3).
    H2c,
}

/// `upstreams.*.load_balancing`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadBalancing {
    /// Ketama by a part of the request.
    Hash(HashBy),
    /// Smallest (in flight + 1) / weight.
    LeastConn,
    /// Smallest recent latency × load (peak EWMA).
    LeastTime,
    /// The less loaded of two drawn by weight.
    RandomTwo,
    /// Smooth, by weight.
    RoundRobin,
}

/// `hash_by`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashBy {
    /// The client's address.
    ClientIp,
    /// A cookie's value.
    Cookie(String),
    /// A field's value, name in lower case.
    Header(String),
    /// The path without query.
    Path,
}

/// One line of `servers`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamServer {
    /// Where it is.
    pub address: Address,
    /// Its share.
    pub weight: NonZeroU32,
    /// Serves only when no primary can.
    pub backup: bool,
    /// Written down as down.
    pub down: bool,
    /// Requests in flight; 0 = no limit.
    pub max_conns: u32,
    /// Ramp of the weight after it comes (back) up; zero = none.
    pub slow_start: Duration,
}

/// A server's address as written. Its text is its identity.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    /// A name or IP literal, and a port.
    Tcp {
        /// DNS name, IPv4 literal, or IPv6 literal in brackets.
        host: String,
        /// Port.
        port: u16,
    },
    /// `unix:/path`
    Unix(PathBuf),
}

/// `[upstreams.*.outlier_detection]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutlierDetection {
    /// Failures in a row until ejection; 0 = never.
    pub consecutive_failures: u32,
    /// The first ejection; doubles for a repeat offender.
    pub ejection_time: Duration,
    /// Of the servers of the upstream; one may always be ejected while it is not the only one.
    pub max_ejection_percent: u32,
    /// Requests that a server gets at once after its ejection, until one of them has succeeded.
    pub half_open_requests: NonZeroU32,
}

/// `[upstreams.*.retries]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retries {
    /// Further tries, each on another server.
    pub attempts: u32,
    /// What is tried again.
    pub retry_on: RetryOn,
    /// Methods that may be sent twice, in upper case.
    pub methods: Vec<String>,
    /// Of the upstream's running requests.
    pub budget_percent: u32,
    /// All tries together.
    pub timeout: Duration,
}

/// `retry_on`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetryOn {
    /// No connection came about: nothing was sent, so any method may be tried again.
    pub connect_failure: bool,
    /// The server did not answer in time.
    pub timeout: bool,
    /// The connection broke before an answer.
    pub reset: bool,
    /// The answer was not HTTP, or ambiguous.
    pub invalid_response: bool,
    /// These statuses, sorted.
    pub statuses: Vec<u16>,
}

/// `[[routes]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Unique.
    pub name: String,
    /// Which requests.
    pub matches: Match,
    /// What is done.
    pub action: Action,
    /// Whole request; None = no limit of its own.
    pub timeout: Option<Duration>,
    /// Bytes of a request body.
    pub max_body: u64,
    /// The path sent on.
    pub rewrite: Option<Rewrite>,
    /// Edits on the way to the origin.
    pub request_headers: Edits,
    /// Edits on the way to the client.
    pub response_headers: Edits,
    /// Whether its requests are logged.
    pub access_log: bool,
    /// Which answers are kept, and for how long; None keeps none.
    pub cache: Option<CacheRule>,
    /// Whether answers may be compressed.
    pub compression: bool,
    /// What is asked of a request before anything is done for it.
    pub guards: Guards,
    /// Who gets a copy of each request that an origin is there for. Never one of the route's own upstreams.
    pub mirror: Option<UpstreamId>,
}

/// `match = { … }`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// Name of the only listener it is for.
    pub listener: Option<String>,
    /// Host.
    pub host: HostPattern,
    /// Path.
    pub path: PathPattern,
    /// Methods in upper case; empty = any. GET does include HEAD.
    pub methods: Vec<String>,
    /// Fields that must be there, names in lower case, sorted.
    pub headers: Vec<(String, ValueTest)>,
    /// Query parameters that must be there, sorted.
    pub query: Vec<(String, ValueTest)>,
}

/// How a path is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathPattern {
    /// Every path.
    Any,
    /// This one.
    Exact(String),
    /// This one and those below it. Held without trailing slash: "/api/" and "/api" are the same prefix "/api"; "/" is "".
    Prefix(String),
    /// Those an expression is found in.
    Regex(Pattern),
}

/// How a field or parameter is meant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ValueTest {
    /// Exactly this value.
    Equals(String),
    /// Any value; written "*".
    Present,
}

/// The one thing a route does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// `redirect`
    Redirect {
        /// The Location, not empty.
        to: Template<RequestVariable>,
        /// 301, 302, 303, 307 or 308.
        status: u16,
    },
    /// `respond`
    Respond {
        /// 200 to 599.
        status: u16,
        /// Whole body.
        body: String,
        /// Content-Type.
        content_type: String,
    },
    /// `split`
    Split(Vec<(UpstreamId, NonZeroU32)>),
    /// `static_files`
    StaticFiles(StaticFiles),
    /// `upstream`
    Upstream(UpstreamId),
}

/// `static_files`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticFiles {
    /// The folder.
    pub root: PathBuf,
    /// Served for a folder; None = none is.
    pub index: Option<String>,
    /// Codings whose siblings may be there, most wanted first.
    pub precompressed: Vec<Coding>,
    /// Tried in turn when nothing is found; `${path}` stands for the path asked for; "=404" ends with that status.
    pub try_files: Vec<TryFile>,
    /// Whether a folder without index is listed.
    pub directory_listing: bool,
}

/// One entry of `try_files`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TryFile {
    /// A path below root, in which `${path}` stands for the path asked for.
    Path(String),
    /// `=404`
    Status(u16),
}

/// A content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Coding {
    /// br, `.br`
    Brotli,
    /// gzip, `.gz`
    Gzip,
    /// zstd, `.zst`
    Zstd,
}

/// `rewrite`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rewrite {
    /// Put before the path; starts with a slash, ends without one.
    AddPrefix(String),
    /// The first match replaced.
    Regex {
        /// What is looked for in the path.
        pattern: Pattern,
        /// What it becomes; `$1` is a group.
        to: String,
    },
    /// Taken off on a segment's end; held without trailing slash.
    StripPrefix(String),
}

/// Edits of a head: removals first, then what is set, then what is added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    /// Names in lower case.
    pub remove: Vec<String>,
    /// Replaces every field of that name. Names as written.
    pub set: Vec<(String, Template<RequestVariable>)>,
    /// Stands beside others of that name.
    pub add: Vec<(String, Template<RequestVariable>)>,
}
