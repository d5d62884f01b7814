//! The ways to choose. Each looks without locks and claims with one compare-and-exchange on what it looked at.

use std::sync::atomic::Ordering;

use super::Ask;
use super::pool::{Pool, Slot, Tier};
use super::standing::{STEPS, WEIGHT_MAX};
use crate::config::plan::LoadBalancing;
use crate::kit::clock::Mono;
use crate::kit::ewma::LATENCY_US_MAX;
use crate::kit::turns;
use crate::upstream::{Load, Ticket};

/// How often a choice is made again because somebody else got in between, before exactness is given up for progress.
const CLAIMS_MAX: u32 = 32;

/// Points looked at on the ring until it is taken for granted that hardly anybody is eligible.
const RING_STEPS_MAX: usize = 256;

/// A server, and a place there.
type Taken = (usize, Ticket);

/// The server a look came to, and what it was chosen by.
#[derive(Clone, Copy)]
struct Candidate {
    index: usize,
    burden: Burden,
    rank: u64,
    clock: u64,
}

/// Who is first so far; two words, so that a look at a thousand servers stays in registers.
#[derive(Clone, Copy)]
struct First {
    rank: u64,
    index: usize,
}

/// What a server's load amounts to, to be divided by its weight.
#[derive(Clone, Copy, PartialEq)]
struct Burden {
    /// At most [`AMOUNT_MAX`].
    amount: u64,
    /// Servers that are level rotate among themselves whatever their weights. Their amounts are equal.
    level: bool,
}

/// Largest amount that may be multiplied by the largest effective weight.
const AMOUNT_MAX: u64 = 1 << 35;
const _: () = assert!(
    AMOUNT_MAX
        .checked_mul((WEIGHT_MAX as u64) * (STEPS as u64))
        .is_some()
);

/// Nobody yet, whom anybody precedes.
const NOBODY: First = First {
    rank: u64::MAX,
    index: usize::MAX,
};

impl Pool {
    /// The server the client is bound to, if it may still be sent there.
    ///
    /// Also a backup while primaries serve: a client stays on its server while that is healthy.
    pub(super) fn bound(&self, ask: &Ask<'_>) -> Option<Taken> {
        let index = self.bound_to(ask)?;
        Some((index, self.slots[index].join()?))
    }

    /// The server the client is bound to, unless it takes nobody any more or was tried; it may be full.
    pub(super) fn bound_to(&self, ask: &Ask<'_>) -> Option<usize> {
        let value = ask.sticky?;
        let index = self
            .members()
            .iter()
            .position(|m| m.sticky_value().as_bytes() == value)?;
        let slot = &self.slots[index];
        (slot.takes_bound() && !ask.tried.contains(&slot.id)).then_some(index)
    }

    /// Whom [`choose`](Self::choose) would choose at this moment. No place is taken, no turn given, no lead cut.
    pub(super) fn aim(&self, tier: &Tier, ask: &Ask<'_>, draw: u64, now: Mono) -> Option<usize> {
        let tried = ask.tried;
        let least = |burden: &dyn Fn(&Slot, Load) -> Burden| {
            self.look::<false>(tier, tried, burden)
                .map(|candidate| candidate.index)
        };
        match &self.policy {
            LoadBalancing::LeastConn => least(&|_, load| connections(load)),
            LoadBalancing::LeastTime => least(&|slot, load| time(slot, load, now)),
            LoadBalancing::RoundRobin => least(&alike),
            LoadBalancing::RandomTwo => self.draw_two(tier, tried, draw),
            LoadBalancing::Hash(_) => ask
                .hash
                .and_then(|hash| {
                    self.on_ring(tier, tried, hash)
                        .find(|index| self.slots[*index].has_room())
                })
                .or_else(|| least(&|_, load| connections(load))),
        }
    }

