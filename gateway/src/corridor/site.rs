//! route: which site a request goes to, and by which path its origin knows it.

use std::sync::Arc;

use super::Verdict;
use super::worker::Door;
use crate::config::plan::{PathPattern, Rewrite, Route};
use crate::exchange::Exchange;
use crate::reply::Refusal;
use crate::route::{self, Found};
use crate::snapshot::Site;
use crate::wire::target;

/// The route of a request, or what is said where there is none.
pub(super) fn find(x: &Exchange, door: &Door) -> Result<Arc<Site>, Verdict> {
    let path = x.request.path.as_str();
    match look_up(x, door, path, &x.request.method_text) {
        Found::Route(site) if is_passed_by(x, door, site) => Err(Verdict::refuse(Refusal::BadRequest)),
        Found::Route(site) => Ok(Arc::clone(site)),
        Found::MethodNotAllowed(methods) => Err(Verdict::refuse_method(methods.join(", "))),
        Found::Nothing => Err(Verdict::refuse(Refusal::NotFound)),
    }
}

/// The route that the same request would take with that method.
pub(super) fn for_method(x: &Exchange, door: &Door, method: &str) -> Option<Arc<Site>> {
    match look_up(x, door, &x.request.path, method) {
        Found::Route(site) => Some(Arc::clone(site)),
        Found::MethodNotAllowed(_) | Found::Nothing => None,
    }
}

/// Whether an origin that takes an encoded slash for a slash would serve what another route is for: then
/// "/admin%2Fkeys" would pass that route by, and whatever it asks of a request.
fn is_passed_by(x: &Exchange, door: &Door, site: &Arc<Site>) -> bool {
    // An operator who has written the path like this means it.
    let is_written = matches!(&site.route.matches.path, PathPattern::Exact(path) if *path == x.request.path);
    let Some(other) = target::other_reading(&x.request.path).filter(|_| !is_written) else {
        return false;
    };
    match look_up(x, door, &other, &x.request.method_text) {
        Found::Route(by_other) => !Arc::ptr_eq(by_other, site),
        Found::MethodNotAllowed(_) => true,
        Found::Nothing => false,
    }
}

fn look_up<'a>(x: &'a Exchange, door: &'a Door, path: &str, method: &str) -> Found<'a, Arc<Site>> {
    x.snapshot.routes.find(&route::Facts {
        listener: door.listener.name.as_deref(),
        host: &x.request.host,
        path,
        method,
        query: x.request.query.as_deref(),
        fields: &x.request.fields,
    })
}

/// The path after the route's rewrite; None without one.
///
/// # Errors
/// A path that the rewrite has put dot segments into: with `^/a(.*)` to `/b/$1`, "/a../c" would leave "/b".
pub(super) fn rewritten(route: &Route, path: &str) -> Result<Option<String>, Refusal> {
    let Some(rewrite) = &route.rewrite else {
        return Ok(None);
    };
    let to = apply(rewrite, path);
    let own = to.split('?').next().unwrap_or_default();
    match target::normalise(own, &mut String::new()) {
        Ok(false) => Ok(Some(to)),
        Ok(true) | Err(_) => Err(Refusal::BadRequest),
    }
}

/// Always a path that starts with a slash.
fn apply(rewrite: &Rewrite, path: &str) -> String {
    let rewritten = match rewrite {
        Rewrite::AddPrefix(prefix) => format!("{prefix}{path}"),
        Rewrite::Regex { pattern, to } => pattern.rewrite(path, to).unwrap_or_else(|| path.to_owned()),
        Rewrite::StripPrefix(prefix) => match path.strip_prefix(prefix.as_str()) {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => rest.to_owned(),
            Some(_) | None => path.to_owned(),
        },
    };
    if rewritten.starts_with('/') {
        rewritten
    } else {
        format!("/{rewritten}")
    }
}
