//! Who may come in, how fast, how many.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::kit::networks::Networks;
use crate::secrets::{ApiKeys, TokenKey, Users};

pub use crate::secrets::TokenAlgorithm;

/// An index into [`Plan::rate_limits`](super::Plan::rate_limits).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RateLimitId(pub usize);

/// An index into [`Plan::concurrency_limits`](super::Plan::concurrency_limits).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConcurrencyLimitId(pub usize);

/// An index into [`Plan::auths`](super::Plan::auths).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AuthId(pub usize);

/// `[redis]`. Its `Debug` has no password.
#[derive(Clone, PartialEq, Eq)]
pub struct Redis {
    /// "redis://user:password@host:port/db"; checked, and shown nowhere without its password taken out.
    pub url: String,
    /// A question that takes longer is answered by `on_redis_error`.
    pub timeout: Duration,
}

/// `[rate_limits.NAME]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// NAME
    pub name: String,
    /// What is counted apart.
    pub key: LimitKey,
    /// Requests admitted in each `period`.
    pub count: NonZeroU32,
    /// "10/s" is 10 in a second.
    pub period: Duration,
    /// Requests admitted at once after a pause.
    pub burst: NonZeroU32,
    /// Keys remembered at once.
    pub max_keys: usize,
    /// Whether it is counted in Redis, for all gateways together. Only with `[redis]`.
    pub shared: bool,
    /// What holds while Redis does not answer.
    pub on_redis_error: OnRedisError,
}

/// What a limit counts apart. A request without the field, cookie or claim is counted by its client's address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LimitKey {
    /// The client's address, IPv6 by /64.
    ClientIp,
    /// A cookie's value.
    Cookie(String),
    /// Nothing: all requests together.
    Global,
    /// A field's value, name in lower case.
    Header(String),
    /// A claim of the token that let the request in.
    JwtClaim(String),
    /// The route.
    Route,
}

/// `on_redis_error`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnRedisError {
    /// Nobody is admitted.
    Closed,
    /// Each gateway counts for itself.
    #[default]
    Local,
    /// Everybody is admitted.
    Open,
}

/// `[concurrency_limits.NAME]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConcurrencyLimit {
    /// NAME
    pub name: String,
    /// What is counted apart.
    pub key: LimitKey,
    /// Requests served at once, of each key.
    pub max: NonZeroU32,
    /// Requests that wait, of each key.
    pub queue: u32,
    /// How long one waits.
    pub queue_timeout: Duration,
    /// Keys with a request at once; with more, those that come are refused.
    pub max_keys: usize,
}

/// `[upstreams.*.overload]`: what protects an upstream from more than it can do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overload {
    /// Requests in flight to all its servers; 0 = no limit. With `adaptive`, the highest it may learn; 0 = 10,000.
    pub max_requests: u32,
    /// Requests that wait for a place.
    pub queue: u32,
    /// How long one waits.
    pub queue_timeout: Duration,
    /// Whether the limit is learnt from the latency.
    pub adaptive: bool,
}

impl Overload {
    /// Whether there is a limit at all.
    pub fn is_on(&self) -> bool {
        self.max_requests > 0 || self.adaptive
    }
}

/// `[auth.NAME]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// NAME
    pub name: String,
    /// How it is known who asks.
    pub method: AuthMethod,
}

/// The one method of an `[auth.NAME]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthMethod {
    /// `basic`
    Basic(Basic),
    /// `forward`
    Forward(Forward),
    /// `jwt`
    Jwt(Jwt),
    /// `keys`
    Keys(Keys),
}

/// `basic = { … }`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Basic {
    /// What a browser shows; no quotes or controls in it.
    pub realm: String,
    /// Where they were read from.
    pub users_file: PathBuf,
    /// Who, and by which password.
    pub users: Arc<Users>,
    /// The field an origin is told the user by; None = it is not told.
    pub forward_user: Option<String>,
}

/// `forward = { … }`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// Who is asked: an http or https URL.
    pub url: String,
    /// Until its whole answer.
    pub timeout: Duration,
    /// Fields of the request it is shown, names in lower case, sorted; empty = all but those of the connection and the body.
    pub request_headers: Vec<String>,
    /// Fields of its answer that go on to the origin, as written; a client's own fields of these names do not.
    pub copy_headers: Vec<String>,
}

/// `keys = { … }`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// The field that holds a key, name in lower case.
    pub header: String,
    /// Where they were read from.
    pub file: PathBuf,
    /// The keys, and whose they are.
    pub keys: Arc<ApiKeys>,
    /// The field an origin is told the owner by; None = it is not told.
    pub forward_name: Option<String>,
}

/// `jwt = { … }`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jwt {
    /// What signatures are checked by.
    pub keys: TokenKeys,
    /// Algorithms a token may be signed with, sorted; never empty, and only those that fit the keys.
    pub algorithms: Vec<TokenAlgorithm>,
    /// What `iss` must be.
    pub issuer: Option<String>,
    /// One of which `aud` must hold; empty = not asked.
    pub audience: Vec<String>,
    /// How far clocks may differ.
    pub leeway: Duration,
    /// The cookie a token may come in where there is no Authorization; None = it may not.
    pub cookie: Option<String>,
    /// Claims the origin is told, and the fields as written; a client's own fields of these names do not go on.
    pub forward_claims: Vec<(String, String)>,
}

/// Where the keys of tokens come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenKeys {
    /// `jwks_url`: fetched, kept while it can be reached no more, and fetched again when an unknown key is named.
    Fetched {
        /// An http or https URL.
        url: String,
        /// Between two fetches.
        refresh: Duration,
    },
    /// `secret_file`, `public_key_file`, or `jwks_file`
    Given {
        /// Where they were read from.
        file: PathBuf,
        /// The keys.
        keys: Arc<Vec<TokenKey>>,
    },
}

/// `cors = { … }`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cors {
    /// Whose pages may ask.
    pub origins: Origins,
    /// Methods besides the plain ones, in upper case.
    pub methods: Vec<String>,
    /// Fields besides the plain ones, names in lower case; `["*"]` = whichever a browser asks for.
    pub headers: Vec<String>,
    /// Fields of the answer that scripts may see.
    pub expose_headers: Vec<String>,
    /// Whether cookies may come along. Never with [`Origins::Any`].
    pub credentials: bool,
    /// How long a browser need not ask again.
    pub max_age: Duration,
}

/// `origins`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    /// `["*"]`
    Any,
    /// These, in lower case and without a path; `https://*.example.com` stands for every name below it.
    Listed(Vec<String>),
}

/// What a route asks of a request before it does anything for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guards {
    /// Who may come; None = everybody who is not denied.
    pub allow: Option<Networks>,
    /// Who may not, whatever `allow` says.
    pub deny: Networks,
    /// Who must be known.
    pub auth: Option<AuthId>,
    /// How fast; all of them must admit.
    pub rate_limits: Vec<RateLimitId>,
    /// How many at once; all of them must admit, in this order.
    pub concurrency_limits: Vec<ConcurrencyLimitId>,
    /// Whose pages may ask.
    pub cors: Option<Arc<Cors>>,
}
