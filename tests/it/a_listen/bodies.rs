use harness::body::Pattern;
use harness::client::chunk;
use harness::origin::reply;
use harness::wire::Framing;
use harness::{Gate, Gateway, Origin, Request};

use crate::all_to;

/// Enough to overflow every buffer on the way many times.
const LARGE: u64 = 64 << 20;

#[test]
fn a_chunked_upload_arrives_whole() {
    let origin = Origin::new().on("/a", reply(200).echo());
    let gw = Gateway::start(&all_to(&origin));

    let request = Request::new("POST", "/a").chunked(["one ", "two ", "three"]);
    gw.ask(&request).expect(200).body("one two three");

    let seen = origin.only("/a");
    assert_eq!(seen.body.text(), "one two three");
    assert!(seen.value("content-length").is_none() || seen.chunks.is_empty());
}

#[test]
fn an_empty_chunked_upload_is_a_body_of_no_bytes() {
    let origin = Origin::new().on("/a", reply(200).echo());
    let gw = Gateway::start(&all_to(&origin));

    let mut client = gw.connect();
    for _ in 0..2 {
        client
            .ask(&Request::new("POST", "/a").chunked::<&str>([]))
            .expect(200)
            .body("");
    }
    client.ask(&Request::post("/a", "")).expect(200).body("");
    assert_eq!(origin.requests("/a")[2].value("content-length"), Some("0"));
}

#[test]
fn the_name_of_the_coding_has_no_case_and_a_chunk_size_may_have_zeros_and_an_extension() {
    let origin = Origin::new().on("/a", reply(200).echo());
    let gw = Gateway::start(&all_to(&origin));

    let mut client = gw.connect();
    client.send("POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n");
    client.send("0005;x=\"y\"\r\nhello\r\n000;z\r\n\r\n");
    client.response().expect(200).body("hello");
}

