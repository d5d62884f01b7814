//! What the hot path counts in: series found once, then only added to.

use std::sync::Arc;
use std::time::Duration;

use prometheus::{Histogram, IntCounter, IntGauge};

use super::family::Family;

/// A method as a label: what a client may invent is `OTHER`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MethodLabel {
    /// CONNECT
    Connect,
    /// DELETE
    Delete,
    /// GET
    Get,
    /// HEAD
    Head,
    /// OPTIONS
    Options,
    /// Anything else, and no method at all.
    Other,
    /// PATCH
    Patch,
    /// POST
    Post,
    /// PUT
    Put,
    /// TRACE
    Trace,
}

impl MethodLabel {
    /// The label for a method as sent. Methods are case-sensitive (RFC 9110 §9.1).
    pub fn of(method: &[u8]) -> Self {
        match method {
            b"CONNECT" => Self::Connect,
            b"DELETE" => Self::Delete,
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"OPTIONS" => Self::Options,
            b"PATCH" => Self::Patch,
            b"POST" => Self::Post,
            b"PUT" => Self::Put,
            b"TRACE" => Self::Trace,
            _ => Self::Other,
        }
    }

    /// The label's value.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Connect => "CONNECT",
            Self::Delete => "DELETE",
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Options => "OPTIONS",
            Self::Other => "OTHER",
            Self::Patch => "PATCH",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Trace => "TRACE",
        }
    }
}

/// How a try on a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerResult {
    /// An answer below 500.
    Ok,
    /// No connection, a broken one, an answer that was no HTTP, or one of 500 and above.
    Error,
    /// Nothing in time.
    Timeout,
    /// The client left first: says nothing of the server.
    Aborted,
}

impl ServerResult {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Ok, Self::Error, Self::Timeout, Self::Aborted];

    /// The label's value.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Timeout => "timeout",
            Self::Aborted => "aborted",
        }
    }
}

/// Why there was a further try; the words of `retry_on`, its statuses as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryReason {
    /// No connection came about.
    ConnectFailure,
    /// Nothing in time.
    Timeout,
    /// The connection broke before an answer.
    Reset,
    /// The answer was not HTTP.
    InvalidResponse,
    /// A status that is retried.
    Status,
}

impl RetryReason {
    /// Every one.
    pub const ALL: [Self; 5] = [
        Self::ConnectFailure,
        Self::Timeout,
        Self::Reset,
        Self::InvalidResponse,
        Self::Status,
    ];

    /// The label's value.
    pub const fn text(self) -> &'static str {
        match self {
            Self::ConnectFailure => "connect_failure",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::InvalidResponse => "invalid_response",
            Self::Status => "status",
        }
    }
}

/// What is counted of a route, apart from its statuses.
#[derive(Clone)]
pub struct RouteMetrics {
    pub(super) name: Arc<str>,
    /// Stands for the name in [`StatusCounters`]; no two names ever have the same.
    pub(super) slot: u32,
    pub(super) duration: Histogram,
    pub(super) bytes: IntCounter,
    pub(super) slow: IntCounter,
}

impl RouteMetrics {
    /// Counts a finished request; its status goes to [`StatusCounters::count`].
    pub fn record(&self, duration: Duration, bytes_sent: u64, is_slow: bool) {
        self.duration.observe(duration.as_secs_f64());
        self.bytes.inc_by(bytes_sent);
        if is_slow {
            self.slow.inc();
        }
    }
}

/// One worker's way to `sluice_requests_total`: remembers the series it has used.
///
/// Bounded by routes × methods × statuses; [`StatusCounters::forget`] after a reload lets removed routes go.
pub struct StatusCounters {
    requests: Family<IntCounter>,
    /// Sorted by key: a worker meets few combinations, so a look-up is a handful of comparisons.
    seen: Vec<(Key, IntCounter)>,
}

type Key = (u32, MethodLabel, u16);

impl StatusCounters {
    pub(super) fn new(requests: Family<IntCounter>) -> Self {
        Self {
            requests,
            seen: Vec::new(),
        }
    }

    /// Counts a finished request. Status 0 is a client that left before its answer.
    pub fn count(&mut self, route: &RouteMetrics, method: MethodLabel, status: u16) {
        let key = (route.slot, method, status);
        let at = match self.seen.binary_search_by_key(&key, |(k, _)| *k) {
            Ok(at) => at,
            Err(at) => {
                let values = [&*route.name, method.text(), &status.to_string()];
                self.seen.insert(at, (key, self.requests.series(values)));
                at
            }
        };
        self.seen[at].1.inc();
    }

    /// Looks every series up again when it is next used.
    pub fn forget(&mut self) {
        self.seen.clear();
    }
}

