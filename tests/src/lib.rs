//! The harness: a real gateway in this process, scripted origins behind it, exact clients in front.
//!
//! A play shows both actors and the whole configuration, orders them by gates and facts, never by time, and
//! counts at the origin. What must hold in every play is checked here, not in the plays: a client fails on
//! a malformed or leaking response, an origin on a malformed request, a gateway on an unclean end.

#![forbid(unsafe_code)]

/// Bodies as both ends see them: counted, hashed, kept while they are small.
pub mod body;
/// HTTP/1.1 clients with control over each byte.
pub mod client;
/// Barriers between the actors.
pub mod gate;
/// A real gateway on ports of its own.
pub mod gateway;
/// What `/metrics` says, by series.
pub mod metrics;
/// Scripted origins.
pub mod origin;
/// Bounded waiting for facts.
pub mod patience;
/// A strict reader of HTTP/1.1 messages, written apart from the gateway's own.
pub mod wire;

pub use client::{Connection, Request, Response};
pub use gate::Gate;
// `self::`, because the crate under test has the same name as the module.
pub use self::gateway::Gateway;
pub use origin::{Origin, Script};
pub use patience::{wait_for, wait_until};
