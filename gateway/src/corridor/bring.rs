//! cache: an answer brought from its origin on behalf of all who want it.

mod confirm;
mod judge;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::attempt::TryFault;
use super::intake::{Arrival, begin_fill};
use super::proxy::try_servers;
use super::stored::Chosen;
use super::worker::Worker;
use crate::balance::Lease;
use crate::cache::fill::Fill;
use crate::cache::flight::{Began, FlightFacts, Joined, Leader};
use crate::cache::policy::{
    self, Asked, Forward, KeyFacts, Resource, Reuse, Storable, Times, Unstorable, vary,
};
use crate::cache::store::{FillMark, Hit, Loaded, Look, LookUp};
use crate::cache::{Facets, Key, Meta, Object};
use crate::config::plan::CacheRule;
use crate::exchange::Exchange;
use crate::kit::clock::Mono;
use crate::relay::fetch::off_thread;
use crate::relay::{Origin, Upload};
use crate::reply::Refusal;
use crate::snapshot::Service;
use crate::state::Zone;
use crate::upstream::head::Fetch;
use crate::wire::{Fields, Length, Method};
use confirm::{confirm, forget};
pub(super) use judge::judge;

/// How long a key is known to be uncacheable before its requests are shared again, to see.
const PASS_TIME: Duration = Duration::from_secs(60);

/// What a request asks of the cache.
#[derive(Clone)]
pub(super) struct Question {
    pub(super) zone: Arc<Zone>,
    pub(super) asked: Asked,
    pub(super) key: Key,
    pub(super) key_text: Vec<u8>,
    /// Whether to find something is to use it.
    pub(super) look: Look,
    /// Whether it has waited for what another one asked.
    pub(super) has_waited: bool,
    /// Why the origin is asked, if it is.
    pub(super) why: Forward,
    /// By which fields its answers are known to vary, and what this request has in them.
    vary: Box<[Box<str>]>,
    variance: Vec<u8>,
}

/// What came of asking the origin.
pub(super) enum Brought {
    /// A body is on its way into the store; this is a place to follow it from.
    Filling(Chosen),
    /// What was stored still holds.
    Confirmed(Arc<Object>),
    /// The origin confirmed something else than what was stored, which is gone now.
    Mismatch,
    /// The answer is for this request alone; the text says why.
    Alone(Origin, Lease, &'static str),
    /// There is no answer, or none that is better than what is stored.
    Failed(TryFault),
}

/// Everything a request to the origin is made with and judged by.
pub(super) struct Asking<'a, 'b> {
    pub(super) worker: &'a Rc<Worker>,
    pub(super) service: &'a Arc<Service>,
    pub(super) upload: &'a mut Upload<'b>,
    pub(super) question: &'a mut Question,
    pub(super) rule: &'a CacheRule,
    /// What is stored and will not do as it is.
    pub(super) found: Option<&'a Hit>,
}

impl Question {
    /// Of a request to a route whose answers are kept in `zone`.
    pub(super) fn of(x: &Exchange, zone: &Arc<Zone>, rule: &CacheRule) -> Self {
        let mut key_text = Vec::with_capacity(128);
        policy::write_key(&mut key_text, &key_facts(x), &rule.key);
        let primary = policy::primary(&key_text, zone.store.seed());
        Self {
            zone: Arc::clone(zone),
            asked: Asked::of(&x.request),
            key: Key { primary, variance: 0 },
            key_text,
            look: Look::Use,
            has_waited: false,
            why: Forward::UriMiss,
            vary: Box::default(),
            variance: Vec::new(),
        }
    }

    /// The stored answer that this request's fields select, fresh or not.
    pub(super) async fn find(&mut self, x: &Exchange) -> Option<Hit> {
        self.why = Forward::UriMiss;
        let plain = Key {
            variance: 0,
            ..self.key
        };
        let hit = self.look_up(plain, b"").await?;
        if hit.object.meta.status != 0 {
            self.vary_by(&[], x);
            return Some(hit);
        }
        self.vary_by(&hit.object.meta.vary, x);
        self.why = Forward::VaryMiss;
        self.look_up(self.key, &self.variance).await
    }

