//! Who may come in: `allow`, `deny`, `auth_…`, and limits.

use ipnet::IpNet;

use super::locations::{Kind, Location};
use super::model::{Auth, ConcurrencyLimit, RateLimit, Route};
use super::scope::Scope;
use super::tree::Directive;
use super::upstreams;
use super::values;
use super::work::Work;

/// Networks of one list; splitting one into more is left to people.
const NETWORKS_MAX: usize = 256;
/// Both families.
const FAMILIES: [&str; 2] = ["0.0.0.0/0", "::/0"];

/// Names of what keeps clients out, and that Sluice knows in another way or not at all.
pub(super) const RESTRICTIONS: [&str; 9] = [
    "allow",
    "deny",
    "auth_basic",
    "auth_request",
    "auth_jwt",
    "auth_jwt_require",
    "auth_oidc",
    "limit_except",
    "valid_referers",
];

/// Writes into the route who may come in.
pub(super) fn guard<'t>(
    location: &Location<'t>,
    all: &[Location<'t>],
    route: &mut Route,
    work: &mut Work<'t>,
) {
    let scope = &location.scope;
    networks(scope, route, work);
    basic(scope, route, work);
    forward(scope, all, route, work);
    for name in [
        "auth_jwt",
        "auth_jwt_require",
        "auth_oidc",
        "secure_link",
        "valid_referers",
        "modsecurity",
    ] {
        let Some(directive) = scope.one(name).filter(|d| d.arg(0) != "off") else {
            continue;
        };
        let help = match name {
            "auth_jwt" | "auth_jwt_require" => "write [auth.NAME.jwt] with its keys, and auth = \"NAME\"",
            "auth_oidc" => "let a service log people in and ask it by [auth.NAME.forward]",
            _ => "let the origin, or a service asked by [auth.NAME.forward], decide",
        };
        close(
            directive,
            &format!("{help}; until then the route is closed"),
            route,
            work,
        );
    }
    if let Some(directive) = scope.one("satisfy").filter(|d| d.arg(0) == "any") {
        let is_needed = !(route.allow.is_empty() && route.deny.is_empty()) && route.auth.is_some();
        if is_needed {
            let remark = "address and auth must both hold here: write two routes, one by match.listener; until then both are asked";
            work.ledger.lost(directive, remark);
        } else {
            work.ledger.done(directive);
        }
    }
    limits(scope, route, work);
}

fn close(directive: &Directive, remark: &str, route: &mut Route, work: &mut Work<'_>) {
    work.ledger.lost(directive, remark);
    route
        .closed
        .get_or_insert_with(|| format!("{} is not translated", directive.name));
}

/// `allow` and `deny`: the first that holds decides, in nginx; in Sluice `deny` wins, and `allow` shuts out all others.
fn networks(scope: &Scope<'_>, route: &mut Route, work: &mut Work<'_>) {
    // Of blocks in blocks the innermost that has any of both counts.
    let rules = scope.innermost(|d| matches!(d.name.as_str(), "allow" | "deny"));
    let mut allowed: Vec<IpNet> = Vec::new();
    let mut denied: Vec<IpNet> = Vec::new();
    let mut is_open = true;
    for directive in rules {
        let is_allow = directive.name == "allow";
        let net = match directive.arg(0) {
            "all" => {
                work.ledger.done(directive);
                is_open = is_allow;
                break;
            }
            "unix:" => {
                work.ledger.differs(
                    directive,
                    "clients of Unix sockets are told apart by match.listener",
                );
                continue;
            }
            text => crate::kit::networks::parse(text),
        };
        let Some(net) = net else {
            let remark =
                "names are not looked up: write addresses or networks; until then the route is closed";
            return close(directive, remark, route, work);
        };
        work.ledger.done(directive);
        let mut left = vec![net.trunc()];
        for earlier in allowed.iter().chain(&denied) {
            left = left.into_iter().flat_map(|n| without(n, *earlier)).collect();
        }
        if allowed.len() + denied.len() + left.len() > NETWORKS_MAX {
            let remark = "the lists cut each other into too many networks: write allow and deny by hand; until then the route is closed";
            return close(directive, remark, route, work);
        }
        match is_allow {
            true => allowed.extend(left),
            false => denied.extend(left),
        }
    }
    let texts = |list: &Vec<IpNet>| IpNet::aggregate(list).iter().map(short).collect::<Vec<_>>();
    if is_open {
        route.deny = texts(&denied);
    } else if allowed.is_empty() {
        route.deny = FAMILIES.map(str::to_owned).to_vec();
    } else {
        route.allow = texts(&allowed);
    }
}

fn short(net: &IpNet) -> String {
    let is_one = net.prefix_len() == net.max_prefix_len();
    if is_one {
        net.addr().to_string()
    } else {
        net.to_string()
    }
}

