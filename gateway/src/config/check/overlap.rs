//! Routes against each other: those that are equal, and those that can never match.

use std::collections::BTreeMap;

use super::routes::Placed;
use crate::config::findings::Findings;
use crate::config::plan::{Listener, Match, PathPattern, ValueTest};
use crate::kit::host::HostPattern;

/// Tells of equal matches (errors) and of routes no request can reach (warnings).
pub fn check(routes: &[Placed], listeners: &[Listener], findings: &mut Findings<'_>) {
    equal_matches(routes, findings);
    hidden_by_prefixes(routes, findings);
    hidden_by_expressions(routes, findings);
    redirected_listeners(routes, listeners, findings);
}

/// All of a match but its methods. Two that agree in this differ in methods or are equal.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Rest<'p> {
    listener: Option<&'p str>,
    host: &'p HostPattern,
    path: (u8, &'p str),
    headers: &'p [(String, ValueTest)],
    query: &'p [(String, ValueTest)],
}

impl<'p> Rest<'p> {
    fn of(matches: &'p Match) -> Self {
        Self {
            listener: matches.listener.as_deref(),
            host: &matches.host,
            path: match &matches.path {
                PathPattern::Any => (3, ""),
                PathPattern::Exact(path) => (0, path),
                PathPattern::Prefix(path) => (1, path),
                PathPattern::Regex(pattern) => (2, pattern.text()),
            },
            headers: &matches.headers,
            query: &matches.query,
        }
    }
}

fn equal_matches(routes: &[Placed], findings: &mut Findings<'_>) {
    let mut groups: BTreeMap<Rest<'_>, Vec<&Placed>> = BTreeMap::new();
    for placed in routes {
        let earlier = groups.entry(Rest::of(&placed.route.matches)).or_default();
        let equal = earlier.iter().find_map(|other| {
            let method = common_method(&other.route.matches.methods, &placed.route.matches.methods)?;
            Some((other, method))
        });
        if let Some((other, method)) = equal {
            let what = method.map_or_else(String::new, |m| format!(" for {m}"));
            let (a, b) = (&other.route.name, &placed.route.name);
            let message = format!("the routes \"{a}\" and \"{b}\" match the same requests{what}");
            let help = format!(
                "\"{a}\" stands at {}: make one of them more specific or take it out",
                findings.place(&other.span)
            );
            findings
                .error(&placed.span, &format!("{}.match", placed.path), message)
                .help(help);
        }
        earlier.push(placed);
    }
}

/// Whether two lists of methods are equally specific and share a method, and which.
///
/// Every method on both sides is shared without a name. A list is more specific than no list, so those two
/// do not compete.
fn common_method<'m>(a: &'m [String], b: &'m [String]) -> Option<Option<&'m str>> {
    if a.is_empty() && b.is_empty() {
        return Some(None);
    }
    let takes = |list: &[String], method: &str| {
        // RFC 9110 §9.3.2: whoever takes GET takes HEAD.
        list.iter().any(|m| m == method || m == "GET" && method == "HEAD")
    };
    let named = a.iter().chain(b).map(String::as_str);
    named.into_iter().find(|m| takes(a, m) && takes(b, m)).map(Some)
}

/// A path_prefix goes before every path_regex, and both go before a route without a path: a prefix that
/// covers all that one of those could match hides it.
fn hidden_by_prefixes(routes: &[Placed], findings: &mut Findings<'_>) {
    let mut prefixes: BTreeMap<&HostPattern, Vec<(&str, &Placed)>> = BTreeMap::new();
    for placed in routes {
        let m = &placed.route.matches;
        if let PathPattern::Prefix(prefix) = &m.path
            && is_unconditional(m)
        {
            prefixes.entry(&m.host).or_default().push((prefix, placed));
        }
    }
    for placed in routes {
        let m = &placed.route.matches;
        let start = match &m.path {
            PathPattern::Any => String::new(),
            PathPattern::Regex(pattern) => literal_start(pattern.text()),
            PathPattern::Exact(_) | PathPattern::Prefix(_) => continue,
        };
        let covers = |(prefix, other): &&(&str, &Placed)| {
            covers_listener(&other.route.matches, m) && is_below(prefix, &start)
        };
        let Some((prefix, other)) = prefixes.get(&m.host).and_then(|all| all.iter().find(covers)) else {
            continue;
        };
        let (name, hider) = (&placed.route.name, &other.route.name);
        let shown = if prefix.is_empty() { "/" } else { prefix };
        let message =
            format!("the route \"{name}\" can never match: \"{hider}\" takes every path below {shown} first");
        let mut help = format!("\"{hider}\" stands at {}", findings.place(&other.span));
        if prefix.is_empty() {
            help += "; without `path_prefix = \"/\"` it comes last";
        }
        findings
            .warning(&placed.span, &format!("{}.match", placed.path), message)
            .help(help);
    }
}