    async fn look_up(&self, key: Key, variance: &[u8]) -> Option<Hit> {
        let is_it = |meta: &Meta| *meta.key_text == *self.key_text && *meta.variance == *variance;
        let store = &self.zone.store;
        let ticket = match store.look(key, self.look, is_it) {
            LookUp::Hit(hit) => return Some(hit),
            LookUp::Nothing => return None,
            LookUp::OnDisk(ticket) => ticket,
        };
        let loaded = match store.load(&ticket, false, is_it) {
            Loaded::WouldWait => {
                let (store, key_text) = (Arc::clone(store), self.key_text.clone());
                let variance = variance.to_vec();
                let is_it = move |meta: &Meta| *meta.key_text == *key_text && *meta.variance == *variance;
                off_thread(move || store.load(&ticket, true, is_it)).await.ok()?
            }
            loaded => loaded,
        };
        match loaded {
            Loaded::Hit(hit) => Some(hit),
            Loaded::Nothing | Loaded::WouldWait => None,
        }
    }

    /// From here on the question is for the answer that this request's values of these fields select.
    pub(super) fn vary_by(&mut self, names: &[Box<str>], x: &Exchange) {
        self.variance.clear();
        self.vary = names.into();
        if !names.is_empty() {
            vary::write_variance(&mut self.variance, names, &x.request.fields);
        }
        self.key.variance = match names {
            [] => 0,
            _ => vary::variance(&self.variance, self.zone.store.seed()),
        };
    }

    /// Whether an answer on its way is the one this request would get.
    pub(super) fn takes(&mut self, fill: &Fill, x: &Exchange, now_ms: u64) -> bool {
        let meta = &fill.meta;
        // A purge by a tag that nobody knew of while this request joined: it may have come after the purge.
        let is_purged = self.zone.store.reaches(meta.serial, &meta.facets.0);
        if *meta.key_text != *self.key_text || is_purged {
            return false;
        }
        self.vary_by(&meta.vary, x);
        *meta.variance == *self.variance && self.may_share(meta, now_ms)
    }

    /// Whether an answer that this request has waited for may be had by more than the one who asked.
    ///
    /// Who wants it confirmed for himself, or younger than it is, did not wait for this one.
    fn may_share(&self, meta: &Meta, now_ms: u64) -> bool {
        let is_as_wanted = self.asked.is_plain() || !self.is_beyond_use(meta, now_ms);
        policy::is_shareable(&meta.freshness) && is_as_wanted
    }

    /// Joins those who ask the same. Whoever a purge has reached since it asked is not joined.
    ///
    /// Who leads gets the mark of a fill, which is to be held until the answer is stored.
    pub(super) fn join(
        &self,
        x: &Exchange,
        rule: &CacheRule,
        now_ms: u64,
    ) -> (Joined<Refusal>, Option<FillMark>) {
        let store = &self.zone.store;
        let mut mark = None;
        let began = || {
            let begun = mark.insert(store.begin_fill());
            Began {
                serial: begun.serial(),
                facets: facets(x, rule, &Fields::default()).unwrap_or_default(),
            }
        };
        let joined = self
            .zone
            .flights
            .join(self.key, began, |flight| self.is_reached(flight, now_ms));
        (joined, mark)
    }

    /// Whether [`join`](Self::join) would wait for what another one has asked.
    pub(super) fn would_wait(&self, now_ms: u64) -> bool {
        let is_reached = |flight: &FlightFacts<'_>| self.is_reached(flight, now_ms);
        self.zone.flights.is_awaited(self.key, is_reached)
    }

