//! listen: what comes before the first request of a connection, and which protocol it is.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::worker::{Counted, Door, Worker};
use super::{connection, h2};
use crate::exchange::{Caller, Stretch};
use crate::listen::Slot;
use crate::listen::admission::Full;
use crate::listen::proxy_line::{self, Parsed, V2_BYTES_MAX};
use crate::stream::tls::{Greeting, HandshakeFault, accept};
use crate::stream::{Buffer, IoFault, Stream, within};
use crate::tls::ServerSide;

/// What ALPN calls HTTP/2 (RFC 9113 §3.2).
const H2: &[u8] = b"h2";

/// How long a client that speaks plainly to TLS may take to hear that it should not.
const PLAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// What it hears.
const PLAIN_ANSWER: &str = "This port speaks TLS: ask by https instead of http";

/// Serves a connection from its first byte to its end.
pub async fn serve(
    worker: Rc<Worker>,
    door: Rc<Door>,
    stream: Stream,
    mut peer: Option<IpAddr>,
    mut slot: Slot,
) {
    if door.listener.proxy_protocol {
        let Some(client) = Box::pin(introduced(&worker, &door, &stream, peer)).await else {
            return;
        };
        let snapshot = worker.pin();
        let server = &snapshot.plan.server;
        // A proxy that introduces nobody, or a proxy behind itself, is still no client.
        let is_client = |ip: &IpAddr| !server.trusted_proxies.contains(*ip);
        match slot.again(client.filter(is_client), &server.limits) {
            Ok(again) => (peer, slot) = (client, again),
            Err(full) => return worker.turn_away(full),
        }
    }
    let Some(side) = door.tls.clone() else {
        let caller = Caller {
            ip: peer,
            subject: None,
            greeted: None,
        };
        return connection::serve(worker, door, stream, caller, slot).await;
    };
    let Some(met) = Box::pin(greet(&worker, &door, stream, &side, &slot)).await else {
        return;
    };
    let Met {
        stream,
        greeting,
        subject,
        time,
    } = met;
    let caller = Caller {
        ip: peer,
        subject,
        greeted: Some(time),
    };
    match greeting.alpn.as_deref() {
        // In a box, or each connection would have the room for it.
        Some(H2) => Box::pin(h2::serve(worker, door, stream, caller, slot)).await,
        Some(_) | None => connection::serve(worker, door, stream, caller, slot).await,
    }
}

/// What came of a handshake.
struct Met {
    stream: Stream,
    greeting: Greeting,
    subject: Option<Arc<str>>,
    time: Stretch,
}

/// The handshake. None if it has come to nothing; whoever may be told has been told.
async fn greet(
    worker: &Worker,
    door: &Door,
    stream: Stream,
    side: &Arc<ServerSide>,
    slot: &Slot,
) -> Option<Met> {
    let _open = Counted::new(&door.counts.open);
    let snapshot = worker.pin();
    let limit = door
        .listener
        .tls
        .as_ref()
        .map_or(Duration::ZERO, |tls| tls.handshake_timeout);
    // Somebody who says nothing is not in the middle of a handshake: silence must not take the places of those who are.
    let heard = tokio::select! {
        biased;
        heard = within(limit, stream.readable()) => heard,
        () = door.closed() => return None,
    };
    if heard.is_err() {
        worker.turn_away(Full::HandshakeFailed);
        return None;
    }
    let Some(_turn) = slot.begin_handshake(snapshot.plan.server.limits.handshakes) else {
        worker.turn_away(Full::Handshakes);
        return None;
    };
    let mut time = Stretch::begin(worker.mono());
    match accept(stream, &worker.shelf, |_| Some(side.config()), limit).await {
        Ok((stream, greeting)) => {
            let now = worker.now();
            time.ended = Some(now.mono);
            match side.visitor(&greeting.peer_certificates, now.wall) {
                Ok(visitor) => Some(Met {
                    stream,
                    greeting,
                    subject: visitor.map(|visitor| visitor.subject.into()),
                    time,
                }),
                Err(fault) => {
                    log::debug!("{}: {fault}", door.listener.address);
                    worker.turn_away(Full::HandshakeFailed);
                    None
                }
            }
        }
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
        let answer = format!(
            "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{PLAIN_ANSWER}",
            PLAIN_ANSWER.len()
        );
        let mut pieces = [io::IoSlice::new(answer.as_bytes())];
        let _ = stream.write_all(&mut pieces, PLAIN_TIMEOUT).await;
        stream.end(PLAIN_TIMEOUT).await;
    }
}

