//! `[[routes]]` and `[defaults]`

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::actions::{self, Upstreams};
use super::cache_rule;
use super::caches::Caches;
use super::edits::{self, Side};
use super::guards;
use super::values::{self, BODY_BYTES, Zero};
use super::{compression, listeners, matches, overlap};
use crate::config::findings::Findings;
use crate::config::plan::{CacheRule, Edits, Listener, Match, PathPattern, Rewrite, Route, UpstreamId};
use crate::config::raw;
use crate::config::raw::leaf::{self, At, Maybe, Span};
use crate::kit::pattern::Pattern;

/// What a route has that does not say otherwise.
struct Defaults {
    timeout: Option<Duration>,
    max_body: u64,
    request_headers: Edits,
    response_headers: Edits,
    access_log: bool,
    cache: Option<CacheRule>,
    compression: bool,
    guards: guards::Written,
    mirror: Option<UpstreamId>,
}

/// What routes refer to by name.
struct Named<'r> {
    listeners: Vec<&'r str>,
    upstreams: Upstreams<'r>,
    caches: Caches<'r>,
    guards: guards::Named<'r>,
}

/// A checked route and where its parts stand, for what compares routes.
pub struct Placed {
    /// The route.
    pub route: Arc<Route>,
    /// "routes.api"
    pub path: String,
    /// Its match, or its whole table.
    pub span: Span,
}

/// `[[routes]]`, no name twice, in file order.
pub fn routes<'r>(
    file: &'r raw::File,
    listeners: &[Listener],
    guards: guards::Named<'r>,
    max_body: u64,
    findings: &mut Findings<'_>,
) -> Vec<Arc<Route>> {
    let mut named = Named {
        listeners: listeners::names(&file.listeners),
        upstreams: Upstreams::of(file.upstreams.as_ref()),
        caches: Caches::of(file.caches.as_ref()),
        guards,
    };
    let defaults = defaults(file.defaults.as_ref(), max_body, &mut named, findings);
    let listed = file.routes.as_ref().map_or(&[][..], |list| &list.value);
    let mut names: BTreeMap<String, Span> = BTreeMap::new();
    let mut placed = Vec::with_capacity(listed.len());
    for (index, item) in listed.iter().enumerate() {
        let (name, path) = name(index, item, findings);
        let span = item.value.name.as_ref().map_or(&item.span, |n| &n.span);
        if let Some(first) = names.insert(name.clone(), span.clone()) {
            let message = format!("two routes are named \"{name}\"");
            let help = format!("the other stands at {}", findings.place(&first));
            findings.error(span, &format!("{path}.name"), message).help(help);
        }
        let route = route(item, name, &path, &mut named, &defaults, findings);
        if let Some(route) = route {
            if item.value.name.is_none() && route.cache.is_some() {
                let message = "a route that keeps answers has no name";
                findings.warning(&item.span, &path, message).help(format!(
                    "name it: what is stored is found under the name, and \"{}\" changes with the file",
                    route.name
                ));
            }
            let span = item.value.matches.as_ref().map_or(&item.span, |m| &m.span);
            placed.push(Placed {
                route: Arc::new(route),
                path,
                span: span.clone(),
            });
        }
    }
    overlap::check(&placed, listeners, findings);
    named.upstreams.warn_of_unused(findings);
    named.caches.warn_of_unused(findings);
    named.guards.warn_of_unused(findings);
    let checked = placed.iter().map(|p| &*p.route);
    compression::warn_of_unused(file.compression.as_ref(), checked, findings);
    let answers = listeners.is_empty() || listeners.iter().any(|l| !l.redirect_to_https);
    if listed.is_empty() && answers && findings.is_whole(&(0..0)) {
        let message = "there is no [[routes]]: every request is answered with 404";
        findings.warning(&(0..0), "routes", message);
    }
    placed.into_iter().map(|p| p.route).collect()
}

fn name(index: usize, item: &At<raw::Route>, findings: &mut Findings<'_>) -> (String, String) {
    match &item.value.name {
        Some(name) => {
            let path = format!("routes.{}", name.value);
            values::name(name, &format!("{path}.name"), findings);
            (name.value.clone(), path)
        }
        None => (format!("route-{index}"), format!("routes.{index}")),
    }
}

