//! balance: a request passed on, to one server after the other until one answers.

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::afterwards;
use super::attempt::{Blame, Failed, TryFault, asks_in_vain, try_server, upgrade_of};
use super::deliver::deliver;
use super::mirror::Copying;
use super::worker::Worker;
use super::{Next, Visit, guard, mirror, trace};
use crate::balance::{self, Ask, HashFacts, Lease};
use crate::config::plan::{LoadBalancing, Retries};
use crate::exchange::Exchange;
use crate::facts::Facts;
use crate::kit::clock::Mono;
use crate::kit::grpc;
use crate::observe::{RetryReason, ServerResult};
use crate::relay::upload::UploadLimits;
use crate::relay::{Origin, Upload};
use crate::reply::Refusal;
use crate::snapshot::Service;
use crate::upstream::{Failure, Retry};
use crate::wire::Length;

/// Everything the tries of one request share.
struct Tries<'a> {
    service: &'a Service,
    began: Mono,
    tried: Vec<u64>,
    /// Further tries made, stale connections not counted.
    further: u32,
    /// From then on only new connections: where one idle connection has ended, others may be about to.
    has_met_stale: bool,
    /// Whether a server that failed was asked once more.
    has_returned: bool,
    /// Held while a further try runs.
    permit: Option<Retry>,
}

/// What came of all tries: a connection with the head of an answer read from it, or the last fault.
type Outcome = Result<(Origin, Lease), TryFault>;

impl Visit<'_> {
    /// Passes the request on, within the route's time.
    ///
    /// Its future is made and moved into its box for each request, as large as the largest of what it may come to. So whatever
    /// few requests come to is in a box of its own.
    pub(super) async fn pass_on(&mut self, service: &Arc<Service>) -> Next {
        let Some(timeout) = time_left(&self.x, || self.worker.mono()) else {
            return self.ask(service).await;
        };
        match self.ask_within(timeout, service).await {
            Some(next) => next,
            None if self.x.status == 0 => {
                // Where the client's body ends is no longer known, if it has one.
                if !matches!(self.x.length, Length::None | Length::Known(0)) {
                    self.x.length = Length::UntilClose;
                }
                // An origin that takes longer than the route gives it has failed like any other.
                if let Some(next) = Box::pin(self.stale_instead(service)).await {
                    return next;
                }
                Box::pin(self.refuse(Refusal::RequestTimeout, Vec::new())).await
            }
            None => {
                self.x.broken_off.get_or_insert(Failure::Timeout);
                self.stream.close_by_reset();
                Next::Abandon
            }
        }
    }

    /// None when the time is over; for a tunnel, when it was over before the tunnel stood. From then on it is a
    /// conversation, which has no length that anybody could know, and silence bounds it.
    async fn ask_within(&mut self, timeout: Duration, service: &Arc<Service>) -> Option<Next> {
        if timeout.is_zero() {
            return None;
        }
        let has_switched = upgrade_of(&self.x).map(|_| Rc::new(Cell::new(false)));
        self.x.has_switched.clone_from(&has_switched);
        let mut ask = pin!(self.ask(service));
        match tokio::time::timeout(timeout, &mut ask).await {
            Ok(next) => Some(next),
            Err(_) if has_switched.is_some_and(|it| it.get()) => Some(ask.await),
            Err(_) => None,
        }
    }

    /// Asks the cache, or the origin where there is none.
    pub(super) async fn ask(&mut self, service: &Arc<Service>) -> Next {
        let caching = self.x.site.as_ref().filter(|site| site.zone.is_some()).cloned();
        match caching
            .as_ref()
            .and_then(|site| Some((site, site.zone.as_ref()?)))
        {
            Some((site, zone)) => Box::pin(self.cached(site, zone, service)).await,
            None => self.proxy(service).await,
        }
    }

    /// Asks the origin for this request alone.
    pub(super) async fn proxy(&mut self, service: &Arc<Service>) -> Next {
        let (worker, stream) = (self.worker, self.stream);
        let x = &mut self.x;
        x.service = Some(Arc::clone(service));
        if asks_in_vain(x, service) {
            return self.refuse(Refusal::WebsocketUnsupported, Vec::new()).await;
        }
        let limits = upload_limits(x, service);
        let mut copying = Copying::of(worker, x);
        let mut upload = Upload::new(Some(stream), self.buffer, x.length, limits).withhold(withheld(x));
        let _running = service.pool.running().enter();
        let outcome = try_servers(worker, x, service, &mut upload).await;
        copying.take(x, &upload);
        let outcome = match outcome {
            Ok((origin, lease)) => {
                x.keeps &= !self.door.is_closing();
                afterwards::told_to_caches(worker, x);
                let next = deliver(worker, x, service, origin, lease, &mut upload, stream).await;
                copying.take(x, &upload);
                Ok(next)
            }
            Err(fault) => Err((fault, upload.is_received())),
        };
        if x.status != 101 {
            x.bytes_received = upload.received();
        }
        match outcome {
            Ok(next) => next,
            Err((fault, is_received)) => Box::pin(self.give_up(fault, is_received)).await,
        }
    }

    pub(super) async fn give_up(&mut self, fault: TryFault, is_received: bool) -> Next {
        // What is left of the client's body, if anything, is in no place we know.
        self.x.length = if is_received {
            Length::None
        } else {
            Length::UntilClose
        };
        match fault {
            TryFault::ClientGone => Next::Abandon,
            TryFault::Exhausted => self.refuse(Refusal::Exhausted, Vec::new()).await,
            TryFault::Refused(refusal) => self.refuse(refusal, Vec::new()).await,
            TryFault::Client(refusal) => {
                self.x.keeps = false;
                self.x.length = Length::UntilClose;
                self.refuse(refusal, Vec::new()).await
            }
            TryFault::Server(failed) => self.refuse(failed.refusal, Vec::new()).await,
        }
    }
}

