//! `GET /status`: what is in use and how it is doing, in the shape that scripts rely on.

mod applied;
mod certificates;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::Serialize;

use crate::balance::ServerStatus;
use crate::config::Problem;
use crate::config::plan::Address;
use crate::guard::adaptive::Throttle;
use crate::kit::clock::{Mono, Now};
use crate::observe::{CacheResult, TimeCache};
use crate::otlp;
use crate::redis_link::{self, Phase};
use crate::reload::Control;
use crate::snapshot::watch::{Limit, Place};
use crate::snapshot::{Service, Snapshot};
use crate::state::Zone;
use crate::upstream::Order;

/// All of it.
#[derive(Serialize)]
pub struct Status {
    version: &'static str,
    draining: bool,
    snapshots_alive: usize,
    config: Config,
    upgrade: Upgrade,
    listeners: Vec<Listener>,
    certificates: BTreeMap<String, certificates::Certificate>,
    upstreams: BTreeMap<String, Upstream>,
    caches: BTreeMap<String, Cache>,
    rate_limits: BTreeMap<String, RateLimit>,
    concurrency_limits: BTreeMap<String, ConcurrencyLimit>,
    /// Missing without `[tracing]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    tracing: Option<Tracing>,
    /// Missing without `[redis]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    redis: Option<Redis>,
}

#[derive(Serialize)]
struct RateLimit {
    keys: usize,
    max_keys: usize,
    forgotten: u64,
    refused: u64,
    /// "redis" or "local".
    counted: &'static str,
}

#[derive(Serialize)]
struct ConcurrencyLimit {
    max: u32,
    in_use: usize,
    waiting: usize,
    refused: u64,
}

#[derive(Serialize)]
struct Redis {
    address: String,
    state: &'static str,
    fault: Option<String>,
    asks: u64,
    failures: u64,
}

#[derive(Serialize)]
struct Tracing {
    endpoint: String,
    state: &'static str,
    fault: Option<String>,
    queued: u64,
    exported: u64,
    dropped: u64,
}

/// What protects an upstream from more than it can do.
#[derive(Serialize)]
struct Overload {
    limit: Option<u32>,
    adaptive: bool,
    in_flight: u32,
    waiting: u32,
    shed: u64,
}

#[derive(Serialize)]
struct Config {
    path: String,
    hash: String,
    loaded_at: String,
    last_reload: LastReload,
    /// Null as long as nothing was applied.
    last_apply: Option<applied::LastApply>,
}

#[derive(Serialize)]
struct LastReload {
    at: String,
    ok: bool,
    problems: Vec<Problem>,
}

/// Of the binary.
#[derive(Serialize)]
struct Upgrade {
    /// Upgrades that have led to this process.
    generation: u64,
    under_way: bool,
    /// Whether the program's file is another one than this process was started from.
    binary_changed: bool,
    last: Option<LastUpgrade>,
}

#[derive(Serialize)]
struct LastUpgrade {
    at: String,
    ok: bool,
    problem: Option<String>,
}

#[derive(Serialize)]
struct Listener {
    name: Option<String>,
    address: String,
    connections: u64,
    idle: u64,
}

#[derive(Serialize)]
struct Upstream {
    load_balancing: &'static str,
    in_flight: u32,
    retrying: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    overload: Option<Overload>,
    /// Missing without `discover`.
    #[serde(skip_serializing_if = "Option::is_none")]
    discovery: Option<Discovery>,
    servers: Vec<Server>,
}

/// How it goes with who says which servers there are.
#[derive(Serialize)]
struct Discovery {
    source: String,
    /// "waiting" for a first answer, "ok", or "failing": the last servers stay in use.
    state: &'static str,
    servers: usize,
    errors: u64,
    last_success: Option<String>,
    fault: Option<String>,
}

#[derive(Serialize)]
struct Server {
    address: String,
    /// up, down, ejected, drain, off. A half-open server is up, as it gets requests.
    state: &'static str,
    /// What the operator wants of it: up, drain, down.
    order: &'static str,
    /// closed, open (which is why it is ejected), half_open.
    breaker: &'static str,
    weight: u32,
    backup: bool,
    in_flight: u32,
    requests: u64,
    failures: u64,
    latency_ms: Option<f64>,
}

