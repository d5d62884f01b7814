//! What lies in `deploy/` keeps its word: it is read here as those who run it read it, and tried on the programs where they
//! are to be had.

/// Package for Debian: what it is made of exists.
mod debian;
/// Image: what its file promises.
mod docker;
/// Board for Grafana: every figure it asks for is one the gateway tells.
mod grafana;
/// Manifests: they fit each other, and the configuration in them fits the gateway.
mod kubernetes;
/// A configuration and secrets in volumes of Kubernetes, under a running gateway.
mod mount;
/// Rules: every figure exists, and every alert was tried.
mod prometheus;
/// Expressions of Prometheus, read for the names in them.
mod promql;
/// The unit: it starts the binary, and leaves it little to do harm with.
mod systemd;
/// YAML as one tree.
mod yaml;

use std::fs;
use std::path::PathBuf;

/// The project's folder.
fn root() -> PathBuf {
    let tests = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    tests
        .parent()
        .expect("the tests lie in a folder of the project")
        .to_owned()
}

/// A text of the project.
#[track_caller]
fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Fails with all that is wrong, one line each.
#[track_caller]
fn report(faults: &[String]) {
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Runs a checker; None if the machine has none of that name.
#[track_caller]
fn run(program: &str, args: &[&str]) -> Option<std::process::Output> {
    let output = std::process::Command::new(program)
        .args(args)
        .current_dir(root())
        .stdin(std::process::Stdio::null())
        .output();
    match output {
        Ok(output) => Some(output),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => panic!("{program} does not start: {error}"),
    }
}

/// What a checker has said on both streams.
fn said(output: &std::process::Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}
