//! A server's circuit in one word, so that a pick reads it and takes a probe place in it without a lock.
//!
//! *Closed*, requests pass. *Tripped*, it is open while the ejection lasts and half-open after it: nothing has to wake up for
//! the change, a reader compares the clock. What trips and closes it is decided in [`outlier`](super::outlier), under
//! the record's lock; this word follows.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};

/// How a circuit stands. The words are those of `/status`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Breaker {
    /// Requests pass.
    #[default]
    Closed,
    /// A few requests at once may show whether it is well again.
    HalfOpen,
    /// It is ejected.
    Open,
}

/// Which of its openings a circuit is behind: the number changes whenever it opens, and not when it closes.
///
/// A request remembers the one it began in. What it says after another opening is said of a time that is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Epoch(u64);

/// What a pool lets into a tripped circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probing {
    /// Only since this opening: after the next one nobody gets in who has not looked again.
    pub epoch: Epoch,
    /// Requests at once, whichever pools they came from.
    pub places: NonZeroU32,
}

/// How a request got in: what it may decide later, and whether it takes up a probe place until then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The opening it began after.
    pub epoch: Epoch,
    /// It has one of the probe places.
    pub is_probe: bool,
}

/// The word.
#[derive(Debug, Default)]
pub struct Circuit(AtomicU64);

/// What the word says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The last opening.
    pub epoch: Epoch,
    /// Open or half-open.
    pub is_tripped: bool,
    /// Probe places taken.
    pub probes: u32,
}

/// Bits of an epoch: it fits into a slot's word beside a weight, and comes round after a billion openings, when no
/// request of the one before is alive.
pub const EPOCH_BITS: u32 = 30;

const PROBES: u64 = (1 << 32) - 1;
const TRIPPED: u64 = 1 << 32;
const EPOCH_SHIFT: u32 = 33;

impl Breaker {
    /// The word of `/status`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open => "open",
        }
    }
}

impl Epoch {
    /// As a number of at most [`EPOCH_BITS`] bits.
    pub fn bits(self) -> u64 {
        self.0
    }

    /// From its number; higher bits are cut off.
    pub fn from_bits(bits: u64) -> Self {
        Self(bits & ((1 << EPOCH_BITS) - 1))
    }

    /// The opening after this one.
    pub fn next(self) -> Self {
        Self::from_bits(self.0 + 1)
    }
}

impl Circuit {
    /// What the word says now.
    #[inline]
    pub fn read(&self) -> Reading {
        Reading::of(self.0.load(Ordering::Acquire))
    }

    /// Takes a probe place, if the circuit is still tripped as `probing` has it and fewer than its places are taken;
    /// with `seen`, only if exactly so many are.
    pub fn enter(&self, probing: Probing, seen: Option<u32>) -> Option<Ticket> {
        let admit = |word| {
            let reading = Reading::of(word);
            let has_room = reading.has_room(probing) && seen.is_none_or(|seen| seen == reading.probes);
            has_room.then_some(word + 1)
        };
        self.0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, admit)
            .ok()?;
        Some(Ticket {
            epoch: probing.epoch,
            is_probe: true,
        })
    }

    /// Gives a probe place back. For each that was taken, once.
    pub fn leave(&self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }

    /// It opens, or opens again. Places stay taken: who has one is still at the server.
    ///
    /// Called under the record's lock, as is [`close`](Self::close): nobody else changes these bits.
    pub fn trip(&self, epoch: Epoch) {
        let opened = |word| Some((word & PROBES) | TRIPPED | (epoch.bits() << EPOCH_SHIFT));
        // Always Ok: there is a next word for each.
        let _ = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, opened);
    }

    /// It closes.
    pub fn close(&self) {
        self.0.fetch_and(!TRIPPED, Ordering::AcqRel);
    }
}

impl Reading {
    fn of(word: u64) -> Self {
        Self {
            epoch: Epoch::from_bits(word >> EPOCH_SHIFT),
            is_tripped: word & TRIPPED != 0,
            probes: u32::try_from(word & PROBES).unwrap_or(u32::MAX),
        }
    }

    /// Whether it lets one more in by a probe place.
    pub fn has_room(self, probing: Probing) -> bool {
        self.is_tripped && self.epoch == probing.epoch && self.probes < probing.places.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_places(epoch: Epoch) -> Probing {
        Probing {
            epoch,
            places: NonZeroU32::new(2).unwrap(),
        }
    }

    #[test]
    fn places_are_there_only_while_it_is_tripped_and_only_for_who_knows_the_last_opening() {
        let circuit = Circuit::default();
        let first = Epoch::default().next();
        assert_eq!(circuit.enter(two_places(first), None), None);
        circuit.trip(first);
        assert_eq!(circuit.enter(two_places(Epoch::default()), None), None);
        assert!(circuit.enter(two_places(first), None).unwrap().is_probe);
        circuit.trip(first.next());
        assert_eq!(circuit.enter(two_places(first), None), None);
        assert!(circuit.enter(two_places(first.next()), None).is_some());
        assert_eq!(
            circuit.enter(two_places(first.next()), None),
            None,
            "the place from before the second opening is still taken"
        );
        circuit.leave();
        assert!(circuit.enter(two_places(first.next()), None).is_some());
        circuit.close();
        assert!(!circuit.read().is_tripped);
        circuit.leave();
        circuit.leave();
        assert_eq!((circuit.read().probes, circuit.read().epoch), (0, first.next()));
    }

    #[test]
    fn a_place_may_be_asked_for_on_what_was_seen() {
        let circuit = Circuit::default();
        let epoch = Epoch::default().next();
        circuit.trip(epoch);
        assert_eq!(circuit.enter(two_places(epoch), Some(1)), None);
        assert!(circuit.enter(two_places(epoch), Some(0)).is_some());
        assert!(circuit.enter(two_places(epoch), Some(1)).is_some());
    }

    #[test]
    fn an_epoch_comes_round_within_its_bits() {
        let last = Epoch::from_bits(u64::MAX);
        assert_eq!(last.bits() >> EPOCH_BITS, 0);
        assert_eq!(last.next(), Epoch::default());
        let circuit = Circuit::default();
        circuit.trip(last);
        assert_eq!(circuit.read().epoch, last);
    }
}
