//! The program itself: flags, what it prints, signals, several processes on one file.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use crate::harness::{Call, log_in};

fn workouts(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_workouts"));
    command
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Reads the addresses that a process prints once it listens.
fn addresses(process: &mut Child, count: usize) -> Vec<std::net::SocketAddr> {
    let lines = BufReader::new(process.stdout.as_mut().unwrap())
        .lines()
        .take(count);
    lines
        .map(|line| {
            line.unwrap()
                .strip_prefix("listening on http://")
                .unwrap()
                .parse()
                .unwrap()
        })
        .collect()
}

/// Sends SIGTERM, and waits for the end.
fn terminate(process: Child) -> Output {
    let kill = Command::new("sh")
        .args(["-c", &format!("kill -TERM {}", process.id())])
        .status()
        .unwrap();
    assert!(kill.success());
    process.wait_with_output().unwrap()
}

#[tokio::test]
async fn processes_that_start_at_once_share_one_new_file() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("key"), "0123456789abcdef0123456789abcdef\n").unwrap();
    let start = || {
        workouts(folder.path())
            .args(["--seed", "--secret-file", "key", "--listen", "127.0.0.1:0"])
            .spawn()
            .unwrap()
    };
    let mut processes: Vec<Child> = (0..4).map(|_| start()).collect();
    let addresses: Vec<_> = processes
        .iter_mut()
        .map(|process| addresses(process, 1)[0])
        .collect();

    // A token of one is good for all: they share the key as they share the file.
    let demo = log_in(addresses[0], "demo", "demo-password").await;
    for address in &addresses {
        Call::get("/me/stats")
            .token(&demo)
            .send(*address)
            .await
            .expect(200);
        assert_eq!(Call::get("/exercises").send(*address).await.json()["total"], 63);
    }
    for process in processes {
        let output = terminate(process);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    }
    assert!(!folder.path().join("workouts.db-wal").exists());
}

#[test]
fn a_start_without_a_key_says_what_that_means() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = workouts(folder.path())
        .args(["--listen", "127.0.0.1:0", "--listen", "127.0.0.1:0"])
        .spawn()
        .unwrap();
    assert_eq!(addresses(&mut process, 2).len(), 2);
    let output = terminate(process);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("random key"));
}

#[test]
fn wrong_flags_are_answered_with_what_would_be_right() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("short"), "too short").unwrap();
    for (flags, code, hint) in [
        (vec!["--chaos", "latency=20"], 2, "250ms"),
        (vec!["--drain-timeout", "10"], 2, "10s"),
        (vec!["--listen", "localhost"], 2, "invalid socket address"),
        (vec!["--secret-file", "short"], 1, "openssl rand"),
        (vec!["--secret-file", "missing"], 1, "missing"),
        (
            vec!["--listen", "127.0.0.1:0", "--admin", "nobody"],
            1,
            "POST /users",
        ),
    ] {
        let output = workouts(folder.path()).args(&flags).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{flags:?}");
        assert!(
            String::from_utf8_lossy(&output.stderr).contains(hint),
            "{flags:?}: {output:?}"
        );
    }
}
