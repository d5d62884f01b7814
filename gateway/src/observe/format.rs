//! What an access-log line looks like: JSON, combined, or the operator's own.

use std::io::Write;
use std::net::IpAddr;
use std::time::Duration;

use super::escape;
use super::line::{Line, Timings};
use super::number::{decimal, millis, padded};
use super::timestamp::TimeCache;
use crate::config::plan::LogFormat;
use crate::kit::template::{LogVariable, RequestVariable, Template};
use crate::wire::name::Name;

/// How a request is written down. Whatever the client sent, it is one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// As nginx writes `combined`, byte for byte. The user is the one a route's authority has verified, else `-`,
    /// and the time is the request's start, as with Apache.
    Combined,
    /// One object; keys in a fixed order, absent facts left out.
    Json,
    /// Variables replaced, absent facts as `-`, escaped like `combined`: for JSON use `json`.
    Template(Template<LogVariable>),
}

impl Format {
    /// The format an operator has chosen.
    pub fn new(plan: &LogFormat) -> Self {
        match plan {
            LogFormat::Combined => Self::Combined,
            LogFormat::Json => Self::Json,
            LogFormat::Template(template) => Self::Template(template.clone()),
        }
    }

    /// Appends the line and its line feed. Allocates nothing but what `out` needs to grow.
    pub fn write(&self, out: &mut Vec<u8>, line: &Line<'_>, times: &mut TimeCache) {
        match self {
            Self::Combined => combined(out, line, times),
            Self::Json => json(out, line, times),
            Self::Template(template) => template.render(out, |v, out| variable(out, v, line, times)),
        }
        out.push(b'\n');
    }
}

