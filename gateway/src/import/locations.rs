//! Which location takes a request: nginx's order, said in Sluice's.
//!
//! nginx: exact, then the longest prefix if it has `^~`, then expressions in file order, then the longest prefix. A prefix is
//! one of letters there. Sluice: exact, then the longest prefix of segments, then expressions in file order, then any. So where
//! a server has expressions, or a prefix must not end within a segment, prefixes are written as expressions behind the others.

use regex::Regex;

use super::conditions;
use super::model::{PathMatch, Route};
use super::returns;
use super::routes;
use super::scope::Scope;
use super::sockets::Sockets;
use super::tree::Directive;
use super::values;
use super::work::{ROUTES_MAX, Server, Work};

/// What a location is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Exact,
    Prefix,
    /// `^~`
    PrefixFirst,
    Regex {
        ignore_case: bool,
    },
    /// `@name`
    Named,
    /// The server itself, for paths that no location takes.
    Server,
}

/// A location, with those around it.
#[derive(Clone, Debug)]
pub(super) struct Location<'t> {
    pub directive: &'t Directive,
    pub kind: Kind,
    /// The path, expression or name.
    pub text: String,
    pub scope: Scope<'t>,
    /// The prefix of the location around it.
    within: String,
}

/// Writes the routes of a server.
pub(super) fn server<'t>(index: usize, servers: &[Server<'t>], sockets: &Sockets, work: &mut Work<'t>) {
    let server = &servers[index];
    let mut locations = Vec::new();
    collect(server.scope.own(), &server.scope, "", &mut locations, work);
    let base = Location {
        directive: server.directive,
        kind: Kind::Server,
        text: "/".to_owned(),
        scope: server.scope.clone(),
        within: String::new(),
    };
    let known = values::Known {
        server_name: &server.names.first,
        proxy_host: "",
    };
    let mut routes = Vec::new();
    // What the server rewrites comes before a location is looked for.
    if returns::action(&base, known, work).is_some() {
        for location in &locations {
            work.ledger.differs(
                location.directive,
                "never reached: the `return` of the server comes first",
            );
        }
        routes.extend(routes::of(&base, PathMatch::Any, server, &[], work));
    } else {
        routes.extend(all(&locations, server, work));
        let takes_the_rest = locations
            .iter()
            .any(|l| l.text == "/" && matches!(l.kind, Kind::Prefix | Kind::PrefixFirst));
        if !takes_the_rest {
            routes.extend(routes::of(&base, PathMatch::Any, server, &locations, work));
        }
    }
    let apart = conditions::of_server(server, work);
    if let Some(plain) = apart.plain {
        for route in &mut routes {
            route.listener = Some("tls".to_owned());
        }
        routes.push(plain);
    }
    place(index, servers, sockets, &routes, &apart.hosts, work);
}

fn collect<'t>(
    block: &'t [Directive],
    around: &Scope<'t>,
    within: &str,
    locations: &mut Vec<Location<'t>>,
    work: &mut Work<'t>,
) {
    for directive in block.iter().filter(|d| d.name == "location") {
        let (modifier, text) = match directive.args.as_slice() {
            [text] => split_modifier(text),
            [modifier, text] => (modifier.as_str(), text.as_str()),
            _ => ("?", ""),
        };
        let kind = match modifier {
            "" if text.starts_with('@') => Kind::Named,
            "" => Kind::Prefix,
            "=" => Kind::Exact,
            "^~" => Kind::PrefixFirst,
            "~" => Kind::Regex { ignore_case: false },
            "~*" => Kind::Regex { ignore_case: true },
            _ => {
                work.ledger.lost(directive, "this is no location");
                continue;
            }
        };
        work.ledger.done(directive);
        let location = Location {
            directive,
            kind,
            text: text.to_owned(),
            scope: around.within(directive.block()),
            within: within.to_owned(),
        };
        let (inner_within, scope) = match location.kind {
            Kind::Prefix | Kind::PrefixFirst => (text, location.scope.clone()),
            Kind::Exact | Kind::Regex { .. } | Kind::Named | Kind::Server => (within, location.scope.clone()),
        };
        // What is nested is looked at before what stands around it.
        collect(directive.block(), &scope, inner_within, locations, work);
        locations.push(location);
    }
}

