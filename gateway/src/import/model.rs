//! What Sluice is to be told: the part of its configuration that a translation makes use of.

use std::collections::BTreeMap;

/// A whole configuration.
#[derive(Clone, Debug, Default)]
pub(super) struct Document {
    pub threads: Option<u64>,
    pub drain_timeout: Option<String>,
    pub trusted_proxies: Vec<String>,
    /// Keys of `[server.limits]`.
    pub limits: BTreeMap<&'static str, Amount>,
    /// Keys of `[access_log]`.
    pub access_log: BTreeMap<&'static str, String>,
    pub certificates: BTreeMap<String, Certificate>,
    pub listeners: Vec<Listener>,
    pub upstreams: BTreeMap<String, Upstream>,
    pub caches: BTreeMap<String, Cache>,
    pub compression: Option<Compression>,
    /// Whether routes compress that do not say otherwise.
    pub compresses: bool,
    pub rate_limits: BTreeMap<String, RateLimit>,
    pub concurrency_limits: BTreeMap<String, ConcurrencyLimit>,
    pub auth: BTreeMap<String, Auth>,
    pub routes: Vec<Route>,
}

/// A number, or a text with a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Amount {
    Number(u64),
    Text(String),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Certificate {
    pub domains: Vec<String>,
    pub cert_file: String,
    pub key_file: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Listener {
    /// Said only where routes refer to it.
    pub name: Option<String>,
    pub address: String,
    pub certificates: Vec<String>,
    pub default_certificate: Option<String>,
    pub http2: Option<bool>,
    pub h2c: bool,
    pub min_version: Option<&'static str>,
    pub client_ca_file: Option<String>,
    pub client_auth: Option<&'static str>,
    pub proxy_protocol: bool,
}

/// Two locations share one if all of it is the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Upstream {
    /// The name nginx calls it by.
    pub called: String,
    pub load_balancing: &'static str,
    pub hash_by: Option<String>,
    pub servers: Vec<Server>,
    pub connect_timeout: String,
    pub write_timeout: String,
    pub read_timeout: String,
    pub idle_timeout: Option<String>,
    pub max_idle: Option<u64>,
    pub sticky_cookie: Option<String>,
    pub tls: Option<UpstreamTls>,
    pub send_proxy_protocol: bool,
    /// None is HTTP/1.1.
    pub protocol: Option<&'static str>,
    /// consecutive_failures and ejection_time.
    pub outlier: Option<(u64, Option<String>)>,
    pub retries: Retries,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Server {
    pub address: String,
    pub weight: Option<u64>,
    pub backup: bool,
    pub down: bool,
    pub max_conns: Option<u64>,
    pub slow_start: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct UpstreamTls {
    pub sni: Option<String>,
    pub ca_file: Option<String>,
    pub client_cert_file: Option<String>,
    pub client_key_file: Option<String>,
    pub verify: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Retries {
    pub attempts: u64,
    pub retry_on: Vec<String>,
    /// Also for methods that are not idempotent.
    pub any_method: bool,
    pub timeout: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cache {
    pub memory: Option<String>,
    pub disk: String,
    pub path: String,
    pub min_uses: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Compression {
    pub algorithms: Vec<String>,
    pub min_size: String,
    pub types: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RateLimit {
    pub key: String,
    pub rate: String,
    pub burst: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ConcurrencyLimit {
    pub key: String,
    pub max: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Auth {
    Basic { users_file: String, realm: String },
    Forward { url: String, copy_headers: Vec<String> },
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum PathMatch {
    #[default]
    Any,
    Exact(String),
    Prefix(String),
    Regex(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Upstream(String),
    Files(StaticFiles),
    Respond {
        status: u16,
        body: String,
        content_type: Option<String>,
    },
    Redirect {
        to: String,
        status: u16,
    },
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct StaticFiles {
    pub root: String,
    /// None: index.html.
    pub index: Option<String>,
    pub precompressed: Vec<String>,
    pub try_files: Vec<String>,
    pub directory_listing: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rewrite {
    StripPrefix(String),
    Regex { regex: String, to: String },
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Edits {
    pub set: Vec<(String, String)>,
    pub add: Vec<(String, String)>,
    pub remove: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct CacheRule {
    pub store: String,
    pub ttl: Option<String>,
    pub overrides: bool,
    pub statuses: BTreeMap<String, String>,
    pub stale_while_revalidate: Option<String>,
    pub stale_if_error: Option<String>,
    pub without_query: bool,
    pub key_headers: Vec<String>,
    pub key_cookies: Vec<String>,
    pub bypass_cookies: Vec<String>,
    pub bypass_headers: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub name: String,
    /// Lines above it: where it comes from, and what to look at.
    pub comment: Vec<String>,
    pub listener: Option<String>,
    pub host: Option<String>,
    pub path: PathMatch,
    pub methods: Vec<String>,
    pub action: Action,
    pub rewrite: Option<Rewrite>,
    pub max_body: Option<String>,
    pub request: Edits,
    pub response: Edits,
    pub access_log: bool,
    pub cache: Option<CacheRule>,
    pub compression: bool,
    pub allow: Vec<String>,
    pub deny: Vec<String>,
    /// Why nobody is let in until somebody has looked at it.
    pub closed: Option<String>,
    pub auth: Option<String>,
    pub rate_limits: Vec<String>,
    pub concurrency_limits: Vec<String>,
    /// What is left of a server is 404: said only where another server would take it.
    pub is_rest: bool,
}

impl Route {
    /// One that does this for everybody, and nothing else.
    pub fn new(path: PathMatch, action: Action) -> Self {
        Self {
            name: String::new(),
            comment: Vec::new(),
            listener: None,
            host: None,
            path,
            methods: Vec::new(),
            action,
            rewrite: None,
            max_body: None,
            request: Edits::default(),
            response: Edits::default(),
            access_log: true,
            cache: None,
            compression: false,
            allow: Vec::new(),
            deny: Vec::new(),
            closed: None,
            auth: None,
            rate_limits: Vec::new(),
            concurrency_limits: Vec::new(),
            is_rest: false,
        }
    }

    /// Whether an origin is asked.
    pub fn asks_an_origin(&self) -> bool {
        matches!(self.action, Action::Upstream(_))
    }
}
