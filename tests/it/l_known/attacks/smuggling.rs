use harness::origin::reply;
use harness::{Gateway, Request};

use super::super::Secrets;
use super::super::tokens::mint::bearer;
use super::{expect_only_open, fortress, good, tell};

/// What should never come to the origin.
const INNER: &str = "GET /admin HTTP/1.1\r\nHost: a.test\r\nX-User-Id: ann\r\n\r\n";

#[test]
fn no_request_passes_inside_of_another_one() {
    let secrets = Secrets::new();
    let (toml, origin) = fortress(&secrets, "");
    let gw = Gateway::start(&toml);
    let length = INNER.len();
    let chunked = format!("{length:x}\r\n{INNER}\r\n0\r\n\r\n");
    let framings = [
        "Content-Length: 0".to_owned(),
        format!("Content-Length: {length}"),
        format!("Content-Length: {length}\r\nTransfer-Encoding: chunked"),
        "Transfer-Encoding: chunked\r\nContent-Length: 0".to_owned(),
        format!("Content-Length: 0\r\nContent-Length: {length}"),
        format!("Content-Length: {length}\r\nContent-Length: 0"),
        format!("Content-Length: 0, {length}"),
        format!("Content-Length: +{length}"),
        format!("Content-Length: -{length}"),
        format!("Content-Length: 0x{length:x}"),
        format!("Content-Length: {length} 0"),
        "Content-Length: ".to_owned(),
        "Content-Length: 18446744073709551616".to_owned(),
        format!("Content_Length: {length}"),
        format!("Content-Length : {length}"),
        format!("X: y\r\n Content-Length: {length}"),
        format!("X: y\nContent-Length: {length}"),
        "Transfer-Encoding: chunked".to_owned(),
        "Transfer-Encoding: Chunked".to_owned(),
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked".to_owned(),
        "Transfer-Encoding: chunked, chunked".to_owned(),
        "Transfer-Encoding: chunked, identity".to_owned(),
        "Transfer-Encoding: identity, chunked".to_owned(),
        "Transfer-Encoding: identity".to_owned(),
        "Transfer-Encoding: xchunked".to_owned(),
        "Transfer-Encoding: \"chunked\"".to_owned(),
        "Transfer-Encoding:\u{b}chunked".to_owned(),
        "Transfer-Encoding: chunked\u{b}".to_owned(),
        "Transfer-Encoding: chun\u{0}ked".to_owned(),
        "Transfer-Encoding: \u{17f}chunked".to_owned(),
        "Transfer-Encoding\t: chunked".to_owned(),
        "Transfer_Encoding: chunked".to_owned(),
        "X: y\rTransfer-Encoding: chunked".to_owned(),
        "Transfer-Encoding:\r\n chunked".to_owned(),
        "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked".to_owned(),
        format!("Connection: Content-Length\r\nContent-Length: {length}"),
    ];
    for framing in framings {
        for (method, version) in [
            ("POST", "1.1"),
            ("GET", "1.1"),
            ("POST", "1.0"),
            ("OPTIONS", "1.1"),
        ] {
            for body in [INNER, &chunked, &format!("0\r\n\r\n{INNER}")] {
                let attack =
                    format!("{method} /open HTTP/{version}\r\nHost: a.test\r\n{framing}\r\n\r\n{body}");
                tell(&gw, &attack);
                expect_only_open(&origin, &attack);
            }
        }
    }
}

