//! The gateway's metrics: who counts gets a handle, who scrapes gets a page.

pub mod totals;

use std::collections::{BTreeMap, BTreeSet};

use parking_lot::Mutex;
use prometheus::core::Collector;
use prometheus::{Histogram, IntCounter, IntGauge, Registry};

use super::exposition;
use super::family::{Family, NAMES_ARE_VALID, opts};
use super::handles::{
    CacheMetrics, CacheResult, MirrorMetrics, Mirrored, PurgeKind, ReasonCounters, RetryReason, RouteMetrics,
    ServerMetrics, ServerResult, StatusCounters, UpstreamMetrics,
};
use super::names::{self, Described};
use super::process::Usage;
use super::sample::{Sample, sampled, used};
use super::writer::Tally;
use crate::kit::clock::Now;

/// The route label of requests that no route matched.
pub const NO_ROUTE: &str = "-";

/// How an order to apply a configuration may end.
pub const APPLIED: [&str; 4] = ["kept", "rolled_back", "superseded", "refused"];

/// All metrics of one gateway. Cheap to share, none of it global.
pub struct Metrics {
    registry: Registry,
    requests: Family<IntCounter>,
    request_duration: Family<Histogram>,
    response_bytes: Family<IntCounter>,
    slow_requests: Family<IntCounter>,
    refusals: Family<IntCounter>,
    connections_refused: Family<IntCounter>,
    upstream_requests: Family<IntCounter>,
    upstream_duration: Family<Histogram>,
    upstream_retries: Family<IntCounter>,
    upstream_retries_refused: Family<IntCounter>,
    upstream_ejections: Family<IntCounter>,
    upstream_http2_connections: Family<IntGauge>,
    mirrored: Family<IntCounter>,
    cache_requests: Family<IntCounter>,
    cache_purges: Family<IntCounter>,
    config_reloads: Family<IntCounter>,
    config_applies: Family<IntCounter>,
    upgrades: Family<IntCounter>,
    last_reload_successful: IntGauge,
    config_loaded: IntGauge,
    access_log: Tally,
    version: &'static str,
    slots: Mutex<Slots>,
}

#[derive(Default)]
struct Slots {
    by_route: BTreeMap<String, u32>,
    next: u32,
}

impl Metrics {
    /// Fresh metrics, with a registry of their own.
    pub fn new(version: &'static str) -> Self {
        let registry = Registry::new();
        let r = &registry;
        let metrics = Self {
            requests: registered(r, Family::new(&names::REQUESTS)),
            request_duration: registered(r, Family::new(&names::REQUEST_DURATION)),
            response_bytes: registered(r, Family::new(&names::RESPONSE_BYTES)),
            slow_requests: registered(r, Family::new(&names::SLOW_REQUESTS)),
            refusals: registered(r, Family::new(&names::REFUSALS)),
            connections_refused: registered(r, Family::new(&names::CONNECTIONS_REFUSED)),
            upstream_requests: registered(r, Family::new(&names::UPSTREAM_REQUESTS)),
            upstream_duration: registered(r, Family::new(&names::UPSTREAM_DURATION)),
            upstream_retries: registered(r, Family::new(&names::UPSTREAM_RETRIES)),
            upstream_retries_refused: registered(r, Family::new(&names::UPSTREAM_RETRIES_REFUSED)),
            upstream_ejections: registered(r, Family::new(&names::UPSTREAM_EJECTIONS)),
            upstream_http2_connections: registered(r, Family::new(&names::UPSTREAM_HTTP2_CONNECTIONS)),
            mirrored: registered(r, Family::new(&names::MIRRORED)),
            cache_requests: registered(r, Family::new(&names::CACHE_REQUESTS)),
            cache_purges: registered(r, Family::new(&names::CACHE_PURGES)),
            config_reloads: registered(r, Family::new(&names::CONFIG_RELOADS)),
            config_applies: registered(r, Family::new(&names::CONFIG_APPLIES)),
            upgrades: registered(r, Family::new(&names::UPGRADES)),
            last_reload_successful: registered(r, gauge(&names::CONFIG_LAST_RELOAD_SUCCESSFUL)),
            config_loaded: registered(r, gauge(&names::CONFIG_LOADED)),
            access_log: Tally {
                dropped: registered(r, counter(&names::ACCESS_LOG_DROPPED)),
                errors: registered(r, counter(&names::ACCESS_LOG_ERRORS)),
            },
            version,
            slots: Mutex::default(),
            registry,
        };
        // Exported as 0 from the start: an alert on the first failure needs a value before it.
        for result in [RELOAD_OK, RELOAD_ERROR] {
            metrics.config_reloads.series([result]);
            metrics.upgrades.series([result]);
        }
        for result in APPLIED {
            metrics.config_applies.series([result]);
        }
        metrics
    }