/// Reads the PROXY header that the connection must begin with: who the client is. None if the connection is to be closed;
/// unless the listener closes, it is counted.
///
/// Not a byte behind it is taken: what follows may be a handshake. As long as the header is not whole, all that has
/// arrived belongs to it.
async fn introduced(
    worker: &Worker,
    door: &Door,
    stream: &Stream,
    peer: Option<IpAddr>,
) -> Option<Option<IpAddr>> {
    let snapshot = worker.pin();
    let server = &snapshot.plan.server;
    if peer.is_some_and(|peer| !server.trusted_proxies.contains(peer)) {
        log::debug!(
            "{}: a PROXY header is taken from trusted_proxies alone",
            door.listener.address
        );
        worker.turn_away(Full::ProxyHeader);
        return None;
    }
    let reading = within(server.limits.header_timeout, read_header(stream));
    let read = tokio::select! {
        biased;
        read = reading => read,
        () = door.closed() => return None,
    };
    match read {
        Ok(source) => Some(source.map_or(peer, |source| Some(source.ip().to_canonical()))),
        Err(fault) => {
            if let IoFault::Broken(fault) = fault {
                log::debug!("{}: {fault}", door.listener.address);
            }
            worker.turn_away(Full::ProxyHeader);
            None
        }
    }
}

async fn read_header(stream: &Stream) -> io::Result<Option<SocketAddr>> {
    let mut header = Vec::new();
    loop {
        let before = header.len();
        header.resize(V2_BYTES_MAX, 0);
        let seen = stream.peek(&mut header[before..]).await?;
        header.truncate(before + seen);
        if seen == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let parsed = proxy_line::parse(&header);
        let mine = match parsed {
            Parsed::Done { consumed, .. } => consumed - before,
            Parsed::Partial => seen,
            Parsed::Fault(fault) => return Err(io::Error::new(io::ErrorKind::InvalidData, fault)),
        };
        take(stream, mine).await?;
        if let Parsed::Done { source, .. } = parsed {
            return Ok(source);
        }
    }
}

/// Takes so many bytes that are known to be there.
async fn take(stream: &Stream, mut length: usize) -> io::Result<()> {
    let mut space = [0; 256];
    while length > 0 {
        let most = length.min(space.len());
        match stream.read(&mut space[..most]).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => length -= n,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::Visit;
    use super::*;
    use crate::snapshot::Service;

    /// What a connection's future may take. Whatever is awaited in it without a box has its room in each connection that
    /// waits for its next request: HTTP/2's was 4.5 KiB, and twice, as that future was moved into another.
    const BYTES_MAX: usize = 1400;

    fn bytes<A, B, C, D, E, F: Future>(_: impl FnOnce(A, B, C, D, E) -> F) -> usize {
        size_of::<F>()
    }

    /// What is moved into a box for each request that is passed on: a copy of so many bytes, whatever it comes to.
    const PASSED_ON_BYTES_MAX: usize = 3 * 1024;

    #[test]
    fn what_is_made_for_each_request_is_no_larger_than_most_of_them_need() {
        fn bytes<'a, F: Future>(_: impl FnOnce(&'a mut Visit<'a>, &'a Arc<Service>) -> F) -> usize {
            size_of::<F>()
        }
        let passed_on = bytes(Visit::pass_on);
        assert!(passed_on <= PASSED_ON_BYTES_MAX, "{passed_on} bytes");
    }

    #[test]
    fn what_a_connection_holds_while_it_waits_is_small() {
        let (whole, plain) = (bytes(serve), bytes(connection::serve));
        assert!(whole <= BYTES_MAX, "{whole} bytes, {plain} of them for HTTP/1.1");
    }
}
