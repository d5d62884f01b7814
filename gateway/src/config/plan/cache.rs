//! What is kept of answers, where, and how they are compressed.

use std::path::PathBuf;
use std::time::Duration;

use super::{CacheId, Coding};

/// `[caches.NAME]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    /// NAME
    pub name: String,
    /// Bytes in memory.
    pub memory: u64,
    /// Bytes on disk; 0 = memory only.
    pub disk: u64,
    /// The folder of the disk tier; Some whenever `disk` is not 0.
    pub path: Option<PathBuf>,
    /// Bytes of the largest answer kept.
    pub max_object: u64,
    /// Requests before an answer goes to disk; at least 1.
    pub min_uses: u32,
}

/// `[routes.cache]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheRule {
    /// Where answers are kept.
    pub store: CacheId,
    /// How long an answer is fresh whose origin says nothing; None leaves it to the origin.
    pub ttl: Option<Duration>,
    /// Whether `ttl` and `statuses` hold against what the origin says. What is private stays private.
    pub overrides: bool,
    /// Times of certain statuses instead of `ttl`, sorted by status.
    pub statuses: Vec<(u16, Duration)>,
    /// Where the origin says nothing about it; zero = not.
    pub stale_while_revalidate: Duration,
    /// Where the origin says nothing about it; zero = not.
    pub stale_if_error: Duration,
    /// What an answer depends on besides method, scheme, host, port and path.
    pub key: KeyRule,
    /// Which requests pass the cache by.
    pub bypass: Bypass,
}

/// `key = { … }`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyRule {
    /// Which of the query.
    pub query: QueryRule,
    /// Fields, names in lower case, sorted.
    pub headers: Vec<String>,
    /// Cookies, sorted.
    pub cookies: Vec<String>,
}

/// `query = …`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum QueryRule {
    /// The query as it was sent.
    #[default]
    All,
    /// Nothing of it.
    None,
    /// These parameters, sorted; a `*` at the end stands for any ending. Order of the request's parameters does not count.
    Only(Vec<String>),
    /// All but these, likewise.
    Except(Vec<String>),
}

/// `bypass = { … }`: a request that has any of these is sent to the origin, and its answer is not kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bypass {
    /// Cookies, sorted.
    pub cookies: Vec<String>,
    /// Fields, names in lower case, sorted.
    pub headers: Vec<String>,
}

/// `[compression]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compression {
    /// Most wanted first, where a client likes several alike.
    pub algorithms: Vec<Coding>,
    /// Bytes from which an answer is compressed.
    pub min_size: u64,
    /// Media types in lower case: `text/html`, or `text/*`.
    pub types: Vec<String>,
}
