//! What has become of the configuration that was applied last.

use serde::Serialize;

use super::rfc3339;
use crate::reload;

#[derive(Serialize)]
pub struct LastApply {
    /// Counts from 1 since the start.
    id: u64,
    at: String,
    file: String,
    /// watching, kept, rolled_back, superseded.
    outcome: &'static str,
    reason: Option<String>,
    /// Null without one.
    guard_ms: Option<u64>,
    rollback_if: Vec<String>,
    /// Those that have ended while it was watched.
    requests: u64,
}

pub fn shown(last: &reload::LastApply) -> LastApply {
    let guard = last.guard.as_ref();
    let conditions = guard.map(|guard| guard.conditions.as_slice()).unwrap_or_default();
    LastApply {
        id: last.id,
        at: rfc3339(last.at),
        file: last.file.display().to_string(),
        outcome: last.outcome.name(),
        reason: last.reason.clone(),
        guard_ms: guard.map(|guard| u64::try_from(guard.window.as_millis()).unwrap_or(u64::MAX)),
        rollback_if: conditions.iter().map(ToString::to_string).collect(),
        requests: last.requests,
    }
}
