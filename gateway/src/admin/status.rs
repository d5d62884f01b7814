//! `GET /status`: what is in use and how it is doing, in the shape that scripts rely on.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use serde::Serialize;

use crate::config::Problem;
use crate::kit::clock::Now;
use crate::observe::TimeCache;
use crate::reload::Control;

/// All of it.
#[derive(Serialize)]
pub struct Status {
    version: &'static str,
    draining: bool,
    snapshots_alive: usize,
    config: Config,
    listeners: Vec<Listener>,
    upstreams: BTreeMap<String, Upstream>,
    caches: BTreeMap<String, ()>,
    rate_limits: BTreeMap<String, ()>,
}

#[derive(Serialize)]
struct Config {
    path: String,
    hash: String,
    loaded_at: String,
    last_reload: LastReload,
}

#[derive(Serialize)]
struct LastReload {
    at: String,
    ok: bool,
    problems: Vec<Problem>,
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
    servers: Vec<Server>,
}

#[derive(Serialize)]
struct Server {
    address: String,
    state: &'static str,
    weight: u32,
    backup: bool,
    in_flight: u32,
    requests: u64,
    failures: u64,
    latency_ms: Option<f64>,
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
    };
    let upstreams = snapshot.services.iter().map(|service| {
        let running = service.pool.running();
        let upstream = Upstream {
            load_balancing: service.plan.load_balancing.name(),
            in_flight: running.running(),
            retrying: running.retrying(),
            servers: service.pool.status(now.mono).into_iter().map(server).collect(),
        };
        (service.plan.name.clone(), upstream)
    });
    Status {
        version: crate::VERSION,
        draining: control.is_draining(),
        snapshots_alive: control.state.snapshots_alive(),
        config,
        listeners: listeners(control),
        upstreams: upstreams.collect(),
        caches: BTreeMap::new(),
        rate_limits: BTreeMap::new(),
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

fn server(row: crate::balance::ServerStatus) -> Server {
    Server {
        address: row.address,
        state: row.state.name(),
        weight: row.weight,
        backup: row.backup,
        in_flight: row.in_flight,
        requests: row.requests,
        failures: row.failures,
        latency_ms: (row.latency_ms > 0.0).then_some(row.latency_ms),
    }
}

fn rfc3339(now: Now) -> String {
    let mut text = Vec::new();
    TimeCache::default().rfc3339(&mut text, now.wall);
    String::from_utf8_lossy(&text).into_owned()
}