/// One worker's way to a counter whose only label is a word of a closed list.
pub struct ReasonCounters {
    family: Family<IntCounter>,
    seen: Vec<(&'static str, IntCounter)>,
}

impl ReasonCounters {
    /// Knows these words from the start, so that they are exported as 0.
    pub(super) fn new(family: Family<IntCounter>, words: &[&'static str]) -> Self {
        let seen = words.iter().map(|w| (*w, family.series([w]))).collect();
        Self { family, seen }
    }

    /// Counts one.
    pub fn count(&mut self, word: &'static str) {
        if let Some((_, counter)) = self.seen.iter().find(|(w, _)| *w == word) {
            return counter.inc();
        }
        let counter = self.family.series([word]);
        counter.inc();
        self.seen.push((word, counter));
    }
}

/// What is counted of an upstream as a whole.
#[derive(Clone)]
pub struct UpstreamMetrics {
    pub(super) duration: Histogram,
    /// In the order of [`RetryReason::ALL`].
    pub(super) retries: [IntCounter; RetryReason::ALL.len()],
    pub(super) retries_refused: IntCounter,
    /// Open connections that requests share.
    pub http2_connections: IntGauge,
}

impl UpstreamMetrics {
    /// Takes note of how long a try took to bring the head of an answer.
    pub fn record(&self, duration: Duration) {
        self.duration.observe(duration.as_secs_f64());
    }

    /// Counts a further try.
    pub fn retry(&self, reason: RetryReason) {
        self.retries[reason as usize].inc();
    }

    /// Counts a further try that the budget has not allowed.
    pub fn retry_refused(&self) {
        self.retries_refused.inc();
    }
}

/// What is counted of a server in an upstream.
#[derive(Clone)]
pub struct ServerMetrics {
    /// In the order of [`ServerResult::ALL`].
    pub(super) results: [IntCounter; ServerResult::ALL.len()],
    pub(super) ejections: IntCounter,
}

impl ServerMetrics {
    /// Counts a try that has ended.
    pub fn count(&self, result: ServerResult) {
        self.results[result as usize].inc();
    }

    /// Counts an ejection.
    pub fn ejected(&self) {
        self.ejections.inc();
    }

    /// Tries with that result so far.
    pub fn counted(&self, result: ServerResult) -> u64 {
        self.results[result as usize].get()
    }
}

/// What has become of a copy of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mirrored {
    /// An answer below 500.
    Ok,
    /// No answer, or one of 500 and above.
    Error,
    /// Not sent: so many are on their way already.
    Busy,
    /// Not sent: its body is larger than is copied.
    TooLarge,
    /// Not sent: the client has not sent all of its body.
    Unfinished,
    /// Given up, because the gateway stops or it took too long.
    Aborted,
}

impl Mirrored {
    /// Every one.
    pub const ALL: [Self; 6] = [
        Self::Ok,
        Self::Error,
        Self::Busy,
        Self::TooLarge,
        Self::Unfinished,
        Self::Aborted,
    ];

    /// The label's value.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Busy => "busy",
            Self::TooLarge => "too_large",
            Self::Unfinished => "unfinished",
            Self::Aborted => "aborted",
        }
    }
}

/// What is counted of copies for an upstream.
#[derive(Clone)]
pub struct MirrorMetrics {
    /// In the order of [`Mirrored::ALL`].
    pub(super) results: [IntCounter; Mirrored::ALL.len()],
}

impl MirrorMetrics {
    /// Counts a copy.
    pub fn count(&self, result: Mirrored) {
        self.results[result as usize].inc();
    }
}

/// What the cache did for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheResult {
    /// Answered from what was stored, fresh.
    Hit,
    /// Answered from what was stored, although it was stale.
    Stale,
    /// Answered from what was stored, after the origin had said that it holds.
    Revalidated,
    /// The origin was asked.
    Miss,
    /// The origin was asked, and what it said may not be stored.
    Uncacheable,
    /// The request passes the cache by.
    Bypass,
}

impl CacheResult {
    /// Every one.
    pub const ALL: [Self; 6] = [
        Self::Hit,
        Self::Stale,
        Self::Revalidated,
        Self::Miss,
        Self::Uncacheable,
        Self::Bypass,
    ];

    /// The label's value, and the word in the access log.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Stale => "stale",
            Self::Revalidated => "revalidated",
            Self::Miss => "miss",
            Self::Uncacheable => "uncacheable",
            Self::Bypass => "bypass",
        }
    }
}

/// What a purge was asked by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PurgeKind {
    /// Everything.
    All,
    /// A host.
    Host,
    /// An origin's answer to an unsafe request.
    Origin,
    /// A path and what is below it.
    Prefix,
    /// A tag.
    Tag,
    /// One address.
    Url,
}

impl PurgeKind {
    /// Every one.
    pub const ALL: [Self; 6] = [
        Self::All,
        Self::Host,
        Self::Origin,
        Self::Prefix,
        Self::Tag,
        Self::Url,
    ];

    /// The label's value.
    pub const fn text(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Host => "host",
            Self::Origin => "origin",
            Self::Prefix => "prefix",
            Self::Tag => "tag",
            Self::Url => "url",
        }
    }
}

/// What is counted of a cache.
#[derive(Clone)]
pub struct CacheMetrics {
    /// In the order of [`CacheResult::ALL`].
    pub(super) results: [IntCounter; CacheResult::ALL.len()],
    /// In the order of [`PurgeKind::ALL`].
    pub(super) purges: [IntCounter; PurgeKind::ALL.len()],
}

impl CacheMetrics {
    /// Counts a request.
    pub fn count(&self, result: CacheResult) {
        self.results[result as usize].inc();
    }

    /// Counts a purge.
    pub fn purged(&self, kind: PurgeKind) {
        self.purges[kind as usize].inc();
    }

    /// Requests with that result so far.
    pub fn counted(&self, result: CacheResult) -> u64 {
        self.results[result as usize].get()
    }
}