    /// Whether a flight is not for this question: a purge is younger than it, or what it brings will not do any more.
    fn is_reached(&self, flight: &FlightFacts<'_>, now_ms: u64) -> bool {
        let store = &self.zone.store;
        let tags = flight.meta.map_or(&[][..], |meta| &meta.facets.0);
        store.reaches(flight.serial, &flight.facets.0)
            || store.reaches(flight.serial, tags)
            || flight.meta.is_some_and(|meta| self.is_beyond_use(meta, now_ms))
    }

    /// Whether a head that has come some time ago will not do for a request that comes now, though its body is still on its
    /// way: a body can take longer than its answer is fresh, or never end.
    fn is_beyond_use(&self, meta: &Meta, now_ms: u64) -> bool {
        policy::reuse(&meta.freshness, &self.asked, false, now_ms) == Reuse::Validate
    }

    /// What may be served although it is stale, because the origin fails; and its age in seconds.
    pub(super) fn on_error(&self, found: Option<Hit>, now_ms: u64) -> Option<(Hit, u64)> {
        let hit = found?;
        let freshness = &hit.object.meta.freshness;
        let age = policy::may_serve_on_error(freshness, &self.asked, hit.is_soft_purged, now_ms)?;
        Some((hit, age))
    }

    /// For a while nobody waits for an answer that cannot be shared.
    pub(super) fn remember_uncacheable(&self, now: Mono) {
        self.remember_uncacheable_as(self.key, now);
    }

    /// The same where the question had this key before its answer was seen.
    pub(super) fn remember_uncacheable_as(&self, key: Key, now: Mono) {
        self.zone.passes.insert(key, now.plus(PASS_TIME));
    }

    /// How the origin is asked: for the whole, in the codings all with this variance take, with what is stored as condition.
    fn fetch(&self, x: &Exchange, found: Option<&Hit>) -> Fetch {
        let conditions = found.map(|hit| policy::conditions(&hit.object.meta));
        let conditions = conditions.unwrap_or_default();
        Fetch {
            accept_encoding: vary::normal_accept_encoding(&x.request.fields).into(),
            if_none_match: conditions.if_none_match.map(<[u8]>::to_vec),
            if_modified_since: conditions.if_modified_since.map(<[u8]>::to_vec),
        }
    }

    pub(super) fn meta(
        &self,
        x: &Exchange,
        rule: &CacheRule,
        storable: &Storable,
        times: Times,
        serial: u64,
    ) -> Result<Meta, Unstorable> {
        Ok(Meta {
            key_text: self.key_text.as_slice().into(),
            variance: self.variance.as_slice().into(),
            vary: self.vary.clone(),
            status: x.answer.status,
            reason: x.answer.reason.as_slice().into(),
            version: x.answer.version,
            facets: facets(x, rule, &x.answer.fields)?,
            fields: policy::kept_fields(&x.answer, &storable.control, times.received_at),
            freshness: storable.freshness,
            serial,
        })
    }
}

/// Asks the origin as the leader of a flight, and says to all who wait what came of it.
pub(super) async fn bring(
    x: &mut Exchange,
    mut asking: Asking<'_, '_>,
    leader: Leader<Refusal>,
    mark: FillMark,
) -> Brought {
    let asked_at = asking.worker.now();
    x.fetch = Some(asking.question.fetch(x, asking.found));
    let outcome = try_servers(asking.worker, x, asking.service, asking.upload).await;
    let times = Times {
        asked_at,
        received_at: asking.worker.now(),
    };
    let (origin, lease) = match outcome {
        Ok(answered) => answered,
        Err(fault) => {
            match fault.refusal() {
                Some(refusal) => leader.fail(refusal),
                // A client that has gone leaves the question to those who wait. Were one of them to ask in its place, a crowd
                // that is less patient than its origin is slow would ask again and again, and have nothing of it.
                None if leader.is_awaited() => go_on_behind(x, &asking, leader, mark),
                None => {}
            }
            return Brought::Failed(fault);
        }
    };
    let status = x.answer.status;
    if status == 304 {
        return confirm(x, &asking, leader, &mark, times, (origin, lease));
    }
    let now_ms = times.received_at.unix_ms();
    let is_failure = matches!(status, 500 | 502 | 503 | 504);
    if is_failure && asking.found.is_some() && asking.question.still_on_error(x, now_ms).await.is_some() {
        leader.fail(Refusal::NoServer);
        return Brought::Failed(TryFault::of_status(status));
    }
    let judge = |x: &Exchange| judge(x, asking.rule, &asking.question.asked, times);
    match as_get(x, judge) {
        Ok(storable) => {
            let arrival = Arrival {
                storable: &storable,
                times,
                mark,
                origin,
                lease,
            };
            begin_fill(x, &mut asking, leader, arrival)
        }
        Err(reason) => {
            forget(x, &asking, reason, status, &x.answer.fields);
            leader.pass();
            Brought::Alone(origin, lease, reason.word())
        }
    }
}

/// HEAD is answered from what GET has brought: the origin was asked by GET, and is judged as such.
fn as_get<T>(x: &mut Exchange, judge: impl FnOnce(&Exchange) -> T) -> T {
    let method = std::mem::replace(&mut x.request.method, Method::Get);
    let verdict = judge(x);
    x.request.method = method;
    verdict
}

/// The facts of a request that make its key.
pub(super) fn key_facts(x: &Exchange) -> KeyFacts<'_> {
    KeyFacts {
        route: x.site.as_ref().map_or("", |s| &s.route.name),
        scheme: x.scheme,
        host: &x.request.host,
        authority: &x.request.authority,
        // As the client asks: purges know addresses by that name, whatever a rewrite makes of them.
        path_sent: x.request.path_to_send(),
        query: x.request.query.as_deref(),
        fields: &x.request.fields,
    }
}

