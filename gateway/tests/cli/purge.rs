//! `sluice purge` against an admin address that answers by a script.

#![expect(
    clippy::unwrap_used,
    reason = "all of this is test code, where a surprise may panic"
)]

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread::{self, JoinHandle};

use serde_json::{Value, json};

use crate::actors::{self, Done, Folder, PATIENCE, sluice};

/// Answers one request, and gives it back.
struct Admin {
    address: SocketAddr,
    heard: JoinHandle<Heard>,
}

struct Heard {
    line: String,
    body: Value,
}

impl Admin {
    fn answering(status: &'static str, answer: &Value) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answer = answer.to_string();
        let heard = thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut stream = BufReader::new(stream);
            let heard = read(&mut stream);
            let length = answer.len();
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n");
            stream
                .get_mut()
                .write_all(format!("{head}{answer}").as_bytes())
                .unwrap();
            heard
        });
        Self { address, heard }
    }

    /// The command's end, and what it has asked.
    fn purge(self, words: &[&str]) -> (Done, Heard) {
        let address = self.address.to_string();
        let words = [&["purge", "--admin", &address], words].concat();
        let done = actors::command(&words).done();
        (done, self.heard.join().unwrap())
    }
}

fn read(stream: &mut impl BufRead) -> Heard {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let length = lines
        .iter()
        .find_map(|line| line.strip_prefix("Content-Length: ")?.parse().ok())
        .unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    Heard {
        line: lines.swap_remove(0),
        body: serde_json::from_slice(&body).unwrap(),
    }
}

#[test]
fn what_is_to_be_purged_is_asked_as_it_was_said_and_the_count_printed() {
    let answer = json!({ "objects": 12, "caches": { "edge": 12 }, "soft": false, "problems": [] });
    let words = [
        "--url",
        "https://a.example/x?b=1",
        "--url",
        "https://a.example/y",
        "--tag",
        "news",
        "--prefix",
        "https://a.example/z/",
        "--host",
        "b.example",
    ];
    let (done, heard) = Admin::answering("200 OK", &answer).purge(&words);
    assert_eq!(
        (done.code, &*done.out, &*done.err),
        (0, "12 objects purged\n", "")
    );
    assert_eq!(heard.line, "POST /purge HTTP/1.1");
    let expected = json!({
        "urls": ["https://a.example/x?b=1", "https://a.example/y"], "tags": ["news"],
        "prefixes": ["https://a.example/z/"], "hosts": ["b.example"], "all": false, "soft": false,
    });
    assert_eq!(heard.body, expected);
}

#[test]
fn several_caches_get_a_line_each_and_a_soft_purge_only_marks() {
    let answer = json!({ "objects": 1, "caches": { "edge": 1, "media": 0 }, "soft": true, "problems": [] });
    let (done, heard) = Admin::answering("200 OK", &answer).purge(&["--all", "--soft"]);
    assert_eq!(
        (done.code, &*done.out),
        (0, "1 object marked stale\n  edge: 1\n  media: 0\n")
    );
    let expected = json!({ "urls": [], "tags": [], "prefixes": [], "hosts": [], "all": true, "soft": true });
    assert_eq!(heard.body, expected);

    let (done, _) = Admin::answering("200 OK", &answer).purge(&["--all", "--soft", "--json"]);
    assert_eq!(
        (done.code, serde_json::from_str::<Value>(&done.out).unwrap()),
        (0, answer)
    );
}

#[test]
fn a_purge_that_did_not_reach_everything_fails_and_says_so() {
    let answer =
        json!({ "objects": 2, "caches": { "edge": 2 }, "problems": ["media: its disk is out of use"] });
    for words in [&["--all"][..], &["--all", "--json"]] {
        let (done, _) = Admin::answering("200 OK", &answer).purge(words);
        assert_eq!(done.code, 1, "{done:?}");
        assert_eq!(done.err, "sluice: error: media: its disk is out of use\n");
        assert!(!done.out.is_empty());
    }
}

#[test]
fn a_target_that_cannot_be_is_wrong_usage_and_any_other_refusal_a_failure() {
    let refusal = |detail: &str| json!({ "type": "about:blank", "status": 400, "detail": detail });
    let (done, _) =
        Admin::answering("400 Bad Request", &refusal("\"x\" is not a URL.")).purge(&["--url", "x"]);
    assert_eq!((done.code, &*done.out), (2, ""));
    assert!(
        done.err
            .starts_with("sluice: error: nothing was purged: \"x\" is not a URL.\nhelp: "),
        "{}",
        done.err
    );
    for (status, answer) in [
        ("404 Not Found", refusal("There is nothing here.")),
        ("400 Bad Request", json!("no detail")),
        ("200 OK", json!({ "text": "another version" })),
    ] {
        let (done, _) = Admin::answering(status, &answer).purge(&["--all"]);
        assert_eq!((done.code, &*done.out), (1, ""), "{status}");
        assert!(
            done.err.contains(&format!("answers {}: ", &status[..3])),
            "{}",
            done.err
        );
    }
}

#[test]
fn nothing_to_purge_is_wrong_usage_and_asks_nobody() {
    // An address nobody listens at: whoever asked would fail with 1.
    let folder = Folder::new("[admin]\naddress = \"127.0.0.1:9\"\n");
    for words in [
        &["purge"][..],
        &["purge", "--soft"],
        &["purge", "--url", ""],
        &["purge", "--tag"],
    ] {
        let done = sluice(&folder, words);
        assert_eq!((done.code, &*done.out), (2, ""), "{words:?}");
    }
    let done = sluice(&folder, &["purge"]);
    for word in ["--url", "--tag", "--prefix", "--host", "--all"] {
        assert!(done.err.contains(word), "{}", done.err);
    }
}
