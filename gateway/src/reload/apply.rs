//! A configuration that is put in use, watched, and taken back by itself.
//!
//! While it is watched, the configuration's file still holds the text of before: whatever happens to the process, it
//! starts again by what has stood its time. The new text gets the file's name when it is kept. The watch is the
//! gateway's own, so it goes back whether or not anybody looks on.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::conditions::{Routes, Verdict, grown, judge};
use super::probation::{Applied, ApplyFault, Guard, LastApply, Outcome, Wanted};
use super::staged::{Staged, read_candidate};
use super::{Control, Report, environment, one_line};
use crate::config::{self, Loaded, Plan, Problems};
use crate::kit::clock::{Mono, Now};

/// Half the time that "before" means: counters are written down this often, and the older of two is compared with.
/// Two, because a large configuration has many.
const PAST_STEP: Duration = Duration::from_secs(150);
/// What is applied and what was, and the counters of before.
#[derive(Default)]
pub struct Applies {
    state: Mutex<State>,
    past: Mutex<Past>,
}

#[derive(Default)]
struct State {
    last: Option<LastApply>,
    watch: Option<Watch>,
}

/// What it takes to judge and to go back.
struct Watch {
    began: Mono,
    guard: Guard,
    before: Routes,
    at_start: Routes,
    /// What was in use.
    restore: Loaded,
    /// What the configuration's file holds.
    text: String,
    staged: Staged,
    /// Why it has to go although it could not yet.
    doom: Option<String>,
}

/// Counters of two moments, from which on they are compared. Empty ones are those of the start.
#[derive(Default)]
struct Past {
    at: Mono,
    older: Routes,
    newer: Routes,
}

impl Applies {
    /// What has become of the last one.
    pub fn last(&self) -> Option<LastApply> {
        self.state.lock().last.clone()
    }

    /// The file that is being watched.
    pub fn watched(&self) -> Option<PathBuf> {
        let state = self.state.lock();
        state
            .watch
            .as_ref()
            .and(state.last.as_ref())
            .map(|last| last.file.clone())
    }

    /// Whether the configuration's file waits for the end of a watch: nobody has changed it since its beginning.
    pub fn holds(&self, config: Option<&Path>) -> bool {
        let state = self.state.lock();
        let watch = state.watch.as_ref().zip(config);
        watch.is_some_and(|(watch, config)| {
            std::fs::read_to_string(config).is_ok_and(|text| text == watch.text)
        })
    }

    /// Ends the watch, if there is one; what became of one that has ended stays as it was told. Without `requests` those
    /// that were counted last stand.
    fn conclude(&self, outcome: Outcome, reason: Option<String>, requests: Option<u64>) -> Option<Watch> {
        let mut state = self.state.lock();
        let watch = state.watch.take()?;
        if let Some(last) = &mut state.last {
            (last.outcome, last.reason) = (outcome, reason);
            last.requests = requests.unwrap_or(last.requests);
        }
        Some(watch)
    }
}

impl Control {
    /// Puts the configuration of a file in use, for good or to be watched.
    ///
    /// # Errors
    /// Nothing has changed then.
    pub fn apply(&self, wanted: Wanted) -> Result<Applied, ApplyFault> {
        let outcome = {
            let _one_at_a_time = self.reloading.lock();
            self.try_apply(&wanted)
        };
        match &outcome {
            Ok(applied) => {
                let changes = one_line(&applied.changes);
                let then = match &wanted.guard {
                    Some(guard) => format!("in use, and watched for {} s", guard.window.as_secs_f64()),
                    None => "in use".to_owned(),
                };
                log::info!("{} is {then}: {changes}", wanted.file.display());
            }
            Err(fault) => {
                self.state.metrics.applied("refused");
                log::error!("not applied, the configuration before stays in use: {fault}");
            }
        }
        outcome
    }

