mod bodies;
mod framing;
mod hops;
mod limits;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use harness::origin::reply;
use harness::{Gateway, Origin, Request};

use crate::all_to;

#[test]
fn a_request_reaches_the_origin_and_its_answer_the_client() {
    let origin = Origin::new().on("/a", reply(201).header("X-Made", "here").body("one"));
    let gw = Gateway::start(&all_to(&origin));

    let response = gw.ask(&Request::post("/a?b=c", "hello").header("X-Own", "1"));
    response.expect(201).header("x-made", "here").body("one");

    let seen = origin.only("/a");
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", "/a?b=c"));
    assert_eq!(seen.value("host"), Some("a.test"));
    assert_eq!(seen.value("x-own"), Some("1"));
    assert_eq!(seen.body.text(), "hello");
}

#[test]
fn a_connection_serves_many_requests_and_so_does_the_one_behind_it() {
    let origin = Origin::new().on("/a", reply(200).body("one"));
    let gw = Gateway::start(&all_to(&origin));

    let mut client = gw.connect();
    for _ in 0..5 {
        client.ask(&Request::get("/a")).expect(200).body("one");
    }

    assert_eq!(origin.seen("/a"), 5);
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_client_that_asks_for_a_close_gets_one() {
    let origin = Origin::new().on("/a", reply(200));
    let gw = Gateway::start(&all_to(&origin));

    let mut client = gw.connect();
    let response = client.ask(&Request::get("/a").header("Connection", "close"));
    assert!(response.expect(200).closes());
    client.expect_closed();
}

#[test]
fn nothing_is_served_after_a_request_that_asked_for_a_close() {
    let origin = Origin::new().on("/a", reply(200));
    let gw = Gateway::start(&all_to(&origin));

    let last = Request::get("/a").header("Connection", "close");
    let mut client = gw.connect();
    client.send([last.bytes(), Request::get("/b").bytes()].concat());
    client.response().expect(200);
    client.expect_closed();
    assert_eq!(origin.total(), 1);
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let origin = Origin::new()
        .on("/a", reply(200).body("one"))
        .on("/b", reply(404).body("two"))
        .on("/c", reply(200).chunked().body("three"));
    let gw = Gateway::start(&all_to(&origin));

    let requests = ["/a", "/b", "/c"].map(|path| Request::get(path).bytes());
    let mut client = gw.connect();
    client.send(requests.concat());

    client.response().expect(200).body("one");
    client.response().expect(404).body("two");
    client.response().expect(200).body("three");
}

#[test]
fn a_body_between_pipelined_requests_belongs_to_its_own() {
    let origin = Origin::new()
        .on("/post", reply(200).echo())
        .on("/get", reply(200).body("plain"));
    let gw = Gateway::start(&all_to(&origin));

    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n";
    let requests = [
        Request::post("/post", smuggled),
        Request::get("/get"),
        Request::new("POST", "/post").chunked([smuggled, "0\r\n\r\n"]),
        Request::get("/get"),
    ];
    let mut client = gw.connect();
    client.send(requests.map(|r| r.bytes()).concat());

    client.response().expect(200).body(smuggled);
    client.response().expect(200).body("plain");
    client.response().expect(200).body(format!("{smuggled}0\r\n\r\n"));
    client.response().expect(200).body("plain");
    assert_eq!(origin.seen("/smuggled"), 0);
    assert_eq!(origin.total(), 4);
}

#[test]
fn a_body_that_nobody_reads_is_not_the_next_request() {
    let gw = Gateway::start(
        r#"
        [[routes]]
        name = "here"
        match = { path = "/here" }
        respond = { status = 200, body = "made here" }
        "#,
    );

    let mut client = gw.connect();
    client.send(Request::post("/here", "GET /x HTTP/1.1\r\nHost: a\r\n\r\n").bytes());
    let first = client.response();
    first.expect(200).body("made here");
    if first.closes() {
        client.expect_closed();
    } else {
        client.ask(&Request::get("/here")).expect(200).body("made here");
    }
}

#[test]
fn an_http10_client_keeps_its_connection_only_if_it_asks_to() {
    let origin = Origin::new().on("/a", reply(200).body("one"));
    let gw = Gateway::start(&all_to(&origin));

    let mut plain = gw.connect();
    plain.ask(&Request::get("/a").http10()).expect(200).body("one");
    plain.expect_closed();

    let mut keeping = gw.connect();
    for _ in 0..2 {
        let request = Request::get("/a").http10().header("Connection", "keep-alive");
        keeping
            .ask(&request)
            .expect(200)
            .header("connection", "keep-alive")
            .body("one");
    }
}

#[test]
fn an_http10_client_never_gets_chunks() {
    let origin = Origin::new().on("/a", reply(200).chunked().body("one ").body("two"));
    let gw = Gateway::start(&all_to(&origin));

    let mut client = gw.connect();
    let request = Request::get("/a").http10().header("Connection", "keep-alive");
    let response = client.ask(&request);
    response
        .expect(200)
        .no_header("transfer-encoding")
        .body("one two");
    client.expect_closed();
}

#[test]
fn an_http10_client_may_leave_the_host_out() {
    let origin = Origin::new().on("/a", reply(200));
    let gw = Gateway::start(&all_to(&origin));

    let mut client = gw.connect();
    client.send("GET /a HTTP/1.0\r\n\r\n");
    client.response().expect(200);
    assert_eq!(origin.only("/a").head.start, "GET /a HTTP/1.1");
}

#[test]
fn an_http10_origin_ends_its_body_by_the_connection_and_the_client_keeps_its_own() {
    let origin = Origin::new().on("/a", reply(200).http10().body("all of it"));
    let gw = Gateway::start(&all_to(&origin));

    let mut client = gw.connect();
    for _ in 0..2 {
        client.ask(&Request::get("/a")).expect(200).body("all of it");
    }
    assert_eq!(origin.connections(), 2);
}

#[test]
fn a_head_may_be_split_at_every_byte() {
    let origin = Origin::new().on("/a", reply(200).echo());
    let gw = Gateway::start(&all_to(&origin));

    let request = Request::post("/a", "hello").header("X-Own", "1").bytes();
    let mut client = gw.connect();
    for at in 1..request.len() {
        client.send(&request[..at]).send(&request[at..]);
        client.response().expect(200).body("hello");
    }
    assert_eq!(origin.seen("/a"), request.len() - 1);
}

#[test]
fn a_message_may_come_byte_by_byte() {
    let origin = Origin::new().on("/a", reply(200).echo());
    let gw = Gateway::start(&all_to(&origin));

    let request = Request::new("PUT", "/a").chunked_with_trailers(["hello ", "world"], &[("X-End", "1")]);
    let mut client = gw.connect();
    for _ in 0..2 {
        client.send_bytewise(request.bytes());
        client.response().expect(200).body("hello world");
    }
}

#[test]
fn an_empty_line_before_a_request_is_forgiven() {
    // RFC 9112 §2.2: "a server that is expecting to receive and parse a request-line SHOULD ignore at least
    // one empty line (CRLF) received prior to the request-line."
    let origin = Origin::new().on("/a", reply(200));
    let gw = Gateway::start(&all_to(&origin));

    let mut client = gw.connect();
    for _ in 0..2 {
        client.send("\r\n").send(Request::get("/a").bytes());
        client.response().expect(200);
    }
}

#[test]
fn an_absolute_target_becomes_an_origin_one() {
    let origin = Origin::new().on("/x", reply(200)).on("/", reply(204));
    let gw = Gateway::start(&all_to(&origin));

    let mut client = gw.connect();
    client.ask(&Request::get("http://a.test/x?y=z")).expect(200);
    client.ask(&Request::get("HTTP://A.test")).expect(204);

    let seen = origin.only("/x");
    assert_eq!(seen.target, "/x?y=z");
    assert_eq!(seen.value("host"), Some("a.test"));
    assert_eq!(origin.only("/").target, "/");
}

#[test]
fn what_a_path_escapes_stays_escaped_on_the_way() {
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&all_to(&origin));

    for target in [
        "/a%2Fb",
        "/%7Euser/%e2%82%ac",
        "/a//b",
        "/a;b=c/d",
        "/a?b=%20&c[]=/../&d",
    ] {
        gw.get(target).expect(200);
        let path = target.split('?').next().unwrap();
        assert_eq!(origin.only(path).target, target);
    }
}

