//! The figures of the last hour: what happened between two looks at the counters, in rings that do not grow.

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::kit::clock::Mono;
use crate::observe::{RouteTotals, Totals, quantile_s, since};

/// How much time one value stands for.
pub const STEP_S: u64 = 5;
/// As far back as anybody looks before turning to a real store of metrics.
pub const SPAN_S: u64 = 3_600;
/// Values in a ring.
pub const SLOTS: usize = (SPAN_S / STEP_S) as usize;

/// A figure of the history; [`Figure::ALL`] is all there are, so the memory of a history is known: 15 × 720 × 4 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    /// Requests that have ended, per second.
    Requests,
    /// Milliseconds within which half of them had ended; see [`quantile_s`].
    LatencyP50,
    /// Of 95 %.
    LatencyP95,
    /// Of 99 %.
    LatencyP99,
    /// Answers with 2xx per second.
    Status2xx,
    /// With 3xx.
    Status3xx,
    /// With 4xx.
    Status4xx,
    /// With 5xx.
    Status5xx,
    /// Requests the gateway answered itself because it would not or could not serve them, per second.
    Refusals,
    /// Hits of hits and misses in all caches, 0 to 1.
    HitRatio,
    /// Requests being answered.
    InFlight,
    /// Open client connections.
    Connections,
    /// Body bytes sent per second.
    Bytes,
    /// Processor time used per time passed: 1 is one core.
    Cpu,
    /// Memory in use, in bytes.
    Memory,
}

impl Figure {
    /// Every one.
    pub const ALL: [Self; 15] = [
        Self::Requests,
        Self::LatencyP50,
        Self::LatencyP95,
        Self::LatencyP99,
        Self::Status2xx,
        Self::Status3xx,
        Self::Status4xx,
        Self::Status5xx,
        Self::Refusals,
        Self::HitRatio,
        Self::InFlight,
        Self::Connections,
        Self::Bytes,
        Self::Cpu,
        Self::Memory,
    ];

    /// The name in JSON, with the unit at its end.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests_per_s",
            Self::LatencyP50 => "latency_p50_ms",
            Self::LatencyP95 => "latency_p95_ms",
            Self::LatencyP99 => "latency_p99_ms",
            Self::Status2xx => "status_2xx_per_s",
            Self::Status3xx => "status_3xx_per_s",
            Self::Status4xx => "status_4xx_per_s",
            Self::Status5xx => "status_5xx_per_s",
            Self::Refusals => "refusals_per_s",
            Self::HitRatio => "hit_ratio",
            Self::InFlight => "in_flight",
            Self::Connections => "connections",
            Self::Bytes => "sent_bytes_per_s",
            Self::Cpu => "cpu_cores",
            Self::Memory => "memory_bytes",
        }
    }
}

/// One value of each figure. NaN, in JSON null: there is none, as the latency of no request.
#[derive(Clone, Copy, Debug)]
pub struct Point([f32; Figure::ALL.len()]);

impl Point {
    const NONE: Self = Self([f32::NAN; Figure::ALL.len()]);

    /// A figure's value.
    pub fn value(&self, figure: Figure) -> Option<f32> {
        Some(self.0[figure as usize]).filter(|v| v.is_finite())
    }

    fn set(&mut self, figure: Figure, value: Option<f64>) {
        self.0[figure as usize] = value.map_or(f32::NAN, |v| v as f32);
    }
}

impl Serialize for Point {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(Figure::ALL.map(|figure| (figure.name(), self.value(figure))))
    }
}

/// What is looked at beside the counters.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gauges {
    /// Requests being answered.
    pub in_flight: u64,
    /// Open client connections.
    pub connections: u64,
}

/// What was counted between two looks.
#[derive(Clone, Debug, Default)]
pub struct Growth {
    /// Seconds between them.
    pub window_s: f64,
    /// The counters' growth. What is not counted but read, as memory, is the later look's.
    pub grown: Totals,
    /// Processor seconds.
    pub cpu_s: Option<f64>,
}

impl Growth {
    /// What came between `before` and `after`, which are `window_s` apart.
    ///
    /// A reload may take a route's counters away, and a later one may bring the name back with new ones: what is
    /// smaller than before has begun anew.
    pub fn between(before: &Totals, after: &Totals, window_s: f64) -> Self {
        let routes = after.routes.iter().map(|(name, now)| {
            let grown = before.routes.get(name).map_or(*now, |then| now.since(then));
            (name.clone(), grown)
        });
        let refusals = after.refusals.iter().map(|(reason, now)| {
            let then = before.refusals.get(reason).copied().unwrap_or_default();
            (reason.clone(), since(*now, then))
        });
        let caches = after.caches.iter().map(|(name, now)| {
            let then = before.caches.get(name).copied().unwrap_or_default();
            (name.clone(), [since(now[0], then[0]), since(now[1], then[1])])
        });
        let grown = Totals {
            routes: routes.collect(),
            refusals: refusals.collect(),
            caches: caches.collect(),
            connections_refused: since(after.connections_refused, before.connections_refused),
            cpu_s: after.cpu_s,
            resident_bytes: after.resident_bytes,
        };
        Self {
            window_s,
            grown,
            cpu_s: before.cpu_s.zip(after.cpu_s).map(|(b, a)| (a - b).max(0.0)),
        }
    }

