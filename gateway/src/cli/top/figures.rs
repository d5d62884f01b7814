//! What is to be seen: the difference of two pages of metrics, and the status beside it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::page::{Sample, samples};

/// What is asked of a gateway at one moment.
pub struct Reading {
    samples: Vec<Sample>,
    status: Status,
    /// Since any fixed moment.
    at: Duration,
}

/// What is shown.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Figures {
    /// Of the gateway.
    pub version: String,
    /// The configuration's file.
    pub config: String,
    /// Whether it takes no more connections.
    pub draining: bool,
    /// Whether the last configuration that was offered is not the one in use.
    pub reload_failed: bool,
    /// Seconds between the two readings.
    pub interval_s: f64,
    /// Of all routes together.
    pub total: Rates,
    /// Requests being answered.
    pub in_flight: u64,
    /// Open client connections.
    pub connections: u64,
    /// Processor time used of one core.
    pub cpu_percent: f64,
    /// Memory in use.
    pub memory_bytes: u64,
    /// Access-log lines lost, a second.
    pub log_dropped_per_s: f64,
    /// By name.
    pub routes: Vec<RouteFigures>,
    /// In the order of the configuration.
    pub servers: Vec<ServerFigures>,
    /// By name.
    pub caches: Vec<CacheFigures>,
    /// By name, those of rate first.
    pub limits: Vec<LimitFigures>,
}

/// Requests of a route, or of all.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Rates {
    /// Requests a second.
    pub per_s: f64,
    /// Of these 2xx, 3xx, 4xx, 5xx; what is missing are clients that left, and 1xx.
    pub classes_per_s: [f64; 4],
    /// Body bytes sent a second.
    pub bytes_per_s: f64,
    /// Milliseconds that half, 95 % and 99 % of the requests have not exceeded; None without requests, and infinite
    /// beyond the largest bucket, which JSON writes as null too.
    pub quantiles_ms: [Option<f64>; 3],
}

/// A route.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RouteFigures {
    /// Its name; "-" are requests without one.
    pub name: String,
    /// Its requests.
    pub rates: Rates,
}

/// A server.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ServerFigures {
    /// Its upstream.
    pub upstream: String,
    /// Its address.
    pub address: String,
    /// As `sluice status` names it.
    pub state: String,
    /// Requests it is working on.
    pub in_flight: u64,
    /// Tries a second.
    pub per_s: f64,
    /// Of these without a good answer.
    pub failures_per_s: f64,
    /// Recent.
    pub latency_ms: Option<f64>,
}

/// A cache.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CacheFigures {
    /// Its name.
    pub name: String,
    /// Requests a second.
    pub per_s: f64,
    /// Of a hundred requests, those that no origin was asked for; None without requests.
    pub hit_percent: Option<f64>,
    /// Answers held.
    pub objects: u64,
    /// Bytes in memory, and how many there may be.
    pub memory_bytes: [u64; 2],
    /// Bytes on disk, and how many there may be.
    pub disk_bytes: [u64; 2],
    /// Whether its disk is out of use.
    pub disk_failed: bool,
}

/// A limit.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LimitFigures {
    /// Its name.
    pub name: String,
    /// "rate" or "concurrency".
    pub kind: &'static str,
    /// Requests refused a second.
    pub refused_per_s: f64,
    /// Keys remembered, or requests inside.
    pub used: u64,
    /// Requests that wait.
    pub waiting: u64,
}

