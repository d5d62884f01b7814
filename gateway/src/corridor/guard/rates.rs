//! guard: how fast.

use std::sync::Arc;
use std::time::Duration;

use super::{Stage, Step, Verdict, Visit, Wait, shown};
use crate::corridor::decide::Deciding;
use crate::corridor::hand::{Charge, Hand};
use crate::exchange::Exchange;
use crate::guard::key::{self, KeyHash};
use crate::guard::rate::{self, Standing, fields};
use crate::guard::shared::{self, Answer, Ask, Asked, Left, Pending, Ruling, SharedKey};
use crate::kit::clock::Mono;
use crate::reply::Refusal;
use crate::reply::head::is_edited;
use crate::snapshot::Site;
use crate::snapshot::watch::{Limit, Watch};

/// Which of a route's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Group {
    /// Those that need not know who asks.
    Early,
    /// Those that count by a claim.
    Late,
}

/// A request that somebody counts for all gateways.
pub(in crate::corridor) struct Counted {
    group: Group,
    pending: Pending,
    /// What this gateway's own count of the same limits says.
    own: rate::Verdict,
    /// When it was counted here.
    at: Mono,
}

impl Group {
    fn of(self, watch: &Watch) -> &[Arc<Limit>] {
        match self {
            Self::Early => &watch.early,
            Self::Late => &watch.late,
        }
    }

    fn next(self) -> Stage {
        match self {
            Self::Early => Stage::Identity { has_waited: false },
            Self::Late => Stage::Places(0),
        }
    }
}

impl<H: Hand> Deciding<'_, H> {
    /// Asks all limits of a group that this gateway counts for itself, and whoever counts the others.
    pub(super) fn check_rates(&mut self, site: &Site, group: Group) -> Step {
        let limits = group.of(&site.watch);
        if limits.is_empty() {
            return Step::On;
        }
        let now = self.hand.mono();
        let x = &mut *self.x;
        if group == Group::Early {
            x.guarded.counted_at = now;
        }
        let own = |limit: &Limit| limit.shared.is_none();
        let part = |at: usize| {
            let limit = limits.iter().filter(|limit| own(limit)).nth(at);
            limit.map(|limit| part_of(x, limit)).unwrap_or_default()
        };
        let verdict = match limits {
            // The usual case, without a list.
            [only] if only.shared.is_none() => {
                let key = key_of(x, only, site);
                self.hand.admit(&[(&only.limiter, key)], now, part)
            }
            several => {
                let charges = charges(x, site, several, own);
                self.hand.admit(&charges, now, part)
            }
        };
        if let Err(verdict) = self.judge(site, group, verdict, |limit| limit.shared.is_none()) {
            self.take_back(site, group);
            return Step::Out(verdict);
        }
        match limits.iter().find_map(|limit| limit.shared.as_ref()) {
            None => Step::On,
            Some(_) if !self.hand.may_ask(|| told_elsewhere(self.x, limits)) => Step::On,
            Some(link) => Step::Wait(Wait::Count(Box::new(
                self.count_elsewhere(site, group, &**link, now),
            ))),
        }
    }

    /// What is counted elsewhere is counted here too, so that this count is warm when it is needed.
    fn count_elsewhere(&self, site: &Site, group: Group, link: &dyn shared::Shared, now: Mono) -> Counted {
        let x = &*self.x;
        let limits = group.of(&site.watch);
        let asked = limits.iter().filter(|limit| limit.shared.is_some()).map(|limit| {
            let claim = x.guarded.claim_of(&limit.plan.key);
            let part = key::part(&limit.plan.key, &x.facts(), claim);
            Asked {
                key: SharedKey::of(&limit.plan, part),
                limit: Arc::clone(&limit.plan),
            }
        });
        Counted {
            group,
            own: rate::admit(&charges(x, site, limits, is_warm), now),
            pending: link.admit(Ask {
                limits: asked.collect(),
            }),
            at: now,
        }
    }

    /// Tells the client how it stands; a refusal as an error. `is_asked` tells which limits of the group were asked.
    fn judge(
        &mut self,
        site: &Site,
        group: Group,
        verdict: rate::Verdict,
        is_asked: impl Fn(&Limit) -> bool,
    ) -> Result<(), Verdict> {
        let x = &mut *self.x;
        let mut asked = group.of(&site.watch).iter().filter(|limit| is_asked(limit));
        match verdict {
            rate::Verdict::Admitted(standing) => {
                if asked.next().is_some() {
                    write_lines(x, site, group, &standing, is_asked);
                }
                Ok(())
            }
            rate::Verdict::Refused {
                limit,
                retry_after,
                standing,
            } => {
                write_lines(x, site, group, &standing, &is_asked);
                if let Some(refusing) = asked.nth(limit) {
                    self.hand.refused(refusing);
                    x.guarded.violated = Some(refusing.plan.name.clone());
                }
                let wait = fields::retry_after_s(retry_after).to_string();
                Err(Verdict::Refuse(Refusal::RateLimited, vec![("Retry-After", wait)]))
            }
        }
    }

    /// All limits must admit, or none is charged: a request that is refused by its claim was not served to its address either.
    fn take_back(&mut self, site: &Site, refused_by: Group) {
        if refused_by == Group::Late {
            let is_warm_charged = self.x.guarded.is_warm_charged;
            let early = charges(self.x, site, &site.watch.early, |limit| {
                limit.shared.is_none() || is_warm_charged && is_warm(limit)
            });
            self.hand.refund(&early, self.x.guarded.counted_at);
        }
    }
}

