//! `[[routes]]`

use std::sync::Arc;

use super::{Section, bytes, duration, guard, list, plain, quoted, table};
use crate::config::plan::{
    Action, Edits, Match, PathPattern, Plan, Rewrite, Route, StaticFiles, TryFile, Upstream, UpstreamId,
    ValueTest,
};
use crate::kit::template::{RequestVariable, Template};

/// One route with all its defaults but its cache, which is a section of its own.
pub fn section(route: &Route, plan: &Plan) -> Section {
    let mut out = Section::new("[[routes]]");
    out.key("name", quoted(&route.name));
    out.key("match", matches(&route.matches));
    let (key, value) = action(&route.action, &plan.upstreams);
    out.key(key, value);
    out.key("max_body", bytes(route.max_body));
    if let Some(rewrite) = &route.rewrite {
        out.key("rewrite", self::rewrite(rewrite));
    }
    if route.action.asks_an_origin() {
        let timeout = route.timeout.map_or(quoted("none"), duration);
        out.key("timeout", timeout);
        out.key("request_headers", edits(&route.request_headers));
        let mirror = route.mirror.map_or("", |id| plan.upstreams[id.0].name.as_str());
        out.key("mirror", quoted(mirror));
    }
    out.key("response_headers", edits(&route.response_headers));
    out.key("access_log", route.access_log);
    out.key("compression", route.compression);
    guard::guards(&route.guards, plan, &mut out);
    out
}

fn matches(m: &Match) -> String {
    let mut pairs = Vec::new();
    if let Some(listener) = &m.listener {
        pairs.push(("listener", plain(listener)));
    }
    pairs.push(("host", plain(&m.host.to_string())));
    match &m.path {
        PathPattern::Any => {}
        PathPattern::Exact(path) => pairs.push(("path", plain(path))),
        PathPattern::Prefix(path) if path.is_empty() => pairs.push(("path_prefix", quoted("/"))),
        PathPattern::Prefix(path) => pairs.push(("path_prefix", plain(path))),
        PathPattern::Regex(pattern) => pairs.push(("path_regex", plain(pattern.text()))),
    }
    pairs.push(("methods", list(m.methods.iter().map(|m| plain(m)))));
    pairs.push(("headers", tests(&m.headers)));
    pairs.push(("query", tests(&m.query)));
    table(pairs)
}

fn tests(tests: &[(String, ValueTest)]) -> String {
    let value = |test: &ValueTest| match test {
        ValueTest::Equals(text) => plain(text),
        ValueTest::Present => quoted("*"),
    };
    table(tests.iter().map(|(name, test)| (name, value(test))))
}

fn action(action: &Action, upstreams: &[Arc<Upstream>]) -> (&'static str, String) {
    let name = |id: &UpstreamId| quoted(&upstreams[id.0].name);
    match action {
        Action::Redirect { to, status } => {
            let pairs = [("to", quoted(to.text())), ("status", status.to_string())];
            ("redirect", table(pairs))
        }
        Action::Respond {
            status,
            body,
            content_type,
        } => {
            let pairs = [
                ("status", status.to_string()),
                ("body", plain(body)),
                ("content_type", plain(content_type)),
            ];
            ("respond", table(pairs))
        }
        Action::Split(shares) => {
            let share = |(id, weight): &(UpstreamId, _)| {
                let weight: &std::num::NonZeroU32 = weight;
                table([("upstream", name(id)), ("weight", weight.to_string())])
            };
            ("split", list(shares.iter().map(share)))
        }
        Action::StaticFiles(files) => ("static_files", static_files(files)),
        Action::Upstream(id) => ("upstream", name(id)),
    }
}

fn static_files(files: &StaticFiles) -> String {
    let tries = files.try_files.iter().map(|entry| match entry {
        TryFile::Path(path) => plain(path),
        TryFile::Status(status) => quoted(&format!("={status}")),
    });
    table([
        ("root", plain(&files.root.display().to_string())),
        ("index", plain(files.index.as_deref().unwrap_or(""))),
        (
            "precompressed",
            list(files.precompressed.iter().map(|c| quoted(c.name()))),
        ),
        ("try_files", list(tries)),
        ("directory_listing", files.directory_listing.to_string()),
    ])
}

fn rewrite(rewrite: &Rewrite) -> String {
    match rewrite {
        Rewrite::AddPrefix(prefix) => table([("add_prefix", plain(prefix))]),
        Rewrite::Regex { pattern, to } => table([("regex", plain(pattern.text())), ("to", plain(to))]),
        Rewrite::StripPrefix(prefix) => table([("strip_prefix", plain(prefix))]),
    }
}

fn edits(edits: &Edits) -> String {
    let fields = |fields: &[(String, Template<RequestVariable>)]| {
        table(fields.iter().map(|(name, value)| (name, quoted(value.text()))))
    };
    table([
        ("set", fields(&edits.set)),
        ("add", fields(&edits.add)),
        ("remove", list(edits.remove.iter().map(|name| quoted(name)))),
    ])
}
