//! A client that speaks HTTP/2: one task for its connection, and one for each stream that is more than a hit.
//!
//! The frames are the `h2` crate's business, the requests are the corridor's: each stream walks it like a connection of its
//! own, over a stream without socket (`stream::memory`). So whatever holds for a request holds for it however it comes, and
//! no byte of one stream can get into another: they have nothing in common but the frames.
//!
//! What a client may do, and who sees to it (RFC 9113 §10.5):
//!
//! | | |
//! |---|---|
//! | streams at once | `h2`: REFUSED_STREAM; those that are still being wound up here count too, see [`WINDING_UP_FACTOR`] |
//! | size of heads, CONTINUATION without end | `h2`: 431, or GOAWAY for four times as much, or for too many frames |
//! | a head that takes its time | here: `header_timeout` |
//! | streams reset before they were taken in | `h2`: more than [`RESETS_BEFORE_TAKEN_MAX`] |
//! | streams reset later; PING, SETTINGS, PRIORITY, unknown frames | here: so many a second, see [`gauge`] |
//! | making us reset streams | `h2`: [`OWN_RESETS_MAX`] in a connection's life |
//! | empty and tiny DATA | `h2`: its budget of frames |
//! | a window that stays shut | here: `body_timeout`, of a stream in [`carry`], of the connection, and of what streams have left behind, in [`Life`] |
//! | no stream for long, too many in all | here: `keepalive_timeout`, `keepalive_requests` |

mod carry;
mod gauge;
mod head;
mod io;
mod life;
mod take;

use std::rc::Rc;

use ::h2::server::Builder;

use super::connection::linger;
use super::worker::{Counted, Door, Worker};
use crate::config::plan::{Limits, Listener};
use crate::exchange::Caller;
use crate::listen::Slot;
use crate::listen::admission::Full;
use crate::stream::{Buffer, Stream};
use io::{Io, Wire};
use life::Life;

/// How many times as many may be here at a moment: those that the client has reset need some time to be wound up, and
/// while they do, the client may open others.
const WINDING_UP_FACTOR: usize = 2;

/// What a client may send of one body before it is read. It is held for a request whose origin is slow, so it is not more
/// than HTTP/1.1's buffer.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;

/// RFC 9113 §6.9.1: "A sender MUST NOT allow a flow-control window to exceed 2^31-1 octets".
const WINDOW_BYTES_MAX: u32 = (1 << 31) - 1;

/// Streams that a client may have reset before they were so much as seen here. All frames that have come are read first, so
/// one who opens streams and takes them back at once is found out by it.
const RESETS_BEFORE_TAKEN_MAX: usize = 64;

/// Streams that a client may make us reset, by breaking rules, in the life of a connection.
const OWN_RESETS_MAX: usize = 256;

/// Bytes that are held for one stream's client, given its window allows it.
const SEND_BYTES_MAX: usize = 64 * 1024;

/// What a field costs of a header list besides its text (RFC 9113 §6.5.2).
const FIELD_OVERHEAD_BYTES: usize = 32;

/// How many streams a client may have open at once.
fn streams_max(limits: &Limits) -> u32 {
    limits.http2_streams
}

/// Whether a listener takes HTTP/2 from a client that begins with it, without TLS (RFC 9113 §3.3).
pub fn is_taken_unasked(listener: &Listener) -> bool {
    listener.h2c
}

/// Serves a connection to its end, from its first byte on.
pub async fn serve(worker: Rc<Worker>, door: Rc<Door>, stream: Stream, caller: Caller, slot: Slot) {
    let _slot = slot;
    let counts = Rc::clone(&door);
    let _open = Counted::new(&counts.counts.open);
    serve_from(worker, door, stream, caller, None).await;
}

/// The same for a connection that is counted already, and of which something has been read.
pub(super) async fn serve_from(
    worker: Rc<Worker>,
    door: Rc<Door>,
    stream: Stream,
    caller: Caller,
    begun: Option<Buffer>,
) {
    let limits = worker.pin().plan.server.limits.clone();
    let clock = Rc::clone(&worker);
    let wire = Rc::new(Wire::new(stream, &worker.shelf, move || clock.about_now()));
    let handshake = builder(&limits).handshake(Io::new(Rc::clone(&wire), begun));
    let connection = match tokio::time::timeout(limits.header_timeout, wire.draining(handshake)).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(_)) => return,
        Err(_) => return worker.turn_away(Full::Stalled),
    };
    let life = Life::new(Rc::clone(&worker), door, caller, Rc::clone(&wire), &limits);
    if life.run(connection).await {
        linger(&worker, &wire.stream).await;
    }
}

fn builder(limits: &Limits) -> Builder {
    let size = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
    let streams = streams_max(limits);
    // As much as over HTTP/1.1, in the way HTTP/2 counts.
    let list_bytes = limits.max_header_size + limits.max_headers * FIELD_OVERHEAD_BYTES;
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(streams)
        .max_header_list_size(size(list_bytes))
        .initial_window_size(STREAM_WINDOW_BYTES)
        // Room for all of them: a stream whose body is not read must not keep others from sending theirs.
        .initial_connection_window_size(STREAM_WINDOW_BYTES.saturating_mul(streams).min(WINDOW_BYTES_MAX))
        .max_send_buffer_size(SEND_BYTES_MAX)
        .max_concurrent_reset_streams(size_of_streams(streams))
        .max_pending_accept_reset_streams(RESETS_BEFORE_TAKEN_MAX)
        .max_local_error_reset_streams(Some(OWN_RESETS_MAX))
        .enable_connect_protocol();
    builder
}

fn size_of_streams(streams: u32) -> usize {
    usize::try_from(streams).unwrap_or(usize::MAX)
}
