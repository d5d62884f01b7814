//! reply: an origin's answer on its way to the client.

use std::io::{self, IoSlice};
use std::time::Duration;

use super::worker::Worker;
use super::{Next, coded};
use crate::balance::Lease;
use crate::compress::is_read_live;
use crate::exchange::Exchange;
use crate::kit::clock::Mono;
use crate::relay::{Download, DownloadFault, Origin, Upload, UploadFault, tunnel};
use crate::reply::head::{self, Announced, Delivery, is_edited, write_answer, write_switch};
use crate::snapshot::Service;
use crate::stream::{COPIED_BYTES_MAX, IoFault, Stream};
use crate::upstream::Failure;
use crate::wire::edit::write_line;
use crate::wire::{Length, Method, framing};

/// How long an upgraded connection may be silent in both directions.
const TUNNEL_IDLE_TIMEOUT: Duration = Duration::from_secs(600);

/// Room for a head; most take less.
const HEAD_BYTES: usize = 1024;

/// reply: the origin's answer on its way to the client.
pub(super) async fn deliver(
    worker: &Worker,
    x: &mut Exchange,
    service: &Service,
    mut origin: Origin,
    lease: Lease,
    upload: &mut Upload<'_>,
    client: &Stream,
) -> Next {
    x.status = x.answer.status;
    x.timings.first_byte = Some(worker.mono().since(x.began.mono));
    if x.status == 101 {
        if service.plan.overload.adaptive {
            // What is learnt is about answers. A tunnel lasts as long as its ends like: a hundred of them would shut the
            // upstream to everybody. A number that the operator has set counts them.
            x.guarded.room = None;
        }
        return Box::pin(switch(x, &mut origin, upload, client)).await;
    }
    let Ok(length) = framing::of_answer(&x.answer, x.request.method) else {
        return Next::Abandon;
    };
    let keeps = x.keeps && upload.is_received();
    let encoder = coded::of_answer(worker, x, length);
    let length_sent = encoder.as_ref().map_or(length, |_| Length::Chunked);
    let delivery = head::deliver(length_sent, x.request.version, keeps, bodiless_length(x));
    let head = answer_head(worker, x, service, &lease, delivery);
    let write_timeout = x.snapshot.plan.server.limits.body_timeout;
    let is_chunked = delivery.length == Announced::Chunked && length != Length::None;
    let mut download = Download::new(length, is_chunked, service.plan.read_timeout, write_timeout)
        .encoded(encoder, is_read_live(&x.answer.fields))
        .withhold(withheld(x, length));
    // With a length or chunks a missing end is missed by itself. Without, only a reset tells it from a good one, and
    // a reset it is, whoever breaks the answer off, until its end has been sent.
    let ends_with_connection = delivery.length == Announced::Nothing && length != Length::None;
    if ends_with_connection {
        client.close_by_reset();
    }
    let outcome = relay(
        &mut download,
        &mut origin,
        client,
        head,
        upload,
        Talk {
            write_timeout: service.plan.write_timeout,
            needs_both: x.is_grpc(),
        },
    )
    .await;
    x.bytes_sent = download.sent;
    match outcome {
        Ok(()) => {
            lease.ended(|| worker.mono());
            if ends_with_connection {
                client.close_in_order();
            }
            // Where HEAD was asked as GET, a body is on its way that nobody reads.
            let is_as_asked = x.method_sent() == x.request.method;
            let is_clean =
                upload.is_sent() && origin.is_drained() && length != Length::UntilClose && is_as_asked;
            if is_clean && x.answer.allows_keep_alive() {
                park(worker, service, &lease, origin);
            }
            finished(delivery, upload.is_received())
        }
        Err(fault) => {
            if let DownloadFault::Client(fault) = &fault {
                x.cut_off(fault);
            }
            cut(x, &fault, service, &lease, worker.mono());
            Next::Abandon
        }
    }
}

/// What a route takes out of its answers or says itself is not to be said in their trailers instead.
fn withheld(x: &Exchange, length: Length) -> Vec<String> {
    match (&x.site, length) {
        (Some(site), Length::Chunked) => {
            let edits = &site.response_headers;
            let set = edits.set.iter().map(|(name, _)| name);
            edits.remove.iter().chain(set).cloned().collect()
        }
        _ => Vec::new(),
    }
}

fn finished(delivery: Delivery, is_received: bool) -> Next {
    match (delivery.closes, is_received) {
        (false, _) => Next::Keep,
        (true, true) => Next::Close,
        (true, false) => Next::Linger,
    }
}

/// RFC 9110 §9.3.2 and §15.4.5: HEAD and 304 may say how long the body would be.
fn bodiless_length(x: &Exchange) -> Option<Announced> {
    if x.request.method != Method::Head && x.status != 304 {
        return None;
    }
    framing::content_length(&x.answer.fields)
        .ok()
        .flatten()
        .map(Announced::Length)
}

