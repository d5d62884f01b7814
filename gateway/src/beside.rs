//! What the control side does for requests for as long as it runs: a link to Redis, keys of tokens, certificates that are
//! ordered, where servers are, where spans go.

use std::sync::{Arc, OnceLock};

use tokio::runtime::Handle;

use crate::config::Plan;
use crate::finder::{self, Finder};
use crate::guard::shared::Shared;
use crate::guard::token::Issuer;
use crate::keyring::{Cell, Keyring, Wanted};
use crate::kit::clock::{Clock, Mono};
use crate::observe::Tracer;
use crate::ordering::Orders;
use crate::otlp::Exporter;
use crate::outbound::Trust;
use crate::redis_link::{Link, Links};
use crate::secrets::TokenKey;
use crate::snapshot::Snapshot;

/// Links and fetches, which go on across reloads.
pub struct Beside {
    runtime: Handle,
    clock: Clock,
    links: Links,
    finder: Finder,
    /// Made for the first configuration that fetches keys: the system's authorities are not read for nothing.
    keyring: OnceLock<Keyring<Issuer>>,
    orders: Orders,
    link: parking_lot::Mutex<Option<Arc<Link>>>,
    /// Made for the first configuration that has `[tracing]`, and there until the end: requests of an old one may still end.
    exporter: OnceLock<Exporter>,
}

impl Beside {
    /// Nothing yet; all of it will run on `runtime`.
    pub fn new(runtime: &Handle, clock: &Clock) -> Self {
        Self {
            links: Links::new(runtime.clone(), clock.clone(), fastrand::u64(..)),
            finder: Finder::new(runtime.clone(), clock.clone()),
            runtime: runtime.clone(),
            clock: clock.clone(),
            orders: Orders::new(runtime.clone(), clock.clone()),
            keyring: OnceLock::new(),
            link: parking_lot::Mutex::default(),
            exporter: OnceLock::new(),
        }
    }

    /// Who counts for all gateways by that plan. A link begins to connect at once.
    pub fn shared(&self, plan: &Plan) -> Option<Arc<dyn Shared>> {
        let link = plan.redis.as_ref().map(|redis| self.links.claim(redis));
        self.link.lock().clone_from(&link);
        link.map(|link| -> Arc<dyn Shared> { link })
    }

    /// The link in use.
    pub fn link(&self) -> Option<Arc<Link>> {
        self.link.lock().clone()
    }

    /// Ends when some source has given other servers than before.
    pub async fn discovered(&self) {
        self.finder.changed().await;
    }

    /// Where spans go by that plan.
    pub fn tracer(&self, plan: &Plan, trust: impl FnOnce() -> Trust) -> Option<Tracer> {
        let to = plan.tracing.as_ref()?;
        let start = || Exporter::start(to, &self.runtime, &self.clock, &trust(), fastrand::u64(..));
        let exporter = self.exporter.get_or_init(start);
        exporter.redirect(to);
        Some(exporter.tracer(to))
    }

    /// Who sends spans, if anybody ever did.
    pub fn exporter(&self) -> Option<&Exporter> {
        self.exporter.get()
    }

    /// Fetches, asks and orders what a configuration wants, and nothing else.
    pub fn reconcile(&self, snapshot: &Snapshot) {
        self.finder
            .reconcile(finder::wanted(snapshot), snapshot.watches.trust());
        self.orders.reconcile(snapshot);
        let issuers = snapshot.watches.issuers(&snapshot.plan);
        let wanted: Vec<_> = issuers
            .into_iter()
            .map(|(url, refresh, cell)| Wanted { url, refresh, cell })
            .collect();
        match self.keyring.get() {
            Some(keyring) => keyring.reconcile(wanted),
            None => {
                if let Some(trust) = snapshot.watches.trust().filter(|_| !wanted.is_empty()) {
                    self.keyring(trust).reconcile(wanted);
                }
            }
        }
    }

    fn keyring(&self, trust: &Trust) -> &Keyring<Issuer> {
        let make = || Keyring::new(self.runtime.clone(), self.clock.clone(), trust, TokenKey::jwks);
        self.keyring.get_or_init(make)
    }
}

impl Cell for Issuer {
    type Key = TokenKey;

    fn replace(&self, keys: Vec<TokenKey>, now: Mono) {
        self.replace(keys, now);
    }

    fn note_failure(&self, now: Mono) {
        self.note_failure(now);
    }

    async fn wanted(&self) {
        self.wanted().await;
    }
}
