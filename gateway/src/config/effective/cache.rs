//! `[caches.NAME]`, `[compression]` and `[routes.cache]`

use std::sync::Arc;

use super::{Section, bare_or_quoted, bytes, duration, list, names, plain, quoted, table};
use crate::config::check::standard_compression;
use crate::config::plan::{Cache, CacheRule, Plan, QueryRule};

/// One cache with all its defaults.
pub fn cache(cache: &Cache) -> Section {
    let mut out = Section::new(format!("[caches.{}]", bare_or_quoted(&cache.name)));
    out.key("memory", bytes(cache.memory));
    out.key("disk", bytes(cache.disk));
    if let Some(path) = &cache.path {
        out.key("path", plain(&path.display().to_string()));
    }
    out.key("max_object", bytes(cache.max_object));
    out.key("min_uses", cache.min_uses);
    out
}

/// How answers are compressed. None where that is as ever and nobody asks: a section without use is warned of.
pub fn compression(plan: &Plan) -> Option<Section> {
    let compression = &plan.compression;
    if *compression == standard_compression() && !plan.routes.iter().any(|r| r.compression) {
        return None;
    }
    let mut out = Section::new("[compression]");
    let algorithms = compression.algorithms.iter().map(|c| quoted(c.name()));
    out.key("algorithms", list(algorithms));
    out.key("min_size", bytes(compression.min_size));
    out.key("types", names(&compression.types));
    Some(out)
}

/// What the route above it keeps, with all its defaults.
pub fn rule(rule: &CacheRule, caches: &[Arc<Cache>]) -> Section {
    let mut out = Section::new("[routes.cache]");
    out.key("store", quoted(&caches[rule.store.0].name));
    if let Some(ttl) = rule.ttl {
        out.key("ttl", duration(ttl));
    }
    out.key("override", rule.overrides);
    let statuses = rule.statuses.iter();
    let statuses = statuses.map(|(status, time)| (status.to_string(), duration(*time)));
    out.key("statuses", table(statuses));
    out.key("stale_while_revalidate", duration(rule.stale_while_revalidate));
    out.key("stale_if_error", duration(rule.stale_if_error));
    let key = [
        ("query", query(&rule.key.query)),
        ("headers", names(&rule.key.headers)),
        ("cookies", names(&rule.key.cookies)),
    ];
    out.key("key", table(key));
    let bypass = [
        ("cookies", names(&rule.bypass.cookies)),
        ("headers", names(&rule.bypass.headers)),
    ];
    out.key("bypass", table(bypass));
    out
}

fn query(rule: &QueryRule) -> String {
    match rule {
        QueryRule::All => quoted("all"),
        QueryRule::None => quoted("none"),
        QueryRule::Only(parameters) => names(parameters),
        QueryRule::Except(parameters) => table([("except", names(parameters))]),
    }
}
