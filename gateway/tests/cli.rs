//! The binary from outside: words in, lines and exit codes out, signals in between.

#[path = "cli/actors.rs"]
mod actors;
#[path = "cli/diff.rs"]
mod diff;
#[path = "cli/import.rs"]
mod import;
#[path = "cli/log.rs"]
mod log;
#[path = "cli/purge.rs"]
mod purge;
#[path = "cli/simulate.rs"]
mod simulate;
#[path = "cli/terminal.rs"]
mod terminal;
#[path = "cli/top.rs"]
mod top;

use actors::{Folder, Origin, Sluice, got, sluice};
use rustix::process::Signal;

const FINE: &str = r#"
[admin]
address = "127.0.0.1:0"
[access_log]
path = "off"
[[listeners]]
address = "127.0.0.1:0"
[[routes]]
name = "one"
respond = { body = "one" }
"#;

const WRONG: &str = r#"
[admin]
address = "127.0.0.1:9"
[[listeners]]
addres = "127.0.0.1:0"
[[routes]]
name = "one"
upstream = "nobody"
"#;

#[test]
fn a_good_configuration_is_said_to_be_good() {
    let folder = Folder::new(FINE);
    for words in [&["check"][..], &["-t"]] {
        let done = sluice(&folder, words);
        assert_eq!((done.code, done.err.as_str()), (0, ""), "{words:?}");
        let expected = "sluice.toml: ok (1 listener, 1 route)\n";
        assert!(done.out.ends_with(expected), "{}", done.out);
    }
}

#[test]
fn everything_wrong_is_told_at_once_with_place_and_help() {
    let folder = Folder::new(WRONG);
    for words in [&["check"][..], &["-t"], &["run"], &[]] {
        let done = sluice(&folder, words);
        assert_eq!((done.code, done.out.as_str()), (2, ""), "{words:?}");
        let file = folder.config();
        for text in [
            format!("{}:5:1: error: ", file.display()),
            format!("{}:8:12: error: ", file.display()),
            "\naddres = \"127.0.0.1:0\"\n^^^^^^\nhelp: ".to_owned(),
            "\n2 errors\n".to_owned(),
        ] {
            assert!(
                done.err.contains(&text),
                "{words:?} misses {text:?} in\n{}",
                done.err
            );
        }
        assert!(!done.err.contains('\x1b'), "colour without a terminal");
    }
}

#[test]
fn what_keeps_it_from_starting_on_this_machine_is_told_where_it_is_written_and_with_help() {
    let folder = Folder::new(&FINE.replace("\"off\"", "\"/nowhere/access.log\""));
    let done = sluice(&folder, &["check"]);
    assert_eq!(done.code, 0, "another machine may be meant");
    let place = format!("{}:5:8: warning: ", folder.config().display());
    let excerpt = "\npath = \"/nowhere/access.log\"\n       ^";
    for text in [&place, "there is no folder /nowhere", excerpt, "\nhelp: "] {
        assert!(done.err.contains(text), "{text:?} is missing in\n{}", done.err);
    }
}

#[test]
fn a_file_that_is_not_there_is_a_problem_of_the_configuration() {
    let done = sluice(&Folder::new(FINE), &["check", "-c", "/nowhere/sluice.toml"]);
    assert_eq!(done.code, 2);
    assert!(
        done.err
            .starts_with("/nowhere/sluice.toml:1:1: error: the file cannot be read"),
        "{}",
        done.err
    );
}

#[test]
fn a_warning_is_told_and_passes() {
    let log = FINE.replace("\"off\"", "\"/nowhere/access.log\"");
    let token = log.replace("[access_log]", "token_file = \"/nowhere/token\"\n[access_log]");
    let done = sluice(&Folder::new(&token), &["check"]);
    assert_eq!(done.code, 0);
    for text in [
        "no folder /nowhere",
        "admin.token_file /nowhere/token",
        "\n2 warnings\n",
    ] {
        assert!(done.err.contains(text), "{}", done.err);
    }
}

#[test]
fn the_effective_configuration_means_the_same() {
    let folder = Folder::new(FINE);
    let first = sluice(&folder, &["check", "-T"]);
    assert!(first.err.contains(": ok ("), "{}", first.err);
    let again = sluice(&Folder::new(&first.out), &["-T"]);
    assert_eq!((again.code, again.out), (0, first.out));
}

