//! Hashing passwords beside the workers: a few at once, equal ones once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use ring::hmac;
use tokio::sync::{Semaphore, watch};

use super::successes::mac;
use crate::secrets::Users;

/// Passwords hashed at the same time. Each takes a core; more would take them from the workers.
pub const CHECKS_AT_ONCE_MAX: usize = 4;

/// Passwords that wait to be hashed. More would not be through before their clients give up.
pub const CHECKS_WAITING_MAX: usize = 64;

/// What became of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checked {
    /// The user is known by that password.
    Right,
    /// Nobody is.
    Wrong,
    /// Too many wait already, or the gateway stops: ask again later (503).
    Busy,
}

/// Where passwords are hashed. One for the process; works across runtimes.
///
/// Each check runs on the blocking threads of the runtime that asks for it. A client that leaves does not give its
/// place back before the work is done, so that there is never more of it than allowed.
pub struct Checks {
    key: hmac::Key,
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
    running: Arc<Running>,
}

/// What is being checked, by an HMAC of all that decides the outcome.
type Running = Mutex<HashMap<[u8; 32], watch::Receiver<Option<Checked>>>>;

impl fmt::Debug for Checks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checks")
            .field("waiting", &self.waiting())
            .field("free", &self.permits.available_permits())
            .finish_non_exhaustive()
    }
}

/// Whose turn it is to ask.
enum Part {
    /// Nobody asks the same: this one does.
    Lead(Lead),
    /// Somebody does already.
    Follow(watch::Receiver<Option<Checked>>),
}

/// The duty to find out. Dropped without a word it passes to one of those who follow.
struct Lead {
    key: [u8; 32],
    running: Arc<Running>,
    outcome: watch::Sender<Option<Checked>>,
}

impl Lead {
    fn tell(self, outcome: Checked) {
        self.outcome.send_replace(Some(outcome));
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        self.running.lock().remove(&self.key);
    }
}

/// A place among those who wait.
struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Checks {
    /// Checks nothing yet. The secret must be random, and of this process only.
    pub fn new(secret: &[u8; 32]) -> Self {
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, secret),
            permits: Arc::new(Semaphore::new(CHECKS_AT_ONCE_MAX)),
            waiting: AtomicUsize::new(0),
            running: Arc::default(),
        }
    }

    /// Whether the user is known by that password. Waits for a turn, then for the work.
    ///
    /// Who asks what is being asked already shares that answer: a page with thirty pictures is one check, not thirty.
    pub async fn check(&self, users: Arc<Users>, name: String, password: String) -> Checked {
        let key = mac(
            &self.key,
            &[users.fingerprint(), name.as_bytes(), password.as_bytes()],
        );
        loop {
            match self.part(key) {
                Part::Lead(lead) => return self.lead(lead, users, name, password).await,
                Part::Follow(mut outcome) => {
                    // An error: the leader has left before it knew. Then it is somebody else's turn.
                    if let Ok(Some(outcome)) = outcome.wait_for(Option::is_some).await.map(|found| *found) {
                        return outcome;
                    }
                }
            }
        }
    }

    /// Checks that wait for a turn.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    fn part(&self, key: [u8; 32]) -> Part {
        match self.running.lock().entry(key) {
            Entry::Occupied(running) => Part::Follow(running.get().clone()),
            Entry::Vacant(free) => {
                let (outcome, receiver) = watch::channel(None);
                free.insert(receiver);
                Part::Lead(Lead {
                    key,
                    running: Arc::clone(&self.running),
                    outcome,
                })
            }
        }
    }

    async fn lead(&self, lead: Lead, users: Arc<Users>, name: String, password: String) -> Checked {
        let permit = match Arc::clone(&self.permits).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                let Some(_place) = self.place() else {
                    lead.tell(Checked::Busy);
                    return Checked::Busy;
                };
                let acquired = Arc::clone(&self.permits).acquire_owned().await;
                acquired.expect("the semaphore is never closed")
            }
        };
        let work = tokio::task::spawn_blocking(move || {
            let outcome = match users.check(&name, &password) {
                true => Checked::Right,
                false => Checked::Wrong,
            };
            // In this order: whoever is told finds the place free.
            drop(permit);
            lead.tell(outcome);
            outcome
        });
        // It fails when the runtime stops before it has begun.
        work.await.unwrap_or(Checked::Busy)
    }

    fn place(&self) -> Option<Place<'_>> {
        let next = |waiting| (waiting < CHECKS_WAITING_MAX).then_some(waiting + 1);
        let taken = self
            .waiting
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
        taken.ok().map(|_| Place(&self.waiting))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::task::{JoinHandle, yield_now};

    const ALICE: &str = "alice:{SHA}VBPuJHI7uixaa6LQGWx4s+5GKNE=";

    fn start(checks: &Arc<Checks>, password: &str) -> JoinHandle<Checked> {
        let users = Arc::new(Users::parse(ALICE).unwrap());
        let (checks, password) = (Arc::clone(checks), password.to_owned());
        tokio::spawn(async move { checks.check(users, "alice".to_owned(), password).await })
    }

    /// Until as many wait, which must come to pass.
    async fn until_waiting(checks: &Checks, count: usize) {
        while checks.waiting() != count {
            yield_now().await;
        }
    }

    fn checks() -> Arc<Checks> {
        Arc::new(Checks::new(&[3; 32]))
    }

    #[tokio::test]
    async fn right_is_right_and_wrong_is_wrong_and_nothing_is_left_behind() {
        let checks = checks();
        assert_eq!(start(&checks, "myPassword").await.unwrap(), Checked::Right);
        assert_eq!(start(&checks, "guess").await.unwrap(), Checked::Wrong);
        assert_eq!(checks.permits.available_permits(), CHECKS_AT_ONCE_MAX);
        assert_eq!((checks.waiting(), checks.running.lock().len()), (0, 0));
    }

    #[tokio::test]
    async fn more_than_may_wait_are_told_so_and_those_who_wait_are_served() {
        let checks = checks();
        let all = u32::try_from(CHECKS_AT_ONCE_MAX).unwrap();
        let held = checks.permits.acquire_many(all).await.unwrap();
        let waiting: Vec<_> = (0..CHECKS_WAITING_MAX)
            .map(|n| start(&checks, &n.to_string()))
            .collect();
        until_waiting(&checks, CHECKS_WAITING_MAX).await;
        assert_eq!(start(&checks, "one more").await.unwrap(), Checked::Busy);
        drop(held);
        for check in waiting {
            assert_eq!(check.await.unwrap(), Checked::Wrong);
        }
        assert_eq!(start(&checks, "one more").await.unwrap(), Checked::Wrong);
        assert_eq!(checks.running.lock().len(), 0);
    }

    #[tokio::test]
    async fn equal_questions_are_one_check_and_one_who_leaves_takes_nothing_along() {
        let checks = checks();
        let all = u32::try_from(CHECKS_AT_ONCE_MAX).unwrap();
        let held = checks.permits.acquire_many(all).await.unwrap();
        let leader = start(&checks, "myPassword");
        until_waiting(&checks, 1).await;
        let followers: Vec<_> = (0..3 * CHECKS_WAITING_MAX)
            .map(|_| start(&checks, "myPassword"))
            .collect();
        yield_now().await;
        leader.abort();
        assert!(leader.await.unwrap_err().is_cancelled());
        until_waiting(&checks, 1).await;
        drop(held);
        for follower in followers {
            assert_eq!(follower.await.unwrap(), Checked::Right);
        }
    }
}
