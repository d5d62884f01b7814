//! A request's place at a server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::pool::{Member, Pool};
use crate::kit::clock::Mono;
use crate::upstream::{Epoch, Failure, Server, Shift, Ticket};

/// A place at a server, counted there until it is dropped.
///
/// Hold it until the response has ended. Say [`succeeded`](Self::succeeded) or [`failed`](Self::failed)
/// once; dropped in silence, it speaks neither for nor against the server (the client went away). An answer that breaks
/// off after it had begun well has failed after all: then both are said.
#[derive(Debug)]
pub struct Lease {
    pool: Arc<Pool>,
    index: usize,
    /// Which of the server's openings it began after: after another it has nothing to say.
    epoch: Epoch,
    /// It has one of the half-open server's places, and gives it back as soon as it has spoken: what is decided by the head
    /// of an answer need not wait for the end of its body.
    is_probing: AtomicBool,
}

impl Lease {
    /// For a place already taken by `Server::join_*`; the only caller is [`Pool::pick`].
    pub(super) fn of(pool: &Arc<Pool>, (index, ticket): (usize, Ticket)) -> Self {
        Self {
            pool: Arc::clone(pool),
            index,
            epoch: ticket.epoch,
            is_probing: AtomicBool::new(ticket.is_probe),
        }
    }

    /// The server.
    pub fn server(&self) -> &Arc<Server> {
        self.pool.server(self.index)
    }

    /// The server as this upstream has it.
    pub fn member(&self) -> &Member {
        &self.pool.members()[self.index]
    }

    /// The server's place in [`Pool::members`].
    pub fn index(&self) -> usize {
        self.index
    }

    /// The pool it was picked from.
    pub fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// What the sticky cookie says to bind a client to this server: it does not betray the address.
    pub fn sticky_value(&self) -> &str {
        self.member().sticky_value()
    }

    /// Whether it is one of the few requests that a half-open server is let have.
    pub fn is_probing(&self) -> bool {
        self.is_probing.load(Ordering::Relaxed)
    }

    /// The server answered; `latency` is the time from sending the request to the answer's head. Some if its circuit has
    /// closed for it.
    pub fn succeeded(&self, latency: Duration, now: Mono) -> Option<Shift> {
        let policy = self.pool.outlier_detection();
        let shift = self.server().answered(latency, self.epoch, policy, now);
        self.told(shift, None)
    }

    /// The try failed. Some if the server's circuit has opened for it, or closed: an application's 500 is an answer.
    pub fn failed(&self, failure: Failure, now: Mono) -> Option<Shift> {
        let may_eject = || self.pool.may_eject(self.index, now);
        let policy = self.pool.outlier_detection();
        let shift = self.server().failed(failure, self.epoch, policy, may_eject, now);
        self.told(shift, Some(failure))
    }

    /// The server has broken its answer off. Some if its circuit has opened for it.
    pub fn broke_off(&self, failure: Failure, now: Mono) -> Option<Shift> {
        let may_eject = || self.pool.may_eject(self.index, now);
        let policy = self.pool.outlier_detection();
        let shift = self.server().broke_off(self.epoch, policy, may_eject, now);
        self.told(shift, Some(failure))
    }

    /// The server's answer has come to its end.
    pub fn ended(&self, now: impl FnOnce() -> Mono) {
        self.server()
            .ended(self.epoch, self.pool.outlier_detection(), now);
    }

    /// After the verdict, and not before: a place that is free again must not be taken in the circuit that was.
    fn told(&self, shift: Option<Shift>, failure: Option<Failure>) -> Option<Shift> {
        self.leave_probing();
        let (upstream, server) = (self.pool.name(), self.member().address());
        match shift? {
            Shift::Opened(ejection) => log::warn!(
                "upstream {upstream}: server {server} is ejected for {:?} ({})",
                ejection.time,
                failure.map_or("", Failure::name)
            ),
            Shift::Closed => {
                log::info!("upstream {upstream}: server {server} has answered and is back in service")
            }
        }
        shift
    }

    fn leave_probing(&self) {
        if self.is_probing.swap(false, Ordering::Relaxed) {
            self.server().leave_probing();
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // In this order: whoever takes the place of a probe must not find the last one still counted.
        self.server().leave();
        self.leave_probing();
    }
}
