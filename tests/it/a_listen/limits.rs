use std::net::{IpAddr, Ipv4Addr};

use harness::client::chunk;
use harness::origin::reply;
use harness::{Connection, Gateway, Origin, Request, wait_for, wait_until};

use crate::all_to;

/// The limits, and everything goes to this origin.
fn limited(limits: &str, origin: &Origin) -> String {
    format!("[server.limits]\n{limits}\n{}", all_to(origin))
}

#[test]
fn a_target_over_max_uri_is_414() {
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&limited(r#"max_uri = "100B""#, &origin));

    gw.get(&format!("/{}", "a".repeat(99))).expect(200);
    gw.get(&format!("/{}", "a".repeat(100))).expect(414).problem();
    gw.get(&format!("/?{}", "a".repeat(99))).expect(414);
    assert_eq!(origin.total(), 1);
}

#[test]
fn a_head_over_max_header_size_is_431() {
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&limited(r#"max_header_size = "1KiB""#, &origin));

    gw.ask(&Request::get("/").header("X", &"a".repeat(900)))
        .expect(200);
    gw.ask(&Request::get("/").header("X", &"a".repeat(1024)))
        .expect(431)
        .problem();

    // The rest of the head is never sent: the limit holds while it is being read.
    let mut endless = gw.connect();
    endless
        .send("GET / HTTP/1.1\r\nHost: a\r\nX: ")
        .send("a".repeat(1100));
    endless.response().expect(431);
    endless.expect_closed();
    assert_eq!(origin.total(), 1);
}

#[test]
fn more_fields_than_max_headers_are_431() {
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&limited("max_headers = 10", &origin));

    let with = |n: usize| (1..n).fold(Request::get("/"), |r, i| r.header(&format!("X-{i}"), "v"));
    gw.connect().ask(&with(10)).expect(200);
    gw.connect().ask(&with(11)).expect(431);
    assert_eq!(origin.total(), 1);
}

#[test]
fn a_body_over_max_body_is_413_by_its_length() {
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&limited(r#"max_body = "10B""#, &origin));

    gw.ask(&Request::post("/", "ten bytes!")).expect(200);
    gw.ask(&Request::post("/", "eleven byte")).expect(413).problem();
    assert_eq!(origin.total(), 1);
}

#[test]
fn a_body_over_max_body_is_413_while_it_streams() {
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&limited(r#"max_body = "10B""#, &origin));

    gw.ask(&Request::new("POST", "/").chunked(["ten ", "bytes!"]))
        .expect(200);

    let mut client = gw.connect();
    client.send(
        Request::new("POST", "/big")
            .header("Transfer-Encoding", "chunked")
            .head_bytes(),
    );
    client.send(chunk(b"123456")).send(chunk(b"7890ab"));
    client.response().expect(413);
    client.expect_closed();
    assert!(
        origin.requests("/big").iter().all(|seen| !seen.complete),
        "a cut body may not look whole"
    );
    gw.get("/").expect(200);
}

#[test]
fn a_chunk_that_announces_too_much_is_refused_before_it_comes() {
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&limited(r#"max_body = "10B""#, &origin));

    let mut client = gw.connect();
    let request = Request::new("POST", "/").header("Transfer-Encoding", "chunked");
    client.send(request.head_bytes()).send("7fffffffffffffff\r\n");
    client.response().expect(413);
    client.expect_closed();
}

#[test]
fn a_route_may_take_larger_bodies_than_the_rest() {
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&format!(
        r#"
        [server.limits]
        max_body = "10B"

        [upstreams.origin]
        servers = [{{ address = "{}" }}]

        [[routes]]
        name = "upload"
        match = {{ path = "/upload" }}
        upstream = "origin"
        max_body = "20B"

        [[routes]]
        name = "rest"
        match = {{ path_prefix = "/" }}
        upstream = "origin"
        "#,
        origin.address()
    ));

    gw.ask(&Request::post("/upload", [0; 20])).expect(200);
    gw.ask(&Request::post("/upload", [0; 21])).expect(413);
    gw.ask(&Request::post("/", [0; 20])).expect(413);
    assert_eq!(origin.total(), 1);
}

#[test]
fn a_head_that_does_not_end_in_time_is_408() {
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&limited(r#"header_timeout = "50ms""#, &origin));

    let mut client = gw.connect();
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\nX-Slow");
    client.response().expect(408).problem();
    client.expect_closed();

    // The second request of a connection is no different.
    let mut client = gw.connect();
    client.ask(&Request::get("/")).expect(200);
    client.send("GET / HT");
    client.response().expect(408);
    client.expect_closed();
    assert_eq!(origin.total(), 1);
}

#[test]
fn a_connection_that_says_nothing_is_closed_without_a_word() {
    let origin = Origin::new();
    let gw = Gateway::start(&limited(
        "header_timeout = \"50ms\"\nkeepalive_timeout = \"50ms\"",
        &origin,
    ));

    gw.connect().expect_closed();
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&limited(r#"keepalive_timeout = "500ms""#, &origin));

    let mut client = gw.connect();
    client.ask(&Request::get("/")).expect(200);
    client.expect_closed();
}

#[test]
fn a_body_that_stops_coming_is_408() {
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&limited(r#"body_timeout = "50ms""#, &origin));

    let mut client = gw.connect();
    client
        .send(
            Request::new("POST", "/")
                .header("Content-Length", "10")
                .head_bytes(),
        )
        .send("12345");
    client.response().expect(408);
    client.expect_closed();
    wait_until("the origin has lost the request", || {
        origin.open_connections() == 0
    });
    assert!(!origin.only("/").complete);
}

#[test]
fn a_connection_carries_no_more_than_keepalive_requests() {
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&limited("keepalive_requests = 3", &origin));

    let mut client = gw.connect();
    let closes = [(); 3].map(|()| client.ask(&Request::get("/")).expect(200).closes());
    assert_eq!(closes, [false, false, true]);
    client.expect_closed();
}

/// What a refused connection gets: nothing, or a plain 503.
fn is_refused(mut connection: Connection) -> bool {
    let _closed = connection.try_send(Request::get("/").header("Connection", "close").bytes());
    let all = connection.rest().expect("a refused connection ends");
    all.is_empty() || all.starts_with(b"HTTP/1.1 503 ")
}

#[test]
fn connections_over_max_connections_are_refused_until_others_end() {
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&limited("max_connections = 2", &origin));

    let mut first = gw.connect();
    let mut second = gw.connect();
    first.ask(&Request::get("/")).expect(200);
    second.ask(&Request::get("/")).expect(200);
    assert!(is_refused(gw.connect()));
    first.ask(&Request::get("/")).expect(200);
    assert_eq!(origin.total(), 3);

    drop(second);
    wait_until("a new connection is served", || !is_refused(gw.connect()));
    first.ask(&Request::get("/")).expect(200);
}

#[test]
fn connections_per_ip_are_counted_by_address() {
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&limited("connections_per_ip = 1", &origin));
    let other = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

    let mut first = gw.connect();
    first.ask(&Request::get("/")).expect(200);
    assert!(is_refused(gw.connect()));
    Connection::open_from(other, gw.address())
        .ask(&Request::get("/"))
        .expect(200);

    drop(first);
    wait_for("the address may connect again", || {
        (!is_refused(gw.connect())).then_some(())
    });
}

#[test]
fn a_proxy_that_is_trusted_is_no_client_whose_connections_are_counted() {
    let origin = Origin::new().otherwise(reply(200));
    let text = limited("connections_per_ip = 1", &origin);
    let gw = Gateway::start(&format!("[server]\ntrusted_proxies = [\"127.0.0.1\"]\n{text}"));
    let other = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

    let mut open = [(); 3].map(|()| gw.connect());
    for connection in &mut open {
        connection.ask(&Request::get("/")).expect(200);
    }
    let mut client = Connection::open_from(other, gw.address());
    client.ask(&Request::get("/")).expect(200);
    assert!(is_refused(Connection::open_from(other, gw.address())));
}
