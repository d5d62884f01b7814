//! The head of the request as the origin gets it.

use std::borrow::Cow;

use crate::config::plan::Edits;
use crate::facts::{Facts, write_ip, write_number};
use crate::kit::host;
use crate::kit::template::{Part, RequestVariable, Template};
use crate::kit::trace_context::{SpanId, TraceId, TraceParent};
use crate::wire::edit::{Passage, defuse, is_alike, write_field, write_line};
use crate::wire::{Field, Fields, Length, Method, Name, Version};

/// How this gateway names itself in Via (RFC 9110 §7.6.3).
pub const VIA_NAME: &str = "sluice";

/// The field that tells a copy from the request itself.
pub const MIRROR_NAME: &str = "X-Sluice-Mirror";

/// What a head needs besides the request.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// Path after rewriting, and the query if the rewrite has made one.
    pub path: &'a str,
    /// The client's query, without question mark.
    pub query: Option<&'a str>,
    /// The route's edits.
    pub edits: &'a Edits,
    /// Framing of the body, which is ours and not the client's.
    pub length: Length,
    /// The protocol asked for by an upgrade that may pass.
    pub upgrade: Option<&'a [u8]>,
    /// Whether the origin is told that trailers are welcome.
    pub takes_trailers: bool,
    /// Which trace it belongs to, and who says so.
    pub trace: Tracing,
    /// How it is asked where the answer is to be kept; None = as the client asks.
    pub fetch: Option<&'a Fetch>,
    /// Whether it is a copy, whose answer nobody waits for.
    pub is_mirrored: bool,
}

/// What this gateway has to do with the trace of a request (W3C Trace Context).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tracing {
    /// It passes on what the client says. To a client that says nothing it gives a trace that nobody keeps, named by the
    /// request id and this span.
    PassedOn(SpanId),
    /// It has spans of its own in the trace; this try's is what the origin's hang on.
    TakenPart(TraceParent),
}

/// A request whose answer is kept for others: a GET for the whole, whatever the client at hand wants of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fetch {
    /// Codings the clients with the same stored answer take alike; empty = the field is left out.
    pub accept_encoding: Vec<u8>,
    /// The entity tag of what is stored.
    pub if_none_match: Option<Vec<u8>>,
    /// The date of what is stored.
    pub if_modified_since: Option<Vec<u8>>,
}

/// Appends the whole head, empty line included.
pub fn write(out: &mut Vec<u8>, facts: &Facts<'_>, outgoing: &Outgoing<'_>) {
    write_request_line(out, facts, outgoing);
    if !is_set(outgoing.edits, b"host") {
        write_line(out, b"Host", authority(facts, outgoing).as_bytes());
    }
    write_passing(out, facts, outgoing);
    if let Some(fetch) = outgoing.fetch {
        write_fetch(out, fetch, outgoing.edits);
    }
    write_forwarding(out, facts, outgoing);
    write_told(out, facts, outgoing.edits);
    write_framing(out, outgoing);
    write_edits(out, facts, outgoing.edits);
    if outgoing.is_mirrored {
        write_line(out, MIRROR_NAME.as_bytes(), b"1");
    }
    out.extend_from_slice(b"\r\n");
}

fn write_request_line(out: &mut Vec<u8>, facts: &Facts<'_>, outgoing: &Outgoing<'_>) {
    match outgoing.fetch {
        Some(_) => out.extend_from_slice(b"GET"),
        None => out.extend_from_slice(facts.request.method_text.as_bytes()),
    }
    out.push(b' ');
    write_target(out, outgoing.path, outgoing.query);
    out.extend_from_slice(b" HTTP/1.1\r\n");
}

/// Appends the target: a path after rewriting, which may have brought a query of its own, and the client's query.
pub fn write_target(out: &mut Vec<u8>, path: &str, query: Option<&str>) {
    out.extend_from_slice(path.as_bytes());
    if let Some(query) = query {
        out.push(if path.contains('?') { b'&' } else { b'?' });
        out.extend_from_slice(query.as_bytes());
    }
}

/// The authority as the client spells it. Where the answer is kept for others it has the one spelling that stands for all,
/// as in the key: `example.com.:80` would come back in links and redirects, and be shown to those who spelled it well.
fn authority<'a>(facts: &Facts<'a>, outgoing: &Outgoing<'_>) -> Cow<'a, str> {
    let request = facts.request;
    let as_sent = Cow::Borrowed(request.authority.as_str());
    if outgoing.fetch.is_none() || request.authority == request.host {
        return as_sent;
    }
    let usual = if facts.scheme == "https" { 443 } else { 80 };
    match host::split_port(&request.authority) {
        Some((_, Some(port))) if port != usual => Cow::Owned(format!("{}:{port}", request.host)),
        Some(_) => Cow::Borrowed(&request.host),
        None => as_sent,
    }
}

