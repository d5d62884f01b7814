//! The limit, learnt from latency: one window of answers in, the next limit out.
//!
//! **What is looked for.** A server with C places does C requests at once. Below C each more in flight is one more served; beyond it,
//! one more only waits. By Little's law, in flight = throughput × mean latency, so beyond the knee the latency is L ÷ C times
//! that of an idle server, whatever its distribution. That quotient is what is measured, and it is held between
//! [`GROW_BELOW`] and [`SHRINK_ABOVE`]: a little above one, as a limit at the knee itself leaves places empty at
//! every random gap.
//!
//! **What others do, and why this does not.** TCP Vegas and its descendants compare with the least latency ever seen: of
//! requests that differ, the quickest says nothing of the rest, and an upstream that has become slower looks overloaded for
//! ever. Comparing with a long average forgets under a long overload what good latency was, and the limit creeps up.
//! Measuring anew at times with only a few in flight is sound, but a few are a small part of what a large upstream does: each
//! measurement is an outage.
//!
//! **What this does.** As BBR does with its probes, it asks the upstream itself, but by halves: for one window only half the limit is let
//! in. Was the latency halved too, the other half had only waited: half does the same work, it becomes the limit, and the
//! next half is asked about at once (so an estimate that is far too high is gone in a few windows). If not, half was below
//! the knee, and its latency is what an unhurried answer takes *now*: the new base. It is asked when latency becomes
//! suspicious, and every [`PROBE_EVERY`] windows, but only while requests are held up by the limit; a limit that nobody reaches
//! is not learnt, and what is in flight below half of it refreshes the base at no cost.
//!
//! **Means, with a ceiling.** The law holds for means. A sample counts for no more than [`CEILING`] times the base: of a hundred
//! answers one that took ten times as long moves the mean by 9 %, one that took a thousand times as long by little more.

use std::time::Duration;

use crate::kit::clock::Mono;

/// Least limit that is ever learnt. With fewer, a window says too little and takes too long to find out that more would do.
pub const LIMIT_MIN: u32 = 4;

/// Highest limit that is learnt where the policy names none: as many connections as one gateway should open to one upstream.
pub const LIMIT_MAX: u32 = 10_000;

/// What is let in before anything is known: what a small application server does at once. Doubled with each window while
/// latency stays, so a large one is known within a second.
pub const LIMIT_START: u32 = 20;

/// Least length of a window: many times a scheduler's hiccup.
pub const WINDOW: Duration = Duration::from_millis(100);

/// Least number of answers in a window: the mean of so many, exponentially distributed, is right to about 10 %.
pub const SAMPLES: u32 = 100;

/// Longest time a window waits for so many answers. What came by then is judged, if it is at least [`SAMPLES_FEW`].
pub const WINDOW_LONGEST: Duration = Duration::from_secs(10);

/// Fewer answers say nothing at all.
pub const SAMPLES_FEW: u32 = 8;

/// A latency below this multiple of the base lets the limit grow.
pub const GROW_BELOW: f64 = 1.25;

/// A latency above this multiple of the base makes it shrink. Between the two it rests: windows are noisy.
pub const SHRINK_ABOVE: f64 = 1.5;

/// Where shrinking leads to: the middle of the two.
const SHRINK_TO: f64 = 1.375;

/// Of two latencies, at the limit and at half of it: as much as this, and half the limit does the same work. 2 without noise.
const HALF_DOES: f64 = 1.75;

/// As much as this, and it was no luck: the next half is asked about at once.
const HALF_SURELY_DOES: f64 = 1.85;

/// A sample counts for no more than this multiple of the base.
pub const CEILING: u32 = 8;

/// Windows between two probes of a limit that holds requests up: a probe costs about a quarter of the throughput for two
/// windows, so this is what keeps it below 2 %.
pub const PROBE_EVERY: u32 = 30;

/// Windows between two probes if latency is suspicious.
const PROBE_SOON: u32 = 8;