fn answer_head(
    worker: &Worker,
    x: &Exchange,
    service: &Service,
    lease: &Lease,
    delivery: Delivery,
) -> Vec<u8> {
    let Some(site) = &x.site else { return Vec::new() };
    let mut extra = Vec::new();
    if let Some(cookie) = service
        .plan
        .sticky_cookie
        .as_ref()
        .and_then(|name| sticky_cookie(name, x, lease))
    {
        write_line(&mut extra, b"Set-Cookie", cookie.as_bytes());
    }
    let edits = &site.response_headers;
    if let Some(status) = x.cache_status.filter(|_| !is_edited(edits, b"cache-status")) {
        extra.extend_from_slice(b"Cache-Status: ");
        status.write(&mut extra);
        extra.extend_from_slice(b"\r\n");
    }
    // A short body will go behind it.
    let body = match delivery.length {
        Announced::Length(length) => length.min(COPIED_BYTES_MAX as u64) as usize,
        Announced::Chunked | Announced::Nothing => 0,
    };
    let mut head = Vec::with_capacity(HEAD_BYTES + body);
    let mut date = worker.date.borrow_mut();
    write_answer(
        &mut head,
        (&x.answer).into(),
        &x.facts(),
        edits,
        delivery,
        &extra,
        &mut date,
    );
    head
}

/// Set only where the client does not have it yet.
fn sticky_cookie(name: &str, x: &Exchange, lease: &Lease) -> Option<String> {
    let value = lease.sticky_value();
    let has_it = x.request.fields.cookie(name) == Some(value.as_bytes());
    let secure = if x.scheme == "https" { "; Secure" } else { "" };
    (!has_it).then(|| format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}"))
}

/// How a request goes on while its answer comes.
#[derive(Clone, Copy)]
struct Talk {
    /// Between two writes to the origin.
    write_timeout: Duration,
    /// Whether the answer is of no use without the whole request: a conversation whose one side has fallen silent would
    /// otherwise be waited for by both.
    needs_both: bool,
}

/// Relays the answer while what is left of the request goes the other way.
async fn relay(
    download: &mut Download,
    origin: &mut Origin,
    client: &Stream,
    head: Vec<u8>,
    upload: &mut Upload<'_>,
    talk: Talk,
) -> Result<(), DownloadFault> {
    if upload.is_sent() {
        let (reader, stream) = origin.split();
        return download.run(reader, stream, client, head).await;
    }
    Box::pin(relay_both(download, origin, client, head, upload, talk)).await
}

async fn relay_both(
    download: &mut Download,
    origin: &mut Origin,
    client: &Stream,
    head: Vec<u8>,
    upload: &mut Upload<'_>,
    talk: Talk,
) -> Result<(), DownloadFault> {
    let (reader, stream) = origin.split();
    let mut down = std::pin::pin!(download.run(reader, stream, client, head));
    tokio::select! {
        biased;
        done = &mut down => return done,
        sent = upload.run(stream, talk.write_timeout) => match sent {
            Ok(()) | Err(UploadFault::Origin(_)) => {}
            Err(UploadFault::ClientTooSlow) if talk.needs_both => {
                return Err(DownloadFault::Client(IoFault::TimedOut));
            }
            Err(_) if talk.needs_both => {
                return Err(DownloadFault::Client(io::Error::from(io::ErrorKind::InvalidData).into()));
            }
            // However it ends: what matters from here on is the answer.
            Err(_) => {}
        },
    }
    down.await
}

pub(super) fn park(worker: &Worker, service: &Service, lease: &Lease, origin: Origin) {
    let plan = &service.plan;
    let now = worker.mono();
    let Some(key) = service.idle_key(lease.server().id()) else {
        return;
    };
    worker
        .idle
        .park(key, origin.into_stream(), plan.idle_timeout, plan.max_idle, now);
}

/// An answer that was not delivered whole, and must not look as if it were.
fn cut(x: &mut Exchange, fault: &DownloadFault, service: &Service, lease: &Lease, now: Mono) {
    let failure = match fault {
        DownloadFault::Client(_) => None,
        DownloadFault::CutOff => Some(Failure::Reset),
        DownloadFault::Malformed(_) => Some(Failure::InvalidResponse),
        DownloadFault::OriginTooSlow => Some(Failure::Timeout),
        DownloadFault::Encoder(fault) => {
            log::error!("{fault}, request {}", x.request_id);
            None
        }
    };
    if let Some(failure) = failure {
        let server = lease.member().address();
        log::warn!(
            "upstream {}: {server} broke off an answer ({}), request {}",
            lease.pool().name(),
            failure.name(),
            x.request_id
        );
        x.broken_off = Some(failure);
        service.note_break(lease, failure, now);
    }
}

/// The connection goes over to another protocol.
async fn switch(x: &mut Exchange, origin: &mut Origin, upload: &mut Upload<'_>, client: &Stream) -> Next {
    let Some(site) = &x.site else {
        return Next::Abandon;
    };
    let mut head = Vec::with_capacity(512);
    write_switch(&mut head, &x.answer, &x.facts(), &site.response_headers);
    let limit = x.snapshot.plan.server.limits.body_timeout;
    if client.write_all(&mut [IoSlice::new(&head)], limit).await.is_err() {
        return Next::Abandon;
    }
    if let Some(has_switched) = &x.has_switched {
        has_switched.set(true);
    }
    let (reader, stream) = origin.split();
    let moved = tunnel::run(
        client,
        upload.inbound(),
        stream,
        reader.buffer(),
        TUNNEL_IDLE_TIMEOUT,
    )
    .await;
    (x.bytes_received, x.bytes_sent) = (moved.received, moved.sent);
    Next::Abandon
}
