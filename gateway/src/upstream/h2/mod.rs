//! Servers that speak HTTP/2: connections that many requests share, and one task for each request.
//!
//! ```text
//! the relay ── HTTP/1.1 ──► memory ─► up ───► HEADERS, DATA ─► one stream of a connection of this worker
//!           ◄─ HTTP/1.1 ─── memory ◄─ down ◄─ HEADERS, DATA ◄──┘
//! ```
//!
//! It is what `corridor::h2` is towards clients, the other way round. The relay speaks its own HTTP/1.1 over a stream
//! without socket, so tries, times, bodies, trailers and counts have one place, whatever the server speaks. What waits
//! between relay and server is limited each way: the memory's [`PIPE_BYTES`], as much again taken out of it, and towards
//! us a window of [`STREAM_WINDOW_BYTES`], which opens only as the relay takes what has come.
//!
//! | what can go wrong | and who sees to it |
//! |---|---|
//! | more requests than a connection has streams | [`Links`]: another connection, up to [`LINKS_MAX`], then a wait |
//! | GOAWAY, REFUSED_STREAM | [`Fate`]: what was not acted upon may be asked again, by any method |
//! | a client that reads slowly | windows: its stream stands still, and no other does |
//! | a connection that has died without a word | [`link`]: PING |
//! | an answer that breaks off | the memory is broken off, so nobody takes what came for the whole |
//! | a request that is given up | its end of the memory is dropped, and the stream reset with CANCEL |
//!
//! [`PIPE_BYTES`]: crate::stream::memory::PIPE_BYTES

use prometheus::IntGauge;

mod carry;
mod head;
mod link;
mod pool;
#[cfg(test)]
mod tests;

pub use carry::{Fate, begin};
pub use link::Room;
pub use pool::{Key, Links};

/// Streams at once on one connection, whatever its server allows: so many answers at most stand still with one lost packet.
pub const STREAMS_MAX: usize = 64;

/// Connections of a worker to one server. Servers that allow one stream at a time are used like those of HTTP/1.1, which
/// have no such limit; this is as many as are kept idle of those.
pub const LINKS_MAX: usize = 64;

/// What a server may send of one answer before it is taken: 25 MB/s over 10 ms.
pub const STREAM_WINDOW_BYTES: u32 = 256 * 1024;

/// What it may send of all answers together: room for each of them. Were it less, a few clients that do not take their
/// answers could keep all others from theirs.
const LINK_WINDOW_BYTES: u32 = STREAM_WINDOW_BYTES * STREAMS_MAX as u32;

/// Bytes that the `h2` crate holds for one stream's server, given its window allows it.
const SEND_BYTES_MAX: usize = 64 * 1024;

/// A header list of an answer, counted as HTTP/2 does: no more than what the relay takes of HTTP/1.1.
const HEADER_LIST_BYTES_MAX: u32 = 128 * 1024;

/// A server that connections lead to, and what is said of it.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its upstream and its address, for the log.
    pub name: String,
    /// "https" over TLS, "http" without (RFC 9113 §8.3.1).
    pub scheme: &'static str,
    /// For requests that name no host.
    pub authority: String,
    /// Open connections of all workers to its upstream.
    pub open: IntGauge,
}
