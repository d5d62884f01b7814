/// Who may come in, by network.
mod access;
/// How many may try a server that was ejected.
mod breaker_config;
/// Pages of other origins.
mod cors;
/// What protects an upstream from more than it can do.
mod overload;
/// How many at once.
mod places;
/// How fast.
mod rates;
/// The script that counts in Redis, next to a count that is easy to believe.
mod script;
/// The link to Redis: limits that several gateways count together.
mod shared;

use std::net::{IpAddr, Ipv4Addr};

use harness::{Connection, Gateway, Origin, Request, Response, wait_until};
use serde_json::Value;

/// Everything goes to this origin by a route with these lines; `sections` come before it.
fn guarded(origin: &Origin, sections: &str, lines: &str) -> String {
    format!(
        r#"
        {sections}

        [upstreams.origin]
        servers = [{{ address = "{}" }}]

        [[routes]]
        name = "all"
        match = {{ path_prefix = "/" }}
        upstream = "origin"
        {lines}
        "#,
        origin.address()
    )
}

/// Asks from that address of this machine, 127.0.0.`last`.
#[track_caller]
fn ask_from(gw: &Gateway, last: u8, request: &Request) -> Response {
    let from = IpAddr::V4(Ipv4Addr::new(127, 0, 0, last));
    Connection::open_from(from, gw.address()).ask(request)
}

/// A GET with one more field.
fn get_with(target: &str, name: &str, value: &str) -> Request {
    Request::get(target).header(name, value)
}

/// Fails unless it is a refusal for this reason; its problem document.
#[track_caller]
fn refused(response: &Response, status: u16, reason: &str) -> Value {
    response.expect(status).problem();
    let problem: Value = serde_json::from_str(&response.text()).expect("it was read as JSON before");
    assert_eq!(problem["reason"], reason, "{response}");
    response.header("cache-control", "no-store");
    problem
}

/// Fails unless that limit refuses it: 429, which limit, and when it is worth another try.
#[track_caller]
fn limited(response: &Response, limit: &str) {
    let problem = refused(response, 429, "rate_limited");
    assert_eq!(
        problem["violated-policies"],
        serde_json::json!([limit]),
        "{response}"
    );
    let retry_after = response.value("retry-after").and_then(|v| v.parse::<u64>().ok());
    assert!(retry_after.is_some_and(|seconds| seconds >= 1), "{response}");
    let standing = response.value("ratelimit").unwrap_or_default();
    assert!(standing.starts_with(&format!("{limit:?};r=0;t=")), "{response}");
}

/// Waits until so many requests are being served or wait. One that is counted has been decided on by the time the
/// gateway's only worker looks at the next.
#[track_caller]
fn wait_inside(gw: &Gateway, n: u32) {
    wait_until(&format!("{n} requests are inside"), || {
        gw.metrics().sum("sluice_requests_in_flight", &[]) == f64::from(n)
    });
}
