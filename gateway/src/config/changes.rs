//! What differs between two plans, by name: for reports, and to refuse what needs a restart.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;

use serde::Serialize;

use super::plan::{
    Action, AuthId, CacheId, CacheRule, CertificateId, ConcurrencyLimitId, Guards, Listener, ListenerTls,
    Plan, RateLimitId, Route, Upstream, UpstreamId, UpstreamServer,
};

/// Names of one kind of thing that came, went, or mean something else.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Delta {
    /// Only in the new plan.
    pub added: Vec<String>,
    /// Only in the old plan.
    pub removed: Vec<String>,
    /// In both, and not equal.
    pub altered: Vec<String>,
}

/// All differences between two plans; empty exactly when they are equal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// By name; what stands in the files of one belongs to it.
    pub certificates: Delta,
    /// By name, or by address where there is none.
    pub listeners: Delta,
    /// By name.
    pub routes: Delta,
    /// By name; a change of servers alone is not one of their upstream.
    pub upstreams: Delta,
    /// As "UPSTREAM/ADDRESS".
    pub servers: Delta,
    /// By name.
    pub caches: Delta,
    /// By name.
    pub rate_limits: Delta,
    /// By name.
    pub concurrency_limits: Delta,
    /// By name; what stands in the files of one belongs to it.
    pub auth: Delta,
    /// Of "server", "admin", "access_log", "compression", "redis" and "tracing", those that differ.
    pub sections: Vec<&'static str>,
    /// Of "listeners", "servers" and "routes", those whose common members stand in another order.
    pub reordered: Vec<&'static str>,
    /// What a running process cannot take over.
    pub restart: Vec<&'static str>,
}

impl Changes {
    /// What leads from `old` to `new`.
    pub fn between(old: &Plan, new: &Plan) -> Self {
        let routes = (named_routes(old, old, new), named_routes(new, old, new));
        let listeners = (named_listeners(old, old, new), named_listeners(new, old, new));
        let sections = [
            ("server", old.server != new.server),
            ("admin", old.admin != new.admin),
            ("access_log", old.access_log != new.access_log),
            ("compression", old.compression != new.compression),
            ("redis", old.redis != new.redis),
            ("tracing", old.tracing != new.tracing),
        ];
        let reordered = [
            ("listeners", is_reordered(&listeners.0, &listeners.1)),
            ("servers", is_reordered(&named_servers(old), &named_servers(new))),
            ("routes", is_reordered(&routes.0, &routes.1)),
        ];
        let address = |plan: &Plan| plan.admin.as_ref().map(|a| a.address.clone());
        let token_file = |plan: &Plan| plan.admin.as_ref().and_then(|a| a.token_file.clone());
        let restart = [
            ("server.threads", old.server.threads != new.server.threads),
            ("admin.address", address(old) != address(new)),
            ("admin.token_file", token_file(old) != token_file(new)),
        ];
        Self {
            certificates: of_both(old, new, |plan| named(&plan.certificates, |c| &c.name)),
            listeners: delta(listeners.0, listeners.1),
            routes: delta(routes.0, routes.1),
            upstreams: delta(named_upstreams(old), named_upstreams(new)),
            servers: delta(named_servers(old), named_servers(new)),
            caches: of_both(old, new, |plan| named(&plan.caches, |c| &c.name)),
            rate_limits: of_both(old, new, |plan| named(&plan.rate_limits, |l| &l.name)),
            concurrency_limits: of_both(old, new, |plan| named(&plan.concurrency_limits, |l| &l.name)),
            auth: of_both(old, new, |plan| named(&plan.auths, |a| &a.name)),
            sections: those(&sections),
            reordered: those(&reordered),
            restart: those(&restart),
        }
    }

