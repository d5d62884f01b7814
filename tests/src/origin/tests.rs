use super::*;
use crate::client::{Connection, Request};
use crate::gate::Gate;
use crate::patience::wait_until;
use crate::wire::Fault;

/// Reads what an origin says, without the checks a gateway's response has to pass.
fn says(origin: &Origin, request: &Request) -> String {
    let mut connection = Connection::open(origin.address());
    connection.send(request.bytes()).finish();
    let all = connection.rest().expect("the origin ends the connection");
    String::from_utf8(all).unwrap()
}

#[test]
fn a_script_answers_and_the_request_is_written_down() {
    let origin = Origin::new().on("/a", reply(200).header("X", "y").body("one"));
    let request = Request::new("POST", "/a?q").chunked_with_trailers(["ab", "c"], &[("T", "v")]);
    let expected = "HTTP/1.1 200 Scripted\r\nX: y\r\nContent-Length: 3\r\n\r\none";
    assert_eq!(says(&origin, &request), expected);
    let seen = origin.only("/a");
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", "/a?q"));
    assert_eq!(seen.body, Body::of(b"abc"));
    assert_eq!(seen.chunks, [2, 1]);
    assert_eq!(seen.trailers.len(), 1);
    assert!(seen.complete);
}

#[test]
fn scripts_follow_one_another_and_the_last_one_stays() {
    let origin = Origin::new().on("/a", reply(503)).then("/a", reply(200));
    let statuses: Vec<_> = (0..3)
        .map(|_| says(&origin, &Request::get("/a"))[9..12].to_owned())
        .collect();
    assert_eq!(statuses, ["503", "200", "200"]);
}

#[test]
fn an_unfinished_chunked_body_has_no_last_chunk() {
    let origin = Origin::new().on("/a", reply(200).chunked().body("ab").unfinished().hang_up());
    assert!(says(&origin, &Request::get("/a")).ends_with("\r\n\r\n2\r\nab\r\n"));
}

#[test]
fn a_gate_holds_an_answer_up() {
    let gate = Gate::new();
    let origin = Origin::new().on("/a", reply(204).after(&gate));
    let mut connection = Connection::open(origin.address());
    connection.send(Request::get("/a").bytes());
    wait_until("the origin waits", || gate.waiting() == 1);
    gate.open();
    assert!(connection.bytes(12).ends_with(b"204"));
}

#[test]
fn a_killed_origin_resets_its_connections_refuses_new_ones_and_comes_back_on_its_port() {
    let origin = Origin::new().on("/a", never());
    let mut connection = Connection::open(origin.address());
    connection.send(Request::get("/a").bytes());
    origin.wait_seen("/a", 1);
    origin.kill();
    assert!(
        matches!(connection.try_response(), Err(Fault::Io(_))),
        "a reset, not an end"
    );
    assert!(Connection::try_open(origin.address()).is_err());
    origin.revive();
    origin.set("/a", reply(204));
    assert!(says(&origin, &Request::get("/a")).starts_with("HTTP/1.1 204"));
}

#[test]
fn an_upgraded_connection_echoes() {
    let origin = Origin::new().on("/a", upgrade("echo"));
    let request = Request::get("/a")
        .header("Connection", "upgrade")
        .header("Upgrade", "echo");
    let mut connection = Connection::open(origin.address());
    connection.send(request.bytes());
    assert!(connection.try_response().is_ok_and(|r| r.status == 101));
    connection.send("hello");
    assert_eq!(connection.bytes(5), b"hello");
    drop(connection);
    wait_until("the origin has noticed the end", || {
        origin.open_connections() == 0
    });
    assert_eq!(origin.only("/a").body, Body::of(b"hello"));
}

#[test]
fn a_malformed_request_fails_the_play() {
    let failed = std::panic::catch_unwind(|| {
        let origin = Origin::new();
        let mut connection = Connection::open(origin.address());
        connection.send("GET / HTTP/1.1\r\nHost: a\r\nKeep-Alive: 5\r\n\r\n");
        origin.wait_seen("/", 1);
        connection.bytes(12);
    });
    assert!(failed.is_err());
}