fn facets(x: &Exchange, rule: &CacheRule, answer: &Fields) -> Result<Facets, Unstorable> {
    policy::facets::of_object(&Resource::of(x.scheme, &x.request), rule, answer)
}

/// Fetches a newer answer while a stale one is served. One such fetch runs for all who find the same.
pub(super) fn fetch_behind(
    worker: &Rc<Worker>,
    x: &Exchange,
    question: &Question,
    rule: &CacheRule,
    service: &Arc<Service>,
    hit: &Hit,
) {
    let (Joined::Lead(leader), Some(mark)) = question.join(x, rule, worker.now().unix_ms()) else {
        return;
    };
    ask_behind(
        worker,
        x,
        question.clone(),
        rule,
        service,
        Some(hit.clone()),
        (leader, mark),
    );
}

/// Asks again what a client has asked that has gone since.
fn go_on_behind(x: &Exchange, asking: &Asking<'_, '_>, leader: Leader<Refusal>, mark: FillMark) {
    let (question, found) = (asking.question.clone(), asking.found.cloned());
    ask_behind(
        asking.worker,
        x,
        question,
        asking.rule,
        asking.service,
        found,
        (leader, mark),
    );
}

fn ask_behind(
    worker: &Rc<Worker>,
    x: &Exchange,
    mut question: Question,
    rule: &CacheRule,
    service: &Arc<Service>,
    found: Option<Hit>,
    (leader, mark): (Leader<Refusal>, FillMark),
) {
    let (worker, service, rule) = (Rc::clone(worker), Arc::clone(service), rule.clone());
    let mut own = x.behind(worker.now());
    worker.clone().run_errand(async move {
        let mut nothing = worker.shelf.lend();
        let limits = super::proxy::upload_limits(&own, &service);
        let mut upload = Upload::new(None, &mut nothing, Length::None, limits);
        let _running = service.pool.running().enter();
        let asking = Asking {
            worker: &worker,
            service: &service,
            upload: &mut upload,
            question: &mut question,
            rule: &rule,
            found: found.as_ref(),
        };
        // Whatever comes of it, the store has it or nobody does. A stop does not wait for it.
        tokio::select! {
            biased;
            brought = bring(&mut own, asking, leader, mark) => drop(brought),
            () = worker.stopping() => {}
        }
    });
}