/// A network without another, as networks.
fn without(net: IpNet, hole: IpNet) -> Vec<IpNet> {
    if hole.contains(&net) {
        return Vec::new();
    }
    if !net.contains(&hole) {
        return vec![net];
    }
    let Ok(halves) = net.subnets(net.prefix_len() + 1) else {
        return Vec::new();
    };
    halves.flat_map(|half| without(half, hole)).collect()
}

fn basic(scope: &Scope<'_>, route: &mut Route, work: &mut Work<'_>) {
    let Some(directive) = scope.one("auth_basic") else {
        return;
    };
    if directive.arg(0) == "off" {
        return work.ledger.done(directive);
    }
    let file = scope
        .one("auth_basic_user_file")
        .filter(|f| !values::has_variable(f.arg(0)));
    let Some(file) = file else {
        return close(
            directive,
            "write [auth.NAME.basic] with its users_file; until then the route is closed",
            route,
            work,
        );
    };
    let realm = match values::has_variable(directive.arg(0)) {
        true => "restricted".to_owned(),
        false => values::literal(directive.arg(0)),
    };
    work.ledger.done(directive);
    work.ledger.differs(file, "lines with bcrypt and $apr1$ are read, others are refused: `sluice hash-password --user NAME` makes one");
    let auth = Auth::Basic {
        users_file: values::literal(file.arg(0)),
        realm,
    };
    route.auth = Some(auth_name("users", auth, work));
}

/// The name of this auth; a new one if none is the same.
fn auth_name(base: &str, auth: Auth, work: &mut Work<'_>) -> String {
    if let Some((name, _)) = work.document.auth.iter().find(|(_, known)| **known == auth) {
        return name.clone();
    }
    let mut name = base.to_owned();
    let mut count = 1;
    while work.document.auth.contains_key(&name) {
        count += 1;
        name = format!("{base}-{count}");
    }
    work.document.auth.insert(name.clone(), auth);
    name
}

/// `auth_request`: the location it leads to says who is asked.
fn forward<'t>(scope: &Scope<'t>, all: &[Location<'t>], route: &mut Route, work: &mut Work<'t>) {
    let Some(directive) = scope.one("auth_request").filter(|d| d.arg(0) != "off") else {
        return;
    };
    let remark = "write [auth.NAME.forward] with the URL of who is asked; until then the route is closed";
    let asked = directive.arg(0).split('?').next().unwrap_or_default();
    let location = all
        .iter()
        .filter(|l| {
            matches!(l.kind, Kind::Exact | Kind::Prefix | Kind::PrefixFirst) && asked.starts_with(&l.text)
        })
        .max_by_key(|l| (l.kind == Kind::Exact && l.text == asked, l.text.len()));
    let target = location
        .and_then(|l| l.scope.own_one("proxy_pass"))
        .and_then(|d| upstreams::target(&d.name, d.arg(0)));
    let url = location.zip(target).and_then(|(location, target)| {
        let host = match work.upstreams.get(target.host.as_str()) {
            None => target.host.clone(),
            // A service of several servers has no one URL.
            Some(group) => {
                let mut servers = group.block().iter().filter(|d| d.name == "server");
                let only = servers.next().filter(|_| servers.next().is_none())?;
                only.arg(0).to_owned()
            }
        };
        let path = match &target.uri {
            Some(uri) => format!("{uri}{}", asked.strip_prefix(&location.text)?),
            None => asked.to_owned(),
        };
        let scheme = if target.tls { "https" } else { "http" };
        (!host.starts_with("unix:")).then(|| format!("{scheme}://{host}{path}"))
    });
    let Some(url) = url.filter(|_| route.auth.is_none()) else {
        return close(directive, remark, route, work);
    };
    let mut copy_headers = Vec::new();
    for set in scope.all("auth_request_set") {
        let header = set.arg(1).strip_prefix("$upstream_http_").map(values::field_name);
        let variable = set.arg(0);
        let sent = scope
            .all("proxy_set_header")
            .into_iter()
            .find(|d| d.arg(1) == variable)
            .map(|d| d.arg(0).to_owned());
        match (header, sent) {
            (Some(header), Some(sent)) if header.eq_ignore_ascii_case(&sent) => {
                copy_headers.push(sent);
                work.ledger.done(set);
            }
            _ => work.ledger.lost(
                set,
                "a field of the answer goes on to the origin under its own name: copy_headers",
            ),
        }
    }
    work.ledger.differs(directive, "any answer but 2xx goes to the client as it is; who is asked sees X-Forwarded-Method and X-Forwarded-Uri");
    route.auth = Some(auth_name("service", Auth::Forward { url, copy_headers }, work));
}

