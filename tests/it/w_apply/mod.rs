/// The command, as a person or a script gives it.
mod command;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use harness::{Gateway, Request, Response, wait_until};
use serde_json::Value;

const WINDOW: Duration = Duration::from_secs(60);
/// More than a verdict needs.
const ENOUGH: usize = 30;

/// A route for everything that answers so.
fn answering(status: u16, body: &str) -> String {
    format!(
        r#"
        [[routes]]
        name = "all"
        match = {{ path_prefix = "/" }}
        respond = {{ status = {status}, body = "{body}" }}
        "#
    )
}

/// A gateway that says "old", and beside its configuration one that answers otherwise.
struct Play {
    gw: Gateway,
    old: String,
}

impl Play {
    fn start() -> Self {
        let gw = Gateway::start_with_manual_clock(&answering(200, "old"));
        let old = read(&gw.config_file()).expect("the harness has written it");
        Self { gw, old }
    }

    /// The configuration in use with another answer.
    fn text(&self, status: u16, body: &str) -> String {
        let text = self.old.replace("\"old\"", &format!("\"{body}\""));
        text.replace("status = 200", &format!("status = {status}"))
    }

    fn candidate(&self, text: &str) -> PathBuf {
        let file = self.gw.folder().join("candidate.toml");
        fs::write(&file, text).expect("the folder is the play's own");
        file
    }

    fn order(&self, text: &str, rest: &str) -> Response {
        let file = self.candidate(text);
        let order = format!("{{\"path\":{file:?}{rest}}}");
        self.gw.ask_admin(&Request::new("POST", "/apply").body(&order))
    }

    #[track_caller]
    fn watch(&self, text: &str) {
        self.order(text, ",\"guard_ms\":60000,\"rollback_if\":[\"5xx>2x\"]")
            .expect(202);
    }

    fn last(&self) -> Value {
        self.gw.status()["config"]["last_apply"].clone()
    }

    #[track_caller]
    fn wait_outcome(&self, outcome: &str) -> Value {
        wait_until(&format!("what was applied is {outcome}"), || {
            self.last()["outcome"] == outcome
        });
        self.last()
    }

    fn ask_often(&self, status: u16) {
        let mut client = self.gw.connect();
        for _ in 0..ENOUGH {
            client.ask(&Request::get("/")).expect(status);
        }
    }

    /// What stands in the configuration's file, or beside it under its name with this ending.
    fn file(&self, ending: &str) -> Option<String> {
        let mut name = self.gw.config_file().into_os_string();
        name.push(ending);
        read(Path::new(&name))
    }

    fn counted(&self, result: &str) -> f64 {
        self.gw
            .metrics()
            .sum("sluice_config_applies_total", &[("result", result)])
    }
}

fn read(file: &Path) -> Option<String> {
    fs::read_to_string(file).ok()
}

#[test]
fn what_stands_its_time_is_kept_and_only_then_in_the_file() {
    let play = Play::start();
    play.ask_often(200);
    let new = play.text(200, "new");
    play.watch(&new);
    play.gw.get("/").expect(200).body("new");
    assert_eq!(play.last()["outcome"], "watching");
    assert_eq!(play.file("").as_ref(), Some(&play.old));
    play.ask_often(200);

    play.gw.advance(WINDOW);
    let last = play.wait_outcome("kept");
    assert!(last["requests"].as_u64() >= Some(ENOUGH as u64), "{last:#}");
    assert_eq!(
        (last["reason"].clone(), last["guard_ms"].clone()),
        (Value::Null, 60_000.into())
    );
    play.gw.get("/").expect(200).body("new");
    assert_eq!(play.file("").as_ref(), Some(&new));
    assert_eq!(play.file(".before-apply").as_ref(), Some(&play.old));
    assert_eq!((play.file(".applying"), play.file(".rejected")), (None, None));
    assert_eq!((play.counted("kept"), play.counted("rolled_back")), (1.0, 0.0));
    // What is in the file is what is in use.
    play.gw.ask_admin(&Request::new("POST", "/reload")).expect(200);
    play.gw.get("/").expect(200).body("new");
    assert_eq!(play.last(), last, "a reload is nothing to its outcome");
}

