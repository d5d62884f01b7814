//! What clients and origins may try with the cache: others' answers, wrong answers, answers without end.

/// Disks that do not do what they should.
mod disk;
/// Bodies on their way, and how much of them there may be.
mod memory;
/// What an origin is told beside what a client has sent.
mod poison;
/// Other configurations under what is kept.
mod reloads;
/// What those who wait may have.
mod sharing;
/// Purges, and what is on its way.
mod timing;

use harness::{Gateway, Origin};

/// Every request goes to this origin, through a cache.
fn cached(origin: &Origin, route: &str, rule: &str) -> String {
    format!(
        r#"
        [caches.edge]
        memory = "16MiB"

        [upstreams.origin]
        servers = [{{ address = "{}" }}]

        [[routes]]
        name = "all"
        match = {{ path_prefix = "/" }}
        upstream = "origin"
        {route}
        [routes.cache]
        store = "edge"
        {rule}
        "#,
        origin.address()
    )
}

/// A number that `/status` says of the cache.
fn busy(gw: &Gateway, what: &str) -> u64 {
    let status = gw.status();
    let number = status["caches"]["edge"][what].as_u64();
    number.unwrap_or_else(|| panic!("no {what} in {status}"))
}
