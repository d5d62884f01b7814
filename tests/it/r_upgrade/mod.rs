/// New processes that come to nothing.
mod failing;
/// What goes on in the new process, and what ends in the old one.
mod kept;
/// Many clients, who must not notice.
mod load;
/// Signals, commands, and what the service manager hears.
mod orders;

use harness::metrics::Metrics;
use harness::{Admin, Sluice, wait_until};
use serde_json::Value;

/// Answers everything by itself.
const SAYS_HI: &str = r#"
[[routes]]
name = "all"
match = { path_prefix = "/" }
respond = { status = 200, body = "hi" }
"#;

/// What `/status` says of upgrades.
fn upgrade_of(admin: Admin) -> Value {
    admin.status()["upgrade"].clone()
}

/// Upgrades of that result, as counted.
fn counted(metrics: &Metrics, result: &str) -> f64 {
    metrics.sum("sluice_upgrades_total", &[("result", result)])
}

/// Waits until so many upgrades have led to the process that answers.
#[track_caller]
fn wait_generation(sluice: &Sluice, generation: u64) {
    wait_until(&format!("generation {generation} serves"), || {
        upgrade_of(sluice.admin())["generation"] == generation
    });
}
