//! An upstream, its clients and a throttle between them, event by event: no real time, no threads, one seed.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::super::{Entry, Permit, Throttle, Waiting};
use crate::config::plan::Overload;
use crate::kit::clock::Mono;

/// How long one request takes once a place serves it.
#[derive(Clone, Copy, Debug)]
pub enum Service {
    Constant,
    Exponential,
    /// One in a hundred takes ten times as long.
    Outliers,
    /// One in two takes a hundredth of the other's time.
    TwoKinds,
}

/// So many places, each serving one request at a time; whoever finds none waits there, first in first out, without bound.
#[derive(Clone, Copy, Debug)]
pub struct Upstream {
    pub places: u32,
    pub service_ms: f64,
    pub service: Service,
}

impl Upstream {
    pub fn mean_ms(&self) -> f64 {
        self.service_ms
            * match self.service {
                Service::Constant | Service::Exponential => 1.0,
                Service::Outliers => 1.09,
                Service::TwoKinds => 0.505,
            }
    }

    /// Requests a second.
    pub fn capacity(&self) -> f64 {
        f64::from(self.places) * 1_000.0 / self.mean_ms()
    }

    fn draw_ms(&self, random: &mut fastrand::Rng) -> f64 {
        self.service_ms
            * match self.service {
                Service::Constant => 1.0,
                Service::Exponential => exponential(random),
                Service::Outliers if random.u32(..100) == 0 => 10.0,
                Service::TwoKinds if random.bool() => 0.01,
                Service::Outliers | Service::TwoKinds => 1.0,
            }
    }
}

/// What happens in one run.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The upstream, from each of these seconds on.
    pub upstream: Vec<(f64, Upstream)>,
    /// Requests a second, from each of these seconds on; at random moments.
    pub offered: Vec<(f64, f64)>,
    pub policy: Overload,
    /// A client that has waited for so long takes the answer for nothing.
    pub client_timeout_ms: f64,
    /// What is measured: from, to.
    pub measured_s: (f64, f64),
    pub seed: u64,
}

/// What came of it, in the time that was measured.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Answers a second.
    pub answered: f64,
    /// Answers a second that came before their client gave up.
    pub useful: f64,
    /// Requests a second that were refused or waited in vain.
    pub refused: f64,
    /// From being sent to the upstream to the answer, ascending.
    pub latency_ms: Vec<f64>,
    /// From coming to the gateway to the answer, ascending.
    pub total_ms: Vec<f64>,
    /// Those of them that waited in vain.
    pub timed_out: f64,
    /// Of the limit: lowest, highest, last.
    pub limit: (u32, u32, u32),
    /// The limit at each whole second, from the start on.
    pub limits: Vec<u32>,
}

impl Outcome {
    /// What this share of the requests did not exceed at the upstream.
    pub fn latency(&self, share: f64) -> f64 {
        percentile(&self.latency_ms, share)
    }

    /// The same with the time in line.
    pub fn total(&self, share: f64) -> f64 {
        percentile(&self.total_ms, share)
    }
}

fn percentile(sorted: &[f64], share: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * share) as usize]
}

fn exponential(random: &mut fastrand::Rng) -> f64 {
    -(1.0 - random.f64()).ln()
}

fn mono(ms: f64) -> Mono {
    Mono((ms * 1e6) as u64)
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Comes,
    Done(usize),
}

struct Job {
    came_ms: f64,
    sent_ms: f64,
    permit: Option<Permit>,
}

struct Run<'a> {
    scenario: &'a Scenario,
    throttle: Arc<Throttle>,
    random: fastrand::Rng,
    /// By nanoseconds, then by number: the same order in every run.
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    serial: u64,
    jobs: Vec<Job>,
    free: Vec<usize>,
    line: VecDeque<(f64, Waiting)>,
    /// At the upstream.
    serving: u32,
    queue: VecDeque<usize>,
    outcome: Outcome,
    /// Answered, useful, refused, timed out.
    counts: [u32; 4],
}

fn at<T: Copy>(list: &[(f64, T)], now_ms: f64) -> T {
    let last = list.iter().rev().find(|(from_s, _)| from_s * 1_000.0 <= now_ms);
    last.expect("a scenario begins at 0").1
}

pub fn run(scenario: &Scenario) -> Outcome {
    let mut run = Run {
        scenario,
        throttle: Arc::new(Throttle::new()),
        random: fastrand::Rng::with_seed(scenario.seed),
        events: BinaryHeap::new(),
        serial: 0,
        jobs: Vec::new(),
        free: Vec::new(),
        line: VecDeque::new(),
        serving: 0,
        queue: VecDeque::new(),
        outcome: Outcome {
            limit: (u32::MAX, 0, 0),
            ..Outcome::default()
        },
        counts: [0; 4],
    };
    run.schedule(0.0, Event::Comes);
    let end_ns = mono(scenario.measured_s.1 * 1_000.0).0;
    while let Some(Reverse((ns, _, event))) = run.events.pop() {
        if ns >= end_ns {
            break;
        }
        run.happens(ns as f64 / 1e6, event);
    }
    run.conclude()
}

