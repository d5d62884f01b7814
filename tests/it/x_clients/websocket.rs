use std::io::{BufRead, BufReader};
use std::process::Stdio;

use harness::{Gateway, Process};

use super::{authority_and_leaf, certificate, ended, listener, python, tls_listener};

/// What the client says of what went well, in this order.
const WELL: [&str; 6] = [
    "text and binary",
    "fragments",
    "ping and pong",
    "deflate",
    "closes",
    "half",
];

/// Drives a client through all it knows, and does something in the middle of its messages.
#[track_caller]
fn talk(url: &str, ca_file: Option<&str>, midway: impl FnOnce()) {
    let mut command = python("websocket.py");
    command
        .args(["client", url])
        .args(ca_file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("it was found");
    let out = child.stdout.take().expect("it was piped");
    let mut lines = BufReader::new(out).lines().map_while(Result::ok);
    let said: Vec<_> = lines.by_ref().take(WELL.len()).collect();
    if said == WELL {
        midway();
    }
    let ran = ended(child, "go on\n", format!("{command:?}"));
    let last = lines.next();
    let story = ran.story();
    assert_eq!(said, WELL, "{story}");
    ran.well();
    assert_eq!(last.as_deref(), Some("done"), "{story}");
}

/// A server, and the configuration that sends everything to it.
fn server(listeners: &str) -> (Process, String) {
    let mut command = python("websocket.py");
    command.arg("server");
    let mut process = Process::start(command);
    let port = process.wait_said("port ");
    let toml = format!(
        "{listeners}[upstreams.echo]\nservers = [{{ address = \"127.0.0.1:{port}\" }}]\n\
         [[routes]]\nname = \"echo\"\nupstream = \"echo\"\n"
    );
    (process, toml)
}

/// Every way to end has reached the server.
#[track_caller]
fn expect_ends(process: &mut Process) {
    for code in ["1000", "1001"] {
        process.wait_said(&format!("closed {code} client-{code}"));
        process.wait_said(&format!("closed {code} server-{code}"));
    }
    let said = process.said();
    let cut = said.iter().find(|line| line.starts_with("closed 1006"));
    assert_eq!(cut, None, "{said:#?}");
}

#[test]
fn a_conversation_goes_through_unaltered_while_the_configuration_changes() {
    let (mut process, toml) = server(&listener(""));
    let gw = Gateway::start(&toml);
    talk(&format!("ws://{}/chat", gw.address()), None, || {
        let next = format!("{toml}response_headers = {{ set = {{ X-Next = \"1\" }} }}\n");
        gw.reload(&next).expect("it is a configuration");
    });
    expect_ends(&mut process);
}

#[test]
fn a_conversation_goes_through_tls_unaltered() {
    let (authority, leaf) = authority_and_leaf();
    let (mut process, toml) = server(&format!("{}{}", certificate(&leaf), tls_listener("")));
    let gw = Gateway::start(&toml);
    let url = format!("wss://{}/chat", gw.address());
    talk(&url, Some(&authority.file()), || {
        gw.reload(&toml).expect("it is a configuration");
    });
    expect_ends(&mut process);
}
