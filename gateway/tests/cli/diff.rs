//! `sluice diff`: what it prints, and how it ends.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::actors::{self, Done, Folder, Sluice};

const OLD: &str = r#"
[[listeners]]
address = "127.0.0.1:0"
[auth.users]
forward = { url = "http://127.0.0.1:9/verify" }
[[routes]]
name = "api"
match = { path_prefix = "/api" }
respond = { body = "api" }
auth = "users"
[[routes]]
name = "health"
match = { path = "/health" }
respond = { body = "ok" }
access_log = false
[[routes]]
name = "rest"
respond = { body = "rest" }
"#;

const LOG: &str = r#"{"method":"GET","scheme":"https","host":"example.com","path":"/api/a","query":"x","route":"api"}
{"method":"GET","scheme":"https","host":"example.com","path":"/b","route":"rest"}
{"status":400}
no JSON
{"method":"GET","scheme":"https","host":"example.com","path":"/api/b","route":"api"}
"#;

fn diff(old: &str, new: &str, words: &[&str]) -> Done {
    let [old, new] = [old, new].map(Folder::new);
    let paths = [&old, &new].map(|folder| folder.config().display().to_string());
    std::fs::write(old.path().join("access.log"), LOG).expect("a file in a folder of our own");
    let log = old.path().join("access.log").display().to_string();
    let words = words
        .iter()
        .map(|word| if *word == "LOG" { log.as_str() } else { word });
    let words: Vec<&str> = ["diff", &paths[0], &paths[1]].into_iter().chain(words).collect();
    actors::command(&words).done()
}

#[test]
fn no_difference_ends_well() {
    let done = diff(OLD, OLD, &[]);
    assert_eq!(
        (done.code, done.out.as_str()),
        (0, "nothing changed\n"),
        "{}",
        done.err
    );
    let done = diff(OLD, OLD, &["--replay", "LOG"]);
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.out.contains("0 of 3 requests of "), "{}", done.out);
}

