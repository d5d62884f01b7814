//! cache: whether a stored answer will do, and who asks the origin if not.
//!
//! ```text
//! look up ─┬─ fresh ─────────────────────────────► serve
//!          ├─ stale, may be used meanwhile ──────► serve, and fetch behind
//!          └─ nothing that will do ─► join the flight of its key
//!                 ├─ lead: ask the origin (bring.rs) ─► serve what comes
//!                 └─ wait for whoever leads ──────────► serve what comes, or look again
//! ```

use std::sync::Arc;

use super::bring::{Asking, Brought, Question, bring, fetch_behind};
use super::{Next, Visit};
use crate::cache::Key;
use crate::cache::flight::{Joined, Landed, Leader, Waiting};
use crate::cache::passes::Passes;
use crate::cache::policy::{self, CacheStatus, Forward, Reuse};
use crate::cache::store::{FillMark, Hit};
use crate::config::plan::CacheRule;
use crate::corridor::stored::{Chosen, How};
use crate::exchange::{Exchange, Stretch};
use crate::observe::CacheResult;
use crate::relay::Upload;
use crate::reply::Refusal;
use crate::snapshot::{Service, Site};
use crate::state::Zone;
use crate::wire::{Length, Method};

/// How often one request looks anew, because what it waited for was not for it or went away, before it goes alone.
const ROUNDS_MAX: u32 = 4;

/// What a request comes to by what is stored, before anybody is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Course {
    /// What is stored will do.
    Serve { age_secs: u64, how: How },
    /// The client wants what is stored or nothing, and there is nothing that will do.
    NotStored,
    /// The origin is asked for this request alone: the client wants nothing stored.
    NoStore,
    /// The same: the answers to this key are known not to be for all.
    KnownPass,
    /// The same: what is stored is not for those who have waited for it.
    NotShared,
    /// The origin is asked on behalf of all.
    Ask,
}

impl Question {
    /// What it comes to with that found; `is_pass` tells whether the answers to a key are known not to be for all.
    pub(super) fn course(
        &mut self,
        found: Option<&Hit>,
        now_ms: u64,
        is_pass: impl FnOnce(&Passes, &Key) -> bool,
    ) -> Course {
        if let Some(hit) = found {
            let freshness = &hit.object.meta.freshness;
            let (age_secs, how) = match policy::reuse(freshness, &self.asked, hit.is_soft_purged, now_ms) {
                Reuse::Fresh { age_secs } => (age_secs, How::Fresh),
                Reuse::StaleAllowed { age_secs } => (age_secs, How::StaleAllowed),
                Reuse::StaleWhileRevalidate { age_secs } => (age_secs, How::StaleMeanwhile),
                Reuse::Validate => {
                    self.why = why_validated(hit, now_ms);
                    return match self.has_waited && !policy::is_shareable(freshness) {
                        true => Course::NotShared,
                        false => self.course_to_origin(is_pass),
                    };
                }
            };
            return Course::Serve { age_secs, how };
        }
        self.course_to_origin(is_pass)
    }

    /// What may be served because the origin fails, and its age in seconds: of what is stored by now. Between the question and
    /// the failure a purge may have taken away what was found first.
    pub(super) async fn still_on_error(&mut self, x: &Exchange, now_ms: u64) -> Option<(Hit, u64)> {
        let why = self.why;
        let now = self.find(x).await;
        self.why = why;
        self.on_error(now, now_ms)
    }

    fn course_to_origin(&self, is_pass: impl FnOnce(&Passes, &Key) -> bool) -> Course {
        // RFC 9111 §5.2.1.7: "it SHOULD respond with a 504 (Gateway Timeout) status code".
        if self.asked.only_if_cached {
            return Course::NotStored;
        }
        if self.asked.no_store {
            return Course::NoStore;
        }
        match is_pass(&self.zone.passes, &self.key) {
            true => Course::KnownPass,
            false => Course::Ask,
        }
    }
}

