//! `cache` of a route, and of `[defaults]`

use std::collections::BTreeMap;
use std::time::Duration;

use super::caches::Caches;
use super::values::{self, Zero};
use crate::config::findings::Findings;
use crate::config::plan::{Bypass, CacheRule, KeyRule, QueryRule};
use crate::config::raw;
use crate::config::raw::leaf::{At, List, Maybe};
use crate::wire::syntax;

/// Names in one list of a rule: each of them is looked for in every request.
const NAMES_MAX: usize = 64;

/// Outer None: nothing is written. Inner None: it says that nothing is kept, or a problem is told.
pub fn rule(
    raw: &Maybe<raw::CacheRule>,
    path: &str,
    caches: &mut Caches<'_>,
    findings: &mut Findings<'_>,
) -> Option<Option<CacheRule>> {
    let section = raw.as_ref()?;
    let path = format!("{path}.cache");
    let raw = &section.value;
    let store = match &raw.store {
        Some(name) if name.value.is_empty() => None,
        Some(name) => caches.find(name, &format!("{path}.store"), findings),
        None => {
            if findings.is_whole(&section.span) {
                let message = "`cache` does not say where answers are kept";
                let problem = findings.error(&section.span, &path, message);
                problem.help(caches.example());
            }
            None
        }
    };
    let ttl = raw.ttl.as_ref().and_then(|ttl| {
        let at = format!("{path}.ttl");
        values::duration_of(&ttl.value.0, &ttl.span, &at, Zero::Allowed, findings)
    });
    let mut stale = |value, key: &str| {
        values::duration(
            value,
            &format!("{path}.{key}"),
            Zero::Allowed,
            Duration::ZERO,
            findings,
        )
    };
    let stale_while_revalidate = stale(&raw.stale_while_revalidate, "stale_while_revalidate");
    let stale_if_error = stale(&raw.stale_if_error, "stale_if_error");
    let statuses = statuses(raw, &path, findings);
    let overrides = overrides(section, &path, findings);
    let key = key(&raw.key, &format!("{path}.key"), findings);
    let bypass = bypass(&raw.bypass, &format!("{path}.bypass"), findings);
    let rule = |store| CacheRule {
        store,
        ttl,
        overrides,
        statuses,
        stale_while_revalidate,
        stale_if_error,
        key,
        bypass,
    };
    Some(store.map(rule))
}

fn statuses(raw: &raw::CacheRule, path: &str, findings: &mut Findings<'_>) -> Vec<(u16, Duration)> {
    let mut statuses = Vec::new();
    for (status, time) in raw.statuses.iter().flat_map(|map| &map.value) {
        let at = format!("{path}.statuses.{}", status.value);
        let time = values::duration_of(&time.value.0, &time.span, &at, Zero::Allowed, findings);
        if let (Some(status), Some(time)) = (self::status(status, &at, findings), time) {
            statuses.push((status, time));
        }
    }
    // Names are sorted as texts, which for three digits is the order of the numbers.
    statuses
}

fn status(written: &At<String>, path: &str, findings: &mut Findings<'_>) -> Option<u16> {
    let text = written.value.as_str();
    let number = text.parse().ok().filter(|_| text.len() == 3);
    let (message, help) = match number {
        // RFC 9111 §3.3: a part may be kept only by a cache that can put parts together, which this one does not.
        Some(206) => (
            "an answer with status 206 is a part of another and is not kept".to_owned(),
            "take it out: parts are cut from the whole answer, which is status 200",
        ),
        // RFC 9111 §4.3.4: it brings new fields for an answer that is kept already.
        Some(304) => (
            "an answer with status 304 renews another and is not kept itself".to_owned(),
            "take it out: the answer it renews has a status of its own",
        ),
        Some(status @ 200..=599) => return Some(status),
        _ => (
            format!("\"{text}\" is not the status of an answer"),
            "write each status by itself, from \"200\" to \"599\": { \"404\" = \"10s\", \"410\" = \"10s\" }",
        ),
    };
    findings.error(&written.span, path, message).help(help);
    None
}

fn overrides(section: &At<raw::CacheRule>, path: &str, findings: &mut Findings<'_>) -> bool {
    let raw = &section.value;
    let Some(written) = raw.overrides.as_ref().filter(|f| f.value.0) else {
        return false;
    };
    let is_said = |map: &At<BTreeMap<_, _>>| !map.value.is_empty() || !findings.is_whole(&map.span);
    let has_statuses = raw.statuses.as_ref().is_some_and(is_said);
    if raw.ttl.is_none() && !has_statuses && findings.is_whole(&section.span) {
        let message = "`override` has no effect without `ttl` or `statuses`";
        let problem = findings.error(&written.span, &format!("{path}.override"), message);
        problem.help("say how long answers are fresh: ttl = \"60s\"");
    }
    true
}

