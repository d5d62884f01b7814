//! The file as written: a mirror of the TOML for serde, and the one description of all keys.
//!
//! The doc comment of a key is what `sluice schema` shows in an editor; a text behind `Default` in
//! backquotes becomes the schema's default. Nothing is decided here: what is left out stays `None`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

mod cache;
mod discover;
mod guard;
pub mod leaf;
mod route;
mod tls;
mod tracing;
mod upstream;

pub use cache::{Bypass, Cache, CacheKey, CacheRule, Compression, Except, Query};
pub use discover::{Consul, Discover, ServersFile};
pub use guard::{
    Auth, Basic, ConcurrencyLimit, Cors, Forward, Jwt, Keys, OnRedisError, RateLimit, Redis, Texts,
    TokenAlgorithm,
};
use leaf::{At, Duration, Flag, Int, List, Maybe, Size, Span, Template, Threads};
pub use route::{Coding, Defaults, Edits, Match, Redirect, Respond, Rewrite, Route, SplitTo, StaticFiles};
pub use tls::{Acme, Certificate, ClientAuth, SendProxyProtocol, TlsVersion, UpstreamTls};
pub use tracing::Tracing;
pub use upstream::{
    HealthCheck, LoadBalancing, OutlierDetection, Overload, Protocol, Retries, Upstream, UpstreamServer,
};

/// The configuration of Sluice, an edge gateway.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Files merged into this one, relative to it; `*` and `?` stand for parts of the last component. Default `[]`.
    #[expect(
        dead_code,
        reason = "read before the files are merged; here it is checked and described"
    )]
    pub include: List<String>,
    /// The process: workers, draining, limits.
    pub server: Maybe<Server>,
    /// The administration API; left out, there is none.
    pub admin: Maybe<Admin>,
    /// Where requests are logged, and how.
    pub access_log: Maybe<AccessLog>,
    /// Who we are to clients of TLS, by name; listeners refer to them.
    pub certificates: Maybe<BTreeMap<At<String>, At<Certificate>>>,
    /// Sockets that clients connect to.
    pub listeners: List<Listener>,
    /// Groups of servers that requests are sent to, by name.
    pub upstreams: Maybe<BTreeMap<At<String>, At<Upstream>>>,
    /// Where answers are kept, by name; routes refer to them.
    pub caches: Maybe<BTreeMap<At<String>, At<Cache>>>,
    /// How answers are compressed on routes that want it.
    pub compression: Maybe<Compression>,
    /// Where spans of requests are sent; left out, nowhere.
    pub tracing: Maybe<Tracing>,
    /// A Redis that several gateways count in together.
    pub redis: Maybe<Redis>,
    /// How fast requests may come, by name; routes refer to them.
    pub rate_limits: Maybe<BTreeMap<At<String>, At<RateLimit>>>,
    /// How many requests are served at once, by name; routes refer to them.
    pub concurrency_limits: Maybe<BTreeMap<At<String>, At<ConcurrencyLimit>>>,
    /// How it is known who asks, by name; routes refer to them.
    pub auth: Maybe<BTreeMap<At<String>, At<Auth>>>,
    /// What holds for every route that does not say otherwise.
    pub defaults: Maybe<Defaults>,
    /// Which requests, and what is done with them.
    pub routes: List<Route>,
}

impl File {
    /// Reads a table out of which all that is wrong has been taken; should something be left, tells it.
    pub fn read(table: DeTable<'_>) -> Result<Self, (Span, String)> {
        read(table)
    }
}

/// Reads a table out of which all that is wrong has been taken.
pub fn read<'de, T: Deserialize<'de>>(table: DeTable<'de>) -> Result<T, (Span, String)> {
    let document = Spanned::new(0..0, DeValue::Table(table));
    T::deserialize(ValueDeserializer::from(document))
        .map_err(|e| (e.span().unwrap_or_default(), e.message().to_owned()))
}

/// The process: workers, draining, limits.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Workers; "auto" starts one per core. Default `"auto"`.
    pub threads: Maybe<Threads>,
    /// How long a stop, an upgrade or a removed listener waits for running requests. Default `"30s"`.
    pub drain_timeout: Maybe<Duration>,
    /// How long an upgrade waits until the new process can serve; then the old one goes on. Default `"60s"`.
    pub upgrade_timeout: Maybe<Duration>,
    /// Networks whose X-Forwarded-For and X-Forwarded-Proto are believed. Default `[]`.
    pub trusted_proxies: List<String>,
    /// What one client, and all together, may ask for.
    pub limits: Maybe<Limits>,
}

