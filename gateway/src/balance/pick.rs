//! The ways to choose. Each looks without locks and claims with one compare-and-exchange on what it looked at.

use std::sync::atomic::Ordering;

use super::Ask;
use super::pool::{Pool, Slot, Tier};
use crate::config::plan::LoadBalancing;
use crate::kit::clock::Mono;
use crate::kit::ewma::LATENCY_US_MAX;
use crate::kit::turns::{self, Turn};

/// How often a choice is made again because somebody else got in between, before exactness is given up for progress.
const CLAIMS_MAX: u32 = 32;

/// Points looked at on the ring until it is taken for granted that hardly anybody is eligible.
const RING_STEPS_MAX: usize = 256;

/// The server a look came to, and what it was chosen by.
#[derive(Clone, Copy)]
struct Candidate {
    index: usize,
    in_flight: u32,
    pass: u64,
    stride: u64,
    turn: Turn,
}

/// A server's load, to be divided by its weight.
#[derive(Clone, Copy)]
struct Load {
    amount: u64,
    /// Servers that are level rotate among themselves whatever their weights.
    level: bool,
}

impl Pool {
    /// The server the client is bound to, if it may still be sent there.
    ///
    /// Also a backup while primaries serve: a client stays on its server while that is healthy.
    pub(super) fn bound(&self, ask: &Ask<'_>) -> Option<usize> {
        let value = ask.sticky?;
        let index = self
            .members()
            .iter()
            .position(|m| m.sticky_value().as_bytes() == value)?;
        let slot = &self.slots[index];
        let may = slot.takes_bound() && !ask.tried.contains(&slot.id);
        (may && slot.server.join_below(slot.max_conns)).then_some(index)
    }

    /// Chooses within a tier and takes the place.
    pub(super) fn choose(&self, tier: &Tier, ask: &Ask<'_>, draw: u64, now: Mono) -> Option<usize> {
        match &self.policy {
            LoadBalancing::LeastConn => {
                self.least_loaded(tier, ask.tried, |_, in_flight| connections(in_flight))
            }
            LoadBalancing::LeastTime => self.least_loaded(tier, ask.tried, |slot, in_flight| {
                time(slot.server.latency_us(now), in_flight)
            }),
            LoadBalancing::RoundRobin => self.next_in_turn(tier, ask.tried),
            LoadBalancing::RandomTwo => self.better_of_two(tier, ask.tried, draw),
            LoadBalancing::Hash(_) => ask
                .hash
                .and_then(|hash| self.next_on_ring(tier, ask.tried, hash))
                .or_else(|| self.least_loaded(tier, ask.tried, |_, in_flight| connections(in_flight))),
        }
    }

    /// The smallest load per weight, by turns where equal.
    ///
    /// Exact: the place is taken only if the load is still what it was chosen by, else the choice is made again.
    fn least_loaded(&self, tier: &Tier, tried: &[u64], load: impl Fn(&Slot, u32) -> Load) -> Option<usize> {
        for _ in 0..CLAIMS_MAX {
            let candidate = self.look(tier, tried, &load)?;
            if self.slots[candidate.index].server.join_at(candidate.in_flight) {
                if !self.take_turn(tier, candidate) {
                    // Somebody joined and left in between and took this turn: the next one is as good.
                    self.slots[candidate.index]
                        .seat
                        .pass
                        .fetch_add(candidate.stride, Ordering::Relaxed);
                }
                return Some(candidate.index);
            }
        }
        self.join_any(|| self.look(tier, tried, &load))
    }

    /// Whoever's turn it is.
    ///
    /// Exact: passes only grow, so a pass that is still what it was when it was the smallest is still the smallest.
    fn next_in_turn(&self, tier: &Tier, tried: &[u64]) -> Option<usize> {
        let alike = |_: &Slot, _: u32| Load {
            amount: 0,
            level: true,
        };
        for _ in 0..CLAIMS_MAX {
            let candidate = self.look(tier, tried, alike)?;
            let slot = &self.slots[candidate.index];
            // A server that filled up just now has lost its turn.
            if self.take_turn(tier, candidate) && slot.server.join_below(slot.max_conns) {
                return Some(candidate.index);
            }
        }
        self.join_any(|| self.look(tier, tried, alike))
    }