    /// Chooses within a tier and takes the place.
    pub(super) fn choose(&self, tier: &Tier, ask: &Ask<'_>, draw: u64, now: Mono) -> Option<Taken> {
        match &self.policy {
            LoadBalancing::LeastConn => self.least_loaded(tier, ask.tried, |_, load| connections(load)),
            LoadBalancing::LeastTime => {
                self.least_loaded(tier, ask.tried, |slot, load| time(slot, load, now))
            }
            LoadBalancing::RoundRobin => self.next_in_turn(tier, ask.tried),
            LoadBalancing::RandomTwo => self.better_of_two(tier, ask.tried, draw),
            LoadBalancing::Hash(_) => ask
                .hash
                .and_then(|hash| self.next_on_ring(tier, ask.tried, hash))
                .or_else(|| self.least_loaded(tier, ask.tried, |_, load| connections(load))),
        }
    }

    /// The smallest load per weight, by turns where equal.
    ///
    /// Exact: the place is taken only if the load is still what it was chosen by, else the choice is made again.
    fn least_loaded(
        &self,
        tier: &Tier,
        tried: &[u64],
        burden: impl Fn(&Slot, Load) -> Burden,
    ) -> Option<Taken> {
        for _ in 0..CLAIMS_MAX {
            let candidate = self.look::<true>(tier, tried, &burden)?;
            let slot = &self.slots[candidate.index];
            let same = slot
                .offer()
                .filter(|(_, load)| burden(slot, *load) == candidate.burden);
            if let Some(ticket) = same.and_then(|(_, load)| slot.join_at(load)) {
                if !self.take_turn(tier, candidate) {
                    // Somebody joined and left in between and took this turn: the next one is as good.
                    slot.seat
                        .pass
                        .fetch_add(slot.stride.load(Ordering::Relaxed), Ordering::Relaxed);
                }
                return Some((candidate.index, ticket));
            }
        }
        self.join_any(|| self.look::<true>(tier, tried, &burden).map(|c| c.index))
    }

    /// Whoever's turn it is.
    ///
    /// Exact: passes only grow, so a pass that is still what it was when it was the smallest is still the smallest.
    fn next_in_turn(&self, tier: &Tier, tried: &[u64]) -> Option<Taken> {
        for _ in 0..CLAIMS_MAX {
            let candidate = self.look::<true>(tier, tried, alike)?;
            // A server that filled up just now has lost its turn.
            if self.take_turn(tier, candidate)
                && let Some(ticket) = self.slots[candidate.index].join()
            {
                return Some((candidate.index, ticket));
            }
        }
        self.join_any(|| self.look::<true>(tier, tried, alike).map(|c| c.index))
    }

    /// Two distinct servers drawn by weight, and of them the one with the smaller load.
    fn better_of_two(&self, tier: &Tier, tried: &[u64], draw: u64) -> Option<Taken> {
        let mut draw = draw;
        self.join_any(|| {
            let index = self.draw_two(tier, tried, draw)?;
            draw = draw.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
            Some(index)
        })
    }

    fn draw_two(&self, tier: &Tier, tried: &[u64], draw: u64) -> Option<usize> {
        let eligible = || {
            self.eligible(tier, tried).map(|(index, _, weight, load)| Drawn {
                index,
                weight,
                load: load.count(),
            })
        };
        let total: u64 = eligible().map(|drawn| u64::from(drawn.weight)).sum();
        let first = at_weight(eligible(), scaled(draw & u64::from(u32::MAX), total))?;
        let others = || eligible().filter(move |drawn| drawn.index != first.index);
        let second = at_weight(
            others(),
            scaled(draw >> 32, total.saturating_sub(first.weight.into())),
        );
        Some(
            second
                .filter(|second| second.is_less_loaded_than(first))
                .unwrap_or(first)
                .index,
        )
    }

    /// The next eligible server clockwise from the key.
    fn next_on_ring(&self, tier: &Tier, tried: &[u64], hash: u64) -> Option<Taken> {
        self.on_ring(tier, tried, hash)
            .find_map(|index| Some((index, self.slots[index].join()?)))
    }

