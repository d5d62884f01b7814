//! The same configuration with other servers, as sources give them.

use std::sync::Arc;

use super::{Act, Mirror, Service, Site, Snapshot, table, wire_act, wire_service};
use crate::observe::Format;
use crate::state::State;

impl Snapshot {
    /// The same configuration with the servers that are known by now; None where they are those it has.
    ///
    /// Upstreams and routes that nothing has changed for are shared with this one.
    pub fn rewired(&self, state: &State) -> Option<Self> {
        if self.services.iter().all(|service| service.is_current()) {
            return None;
        }
        let services: Vec<_> = self
            .services
            .iter()
            .zip(&self.plan.upstreams)
            .map(|(service, upstream)| match service.is_current() {
                true => Arc::clone(service),
                // What is listed has its cells from before, so nothing of that is new.
                false => Arc::new(wire_service(upstream, state, None)),
            })
            .collect();
        let sites: Vec<_> = self.sites.iter().map(|site| site.led_to(&services)).collect();
        Some(Self {
            routes: table(&sites),
            sites,
            services,
            zones: self.zones.clone(),
            watches: Arc::clone(&self.watches),
            log_format: Format::new(&self.plan.access_log.format),
            tracer: self.tracer.clone(),
            challenges: self.challenges.clone(),
            ordered: self.ordered.clone(),
            no_route: self.no_route.clone(),
            serial: state.serial(),
            loaded_at: self.loaded_at,
            hash: self.hash.clone(),
            plan: self.plan.clone(),
            _alive: Arc::clone(&state.alive),
        })
    }
}

impl Service {
    /// Whether it has the servers that are known by now.
    fn is_current(&self) -> bool {
        let discovered = self.discovered.as_ref();
        discovered.is_none_or(|d| Arc::ptr_eq(&d.given, &d.roster.given()))
    }
}

impl Site {
    /// The same, sending requests to these services, which are in the order of the plan.
    fn led_to(self: &Arc<Self>, services: &[Arc<Service>]) -> Arc<Self> {
        let is_among = |service: &Arc<Service>| services.iter().any(|s| Arc::ptr_eq(s, service));
        let is_current = match &self.act {
            Act::Files(_) | Act::Redirect | Act::Respond => true,
            Act::Split(shares) => shares.iter().all(|(service, _)| is_among(service)),
            Act::Upstream(service) => is_among(service),
        };
        if is_current
            && self
                .mirror
                .as_ref()
                .is_none_or(|mirror| is_among(&mirror.service))
        {
            return Arc::clone(self);
        }
        Arc::new(Self {
            act: wire_act(&self.route.action, services),
            route: Arc::clone(&self.route),
            mirror: self
                .route
                .mirror
                .zip(self.mirror.as_ref())
                .map(|(id, mirror)| Mirror {
                    service: Arc::clone(&services[id.0]),
                    metrics: mirror.metrics.clone(),
                }),
            zone: self.zone.clone(),
            request_headers: self.request_headers.clone(),
            response_headers: self.response_headers.clone(),
            told_names: self.told_names.clone(),
            watch: self.watch.clone(),
            compresses: self.compresses,
            metrics: self.metrics.clone(),
        })
    }
}
