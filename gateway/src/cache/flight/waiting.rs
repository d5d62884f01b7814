//! Those who wait for what another finds.

use std::fmt;
use std::future::poll_fn;
use std::task::{Context, Poll};

use super::super::fill::Fill;
use super::super::sync::{Arc, Ordering};
use super::Flights;
use super::table::Flight;

/// How a flight ended, for one who waited.
#[derive(Clone, Debug)]
pub enum Landed<E> {
    /// The answer is on its way: follow it. If it cannot be followed any more, ask the origin for yourself.
    ///
    /// A purge may have come after the request and before the answer's tags were known: compare its meta with the purges,
    /// and join again if one reaches it.
    Filling(Arc<Fill>),
    /// It cannot be shared: ask the origin for yourself.
    Pass,
    /// Look the object up again.
    LookAgain,
    /// The origin failed.
    Failed(E),
    /// The leader left: join again. The first to do so leads.
    Vacant,
}

/// A request that waits. Dropping it is leaving.
#[must_use = "dropped, it does not wait"]
pub struct Waiting<E> {
    flights: Arc<Flights<E>>,
    flight: Arc<Flight<E>>,
    /// Where its waker is; None before it was first told to wait.
    place: Option<usize>,
    is_counted: bool,
}

impl<E> Waiting<E> {
    pub(super) fn at(flights: &Arc<Flights<E>>, flight: &Arc<Flight<E>>) -> Self {
        flights.waiting.fetch_add(1, Ordering::Relaxed);
        Self {
            flights: Arc::clone(flights),
            flight: Arc::clone(flight),
            place: None,
            is_counted: false,
        }
    }
}

impl<E: Clone> Waiting<E> {
    /// How the flight ended, or a wake-up when it has. Gives the same for ever once it is there.
    pub fn poll_outcome(&mut self, context: &mut Context<'_>) -> Poll<Landed<E>> {
        let mut course = self.flight.course.lock();
        if let Some(landed) = course.landed.clone() {
            drop(course);
            self.count(&landed);
            return Poll::Ready(landed);
        }
        let place = *self.place.get_or_insert_with(|| {
            course.vacant.pop().unwrap_or_else(|| {
                course.wakers.push(None);
                course.wakers.len() - 1
            })
        });
        match &mut course.wakers[place] {
            Some(kept) => kept.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        Poll::Pending
    }

    /// Waits for the end of the flight. Dropping the future loses nothing.
    pub async fn outcome(&mut self) -> Landed<E> {
        poll_fn(|context| self.poll_outcome(context)).await
    }

    /// A request that was told of an answer did not ask for its own.
    fn count(&mut self, landed: &Landed<E>) {
        let is_spared = match landed {
            Landed::Filling(fill) => !fill.is_passing(),
            Landed::LookAgain | Landed::Failed(_) => true,
            Landed::Pass | Landed::Vacant => false,
        };
        if is_spared && !self.is_counted {
            self.is_counted = true;
            self.flights.collapsed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl<E> Drop for Waiting<E> {
    fn drop(&mut self) {
        self.flights.waiting.fetch_sub(1, Ordering::Relaxed);
        let Some(place) = self.place else {
            return;
        };
        let mut course = self.flight.course.lock();
        // Once landed there are no places any more.
        if course.landed.is_none() {
            course.wakers[place] = None;
            course.vacant.push(place);
        }
    }
}

impl<E> fmt::Debug for Waiting<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting")
            .field("key", &self.flight.key)
            .finish_non_exhaustive()
    }
}
