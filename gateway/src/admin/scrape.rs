//! `GET /metrics`: the counts that live elsewhere, put beside those that are counted.

use std::sync::atomic::Ordering;

use crate::balance::Standing;
use crate::observe::{ListenerSample, Sample, ServerSample};
use crate::reload::Control;

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
        snapshots_alive: control.state.snapshots_alive() as u64,
        caches: Vec::new(),
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
                is_up: !matches!(row.state, Standing::Down | Standing::Off),
                is_ejected: row.state == Standing::Ejected,
            })
            .collect(),
    };
    control.state.metrics.exposition(&sample, accept)
}
