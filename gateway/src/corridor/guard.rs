//! guard: may this request come in?
//!
//! ```text
//! address ─► rates ─► identity ─► rates by claim ─► places ─► in
//! ```
//!
//! Each stage goes as far as it can without a wait. What has to be waited for is handed out and taken up again where it
//! was left, so that a request which waits for nobody pays for no future.

mod identity;
mod rates;
mod room;

use std::net::IpAddr;
use std::sync::Arc;

use super::decide::Deciding;
use super::hand::{Entered, Hand, Room};
use super::{Verdict, Visit};
use crate::exchange::Exchange;
use crate::guard::concurrency::Waiting;
use crate::guard::shared::Part;
use crate::guard::{access, cors, key};
use crate::reply::{Refusal, Reply};
use crate::snapshot::Site;
use crate::snapshot::watch::Place;
use crate::wire::edit::write_line;
use crate::wire::{Fields, Method};
pub(super) use identity::Unknown;
use rates::{Counted, Group};
pub(super) use room::take;

/// What is asked, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Is its address allowed?
    Address,
    /// Do the limits admit it that need not know who it is?
    Rates,
    /// Who is it? `has_waited` = keys that were missing have come by now, or will not.
    Identity { has_waited: bool },
    /// Do the limits admit it that count by a claim?
    RatesByClaim,
    /// Is there room for it, by the limit with this index and those behind it?
    Places(usize),
    /// It is in.
    Inside,
}

/// How far the stages have led.
pub(super) enum Checked {
    /// To the end.
    In,
    /// The request is answered here.
    Out(Verdict),
    /// To something that takes time.
    Wait(Wait),
}

/// What takes time.
pub(super) enum Wait {
    /// Somebody counts for all gateways.
    Count(Box<Counted>),
    /// Somebody finds out who it is.
    Know(Box<Unknown>),
    /// A place becomes free, by the limit with this index.
    Place(usize, Waiting),
}

/// What one stage comes to.
enum Step {
    On,
    Out(Verdict),
    Wait(Wait),
}

impl<H: Hand> Deciding<'_, H> {
    /// Goes through the stages from this one on, up to the end or to the first wait.
    pub(super) fn guard(&mut self, site: &Site, mut stage: Stage) -> Checked {
        loop {
            let step = match stage {
                Stage::Address => self.check_address(site),
                Stage::Rates => self.check_rates(site, Group::Early),
                Stage::Identity { has_waited } => self.identify(site, has_waited),
                Stage::RatesByClaim => self.check_rates(site, Group::Late),
                Stage::Places(from) => self.enter(site, from),
                Stage::Inside => return Checked::In,
            };
            match step {
                Step::On => stage = stage.next(),
                Step::Out(verdict) => return Checked::Out(verdict),
                Step::Wait(wait) => return Checked::Wait(wait),
            }
        }
    }

    fn check_address(&mut self, site: &Site) -> Step {
        let x = &mut *self.x;
        let guards = &site.route.guards;
        if let Some(cors) = &guards.cors {
            cors::write(cors, &x.request.fields, &mut x.guarded.lines);
        }
        let is_admitted = access::admits(guards, x.client_ip);
        if !is_admitted || guards.allow.is_some() || !guards.deny.is_empty() {
            self.hand.note(Room::Guard, || {
                let verdict = if is_admitted { "allowed" } else { "denied" };
                format!("address {}: {verdict}", named(x.client_ip))
            });
        }
        match is_admitted {
            true => Step::On,
            false => Step::Out(Verdict::refuse(Refusal::Denied)),
        }
    }

    fn enter(&mut self, site: &Site, from: usize) -> Step {
        for (at, place) in site.watch.places.iter().enumerate().skip(from) {
            let x = &mut *self.x;
            let claim = x.guarded.claim_of(&place.plan.key);
            let key = key::hash(&place.plan.key, &x.facts(), claim, site.watch.seed);
            let part = || shown(&key::part(&place.plan.key, &x.facts(), claim));
            match self.hand.enter(place, key, part) {
                Entered::In(permit) => x.guarded.permits.extend(permit),
                Entered::Wait(waiting) => return Step::Wait(Wait::Place(at, waiting)),
                Entered::Full => {
                    return Step::Out(too_busy(x, &place.plan.name, Refusal::ConcurrencyLimited));
                }
            }
        }
        Step::On
    }
}

