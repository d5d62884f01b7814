//! The counters of a moment, for who looks on: two of them, taken one after the other, make rates and latencies.

use std::collections::BTreeMap;
use std::iter::Sum;

use prometheus::core::Collector;
use prometheus::proto::{self, LabelPair};

use super::Metrics;
use crate::observe::names::DURATION_BUCKETS;
use crate::observe::process::Usage;

/// The buckets of a duration: one for each bound, and one for all that took longer.
pub const BUCKETS: usize = DURATION_BUCKETS.len() + 1;

/// What has been counted since the start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Totals {
    /// By name; requests without a route are under [`NO_ROUTE`](super::NO_ROUTE).
    pub routes: BTreeMap<String, RouteTotals>,
    /// By reason.
    pub refusals: BTreeMap<String, u64>,
    /// Hits and misses by cache.
    pub caches: BTreeMap<String, [u64; 2]>,
    /// Connections that were closed before a request was read, or cut for what their clients did.
    pub connections_refused: u64,
    /// Processor time in seconds; None where the system does not tell.
    pub cpu_s: Option<f64>,
    /// Memory in use.
    pub resident_bytes: Option<f64>,
}

/// What has been counted of a route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouteTotals {
    /// Requests by how long they took: each is in one bucket only.
    pub durations: [u64; BUCKETS],
    /// Requests by the first digit of their status; 0 is a client that left before its answer.
    pub statuses: [u64; 6],
    /// Body bytes sent.
    pub bytes: u64,
}

impl RouteTotals {
    /// Requests that have ended.
    pub fn requests(&self) -> u64 {
        self.statuses.iter().sum()
    }

    /// What came after `then`; all of it if the counters have begun anew since.
    pub fn since(&self, then: &Self) -> Self {
        let began_anew = self.requests() < then.requests();
        let then = if began_anew { &Self::default() } else { then };
        Self {
            durations: std::array::from_fn(|i| since(self.durations[i], then.durations[i])),
            statuses: std::array::from_fn(|i| since(self.statuses[i], then.statuses[i])),
            bytes: since(self.bytes, then.bytes),
        }
    }
}

impl<'a> Sum<&'a RouteTotals> for RouteTotals {
    fn sum<I: Iterator<Item = &'a RouteTotals>>(routes: I) -> Self {
        let mut sum = Self::default();
        for route in routes {
            add(&mut sum.durations, &route.durations);
            add(&mut sum.statuses, &route.statuses);
            sum.bytes += route.bytes;
        }
        sum
    }
}

/// What a counter has grown by; all of it if it has begun anew.
pub fn since(now: u64, then: u64) -> u64 {
    now.checked_sub(then).unwrap_or(now)
}

fn add(sum: &mut [u64], more: &[u64]) {
    sum.iter_mut().zip(more).for_each(|(sum, n)| *sum += n);
}

/// The seconds within which the share `q` of the requests had ended; None of no request.
///
/// A histogram knows only in which bucket a request fell, so this is as exact as its bucket is narrow: requests are
/// taken as spread evenly in theirs. What took longer than the last bound is told as that bound: "10 s or more".
pub fn quantile_s(durations: &[u64; BUCKETS], q: f64) -> Option<f64> {
    let all: u64 = durations.iter().sum();
    // A little less than exact: 0.07 × 100 must not become the eighth request by rounding.
    let rank = q * all as f64 * (1.0 - 1e-12);
    let mut below = 0.0;
    let mut low = 0.0;
    for (&n, &high) in durations.iter().zip(&DURATION_BUCKETS) {
        let n = n as f64;
        if n > 0.0 && below + n >= rank {
            let within = ((rank - below) / n).clamp(0.0, 1.0);
            return Some((low + (high - low) * within).min(high));
        }
        below += n;
        low = high;
    }
    (all > 0).then_some(low)
}