#[test]
fn dot_segments_do_not_reach_the_origin() {
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&all_to(&origin));

    gw.get("/a/./b/../c").expect(200);
    gw.get("/a/%2e%2E/d").expect(200);
    gw.get("/../etc/passwd").expect(400);

    assert_eq!(
        (origin.seen("/a/c"), origin.seen("/d"), origin.total()),
        (1, 1, 2)
    );
}

#[test]
fn lines_of_one_name_stay_apart_and_in_order_both_ways() {
    let cookies = reply(200)
        .header("Set-Cookie", "a=1; Expires=Sun, 06 Nov 1994 08:49:37 GMT")
        .header("X-Other", "between")
        .header("Set-Cookie", "b=2");
    let origin = Origin::new().on("/a", cookies);
    let gw = Gateway::start(&all_to(&origin));

    let request = Request::get("/a")
        .header("X-Many", "1")
        .header("X-More", "2")
        .header("x-many", "3");
    let response = gw.ask(&request);
    let set: Vec<_> = response.expect(200).head.all("set-cookie").collect();
    assert_eq!(set, ["a=1; Expires=Sun, 06 Nov 1994 08:49:37 GMT", "b=2"]);
    assert_eq!(
        origin.only("/a").head.all("x-many").collect::<Vec<_>>(),
        ["1", "3"]
    );
}

#[test]
fn bytes_beyond_ascii_in_a_value_pass_as_they_are() {
    let origin = Origin::new().on("/a", reply(200).header("X-Down", "gr\u{fc}\u{df}e"));
    let gw = Gateway::start(&all_to(&origin));

    let response = gw.ask(&Request::get("/a").header("X-Up", "gr\u{fc}\u{df}e"));
    let bytes = |raw: &[u8], name: &str| {
        let text: String = raw.iter().map(|b| char::from(*b)).collect();
        let line = text.lines().find_map(|l| l.strip_prefix(name).map(str::to_owned));
        line.expect("the line is there")
    };
    let utf8_read_as_latin1 = "gr\u{c3}\u{bc}\u{c3}\u{9f}e";
    assert_eq!(
        bytes(&response.expect(200).head.raw, "X-Down: "),
        utf8_read_as_latin1
    );
    assert_eq!(bytes(&origin.only("/a").head.raw, "X-Up: "), utf8_read_as_latin1);
}

#[test]
fn a_listener_may_be_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("public.sock");
    let origin = Origin::new().on("/a", reply(200).body("one"));
    let gw = Gateway::start(&format!(
        "[[listeners]]\naddress = \"unix:{}\"\n{}",
        path.display(),
        all_to(&origin)
    ));

    let mut client = UnixStream::connect(&path).unwrap();
    client
        .write_all(&Request::get("/a").header("Connection", "close").bytes())
        .unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\none"),
        "{answer}"
    );
    assert_eq!(origin.only("/a").value("x-forwarded-proto"), Some("http"));
    assert!(gw.stop());
    assert!(UnixStream::connect(&path).is_err());
}