/// As much of `GET /status` as is shown.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    version: String,
    draining: bool,
    config: Config,
    upstreams: BTreeMap<String, Upstream>,
    caches: BTreeMap<String, Cache>,
    rate_limits: BTreeMap<String, Limit>,
    concurrency_limits: BTreeMap<String, Limit>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Config {
    path: String,
    last_reload: LastReload,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
struct LastReload {
    ok: bool,
}

impl Default for LastReload {
    fn default() -> Self {
        Self { ok: true }
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Upstream {
    servers: Vec<Server>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Server {
    address: String,
    state: String,
    in_flight: u64,
    latency_ms: Option<f64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Cache {
    objects: u64,
    memory_bytes: u64,
    memory_limit_bytes: u64,
    disk_bytes: u64,
    disk_limit_bytes: u64,
    disk_fault: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Limit {
    keys: u64,
    in_use: u64,
    waiting: u64,
}

impl Reading {
    /// Reads both answers; None if the status is none.
    pub fn of(metrics: &[u8], status: &[u8], at: Duration) -> Option<Self> {
        Some(Self {
            samples: samples(&String::from_utf8_lossy(metrics)),
            status: serde_json::from_slice(status).ok()?,
            at,
        })
    }

    fn gauge(&self, name: &str) -> f64 {
        let of_name = self.samples.iter().filter(|s| s.name == name);
        of_name.map(|s| s.value).sum()
    }
}

/// What has happened between two readings.
pub fn between(before: &Reading, now: &Reading) -> Figures {
    let deltas = Deltas::of(before, now);
    let status = &now.status;
    let names = now
        .samples
        .iter()
        .filter(|s| s.name == "sluice_request_duration_seconds_count");
    let routes = names.map(|s| s.label("route")).map(|name| RouteFigures {
        name: name.to_owned(),
        rates: deltas.rates(&|s: &Sample| s.label("route") == name),
    });
    Figures {
        version: status.version.clone(),
        config: status.config.path.clone(),
        draining: status.draining,
        reload_failed: !status.config.last_reload.ok,
        interval_s: deltas.seconds,
        total: deltas.rates(&|_| true),
        in_flight: now.gauge("sluice_requests_in_flight") as u64,
        connections: now.gauge("sluice_connections") as u64,
        cpu_percent: 100.0 * deltas.per_s("process_cpu_seconds_total", &|_| true),
        memory_bytes: now.gauge("process_resident_memory_bytes") as u64,
        log_dropped_per_s: deltas.per_s("sluice_access_log_dropped_total", &|_| true),
        routes: routes.collect(),
        servers: deltas.servers(status),
        caches: deltas.caches(status),
        limits: deltas.limits(status),
    }
}

/// What was counted between two readings.
struct Deltas<'r> {
    counted: Vec<(&'r Sample, f64)>,
    seconds: f64,
}

impl<'r> Deltas<'r> {
    fn of(before: &Reading, now: &'r Reading) -> Self {
        let key = |s: &'_ Sample| (s.name.clone(), s.labels.clone());
        let earlier: BTreeMap<_, f64> = before.samples.iter().map(|s| (key(s), s.value)).collect();
        let delta = |s: &Sample| match earlier.get(&key(s)) {
            Some(value) if *value <= s.value => s.value - value,
            // Not there before, or begun anew with another process: all of it has come since.
            _ => s.value,
        };
        Self {
            counted: now.samples.iter().map(|s| (s, delta(s))).collect(),
            seconds: now.at.saturating_sub(before.at).as_secs_f64().max(0.001),
        }
    }

    fn per_s(&self, name: &str, is_it: &dyn Fn(&Sample) -> bool) -> f64 {
        let of_name = self.counted.iter().filter(|(s, _)| s.name == name && is_it(s));
        of_name.map(|(_, delta)| delta).sum::<f64>() / self.seconds
    }

    fn rates(&self, is_it: &dyn Fn(&Sample) -> bool) -> Rates {
        let class = |first: &str| {
            let of_class = |s: &Sample| is_it(s) && s.label("status").starts_with(first);
            self.per_s("sluice_requests_total", &of_class)
        };
        let mut buckets: Vec<(f64, f64)> = Vec::new();
        for (sample, delta) in &self.counted {
            if sample.name == "sluice_request_duration_seconds_bucket" && is_it(sample) {
                let bound = sample.label("le").parse().unwrap_or(f64::INFINITY);
                match buckets.iter_mut().find(|(b, _)| *b == bound) {
                    Some((_, count)) => *count += delta,
                    None => buckets.push((bound, *delta)),
                }
            }
        }
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        Rates {
            per_s: self.per_s("sluice_requests_total", is_it),
            classes_per_s: ["2", "3", "4", "5"].map(class),
            bytes_per_s: self.per_s("sluice_response_bytes_total", is_it),
            quantiles_ms: [0.5, 0.95, 0.99].map(|q| Some(1_000.0 * quantile(&buckets, q)?)),
        }
    }

    fn servers(&self, status: &Status) -> Vec<ServerFigures> {
        let all = status
            .upstreams
            .iter()
            .flat_map(|(name, u)| u.servers.iter().map(move |s| (name, s)));
        let figures = |(upstream, server): (&String, &Server)| {
            let is_it = |s: &Sample| s.label("upstream") == upstream && s.label("server") == server.address;
            let has_failed = |s: &Sample| is_it(s) && matches!(s.label("result"), "error" | "timeout");
            ServerFigures {
                upstream: upstream.clone(),
                address: server.address.clone(),
                state: server.state.clone(),
                in_flight: server.in_flight,
                per_s: self.per_s("sluice_upstream_requests_total", &is_it),
                failures_per_s: self.per_s("sluice_upstream_requests_total", &has_failed),
                latency_ms: server.latency_ms,
            }
        };
        all.map(figures).collect()
    }

    fn caches(&self, status: &Status) -> Vec<CacheFigures> {
        let figures = |(name, cache): (&String, &Cache)| {
            let is_it = |s: &Sample| s.label("cache") == name;
            let is_hit = |s: &Sample| is_it(s) && matches!(s.label("result"), "hit" | "stale");
            let per_s = self.per_s("sluice_cache_requests_total", &is_it);
            let hits = self.per_s("sluice_cache_requests_total", &is_hit);
            CacheFigures {
                name: name.clone(),
                per_s,
                hit_percent: (per_s > 0.0).then(|| 100.0 * hits / per_s),
                objects: cache.objects,
                memory_bytes: [cache.memory_bytes, cache.memory_limit_bytes],
                disk_bytes: [cache.disk_bytes, cache.disk_limit_bytes],
                disk_failed: cache.disk_fault.is_some(),
            }
        };
        status.caches.iter().map(figures).collect()
    }

    fn limits(&self, status: &Status) -> Vec<LimitFigures> {
        let figures = |name: &String, kind, counter, used, limit: &Limit| LimitFigures {
            name: name.clone(),
            kind,
            refused_per_s: self.per_s(counter, &|s| s.label("limit") == name),
            used,
            waiting: limit.waiting,
        };
        let rates = status.rate_limits.iter();
        let rates = rates.map(|(n, l)| figures(n, "rate", "sluice_rate_limited_total", l.keys, l));
        let places = status.concurrency_limits.iter();
        let places =
            places.map(|(n, l)| figures(n, "concurrency", "sluice_concurrency_refused_total", l.in_use, l));
        rates.chain(places).collect()
    }
}

/// Below what so much of the requests were, by counts up to each bound, as Prometheus reckons it: within a bucket they are
/// taken to be spread evenly.
pub fn quantile(buckets: &[(f64, f64)], q: f64) -> Option<f64> {
    let all = buckets.last()?.1;
    if all <= 0.0 {
        return None;
    }
    let wanted = q * all;
    let (mut below, mut counted) = (0.0, 0.0);
    for (bound, count) in buckets {
        if *count >= wanted {
            if bound.is_infinite() {
                return Some(f64::INFINITY);
            }
            let inside = count - counted;
            let part = if inside > 0.0 {
                (wanted - counted) / inside
            } else {
                1.0
            };
            return Some(below + (bound - below) * part);
        }
        (below, counted) = (*bound, *count);
    }
    None
}

#[cfg(test)]
mod tests;