    /// Whether the plans are equal.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// One line per change.
impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("nothing changed\n");
        }
        for section in &self.sections {
            writeln!(f, "altered [{section}]")?;
        }
        for (kind, delta) in [
            ("certificate", &self.certificates),
            ("listener", &self.listeners),
            ("upstream", &self.upstreams),
            ("server", &self.servers),
            ("cache", &self.caches),
            ("rate limit", &self.rate_limits),
            ("concurrency limit", &self.concurrency_limits),
            ("auth", &self.auth),
            ("route", &self.routes),
        ] {
            for (verb, names) in [
                ("added", &delta.added),
                ("removed", &delta.removed),
                ("altered", &delta.altered),
            ] {
                for name in names {
                    writeln!(f, "{verb} {kind} {name}")?;
                }
            }
        }
        for kind in &self.reordered {
            writeln!(f, "{kind} stand in another order")?;
        }
        for key in &self.restart {
            writeln!(f, "{key} takes effect after a restart")?;
        }
        Ok(())
    }
}

fn those(flags: &[(&'static str, bool)]) -> Vec<&'static str> {
    flags
        .iter()
        .filter(|(_, yes)| *yes)
        .map(|(name, _)| *name)
        .collect()
}

fn delta<T: PartialEq>(old: Vec<(String, T)>, new: Vec<(String, T)>) -> Delta {
    let mut old: BTreeMap<String, T> = old.into_iter().collect();
    let mut delta = Delta::default();
    for (name, value) in new.into_iter().collect::<BTreeMap<_, _>>() {
        match old.remove(&name) {
            None => delta.added.push(name),
            Some(before) if before != value => delta.altered.push(name),
            Some(_) => {}
        }
    }
    delta.removed = old.into_keys().collect();
    delta
}

/// Whether the names that both have come in another order.
fn is_reordered<T>(old: &[(String, T)], new: &[(String, T)]) -> bool {
    let place: BTreeMap<&str, usize> = new
        .iter()
        .enumerate()
        .map(|(at, (name, _))| (&**name, at))
        .collect();
    let places: Vec<usize> = old
        .iter()
        .filter_map(|(name, _)| place.get(&**name).copied())
        .collect();
    !places.is_sorted()
}

/// Listeners with ids that mean the same in both plans.
fn named_listeners(plan: &Plan, old: &Plan, new: &Plan) -> Vec<(String, Listener)> {
    let ids = Ids::of(old, new);
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    plan.listeners
        .iter()
        .map(|listener| {
            let name = listener
                .name
                .clone()
                .unwrap_or_else(|| listener.address.to_string());
            let count = seen.entry(name.clone()).or_default();
            *count += 1;
            // Several may ask for any port of one address.
            let name = if *count > 1 {
                format!("{name}#{count}")
            } else {
                name
            };
            (name, ids.listener(listener, plan))
        })
        .collect()
}

/// Upstreams without their servers.
fn named_upstreams(plan: &Plan) -> Vec<(String, Upstream)> {
    let without_servers = |upstream: &Upstream| Upstream {
        servers: Vec::new(),
        ..upstream.clone()
    };
    plan.upstreams
        .iter()
        .map(|u| (u.name.clone(), without_servers(u)))
        .collect()
}

fn named_servers(plan: &Plan) -> Vec<(String, &UpstreamServer)> {
    let of =
        |upstream: &'_ Upstream, server: &UpstreamServer| format!("{}/{}", upstream.name, server.address);
    plan.upstreams
        .iter()
        .flat_map(|u| u.servers.iter().map(move |s| (of(u, s), s)))
        .collect()
}

fn named<T>(things: &[Arc<T>], name: impl Fn(&T) -> &String) -> Vec<(String, &T)> {
    things
        .iter()
        .map(|thing| (name(thing).clone(), &**thing))
        .collect()
}

fn of_both<'p, T: PartialEq + 'p>(
    old: &'p Plan,
    new: &'p Plan,
    named: impl Fn(&'p Plan) -> Vec<(String, &'p T)>,
) -> Delta {
    delta(named(old), named(new))
}

/// Routes with ids that mean the same in both plans: a new upstream or cache shifts the ids of those behind it.
fn named_routes(plan: &Plan, old: &Plan, new: &Plan) -> Vec<(String, Route)> {
    let ids = Ids::of(old, new);
    let translated = |route: &Route| Route {
        action: ids.action(&route.action, plan),
        cache: route.cache.as_ref().map(|rule| CacheRule {
            store: CacheId(place(&ids.caches, &plan.caches[rule.store.0].name)),
            ..rule.clone()
        }),
        guards: ids.guards(&route.guards, plan),
        mirror: route.mirror.map(|id| ids.upstream(id, plan)),
        ..route.clone()
    };
    plan.routes
        .iter()
        .map(|r| (r.name.clone(), translated(r)))
        .collect()
}

/// The names of two plans together: where a name stands in these lists is an id that means the same in both.
struct Ids<'p> {
    certificates: Vec<&'p str>,
    upstreams: Vec<&'p str>,
    caches: Vec<&'p str>,
    rate_limits: Vec<&'p str>,
    concurrency_limits: Vec<&'p str>,
    auths: Vec<&'p str>,
}

impl<'p> Ids<'p> {
    fn of(old: &'p Plan, new: &'p Plan) -> Self {
        let plans = [old, new];
        Self {
            certificates: all_names(plans.iter().flat_map(|p| &p.certificates).map(|c| &*c.name)),
            upstreams: all_names(plans.iter().flat_map(|p| &p.upstreams).map(|u| &*u.name)),
            caches: all_names(plans.iter().flat_map(|p| &p.caches).map(|c| &*c.name)),
            rate_limits: all_names(plans.iter().flat_map(|p| &p.rate_limits).map(|l| &*l.name)),
            concurrency_limits: all_names(plans.iter().flat_map(|p| &p.concurrency_limits).map(|l| &*l.name)),
            auths: all_names(plans.iter().flat_map(|p| &p.auths).map(|a| &*a.name)),
        }
    }

    fn listener(&self, listener: &Listener, plan: &Plan) -> Listener {
        let translated =
            |id: &CertificateId| CertificateId(place(&self.certificates, &plan.certificates[id.0].name));
        let tls = listener.tls.as_ref().map(|tls| ListenerTls {
            certificates: tls.certificates.iter().map(translated).collect(),
            default_certificate: translated(&tls.default_certificate),
            ..tls.clone()
        });
        Listener {
            tls,
            ..listener.clone()
        }
    }

    fn upstream(&self, id: UpstreamId, plan: &Plan) -> UpstreamId {
        UpstreamId(place(&self.upstreams, &plan.upstreams[id.0].name))
    }

    fn action(&self, action: &Action, plan: &Plan) -> Action {
        let upstream = |id| self.upstream(id, plan);
        match action {
            Action::Upstream(id) => Action::Upstream(upstream(*id)),
            Action::Split(shares) => {
                let share = |(id, weight): &(UpstreamId, NonZeroU32)| (upstream(*id), *weight);
                Action::Split(shares.iter().map(share).collect())
            }
            other @ (Action::Redirect { .. } | Action::Respond { .. } | Action::StaticFiles(_)) => {
                other.clone()
            }
        }
    }

    fn guards(&self, guards: &Guards, plan: &Plan) -> Guards {
        let rate = |id: &RateLimitId| RateLimitId(place(&self.rate_limits, &plan.rate_limits[id.0].name));
        let concurrency = |id: &ConcurrencyLimitId| {
            ConcurrencyLimitId(place(
                &self.concurrency_limits,
                &plan.concurrency_limits[id.0].name,
            ))
        };
        let auth = |id: AuthId| AuthId(place(&self.auths, &plan.auths[id.0].name));
        Guards {
            auth: guards.auth.map(auth),
            rate_limits: guards.rate_limits.iter().map(rate).collect(),
            concurrency_limits: guards.concurrency_limits.iter().map(concurrency).collect(),
            ..guards.clone()
        }
    }
}

/// Sorted, none twice.
fn all_names<'p>(names: impl Iterator<Item = &'p str>) -> Vec<&'p str> {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Where a name stands in a list that has it.
fn place(names: &[&str], name: &str) -> usize {
    names.binary_search(&name).unwrap_or_default()
}
