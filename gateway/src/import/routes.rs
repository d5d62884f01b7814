//! A location as a route: its action, and all that goes with it.

use super::access;
use super::caching;
use super::conditions::{self, Condition};
use super::globals;
use super::headers;
use super::locations::{Kind, Location};
use super::model::{Action, Amount, Edits, PathMatch, Rewrite, Route};
use super::returns;
use super::scope::Scope;
use super::sockets;
use super::statics;
use super::tree::Directive;
use super::upstreams;
use super::values::{self, Known};
use super::work::{Server, Work};

/// Whoever passes requests on in a way of its own.
const OTHER_PASSES: [(&str, &str); 5] = [
    (
        "fastcgi_pass",
        "origins speak HTTP: put the program's own HTTP server, or one for FastCGI, behind it",
    ),
    (
        "uwsgi_pass",
        "origins speak HTTP: let uWSGI listen by `http-socket`",
    ),
    (
        "scgi_pass",
        "origins speak HTTP: put the program's own HTTP server behind it",
    ),
    (
        "memcached_pass",
        "origins speak HTTP; what is to be kept is a matter of [caches.NAME]",
    ),
    (
        "content_by_lua_block",
        "Sluice runs no programs: let an origin answer",
    ),
];

/// Whether anything keeps clients out of it.
pub(super) fn restricts(scope: &Scope<'_>) -> bool {
    access::RESTRICTIONS.iter().any(|name| {
        let off = |d: &Directive| d.arg(0) == "off" || d.name == "allow" && d.arg(0) == "all";
        scope.all(name).iter().any(|d| !off(d))
    }) || scope.own_one("internal").is_some()
}

/// Whether all it does is to say no.
pub(super) fn only_refuses(scope: &Scope<'_>) -> bool {
    scope
        .own_one("return")
        .is_some_and(|d| d.args.len() == 1 && d.arg(0).starts_with('4'))
}

