//! What the guards count, looked at when someone scrapes.

use prometheus::proto::MetricFamily;

use super::{Row, family};
use crate::observe::names;

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuardSample<'a> {
    /// Every rate limit.
    pub rates: Vec<RateSample<'a>>,
    /// Every concurrency limit.
    pub places: Vec<PlaceSample<'a>>,
    /// Every upstream that is protected from overload.
    pub upstreams: Vec<LoadSample<'a>>,
    /// The link to Redis.
    pub redis: Option<RedisSample>,
}

/// A rate limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateSample<'a> {
    /// Its name.
    pub limit: &'a str,
    /// Requests refused.
    pub refused: u64,
    /// Keys remembered.
    pub keys: u64,
    /// Keys forgotten while they owed something.
    pub forgotten: u64,
}

/// A concurrency limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceSample<'a> {
    /// Its name.
    pub limit: &'a str,
    /// Requests inside.
    pub in_use: u64,
    /// Requests that wait.
    pub waiting: u64,
    /// Refused because the queue was full, there were too many keys, or they had waited too long.
    pub refused: [u64; 3],
}

/// An upstream's protection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadSample<'a> {
    /// Its name.
    pub upstream: &'a str,
    /// Requests that may be in flight; None = any number.
    pub limit: Option<u64>,
    /// Requests that wait.
    pub waiting: u64,
    /// Refused because there was no room, or they had waited too long.
    pub shed: [u64; 2],
}

/// The link to Redis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisSample {
    /// Whether it is asked.
    pub is_up: bool,
    /// Questions.
    pub asks: u64,
    /// Errors, late answers, and questions nobody was asked.
    pub failures: [u64; 3],
}

/// The families of the guards.
pub(super) fn guarded(sample: &GuardSample<'_>) -> Vec<MetricFamily> {
    let rates = |value: fn(&RateSample<'_>) -> u64| {
        let row = |s: &RateSample<'_>| Row::of([s.limit], value(s));
        sample.rates.iter().map(row).collect()
    };
    let places = |value: fn(&PlaceSample<'_>) -> u64| {
        let row = |s: &PlaceSample<'_>| Row::of([s.limit], value(s));
        sample.places.iter().map(row).collect()
    };
    let mut families = vec![
        family(&names::RATE_LIMITED, rates(|s| s.refused)),
        family(&names::RATE_LIMIT_KEYS, rates(|s| s.keys)),
        family(&names::RATE_LIMIT_FORGOTTEN, rates(|s| s.forgotten)),
        family(&names::CONCURRENCY_IN_USE, places(|s| s.in_use)),
        family(&names::CONCURRENCY_WAITING, places(|s| s.waiting)),
        family(&names::CONCURRENCY_REFUSED, refused(&sample.places)),
    ];
    families.extend(loads(&sample.upstreams));
    families.extend(redis(sample.redis.as_ref()));
    families
}

fn refused(places: &[PlaceSample<'_>]) -> Vec<Row> {
    const REASONS: [&str; 3] = ["queue_full", "keys_full", "timeout"];
    let rows = |s: &PlaceSample<'_>| [0, 1, 2].map(|at| Row::of([s.limit, REASONS[at]], s.refused[at]));
    places.iter().flat_map(rows).collect()
}

fn loads(upstreams: &[LoadSample<'_>]) -> [MetricFamily; 3] {
    const REASONS: [&str; 2] = ["full", "timeout"];
    let limits = upstreams
        .iter()
        .filter_map(|s| Some(Row::of([s.upstream], s.limit?)));
    let waiting = upstreams.iter().map(|s| Row::of([s.upstream], s.waiting));
    let rows = |s: &LoadSample<'_>| [0, 1].map(|at| Row::of([s.upstream, REASONS[at]], s.shed[at]));
    [
        family(&names::UPSTREAM_LIMIT, limits.collect()),
        family(&names::UPSTREAM_WAITING, waiting.collect()),
        family(&names::UPSTREAM_SHED, upstreams.iter().flat_map(rows).collect()),
    ]
}

fn redis(link: Option<&RedisSample>) -> [MetricFamily; 3] {
    const REASONS: [&str; 3] = ["error", "timeout", "unavailable"];
    let one = |value: fn(&RedisSample) -> u64| link.map(|l| Row::of([], value(l))).into_iter().collect();
    let rows = |l: &RedisSample| [0, 1, 2].map(|at| Row::of([REASONS[at]], l.failures[at]));
    [
        family(&names::REDIS_UP, one(|l| u64::from(l.is_up))),
        family(&names::REDIS_ASKS, one(|l| l.asks)),
        family(&names::REDIS_FAILURES, link.into_iter().flat_map(rows).collect()),
    ]
}