/// What a round has come to.
enum Round {
    /// The request is answered.
    Done(Next),
    /// Something has changed: look again.
    Again,
    /// The origin is to be asked for this request alone.
    Alone(CacheResult, &'static str),
}

impl Visit<'_> {
    /// Answers a request of a route whose answers are kept.
    pub(super) async fn cached(
        &mut self,
        site: &Arc<Site>,
        zone: &Arc<Zone>,
        service: &Arc<Service>,
    ) -> Next {
        let Some(rule) = &site.route.cache else {
            return self.proxy(service).await;
        };
        if let Some((why, detail)) = self.passes_by(rule) {
            return self.alone(service, CacheResult::Bypass, why, detail).await;
        }
        self.x.cache_time = Some(Stretch::begin(self.worker.mono()));
        let mut question = Question::of(&self.x, zone, rule);
        for _ in 0..ROUNDS_MAX {
            match self.round(&mut question, rule, service).await {
                Round::Done(next) => return next,
                Round::Again => {}
                Round::Alone(result, detail) => {
                    return self.alone(service, result, question.why, Some(detail)).await;
                }
            }
        }
        self.alone(service, CacheResult::Miss, question.why, Some("crowded"))
            .await
    }

    async fn round(&mut self, question: &mut Question, rule: &CacheRule, service: &Arc<Service>) -> Round {
        let now_ms = self.worker.now().unix_ms();
        let found = question.find(&self.x).await;
        let is_pass = |passes: &Passes, key: &Key| passes.contains(key, self.worker.mono());
        match question.course(found.as_ref(), now_ms, is_pass) {
            Course::Serve { age_secs, how } => {
                let hit = found.as_ref().expect("only what was found is served");
                if how == How::StaleMeanwhile {
                    fetch_behind(self.worker, &self.x, question, rule, service, hit);
                }
                return Round::Done(self.serve_hit(hit, service, age_secs, how).await);
            }
            Course::NotShared => return Round::Alone(CacheResult::Miss, "not-shared"),
            Course::NotStored => {
                self.x.cache_result = Some(CacheResult::Miss);
                self.x.cache_status = Some(CacheStatus {
                    detail: Some("only-if-cached"),
                    ..CacheStatus::forwarded(question.why)
                });
                return Round::Done(self.refuse(Refusal::NotStored, Vec::new()).await);
            }
            Course::NoStore => return Round::Alone(CacheResult::Bypass, "request-no-store"),
            Course::KnownPass => {
                self.x.pass_mark = Some(question.key);
                return Round::Alone(CacheResult::Uncacheable, "known-uncacheable");
            }
            Course::Ask => {}
        }
        match question.join(&self.x, rule, now_ms) {
            (Joined::Lead(leader), Some(mark)) => {
                let lead = Lead { leader, mark, found };
                self.lead(lead, question, rule, service).await
            }
            (Joined::Wait(waiting), _) => self.wait(waiting, question, service).await,
            (Joined::Full | Joined::Lead(_), _) => Round::Alone(CacheResult::Miss, "crowded"),
        }
    }

    async fn serve_hit(&mut self, hit: &Hit, service: &Arc<Service>, age_secs: u64, how: How) -> Next {
        let chosen = Chosen::object(Arc::clone(&hit.object), age_secs, how);
        self.serve(chosen, service).await
    }

    /// Asks the origin, for this request and all that wait for the same.
    async fn lead(
        &mut self,
        lead: Lead,
        question: &mut Question,
        rule: &CacheRule,
        service: &Arc<Service>,
    ) -> Round {
        let Lead { leader, mark, found } = lead;
        let why = question.why;
        let now = question.find(&self.x).await;
        let Ok(found) = after_joining(found.as_ref(), now) else {
            leader.look_again();
            return Round::Again;
        };
        question.why = why;
        let (worker, stream) = (self.worker, self.stream);
        let x = &mut self.x;
        x.service = Some(Arc::clone(service));
        let limits = super::proxy::upload_limits(x, service);
        let mut upload = Upload::new(Some(stream), self.buffer, Length::None, limits);
        let running = service.pool.running().enter();
        let asking = Asking {
            worker,
            service,
            upload: &mut upload,
            question,
            rule,
            found: found.as_ref(),
        };
        match bring(x, asking, leader, mark).await {
            Brought::Filling(chosen) => Round::Done(self.serve(chosen.because(question.why), service).await),
            Brought::Confirmed(object) => {
                let age_secs = policy::age_secs(&object.meta.freshness, worker.now().unix_ms());
                let chosen = Chosen::object(object, age_secs, How::Confirmed).because(question.why);
                Round::Done(self.serve(chosen, service).await)
            }
            Brought::Mismatch => Round::Again,
            Brought::Alone(origin, lease, reason) => {
                x.cache_result = Some(CacheResult::Uncacheable);
                x.cache_status = Some(CacheStatus {
                    detail: Some(reason),
                    ..CacheStatus::forwarded(question.why)
                });
                x.keeps &= !self.door.is_closing();
                let next =
                    super::deliver::deliver(worker, x, service, origin, lease, &mut upload, stream).await;
                Round::Done(next)
            }
            Brought::Failed(fault) => {
                drop(running);
                Round::Done(self.fail(fault, question, service).await)
            }
        }
    }

