//! A server's place in one upstream: what the operator said about it, and its turn.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use super::Changes;
use crate::kit::clock::Mono;

/// The cell of one server in one upstream; its key is upstream name + address.
///
/// A line of memory of its own: each turn given writes to it.
#[derive(Debug)]
#[repr(align(64))]
pub struct Seat {
    /// When its next turn is due, in the virtual time of [`kit::turns`](crate::kit::turns).
    pub pass: AtomicU64,
    order: AtomicU8,
    /// 0 = as configured.
    weight: AtomicU32,
    /// When the operator let it back in; 0 = never.
    back_ns: AtomicU64,
    changes: Changes,
}

/// What an operator wants of a server, until told otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// As the configuration, the probes and the traffic say.
    #[default]
    Up,
    /// No new clients; those bound to it by a sticky cookie stay.
    Drain,
    /// No requests at all; running ones end by themselves.
    Down,
}

impl Seat {
    /// A seat nobody has given orders about.
    pub fn new(changes: Changes) -> Self {
        Self {
            pass: AtomicU64::new(0),
            order: AtomicU8::new(0),
            weight: AtomicU32::new(0),
            back_ns: AtomicU64::new(0),
            changes,
        }
    }

    /// Obeys from the next pick on. A server that was down and comes up starts slowly.
    pub fn command(&self, order: Order, now: Mono) {
        let before = self.order.swap(order.code(), Ordering::AcqRel);
        if Order::of(before) == Order::Down && order != Order::Down {
            self.back_ns.store(now.0.max(1), Ordering::Release);
        }
        self.changes.note();
    }

    /// Replaces the configured weight; None puts it back.
    pub fn reweigh(&self, weight: Option<NonZeroU32>) {
        self.weight
            .store(weight.map_or(0, NonZeroU32::get), Ordering::Release);
        self.changes.note();
    }

    /// The standing order.
    pub fn order(&self) -> Order {
        Order::of(self.order.load(Ordering::Acquire))
    }

    /// The weight that replaces the configured one.
    pub fn weight(&self) -> Option<NonZeroU32> {
        NonZeroU32::new(self.weight.load(Ordering::Acquire))
    }

    /// When the operator let it back in.
    pub fn back_since(&self) -> Option<Mono> {
        Some(self.back_ns.load(Ordering::Acquire))
            .filter(|ns| *ns != 0)
            .map(Mono)
    }
}

impl Order {
    /// Reads the admin API's word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Up, Self::Drain, Self::Down]
            .into_iter()
            .find(|order| order.name() == word)
    }

    /// The admin API's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Drain => "drain",
            Self::Down => "down",
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::Up => 0,
            Self::Drain => 1,
            Self::Down => 2,
        }
    }

    fn of(code: u8) -> Self {
        match code {
            1 => Self::Drain,
            2 => Self::Down,
            _ => Self::Up,
        }
    }
}