/// Expressions are tried in file order, whatever else their routes ask for: the same one without conditions
/// hides those behind it.
fn hidden_by_expressions(routes: &[Placed], findings: &mut Findings<'_>) {
    let mut earlier: BTreeMap<(&HostPattern, &str), Vec<&Placed>> = BTreeMap::new();
    for placed in routes {
        let m = &placed.route.matches;
        let PathPattern::Regex(pattern) = &m.path else {
            continue;
        };
        let same = earlier.entry((&m.host, pattern.text())).or_default();
        let hider = same.iter().find(|other| {
            let other = &other.route.matches;
            // Two that are equal have been told as an error.
            covers_listener(other, m) && !(is_unconditional(m) && other.listener == m.listener)
        });
        if let Some(other) = hider {
            let (name, hider) = (&placed.route.name, &other.route.name);
            let message = format!(
                "the route \"{name}\" can never match: \"{hider}\" takes all that its expression finds first"
            );
            let help = format!(
                "put it before \"{hider}\" at {}: expressions are tried in file order",
                findings.place(&other.span)
            );
            findings
                .warning(&placed.span, &format!("{}.match", placed.path), message)
                .help(help);
        }
        if is_unconditional(m) {
            same.push(placed);
        }
    }
}

/// Whether nothing but listener, host and path is asked for.
fn is_unconditional(m: &Match) -> bool {
    m.methods.is_empty() && m.headers.is_empty() && m.query.is_empty()
}

/// Whether every listener that `other` is for is one that `m` is for.
fn covers_listener(m: &Match, other: &Match) -> bool {
    m.listener.is_none() || m.listener == other.listener
}

/// Whether every path that begins with `start` lies at or below `prefix`.
fn is_below(prefix: &str, start: &str) -> bool {
    start
        .strip_prefix(prefix)
        .is_some_and(|rest| prefix.is_empty() || rest.starts_with('/'))
}

/// The text each match of the expression begins with, as far as a glance tells.
fn literal_start(regex: &str) -> String {
    let Some(rest) = regex.strip_prefix('^').filter(|r| !r.contains('|')) else {
        return String::new();
    };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '~');
    let end = rest.find(|c| !is_plain(c)).unwrap_or(rest.len());
    let (start, after) = rest.split_at(end);
    // What follows may make the last character optional.
    let kept = if after.starts_with(['*', '?', '{']) {
        end.saturating_sub(1)
    } else {
        end
    };
    start[..kept].to_owned()
}

/// A listener that redirects everything to https leaves its routes nothing.
fn redirected_listeners(routes: &[Placed], listeners: &[Listener], findings: &mut Findings<'_>) {
    if let Some(first) = routes.first()
        && !listeners.is_empty()
        && listeners.iter().all(|l| l.redirect_to_https)
    {
        let message = "no route can ever match: every listener redirects every request to https";
        findings
            .warning(&first.span, &format!("{}.match", first.path), message)
            .help("take `redirect_to_https` off a listener, or the routes out");
        return;
    }
    for placed in routes {
        let Some(name) = &placed.route.matches.listener else {
            continue;
        };
        let redirects = listeners
            .iter()
            .any(|l| l.name.as_ref() == Some(name) && l.redirect_to_https);
        if redirects {
            let message = format!(
                "the route \"{}\" can never match: the listener \"{name}\" redirects every request to https",
                placed.route.name
            );
            findings.warning(&placed.span, &format!("{}.match.listener", placed.path), message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_literal_start_never_promises_too_much() {
        for (regex, start) in [
            ("^/api/v[0-9]+", "/api/v"),
            ("^/ab?c", "/a"),
            ("^/ab*", "/a"),
            ("^/ab{0,1}", "/a"),
            ("^/ab+", "/ab"),
            ("^/a|^/b", ""),
            ("/a", ""),
            ("^/a\\.php$", "/a"),
            ("^(/a)", ""),
        ] {
            assert_eq!(literal_start(regex), start, "{regex}");
        }
    }

    #[test]
    fn below_is_at_segment_ends_only() {
        assert!(is_below("", "") && is_below("", "/x"));
        assert!(is_below("/api", "/api/v"));
        assert!(
            !is_below("/api", "/api"),
            "an expression may go on with \"/apiary\""
        );
        assert!(!is_below("/api", "/ap"));
    }

    #[test]
    fn lists_of_methods_compete_when_they_share_one_or_both_are_empty() {
        let list = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(common_method(&[], &[]), Some(None));
        assert_eq!(common_method(&list("GET"), &[]), None);
        assert_eq!(
            common_method(&list("GET POST"), &list("POST PUT")),
            Some(Some("POST"))
        );
        assert_eq!(common_method(&list("GET"), &list("PUT")), None);
        assert_eq!(common_method(&list("GET"), &list("HEAD")), Some(Some("HEAD")));
        assert_eq!(common_method(&list("HEAD"), &list("GET")), Some(Some("HEAD")));
    }
}