    /// The origin has failed this request: what is stored may still do.
    async fn fail(
        &mut self,
        fault: super::attempt::TryFault,
        question: &mut Question,
        service: &Arc<Service>,
    ) -> Next {
        if fault.refusal().is_some()
            && let Some((hit, age_secs)) = self.on_error(question).await
        {
            return self.serve_hit(&hit, service, age_secs, How::StaleOnError).await;
        }
        self.x.cache_result = Some(CacheResult::Miss);
        self.x.cache_status = Some(CacheStatus::forwarded(question.why));
        self.give_up(fault, true).await
    }

    async fn wait(
        &mut self,
        mut waiting: Waiting<Refusal>,
        question: &mut Question,
        service: &Arc<Service>,
    ) -> Round {
        question.has_waited = true;
        let landed = tokio::select! {
            biased;
            landed = waiting.outcome() => landed,
            _ = self.stream.broken() => return Round::Done(Next::Abandon),
        };
        match landed {
            Landed::Filling(fill) => {
                let now_ms = self.worker.now().unix_ms();
                if !question.takes(&fill, &self.x, now_ms) {
                    // Nobody queues for an answer that each has to ask for himself.
                    return match policy::is_shareable(&fill.meta.freshness) {
                        true => Round::Again,
                        false => Round::Alone(CacheResult::Miss, "not-shared"),
                    };
                }
                match fill.follow() {
                    Some(follower) => {
                        let chosen = Chosen::fill(follower, now_ms, How::Collapsed);
                        Round::Done(self.serve(chosen.because(question.why), service).await)
                    }
                    None => Round::Alone(CacheResult::Miss, "crowded"),
                }
            }
            Landed::LookAgain | Landed::Vacant => Round::Again,
            Landed::Pass => Round::Alone(CacheResult::Uncacheable, "not-shared"),
            Landed::Failed(refusal) => {
                if let Some((hit, age_secs)) = self.on_error(question).await {
                    return Round::Done(self.serve_hit(&hit, service, age_secs, How::StaleOnError).await);
                }
                self.x.cache_result = Some(CacheResult::Miss);
                self.x.cache_status = Some(CacheStatus {
                    is_collapsed: true,
                    ..CacheStatus::forwarded(question.why)
                });
                Round::Done(self.refuse(refusal, Vec::new()).await)
            }
        }
    }

    async fn on_error(&self, question: &mut Question) -> Option<(Hit, u64)> {
        question
            .still_on_error(&self.x, self.worker.now().unix_ms())
            .await
    }

    /// Answers with what is stored and stale, if it may be served because the origin fails.
    pub(super) async fn stale_instead(&mut self, service: &Arc<Service>) -> Option<Next> {
        let site = self.x.site.clone()?;
        let (zone, rule) = (site.zone.as_ref()?, site.route.cache.as_ref()?);
        if self.passes_by(rule).is_some() {
            return None;
        }
        let mut question = Question::of(&self.x, zone, rule);
        let (hit, age_secs) = self.on_error(&mut question).await?;
        Some(self.serve_hit(&hit, service, age_secs, How::StaleOnError).await)
    }

    /// Why this request has nothing to do with the cache.
    ///
    /// After an upgrade a connection may ask once more, and purges go to the process that has taken over: what is stored here
    /// may be gone there by now.
    fn passes_by(&self, rule: &CacheRule) -> Option<(Forward, Option<&'static str>)> {
        match self.door.is_handed_over() {
            true => Some((Forward::Bypass, Some("handed-over"))),
            false => passes_by(&self.x, rule),
        }
    }