/// A latency above this multiple of the base is no noise: either there is far too much in flight, or the upstream has become
/// slower and the base is wrong. Shrinking without asking which would be to no end.
const PROBE_ABOVE: f64 = 1.9;

/// Steps down until it is asked whether they are to any end. Each takes the queue with it if there is one; an upstream that has
/// become a little slower would otherwise be throttled to nothing.
const SHRINKS: u32 = 3;

/// Share of failures from which a limit does not grow, and which ends the doubling at the start.
const FAILING: f64 = 0.1;

/// What is known of one upstream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Learnt {
    /// What may be in flight. A fraction of a place is kept, so that small steps add up.
    limit: f64,
    /// Mean latency of an answer nobody hurried, in nanoseconds; None = nothing is known.
    base_ns: Option<f64>,
    phase: Phase,
    /// Mean latency of the window before; 0 = the limit was another one then.
    before_ns: f64,
    stage: Stage,
    /// Windows since the last probe.
    unprobed: u32,
    /// Steps down since then.
    shrunk: u32,
    /// As many as have to be before the next one if nothing is suspicious.
    probe_after: u32,
}

/// How far the search for the knee has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Latency has never yet risen: the limit doubles.
    Doubling,
    /// It has, but the base may have been learnt beyond the knee: it is asked again and again, and nothing grows meanwhile.
    Searching,
    /// A probe has found half the limit to be below the knee.
    Found,
}

/// What the present window is for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    /// The limit is in force, and its windows count.
    Steady,
    /// Half the limit is in force; who was let in before goes. Its latency is of no use.
    Emptying {
        /// Mean latency at the whole limit.
        full_ns: f64,
    },
    /// Half the limit is in force and is measured.
    Probing {
        /// Mean latency at the whole limit.
        full_ns: f64,
    },
    /// The limit is in force again, or a higher one; who was let in under half of it goes.
    Refilling,
}

/// What came back from an upstream in a stretch of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// When it began.
    pub since: Mono,
    /// Answers that count as such.
    pub answered: u32,
    /// Timeouts, connections that failed, 503.
    pub failed: u32,
    /// Sum of the latencies of the answers, each up to the ceiling, in nanoseconds.
    pub latency_ns: u64,
    /// Sum of what was in flight when each of them came, itself included.
    pub in_flight: u64,
    /// The most that was.
    pub in_flight_peak: u32,
}

impl Window {
    /// Takes one more in.
    pub fn add(&mut self, latency: Option<Duration>, ceiling_ns: u64, in_flight: u32) {
        match latency {
            Some(latency) => {
                let ns = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
                self.latency_ns = self.latency_ns.saturating_add(ns.min(ceiling_ns));
                self.answered += 1;
            }
            None => self.failed += 1,
        }
        self.in_flight += u64::from(in_flight);
        self.in_flight_peak = self.in_flight_peak.max(in_flight);
    }

    /// All that came back.
    pub fn count(&self) -> u32 {
        self.answered + self.failed
    }

    /// What was in flight, on average over what came back: of a burst and a pause after it, the burst counts.
    fn in_flight_mean(&self) -> f64 {
        self.in_flight as f64 / f64::from(self.count().max(1))
    }

    fn latency_mean_ns(&self) -> Option<f64> {
        (self.answered >= SAMPLES_FEW).then(|| self.latency_ns as f64 / f64::from(self.answered))
    }

    fn failed_share(&self) -> f64 {
        f64::from(self.failed) / f64::from(self.count().max(1))
    }
}

impl Default for Learnt {
    fn default() -> Self {
        Self {
            limit: f64::from(LIMIT_START),
            base_ns: None,
            phase: Phase::Steady,
            before_ns: 0.0,
            stage: Stage::Doubling,
            unprobed: PROBE_SOON,
            shrunk: 0,
            probe_after: PROBE_EVERY,
        }
    }
}

