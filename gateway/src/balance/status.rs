//! A pool as operators see it.

use super::pool::Pool;
use super::standing::{STEPS, Standing};
use super::{Ask, Bid, Outlook};
use crate::kit::clock::Mono;
use crate::upstream::Breaker;

/// One server's line in `/status` and the metrics.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerStatus {
    /// As written.
    pub address: String,
    /// Whether it serves. A half-open server is "up": it gets traffic, though little; `breaker` tells it from others.
    pub state: Standing,
    /// How its circuit stands, also while it is down, drains or is off.
    pub breaker: Breaker,
    /// The operator's weight, else the configured one; a slow start does not show.
    pub weight: u32,
    /// Serves only when no primary can.
    pub backup: bool,
    /// Requests it is working on, whichever upstream sent them.
    pub in_flight: u32,
    /// Requests ever sent to it.
    pub requests: u64,
    /// Those that failed.
    pub failures: u64,
    /// Recent latency, peaks weighing most; 0 = not measured lately.
    pub latency_ms: f64,
}

impl Pool {
    /// Every server, primaries first, each in file order.
    pub fn status(&self, now: Mono) -> Vec<ServerStatus> {
        (0..self.members().len())
            .map(|index| {
                let (member, server) = (&self.members()[index], self.server(index));
                ServerStatus {
                    address: member.address().to_string(),
                    state: self.standing(index, now),
                    breaker: server.circuit(now).0,
                    weight: self.weight(index),
                    backup: member.backup(),
                    in_flight: server.in_flight(),
                    requests: server.requests(),
                    failures: server.failures(),
                    latency_ms: f64::from(server.latency_us(now)) / 1_000.0,
                }
            })
            .collect()
    }

    /// Whom [`pick`](Self::pick) would choose at this moment, and what speaks for or against each server.
    ///
    /// Nothing is taken: no place, no turn, no probe. `draw` decides as it would there.
    pub fn peek(&self, ask: &Ask<'_>, draw: u64, now: Mono) -> Outlook {
        self.renew(now);
        let bound = self.bound_to(ask).filter(|index| self.slots[*index].has_room());
        let chosen = bound.or_else(|| {
            self.tiers()
                .iter()
                .find_map(|tier| self.aim(tier, ask, draw, now))
        });
        Outlook {
            chosen,
            is_bound: bound.is_some(),
            bids: (0..self.slots.len()).map(|index| self.bid(index, ask)).collect(),
        }
    }

    fn bid(&self, index: usize, ask: &Ask<'_>) -> Bid {
        let slot = &self.slots[index];
        if slot.weight() == 0 {
            return Bid::Out;
        }
        if ask.tried.contains(&slot.id) {
            return Bid::Tried;
        }
        if slot.has_room() {
            let weight = f64::from(slot.weight()) / f64::from(STEPS);
            return Bid::Eligible { weight };
        }
        match slot.server.in_flight() >= slot.max_conns {
            true => Bid::Full(slot.max_conns),
            false => Bid::Probed,
        }
    }
}
