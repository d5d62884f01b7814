//! What would happen to a request now, and why: the walk with a hand that changes nothing, and takes down what it finds.
//!
//! It is the code that serves: [`decide`](super::decide) up to the action, then the look-up and the choice of a server, which
//! have a look beside their act ([`Pool::peek`](crate::balance::Pool::peek), [`rate::peek`](crate::guard::rate::peek),
//! [`Look::Peek`](crate::cache::store::Look)). What would have to be waited for is assumed to go well, and said. What an
//! origin answers cannot be known.

mod balance;
mod cache;
mod look;
mod question;

use std::sync::Arc;

use super::decide::{Deciding, of_head_fault};
use super::guard::{Checked, Stage, Unknown, Wait, named};
use super::hand::{Hand, Room};
use super::worker::Door;
use super::{Verdict, attempt};
use crate::config::plan::Listener;
use crate::exchange::{Caller, Exchange, Heads};
use crate::guard::basic::Checked as Password;
use crate::kit::clock::Clock;
use crate::reply::{Refusal, Reply};
use crate::snapshot::watch::Method;
use crate::snapshot::{Act, Service, Site, Snapshot};
use crate::tls::ServerSide;
use crate::upstream::head::write_target;
use look::Looking;
pub use question::{Question, QuestionFault};

/// What happens to a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    /// Its origin is asked.
    #[default]
    Proxy,
    /// A fresh stored answer is sent.
    Hit,
    /// A stale stored answer is sent.
    Stale,
    /// A file is sent.
    Static,
    /// It is answered with what the configuration says, or as the protocol asks.
    Respond,
    /// It is sent elsewhere.
    Redirect,
    /// It is refused.
    Refuse(Refusal),
}

/// All that can be told.
#[derive(Clone, Debug, Default)]
pub struct Explanation {
    /// What happens.
    pub outcome: Outcome,
    /// What the client is told; None where that is the origin's to say.
    pub status: Option<u16>,
    /// Where a redirect leads.
    pub location: Option<String>,
    /// Name of the route.
    pub route: Option<String>,
    /// Name of the upstream.
    pub upstream: Option<String>,
    /// Address of the server; None where none is asked, or chance decides.
    pub server: Option<String>,
    /// Where chance decides: the upstreams of a split, or the servers that may be drawn.
    pub candidates: Vec<String>,
    /// What the cache has; None on routes without one, and where the request does not come so far.
    pub cache: Option<Cached>,
    /// The limits asked.
    pub limits: Vec<LimitSeen>,
    /// The servers that were to choose from.
    pub servers: Vec<ServerSeen>,
    /// What is taken for granted because it could not be found out without a wait or a change.
    pub assumed: Vec<String>,
    /// What was found, in the order of the walk.
    pub steps: Vec<Step>,
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Where: listen, route, guard, cache, action, balance, upstream.
    pub room: &'static str,
    /// What.
    pub text: String,
}

/// What the cache has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cached {
    /// Name of the cache.
    pub store: String,
    /// Text of the key; empty where none is asked for.
    pub key: String,
    /// hit, stale, miss, bypass, uncacheable.
    pub state: &'static str,
    /// Why.
    pub reason: String,
    /// Of what is stored, whether it is used or not, in seconds.
    pub age_s: Option<u64>,
    /// Of what is stored, as its origin has named them.
    pub tags: Vec<String>,
}

/// A rate limit as the request meets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitSeen {
    /// Its name.
    pub name: String,
    /// What the request is counted under.
    pub key: String,
    /// Requests it would admit now, this one included.
    pub left: u32,
    /// Milliseconds until it would admit one.
    pub retry_after_ms: u64,
}

/// A server as the request meets it.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerSeen {
    /// Where it is.
    pub address: String,
    /// up, down, ejected, drain, off.
    pub state: &'static str,
    /// Its weight, as it counts now.
    pub weight: f64,
    /// Serves only when no primary can.
    pub backup: bool,
    /// Requests it is working on.
    pub in_flight: u32,
    /// Whether the request would go there.
    pub chosen: bool,
    /// Why it would, or would not.
    pub reason: String,
}

/// A listener as requests come in by it.
pub type Entrance = (Listener, Option<Arc<ServerSide>>);

/// The walk of a request that is not served.
struct Walk {
    x: Exchange,
    door: Door,
    looking: Looking,
    found: Explanation,
}

