//! `proxy_cache` and what belongs to it.

use std::collections::BTreeMap;

use super::model::{Cache, CacheRule, Route};
use super::scope::Scope;
use super::tree::Directive;
use super::values;
use super::work::Work;
use crate::kit::units;

/// What nginx keeps answers for that nobody asks for.
const INACTIVE: &str = "10m";
/// What a cache may take of a disk where nginx sets no limit.
const DISK: u64 = 10 << 30;
/// Sluice's least.
const DISK_MIN: u64 = 1 << 20;

/// Writes into the route what is kept of its answers.
pub(super) fn rule<'t>(scope: &Scope<'t>, route: &mut Route, work: &mut Work<'t>) {
    let Some(directive) = scope.one("proxy_cache").filter(|d| d.arg(0) != "off") else {
        if let Some(off) = scope.one("proxy_cache") {
            work.ledger.done(off);
        }
        return;
    };
    let zone = zone(directive.arg(0), work);
    let Some(zone) = zone else {
        return work.ledger.lost(
            directive,
            "no proxy_cache_path has this name: write [caches.NAME]",
        );
    };
    work.ledger.done(directive);
    let inactive = zone
        .args
        .iter()
        .find_map(|w| w.strip_prefix("inactive="))
        .and_then(values::wait)
        .unwrap_or_else(|| INACTIVE.to_owned());
    let name = cache(zone, scope, work);
    let mut rule = CacheRule {
        store: name,
        ..CacheRule::default()
    };
    times(scope, &mut rule, work);
    stale(scope, &inactive, &mut rule, work);
    let is_sound = key(scope, &mut rule, work) & bypass(scope, &mut rule, work) & methods(scope, work);
    by_itself(scope, work);
    if is_sound {
        route.cache = Some(rule);
    } else {
        work.ledger.lost(
            directive,
            "nothing is kept, because a part of it could not be translated",
        );
    }
}

fn zone<'t>(name: &str, work: &Work<'t>) -> Option<&'t Directive> {
    work.http.own().iter().find(|d| {
        let zone = d
            .args
            .iter()
            .find_map(|w| w.strip_prefix("keys_zone="))
            .unwrap_or_default();
        d.name == "proxy_cache_path" && zone.split(':').next() == Some(name)
    })
}

fn cache(zone: &Directive, scope: &Scope<'_>, work: &mut Work<'_>) -> String {
    let word = |key: &str| zone.args.iter().find_map(|w| w.strip_prefix(key));
    let called = word("keys_zone=")
        .and_then(|z| z.split(':').next())
        .unwrap_or_default();
    let name = match values::name(called) {
        name if name.is_empty() => "cache".to_owned(),
        name => name,
    };
    let size = word("max_size=").and_then(values::size);
    let uses = scope.one("proxy_cache_min_uses");
    let min_uses = uses
        .and_then(|d| d.arg(0).parse().ok())
        .filter(|n| (2..=1_000_000).contains(n));
    if let Some(uses) = uses {
        work.ledger
            .differs(uses, "counts for the disk; memory keeps what is asked for once");
    }
    let remark = match size {
        Some(_) => {
            "folder and format are Sluice's own, so the cache begins empty; what is asked for least makes room, whatever `inactive` says"
        }
        None => {
            "folder and format are Sluice's own, so the cache begins empty; a cache has a limit here: 10GiB is written"
        }
    };
    work.ledger.differs(zone, remark);
    work.document.caches.entry(name.clone()).or_insert_with(|| Cache {
        memory: None,
        disk: units::format_bytes(size.unwrap_or(DISK).max(DISK_MIN)),
        path: format!("/var/cache/sluice/{name}"),
        min_uses,
    });
    name
}

/// proxy_cache_valid, which in nginx too holds only where the origin says nothing.
fn times(scope: &Scope<'_>, rule: &mut CacheRule, work: &mut Work<'_>) {
    let mut statuses: BTreeMap<String, String> = BTreeMap::new();
    for directive in scope.all("proxy_cache_valid") {
        let [codes @ .., time] = directive.args.as_slice() else {
            continue;
        };
        let Some(duration) = values::duration(time) else {
            work.ledger
                .lost(directive, "this is no time: write `statuses` of [routes.cache]");
            continue;
        };
        let time = values::written(duration);
        let plain = ["200".to_owned(), "301".to_owned(), "302".to_owned()];
        let codes = if codes.is_empty() { &plain } else { codes };
        work.ledger.done(directive);
        for code in codes {
            match code.as_str() {
                "any" => rule.ttl = Some(time.clone()),
                "206" | "304" => work.ledger.differs(
                    directive,
                    "parts, and answers that nothing has changed, are not kept by themselves",
                ),
                code if code.len() == 3 && code.parse::<u16>().is_ok_and(|c| (200..600).contains(&c)) => {
                    statuses.entry(code.to_owned()).or_insert_with(|| time.clone());
                }
                _ => work
                    .ledger
                    .lost(directive, &format!("\"{code}\" is no status of an answer")),
            }
        }
    }
    rule.statuses = statuses;
    if let Some(directive) = scope.one("proxy_ignore_headers") {
        let has = |name: &str| directive.args.iter().any(|a| a.eq_ignore_ascii_case(name));
        let ignores_times = has("Cache-Control") || has("Expires");
        rule.overrides = ignores_times && (rule.ttl.is_some() || !rule.statuses.is_empty());
        match (has("Set-Cookie") || has("Vary"), ignores_times) {
            (true, _) => work.ledger.lost(directive, "answers that set a cookie are never kept, and Vary always counts: let the origin leave them out"),
            (false, true) => work.ledger.differs(directive, "times of the route go first; what is private or no-store is not kept all the same"),
            (false, false) => work.ledger.done_as(directive, "Sluice does not read these fields"),
        }
    }
}

