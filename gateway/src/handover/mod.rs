//! One process gives its sockets to another one, which may be of another version.
//!
//! ```text
//!  old                                          new
//!   │ starts the program, standard input is a link
//!   │ ── offer: what there is; then the sockets ─►│ reads its configuration, takes what it wants
//!   │ ◄──────────────────────────── prepared ──── │ nothing can fail any more, nothing is accepted yet
//!   │ ── go ─────────────────────────────────────►│ accepts
//!   │ ◄──────────────────────────────── ready ─── │
//!   │ accepts no more, lets its requests end      │
//! ```
//!
//! The very sockets change hands: a connection that waits in one of them is taken by whichever process is there. Until
//! `go` the new one has touched nothing, so that one that fails, hangs or declines leaves the old one as it was. After
//! it both accept for a moment.
//!
//! The link is a pair of connected sockets without a name: nobody else can get at it. What is said is JSON behind its
//! length; sockets go beside single bytes (SCM_RIGHTS).

mod give;
mod link;
mod message;
mod take;

pub use give::{Course, GiveFault, Launch, Successor, hand_over};
pub use link::{Deadline, Link, LinkFault};
pub use message::{FORMAT, FoundServers, Item, Offer, Role, StandingOrder};
pub use take::{Heritage, TakeFault};

/// Set for a process that is to take over. Its value is the [`FORMAT`] that it will be spoken to in.
pub const VARIABLE: &str = "SLUICE_HANDOVER";
