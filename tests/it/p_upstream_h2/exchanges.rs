use bytes::Bytes;
use harness::body::{Body, Pattern};
use harness::{Gateway, Request, wait_until};

use super::all_to;
use super::origin::{Call, Framed, fields, head, push};
use crate::m_http2::client::{Client, get, give, request, run, whole};
use harness::tls::Authority;

/// Answers with what was sent, as it comes.
async fn echo(mut call: Call) {
    let mut stream = call.begin(head(200, &[]));
    while let Some(Ok(data)) = call.body.data().await {
        let _ = call.body.flow_control().release_capacity(data.len());
        if push(&mut stream, data, false).await.is_err() {
            return;
        }
    }
    match call.body.trailers().await {
        Ok(Some(trailers)) => _ = stream.send_trailers(trailers),
        _ => _ = stream.send_data(Bytes::new(), true),
    }
}

#[test]
fn an_http_1_1_client_asks_a_server_of_http_2() {
    let origin = Framed::new(|mut call| async move {
        let mut stream = call.begin(head(203, &[("x-own", "1"), ("content-length", "8")]));
        let _ = push(&mut stream, "the page".into(), true).await;
    });
    let gw = Gateway::start(&all_to(&[origin.address], ""));

    let mut client = gw.connect();
    let asked = Request::get("/a?b=c")
        .header("Cookie", "a=1; b=2")
        .header("TE", "trailers")
        .header("Connection", "TE, X-Hop")
        .header("X-Hop", "1")
        .header("X-Mixed-Case", "v");
    for _ in 0..3 {
        let answer = client.ask(&asked);
        answer.expect(203).body("the page");
        assert_eq!(answer.value("x-own"), Some("1"));
        assert_eq!(answer.value("content-length"), Some("8"));
    }
    assert_eq!((origin.connections(), origin.calls()), (1, 3));
    let (line, seen) = origin.log.heads.lock()[0].clone();
    let host = gw.address();
    assert!(
        line.starts_with("GET http://") && line.ends_with("/a?b=c"),
        "{line} of {host}"
    );
    assert_eq!(seen["cookie"], "a=1; b=2");
    assert_eq!(seen["te"], "trailers");
    assert_eq!(seen["x-mixed-case"], "v");
    for gone in [
        "connection",
        "x-hop",
        "host",
        "transfer-encoding",
        "content-length",
    ] {
        assert!(!seen.contains_key(gone), "{gone}");
    }
    let [first, ..] = &gw.log_lines(3)[..] else {
        panic!("three lines")
    };
    assert!(first.contains("HTTP/1.1") && first.contains("203"), "{first}");
}

#[test]
fn a_websocket_is_refused_where_it_cannot_be_passed_on() {
    let origin = Framed::new(|mut call| async move { call.reply("x").await });
    let gw = Gateway::start(&all_to(&[origin.address], ""));

    let asks_for = |protocol: &str| {
        Request::get("/chat")
            .header("Connection", "Upgrade")
            .header("Upgrade", protocol)
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
    };
    let mut client = gw.connect();
    let refused = client.ask(&asks_for("WebSocket"));
    refused.expect(502).problem();
    assert!(
        refused.text().contains("websocket_unsupported"),
        "{}",
        refused.text()
    );
    let question = r#"{"method": "GET", "url": "http://a.test/chat", "headers": ["Connection: Upgrade", "Upgrade: websocket"]}"#;
    let explained = gw.ask_admin(&Request::post("/explain", question)).text();
    assert!(explained.contains("websocket_unsupported"), "{explained}");
    // Another protocol need not be taken up (RFC 9110 §7.8), and the answer is good without it.
    client.ask(&asks_for("other")).expect(200).body("x");
    run(async {
        let client = Client::open(gw.address()).await;
        client.ask(get("/")).await.expect(200, "x");
        let mut asked = request("CONNECT", "/chat");
        let websocket = h2::ext::Protocol::from_static("websocket");
        asked.extensions_mut().insert(websocket);
        let (answer, _stream) = client.begin(asked, false).await;
        assert_eq!(whole(answer).await.unwrap().status, 502);
    });
    assert_eq!(origin.calls(), 2);
}

