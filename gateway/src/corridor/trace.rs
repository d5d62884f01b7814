//! observe: the spans of a request, made out of its diary when it has ended.
//!
//! ```text
//! TLS          ├──┤
//! GET api            ├────────────────────────────────────┤   the request, from its first byte to its last
//! guard               ├──┤                                    waiting in lines, for counts, for who it is
//! cache                  ├─┤                                  looking, waiting for another's question
//! queue                    ├┤                                 waiting for room at the upstream
//! GET                       ├────────┤                        a try, to the head of its answer
//! GET                                ├─────────┤              the next one
//! reply                                        ├──────────┤   the answer on its way
//! ```
//!
//! Until then nothing is kept but what a try was called towards its server, so that a request of which nobody will hear
//! costs next to nothing.

use std::time::Duration;

use super::attempt::TryFault;
use super::worker::Worker;
use crate::exchange::{Diary, Exchange, Stretch, Try, TryEnd};
use crate::kit::clock::Mono;
use crate::kit::trace_context::{SpanId, TraceId, TraceParent};
use crate::observe::MethodLabel;
use crate::observe::trace::sampling::{Ended, is_drawn};
use crate::observe::trace::{Dropped, Span, SpanKind, Trace, Tracer, Value, Why};
use crate::relay::Origin;
use crate::upstream::Failure;
use crate::upstream::head::{Tracing, trace_parent};
use crate::wire::{Name, Version};

/// Tries whose spans are kept. A configuration may allow more, and the first ones tell what the matter is.
const TRIES_MAX: usize = 16;

/// Bytes of a client's `tracestate` that go to the collector, once with each span. W3C Trace Context, "tracestate limits": "at
/// least 512 characters" are to be passed on. A part of one would be another one, so a longer one is left out; origins get it.
const STATE_BYTES_MAX: usize = 512;

/// A try begins. Its span, which the server is told.
pub(super) fn begin_try(worker: &Worker, x: &mut Exchange, now: Mono) -> SpanId {
    let span = SpanId::of(worker.draw());
    let Some(tracer) = &x.snapshot.tracer else {
        return span;
    };
    if x.trace.is_none() {
        x.trace = Some(Box::new(open(worker, tracer, x)));
    }
    if let (Some(diary), Some(server)) = (&mut x.trace, x.server)
        && diary.tries.len() < TRIES_MAX
    {
        diary.tries.push(Try {
            span,
            server,
            time: Stretch::begin(now),
            connect: None,
            end: None,
        });
    }
    span
}

/// What a try took to get its connection.
pub(super) fn note_connect(x: &mut Exchange, spent: Duration) {
    if let Some(under_way) = under_way(x) {
        under_way.connect = Some(spent);
    }
}

/// A try has come to something.
pub(super) fn end_try(worker: &Worker, x: &mut Exchange, outcome: &Result<Origin, TryFault>) {
    let status = x.answer.status;
    if let Some(under_way) = under_way(x) {
        under_way.time.ended = Some(worker.mono());
        under_way.end = Some(match outcome {
            Ok(_) => TryEnd::Answered(status),
            Err(TryFault::Server(failed)) if failed.is_stale() => TryEnd::Stale,
            Err(TryFault::Server(failed)) => TryEnd::Failed(failed.failure),
            Err(TryFault::Client(_) | TryFault::ClientGone | TryFault::Exhausted | TryFault::Refused(_)) => {
                TryEnd::Abandoned
            }
        });
    }
}

fn under_way(x: &mut Exchange) -> Option<&mut Try> {
    let last = x.trace.as_mut()?.tries.last_mut()?;
    last.end.is_none().then_some(last)
}

/// What a try says of the trace.
pub(super) fn said(x: &Exchange, span: SpanId) -> Tracing {
    match &x.trace {
        None => Tracing::PassedOn(span),
        Some(diary) => Tracing::TakenPart(TraceParent { span, ..diary.own }),
    }
}

/// A request's place in its trace.
///
/// The trace of whoever sends it goes on. Else its request id names the trace, so that a line of the log leads to it.
fn open(worker: &Worker, tracer: &Tracer, x: &Exchange) -> Diary {
    let parent = trace_parent(&x.request.fields);
    let decision = parent.filter(|_| x.is_peer_trusted).map(|p| p.is_sampled);
    let trace = parent
        .map(|parent| parent.trace)
        .or_else(|| TraceId::parse(x.request_id.as_bytes()))
        .unwrap_or_else(|| TraceId::of(u128::from(worker.draw()) << 64 | u128::from(worker.draw())));
    Diary {
        own: TraceParent {
            trace,
            span: SpanId::of(worker.draw()),
            // What is asked in a client's stead ends without a word: nobody's spans may hang on it.
            is_sampled: !x.is_behind && is_drawn(tracer.sample_ppm, decision, worker.draw()),
        },
        parent: parent.map(|parent| parent.span),
        tries: Vec::new(),
    }
}