/// What one client, and all together, may ask for.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Client connections open at once; more are refused and counted. Default `50000`.
    pub max_connections: Maybe<Int<1, 10_000_000>>,
    /// Connections of one address, those of trusted_proxies not counted; 0 sets no limit. Default `0`.
    pub connections_per_ip: Maybe<Int<0, 10_000_000>>,
    /// For the whole head of a request, from its first byte. Default `"10s"`.
    pub header_timeout: Maybe<Duration>,
    /// Between two requests of a connection. Default `"75s"`.
    pub keepalive_timeout: Maybe<Duration>,
    /// Requests of one connection; 1 turns keep-alive off. Default `10000`.
    pub keepalive_requests: Maybe<Int<1, 1_000_000_000>>,
    /// Between two reads of a request's body, and between two writes to a client. Default `"30s"`.
    pub body_timeout: Maybe<Duration>,
    /// Bytes of a head, request line included. Default `"32KiB"`.
    pub max_header_size: Maybe<Size>,
    /// Fields of a head. Default `100`.
    pub max_headers: Maybe<Int<1, 10_000>>,
    /// Bytes of a request target. Default `"8KiB"`.
    pub max_uri: Maybe<Size>,
    /// Bytes of a request's body, 413 above; a route may differ. Default `"10MiB"`.
    pub max_body: Maybe<Size>,
    /// Requests at once on one connection of HTTP/2. Default `128`.
    pub http2_streams: Maybe<Int<1, 100_000>>,
    /// TLS handshakes in flight at once; beyond it connections are closed. Default `1024`.
    pub handshakes: Maybe<Int<1, 1_000_000>>,
}

/// The administration API: metrics, status, reload.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// Where it listens: address and port, or "unix:/path". Default `"127.0.0.1:9900"`.
    pub address: Maybe<String>,
    /// A file that holds the bearer token; needed when others than this machine can reach the address.
    pub token_file: Maybe<String>,
}

/// Where requests are logged, and how.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccessLog {
    /// "stdout", "stderr", "off", or a file, which is reopened on USR1. Default `"stdout"`.
    pub path: Maybe<String>,
    /// "json", "combined", or a line of your own with ${variables}. Default `"json"`.
    pub format: Maybe<Template>,
    /// Requests that take this long are counted and logged as slow, with their timings. Default `"1s"`.
    pub slow_threshold: Maybe<Duration>,
}

/// A socket that clients connect to.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// What a route's match.listener refers to.
    pub name: Maybe<String>,
    /// Where it listens: `0.0.0.0:80`, `[::]:80`, `:80`, `localhost:80` or `unix:/path`.
    pub address: Maybe<String>,
    /// Every request is answered with a redirect to https on the same host. Default `false`.
    pub redirect_to_https: Maybe<Flag>,
    /// Certificates it may show, of which a client's choice of name takes one; `[]` is plain HTTP. Default `[]`.
    pub certificates: List<String>,
    /// Which of them is for a client that names no server, or an unknown one; left out, the first.
    pub default_certificate: Maybe<String>,
    /// Whether HTTP/2 is offered to clients of TLS. Default `true`.
    pub http2: Maybe<Flag>,
    /// Whether clients may speak HTTP/2 without TLS. Default `false`.
    pub h2c: Maybe<Flag>,
    /// The oldest version of TLS that is spoken. Default `"1.2"`.
    pub min_version: Maybe<TlsVersion>,
    /// For a whole TLS handshake. Default `"10s"`.
    pub handshake_timeout: Maybe<Duration>,
    /// Authorities that sign the certificates of clients, in PEM; "" asks clients for none. Default `""`.
    pub client_ca_file: Maybe<String>,
    /// Whether a client must show one; only with client_ca_file. Default `"require"`.
    pub client_auth: Maybe<ClientAuth>,
    /// Whether each connection begins with a PROXY line, which is believed from trusted_proxies. Default `false`.
    pub proxy_protocol: Maybe<Flag>,
}