impl Metrics {
    /// The counters of this moment. Slow enough for the control thread only.
    pub fn totals(&self) -> Totals {
        let usage = Usage::brief();
        let mut totals = Totals {
            cpu_s: usage.cpu_s,
            resident_bytes: usage.resident_bytes,
            ..Totals::default()
        };
        each(&self.requests, |[route, _, status], metric| {
            let class = status.bytes().next().unwrap_or_default();
            let route = totals.routes.entry(route.to_owned()).or_default();
            if let Some(sum) = route.statuses.get_mut(usize::from(class.saturating_sub(b'0'))) {
                *sum += count(metric);
            }
        });
        each(&self.request_duration, |[route], metric| {
            let route = totals.routes.entry(route.to_owned()).or_default();
            route.durations = apart(metric.get_histogram());
        });
        each(&self.response_bytes, |[route], metric| {
            totals.routes.entry(route.to_owned()).or_default().bytes = count(metric);
        });
        each(&self.refusals, |[reason], metric| {
            totals.refusals.insert(reason.to_owned(), count(metric));
        });
        each(&self.connections_refused, |[_], metric| {
            totals.connections_refused += count(metric);
        });
        each(&self.cache_requests, |[cache, result], metric| {
            let [hits, misses] = totals.caches.entry(cache.to_owned()).or_default();
            match result {
                "hit" => *hits += count(metric),
                "miss" => *misses += count(metric),
                _ => {}
            }
        });
        totals
    }
}

/// Every series of a family, with the values of its labels in the order of the description.
fn each<const N: usize>(family: &impl Collector, mut tell: impl FnMut([&str; N], &proto::Metric)) {
    for family in family.collect() {
        for metric in family.get_metric() {
            let values: Vec<&str> = metric.get_label().iter().map(LabelPair::value).collect();
            if let Ok(values) = values.try_into() {
                tell(values, metric);
            }
        }
    }
}

/// Counts are whole numbers that a double holds without loss up to 2^53.
fn count(metric: &proto::Metric) -> u64 {
    metric.get_counter().get_value() as u64
}

/// Buckets as the library tells them hold all that is below their bound; here each holds its own.
fn apart(histogram: &proto::Histogram) -> [u64; BUCKETS] {
    let mut counts = [0; BUCKETS];
    let mut below = 0;
    let bounded = histogram.get_bucket().iter().map(proto::Bucket::cumulative_count);
    let all = bounded.chain([histogram.get_sample_count()]);
    for (own, cumulative) in counts.iter_mut().zip(all) {
        *own = cumulative.saturating_sub(below);
        below = cumulative;
    }
    counts
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::observe::{CacheResult, MethodLabel};

    #[test]
    fn what_was_counted_is_told_by_route_class_and_bucket() {
        let metrics = Metrics::new("0");
        let route = metrics.route("api");
        for millis in [0, 3, 4, 60_000] {
            route.record(Duration::from_millis(millis), 10, false);
        }
        let mut statuses = metrics.status_counters();
        for status in [200, 204, 404, 0, 503] {
            statuses.count(&route, MethodLabel::Get, status);
        }
        metrics.refusals(&["timeout"]).count("timeout");
        metrics.connections_refused(&["full"]).count("full");
        metrics.cache("edge").count(CacheResult::Hit);
        metrics.cache("edge").count(CacheResult::Stale);

        let totals = metrics.totals();
        let api = &totals.routes["api"];
        assert_eq!(api.statuses, [1, 0, 2, 0, 1, 1]);
        let mut durations = [0; BUCKETS];
        (durations[0], durations[3], durations[BUCKETS - 1]) = (1, 2, 1);
        assert_eq!((api.durations, api.bytes), (durations, 40));
        assert_eq!(totals.refusals["timeout"], 1);
        assert_eq!((totals.connections_refused, totals.caches["edge"]), (1, [1, 0]));
        assert!(totals.resident_bytes.is_some_and(|n| n > 0.0) && totals.cpu_s.is_some());
    }
}