/// Keeps the spans of a finished request, if they are to be kept.
pub(super) fn keep(worker: &Worker, tracer: &Tracer, x: &Exchange, is_slow: bool) {
    let fresh;
    let diary = match &x.trace {
        Some(diary) => diary,
        None => {
            fresh = open(worker, tracer, x);
            &fresh
        }
    };
    let ended = Ended {
        is_drawn: diary.own.is_sampled,
        is_error: is_error(x),
        is_slow,
    };
    let Some(why) = ended.why() else { return };
    let now = worker.mono();
    if why != Why::Sampled {
        let mut allowance = worker.kept_anyway.get();
        let is_allowed = allowance.take(now);
        worker.kept_anyway.set(allowance);
        if !is_allowed {
            return tracer.outbox.drop_spans(Dropped::TooMany, 1 + diary.tries.len());
        }
    }
    let story = Story { x, diary, now };
    let trace = story.tell(why, || SpanId::of(worker.draw()));
    tracer.outbox.offer(trace, tracer.queue_max);
}

/// Whether a request has failed by no fault of its client's. OpenTelemetry's conventions for servers: 4xx is no error.
fn is_error(x: &Exchange) -> bool {
    x.status >= 500 || x.broken_off.is_some()
}

/// A finished request, to be told as spans.
struct Story<'a> {
    x: &'a Exchange,
    diary: &'a Diary,
    now: Mono,
}

impl Story<'_> {
    fn tell(&self, why: Why, mut id: impl FnMut() -> SpanId) -> Trace {
        let x = self.x;
        let mut spans = vec![self.request(why)];
        let parts = [
            ("TLS handshake", x.greeted),
            ("guard", x.guard_time),
            ("cache", x.cache_time),
            ("queue", x.queue_time),
        ];
        for (name, time) in parts {
            spans.extend(time.map(|time| self.part(id(), name, time)));
        }
        let tries = self.diary.tries.iter().enumerate();
        spans.extend(tries.map(|(nth, attempt)| self.attempt(nth, attempt)));
        if let Some(first_byte) = x.timings.first_byte {
            let time = Stretch::begin(x.began.mono.plus(first_byte));
            spans.push(self.part(id(), "reply", time));
        }
        let state = x.request.fields.first(Name::Tracestate);
        Trace {
            id: self.diary.own.trace,
            is_sampled: self.diary.own.is_sampled,
            state: state
                .filter(|state| self.diary.parent.is_some() && state.len() <= STATE_BYTES_MAX)
                .map(|state| String::from_utf8_lossy(state).into_owned()),
            spans,
        }
    }

    /// A moment on the wall's clock, as it went when the request began.
    fn at(&self, moment: Mono) -> Duration {
        let began = self.x.began;
        let before = began.mono.since(moment);
        began.wall.saturating_sub(before) + moment.since(began.mono)
    }

    fn part(&self, id: SpanId, name: &'static str, time: Stretch) -> Span {
        Span {
            id,
            parent: Some(self.diary.own.span),
            is_parent_remote: false,
            kind: SpanKind::Internal,
            name: name.into(),
            began: self.at(time.began),
            ended: self.at(time.ended.unwrap_or(self.now).max(time.began)),
            attributes: Vec::new(),
            error: None,
        }
    }

    /// The span of the request itself.
    fn request(&self, why: Why) -> Span {
        let x = self.x;
        let method = method(x);
        let route = x.site.as_ref().map(|site| site.route.name.as_str());
        let error = match (x.refusal, x.broken_off) {
            _ if !is_error(x) => None,
            (_, Some(failure)) => Some(failure.name().into()),
            (Some(refusal), _) => Some(refusal.facts().word.into()),
            (None, None) => Some(x.status.to_string().into()),
        };
        let began = Stretch::begin(x.began.mono);
        Span {
            parent: self.diary.parent,
            is_parent_remote: self.diary.parent.is_some(),
            kind: SpanKind::Server,
            name: route.map_or(method.into(), |route| format!("{method} {route}").into()),
            attributes: self.request_attributes(why),
            error,
            ..self.part(self.diary.own.span, "", began)
        }
    }

    /// By the names of OpenTelemetry's conventions for HTTP servers. The query is left out: it is where secrets stand.
    fn request_attributes(&self, why: Why) -> Vec<(&'static str, Value)> {
        let x = self.x;
        let request = &x.request;
        let mut out = method_attributes(x);
        let mut text = |key, value: &[u8]| {
            if !value.is_empty() {
                out.push((key, Value::text(value)));
            }
        };
        text("url.scheme", x.scheme.as_bytes());
        text("url.path", request.raw_path.as_bytes());
        text("server.address", request.host.as_bytes());
        text("network.protocol.version", version(x).as_bytes());
        text(
            "user_agent.original",
            request.fields.first(Name::UserAgent).unwrap_or_default(),
        );
        text(
            "http.route",
            x.site.as_ref().map_or(b"", |site| site.route.name.as_bytes()),
        );
        text("sluice.request_id", x.request_id.as_bytes());
        text("sluice.kept", why.word().as_bytes());
        text(
            "sluice.cache",
            x.cache_result.map_or(b"", |result| result.text().as_bytes()),
        );
        text(
            "sluice.refusal",
            x.refusal.map_or(b"", |refusal| refusal.facts().word.as_bytes()),
        );
        for (key, ip) in [
            ("client.address", x.client_ip),
            ("network.peer.address", x.peer_ip),
        ] {
            out.extend(ip.map(|ip| (key, Value::Text(ip.to_string()))));
        }
        if x.port > 0 {
            out.push(("server.port", Value::number(x.port)));
        }
        // 0: the client had gone before it was told anything.
        if x.status > 0 {
            out.push(("http.response.status_code", Value::number(x.status)));
        }
        out.push(("http.request.body.size", Value::number(x.bytes_received)));
        out.push(("http.response.body.size", Value::number(x.bytes_sent)));
        out
    }

    /// The span of a try, by the conventions for HTTP clients.
    fn attempt(&self, nth: usize, attempt: &Try) -> Span {
        let x = self.x;
        let mut attributes = method_attributes(x);
        if let Some(service) = &x.service {
            let address = &service.servers[attempt.server].address;
            let (host, port) = host_and_port(address);
            attributes.push(("server.address", Value::text(host.as_bytes())));
            attributes.extend(port.map(|port| ("server.port", Value::number(port))));
            attributes.push(("sluice.upstream", Value::text(service.plan.name.as_bytes())));
        }
        attributes.push(("sluice.attempt", Value::number(nth + 1)));
        if nth > 0 {
            attributes.push(("http.request.resend_count", Value::number(nth)));
        }
        attributes.push(("sluice.reused", Value::Flag(attempt.connect.is_none())));
        attributes.extend(
            attempt
                .connect
                .map(|spent| ("sluice.connect_ms", Value::ms(spent))),
        );
        let (result, error) = match attempt.end {
            Some(TryEnd::Answered(status)) => {
                attributes.push(("http.response.status_code", Value::number(status)));
                // The conventions for clients: 4xx is an error to whoever asks. It is our client's, and not ours.
                ("answered", (status >= 500).then(|| status.to_string().into()))
            }
            Some(TryEnd::Failed(failure)) => ("failed", Some(failure.name().into())),
            Some(TryEnd::Stale) => ("stale", Some("stale".into())),
            Some(TryEnd::Abandoned) => ("abandoned", None),
            // The route's time was over while it ran.
            None => ("abandoned", x.refusal.map(|_| Failure::Timeout.name().into())),
        };
        attributes.push(("sluice.result", Value::text(result.as_bytes())));
        Span {
            kind: SpanKind::Client,
            name: method(x).into(),
            attributes,
            error,
            ..self.part(attempt.span, "", attempt.time)
        }
    }
}

