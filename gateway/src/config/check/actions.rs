//! What a route does: exactly one action.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use super::edits;
use crate::config::findings::Findings;
use crate::config::hints;
use crate::config::plan::{Action, Coding, StaticFiles, TryFile, UpstreamId};
use crate::config::raw;
use crate::config::raw::leaf::{At, Maybe, Span};
use crate::wire::syntax;

/// The upstreams by name, and which of them are used.
pub struct Upstreams<'r> {
    names: Vec<&'r At<String>>,
    used: BTreeSet<usize>,
}

impl<'r> Upstreams<'r> {
    /// Those of a file, in the order of their ids.
    pub fn of(raw: Option<&'r At<BTreeMap<At<String>, At<raw::Upstream>>>>) -> Self {
        Self {
            names: raw.into_iter().flat_map(|section| section.value.keys()).collect(),
            used: BTreeSet::new(),
        }
    }

    fn find(&mut self, name: &At<String>, path: &str, findings: &mut Findings<'_>) -> Option<UpstreamId> {
        let found = self.names.iter().position(|n| n.value == name.value);
        if let Some(id) = found {
            self.used.insert(id);
        } else if findings.is_complete() {
            let message = format!("no upstream is named \"{}\"", name.value);
            let known: Vec<&str> = self.names.iter().map(|n| n.value.as_str()).collect();
            let help = match (hints::closest(&name.value, &known), known.as_slice()) {
                (Some(close), _) => hints::did_you_mean(close),
                (None, []) => format!("define it: [upstreams.{}]", name.value),
                (None, [..]) => format!(
                    "define [upstreams.{}], or use {}",
                    name.value,
                    hints::one_of(&known)
                ),
            };
            findings.error(&name.span, path, message).help(help);
        }
        found.map(UpstreamId)
    }

    /// An upstream that no route uses is often what a slip leaves behind.
    pub fn warn_of_unused(&self, findings: &mut Findings<'_>) {
        if findings.failed() || !findings.is_complete() {
            return;
        }
        for (id, name) in self.names.iter().enumerate() {
            if !self.used.contains(&id) {
                let message = format!("no route uses the upstream \"{}\"", name.value);
                findings.warning(&name.span, &format!("upstreams.{}", name.value), message);
            }
        }
    }
}

/// `mirror`. Outer None: nothing is written. Inner None: "" is written, or the name of no upstream.
pub fn mirror(
    raw: &Maybe<String>,
    path: &str,
    upstreams: &mut Upstreams<'_>,
    findings: &mut Findings<'_>,
) -> Option<Option<UpstreamId>> {
    let name = raw.as_ref()?;
    if name.value.is_empty() {
        return Some(None);
    }
    Some(upstreams.find(name, &format!("{path}.mirror"), findings))
}

/// A copy for whoever has the request already would be the same request twice.
pub fn mirrors_itself(raw: &Maybe<String>, path: &str, findings: &mut Findings<'_>) {
    let Some(name) = raw else { return };
    let message = format!("\"{}\" gets the requests of this route already", name.value);
    let problem = findings.error(&name.span, &format!("{path}.mirror"), message);
    problem.help("mirror to an upstream that the route does not ask, or take it out");
}

/// The one action of a route; None with a problem told.
pub fn action(
    item: &At<raw::Route>,
    path: &str,
    upstreams: &mut Upstreams<'_>,
    findings: &mut Findings<'_>,
) -> Option<Action> {
    const HELP: &str = "a route has exactly one of upstream, split, static_files, respond and redirect";
    let raw = &item.value;
    let written: Vec<(&str, Span)> = [
        ("upstream", span_of(&raw.upstream)),
        ("split", span_of(&raw.split)),
        ("static_files", span_of(&raw.static_files)),
        ("respond", span_of(&raw.respond)),
        ("redirect", span_of(&raw.redirect)),
    ]
    .into_iter()
    .filter_map(|(key, span)| Some((key, span?)))
    .collect();
    match written.as_slice() {
        [] => {
            if findings.is_whole(&item.span) {
                findings
                    .error(&item.span, path, "a route that does nothing")
                    .help(HELP);
            }
            return None;
        }
        [_] => {}
        [(first, _), others @ ..] => {
            for (other, span) in others {
                let message = format!("a route cannot have both `{first}` and `{other}`");
                findings
                    .error(span, &format!("{path}.{other}"), message)
                    .help(HELP);
            }
            return None;
        }
    }
    if let Some(name) = &raw.upstream {
        return upstreams
            .find(name, &format!("{path}.upstream"), findings)
            .map(Action::Upstream);
    }
    if let Some(split) = &raw.split {
        return self::split(split, &format!("{path}.split"), upstreams, findings);
    }
    origin_keys(raw, written[0].0, path, findings);
    if let Some(files) = &raw.static_files {
        return static_files(files, &format!("{path}.static_files"), findings);
    }
    if let Some(text) = &raw.respond {
        return respond(text, &format!("{path}.respond"), findings);
    }
    raw.redirect
        .as_ref()
        .and_then(|r| redirect(r, &format!("{path}.redirect"), findings))
}