#[test]
fn a_target_that_browsers_would_encode_reaches_the_server_encoded() {
    let origin = Framed::new(|mut call| async move { call.reply("x").await });
    let gw = Gateway::start(&all_to(&[origin.address], ""));
    gw.get("/a`<b>?q=\"<c>\"`").expect(200).body("x");
    let (line, _) = origin.only();
    assert!(line.ends_with("/a%60%3Cb%3E?q=%22%3Cc%3E%22`"), "{line}");
}

#[test]
fn what_has_no_body_has_none_and_no_length_is_made_up() {
    let origin = Framed::new(|mut call| async move {
        match call.path().as_str() {
            "/204" => call.end(head(204, &[])),
            "/304" => call.end(head(304, &[("etag", "\"a\"")])),
            "/empty" => call.end(head(200, &[])),
            _ => call.end(head(200, &[("content-length", "8")])),
        }
    });
    let gw = Gateway::start(&all_to(&[origin.address], ""));

    let mut client = gw.connect();
    let answer = client.ask(&Request::new("HEAD", "/"));
    assert_eq!(answer.value("content-length"), Some("8"));
    let answer = client.ask(&Request::get("/204"));
    answer.expect(204);
    assert_eq!(answer.value("content-length"), None);
    client.ask(&Request::get("/304")).expect(304);
    client.ask(&Request::get("/empty")).expect(200).body("");
    assert_eq!(origin.connections(), 1);
}

#[test]
fn large_bodies_go_both_ways_at_once() {
    let origin = Framed::new(echo);
    let gw = Gateway::start(&all_to(&[origin.address], ""));
    let body: Bytes = Pattern::new(3 << 20)
        .block()
        .map(<[u8]>::to_vec)
        .unwrap_or_default()
        .into();
    let body: Bytes = body.repeat((3 << 20) / body.len()).into();

    run(async {
        let client = Client::open(gw.address()).await;
        let mut announced = request("POST", "/known");
        let length = body.len().to_string().parse().unwrap();
        announced.headers_mut().insert("content-length", length);
        for asked in [announced, request("POST", "/chunked"), request("PUT", "/put")] {
            let (answer, mut stream) = client.begin(asked, false).await;
            let (got, ()) = tokio::join!(whole(answer), give(&mut stream, body.clone(), true));
            let got = got.unwrap();
            assert_eq!((got.status, Body::of(&got.body)), (200, Body::of(&body)));
        }
    });
    let heads = origin.log.heads.lock();
    let length = body.len().to_string();
    assert_eq!(heads[0].1["content-length"], length.as_str());
    assert!(!heads[1].1.contains_key("content-length"));
}

#[test]
fn trailers_pass_both_ways_and_interim_answers_do() {
    let origin = Framed::new(|mut call: Call| async move {
        if call.path() == "/early" {
            let interim = head(103, &[("link", "</a.css>; rel=preload")]);
            call.respond.send_informational(interim).unwrap();
        }
        echo(call).await;
    });
    let gw = Gateway::start(&all_to(&[origin.address], ""));

    run(async {
        let client = Client::open(gw.address()).await;
        let (answer, mut stream) = client.begin(request("POST", "/"), false).await;
        give(&mut stream, "hello".into(), false).await;
        stream.send_trailers(fields(&[("x-sum", "42")])).unwrap();
        let got = whole(answer).await.unwrap();
        got.expect(200, "hello");
        assert_eq!(got.trailers, Some(fields(&[("x-sum", "42")])));

        let (mut answer, _) = client.begin(get("/early"), true).await;
        let interim = std::future::poll_fn(|cx| answer.poll_informational(cx)).await;
        assert_eq!(interim.unwrap().unwrap().status(), 103);
        whole(answer).await.unwrap().expect(200, "");
    });
}

