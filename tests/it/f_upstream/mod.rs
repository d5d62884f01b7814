mod malformed;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;

use harness::origin::{Greeting, hang_up, never, raw, reply, reset};
use harness::{Gateway, Origin, Request, wait_until};
use socket2::{Domain, Socket, Type};

use crate::all_to;

/// Everything goes to this origin, with these lines in its upstream.
fn to(origin: &Origin, lines: &str) -> String {
    let text = all_to(origin);
    text.replace("[upstreams.origin]", &format!("[upstreams.origin]\n{lines}"))
}

#[test]
fn an_origin_that_is_down_is_502_and_says_nothing_of_where_it_is() {
    let origin = Origin::down();
    let gw = Gateway::start(&all_to(&origin));

    // The client of the harness fails on an address in an error.
    gw.get("/").expect(502).problem();
    origin.revive();
    origin.set("/", reply(200));
    gw.get("/").expect(200);
}

#[test]
fn an_origin_that_ends_before_it_answers_is_502() {
    let cases = [
        ("a reset", reset()),
        ("an end", hang_up()),
        ("half a head", raw("HTTP/1.1 200 OK\r\nContent-Le").hang_up()),
        ("half a status line", raw("HTT").reset()),
        ("an interim answer only", reset().interim(103, &[])),
    ];
    for (what, script) in cases {
        let origin = Origin::new().on("/", script);
        let gw = Gateway::start(&all_to(&origin));

        let response = gw.get("/");
        assert_eq!(response.status, 502, "{what}: {response}");
        response.problem();
        assert_eq!(origin.seen("/"), 1, "{what}");
    }
}

#[test]
fn an_origin_that_closes_every_connection_at_once_is_502() {
    let origin = Origin::new();
    origin.greet(Greeting::HangUp);
    let gw = Gateway::start(&all_to(&origin));

    gw.get("/").expect(502);
    gw.ask(&Request::post("/", "hello")).expect(502);
}

#[test]
fn an_origin_that_never_answers_is_504() {
    let origin = Origin::new().on("/", never());
    let gw = Gateway::start(&to(&origin, "read_timeout = \"50ms\""));

    gw.get("/").expect(504).problem();
    wait_until("the connection is given up", || origin.open_connections() == 0);
}

#[test]
fn an_origin_that_stops_within_its_head_is_504() {
    let origin = Origin::new().on("/", raw("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n"));
    let gw = Gateway::start(&to(&origin, "read_timeout = \"50ms\""));

    gw.get("/").expect(504);
    wait_until("the connection is given up", || origin.open_connections() == 0);
}

#[test]
fn an_origin_that_does_not_take_the_connection_is_504() {
    // A listener whose queue is full drops what else comes.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket
        .bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into())
        .unwrap();
    socket.listen(0).unwrap();
    let listener = TcpListener::from(socket);
    let address = listener.local_addr().unwrap();
    let _queued = harness::Connection::open(address);
    let gw = Gateway::start(&format!(
        r#"
        [upstreams.full]
        servers = [{{ address = "{address}" }}]
        connect_timeout = "50ms"

        [[routes]]
        name = "all"
        match = {{ path_prefix = "/" }}
        upstream = "full"
        "#
    ));

    gw.get("/").expect(504).problem();
}

#[test]
fn an_origin_that_does_not_take_a_body_is_given_up() {
    let origin = Origin::new();
    origin.greet(Greeting::Ignore);
    let gw = Gateway::start(&format!(
        "[server.limits]\nmax_body = \"1GiB\"\n{}",
        to(&origin, "write_timeout = \"50ms\"")
    ));

    let mut client = gw.connect();
    client.send(
        Request::new("POST", "/")
            .header("Content-Length", "500000000")
            .head_bytes(),
    );
    let block = [0; 64 << 10];
    while client.try_send(block).is_ok() {}
    // The answer may have been lost to the reset that ended the upload; what counts is that it ended.
    wait_until("no lease is left", || {
        gw.server("origin", origin.address())["in_flight"] == 0
    });
}

#[test]
fn a_body_that_breaks_off_is_never_whole_for_the_client() {
    let cases = [
        (
            "a length that is not reached, by end",
            reply(200).claims(100).body("part").hang_up(),
        ),
        (
            "a length that is not reached, by reset",
            reply(200).claims(100).body("part").reset(),
        ),
        (
            "no last chunk, by end",
            reply(200).chunked().body("part").unfinished().hang_up(),
        ),
        (
            "no last chunk, by reset",
            reply(200).chunked().body("part").unfinished().reset(),
        ),
        (
            "until close, by reset",
            reply(200).until_close().body("part").reset(),
        ),
        ("a head only", reply(200).claims(100).hang_up()),
        (
            "a bad chunk",
            raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\nzz\r\n"),
        ),
        (
            "a chunk with no end",
            raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npartX"),
        ),
        (
            "half a trailer",
            raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n0\r\nX: y").hang_up(),
        ),
    ];
    for (what, script) in cases {
        let origin = Origin::new()
            .on("/broken", script)
            .on("/ok", reply(200).body("ok"));
        let gw = Gateway::start(&all_to(&origin));

        let mut client = gw.connect();
        client.send(Request::get("/broken").bytes());
        match client.try_response() {
            // Nothing of the body had been sent yet: then it may be said in plain words.
            Ok(response) => assert_eq!(response.status, 502, "{what} looks whole:\n{response}"),
            Err(_) => client.expect_closed(),
        }
        gw.get("/ok").expect(200).body("ok");
        assert_ne!(
            origin.only("/broken").connection,
            origin.only("/ok").connection,
            "{what}"
        );
    }
}

