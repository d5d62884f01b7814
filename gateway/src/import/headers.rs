//! Fields on the way: `proxy_set_header`, `proxy_hide_header`, `add_header`, `expires`.

use super::model::{Edits, Route};
use super::scope::Scope;
use super::tree::Directive;
use super::values::{self, Known};
use super::work::Work;
use crate::wire::name::Name;
use crate::wire::syntax;

/// A field of the request that Sluice sends by itself, and the value nginx's users give it.
const BY_ITSELF: [(&str, &[&str]); 6] = [
    ("x-real-ip", &["$remote_addr"]),
    ("x-forwarded-proto", &["$scheme"]),
    ("x-forwarded-host", &["$host", "$http_host"]),
    ("x-request-id", &["$request_id"]),
    ("upgrade", &["$http_upgrade"]),
    (
        "connection",
        &[
            "",
            "upgrade",
            "Upgrade",
            "$http_connection",
            "keep-alive",
            "close",
        ],
    ),
];

/// What the origin is told.
pub(super) fn request<'t>(
    scope: &Scope<'t>,
    proxy_host: &str,
    known: Known<'_>,
    port: &str,
    route: &mut Route,
    work: &mut Work<'t>,
) {
    let mut says_host = false;
    for directive in scope.all(&scope.passing("set_header")) {
        let name = directive.arg(0);
        let value = directive.arg(1);
        if name.eq_ignore_ascii_case("host") {
            says_host = true;
            host(
                directive,
                value,
                proxy_host,
                known,
                port,
                &mut route.request,
                work,
            );
        } else {
            set(directive, name, value, known, &mut route.request, work);
        }
    }
    if !says_host {
        // What nginx sends where nothing is said.
        route
            .request
            .set
            .insert(0, ("Host".to_owned(), values::literal(proxy_host)));
    }
    for name in ["proxy_pass_request_headers", "proxy_pass_request_body"] {
        if let Some(directive) = scope.one(name).filter(|d| d.arg(0) == "off") {
            work.ledger
                .lost(directive, "a request goes to the origin as a whole");
        }
    }
}

fn host(
    directive: &Directive,
    value: &str,
    proxy_host: &str,
    known: Known<'_>,
    port: &str,
    edits: &mut Edits,
    work: &mut Work<'_>,
) {
    work.ledger.done(directive);
    edits.set.retain(|(name, _)| name != "Host");
    match value {
        // The client's own, as it came.
        "$http_host" | "$host:$server_port" | "$host:$proxy_port" => {}
        // nginx takes the port off, which is not there with these.
        "$host" if matches!(port, "80" | "443") => {}
        "$proxy_host" => edits.set.push(("Host".to_owned(), values::literal(proxy_host))),
        _ => match values::template(value, known) {
            Ok(value) if !value.is_empty() => edits.set.push(("Host".to_owned(), value)),
            Ok(_) => work.ledger.lost(
                directive,
                "a request always says its host: the client's own is sent",
            ),
            Err(name) => work.ledger.lost(
                directive,
                &format!("there is no ${name} here: the client's own host is sent"),
            ),
        },
    }
}

fn set(
    directive: &Directive,
    name: &str,
    value: &str,
    known: Known<'_>,
    edits: &mut Edits,
    work: &mut Work<'_>,
) {
    let lower = name.to_ascii_lowercase();
    if lower == "x-forwarded-for" && matches!(value, "$proxy_add_x_forwarded_for" | "$remote_addr") {
        let remark = "is sent by itself; what a client says of it counts only if server.trusted_proxies has its address, else it is replaced";
        return work.ledger.differs(directive, remark);
    }
    let is_upgrade = value.strip_prefix('$').is_some_and(|v| {
        let v = v.trim_start_matches('{').trim_end_matches('}');
        work.upgrade_maps.contains(&format!("${v}").as_str())
    });
    let by_itself = BY_ITSELF
        .iter()
        .any(|(field, values)| *field == lower && (values.contains(&value) || is_upgrade));
    if by_itself {
        return work.ledger.done_as(directive, "is sent rightly by itself");
    }
    if !is_free(name) {
        return work.ledger.lost(
            directive,
            "this field belongs to the connection and is the gateway's own",
        );
    }
    if value.is_empty() {
        if !edits.remove.iter().any(|n| n.eq_ignore_ascii_case(name)) {
            edits.remove.push(name.to_owned());
        }
        return work.ledger.done(directive);
    }
    // What a service that was asked has said goes on by copy_headers.
    if is_from_auth(value, work) {
        return work.ledger.done(directive);
    }
    match values::template(value, known) {
        Ok(value) if !is_value(&value) => work
            .ledger
            .lost(directive, "a field cannot hold control characters"),
        Ok(value) => {
            if value.is_empty() {
                return work.ledger.done_as(directive, "is empty, so it is not sent");
            }
            push(&mut edits.set, name, value);
            work.ledger.done(directive);
        }
        Err(variable) => {
            let remark = format!(
                "there is no ${variable} here: request_headers knows ${{host}}, ${{path}}, ${{uri}}, ${{client_ip}}, ${{header:NAME}}, ${{cookie:NAME}} and some more"
            );
            work.ledger.lost(directive, &remark);
        }
    }
}

/// Whether a variable is one that `auth_request_set` makes of an answer's field.
fn is_from_auth(value: &str, work: &Work<'_>) -> bool {
    let mut found = false;
    super::tree::walk(work.http.own(), &mut |d| {
        found |= d.name == "auth_request_set" && d.arg(0) == value && d.arg(1).starts_with("$upstream_http_");
    });
    found
}

