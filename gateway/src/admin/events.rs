//! `GET /events` and `GET /history`: what is going on, once a second, and what was in the last hour.
//!
//! An event of the stream (`text/event-stream`, no event names, no ids) is one JSON object on one `data:` line:
//!
//! ```jsonc
//! { "at_ms": 1700000000000,          // the time, in Unix milliseconds
//!   "slot": 17, "step_s": 5,         // the slot of the history this event's figures belong to; its last event stands
//!   "window_s": 5.0,                 // what is per second, and every latency, is of so many seconds before
//!   "uptime_s": 87,
//!   "figures": {                     // null: nothing to tell, as the latency of no request
//!     "requests_per_s": 0.0, "latency_p50_ms": null, "latency_p95_ms": null, "latency_p99_ms": null,
//!     "status_2xx_per_s": 0.0, "status_3xx_per_s": 0.0, "status_4xx_per_s": 0.0, "status_5xx_per_s": 0.0,
//!     "refusals_per_s": 0.0, "hit_ratio": null, "in_flight": 0.0, "connections": 1.0, "sent_bytes_per_s": 0.0,
//!     "cpu_cores": 0.01, "memory_bytes": 12345678.0 },
//!   "refusals": [ { "reason": "timeout", "total": 3, "per_s": 0.2 } ],             // those that have happened
//!   "connections_refused": 0,                                                      // since the start
//!   "routes": [ { "name": "api", "total": 9, "per_s": 1.8, "status_4xx_per_s": 0.0, "status_5xx_per_s": 0.0,
//!                 "latency_p50_ms": 1.2, "latency_p95_ms": 4.0, "latency_p99_ms": 4.8 } ],  // the busiest first
//!   "routes_left_out": 0,            // how many more there are
//!   "status": { … } }                // as GET /status
//! ```
//!
//! Latencies are interpolated within the buckets of `sluice_request_duration_seconds`; one of 10 s or more is told as
//! 10000. `GET /history` is `{"at_ms", "slot", "step_s", "figures": {"requests_per_s": [0.5, null, …], …}}`: each list
//! has at most 720 values, oldest first, and its last one belongs to `slot`; `at_ms` is the time of the answer.
//!
//! A reader that is slow skips events, and one that takes none for [`EVENT_PATIENCE`] is dropped. The stream ends when
//! the gateway drains, after an event that says so.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::io::IoSlice;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::{Semaphore, watch};
use tokio::time::MissedTickBehavior;

use super::history::{Gauges, Growth, History, Point, STEP_S};
use super::{Status, api, status};
use crate::kit::clock::{Mono, Now};
use crate::observe::{RouteTotals, Totals, quantile_s};
use crate::reload::Control;
use crate::reply::Reply;
use crate::stream::Stream;

/// Streams at once: more pages than any team keeps open, fewer than would be felt.
pub const STREAMS_MAX: usize = 32;
/// For the whole of an event.
pub const EVENT_PATIENCE: Duration = Duration::from_secs(5);
/// From one event to the next.
const BETWEEN_EVENTS: Duration = Duration::from_secs(1);
/// What rates and latencies are taken over: long enough for a few requests, short enough to be called now.
const WINDOW: Duration = Duration::from_secs(STEP_S);
/// Ticks do not come to the microsecond.
const WINDOW_TOLERANCE: Duration = Duration::from_millis(500);
/// Looks that come closer together are not kept, so that a window is a handful of them.
const BETWEEN_LOOKS_MIN: Duration = Duration::from_millis(500);
/// Routes in an event. A table of more is not read.
const ROUTES_MAX: usize = 50;

/// The looks of the last seconds, and the history made of them.
#[derive(Default)]
pub struct Sampler {
    looks: VecDeque<(Mono, Totals)>,
    history: History,
}

