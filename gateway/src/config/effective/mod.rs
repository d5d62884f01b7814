//! A plan written as TOML again, with every default: what `sluice check -T` prints.
//!
//! It loads to an equal plan, so it also answers "what did you understand?".

use std::fmt::{Display, Write as _};
use std::ops::RangeInclusive;
use std::time::Duration;

use super::env;
use super::plan::{
    AccessLog, Admin, HashBy, HealthCheck, HealthQuestion, Listener, LoadBalancing, LogFormat, LogTarget,
    OutlierDetection, Plan, Retries, Server, Upstream, UpstreamServer,
};
use crate::kit::units::{format_bytes, format_duration};

mod cache;
mod discover;
mod guard;
mod route;
mod tls;
mod tracing;

/// The plan as TOML that loads to an equal plan, secrets apart (a password of Redis, fields for a
/// collector): those are never printed.
pub fn effective(plan: &Plan) -> String {
    let mut sections = vec![server(&plan.server), limits(&plan.server)];
    sections.extend(plan.admin.as_ref().map(admin));
    sections.push(access_log(&plan.access_log));
    sections.extend(plan.certificates.iter().map(|c| tls::certificate(c)));
    sections.extend(plan.listeners.iter().map(|l| listener(l, plan)));
    for upstream in &plan.upstreams {
        upstream_sections(upstream, &mut sections);
    }
    sections.extend(plan.caches.iter().map(|c| cache::cache(c)));
    sections.extend(cache::compression(plan));
    sections.extend(plan.tracing.as_ref().map(tracing::tracing));
    sections.extend(plan.redis.as_ref().map(guard::redis));
    sections.extend(plan.rate_limits.iter().map(|l| guard::rate_limit(l)));
    sections.extend(
        plan.concurrency_limits
            .iter()
            .map(|l| guard::concurrency_limit(l)),
    );
    sections.extend(plan.auths.iter().map(|a| guard::auth(a)));
    for route in &plan.routes {
        sections.push(route::section(route, plan));
        sections.extend(route.cache.as_ref().map(|r| cache::rule(r, &plan.caches)));
    }
    let texts: Vec<String> = sections.iter().map(Section::text).collect();
    texts.join("\n")
}

/// A header and the keys below it.
struct Section {
    header: String,
    keys: Vec<(&'static str, String)>,
}

impl Section {
    fn new(header: impl Into<String>) -> Self {
        Self {
            header: header.into(),
            keys: Vec::new(),
        }
    }

    fn key(&mut self, key: &'static str, value: impl Display) {
        self.keys.push((key, value.to_string()));
    }

