//! One request, several limits: all of them admit it, or none is charged.

use std::time::Duration;

use parking_lot::Mutex;

use super::gcra::{Charged, TIME_NS_MAX};
use super::limiter::Limiter;
use super::shard::Shard;
use super::table::Table;
use crate::guard::key::KeyHash;
use crate::kit::clock::Mono;

/// Whether a request may come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is counted by all limits.
    Admitted(Standing),
    /// It is counted by none.
    Refused {
        /// The one that will refuse it longest, as an index into the limits.
        limit: usize,
        /// Until that one would admit it, if nobody else with the same key came before.
        retry_after: Duration,
        /// Of that limit.
        standing: Standing,
    },
}

/// How it stands with the limit that is nearest to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Which, as an index into the limits.
    pub limit: usize,
    /// Requests it would admit now.
    pub remaining: u32,
    /// Until it would admit one more than that.
    pub reset: Duration,
}

/// Asks all limits for one more request; charges all of them if all admit it, else none.
///
/// A limit that is named twice with the same key counts once. Without any limit a request is admitted, with nothing
/// to tell of it: the standing then has the largest remaining there is.
///
/// Exact whichever threads ask: each key's shard is locked from before it is judged until it is charged. To admit
/// first and take back after would be either more than the limit for a moment, or a charge that others see and are
/// refused for. Shards are locked in the order of their addresses, so no two requests wait for each other.
pub fn admit(limits: &[(&Limiter, KeyHash)], now: Mono) -> Verdict {
    loop {
        let mut walk = Walk {
            limits,
            now_ns: now.0.min(TIME_NS_MAX),
            judged: 0,
            tally: Tally::default(),
        };
        match walk.on((0, 0), None) {
            Outcome::Charge | Outcome::Leave => return walk.tally.verdict(),
            // Once in a while, when a reload has changed the number of shards just now.
            Outcome::Again => {}
        }
    }
}

/// What one limit would say of one more request, without being asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outlook {
    /// Requests it would admit now, this one included.
    pub left: u32,
    /// Until it would admit one; zero where it does.
    pub retry_after: Duration,
}

/// What [`admit`] would say at this moment, and each limit by itself. Nothing is charged, no key is remembered, and a pace
/// that is newer than the table's does not take over.
///
/// One limit is looked at after the other, so while others are being admitted it is no more than a look.
pub fn peek(limits: &[(&Limiter, KeyHash)], now: Mono) -> (Verdict, Vec<Outlook>) {
    let now_ns = now.0.min(TIME_NS_MAX);
    let mut tally = Tally::default();
    let look = |(at, (limiter, key)): (usize, &(&Limiter, KeyHash))| {
        let (debt_ns, pace) = limiter
            .table
            .peek(*key, (limiter.generation, limiter.pace), now_ns);
        let judgement = pace.judge(debt_ns);
        tally.take(at, &judgement);
        match judgement {
            Ok(charged) => Outlook {
                left: charged.remaining.saturating_add(1),
                retry_after: Duration::ZERO,
            },
            Err(retry_after) => Outlook { left: 0, retry_after },
        }
    };
    let outlooks = limits.iter().enumerate().map(look).collect();
    (tally.verdict(), outlooks)
}

/// Takes back what [`admit`] has charged at `admitted`, for a request that was not served after all.
///
/// What a charge has lost by itself since then stays lost, and after a whole interval it is all of it: giving back
/// more might admit more than the limit says. See `Table::uncharge`.
pub fn refund(limits: &[(&Limiter, KeyHash)], admitted: Mono, now: Mono) {
    for (at, (limiter, key)) in limits.iter().enumerate() {
        if !limits[..at]
            .iter()
            .any(|earlier| is_same(*earlier, (limiter, *key)))
        {
            limiter
                .table
                .uncharge(*key, admitted.0.min(TIME_NS_MAX), now.0.min(TIME_NS_MAX));
        }
    }
}

fn is_same(a: (&Limiter, KeyHash), b: (&Limiter, KeyHash)) -> bool {
    a.1 == b.1 && std::ptr::eq(&*a.0.table, &*b.0.table)
}

/// What is to be done with the shards that are locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Charge,
    Leave,
    Again,
}

