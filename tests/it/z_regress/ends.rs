use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;

use harness::origin::{hang_up, never, reply};
use harness::{Gate, Gateway, Origin, Request, wait_until};

use crate::all_to;

#[test]
fn a_last_answer_is_not_lost_to_what_the_client_has_sent_beyond_it() {
    let origin = Origin::new().otherwise(reply(200).body("whole"));
    let gw = Gateway::start(&all_to(&origin));

    for request in [
        Request::get("/").header("Connection", "close"),
        Request::get("/").http10(),
    ] {
        let mut client = TcpStream::connect(gw.address()).unwrap();
        let beyond = Request::get("/").bytes().repeat(1_000);
        client.write_all(&[request.bytes(), beyond].concat()).unwrap();
        let mut answer = String::new();
        // A close with unread bytes is a reset, which takes away what has not been read yet on most systems.
        client
            .read_to_string(&mut answer)
            .expect("the connection ends in order");
        assert!(answer.ends_with("whole"), "{answer}");
    }
    assert_eq!(origin.total(), 2);
}

#[test]
fn an_empty_line_after_a_body_gets_no_answer() {
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&format!(
        "[server.limits]\nheader_timeout = \"50ms\"\n{}",
        all_to(&origin)
    ));

    let mut client = gw.connect();
    client.send([&Request::post("/", "hello").bytes()[..], b"\r\n"].concat());
    client.response().expect(200);
    client.expect_closed();
}

#[test]
fn a_request_that_met_a_stale_connection_goes_out_on_a_new_one() {
    let gate = Gate::new();
    let origin = Origin::new()
        .on("/warm", reply(200).after(&gate))
        .on("/", hang_up())
        .then("/", reply(200));
    let gw = Gateway::start(&format!("[server]\nthreads = 1\n{}", all_to(&origin)));

    let warm = gw.get_many(2, "/warm");
    origin.wait_seen("/warm", 2);
    gate.open();
    warm.into_iter()
        .for_each(|pending| _ = pending.response().expect(200));
    gw.get("/").expect(200);

    let connections: Vec<_> = origin.requests("/").iter().map(|seen| seen.connection).collect();
    assert!(connections[0] < 2, "the first try is on one that was kept");
    assert_eq!(connections[1], 2, "the others have grown as old");
}

#[test]
fn a_request_without_body_that_ran_out_of_time_leaves_its_connection_as_it_was() {
    let origin = Origin::new().on("/never", never()).otherwise(reply(200));
    let gw = Gateway::start(&format!("[defaults]\ntimeout = \"50ms\"\n{}", all_to(&origin)));

    let mut client = gw.connect();
    assert!(!client.ask(&Request::get("/never")).expect(504).closes());
    client.ask(&Request::get("/")).expect(200);

    // With a body nobody knows where the next request would begin.
    assert!(client.ask(&Request::post("/never", "hello")).expect(504).closes());
    client.expect_closed();
}

#[test]
fn a_half_sent_interim_answer_is_not_followed_by_another_answer() {
    let link = "a".repeat(100 << 10);
    let hints = (0..16).fold(never(), |script, _| script.interim(103, &[("Link", &link)]));
    let origin = Origin::new().on("/", hints);
    let folder = tempfile::tempdir().unwrap();
    // Of this kind, because it takes a fraction of the interim answers before it is read.
    let path = folder.path().join("public.sock");
    let gw = Gateway::start(&format!(
        "[[listeners]]\naddress = \"unix:{}\"\n[defaults]\ntimeout = \"200ms\"\n{}",
        path.display(),
        all_to(&origin)
    ));

    let mut client = UnixStream::connect(&path).unwrap();
    client.write_all(&Request::get("/").bytes()).unwrap();
    origin.wait_seen("/", 1);
    wait_until("the time is up", || origin.open_connections() == 0);
    let mut got = String::new();
    client.read_to_string(&mut got).expect("the connection ends");
    assert!(got.starts_with("HTTP/1.1 103 "));
    assert!(!got.contains("HTTP/1.1 504 "), "it stands in the middle of a 103");
    drop(gw);
}

#[test]
fn an_answer_without_length_that_a_stop_cuts_off_does_not_look_whole() {
    let gate = Gate::new();
    let origin = Origin::new().on(
        "/",
        reply(200).until_close().body("part").pause(&gate).body("rest"),
    );
    let mut gw = Gateway::start(&format!(
        "[server]\ndrain_timeout = \"50ms\"\n{}",
        all_to(&origin)
    ));
    gw.may_end_unclean();

    let mut client = gw.connect();
    client.send(Request::get("/").http10().bytes());
    let (status, _) = client.response_head();
    assert_eq!((status, client.bytes(4)), (200, b"part".to_vec()));
    assert!(!gw.stop());
    client.expect_reset();
}
