//! One configuration, wired: the plan with the cells it claims. Immutable, shared, pinned once by each request.

mod rewire;
pub mod watch;

use std::num::NonZeroU32;
use std::sync::Arc;

use crate::acme::Challenges;
use crate::balance::{self, Lease, Pool};
use crate::compress;
use crate::config::plan::{self, AuthMethod, Plan, SendProxyProtocol, UpstreamId};
use crate::discovery::{Given, Roster, merged};
use crate::files::Files;
use crate::guard::adaptive::Throttle;
use crate::guard::cors;
use crate::guard::shared::Shared;
use crate::kit::clock::{Mono, Now};
use crate::observe::{Format, MirrorMetrics, NO_ROUTE, RouteMetrics, ServerMetrics, Tracer, UpstreamMetrics};
use crate::route::Table;
use crate::state::{Ordered, Outward, State, Zone};
use crate::tls::Slot;
use crate::upstream::{Failure, Shift};
use watch::{Watch, Watches};

/// What requests are served by, from one swap to the next.
pub struct Snapshot {
    /// What it was wired from.
    pub plan: Plan,
    /// Hash of the text it was read from.
    pub hash: String,
    /// When it was wired.
    pub loaded_at: Now,
    /// Rises with each snapshot of this process.
    pub serial: u64,
    /// Where requests go.
    pub routes: Table<Arc<Site>>,
    /// In the order of the plan's routes.
    sites: Vec<Arc<Site>>,
    /// In the order of the plan's upstreams.
    pub services: Vec<Arc<Service>>,
    /// In the order of the plan's caches.
    pub zones: Vec<Arc<Zone>>,
    /// In the order of the plan's certificates; None for those that are not ordered.
    pub ordered: Vec<Option<Arc<Ordered>>>,
    /// What authorities may ask us for.
    pub challenges: Arc<Challenges>,
    /// Limits and authorities.
    pub watches: Arc<Watches>,
    /// What an access-log line looks like.
    pub log_format: Format,
    /// Counts requests that no route is for.
    pub no_route: RouteMetrics,
    /// Where spans go; None without `[tracing]`, and until whoever wires has said it.
    pub tracer: Option<Tracer>,
    _alive: Arc<()>,
}

/// All that one route owns.
pub struct Site {
    /// As configured.
    pub route: Arc<plan::Route>,
    /// What is done.
    pub act: Act,
    /// Where its answers are kept.
    pub zone: Option<Arc<Zone>>,
    /// Edits on the way to the origin, with what only the guard may say taken out.
    pub request_headers: plan::Edits,
    /// Edits on the way to the client, likewise.
    pub response_headers: plan::Edits,
    /// Fields by which the origin is told who asks.
    pub told_names: Vec<String>,
    /// What is asked of a request.
    pub watch: Watch,
    /// Who gets a copy of its requests.
    pub mirror: Option<Mirror>,
    /// Whether its answers are compressed where they and their clients allow it.
    pub compresses: bool,
    /// What is counted.
    pub metrics: RouteMetrics,
}

/// Who gets copies of requests.
pub struct Mirror {
    /// The upstream.
    pub service: Arc<Service>,
    /// What is counted of the copies.
    pub metrics: MirrorMetrics,
}

/// The one thing a route does, wired.
pub enum Act {
    /// Serve a folder.
    Files(Box<Files>),
    /// Redirect; what the plan says is all there is to it.
    Redirect,
    /// Respond; likewise.
    Respond,
    /// Pass on to one of several, by weight.
    Split(Vec<(Arc<Service>, NonZeroU32)>),
    /// Pass on.
    Upstream(Arc<Service>),
}

/// An upstream, wired.
pub struct Service {
    /// As configured, and the servers that were discovered beside those that are listed.
    pub plan: Arc<plan::Upstream>,
    /// Who else may give it servers.
    pub discovered: Option<Discovered>,
    /// Its servers.
    pub pool: Arc<Pool>,
    /// What its servers are greeted with; None is plain HTTP.
    pub tls: Option<Arc<Outward>>,
    /// What it can do at once; None where it may be asked as much as comes.
    pub throttle: Option<Arc<Throttle>>,
    /// What is counted of it.
    pub metrics: UpstreamMetrics,
    /// Name and counts of each server, in the pool's order.
    pub servers: Vec<Named>,
}

/// Where servers of an upstream come from that are not listed.
pub struct Discovered {
    /// What is known by now.
    pub roster: Arc<Roster>,
    /// What was known when it was wired.
    pub given: Arc<Given>,
}

/// A server of an upstream, with what is written about it ready at hand.
pub struct Named {
    /// Its address as written.
    pub address: String,
    /// What is counted of it.
    pub metrics: ServerMetrics,
}

impl Service {
    /// Takes a failure of the leased server into its record, and counts the ejection it may have led to.
    pub fn note_failure(&self, lease: &Lease, failure: Failure, now: Mono) {
        self.note_shift(lease, lease.failed(failure, now));
    }

