//! guard: who asks.

use std::sync::Arc;
use std::time::Duration;

use super::{Stage, Step, Verdict, Visit, Wait};
use crate::config::plan::{Basic, Keys as KeyPlan};
use crate::corridor::decide::Deciding;
use crate::corridor::hand::{Hand, Room};
use crate::exchange::Exchange;
use crate::guard::api_key;
use crate::guard::basic::{self, BasicFault, Checked, Login, Successes};
use crate::guard::forward::{self, Verdict as Forwarded};
use crate::guard::token::{self, Claims, Issuer, Keys, NoToken, Terms, TokenFault, Verified};
use crate::kit::clock::Now;
use crate::outbound::Ask;
use crate::reply::{Body, Refusal, Reply, Segment};
use crate::snapshot::Site;
use crate::snapshot::watch::{Authority, KeySource, Method};

/// How long a request waits for keys that are being fetched. Longer, and its client had better ask again.
const KEYS_WAIT_MAX: Duration = Duration::from_secs(2);

/// Somebody who is not known yet.
pub(in crate::corridor) enum Unknown {
    /// His password is to be hashed.
    Password {
        login: Login,
        name: String,
        password: String,
    },
    /// Somebody else is to be asked.
    Stranger,
    /// The keys are on their way: another generation than this.
    Keys(Arc<Issuer>, u64),
}

/// Why nobody is known.
enum Nobody {
    /// Nothing was shown.
    Missing(String),
    /// It was not good.
    Invalid(String),
    /// It cannot be found out now.
    Unavailable,
}

impl Nobody {
    fn verdict(self) -> Verdict {
        // RFC 9110 §15.5.2: "The server generating a 401 response MUST send a WWW-Authenticate header field".
        let challenge = |text| vec![("WWW-Authenticate", text)];
        match self {
            Self::Missing(text) => Verdict::Refuse(Refusal::CredentialsMissing, challenge(text)),
            Self::Invalid(text) => Verdict::Refuse(Refusal::CredentialsInvalid, challenge(text)),
            Self::Unavailable => {
                Verdict::Refuse(Refusal::AuthUnavailable, vec![("Retry-After", "5".to_owned())])
            }
        }
    }
}

