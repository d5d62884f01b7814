//! What is said once for everybody: workers, limits, compression, logs, who stands in front.

use std::collections::BTreeSet;
use std::time::Duration;

use super::model::{Amount, Compression};
use super::scope::Scope;
use super::tree::{Directive, walk};
use super::values;
use super::work::Work;
use crate::kit::units;

/// nginx's, where nothing is written.
const MAX_BODY: u64 = 1 << 20;
/// What nginx compresses even if `gzip_types` does not list it.
const HTML: &str = "text/html";

pub(super) fn translate(work: &mut Work<'_>) {
    workers(work);
    bodies(work);
    waits(work);
    heads(work);
    compression(work);
    trusted(work);
    access_log(work);
}

/// A directive of that name anywhere below `http`.
fn anywhere<'t>(work: &Work<'t>, name: &str) -> Vec<&'t Directive> {
    let mut found = Vec::new();
    walk(work.http.own(), &mut |d| {
        if d.name == name {
            found.push(d);
        }
    });
    found
}

fn workers(work: &mut Work<'_>) {
    let tree = work.tree;
    let mut processes = None;
    for directive in &tree.directives {
        match directive.name.as_str() {
            "worker_processes" => {
                work.ledger.done(directive);
                processes = directive.arg(0).parse::<u64>().ok().filter(|n| *n > 0);
                work.document.threads = processes.filter(|n| *n <= 1024);
            }
            "worker_shutdown_timeout" => {
                work.document.drain_timeout = values::wait(directive.arg(0));
                work.ledger.done(directive);
            }
            "events" => {
                work.ledger.done(directive);
                for inner in directive.block() {
                    events(inner, processes, work);
                }
            }
            _ => {}
        }
    }
}

fn events(directive: &Directive, processes: Option<u64>, work: &mut Work<'_>) {
    if directive.name != "worker_connections" {
        return;
    }
    let each: Option<u64> = directive.arg(0).parse().ok().filter(|n| *n > 0);
    match (each, processes) {
        (Some(each), Some(processes)) if each.saturating_mul(processes) <= 10_000_000 => {
            let all = each.saturating_mul(processes);
            work.document
                .limits
                .insert("max_connections", Amount::Number(all));
            work.ledger.done_as(
                directive,
                "counts clients of all workers together; connections to servers come on top",
            );
        }
        _ => work.ledger.differs(
            directive,
            "clients of all workers together are counted: server.limits.max_connections, 50000 if left out",
        ),
    }
}

/// The most bytes of a body, as Sluice writes it. nginx's 0 sets no limit.
pub(super) fn body_size(scope: &Scope<'_>) -> String {
    let size = scope
        .one("client_max_body_size")
        .map_or(Some(MAX_BODY), |d| values::size(d.arg(0)));
    match size {
        Some(0) | None => units::format_bytes(1 << 50),
        Some(bytes) => units::format_bytes(bytes.min(1 << 50)),
    }
}

fn bodies(work: &mut Work<'_>) {
    for directive in anywhere(work, "client_max_body_size") {
        match values::size(directive.arg(0)) {
            Some(0) => work.ledger.done_as(
                directive,
                "Sluice always has a limit: one that nobody reaches is written",
            ),
            Some(_) => work.ledger.done(directive),
            None => work.ledger.lost(directive, "this is no size"),
        }
    }
    let http = work.http.clone();
    let servers = http.own_all("server");
    let mut sizes = servers.iter().map(|s| body_size(&http.within(s.block())));
    // What all servers agree on needs not be said of each route.
    let first = sizes.next();
    let size = first
        .filter(|size| sizes.all(|s| s == *size))
        .unwrap_or_else(|| body_size(&http));
    work.document.limits.insert("max_body", Amount::Text(size));
}

/// The longest of all that are said, because Sluice has one for all servers.
fn longest(names: &[&str], work: &mut Work<'_>) -> Option<Duration> {
    let directives: Vec<_> = names.iter().flat_map(|name| anywhere(work, name)).collect();
    let waits: Vec<_> = directives.iter().map(|d| values::duration(d.arg(0))).collect();
    let longest = waits.iter().flatten().max().copied();
    for (directive, wait) in directives.iter().zip(&waits) {
        if *wait == longest {
            work.ledger.done(directive);
        } else {
            work.ledger.differs(
                directive,
                "Sluice has one for all servers: the longest is written",
            );
        }
    }
    longest
}

fn waits(work: &mut Work<'_>) {
    for (key, names) in [
        ("header_timeout", &["client_header_timeout"][..]),
        ("body_timeout", &["client_body_timeout", "send_timeout"]),
    ] {
        if let Some(wait) = longest(names, work).filter(|w| !w.is_zero()) {
            let wait = Amount::Text(values::written(wait));
            work.document.limits.insert(key, wait);
        }
    }
    match longest(&["keepalive_timeout"], work) {
        Some(Duration::ZERO) => {
            work.document
                .limits
                .insert("keepalive_requests", Amount::Number(1));
        }
        Some(wait) => {
            let wait = Amount::Text(values::written(wait));
            work.document.limits.insert("keepalive_timeout", wait);
        }
        None => {}
    }
    let requests = work.http.one("keepalive_requests").or_else(|| {
        let servers = anywhere(work, "server");
        servers
            .iter()
            .find_map(|s| s.block().iter().find(|d| d.name == "keepalive_requests"))
    });
    if let Some(directive) = requests {
        work.ledger.done(directive);
        if let Ok(count @ 1..=1_000_000_000) = directive.arg(0).parse::<u64>() {
            work.document
                .limits
                .entry("keepalive_requests")
                .or_insert(Amount::Number(count));
        }
    }
}