    fn text(&self) -> String {
        let width = self.keys.iter().map(|(key, _)| key.len()).max().unwrap_or(0);
        let mut out = format!("{}\n", self.header);
        for (key, value) in &self.keys {
            writeln!(out, "{key:width$} = {value}").expect("a string takes every write");
        }
        out
    }
}

fn server(server: &Server) -> Section {
    let mut out = Section::new("[server]");
    out.key("threads", server.threads);
    out.key("drain_timeout", duration(server.drain_timeout));
    out.key("upgrade_timeout", duration(server.upgrade_timeout));
    let networks = server.trusted_proxies.networks();
    out.key(
        "trusted_proxies",
        list(networks.iter().map(|n| quoted(&n.to_string()))),
    );
    out
}

fn limits(server: &Server) -> Section {
    let limits = &server.limits;
    let mut out = Section::new("[server.limits]");
    out.key("max_connections", limits.max_connections);
    out.key("connections_per_ip", limits.connections_per_ip);
    out.key("header_timeout", duration(limits.header_timeout));
    out.key("keepalive_timeout", duration(limits.keepalive_timeout));
    out.key("keepalive_requests", limits.keepalive_requests);
    out.key("body_timeout", duration(limits.body_timeout));
    out.key("max_header_size", bytes(limits.max_header_size as u64));
    out.key("max_headers", limits.max_headers);
    out.key("max_uri", bytes(limits.max_uri as u64));
    out.key("max_body", bytes(limits.max_body));
    out.key("http2_streams", limits.http2_streams);
    out.key("handshakes", limits.handshakes);
    out
}

fn admin(admin: &Admin) -> Section {
    let mut out = Section::new("[admin]");
    out.key("address", plain(&admin.address.to_string()));
    let token_file = admin.token_file.as_ref();
    out.key(
        "token_file",
        plain(&token_file.map_or(String::new(), |p| p.display().to_string())),
    );
    out
}

fn access_log(log: &AccessLog) -> Section {
    let mut out = Section::new("[access_log]");
    let path = match &log.target {
        LogTarget::File(path) => plain(&path.display().to_string()),
        LogTarget::Off => quoted("off"),
        LogTarget::Stderr => quoted("stderr"),
        LogTarget::Stdout => quoted("stdout"),
    };
    out.key("path", path);
    let format = match &log.format {
        LogFormat::Combined => "combined",
        LogFormat::Json => "json",
        LogFormat::Template(template) => template.text(),
    };
    out.key("format", quoted(format));
    out.key("slow_threshold", duration(log.slow_threshold));
    out
}

fn listener(listener: &Listener, plan: &Plan) -> Section {
    let mut out = Section::new("[[listeners]]");
    if let Some(name) = &listener.name {
        out.key("name", quoted(name));
    }
    out.key("address", plain(&listener.address.to_string()));
    out.key("redirect_to_https", listener.redirect_to_https);
    out.key("h2c", listener.h2c);
    out.key("proxy_protocol", listener.proxy_protocol);
    match &listener.tls {
        Some(tls) => tls::listener(tls, plan, &mut out),
        None => out.key("certificates", "[]"),
    }
    out
}

fn upstream_sections(upstream: &Upstream, sections: &mut Vec<Section>) {
    let path = format!("upstreams.{}", bare_or_quoted(&upstream.name));
    let mut out = Section::new(format!("[{path}]"));
    out.key("load_balancing", quoted(upstream.load_balancing.name()));
    if let LoadBalancing::Hash(by) = &upstream.load_balancing {
        let by = match by {
            HashBy::ClientIp => "client_ip".to_owned(),
            HashBy::Cookie(name) => format!("cookie:{name}"),
            HashBy::Header(name) => format!("header:{name}"),
            HashBy::Path => "path".to_owned(),
        };
        out.key("hash_by", plain(&by));
    }
    let lines: String = upstream
        .servers
        .iter()
        .map(|s| format!("  {},\n", server_line(s)))
        .collect();
    out.key("servers", format!("[\n{lines}]"));
    out.keys
        .extend(upstream.discover.as_ref().map(discover::discover));
    out.key("protocol", quoted(upstream.protocol.name()));
    out.key("connect_timeout", duration(upstream.connect_timeout));
    out.key("write_timeout", duration(upstream.write_timeout));
    out.key("read_timeout", duration(upstream.read_timeout));
    out.key("idle_timeout", duration(upstream.idle_timeout));
    if !upstream.protocol.is_http2() {
        out.key("max_idle", upstream.max_idle);
    }
    out.key(
        "sticky_cookie",
        plain(upstream.sticky_cookie.as_deref().unwrap_or("")),
    );
    if let Some(tls) = &upstream.tls {
        out.key("tls", tls::upstream(tls));
    }
    out.key("send_proxy_protocol", quoted(upstream.send_proxy_protocol.name()));
    sections.push(out);
    sections.extend(upstream.health_check.as_ref().map(|c| health_check(c, &path)));
    sections.push(outlier_detection(&upstream.outlier_detection, &path));
    sections.push(retries(&upstream.retries, &path));
    sections.push(guard::overload(&upstream.overload, &path));
}

fn server_line(server: &UpstreamServer) -> String {
    table([
        ("address", plain(&server.address.to_string())),
        ("weight", server.weight.to_string()),
        ("backup", server.backup.to_string()),
        ("down", server.down.to_string()),
        ("max_conns", server.max_conns.to_string()),
        ("slow_start", duration(server.slow_start)),
    ])
}

fn health_check(check: &HealthCheck, upstream: &str) -> Section {
    let mut out = Section::new(format!("[{upstream}.health_check]"));
    match &check.question {
        Some(HealthQuestion::Path(path)) => out.key("path", plain(path)),
        Some(HealthQuestion::Grpc(service)) => out.key("grpc_service", plain(service)),
        None => {}
    }
    out.key("interval", duration(check.interval));
    out.key("timeout", duration(check.timeout));
    out.key("healthy_threshold", check.healthy_threshold);
    out.key("unhealthy_threshold", check.unhealthy_threshold);
    // Without a path there is no status to expect.
    if check.question.as_ref().is_some_and(|q| q.path().is_some()) {
        out.key("expect_status", list(check.expect_status.iter().map(statuses)));
    }
    out
}

fn statuses(range: &RangeInclusive<u16>) -> String {
    if range.start() == range.end() {
        return quoted(&range.start().to_string());
    }
    quoted(&format!("{}-{}", range.start(), range.end()))
}

fn outlier_detection(detection: &OutlierDetection, upstream: &str) -> Section {
    let mut out = Section::new(format!("[{upstream}.outlier_detection]"));
    out.key("consecutive_failures", detection.consecutive_failures);
    out.key("ejection_time", duration(detection.ejection_time));
    out.key("max_ejection_percent", detection.max_ejection_percent);
    out.key("half_open_requests", detection.half_open_requests);
    out
}

fn retries(retries: &Retries, upstream: &str) -> Section {
    let on = &retries.retry_on;
    let words = [
        (on.connect_failure, "connect_failure"),
        (on.timeout, "timeout"),
        (on.reset, "reset"),
        (on.invalid_response, "invalid_response"),
    ];
    let words = words.iter().filter(|(yes, _)| *yes).map(|(_, word)| quoted(word));
    let numbers = on.statuses.iter().map(|status| quoted(&status.to_string()));
    let mut out = Section::new(format!("[{upstream}.retries]"));
    out.key("attempts", retries.attempts);
    out.key("retry_on", list(words.chain(numbers)));
    out.key("methods", list(retries.methods.iter().map(|m| plain(m))));
    out.key("budget_percent", retries.budget_percent);
    out.key("timeout", duration(retries.timeout));
    out
}

fn duration(d: Duration) -> String {
    quoted(&format_duration(d))
}

fn bytes(n: u64) -> String {
    quoted(&format_bytes(n))
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}

/// A list of strings in which `${NAME}` means nothing.
fn names(names: &[String]) -> String {
    list(names.iter().map(|name| plain(name)))
}

fn table<K: AsRef<str>>(pairs: impl IntoIterator<Item = (K, String)>) -> String {
    let pairs: Vec<String> = pairs
        .into_iter()
        .map(|(key, value)| format!("{} = {value}", bare_or_quoted(key.as_ref())))
        .collect();
    if pairs.is_empty() {
        return "{}".to_owned();
    }
    format!("{{ {} }}", pairs.join(", "))
}

fn bare_or_quoted(key: &str) -> String {
    let bare = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if !key.is_empty() && key.bytes().all(bare) {
        return key.to_owned();
    }
    quoted(key)
}

/// A string in which `${NAME}` means nothing.
fn plain(text: &str) -> String {
    quoted(&env::escape(text))
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                write!(out, "\\u{:04X}", u32::from(c)).expect("a string takes every write");
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
