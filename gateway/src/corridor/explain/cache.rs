//! What the cache has of a request, and what comes of it.

use std::sync::Arc;

use super::{Cached, Outcome, Walk};
use crate::cache::policy::{self, Selected};
use crate::cache::store::{Hit, Look};
use crate::corridor::bring::Question;
use crate::corridor::cached::{Course, passes_by};
use crate::corridor::coded::form_for;
use crate::corridor::hand::Room;
use crate::corridor::stored::{Chosen, How};
use crate::reply::Refusal;
use crate::snapshot::{Service, Site};
use crate::state::Zone;
use crate::upstream::head::Fetch;

impl Walk {
    /// As `Visit::cached` goes, up to where it would have to ask.
    pub(super) async fn by_cache(&mut self, site: &Site, zone: &Arc<Zone>, service: &Service) -> Outcome {
        let Some(rule) = &site.route.cache else {
            return self.asked_alone(service);
        };
        let store = self.x.snapshot.plan.caches[rule.store.0].name.clone();
        self.found.cache = Some(Cached {
            store,
            ..Cached::default()
        });
        if let Some((why, detail)) = passes_by(&self.x, rule) {
            self.see("bypass", detail.unwrap_or_else(|| why.word()));
            return self.asked_alone(service);
        }
        let mut question = Question::of(&self.x, zone, rule);
        question.look = Look::Peek;
        let found = question.find(&self.x).await;
        let now_ms = self.looking.clock.now().unix_ms();
        self.show(&question, found.as_ref(), now_ms);
        let mono = self.looking.clock.mono();
        match question.course(found.as_ref(), now_ms, |passes, key| passes.peek(key, mono)) {
            Course::Serve { age_secs, how } => {
                let hit = found.expect("only what was found is served");
                self.serve(Chosen::object(hit.object, age_secs, how), how, service)
                    .await
            }
            Course::NotStored => {
                self.see("miss", "only-if-cached");
                self.refuse(Refusal::NotStored)
            }
            Course::NoStore => {
                self.see("bypass", "request-no-store");
                self.asked_alone(service)
            }
            Course::KnownPass => {
                self.see("uncacheable", "known-uncacheable");
                self.asked_alone(service)
            }
            // Nobody waits here, so nothing is of those who have.
            Course::NotShared | Course::Ask => self.ask_for_all(&question, found, now_ms, service).await,
        }
    }

    /// The origin is asked on behalf of all who want the same, or somebody does already.
    async fn ask_for_all(
        &mut self,
        question: &Question,
        found: Option<Hit>,
        now_ms: u64,
        service: &Service,
    ) -> Outcome {
        self.see("miss", question.why.word());
        if question.would_wait(now_ms) {
            let text = "another request is asking for the same: it would wait for that answer".to_owned();
            self.looking.assume(Room::Cache, text);
        }
        self.x.fetch = Some(Fetch::default());
        match self.by_origin(service) {
            Ok(outcome) => outcome,
            // As it goes where the origin fails.
            Err(refusal) => match question.on_error(found, now_ms) {
                Some((hit, age_secs)) => {
                    let chosen = Chosen::object(hit.object, age_secs, How::StaleOnError);
                    self.serve(chosen, How::StaleOnError, service).await
                }
                None => self.refuse(refusal),
            },
        }
    }

    /// What is stored, in the form and the part this request gets.
    async fn serve(&mut self, chosen: Chosen, how: How, service: &Service) -> Outcome {
        let (chosen, _) = form_for(&self.x, chosen, Look::Peek).await;
        let (state, reason, outcome) = match how {
            How::StaleAllowed => ("stale", "max-stale", Outcome::Stale),
            How::StaleMeanwhile => ("stale", "stale-while-revalidate", Outcome::Stale),
            How::StaleOnError => ("stale", "stale-if-error", Outcome::Stale),
            How::Fresh | How::Miss | How::Collapsed | How::Confirmed => ("hit", "fresh", Outcome::Hit),
        };
        let status = match chosen.selected(&self.x) {
            Selected::Whole => chosen.meta().status,
            Selected::NotModified => 304,
            Selected::Ranges(_) => 206,
            Selected::PreconditionFailed => {
                self.see("bypass", "precondition");
                return self.asked_alone(service);
            }
            Selected::Unsatisfiable => {
                self.see(state, reason);
                return self.refuse(Refusal::RangeNotSatisfiable);
            }
        };
        self.see(state, reason);
        if how == How::StaleMeanwhile {
            self.note(Room::Cache, "a newer one would be fetched behind it");
        }
        self.found.status = Some(status);
        outcome
    }

    fn asked_alone(&mut self, service: &Service) -> Outcome {
        self.x.fetch = None;
        self.by_origin(service)
            .unwrap_or_else(|refusal| self.refuse(refusal))
    }

    /// Notes the key, and what is stored under it.
    fn show(&mut self, question: &Question, found: Option<&Hit>, now_ms: u64) {
        let Some(cached) = &mut self.found.cache else {
            return;
        };
        cached.key = String::from_utf8_lossy(&question.key_text).into_owned();
        let Some(hit) = found else { return };
        let meta = &hit.object.meta;
        let age_s = policy::age_secs(&meta.freshness, now_ms);
        cached.age_s = Some(age_s);
        cached.tags = policy::facets::tags(&meta.fields);
        let left_s = policy::ttl_secs(&meta.freshness, now_ms);
        let purged = if hit.is_soft_purged { ", softly purged" } else { "" };
        let text = format!(
            "a stored {} is {age_s} s old, fresh for {left_s} s{purged}",
            meta.status
        );
        self.note(Room::Cache, text);
    }

    fn see(&mut self, state: &'static str, reason: &str) {
        let Some(cached) = &mut self.found.cache else {
            return;
        };
        cached.state = state;
        reason.clone_into(&mut cached.reason);
        let text = format!("{} in {}: {reason}", state, cached.store);
        self.note(Room::Cache, text);
    }
}