#[test]
fn requests_that_lose_their_guard_are_told_first() {
    let new = OLD
        .replace("auth = \"users\"\n", "max_body = \"1MiB\"\n")
        .replace("\"rest\" }", "\"other\" }");
    let done = diff(OLD, &new, &["--replay", "LOG"]);
    assert_eq!((done.code, done.err.as_str()), (1, ""));
    for text in [
        "altered route api\naltered route rest\n",
        "3 of 3 requests of ",
        "  access       2 (66.6 %)\n",
        "\nroute api: 2 requests (66.6 %)\n  - auth: \"users\" → none\n  ~ max_body: \"10MiB\" → \"1MiB\"\n    \
         GET https://example.com/api/a?x\n    GET https://example.com/api/b\n\nroute rest: 1 requests",
        "The log has no headers and no listener",
        "Passed over: 1 requests that could not be routed, 1 lines that are not",
        "Not in the log, as access_log = false: health.\n",
    ] {
        assert!(done.out.contains(text), "misses {text:?} in\n{}", done.out);
    }
    let done = diff(OLD, &new, &["--replay", "LOG", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&done.out).expect("JSON");
    assert_eq!((done.code, &report["different"]), (1, &true.into()));
    assert_eq!(
        report["changes"]["routes"]["altered"],
        serde_json::json!(["api", "rest"])
    );
    let group = &report["replay"]["groups"][0];
    assert_eq!(
        (
            &group["kind"],
            &group["requests"],
            &group["differences"][0]["key"]
        ),
        (&"access".into(), &2.into(), &"auth".into())
    );
    assert_eq!(report["replay"]["kinds"]["access"], 2);
}

#[test]
fn what_cannot_be_found_out_is_no_answer() {
    let wrong = OLD.replace("respond = { body = \"api\" }", "upstream = \"nobody\"");
    let done = diff(&wrong, &wrong, &[]);
    assert_eq!((done.code, done.out.as_str()), (2, ""));
    assert!(done.err.ends_with("\n2 errors\n"), "{}", done.err);
    let done = diff(OLD, OLD, &["--replay", "/nowhere/access.log"]);
    assert_eq!((done.code, done.out.as_str()), (2, ""));
    assert!(
        done.err.contains("/nowhere/access.log cannot be read"),
        "{}",
        done.err
    );
}

const MANY: &str = r#"
[access_log]
path = "${LOG}/access.log"
[[listeners]]
address = "127.0.0.1:0"
name = "inner"
[[routes]]
name = "exact"
match = { path = "/a" }
respond = { body = "x" }
[[routes]]
name = "prefix"
match = { path_prefix = "/a" }
respond = { body = "x" }
[[routes]]
name = "posts"
match = { path_prefix = "/a/posts", methods = ["POST"] }
respond = { body = "x" }
[[routes]]
name = "beta"
match = { path_prefix = "/a", headers = { X-Beta = "1" }, listener = "inner" }
respond = { body = "x" }
[[routes]]
name = "asked"
match = { path_prefix = "/a", query = { q = "*" } }
respond = { body = "x" }
[[routes]]
name = "below"
match = { host = "*.example.com", path_regex = "^/[0-9]+$" }
respond = { body = "x" }
[[routes]]
name = "admin"
match = { host = "www.example.com", path_prefix = "/admin" }
respond = { body = "x" }
"#;

fn send(address: SocketAddr, head: &str) {
    let mut stream = TcpStream::connect(address).expect("the gateway listens");
    stream.set_read_timeout(Some(actors::PATIENCE)).expect("a time");
    write!(stream, "{head}\r\nConnection: close\r\n\r\n").expect("a gateway that reads");
    // It may close before all is read.
    let _ = stream.read_to_end(&mut Vec::new());
}

#[test]
fn a_replay_takes_the_routes_that_the_gateway_took() {
    let folder = Folder::new(MANY);
    let variable = ("LOG", folder.path().as_os_str());
    let mut gateway = Sluice::start(&folder, &["run"], &[variable]);
    let mut sent = 0;
    for host in [
        "localhost",
        "www.example.com",
        "WWW.Example.COM:80",
        "a.b.example.com.",
        "example.com",
    ] {
        for path in [
            "/",
            "/a",
            "/a/",
            "/a/b",
            "//a",
            "/a/../a",
            "/%61",
            "/a%2Fposts",
            "/a/posts",
            "/a?q=1",
            "/ab?q",
            "/12",
            "/1a",
            "/admin",
            "/./admin/x",
            "/admin%2Fkeys",
            "/x/..%2fadmin",
            "/a\\b",
            "/a/%2e%2e/b",
            "/%zz",
            "/../..",
        ] {
            for line in ["GET", "POST", "HEAD"] {
                for more in ["", "\r\nX-Beta: 1"] {
                    send(
                        gateway.listener(),
                        &format!("{line} {path} HTTP/1.1\r\nHost: {host}{more}"),
                    );
                    sent += 1;
                }
            }
        }
    }
    gateway.signal(rustix::process::Signal::TERM);
    assert_eq!(gateway.code(), 0);
    let [config, log] =
        ["sluice.toml", "access.log"].map(|name| folder.path().join(name).display().to_string());
    let mut call = actors::command(&["diff", &config, &config, "--replay", &log, "--json"]);
    call.0.envs([variable]);
    let done = call.done();
    let report: serde_json::Value = serde_json::from_str(&done.out).expect("JSON");
    let replay = &report["replay"];
    let count = |key: &str| replay[key].as_u64().expect("a number");
    assert_eq!(
        (done.code, count("other_route_than_old"), count("unread")),
        (0, 0, 0),
        "{replay:#}"
    );
    assert_eq!(count("requests") + count("unjudged"), sent);
    assert!(count("requests") > 400, "{replay:#}");
}