impl Run<'_> {
    fn schedule(&mut self, at_ms: f64, event: Event) {
        self.serial += 1;
        self.events.push(Reverse((mono(at_ms).0, self.serial, event)));
    }

    fn happens(&mut self, now_ms: f64, event: Event) {
        match event {
            Event::Comes => {
                let rate = at(&self.scenario.offered, now_ms);
                let gap_ms = exponential(&mut self.random) * 1_000.0 / rate;
                self.schedule(now_ms + gap_ms, Event::Comes);
                self.comes(now_ms);
            }
            Event::Done(job) => self.done(job, now_ms),
        }
        self.line_moves(now_ms);
        self.serve(now_ms);
        self.note(now_ms);
    }

    fn is_measured(&self, now_ms: f64) -> bool {
        now_ms >= self.scenario.measured_s.0 * 1_000.0
    }

    fn count(&mut self, what: usize, now_ms: f64) {
        self.counts[what] += u32::from(self.is_measured(now_ms));
    }

    fn comes(&mut self, now_ms: f64) {
        let policy = &self.scenario.policy;
        match self.throttle.enter(policy, mono(now_ms)) {
            Entry::Permit(permit) => self.send(now_ms, permit, now_ms),
            Entry::Wait(waiting) => self.line.push_back((now_ms, waiting)),
            Entry::Full => self.count(2, now_ms),
        }
    }

    fn send(&mut self, came_ms: f64, permit: Permit, now_ms: f64) {
        let job = Job {
            came_ms,
            sent_ms: now_ms,
            permit: Some(permit),
        };
        let number = match self.free.pop() {
            Some(number) => {
                self.jobs[number] = job;
                number
            }
            None => {
                self.jobs.push(job);
                self.jobs.len() - 1
            }
        };
        self.queue.push_back(number);
    }

    fn serve(&mut self, now_ms: f64) {
        let upstream = at(&self.scenario.upstream, now_ms);
        while self.serving < upstream.places {
            let Some(job) = self.queue.pop_front() else {
                return;
            };
            self.serving += 1;
            let took_ms = upstream.draw_ms(&mut self.random);
            self.schedule(now_ms + took_ms, Event::Done(job));
        }
    }

    fn done(&mut self, number: usize, now_ms: f64) {
        self.serving -= 1;
        self.free.push(number);
        let job = &mut self.jobs[number];
        let (latency_ms, total_ms) = (now_ms - job.sent_ms, now_ms - job.came_ms);
        let permit = job.permit.take().expect("it is done once");
        permit.learn(Duration::from_nanos(mono(latency_ms).0), true, mono(now_ms));
        drop(permit);
        if self.is_measured(now_ms) {
            self.outcome.latency_ms.push(latency_ms);
            self.outcome.total_ms.push(total_ms);
            self.count(0, now_ms);
            if total_ms <= self.scenario.client_timeout_ms {
                self.count(1, now_ms);
            }
        }
    }

    /// The line before the upstream: whose turn has come is sent, who has waited too long goes.
    fn line_moves(&mut self, now_ms: f64) {
        let mut context = Context::from_waker(Waker::noop());
        while let Some((came_ms, waiting)) = self.line.front_mut() {
            let came_ms = *came_ms;
            if let Poll::Ready(permit) = pin!(waiting).poll(&mut context) {
                self.line.pop_front();
                self.send(came_ms, permit, now_ms);
            } else if now_ms - came_ms >= self.scenario.policy.queue_timeout.as_secs_f64() * 1_000.0 {
                self.line.pop_front();
                self.throttle.count_timeout();
                self.count(2, now_ms);
                self.count(3, now_ms);
            } else {
                return;
            }
        }
    }

    fn note(&mut self, now_ms: f64) {
        let limit = self.throttle.limit().unwrap_or(u32::MAX);
        if self.outcome.limits.len() as f64 * 1_000.0 <= now_ms {
            self.outcome.limits.push(limit);
        }
        if self.is_measured(now_ms) {
            let (low, high, _) = self.outcome.limit;
            self.outcome.limit = (low.min(limit), high.max(limit), limit);
        }
    }

    fn conclude(mut self) -> Outcome {
        let waiting = u32::try_from(self.line.len()).unwrap();
        assert_eq!(self.throttle.waiting(), waiting);
        let in_flight = u32::try_from(self.queue.len()).unwrap() + self.serving;
        assert_eq!(self.throttle.in_flight(), in_flight);
        self.line.clear();
        self.jobs.clear();
        assert_eq!((self.throttle.in_flight(), self.throttle.waiting()), (0, 0));
        let (from_s, to_s) = self.scenario.measured_s;
        let [answered, useful, refused, timed_out] =
            self.counts.map(|count| f64::from(count) / (to_s - from_s));
        let mut outcome = self.outcome;
        outcome.latency_ms.sort_by(f64::total_cmp);
        outcome.total_ms.sort_by(f64::total_cmp);
        Outcome {
            answered,
            useful,
            refused,
            timed_out,
            ..outcome
        }
    }
}