fn route(
    item: &At<raw::Route>,
    name: String,
    path: &str,
    named: &mut Named<'_>,
    defaults: &Defaults,
    findings: &mut Findings<'_>,
) -> Option<Route> {
    let raw = &item.value;
    let matches = matches::matches(raw.matches.as_ref(), path, &named.listeners, findings);
    let action = actions::action(item, path, &mut named.upstreams, findings);
    let cache = cache_rule::rule(&raw.cache, path, &mut named.caches, findings);
    cache_of_methods(raw, matches.as_ref(), path, findings);
    let timeout = timeout(&raw.timeout, path, findings);
    let headers = |raw: &Maybe<raw::Edits>, key: &str, side, findings: &mut Findings<'_>| {
        let raw = raw.as_ref()?;
        Some(edits::edits(&raw.value, side, &format!("{path}.{key}"), findings))
    };
    let request = headers(&raw.request_headers, "request_headers", Side::Request, findings);
    let response = headers(
        &raw.response_headers,
        "response_headers",
        Side::Response,
        findings,
    );
    let rewrite = raw
        .rewrite
        .as_ref()
        .and_then(|r| rewrite(r, &format!("{path}.rewrite"), findings));
    let max_body = values::size(
        &raw.max_body,
        &format!("{path}.max_body"),
        BODY_BYTES,
        defaults.max_body,
        findings,
    );
    strips_nothing(raw, rewrite.as_ref(), matches.as_ref(), path, findings);
    let mirror = actions::mirror(&raw.mirror, path, &mut named.upstreams, findings);
    let guards = guards::guards(item, path, &mut named.guards, &defaults.guards, findings);
    let action = action?;
    let is_own = |id: &UpstreamId| action.asks(*id);
    if mirror.flatten().as_ref().is_some_and(is_own) {
        actions::mirrors_itself(&raw.mirror, path, findings);
    }
    // What concerns an origin means nothing where none is asked: written there it is an error, inherited it goes.
    let (timeout_default, request_defaults, cache_default, mirror_default) = match action.asks_an_origin() {
        true => (
            defaults.timeout,
            defaults.request_headers.clone(),
            defaults.cache.clone(),
            // The route to the mirror itself needs none.
            defaults.mirror.filter(|id| !is_own(id)),
        ),
        false => (None, Edits::default(), None, None),
    };
    Some(Route {
        name,
        matches: matches?,
        timeout: timeout.unwrap_or(timeout_default),
        max_body,
        rewrite,
        request_headers: request.unwrap_or(request_defaults),
        action,
        response_headers: response.unwrap_or_else(|| defaults.response_headers.clone()),
        access_log: flag(&raw.access_log, defaults.access_log),
        cache: cache.unwrap_or(cache_default),
        compression: flag(&raw.compression, defaults.compression),
        guards,
        mirror: mirror.unwrap_or(mirror_default),
    })
}

fn flag(raw: &Maybe<leaf::Flag>, default: bool) -> bool {
    raw.as_ref().map_or(default, |f| f.value.0)
}

/// A rule for requests whose answers are never kept.
fn cache_of_methods(raw: &raw::Route, matches: Option<&Match>, path: &str, findings: &mut Findings<'_>) {
    let (Some(section), Some(matches)) = (&raw.cache, matches) else {
        return;
    };
    let methods = &matches.methods;
    if methods.is_empty() || methods.iter().any(|m| m == "GET" || m == "HEAD") {
        return;
    }
    let message = format!(
        "answers to {} are not kept, only those to GET and HEAD",
        methods.join(", ")
    );
    let problem = findings.warning(&section.span, &format!("{path}.cache"), message);
    problem.help("take it out, or add \"GET\" to the methods of `match`");
}

fn defaults(
    raw: Option<&At<raw::Defaults>>,
    max_body: u64,
    named: &mut Named<'_>,
    findings: &mut Findings<'_>,
) -> Defaults {
    let empty = At::default();
    let raw = &raw.unwrap_or(&empty).value;
    let headers = |raw: &Maybe<raw::Edits>, key: &str, side, findings: &mut Findings<'_>| {
        raw.as_ref().map_or_else(Edits::default, |raw| {
            edits::edits(&raw.value, side, &format!("defaults.{key}"), findings)
        })
    };
    Defaults {
        timeout: timeout(&raw.timeout, "defaults", findings).flatten(),
        max_body: values::size(&raw.max_body, "defaults.max_body", BODY_BYTES, max_body, findings),
        request_headers: headers(&raw.request_headers, "request_headers", Side::Request, findings),
        response_headers: headers(
            &raw.response_headers,
            "response_headers",
            Side::Response,
            findings,
        ),
        access_log: flag(&raw.access_log, true),
        cache: cache_rule::rule(&raw.cache, "defaults", &mut named.caches, findings).flatten(),
        compression: flag(&raw.compression, false),
        guards: guards::defaults(raw, &mut named.guards, findings),
        mirror: actions::mirror(&raw.mirror, "defaults", &mut named.upstreams, findings).flatten(),
    }
}

/// Outer None: nothing is written. Inner None: "none" is written.
fn timeout(raw: &Maybe<leaf::Timeout>, path: &str, findings: &mut Findings<'_>) -> Option<Option<Duration>> {
    let raw = raw.as_ref()?;
    if raw.value.0 == "none" {
        return Some(None);
    }
    let zero = Zero::Means("\"none\" sets no limit");
    let path = format!("{path}.timeout");
    values::duration_of(&raw.value.0, &raw.span, &path, zero, findings).map(Some)
}