/// A way through the shards of all limits, by address: each step holds one of them until all behind it are through.
struct Walk<'a> {
    limits: &'a [(&'a Limiter, KeyHash)],
    now_ns: u64,
    judged: usize,
    tally: Tally,
}

/// What the limits judged so far come to together.
struct Tally {
    /// The one nearest to its end so far.
    standing: Standing,
    /// The longest wait so far.
    refused: Option<(usize, Duration)>,
}

/// A shard by its address, then a limit by its index.
type Place = (usize, usize);

impl<'a> Walk<'a> {
    /// Goes on behind `place`, whose shard is `held`.
    fn on(&mut self, place: Place, held: Option<&mut Shard>) -> Outcome {
        if self.judged == self.limits.len() {
            return self.outcome();
        }
        // A limit whose key has moved to a shard that was passed by is not found behind it.
        let Some((home, next)) = self.next(place) else {
            return Outcome::Again;
        };
        match held {
            // Another key of the same table, in the same shard.
            Some(shard) if next.0 == place.0 => self.step(next, shard),
            Some(_) | None => {
                let mut shard = home.lock();
                let (limiter, key) = self.limits[next.1 - 1];
                if !limiter.table.owns(home, key) {
                    return Outcome::Again;
                }
                self.step(next, &mut shard)
            }
        }
    }

    fn step(&mut self, place: Place, shard: &mut Shard) -> Outcome {
        let at = place.1 - 1;
        let (limiter, key) = self.limits[at];
        let policy = (limiter.generation, limiter.pace);
        let (debt_ns, pace) = Table::debt(shard, key, policy, self.now_ns);
        self.judged += 1;
        let judgement = pace.judge(debt_ns);
        self.tally.take(at, &judgement);
        let outcome = self.on(place, Some(shard));
        if let (Outcome::Charge, Ok(charged)) = (outcome, judgement) {
            limiter.table.charge(shard, key, charged.debt_ns, self.now_ns);
        }
        outcome
    }

    /// The limit with the lowest place behind this one. Places count limits from one, so that (0, 0) is before all.
    fn next(&self, place: Place) -> Option<(&'a Mutex<Shard>, Place)> {
        let placed = |(at, (limiter, key)): (usize, &(&'a Limiter, KeyHash))| {
            let home = limiter.table.shard(*key);
            (home, (std::ptr::from_ref(home).addr(), at + 1))
        };
        let limits = self.limits.iter().enumerate().map(placed);
        limits.filter(|(_, p)| *p > place).min_by_key(|(_, p)| *p)
    }

    /// When all are judged.
    fn outcome(&self) -> Outcome {
        match self.tally.refused {
            Some(_) => Outcome::Leave,
            None => Outcome::Charge,
        }
    }
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            standing: Standing {
                limit: 0,
                remaining: u32::MAX,
                reset: Duration::ZERO,
            },
            refused: None,
        }
    }
}

impl Tally {
    fn take(&mut self, limit: usize, judgement: &Result<Charged, Duration>) {
        match judgement {
            Ok(charged) => self.note(limit, charged),
            // The others are asked all the same, for the longest wait: less would be a promise that is not kept.
            // Of equal ones the first: in which order they were judged is of no meaning.
            Err(wait) => {
                let is_longer = |(first, longest)| *wait > longest || (*wait == longest && limit < first);
                if self.refused.is_none_or(is_longer) {
                    self.refused = Some((limit, *wait));
                }
            }
        }
    }

    fn note(&mut self, limit: usize, charged: &Charged) {
        let reset = Duration::from_nanos(charged.reset_ns);
        let nearest = &self.standing;
        // Of two with as many left the one that takes longer to have more; of equal ones the first.
        let is_nearer = (charged.remaining, nearest.reset, limit) < (nearest.remaining, reset, nearest.limit);
        if is_nearer {
            self.standing = Standing {
                limit,
                remaining: charged.remaining,
                reset,
            };
        }
    }

    fn verdict(self) -> Verdict {
        let Some((limit, retry_after)) = self.refused else {
            return Verdict::Admitted(self.standing);
        };
        Verdict::Refused {
            limit,
            retry_after,
            standing: Standing {
                limit,
                remaining: 0,
                reset: retry_after,
            },
        }
    }
}