    /// Takes an answer that was broken off into a server's record.
    pub fn note_break(&self, lease: &Lease, failure: Failure, now: Mono) {
        self.note_shift(lease, lease.broke_off(failure, now));
    }

    fn note_shift(&self, lease: &Lease, shift: Option<Shift>) {
        if let Some(Shift::Opened(_)) = shift {
            self.servers[lease.index()].metrics.ejected();
        }
    }

    /// What connections to a server that speaks HTTP/2 are kept under; None where it speaks HTTP/1.1.
    pub fn link_key(&self, server: u64) -> Option<(u64, u64)> {
        let greeting = self.tls.as_ref().map_or(0, |tls| tls.id);
        self.plan.protocol.is_http2().then_some((server, greeting))
    }

    /// What idle connections to a server are kept under; None where none may be kept.
    ///
    /// A connection that has begun with one client's address is for no other client's requests, and one that was
    /// greeted as another upstream asks for is not to be used for this one.
    pub fn idle_key(&self, server: u64) -> Option<(u64, u64)> {
        // A connection of HTTP/2 is not idle: it has room.
        let is_for_all =
            self.plan.send_proxy_protocol == SendProxyProtocol::Off && !self.plan.protocol.is_http2();
        is_for_all.then(|| (server, self.tls.as_ref().map_or(0, |tls| tls.id)))
    }
}

impl Snapshot {
    /// Wires a plan. Touches nothing but cells nobody else uses yet, so what comes of it can be thrown away.
    ///
    /// `new_since` is None at the start of the process, when no server is newer than another.
    pub fn wire(
        plan: Plan,
        hash: String,
        state: &State,
        shared: Option<&Arc<dyn Shared>>,
        now: Now,
        new_since: Option<Mono>,
    ) -> Self {
        let services: Vec<_> = plan
            .upstreams
            .iter()
            .map(|u| Arc::new(wire_service(u, state, new_since)))
            .collect();
        let zones: Vec<_> = plan.caches.iter().map(|cache| state.zone(cache)).collect();
        let watches = Arc::new(Watches::wire(&plan, state, shared));
        let sites: Vec<_> = plan
            .routes
            .iter()
            .map(|route| Arc::new(wire_site(route, &plan, (&services, &zones, &watches), state)))
            .collect();
        Self {
            routes: table(&sites),
            sites,
            services,
            zones,
            ordered: plan.certificates.iter().map(|c| state.orders.claim(c)).collect(),
            challenges: Arc::clone(&state.orders.challenges),
            watches,
            log_format: Format::new(&plan.access_log.format),
            no_route: state.metrics.route(NO_ROUTE),
            tracer: None,
            serial: state.serial(),
            loaded_at: now,
            hash,
            plan,
            _alive: Arc::clone(&state.alive),
        }
    }

    /// Where listeners take ordered certificates from, in the order of the plan's certificates.
    pub fn slots(&self) -> Vec<Option<Arc<Slot>>> {
        let slot = |ordered: &Option<Arc<Ordered>>| Some(Arc::clone(&ordered.as_ref()?.slot));
        self.ordered.iter().map(slot).collect()
    }

    /// Every certificate that is there, by name, and until when it holds in seconds since the Unix epoch.
    pub fn expiries(&self) -> Vec<(&str, u64)> {
        let certificates = self.plan.certificates.iter().zip(&self.ordered);
        let expiry = |(certificate, ordered): (&'_ Arc<plan::Certificate>, &Option<Arc<Ordered>>)| {
            let identity = match ordered {
                Some(ordered) => ordered.slot.identity(),
                None => certificate.files().map(|files| Arc::clone(&files.identity)),
            };
            Some(identity?.chain().leaf().not_after.as_secs())
        };
        certificates
            .filter_map(|pair| Some((pair.0.name.as_str(), expiry(pair)?)))
            .collect()
    }

    /// The upstream of that name.
    pub fn service(&self, name: &str) -> Option<&Arc<Service>> {
        self.services.iter().find(|s| s.plan.name == name)
    }
}

fn table(sites: &[Arc<Site>]) -> Table<Arc<Site>> {
    Table::new(
        sites
            .iter()
            .map(|site| (site.route.matches.clone(), Arc::clone(site))),
    )
}

fn wire_site(
    route: &Arc<plan::Route>,
    plan: &Plan,
    (services, zones, watches): (&[Arc<Service>], &[Arc<Zone>], &Watches),
    state: &State,
) -> Site {
    let told_names = route
        .guards
        .auth
        .map_or_else(Vec::new, |id| told_names(&plan.auths[id.0]));
    let said_here = route.guards.cors.iter().flat_map(|_| cors::SAID_HERE);
    Site {
        act: wire_act(&route.action, services),
        request_headers: without(&route.request_headers, told_names.iter().map(String::as_str)),
        response_headers: without(&route.response_headers, said_here),
        told_names,
        watch: watches.of(&route.guards),
        compresses: compresses(route),
        mirror: route.mirror.map(|id| Mirror {
            service: Arc::clone(&services[id.0]),
            metrics: state.metrics.mirror(&services[id.0].plan.name),
        }),
        zone: route.cache.as_ref().map(|rule| Arc::clone(&zones[rule.store.0])),
        metrics: state.metrics.route(&route.name),
        route: Arc::clone(route),
    }
}