    fn try_apply(&self, wanted: &Wanted) -> Result<Applied, ApplyFault> {
        let config = self.document.path().ok_or(ApplyFault::NoFile)?;
        self.may_apply(config, wanted.guard.is_some())?;
        let text = read_candidate(&wanted.file, config).map_err(ApplyFault::File)?;
        // As it will stand there: what is named in it is looked for beside the configuration.
        let loaded = config::load_text(&config.display().to_string(), text.as_str(), &environment);
        let loaded =
            loaded.map_err(|problems| ApplyFault::Config(told_of(problems, config, &wanted.file)))?;
        let warnings = told_of(loaded.warnings.clone(), config, &wanted.file);
        let in_file = std::fs::read_to_string(config).unwrap_or_default();
        let staged = Staged::write(config, &text).map_err(ApplyFault::Disk)?;
        let restore = self.in_use();
        let at_start = self.state.metrics.totals().routes;
        let changes = match self.install(loaded) {
            Ok(changes) => changes,
            Err(problems) => {
                staged.discard();
                return Err(ApplyFault::Config(problems));
            }
        };
        if wanted.guard.is_none()
            && let Err(fault) = staged.put_in_place()
        {
            staged.discard();
            if let Err(problems) = self.install(restore) {
                log::error!("the configuration before cannot be put back:\n{problems}");
            }
            return Err(ApplyFault::Disk(fault));
        }
        // Only here has it come to stay: until now the report is that of the configuration before it.
        let now = self.took_effect(warnings.clone());
        let id = self.note(wanted, now);
        match &wanted.guard {
            None => self.state.metrics.applied(Outcome::Kept.name()),
            Some(guard) => {
                let watch = Watch {
                    began: now.mono,
                    guard: guard.clone(),
                    before: grown(&self.applies.past.lock().older, &at_start),
                    at_start,
                    restore,
                    text: in_file,
                    staged,
                    doom: None,
                };
                self.applies.state.lock().watch = Some(watch);
            }
        }
        Ok(Applied {
            id,
            changes,
            warnings,
        })
    }

    fn may_apply(&self, config: &Path, is_guarded: bool) -> Result<(), ApplyFault> {
        if let Some(file) = self.applies.watched() {
            return Err(ApplyFault::Watching(file));
        }
        if self.upgrades.is_under_way() {
            return Err(ApplyFault::Upgrading);
        }
        if self.is_draining() {
            return Err(ApplyFault::Stopping);
        }
        let is_settled = || {
            let on_disk = self.document.load(&environment);
            on_disk.is_ok_and(|on_disk| on_disk.hash == self.snapshot().hash)
        };
        match is_guarded && !is_settled() {
            true => Err(ApplyFault::Unsettled(config.to_owned())),
            false => Ok(()),
        }
    }

    /// What is in use, to be put in use again.
    fn in_use(&self) -> Loaded {
        let snapshot = self.snapshot();
        Loaded {
            plan: Plan::clone(&snapshot.plan),
            warnings: self.report().problems,
            hash: snapshot.hash.clone(),
            files: Vec::new(),
        }
    }

    fn took_effect(&self, problems: Problems) -> Now {
        let at = self.clock.now();
        self.state.metrics.reloaded(at);
        *self.report.lock() = Report {
            at,
            ok: true,
            problems,
        };
        at
    }

    fn note(&self, wanted: &Wanted, at: Now) -> u64 {
        let mut state = self.applies.state.lock();
        let id = state.last.as_ref().map_or(1, |last| last.id + 1);
        state.last = Some(LastApply {
            id,
            at,
            file: wanted.file.clone(),
            outcome: match wanted.guard {
                Some(_) => Outcome::Watching,
                None => Outcome::Kept,
            },
            reason: None,
            guard: wanted.guard.clone(),
            requests: 0,
        });
        id
    }

    /// Looks at what is applied: keeps it, goes back, or waits. To be called every second.
    pub fn look_after_apply(&self) {
        let now = self.clock.mono();
        self.remember(now);
        if self.applies.watched().is_none() {
            return;
        }
        let _one_at_a_time = self.reloading.lock();
        let routes = self.state.metrics.totals().routes;
        let Some((verdict, requests)) = self.verdict(now, &routes) else {
            return;
        };
        match verdict {
            Verdict::Wait => {}
            Verdict::Keep => self.keep(requests),
            Verdict::GoBack(reason) => self.go_back(reason, requests),
        }
    }

