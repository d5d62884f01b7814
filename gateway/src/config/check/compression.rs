//! `[compression]`

use super::{actions, values};
use crate::config::findings::Findings;
use crate::config::plan::{Coding, Compression, Route};
use crate::config::raw;
use crate::config::raw::leaf::{At, List};
use crate::wire::syntax;

/// By what a processor second saves of the line.
const ALGORITHMS: [Coding; 3] = [Coding::Zstd, Coding::Brotli, Coding::Gzip];
/// Below it an answer fits one packet either way.
const MIN_SIZE: u64 = 1 << 10;
/// A tebibyte: whoever writes more means none at all.
const MIN_SIZE_MAX: u64 = 1 << 40;
/// What is text. Pictures, films and archives are compressed by their makers.
const TYPES: [&str; 7] = [
    "text/*",
    "application/json",
    "application/javascript",
    "application/xml",
    "application/rss+xml",
    "application/atom+xml",
    "image/svg+xml",
];

/// `[compression]`, which says how; whether is a matter of each route.
pub fn compression(raw: Option<&At<raw::Compression>>, findings: &mut Findings<'_>) -> Compression {
    let empty = At::default();
    let raw = &raw.unwrap_or(&empty).value;
    Compression {
        algorithms: algorithms(&raw.algorithms, findings),
        min_size: values::size(
            &raw.min_size,
            "compression.min_size",
            0..=MIN_SIZE_MAX,
            MIN_SIZE,
            findings,
        ),
        types: types(&raw.types, findings),
    }
}

/// What holds without the section.
pub fn standard() -> Compression {
    Compression {
        algorithms: ALGORITHMS.to_vec(),
        min_size: MIN_SIZE,
        types: TYPES.map(str::to_owned).to_vec(),
    }
}

/// A section that no route makes use of: its author believes that answers are compressed.
pub fn warn_of_unused<'r>(
    raw: Option<&At<raw::Compression>>,
    mut routes: impl Iterator<Item = &'r Route>,
    findings: &mut Findings<'_>,
) {
    let Some(section) = raw else { return };
    if findings.failed() || !findings.is_complete() || routes.any(|route| route.compression) {
        return;
    }
    let message = "no route has `compression = true`: no answer is compressed";
    let problem = findings.warning(&section.span, "compression", message);
    problem.help("add it to a route, or to [defaults] for all of them");
}

fn algorithms(raw: &List<raw::Coding>, findings: &mut Findings<'_>) -> Vec<Coding> {
    let Some(list) = raw else {
        return ALGORITHMS.to_vec();
    };
    let path = "compression.algorithms";
    nothing_listed(list, "algorithms", path, findings);
    actions::codings(&list.value, path, findings)
}

fn types(raw: &List<String>, findings: &mut Findings<'_>) -> Vec<String> {
    let Some(list) = raw else {
        return TYPES.map(str::to_owned).to_vec();
    };
    let path = "compression.types";
    nothing_listed(list, "types", path, findings);
    let mut types: Vec<String> = Vec::with_capacity(list.value.len());
    for item in &list.value {
        let media_type = item.value.to_ascii_lowercase();
        if !is_type(item, path, findings) {
            continue;
        }
        if types.contains(&media_type) {
            let message = format!("\"{}\" is listed twice", item.value);
            findings.warning(&item.span, path, message);
        } else {
            types.push(media_type);
        }
    }
    types
}

fn nothing_listed<T>(list: &At<Vec<At<T>>>, key: &str, path: &str, findings: &mut Findings<'_>) {
    if list.value.is_empty() && findings.is_whole(&list.span) {
        let message = format!("`{key}` is empty: no answer could be compressed");
        let problem = findings.error(&list.span, path, message);
        problem.help("take it out for the default; `compression = false` on routes turns it off");
    }
}

fn is_type(item: &At<String>, path: &str, findings: &mut Findings<'_>) -> bool {
    let text = item.value.as_str();
    let is_token = |part: &str| syntax::is_token(part.as_bytes()) && !part.contains('*');
    let (message, help) = match text.split_once('/') {
        Some(("*", _)) => (
            format!("\"{text}\" stands for pictures and films too, which are compressed by their makers"),
            "name the kinds that are text: \"text/*\", \"application/json\"",
        ),
        Some((_, subtype)) if subtype.contains(';') => (
            format!("\"{text}\" has parameters, which are not compared"),
            "write the type alone: \"text/html\"",
        ),
        Some((kind, subtype)) if is_token(kind) && (subtype == "*" || is_token(subtype)) => return true,
        _ => (
            format!("\"{text}\" is not a media type"),
            "write \"text/html\", or \"text/*\" for all of a kind",
        ),
    };
    findings.error(&item.span, path, message).help(help);
    false
}