#[test]
fn what_fails_goes_before_its_time_and_is_not_in_the_file() {
    let play = Play::start();
    play.ask_often(200);
    let before = play.gw.status()["config"]["hash"].clone();
    let bad = play.text(500, "bad");
    play.watch(&bad);
    play.ask_often(500);

    let last = play.wait_outcome("rolled_back");
    let reason = last["reason"].as_str().expect("there is one").to_owned();
    assert!(
        reason.starts_with("route \"all\": 5xx is 100.0 % of "),
        "{reason}"
    );
    assert!(reason.ends_with("0.0 % before (5xx>2x)"), "{reason}");
    play.gw.get("/").expect(200).body("old");
    assert_eq!(play.gw.status()["config"]["hash"], before);
    assert_eq!(play.file("").as_ref(), Some(&play.old));
    assert_eq!(play.file(".rejected").as_ref(), Some(&bad));
    assert_eq!((play.file(".applying"), play.file(".before-apply")), (None, None));
    assert_eq!((play.counted("kept"), play.counted("rolled_back")), (0.0, 1.0));
    play.gw.ask_admin(&Request::new("POST", "/reload")).expect(200);
    assert_eq!(play.last(), last, "a reload is nothing to its outcome");
    // And again, held to what was before it and not to what it has done.
    play.ask_often(200);
    play.watch(&bad);
    play.ask_often(500);
    assert_eq!(play.wait_outcome("rolled_back")["id"], 2);
}

#[test]
fn failing_as_before_is_no_reason() {
    let play = Play::start();
    play.gw.reload(&answering(500, "old")).expect("it can be used");
    play.ask_often(500);
    play.watch(&play.text(500, "still bad"));
    play.ask_often(500);
    play.gw.advance(WINDOW);
    play.wait_outcome("kept");
}

#[test]
fn a_listener_that_goes_with_it_comes_back_with_the_other() {
    let play = Play::start();
    let second = harness::origin::Reservation::new();
    let with = format!(
        "{}\n[[listeners]]\naddress = \"{}\"\n",
        play.old,
        second.address()
    );
    drop(second);
    play.order(&with, "").expect(200);
    let addresses = play.gw.addresses();
    let bad = play.text(500, "bad");
    play.watch(&bad);
    assert_eq!(play.gw.addresses().len() + 1, addresses.len());
    play.ask_often(500);
    play.wait_outcome("rolled_back");
    assert_eq!(play.gw.addresses(), addresses);
    let mut client = harness::Connection::open(addresses[addresses.len() - 1]);
    client.ask(&Request::get("/")).expect(200).body("old");
}

#[test]
fn without_a_guard_it_is_a_reload_of_that_file() {
    let play = Play::start();
    let new = play.text(200, "new");
    let answer: Value = serde_json::from_str(&play.order(&new, "").expect(200).text()).expect("it is JSON");
    assert_eq!(answer["watching"], false);
    play.gw.get("/").expect(200).body("new");
    assert_eq!(
        (play.file("").as_ref(), play.file(".before-apply").as_ref()),
        (Some(&new), Some(&play.old))
    );
    assert_eq!(play.last()["outcome"], "kept");
}

#[test]
fn what_cannot_get_its_place_in_the_file_has_not_taken_effect() {
    let play = Play::start();
    let reloaded_at = || play.gw.status()["config"]["last_reload"]["at"].clone();
    let before = reloaded_at();
    play.gw.advance(WINDOW);
    let mut in_the_way = play.gw.config_file().into_os_string();
    in_the_way.push(".before-apply");
    fs::create_dir(&in_the_way).expect("nothing is there");
    let refused = play.order(&play.text(200, "new"), "");
    refused.expect(500);
    play.gw.get("/").expect(200).body("old");
    assert_eq!((reloaded_at(), play.last()), (before, Value::Null));
    assert_eq!(
        (play.file("").as_ref(), play.file(".applying")),
        (Some(&play.old), None)
    );

    fs::remove_dir(&in_the_way).expect("it is empty");
    play.order(&play.text(200, "new"), "").expect(200);
    play.gw.get("/").expect(200).body("new");
}