#[test]
fn a_body_that_stops_coming_is_broken_off() {
    let origin = Origin::new().on("/", reply(200).claims(100).body("part").linger());
    let gw = Gateway::start(&to(&origin, "read_timeout = \"500ms\""));

    let mut client = gw.connect();
    client.send(Request::get("/").bytes());
    assert!(client.try_response().is_err());
    wait_until("the connection is given up", || origin.open_connections() == 0);
}

#[test]
fn a_client_that_reads_until_the_end_is_told_of_a_broken_body_by_a_reset() {
    let broken = reply(200).chunked().body("part").unfinished().hang_up();
    let origin = Origin::new().on("/", broken);
    let gw = Gateway::start(&all_to(&origin));

    let mut client = gw.connect();
    client.send(Request::get("/").http10().bytes());
    client.expect_reset();
}

#[test]
fn a_connection_that_the_origin_has_closed_is_not_used_again() {
    let origin = Origin::new().on("/", reply(200).echo().hang_up());
    let gw = Gateway::start(&all_to(&origin));

    let mut client = gw.connect();
    for _ in 0..20 {
        client.ask(&Request::post("/", "once")).expect(200).body("once");
        wait_until("the origin has closed", || origin.open_connections() == 0);
    }
    assert_eq!((origin.total(), origin.connections()), (20, 20));
}

#[test]
fn a_kept_connection_that_dies_under_a_request_is_replaced() {
    // The connection breaks when the second request arrives on it; an origin that closes idle connections
    // does that all the time, and a client must not see it.
    let origin = Origin::new()
        .on("/", reply(200))
        .then("/", reset())
        .then("/", reply(200));
    let gw = Gateway::start(&all_to(&origin));

    let mut client = gw.connect();
    client.ask(&Request::get("/")).expect(200);
    client.ask(&Request::get("/")).expect(200);
    assert_eq!((origin.total(), origin.connections()), (3, 2));
}

#[test]
fn idle_connections_are_closed_after_their_time() {
    let origin = Origin::new().on("/", reply(200));
    let gw = Gateway::start(&to(&origin, "idle_timeout = \"50ms\""));

    gw.get("/").expect(200);
    wait_until("the idle connection is closed", || origin.open_connections() == 0);
    gw.get("/").expect(200);
    assert_eq!(origin.connections(), 2);
}

#[test]
fn a_client_that_goes_away_frees_its_server() {
    let origin = Origin::new().on("/", never());
    let gw = Gateway::start(&all_to(&origin));

    // By a reset. A client that has only finished sending still waits for its answer.
    let mut client = gw.connect();
    client.send(Request::get("/").bytes());
    wait_until("it is in flight", || {
        gw.server("origin", origin.address())["in_flight"] == 1
    });
    client.reset();
    wait_until("the lease is returned", || {
        gw.server("origin", origin.address())["in_flight"] == 0
    });
    wait_until("the origin is told", || origin.open_connections() == 0);
}

#[test]
fn a_client_that_goes_away_within_its_upload_leaves_no_whole_request() {
    let origin = Origin::new().on("/", reply(200));
    let gw = Gateway::start(&all_to(&origin));

    for framing in [("Content-Length", "100"), ("Transfer-Encoding", "chunked")] {
        let mut client = gw.connect();
        client.send(
            Request::new("POST", "/")
                .header(framing.0, framing.1)
                .head_bytes(),
        );
        client.send("5\r\nhello\r\n");
        drop(client);
    }
    wait_until("the origin is told", || origin.open_connections() == 0);
    assert!(origin.requests("/").iter().all(|seen| !seen.complete));
}

#[test]
fn a_client_that_goes_away_within_its_answer_does_not_leave_the_rest_to_another() {
    let gate = harness::Gate::new();
    let slow = reply(200).body("first half ").pause(&gate).body("second half");
    let origin = Origin::new()
        .on("/slow", slow)
        .on("/next", reply(200).body("next"));
    let gw = Gateway::start(&all_to(&origin));

    let mut client = gw.connect();
    client.send(Request::get("/slow").bytes());
    client.response_head();
    client.reset();
    wait_until("the lease is returned", || {
        gw.server("origin", origin.address())["in_flight"] == 0
    });
    gw.get("/next").expect(200).body("next");
    gate.open();
    gw.get("/next").expect(200).body("next");
}

#[test]
fn an_origin_may_be_behind_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let origin = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = [0; 4096];
        let n = stream.read(&mut head).unwrap();
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
            .unwrap();
        String::from_utf8_lossy(&head[..n]).into_owned()
    });
    let gw = Gateway::start(&format!(
        r#"
        [upstreams.app]
        servers = [{{ address = "unix:{}" }}]

        [[routes]]
        name = "all"
        match = {{ path_prefix = "/" }}
        upstream = "app"
        "#,
        path.display()
    ));

    gw.get("/a").expect(200).body("hi");
    assert!(
        origin
            .join()
            .unwrap()
            .starts_with("GET /a HTTP/1.1\r\nHost: a.test\r\n")
    );
}
