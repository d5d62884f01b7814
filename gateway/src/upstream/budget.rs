//! Retry budget: further tries may be a share of the running requests, so that a sick upstream is not
//! sent a multiple of its traffic.
//!
//! What is limited are further tries *at once*. A request is at one server at a time, so however many tries it makes, the
//! servers together never work on more than the running requests; of these, `budget_percent` and no more may be further
//! tries, or [`RETRIES_MIN`]. While tries take equally long, that is also the share of further tries over time. Failures
//! that come quicker than that give their permits back sooner and let more requests be tried again than the percentage
//! says, each at most `retries.attempts` times: to refuse them would cost clients answers and spare the servers little.
//!
//! Failed connections are not charged: no server has work from them. They are bounded by the attempts, each at another
//! server, and by the servers that ejection leaves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// What one upstream is busy with; its key is the upstream's name.
#[derive(Debug, Default)]
pub struct Running {
    running: AtomicU32,
    retrying: AtomicU32,
    /// Virtual clock of its servers' turns, see [`kit::turns`](crate::kit::turns). Here because it must outlive a
    /// reload together with the passes in the seats.
    pub(crate) turns: AtomicU64,
}

/// A running request; dropping it ends it.
#[derive(Debug)]
pub struct RunningRequest<'a>(&'a Running);

/// A permit for one further try; dropping it gives it back.
#[derive(Debug)]
pub struct Retry(Arc<Running>);

/// Further tries at once that are always allowed: on a quiet upstream a percentage alone would allow none.
pub const RETRIES_MIN: u32 = 3;

impl Running {
    /// Counts a request until the guard is dropped.
    pub fn enter(&self) -> RunningRequest<'_> {
        self.running.fetch_add(1, Ordering::Relaxed);
        RunningRequest(self)
    }

    /// A permit for one further try, if the budget has one.
    pub fn retry(self: &Arc<Self>, budget_percent: u32) -> Option<Retry> {
        let max = retries_max(self.running(), budget_percent);
        let admit = |retrying| (retrying < max).then_some(retrying + 1);
        self.retrying
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, admit)
            .ok()
            .map(|_| Retry(Arc::clone(self)))
    }

    /// Requests now running.
    pub fn running(&self) -> u32 {
        self.running.load(Ordering::Relaxed)
    }

    /// Further tries now running.
    pub fn retrying(&self) -> u32 {
        self.retrying.load(Ordering::Relaxed)
    }
}

/// How many further tries may run at once.
pub fn retries_max(running: u32, budget_percent: u32) -> u32 {
    let share = u64::from(running) * u64::from(budget_percent) / 100;
    u32::try_from(share).unwrap_or(u32::MAX).max(RETRIES_MIN)
}

impl Drop for RunningRequest<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Retry {
    fn drop(&mut self) {
        self.0.retrying.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quiet_upstream_may_retry_a_few_and_a_busy_one_its_share() {
        let running = Arc::new(Running::default());
        let permits: Vec<_> = std::iter::from_fn(|| running.retry(20)).collect();
        assert_eq!(permits.len(), RETRIES_MIN as usize);
        let requests: Vec<_> = (0..100).map(|_| running.enter()).collect();
        let more: Vec<_> = std::iter::from_fn(|| running.retry(20)).collect();
        assert_eq!(permits.len() + more.len(), 20);
        drop((permits, more, requests));
        assert_eq!((running.running(), running.retrying()), (0, 0));
    }

    #[test]
    fn permits_never_exceed_the_budget_from_many_threads() {
        let running = Arc::new(Running::default());
        let requests: Vec<_> = (0..40).map(|_| running.enter()).collect();
        std::thread::scope(|threads| {
            for _ in 0..8 {
                threads.spawn(|| {
                    for _ in 0..5_000 {
                        let permit = running.retry(20);
                        assert!(running.retrying() <= 8);
                        drop(permit);
                    }
                });
            }
        });
        drop(requests);
        assert_eq!((running.running(), running.retrying()), (0, 0));
    }
}