/// How much longer than a call of gRPC has, it is waited for: so it is the client or the origin who says that its time has
/// run out, each in its own words, as it is without a gateway between them.
const CALL_GRACE: Duration = Duration::from_millis(100);

/// The time a request has from here on, by its route and, as a call of gRPC, by its client.
fn time_left(x: &Exchange, now: impl Fn() -> Mono) -> Option<Duration> {
    let by_route = x.site.as_ref().and_then(|s| s.route.timeout);
    let given = x.request.fields.first_of("grpc-timeout").filter(|_| x.is_grpc());
    let by_client = given
        .and_then(grpc::timeout)
        .map(|time| time.saturating_add(CALL_GRACE));
    // What guards have waited for is a part of the request too.
    let until = [by_route, by_client].into_iter().flatten().min()?;
    Some(until.saturating_sub(now().since(x.began.mono)))
}

/// What a route takes out or says itself, and what the guard says, is not to be said in a trailer instead: there are
/// origins that put trailers among the fields, though RFC 9110 §6.5.1 forbids it for fields they do not know.
fn withheld(x: &Exchange) -> Vec<String> {
    match (&x.site, x.length) {
        (Some(site), Length::Chunked) => {
            let edits = &site.request_headers;
            let set = edits.set.iter().map(|(name, _)| name);
            edits.remove.iter().chain(set).cloned().collect()
        }
        _ => Vec::new(),
    }
}

pub(super) fn upload_limits(x: &Exchange, service: &Service) -> UploadLimits {
    let limits = &x.snapshot.plan.server.limits;
    let retries = &service.plan.retries;
    UploadLimits {
        body_max: x.site.as_ref().map_or(limits.max_body, |s| s.route.max_body),
        // A call of gRPC may be a conversation: its client is silent for as long as its server may be.
        body_timeout: match x.is_grpc() {
            true => limits.body_timeout.max(service.plan.read_timeout),
            false => limits.body_timeout,
        },
        // Over HTTP/2 a server can say that it has not touched a request, and then any is sent again.
        keeps: retries.attempts > 0 && (allows_method(retries, x) || service.plan.protocol.is_http2())
            || mirror::wants_body(x),
    }
}

fn allows_method(retries: &Retries, x: &Exchange) -> bool {
    retries.methods.contains(&x.request.method_text)
}

pub(super) async fn try_servers(
    worker: &Worker,
    x: &mut Exchange,
    service: &Service,
    upload: &mut Upload<'_>,
) -> Outcome {
    if x.cache_time.is_some() {
        x.cache_is_done(worker.mono());
    }
    // A request that asks once more stands in line like any other: it must not wait for the place it holds itself.
    x.guarded.room = None;
    x.guarded.room = guard::take(worker, service, upload.client(), &mut x.queue_time).await?;
    let outcome = try_each(worker, x, service, upload).await;
    let coped = match &outcome {
        Ok(_) => Some(!matches!(x.answer.status, 503 | 504)),
        Err(TryFault::Server(_)) => Some(false),
        // They say nothing of the upstream.
        Err(TryFault::Client(_) | TryFault::ClientGone | TryFault::Exhausted | TryFault::Refused(_)) => None,
    };
    if let (Some(room), Some(coped)) = (&x.guarded.room, coped) {
        room.learn(x.upstream_time.unwrap_or_default(), coped, worker.mono());
    }
    if outcome.is_err() {
        // What is told to the client instead, or served stale, takes nothing of the upstream's.
        x.guarded.room = None;
    }
    outcome
}