#[test]
fn scripts_get_their_problems_as_json() {
    let done = sluice(&Folder::new(WRONG), &["check", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!(
        (done.code, &report["ok"], done.err.as_str()),
        (2, &false.into(), "")
    );
    let lines: Vec<_> = report["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["line"].as_u64().unwrap())
        .collect();
    assert_eq!(lines, [5, 8]);

    let done = sluice(&Folder::new(FINE), &["check", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!(
        (done.code, report),
        (0, serde_json::json!({ "ok": true, "problems": [] }))
    );
}

#[test]
fn what_is_unknown_is_guessed() {
    let folder = Folder::new(FINE);
    let done = sluice(&folder, &["relod"]);
    assert_eq!(done.code, 2);
    assert!(done.err.contains("reload"), "{}", done.err);
    let done = sluice(&folder, &["--log-level", "loud"]);
    assert_eq!(done.code, 2);
    assert!(done.err.contains("\"loud\" is not a log level"), "{}", done.err);
}

#[test]
fn the_version_and_the_schema_are_printed() {
    let folder = Folder::new(FINE);
    let version = format!("sluice {}\n", gateway::VERSION);
    for words in [&["version"][..], &["--version"], &["-v"]] {
        let done = sluice(&folder, words);
        assert_eq!((done.code, &done.out), (0, &version), "{words:?}");
    }
    assert!(sluice(&folder, &["-V"]).out.contains(" build for "));
    let schema: serde_json::Value = serde_json::from_str(&sluice(&folder, &["schema"]).out).unwrap();
    assert!(schema["properties"]["routes"].is_object());
}

#[test]
fn a_gateway_obeys_its_signals() {
    let folder = Folder::new(&FINE.replace("\"off\"", "\"${LOG}/access.log\""));
    let log = folder.path().join("access.log");
    let mut gateway = Sluice::start(&folder, &["run"], &[("LOG", folder.path().as_os_str())]);
    assert_eq!(got(gateway.listener(), "/"), "one");

    // The file has not changed, so the watch over it has nothing to do with this reload.
    gateway.signal(Signal::HUP);
    gateway.told("configuration reloaded: nothing changed");
    folder.write(
        &FINE
            .replace("\"off\"", "\"${LOG}/access.log\"")
            .replace("\"one\" }", "\"two\" }"),
    );
    gateway.signal(Signal::HUP);
    gateway.told("configuration reloaded");
    assert_eq!(got(gateway.listener(), "/"), "two");
    folder.write(WRONG);
    gateway.signal(Signal::HUP);
    gateway.told("configuration not reloaded");
    assert_eq!(got(gateway.listener(), "/"), "two");

    std::fs::rename(&log, folder.path().join("old.log")).unwrap();
    gateway.signal(Signal::USR1);
    gateway.told("access log reopened");
    assert_eq!(got(gateway.listener(), "/after"), "two");

    // The new process finds the mistake, and this one goes on.
    gateway.signal(Signal::USR2);
    gateway.told("not upgraded, this process goes on");
    gateway.signal(Signal::TERM);
    gateway.told("stopping (SIGTERM)");
    gateway.told("stopped");
    assert_eq!(gateway.code(), 0);
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(text.contains("/after"), "{text}");
}

#[test]
fn an_operator_without_patience_asks_twice() {
    let origin = Origin::silent();
    let folder = Folder::new(&format!(
        "[server]\ndrain_timeout = \"1h\"\n[access_log]\npath = \"off\"\n[[listeners]]\naddress = \"127.0.0.1:0\"\n\
         [upstreams.o]\nservers = [{{ address = \"{}\" }}]\nread_timeout = \"1h\"\n[[routes]]\nname = \"r\"\nupstream = \"o\"\n",
        origin.address
    ));
    let mut gateway = Sluice::start(&folder, &[], &[]);
    let _waiting = actors::ask(gateway.listener(), "/");
    origin.wait_for_a_request();
    gateway.signal(Signal::INT);
    gateway.told("stopping (SIGINT): running requests have 1h to end");
    gateway.signal(Signal::INT);
    gateway.told("stopped at once");
    assert_eq!(gateway.code(), 1);
}

#[test]
fn the_service_manager_is_told_what_goes_on() {
    let folder = Folder::new(FINE);
    let manager = std::os::unix::net::UnixDatagram::bind(folder.path().join("notify")).unwrap();
    manager.set_read_timeout(Some(actors::PATIENCE)).unwrap();
    let heard = || {
        let mut text = [0; 64];
        let n = manager.recv(&mut text).unwrap();
        String::from_utf8_lossy(&text[..n]).into_owned()
    };
    let socket = folder.path().join("notify");
    let mut gateway = Sluice::start(&folder, &["run"], &[("NOTIFY_SOCKET", socket.as_os_str())]);
    assert_eq!(heard(), "READY=1");
    gateway.signal(Signal::HUP);
    assert_eq!([heard(), heard()], ["RELOADING=1", "READY=1"]);
    gateway.signal(Signal::TERM);
    assert_eq!(heard(), "STOPPING=1");
    assert_eq!(gateway.code(), 0);
}

/// The cells of the first server's row.
fn row(status: &str) -> Vec<String> {
    let row = status.lines().find(|line| line.starts_with("o "));
    row.unwrap_or_default()
        .split_whitespace()
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_running_gateway_is_told_over_its_admin_address() {
    let origin = Origin::answering("hello");
    let socket = Folder::new("");
    let text = format!(
        "[admin]\naddress = \"unix:{}/admin.sock\"\n[access_log]\npath = \"off\"\n[[listeners]]\naddress = \"127.0.0.1:0\"\n\
         [upstreams.o]\nservers = [{{ address = \"{}\", weight = 3 }}]\n[[routes]]\nname = \"r\"\nupstream = \"o\"\n",
        socket.path().display(),
        origin.address
    );
    let folder = Folder::new(&text);
    let mut gateway = Sluice::start(&folder, &["run"], &[]);
    assert_eq!(got(gateway.listener(), "/"), "hello");

    let status = sluice(&folder, &["status"]);
    let cells = row(&status.out);
    assert_eq!(
        cells[..8],
        [
            "o",
            &origin.address.to_string(),
            "up",
            "closed",
            "3",
            "0",
            "1",
            "0"
        ],
        "{}",
        status.out
    );

    let address = origin.address.to_string();
    let words = ["server", "o", &address, "--state", "drain", "--weight", "2"];
    let done = sluice(&folder, &words);
    assert_eq!(
        done.out,
        format!("o: {address} is ordered drain and has weight 2\n"),
        "{}",
        done.err
    );
    assert_eq!(
        row(&sluice(&folder, &["status"]).out)[2..5],
        ["drain", "closed", "2"]
    );
    let done = sluice(&folder, &["server", "o", "127.0.0.1:1", "--state", "up"]);
    assert_eq!(done.code, 1);
    assert!(done.err.contains("404"), "{}", done.err);

    folder.write(&format!("{text}\n[[routes]]\nname = \"more\"\nmatch = {{ path = \"/more\" }}\nrespond = {{ body = \"more\" }}\n"));
    let done = sluice(&folder, &["-s", "reload"]);
    // The watch over the file may have been faster.
    assert!(
        ["reloaded: added route more\n", "reloaded: nothing changed\n"].contains(&&*done.out),
        "{done:?}"
    );
    assert_eq!(got(gateway.listener(), "/more"), "more");

    folder.write(&text.replace("upstream = \"o\"", "upstream = \"p\""));
    let done = sluice(&folder, &["reload"]);
    assert_eq!(done.code, 2, "{done:?}");
    let pointed = "\nupstream = \"p\"\n           ^^^\n";
    for text in ["not reloaded", "error: ", pointed, "\n1 error\n"] {
        assert!(done.err.contains(text), "misses {text:?} in\n{}", done.err);
    }
    let done = sluice(&folder, &["reload", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!((done.code, &report["ok"]), (2, &false.into()));
    assert!(sluice(&folder, &["status"]).out.contains("was refused:\n"));

    assert_eq!(
        sluice(&folder, &["-s", "reopen"]).out,
        "the access log is open again\n"
    );
    assert!(sluice(&folder, &["-s", "quit"]).out.starts_with("stopping: "));
    gateway.told("stopping (asked to at the admin address)");
    assert_eq!(gateway.code(), 0);
}

#[test]
fn the_token_is_found_and_goes_to_no_stranger() {
    let token = Folder::new("a-long-enough-token\n");
    let file = token.config();
    let text = FINE.replace(
        "[access_log]",
        &format!("token_file = \"{}\"\n[access_log]", file.display()),
    );
    let folder = Folder::new(&text);
    let gateway = Sluice::start(&folder, &["run"], &[]);
    let admin = gateway.admin().to_string();
    let file = file.display().to_string();

    let done = actors::command(&["status", "--admin", &admin]).done();
    assert_eq!(done.code, 1);
    assert!(
        done.err.contains("the admin token is missing or wrong"),
        "{}",
        done.err
    );
    assert!(done.err.contains("\nhelp: "), "{}", done.err);
    for words in [
        &["status", "--admin", &admin, "--token-file", &file][..],
        &[
            "status",
            "--admin",
            &format!("http://{admin}/"),
            "-c",
            &folder.config().display().to_string(),
        ],
    ] {
        let done = actors::command(words).done();
        assert_eq!(done.code, 0, "{done:?}");
    }
    let mut with_variable = actors::command(&["status", "--admin", &admin]);
    with_variable.0.env("SLUICE_ADMIN_TOKEN", "a-long-enough-token");
    assert_eq!(with_variable.done().code, 0);
}

#[test]
fn a_gateway_that_is_not_there_is_told_with_what_to_do() {
    let (closed, _kept_closed) = actors::closed_port();
    let folder = Folder::new(&FINE.replace(
        "127.0.0.1:0\"\n[access_log]",
        &format!("{closed}\"\n[access_log]"),
    ));
    for order in [
        &["reload"][..],
        &["stop"],
        &["status"],
        &["reopen"],
        &["purge", "--all"],
    ] {
        let done = sluice(&folder, order);
        assert_eq!((done.code, done.out.as_str()), (1, ""), "{order:?}");
        assert!(
            done.err
                .starts_with(&format!("sluice: error: http://{closed}: no connection")),
            "{}",
            done.err
        );
        assert!(done.err.contains("help: is the gateway running?"), "{}", done.err);
    }
    let without = Folder::new(&FINE.replace("[admin]\naddress = \"127.0.0.1:0\"\n", ""));
    let done = sluice(&without, &["reload"]);
    assert_eq!(done.code, 2);
    assert!(
        done.err.contains("no [admin] section") && done.err.contains("kill -HUP"),
        "{}",
        done.err
    );
    // The file is broken, and still tells where its gateway is.
    let done = sluice(&Folder::new(WRONG), &["status"]);
    assert!(
        done.err
            .starts_with("sluice: error: http://127.0.0.1:9: no connection"),
        "{}",
        done.err
    );
}

#[test]
fn an_address_in_use_fails_the_start() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let done = actors::command(&["reverse-proxy", "--from", &address, "--to", ":9"]).done();
    assert_eq!(done.code, 1);
    assert!(
        done.err.contains(&format!("cannot listen on {address}")),
        "{}",
        done.err
    );
}

#[test]
fn one_line_makes_a_reverse_proxy() {
    let origin = Origin::answering("hello");
    let to = origin.address.to_string();
    let words = ["reverse-proxy", "--from", "127.0.0.1:0", "--to", &to];
    let mut gateway = Sluice::spawn(actors::command(&words));
    assert_eq!(got(gateway.listener(), "/some/path"), "hello");
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.code(), 0);
    let line = gateway.out();
    assert!(line.contains("\"GET /some/path HTTP/1.1\" 200 5"), "{line}");
}

#[test]
fn one_line_serves_a_folder() {
    let folder = Folder::new("the text");
    let dir = folder.path().display().to_string();
    let words = ["file-server", &dir, "--listen", "127.0.0.1:0", "--browse"];
    let gateway = Sluice::spawn(actors::command(&words));
    assert_eq!(got(gateway.listener(), "/sluice.toml"), "the text");
    assert!(got(gateway.listener(), "/").contains("sluice.toml"));

    let done = actors::command(&["file-server", "/nowhere"]).done();
    assert_eq!(done.code, 2);
    assert!(
        done.err.contains("the folder /nowhere cannot be served"),
        "{}",
        done.err
    );
}
