//! What a route asks of a request, wired.

use std::sync::Arc;
use std::time::Duration;

use crate::config::plan::{
    self, AuthMethod, Basic, ConcurrencyLimit, DiscoverSource, Forward, Keys as ApiKeyPlan, LimitKey, Plan,
    TokenKeys,
};
use crate::guard::basic::{Checks, Successes};
use crate::guard::concurrency::Gate;
use crate::guard::rate::Limiter;
use crate::guard::shared::Shared;
use crate::guard::token::{Issuer, Keys, Terms, Verified};
use crate::outbound::Trust;
use crate::state::{Rate, State};

/// All limits and authorities of a configuration, each wired once.
pub struct Watches {
    limits: Vec<Arc<Limit>>,
    gates: Vec<Arc<Place>>,
    authorities: Vec<Arc<Authority>>,
    trust: Option<Trust>,
    seed: u64,
}

/// What one route asks of a request.
#[derive(Clone, Default)]
pub struct Watch {
    /// Limits that need not know who asks.
    pub early: Vec<Arc<Limit>>,
    /// Limits that count by a claim.
    pub late: Vec<Arc<Limit>>,
    /// How many at once.
    pub places: Vec<Arc<Place>>,
    /// Who must be known.
    pub authority: Option<Arc<Authority>>,
    /// What keys are hashed with.
    pub seed: u64,
}

/// A rate limit.
pub struct Limit {
    /// The limit over its table.
    pub limiter: Limiter,
    /// Its cell.
    pub cell: Arc<Rate>,
    /// Who counts for all gateways together; None where this one counts for itself.
    pub shared: Option<Arc<dyn Shared>>,
    /// As configured.
    pub plan: Arc<plan::RateLimit>,
}

/// A concurrency limit.
pub struct Place {
    /// Who is inside.
    pub gate: Arc<Gate>,
    /// As configured.
    pub plan: Arc<ConcurrencyLimit>,
}

/// Who decides whether a request is somebody's.
pub struct Authority {
    /// NAME of `[auth.NAME]`.
    pub name: String,
    /// How.
    pub method: Method,
}

/// How an authority decides.
pub enum Method {
    /// By a name and a password.
    Basic {
        /// As configured.
        plan: Basic,
        /// Logins of the last minute.
        successes: Arc<Successes>,
        /// Where passwords are hashed.
        checks: Arc<Checks>,
    },
    /// By asking somebody else.
    Forward {
        /// As configured.
        plan: Forward,
        /// Whose certificates are believed.
        trust: Box<Trust>,
    },
    /// By a key in a field.
    Keys(ApiKeyPlan),
    /// By a token.
    Token {
        /// What a token must be.
        terms: Box<Terms>,
        /// What it is signed with.
        source: KeySource,
        /// Tokens that were good.
        verified: Arc<Verified>,
    },
}

/// Where the keys of tokens are.
pub enum KeySource {
    /// Fetched by somebody else.
    Fetched(Arc<Issuer>),
    /// Read with the configuration.
    Given(Arc<Keys>),
}

impl Watches {
    /// Wires all of a plan. `shared` counts for all gateways, where there is a Redis.
    pub fn wire(plan: &Plan, state: &State, shared: Option<&Arc<dyn Shared>>) -> Self {
        Self {
            limits: plan
                .rate_limits
                .iter()
                .map(|limit| Arc::new(wire_limit(limit, state, shared)))
                .collect(),
            gates: plan
                .concurrency_limits
                .iter()
                .map(|limit| {
                    Arc::new(Place {
                        gate: state.guards.gate(limit),
                        plan: Arc::clone(limit),
                    })
                })
                .collect(),
            authorities: plan
                .auths
                .iter()
                .map(|auth| Arc::new(wire_authority(auth, state)))
                .collect(),
            trust: asks_over_tls(plan).then(|| state.guards.trust().clone()),
            seed: state.guards.seed,
        }
    }