fn write_passing(out: &mut Vec<u8>, facts: &Facts<'_>, outgoing: &Outgoing<'_>) {
    let passage = Passage::new(&facts.request.fields);
    for field in facts.request.fields.iter() {
        if passage.allows(&field) && passes(&field, facts, outgoing) {
            write_field(out, &field);
        }
    }
}

fn write_fetch(out: &mut Vec<u8>, fetch: &Fetch, edits: &Edits) {
    if !fetch.accept_encoding.is_empty() && !is_edited(edits, b"accept-encoding") {
        write_line(out, b"Accept-Encoding", &fetch.accept_encoding);
    }
    if let Some(tag) = &fetch.if_none_match {
        write_line(out, b"If-None-Match", tag);
    }
    if let Some(date) = &fetch.if_modified_since {
        write_line(out, b"If-Modified-Since", date);
    }
}

/// Lines we write ourselves, or that only make sense in some requests, do not simply pass.
fn passes(field: &Field<'_>, facts: &Facts<'_>, outgoing: &Outgoing<'_>) -> bool {
    let is_ours = match field.known {
        Name::Host
        | Name::ContentLength
        | Name::Via
        | Name::XForwardedFor
        | Name::XForwardedHost
        | Name::XForwardedProto
        | Name::XRealIp
        | Name::XRequestId => true,
        Name::Traceparent => {
            matches!(outgoing.trace, Tracing::TakenPart(_)) || trace_parent(&facts.request.fields).is_none()
        }
        // W3C Trace Context §4.3: without a parent that can be read, "the vendor MUST NOT attempt to parse tracestate"; it
        // belongs to no trace that goes on.
        Name::Tracestate => trace_parent(&facts.request.fields).is_none(),
        // RFC 9110 §10.1.1: an HTTP/1.0 client cannot wait for 100, and without a body there is nothing to wait for.
        // A copy has its body at hand.
        Name::Expect => {
            facts.request.version == Version::Http10
                || outgoing.length == Length::None
                || outgoing.is_mirrored
        }
        Name::MaxForwards => counts_forwards(facts.request.method),
        Name::Trailer => outgoing.length != Length::Chunked,
        Name::AcceptEncoding
        | Name::IfMatch
        | Name::IfModifiedSince
        | Name::IfNoneMatch
        | Name::IfRange
        | Name::IfUnmodifiedSince
        | Name::Range => outgoing.fetch.is_some(),
        Name::Other => {
            is_spoof(field.name, facts.is_peer_trusted)
                || outgoing.is_mirrored && is_alike(field.name, MIRROR_NAME.as_bytes())
        }
        _ => false,
    };
    !is_ours && !is_edited(outgoing.edits, field.name)
}

/// Whether the origin sees in a field what the client has sent, or something that is the same for all with the same URL.
///
/// An answer that was chosen by a field in which it saw something else cannot be matched to requests by what they have
/// there: two clients that send nothing look alike, and the origin was told the address of one of them.
pub fn is_seen_as_sent(name: &str, facts: &Facts<'_>, edits: &Edits) -> bool {
    let is_it = |other: &str| is_alike(other.as_bytes(), name.as_bytes());
    if facts.told_names.iter().any(|told| is_it(told)) {
        return false;
    }
    let mut edited = edits.set.iter().chain(&edits.add).filter(|(n, _)| is_it(n));
    let is_per_request = |value: &Template<RequestVariable>| {
        let mut parts = value.parts().iter();
        parts.any(|part| matches!(part, Part::Variable(_)))
    };
    if edited.any(|(_, value)| is_per_request(value)) {
        return false;
    }
    if is_edited(edits, name.as_bytes()) {
        return true;
    }
    const WRITTEN: [&str; 7] = [
        "traceparent",
        "tracestate",
        "x-client-cert-subject",
        "via",
        "x-forwarded-for",
        "x-real-ip",
        "x-request-id",
    ];
    // Where nobody we believe says them they are scheme and host, which are in the URL.
    const OF_URL: [&str; 2] = ["x-forwarded-host", "x-forwarded-proto"];
    let is_sent = || {
        facts
            .request
            .fields
            .iter()
            .any(|f| is_alike(f.name, name.as_bytes()))
    };
    if WRITTEN.into_iter().any(is_it) {
        return false;
    }
    if OF_URL.into_iter().any(is_it) {
        return facts.is_peer_trusted || !is_sent();
    }
    // One that is believed from some and not from others is stored for those only who do not send it.
    !is_spoof(name.as_bytes(), false) || !is_sent()
}