async fn try_each(worker: &Worker, x: &mut Exchange, service: &Service, upload: &mut Upload<'_>) -> Outcome {
    let mut began = worker.mono();
    let mut tries = Tries::new(service, began);
    let Some(mut lease) = pick(worker, x, &tries, began) else {
        return Err(TryFault::Server(Failed::of(Failure::Connect, nobody(service))));
    };
    loop {
        x.tries += 1;
        x.server = Some(lease.index());
        if x.tries > 1 {
            began = worker.mono();
        }
        let span = trace::begin_try(worker, x, began);
        let outcome = try_server(worker, x, service, &lease, upload, (span, began, tries.is_wary())).await;
        trace::end_try(worker, x, &outcome);
        match outcome {
            Ok(origin) => {
                let now = worker.mono();
                x.upstream_time = Some(now.since(tries.began));
                service.metrics.record(now.since(began));
                let Some(failed) = tries.judge(x, &lease, now.since(began), now) else {
                    return Ok((origin, lease));
                };
                // A failure, but an answer: it is given up only when another server takes the request.
                match tries.go_on(worker, &failed, x, upload, now) {
                    Some(next) => lease = next,
                    None => return Ok((origin, lease)),
                }
            }
            Err(TryFault::Server(failed)) => {
                let now = worker.mono();
                tries.note(&failed, &lease, now);
                let server = lease.index();
                // Given back first: its place may be the very one that is free.
                drop(lease);
                match tries.go_on(worker, &failed, x, upload, now) {
                    Some(next) => lease = next,
                    None => {
                        tries.end_with(&failed, server);
                        return Err(TryFault::Server(failed));
                    }
                }
            }
            Err(TryFault::Exhausted) => {
                // Not held against the server. Another one may have an idle connection, or ports of ours left.
                tries.count(&lease, ServerResult::Aborted);
                tries.tried.push(lease.server().id());
                drop(lease);
                match tries.go_on(worker, &Failed::exhausted(), x, upload, worker.mono()) {
                    Some(next) => lease = next,
                    None => return Err(TryFault::Exhausted),
                }
            }
            Err(other) => {
                tries.count(&lease, ServerResult::Aborted);
                return Err(other);
            }
        }
    }
}

impl<'a> Tries<'a> {
    fn new(service: &'a Service, began: Mono) -> Self {
        Self {
            service,
            began,
            tried: Vec::new(),
            further: 0,
            has_met_stale: false,
            has_returned: false,
            permit: None,
        }
    }

    /// Takes an answer into the server's record. Some if its status is one that is tried again elsewhere.
    fn judge(&mut self, x: &Exchange, lease: &Lease, latency: Duration, now: Mono) -> Option<Failed> {
        let status = x.answer.status;
        let failed = Failed::of(Failure::Status(status), Refusal::NoServer);
        let is_listed = self.service.plan.retries.retry_on.statuses.contains(&status);
        if status < 500 {
            // An answer, and no failure of the server: one may have what another one lacks.
            lease.succeeded(latency, now);
            self.count(lease, ServerResult::Ok);
            if is_listed {
                self.tried.push(lease.server().id());
            }
        } else {
            self.note(&failed, lease, now);
        }
        is_listed.then_some(failed)
    }

    /// Takes a failure into the server's record.
    fn note(&mut self, failed: &Failed, lease: &Lease, now: Mono) {
        if failed.is_stale() {
            return;
        }
        self.tried.push(lease.server().id());
        let result = match failed.failure {
            Failure::Timeout => ServerResult::Timeout,
            Failure::Connect | Failure::Reset | Failure::InvalidResponse | Failure::Status(_) => {
                ServerResult::Error
            }
        };
        self.count(lease, result);
        self.service.note_failure(lease, failed.failure, now);
    }

    fn count(&self, lease: &Lease, result: ServerResult) {
        self.service.servers[lease.index()].metrics.count(result);
    }

    /// A failure that the client is told. Nobody's failure is none as long as nobody notices; here somebody does, and has to
    /// find it among the counts.
    fn end_with(&self, failed: &Failed, server: usize) {
        if failed.is_stale() {
            self.service.servers[server].metrics.count(ServerResult::Error);
        }
    }

    /// Whether connections that there are have turned out not to be trusted.
    fn is_wary(&self) -> bool {
        self.has_met_stale || self.has_returned
    }

