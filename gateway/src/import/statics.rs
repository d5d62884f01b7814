//! Files: `root`, `alias`, `index`, `try_files`, `autoindex`, `gzip_static`.

use super::locations::{Kind, Location};
use super::model::{Action, PathMatch, Rewrite, Route, StaticFiles};
use super::returns;
use super::routes::placeholder;
use super::values;
use super::work::Work;

/// The named location that takes what `try_files` does not find; None if there is none.
pub(super) fn falls_back_to<'l, 't>(
    location: &Location<'t>,
    all: &'l [Location<'t>],
    work: &mut Work<'t>,
) -> Option<&'l Location<'t>> {
    let directive = location.scope.one("try_files")?;
    let name = directive.args.last().filter(|a| a.starts_with('@'))?;
    let named = all.iter().find(|l| l.kind == Kind::Named && l.text == *name)?;
    let remark = format!(
        "a route serves files or asks an origin, not one after the other: {name} gets all requests; give files a path_prefix of their own"
    );
    work.ledger.lost(directive, &remark);
    Some(named)
}

/// Files of a folder.
pub(super) fn files<'t>(location: &Location<'t>, route: &mut Route, work: &mut Work<'t>) {
    let scope = &location.scope;
    let own_alias = scope.own_one("alias");
    let Some(directive) = own_alias.or_else(|| scope.one("root")) else {
        return nothing(location, route, work);
    };
    let folder = directive.arg(0);
    if values::has_variable(folder) {
        work.ledger.lost(
            directive,
            "a folder has a fixed name: write a route for each; until then the answer is 501",
        );
        route.action = placeholder("a folder with variables");
        return;
    }
    if let Some(directive) = scope.own_one("rewrite") {
        work.ledger.lost(
            directive,
            "write the route by hand: `rewrite` makes the path below root; until then the answer is 501",
        );
        route.action = placeholder("rewrite");
        return;
    }
    let is_alias = own_alias.is_some();
    let mut files = StaticFiles::default();
    match root(location, &route.path, folder, is_alias) {
        Some((root, rewrite)) => {
            work.ledger.done(directive);
            files.root = values::literal(&root);
            route.rewrite = rewrite;
        }
        None => {
            work.ledger.lost(directive, "groups of an expression are not at hand: write a route for each folder; until then the answer is 501");
            route.action = placeholder("alias of an expression");
            return;
        }
    }
    if !files.root.starts_with('/') {
        work.ledger.differs(
            directive,
            "is relative to where Sluice is started; to nginx's own folder in nginx",
        );
    }
    index(location, &mut files, work);
    try_files(location, route, &mut files, work);
    options(location, &mut files, work);
    route.action = Action::Files(files);
}

/// Nobody says what is served: nginx's own folder, which is not here.
fn nothing(location: &Location<'_>, route: &mut Route, work: &mut Work<'_>) {
    if location.kind != Kind::Server && location.scope.own().is_empty() {
        work.ledger.differs(
            location.directive,
            "nothing says what is served: nginx has a folder of its own for that, here it is 404",
        );
    }
    // What is denied is denied with 403 in nginx, whether a file is there or not.
    route.action = returns::status(404);
}

/// The folder of a route and its rewrite: Sluice takes a path_prefix off, nginx does so for `alias` alone.
fn root(
    location: &Location<'_>,
    path: &PathMatch,
    folder: &str,
    is_alias: bool,
) -> Option<(String, Option<Rewrite>)> {
    let base = folder.trim_end_matches('/');
    let base = if base.is_empty() { "/" } else { base };
    let join = |more: &str| {
        let more = more.trim_matches('/');
        match (base, more) {
            (base, "") => base.to_owned(),
            ("/", more) => format!("/{more}"),
            (base, more) => format!("{base}/{more}"),
        }
    };
    match (path, is_alias) {
        (PathMatch::Prefix(prefix), false) => Some((join(prefix), None)),
        (PathMatch::Prefix(_), true) => Some((base.to_owned(), None)),
        (PathMatch::Any | PathMatch::Exact(_) | PathMatch::Regex(_), false) => Some((base.to_owned(), None)),
        (PathMatch::Any, true) => Some((base.to_owned(), None)),
        (PathMatch::Exact(_), true) => {
            // It names one file.
            let (folder, file) = folder.rsplit_once('/')?;
            let rewrite = Rewrite::Regex {
                regex: "^.*$".to_owned(),
                to: format!("/{}", file.replace('$', "$$")),
            };
            let folder = if folder.is_empty() { "/" } else { folder };
            (!file.is_empty() && !file.contains(' ')).then(|| (folder.to_owned(), Some(rewrite)))
        }
        // A prefix that had to be written as an expression.
        (PathMatch::Regex(regex), true) if matches!(location.kind, Kind::Prefix | Kind::PrefixFirst) => {
            let rewrite = Rewrite::Regex {
                regex: regex.clone(),
                to: if location.text.ends_with('/') { "/" } else { "" }.to_owned(),
            };
            location
                .text
                .ends_with('/')
                .then(|| (base.to_owned(), Some(rewrite)))
        }
        (PathMatch::Regex(_), true) => None,
    }
}

