//! The open load against a server that answers as it is told, and the scenarios that are handed out with it.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output};

use benches::load::Scenario;

/// Answers each request by its path until the process ends: `/503` with that, `/close` and ends the connection,
/// `/cut` with less than it announces, everything else well.
fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("a bound socket has an address");
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            std::thread::spawn(move || serve(client));
        }
    });
    address
}

fn serve(mut client: TcpStream) {
    let mut lines = BufReader::new(client.try_clone().expect("a free descriptor")).lines();
    while let Some(Ok(first)) = lines.next() {
        // The rest of the head.
        while lines
            .next()
            .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
        {}
        let answer = match first.split(' ').nth(1) {
            Some("/503") => "HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno",
            Some("/cut") => "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab",
            _ => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        };
        let closes = first.contains("/close") || first.contains("/cut");
        if client.write_all(answer.as_bytes()).is_err() || closes {
            let _gone = client.shutdown(std::net::Shutdown::Both);
            return;
        }
    }
}

/// Fifty requests, thresholds as given; a latency is none of them, as the machine may be busy.
fn load(paths: &[&str], errors_percent: &str) -> Output {
    let address = server();
    // One file for each: tests run side by side.
    let file = std::env::temp_dir().join(format!(
        "openload-{}-{}.scenario",
        std::process::id(),
        address.port()
    ));
    std::fs::write(
        &file,
        format!("start 500\nstage 0.1 500\nerrors_percent {errors_percent}\n"),
    )
    .expect("room for a file");
    let urls = paths.iter().map(|path| format!("http://{address}{path}"));
    let output = Command::new(env!("CARGO_BIN_EXE_openload"))
        .args(["--json", "--connections", "4", "--scenario"])
        .arg(&file)
        .args(urls)
        .output()
        .expect("the program was built for this test");
    std::fs::remove_file(&file).expect("it was written above");
    output
}

#[track_caller]
fn expect(output: &Output, code: i32, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(
        output.status.code(),
        Some(code),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for word in words {
        assert!(said.contains(word), "no {word:?} in {said}");
    }
}

#[test]
fn a_load_that_is_answered_well_holds_and_every_request_is_counted() {
    expect(
        &load(&["/"], "1"),
        0,
        &["\"requests\":50,\"failed\":0,", "\"holds\":true"],
    );
}

#[test]
fn errors_above_the_threshold_break_it() {
    expect(
        &load(&["/", "/503"], "60"),
        0,
        &["\"requests\":50,\"failed\":25,"],
    );
    expect(
        &load(&["/", "/503"], "50"),
        1,
        &["\"requests\":50,\"failed\":25,", "\"holds\":false"],
    );
}

#[test]
fn a_connection_that_has_been_closed_between_requests_is_no_error() {
    expect(&load(&["/close"], "1"), 0, &["\"requests\":50,\"failed\":0,"]);
}

#[test]
fn an_answer_that_is_cut_off_is_an_error() {
    expect(&load(&["/cut"], "1"), 1, &["\"requests\":50,\"failed\":50,"]);
}

#[test]
fn what_cannot_be_run_is_said_and_is_no_broken_threshold() {
    let program = env!("CARGO_BIN_EXE_openload");
    for words in [
        &["--rate", "5"][..],
        &["--rate", "-5", "--seconds", "1"],
        &["--scenario", "/nowhere", "http://h/"],
    ] {
        let output = Command::new(program).args(words).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(
            String::from_utf8_lossy(&output.stderr).contains("usage:"),
            "{words:?}"
        );
    }
}

#[test]
fn the_scenarios_that_are_handed_out_can_be_read_and_have_thresholds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("load");
    for name in ["ramp", "spike", "soak"] {
        let text = std::fs::read_to_string(folder.join(format!("{name}.scenario"))).unwrap();
        let scenario = Scenario::parse(&text).unwrap();
        assert!(scenario.arrivals().next().is_some(), "{name} sends nothing");
        assert_eq!(
            (scenario.p95_ms, scenario.errors_percent),
            (Some(100.0), Some(1.0)),
            "{name}"
        );
    }
}