fn heads(work: &mut Work<'_>) {
    for directive in anywhere(work, "large_client_header_buffers") {
        let count: Option<u64> = directive.arg(0).parse().ok();
        let size = values::size(directive.arg(1)).filter(|s| (1024..=1 << 20).contains(s));
        let (Some(count @ 1..=64), Some(size)) = (count, size) else {
            work.ledger
                .lost(directive, "write server.limits.max_header_size and max_uri");
            continue;
        };
        work.ledger.done(directive);
        let text = |bytes| Amount::Text(units::format_bytes(bytes));
        work.document.limits.insert("max_header_size", text(count * size));
        work.document.limits.insert("max_uri", text(size));
    }
    for directive in anywhere(work, "http2_max_concurrent_streams") {
        if let Ok(count @ 1..=100_000) = directive.arg(0).parse::<u64>() {
            work.ledger.done(directive);
            work.document
                .limits
                .insert("http2_streams", Amount::Number(count));
        }
    }
}

fn compression(work: &mut Work<'_>) {
    let switches = anywhere(work, "gzip");
    for directive in &switches {
        work.ledger.done(directive);
    }
    work.document.compresses = work.http.word("gzip") == "on";
    if !switches.iter().any(|d| d.arg(0) == "on") {
        return;
    }
    let mut types = vec![HTML.to_owned()];
    let said = first_of("gzip_types", work);
    for media in said.iter().flat_map(|d| &d.args) {
        let media = media.to_ascii_lowercase();
        match media.as_str() {
            "*" => work.ledger_differs(said, "types are listed one by one, or as \"text/*\""),
            _ if media.contains('/') && !types.contains(&media) => types.push(media),
            _ => {}
        }
    }
    let min_size = first_of("gzip_min_length", work).and_then(|d| values::size(d.arg(0)));
    work.document.compression = Some(Compression {
        algorithms: vec!["gzip".to_owned()],
        min_size: units::format_bytes(min_size.unwrap_or(20)),
        types,
    });
}

/// The first directive of that name; others are told that Sluice has one for all.
fn first_of<'t>(name: &str, work: &mut Work<'t>) -> Option<&'t Directive> {
    let all = anywhere(work, name);
    let first = work.http.one(name).or_else(|| all.first().copied())?;
    for directive in all {
        if directive.args == first.args {
            work.ledger.done(directive);
        } else {
            work.ledger.differs(
                directive,
                "[compression] is one for all routes: the outermost is written",
            );
        }
    }
    Some(first)
}

impl<'t> Work<'t> {
    fn ledger_differs(&mut self, directive: Option<&'t Directive>, remark: &str) {
        if let Some(directive) = directive {
            self.ledger.differs(directive, remark);
        }
    }
}

fn trusted(work: &mut Work<'_>) {
    let mut networks = BTreeSet::new();
    for directive in anywhere(work, "set_real_ip_from") {
        match directive.arg(0) {
            "unix:" => work
                .ledger
                .done_as(directive, "who connects by a Unix socket is believed"),
            text if crate::kit::networks::parse(text).is_some() => {
                networks.insert(text.to_owned());
                work.ledger.done(directive);
            }
            _ => work.ledger.lost(
                directive,
                "server.trusted_proxies takes addresses and networks alone",
            ),
        }
    }
    work.document.trusted_proxies = networks.into_iter().collect();
    for directive in anywhere(work, "real_ip_header") {
        match directive.arg(0).to_ascii_lowercase().as_str() {
            "x-forwarded-for" | "proxy_protocol" => work.ledger.done(directive),
            _ => {
                let remark = "a client's address is taken from X-Forwarded-For or a PROXY header alone: let the proxy in front send one of them";
                work.ledger.lost(directive, remark);
            }
        }
    }
    for directive in anywhere(work, "real_ip_recursive") {
        work.ledger
            .done_as(directive, "trusted addresses are passed over from the right");
    }
}

fn access_log(work: &mut Work<'_>) {
    let Some(directive) = work.http.one("access_log") else {
        return;
    };
    if directive.arg(0) == "off" {
        work.ledger.done(directive);
        work.document.access_log.insert("path", "off".to_owned());
        return;
    }
    if directive.arg(0).starts_with("syslog:") || values::has_variable(directive.arg(0)) {
        let remark = "the log goes to one file, stdout or stderr: let the system's journal pass it on";
        return work.ledger.lost(directive, remark);
    }
    work.document
        .access_log
        .insert("path", values::literal(directive.arg(0)));
    match directive.arg(1) {
        "" | "combined" => {
            work.document.access_log.insert("format", "combined".to_owned());
            work.ledger.done(directive);
        }
        _ => {
            let remark = "lines are JSON with every field; access_log.format takes a template of your own";
            work.ledger.differs(directive, remark);
        }
    }
}
