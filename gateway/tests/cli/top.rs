//! `sluice top`: on a terminal, and where there is none.

use rustix::process::Signal;

use super::actors::{self, Folder, Sluice, got};
use super::terminal::Session;

const TEXT: &str = r#"
[admin]
address = "127.0.0.1:0"
[access_log]
path = "off"
[[listeners]]
address = "127.0.0.1:0"
[caches.edge]
memory = "64MiB"
[rate_limits.clients]
key = "client_ip"
rate = "1000/s"
[upstreams.app]
servers = [{ address = "127.0.0.1:9" }]
[[routes]]
name = "api"
match = { path_prefix = "/api" }
upstream = "app"
rate_limits = ["clients"]
[routes.cache]
store = "edge"
[[routes]]
name = "one"
respond = { body = "one" }
"#;

/// Switches to the screen of before.
const LEFT: &str = "\x1b[?1049l";

fn gateway() -> (Folder, Sluice, String) {
    let folder = Folder::new(TEXT);
    let gateway = Sluice::start(&folder, &["run"], &[]);
    got(gateway.listener(), "/");
    let admin = gateway.admin().to_string();
    (folder, gateway, admin)
}

/// The lines of the next screen.
fn drawn(session: &mut Session) -> Vec<String> {
    session.shows("\x1b[H");
    let text = session.shows("\x1b[J");
    let text = text.trim_end_matches("\x1b[J").replace('\r', "");
    text.split('\n').map(str::to_owned).collect()
}

/// The next screen of so many lines.
fn of_height(session: &mut Session, rows: usize) -> Vec<String> {
    loop {
        let lines = drawn(session);
        if lines.len() == rows {
            return lines;
        }
    }
}

#[test]
fn a_screen_is_drawn_obeys_its_keys_and_leaves_the_terminal_as_it_was() {
    let (_folder, _gateway, admin) = gateway();
    let mut session = Session::new(&["top", "--admin", &admin, "--interval", "200ms"], 120, 30);
    let lines = drawn(&mut session);
    assert_eq!(lines.len(), 30);
    let text = lines.join("\n");
    for words in [
        "sluice ",
        "requests ",
        "ROUTE",
        "UPSTREAM",
        "127.0.0.1:9",
        "CACHE",
        "edge",
        "LIMIT",
        "clients",
        "q quit",
    ] {
        assert!(text.contains(words), "{words} is missing in\n{text}");
    }
    session.types("s");
    session.shows("order: 5xx");
    session.types("?");
    session.shows("let the figures stand still");
    session.types(" ");
    session.shows("? help   paused");
    session.becomes(60, 12);
    let lines = of_height(&mut session, 12);
    let escapes = regex::Regex::new("\x1b\\[[0-9;]*[A-Za-z]").expect("an expression");
    for line in &lines {
        let shown = escapes.replace_all(line, "");
        assert!(shown.chars().count() <= 60, "{line:?}");
    }
    session.types("q");
    session.shows(LEFT);
    assert_eq!(session.code(), 0);
}

#[test]
fn whatever_ends_it_gives_the_terminal_back() {
    let (_folder, mut gateway, admin) = gateway();
    for end in [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT] {
        let mut session = Session::new(&["top", "--admin", &admin], 80, 24);
        drawn(&mut session);
        session.signal(end);
        session.shows(LEFT);
        assert_eq!(session.code(), 0, "{end:?}");
    }
    let mut session = Session::new(&["top", "--admin", &admin, "--interval", "200ms"], 80, 24);
    drawn(&mut session);
    // The figures stay, and what is wrong stands above them.
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.code(), 0);
    session.shows("no answer: http://");
    session.types("\x03");
    session.shows(LEFT);
    assert_eq!(session.code(), 0);
}

#[test]
fn where_there_is_no_terminal_reports_are_printed() {
    let (_folder, _gateway, admin) = gateway();
    let words = ["top", "--admin", &admin, "--interval", "200ms"];
    let done = actors::command(&[&words[..], &["--once"]].concat()).done();
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    assert!(
        done.out.contains("\none ") && !done.out.contains('\x1b'),
        "{}",
        done.out
    );

    let done = actors::command(&[&words[..], &["--once", "--json"]].concat()).done();
    let figures: serde_json::Value = serde_json::from_str(&done.out).expect("JSON");
    assert_eq!(figures["servers"][0]["address"], "127.0.0.1:9");
    assert_eq!(figures["total"]["per_s"], 0.0);

    // One after another, until nobody reads any more.
    let follower = Sluice::begin(actors::command(&[&words[..], &["--json"]].concat()));
    for _ in 0..2 {
        assert!(follower.said().contains("\"total\""));
    }
    let done = actors::command(&["top", "--admin", &admin, "--interval", "5"]).done();
    assert_eq!(done.code, 2, "{done:?}");
    let (closed, _kept) = actors::closed_port();
    let done = actors::command(&["top", "--admin", &closed.to_string()]).done();
    assert_eq!(done.code, 1);
    assert!(done.err.contains("help: is the gateway running?"), "{}", done.err);
}