impl<H: Hand> Deciding<'_, H> {
    /// Finds out who asks, as far as that takes no time. `has_waited`: keys that were missing have been waited for.
    pub(super) fn identify(&mut self, site: &Site, has_waited: bool) -> Step {
        let Some(authority) = &site.watch.authority else {
            return Step::On;
        };
        let now = self.hand.now();
        let name = &authority.name;
        let step = match &authority.method {
            Method::Keys(plan) => by_key(self.x, name, plan),
            Method::Forward { plan, .. }
                if !self.hand.may_ask(|| format!("{}, by auth {name}", plan.url)) =>
            {
                return Step::On;
            }
            Method::Forward { .. } => Step::Wait(Wait::Know(Box::new(Unknown::Stranger))),
            Method::Basic { plan, successes, .. } => self.by_password(name, plan, successes, now),
            Method::Token {
                terms,
                source,
                verified,
            } => self.by_token(name, (terms, source, verified), now, has_waited),
        };
        self.tell_identity(authority, &step);
        step
    }

    fn tell_identity(&mut self, authority: &Authority, step: &Step) {
        let x = &*self.x;
        self.hand.note(Room::Guard, || {
            let verdict = match step {
                Step::On => format!("known as {}", x.guarded.user.as_deref().unwrap_or("somebody")),
                Step::Out(Verdict::Refuse(refusal, _)) => format!("refused, {}", refusal.facts().word),
                Step::Out(_) => "refused".to_owned(),
                Step::Wait(_) => "to be found out".to_owned(),
            };
            format!(
                "auth {}: {verdict}; it asks for {}",
                authority.name,
                wanted(&authority.method)
            )
        });
    }

    fn by_password(&mut self, auth: &str, plan: &Basic, successes: &Successes, now: Now) -> Step {
        let x = &mut *self.x;
        let (name, password) = match basic::credentials(&x.request.fields) {
            Ok(shown) => shown,
            Err(BasicFault::Missing | BasicFault::Scheme) => {
                return Step::Out(Nobody::Missing(password_challenge(plan)).verdict());
            }
            Err(fault @ (BasicFault::Repeated | BasicFault::Malformed(_))) => {
                log::debug!("auth {auth}: {fault}, request {}", x.request_id);
                return Step::Out(Nobody::Invalid(password_challenge(plan)).verdict());
            }
        };
        let login = successes.login(auth, &plan.users, &name, &password);
        if self.hand.holds(successes, &login, now.mono) {
            known(x, name, plan.forward_user.as_deref());
            return Step::On;
        }
        Step::Wait(Wait::Know(Box::new(Unknown::Password {
            login,
            name,
            password,
        })))
    }

    /// A password has been hashed.
    pub(in crate::corridor) fn password_checked(
        &mut self,
        authority: &Authority,
        login: Login,
        name: String,
        checked: Checked,
    ) -> Result<Stage, Verdict> {
        let Method::Basic { plan, successes, .. } = &authority.method else {
            return Err(Nobody::Unavailable.verdict());
        };
        match checked {
            Checked::Right => {
                self.hand.remember(successes, login);
                known(self.x, name, plan.forward_user.as_deref());
                Ok(Stage::RatesByClaim)
            }
            Checked::Wrong => Err(Nobody::Invalid(password_challenge(plan)).verdict()),
            Checked::Busy => Err(Nobody::Unavailable.verdict()),
        }
    }

    fn by_token(
        &mut self,
        auth: &str,
        (terms, source, verified): (&Terms, &KeySource, &Verified),
        now: Now,
        has_waited: bool,
    ) -> Step {
        let x = &mut *self.x;
        let text = match token::bearer(&x.request.fields, terms.policy()) {
            Ok(text) => text,
            Err(why) => return Step::Out(without_token(why, auth)),
        };
        let keys = source.keys();
        match self.hand.judge(verified, text, &keys, terms, now.wall) {
            Ok(claims) => {
                tell(x, terms, claims);
                Step::On
            }
            Err(fault) => self.not_believed(auth, fault, (source, &keys), now, has_waited),
        }
    }

    fn not_believed(
        &mut self,
        auth: &str,
        fault: TokenFault,
        (source, keys): (&KeySource, &Keys),
        now: Now,
        has_waited: bool,
    ) -> Step {
        if let (KeySource::Fetched(issuer), TokenFault::UnknownKey) = (source, fault) {
            // A list that has come since this one was looked at is not asked for again, and is there at once.
            let mut may_come = || {
                let is_coming = self
                    .hand
                    .wants(issuer, now.mono, || format!("the keys of auth {auth}"));
                is_coming || issuer.keys().generation != keys.generation
            };
            if !has_waited && may_come() {
                let unknown = Unknown::Keys(Arc::clone(issuer), keys.generation);
                return Step::Wait(Wait::Know(Box::new(unknown)));
            }
            if keys.fetched_at.is_none() {
                // Nothing can be said of it, good or bad.
                return Step::Out(Nobody::Unavailable.verdict());
            }
        }
        log::debug!(
            "auth {auth}: a token was refused: {}, request {}",
            fault.word(),
            self.x.request_id
        );
        self.hand.note(Room::Guard, || {
            format!("auth {auth}: the token is not good: {}", fault.word())
        });
        let mut text = Vec::new();
        token::challenge(&fault, auth, &mut text);
        Step::Out(Nobody::Invalid(String::from_utf8_lossy(&text).into_owned()).verdict())
    }
}

