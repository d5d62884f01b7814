//! TLS as a configuration asks for it: which certificate for which name, who is believed, who comes back.
//!
//! What a plan says becomes what rustls takes. A reload swaps it under a listener: connections that stand do not
//! notice, and clients that come back are recognised by the same keys as before.

mod client;
mod names;
mod server;
mod sessions;
mod slot;
#[cfg(test)]
mod tests;
mod tickets;
mod visitor;

pub use client::{ClientSide, SystemAuthorities, TrustsAnyCertificate};
pub use server::ServerSide;
pub use slot::Slot;
pub use tickets::{KEY_PERIOD, Resumption, TicketKeys};
pub use visitor::{Visitor, VisitorFault};
