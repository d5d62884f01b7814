//! The one who asks the origin for all.

use std::fmt;

use super::super::fill::Fill;
use super::super::sync::Arc;
use super::table::Flight;
use super::{Flights, Landed};

/// Asks the origin, for all who wait for the same object. Say how it ended, once.
///
/// Dropped without a word (its client has gone), it leaves its place: those who wait join again and the first of them leads.
#[must_use = "dropped, it leaves its place to another"]
pub struct Leader<E> {
    flights: Arc<Flights<E>>,
    flight: Arc<Flight<E>>,
}

/// A fill that newcomers are shown, until this is dropped.
///
/// Drop it when the object has been admitted, so that nobody finds neither, or when it will not be.
#[must_use = "dropped, it hides the fill from newcomers"]
pub struct Landing<E> {
    flights: Arc<Flights<E>>,
    flight: Arc<Flight<E>>,
}

impl<E> Leader<E> {
    pub(super) fn of(flights: &Arc<Flights<E>>, flight: Arc<Flight<E>>) -> Self {
        Self {
            flights: Arc::clone(flights),
            flight,
        }
    }

    /// The answer is on its way into the cache: who waits and who comes may follow it.
    ///
    /// Let the leader's own client follow it before anything is pushed: a fill that is passed through takes nobody in.
    pub fn filling(self, fill: Arc<Fill>) -> Landing<E> {
        self.flight.land(Landed::Filling(fill));
        // The leader is dropped here, and does nothing: the flight has landed. Its end is the landing's.
        Landing {
            flights: Arc::clone(&self.flights),
            flight: Arc::clone(&self.flight),
        }
    }

    /// The answer cannot be shared: everybody asks for himself. To be said at its head, so that nobody waits for its body.
    pub fn pass(self) {
        self.end(Landed::Pass);
    }

    /// An object that was there holds again, or has been stored meanwhile: everybody looks it up again.
    pub fn look_again(self) {
        self.end(Landed::LookAgain);
    }

    /// The origin failed: all who wait now are told, instead of asking it one after the other.
    pub fn fail(self, error: E) {
        self.end(Landed::Failed(error));
    }

    /// Whether somebody waits for what this finds.
    pub fn is_awaited(&self) -> bool {
        self.flight.course.lock().wakers.iter().any(Option::is_some)
    }

    /// Out of sight first: who comes now begins anew and does not find a flight that has ended.
    fn end(&self, landed: Landed<E>) {
        self.flights.remove(&self.flight);
        self.flight.land(landed);
    }
}

impl<E> Drop for Leader<E> {
    fn drop(&mut self) {
        if self.flight.course.lock().landed.is_none() {
            self.end(Landed::Vacant);
        }
    }
}

impl<E> Drop for Landing<E> {
    fn drop(&mut self) {
        self.flights.remove(&self.flight);
    }
}

impl<E> fmt::Debug for Leader<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leader")
            .field("key", &self.flight.key)
            .finish_non_exhaustive()
    }
}

impl<E> fmt::Debug for Landing<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Landing")
            .field("key", &self.flight.key)
            .finish_non_exhaustive()
    }
}