#[test]
fn a_chunked_answer_arrives_whole() {
    let origin = Origin::new().on("/a", reply(200).chunked().body("one ").body("two"));
    let gw = Gateway::start(&all_to(&origin));

    let mut client = gw.connect();
    for _ in 0..2 {
        client.ask(&Request::get("/a")).expect(200).body("one two");
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn trailers_pass_both_ways() {
    let origin = Origin::new().on("/a", reply(200).chunked().body("one").trailer("X-Sum", "down"));
    let gw = Gateway::start(&all_to(&origin));

    let request = Request::new("POST", "/a")
        .header("TE", "trailers")
        .header("Connection", "TE, close")
        .chunked_with_trailers(["up"], &[("X-Sum", "up"), ("X-More", "1")]);
    let mut client = gw.connect();
    let response = client.ask(&request);
    response.expect(200).body("one");

    let pairs = |list: &[(&str, &str)]| -> Vec<_> {
        list.iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect()
    };
    assert_eq!(response.message.trailers, pairs(&[("X-Sum", "down")]));
    assert_eq!(
        origin.only("/a").trailers,
        pairs(&[("X-Sum", "up"), ("X-More", "1")])
    );
}

#[test]
fn trailers_that_would_change_the_message_are_dropped_both_ways() {
    let evil = [
        ("Content-Length", "5"),
        ("Transfer-Encoding", "chunked"),
        ("Host", "evil.test"),
        ("Authorization", "Basic eA=="),
        ("Set-Cookie", "a=b"),
        ("Connection", "close"),
        ("X-Forwarded-For", "6.6.6.6"),
        ("X-Forwarded-Port", "443"),
        ("X_Forwarded_Prefix", "/admin"),
        ("Proxy", "http://evil.test"),
        ("HTTP2-Settings", "AAMAAABk"),
        ("X-Sluice-Mirror", "1"),
        ("Traceparent", "00-1-1-01"),
        ("Tracestate", "a=b"),
        ("X-Ok", "1"),
    ];
    let script = evil
        .iter()
        .fold(reply(200).chunked().body("one"), |s, (n, v)| s.trailer(n, v));
    let origin = Origin::new().on("/a", script);
    let gw = Gateway::start(&all_to(&origin));

    let request = Request::new("POST", "/a")
        .header("TE", "trailers")
        .header("Connection", "TE, close")
        .chunked_with_trailers(["up"], &evil);
    let response = gw.connect().ask(&request);

    let ok = [("X-Ok".to_owned(), "1".to_owned())];
    assert_eq!(response.expect(200).message.trailers, ok);
    assert_eq!(origin.only("/a").trailers, ok);
}

#[test]
fn head_announces_the_body_and_leaves_it_out() {
    let origin = Origin::new()
        .on("/a", reply(200).body("one"))
        .on("/b", reply(200).chunked().body("two"));
    let gw = Gateway::start(&all_to(&origin));

    let mut client = gw.connect();
    client
        .ask(&Request::head("/a"))
        .expect(200)
        .header("content-length", "3");
    client.ask(&Request::head("/b")).expect(200);
    client.ask(&Request::get("/a")).expect(200).body("one");

    assert_eq!(origin.requests("/a")[0].method, "HEAD");
    assert_eq!(origin.connections(), 1);
}

#[test]
fn answers_without_body_leave_the_connection_in_step() {
    let origin = Origin::new()
        .on("/204", reply(204))
        .on("/304", reply(304).header("ETag", "\"x\"").claims(1000))
        .on("/0", reply(200))
        .on("/a", reply(200).body("one"));
    let gw = Gateway::start(&all_to(&origin));

    let mut client = gw.connect();
    client.ask(&Request::get("/204")).expect(204);
    client
        .ask(&Request::get("/304"))
        .expect(304)
        .header("etag", "\"x\"");
    client
        .ask(&Request::get("/0"))
        .expect(200)
        .header("content-length", "0");
    client.ask(&Request::get("/a")).expect(200).body("one");
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_large_upload_is_streamed_and_arrives_bit_by_bit_as_it_left() {
    let origin = Origin::new().on("/a", reply(200).body("got it"));
    let gw = Gateway::start(&format!(
        "[server.limits]\nmax_body = \"100MiB\"\n{}",
        all_to(&origin)
    ));

    let mut client = gw.connect();
    let request = Request::new("PUT", "/a").header("Content-Length", &LARGE.to_string());
    client.send(request.head_bytes()).send_pattern(LARGE);
    client.response().expect(200).body("got it");

    assert_eq!(origin.only("/a").body, Pattern::whole(LARGE));
}

#[test]
fn a_large_answer_is_streamed_and_arrives_bit_by_bit_as_it_left() {
    let origin = Origin::new()
        .on("/known", reply(200).pattern(LARGE))
        .on("/chunked", reply(200).chunked().pattern(LARGE))
        .on("/closed", reply(200).until_close().pattern(LARGE));
    let gw = Gateway::start(&all_to(&origin));

    let whole = Pattern::whole(LARGE);
    let mut client = gw.connect();
    for path in ["/known", "/chunked", "/closed"] {
        let response = client.ask(&Request::get(path));
        assert!(response.expect(200).message.body == whole, "{path} differs");
    }
}

#[test]
fn an_answer_is_passed_on_as_it_comes() {
    let gate = Gate::new();
    let origin = Origin::new()
        .on("/known", reply(200).body("one ").pause(&gate).body("two"))
        .on(
            "/chunked",
            reply(200).chunked().body("one ").pause(&gate).body("two"),
        );
    let gw = Gateway::start(&all_to(&origin));

    let mut client = gw.connect();
    client.send(Request::get("/known").bytes());
    assert_eq!(client.response_head(), (200, Framing::Length(7)));
    assert_eq!(client.bytes(4), b"one ");
    gate.let_through(1);
    assert_eq!(client.bytes(3), b"two");

    client.send(Request::get("/chunked").bytes());
    assert_eq!(client.response_head(), (200, Framing::Chunked));
    assert_eq!(client.bytes(9), chunk(b"one "));
    gate.let_through(1);
    assert_eq!(client.response_body(Framing::Chunked).body.text(), "two");
}

#[test]
fn an_upload_is_passed_on_as_it_comes() {
    let origin = Origin::new()
        .on("/known", reply(200).echo())
        .on("/chunked", reply(200).echo());
    let gw = Gateway::start(&all_to(&origin));

    let mut client = gw.connect();
    client.send(
        Request::new("POST", "/known")
            .header("Content-Length", "10")
            .head_bytes(),
    );
    client.send("12345");
    origin.wait_received("/known", 5);
    client.send("67890");
    client.response().expect(200).body("1234567890");

    client.send(
        Request::new("POST", "/chunked")
            .header("Transfer-Encoding", "chunked")
            .head_bytes(),
    );
    client.send(chunk(b"12345"));
    origin.wait_received("/chunked", 5);
    client.send(chunk(b"67890")).send("0\r\n\r\n");
    client.response().expect(200).body("1234567890");
}

#[test]
fn an_origin_may_refuse_a_body_it_has_not_read() {
    let origin = Origin::new().on("/a", reply(413).early().close().body("too much for me"));
    let gw = Gateway::start(&all_to(&origin));

    let mut client = gw.connect();
    let request = Request::new("POST", "/a").header("Content-Length", "1000000");
    client.send(request.head_bytes()).send("only a beginning");
    let response = client.response();
    assert!(response.expect(413).body("too much for me").closes());
}

#[test]
fn a_client_that_waits_for_100_gets_it_from_the_origin() {
    let origin = Origin::new().on("/a", reply(200).echo());
    let gw = Gateway::start(&all_to(&origin));

    let mut client = gw.connect();
    for _ in 0..2 {
        let request = Request::post("/a", "hello").header("Expect", "100-continue");
        client.send(request.head_bytes());
        client.interim(100);
        client.send("hello");
        client.response().expect(200).body("hello");
    }
    assert_eq!(origin.requests("/a")[0].value("expect"), Some("100-continue"));
}

#[test]
fn a_client_that_does_not_wait_for_100_is_served_too() {
    let origin = Origin::new().on("/a", reply(200).without_continue().echo());
    let gw = Gateway::start(&all_to(&origin));

    let mut client = gw.connect();
    client.send(
        Request::post("/a", "hello")
            .header("Expect", "100-continue")
            .bytes(),
    );
    client.response().expect(200).body("hello");
}

#[test]
fn a_body_that_is_too_large_is_refused_before_it_is_asked_for() {
    let origin = Origin::new().on("/a", reply(200));
    let gw = Gateway::start(&format!(
        "[server.limits]\nmax_body = \"10B\"\n{}",
        all_to(&origin)
    ));

    let mut client = gw.connect();
    let request = Request::post("/a", "eleven byte").header("Expect", "100-continue");
    client.send(request.head_bytes());
    let response = client.response();
    assert_eq!(response.expect(413).interims.len(), 0);
    client.expect_closed();
    assert_eq!(origin.total(), 0);
}

#[test]
fn an_origin_may_refuse_instead_of_asking_for_the_body() {
    let origin = Origin::new().on("/a", reply(401).early().without_continue().close());
    let gw = Gateway::start(&all_to(&origin));

    let mut client = gw.connect();
    let request = Request::post("/a", "hello").header("Expect", "100-continue");
    client.send(request.head_bytes());
    let response = client.response();
    assert_eq!(response.expect(401).interims.len(), 0);
    assert!(
        response.closes(),
        "the body was never sent, so the connection is out of step"
    );
    client.expect_closed();
}

#[test]
fn other_expectations_fail() {
    let origin = Origin::new().on("/a", reply(200));
    let gw = Gateway::start(&all_to(&origin));

    gw.ask(&Request::get("/a").header("Expect", "tea")).expect(417);
    assert_eq!(origin.total(), 0);
}

#[test]
fn an_http10_client_gets_no_interim_answer() {
    let origin = Origin::new().on("/a", reply(200).interim(103, &[("Link", "</x>")]).echo());
    let gw = Gateway::start(&all_to(&origin));

    // RFC 9110 §15.2: "a server MUST NOT send a 1xx response to an HTTP/1.0 client."
    let request = Request::post("/a", "hello")
        .http10()
        .header("Expect", "100-continue");
    let response = gw.connect().ask(&request);
    assert_eq!(response.expect(200).body("hello").interims.len(), 0);
    assert!(!origin.only("/a").has("expect"));
}

#[test]
fn early_hints_are_passed_on() {
    let hints = reply(200)
        .interim(103, &[("Link", "</style.css>; rel=preload")])
        .body("one");
    let origin = Origin::new().on("/a", hints);
    let gw = Gateway::start(&all_to(&origin));

    let response = gw.get("/a");
    response.expect(200).body("one");
    assert_eq!(response.interims.len(), 1);
    assert_eq!(
        response.interims[0].one("link"),
        Some("</style.css>; rel=preload")
    );
}