impl Visit<'_> {
    /// What has been counted for all gateways holds; without it, what the limits say of that case.
    pub(super) async fn rule(&mut self, site: &Site, counted: Counted) -> Result<Stage, Verdict> {
        let Counted {
            group,
            pending,
            own,
            at,
        } = counted;
        let answer = pending.await;
        if group == Group::Early {
            self.x.guarded.is_warm_charged = matches!(own, rate::Verdict::Admitted(_));
        }
        let limits = group.of(&site.watch);
        let shared: Vec<_> = limits.iter().filter(|limit| limit.shared.is_some()).collect();
        let policies = shared.iter().map(|limit| limit.plan.on_redis_error);
        let outcome = match shared::rule(policies, answer) {
            Ruling::Counted(answer) => self
                .deciding()
                .judge(site, group, verdict_of(answer), |l| l.shared.is_some()),
            Ruling::Local => self.deciding().judge(site, group, own, is_warm),
            Ruling::Open => Ok(()),
            Ruling::Closed { limit } => {
                self.x.guarded.violated = Some(shared[limit].plan.name.clone());
                let fields = vec![("Retry-After", "1".to_owned())];
                Err(Verdict::Refuse(Refusal::LimitUnavailable, fields))
            }
        };
        if let Err(verdict) = outcome {
            let now = self.worker.mono();
            let own_limits = charges(&self.x, site, limits, |limit| limit.shared.is_none());
            rate::refund(&own_limits, at, now);
            if matches!(own, rate::Verdict::Admitted(_)) {
                rate::refund(&charges(&self.x, site, limits, is_warm), at, now);
            }
            self.deciding().take_back(site, group);
            return Err(verdict);
        }
        Ok(group.next())
    }
}

fn is_warm(limit: &Limit) -> bool {
    limit.shared.is_some() && limit.plan.on_redis_error == crate::config::plan::OnRedisError::Local
}

fn key_of(x: &Exchange, limit: &Limit, site: &Site) -> KeyHash {
    let claim = x.guarded.claim_of(&limit.plan.key);
    key::hash(&limit.plan.key, &x.facts(), claim, site.watch.seed)
}

/// What a request is counted under by a limit, for people.
fn part_of(x: &Exchange, limit: &Limit) -> String {
    let claim = x.guarded.claim_of(&limit.plan.key);
    shown(&key::part(&limit.plan.key, &x.facts(), claim))
}

/// The limits that are counted elsewhere, for people.
fn told_elsewhere(x: &Exchange, limits: &[Arc<Limit>]) -> String {
    let shared = limits.iter().filter(|limit| limit.shared.is_some());
    let told: Vec<String> = shared
        .map(|limit| format!("{} for {}", limit.plan.name, part_of(x, limit)))
        .collect();
    format!("Redis, which counts {}", told.join(" and "))
}

fn charges<'a>(
    x: &Exchange,
    site: &Site,
    limits: &'a [Arc<Limit>],
    is_asked: impl Fn(&Limit) -> bool,
) -> Vec<Charge<'a>> {
    let asked = limits.iter().filter(|limit| is_asked(limit));
    asked
        .map(|limit| (&limit.limiter, key_of(x, limit, site)))
        .collect()
}

fn verdict_of(answer: Answer) -> rate::Verdict {
    let standing = |limit: usize, left: &Left| Standing {
        limit,
        remaining: left.remaining,
        reset: left.reset,
    };
    match answer {
        Answer::Admitted(left) => {
            let nearest = left
                .iter()
                .enumerate()
                .min_by_key(|(_, l)| (l.remaining, l.reset));
            let nothing = Standing {
                limit: 0,
                remaining: u32::MAX,
                reset: Duration::ZERO,
            };
            rate::Verdict::Admitted(nearest.map_or(nothing, |(at, left)| standing(at, left)))
        }
        Answer::Refused {
            limit,
            retry_after,
            left,
        } => rate::Verdict::Refused {
            limit,
            retry_after,
            standing: Standing {
                reset: retry_after,
                ..standing(limit, &left[limit])
            },
        },
    }
}

/// `RateLimit-Policy` and `RateLimit`, unless the route's edits say otherwise.
fn write_lines(
    x: &mut Exchange,
    site: &Site,
    group: Group,
    standing: &Standing,
    is_asked: impl Fn(&Limit) -> bool,
) {
    let lines = &mut x.guarded.lines;
    let edits = &site.response_headers;
    let asked = || group.of(&site.watch).iter().filter(|limit| is_asked(limit));
    if !is_edited(edits, b"ratelimit-policy") {
        lines.extend_from_slice(b"RateLimit-Policy: ");
        fields::write_policy(asked().map(|limit| &limit.limiter), lines);
        lines.extend_from_slice(b"\r\n");
    }
    if let Some(nearest) = asked().nth(standing.limit)
        && !is_edited(edits, b"ratelimit")
    {
        lines.extend_from_slice(b"RateLimit: ");
        fields::write_standing(&nearest.limiter, standing, lines);
        lines.extend_from_slice(b"\r\n");
    }
}