#[test]
fn what_cannot_be_used_changes_nothing_and_its_problems_are_those_of_its_file() {
    let play = Play::start();
    let broken = play.text(200, "new").replace("respond", "respnod");
    let answer = play.order(&broken, ",\"guard_ms\":60000");
    let told: Value = serde_json::from_str(&answer.expect(422).text()).expect("it is JSON");
    let file = told["problems"][0]["file"].as_str().expect("it is named");
    assert!(file.ends_with("candidate.toml"), "{told:#}");
    play.gw.get("/").expect(200).body("old");
    assert_eq!(play.file("").as_ref(), Some(&play.old));
    assert_eq!((play.file(".applying"), play.last()), (None, Value::Null));
    assert_eq!(play.counted("refused"), 1.0);

    let text = play.text(200, "new");
    play.order(&text, ",\"guard_ms\":1").expect(400);
    play.order(&text, ",\"guard_ms\":60000,\"rollback_if\":[\"often\"]")
        .expect(400);
    let order = |body: &str| play.gw.ask_admin(&Request::new("POST", "/apply").body(body));
    order("{\"path\":\"relative.toml\"}").expect(400);
    order("{\"path\":\"/dev/zero\"}").expect(400);
    order("{\"path\":\"/nowhere.toml\"}").expect(400);
}

#[test]
fn while_one_is_watched_there_is_no_other_and_no_reload_of_the_same_file() {
    let play = Play::start();
    play.watch(&play.text(200, "new"));
    let refused = play.order(&play.text(200, "newer"), "");
    let text = refused.expect(409).text();
    assert!(text.contains("candidate.toml is being watched"), "{text}");
    let refused = play.gw.ask_admin(&Request::new("POST", "/reload"));
    let text = refused.expect(422).text();
    assert!(text.contains("is being watched"), "{text}");
    play.gw.get("/").expect(200).body("new");
    assert_eq!(play.gw.status()["config"]["last_reload"]["ok"], true);
    play.gw.advance(WINDOW);
    play.wait_outcome("kept");
    play.order(&play.text(200, "newer"), "").expect(200);
}

#[test]
fn a_newer_text_in_the_file_ends_the_watch() {
    let play = Play::start();
    play.watch(&play.text(200, "new"));
    // One that cannot be used does not.
    play.gw.reload("nonsense").expect_err("it is no TOML");
    play.gw.get("/").expect(200).body("new");
    assert_eq!(play.last()["outcome"], "watching");
    play.gw.replace_config(&answering(200, "newest"));
    let last = play.wait_outcome("superseded");
    assert!(
        last["reason"]
            .as_str()
            .is_some_and(|why| why.contains("was changed")),
        "{last:#}"
    );
    play.gw.get("/").expect(200).body("newest");
    assert_eq!((play.file(".applying"), play.counted("superseded")), (None, 1.0));
    play.gw.advance(WINDOW);
    play.order(&play.text(200, "again"), "").expect(200);
}

#[test]
fn what_is_not_in_the_file_could_not_be_gone_back_to() {
    let play = Play::start();
    play.gw.reload("nonsense").expect_err("it is no TOML");
    let refused = play.order(&play.text(200, "new"), ",\"guard_ms\":60000");
    let text = refused.expect(409).text();
    assert!(text.contains("nothing to go back to"), "{text}");
    // Without a guard there is no way back to be kept open.
    play.order(&play.text(200, "new"), "").expect(200);
    play.gw.get("/").expect(200).body("new");
}