fn limits(scope: &Scope<'_>, route: &mut Route, work: &mut Work<'_>) {
    for directive in scope.all("limit_req") {
        if let Some(name) = rate_limit(directive, scope, work)
            && !route.rate_limits.contains(&name)
        {
            route.rate_limits.push(name);
        }
    }
    if let Some(directive) = scope.one("limit_req_status") {
        match directive.arg(0) {
            "429" => work.ledger.done(directive),
            _ => work.ledger.differs(directive, "the status is 429"),
        }
    } else if let Some(first) = scope.all("limit_req").first() {
        work.ledger.differs(
            first,
            "the status is 429; nginx's is 503 where limit_req_status says nothing",
        );
    }
    for directive in scope.all("limit_conn") {
        let zone = zone(work, "limit_conn_zone", directive.arg(0));
        let key = zone.and_then(|z| values::key(z.arg(0)));
        let max = directive
            .arg(1)
            .parse::<u64>()
            .ok()
            .filter(|n| (1..=1_000_000).contains(n));
        let (Some(zone), Some(key), Some(max)) = (zone, key, max) else {
            work.ledger.lost(directive, "write [concurrency_limits.NAME]; its key is \"client_ip\", \"header:NAME\", \"cookie:NAME\", \"route\" or \"global\"");
            continue;
        };
        work.ledger.done(zone);
        work.ledger.done(directive);
        let limit = ConcurrencyLimit { key, max };
        let name = named(directive.arg(0), &limit, &mut work.document.concurrency_limits);
        if !route.concurrency_limits.contains(&name) {
            route.concurrency_limits.push(name);
        }
    }
    if let Some(directive) = scope.one("limit_conn_status") {
        match directive.arg(0) {
            "503" => work.ledger.done(directive),
            _ => work.ledger.differs(directive, "the status is 503"),
        }
    }
    for name in ["limit_req_dry_run", "limit_conn_dry_run"] {
        if let Some(directive) = scope.one(name).filter(|d| d.arg(0) == "on") {
            work.ledger.lost(directive, "there is no dry run: take the limit out, or see what it would refuse by `sluice diff OLD NEW --replay ACCESS_LOG`");
        }
    }
}

fn zone<'t>(work: &Work<'t>, kind: &str, name: &str) -> Option<&'t Directive> {
    let is_it = |d: &&Directive| {
        let word = d
            .args
            .iter()
            .find_map(|w| w.strip_prefix("zone="))
            .unwrap_or_default();
        d.name == kind && word.split(':').next() == Some(name)
    };
    work.http.own().iter().find(is_it)
}

fn rate_limit(directive: &Directive, scope: &Scope<'_>, work: &mut Work<'_>) -> Option<String> {
    let word = |key: &str| directive.args.iter().find_map(|w| w.strip_prefix(key));
    let name = word("zone=").unwrap_or_default();
    let zone = zone(work, "limit_req_zone", name);
    let key = zone.and_then(|z| values::key(z.arg(0)));
    let rate = zone.and_then(|z| {
        z.args
            .iter()
            .find_map(|w| w.strip_prefix("rate="))
            .and_then(values::rate)
    });
    let (Some(zone), Some(key), Some(rate)) = (zone, key, rate) else {
        let remark = "write [rate_limits.NAME]; its key is \"client_ip\", \"header:NAME\", \"cookie:NAME\", \"jwt:CLAIM\", \"route\" or \"global\"";
        work.ledger.lost(directive, remark);
        return None;
    };
    if scope.word("limit_req_dry_run") == "on" {
        work.ledger.done(zone);
        work.ledger.done(directive);
        return None;
    }
    if key.starts_with("header:") || key.starts_with("cookie:") {
        work.ledger.differs(
            zone,
            "requests without it are counted by address; nginx does not count them",
        );
    } else {
        work.ledger.done(zone);
    }
    let burst: u64 = word("burst=").and_then(|b| b.parse().ok()).unwrap_or(0);
    let delays = burst > 0 && !directive.args.iter().any(|w| w == "nodelay");
    if delays {
        work.ledger.differs(
            directive,
            "nobody is made to wait: what is within the burst is served at once, what is beyond it refused",
        );
    } else {
        work.ledger.done(directive);
    }
    let limit = RateLimit {
        key,
        rate,
        // nginx counts those above the rate; the one that is within it comes on top.
        burst: burst.saturating_add(1).min(1_000_000_000),
    };
    Some(named(name, &limit, &mut work.document.rate_limits))
}

/// The name of this limit; another than nginx's if the same zone is used in two ways.
fn named<T: Clone + PartialEq>(
    zone: &str,
    limit: &T,
    all: &mut std::collections::BTreeMap<String, T>,
) -> String {
    let base = match values::name(zone) {
        name if name.is_empty() => "limit".to_owned(),
        name => name,
    };
    let mut name = base.clone();
    let mut count = 1;
    while all.get(&name).is_some_and(|known| known != limit) {
        count += 1;
        name = format!("{base}-{count}");
    }
    all.entry(name.clone()).or_insert_with(|| limit.clone());
    name
}