impl Visit<'_> {
    /// Waits, and goes on, to the end. A client that leaves meanwhile gives up its place in every line.
    pub(super) async fn wait_in(&mut self, site: &Arc<Site>, mut wait: Wait) -> Verdict {
        loop {
            let stream = self.stream;
            let outcome = tokio::select! {
                biased;
                outcome = self.over(site, wait) => outcome,
                _ = stream.broken() => return Verdict::Abandon,
            };
            let next = match outcome {
                Ok(stage) => self.deciding().guard(site, stage),
                Err(verdict) => Checked::Out(verdict),
            };
            match next {
                Checked::In => return self.deciding().act(site),
                Checked::Out(verdict) => return verdict,
                Checked::Wait(next) => wait = next,
            }
        }
    }

    /// The stage it goes on with when the wait is over.
    async fn over(&mut self, site: &Site, wait: Wait) -> Result<Stage, Verdict> {
        match wait {
            Wait::Count(counted) => self.rule(site, *counted).await,
            Wait::Know(unknown) => self.find_out(site, *unknown).await,
            Wait::Place(at, waiting) => self.wait_for_place(&site.watch.places[at], waiting, at).await,
        }
    }

    async fn wait_for_place(&mut self, place: &Place, waiting: Waiting, at: usize) -> Result<Stage, Verdict> {
        let Ok(permit) = tokio::time::timeout(place.plan.queue_timeout, waiting).await else {
            place.gate.count_timeout();
            return Err(too_busy(&mut self.x, &place.plan.name, Refusal::QueueTimeout));
        };
        self.x.guarded.permits.push(permit);
        Ok(Stage::Places(at + 1))
    }
}

impl Stage {
    fn next(self) -> Self {
        match self {
            Self::Address => Self::Rates,
            Self::Rates => Self::Identity { has_waited: false },
            Self::Identity { .. } => Self::RatesByClaim,
            Self::RatesByClaim => Self::Places(0),
            Self::Places(_) | Self::Inside => Self::Inside,
        }
    }
}

/// The method a browser wants leave for, if it asks whether a page of another origin may send a request.
pub(super) fn asked_method(method: Method, fields: &Fields) -> Option<&str> {
    cors::asked_method(fields).filter(|_| method == Method::Options)
}

/// The answer to that question; None where the route leaves it to its origin.
pub(super) fn preflight(x: &mut Exchange, site: &Site) -> Option<Verdict> {
    let guards = &site.route.guards;
    let cors = guards.cors.as_ref()?;
    if !access::admits(guards, x.client_ip) {
        return Some(Verdict::refuse(Refusal::Denied));
    }
    // Lines of the guard's, because the route takes fields of these names out of whatever else it answers with.
    for (name, value) in cors::preflight(cors, &x.request.fields) {
        write_line(&mut x.guarded.lines, name.as_bytes(), value.as_bytes());
    }
    Some(Verdict::Reply(Reply::empty(204)))
}

/// An address for people.
pub(super) fn named(ip: Option<IpAddr>) -> String {
    ip.map_or_else(
        || "of a Unix socket".to_owned(),
        |ip| ip.to_canonical().to_string(),
    )
}

/// What a request is counted under, for people.
fn shown(part: &Part<'_>) -> String {
    match part {
        Part::Everything => "everybody".to_owned(),
        Part::Address(ip) => named(Some(*ip)),
        Part::Value(value) => format!("\"{}\"", value.escape_ascii()),
    }
}

/// Too many at once. Nobody knows when there is room again; a second is what most requests take at the most.
fn too_busy(x: &mut Exchange, limit: &str, refusal: Refusal) -> Verdict {
    x.guarded.violated = Some(limit.to_owned());
    Verdict::Refuse(refusal, vec![("Retry-After", "1".to_owned())])
}
