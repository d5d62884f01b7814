//! What belongs to one connection stays there (RFC 9110 §7.6), and what a gateway adds is there.

use harness::origin::{reply, upgrade};
use harness::{Connection, Gateway, Origin, Request, wait_until};

use crate::all_to;

#[test]
fn what_a_client_says_about_its_connection_does_not_reach_the_origin() {
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&all_to(&origin));

    let request = Request::get("/")
        .header("Connection", "close, X-Secret ,x-other,, Keep-Alive")
        .header("X-Secret", "1")
        .header("x-Other", "1")
        .header("X-Stays", "1")
        .header("Keep-Alive", "timeout=5")
        .header("Proxy-Connection", "keep-alive")
        .header("Proxy-Authorization", "Basic eA==")
        .header("TE", "gzip")
        .header("Upgrade", "h2c")
        .header("HTTP2-Settings", "AAMAAABk");
    gw.connect().ask(&request).expect(200);

    let seen = origin.only("/");
    for name in [
        "x-secret",
        "x-other",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "te",
        "upgrade",
        "http2-settings",
    ] {
        assert!(!seen.has(name), "{name} in:\n{}", seen.head);
    }
    assert_eq!(seen.value("x-stays"), Some("1"));
    assert!(
        !seen.head.list("connection").contains(&"close".to_owned()),
        "the origin's connection is kept"
    );
}

#[test]
fn a_client_cannot_nominate_what_the_request_lives_on() {
    let origin = Origin::new().otherwise(reply(200).echo());
    let gw = Gateway::start(&format!("[server]\ntrusted_proxies = []\n{}", all_to(&origin)));

    let request = Request::post("/", "hello")
        .header(
            "Connection",
            "close, Host, Content-Length, X-Forwarded-For, X-Real-IP, Via, X-Request-ID, Authorization",
        )
        .header("X-Forwarded-For", "6.6.6.6")
        .header("Authorization", "Basic eA==");
    gw.connect().ask(&request).expect(200).body("hello");

    let seen = origin.only("/");
    assert_eq!(seen.value("host"), Some("a.test"));
    assert_eq!(seen.value("x-forwarded-for"), Some("127.0.0.1"));
    for name in ["x-real-ip", "via", "x-request-id"] {
        assert!(seen.has(name), "{name} is missing in:\n{}", seen.head);
    }
}

#[test]
fn what_an_origin_says_about_its_connection_does_not_reach_the_client() {
    let script = reply(200)
        .header("Connection", "X-Secret, keep-alive")
        .header("X-Secret", "1")
        .header("Keep-Alive", "timeout=5")
        .header("Proxy-Connection", "keep-alive")
        .header("Upgrade", "h2c")
        .header("X-Stays", "1")
        .body("one");
    let origin = Origin::new().otherwise(script);
    let gw = Gateway::start(&all_to(&origin));

    let mut client = gw.connect();
    for _ in 0..2 {
        let response = client.ask(&Request::get("/"));
        response
            .expect(200)
            .no_header("x-secret")
            .header("x-stays", "1")
            .body("one");
    }
}

#[test]
fn an_origin_that_closes_does_not_close_the_client() {
    let origin = Origin::new().otherwise(reply(200).close().body("one"));
    let gw = Gateway::start(&all_to(&origin));

    let mut client = gw.connect();
    for _ in 0..2 {
        assert!(!client.ask(&Request::get("/")).expect(200).closes());
    }
    assert_eq!(origin.connections(), 2);
}

#[test]
fn via_is_added_both_ways_with_the_version_it_came_in() {
    let origin = Origin::new().otherwise(reply(200).header("Via", "1.1 inner"));
    let gw = Gateway::start(&all_to(&origin));

    let response = gw.connect().ask(&Request::get("/a").header("Via", "1.0 outer"));
    assert_eq!(response.expect(200).head.list("via"), ["1.1 inner", "1.1 sluice"]);
    gw.connect().ask(&Request::get("/b").http10()).expect(200);

    assert_eq!(origin.only("/a").head.list("via"), ["1.0 outer", "1.1 sluice"]);
    assert_eq!(origin.only("/b").head.list("via"), ["1.0 sluice"]);
}

