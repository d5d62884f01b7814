//! What a request holds of a throttle.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::super::concurrency::sync::Arc;
use super::throttle::Throttle;
use crate::kit::clock::Mono;

/// How a throttle answers a request.
#[derive(Debug)]
#[must_use = "dropped, it gives its place back"]
pub enum Entry {
    /// It may go on.
    Permit(Permit),
    /// As many as may be are in flight: wait.
    Wait(Waiting),
    /// And the line is full, or too slow for anybody to join it: refuse it.
    Full,
}

/// A place in flight. Say [`learn`](Self::learn) when the upstream has answered or failed; dropped in silence (the client went
/// away) it only gives the place to the next.
#[must_use = "dropped, it gives its place back"]
pub struct Permit(Arc<Throttle>);

impl Permit {
    pub(super) fn new(throttle: Arc<Throttle>) -> Self {
        Self(throttle)
    }

    /// Tells how it went, and keeps the place: the answer's body is still on its way. `latency` is from sending the request to
    /// the answer's head; not `ok` for a timeout, a connection that failed, or a 503.
    pub fn learn(&self, latency: Duration, ok: bool, now: Mono) {
        self.0.observe(ok.then_some(latency), now);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.exit();
    }
}

/// A request in the line. Dropping it is leaving; a place it was given by then goes to the next.
///
/// Becomes ready with the place. The caller puts the timeout around it, and tells the throttle when it has elapsed
/// ([`Throttle::count_timeout`]).
#[must_use = "dropped, it does not wait"]
pub struct Waiting {
    /// None once it is ready.
    throttle: Option<Arc<Throttle>>,
    ticket: u64,
}

impl Waiting {
    pub(super) fn new(throttle: Arc<Throttle>, ticket: u64) -> Self {
        Self {
            throttle: Some(throttle),
            ticket,
        }
    }
}

impl Future for Waiting {
    type Output = Permit;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Permit> {
        let throttle = self
            .throttle
            .as_ref()
            .expect("a future that was ready is not polled again");
        if !throttle.is_served(self.ticket, context.waker()) {
            return Poll::Pending;
        }
        match self.throttle.take() {
            Some(throttle) => Poll::Ready(Permit::new(throttle)),
            None => Poll::Pending,
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(throttle) = &self.throttle {
            throttle.leave(self.ticket);
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
