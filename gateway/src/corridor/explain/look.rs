//! The hand of an explanation: it looks what would come of something, and writes it down.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::{LimitSeen, Step};
use crate::corridor::hand::{Charge, Entered, Hand, Room};
use crate::corridor::{Verdict, local, mirror};
use crate::exchange::Exchange;
use crate::files::Files;
use crate::guard::basic::{Login, Successes};
use crate::guard::concurrency::Admission;
use crate::guard::key::KeyHash;
use crate::guard::rate::{self, Outlook};
use crate::guard::token::{Claims, Issuer, Keys, Terms, TokenFault, Verified};
use crate::kit::clock::{Clock, Mono, Now};
use crate::route::{Miss, Trace};
use crate::snapshot::watch::{Limit, Place};
use crate::snapshot::{Service, Site};

/// Bytes of a value of the request's that are shown.
const SHOWN_BYTES_MAX: usize = 100;

/// What has been found so far.
pub(super) struct Looking {
    pub(super) clock: Clock,
    pub(super) steps: Vec<Step>,
    pub(super) assumed: Vec<String>,
    pub(super) limits: Vec<LimitSeen>,
    /// Of a split.
    pub(super) candidates: Vec<String>,
    /// A file has been looked for.
    pub(super) has_sought_file: bool,
}

impl Looking {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            steps: Vec::new(),
            assumed: Vec::new(),
            limits: Vec::new(),
            candidates: Vec::new(),
            has_sought_file: false,
        }
    }

    /// Takes something for granted that cannot be known yet.
    pub(super) fn assume(&mut self, room: Room, text: String) {
        self.steps.push(Step {
            room: room.name(),
            text: text.clone(),
        });
        self.assumed.push(text);
    }
}

impl Trace<Arc<Site>> for &mut Looking {
    fn tried(&mut self, site: &Arc<Site>, miss: Option<Miss<'_>>) {
        let name = &site.route.name;
        self.note(Room::Route, || match miss {
            None => format!("{name} matches"),
            Some(miss) => format!("{name} does not match: {}", told(miss)),
        });
    }
}

impl Hand for &mut Looking {
    fn now(&self) -> Now {
        self.clock.now()
    }

    fn mono(&self) -> Mono {
        self.clock.mono()
    }

    /// Nothing is left to chance here: what would be is told.
    fn draw(&mut self) -> u64 {
        0
    }

    fn note(&mut self, room: Room, text: impl FnOnce() -> String) {
        self.steps.push(Step {
            room: room.name(),
            text: text(),
        });
    }

    fn may_ask(&mut self, whom: impl FnOnce() -> String) -> bool {
        let text = format!("{} would be asked, and is taken to agree", whom());
        self.assume(Room::Guard, text);
        false
    }

    fn admit(&mut self, charges: &[Charge<'_>], now: Mono, part: impl Fn(usize) -> String) -> rate::Verdict {
        let (verdict, outlooks) = rate::peek(charges, now);
        for (at, ((limiter, _), Outlook { left, retry_after })) in charges.iter().zip(outlooks).enumerate() {
            let (plan, key) = (limiter.plan(), shortened(part(at)));
            let text = match left {
                0 => format!(
                    "limit {} for {key}: refuses, nothing is left for {} ms",
                    plan.name,
                    retry_after.as_millis()
                ),
                left => format!(
                    "limit {} for {key}: admits, {left} of {} are left",
                    plan.name, plan.burst
                ),
            };
            self.note(Room::Guard, || text);
            self.limits.push(LimitSeen {
                name: plan.name.clone(),
                key,
                left,
                retry_after_ms: u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX),
            });
        }
        verdict
    }

