//! route: which site a request goes to, and by which path its origin knows it.

use std::sync::Arc;

use super::Verdict;
use super::worker::Door;
use crate::config::plan::{Rewrite, Route};
use crate::exchange::Exchange;
use crate::reply::Refusal;
use crate::route::{self, Found, Routed, Trace};
use crate::snapshot::Site;
use crate::wire::target;

/// The route of a request, or what is said where there is none. `trace` is told which were looked at.
pub(super) fn find(
    x: &Exchange,
    door: &Door,
    trace: &mut impl Trace<Arc<Site>>,
) -> Result<Arc<Site>, Verdict> {
    match x.snapshot.routes.route(&facts(x, door), trace) {
        Routed::Route(site) => Ok(Arc::clone(site)),
        Routed::MethodNotAllowed(methods) => Err(Verdict::refuse_method(methods.join(", "))),
        Routed::Nothing => Err(Verdict::refuse(Refusal::NotFound)),
        Routed::PassesBy { .. } => Err(Verdict::refuse(Refusal::BadRequest)),
    }
}

/// The route that the same request would take with that method.
pub(super) fn for_method(x: &Exchange, door: &Door, method: &str) -> Option<Arc<Site>> {
    let facts = route::Facts {
        method,
        ..facts(x, door)
    };
    match x.snapshot.routes.find(&facts) {
        Found::Route(site) => Some(Arc::clone(site)),
        Found::MethodNotAllowed(_) | Found::Nothing => None,
    }
}

fn facts<'a>(x: &'a Exchange, door: &'a Door) -> route::Facts<'a> {
    route::Facts {
        listener: door.listener.name.as_deref(),
        host: &x.request.host,
        path: &x.request.path,
        method: &x.request.method_text,
        query: x.request.query.as_deref(),
        fields: &x.request.fields,
    }
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