#[derive(Serialize)]
struct Cache {
    memory_bytes: u64,
    memory_limit_bytes: u64,
    disk_bytes: u64,
    disk_limit_bytes: u64,
    objects: u64,
    objects_memory: u64,
    objects_disk: u64,
    hits: u64,
    misses: u64,
    stale: u64,
    revalidated: u64,
    uncacheable: u64,
    bypassed: u64,
    collapsed: u64,
    evictions_memory: u64,
    evictions_disk: u64,
    damaged: u64,
    skipped_writes: u64,
    fills: usize,
    waiting: usize,
    is_rebuilding: bool,
    disk_fault: Option<String>,
}

/// The present status.
pub fn status(control: &Control) -> Status {
    let now = control.clock.now();
    let snapshot = control.snapshot();
    let report = control.report();
    let config = Config {
        path: control.document().to_string(),
        hash: snapshot.hash.clone(),
        loaded_at: rfc3339(snapshot.loaded_at),
        last_reload: LastReload {
            at: rfc3339(report.at),
            ok: report.ok,
            problems: report.problems.0,
        },
        last_apply: control.applies.last().map(|last| applied::shown(&last)),
    };
    let upstreams = snapshot.services.iter().map(|service| {
        let running = service.pool.running();
        let upstream = Upstream {
            load_balancing: service.plan.load_balancing.name(),
            in_flight: running.running(),
            retrying: running.retrying(),
            overload: service
                .throttle
                .as_ref()
                .map(|t| overload(t, service.plan.overload.adaptive)),
            discovery: discovery(service),
            servers: servers(service, now.mono),
        };
        (service.plan.name.clone(), upstream)
    });
    Status {
        version: crate::VERSION,
        draining: control.is_draining(),
        snapshots_alive: control.state.snapshots_alive(),
        config,
        upgrade: upgrade(control),
        listeners: listeners(control),
        certificates: certificates::certificates(&snapshot),
        upstreams: upstreams.collect(),
        caches: caches(&snapshot),
        rate_limits: snapshot.watches.limits().iter().map(|l| rate_limit(l)).collect(),
        concurrency_limits: snapshot
            .watches
            .places()
            .iter()
            .map(|p| concurrency_limit(p))
            .collect(),
        tracing: snapshot
            .tracer
            .as_ref()
            .and(control.beside.exporter())
            .map(|e| tracing(e.status())),
        redis: control.beside.link().map(|link| redis(link.status())),
    }
}

fn upgrade(control: &Control) -> Upgrade {
    let upgrades = &control.upgrades;
    Upgrade {
        generation: upgrades.generation,
        under_way: upgrades.is_under_way(),
        binary_changed: upgrades.is_due(),
        last: upgrades.last().map(|last| LastUpgrade {
            at: rfc3339(last.at),
            ok: last.problem.is_none(),
            problem: last.problem,
        }),
    }
}

fn overload(throttle: &Throttle, adaptive: bool) -> Overload {
    Overload {
        limit: throttle.limit(),
        adaptive,
        in_flight: throttle.in_flight(),
        waiting: throttle.waiting(),
        shed: throttle.shed() + throttle.timed_out(),
    }
}

fn discovery(service: &Service) -> Option<Discovery> {
    let (discover, discovered) = service.plan.discover.as_ref().zip(service.discovered.as_ref())?;
    let status = discovered.roster.status();
    Some(Discovery {
        source: discover.source.to_string(),
        state: match (status.is_known, &status.fault) {
            (false, _) => "waiting",
            (true, None) => "ok",
            (true, Some(_)) => "failing",
        },
        servers: status.servers,
        errors: status.errors,
        last_success: status.succeeded_at.map(wall_text),
        fault: status.fault,
    })
}

fn rate_limit(limit: &Limit) -> (String, RateLimit) {
    let table = &limit.cell.table;
    let shown = RateLimit {
        keys: table.keys(),
        max_keys: limit.plan.max_keys,
        forgotten: table.forgotten(),
        refused: limit.cell.refused(),
        counted: if limit.shared.is_some() { "redis" } else { "local" },
    };
    (limit.plan.name.clone(), shown)
}

