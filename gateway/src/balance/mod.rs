//! Which server takes a request, and the count that says so until the request has ended.
//!
//! A [`Pool`] is one upstream as one configuration has it: immutable, shared by all workers. What outlives it
//! (load, failures, turns, health, an operator's orders) lives in the cells of [`upstream`](crate::upstream).
//!
//! Who is eligible: not `down = true`, not ordered down or to drain, up by its probes, not ejected, not tried for
//! this request, below its `max_conns`. Backups are looked at only when no primary is eligible; as in nginx a
//! primary that is full or already tried is not. A server that drains takes only clients bound to it.
//!
//! A server whose ejection has ended is half-open: it is chosen in its turn as if it did nothing but its probes, and is not
//! eligible while its `half_open_requests` are taken, also not for a client bound to it or a key that is its own. They then
//! go elsewhere, and where there is nobody else they are refused. The first success closes its circuit, and its slow start
//! begins; a failure ejects it again. Without traffic it stays half-open.
//!
//! If nothing at all is in service and servers are merely ejected, those are let half-open before their time: probably it is
//! not they who are sick, and one success tells. A server whose probes fail is not used even then.

mod key;
mod lease;
mod pick;
mod pool;
mod standing;
mod status;

pub use key::{HashFacts, hash, hash_of};
pub use lease::Lease;
pub use pool::{Cells, Member, Pool};
pub use standing::{Standing, WEIGHT_MAX};
pub use status::ServerStatus;

/// What the choice depends on, of one request and one try.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ask<'a> {
    /// The hash of what the upstream's `hash_by` names, see [`hash`]; None if the request does not have it, or
    /// the upstream does not hash. A request without it goes where `least_conn` sends it.
    pub hash: Option<u64>,
    /// The sticky cookie's value.
    pub sticky: Option<&'a [u8]>,
    /// [`Server::id`](crate::upstream::Server::id) of the servers this request has been sent to.
    pub tried: &'a [u64],
}

/// What a choice would come to, see [`Pool::peek`].
#[derive(Clone, Debug, PartialEq)]
pub struct Outlook {
    /// Whom it would fall to, by its place in [`Pool::members`].
    pub chosen: Option<usize>,
    /// Because the client is bound to it.
    pub is_bound: bool,
    /// Each server's, in the order of [`Pool::members`].
    pub bids: Vec<Bid>,
}

/// Whether a server can be chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bid {
    /// It can.
    Eligible {
        /// As it counts now: a slow start has done a part of it.
        weight: f64,
    },
    /// Its [`Standing`] keeps it out.
    Out,
    /// It has as many requests as its `max_conns` says.
    Full(u32),
    /// Half-open, and as many requests as may are finding out whether it is well again.
    Probed,
    /// This request was sent there before.
    Tried,
}

#[cfg(test)]
mod tests;