    fn verdict(&self, now: Mono, routes: &Routes) -> Option<(Verdict, u64)> {
        let mut state = self.applies.state.lock();
        let State { last, watch } = &mut *state;
        let watch = watch.as_ref()?;
        let after = grown(&watch.at_start, routes);
        let requests = after.values().map(|route| route.requests()).sum();
        if let Some(last) = last {
            last.requests = requests;
        }
        if self.is_draining() {
            let reason = "the gateway stops, and starts by the configuration from before";
            return Some((Verdict::GoBack(reason.to_owned()), requests));
        }
        if let Some(doom) = &watch.doom {
            return Some((Verdict::GoBack(doom.clone()), requests));
        }
        let Guard { window, conditions } = &watch.guard;
        let elapsed = now.since(watch.began);
        Some((
            judge(&watch.before, &after, conditions, elapsed, *window),
            requests,
        ))
    }

    fn keep(&self, requests: u64) {
        let placed = {
            let state = self.applies.state.lock();
            state.watch.as_ref().map(|watch| watch.staged.put_in_place())
        };
        match placed {
            None => {}
            Some(Ok(())) => {
                let _ = self.applies.conclude(Outcome::Kept, None, Some(requests));
                self.state.metrics.applied(Outcome::Kept.name());
                log::info!("the applied configuration is kept, after {requests} requests");
            }
            Some(Err(fault)) => self.go_back(format!("its text cannot be kept: {fault}"), requests),
        }
    }

    fn go_back(&self, reason: String, requests: u64) {
        let restore = {
            let state = self.applies.state.lock();
            state.watch.as_ref().map(|watch| watch.restore.clone())
        };
        let Some(restore) = restore else { return };
        let warnings = restore.warnings.clone();
        // A gateway that stops serves what it has to its end.
        let outcome = match self.is_draining() {
            true => Ok(()),
            false => self.install(restore).map(drop),
        };
        match outcome {
            Ok(()) => {
                self.took_effect(warnings);
                if let Some(watch) =
                    self.applies
                        .conclude(Outcome::RolledBack, Some(reason.clone()), Some(requests))
                {
                    watch.staged.reject();
                }
                self.forget_past();
                self.state.metrics.applied(Outcome::RolledBack.name());
                log::error!("the applied configuration is taken back: {reason}");
            }
            Err(problems) => {
                log::error!(
                    "the applied configuration has to go ({reason}), and the one before cannot be put back yet:\n{problems}"
                );
                let mut state = self.applies.state.lock();
                if let Some(watch) = &mut state.watch {
                    watch.doom = Some(reason.clone());
                }
                if let Some(last) = &mut state.last {
                    last.reason = Some(format!("{reason}; going back is tried again every second"));
                }
            }
        }
    }

    /// A newer text is in use by its file: what was watched is of the past.
    pub(super) fn supersede_apply(&self) {
        let reason = "the configuration's file was changed in the meantime".to_owned();
        if let Some(watch) = self
            .applies
            .conclude(Outcome::Superseded, Some(reason.clone()), None)
        {
            watch.staged.discard();
            self.state.metrics.applied(Outcome::Superseded.name());
            log::warn!("the applied configuration is watched no more: {reason}");
        }
    }

    /// Writes the counters down now and then, except while something is watched: that is no past.
    fn remember(&self, now: Mono) {
        let mut past = self.applies.past.lock();
        if now.since(past.at) >= PAST_STEP && self.applies.watched().is_none() {
            let newer = self.state.metrics.totals().routes;
            past.older = std::mem::replace(&mut past.newer, newer);
            past.at = now;
        }
    }

    /// What a bad configuration has done is nothing to compare the next one with.
    fn forget_past(&self) {
        let routes = self.state.metrics.totals().routes;
        *self.applies.past.lock() = Past {
            at: self.clock.mono(),
            older: routes.clone(),
            newer: routes,
        };
    }
}

/// Looks after what is applied, for ever.
pub async fn look_after(control: Arc<Control>) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        control.look_after_apply();
    }
}

/// Problems of a text that was read as if it stood in the configuration's file, told of the file it stands in.
fn told_of(mut problems: Problems, config: &Path, file: &Path) -> Problems {
    let config = config.display().to_string();
    for problem in problems.0.iter_mut().filter(|problem| problem.file == config) {
        problem.file = file.display().to_string();
    }
    problems
}