    /// Two distinct servers drawn by weight, and of them the one with the smaller load.
    fn better_of_two(&self, tier: &Tier, tried: &[u64], draw: u64) -> Option<usize> {
        let mut draw = draw;
        self.join_any(|| {
            let eligible = || self.eligible(tier, tried);
            let total: u64 = eligible().map(|(_, weight, _)| u64::from(weight)).sum();
            let first = at_weight(eligible(), scaled(draw & u64::from(u32::MAX), total))?;
            let others = || eligible().filter(move |(index, ..)| *index != first.0);
            let second = at_weight(others(), scaled(draw >> 32, total.saturating_sub(first.1.into())));
            draw = draw.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
            // Of two idle ones the first: it was drawn by weight, and a comparison would count the weight twice.
            let better = second
                .filter(|second| {
                    let [mine, theirs] = [second, &first].map(|(.., in_flight)| u64::from(*in_flight));
                    theirs > 0 && (mine + 1) * u64::from(first.1) < (theirs + 1) * u64::from(second.1)
                })
                .unwrap_or(first);
            Some(self.candidate(better.0, better.2, 0))
        })
    }

    /// The next eligible server clockwise from the key.
    fn next_on_ring(&self, tier: &Tier, tried: &[u64], hash: u64) -> Option<usize> {
        self.ring.walk(hash).take(RING_STEPS_MAX).find(|index| {
            let slot = &self.slots[*index];
            tier.slots.contains(index)
                && slot.weight() > 0
                && !tried.contains(&slot.id)
                && slot.server.join_below(slot.max_conns)
        })
    }

    /// Takes a place wherever the choice falls, exact or not; asks again if the server has filled up meanwhile.
    fn join_any(&self, mut choose: impl FnMut() -> Option<Candidate>) -> Option<usize> {
        (0..CLAIMS_MAX).find_map(|_| match choose() {
            None => Some(None),
            Some(Candidate { index, .. }) => {
                let slot = &self.slots[index];
                slot.server.join_below(slot.max_conns).then_some(Some(index))
            }
        })?
    }

    /// One look over a tier: the smallest load per weight, compared as integers crosswise.
    ///
    /// If a level server is the least loaded, all level ones are, and the turn decides: an idle server of weight 2
    /// beside an idle one of weight 3 has no load to compare, and would else never be sent a request on a quiet site.
    fn look(&self, tier: &Tier, tried: &[u64], load: impl Fn(&Slot, u32) -> Load) -> Option<Candidate> {
        let clock = self.running.turns.load(Ordering::Acquire);
        let mut least: Option<(u64, u64, Candidate)> = None;
        let mut level: Option<(u64, u64, Candidate)> = None;
        for (index, weight, in_flight) in self.eligible(tier, tried) {
            let (load, weight) = (load(&self.slots[index], in_flight), u64::from(weight));
            let best = if load.level { &mut level } else { &mut least };
            let Some((amount, of, candidate)) = best else {
                *best = Some((load.amount, weight, self.candidate(index, in_flight, clock)));
                continue;
            };
            let (mine, theirs) = (product(load.amount, *of), product(*amount, weight));
            if load.level {
                if mine < theirs {
                    (*amount, *of) = (load.amount, weight);
                }
            } else if mine > theirs {
                continue;
            }
            let challenger = self.candidate(index, in_flight, clock);
            if (!load.level && mine < theirs) || challenger.turn.rank < candidate.turn.rank {
                *candidate = challenger;
                if !load.level {
                    (*amount, *of) = (load.amount, weight);
                }
            }
        }
        match (least, level) {
            (Some(least), Some(level)) => {
                let loaded_wins = product(least.0, level.1) < product(level.0, least.1);
                Some(if loaded_wins { least.2 } else { level.2 })
            }
            (least, level) => least.or(level).map(|(.., candidate)| candidate),
        }
    }

