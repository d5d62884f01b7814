//! Sluice, an edge gateway: the library behind the binary `sluice`.
//!
//! Modules stand in the order of the layers (see gateway/ARCHITECTURE.md): imports go downwards only,
//! and within a layer in the order a request meets them.

#![forbid(unsafe_code)]

// L0: tools that know nothing of a configuration. `kit`, `secrets` and `wire` are pure; `stream` is the socket;
// `outbound` is what the gateway itself asks of others; `lookout` waits for files to change.
pub mod kit;
pub mod lookout;
pub mod outbound;
pub mod secrets;
pub mod stream;
pub mod wire;

// L1: the text an operator writes and what it means; what is known of a request; what others' configurations say.
pub mod config;
pub mod facts;
pub mod import;

// L2: the rooms, in the order a request meets them. They take facts and return verdicts.
pub mod acme;
pub mod balance;
pub mod cache;
pub mod compress;
pub mod discovery;
pub mod files;
pub mod guard;
pub mod listen;
pub mod observe;
pub mod reply;
pub mod route;
pub mod tls;
pub mod upstream;

// L3: what outlives a reload, and what one configuration has wired.
pub mod snapshot;
pub mod state;

// L4: one request's diary, the walk, and the lane that relays it.
pub mod corridor;
pub mod exchange;
pub mod relay;

// L5: what goes on beside the requests.
pub mod admin;
pub mod beside;
pub mod doors;
pub mod finder;
pub mod handover;
pub mod health;
pub mod keyring;
pub mod ordering;
pub mod otlp;
pub mod redis_link;
pub mod reload;
pub mod watch;
pub mod workers;

// L6: sockets, clock and shutdown are arguments here, so a test starts a gateway as the binary does.
pub mod server;

/// The version of this build.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