    fn refund(&mut self, _: &[Charge<'_>], _: Mono) {}

    fn refused(&mut self, _: &Limit) {}

    fn enter(&mut self, place: &Place, key: KeyHash, part: impl FnOnce() -> String) -> Entered {
        let seen = place.gate.peek(key.0.into(), &place.plan);
        let (plan, key) = (&place.plan, shortened(part()));
        let text = format!(
            "limit {} for {key}: {} of {} inside, {} wait",
            plan.name, seen.inside, plan.max, seen.waiting
        );
        match seen.admission {
            Admission::Inside => self.note(Room::Guard, || text),
            Admission::Line => self.assume(
                Room::Guard,
                format!(
                    "{text}: it would wait, and is taken to get in within {:?}",
                    plan.queue_timeout
                ),
            ),
            Admission::Full => {
                self.note(Room::Guard, || format!("{text}: full"));
                return Entered::Full;
            }
        }
        Entered::In(None)
    }

    fn holds(&mut self, successes: &Successes, login: &Login, now: Mono) -> bool {
        successes.peek(login, now)
    }

    fn remember(&mut self, _: &Successes, _: Login) {}

    fn judge(
        &mut self,
        _: &Verified,
        text: &[u8],
        keys: &Keys,
        terms: &Terms,
        now_unix: Duration,
    ) -> Result<Arc<Claims>, TokenFault> {
        Verified::peek(text, keys, terms, now_unix)
    }

    fn wants(&mut self, issuer: &Issuer, now: Mono, whose: impl FnOnce() -> String) -> bool {
        if issuer.would_come(now) {
            let text = format!(
                "{} would be fetched, and are taken not to bring a new one",
                whose()
            );
            self.assume(Room::Guard, text);
        }
        false
    }

    fn share(&mut self, shares: &[(Arc<Service>, NonZeroU32)]) -> Arc<Service> {
        let total: u64 = shares.iter().map(|(_, weight)| u64::from(weight.get())).sum();
        let told: Vec<String> = shares
            .iter()
            .map(|(service, weight)| format!("{} {weight} of {total}", service.plan.name))
            .collect();
        self.candidates
            .extend(shares.iter().map(|(service, _)| service.plan.name.clone()));
        // The first of the heaviest.
        let first = shares
            .iter()
            .rev()
            .max_by_key(|(_, weight)| *weight)
            .unwrap_or(&shares[0]);
        let text = format!(
            "a split draws among {}: {} is taken",
            told.join(", "),
            first.0.plan.name
        );
        self.assume(Room::Action, text);
        Arc::clone(&first.0)
    }

    fn mirror(&mut self, x: &Exchange, site: &Site) {
        if let Some(mirror) = site.mirror.as_ref().filter(|_| mirror::is_wanted(x)) {
            self.note(Room::Action, || {
                format!(
                    "a copy goes to upstream {}, and nobody waits for its answer",
                    mirror.service.plan.name
                )
            });
        }
    }

    fn serve_file(&mut self, x: &Exchange, site: &Site, files: &Files) -> Verdict {
        self.has_sought_file = true;
        local::serve_file(x, site, &files.apart())
    }
}

impl Room {
    /// As it is named to people and scripts.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Listen => "listen",
            Self::Route => "route",
            Self::Guard => "guard",
            Self::Cache => "cache",
            Self::Action => "action",
            Self::Balance => "balance",
            Self::Upstream => "upstream",
        }
    }
}

fn told(miss: Miss<'_>) -> String {
    let with = |value: Option<&str>| value.map_or_else(String::new, |value| format!(" = {value}"));
    match miss {
        Miss::Listener(name) => format!("it is for the listener {name}"),
        Miss::Header(name, value) => format!("it asks for the header {name}{}", with(value)),
        Miss::Query(name, value) => format!("it asks for the query parameter {name}{}", with(value)),
        Miss::Method(methods) => format!("it is for {}", methods.join(", ")),
    }
}

fn shortened(mut text: String) -> String {
    if text.len() > SHOWN_BYTES_MAX {
        let end = (0..=SHOWN_BYTES_MAX).rev().find(|at| text.is_char_boundary(*at));
        text.truncate(end.unwrap_or(0));
        text.push('…');
    }
    text
}
