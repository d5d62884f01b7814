//! upstream: one try at one server, up to the head of its answer.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use super::trace;
use super::worker::Worker;
use crate::balance::Lease;
use crate::config::plan::{Address, Protocol};
use crate::exchange::Exchange;
use crate::kit::clock::Mono;
use crate::kit::trace_context::SpanId;
use crate::relay::origin::INTERIM_ANSWERS_MAX;
use crate::relay::{AnswerFault, Origin, Upload, UploadFault};
use crate::reply::Refusal;
use crate::reply::head::write_interim;
use crate::snapshot::Service;
use crate::stream::tls::{HandshakeFault, connect as greet};
use crate::stream::{IoFault, Stream, within};
use crate::upstream::Failure;
use crate::upstream::connect::is_ours;
use crate::upstream::h2::{Fate, Peer, begin};
use crate::upstream::head::{self, Outgoing};
use crate::upstream::proxy_line::{OnBehalf, ProxyLine};
use crate::wire::{Answer, Length, Method, Name, Version, framing, syntax};

/// Why a try has brought no answer.
pub(super) enum TryFault {
    /// The server has failed.
    Server(Failed),
    /// The client's own request is at fault.
    Client(Refusal),
    /// The client has gone.
    ClientGone,
    /// The upstream was not asked: it has as much to do as it can do.
    Refused(Refusal),
    /// This machine has run out of something, which is nobody else's fault.
    Exhausted,
}

impl TryFault {
    /// What all are told who wait for the same answer; None where the fault is this client's own.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Server(failed) => Some(failed.refusal),
            Self::Exhausted => Some(Refusal::Exhausted),
            Self::Refused(refusal) => Some(*refusal),
            Self::Client(_) | Self::ClientGone => None,
        }
    }

    /// An answer of that status, where a stored one is better.
    pub(super) fn of_status(status: u16) -> Self {
        Self::Server(Failed::of(Failure::Status(status), Refusal::NoServer))
    }

    /// An answer that nothing was asked for.
    pub(super) fn of_answer() -> Self {
        invalid("a 304 to a request without conditions")
    }
}

/// A server's failure.
pub(super) struct Failed {
    pub(super) failure: Failure,
    pub(super) refusal: Refusal,
    pub(super) blame: Blame,
}

/// Whose failure it is, and so where the request may go next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blame {
    /// The server's: to another one.
    Server,
    /// The server's, but perhaps of that connection only: others shared it, or the server refuses more on it. To another one,
    /// and where there is none once more to the same on another connection.
    Link,
    /// Nobody's: an idle connection had ended before the request reached it. To whom it may concern.
    Stale,
}

impl Failed {
    /// A failure of the server.
    pub(super) fn of(failure: Failure, refusal: Refusal) -> Self {
        Self {
            failure,
            refusal,
            blame: Blame::Server,
        }
    }

    /// No connection, and that by no fault of the server.
    pub(super) fn exhausted() -> Self {
        Self::of(Failure::Connect, Refusal::Exhausted)
    }

    pub(super) fn is_stale(&self) -> bool {
        self.blame == Blame::Stale
    }
}

/// One try: a connection, the request on it, the head of the answer. Its span is this one and it begins now; `is_wary` = no
/// idle connection is trusted.
pub(super) async fn try_server(
    worker: &Worker,
    x: &mut Exchange,
    service: &Service,
    lease: &Lease,
    upload: &mut Upload<'_>,
    (span, now, is_wary): (SpanId, Mono, bool),
) -> Result<Origin, TryFault> {
    let mut origin = connect(worker, x, service, lease, (now, is_wary)).await?;
    upload.restart(|out| write_head(out, x, span));
    let mut interim = 0;
    loop {
        send_and_read(x, service, &mut origin, upload).await?;
        let may_upgrade = !service.plan.protocol.is_http2() && upgrade_of(x).is_some();
        let upgrades = x.answer.status == 101 && may_upgrade;
        if x.answer.status >= 200 || upgrades {
            break;
        }
        // RFC 9110 §15.2.2: 101 only where the request has asked for it.
        interim += 1;
        if x.answer.status == 101 || interim > INTERIM_ANSWERS_MAX {
            return Err(invalid("an interim answer that was not asked for"));
        }
        Box::pin(pass_interim(x, upload)).await?;
    }
    framing::of_answer(&x.answer, x.method_sent()).map_err(|_| invalid("a body of uncertain length"))?;
    Ok(origin)
}