    /// Those in service, clockwise from the key; they may be full.
    fn on_ring(&self, tier: &Tier, tried: &[u64], hash: u64) -> impl Iterator<Item = usize> {
        self.ring.walk(hash).take(RING_STEPS_MAX).filter(|index| {
            let slot = &self.slots[*index];
            tier.slots.contains(index) && slot.weight() > 0 && !tried.contains(&slot.id)
        })
    }

    /// Takes a place wherever the choice falls, exact or not; asks again if the server has filled up meanwhile.
    fn join_any(&self, mut choose: impl FnMut() -> Option<usize>) -> Option<Taken> {
        for _ in 0..CLAIMS_MAX {
            let index = choose()?;
            if let Some(ticket) = self.slots[index].join() {
                return Some((index, ticket));
            }
        }
        None
    }

    /// One look over a tier: the smallest load per weight, compared as integers crosswise, by turns where equal.
    ///
    /// If a level server is the least loaded, all level ones are: an idle server of weight 2 beside an idle one of weight
    /// 3 has no load to compare, and would else never be sent a request on a quiet site.
    ///
    /// `SETTLES`: whoever has a lead from lighter days loses it. Either way it is ranked last.
    fn look<const SETTLES: bool>(
        &self,
        tier: &Tier,
        tried: &[u64],
        burden: impl Fn(&Slot, Load) -> Burden,
    ) -> Option<Candidate> {
        let clock = self.running.turns.load(Ordering::Acquire);
        let (mut level, mut level_amount, mut level_weight) = (NOBODY, 0, 0);
        let (mut least, mut least_amount, mut least_weight) = (NOBODY, AMOUNT_MAX, 0);
        for (index, slot, weight, load) in self.eligible(tier, tried) {
            let (load, weight) = (burden(slot, load), u64::from(weight));
            if load.level {
                (level_amount, level_weight) = (load.amount, weight.max(level_weight));
                level.or(self.rank::<SETTLES>(slot, clock), index);
                continue;
            }
            let (mine, theirs) = (load.amount * least_weight, least_amount * weight);
            if mine < theirs {
                least = NOBODY;
            }
            // Also where equal: the amount that is remembered must be the one of whoever is.
            if mine <= theirs && least.or(self.rank::<SETTLES>(slot, clock), index) {
                (least_amount, least_weight) = (load.amount, weight);
            }
        }
        // Where equal the level one: an idle server answers sooner.
        let loaded_is_less = least_amount * level_weight < level_amount * least_weight;
        let is_level = level.index != NOBODY.index && !loaded_is_less;
        let (First { index, rank }, amount) = if is_level {
            (level, level_amount)
        } else {
            (least, least_amount)
        };
        let burden = Burden {
            amount,
            level: is_level,
        };
        (index != NOBODY.index).then_some(Candidate {
            index,
            burden,
            rank,
            clock,
        })
    }

    /// (index, slot, effective weight, load) of those in a tier that may be sent this request.
    #[inline]
    fn eligible(&self, tier: &Tier, tried: &[u64]) -> impl Iterator<Item = (usize, &Slot, u32, Load)> {
        let first = tier.slots.start;
        let slots = self.slots[tier.slots.clone()].iter().zip(first..);
        slots.filter_map(move |(slot, index)| {
            let (weight, load) = slot.offer()?;
            let is_tried = !tried.is_empty() && tried.contains(&slot.id);
            (!is_tried).then_some((index, slot, weight, load))
        })
    }

    #[inline]
    fn rank<const SETTLES: bool>(&self, slot: &Slot, clock: u64) -> u64 {
        let stride = slot.stride.load(Ordering::Relaxed);
        let pass = slot.seat.pass.load(Ordering::Acquire);
        turns::rank(pass, stride, clock).unwrap_or_else(|| {
            if SETTLES {
                self.settle(slot, stride);
            }
            NOBODY.rank - 1
        })
    }

