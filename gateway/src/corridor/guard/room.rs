//! guard: an upstream is not asked for more than it can do.

use crate::corridor::attempt::TryFault;
use crate::corridor::worker::Worker;
use crate::exchange::Stretch;
use crate::guard::adaptive::{Entry, Permit};
use crate::reply::Refusal;
use crate::snapshot::Service;
use crate::stream::Stream;

/// A place in flight to that upstream, waited for if its queue allows it; None where it may be asked as much as comes.
///
/// A `client` that goes while it waits makes room in the line. `waited` is set if there was a wait.
///
/// # Errors
/// The upstream has as much to do as it can do, or the client has gone.
pub(in crate::corridor) async fn take(
    worker: &Worker,
    service: &Service,
    client: Option<&Stream>,
    waited: &mut Option<Stretch>,
) -> Result<Option<Permit>, TryFault> {
    let Some(throttle) = &service.throttle else {
        return Ok(None);
    };
    let policy = &service.plan.overload;
    let waiting = match throttle.enter(policy, worker.mono()) {
        Entry::Permit(permit) => return Ok(Some(permit)),
        Entry::Full => return Err(TryFault::Refused(Refusal::Overloaded)),
        Entry::Wait(waiting) => tokio::time::timeout(policy.queue_timeout, waiting),
    };
    let time = waited.insert(Stretch::begin(worker.mono()));
    let outcome = match client {
        None => waiting.await,
        Some(client) => tokio::select! {
            biased;
            outcome = waiting => outcome,
            _ = client.broken() => return Err(TryFault::ClientGone),
        },
    };
    time.ended = Some(worker.mono());
    outcome.map(Some).map_err(|_| {
        throttle.count_timeout();
        TryFault::Refused(Refusal::Overloaded)
    })
}