impl Learnt {
    /// What may be in flight, the short whiles apart in which half of it is tried.
    pub fn limit(&self) -> u32 {
        whole(self.limit)
    }

    /// What may be in flight now.
    pub fn in_force(&self) -> u32 {
        match self.phase {
            Phase::Steady | Phase::Refilling => self.limit(),
            Phase::Emptying { .. } | Phase::Probing { .. } => whole(self.half()),
        }
    }

    /// What a latency counts for at the most.
    pub fn ceiling_ns(&self) -> u64 {
        self.base_ns
            .map_or(u64::MAX, |base| (base * f64::from(CEILING)) as u64)
    }

    /// Whether a window is long enough to be judged.
    ///
    /// It holds at least one generation, as many as are in flight: so what it measures is mostly of those who were let in since
    /// the last step, and no step is taken twice for one cause.
    pub fn is_due(&self, window: &Window, now: Mono) -> bool {
        let (count, age) = (window.count(), now.since(window.since));
        let generation = match self.phase {
            // As many as go with the change, and on the way up also those who came while it filled: they too have waited
            // for less than a whole limit.
            Phase::Emptying { .. } | Phase::Refilling => {
                return count >= self.limit() || age >= WINDOW_LONGEST;
            }
            Phase::Steady | Phase::Probing { .. } => window.in_flight_peak,
        };
        // What is looked for at first is a latency that doubles: that is seen in a few.
        let samples = match self.stage {
            Stage::Doubling => SAMPLES / 4,
            Stage::Searching => SAMPLES / 2,
            Stage::Found => SAMPLES,
        };
        let is_full = age >= WINDOW && count >= samples.max(generation);
        is_full || age >= WINDOW_LONGEST && count >= SAMPLES_FEW
    }

    /// What is known after one more window. `max` is the policy's bound.
    pub fn step(self, window: &Window, max: u32) -> Self {
        let max = f64::from(max.max(LIMIT_MIN));
        let next = match self.phase {
            Phase::Steady => self.steady(window),
            Phase::Emptying { full_ns } => Self {
                phase: Phase::Probing { full_ns },
                ..self
            },
            Phase::Probing { full_ns } => self.probed(window, full_ns),
            Phase::Refilling => Self {
                phase: Phase::Steady,
                ..self
            },
        };
        Self {
            limit: next.limit.clamp(f64::from(LIMIT_MIN), max),
            ..next
        }
    }

    fn steady(mut self, window: &Window) -> Self {
        self.unprobed = self.unprobed.saturating_add(1);
        let mean = window.in_flight_mean();
        let is_light = mean < self.limit / 2.0;
        let failed_share = window.failed_share();
        // As DCTCP does with marks: by half if all fail, by little if few do. One lost connection is no overload. Failures
        // under light load are not the load's.
        if !is_light {
            self.limit *= 1.0 - failed_share / 2.0;
        }
        if failed_share >= FAILING {
            self.doubles_no_more();
        }
        let Some(latency_ns) = window.latency_mean_ns() else {
            return self;
        };
        let Some(base_ns) = self.base_ns else {
            self.base_ns = Some(latency_ns);
            return self;
        };
        if is_light {
            self.base_ns = Some(base_ns + (latency_ns - base_ns) / 8.0);
        } else if self.limit <= f64::from(LIMIT_MIN) {
            // There is no less to compare with: what it takes here is what it takes.
            self.base_ns = Some(base_ns.midpoint(latency_ns));
        }
        // To be suspicious, two windows have to be: one of many is always high by chance, and it would be compared with its own
        // luck. Only a limit that still doubles is not given the time.
        let sure_ns = match self.stage {
            Stage::Doubling => latency_ns,
            Stage::Searching | Stage::Found => latency_ns.min(self.before_ns),
        };
        self.before_ns = latency_ns;
        let (ratio, sure) = (latency_ns / base_ns, sure_ns / base_ns);
        let is_reached = f64::from(window.in_flight_peak) >= self.limit.floor();
        if is_reached && !is_light && self.is_probe_due(sure) {
            return self.probe(if sure_ns > 0.0 { sure_ns } else { latency_ns });
        }
        if sure > SHRINK_ABOVE && is_reached && !is_light {
            self.doubles_no_more();
            self.limit *= (SHRINK_TO / sure).max(0.5);
            self.before_ns = 0.0;
            self.shrunk += 1;
        } else if ratio < GROW_BELOW && failed_share < FAILING {
            self.grow(window);
        }
        self
    }