#[test]
fn max_forwards_is_counted_down_and_ends_here_at_zero() {
    // RFC 9110 §7.6.2: "If the received value is zero (0), the intermediary MUST NOT forward the request".
    let origin = Origin::new().otherwise(reply(204));
    let gw = Gateway::start(&all_to(&origin));
    let options = |n: &str| Request::new("OPTIONS", "/").header("Max-Forwards", n);

    let here = gw.ask(&options("0"));
    assert!((200..300).contains(&here.status), "{here}");
    assert_eq!(origin.total(), 0);

    gw.ask(&options("2")).expect(204);
    assert_eq!(origin.only("/").value("max-forwards"), Some("1"));

    // It means nothing with other methods.
    gw.ask(&Request::get("/get").header("Max-Forwards", "0"))
        .expect(204);
    assert_eq!(origin.only("/get").value("max-forwards"), Some("0"));
}

#[test]
fn trace_is_never_passed_on() {
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&all_to(&origin));

    let request = Request::new("TRACE", "/").header("Cookie", "secret=1");
    let response = gw.ask(&request);
    assert!(!response.expect(405).text().contains("secret"));
    assert_eq!(origin.total(), 0);
}

#[test]
fn options_asterisk_is_about_the_gateway_or_the_origin_but_no_path() {
    let origin = Origin::new().on("*", reply(204)).otherwise(reply(500));
    let gw = Gateway::start(&all_to(&origin));

    let response = gw.ask(&Request::new("OPTIONS", "*"));
    assert!((200..300).contains(&response.status), "{response}");
    assert_eq!(origin.total(), origin.seen("*"));
}

/// The forwarding fields of a request that came with forged ones.
fn forwarded(server: &str) -> Vec<Option<String>> {
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&format!("[server]\n{server}\n{}", all_to(&origin)));
    let request = Request::get("/")
        .header("X-Forwarded-For", "6.6.6.6, 7.7.7.7")
        .header("X-Forwarded-Proto", "https")
        .header("X-Forwarded-Host", "outer.test")
        .header("X-Real-IP", "6.6.6.6")
        .header("Forwarded", "for=6.6.6.6")
        .header("X_Forwarded_For", "6.6.6.6")
        .header("X-Request-ID", "from-outside");
    gw.ask(&request).expect(200);
    let seen = origin.only("/");
    assert!(
        !seen.has("x_forwarded_for"),
        "an origin behind CGI reads it as ours:\n{}",
        seen.head
    );
    [
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
        "x-real-ip",
        "forwarded",
        "x-request-id",
    ]
    .map(|name| seen.value(name).map(str::to_owned))
    .into()
}

#[test]
fn a_stranger_s_forwarding_fields_are_not_believed() {
    let found = forwarded("trusted_proxies = []");
    let found: Vec<_> = found.iter().map(Option::as_deref).collect();
    assert_eq!(
        found[..5],
        [
            Some("127.0.0.1"),
            Some("http"),
            Some("a.test"),
            Some("127.0.0.1"),
            None
        ]
    );
    assert!(
        found[5].is_some_and(|id| id != "from-outside" && id.len() >= 16),
        "{found:?}"
    );
}