/// A method that many know, as a part of names; whatever else a client says is no name.
fn method(x: &Exchange) -> &'static str {
    match MethodLabel::of(x.request.method_text.as_bytes()) {
        MethodLabel::Other => "HTTP",
        known => known.text(),
    }
}

fn method_attributes(x: &Exchange) -> Vec<(&'static str, Value)> {
    let text = x.request.method_text.as_bytes();
    let mut out = Vec::with_capacity(20);
    match MethodLabel::of(text) {
        MethodLabel::Other => {
            out.push(("http.request.method", Value::text(b"_OTHER")));
            if !text.is_empty() {
                out.push(("http.request.method_original", Value::text(text)));
            }
        }
        known => out.push(("http.request.method", Value::text(known.text().as_bytes()))),
    }
    out
}

fn version(x: &Exchange) -> &'static str {
    match x.request.version {
        _ if x.request.method_text.is_empty() => "",
        _ if x.request.is_http2 => "2",
        Version::Http10 => "1.0",
        Version::Http11 => "1.1",
    }
}

/// An address as written in the configuration; a Unix socket has no port.
fn host_and_port(address: &str) -> (&str, Option<u16>) {
    let split = address.rsplit_once(':').filter(|_| !address.starts_with("unix:"));
    match split.and_then(|(host, port)| Some((host, port.parse().ok()?))) {
        Some((host, port)) => (host.trim_start_matches('[').trim_end_matches(']'), Some(port)),
        None => (address, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart_as_it_is_written() {
        assert_eq!(host_and_port("10.0.0.1:8000"), ("10.0.0.1", Some(8000)));
        assert_eq!(host_and_port("[::1]:80"), ("::1", Some(80)));
        assert_eq!(host_and_port("unix:/run/app.sock"), ("unix:/run/app.sock", None));
        assert_eq!(host_and_port("app"), ("app", None));
    }
}
