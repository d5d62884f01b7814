//! The harness: a real gateway in this process or one of its own, scripted origins behind it, exact clients in front.
//!
//! A play shows both actors and the whole configuration, orders them by gates and facts, never by time, and
//! counts at the origin. What must hold in every play is checked here, not in the plays: a client fails on
//! a malformed or leaking response, an origin on a malformed request, a gateway on an unclean end.

#![forbid(unsafe_code)]

/// What can be asked at an admin address.
pub mod admin;
/// Bodies as both ends see them: counted, hashed, kept while they are small.
pub mod body;
/// A real browser without a window.
pub mod browser;
/// HTTP/1.1 clients with control over each byte.
pub mod client;
/// A scripted Consul.
pub mod consul;
/// Ways between two programs that can be made bad.
pub mod fault;
/// Barriers between the actors.
pub mod gate;
/// A real gateway on ports of its own.
pub mod gateway;
/// Many clients at once, each asking as soon as it is answered.
pub mod load;
/// What `/metrics` says, by series.
pub mod metrics;
/// A scripted server of the domain name system.
pub mod names;
/// Scripted origins.
pub mod origin;
/// Bounded waiting for facts.
pub mod patience;
/// The programs themselves, each a process of its own.
pub mod process;
/// A real redis-server, and what is none.
pub mod redis;
/// Clients that take their time.
pub mod slow;
/// Authorities, certificates, and clients over TLS.
pub mod tls;
/// A strict reader of HTTP/1.1 messages, written apart from the gateway's own.
pub mod wire;

pub use admin::Admin;
pub use browser::Browser;
pub use client::{Connection, Request, Response};
pub use consul::Consul;
pub use fault::{Fault, Relay};
pub use gate::Gate;
// `self::`, because the crate under test has the same name as the module.
pub use self::gateway::Gateway;
pub use self::redis::{NoRedis, RedisServer, Reply};
pub use load::{Ask, Load, Tally};
pub use names::NameServer;
pub use origin::{Origin, Script};
pub use patience::{wait_for, wait_until};
pub use process::{Process, Sluice, Workouts};
