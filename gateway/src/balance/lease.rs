//! A request's place at a server.

use std::sync::Arc;
use std::time::Duration;

use super::pool::{Member, Pool};
use crate::kit::clock::Mono;
use crate::upstream::{Ejection, Failure, Server};

/// A place at a server, counted there until it is dropped.
///
/// Hold it until the response has ended. Say [`succeeded`](Self::succeeded) or [`failed`](Self::failed)
/// once; dropped in silence, it speaks neither for nor against the server (the client went away).
#[derive(Debug)]
pub struct Lease {
    pool: Arc<Pool>,
    index: usize,
}

impl Lease {
    /// For a place already taken by `Server::join_*`; the only caller is [`Pool::pick`].
    pub(super) fn of(pool: &Arc<Pool>, index: usize) -> Self {
        Self {
            pool: Arc::clone(pool),
            index,
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

    /// The server answered; `latency` is the time from sending the request to the answer's head.
    pub fn succeeded(&self, latency: Duration, now: Mono) {
        self.server()
            .answered(latency, self.pool.outlier_detection(), now);
    }

    /// The try failed. Some if the server was ejected for it.
    pub fn failed(&self, failure: Failure, now: Mono) -> Option<Ejection> {
        let may_eject = || self.pool.may_eject(self.index, now);
        self.server()
            .failed(failure, self.pool.outlier_detection(), may_eject, now)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.server().leave();
    }
}
