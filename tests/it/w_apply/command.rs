use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use harness::{Process, Request, Sluice, wait_until};

use super::{ENOUGH, answering};

/// A gateway as a process, and a file beside its configuration.
struct Play {
    sluice: Sluice,
    old: String,
    candidate: PathBuf,
}

impl Play {
    fn start() -> Self {
        let sluice = Sluice::start(&answering(200, "old"));
        let old =
            fs::read_to_string(sluice.folder().join("sluice.toml")).expect("the harness has written it");
        let candidate = sluice.folder().join("candidate.toml");
        Self {
            sluice,
            old,
            candidate,
        }
    }

    fn write(&self, text: &str) {
        fs::write(&self.candidate, text).expect("the folder is the play's own");
    }

    fn text(&self, status: u16, body: &str) -> String {
        let text = self.old.replace("\"old\"", &format!("\"{body}\""));
        text.replace("status = 200", &format!("status = {status}"))
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(harness::process::binary("sluice"));
        let admin = self.sluice.admin().0.to_string();
        command
            .arg("apply")
            .arg(&self.candidate)
            .args(words)
            .args(["--admin", &admin]);
        command
    }

    fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().expect("the binary is built")
    }

    fn ask_often(&self, status: u16) {
        let mut client = harness::Connection::open(self.sluice.address());
        for _ in 0..ENOUGH {
            client.ask(&Request::get("/")).expect(status);
        }
    }

    fn outcome(&self) -> serde_json::Value {
        self.sluice.admin().status()["config"]["last_apply"]["outcome"].clone()
    }

    fn body(&self) -> String {
        harness::Connection::open(self.sluice.address())
            .ask(&Request::get("/"))
            .text()
    }

    fn config(&self) -> String {
        fs::read_to_string(self.sluice.folder().join("sluice.toml")).expect("it is there")
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_command_follows_to_the_end_and_says_what_came_of_it() {
    let play = Play::start();
    play.write(&play.text(200, "new"));
    let done = play.run(&["--guard", "1s"]);
    let said = text(&done.stdout);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    assert!(
        said.contains("in use, and watched") && said.contains("kept, though no request"),
        "{said}"
    );
    assert_eq!(play.body(), "new");

    let done = play.run(&["--guard", "1s", "--json"]);
    let told: serde_json::Value = serde_json::from_slice(&done.stdout).expect("it is JSON");
    assert_eq!(
        (done.status.code(), told["outcome"].as_str()),
        (Some(0), Some("kept")),
        "{told:#}"
    );

    play.write(&play.text(200, "plain"));
    let done = play.run(&[]);
    let said = text(&done.stdout);
    assert!(done.status.success() && said.starts_with("applied"), "{done:?}");
    assert_eq!(play.body(), "plain");
}

#[test]
fn the_command_fails_when_it_went_back_and_when_nothing_was_taken() {
    let play = Play::start();
    play.ask_often(200);
    play.write(&play.text(500, "bad"));
    let mut follower = Process::start(play.command(&["--guard", "10m"]));
    wait_until("it is watched", || play.outcome() == "watching");
    play.ask_often(500);
    assert_eq!(follower.wait_exit().code(), Some(1));
    let said = follower.said().join("\n");
    assert!(said.contains("rolled back: route \"all\": 5xx is"), "{said}");
    assert_eq!(play.body(), "old");

    play.write(&play.text(200, "new").replace("respond", "respnod"));
    let done = play.run(&["--guard", "10m"]);
    let said = text(&done.stderr);
    assert_eq!(done.status.code(), Some(2));
    assert!(
        said.contains("not applied") && said.contains("candidate.toml") && said.contains("respnod"),
        "{said}"
    );
    for words in [
        ["--guard", "soon"].as_slice(),
        &["--rollback-if", "5xx>2x"],
        &["--guard", "1m", "--rollback-if", "5xx"],
    ] {
        assert_eq!(play.run(words).status.code(), Some(2), "{words:?}");
    }
    assert_eq!(play.body(), "old");
}

#[test]
fn it_goes_back_without_anybody_who_follows_and_a_process_that_dies_has_gone_back() {
    let play = Play::start();
    play.ask_often(200);
    play.write(&play.text(500, "bad"));
    let mut follower = Process::start(play.command(&["--guard", "10m"]));
    wait_until("it is watched", || play.outcome() == "watching");
    follower.kill();
    play.ask_often(500);
    wait_until("it went back", || play.outcome() == "rolled_back");
    assert_eq!((play.body(), play.config()), ("old".to_owned(), play.old.clone()));

    let mut follower = Process::start(play.command(&["--guard", "10m"]));
    wait_until("it is watched again", || play.outcome() == "watching");
    let mut play = play;
    play.sluice.process.kill();
    assert_eq!(follower.wait_exit().code(), Some(1));
    assert_eq!(play.config(), play.old);
}

#[test]
fn there_is_no_upgrade_while_something_is_watched() {
    let play = Play::start();
    play.write(&play.text(200, "new"));
    let mut follower = Process::start(play.command(&["--guard", "10m"]));
    wait_until("it is watched", || play.outcome() == "watching");
    let refused = play.sluice.admin().ask(&Request::new("POST", "/upgrade"));
    let said = refused.expect(409).text();
    assert!(said.contains("is being watched"), "{said}");
    assert_eq!(play.body(), "new");
    follower.kill();
}