fn stale(scope: &Scope<'_>, inactive: &str, rule: &mut CacheRule, work: &mut Work<'_>) {
    if let Some(directive) = scope.one("proxy_cache_use_stale") {
        let has = |word: &str| directive.args.iter().any(|a| a == word);
        let fails = [
            "error",
            "timeout",
            "invalid_header",
            "http_500",
            "http_502",
            "http_503",
            "http_504",
        ];
        if fails.iter().any(|word| has(word)) {
            rule.stale_if_error = Some(inactive.to_owned());
        }
        if has("updating") {
            rule.stale_while_revalidate = Some(inactive.to_owned());
        }
        let others = ["http_403", "http_404", "http_429"].iter().any(|word| has(word));
        match (others, has("off")) {
            (true, _) => work.ledger.differs(
                directive,
                "403, 404 and 429 are answers, not failures: they reach the client",
            ),
            (false, true) => work.ledger.done(directive),
            (false, false) => work.ledger.done_as(
                directive,
                "for as long as nginx keeps what nobody asks for (`inactive`)",
            ),
        }
    }
    if let Some(directive) = scope.one("proxy_cache_background_update") {
        work.ledger.done_as(
            directive,
            "stale_while_revalidate fetches behind the client's back",
        );
    }
}

/// Whether nothing that nginx tells answers apart by is missing.
fn key(scope: &Scope<'_>, rule: &mut CacheRule, work: &mut Work<'_>) -> bool {
    let Some(directive) = scope.one("proxy_cache_key") else {
        return true;
    };
    let text = directive.args.concat();
    let mut rest = text.as_str();
    let mut has_query = false;
    let mut is_sound = true;
    while let Some(at) = rest.find('$') {
        let after = &rest[at + 1..];
        let after = after.strip_prefix('{').unwrap_or(after);
        let end = after
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(after.len());
        let (name, behind) = after.split_at(end);
        rest = behind.strip_prefix('}').unwrap_or(behind);
        match name {
            "scheme" | "host" | "http_host" | "proxy_host" | "server_name" | "server_port" | "uri"
            | "document_uri" | "request_method" | "is_args" | "" => {}
            "request_uri" | "args" | "query_string" => has_query = true,
            "http_accept_encoding" => {}
            _ => match values::key(&format!("${name}"))
                .as_deref()
                .and_then(|k| k.split_once(':'))
            {
                Some(("header", field)) => rule.key_headers.push(field.to_owned()),
                Some(("cookie", cookie)) => rule.key_cookies.push(cookie.to_owned()),
                _ => is_sound = false,
            },
        }
    }
    rule.without_query = !has_query;
    if is_sound {
        work.ledger.done_as(
            directive,
            "scheme, host, port, path and the route's name always count",
        );
    } else {
        work.ledger.lost(
            directive,
            "answers are told apart by scheme, host, path, query, fields and cookies alone",
        );
    }
    is_sound
}

/// Whether nothing would be kept that nginx does not keep.
fn bypass(scope: &Scope<'_>, rule: &mut CacheRule, work: &mut Work<'_>) -> bool {
    let mut is_sound = true;
    for name in ["proxy_no_cache", "proxy_cache_bypass"] {
        for directive in scope.all(name) {
            for word in &directive.args {
                let key = values::key(word);
                match key.as_deref().and_then(|k| k.split_once(':')) {
                    Some(("header", field)) => add(&mut rule.bypass_headers, field),
                    Some(("cookie", cookie)) => add(&mut rule.bypass_cookies, cookie),
                    _ => {
                        work.ledger.lost(
                            directive,
                            &format!("\"{word}\": requests pass a cache by for a field or a cookie alone"),
                        );
                        is_sound &= name == "proxy_cache_bypass";
                    }
                }
            }
            work.ledger
                .done_as(directive, "the origin is asked, and nothing kept");
        }
    }
    is_sound
}

fn add(list: &mut Vec<String>, name: &str) {
    if !list.iter().any(|n| n == name) {
        list.push(name.to_owned());
    }
}

fn methods(scope: &Scope<'_>, work: &mut Work<'_>) -> bool {
    if let Some(directive) = scope.one("proxy_cache_methods") {
        if directive.args.iter().any(|m| m == "POST") {
            work.ledger
                .lost(directive, "answers to GET and HEAD alone are kept");
        } else {
            work.ledger.done(directive);
        }
    }
    true
}

fn by_itself(scope: &Scope<'_>, work: &mut Work<'_>) {
    for (name, remark) in [
        (
            "proxy_cache_lock",
            "one request asks the origin, the others follow its answer as it comes",
        ),
        (
            "proxy_cache_lock_timeout",
            "whoever follows does not wait for the end",
        ),
        (
            "proxy_cache_lock_age",
            "whoever follows does not wait for the end",
        ),
        (
            "proxy_cache_revalidate",
            "stale answers are asked about with their validators",
        ),
        (
            "proxy_cache_convert_head",
            "HEAD is answered from what GET has brought",
        ),
        (
            "proxy_cache_max_range_offset",
            "the whole is fetched, parts are cut from it",
        ),
    ] {
        if let Some(directive) = scope.one(name) {
            work.ledger.done_as(directive, remark);
        }
    }
}
