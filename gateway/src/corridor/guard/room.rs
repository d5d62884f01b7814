//! guard: an upstream is not asked for more than it can do.

use crate::corridor::worker::Worker;
use crate::guard::adaptive::{Entry, Permit};
use crate::reply::Refusal;
use crate::snapshot::Service;

/// A place in flight to that upstream, waited for if its queue allows it; None where it may be asked as much as comes.
///
/// # Errors
/// The upstream has as much to do as it can do.
pub(in crate::corridor) async fn take(worker: &Worker, service: &Service) -> Result<Option<Permit>, Refusal> {
    let Some(throttle) = &service.throttle else {
        return Ok(None);
    };
    let policy = &service.plan.overload;
    match throttle.enter(policy, worker.mono()) {
        Entry::Permit(permit) => Ok(Some(permit)),
        Entry::Full => Err(Refusal::Overloaded),
        Entry::Wait(waiting) => match tokio::time::timeout(policy.queue_timeout, waiting).await {
            Ok(permit) => Ok(Some(permit)),
            Err(_) => {
                throttle.count_timeout();
                Err(Refusal::Overloaded)
            }
        },
    }
}