    /// The server of the next try, if there is one.
    fn go_on(
        &mut self,
        worker: &Worker,
        failed: &Failed,
        x: &Exchange,
        upload: &Upload<'_>,
        now: Mono,
    ) -> Option<Lease> {
        if !self.may_go_on(failed, x, upload, now) {
            return None;
        }
        let next = pick(worker, x, self, now).or_else(|| self.pick_again(worker, failed, x, now))?;
        if !failed.is_stale() {
            self.further += 1;
            self.service.metrics.retry(reason(failed.failure));
        }
        Some(next)
    }

    /// The server that has just failed, once more, where there is no other one: the failure may be its connection's.
    fn pick_again(&mut self, worker: &Worker, failed: &Failed, x: &Exchange, now: Mono) -> Option<Lease> {
        if failed.blame != Blame::Link || std::mem::replace(&mut self.has_returned, true) {
            return None;
        }
        self.tried.pop();
        pick(worker, x, self, now)
    }

    /// Whether there may be another try. RFC 9110 §9.2.2: "A proxy MUST NOT automatically retry non-idempotent
    /// requests" — unless nothing of it was sent, which is so when no connection came about, or unless the operator lists
    /// its method in `retries.methods`: who does so says that his service does it once, however often it is asked.
    fn may_go_on(&mut self, failed: &Failed, x: &Exchange, upload: &Upload<'_>, now: Mono) -> bool {
        let retries = &self.service.plan.retries;
        let can_repeat = allows_method(retries, x) && upload.can_restart();
        if failed.is_stale() {
            // Not counted. It happens once at most: what breaks on a new connection is the server.
            self.has_met_stale = true;
            return can_repeat || failed.failure == Failure::Connect && upload.can_restart();
        }
        let is_wanted = match failed.failure {
            Failure::Connect => retries.retry_on.connect_failure && upload.can_restart(),
            Failure::Timeout => retries.retry_on.timeout && can_repeat,
            Failure::Reset => retries.retry_on.reset && can_repeat,
            Failure::InvalidResponse => retries.retry_on.invalid_response && can_repeat,
            Failure::Status(_) => can_repeat,
        };
        if !is_wanted || self.further >= retries.attempts || now.since(self.began) >= retries.timeout {
            return false;
        }
        // A server that was never reached has no work from this request: asking another one adds none, and the
        // budget, which is there against multiplied work, is not charged.
        if failed.failure != Failure::Connect {
            self.permit = None;
            self.permit = self.service.pool.running().retry(retries.budget_percent);
            if self.permit.is_none() {
                self.service.metrics.retry_refused();
                return false;
            }
        }
        true
    }
}

fn reason(failure: Failure) -> RetryReason {
    match failure {
        Failure::Connect => RetryReason::ConnectFailure,
        Failure::Timeout => RetryReason::Timeout,
        Failure::Reset => RetryReason::Reset,
        Failure::InvalidResponse => RetryReason::InvalidResponse,
        Failure::Status(_) => RetryReason::Status,
    }
}

/// Why there is no server to ask.
pub(super) fn nobody(service: &Service) -> Refusal {
    match service.pool.members().is_empty() {
        true => Refusal::NotDiscovered,
        false => Refusal::NoServer,
    }
}

fn pick(worker: &Worker, x: &Exchange, tries: &Tries<'_>, now: Mono) -> Option<Lease> {
    let ask = ask_of(x, tries.service, &tries.tried);
    tries.service.pool.pick(&ask, worker.draw(), now)
}

/// What a request asks of the servers of an upstream, those apart where it has been.
pub(super) fn ask_of<'a>(x: &'a Exchange, service: &Service, tried: &'a [u64]) -> Ask<'a> {
    let facts = x.facts();
    let hash = match &service.plan.load_balancing {
        LoadBalancing::Hash(by) => balance::hash(by, &facts),
        LoadBalancing::LeastConn
        | LoadBalancing::LeastTime
        | LoadBalancing::RandomTwo
        | LoadBalancing::RoundRobin => None,
    };
    let sticky = service
        .plan
        .sticky_cookie
        .as_ref()
        .and_then(|name| x.request.fields.cookie(name));
    Ask { hash, sticky, tried }
}

impl HashFacts for Facts<'_> {
    fn client_ip(&self) -> IpAddr {
        self.client_ip.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
    }

    fn path(&self) -> &[u8] {
        self.request.path.as_bytes()
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        self.request.fields.first_of(name)
    }

    fn cookie(&self, name: &str) -> Option<&[u8]> {
        self.request.fields.cookie(name)
    }
}
