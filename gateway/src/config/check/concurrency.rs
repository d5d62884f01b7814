//! `[concurrency_limits.NAME]`

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::rate_limits;
use super::values::{self, Zero};
use crate::config::findings::Findings;
use crate::config::plan::{ConcurrencyLimit, LimitKey};
use crate::config::raw;
use crate::config::raw::leaf::{self, At, Int, Maybe};

/// Longer than this a person has reloaded the page, which makes it worse.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(2);
/// Twice the connections that are open at once, each with a key of its own.
const MAX_KEYS: usize = 100_000;

/// Concurrency limits by name, in the order of [`crate::config::plan::ConcurrencyLimitId`].
pub fn concurrency_limits(
    raw: Option<&At<BTreeMap<At<String>, At<raw::ConcurrencyLimit>>>>,
    findings: &mut Findings<'_>,
) -> Vec<Arc<ConcurrencyLimit>> {
    let named = raw.into_iter().flat_map(|section| &section.value);
    named
        .map(|(name, item)| Arc::new(concurrency_limit(name, item, findings)))
        .collect()
}

fn concurrency_limit(
    name: &At<String>,
    item: &At<raw::ConcurrencyLimit>,
    findings: &mut Findings<'_>,
) -> ConcurrencyLimit {
    let path = format!("concurrency_limits.{}", name.value);
    values::name(name, &path, findings);
    let raw = &item.value;
    if raw.max.is_none() && findings.is_whole(&item.span) {
        let message = "a concurrency limit does not say how many";
        let problem = findings.error(&item.span, &format!("{path}.max"), message);
        problem.help("add max = 20");
    }
    let max = raw.max.as_ref().map_or(1, |n| n.value.u32());
    let queue = Queue {
        length: &raw.queue,
        timeout: &raw.queue_timeout,
        is_whole: findings.is_whole(&item.span),
    };
    let (queue, queue_timeout) = queue.checked(QUEUE_TIMEOUT, &path, findings);
    ConcurrencyLimit {
        name: name.value.clone(),
        key: rate_limits::key(&raw.key, LimitKey::Global, &path, findings),
        max: NonZeroU32::new(max).unwrap_or(NonZeroU32::MIN),
        queue,
        queue_timeout,
        max_keys: raw.max_keys.as_ref().map_or(MAX_KEYS, |n| n.value.usize()),
    }
}

/// `queue` and `queue_timeout`, wherever requests wait for a place.
pub struct Queue<'r, const MAX: u64> {
    /// `queue`
    pub length: &'r Maybe<Int<0, MAX>>,
    /// `queue_timeout`
    pub timeout: &'r Maybe<leaf::Duration>,
    /// Whether nothing was taken out of the table they stand in.
    pub is_whole: bool,
}

impl<const MAX: u64> Queue<'_, MAX> {
    /// How many wait, and how long.
    pub fn checked(&self, default: Duration, path: &str, findings: &mut Findings<'_>) -> (u32, Duration) {
        let length = self.length.as_ref().map_or(0, |n| n.value.u32());
        let at = format!("{path}.queue_timeout");
        if let Some(written) = self.timeout.as_ref().filter(|_| length == 0 && self.is_whole) {
            let message = "`queue_timeout` has no effect without a `queue`: nobody waits";
            let problem = findings.error(&written.span, &at, message);
            problem.help("say how many may wait: queue = 50");
        }
        let zero = Zero::Means("`queue = 0` lets nobody wait");
        (
            length,
            values::duration(self.timeout, &at, zero, default, findings),
        )
    }
}