fn concurrency_limit(place: &Place) -> (String, ConcurrencyLimit) {
    let gate = &place.gate;
    let shown = ConcurrencyLimit {
        max: place.plan.max.get(),
        in_use: gate.in_use(),
        waiting: gate.waiting(),
        refused: gate.refused_queue_full() + gate.refused_keys_full() + gate.timed_out(),
    };
    (place.plan.name.clone(), shown)
}

fn tracing(status: otlp::Status) -> Tracing {
    Tracing {
        endpoint: status.url,
        state: if status.is_up { "up" } else { "down" },
        fault: status.fault,
        queued: status.queued,
        exported: status.exported,
        dropped: status.dropped,
    }
}

fn redis(status: redis_link::Status) -> Redis {
    let counts = status.counts;
    Redis {
        address: status.address,
        state: match status.phase {
            Phase::Down => "down",
            Phase::Slow => "slow",
            Phase::Up => "up",
        },
        fault: status.fault,
        asks: counts.asks,
        failures: counts.errors + counts.timeouts + counts.unavailable,
    }
}

fn caches(snapshot: &Snapshot) -> BTreeMap<String, Cache> {
    let names = snapshot.plan.caches.iter().map(|cache| cache.name.clone());
    names.zip(snapshot.zones.iter().map(|zone| cache(zone))).collect()
}

fn cache(zone: &Zone) -> Cache {
    let store = zone.store.status();
    let counted = |result| zone.metrics.counted(result);
    Cache {
        memory_bytes: store.memory_bytes,
        memory_limit_bytes: store.memory_limit,
        disk_bytes: store.disk_bytes,
        disk_limit_bytes: store.disk_limit,
        objects: store.objects,
        objects_memory: store.objects_memory,
        objects_disk: store.objects_disk,
        hits: counted(CacheResult::Hit),
        misses: counted(CacheResult::Miss),
        stale: counted(CacheResult::Stale),
        revalidated: counted(CacheResult::Revalidated),
        uncacheable: counted(CacheResult::Uncacheable),
        bypassed: counted(CacheResult::Bypass),
        collapsed: zone.flights.collapsed(),
        evictions_memory: store.evictions_memory,
        evictions_disk: store.evictions_disk,
        damaged: store.damaged,
        skipped_writes: store.skipped_writes,
        fills: zone.store.fills_in_flight(),
        waiting: zone.flights.waiting(),
        is_rebuilding: store.is_rebuilding,
        disk_fault: store.disk_fault,
    }
}

fn listeners(control: &Control) -> Vec<Listener> {
    let listener = |door: &crate::doors::OpenDoor| Listener {
        name: door.listener.name.clone(),
        address: door.listener.address.to_string(),
        connections: door.counts.open.load(Ordering::Relaxed),
        idle: door.counts.idle.load(Ordering::Relaxed),
    };
    control.doors().iter().map(listener).collect()
}

fn servers(service: &Service, now: Mono) -> Vec<Server> {
    let order = |address: &str| {
        let seat = service.pool.seat(&Address::parse(address)?)?;
        Some(seat.order())
    };
    let rows = service.pool.status(now).into_iter();
    rows.map(|row| server(order(&row.address).unwrap_or_default(), row))
        .collect()
}

fn server(order: Order, row: ServerStatus) -> Server {
    Server {
        order: order.name(),
        address: row.address,
        state: row.state.name(),
        breaker: row.breaker.name(),
        weight: row.weight,
        backup: row.backup,
        in_flight: row.in_flight,
        requests: row.requests,
        failures: row.failures,
        latency_ms: (row.latency_ms > 0.0).then_some(row.latency_ms),
    }
}

fn rfc3339(now: Now) -> String {
    wall_text(now.wall)
}

/// `since_epoch` is since the Unix epoch.
fn wall_text(since_epoch: Duration) -> String {
    let mut text = Vec::new();
    TimeCache::default().rfc3339(&mut text, since_epoch);
    String::from_utf8_lossy(&text).into_owned()
}
