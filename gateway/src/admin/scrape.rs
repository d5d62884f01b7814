//! `GET /metrics`: the counts that live elsewhere, put beside those that are counted.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::balance::Standing;
use crate::observe::{
    BreakerState, CacheSample, DiscoverySample, DiskSample, ListenerSample, OrderSample, Sample,
    ServerSample, SpanSample,
};
use crate::observe::{GuardSample, LoadSample, PlaceSample, RateSample, RedisSample};
use crate::reload::Control;
use crate::snapshot::watch::{Limit, Place};
use crate::snapshot::{Service, Snapshot};
use crate::upstream::Breaker;

/// The page of metrics, and its content type.
pub fn metrics(control: &Control, accept: Option<&[u8]>) -> (&'static str, Vec<u8>) {
    let now = control.clock.now().mono;
    let snapshot = control.snapshot();
    let doors = control.doors();
    let listeners: Vec<(String, u64, u64)> = doors
        .iter()
        .map(|door| {
            let (open, idle) = (&door.counts.open, &door.counts.idle);
            let (open, idle) = (open.load(Ordering::Relaxed), idle.load(Ordering::Relaxed));
            (door.listener.address.to_string(), open.saturating_sub(idle), idle)
        })
        .collect();
    drop(doors);
    let rows: Vec<_> = snapshot
        .services
        .iter()
        .flat_map(|s| {
            s.pool
                .status(now)
                .into_iter()
                .map(|row| (s.plan.name.as_str(), row))
        })
        .collect();
    let sample = Sample {
        requests_in_flight: control
            .workers()
            .iter()
            .map(|w| w.load.requests.load(Ordering::Relaxed))
            .sum(),
        workers: control.workers().len() as u64,
        snapshots_alive: control.state.snapshots_alive() as u64,
        discovery: snapshot.services.iter().filter_map(|s| discovery(s)).collect(),
        caches: caches(&snapshot),
        certificates: snapshot.expiries(),
        orders: orders(&snapshot),
        guards: guards(control, &snapshot),
        spans: snapshot.tracer.as_ref().map(|tracer| SpanSample {
            exported: tracer.outbox.exported(),
            dropped: tracer.outbox.dropped(),
            queued: tracer.outbox.queued() as u64,
        }),
        disks: disks(&snapshot),
        listeners: listeners
            .iter()
            .map(|(listener, active, idle)| ListenerSample {
                listener,
                active: *active,
                idle: *idle,
            })
            .collect(),
        servers: rows
            .iter()
            .map(|(upstream, row)| ServerSample {
                upstream,
                server: &row.address,
                in_flight: row.in_flight.into(),
                is_up: is_up(row.state),
                is_ejected: row.state == Standing::Ejected,
                breaker: match row.breaker {
                    Breaker::Closed => BreakerState::Closed,
                    Breaker::HalfOpen => BreakerState::HalfOpen,
                    Breaker::Open => BreakerState::Open,
                },
            })
            .collect(),
    };
    control.state.metrics.exposition(&sample, accept)
}

/// None for one that the configuration turns off.
fn is_up(standing: Standing) -> Option<bool> {
    match standing {
        Standing::Off => None,
        Standing::Down => Some(false),
        Standing::Ejected | Standing::Drain | Standing::Up => Some(true),
    }
}

fn discovery(service: &Service) -> Option<DiscoverySample<'_>> {
    let status = service.discovered.as_ref()?.roster.status();
    Some(DiscoverySample {
        upstream: &service.plan.name,
        servers: status.servers as u64,
        errors: status.errors,
        is_up: status.is_known && status.fault.is_none(),
        succeeded_at: status.succeeded_at.map(|at| at.as_secs()),
    })
}

/// The file systems that caches are on; a folder that is gone has none.
fn disks(snapshot: &Snapshot) -> Vec<DiskSample<'_>> {
    let caches = snapshot.plan.caches.iter();
    caches
        .filter_map(|cache| DiskSample::of(&cache.name, cache.path.as_deref()?))
        .collect()
}

fn orders(snapshot: &Snapshot) -> Vec<OrderSample<'_>> {
    let ordered = snapshot.ordered.iter().flatten();
    ordered
        .map(|ordered| {
            let report = ordered.standing.report();
            OrderSample {
                certificate: &ordered.name,
                brought: report.brought,
                failed: report.failed,
                next_attempt: report.next_attempt.map(|at| at.as_secs()),
            }
        })
        .collect()
}

fn caches(snapshot: &Snapshot) -> Vec<CacheSample<'_>> {
    let rows = snapshot.plan.caches.iter().zip(&snapshot.zones);
    rows.map(|(cache, zone)| {
        let store = zone.store.status();
        CacheSample {
            cache: &cache.name,
            bytes: [store.memory_bytes, store.disk_bytes],
            objects: [store.objects_memory, store.objects_disk],
            evictions: [store.evictions_memory, store.evictions_disk],
            collapsed: zone.flights.collapsed(),
            damaged: store.damaged,
            writes_skipped: store.skipped_writes + store.failed_writes,
            is_disk_up: (cache.disk > 0).then_some(store.disk_fault.is_none()),
        }
    })
    .collect()
}

fn guards<'a>(control: &Control, snapshot: &'a Snapshot) -> GuardSample<'a> {
    let rate = |limit: &'a Arc<Limit>| RateSample {
        limit: &limit.plan.name,
        refused: limit.cell.refused(),
        keys: limit.cell.table.keys() as u64,
        forgotten: limit.cell.table.forgotten(),
    };
    let place = |place: &'a Arc<Place>| PlaceSample {
        limit: &place.plan.name,
        in_use: place.gate.in_use() as u64,
        waiting: place.gate.waiting() as u64,
        refused: [
            place.gate.refused_queue_full(),
            place.gate.refused_keys_full(),
            place.gate.timed_out(),
        ],
    };
    let load = |service: &'a Arc<Service>| {
        let throttle = service.throttle.as_ref()?;
        Some(LoadSample {
            upstream: &service.plan.name,
            limit: throttle.limit().map(u64::from),
            waiting: throttle.waiting().into(),
            shed: [throttle.shed(), throttle.timed_out()],
        })
    };
    GuardSample {
        rates: snapshot.watches.limits().iter().map(rate).collect(),
        places: snapshot.watches.places().iter().map(place).collect(),
        upstreams: snapshot.services.iter().filter_map(load).collect(),
        redis: control.beside.link().map(|link| {
            let counts = link.status().counts;
            RedisSample {
                is_up: link.is_up(),
                asks: counts.asks,
                failures: [counts.errors, counts.timeouts, counts.unavailable],
            }
        }),
    }
}
