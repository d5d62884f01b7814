//! `if`: the few that say something about method, scheme or host.

use super::locations::Location;
use super::model::{Action, PathMatch, Route};
use super::returns;
use super::tree::Directive;
use super::values::Known;
use super::work::{Server, Work};

/// What an `if` makes of a route.
pub(super) enum Condition {
    /// Requests with these methods get this instead.
    For(Vec<String>, Action),
    /// Requests with other methods get this instead.
    ButFor(Vec<String>, Action),
}

/// What an `if` of a server makes of all its routes.
#[derive(Default)]
pub(super) struct OfServer {
    /// Requests without TLS.
    pub plain: Option<Route>,
    /// Requests for this host.
    pub hosts: Vec<(String, Route)>,
}

/// Its words without the parentheses.
fn words(directive: &Directive) -> Vec<String> {
    let mut words: Vec<String> = directive.args.clone();
    if let Some(first) = words.first_mut() {
        *first = first.strip_prefix('(').unwrap_or(first).to_owned();
    }
    if let Some(last) = words.last_mut() {
        *last = last.strip_suffix(')').unwrap_or(last).to_owned();
    }
    words.retain(|w| !w.is_empty());
    words
}

/// The one `return` it holds.
fn only_return(directive: &Directive) -> Option<&Directive> {
    match directive.block() {
        [one] if one.name == "return" => Some(one),
        _ => None,
    }
}

/// Those that tell plain connections from encrypted ones, and those that ask for a host.
pub(super) fn of_server<'t>(server: &Server<'t>, work: &mut Work<'t>) -> OfServer {
    let known = Known {
        server_name: &server.names.first,
        proxy_host: "",
    };
    let mut found = OfServer::default();
    for directive in server.scope.own_all("if") {
        let words = words(directive);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let Some(inner) = only_return(directive) else {
            continue;
        };
        let comment = work.origin(directive);
        let route = |work: &mut Work<'t>| {
            let mut route = Route::new(PathMatch::Any, returns::returned(inner, None, known, work));
            route.comment.push(comment.clone());
            route
        };
        match words.as_slice() {
            ["$scheme", "=", "http"]
            | ["$scheme", "!=", "https"]
            | ["$https", "!=", "on"]
            | ["$https", "=", ""] => {
                let mut plain = route(work);
                plain.listener = Some("plain".to_owned());
                found.plain = Some(plain);
            }
            ["$host", "=", host] if server.names.hosts.iter().any(|h| h == host) => {
                let mut one = route(work);
                one.host = Some((*host).to_owned());
                found.hosts.push(((*host).to_owned(), one));
            }
            _ => continue,
        }
        work.ledger.done(directive);
    }
    found
}

/// Those about methods. Others are told, and close the route if they keep somebody out.
pub(super) fn of<'t>(
    location: &Location<'t>,
    server: &Server<'t>,
    known: Known<'_>,
    route: &mut Route,
    work: &mut Work<'t>,
) -> Vec<Condition> {
    let mut all = server.scope.own_all("if");
    if location.directive.id != server.directive.id {
        all.extend(location.scope.own_all("if"));
    }
    let mut found = Vec::new();
    for directive in all {
        if is_of_server(directive, server) {
            continue;
        }
        let words = words(directive);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let methods = match words.as_slice() {
            ["$request_method", op @ ("=" | "!="), method] => Some((*op == "=", vec![(*method).to_owned()])),
            ["$request_method", op @ ("~" | "!~"), regex] => {
                alternatives(regex).map(|list| (*op == "~", list))
            }
            _ => None,
        };
        match (methods, only_return(directive)) {
            (Some((is_for, methods)), Some(inner)) if found.is_empty() => {
                work.ledger.done(directive);
                let action = returns::returned(inner, Some(location), known, work);
                found.push(match is_for {
                    true => Condition::For(methods, action),
                    false => Condition::ButFor(methods, action),
                });
            }
            _ => untranslated(directive, route, work),
        }
    }
    found
}

/// Whether it was dealt with for the whole server.
fn is_of_server(directive: &Directive, server: &Server<'_>) -> bool {
    let words = words(directive);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let is_own = server.scope.own().iter().any(|d| d.id == directive.id);
    let is_kind = match words.as_slice() {
        ["$scheme", "=", "http"]
        | ["$scheme", "!=", "https"]
        | ["$https", "!=", "on"]
        | ["$https", "=", ""] => true,
        ["$host", "=", host] => server.names.hosts.iter().any(|h| h == host),
        _ => false,
    };
    is_own && is_kind && only_return(directive).is_some()
}

fn untranslated(directive: &Directive, route: &mut Route, work: &mut Work<'_>) {
    let refuses = directive.block().iter().any(|d| {
        d.name == "return" && d.arg(0).starts_with(['4', '5'])
            || matches!(d.name.as_str(), "deny" | "auth_basic")
    });
    for inner in directive.block() {
        work.ledger.lost(inner, "belongs to the `if` around it");
    }
    let remark = "Sluice has no `if`: write a route with match.methods, match.headers or match.query";
    if refuses {
        work.ledger
            .lost(directive, &format!("{remark}; until then the route is closed"));
        route
            .closed
            .get_or_insert_with(|| format!("`{}` is not translated", directive.head()));
    } else {
        work.ledger.lost(directive, remark);
    }
}

/// "^(GET|HEAD)$" as its methods.
fn alternatives(regex: &str) -> Option<Vec<String>> {
    let inner = regex.strip_prefix('^').unwrap_or(regex);
    let inner = inner.strip_suffix('$').unwrap_or(inner);
    let inner = inner
        .strip_prefix('(')
        .and_then(|i| i.strip_suffix(')'))
        .unwrap_or(inner);
    let methods: Vec<String> = inner.split('|').map(str::to_owned).collect();
    methods
        .iter()
        .all(|m| !m.is_empty() && m.bytes().all(|b| b.is_ascii_uppercase()))
        .then_some(methods)
}
