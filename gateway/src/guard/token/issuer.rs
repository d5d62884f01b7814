//! The keys of an issuer that are fetched: who asks for a fetch, who waits for it, and what is used meanwhile.
//!
//! It does not fetch. Whoever does loops on the control runtime: wait for [`Issuer::wanted`] or for [`Issuer::due_in`],
//! fetch, and end with [`Issuer::replace`] or [`Issuer::note_failure`].

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Keys;
use crate::kit::clock::Mono;
use crate::secrets::TokenKey;

/// Between a fetch that succeeded and the next that a request may ask for. Anybody can name an unknown key.
const PAUSE_AFTER_SUCCESS: Duration = Duration::from_secs(30);

/// After the first failure; doubled with each further one.
const BACKOFF_MIN: Duration = Duration::from_secs(1);

/// Keys that are wanted are asked for at least this often, however long the issuer has been away.
const BACKOFF_MAX: Duration = Duration::from_secs(60);

/// The cell of one `jwks_url`. Outlives reloads. Keys are used on, however old, until others have been fetched.
#[derive(Debug, Default)]
pub struct Issuer {
    keys: ArcSwap<Keys>,
    schedule: Mutex<Schedule>,
    /// Wakes who fetches.
    asked: Notify,
    /// Wakes requests.
    ended: Notify,
}

#[derive(Debug, Default)]
struct Schedule {
    /// A fetch was asked for and has not ended.
    is_wanted: bool,
    /// Before then nobody may ask.
    earliest: Mono,
    /// Failures since the last success.
    failures: u32,
}

impl Issuer {
    /// The keys as they are now; none while nothing has been fetched.
    pub fn keys(&self) -> Arc<Keys> {
        self.keys.load_full()
    }

    /// How old the keys are; None while nothing has been fetched.
    pub fn age(&self, now: Mono) -> Option<Duration> {
        self.keys.load().fetched_at.map(|at| now.since(at))
    }

    /// A fetch has brought these keys. Everybody who waits is woken.
    pub fn replace(&self, list: Vec<TokenKey>, now: Mono) {
        let mut schedule = self.schedule.lock();
        let next = self.keys.load().followed_by(list, now);
        self.keys.store(Arc::new(next));
        *schedule = Schedule {
            is_wanted: false,
            earliest: now.plus(PAUSE_AFTER_SUCCESS),
            failures: 0,
        };
        drop(schedule);
        self.ended.notify_waiters();
    }

    /// A fetch has failed: the keys stay, and the next try waits longer. Everybody who waits is woken.
    pub fn note_failure(&self, now: Mono) {
        let mut schedule = self.schedule.lock();
        schedule.failures = schedule.failures.saturating_add(1);
        schedule.earliest = now.plus(backoff(schedule.failures));
        schedule.is_wanted = false;
        drop(schedule);
        self.ended.notify_waiters();
    }

    /// Asks for a fetch: an unknown key was named, or none is known. Whether one is coming, so that it is worth to wait
    /// for [`Issuer::arrived`].
    pub fn want(&self, now: Mono) -> bool {
        let mut schedule = self.schedule.lock();
        if schedule.is_wanted {
            return true;
        }
        if now < schedule.earliest {
            return false;
        }
        schedule.is_wanted = true;
        drop(schedule);
        self.asked.notify_waiters();
        true
    }

    /// What [`want`](Self::want) would say, without asking.
    pub fn would_come(&self, now: Mono) -> bool {
        let schedule = self.schedule.lock();
        schedule.is_wanted || now >= schedule.earliest
    }

    /// Ends when somebody wants a fetch that has not ended yet. Dropping it loses nothing.
    pub async fn wanted(&self) {
        Self::until(&self.asked, || self.schedule.lock().is_wanted).await;
    }

    /// Ends when the keys are of another generation, or no fetch is coming any more. The caller limits the time.
    /// Dropping it loses nothing.
    pub async fn arrived(&self, since_generation: u64) {
        let has_ended = || !self.schedule.lock().is_wanted || self.keys.load().generation != since_generation;
        Self::until(&self.ended, has_ended).await;
    }

    /// How long until a fetch is due that nobody has asked for: `refresh` after a success, sooner after a failure.
    pub fn due_in(&self, refresh: Duration, now: Mono) -> Duration {
        let schedule = self.schedule.lock();
        let due = match (schedule.failures, self.keys.load().fetched_at) {
            (0, Some(at)) => at.plus(refresh),
            (0, None) => now,
            (_, _) => schedule.earliest,
        };
        due.since(now)
    }

    async fn until(notify: &Notify, holds: impl Fn() -> bool) {
        loop {
            let mut notified = pin!(notify.notified());
            // Registered before the question is asked: what happens in between is not missed.
            notified.as_mut().enable();
            if holds() {
                return;
            }
            notified.await;
        }
    }
}

fn backoff(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    BACKOFF_MIN.saturating_mul(1 << doublings).min(BACKOFF_MAX)
}