    /// What a route asks.
    pub fn of(&self, guards: &plan::Guards) -> Watch {
        let limits = guards.rate_limits.iter().map(|id| Arc::clone(&self.limits[id.0]));
        let by_claim = |limit: &Arc<Limit>| matches!(limit.plan.key, LimitKey::JwtClaim(_));
        let (late, early) = limits.partition(by_claim);
        let places = guards.concurrency_limits.iter();
        Watch {
            early,
            late,
            places: places.map(|id| Arc::clone(&self.gates[id.0])).collect(),
            authority: guards.auth.map(|id| Arc::clone(&self.authorities[id.0])),
            seed: self.seed,
        }
    }

    /// All limits, in the order of the plan.
    pub fn limits(&self) -> &[Arc<Limit>] {
        &self.limits
    }

    /// All concurrency limits, in the order of the plan.
    pub fn places(&self) -> &[Arc<Place>] {
        &self.gates
    }

    /// Whose certificates are believed; None where nobody is asked.
    pub fn trust(&self) -> Option<&Trust> {
        self.trust.as_ref()
    }

    /// Issuers whose keys are to be fetched: URL, time between two fetches, cell.
    pub fn issuers(&self, plan: &Plan) -> Vec<(String, Duration, Arc<Issuer>)> {
        let wired = plan.auths.iter().zip(&self.authorities);
        let fetched = wired.filter_map(|(auth, authority)| match (&auth.method, &authority.method) {
            (
                AuthMethod::Jwt(jwt),
                Method::Token {
                    source: KeySource::Fetched(issuer),
                    ..
                },
            ) => match &jwt.keys {
                TokenKeys::Fetched { url, refresh } => Some((url.clone(), *refresh, Arc::clone(issuer))),
                TokenKeys::Given { .. } => None,
            },
            _ => None,
        });
        fetched.collect()
    }
}

/// Whether somebody is asked who may speak TLS.
fn asks_over_tls(plan: &Plan) -> bool {
    let is_consul = |upstream: &Arc<plan::Upstream>| {
        let source = upstream.discover.as_ref().map(|d| &d.source);
        matches!(source, Some(DiscoverSource::Consul(_)))
    };
    plan.auths.iter().any(|auth| asks_others(&auth.method)) || plan.upstreams.iter().any(is_consul)
}

fn asks_others(method: &AuthMethod) -> bool {
    match method {
        AuthMethod::Forward(_) => true,
        AuthMethod::Jwt(jwt) => matches!(jwt.keys, TokenKeys::Fetched { .. }),
        AuthMethod::Basic(_) | AuthMethod::Keys(_) => false,
    }
}

fn wire_limit(limit: &Arc<plan::RateLimit>, state: &State, shared: Option<&Arc<dyn Shared>>) -> Limit {
    let cell = state.guards.rate(limit);
    Limit {
        limiter: Limiter::new(Arc::clone(limit), Arc::clone(&cell.table)),
        cell,
        shared: shared.filter(|_| limit.shared).cloned(),
        plan: Arc::clone(limit),
    }
}

fn wire_authority(auth: &plan::Auth, state: &State) -> Authority {
    let method = match &auth.method {
        AuthMethod::Basic(basic) => Method::Basic {
            plan: basic.clone(),
            successes: Arc::clone(&state.guards.successes),
            checks: Arc::clone(&state.guards.checks),
        },
        AuthMethod::Forward(forward) => Method::Forward {
            plan: forward.clone(),
            trust: Box::new(state.guards.trust().clone()),
        },
        AuthMethod::Keys(keys) => Method::Keys(keys.clone()),
        AuthMethod::Jwt(jwt) => Method::Token {
            source: match &jwt.keys {
                TokenKeys::Fetched { url, .. } => KeySource::Fetched(state.guards.issuer(url)),
                TokenKeys::Given { keys, .. } => KeySource::Given(Arc::new(Keys::given(keys))),
            },
            terms: Box::new(Terms::new(jwt.clone())),
            verified: Arc::clone(&state.guards.verified),
        },
    };
    Authority {
        name: auth.name.clone(),
        method,
    }
}
