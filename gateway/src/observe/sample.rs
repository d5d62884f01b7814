//! Figures that are looked at when someone scrapes, and counted nowhere.

pub mod beside;
pub mod guards;

use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};

use super::names::{self, Described, Kind};
use super::process::Usage;
use beside::{DiskSample, SpanSample};
use guards::GuardSample;

/// What is not counted but looked at when someone scrapes. No row may stand twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample<'a> {
    /// Requests being answered.
    pub requests_in_flight: u64,
    /// Snapshots somebody holds.
    pub snapshots_alive: u64,
    /// Threads that serve requests.
    pub workers: u64,
    /// Every listener.
    pub listeners: Vec<ListenerSample<'a>>,
    /// Every server of every upstream.
    pub servers: Vec<ServerSample<'a>>,
    /// Every upstream whose servers are discovered.
    pub discovery: Vec<DiscoverySample<'a>>,
    /// Every cache.
    pub caches: Vec<CacheSample<'a>>,
    /// Every certificate's name, and until when it holds in seconds since the Unix epoch.
    pub certificates: Vec<(&'a str, u64)>,
    /// Every certificate that is ordered.
    pub orders: Vec<OrderSample<'a>>,
    /// What the guards count.
    pub guards: GuardSample<'a>,
    /// What has become of spans; None without `[tracing]`.
    pub spans: Option<SpanSample>,
    /// The file systems of caches.
    pub disks: Vec<DiskSample<'a>>,
}

/// What a cache holds, and what it has given up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheSample<'a> {
    /// Its name.
    pub cache: &'a str,
    /// In memory and on disk.
    pub bytes: [u64; 2],
    /// In memory and on disk.
    pub objects: [u64; 2],
    /// From memory and from disk.
    pub evictions: [u64; 2],
    /// Requests that shared another one's question to the origin.
    pub collapsed: u64,
    /// Files that were not what was written.
    pub damaged: u64,
    /// Writes to disk left out, or that failed.
    pub writes_skipped: u64,
    /// Whether the disk tier is in use; None without one.
    pub is_disk_up: Option<bool>,
}

/// How it goes with a certificate that is ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderSample<'a> {
    /// Its name.
    pub certificate: &'a str,
    /// Orders that have brought one.
    pub brought: u64,
    /// Attempts that have not.
    pub failed: u64,
    /// When the next one is made, in seconds since the Unix epoch.
    pub next_attempt: Option<u64>,
}

/// A listener's open connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerSample<'a> {
    /// Its name, or its address.
    pub listener: &'a str,
    /// Connections with a request under way.
    pub active: u64,
    /// Connections that wait for one.
    pub idle: u64,
}

/// A server's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSample<'a> {
    /// Name of its upstream.
    pub upstream: &'a str,
    /// Its address as configured.
    pub server: &'a str,
    /// Requests it is working on.
    pub in_flight: u64,
    /// Neither down by probe nor by order; None where the configuration turns it off, and nobody expects it to be up.
    pub is_up: Option<bool>,
    /// Ejected by outlier detection.
    pub is_ejected: bool,
    /// Its circuit.
    pub breaker: BreakerState,
}

/// How it goes with the source of an upstream's servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiscoverySample<'a> {
    /// Name of the upstream.
    pub upstream: &'a str,
    /// Servers it has given.
    pub servers: u64,
    /// Questions without a whole answer.
    pub errors: u64,
    /// Whether the last one had one.
    pub is_up: bool,
    /// When it last gave any, in seconds since the Unix epoch.
    pub succeeded_at: Option<u64>,
}

/// How a server's circuit stands; the number is the metric's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Requests pass.
    Closed = 0,
    /// A few requests at once may show whether it is well.
    HalfOpen = 1,
    /// It is left alone.
    Open = 2,
}

/// Those that are meant to be up.
fn servers_up(sample: &Sample<'_>) -> Vec<Row> {
    let row = |s: &ServerSample<'_>| Some(Row::of([s.upstream, s.server], u64::from(s.is_up?)));
    sample.servers.iter().filter_map(row).collect()
}

/// The families a sample fills.
pub(super) fn sampled(sample: &Sample<'_>, version: &str) -> Vec<MetricFamily> {
    let connections = |l: &ListenerSample<'_>| {
        [("active", l.active), ("idle", l.idle)].map(|(state, n)| Row::of([l.listener, state], n))
    };
    let servers = |value: fn(&ServerSample<'_>) -> u64| {
        let row = |s: &ServerSample<'_>| Row::of([s.upstream, s.server], value(s));
        sample.servers.iter().map(row).collect()
    };
    let mut families = cached(&sample.caches);
    families.extend(ordered(&sample.orders));
    families.extend(guards::guarded(&sample.guards));
    families.extend(discovered(&sample.discovery));
    families.extend(beside::beside(sample.spans.as_ref(), &sample.disks));
    let certificates = sample.certificates.iter();
    families.extend([
        family(
            &names::REQUESTS_IN_FLIGHT,
            vec![Row::of([], sample.requests_in_flight)],
        ),
        family(&names::SNAPSHOTS_ALIVE, vec![Row::of([], sample.snapshots_alive)]),
        family(&names::WORKERS, vec![Row::of([], sample.workers)]),
        family(&names::BUILD_INFO, vec![Row::of([version], 1)]),
        family(
            &names::CONNECTIONS,
            sample.listeners.iter().flat_map(connections).collect(),
        ),
        family(
            &names::CERTIFICATE_EXPIRY,
            certificates
                .map(|(name, until)| Row::of([name], *until))
                .collect(),
        ),
        family(&names::UPSTREAM_IN_FLIGHT, servers(|s| s.in_flight)),
        family(&names::UPSTREAM_UP, servers_up(sample)),
        family(&names::UPSTREAM_EJECTED, servers(|s| u64::from(s.is_ejected))),
        family(&names::UPSTREAM_BREAKER_STATE, servers(|s| s.breaker as u64)),
    ]);
    families
}