impl Sampler {
    /// What has come since about [`WINDOW`] ago, and its figures, which go into the history.
    pub fn look(&mut self, now: Mono, totals: &Totals, gauges: Gauges) -> (Growth, Point) {
        let is_old = |at: Mono| now.since(at) + WINDOW_TOLERANCE >= WINDOW;
        while self.looks.get(1).is_some_and(|(at, _)| is_old(*at)) {
            self.looks.pop_front();
        }
        let growth = match self.looks.front() {
            Some((at, before)) => Growth::between(before, totals, now.since(*at).as_secs_f64()),
            None => Growth::between(totals, totals, 0.0),
        };
        let is_far = |at: Mono| now.since(at) >= BETWEEN_LOOKS_MIN;
        if self.looks.back().is_none_or(|(at, _)| is_far(*at)) {
            self.looks.push_back((now, totals.clone()));
        }
        let point = growth.point(gauges);
        self.history.put(now, &point);
        (growth, point)
    }

    /// Whether the present slot has no value yet.
    fn is_due(&self, now: Mono) -> bool {
        self.history
            .newest()
            .is_none_or(|newest| newest < History::slot(now))
    }
}

/// What all streams of one admin address share.
pub struct Feed {
    sampler: RefCell<Sampler>,
    /// The newest event; who is too slow for one finds the next.
    newest: watch::Sender<Bytes>,
    places: Semaphore,
}

impl Default for Feed {
    fn default() -> Self {
        Self {
            sampler: RefCell::default(),
            newest: watch::Sender::new(Bytes::new()),
            places: Semaphore::new(STREAMS_MAX),
        }
    }
}

impl Feed {
    /// Looks at the counters for ever: each second while somebody follows, else once for each slot of the history.
    pub async fn run(&self, control: &Control) {
        let mut ticks = tokio::time::interval(BETWEEN_EVENTS);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if self.newest.receiver_count() > 0 {
                self.newest.send_replace(self.event(control));
            } else if self.sampler.borrow().is_due(control.clock.now().mono) {
                self.look(control, control.clock.now());
            }
        }
    }

    /// `GET /history`
    pub fn history(&self, control: &Control) -> Reply {
        #[derive(Serialize)]
        struct Hour<'a> {
            at_ms: u64,
            slot: u64,
            step_s: u64,
            figures: &'a History,
        }
        let now = control.clock.now();
        let sampler = self.sampler.borrow();
        let hour = Hour {
            at_ms: now.unix_ms(),
            slot: sampler.history.newest().unwrap_or_default(),
            step_s: STEP_S,
            figures: &sampler.history,
        };
        match serde_json::to_string(&hour) {
            Ok(text) => Reply::of(200, api::JSON, text).with("Cache-Control", "no-store"),
            Err(error) => api::problem(500, &error.to_string()),
        }
    }

    /// Follows the events until the gateway drains or the reader goes. `is_chunked`: how they are framed.
    ///
    /// None if there are too many streams; nothing was sent then.
    pub async fn follow(
        &self,
        control: &Control,
        stream: &Stream,
        head: &[u8],
        is_chunked: bool,
    ) -> Option<()> {
        let _place = self.places.try_acquire().ok()?;
        let mut news = self.newest.subscribe();
        let mut out = head.to_vec();
        append(&mut out, &self.event(control), is_chunked);
        loop {
            let was_draining = control.is_draining();
            if was_draining && is_chunked {
                out.extend_from_slice(b"0\r\n\r\n");
            }
            let mut pieces = [IoSlice::new(&out)];
            let write = stream.write_all(&mut pieces, EVENT_PATIENCE);
            let written = tokio::time::timeout(EVENT_PATIENCE, write).await;
            if !matches!(written, Ok(Ok(()))) {
                // Half an event must not look like the end.
                stream.close_by_reset();
                return Some(());
            }
            if was_draining || news.changed().await.is_err() {
                stream.finish_sending();
                return Some(());
            }
            out.clear();
            append(&mut out, &news.borrow_and_update(), is_chunked);
        }
    }

    fn event(&self, control: &Control) -> Bytes {
        let now = control.clock.now();
        let (growth, figures, totals) = self.look(control, now);
        let event = Event::new(now, &growth, &totals, figures, status(control));
        // It has no map with keys that are not text, which is all that can fail.
        Bytes::from(serde_json::to_vec(&event).unwrap_or_default())
    }

    fn look(&self, control: &Control, now: Now) -> (Growth, Point, Totals) {
        let totals = control.state.metrics.totals();
        let loads = control.workers().iter();
        let doors = control.doors();
        let gauges = Gauges {
            in_flight: loads.map(|w| w.load.requests.load(Ordering::Relaxed)).sum(),
            connections: doors
                .iter()
                .map(|door| door.counts.open.load(Ordering::Relaxed))
                .sum(),
        };
        drop(doors);
        let (growth, point) = self.sampler.borrow_mut().look(now.mono, &totals, gauges);
        (growth, point, totals)
    }
}