/// What the client is told.
pub(super) fn response<'t>(scope: &Scope<'t>, known: Known<'_>, route: &mut Route, work: &mut Work<'t>) {
    for directive in scope.all(&scope.passing("hide_header")) {
        let name = directive.arg(0);
        if !route.asks_an_origin() {
            continue;
        }
        if is_free(name) && !name.eq_ignore_ascii_case("host") {
            route.response.remove.push(name.to_owned());
            work.ledger.done(directive);
        } else {
            work.ledger
                .done_as(directive, "belongs to the connection and never passes");
        }
    }
    for directive in scope
        .all(&scope.passing("pass_header"))
        .into_iter()
        .filter(|_| route.asks_an_origin())
    {
        work.ledger.done_as(directive, "passes by itself");
    }
    expires(scope, route, work);
    for directive in scope.all("add_header") {
        add(directive, known, route, work);
    }
}

fn add(directive: &Directive, known: Known<'_>, route: &mut Route, work: &mut Work<'_>) {
    let (name, value) = (directive.arg(0), directive.arg(1));
    let is_always = directive.arg(2) == "always";
    if value == "$upstream_cache_status" {
        return work.ledger.differs(
            directive,
            "Cache-Status (RFC 9211) says so on every route that keeps answers",
        );
    }
    if !is_free(name) || name.eq_ignore_ascii_case("host") {
        return work.ledger.lost(
            directive,
            "this field belongs to the connection and is the gateway's own",
        );
    }
    let value = match values::template(value, known) {
        Ok(value) if value.is_empty() => {
            return work.ledger.done_as(directive, "is empty, so it is not sent");
        }
        Ok(value) if !is_value(&value) => {
            return work
                .ledger
                .lost(directive, "a field cannot hold control characters");
        }
        Ok(value) => value,
        Err(variable) => {
            let remark = format!(
                "there is no ${variable} here: response_headers knows ${{host}}, ${{path}}, ${{header:NAME}} and some more"
            );
            return work.ledger.lost(directive, &remark);
        }
    };
    let replaces = !route.asks_an_origin();
    let edits = &mut route.response;
    let is_cache_control = name.eq_ignore_ascii_case("cache-control");
    let in_set = edits.set.iter_mut().find(|(n, _)| n.eq_ignore_ascii_case(name));
    match in_set {
        // Two lines of a list are one with a comma (RFC 9110 §5.3).
        Some((_, before)) if !name.eq_ignore_ascii_case("set-cookie") => {
            before.push_str(", ");
            before.push_str(&value);
        }
        Some(_) => {
            return work.ledger.lost(
                directive,
                "one Set-Cookie can be set on a route: let the origin set the others",
            );
        }
        None if replaces => edits.set.push((name.to_owned(), value)),
        None => {
            if edits.add.iter().any(|(n, _)| n.eq_ignore_ascii_case(name)) {
                return work.ledger.lost(
                    directive,
                    "a field can be added once: write both values with a comma between them",
                );
            }
            edits.add.push((name.to_owned(), value));
        }
    }
    match (is_always, is_cache_control) {
        (true, _) => work.ledger.done(directive),
        (false, true) => {
            let remark = "goes with every answer, refusals as 404 too: nginx, without `always`, sends it with 2xx and 3xx; mind long times where files come and go";
            work.ledger.differs(directive, remark);
        }
        (false, false) => work.ledger.differs(
            directive,
            "goes with every answer; nginx, without `always`, sends it with 2xx and 3xx",
        ),
    }
}

fn expires(scope: &Scope<'_>, route: &mut Route, work: &mut Work<'_>) {
    let Some(directive) = scope.one("expires") else {
        return;
    };
    let value = match directive.args.as_slice() {
        [off] if off == "off" => return work.ledger.done(directive),
        [epoch] if epoch == "epoch" => "no-cache".to_owned(),
        [max] if max == "max" => "max-age=315360000".to_owned(),
        [time] if time.starts_with('-') => "no-cache".to_owned(),
        [time] => match values::duration(time) {
            Some(time) => format!("max-age={}", time.as_secs()),
            None => {
                return work
                    .ledger
                    .lost(directive, "write Cache-Control into response_headers");
            }
        },
        _ => {
            return work
                .ledger
                .lost(directive, "write Cache-Control into response_headers");
        }
    };
    route.response.set.push(("Cache-Control".to_owned(), value));
    work.ledger.differs(
        directive,
        "Cache-Control says it, also on refusals as 404; Expires, which caches need not read beside it, is not sent",
    );
}

fn push(fields: &mut Vec<(String, String)>, name: &str, value: String) {
    match fields.iter_mut().find(|(n, _)| n.eq_ignore_ascii_case(name)) {
        Some((_, before)) => {
            before.push_str(", ");
            before.push_str(&value);
        }
        None => fields.push((name.to_owned(), value)),
    }
}

fn is_value(text: &str) -> bool {
    syntax::is_value(text.as_bytes())
}

/// Whether a configuration of Sluice may touch this field.
fn is_free(name: &str) -> bool {
    let known = Name::of(name.as_bytes());
    syntax::is_token(name.as_bytes())
        && !known.is_hop_by_hop()
        && !matches!(known, Name::ContentLength | Name::Trailer)
}