async fn connect(
    worker: &Worker,
    x: &mut Exchange,
    service: &Service,
    lease: &Lease,
    (now, is_wary): (Mono, bool),
) -> Result<Origin, TryFault> {
    let server = lease.server();
    if let Some(key) = service.link_key(server.id()) {
        return Box::pin(share(worker, x, service, server.address(), key, is_wary)).await;
    }
    if !is_wary
        && let Some(key) = service.idle_key(server.id())
        && let Some(stream) = worker.idle.take(key, now)
    {
        return Ok(Origin::new(stream, worker.shelf.lend(), true));
    }
    let connected = Box::pin(open(worker, x, service, server.address(), now)).await;
    note_connect(x, worker.mono().since(now));
    match connected {
        Ok(stream) => Ok(Origin::new(stream, worker.shelf.lend(), false)),
        Err(fault) => Err(unconnected(service, server.address(), fault)),
    }
}

fn note_connect(x: &mut Exchange, spent: Duration) {
    x.timings.connect = Some(x.timings.connect.unwrap_or_default() + spent);
    trace::note_connect(x, spent);
}

/// A place on a connection that requests share. `connect_timeout` is for getting one, whether it has to be opened or not.
async fn share(
    worker: &Worker,
    x: &mut Exchange,
    service: &Service,
    address: &Address,
    key: (u64, u64),
    is_wary: bool,
) -> Result<Origin, TryFault> {
    let now = worker.mono();
    let room = {
        let open = open(worker, x, service, address, now);
        let peer = || peer_of(service, address);
        let room = worker
            .links
            .room(key, peer, (service.plan.idle_timeout, is_wary), open);
        let room = tokio::time::timeout(service.plan.connect_timeout, room).await;
        room.unwrap_or(Err(IoFault::TimedOut))
    };
    // Like an idle connection, a place that is there has taken no time.
    if !matches!(&room, Ok(room) if !room.was_awaited) {
        note_connect(x, worker.mono().since(now));
    }
    let room = room.map_err(|fault| unconnected(service, address, fault))?;
    let (is_reused, is_shared) = (room.is_reused && !is_wary, room.is_shared);
    let (near, fate) = begin(room);
    Ok(Origin::new(Stream::Memory(near), worker.shelf.lend(), is_reused).told_by(fate, !is_wary, is_shared))
}

fn peer_of(service: &Service, address: &Address) -> Peer {
    Peer {
        name: format!("upstream {}: {address}", service.plan.name),
        scheme: if service.tls.is_some() { "https" } else { "http" },
        authority: match address {
            Address::Tcp { .. } => address.to_string(),
            Address::Unix(_) => "localhost".to_owned(),
        },
        open: service.metrics.http2_connections.clone(),
    }
}

fn unconnected(service: &Service, address: &Address, fault: IoFault) -> TryFault {
    let refusal = match fault {
        IoFault::Broken(error) if is_ours(&error) => {
            log::debug!(
                "upstream {}: no connection to {address}, by no fault of its own: {error}",
                service.plan.name
            );
            return TryFault::Exhausted;
        }
        IoFault::TimedOut => Refusal::ConnectTimeout,
        IoFault::Broken(error) => {
            log::debug!("upstream {}: {address}: {error}", service.plan.name);
            Refusal::ConnectFailed
        }
    };
    TryFault::Server(Failed::of(Failure::Connect, refusal))
}

/// A connection on which HTTP can be spoken. `connect_timeout` is for all of it.
async fn open(
    worker: &Worker,
    x: &Exchange,
    service: &Service,
    address: &Address,
    now: Mono,
) -> Result<Stream, IoFault> {
    let limit = service.plan.connect_timeout;
    let stream = worker.names.connect(address, limit, now).await?;
    let left = limit.saturating_sub(worker.mono().since(now));
    present(x, service, &stream, left).await?;
    let Some(tls) = &service.tls else {
        return Ok(stream);
    };
    let name = tls.side.name(address);
    let name = name.ok_or_else(|| io::Error::other("there is no name to ask for: set `sni`"))?;
    match greet(stream, &worker.shelf, tls.side.config(), name, left).await {
        Ok((stream, greeting)) => {
            if service.plan.protocol == Protocol::Http2 && greeting.alpn.as_deref() != Some(b"h2") {
                let fault = "it speaks TLS, but has not agreed to HTTP/2 (ALPN \"h2\"); protocol = \"http1\" would do";
                if worker.may_complain() {
                    log::warn!("upstream {}: {address}: {fault}", service.plan.name);
                }
                return Err(io::Error::other(fault).into());
            }
            Ok(stream)
        }
        Err(HandshakeFault::TimedOut) => Err(IoFault::TimedOut),
        Err(HandshakeFault::Broken(error)) => Err(IoFault::Broken(error)),
        Err(fault) => {
            if worker.may_complain() {
                log::warn!("upstream {}: {address}: {fault}", service.plan.name);
            }
            Err(IoFault::Broken(io::Error::other(fault.to_string())))
        }
    }
}