/// "~\.php$" without a space is a modifier and its expression too.
fn split_modifier(text: &str) -> (&str, &str) {
    for modifier in ["~*", "^~", "~", "="] {
        if let Some(rest) = text.strip_prefix(modifier) {
            return (modifier, rest);
        }
    }
    ("", text)
}

fn all<'t>(locations: &[Location<'t>], server: &Server<'t>, work: &mut Work<'t>) -> Vec<Route> {
    let late = late_prefixes(locations);
    let mut routes = Vec::new();
    for location in locations {
        let path = match &location.kind {
            Kind::Named | Kind::Server => continue,
            Kind::Exact => Some(PathMatch::Exact(location.text.clone())),
            Kind::Regex { ignore_case } => expression(location, *ignore_case, work),
            Kind::Prefix | Kind::PrefixFirst if location.text == "/" => Some(PathMatch::Any),
            // Those come below, behind all expressions.
            Kind::Prefix | Kind::PrefixFirst if late.contains(&location.text) => continue,
            Kind::Prefix | Kind::PrefixFirst => prefix(location, locations, work),
        };
        if let Some(path) = path {
            add(location, path, server, locations, &mut routes, work);
        }
    }
    let mut behind: Vec<&Location<'t>> = locations
        .iter()
        .filter(|l| matches!(l.kind, Kind::Prefix | Kind::PrefixFirst) && late.contains(&l.text))
        .collect();
    behind.sort_by_key(|l| std::cmp::Reverse(l.text.len()));
    for location in behind {
        let path = PathMatch::Regex(format!("^{}", values::escaped(&location.text)));
        add(location, path, server, locations, &mut routes, work);
    }
    routes
}

fn add<'t>(
    location: &Location<'t>,
    path: PathMatch,
    server: &Server<'t>,
    all: &[Location<'t>],
    routes: &mut Vec<Route>,
    work: &mut Work<'t>,
) {
    if !is_path(location) {
        let remark = "no request has such a path: Sluice resolves \".\" and \"..\", and takes neither \"?\" nor \"*\" for a part of it";
        work.ledger.lost(location.directive, remark);
        return;
    }
    let slash = routes::slash_redirect(location, &path, all);
    let own = routes::of(location, path, server, all, work);
    if let (Some(mut slash), Some(main)) = (slash, own.last()) {
        // What is added to answers is added to this one as well.
        slash.response.set.clone_from(&main.response.set);
        slash.response.set.extend(main.response.add.iter().cloned());
        routes.push(slash);
    }
    routes.extend(own);
}

/// Whether Sluice takes the text for a path.
fn is_path(location: &Location<'_>) -> bool {
    let text = location.text.as_str();
    matches!(location.kind, Kind::Regex { .. })
        || text.starts_with('/')
            && !text.contains(['?', '#', '*'])
            && !text.split('/').any(|segment| matches!(segment, "." | ".."))
            && !text.chars().any(char::is_control)
}

/// Prefixes that have to stand behind the expressions.
fn late_prefixes(locations: &[Location<'_>]) -> Vec<String> {
    let has_regex = locations.iter().any(|l| matches!(l.kind, Kind::Regex { .. }));
    let prefixes = || {
        locations
            .iter()
            .filter(|l| matches!(l.kind, Kind::Prefix | Kind::PrefixFirst) && l.text != "/")
    };
    let below_first = |text: &str| {
        prefixes().any(|l| l.kind == Kind::PrefixFirst && l.text != text && text.starts_with(l.text.as_str()))
    };
    let mut late: Vec<String> = prefixes()
        .filter(|l| {
            let by_expressions = has_regex && l.kind == Kind::Prefix && !below_first(&l.text);
            // "/internal" keeps "/internal-notes" closed too: a prefix of segments would not.
            let by_letters = !l.text.ends_with('/') && routes::restricts(&l.scope);
            by_expressions || by_letters
        })
        .map(|l| l.text.clone())
        .collect();
    // A shorter prefix of segments would take what a longer one behind the expressions is for.
    loop {
        let more: Vec<String> = prefixes()
            .map(|l| l.text.clone())
            .filter(|text| !late.contains(text) && late.iter().any(|l| l.starts_with(text.as_str())))
            .collect();
        if more.is_empty() {
            return late;
        }
        late.extend(more);
    }
}

fn prefix(location: &Location<'_>, all: &[Location<'_>], work: &mut Work<'_>) -> Option<PathMatch> {
    let text = &location.text;
    if !text.ends_with('/') {
        let remark = format!(
            "{text} and what is below it; nginx takes what goes on with other letters as well, as {text}x"
        );
        work.ledger.differs(location.directive, &remark);
    }
    let first = all
        .iter()
        .find(|l| l.kind == Kind::PrefixFirst && l.text != *text && text.starts_with(l.text.as_str()));
    if location.kind == Kind::Prefix
        && let Some(first) = first
        && all.iter().any(|l| matches!(l.kind, Kind::Regex { .. }))
    {
        let remark = format!(
            "goes before expressions here, as `^~ {}` around it does",
            first.text
        );
        work.ledger.differs(location.directive, &remark);
    }
    Some(PathMatch::Prefix(text.clone()))
}