    /// Cuts a lead that a server has from lighter days.
    #[cold]
    fn settle(&self, slot: &Slot, stride: u64) {
        let pass = slot.seat.pass.load(Ordering::Acquire);
        // The clock again, after the pass: the caller's reading may be from before a turn that was given meanwhile.
        let settled = turns::settled(pass, stride, self.running.turns.load(Ordering::Acquire));
        // If it fails, somebody gave it a turn, and settled it at that.
        let _ = slot
            .seat
            .pass
            .compare_exchange(pass, settled, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// Gives the candidate its turn, unless somebody took it since.
    fn take_turn(&self, tier: &Tier, candidate: Candidate) -> bool {
        let (clock, slot) = (&self.running.turns, &self.slots[candidate.index]);
        let stride = slot.stride.load(Ordering::Relaxed);
        let pass = slot.seat.pass.load(Ordering::Acquire);
        if turns::rank(pass, stride, candidate.clock) != Some(candidate.rank) {
            return false;
        }
        let start = turns::start(pass, stride, clock.load(Ordering::Acquire));
        // The clock first: a pass must never be seen further ahead of it than one stride, or it would be cut back.
        let push = |at| Some(turns::later(start, at)).filter(|later| *later != at);
        // None = it is there already.
        let _ = clock.fetch_update(Ordering::AcqRel, Ordering::Acquire, push);
        let end = start.wrapping_add(stride);
        let taken = slot
            .seat
            .pass
            .compare_exchange(pass, end, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok();
        if taken {
            clock.fetch_add(tier.tick, Ordering::AcqRel);
        }
        taken
    }
}

impl First {
    /// Whoever's rank is smaller; whether it is the other's.
    #[inline]
    fn or(&mut self, rank: u64, index: usize) -> bool {
        let precedes = rank < self.rank;
        if precedes {
            *self = Self { rank, index };
        }
        precedes
    }
}

/// No burden at all: whoever's turn it is.
fn alike(_: &Slot, _: Load) -> Burden {
    Burden {
        amount: 0,
        level: true,
    }
}

/// Burden by connections: what they would be with this request. Idle servers are level.
fn connections(load: Load) -> Burden {
    Burden {
        amount: u64::from(load.count()) + 1,
        level: load.count() == 0,
    }
}

/// Burden by time: what waits there × how long an answer takes lately.
///
/// An idle server that was not measured lately comes before all others, to be measured; with that one request on its
/// way it comes after all others, so that no herd follows before the answer is known. A half-open server is taken as not
/// measured: what its failures have left of its record would keep the requests away that are to clear it.
fn time(slot: &Slot, load: Load, now: Mono) -> Burden {
    let latency_us = match load {
        Load::Requests(_) => slot.server.latency_us(now),
        Load::Probes(_) => 0,
    };
    let unknown = latency_us == 0;
    let level = unknown && load.count() == 0;
    let latency_us = if unknown { LATENCY_US_MAX } else { latency_us };
    let waiting = u64::from(load.count()) + 1;
    Burden {
        amount: if level {
            0
        } else {
            (u64::from(latency_us) * waiting).min(AMOUNT_MAX)
        },
        level,
    }
}

/// A 32-bit draw, scaled to 0..total.
fn scaled(draw: u64, total: u64) -> u64 {
    u64::try_from((u128::from(draw) * u128::from(total)) >> 32).unwrap_or(0)
}

/// Whom a point in the sum of weights falls to.
fn at_weight(servers: impl Iterator<Item = Drawn>, mut point: u64) -> Option<Drawn> {
    let mut last = None;
    for server in servers {
        last = Some(server);
        match point.checked_sub(server.weight.into()) {
            None => break,
            Some(rest) => point = rest,
        }
    }
    last
}

/// A server that may be drawn.
#[derive(Clone, Copy)]
struct Drawn {
    index: usize,
    weight: u32,
    load: u32,
}

impl Drawn {
    /// Of two idle ones neither is: they were drawn by weight, and a comparison would count the weight twice.
    fn is_less_loaded_than(self, other: Self) -> bool {
        let [mine, theirs] =
            [(self, other), (other, self)].map(|(a, b)| (u64::from(a.load) + 1) * u64::from(b.weight));
        other.load > 0 && mine < theirs
    }
}