/// Exactly one of its three forms.
fn rewrite(section: &At<raw::Rewrite>, path: &str, findings: &mut Findings<'_>) -> Option<Rewrite> {
    const HELP: &str = "write strip_prefix, add_prefix, or regex with to";
    let raw = &section.value;
    let forms = [
        ("strip_prefix", raw.strip_prefix.as_ref().map(|p| &p.span)),
        ("add_prefix", raw.add_prefix.as_ref().map(|p| &p.span)),
        ("regex", raw.regex.as_ref().map(|p| &p.span)),
    ];
    let written: Vec<_> = forms
        .into_iter()
        .filter_map(|(key, span)| Some((key, span?)))
        .collect();
    match written.as_slice() {
        [] => {
            if findings.is_whole(&section.span) {
                let problem = findings.error(&section.span, path, "a rewrite that does not say how");
                problem.help(HELP);
            }
            return None;
        }
        [_] => {}
        [(first, _), (second, span), ..] => {
            let message = format!("`{first}` and `{second}` cannot both be in one rewrite");
            findings
                .error(span, &format!("{path}.{second}"), message)
                .help(HELP);
            return None;
        }
    }
    if let (Some(to), None) = (&raw.to, &raw.regex)
        && findings.is_whole(&section.span)
    {
        let problem = findings.error(
            &to.span,
            &format!("{path}.to"),
            "`to` has no effect without `regex`",
        );
        problem.help(HELP);
    }
    if let Some(prefix) = &raw.strip_prefix {
        return prefix_of(prefix, &format!("{path}.strip_prefix"), findings).map(Rewrite::StripPrefix);
    }
    if let Some(prefix) = &raw.add_prefix {
        return prefix_of(prefix, &format!("{path}.add_prefix"), findings).map(Rewrite::AddPrefix);
    }
    regex_rewrite(section, path, findings)
}

fn prefix_of(raw: &At<String>, path: &str, findings: &mut Findings<'_>) -> Option<String> {
    if !matches::is_path(raw, path, findings) {
        return None;
    }
    let prefix = raw.value.trim_end_matches('/');
    if prefix.is_empty() {
        let message = format!("\"{}\" would change nothing", raw.value);
        findings
            .error(&raw.span, path, message)
            .help("take the rewrite out");
        return None;
    }
    Some(prefix.to_owned())
}

/// A prefix that no request of the route has.
fn strips_nothing(
    raw: &raw::Route,
    rewrite: Option<&Rewrite>,
    matches: Option<&Match>,
    path: &str,
    findings: &mut Findings<'_>,
) {
    let (Some(Rewrite::StripPrefix(prefix)), Some(matches)) = (rewrite, matches) else {
        return;
    };
    let Some(written) = raw.rewrite.as_ref().and_then(|r| r.value.strip_prefix.as_ref()) else {
        return;
    };
    let is_at_or_below = |path: &str, above: &str| {
        path.strip_prefix(above)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let (own, has_effect) = match &matches.path {
        PathPattern::Exact(own) => (own, is_at_or_below(own, prefix)),
        PathPattern::Prefix(own) => (own, is_at_or_below(own, prefix) || is_at_or_below(prefix, own)),
        PathPattern::Any | PathPattern::Regex(_) => return,
    };
    if !has_effect {
        let message = format!("`strip_prefix` has no effect: no path of this route begins with {prefix}");
        let problem = findings.error(&written.span, &format!("{path}.rewrite.strip_prefix"), message);
        problem.help(format!(
            "`match` is for \"{own}\": write that, or a part of it that ends before a slash"
        ));
    }
}

fn regex_rewrite(section: &At<raw::Rewrite>, path: &str, findings: &mut Findings<'_>) -> Option<Rewrite> {
    let raw = &section.value;
    let regex = raw.regex.as_ref()?;
    let pattern = matches::regex(regex, &format!("{path}.regex"), findings);
    let Some(to) = &raw.to else {
        if findings.is_whole(&section.span) {
            let message = "`regex` needs a `to`: what becomes of the match";
            let problem = findings.error(&regex.span, &format!("{path}.to"), message);
            problem.help("rewrite = { regex = \"^/v1/(.*)\", to = \"/$1\" }");
        }
        return None;
    };
    let text = to.value.0.as_str();
    if text.bytes().any(|b| b.is_ascii_control() || b == b' ') {
        let problem = findings.error(
            &to.span,
            &format!("{path}.to"),
            "a path cannot hold spaces or controls",
        );
        problem.help("percent-encode them");
        return None;
    }
    let pattern = pattern?;
    if let Some(name) = pattern.unknown_group(text) {
        let message = format!("`to` names the group \"{name}\", which `regex` does not have");
        let help = match known_beginning(&pattern, name) {
            Some((known, rest)) => format!("write \"${{{known}}}{rest}\""),
            None => format!("it has {}; a dollar alone is \"$$\"", pattern.groups().join(", ")),
        };
        let span = findings.part(&to.span, name);
        findings.error(&span, &format!("{path}.to"), message).help(help);
    }
    Some(Rewrite::Regex {
        pattern,
        to: text.to_owned(),
    })
}

/// What was probably meant by the name of a group that is not there, and text behind it: the longest that is there.
fn known_beginning<'t>(pattern: &Pattern, name: &'t str) -> Option<(&'t str, &'t str)> {
    let ends = (1..name.len()).rev().filter(|end| name.is_char_boundary(*end));
    ends.map(|end| name.split_at(end))
        .find(|(known, _)| pattern.has_group(known))
}