fn expression(location: &Location<'_>, ignore_case: bool, work: &mut Work<'_>) -> Option<PathMatch> {
    let flags = if ignore_case { "(?i)" } else { "" };
    let own = location.text.as_str();
    let text = match (location.within.as_str(), own.strip_prefix('^')) {
        ("" | "/", _) => format!("{flags}{own}"),
        (within, Some(rest)) if rest.starts_with(within) => format!("{flags}{own}"),
        (within, None) => format!("^{}{flags}.*(?:{own})", values::escaped(within)),
        (within, Some(_)) => {
            let remark =
                format!("not only below {within}, where it is nested: no expression looks twice at a path");
            work.ledger.differs(location.directive, &remark);
            format!("{flags}{own}")
        }
    };
    if Regex::new(&text).is_ok() {
        return Some(PathMatch::Regex(text));
    }
    let wider = without_lookahead(&text).filter(|wide| Regex::new(wide).is_ok());
    match wider {
        // What is kept out may be more than it was, never less.
        Some(wider) if routes::restricts(&location.scope) || routes::only_refuses(&location.scope) => {
            let remark = format!(
                "expressions here have no look-ahead, so more is kept out: '{wider}'; let in what should be by a path_prefix of its own, as \"/.well-known\""
            );
            work.ledger.differs(location.directive, &remark);
            Some(PathMatch::Regex(wider))
        }
        _ => {
            let remark = "expressions run in linear time here: no look-around, no back-reference; say the same with several routes";
            work.ledger.lost(location.directive, remark);
            None
        }
    }
}

/// The expression with its look-aheads taken out, so that it finds more.
fn without_lookahead(text: &str) -> Option<String> {
    let mut out = text.to_owned();
    while let Some(start) = out.find("(?!").or_else(|| out.find("(?=")) {
        let mut depth = 0_usize;
        let mut escaped = false;
        let end = out[start..].char_indices().find_map(|(at, c)| {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                _ => {}
            }
            (c == ')' && depth == 0).then_some(start + at + 1)
        })?;
        out.replace_range(start..end, "");
    }
    Some(out)
}