/// `/api` is sent to `/api/` where `location /api/` passes on, as nginx does by itself.
pub(super) fn slash_redirect(
    location: &Location<'_>,
    path: &PathMatch,
    all: &[Location<'_>],
) -> Option<Route> {
    let PathMatch::Prefix(prefix) = path else {
        return None;
    };
    let bare = prefix.strip_suffix('/').filter(|bare| !bare.is_empty())?;
    let passes = passed_on(&location.scope).is_some() && location.scope.own_one("return").is_none();
    let is_taken = all
        .iter()
        .any(|l| l.text == bare && matches!(l.kind, Kind::Exact | Kind::Prefix | Kind::PrefixFirst));
    if !passes || is_taken {
        return None;
    }
    let action = Action::Redirect {
        to: format!("{}/${{query}}", values::literal(bare)),
        status: 301,
    };
    let mut route = Route::new(PathMatch::Exact(bare.to_owned()), action);
    route.name = format!("{}-slash", values::name(bare));
    Some(route)
}

/// The routes of a location: one, and some before it for conditions.
pub(super) fn of<'t>(
    location: &Location<'t>,
    path: PathMatch,
    server: &Server<'t>,
    all: &[Location<'t>],
    work: &mut Work<'t>,
) -> Vec<Route> {
    let known = Known {
        server_name: &server.names.first,
        proxy_host: "",
    };
    let mut route = Route::new(
        path,
        placeholder("this location does nothing that could be translated"),
    );
    route.comment.push(work.origin(location.directive));
    route.name = match location.kind {
        Kind::Server => String::new(),
        _ if location.text == "/" => "all".to_owned(),
        _ => values::name(&location.text),
    };
    let returns = returns::action(location, known, work);
    let is_returned = returns.is_some();
    match returns {
        Some(action) => route.action = action,
        None => content(location, server, all, &mut route, work),
    }
    if !is_returned {
        access::guard(location, all, &mut route, work);
        not_by_us(location, &mut route, work);
    }
    if work.unasked.contains(&server.directive.id) {
        route
            .closed
            .get_or_insert_with(|| "ssl_verify_client is not translated".to_owned());
    }
    common(location, known, &mut route, work);
    if !route.asks_an_origin() {
        // What concerns an origin means nothing where none is asked.
        route.request = Edits::default();
        route.cache = None;
        route.rewrite = route.rewrite.filter(|_| matches!(route.action, Action::Files(_)));
    }
    route.is_rest = location.kind == Kind::Server && route.action == returns::status(404) && !is_returned;
    let mut routes = Vec::new();
    for condition in conditions::of(location, server, known, &mut route, work) {
        match condition {
            Condition::For(methods, action) => {
                let mut other = variant(&route, action);
                other.methods = methods;
                routes.push(other);
            }
            Condition::ButFor(methods, action) => {
                routes.push(variant(&route, action));
                route.methods = methods;
            }
        }
    }
    limit_except(location, &mut route, &mut routes, work);
    routes.push(route);
    routes
}

/// The same requests, with another action and nothing else.
fn variant(route: &Route, action: Action) -> Route {
    let mut other = Route::new(route.path.clone(), action);
    other.name.clone_from(&route.name);
    other.comment.clone_from(&route.comment);
    other.response.set.clone_from(&route.response.set);
    other.closed.clone_from(&route.closed);
    other
}

/// An answer in place of what could not be translated: nobody is served something else instead.
pub(super) fn placeholder(why: &str) -> Action {
    Action::Respond {
        status: 501,
        body: format!("not translated from nginx: {why}\n"),
        content_type: None,
    }
}

/// What is answered, where no `return` comes first.
fn content<'t>(
    location: &Location<'t>,
    server: &Server<'t>,
    all: &[Location<'t>],
    route: &mut Route,
    work: &mut Work<'t>,
) {
    let scope = &location.scope;
    if let Some(directive) = scope.own_one("internal") {
        work.ledger.done_as(directive, "no client gets in: 404");
        route.action = returns::status(404);
        return;
    }
    if let Some(directive) = scope.own_one("stub_status") {
        work.ledger.differs(
            directive,
            "`/status` and `/metrics` of [admin] say it, and `sluice status`, `sluice top`; here is nothing",
        );
        route.action = returns::status(404);
        return;
    }
    for (name, why) in OTHER_PASSES {
        if let Some(directive) = scope.own_one(name) {
            work.ledger
                .lost(directive, &format!("{why}; until then the answer is 501"));
            route.action = placeholder(name);
            return;
        }
    }
    if let Some(pass) = passed_on(scope) {
        return proxied(pass, location, server, route, work);
    }
    if let Some(named) = statics::falls_back_to(location, all, work) {
        let mut inner = named.clone();
        inner.text.clone_from(&location.text);
        inner.kind = Kind::Server;
        return content(&inner, server, all, route, work);
    }
    statics::files(location, route, work);
}

/// What passes requests on to an origin.
fn passed_on<'t>(scope: &Scope<'t>) -> Option<&'t Directive> {
    scope.own_one(&scope.passing("pass"))
}

fn proxied<'t>(
    pass: &'t Directive,
    location: &Location<'t>,
    server: &Server<'t>,
    route: &mut Route,
    work: &mut Work<'t>,
) {
    let scope = &location.scope;
    let Some(target) = upstreams::target(&pass.name, pass.arg(0)) else {
        work.ledger.lost(pass, "an upstream has a name: write [upstreams.NAME] and a route for each value; until then the answer is 501");
        route.action = placeholder(&format!("{} with variables", pass.name));
        return;
    };
    if target.grpc && target.uri.is_some() {
        work.ledger
            .lost(pass, "a call keeps its path; until then the answer is 501");
        route.action = placeholder("grpc_pass with a path");
        return;
    }
    let Some(name) = upstreams::upstream(&target, scope, work) else {
        work.ledger
            .lost(pass, "this upstream has no server; until then the answer is 501");
        route.action = placeholder("an upstream without servers");
        return;
    };
    work.ledger.done(pass);
    route.action = Action::Upstream(name);
    if !returns::break_rewrite(location, route, work) {
        path_of(pass, &target, location, route, work);
    }
    let redirects_off = scope.word("proxy_redirect") == "off";
    if target.uri.is_some() && !redirects_off {
        work.ledger.differs(pass, "a Location of the origin goes to the client as it is: let the origin say paths that clients know");
    }
    let known = Known {
        server_name: &server.names.first,
        proxy_host: target.proxy_host(),
    };
    let listens = scope_port(server);
    headers::request(scope, target.proxy_host(), known, &listens, route, work);
    if !target.grpc {
        caching::rule(scope, route, work);
    }
}