    /// The handles of a route; the same ones for the same name, across reloads.
    pub fn route(&self, name: &str) -> RouteMetrics {
        RouteMetrics {
            name: name.into(),
            slot: self.slots.lock().of(name),
            duration: self.request_duration.series([name]),
            bytes: self.response_bytes.series([name]),
            slow: self.slow_requests.series([name]),
        }
    }

    /// A worker's counters for requests by route, method and status.
    pub fn status_counters(&self) -> StatusCounters {
        StatusCounters::new(self.requests.clone())
    }

    /// A worker's counters for refusals; `words` are all there are.
    pub fn refusals(&self, words: &[&'static str]) -> ReasonCounters {
        ReasonCounters::new(self.refusals.clone(), words)
    }

    /// A worker's counters for refused connections; `words` are all there are.
    pub fn connections_refused(&self, words: &[&'static str]) -> ReasonCounters {
        ReasonCounters::new(self.connections_refused.clone(), words)
    }

    /// The handles of an upstream.
    pub fn upstream(&self, name: &str) -> UpstreamMetrics {
        let retries = |reason: RetryReason| self.upstream_retries.series([name, reason.text()]);
        UpstreamMetrics {
            duration: self.upstream_duration.series([name]),
            retries: RetryReason::ALL.map(retries),
            retries_refused: self.upstream_retries_refused.series([name]),
            http2_connections: self.upstream_http2_connections.series([name]),
        }
    }

    /// The handles of a server, by its address as configured.
    pub fn server(&self, upstream: &str, server: &str) -> ServerMetrics {
        let results = |r: ServerResult| self.upstream_requests.series([upstream, server, r.text()]);
        ServerMetrics {
            results: ServerResult::ALL.map(results),
            ejections: self.upstream_ejections.series([upstream, server]),
        }
    }

    /// The handles of copies for an upstream.
    pub fn mirror(&self, upstream: &str) -> MirrorMetrics {
        let results = |r: Mirrored| self.mirrored.series([upstream, r.text()]);
        MirrorMetrics {
            results: Mirrored::ALL.map(results),
        }
    }

    /// The handles of a cache.
    pub fn cache(&self, name: &str) -> CacheMetrics {
        let results = |r: CacheResult| self.cache_requests.series([name, r.text()]);
        let purges = |kind: PurgeKind| self.cache_purges.series([name, kind.text()]);
        CacheMetrics {
            results: CacheResult::ALL.map(results),
            purges: PurgeKind::ALL.map(purges),
        }
    }

    /// Drops the series of caches that are not among these.
    pub fn retain_caches(&self, caches: &[&str]) {
        let keep = |values: &[String]| caches.contains(&values[0].as_str());
        self.cache_requests.retain(keep);
        self.cache_purges.retain(keep);
    }

    /// What the access log counts in.
    pub fn access_log(&self) -> Tally {
        self.access_log.clone()
    }

    /// The configuration the gateway starts with is in use.
    pub fn loaded(&self, now: Now) {
        self.last_reload_successful.set(1);
        self.config_loaded
            .set(i64::try_from(now.wall.as_secs()).unwrap_or(i64::MAX));
    }

    /// A reload has put another configuration in use.
    pub fn reloaded(&self, now: Now) {
        self.config_reloads.series([RELOAD_OK]).inc();
        self.loaded(now);
    }

    /// A reload was refused.
    pub fn reload_failed(&self) {
        self.config_reloads.series([RELOAD_ERROR]).inc();
        self.last_reload_successful.set(0);
    }

    /// An order to apply a configuration has come to this result, one of [`APPLIED`].
    pub fn applied(&self, result: &'static str) {
        self.config_applies.series([result]).inc();
    }

    /// So many upgrades have led to this process, and so many on the way have failed.
    pub fn inherit_upgrades(&self, ok: u64, failed: u64) {
        self.upgrades.series([RELOAD_OK]).inc_by(ok);
        self.upgrades.series([RELOAD_ERROR]).inc_by(failed);
    }

    /// An upgrade has come to nothing.
    pub fn upgrade_failed(&self) {
        self.upgrades.series([RELOAD_ERROR]).inc();
    }

    /// Upgrades that have come to nothing, those of processes before this one included.
    pub fn upgrades_failed(&self) -> u64 {
        self.upgrades.series([RELOAD_ERROR]).get()
    }

    /// Drops the series of routes that are not among these; [`NO_ROUTE`] stays.
    ///
    /// A request of a removed route that ends later still counts its status: its series is back until the
    /// next reload.
    pub fn retain_routes(&self, routes: &[&str]) {
        let routes: BTreeSet<&str> = routes.iter().copied().chain([NO_ROUTE]).collect();
        let keep = |values: &[String]| routes.contains(values[0].as_str());
        self.slots
            .lock()
            .by_route
            .retain(|name, _| routes.contains(name.as_str()));
        self.requests.retain(keep);
        self.request_duration.retain(keep);
        self.response_bytes.retain(keep);
        self.slow_requests.retain(keep);
    }

    /// Drops the series of servers that are not among these (upstream, server), and of upstreams without any.
    pub fn retain_servers(&self, servers: &[(&str, &str)]) {
        let servers: BTreeSet<(&str, &str)> = servers.iter().copied().collect();
        let upstreams: BTreeSet<&str> = servers.iter().map(|(upstream, _)| *upstream).collect();
        let keep = |values: &[String]| servers.contains(&(values[0].as_str(), values[1].as_str()));
        self.upstream_requests.retain(keep);
        self.upstream_ejections.retain(keep);
        let keep = |values: &[String]| upstreams.contains(values[0].as_str());
        self.upstream_duration.retain(keep);
        self.upstream_retries.retain(keep);
        self.upstream_retries_refused.retain(keep);
        self.upstream_http2_connections.retain(keep);
        self.mirrored.retain(keep);
    }

    /// The page for a scraper: its Content-Type and its bytes, in the form that `accept` asks for.
    ///
    /// Reads the process's own figures; slow enough for the control thread only.
    pub fn exposition(&self, sample: &Sample<'_>, accept: Option<&[u8]>) -> (&'static str, Vec<u8>) {
        let mut families = self.registry.gather();
        families.extend(sampled(sample, self.version));
        families.extend(used(&Usage::of_this_process()));
        let form = exposition::Form::wanted(accept);
        (form.content_type(), exposition::page(form, &families))
    }
}

impl Slots {
    /// Numbers are never used again, so what a worker remembers of a removed route fits no other.
    fn of(&mut self, route: &str) -> u32 {
        if let Some(slot) = self.by_route.get(route) {
            return *slot;
        }
        let slot = self.next;
        self.next = slot
            .checked_add(1)
            .expect("four billion routes have not been configured");
        self.by_route.insert(route.to_owned(), slot);
        slot
    }
}

fn counter(described: &Described) -> IntCounter {
    IntCounter::with_opts(opts(described)).expect(NAMES_ARE_VALID)
}

fn gauge(described: &Described) -> IntGauge {
    IntGauge::with_opts(opts(described)).expect(NAMES_ARE_VALID)
}

fn registered<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> C {
    registry
        .register(Box::new(collector.clone()))
        .expect(NAMES_ARE_VALID);
    collector
}

const RELOAD_OK: &str = "ok";
const RELOAD_ERROR: &str = "error";

#[cfg(test)]
mod tests;