/// Explains what would happen to a request at this moment. Nothing is charged, taken, remembered or forgotten.
///
/// # Errors
/// A question that makes no request, or names no listener there is.
pub async fn explain(
    question: &Question,
    snapshot: Arc<Snapshot>,
    entrances: Vec<Entrance>,
    clock: &Clock,
) -> Result<Explanation, QuestionFault> {
    let head = question.head()?;
    let ((listener, tls), why) = question.entrance(entrances)?;
    let caller = Caller {
        ip: question.peer(&listener.address),
        subject: None,
        greeted: None,
    };
    let mut walk = Walk {
        x: Exchange::new(snapshot, clock.now(), &caller, Heads::default()),
        door: Door::new(listener, Arc::default(), tls),
        looking: Looking::new(clock.clone()),
        found: Explanation::default(),
    };
    walk.note_entrance(why);
    let limits = walk.x.snapshot.plan.server.limits.clone();
    let outcome = match question::read(&head, &limits, &mut walk.x.request) {
        Ok(()) => walk.decide().await,
        Err(fault) => {
            walk.note(
                Room::Listen,
                format!("the head is refused: {}", question::told(fault)),
            );
            walk.refuse(of_head_fault(fault))
        }
    };
    Ok(walk.end(outcome))
}

impl Walk {
    fn note(&mut self, room: Room, text: impl Into<String>) {
        (&mut self.looking).note(room, || text.into());
    }