    /// All routes together.
    pub fn all_routes(&self) -> RouteTotals {
        self.grown.routes.values().sum()
    }

    /// Per second; None if no time has passed.
    pub fn per_s(&self, n: u64) -> Option<f64> {
        (self.window_s > 0.0).then(|| n as f64 / self.window_s)
    }

    /// The figures of this time.
    pub fn point(&self, gauges: Gauges) -> Point {
        let all = self.all_routes();
        let mut point = Point::NONE;
        let latency_ms = |q| quantile_s(&all.durations, q).map(|s| s * 1_000.0);
        let [hits, misses] = self
            .grown
            .caches
            .values()
            .fold([0, 0], |sum, c| [sum[0] + c[0], sum[1] + c[1]]);
        let asked = hits + misses;
        let refused = self.grown.refusals.values().sum();
        for figure in Figure::ALL {
            let value = match figure {
                Figure::Requests => self.per_s(all.requests()),
                Figure::LatencyP50 => latency_ms(0.50),
                Figure::LatencyP95 => latency_ms(0.95),
                Figure::LatencyP99 => latency_ms(0.99),
                Figure::Status2xx => self.per_s(all.statuses[2]),
                Figure::Status3xx => self.per_s(all.statuses[3]),
                Figure::Status4xx => self.per_s(all.statuses[4]),
                Figure::Status5xx => self.per_s(all.statuses[5]),
                Figure::Refusals => self.per_s(refused),
                Figure::HitRatio => (asked > 0).then(|| hits as f64 / asked as f64),
                Figure::InFlight => Some(gauges.in_flight as f64),
                Figure::Connections => Some(gauges.connections as f64),
                Figure::Bytes => self.per_s(all.bytes),
                Figure::Cpu => self
                    .cpu_s
                    .filter(|_| self.window_s > 0.0)
                    .map(|s| s / self.window_s),
                Figure::Memory => self.grown.resident_bytes,
            };
            point.set(figure, value);
        }
        point
    }
}

/// The last hour: one ring of [`SLOTS`] values per figure, of [`STEP_S`] seconds each.
///
/// A slot is counted on the monotonic clock: a wall clock that is put right moves nothing.
#[derive(Debug)]
pub struct History {
    rings: Box<[[f32; SLOTS]; Figure::ALL.len()]>,
    /// The newest slot, and how many there are up to it.
    newest: Option<u64>,
    filled: usize,
}

impl Default for History {
    fn default() -> Self {
        Self {
            rings: Box::new([[f32::NAN; SLOTS]; Figure::ALL.len()]),
            newest: None,
            filled: 0,
        }
    }
}

impl History {
    /// The slot of a moment.
    pub fn slot(now: Mono) -> u64 {
        now.0 / (STEP_S * 1_000_000_000)
    }

    /// The newest slot that has a value.
    pub fn newest(&self) -> Option<u64> {
        self.newest
    }

    /// Writes down the figures of a moment; those of the same slot are replaced.
    pub fn put(&mut self, now: Mono, point: &Point) {
        let slot = Self::slot(now);
        let newest = *self.newest.get_or_insert(slot);
        if slot < newest {
            return;
        }
        // What nobody looked at stays empty; an hour of it is all there is.
        let first = (newest + 1).max((slot + 1).saturating_sub(SLOTS as u64));
        (first..=slot).for_each(|s| self.write(s, &Point::NONE));
        self.write(slot, point);
        let skipped = usize::try_from(slot - newest).unwrap_or(SLOTS);
        self.filled = (self.filled.max(1) + skipped).min(SLOTS);
        self.newest = Some(slot);
    }

    fn write(&mut self, slot: u64, point: &Point) {
        let at = Self::index(slot);
        for (ring, value) in self.rings.iter_mut().zip(point.0) {
            ring[at] = value;
        }
    }

    /// A figure's values, oldest first; the last one is of the newest slot.
    pub fn values(&self, figure: Figure) -> impl Iterator<Item = Option<f32>> {
        let ring = &self.rings[figure as usize];
        let newest = self.newest.unwrap_or_default();
        let filled = self.filled as u64;
        let slots = (newest + 1).saturating_sub(filled)..(newest + 1).min(newest + filled + 1);
        slots
            .take(self.filled)
            .map(|slot| Some(ring[Self::index(slot)]).filter(|v| v.is_finite()))
    }

    fn index(slot: u64) -> usize {
        (slot % SLOTS as u64) as usize
    }
}

/// `{"requests_per_s": [0.5, null, …], …}`
impl Serialize for History {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(Figure::ALL.len()))?;
        for figure in Figure::ALL {
            map.serialize_entry(figure.name(), &self.values(figure).collect::<Vec<_>>())?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests;
