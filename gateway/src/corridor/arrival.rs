//! listen: what comes before the first request of a connection, and which protocol it is.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::worker::{Counted, Door, Worker};
use super::{connection, h2};
use crate::listen::Slot;
use crate::listen::admission::Full;
use crate::stream::tls::{Greeting, HandshakeFault, accept};
use crate::stream::{Buffer, Stream};
use crate::tls::ServerSide;

/// What ALPN calls HTTP/2 (RFC 9113 §3.2).
const H2: &[u8] = b"h2";

/// How long a client that speaks plainly to TLS may take to hear that it should not.
const PLAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// What it hears.
const PLAIN_ANSWER: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 48\r\nConnection: close\r\n\r\nThis port speaks TLS: ask by https instead of http";

/// Serves a connection from its first byte to its end.
pub async fn serve(worker: Rc<Worker>, door: Rc<Door>, stream: Stream, peer: Option<IpAddr>, slot: Slot) {
    let Some(side) = door.tls.clone() else {
        return connection::serve(worker, door, stream, peer, slot).await;
    };
    let Some(met) = Box::pin(greet(&worker, &door, stream, &side, &slot)).await else {
        return;
    };
    let (stream, greeting) = met;
    match greeting.alpn.as_deref() {
        Some(H2) => h2::serve(worker, door, stream, peer, slot).await,
        Some(_) | None => connection::serve(worker, door, stream, peer, slot).await,
    }
}

/// The handshake. None if it has come to nothing; whoever may be told has been told.
async fn greet(
    worker: &Worker,
    door: &Door,
    stream: Stream,
    side: &Arc<ServerSide>,
    slot: &Slot,
) -> Option<(Stream, Greeting)> {
    let _open = Counted::new(&door.counts.open);
    let snapshot = worker.pin();
    let Some(_turn) = slot.begin_handshake(snapshot.plan.server.limits.handshakes) else {
        worker.turn_away(Full::Handshakes);
        return None;
    };
    let limit = door
        .listener
        .tls
        .as_ref()
        .map_or(Duration::ZERO, |tls| tls.handshake_timeout);
    match accept(stream, &worker.shelf, |_| Some(side.config()), limit).await {
        Ok((stream, greeting)) => match side.visitor(&greeting.peer_certificates, worker.now().wall) {
            Ok(_) => Some((stream, greeting)),
            Err(fault) => {
                log::debug!("{}: {fault}", door.listener.address);
                worker.turn_away(Full::HandshakeFailed);
                None
            }
        },
        Err(HandshakeFault::NotTls { stream, heard }) => {
            worker.turn_away(Full::HandshakeFailed);
            answer_plainly(stream, heard).await;
            None
        }
        Err(fault) => {
            log::debug!("{}: {fault}", door.listener.address);
            worker.turn_away(Full::HandshakeFailed);
            None
        }
    }
}

/// A browser that was sent to the wrong port shows what it hears.
async fn answer_plainly(stream: Stream, heard: Buffer) {
    let is_http = heard.unread().first().is_some_and(u8::is_ascii_uppercase);
    drop(heard);
    if is_http {
        let mut pieces = [std::io::IoSlice::new(PLAIN_ANSWER)];
        let _ = stream.write_all(&mut pieces, PLAIN_TIMEOUT).await;
        stream.end(PLAIN_TIMEOUT).await;
    }
}