    fn deciding(&mut self) -> Deciding<'_, &mut Looking> {
        Deciding {
            x: &mut self.x,
            door: &self.door,
            hand: &mut self.looking,
        }
    }

    async fn decide(&mut self) -> Outcome {
        self.deciding().introduce();
        self.note_request();
        let decided = self.deciding().decide();
        let decided = match decided {
            Ok(Verdict::Wait(site, wait)) => self.wait_in(&site, wait).await,
            Ok(decided) => decided,
            Err(refusal) => {
                self.note(Room::Listen, "nothing behind it on its connection would be read");
                return self.refuse(refusal);
            }
        };
        self.note_action(&decided);
        match decided {
            Verdict::Pass(service) => self.pass_on(&service).await,
            Verdict::Reply(reply) => self.reply(&reply),
            Verdict::Refuse(refusal, _) => self.refuse(refusal),
            // `wait_in` leaves none of them.
            Verdict::Wait(..) | Verdict::Abandon => self.refuse(Refusal::Internal),
        }
    }

    /// What takes time: a password is hashed, keys that would be fetched are taken not to come. All else the hand has
    /// taken for granted.
    async fn wait_in(&mut self, site: &Arc<Site>, mut wait: Wait) -> Verdict {
        loop {
            let stage = match wait {
                Wait::Know(unknown) => self.find_out(site, *unknown).await,
                // The hand lets nobody count, and nobody into a line.
                Wait::Count(_) | Wait::Place(..) => return Verdict::refuse(Refusal::Internal),
            };
            let checked = match stage {
                Ok(stage) => self.deciding().guard(site, stage),
                Err(verdict) => return verdict,
            };
            match checked {
                Checked::In => return self.deciding().act(site),
                Checked::Out(verdict) => return verdict,
                Checked::Wait(next) => wait = next,
            }
        }
    }

    async fn find_out(&mut self, site: &Site, unknown: Unknown) -> Result<Stage, Verdict> {
        let (login, name, password) = match unknown {
            Unknown::Password {
                login,
                name,
                password,
            } => (login, name, password),
            Unknown::Keys(..) => return Ok(Stage::Identity { has_waited: true }),
            Unknown::Stranger => return Ok(Stage::RatesByClaim),
        };
        let Some(authority) = &site.watch.authority else {
            return Ok(Stage::RatesByClaim);
        };
        let Method::Basic { plan, checks, .. } = &authority.method else {
            return Ok(Stage::RatesByClaim);
        };
        let users = Arc::clone(&plan.users);
        let checked = checks.check(users, name.clone(), password).await;
        let verdict = match checked {
            Password::Right => "right",
            Password::Wrong => "wrong",
            Password::Busy => "not hashed: too many wait",
        };
        self.note(
            Room::Guard,
            format!("auth {}: the password is {verdict}", authority.name),
        );
        self.deciding().password_checked(authority, login, name, checked)
    }

    /// The end of the walk for requests that are for an origin.
    async fn pass_on(&mut self, service: &Arc<Service>) -> Outcome {
        self.found.upstream = Some(service.plan.name.clone());
        let cached = self.x.site.clone().and_then(|site| {
            let (zone, _) = (site.zone.clone()?, site.route.cache.as_ref()?);
            Some((site, zone))
        });
        match cached {
            Some((site, zone)) => self.by_cache(&site, &zone, service).await,
            None => self
                .by_origin(service)
                .unwrap_or_else(|refusal| self.refuse(refusal)),
        }
    }

    /// What asking the origin comes to; as an error why it cannot be asked.
    fn by_origin(&mut self, service: &Service) -> Result<Outcome, Refusal> {
        if attempt::asks_in_vain(&self.x, service) {
            return Err(Refusal::WebsocketUnsupported);
        }
        self.choose_server(service)?;
        let mut target = Vec::new();
        write_target(
            &mut target,
            attempt::path_of(&self.x),
            self.x.request.query.as_deref(),
        );
        let method = match self.x.fetch {
            Some(_) => "GET",
            None => &self.x.request.method_text,
        };
        let text = format!("{method} {} is sent on", target.escape_ascii());
        self.note(Room::Upstream, text);
        Ok(Outcome::Proxy)
    }

    fn reply(&mut self, reply: &Reply) -> Outcome {
        self.found.status = Some(reply.status);
        let location = reply.fields.iter().find(|(name, _)| *name == "Location");
        self.found.location = location.map(|(_, to)| to.clone());
        match &self.x.site {
            Some(site) if matches!(site.act, Act::Files(_)) && self.looking.has_sought_file => {
                Outcome::Static
            }
            _ if self.found.location.is_some() => Outcome::Redirect,
            _ => Outcome::Respond,
        }
    }

    fn refuse(&mut self, refusal: Refusal) -> Outcome {
        self.found.status = Some(refusal.facts().status);
        Outcome::Refuse(refusal)
    }

    fn end(self, outcome: Outcome) -> Explanation {
        let asks_origin = outcome == Outcome::Proxy;
        let chosen = self.found.server.filter(|_| asks_origin);
        let upstream = self.found.upstream.filter(|_| self.x.site.is_some());
        Explanation {
            outcome,
            route: self.x.site.as_ref().map(|site| site.route.name.clone()),
            server: chosen,
            upstream,
            candidates: [self.looking.candidates, self.found.candidates].concat(),
            limits: self.looking.limits,
            assumed: self.looking.assumed,
            steps: self.looking.steps,
            ..self.found
        }
    }

    fn note_entrance(&mut self, why: &str) {
        let listener = &self.door.listener;
        let name = match &listener.name {
            Some(name) => format!("{name}, {}", listener.address),
            None => listener.address.to_string(),
        };
        let client_auth = listener.tls.as_ref().and_then(|tls| tls.client_auth.as_ref());
        let assumed = client_auth.map(|auth| match auth.required {
            true => {
                "the TLS handshake is taken to go well; whose certificate the client shows is not known here"
            }
            false => "the TLS handshake is taken to go well, and the client to show no certificate",
        });
        self.note(Room::Listen, format!("by {name} ({why})"));
        if let Some(text) = assumed {
            self.looking.assume(Room::Listen, text.to_owned());
        }
    }

    fn note_request(&mut self) {
        let x = &self.x;
        let mut who = format!("the client is {}", named(x.client_ip));
        if x.client_ip != x.peer_ip {
            who.push_str(&format!(", as {} says, who is trusted", named(x.peer_ip)));
        }
        let read = (x.request.path != x.request.raw_path)
            .then(|| format!("the path {} is read as {}", x.request.raw_path, x.request.path));
        self.note(Room::Listen, who);
        if let Some(read) = read {
            self.note(Room::Listen, read);
        }
    }

    fn note_action(&mut self, decided: &Verdict) {
        let text = match decided {
            Verdict::Reply(reply) => format!("answered here with {}", reply.status),
            Verdict::Pass(service) => format!("for the upstream {}", service.plan.name),
            Verdict::Refuse(refusal, _) => {
                let facts = refusal.facts();
                format!("refused with {}: {}", facts.status, facts.detail)
            }
            Verdict::Wait(..) | Verdict::Abandon => return,
        };
        self.note(Room::Action, text);
    }
}