    /// Sends the request on as if there were no cache.
    pub(super) async fn alone(
        &mut self,
        service: &Arc<Service>,
        result: CacheResult,
        why: Forward,
        detail: Option<&'static str>,
    ) -> Next {
        let x = &mut self.x;
        x.fetch = None;
        x.cache_result = Some(result);
        x.cache_status = Some(CacheStatus {
            detail,
            ..CacheStatus::forwarded(why)
        });
        self.proxy(service).await
    }
}

/// What one who leads has in hand.
struct Lead {
    leader: Leader<Refusal>,
    mark: FillMark,
    found: Option<Hit>,
}

/// What one who leads goes by: what is there when it has joined. An error if another has brought it, or had it confirmed,
/// between the look-up and the join.
///
/// Where it has gone meanwhile a purge may have taken it: nothing of it is used, and the origin is not asked if it holds.
fn after_joining(found: Option<&Hit>, now: Option<Hit>) -> Result<Option<Hit>, Changed> {
    // Not by address: a body on disk is another object with each look.
    let told = |hit: &Hit| (hit.object.meta.serial, hit.object.meta.freshness);
    match (found, &now) {
        (_, None) => Ok(None),
        (Some(found), Some(same)) if told(found) == told(same) => Ok(now),
        (_, Some(_)) => Err(Changed),
    }
}

/// Something else is stored than what was looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Changed;

/// What is stored will not do: because it is stale, or because the request wants it confirmed all the same.
fn why_validated(hit: &Hit, now_ms: u64) -> Forward {
    let freshness = &hit.object.meta.freshness;
    let is_fresh = policy::ttl_secs(freshness, now_ms) > 0 && !freshness.no_cache && !hit.is_soft_purged;
    if is_fresh {
        Forward::Request
    } else {
        Forward::Stale
    }
}

/// Why a request has nothing to do with the cache, for what it is.
pub(super) fn passes_by(x: &Exchange, rule: &CacheRule) -> Option<(Forward, Option<&'static str>)> {
    if !matches!(x.request.method, Method::Get | Method::Head) {
        return Some((Forward::Method, None));
    }
    if super::attempt::upgrade_of(x).is_some() {
        return Some((Forward::Bypass, Some("upgrade")));
    }
    if !matches!(x.length, Length::None | Length::Known(0)) {
        return Some((Forward::Bypass, Some("request-content")));
    }
    policy::bypasses(&x.request, &rule.bypass).then_some((Forward::Bypass, None))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::{Body, Facets, Meta, Object};
    use crate::wire::{Fields, Version};

    /// A look at an object with this serial: each is another object, as from disk.
    fn hit(serial: u64) -> Hit {
        let meta = Meta {
            key_text: Box::default(),
            variance: Box::default(),
            vary: Box::default(),
            status: 200,
            reason: Box::default(),
            version: Version::Http11,
            fields: Fields::default(),
            freshness: crate::cache::Freshness::default(),
            facets: Facets::default(),
            serial,
        };
        let key = Key {
            primary: 1,
            variance: 0,
        };
        Hit {
            object: Arc::new(Object::new(key, meta, Body::Memory(bytes::Bytes::new()))),
            is_soft_purged: false,
        }
    }

    #[test]
    fn who_leads_goes_by_what_is_there_when_it_has_joined() {
        let serial = |now: Result<Option<Hit>, Changed>| now.map(|hit| hit.map(|h| h.object.meta.serial));
        assert_eq!(serial(after_joining(None, None)), Ok(None));
        assert_eq!(serial(after_joining(Some(&hit(1)), Some(hit(1)))), Ok(Some(1)));
        assert_eq!(serial(after_joining(None, Some(hit(1)))), Err(Changed));
        assert_eq!(serial(after_joining(Some(&hit(1)), Some(hit(2)))), Err(Changed));
        // Purged in between: what was found is not used to ask with.
        assert_eq!(serial(after_joining(Some(&hit(1)), None)), Ok(None));
    }
}