fn json(out: &mut Vec<u8>, line: &Line<'_>, times: &mut TimeCache) {
    out.extend_from_slice(br#"{"time":""#);
    times.rfc3339(out, line.start.wall);
    out.push(b'"');
    text(out, r#","request_id":""#, present(line.request_id));
    if let Some(ip) = line.client_ip {
        out.extend_from_slice(br#","client_ip":""#);
        address(out, ip);
        out.push(b'"');
    }
    text(out, r#","user":""#, line.user);
    text(out, r#","method":""#, present(line.method));
    text(out, r#","scheme":""#, present(line.scheme.as_bytes()));
    text(out, r#","host":""#, present(line.host));
    text(out, r#","path":""#, present(line.path));
    text(out, r#","query":""#, line.query);
    text(out, r#","protocol":""#, present(line.protocol.as_bytes()));
    number(out, r#","status":"#, u64::from(line.status));
    number(out, r#","bytes_sent":"#, line.bytes_sent);
    number(out, r#","bytes_received":"#, line.bytes_received);
    time(out, r#","duration_ms":"#, Some(line.duration));
    text(out, r#","route":""#, line.route.map(str::as_bytes));
    text(out, r#","upstream":""#, line.upstream.map(str::as_bytes));
    text(out, r#","server":""#, line.server.map(str::as_bytes));
    if line.tries > 0 {
        number(out, r#","tries":"#, u64::from(line.tries));
    }
    time(out, r#","upstream_ms":"#, line.upstream_time);
    text(out, r#","cache":""#, line.cache.map(str::as_bytes));
    text(out, r#","refusal":""#, line.refusal.map(str::as_bytes));
    text(out, r#","user_agent":""#, line.request.first(Name::UserAgent));
    text(out, r#","referer":""#, line.request.first(Name::Referer));
    if let Some(timings) = line.slow {
        slow(out, timings);
    }
    out.push(b'}');
}

fn slow(out: &mut Vec<u8>, timings: Timings) {
    out.extend_from_slice(br#","slow":true"#);
    time(out, r#","head_ms":"#, timings.head);
    time(out, r#","guard_ms":"#, timings.guard);
    time(out, r#","cache_ms":"#, timings.cache);
    time(out, r#","queue_ms":"#, timings.queue);
    time(out, r#","connect_ms":"#, timings.connect);
    time(out, r#","first_byte_ms":"#, timings.first_byte);
    time(out, r#","body_ms":"#, timings.body);
}

/// A member with a string; the key comes with all that stands around it, so that it is one copy.
fn text(out: &mut Vec<u8>, key: &'static str, value: Option<&[u8]>) {
    let Some(value) = value else { return };
    out.extend_from_slice(key.as_bytes());
    escape::json(out, value);
    out.push(b'"');
}

fn number(out: &mut Vec<u8>, key: &'static str, value: u64) {
    out.extend_from_slice(key.as_bytes());
    decimal(out, value);
}

fn time(out: &mut Vec<u8>, key: &'static str, value: Option<Duration>) {
    let Some(value) = value else { return };
    out.extend_from_slice(key.as_bytes());
    millis(out, value);
}

fn combined(out: &mut Vec<u8>, line: &Line<'_>, times: &mut TimeCache) {
    client(out, line.client_ip);
    out.extend_from_slice(b" - ");
    or_dash(out, line.user);
    out.extend_from_slice(b" [");
    times.combined(out, line.start.wall);
    out.extend_from_slice(b"] \"");
    request_line(out, line);
    out.extend_from_slice(b"\" ");
    out.extend_from_slice(&padded::<3>(u64::from(line.status)));
    out.push(b' ');
    decimal(out, line.bytes_sent);
    for name in [Name::Referer, Name::UserAgent] {
        out.extend_from_slice(b" \"");
        or_dash(out, line.request.first(name));
        out.push(b'"');
    }
}

/// nginx writes `-` where no request line was read.
fn request_line(out: &mut Vec<u8>, line: &Line<'_>) {
    if line.method.is_empty() {
        return out.push(b'-');
    }
    escape::plain(out, line.method);
    out.push(b' ');
    uri(out, line);
    out.push(b' ');
    out.extend_from_slice(line.protocol.as_bytes());
}

fn variable(out: &mut Vec<u8>, variable: &LogVariable, line: &Line<'_>, times: &mut TimeCache) {
    match variable {
        LogVariable::BytesSent => decimal(out, line.bytes_sent),
        LogVariable::BytesReceived => decimal(out, line.bytes_received),
        LogVariable::Cache => or_dash(out, line.cache.map(str::as_bytes)),
        LogVariable::DurationMs => millis(out, line.duration),
        LogVariable::Protocol => or_dash(out, present(line.protocol.as_bytes())),
        LogVariable::Refusal => or_dash(out, line.refusal.map(str::as_bytes)),
        LogVariable::Request(request) => request_variable(out, request, line),
        LogVariable::ResponseHeader(name) => or_dash(out, line.response.first_value(name)),
        LogVariable::Server => or_dash(out, line.server.map(str::as_bytes)),
        LogVariable::Status => out.extend_from_slice(&padded::<3>(u64::from(line.status))),
        LogVariable::Time => times.rfc3339(out, line.start.wall),
        LogVariable::TimeLocal => times.combined(out, line.start.wall),
        LogVariable::Tries => decimal(out, u64::from(line.tries)),
        LogVariable::Upstream => or_dash(out, line.upstream.map(str::as_bytes)),
        LogVariable::UpstreamMs => match line.upstream_time {
            Some(duration) => millis(out, duration),
            None => out.push(b'-'),
        },
        LogVariable::User => or_dash(out, line.user),
    }
}

fn request_variable(out: &mut Vec<u8>, variable: &RequestVariable, line: &Line<'_>) {
    match variable {
        RequestVariable::ClientIp => client(out, line.client_ip),
        RequestVariable::Cookie(name) => or_dash(out, line.request.cookie(name)),
        RequestVariable::Header(name) => or_dash(out, line.request.first_of(name)),
        RequestVariable::Host => or_dash(out, present(line.host)),
        RequestVariable::Method => or_dash(out, present(line.method)),
        RequestVariable::Path => or_dash(out, present(line.path)),
        RequestVariable::Port => decimal(out, u64::from(line.port)),
        RequestVariable::Query => query(out, line),
        RequestVariable::RequestId => or_dash(out, present(line.request_id)),
        RequestVariable::Route => or_dash(out, line.route.map(str::as_bytes)),
        RequestVariable::Scheme => or_dash(out, present(line.scheme.as_bytes())),
        RequestVariable::TimeMs => decimal(out, line.start.unix_ms()),
        RequestVariable::Uri => uri(out, line),
    }
}

fn uri(out: &mut Vec<u8>, line: &Line<'_>) {
    or_dash(out, present(line.path));
    query(out, line);
}

fn query(out: &mut Vec<u8>, line: &Line<'_>) {
    if let Some(query) = line.query {
        out.push(b'?');
        escape::plain(out, query);
    }
}

/// nginx calls a client without an address `unix:`.
fn client(out: &mut Vec<u8>, ip: Option<IpAddr>) {
    match ip {
        Some(ip) => address(out, ip),
        None => out.extend_from_slice(b"unix:"),
    }
}

fn address(out: &mut Vec<u8>, ip: IpAddr) {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            decimal(out, u64::from(a));
            for octet in [b, c, d] {
                out.push(b'.');
                decimal(out, u64::from(octet));
            }
        }
        IpAddr::V6(ip) => write!(out, "{ip}").expect("a Vec takes every byte"),
    }
}

fn or_dash(out: &mut Vec<u8>, value: Option<&[u8]>) {
    match value {
        Some(value) => escape::plain(out, value),
        None => out.push(b'-'),
    }
}

fn present(value: &[u8]) -> Option<&[u8]> {
    (!value.is_empty()).then_some(value)
}

#[cfg(test)]
mod tests;