/// The same edits, and these fields taken out besides.
fn without<'a>(edits: &plan::Edits, names: impl IntoIterator<Item = &'a str>) -> plan::Edits {
    let mut edits = edits.clone();
    edits
        .remove
        .extend(names.into_iter().map(str::to_ascii_lowercase));
    edits
}

/// Fields by which an origin is told who asks, in lower case.
fn told_names(auth: &plan::Auth) -> Vec<String> {
    let names: Vec<&String> = match &auth.method {
        AuthMethod::Basic(basic) => basic.forward_user.iter().collect(),
        AuthMethod::Forward(forward) => forward.copy_headers.iter().collect(),
        AuthMethod::Jwt(jwt) => jwt.forward_claims.iter().map(|(_, name)| name).collect(),
        AuthMethod::Keys(keys) => keys.forward_name.iter().collect(),
    };
    names.into_iter().map(|name| name.to_ascii_lowercase()).collect()
}

fn wire_service(configured: &Arc<plan::Upstream>, state: &State, new_since: Option<Mono>) -> Service {
    let discovered = configured.discover.as_ref().map(|discover| {
        let roster = state.roster(&discover.source);
        let given = roster.given();
        Discovered { roster, given }
    });
    let upstream = &with_found(configured, discovered.as_ref());
    let found_since = discovered.as_ref().and_then(|d| d.given.new_since);
    let running = state.running(&upstream.name);
    let tls = upstream
        .tls
        .as_ref()
        .map(|tls| state.tls.outward(&upstream.name, tls, upstream.protocol));
    // As the probes have it (`health::Via`): another greeting is another question.
    let via = via_id(tls.as_deref(), upstream);
    let pool = Pool::new(upstream, running, state.changes.clone(), |server| {
        balance::Cells {
            server: state.server(
                &server.address,
                match configured.servers.iter().any(|s| s.address == server.address) {
                    true => new_since,
                    false => found_since,
                },
            ),
            health: upstream
                .health_check
                .as_ref()
                .map(|check| state.health(&server.address, check, via)),
            seat: state.seat(&upstream.name, &server.address),
        }
    });
    let named = |member: &balance::Member| {
        let address = member.address().to_string();
        Named {
            metrics: state.metrics.server(&upstream.name, &address),
            address,
        }
    };
    Service {
        tls,
        discovered,
        throttle: upstream
            .overload
            .is_on()
            .then(|| state.guards.throttle(&upstream.name)),
        plan: Arc::clone(upstream),
        metrics: state.metrics.upstream(&upstream.name),
        servers: pool.members().iter().map(named).collect(),
        pool,
    }
}

/// The upstream with all its servers.
fn with_found(upstream: &Arc<plan::Upstream>, discovered: Option<&Discovered>) -> Arc<plan::Upstream> {
    match (&upstream.discover, discovered) {
        (Some(discover), Some(discovered)) => Arc::new(plan::Upstream {
            servers: merged(&upstream.servers, &discovered.given.servers, discover),
            ..(**upstream).clone()
        }),
        (None, _) | (_, None) => Arc::clone(upstream),
    }
}

/// What tells one way of meeting a server from another, before it is asked anything; 0 is plain HTTP/1.1.
fn via_id(tls: Option<&Outward>, upstream: &plan::Upstream) -> u64 {
    let spoken = (upstream.protocol as u64) << 2 | upstream.send_proxy_protocol as u64;
    tls.map_or(0, |tls| tls.id) << 4 | spoken
}

/// A route asked to compress may edit its answers' heads in a way that a coding does not survive. The edits are the more
/// particular word, so they hold.
fn compresses(route: &plan::Route) -> bool {
    let conflict = compress::conflict(&route.response_headers).filter(|_| route.compression);
    if let Some(name) = conflict {
        log::warn!(
            "route {}: its answers are not compressed, because its response_headers touch {name}, which must fit the body; \
             take that out, or say compression = false",
            route.name
        );
    }
    route.compression && conflict.is_none()
}

fn wire_act(action: &plan::Action, services: &[Arc<Service>]) -> Act {
    let service = |id: UpstreamId| Arc::clone(&services[id.0]);
    match action {
        plan::Action::Redirect { .. } => Act::Redirect,
        plan::Action::Respond { .. } => Act::Respond,
        plan::Action::Split(shares) => Act::Split(
            shares
                .iter()
                .map(|(id, weight)| (service(*id), *weight))
                .collect(),
        ),
        plan::Action::StaticFiles(files) => Act::Files(Box::new(Files::new(files))),
        plan::Action::Upstream(id) => Act::Upstream(service(*id)),
    }
}