#[test]
fn pieces_pass_as_they_come_in_both_directions() {
    let origin = Framed::new(echo);
    let gw = Gateway::start(&all_to(&[origin.address], ""));

    run(async {
        let client = Client::open(gw.address()).await;
        let (answer, mut stream) = client.begin(request("POST", "/"), false).await;
        let mut body = answer.await.unwrap().into_body();
        // Each is answered before the next one is sent.
        for n in 0..20 {
            give(&mut stream, format!("piece {n}").into(), false).await;
            let got = body.data().await.unwrap().unwrap();
            assert_eq!(got, format!("piece {n}"));
            body.flow_control().release_capacity(got.len()).unwrap();
        }
        stream.send_data(Bytes::new(), true).unwrap();
        while let Some(rest) = body.data().await {
            assert!(rest.unwrap().is_empty());
        }
    });
}

#[test]
fn more_requests_than_a_connection_takes_get_other_connections() {
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(3);
    let origin = Framed::with(&builder, None, |mut call| async move {
        call.log.pass().await;
        call.reply("x").await;
    });
    let gw = Gateway::start(&all_to(&[origin.address], ""));

    run(async {
        let client = Client::open(gw.address()).await;
        let mut answers = Vec::new();
        for _ in 0..10 {
            answers.push(client.begin(get("/"), true).await.0);
        }
        crate::m_http2::client::soon("all have come", async {
            while origin.running() < 10 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        origin.log.gate.add_permits(64);
        for answer in answers {
            whole(answer).await.unwrap().expect(200, "x");
        }
    });
    assert_eq!(origin.connections(), 4);
    wait_until("no lease is left", || {
        gw.server("origin", origin.address)["in_flight"] == 0
    });
}

#[test]
fn a_client_that_does_not_read_holds_up_nobody_and_little_is_held_for_it() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static SENT: AtomicUsize = AtomicUsize::new(0);
    let origin = Framed::new(|mut call: Call| async move {
        if call.path() != "/large" {
            return call.reply("x").await;
        }
        let mut stream = call.begin(head(200, &[]));
        for _ in 0..(64 << 20) / 16_384 {
            if push(&mut stream, vec![7; 16_384].into(), false).await.is_err() {
                return;
            }
            SENT.fetch_add(16_384, Ordering::SeqCst);
        }
    });
    let gw = Gateway::start(&all_to(&[origin.address], ""));

    run(async {
        let client = Client::open(gw.address()).await;
        let mut held = Vec::new();
        for _ in 0..8 {
            let (answer, _) = client.begin(get("/large"), true).await;
            held.push(answer.await.unwrap());
        }
        // Over another connection: of its own the client has shut the window.
        let other = Client::open(gw.address()).await;
        for _ in 0..20 {
            other.ask(get("/small")).await.expect(200, "x");
        }
        // Windows, memory and what is on its way between them: not a megabyte each.
        assert!(SENT.load(Ordering::SeqCst) < 8 << 20, "{SENT:?}");
        drop(held);
    });
    assert_eq!(origin.connections(), 1);
    wait_until("all were given up", || origin.running() == 0);
}

#[test]
fn an_answer_is_kept_as_one_of_http_1_1_is() {
    let origin = Framed::new(|mut call| async move {
        let mut stream = call.begin(head(200, &[("cache-control", "max-age=60")]));
        let _ = push(&mut stream, "the page".into(), true).await;
    });
    let toml = format!(
        "[caches.edge]\nmemory = \"16MiB\"\n{}[routes.cache]\nstore = \"edge\"\n",
        all_to(&[origin.address], "")
    );
    let gw = Gateway::start_with_manual_clock(&toml);
    for _ in 0..3 {
        gw.get("/a").expect(200).body("the page");
        wait_until("it is stored", || gw.status()["caches"]["edge"]["fills"] == 0);
    }
    assert_eq!(origin.calls(), 1);
}

#[test]
fn the_first_request_of_a_connection_tells_what_it_took_and_the_next_one_that_it_was_there() {
    let origin = Framed::new(|mut call| async move { call.reply("x").await });
    let collector = harness::Origin::new().on("/v1/traces", harness::origin::reply(200).body("{}"));
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    let gw = Gateway::start(&format!(
        "[access_log]\npath = {log:?}\nslow_threshold = \"0s\"\n\
         [tracing]\notlp_endpoint = \"http://{}\"\nsample = 1\n{}",
        collector.address(),
        all_to(&[origin.address], "")
    ));
    let mut client = gw.connect();
    for _ in 0..2 {
        client.ask(&Request::get("/")).expect(200);
    }
    drop(client);
    assert!(gw.stop());

    let spans = crate::t_tracing::spans_at(&collector);
    let attribute = crate::t_tracing::attribute;
    let mut told: Vec<_> = crate::t_tracing::tries(&spans)
        .into_iter()
        .map(|span| {
            (
                attribute(span, "sluice.reused"),
                attribute(span, "sluice.connect_ms"),
            )
        })
        .map(|(reused, connect)| (reused == true, connect.is_null()))
        .collect();
    told.sort_unstable();
    assert_eq!(told, [(false, false), (true, true)]);
    let lines = std::fs::read_to_string(&log).unwrap();
    let has_connect = |line: &str| line.contains("connect_ms");
    assert_eq!(lines.lines().map(has_connect).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn over_tls_the_server_has_to_agree_to_http_2() {
    let authority = Authority::new("Authority");
    let leaf = authority.sign(&["127.0.0.1"]);
    let speaking = |alpn: &[&[u8]]| {
        let showing = crate::o_tls::front::showing(&leaf, None);
        let mut config = rustls::ServerConfig::clone(&showing);
        config.alpn_protocols = alpn.iter().map(|p| p.to_vec()).collect();
        std::sync::Arc::new(config)
    };
    let toml = |origin: &Framed| {
        let lines = format!("tls = {{ ca_file = {:?} }}", authority.file());
        all_to(&[origin.address], &lines).replace("protocol = \"h2c\"", "protocol = \"http2\"")
    };
    let builder = h2::server::Builder::new();
    let able = Framed::with(&builder, Some(speaking(&[b"h2", b"http/1.1"])), echo);
    let gw = Gateway::start(&toml(&able));
    let mut client = gw.connect();
    for _ in 0..3 {
        client.ask(&Request::post("/", "hello")).expect(200).body("hello");
    }
    assert_eq!(able.connections(), 1);
    assert!(able.log.heads.lock()[0].0.starts_with("POST https://"));

    for alpn in [&[][..], &[&b"http/1.1"[..]]] {
        let unable = Framed::with(&builder, Some(speaking(alpn)), echo);
        let gw = Gateway::start(&toml(&unable));
        gw.ask(&Request::post("/", "hello")).expect(502).problem();
        assert_eq!(unable.calls(), 0);
    }
}

#[test]
fn a_server_of_http_1_1_is_told_apart_from_one_of_http_2() {
    let origin = harness::Origin::new();
    origin.greet(harness::origin::Greeting::HangUp);
    let gw = Gateway::start(&all_to(&[origin.address()], ""));
    gw.get("/").expect(502).problem();
}

#[test]
fn a_client_that_names_no_host_asks_for_the_servers_address() {
    let origin = Framed::new(|mut call| async move { call.reply("x").await });
    let gw = Gateway::start(&all_to(&[origin.address], ""));
    let mut client = gw.connect();
    client.send("GET / HTTP/1.0\r\n\r\n");
    client.response().expect(200).body("x");
    assert_eq!(origin.only().0, format!("GET http://{}/", origin.address));
}
