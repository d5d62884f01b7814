//! What `/status` says of certificates.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::wall_text;
use crate::secrets::Identity;
use crate::snapshot::Snapshot;
use crate::state::Ordered;

#[derive(Serialize)]
pub(super) struct Certificate {
    domains: Vec<String>,
    /// "files" or "acme".
    source: &'static str,
    /// Null while there is none, and TLS for its names is refused.
    not_after: Option<String>,
    /// Missing for one from files.
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<Order>,
}

#[derive(Serialize)]
struct Order {
    /// "waiting", "ordering", "ordered by another process".
    state: &'static str,
    next_attempt: Option<String>,
    /// Why the last attempt failed; null after one that did not.
    fault: Option<String>,
    orders: u64,
    failures: u64,
}

pub(super) fn certificates(snapshot: &Snapshot) -> BTreeMap<String, Certificate> {
    let plans = snapshot.plan.certificates.iter().zip(&snapshot.ordered);
    let told = plans.map(|(plan, ordered)| {
        let identity = match ordered {
            Some(ordered) => ordered.slot.identity(),
            None => plan.files().map(|files| Arc::clone(&files.identity)),
        };
        let told = Certificate {
            domains: plan.domains.iter().map(ToString::to_string).collect(),
            source: if ordered.is_some() { "acme" } else { "files" },
            not_after: identity.map(|identity| not_after(&identity)),
            order: ordered.as_ref().map(|ordered| order(ordered)),
        };
        (plan.name.clone(), told)
    });
    told.collect()
}

fn not_after(identity: &Identity) -> String {
    wall_text(identity.chain().leaf().not_after)
}

fn order(ordered: &Ordered) -> Order {
    let report = ordered.standing.report();
    Order {
        state: report.phase.name(),
        // To the second: what is left of a pause is measured, and not written down.
        next_attempt: report
            .next_attempt
            .map(|at| wall_text(Duration::from_secs(at.as_secs()))),
        fault: report.fault,
        orders: report.brought,
        failures: report.failed,
    }
}