/// What would be believed although nobody we believe has said it. A known name does not come here.
fn is_spoof(name: &[u8], is_peer_trusted: bool) -> bool {
    const OURS: [&[u8]; 8] = [
        b"content-length",
        b"x-client-cert-subject",
        b"transfer-encoding",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-proto",
        b"x-real-ip",
        b"x-request-id",
    ];
    // X-Forwarded-Port, -Prefix and their kin are ours to say as much as those that we do say.
    const FORWARDED: &[u8] = b"x-forwarded-";
    let starts_as = |prefix: &[u8]| {
        let start = name.get(..prefix.len());
        start.is_some_and(|start| is_alike(start, prefix))
    };
    // Read by CGI programs as HTTP_PROXY, through which their own requests would then go.
    is_alike(name, b"proxy")
        // What only upgrades to h2c need.
        || is_alike(name, b"http2-settings")
        || OURS.iter().any(|ours| is_alike(name, ours))
        || !is_peer_trusted
            && (is_alike(name, b"forwarded")
                || starts_as(FORWARDED)
                // An origin may take it for a leave to do nothing.
                || is_alike(name, MIRROR_NAME.as_bytes()))
}

fn write_forwarding(out: &mut Vec<u8>, facts: &Facts<'_>, outgoing: &Outgoing<'_>) {
    let is_free = |name: &str| !is_edited(outgoing.edits, name.as_bytes());
    let fields = &facts.request.fields;
    let believed = |name| facts.is_peer_trusted.then(|| fields.first(name)).flatten();
    if facts.client_ip.is_some() && is_free("x-real-ip") {
        start_line(out, "X-Real-IP");
        write_ip(facts.client_ip, out);
        end_line(out);
    }
    if is_free("x-forwarded-for") {
        write_forwarded_for(out, facts);
    }
    if is_free("x-forwarded-proto") {
        let scheme = believed(Name::XForwardedProto).unwrap_or(facts.scheme.as_bytes());
        write_line(out, b"X-Forwarded-Proto", scheme);
    }
    let authority = authority(facts, outgoing);
    if is_free("x-forwarded-host") && !facts.request.authority.is_empty() {
        let host = believed(Name::XForwardedHost).unwrap_or(authority.as_bytes());
        write_line(out, b"X-Forwarded-Host", host);
    }
    if is_free("x-request-id") {
        write_line(out, b"X-Request-ID", facts.request_id.as_bytes());
    }
    if is_free("traceparent") {
        write_trace(out, facts, outgoing.trace);
    }
    if is_free("via") {
        write_via(out, facts);
    }
    if is_free("max-forwards") {
        write_max_forwards(out, facts);
    }
}

/// A chain we do not believe is not passed on: an origin that reads it from the left would believe it.
fn write_forwarded_for(out: &mut Vec<u8>, facts: &Facts<'_>) {
    let start = out.len();
    start_line(out, "X-Forwarded-For");
    let empty = out.len();
    for value in facts
        .request
        .fields
        .values(Name::XForwardedFor)
        .filter(|_| facts.is_peer_trusted)
    {
        out.extend_from_slice(value);
        out.extend_from_slice(b", ");
    }
    write_ip(facts.peer_ip, out);
    if out.ends_with(b", ") {
        out.truncate(out.len() - 2);
    }
    if out.len() == empty {
        return out.truncate(start);
    }
    end_line(out);
}

/// The trace a request says that it belongs to. Several parents are none (W3C Trace Context §3.2: the field stands once).
pub fn trace_parent(fields: &Fields) -> Option<TraceParent> {
    let mut values = fields.values(Name::Traceparent);
    let parent = TraceParent::parse(values.next()?)?;
    values.next().is_none().then_some(parent)
}