/// Tells a server, below HTTP, whose requests are to come.
async fn present(x: &Exchange, service: &Service, stream: &Stream, limit: Duration) -> Result<(), IoFault> {
    // Of the client only the address is known, and of where it came in only the port.
    let behalf = x.client_ip.map_or(OnBehalf::Nameless, |ip| {
        let here = match ip {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        OnBehalf::Client {
            source: SocketAddr::new(ip, 0),
            destination: SocketAddr::new(here, x.port),
        }
    });
    match ProxyLine::new(service.plan.send_proxy_protocol, behalf) {
        None => Ok(()),
        Some(line) => {
            stream
                .write_all(&mut [io::IoSlice::new(line.bytes())], limit)
                .await
        }
    }
}

/// Sends what is left of the request until a head has come.
async fn send_and_read(
    x: &mut Exchange,
    service: &Service,
    origin: &mut Origin,
    upload: &mut Upload<'_>,
) -> Result<(), TryFault> {
    // Most requests go out at once, and only the answer is waited for.
    let mut takes_more = match upload.run_now(origin.split().1) {
        Ok(is_all) => !is_all,
        Err(fault) => may_have_answered(&fault)?,
    };
    loop {
        let is_sending = takes_more && !upload.is_sent();
        if !is_sending {
            return read_answer(x, service, origin, upload.client()).await;
        }
        let stream = Sending {
            upload,
            write_timeout: service.plan.write_timeout,
        };
        match Box::pin(stream.against(origin, &mut x.answer)).await {
            Progress::Head(Ok(())) => return Ok(()),
            Progress::Head(Err(fault)) => return Err(answer_fault(origin, fault)),
            Progress::Sent(Ok(())) => {}
            Progress::Sent(Err(fault)) => takes_more = may_have_answered(&fault)?,
        }
    }
}

/// False if an origin may have answered before it stopped listening: what it said is worth reading, but no more is sent.
fn may_have_answered(fault: &UploadFault) -> Result<bool, TryFault> {
    match fault {
        UploadFault::Origin(IoFault::Broken(_)) => Ok(false),
        other => Err(upload_fault(other)),
    }
}

struct Sending<'a, 'b> {
    upload: &'a mut Upload<'b>,
    write_timeout: Duration,
}

enum Progress {
    Head(Result<(), AnswerFault>),
    Sent(Result<(), UploadFault>),
}

impl Sending<'_, '_> {
    /// Sends and reads at once; whichever ends first.
    async fn against(self, origin: &mut Origin, answer: &mut Answer) -> Progress {
        // Reading needs the buffer, writing only the socket.
        let (reader, writer) = origin.split();
        tokio::select! {
            biased;
            sent = self.upload.run(writer, self.write_timeout) => Progress::Sent(sent),
            head = reader.read_head(writer, answer) => Progress::Head(head),
        }
    }
}

async fn read_answer(
    x: &mut Exchange,
    service: &Service,
    origin: &mut Origin,
    client: Option<&Stream>,
) -> Result<(), TryFault> {
    let read = {
        let (reader, stream) = origin.split();
        let answer = &mut x.answer;
        let reading = pin!(async { Ok(reader.read_head(stream, answer).await) });
        let reading = within(service.plan.read_timeout, reading);
        match client {
            None => reading.await,
            Some(client) => tokio::select! {
                biased;
                read = reading => read,
                _ = client.broken() => return Err(TryFault::ClientGone),
            },
        }
    };
    match read {
        Ok(Ok(())) => Ok(()),
        Ok(Err(fault)) => Err(answer_fault(origin, fault)),
        Err(IoFault::TimedOut | IoFault::Broken(_)) => Err(TryFault::Server(Failed::of(
            Failure::Timeout,
            Refusal::OriginTimeout,
        ))),
    }
}

fn answer_fault(origin: &Origin, fault: AnswerFault) -> TryFault {
    match fault {
        AnswerFault::Invalid(rule) => invalid(rule),
        AnswerFault::Closed => {
            // Where the server has done nothing with it, it is as if it had never been reached.
            let (failure, blame) = match origin.fate() {
                Fate::Unspeakable => {
                    log::debug!(
                        "a request was refused: HTTP/2 has no words for its target, its host or a field"
                    );
                    return TryFault::Client(Refusal::BadRequest);
                }
                Fate::Invalid => return invalid("a stream that breaks a rule of HTTP/2"),
                Fate::Untouched if origin.is_first => (Failure::Connect, Blame::Stale),
                Fate::Untouched => (Failure::Connect, Blame::Server),
                // RFC 9113 §8.7: it "can be automatically retried" - also there, if not on that connection.
                Fate::Refused => (Failure::Connect, Blame::Link),
                Fate::Gone | Fate::Fine => (Failure::Reset, blame_of_end(origin)),
                Fate::Reset => (Failure::Reset, Blame::Server),
            };
            TryFault::Server(Failed {
                failure,
                refusal: Refusal::OriginReset,
                blame,
            })
        }
    }
}

/// Whose failure it is that a connection has ended.
fn blame_of_end(origin: &Origin) -> Blame {
    match (origin.is_reused, origin.is_shared) {
        _ if origin.has_answered() => Blame::Server,
        // One that others were running on had not grown old.
        (_, true) => Blame::Link,
        (true, false) => Blame::Stale,
        (false, false) => Blame::Server,
    }
}

fn invalid(rule: &str) -> TryFault {
    log::warn!("an origin's answer was refused: {rule}");
    TryFault::Server(Failed::of(Failure::InvalidResponse, Refusal::InvalidAnswer))
}

fn upload_fault(fault: &UploadFault) -> TryFault {
    match fault {
        UploadFault::TooLarge => TryFault::Client(Refusal::BodyTooLarge),
        UploadFault::Malformed(_) => TryFault::Client(Refusal::BadRequest),
        UploadFault::ClientTooSlow => TryFault::Client(Refusal::BodyTimeout),
        UploadFault::ClientGone => TryFault::ClientGone,
        UploadFault::Origin(IoFault::Broken(_)) => {
            TryFault::Server(Failed::of(Failure::Reset, Refusal::OriginReset))
        }
        UploadFault::Origin(IoFault::TimedOut) => {
            TryFault::Server(Failed::of(Failure::Timeout, Refusal::OriginTimeout))
        }
    }
}

/// RFC 9110 §15.2: "A proxy MUST forward 1xx responses", but not to a client that cannot know them.
async fn pass_interim(x: &mut Exchange, upload: &Upload<'_>) -> Result<(), TryFault> {
    let Some(client) = upload.client().filter(|_| x.request.version != Version::Http10) else {
        return Ok(());
    };
    let mut head = Vec::new();
    write_interim(&mut head, &x.answer);
    // Said as long as it is half said: whoever gives up meanwhile must not begin another answer within it.
    x.status = x.answer.status;
    let limit = x.snapshot.plan.server.limits.body_timeout;
    let written = client.write_all(&mut [io::IoSlice::new(&head)], limit).await;
    x.status = 0;
    written.map_err(|_| TryFault::ClientGone)
}

fn write_head(out: &mut Vec<u8>, x: &Exchange, span: SpanId) {
    let Some(site) = &x.site else { return };
    let is_http2 = x.service.as_ref().is_some_and(|s| s.plan.protocol.is_http2());
    let outgoing = Outgoing {
        fetch: x.fetch.as_ref(),
        path: path_of(x),
        query: x.request.query.as_deref(),
        edits: &site.request_headers,
        length: x.length,
        // Over HTTP/2 nothing is upgraded (RFC 9113 §8.6).
        upgrade: upgrade_of(x).filter(|_| !is_http2),
        takes_trailers: is_http2 && takes_trailers(x),
        trace: trace::said(x, span),
        is_mirrored: x.is_mirrored,
    };
    head::write(out, &x.facts(), &outgoing);
}

/// The path its origin is asked for.
pub(super) fn path_of(x: &Exchange) -> &str {
    x.rewritten.as_deref().unwrap_or(x.request.path_to_send())
}

/// RFC 9110 §10.1.4: whether the client takes trailers. gRPC's servers insist on it.
fn takes_trailers(x: &Exchange) -> bool {
    let mut codings = x.request.fields.elements(Name::Te);
    codings.any(|coding| coding.eq_ignore_ascii_case(b"trailers"))
}

/// Whether a request is for a WebSocket, and its upstream is asked over HTTP/2, where that would take RFC 8441 of the
/// server. Without the words that ask for it it would be a GET of something else; nothing but a WebSocket is of use to
/// whoever sends them. Any other protocol may be passed over (RFC 9110 §7.8: "A server MAY ignore a received Upgrade").
pub(super) fn asks_in_vain(x: &Exchange, service: &Service) -> bool {
    service.plan.protocol.is_http2() && upgrade_of(x).is_some_and(|p| p.eq_ignore_ascii_case(b"websocket"))
}

/// The protocol a request asks to go over to, where that may pass: a 1.1 request without body, and not to
/// HTTP/2, which would speak to the origin past everything that is checked here.
pub(super) fn upgrade_of(x: &Exchange) -> Option<&[u8]> {
    let fields = &x.request.fields;
    let protocol = fields.first(Name::Upgrade).filter(|p| syntax::is_token(p))?;
    let is_fit = x.request.version == Version::Http11
        && x.fetch.is_none()
        && x.request.method == Method::Get
        && x.length == Length::None
        && fields.has_option("upgrade")
        && !protocol.eq_ignore_ascii_case(b"h2c");
    is_fit.then_some(protocol)
}
