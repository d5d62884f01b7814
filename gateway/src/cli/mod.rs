//! The command line: one file per kind of work, and what they share.

pub mod apply;
pub mod args;
pub mod check;
pub mod client;
pub mod desk;
pub mod diff;
pub mod explain;
pub mod fault;
pub mod import;
pub mod log;
pub mod notify;
pub mod oneliner;
pub mod orders;
pub mod password;
pub mod purge;
pub mod run;
pub mod simulate;
pub mod status;
pub mod table;
pub mod terminal;
pub mod top;
pub mod words;

use std::path::{Path, PathBuf};

pub use fault::Fault;
use gateway::config::Plan;

/// Where a configuration is looked for when none is named, in this order.
const CONFIGURATIONS: [&str; 2] = ["/etc/sluice/sluice.toml", "conf/sluice.toml"];

/// The configuration that was named, or the first of the usual places that has one.
pub fn configuration(named: Option<PathBuf>) -> Result<PathBuf, Fault> {
    let usual = || {
        CONFIGURATIONS
            .iter()
            .map(PathBuf::from)
            .find(|path| path.is_file())
    };
    named.or_else(usual).ok_or_else(|| {
        let message = format!("there is no configuration at {}", CONFIGURATIONS.join(" or "));
        Fault::usage(
            message,
            "name one: -c FILE; or do without: sluice file-server DIR, sluice reverse-proxy --to :9000",
        )
    })
}

/// The commit this was built from, where whoever built it said so. It is not asked of git: the same source makes the same
/// program wherever it lies.
const COMMIT: Option<&str> = option_env!("SLUICE_COMMIT");

/// What `sluice version` prints, with how it was built if asked for.
pub fn version(build: bool, json: bool) -> String {
    let version = gateway::VERSION;
    let profile = if cfg!(debug_assertions) {
        "debug"
    } else {
        "release"
    };
    let (system, machine) = (std::env::consts::OS, std::env::consts::ARCH);
    let commit = COMMIT.filter(|commit| !commit.is_empty());
    if json {
        let shown = serde_json::json!({
            "version": version, "profile": profile, "system": system, "machine": machine, "commit": commit,
        });
        return format!("{shown:#}\n");
    }
    if !build {
        return format!("sluice {version}\n");
    }
    let commit = commit.map_or(String::new(), |commit| format!(", commit {commit}"));
    format!("sluice {version} ({profile} build for {system} on {machine}{commit})\n")
}

/// What a plan holds, in numbers.
pub fn summary(plan: &Plan) -> String {
    let servers: usize = plan.upstreams.iter().map(|u| u.servers.len()).sum();
    let counts = [
        (plan.listeners.len(), "listener"),
        (plan.routes.len(), "route"),
        (plan.upstreams.len(), "upstream"),
        (servers, "server"),
        (plan.caches.len(), "cache"),
    ];
    let counts = counts.iter().filter(|(n, _)| *n > 0);
    counts
        .map(|(n, thing)| count(*n, thing))
        .collect::<Vec<_>>()
        .join(", ")
}

fn count(n: usize, thing: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{n} {thing}{plural}")
}

/// Reads the one word a token file holds.
pub fn token_in(file: &Path) -> Result<String, Fault> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        let message = format!("the admin token in {} cannot be read: {error}", file.display());
        Fault::failed(
            message,
            "run as a user who may read it, or set SLUICE_ADMIN_TOKEN, or name another: --token-file FILE",
        )
    })?;
    Ok(text.trim().to_owned())
}