fn discovered(sources: &[DiscoverySample<'_>]) -> [MetricFamily; 4] {
    let row = |s: &DiscoverySample<'_>, value: u64| Row::of([s.upstream], value);
    let successes = sources.iter().filter_map(|s| Some(row(s, s.succeeded_at?)));
    [
        family(
            &names::DISCOVERY_SERVERS,
            sources.iter().map(|s| row(s, s.servers)).collect(),
        ),
        family(
            &names::DISCOVERY_ERRORS,
            sources.iter().map(|s| row(s, s.errors)).collect(),
        ),
        family(
            &names::DISCOVERY_UP,
            sources.iter().map(|s| row(s, u64::from(s.is_up))).collect(),
        ),
        family(&names::DISCOVERY_LAST_SUCCESS, successes.collect()),
    ]
}

fn ordered(orders: &[OrderSample<'_>]) -> [MetricFamily; 2] {
    let results = |o: &OrderSample<'_>| {
        [("ok", o.brought), ("error", o.failed)].map(|(result, n)| Row::of([o.certificate, result], n))
    };
    let next = |o: &OrderSample<'_>| Some(Row::of([o.certificate], o.next_attempt?));
    [
        family(&names::ACME_ORDERS, orders.iter().flat_map(results).collect()),
        family(
            &names::ACME_NEXT_ATTEMPT,
            orders.iter().filter_map(next).collect(),
        ),
    ]
}

fn cached(caches: &[CacheSample<'_>]) -> Vec<MetricFamily> {
    const TIERS: [&str; 2] = ["memory", "disk"];
    let by_tier = |value: fn(&CacheSample<'_>) -> [u64; 2]| -> Vec<Row> {
        let rows = |c: &CacheSample<'_>| [0, 1].map(|i| Row::of([c.cache, TIERS[i]], value(c)[i]));
        caches.iter().flat_map(rows).collect()
    };
    let plain = |value: fn(&CacheSample<'_>) -> u64| -> Vec<Row> {
        caches.iter().map(|c| Row::of([c.cache], value(c))).collect()
    };
    let disks = caches
        .iter()
        .filter_map(|c| Some(Row::of([c.cache], u64::from(c.is_disk_up?))));
    vec![
        family(&names::CACHE_BYTES, by_tier(|c| c.bytes)),
        family(&names::CACHE_OBJECTS, by_tier(|c| c.objects)),
        family(&names::CACHE_EVICTIONS, by_tier(|c| c.evictions)),
        family(&names::CACHE_COLLAPSED, plain(|c| c.collapsed)),
        family(&names::CACHE_DAMAGED, plain(|c| c.damaged)),
        family(&names::CACHE_WRITES_SKIPPED, plain(|c| c.writes_skipped)),
        family(&names::CACHE_DISK_UP, disks.collect()),
    ]
}

/// The families of the process; those the system does not tell are missing.
pub(super) fn used(usage: &Usage) -> Vec<MetricFamily> {
    let figures = [
        (&names::PROCESS_CPU, usage.cpu_s),
        (&names::PROCESS_RESIDENT, usage.resident_bytes),
        (&names::PROCESS_VIRTUAL, usage.virtual_bytes),
        (&names::PROCESS_OPEN_FDS, usage.open_fds),
        (&names::PROCESS_MAX_FDS, usage.max_fds),
        (&names::PROCESS_START, usage.start_s),
        (&names::MEMORY_LIMIT, usage.memory_limit_bytes),
    ];
    let known = figures.into_iter().filter_map(|(d, value)| Some((d, value?)));
    known
        .map(|(d, value)| {
            let labels = Vec::new();
            family(d, vec![Row { labels, value }])
        })
        .collect()
}

/// One series: the values of its labels in the order of the description, and its own.
struct Row {
    labels: Vec<String>,
    value: f64,
}

impl Row {
    fn of<const N: usize>(labels: [&str; N], value: u64) -> Self {
        Self {
            labels: labels.map(str::to_owned).to_vec(),
            value: value as f64,
        }
    }
}

fn family(described: &Described, rows: Vec<Row>) -> MetricFamily {
    let is_counter = described.kind == Kind::Counter;
    let mut family = MetricFamily::default();
    family.set_name(described.name.to_owned());
    family.set_help(described.help.to_owned());
    family.set_field_type(if is_counter {
        MetricType::COUNTER
    } else {
        MetricType::GAUGE
    });
    family.set_metric(
        rows.into_iter()
            .map(|row| metric(described, row, is_counter))
            .collect(),
    );
    family
}

fn metric(described: &Described, row: Row, is_counter: bool) -> Metric {
    let labels = described.labels.iter().zip(row.labels);
    let mut metric = Metric::from_label(labels.map(|(name, value)| pair(name, value)).collect());
    if is_counter {
        let mut counter = Counter::default();
        counter.set_value(row.value);
        metric.set_counter(counter);
    } else {
        let mut gauge = Gauge::default();
        gauge.set_value(row.value);
        metric.set_gauge(gauge);
    }
    metric
}

fn pair(name: &str, value: String) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value);
    pair
}