fn span_of<T>(raw: &Maybe<T>) -> Option<Span> {
    raw.as_ref().map(|at| at.span.clone())
}

/// What concerns an origin means nothing where none is asked.
fn origin_keys(raw: &raw::Route, action: &str, path: &str, findings: &mut Findings<'_>) {
    for (key, span) in [
        ("cache", span_of(&raw.cache)),
        ("mirror", span_of(&raw.mirror)),
        ("request_headers", span_of(&raw.request_headers)),
        ("rewrite", span_of(&raw.rewrite)),
        ("timeout", span_of(&raw.timeout)),
    ] {
        // Files are found by the path that a rewrite makes.
        let is_for_files = key == "rewrite" && action == "static_files";
        if let Some(span) = span.filter(|_| !is_for_files) {
            let message = format!("`{key}` has no effect with `{action}`: no origin is asked");
            let problem = findings.error(&span, &format!("{path}.{key}"), message);
            problem.help("take it out");
        }
    }
}

fn split(
    raw: &At<Vec<At<raw::SplitTo>>>,
    path: &str,
    upstreams: &mut Upstreams<'_>,
    findings: &mut Findings<'_>,
) -> Option<Action> {
    let mut shares: Vec<(UpstreamId, NonZeroU32)> = Vec::new();
    let mut seen: BTreeMap<UpstreamId, Span> = BTreeMap::new();
    let mut complete = true;
    for (index, item) in raw.value.iter().enumerate() {
        let at = format!("{path}.{index}.upstream");
        let Some(name) = &item.value.upstream else {
            complete = false;
            if findings.is_whole(&item.span) {
                let problem = findings.error(&item.span, &at, "a share that goes nowhere");
                problem.help("write { upstream = \"app\", weight = 95 }");
            }
            continue;
        };
        let Some(id) = upstreams.find(name, &at, findings) else {
            complete = false;
            continue;
        };
        if seen.insert(id, name.span.clone()).is_some() {
            let message = format!("\"{}\" is in this split twice", name.value);
            findings
                .error(&name.span, &at, message)
                .help("add the weights up in one line");
        }
        let weight = item.value.weight.as_ref().map_or(1, |w| w.value.u32());
        shares.extend(NonZeroU32::new(weight).map(|weight| (id, weight)));
    }
    if shares.is_empty() && complete && findings.is_whole(&raw.span) {
        let problem = findings.error(&raw.span, path, "a split that sends no request anywhere");
        problem.help("give one upstream a weight above 0");
    }
    (complete && !shares.is_empty()).then_some(Action::Split(shares))
}

fn static_files(section: &At<raw::StaticFiles>, path: &str, findings: &mut Findings<'_>) -> Option<Action> {
    let raw = &section.value;
    let at = format!("{path}.root");
    let root = match &raw.root {
        Some(root) if !root.value.is_empty() => Some(root),
        _ => {
            if findings.is_whole(&section.span) {
                let problem = findings.error(&section.span, &at, "`static_files` does not say which folder");
                problem.help("static_files = { root = \"/srv/www\" }");
            }
            None
        }
    };
    // The folder is part of the world, which may still change: the gateway can start without it.
    if let Some(root) = root.filter(|r| !Path::new(&r.value).is_dir()) {
        let message = format!("the folder \"{}\" does not exist", root.value);
        let problem = findings.warning(&root.span, &at, message);
        problem.help("until it does, every request of this route is answered with 404");
    }
    let index = match &raw.index {
        None => Some("index.html".to_owned()),
        Some(name) if name.value.is_empty() => None,
        Some(name) => file_name(name, &format!("{path}.index"), findings),
    };
    let precompressed = match &raw.precompressed {
        None => vec![Coding::Brotli, Coding::Gzip],
        Some(list) => codings(&list.value, &format!("{path}.precompressed"), findings),
    };
    let try_files = try_files(raw, &format!("{path}.try_files"), findings);
    Some(Action::StaticFiles(StaticFiles {
        root: PathBuf::from(&root?.value),
        index,
        precompressed,
        try_files,
        directory_listing: raw.directory_listing.as_ref().is_some_and(|f| f.value.0),
    }))
}

fn file_name(raw: &At<String>, path: &str, findings: &mut Findings<'_>) -> Option<String> {
    let name = raw.value.as_str();
    if name.contains(['/', '\0']) || matches!(name, "." | "..") {
        let message = format!("\"{name}\" is not the name of a file");
        findings
            .error(&raw.span, path, message)
            .help("write \"index.html\"");
        return None;
    }
    Some(name.to_owned())
}

