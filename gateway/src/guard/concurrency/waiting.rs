//! What a request holds of a gate.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::gate::Gate;
use super::sync::Arc;

/// How a gate answers a request.
#[derive(Debug)]
#[must_use = "dropped, it gives its place back"]
pub enum Entry {
    /// It may go on.
    Permit(Permit),
    /// All places are taken: wait for one.
    Wait(Waiting),
    /// All places are taken and so many wait, or too many keys have somebody: refuse it.
    Full,
}

/// A place inside; dropping it gives it to the next.
#[must_use = "dropped, it gives its place back"]
pub struct Permit {
    gate: Arc<Gate>,
    key: u128,
}

impl Permit {
    pub(super) fn new(gate: Arc<Gate>, key: u128) -> Self {
        Self { gate, key }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gate.exit(self.key);
    }
}

/// A request in the line of its key. Dropping it is leaving; a place it was given by then goes to the next.
///
/// Becomes ready with the place. The caller puts the timeout around it, and tells the gate when it has elapsed
/// ([`Gate::count_timeout`]).
#[must_use = "dropped, it does not wait"]
pub struct Waiting {
    /// None once it is ready.
    gate: Option<Arc<Gate>>,
    key: u128,
    ticket: u64,
}

impl Waiting {
    pub(super) fn new(gate: Arc<Gate>, key: u128, ticket: u64) -> Self {
        Self {
            gate: Some(gate),
            key,
            ticket,
        }
    }
}

impl Future for Waiting {
    type Output = Permit;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Permit> {
        let gate = self
            .gate
            .as_ref()
            .expect("a future that was ready is not polled again");
        if !gate.is_served(self.key, self.ticket, context.waker()) {
            return Poll::Pending;
        }
        let key = self.key;
        match self.gate.take() {
            Some(gate) => Poll::Ready(Permit::new(gate, key)),
            None => Poll::Pending,
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(gate) = &self.gate {
            gate.leave(self.key, self.ticket);
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Permit")
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting")
            .field("ticket", &self.ticket)
            .finish_non_exhaustive()
    }
}
