//! `match = { … }`

use std::collections::BTreeMap;

use crate::config::findings::Findings;
use crate::config::hints;
use crate::config::plan::{Match, PathPattern, ValueTest};
use crate::config::raw;
use crate::config::raw::leaf::{At, Maybe};
use crate::kit::host::{self, HostPattern};
use crate::kit::pattern::Pattern;
use crate::wire::syntax;

/// Methods people use; another one is allowed, but may be a slip.
const METHODS: [&str; 19] = [
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "TRACE",
    "CONNECT",
    "PROPFIND",
    "PROPPATCH",
    "MKCOL",
    "COPY",
    "MOVE",
    "LOCK",
    "UNLOCK",
    "SEARCH",
    "REPORT",
    "PURGE",
];

/// Which requests a route is for; None if it cannot be told.
pub fn matches(
    raw: Option<&At<raw::Match>>,
    route: &str,
    listeners: &[&str],
    findings: &mut Findings<'_>,
) -> Option<Match> {
    let empty = At::default();
    let raw = &raw.unwrap_or(&empty).value;
    let path = format!("{route}.match");
    let listener = raw.listener.as_ref();
    let listener_known = listener.is_none_or(|l| is_known(l, listeners, &path, findings));
    let host = match &raw.host {
        None => Some(HostPattern::Any),
        Some(text) => host(text, &format!("{path}.host"), findings),
    };
    let pattern = path_pattern(raw, &path, findings);
    let methods = raw.methods.as_ref().map_or(&[][..], |list| &list.value);
    let methods = self::methods(methods, &format!("{path}.methods"), findings);
    let headers = headers(&raw.headers, &format!("{path}.headers"), findings);
    let query = tests(&raw.query)
        .map(|(name, test)| (name.value.clone(), test))
        .collect();
    listener_known.then_some(())?;
    Some(Match {
        listener: listener.map(|l| l.value.clone()),
        host: host?,
        path: pattern?,
        methods,
        headers,
        query,
    })
}

fn is_known(name: &At<String>, listeners: &[&str], path: &str, findings: &mut Findings<'_>) -> bool {
    let known = listeners.contains(&name.value.as_str());
    if !known && findings.is_complete() {
        let message = format!("no listener is named \"{}\"", name.value);
        let help = match (hints::closest(&name.value, listeners), listeners) {
            (Some(close), _) => hints::did_you_mean(close),
            (None, []) => "give a listener a name: [[listeners]] name = \"public\"".to_owned(),
            (None, _) => format!("there is {}", hints::one_of(listeners)),
        };
        findings
            .error(&name.span, &format!("{path}.listener"), message)
            .help(help);
    }
    known
}

fn host(raw: &At<String>, path: &str, findings: &mut Findings<'_>) -> Option<HostPattern> {
    let parsed = HostPattern::parse(&raw.value);
    if parsed.is_none() {
        let message = format!("\"{}\" is not a host", raw.value);
        let bare = raw
            .value
            .split_once("://")
            .map_or(raw.value.as_str(), |(_, rest)| rest);
        let bare = bare.split('/').next().unwrap_or_default();
        let help = match host::split_port(bare) {
            Some((name, _)) if HostPattern::parse(name).is_some() => {
                format!("write the name alone: \"{name}\"")
            }
            _ => "write \"example.com\", \"*.example.com\" or \"*\"".to_owned(),
        };
        findings.error(&raw.span, path, message).help(help);
    }
    parsed
}

/// One of `path`, `path_prefix` and `path_regex`, or none.
fn path_pattern(raw: &raw::Match, path: &str, findings: &mut Findings<'_>) -> Option<PathPattern> {
    let written = [
        ("path", &raw.path),
        ("path_prefix", &raw.path_prefix),
        ("path_regex", &raw.path_regex),
    ];
    let written: Vec<_> = written
        .into_iter()
        .filter_map(|(key, value)| Some((key, value.as_ref()?)))
        .collect();
    let (key, value) = match written.as_slice() {
        [] => return Some(PathPattern::Any),
        [one] => *one,
        [(first, _), (second, value), ..] => {
            let message = format!("`{first}` and `{second}` cannot both be in one match");
            let problem = findings.error(&value.span, &format!("{path}.{second}"), message);
            problem.help("write one route for each");
            return None;
        }
    };
    let at = format!("{path}.{key}");
    if key == "path_regex" {
        return regex(value, &at, findings).map(PathPattern::Regex);
    }
    if !is_path(value, &at, findings) {
        return None;
    }
    Some(match key {
        "path" => PathPattern::Exact(value.value.clone()),
        _ => PathPattern::Prefix(value.value.trim_end_matches('/').to_owned()),
    })
}