/// Content codings, none twice.
pub fn codings(raw: &[At<raw::Coding>], path: &str, findings: &mut Findings<'_>) -> Vec<Coding> {
    let mut codings = Vec::with_capacity(raw.len());
    for item in raw {
        let coding = match item.value {
            raw::Coding::Br => Coding::Brotli,
            raw::Coding::Gzip => Coding::Gzip,
            raw::Coding::Zstd => Coding::Zstd,
        };
        if codings.contains(&coding) {
            let message = format!("\"{}\" is listed twice", coding.name());
            findings.error(&item.span, path, message);
        } else {
            codings.push(coding);
        }
    }
    codings
}

fn try_files(raw: &raw::StaticFiles, path: &str, findings: &mut Findings<'_>) -> Vec<TryFile> {
    let listed = raw.try_files.as_ref().map_or(&[][..], |list| &list.value);
    let mut tries = Vec::with_capacity(listed.len());
    for (index, item) in listed.iter().enumerate() {
        let text = item.value.0.as_str();
        match try_file(text) {
            Ok(entry @ TryFile::Status(_)) if index + 1 < listed.len() => {
                let message = format!("\"{text}\" ends the search, so nothing behind it is tried");
                findings.error(&item.span, path, message).help("put it last");
                tries.push(entry);
            }
            Ok(entry) => tries.push(entry),
            Err(help) => {
                let message = format!("\"{text}\" cannot be tried");
                findings.error(&item.span, path, message).help(help);
            }
        }
    }
    tries
}

fn try_file(text: &str) -> Result<TryFile, &'static str> {
    if let Some(status) = text.strip_prefix('=') {
        return match status.parse() {
            Ok(status @ 400..=599) if text.len() == 4 => Ok(TryFile::Status(status)),
            _ => Err("write \"=404\", or another status from 400 to 599"),
        };
    }
    let literal = text.replace("${path}", "/");
    if literal.contains("${") || literal.contains('$') {
        return Err("the only variable here is ${path}");
    }
    if !literal.starts_with('/') {
        return Err("write a path below root that begins with a slash or ${path}");
    }
    if literal.split('/').any(|segment| segment == "..") || literal.contains('\0') {
        return Err("nothing outside of root is served");
    }
    Ok(TryFile::Path(text.to_owned()))
}

fn respond(section: &At<raw::Respond>, path: &str, findings: &mut Findings<'_>) -> Option<Action> {
    let raw = &section.value;
    let status = raw.status.as_ref().map_or(200, |s| s.value.u16());
    let body = raw.body.as_ref().map_or("", |b| b.value.as_str());
    let content_type = raw
        .content_type
        .as_ref()
        .map_or("text/plain", |c| c.value.as_str());
    // RFC 9110 §15.3.5, §15.3.6 and §15.4.5: these answers have no content.
    if let (Some(written), 204 | 205 | 304) = (&raw.body, status)
        && !body.is_empty()
    {
        let message = format!("an answer with status {status} has no body");
        let problem = findings.error(&written.span, &format!("{path}.body"), message);
        problem.help("take the body out, or use status 200");
    }
    if let Some(written) = &raw.content_type
        && (!syntax::is_value(content_type.as_bytes()) || !content_type.contains('/'))
    {
        let message = format!("{content_type:?} is not a content type");
        let problem = findings.error(&written.span, &format!("{path}.content_type"), message);
        problem.help("write \"text/plain\", \"application/json\", …");
        return None;
    }
    Some(Action::Respond {
        status,
        body: body.to_owned(),
        content_type: content_type.to_owned(),
    })
}

fn redirect(section: &At<raw::Redirect>, path: &str, findings: &mut Findings<'_>) -> Option<Action> {
    let raw = &section.value;
    let status = raw.status.as_ref().map_or(301, |s| s.value.u16());
    if let Some(written) = &raw.status
        && !matches!(status, 301 | 302 | 303 | 307 | 308)
    {
        let message = format!("{status} does not send a client elsewhere");
        let problem = findings.error(&written.span, &format!("{path}.status"), message);
        problem.help("write 301 or 308 for good, 302, 303 or 307 for now");
    }
    let at = format!("{path}.to");
    let to = match &raw.to {
        Some(to) if !to.value.0.is_empty() => to,
        _ => {
            if findings.is_whole(&section.span) {
                let problem = findings.error(&section.span, &at, "a redirect that leads nowhere");
                problem.help("redirect = { to = \"https://${host}${uri}\" }");
            }
            return None;
        }
    };
    if !syntax::is_value(to.value.0.as_bytes()) {
        findings.error(&to.span, &at, "a Location cannot hold control characters");
        return None;
    }
    let to = edits::template(&to.value.0, &to.span, &at, findings)?;
    Some(Action::Redirect { to, status })
}