fn key(raw: &Maybe<raw::CacheKey>, path: &str, findings: &mut Findings<'_>) -> KeyRule {
    let Some(section) = raw else {
        return KeyRule::default();
    };
    let raw = &section.value;
    KeyRule {
        query: query(&raw.query, &format!("{path}.query"), findings),
        headers: headers(&raw.headers, &format!("{path}.headers"), findings),
        cookies: cookies(&raw.cookies, &format!("{path}.cookies"), findings),
    }
}

fn bypass(raw: &Maybe<raw::Bypass>, path: &str, findings: &mut Findings<'_>) -> Bypass {
    let Some(section) = raw else {
        return Bypass::default();
    };
    Bypass {
        cookies: cookies(&section.value.cookies, &format!("{path}.cookies"), findings),
        headers: headers(&section.value.headers, &format!("{path}.headers"), findings),
    }
}

fn query(raw: &Maybe<raw::Query>, path: &str, findings: &mut Findings<'_>) -> QueryRule {
    let Some(section) = raw else {
        return QueryRule::default();
    };
    match &section.value {
        raw::Query::All => QueryRule::All,
        raw::Query::None => QueryRule::None,
        raw::Query::Only(list) => match parameters(list, path, findings) {
            none if none.is_empty() => QueryRule::None,
            some => QueryRule::Only(some),
        },
        raw::Query::Except(raw::Except { except }) => {
            if except.is_none() && findings.is_whole(&section.span) {
                let message = "`query` does not say which parameters do not count";
                let problem = findings.error(&section.span, path, message);
                problem.help("write { except = [\"utm_*\"] }, or \"all\"");
            }
            let list = except.as_ref().map_or(&[][..], |list| &list.value);
            match parameters(list, &format!("{path}.except"), findings) {
                none if none.is_empty() => QueryRule::All,
                some => QueryRule::Except(some),
            }
        }
    }
}

fn headers(raw: &List<String>, path: &str, findings: &mut Findings<'_>) -> Vec<String> {
    let list = raw.as_ref().map_or(&[][..], |list| &list.value);
    names(list, path, findings, |name, path, findings| {
        is_name(name, "a field", path, findings).then(|| name.value.to_ascii_lowercase())
    })
}

fn cookies(raw: &List<String>, path: &str, findings: &mut Findings<'_>) -> Vec<String> {
    let list = raw.as_ref().map_or(&[][..], |list| &list.value);
    names(list, path, findings, |name, path, findings| {
        is_name(name, "a cookie", path, findings).then(|| name.value.clone())
    })
}

fn parameters(list: &[At<String>], path: &str, findings: &mut Findings<'_>) -> Vec<String> {
    names(list, path, findings, |name, path, findings| {
        is_parameter(name, path, findings).then(|| name.value.clone())
    })
}

/// The names of a list that pass, sorted, none twice.
fn names(
    list: &[At<String>],
    path: &str,
    findings: &mut Findings<'_>,
    pass: impl Fn(&At<String>, &str, &mut Findings<'_>) -> Option<String>,
) -> Vec<String> {
    if let Some(beyond) = list.get(NAMES_MAX) {
        let message = format!("these are {} names, more than {NAMES_MAX}", list.len());
        let problem = findings.error(&beyond.span, path, message);
        problem.help("each of them is looked for in every request: keep those that matter");
    }
    let mut names: Vec<String> = Vec::with_capacity(list.len().min(NAMES_MAX));
    for item in list.iter().take(NAMES_MAX) {
        let Some(name) = pass(item, path, findings) else {
            continue;
        };
        if names.contains(&name) {
            let message = format!("\"{}\" is listed twice", item.value);
            findings.warning(&item.span, path, message);
        } else {
            names.push(name);
        }
    }
    names.sort();
    names
}

/// Whether a field or a cookie can have this name. A "*" is a character of theirs, but nobody means it as one.
fn is_name(name: &At<String>, whose: &str, path: &str, findings: &mut Findings<'_>) -> bool {
    let text = name.value.as_str();
    let (message, help) = if text.contains('*') {
        (
            format!("\"{text}\" stands for no other names"),
            "write each name in full: only names of a query may end in \"*\"",
        )
    } else if !syntax::is_token(text.as_bytes()) {
        (
            format!("\"{text}\" cannot be the name of {whose}"),
            "write letters, digits, \"-\" or \"_\"",
        )
    } else {
        return true;
    };
    findings.error(&name.span, path, message).help(help);
    false
}

fn is_parameter(name: &At<String>, path: &str, findings: &mut Findings<'_>) -> bool {
    let text = name.value.as_str();
    let stem = text.strip_suffix('*').unwrap_or(text);
    let (message, help) = if text.is_empty() {
        (
            "a parameter without a name".to_owned(),
            "write [\"page\"], or \"none\" where no parameter counts",
        )
    } else if stem.contains('*') {
        (
            format!("\"{text}\" has a \"*\" before its end"),
            "a \"*\" at the end stands for any ending: \"utm_*\"",
        )
    } else if stem.contains(['&', '=', '#', '?']) {
        (
            format!("\"{text}\" cannot be the name of a parameter"),
            "write the name alone: \"page\" for ?page=2",
        )
    } else {
        return true;
    };
    findings.error(&name.span, path, message).help(help);
    false
}