#[test]
fn no_chunk_ends_elsewhere_than_it_says() {
    let secrets = Secrets::new();
    let (toml, origin) = fortress(&secrets, "");
    let gw = Gateway::start(&toml);
    let length = INNER.len();
    for body in [
        format!("0\n\n{INNER}"),
        format!("0\r\n\n{INNER}"),
        format!("0;x\n{INNER}\r\n0\r\n\r\n"),
        format!("{length:x};a=\"\n\"\r\n{INNER}\r\n0\r\n\r\n"),
        format!("1\r\nA{INNER}"),
        format!("2\r\nA\r\n0\r\n\r\n{INNER}"),
        format!("0x0\r\n\r\n{INNER}"),
        format!("-1\r\n{INNER}"),
        format!("+0\r\n\r\n{INNER}"),
        format!(" 0\r\n\r\n{INNER}"),
        format!("0 \r\n\r\n{INNER}"),
        format!("10000000000000000\r\n{INNER}"),
        format!("00000000000000000000000000000000\r\n\r\n{INNER}"),
        format!("0\r\n {INNER}"),
        format!("0\r\n: x\r\n\r\n{INNER}"),
        format!("0\r\nContent-Length: {length}\r\n\r\n{INNER}"),
        format!("0\r\nTransfer-Encoding: chunked\r\n\r\n{INNER}"),
        format!("0\r\nHost: b.test\r\n\r\n{INNER}"),
        format!("\r\n{INNER}"),
        INNER.to_owned(),
    ] {
        let attack =
            format!("POST /open HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        tell(&gw, &attack);
        expect_only_open(&origin, &attack);
    }
}

#[test]
fn each_request_of_a_connection_is_judged_by_itself() {
    let secrets = Secrets::new();
    let (toml, origin) = fortress(&secrets, "");
    let gw = Gateway::start(&toml);
    let token = bearer(&good());
    let known = |request: Request| request.header("Authorization", &token);
    let mut client = gw.connect();
    let all = [
        known(Request::get("/admin/1")),
        Request::get("/admin/2"),
        known(Request::post("/admin/3", "body")),
        Request::post("/admin/4", INNER),
        known(Request::get("/admin/5")),
        Request::get("/admin/6"),
    ];
    // All at once.
    let bytes: Vec<u8> = all.iter().flat_map(Request::bytes).collect();
    client.send(bytes);
    let statuses = [(); 6].map(|()| client.response().status);
    assert_eq!(statuses, [200, 401, 200, 401, 200, 401]);
    // One after the other, on the same connection.
    for (request, status) in all.iter().zip(statuses) {
        client.ask(request).expect(status);
    }
    let seen = [1, 2, 3, 4, 5, 6].map(|n| origin.seen(&format!("/admin/{n}")));
    assert_eq!((seen, origin.total()), ([2, 0, 2, 0, 2, 0], 6));
}

#[test]
fn a_body_behind_a_refusal_is_never_read_as_a_request() {
    let secrets = Secrets::new();
    let (toml, origin) = fortress(&secrets, "");
    let gw = Gateway::start(&toml);
    let inner = format!(
        "GET /admin HTTP/1.1\r\nHost: a.test\r\nAuthorization: {}\r\n\r\n",
        bearer(&good())
    );
    let length = inner.len();
    // A client that does as it says, with a body that another one has given it to send.
    for whole in [
        format!("POST /admin HTTP/1.1\r\nHost: a.test\r\nContent-Length: {length}\r\n\r\n{inner}"),
        format!(
            "POST /admin HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{inner}\r\n0\r\n\r\n"
        ),
        format!(
            "POST /admin HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n{inner}"
        ),
        format!(
            "POST /admin HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: {length}\r\n\r\n{inner}"
        ),
        format!("GET /admin HTTP/1.1\r\nHost: a.test\r\nContent-Length: {length}\r\n\r\n{inner}"),
    ] {
        let said = tell(&gw, &whole);
        assert!(
            said.starts_with("HTTP/1.1 401 ") && !said.contains("HTTP/1.1 200"),
            "{whole}\n---\n{said}"
        );
        assert_eq!(origin.total(), 0, "{whole}");
    }
    // One that waits for leave to send it, and does not get it, and sends it all the same.
    let mut client = gw.connect();
    client.send(format!(
        "POST /admin HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
    ));
    let answer = client.response();
    answer.expect(401);
    assert!(answer.interims.is_empty(), "{answer}");
    let _closed = client.try_send(&inner);
    client.finish_quietly();
    assert_eq!(client.rest().as_deref(), Some(&b""[..]));
    assert_eq!(origin.total(), 0);
}

#[test]
fn bytes_behind_an_upgrade_that_was_refused_are_no_tunnel() {
    let secrets = Secrets::new();
    let (toml, origin) = fortress(&secrets, "");
    origin.set("/admin", harness::origin::upgrade("websocket"));
    origin.set("/open", reply(200));
    let gw = Gateway::start(&toml);
    let asks = "Host: a.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n";
    for attack in [
        format!("GET /admin HTTP/1.1\r\n{asks}\r\n{INNER}"),
        // The origin does not switch: what follows is a request like any other.
        format!("GET /open HTTP/1.1\r\n{asks}\r\n{INNER}"),
        format!("GET /open HTTP/1.1\r\n{asks}Sec-WebSocket-Version: 777\r\n\r\n{INNER}"),
        format!("CONNECT a.test:80 HTTP/1.1\r\nHost: a.test:80\r\n\r\n{INNER}"),
        format!(
            "GET /open HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n{INNER}"
        ),
    ] {
        let said = tell(&gw, &attack);
        assert!(!said.contains("HTTP/1.1 101"), "{attack}\n---\n{said}");
        expect_only_open(&origin, &attack);
    }
    let mut client = gw.connect();
    let request = Request::get("/admin")
        .header("Connection", "upgrade")
        .header("Upgrade", "websocket");
    let request = request.header("X-User-Id", "eve").header("x_user_id", "eve");
    client
        .ask(&request.header("Authorization", &bearer(&good())))
        .expect(101);
    let seen = origin.only("/admin");
    assert!(seen.value("x-user-id") == Some("ann") && !seen.has("x_user_id"));
    client.send("echo");
    assert_eq!(client.bytes(4), b"echo");
}
