use std::fs;

use gateway::config;
use harness::process::binary;

use crate::{read, run, said};

const UNIT: &str = "deploy/systemd/sluice.service";

/// As systemd rates units: 0 can do nothing, 10 everything. Up to here it says OK.
const EXPOSURE_MAX: f64 = 2.5;

/// What a line of the unit says; the last one where there are several.
#[track_caller]
fn setting(name: &str) -> String {
    let text = read(UNIT);
    let found = text
        .lines()
        .rev()
        .find_map(|l| l.strip_prefix(name)?.strip_prefix('='));
    found.unwrap_or_else(|| panic!("{UNIT} has no {name}")).to_owned()
}

/// The unit with the binary that was built just now.
fn runnable(folder: &std::path::Path) -> String {
    let text = read(UNIT).replace("=sluice ", &format!("={} ", binary("sluice").display()));
    let file = folder.join("sluice.service");
    fs::write(&file, text).expect("a temporary folder can be written");
    file.to_string_lossy().into_owned()
}

#[test]
fn the_unit_runs_as_nobody_special_and_may_write_where_it_must() {
    assert_eq!(setting("User"), "sluice");
    assert_eq!(setting("CapabilityBoundingSet"), "CAP_NET_BIND_SERVICE");
    assert_eq!(setting("ProtectSystem"), "strict");
    assert_eq!(setting("NoNewPrivileges"), "yes");
    let example = config::load_text("sluice.toml", read("conf/sluice.toml"), &|_| None).unwrap();
    let plan = example.plan;
    for cache in &plan.caches {
        let path = cache.path.clone().unwrap_or_default();
        assert!(
            path.starts_with(format!("/var/cache/{}", setting("CacheDirectory"))),
            "{path:?}"
        );
    }
    let admin = plan.admin.expect("it has an admin address").address.to_string();
    assert!(
        admin.contains(&format!("/run/{}/", setting("RuntimeDirectory"))),
        "{admin}"
    );
    let drain_s = plan.server.drain_timeout.as_secs();
    let stop_s: u64 = setting("TimeoutStopSec").trim_end_matches('s').parse().unwrap();
    assert!(stop_s > drain_s, "running requests are cut off");
    let descriptors: u64 = setting("LimitNOFILE").parse().unwrap();
    assert!(descriptors > 2 * plan.server.limits.max_connections as u64);
}

#[test]
fn systemd_takes_the_unit() {
    let folder = tempfile::tempdir().unwrap();
    let unit = runnable(folder.path());
    // A machine without systemd has no use for the unit either; the test above still reads it.
    let Some(verified) = run("systemd-analyze", &["verify", "--man=no", &unit]) else {
        return;
    };
    assert!(verified.status.success(), "{}", said(&verified));
    assert!(
        !said(&verified).contains("sluice.service:"),
        "{}",
        said(&verified)
    );
}

#[test]
fn systemd_finds_little_to_do_harm_with() {
    let folder = tempfile::tempdir().unwrap();
    let unit = runnable(folder.path());
    let Some(rated) = run(
        "systemd-analyze",
        &["security", "--offline=yes", "--no-pager", &unit],
    ) else {
        return;
    };
    let text = said(&rated);
    let overall = text.split("Overall exposure level for ").nth(1);
    let level = overall.and_then(|o| o.split_whitespace().nth(1)?.parse::<f64>().ok());
    let level = level.unwrap_or_else(|| panic!("no rating in:\n{text}"));
    assert!(level <= EXPOSURE_MAX, "{level}:\n{text}");
}