/// A compiled expression; None with a problem told.
pub fn regex(raw: &At<String>, path: &str, findings: &mut Findings<'_>) -> Option<Pattern> {
    Pattern::parse(&raw.value)
        .map_err(|why| {
            let why = why.strip_prefix("error: ").unwrap_or(&why);
            let message = format!("not a regular expression: {why}");
            let help = if why.contains("look-around") || why.contains("backreference") {
                "every expression runs in linear time, so there is neither; several routes can say the same"
            } else {
                "in single quotes a backslash stands for itself: '^/v[0-9]+\\.txt$'"
            };
            findings.error(&raw.span, path, message).help(help);
        })
        .ok()
}

/// Whether a request can have this path; told if not.
pub fn is_path(raw: &At<String>, path: &str, findings: &mut Findings<'_>) -> bool {
    let text = raw.value.as_str();
    let (message, help) = if !text.starts_with('/') {
        let help = format!("write \"/{}\"", text.trim_start_matches('*'));
        (format!("\"{text}\" does not begin with a slash"), help)
    } else if text.contains(['?', '#']) {
        let help = "take it off; match.query looks at parameters".to_owned();
        (format!("\"{text}\" holds more than a path"), help)
    } else if text.contains('*') {
        let help = "`path_prefix` means everything below a path, `path_regex` takes expressions".to_owned();
        (format!("\"{text}\": a star stands for itself in a path"), help)
    } else if text.split('/').any(|segment| matches!(segment, "." | "..")) {
        let help = "such segments are resolved before a path is looked at".to_owned();
        (format!("\"{text}\" can never be asked for"), help)
    } else if text.bytes().any(|b| b.is_ascii_control()) {
        let help = "percent-encode them".to_owned();
        (format!("{text:?} holds control characters"), help)
    } else {
        return true;
    };
    findings.error(&raw.span, path, message).help(help);
    false
}

/// Methods in upper case, none twice.
pub fn methods(raw: &[At<String>], path: &str, findings: &mut Findings<'_>) -> Vec<String> {
    let mut methods: Vec<String> = Vec::new();
    for item in raw {
        let text = item.value.as_str();
        let upper = text.to_ascii_uppercase();
        if !syntax::is_token(text.as_bytes()) {
            let message = format!("\"{text}\" is not a method");
            findings
                .error(&item.span, path, message)
                .help("write \"GET\", \"POST\", …");
        } else if upper != text {
            let message = format!("\"{text}\" is not written as clients send it");
            findings
                .error(&item.span, path, message)
                .help(format!("write \"{upper}\""));
        } else if let Some(close) = hints::closest(text, METHODS).filter(|close| close != text) {
            let message = format!("{text} is an unusual method");
            findings
                .warning(&item.span, path, message)
                .help(hints::did_you_mean(close));
        }
        if !methods.contains(&upper) {
            methods.push(upper);
        }
    }
    methods
}

fn headers(
    raw: &Maybe<BTreeMap<At<String>, At<String>>>,
    path: &str,
    findings: &mut Findings<'_>,
) -> Vec<(String, ValueTest)> {
    let mut found: BTreeMap<String, ValueTest> = BTreeMap::new();
    for (name, test) in tests(raw) {
        let path = format!("{path}.{}", name.value);
        if !syntax::is_token(name.value.as_bytes()) {
            let message = format!("\"{}\" cannot be the name of a field", name.value);
            findings.error(&name.span, &path, message);
        } else if name.value.eq_ignore_ascii_case("host") {
            let problem = findings.error(&name.span, &path, "the Host of a request is looked at by `host`");
            problem.help("match = { host = \"example.com\" }");
        } else if found.insert(name.value.to_ascii_lowercase(), test).is_some() {
            let message = format!("{} is named twice: case makes no difference", name.value);
            findings.error(&name.span, &path, message);
        }
    }
    found.into_iter().collect()
}

fn tests(raw: &Maybe<BTreeMap<At<String>, At<String>>>) -> impl Iterator<Item = (&At<String>, ValueTest)> {
    raw.iter().flat_map(|map| &map.value).map(|(name, value)| {
        let test = match value.value.as_str() {
            "*" => ValueTest::Present,
            text => ValueTest::Equals(text.to_owned()),
        };
        (name, test)
    })
}