fn index(location: &Location<'_>, files: &mut StaticFiles, work: &mut Work<'_>) {
    let Some(directive) = location.scope.one("index") else {
        return;
    };
    let first = directive.arg(0);
    if first.is_empty() || first.starts_with('/') || values::has_variable(first) {
        return work
            .ledger
            .lost(directive, "an index is the name of a file; it is index.html");
    }
    files.index = Some(first.to_owned()).filter(|i| i != "index.html");
    if directive.args.len() > 1 {
        work.ledger
            .differs(directive, "a folder has one index: the first is written");
    } else {
        work.ledger.done(directive);
    }
}

/// Entries behind the path itself, which is looked for first anyway.
fn try_files(location: &Location<'_>, route: &Route, files: &mut StaticFiles, work: &mut Work<'_>) {
    let Some(directive) = location.scope.one("try_files") else {
        return;
    };
    let mut is_exact = directive
        .args
        .first()
        .is_some_and(|a| a == "$uri" || a == "$uri/");
    let last = directive.args.len().saturating_sub(1);
    let prefix = match &route.path {
        PathMatch::Prefix(prefix) => prefix.trim_end_matches('/'),
        PathMatch::Any | PathMatch::Exact(_) | PathMatch::Regex(_) => "",
    };
    let mut tries = Vec::new();
    for (at, arg) in directive.args.iter().enumerate() {
        let text = arg.replace("${uri}", "$uri");
        match text.as_str() {
            "$uri" | "$uri/" => {}
            "=404" => {}
            status if status.starts_with('=') => match status[1..].parse::<u16>() {
                Ok(400..=599) if at == last => tries.push(status.to_owned()),
                _ => is_exact = false,
            },
            _ => {
                let path = text.split('?').next().unwrap_or_default();
                is_exact &= path.len() == text.len() || at == last;
                match path.strip_prefix("$uri") {
                    Some(rest) if !values::has_variable(rest) && !rest.contains("..") => {
                        tries.push(format!("${{path}}{}", values::literal(rest)));
                    }
                    _ => match path
                        .strip_prefix(prefix)
                        .filter(|p| p.starts_with('/') && !values::has_variable(p))
                    {
                        Some(rest) if !rest.split('/').any(|s| s == "..") => {
                            tries.push(values::literal(rest))
                        }
                        _ => is_exact = false,
                    },
                }
            }
        }
    }
    files.try_files = tries;
    if is_exact {
        work.ledger.done(directive);
    } else {
        let remark = "static_files.try_files has files below its root, \"${path}\" with an ending, and \"=404\"; the path itself comes first; see what is left of it";
        work.ledger.lost(directive, remark);
    }
}

fn options(location: &Location<'_>, files: &mut StaticFiles, work: &mut Work<'_>) {
    let scope = &location.scope;
    if let Some(directive) = scope.one("autoindex") {
        work.ledger.done(directive);
        files.directory_listing = directive.arg(0) == "on";
    }
    for (name, coding) in [
        ("brotli_static", "br"),
        ("gzip_static", "gzip"),
        ("zstd_static", "zstd"),
    ] {
        let Some(directive) = scope.one(name) else {
            continue;
        };
        if directive.arg(0) == "always" {
            work.ledger
                .differs(directive, "clients that do not take it get the plain file");
        } else {
            work.ledger.done(directive);
        }
        if directive.arg(0) != "off" {
            files.precompressed.push(coding.to_owned());
        }
    }
}