    /// A limit that is at least half used, with no sign of a queue: room for what comes next, before it comes.
    fn grow(&mut self, window: &Window) {
        if f64::from(window.in_flight_peak) < self.limit / 2.0 {
            return;
        }
        // The root is what a load at the knee varies by, so it is a step that is small against the limit and still finds
        // twice the limit in a number of steps that grows slower than it.
        match self.stage {
            Stage::Doubling => {
                // Twice as many at once: those of before are no measure of it.
                self.limit *= 2.0;
                self.phase = Phase::Refilling;
            }
            Stage::Searching => {}
            Stage::Found => self.limit += self.limit.sqrt(),
        }
    }

    fn doubles_no_more(&mut self) {
        if self.stage == Stage::Doubling {
            self.stage = Stage::Searching;
        }
    }

    fn is_probe_due(&self, ratio: f64) -> bool {
        let after = match self.stage {
            Stage::Doubling if ratio > SHRINK_ABOVE => 0,
            Stage::Searching => 1,
            Stage::Found if self.shrunk >= SHRINKS => 0,
            Stage::Found if ratio > PROBE_ABOVE => PROBE_SOON,
            Stage::Doubling | Stage::Found => self.probe_after,
        };
        self.unprobed >= after && self.limit > f64::from(LIMIT_MIN)
    }

    fn probe(mut self, full_ns: f64) -> Self {
        self.doubles_no_more();
        Self {
            phase: Phase::Emptying { full_ns },
            before_ns: 0.0,
            unprobed: 0,
            shrunk: 0,
            probe_after: PROBE_EVERY,
            ..self
        }
    }

    fn probed(mut self, window: &Window, full_ns: f64) -> Self {
        let half = self.half();
        self.phase = Phase::Refilling;
        let Some(half_ns) = window.latency_mean_ns() else {
            return self;
        };
        // As if it had been half that was tried: at the least limit it is more.
        let quotient = full_ns / half_ns * 2.0 * half / self.limit;
        if quotient >= HALF_DOES {
            self.probe_after = 2 * PROBE_SOON;
            self.limit = half;
            self.base_ns = Some(half_ns);
            if half <= f64::from(LIMIT_MIN) {
                self.stage = Stage::Found;
                return self;
            }
            let is_clear = self.stage == Stage::Searching || quotient >= HALF_SURELY_DOES;
            return if is_clear { self.probe(half_ns) } else { self };
        }
        // So much, but not all of it: the base may still be above the knee. It is asked again when the limit has come down.
        if quotient >= SHRINK_ABOVE && half > f64::from(LIMIT_MIN) {
            self.probe_after = 2 * PROBE_SOON;
        } else {
            self.stage = Stage::Found;
        }
        // Where it is far from what was believed, the upstream has changed; otherwise it is noise, of which the mean of
        // two has less.
        let base_ns = self.base_ns.unwrap_or(half_ns);
        let has_changed = !(0.67..=1.5).contains(&(half_ns / base_ns));
        self.base_ns = Some(match has_changed || self.stage == Stage::Searching {
            true => half_ns,
            false => base_ns.midpoint(half_ns),
        });
        self
    }

    fn half(&self) -> f64 {
        (self.limit / 2.0).max(f64::from(LIMIT_MIN))
    }
}

fn whole(limit: f64) -> u32 {
    limit as u32
}
