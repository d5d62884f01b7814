//! From what is written to what it means: all problems of all sections, and a [`Plan`] without them.

mod access_log;
mod acme;
mod actions;
mod auth;
mod cache_rule;
mod caches;
mod certificates;
mod compression;
mod concurrency;
mod cors;
mod discover;
mod edits;
mod guards;
mod jwt;
mod listeners;
mod matches;
mod names;
mod overlap;
mod overload;
mod probing;
mod protocol;
mod rate_limits;
mod redis;
mod routes;
mod server;
mod tls;
mod tracing;
pub mod upstreams;
mod urls;
mod values;

use std::time::Duration;

pub use compression::standard as standard_compression;

use super::findings::Findings;
use super::plan::Plan;
use super::raw;

/// Checks a whole file. The plan holds only if `findings` holds no error.
///
/// `cores` is what `threads = "auto"` becomes; `now`, since the Unix epoch, is for certificates that have expired.
pub fn check(file: &raw::File, cores: usize, now: Duration, findings: &mut Findings<'_>) -> Plan {
    let server = server::server(file.server.as_ref(), cores, findings);
    let admin = server::admin(file.admin.as_ref(), findings);
    let access_log = access_log::access_log(file.access_log.as_ref(), findings);
    let certificates = certificates::certificates(file.certificates.as_ref(), now, findings);
    let mut shown = tls::Shown::of(file, certificates);
    let around = listeners::Around {
        admin: admin.as_ref(),
        trusts_nobody: server.trusted_proxies.networks().is_empty(),
    };
    let listeners = listeners::listeners(file.listeners.as_ref(), around, &mut shown, findings);
    acme::warn_of_unanswerable(file, shown.certificates(), &listeners, findings);
    let upstreams = upstreams::upstreams(file.upstreams.as_ref(), now, findings);
    let caches = caches::caches(file.caches.as_ref(), findings);
    let compression = compression::compression(file.compression.as_ref(), findings);
    let redis = redis::redis(file.redis.as_ref(), findings);
    // A section that could not be read is a section all the same.
    let has_redis = file.redis.is_some() || !findings.is_whole(&(0..0));
    let rate_limits = rate_limits::rate_limits(file.rate_limits.as_ref(), has_redis, findings);
    let concurrency_limits = concurrency::concurrency_limits(file.concurrency_limits.as_ref(), findings);
    let auths = auth::auths(file.auth.as_ref(), findings);
    let tracing = tracing::tracing(file.tracing.as_ref(), findings);
    let guards = guards::Named::of(file, &rate_limits, &concurrency_limits);
    let routes = routes::routes(file, &listeners, guards, server.limits.max_body, findings);
    shown.warn_of_unused(findings);
    Plan {
        server,
        admin,
        access_log,
        certificates: shown.into_certificates(),
        listeners,
        upstreams,
        caches,
        compression,
        redis,
        rate_limits,
        concurrency_limits,
        auths,
        tracing,
        routes,
    }
}
