mod alike;
mod asked;
mod breaks;
mod coalescing;
mod damage;
mod disk;
mod freshness;
mod hits;
mod keys;
mod purges;
mod ranges;
mod reloads;
mod revalidation;
mod stale;
mod storage;
mod vary;
mod writes;

use std::time::Duration;

use gateway::kit::http_date;
use harness::origin::{Script, reply};
use harness::{Gateway, Origin, Request, Response, wait_until};
use serde_json::Value;

/// Everything goes to this origin, and its answers are kept in memory; the rule has these lines.
fn kept(origin: &Origin, rule: &str) -> String {
    kept_in("memory = \"16MiB\"", origin, rule)
}

/// The same, in a cache with these lines.
fn kept_in(cache: &str, origin: &Origin, rule: &str) -> String {
    format!(
        r#"
        [caches.edge]
        {cache}

        [upstreams.origin]
        servers = [{{ address = "{}" }}]
        [upstreams.origin.outlier_detection]
        consecutive_failures = 0

        [[routes]]
        name = "all"
        match = {{ path_prefix = "/" }}
        upstream = "origin"
        [routes.cache]
        store = "edge"
        {rule}
        "#,
        origin.address()
    )
}

/// An answer that is fresh for an hour.
fn lasting(body: &str) -> Script {
    reply(200).header("Cache-Control", "max-age=3600").body(body)
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// The second at which a manual clock starts.
const START: u64 = 1_700_000_000;

/// A date so many seconds after the start of a manual clock, or before it.
fn date(after: i64) -> String {
    http_date::format(START.strict_add_signed(after))
}

/// Waits until what is on its way from origins is stored.
#[track_caller]
fn settle(gw: &Gateway) {
    wait_until("every fill has ended", || {
        gw.status()["caches"]["edge"]["fills"] == 0
    });
}

/// Waits until so many requests wait for what another one has asked.
#[track_caller]
fn wait_waiting(gw: &Gateway, n: u64) {
    wait_until(&format!("{n} requests wait for another one"), || {
        gw.status()["caches"]["edge"]["waiting"] == n
    });
}

/// A GET with one more field.
fn get_with(target: &str, name: &str, value: &str) -> Request {
    Request::get(target).header(name, value)
}

/// What Cache-Status says of what happened here: the last member, without our name.
#[track_caller]
fn said(response: &Response) -> String {
    let members = response.head.all("cache-status").last();
    let member = members.unwrap_or_else(|| panic!("no Cache-Status in:\n{response}"));
    let ours = member.rsplit(", ").next().unwrap_or(member);
    let word = ours.strip_prefix("sluice; ");
    word.unwrap_or_else(|| panic!("Cache-Status is {member:?} in:\n{response}"))
        .to_owned()
}

/// Fails unless it came from the cache and says so; how old it was.
#[track_caller]
fn hit(response: &Response) -> u64 {
    let said = said(response);
    assert!(said.starts_with("hit"), "{said:?} in:\n{response}");
    let age = response.value("age").and_then(|age| age.parse().ok());
    age.unwrap_or_else(|| panic!("no Age in:\n{response}"))
}

/// Fails unless the origin was asked for it, for this reason.
#[track_caller]
fn forwarded(response: &Response, why: &str) {
    let said = said(response);
    let is_why = said == format!("fwd={why}") || said.starts_with(&format!("fwd={why};"));
    assert!(is_why, "{said:?} instead of {why} in:\n{response}");
}

/// The fields that are about what was asked for, and not about who brought it or when.
fn end_to_end(response: &Response) -> Vec<(String, String)> {
    const OTHERS: [&str; 5] = ["age", "cache-status", "connection", "x-request-id", "date"];
    let fields = response.head.fields.iter();
    let fields = fields.map(|(name, value)| (name.to_ascii_lowercase(), value.clone()));
    let mut fields: Vec<_> = fields
        .filter(|(name, _)| !OTHERS.contains(&name.as_str()))
        .collect();
    fields.sort();
    fields
}

/// Purges what this says, and returns what the gateway has to say of it.
#[track_caller]
fn purge(gw: &Gateway, order: &str) -> Value {
    let response = gw.ask_admin(&Request::post("/purge", order));
    response.expect(200);
    serde_json::from_str(&response.text()).unwrap_or_else(|error| panic!("{error} in:\n{response}"))
}

/// Waits until so many objects are on disk.
#[track_caller]
fn wait_on_disk(gw: &Gateway, n: u64) {
    wait_until(&format!("{n} objects are on disk"), || {
        gw.status()["caches"]["edge"]["objects_disk"] == n
    });
}

/// Waits until all that is on disk is known.
#[track_caller]
fn wait_rebuilt(gw: &Gateway) {
    wait_until("what is on disk is known", || {
        gw.status()["caches"]["edge"]["is_rebuilding"] == false
    });
}
