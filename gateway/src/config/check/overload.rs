//! `[upstreams.NAME.overload]`

use std::time::Duration;

use super::concurrency::Queue;
use crate::config::findings::Findings;
use crate::config::plan::Overload;
use crate::config::raw;
use crate::config::raw::leaf::At;

/// What waits longer for an upstream that is full waits in vain.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(1);

/// `[upstreams.NAME.overload]`; without the section there is no limit.
pub fn overload(raw: Option<&At<raw::Overload>>, upstream: &str, findings: &mut Findings<'_>) -> Overload {
    let empty = At::default();
    let section = raw.unwrap_or(&empty);
    let raw = &section.value;
    let path = format!("{upstream}.overload");
    let max_requests = raw.max_requests.as_ref().map_or(0, |n| n.value.u32());
    let adaptive = raw.adaptive.as_ref().is_some_and(|f| f.value.0);
    let is_whole = findings.is_whole(&section.span);
    let queue = Queue {
        length: &raw.queue,
        timeout: &raw.queue_timeout,
        is_whole,
    };
    let (queue, queue_timeout) = queue.checked(QUEUE_TIMEOUT, &path, findings);
    if let Some(written) = raw
        .queue
        .as_ref()
        .filter(|_| queue > 0 && max_requests == 0 && !adaptive)
        && is_whole
    {
        let message =
            "`queue` has no effect without `max_requests` or `adaptive`: there is nothing to wait for";
        let problem = findings.error(&written.span, &format!("{path}.queue"), message);
        problem.help("say how many it can serve at once: max_requests = 200");
    }
    Overload {
        max_requests,
        queue,
        queue_timeout,
        adaptive,
    }
}