    /// (index, effective weight, in flight) of those in a tier that may be sent this request.
    fn eligible(&self, tier: &Tier, tried: &[u64]) -> impl Iterator<Item = (usize, u32, u32)> {
        let first = tier.slots.start;
        self.slots[tier.slots.clone()]
            .iter()
            .zip(first..)
            .filter_map(move |(slot, index)| {
                let weight = slot.weight();
                if weight == 0 || tried.contains(&slot.id) {
                    return None;
                }
                let in_flight = slot.server.in_flight();
                (in_flight < slot.max_conns).then_some((index, weight, in_flight))
            })
    }

    fn candidate(&self, index: usize, in_flight: u32, clock: u64) -> Candidate {
        let slot = &self.slots[index];
        let stride = slot.stride.load(Ordering::Relaxed);
        let mut pass = slot.seat.pass.load(Ordering::Acquire);
        if turns::settled(pass, stride, clock) != pass {
            pass = self.settle(slot, stride);
        }
        Candidate {
            index,
            in_flight,
            pass,
            stride,
            turn: Turn::new(pass, stride, clock),
        }
    }

    /// Cuts a lead that a server has from lighter days.
    #[cold]
    fn settle(&self, slot: &Slot, stride: u64) -> u64 {
        let pass = slot.seat.pass.load(Ordering::Acquire);
        // The clock again, after the pass: the caller's reading may be from before a turn that was given meanwhile.
        let settled = turns::settled(pass, stride, self.running.turns.load(Ordering::Acquire));
        match slot
            .seat
            .pass
            .compare_exchange(pass, settled, Ordering::AcqRel, Ordering::Acquire)
        {
            Ok(_) => settled,
            Err(newer) => newer,
        }
    }

    /// Gives the candidate its turn, unless somebody took it since.
    fn take_turn(&self, tier: &Tier, candidate: Candidate) -> bool {
        let clock = &self.running.turns;
        // The clock first: a pass must never be seen further ahead of it than one stride, or it would be cut back.
        let push = |at| Some(turns::later(candidate.turn.start, at)).filter(|later| *later != at);
        // None = it is there already.
        let _ = clock.fetch_update(Ordering::AcqRel, Ordering::Acquire, push);
        let end = candidate.turn.end(candidate.stride);
        let pass = &self.slots[candidate.index].seat.pass;
        let taken = pass
            .compare_exchange(candidate.pass, end, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok();
        if taken {
            clock.fetch_add(tier.tick, Ordering::AcqRel);
        }
        taken
    }
}

/// Load by connections: what it would be with this request. Idle servers are level.
fn connections(in_flight: u32) -> Load {
    Load {
        amount: u64::from(in_flight) + 1,
        level: in_flight == 0,
    }
}

/// Load by time: what waits there × how long an answer takes lately.
///
/// An idle server that was not measured lately comes before all others, to be measured; with that one request on its
/// way it comes after all others, so that no herd follows before the answer is known.
fn time(latency_us: u32, in_flight: u32) -> Load {
    let waiting = u64::from(in_flight) + 1;
    match (latency_us, in_flight) {
        (0, 0) => Load {
            amount: 0,
            level: true,
        },
        (0, _) => Load {
            amount: u64::from(LATENCY_US_MAX) * waiting,
            level: false,
        },
        (latency_us, _) => Load {
            amount: u64::from(latency_us) * waiting,
            level: false,
        },
    }
}

fn product(amount: u64, weight: u64) -> u128 {
    u128::from(amount) * u128::from(weight)
}

/// A 32-bit draw, scaled to 0..total.
fn scaled(draw: u64, total: u64) -> u64 {
    u64::try_from((u128::from(draw) * u128::from(total)) >> 32).unwrap_or(0)
}

/// Whom a point in the sum of weights falls to.
fn at_weight(servers: impl Iterator<Item = (usize, u32, u32)>, mut point: u64) -> Option<(usize, u32, u32)> {
    let mut last = None;
    for server in servers {
        last = Some(server);
        match point.checked_sub(server.1.into()) {
            None => break,
            Some(rest) => point = rest,
        }
    }
    last
}
