//! Who carries out what is decided of a request.
//!
//! The same code decides for a request that is served and for one that is only explained. Whatever it would change, a
//! charge, a place, something remembered, it asks of a hand: a worker's does it, an explanation's looks what would come of
//! it and writes it down. So the two cannot come to disagree.

use std::num::NonZeroU32;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::decide::draw_share;
use super::worker::Worker;
use super::{Verdict, local, mirror};
use crate::exchange::Exchange;
use crate::files::Files;
use crate::guard::basic::{Login, Successes};
use crate::guard::concurrency::{Entry, Permit, Waiting};
use crate::guard::key::KeyHash;
use crate::guard::rate::{self, Limiter};
use crate::guard::token::{Claims, Issuer, Keys, Terms, TokenFault, Verified};
use crate::kit::clock::{Mono, Now};
use crate::route::{Miss, Trace};
use crate::snapshot::watch::{Limit, Place};
use crate::snapshot::{Service, Site};

/// A limit and what the request is counted under by it.
pub(super) type Charge<'a> = (&'a Limiter, KeyHash);

/// A room of the walk, as an explanation names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    Listen,
    Route,
    Guard,
    Cache,
    Action,
    Balance,
    Upstream,
}

/// What a concurrency limit comes to.
pub(super) enum Entered {
    /// It is in; None for who was only looking.
    In(Option<Permit>),
    /// All places are taken.
    Wait(Waiting),
    /// All places are taken, and those in line too.
    Full,
}

/// Carries out what is decided, or does as if.
pub(super) trait Hand: Trace<Arc<Site>> {
    /// The time.
    fn now(&self) -> Now;
    /// The time on the monotonic clock.
    fn mono(&self) -> Mono;
    /// Random bits.
    fn draw(&mut self) -> u64;
    /// Takes down what was found, if anybody wants to read it.
    fn note(&mut self, room: Room, text: impl FnOnce() -> String);
    /// Whether somebody may be asked who takes his time.
    fn may_ask(&mut self, whom: impl FnOnce() -> String) -> bool;
    /// Charges all limits or none; `part` is what the one with that index counts by, for people.
    fn admit(&mut self, charges: &[Charge<'_>], now: Mono, part: impl Fn(usize) -> String) -> rate::Verdict;
    /// Takes back what was charged then.
    fn refund(&mut self, charges: &[Charge<'_>], charged_at: Mono);
    /// Counts a refusal.
    fn refused(&mut self, limit: &Limit);
    /// Takes a place.
    fn enter(&mut self, place: &Place, key: KeyHash, part: impl FnOnce() -> String) -> Entered;
    /// Whether a login was right a moment ago.
    fn holds(&mut self, successes: &Successes, login: &Login, now: Mono) -> bool;
    /// It was right.
    fn remember(&mut self, successes: &Successes, login: Login);
    /// Judges a token.
    fn judge(
        &mut self,
        verified: &Verified,
        text: &[u8],
        keys: &Keys,
        terms: &Terms,
        now_unix: Duration,
    ) -> Result<Arc<Claims>, TokenFault>;
    /// Asks for keys; whether they are coming.
    fn wants(&mut self, issuer: &Issuer, now: Mono, whose: impl FnOnce() -> String) -> bool;
    /// One of several upstreams, by weight.
    fn share(&mut self, shares: &[(Arc<Service>, NonZeroU32)]) -> Arc<Service>;
    /// Sends a copy of the request where the route's copies go.
    fn mirror(&mut self, x: &Exchange, site: &Site);
    /// A file of a folder.
    fn serve_file(&mut self, x: &Exchange, site: &Site, files: &Files) -> Verdict;
}

/// A worker's: it does it.
pub(super) struct Live<'a>(pub(super) &'a Rc<Worker>);

impl Trace<Arc<Site>> for Live<'_> {
    #[inline]
    fn tried(&mut self, _: &Arc<Site>, _: Option<Miss<'_>>) {}
}

impl Hand for Live<'_> {
    fn now(&self) -> Now {
        self.0.now()
    }

    fn mono(&self) -> Mono {
        self.0.mono()
    }

    fn draw(&mut self) -> u64 {
        self.0.draw()
    }

    #[inline]
    fn note(&mut self, _: Room, _: impl FnOnce() -> String) {}

    #[inline]
    fn may_ask(&mut self, _: impl FnOnce() -> String) -> bool {
        true
    }

    fn admit(&mut self, charges: &[Charge<'_>], now: Mono, _: impl Fn(usize) -> String) -> rate::Verdict {
        rate::admit(charges, now)
    }

    fn refund(&mut self, charges: &[Charge<'_>], charged_at: Mono) {
        rate::refund(charges, charged_at, self.0.mono());
    }

    fn refused(&mut self, limit: &Limit) {
        limit.cell.refuse();
    }

    fn enter(&mut self, place: &Place, key: KeyHash, _: impl FnOnce() -> String) -> Entered {
        match place.gate.enter(key.0.into(), &place.plan) {
            Entry::Permit(permit) => Entered::In(Some(permit)),
            Entry::Wait(waiting) => Entered::Wait(waiting),
            Entry::Full => Entered::Full,
        }
    }

    fn holds(&mut self, successes: &Successes, login: &Login, now: Mono) -> bool {
        successes.holds(login, now)
    }

    fn remember(&mut self, successes: &Successes, login: Login) {
        successes.note(login, self.0.mono());
    }

    fn judge(
        &mut self,
        verified: &Verified,
        text: &[u8],
        keys: &Keys,
        terms: &Terms,
        now_unix: Duration,
    ) -> Result<Arc<Claims>, TokenFault> {
        verified.judge(text, keys, terms, now_unix)
    }

    fn wants(&mut self, issuer: &Issuer, now: Mono, _: impl FnOnce() -> String) -> bool {
        issuer.want(now)
    }

    fn share(&mut self, shares: &[(Arc<Service>, NonZeroU32)]) -> Arc<Service> {
        draw_share(shares, self.draw())
    }

    fn mirror(&mut self, x: &Exchange, site: &Site) {
        mirror::copy(self.0, x, site);
    }

    fn serve_file(&mut self, x: &Exchange, site: &Site, files: &Files) -> Verdict {
        local::serve_file(x, site, files)
    }
}