/// Listeners and hosts that lead to a server; without a listener it is all of them.
fn places(
    index: usize,
    servers: &[Server<'_>],
    sockets: &Sockets,
    routes: &[Route],
    work: &mut Work<'_>,
) -> Vec<(Option<String>, Option<String>)> {
    let mut places: Vec<(Option<String>, Option<String>)> = Vec::new();
    let own: Vec<_> = sockets
        .all
        .iter()
        .filter(|s| s.servers.contains(&index))
        .collect();
    let hosts: Vec<Vec<Option<String>>> = own.iter().map(|s| hosts(index, s, servers, work)).collect();
    let is_everywhere = own.len() == sockets.all.len() && hosts.windows(2).all(|pair| pair[0] == pair[1]);
    if is_everywhere && !routes.iter().any(|r| r.listener.is_some()) {
        places.extend(
            hosts
                .first()
                .into_iter()
                .flatten()
                .map(|host| (None, host.clone())),
        );
    } else {
        for (socket, hosts) in own.iter().zip(&hosts) {
            places.extend(hosts.iter().map(|host| (Some(socket.name.clone()), host.clone())));
        }
    }
    if places.is_empty() {
        work.ledger.lost(
            servers[index].directive,
            "no request finds it: it has no name that Sluice can match, and is no socket's default",
        );
    }
    places
}

/// Puts the routes where the server is asked: by listener and host.
fn place(
    index: usize,
    servers: &[Server<'_>],
    sockets: &Sockets,
    routes: &[Route],
    apart: &[(String, Route)],
    work: &mut Work<'_>,
) {
    let places = places(index, servers, sockets, routes, work);
    for (listener, host) in places.clone() {
        let apart = apart.iter().find(|(name, _)| Some(name) == host.as_ref());
        let routes = apart.map_or(routes, |(_, route)| std::slice::from_ref(route));
        for route in routes {
            if work.document.routes.len() >= ROUTES_MAX {
                work.ledger.lost(
                    servers[index].directive,
                    "there are too many routes: import the servers one by one",
                );
                return;
            }
            if route.is_rest && host.is_none() {
                continue;
            }
            // One that is for plain or encrypted connections alone says so by "http" or "https".
            let Some(listener) = listener_of(route, listener.as_ref(), sockets) else {
                continue;
            };
            let mut route = route.clone();
            name(&mut route, host.as_deref(), servers, index, work);
            route.listener = listener;
            route.host.clone_from(&host);
            work.document.routes.push(route);
        }
    }
    place_apart(index, servers, &places, apart, work);
}

/// Of the default server's names those that are told apart have no place of their own yet.
fn place_apart(
    index: usize,
    servers: &[Server<'_>],
    places: &[(Option<String>, Option<String>)],
    apart: &[(String, Route)],
    work: &mut Work<'_>,
) {
    for (name, route) in apart
        .iter()
        .filter(|(name, _)| !places.iter().any(|(_, h)| h.as_ref() == Some(name)))
    {
        for (listener, _) in places.iter().filter(|(_, host)| host.is_none()) {
            let mut route = route.clone();
            self::name(&mut route, Some(name), servers, index, work);
            route.listener.clone_from(listener);
            route.host = Some(name.clone());
            work.document.routes.push(route);
        }
    }
}

fn name(route: &mut Route, host: Option<&str>, servers: &[Server<'_>], index: usize, work: &mut Work<'_>) {
    /// So that a number fits behind it.
    const CHARS_MAX: usize = 56;
    let mut base = String::new();
    if servers.len() > 1 {
        let called = host.unwrap_or(&servers[index].names.first);
        base.push_str(&values::name(called.trim_start_matches("*.")));
    }
    if !route.name.is_empty() {
        base.push_str(if base.is_empty() { "" } else { "-" });
        base.push_str(&route.name);
    }
    base.truncate(CHARS_MAX);
    route.name = work.route_name(&base);
}

/// The listener of a route at a place; None if it is not for that kind of socket.
fn listener_of(route: &Route, listener: Option<&String>, sockets: &Sockets) -> Option<Option<String>> {
    let Some(wanted) = &route.listener else {
        return Some(listener.cloned());
    };
    let socket = sockets.all.iter().find(|s| Some(&s.name) == listener)?;
    let is_plain = wanted == "plain";
    (is_plain != socket.ssl).then(|| Some(socket.name.clone()))
}

/// The hosts that lead to a server at a socket; None is any.
fn hosts(
    index: usize,
    socket: &super::sockets::Socket,
    servers: &[Server<'_>],
    work: &mut Work<'_>,
) -> Vec<Option<String>> {
    let own = &servers[index].names.hosts;
    let before = || socket.servers.iter().take_while(|other| **other < index);
    let taken = |name: &String| before().any(|other| servers[*other].names.hosts.contains(name));
    for directive in servers[index].scope.own_all("server_name") {
        if own.iter().any(&taken) {
            work.ledger.differs(
                directive,
                "a server before it has one of these names already, at the same address",
            );
        }
    }
    let free = own.iter().filter(|name| !taken(name));
    if socket.default != index {
        return free.cloned().map(Some).collect();
    }
    // Its names count only where another server's star would take them.
    let covered = free.filter(|name| {
        let others = socket.servers.iter().filter(|other| **other != index);
        others
            .flat_map(|other| &servers[*other].names.hosts)
            .filter_map(|host| host.strip_prefix('*'))
            .any(|suffix| name.trim_start_matches('*').ends_with(suffix) && name.len() > suffix.len())
    });
    std::iter::once(None).chain(covered.cloned().map(Some)).collect()
}
