/// What comes while a new process does not serve yet.
mod beginning;
/// Servers that a source has given.
mod discovered;
/// New processes that come to nothing.
mod failing;
/// What goes on in the new process, and what ends in the old one.
mod kept;
/// Many clients, who must not notice.
mod load;
/// Signals, commands, and what the service manager hears.
mod orders;

use std::path::PathBuf;
use std::process::Command;

use harness::metrics::Metrics;
use harness::{Admin, Connection, Request, Sluice, wait_until};
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

fn get(sluice: &Sluice) -> String {
    let response = Connection::open(sluice.address()).ask(&Request::get("/"));
    response.expect(200).text()
}

/// A pipe in the gateway's folder: who opens it waits for somebody at its other end.
fn fifo(sluice: &Sluice, name: &str) -> PathBuf {
    let path = sluice.folder().join(name);
    let made = Command::new("mkfifo").arg(&path).status();
    assert!(made.is_ok_and(|status| status.success()), "no pipe at {path:?}");
    path
}

/// Lets the next process say "new as PID", and go on when something is written into the pipe.
fn hold_program(sluice: &Sluice) -> PathBuf {
    let (hold, real) = (fifo(sluice, "hold"), harness::process::binary("sluice"));
    let (hold_at, real) = (hold.display(), real.display());
    sluice.replace_program(&format!(
        "echo new as $$; read word < {hold_at}; exec {real} \"$@\""
    ));
    hold
}