/// The port of the first socket, if all have the same.
fn scope_port(server: &Server<'_>) -> String {
    let ports: Vec<String> = server
        .scope
        .own_all("listen")
        .iter()
        .map(|d| {
            let text = d.arg(0);
            let is_port = text.bytes().all(|b| b.is_ascii_digit());
            if is_port {
                text.to_owned()
            } else {
                sockets::port_of(text).to_owned()
            }
        })
        .collect();
    let is_usual = ports.iter().all(|p| matches!(p.as_str(), "80" | "443"));
    if is_usual {
        "80".to_owned()
    } else {
        ports.into_iter().next().unwrap_or_default()
    }
}

/// What becomes of the path where `proxy_pass` has one: it takes the place of the location's.
fn path_of(
    pass: &Directive,
    target: &upstreams::Target,
    location: &Location<'_>,
    route: &mut Route,
    work: &mut Work<'_>,
) {
    let Some(uri) = &target.uri else { return };
    let text = location.text.as_str();
    if uri == text && !matches!(location.kind, Kind::Regex { .. }) {
        return;
    }
    if uri.contains(['?', '#', ' ']) || !uri.starts_with('/') {
        work.ledger.lost(
            pass,
            "a rewrite makes a path and no query; until then the answer is 501",
        );
        route.action = placeholder("proxy_pass with a query");
        return;
    }
    let to = uri.replace('$', "$$");
    let bare = text.trim_end_matches('/');
    route.rewrite = match location.kind {
        Kind::Exact => Some(Rewrite::Regex {
            regex: "^.*$".to_owned(),
            to,
        }),
        Kind::Prefix | Kind::PrefixFirst if uri == "/" && !bare.is_empty() => {
            if !text.ends_with('/') {
                work.ledger.differs(
                    pass,
                    "what is left of the path begins with one slash; nginx sends two",
                );
            }
            Some(Rewrite::StripPrefix(bare.to_owned()))
        }
        Kind::Prefix | Kind::PrefixFirst => Some(Rewrite::Regex {
            regex: format!("^{}", values::escaped(text)),
            to,
        }),
        Kind::Regex { .. } | Kind::Named | Kind::Server => {
            work.ledger.lost(pass, "nginx takes no path here either");
            None
        }
    };
}

/// What goes with every action.
fn common<'t>(location: &Location<'t>, known: Known<'_>, route: &mut Route, work: &mut Work<'t>) {
    let scope = &location.scope;
    let size = globals::body_size(scope);
    let is_said = work.document.limits.get("max_body") == Some(&Amount::Text(size.clone()));
    if route.asks_an_origin() && !is_said {
        route.max_body = Some(size);
    }
    if let Some(directive) = scope.one("access_log") {
        let is_own = !work.http.own().iter().any(|d| d.id == directive.id);
        if directive.arg(0) == "off" {
            route.access_log = false;
            work.ledger.done(directive);
        } else if is_own {
            work.ledger
                .differs(directive, "there is one access log: its lines say host and route");
        }
    }
    route.compression = scope.word("gzip") == "on";
    headers::response(scope, known, route, work);
}

/// Modules that would have changed or looked at what passes.
fn not_by_us(location: &Location<'_>, route: &mut Route, work: &mut Work<'_>) {
    for name in ["access_by_lua_block", "access_by_lua_file", "js_access"] {
        if let Some(directive) = location.scope.one(name) {
            work.ledger.lost(directive, "Sluice runs no programs: let a service decide by [auth.NAME.forward]; until then the route is closed");
            route
                .closed
                .get_or_insert_with(|| format!("{name} is not translated"));
        }
    }
}

/// `limit_except GET { deny all; }`: other methods get an answer of their own, or they would find a less specific route.
fn limit_except(location: &Location<'_>, route: &mut Route, routes: &mut Vec<Route>, work: &mut Work<'_>) {
    let Some(directive) = location.scope.own_one("limit_except") else {
        return;
    };
    let only_denies = directive
        .block()
        .iter()
        .all(|d| d.name == "deny" && d.arg(0) == "all");
    if !only_denies || directive.args.is_empty() || !route.methods.is_empty() {
        work.ledger.lost(
            directive,
            "write two routes, by match.methods; until then the route is closed",
        );
        route
            .closed
            .get_or_insert_with(|| "limit_except is not translated".to_owned());
        return;
    }
    work.ledger.done(directive);
    for inner in directive.block() {
        work.ledger.done(inner);
    }
    routes.push(variant(route, returns::status(403)));
    route.methods = directive.args.iter().map(|m| m.to_ascii_uppercase()).collect();
}
