//! A pool as operators see it.

use super::pool::Pool;
use super::standing::Standing;
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
}