/// One event in the form of the stream, and of the body.
fn append(out: &mut Vec<u8>, event: &[u8], is_chunked: bool) {
    const BEFORE: &[u8] = b"data: ";
    const AFTER: &[u8] = b"\n\n";
    if is_chunked {
        let length = BEFORE.len() + event.len() + AFTER.len();
        out.extend_from_slice(format!("{length:x}\r\n").as_bytes());
    }
    for piece in [BEFORE, event, AFTER] {
        out.extend_from_slice(piece);
    }
    if is_chunked {
        out.extend_from_slice(b"\r\n");
    }
}

#[derive(Serialize)]
struct Event<'a> {
    at_ms: u64,
    slot: u64,
    step_s: u64,
    window_s: f64,
    uptime_s: u64,
    figures: Point,
    refusals: Vec<Refusals<'a>>,
    connections_refused: u64,
    routes: Vec<Route<'a>>,
    routes_left_out: usize,
    status: Status,
}

#[derive(Serialize)]
struct Refusals<'a> {
    reason: &'a str,
    total: u64,
    per_s: Option<f64>,
}

#[derive(Serialize)]
struct Route<'a> {
    name: &'a str,
    total: u64,
    per_s: Option<f64>,
    status_4xx_per_s: Option<f64>,
    status_5xx_per_s: Option<f64>,
    latency_p50_ms: Option<f64>,
    latency_p95_ms: Option<f64>,
    latency_p99_ms: Option<f64>,
}

impl<'a> Event<'a> {
    fn new(now: Now, growth: &Growth, totals: &'a Totals, figures: Point, status: Status) -> Self {
        let mut routes = busiest(&totals.routes, &growth.grown.routes);
        let routes_left_out = routes.len().saturating_sub(ROUTES_MAX);
        routes.truncate(ROUTES_MAX);
        let refusals = totals.refusals.iter().filter(|(_, total)| **total > 0);
        Self {
            at_ms: now.unix_ms(),
            slot: History::slot(now.mono),
            step_s: STEP_S,
            window_s: growth.window_s,
            uptime_s: now.mono.since(Mono::default()).as_secs(),
            figures,
            refusals: refusals
                .map(|(reason, total)| Refusals {
                    reason,
                    total: *total,
                    per_s: growth.per_s(growth.grown.refusals.get(reason).copied().unwrap_or_default()),
                })
                .collect(),
            connections_refused: totals.connections_refused,
            routes: routes
                .into_iter()
                .map(|(name, total, grown)| Route::new(name, total, grown, growth))
                .collect(),
            routes_left_out,
            status,
        }
    }
}

/// Routes with all they have answered and what came now: those with most of it now first, then by name.
fn busiest<'a>(
    totals: &'a BTreeMap<String, RouteTotals>,
    grown: &BTreeMap<String, RouteTotals>,
) -> Vec<(&'a str, u64, RouteTotals)> {
    let row = |(name, total): (&'a String, &RouteTotals)| {
        let grown = grown.get(name).copied().unwrap_or_default();
        (name.as_str(), total.requests(), grown)
    };
    let mut rows: Vec<_> = totals.iter().map(row).collect();
    rows.sort_by_key(|(_, total, grown)| std::cmp::Reverse((grown.requests(), *total)));
    rows
}

impl<'a> Route<'a> {
    fn new(name: &'a str, total: u64, grown: RouteTotals, growth: &Growth) -> Self {
        let latency_ms = |q| quantile_s(&grown.durations, q).map(|s| s * 1_000.0);
        Self {
            name,
            total,
            per_s: growth.per_s(grown.requests()),
            status_4xx_per_s: growth.per_s(grown.statuses[4]),
            status_5xx_per_s: growth.per_s(grown.statuses[5]),
            latency_p50_ms: latency_ms(0.50),
            latency_p95_ms: latency_ms(0.95),
            latency_p99_ms: latency_ms(0.99),
        }
    }
}

#[cfg(test)]
mod tests;