#[test]
fn a_trusted_proxy_s_forwarding_fields_are_believed_and_continued() {
    let found = forwarded("trusted_proxies = [\"127.0.0.0/8\"]");
    let found: Vec<_> = found.iter().map(Option::as_deref).collect();
    let expected = [
        Some("6.6.6.6, 7.7.7.7, 127.0.0.1"),
        Some("https"),
        Some("outer.test"),
        Some("7.7.7.7"),
        Some("for=6.6.6.6"),
        Some("from-outside"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn the_client_is_the_last_address_that_is_not_a_trusted_proxy() {
    let found = forwarded("trusted_proxies = [\"127.0.0.0/8\", \"7.7.7.0/24\"]");
    assert_eq!(found[3].as_deref(), Some("6.6.6.6"));
}

#[test]
fn a_request_has_the_same_id_at_both_ends_and_two_requests_have_two() {
    let origin = Origin::new().otherwise(reply(200).header("X-Request-ID", "the origin's own"));
    let gw = Gateway::start(&all_to(&origin));

    let ids = ["/a", "/b"].map(|path| {
        let response = gw.get(path);
        let id = response
            .value("x-request-id")
            .expect("every answer has one")
            .to_owned();
        assert_eq!(origin.only(path).value("x-request-id"), Some(id.as_str()));
        id
    });
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn a_trace_is_passed_on_and_one_that_is_none_is_replaced() {
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&all_to(&origin));
    let ours = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    let traced = Request::get("/a")
        .header("traceparent", ours)
        .header("tracestate", "x=y");
    gw.ask(&traced).expect(200);
    gw.ask(&Request::get("/b").header("traceparent", "00-nonsense"))
        .expect(200);

    let seen = origin.only("/a");
    assert_eq!(seen.value("traceparent"), Some(ours));
    assert_eq!(seen.value("tracestate"), Some("x=y"));
    let made = origin
        .only("/b")
        .value("traceparent")
        .expect("one is made")
        .to_owned();
    assert!(made.starts_with("00-") && made.len() == ours.len(), "{made}");
}

#[test]
fn an_upgrade_passes_and_from_then_on_bytes_do() {
    let origin = Origin::new().on("/chat", upgrade("websocket"));
    let gw = Gateway::start(&all_to(&origin));

    let request = Request::get("/chat")
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    let mut client = gw.connect();
    client.ask(&request).expect(101).header("upgrade", "websocket");
    for message in ["one", "GET / HTTP/1.1\r\n\r\n", "\0\x01\x02"] {
        client.send(message);
        assert_eq!(client.bytes(message.len()), message.as_bytes());
    }

    // Either side may end; what is under way still arrives.
    client.send("last").finish();
    assert_eq!(client.rest().as_deref(), Some(&b"last"[..]));
    let seen = origin.only("/chat");
    assert_eq!(seen.value("upgrade"), Some("websocket"));
    assert_eq!(seen.value("sec-websocket-key"), Some("dGhlIHNhbXBsZSBub25jZQ=="));
}

#[test]
fn a_client_that_leaves_an_upgraded_connection_takes_the_origin_s_along() {
    let origin = Origin::new().on("/chat", upgrade("websocket"));
    let gw = Gateway::start(&all_to(&origin));

    let request = Request::get("/chat")
        .header("Connection", "upgrade")
        .header("Upgrade", "websocket");
    let mut client = gw.connect();
    client.ask(&request).expect(101);
    drop(client);
    wait_until("the origin's side has ended too", || {
        origin.open_connections() == 0
    });
}

#[test]
fn an_upgrade_that_is_declined_is_a_plain_answer() {
    let origin = Origin::new().on("/chat", reply(200).body("no"));
    let gw = Gateway::start(&all_to(&origin));

    let request = Request::get("/chat")
        .header("Connection", "upgrade")
        .header("Upgrade", "websocket");
    let mut client = gw.connect();
    client.ask(&request).expect(200).body("no");
    client.ask(&Request::get("/chat")).expect(200);
}

#[test]
fn an_upgrade_to_http2_is_not_passed_on() {
    let origin = Origin::new().on("/", upgrade("h2c"));
    let gw = Gateway::start(&all_to(&origin));

    let request = Request::get("/")
        .header("Connection", "Upgrade, HTTP2-Settings")
        .header("Upgrade", "h2c")
        .header("HTTP2-Settings", "AAMAAABk");
    let mut client = gw.connect();
    client.send(request.bytes());
    let response = client.response();
    assert_ne!(response.status, 101);
    assert!(!origin.only("/").has("upgrade"));
}

#[test]
fn an_ipv6_client_s_address_is_written_as_it_is() {
    let origin = Origin::new().otherwise(reply(200));
    let text = format!("[[listeners]]\naddress = \"[::]:0\"\n{}", all_to(&origin));
    let gw = Gateway::start(&text);
    let port = gw.address().port();

    // A dual-stack socket sees an IPv4 client as ::ffff:127.0.0.1; an origin must not have to know.
    for (from, to) in [
        ("::1", format!("[::1]:{port}")),
        ("127.0.0.1", format!("127.0.0.1:{port}")),
    ] {
        let mut client = Connection::open(to.parse().unwrap());
        client.ask(&Request::get(&format!("/{from}"))).expect(200);
        assert_eq!(origin.only(&format!("/{from}")).value("x-real-ip"), Some(from));
    }
}
