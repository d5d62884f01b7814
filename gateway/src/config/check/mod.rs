//! From what is written to what it means: all problems of all sections, and a [`Plan`] without them.

mod access_log;
mod actions;
mod cache_rule;
mod caches;
mod compression;
mod edits;
mod listeners;
mod matches;
mod overlap;
mod probing;
mod routes;
mod server;
mod upstreams;
mod values;

pub use compression::standard as standard_compression;

use super::findings::Findings;
use super::plan::Plan;
use super::raw;

/// Checks a whole file. The plan holds only if `findings` holds no error.
///
/// `cores` is what `threads = "auto"` becomes.
pub fn check(file: &raw::File, cores: usize, findings: &mut Findings<'_>) -> Plan {
    let server = server::server(file.server.as_ref(), cores, findings);
    let admin = server::admin(file.admin.as_ref(), findings);
    let access_log = access_log::access_log(file.access_log.as_ref(), findings);
    let listeners = listeners::listeners(file.listeners.as_ref(), admin.as_ref(), findings);
    let upstreams = upstreams::upstreams(file.upstreams.as_ref(), findings);
    let caches = caches::caches(file.caches.as_ref(), findings);
    let compression = compression::compression(file.compression.as_ref(), findings);
    let routes = routes::routes(file, &listeners, server.limits.max_body, findings);
    Plan {
        server,
        admin,
        access_log,
        listeners,
        upstreams,
        caches,
        compression,
        redis: None,
        rate_limits: Vec::new(),
        concurrency_limits: Vec::new(),
        auths: Vec::new(),
        routes,
    }
}