impl Visit<'_> {
    pub(super) async fn find_out(&mut self, site: &Site, unknown: Unknown) -> Result<Stage, Verdict> {
        let Some(authority) = &site.watch.authority else {
            return Ok(Stage::RatesByClaim);
        };
        match unknown {
            Unknown::Keys(issuer, generation) => {
                // Whether they have come shows when they are used.
                let _ = tokio::time::timeout(KEYS_WAIT_MAX, issuer.arrived(generation)).await;
                Ok(Stage::Identity { has_waited: true })
            }
            Unknown::Password {
                login,
                name,
                password,
            } => self.check_password(authority, login, name, password).await,
            Unknown::Stranger => self.ask_about(authority).await,
        }
    }

    async fn check_password(
        &mut self,
        authority: &Authority,
        login: Login,
        name: String,
        password: String,
    ) -> Result<Stage, Verdict> {
        let Method::Basic { plan, checks, .. } = &authority.method else {
            return Err(Nobody::Unavailable.verdict());
        };
        let checked = checks
            .check(Arc::clone(&plan.users), name.clone(), password)
            .await;
        self.deciding().password_checked(authority, login, name, checked)
    }

    async fn ask_about(&mut self, authority: &Authority) -> Result<Stage, Verdict> {
        let Method::Forward { plan, trust } = &authority.method else {
            return Err(Nobody::Unavailable.verdict());
        };
        let question = forward::question(&self.x.facts(), plan);
        let client = self.worker.outbound(trust);
        let ask = Ask {
            url: &plan.url,
            headers: &question,
            timeout: plan.timeout,
            body_max: forward::BODY_BYTES_MAX,
        };
        match forward::verdict(client.get(ask).await, plan) {
            Forwarded::Pass { copied } => {
                self.x.guarded.told.extend(copied);
                Ok(Stage::RatesByClaim)
            }
            Forwarded::Refuse(refusal) => {
                let mut reply = Reply::empty(refusal.status);
                reply.relayed = Some(Box::new(refusal.fields));
                reply.body = Body {
                    segments: vec![Segment::Bytes(refusal.body)],
                };
                Err(Verdict::Reply(reply))
            }
            Forwarded::Broken(fault) => {
                if self.worker.may_complain() {
                    log::warn!("auth {}: {} gave no verdict: {fault}", authority.name, plan.url);
                }
                Err(Nobody::Unavailable.verdict())
            }
        }
    }
}

/// Notes who it is, and what the origin is told.
fn known(x: &mut Exchange, user: String, field: Option<&str>) {
    if let Some(field) = field {
        x.guarded.told.push((field.to_owned(), user.clone()));
    }
    x.guarded.user = Some(user);
}

fn by_key(x: &mut Exchange, auth: &str, plan: &KeyPlan) -> Step {
    let challenge = || format!("ApiKey realm=\"{auth}\"");
    let owner = api_key::owner(&x.request.fields, plan).map(str::to_owned);
    match owner {
        Ok(owner) => {
            known(x, owner, plan.forward_name.as_deref());
            Step::On
        }
        Err(api_key::KeyFault::Missing) => Step::Out(Nobody::Missing(challenge()).verdict()),
        Err(fault @ (api_key::KeyFault::Repeated | api_key::KeyFault::Unknown)) => {
            log::debug!("auth {auth}: {fault}, request {}", x.request_id);
            Step::Out(Nobody::Invalid(challenge()).verdict())
        }
    }
}

fn password_challenge(plan: &Basic) -> String {
    let mut text = Vec::new();
    basic::challenge(&plan.realm, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

impl KeySource {
    fn keys(&self) -> Arc<Keys> {
        match self {
            Self::Fetched(issuer) => issuer.keys(),
            Self::Given(keys) => Arc::clone(keys),
        }
    }
}

/// What an authority has to be shown, for people.
fn wanted(method: &Method) -> String {
    match method {
        Method::Basic { .. } => "a name and a password in Authorization".to_owned(),
        Method::Forward { plan, .. } => format!("whatever {} wants", plan.url),
        Method::Keys(plan) => format!("a key in {}", plan.header),
        Method::Token { .. } => "a token".to_owned(),
    }
}

fn without_token(why: NoToken, auth: &str) -> Verdict {
    let mut text = Vec::new();
    token::challenge_without(why, auth, &mut text);
    let text = String::from_utf8_lossy(&text).into_owned();
    match why {
        NoToken::Missing => Nobody::Missing(text).verdict(),
        NoToken::Ambiguous => Nobody::Invalid(text).verdict(),
    }
}

fn tell(x: &mut Exchange, terms: &Terms, claims: Arc<Claims>) {
    for (claim, field) in &terms.policy().forward_claims {
        if let Some(value) = claims.text(claim) {
            x.guarded.told.push((field.clone(), value.to_owned()));
        }
    }
    x.guarded.user = claims.text("sub").map(str::to_owned);
    x.guarded.claims = Some(claims);
}