/// A parent that only passes has passed already; where there is none, the request id becomes a trace.
fn write_trace(out: &mut Vec<u8>, facts: &Facts<'_>, tracing: Tracing) {
    let parent = match tracing {
        Tracing::TakenPart(parent) => parent,
        Tracing::PassedOn(span) => match TraceId::parse(facts.request_id.as_bytes()) {
            Some(trace) if trace_parent(&facts.request.fields).is_none() => TraceParent {
                trace,
                span,
                is_sampled: false,
            },
            _ => return,
        },
    };
    write_line(out, b"traceparent", &parent.text());
}

/// RFC 9110 §7.6.3: "An intermediary ... MUST ... append" with the version the message was received in.
fn write_via(out: &mut Vec<u8>, facts: &Facts<'_>) {
    start_line(out, "Via");
    for value in facts.request.fields.values(Name::Via) {
        out.extend_from_slice(value);
        out.extend_from_slice(b", ");
    }
    out.extend_from_slice(match facts.request.version {
        _ if facts.request.is_http2 => b"2 ",
        Version::Http11 => b"1.1 ",
        Version::Http10 => b"1.0 ",
    });
    out.extend_from_slice(VIA_NAME.as_bytes());
    end_line(out);
}

/// RFC 9110 §7.6.2: "MUST ... forward the message with an updated Max-Forwards field".
fn write_max_forwards(out: &mut Vec<u8>, facts: &Facts<'_>) {
    if let Some(n) = max_forwards(facts.request) {
        start_line(out, "Max-Forwards");
        write_number(n.saturating_sub(1), out);
        end_line(out);
    }
}

/// What Max-Forwards says, of those methods it counts for; None where it is missing or no number.
pub fn max_forwards(request: &crate::wire::Request) -> Option<u64> {
    let value = request
        .fields
        .first(Name::MaxForwards)
        .filter(|_| counts_forwards(request.method))?;
    std::str::from_utf8(value).ok()?.parse().ok()
}

const fn counts_forwards(method: Method) -> bool {
    matches!(method, Method::Options | Method::Trace)
}

/// Who asks. The client's own fields of these names have not passed; what the route sets itself stands instead.
fn write_told(out: &mut Vec<u8>, facts: &Facts<'_>, edits: &Edits) {
    for (name, value) in facts.told {
        if !is_set(edits, name.as_bytes()) {
            write_line(out, name.as_bytes(), value.as_bytes());
        }
    }
}

fn write_framing(out: &mut Vec<u8>, outgoing: &Outgoing<'_>) {
    match outgoing.length {
        Length::None | Length::UntilClose => {}
        Length::Known(n) => {
            start_line(out, "Content-Length");
            write_number(n, out);
            end_line(out);
        }
        Length::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
    }
    if outgoing.takes_trailers {
        out.extend_from_slice(b"TE: trailers\r\n");
    }
    if let Some(protocol) = outgoing.upgrade {
        write_line(out, b"Connection", b"Upgrade");
        write_line(out, b"Upgrade", protocol);
    }
}

fn write_edits(out: &mut Vec<u8>, facts: &Facts<'_>, edits: &Edits) {
    for (name, value) in edits.set.iter().chain(&edits.add) {
        start_line(out, name);
        let start = out.len();
        value.render(out, |variable, out| facts.write(variable, out));
        defuse(&mut out[start..]);
        end_line(out);
    }
}

fn is_set(edits: &Edits, name: &[u8]) -> bool {
    edits.set.iter().any(|(n, _)| is_alike(n.as_bytes(), name))
}

/// A client must not be able to say by another spelling what a route sets or takes away.
fn is_edited(edits: &Edits, name: &[u8]) -> bool {
    edits.remove.iter().any(|n| is_alike(n.as_bytes(), name)) || is_set(edits, name)
}

/// The 16 hexadecimal digits of a number.
pub fn hex(n: u64) -> [u8; 16] {
    // All digits at once, a byte for each: 0 to 9 are next to each other, and so are a to f.
    let spread = |half: u32| {
        let n = u64::from(half);
        let n = (n | n << 16) & 0x0000_ffff_0000_ffff;
        let n = (n | n << 8) & 0x00ff_00ff_00ff_00ff;
        let n = (n | n << 4) & 0x0f0f_0f0f_0f0f_0f0f;
        let is_letter = (n + 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101;
        (n + 0x3030_3030_3030_3030 + is_letter * u64::from(b'a' - b'9' - 1)).to_be_bytes()
    };
    let mut digits = [0; 16];
    digits[..8].copy_from_slice(&spread((n >> 32) as u32));
    digits[8..].copy_from_slice(&spread(n as u32));
    digits
}

fn start_line(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
}

fn end_line(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\r\n");
}
