use bytes::Bytes;
use h2::client::Builder;
use harness::body::{Body, Pattern};
use harness::origin::{never, reply, upgrade};
use harness::{Gate, Gateway, Origin, wait_until};

use super::client::{Client, get, give, request, rest, run, whole};
use super::{all_to, with};

#[test]
fn an_origin_sees_http_1_1_and_the_client_sees_what_it_answers() {
    let origin = Origin::new().on("/a", reply(203).header("X-Own", "1").body("the page"));
    let gw = Gateway::start(&all_to(&origin));

    let got = run(async {
        let mut asked = get("/a?b=c");
        let fields = asked.headers_mut();
        fields.append("cookie", "a=1".parse().unwrap());
        fields.append("cookie", "b=2".parse().unwrap());
        fields.append("te", "trailers".parse().unwrap());
        Client::open(gw.address()).await.ask(asked).await
    });
    got.expect(203, "the page");
    assert_eq!(got.value("x-own"), Some("1"));
    assert_eq!(got.value("content-length"), Some("8"));
    assert_eq!(got.value("via"), Some("1.1 sluice"));
    assert_eq!(got.value("connection"), None);
    let seen = origin.only("/a");
    assert_eq!(seen.value("host"), Some("a.test"));
    assert_eq!(
        seen.value("cookie"),
        Some("a=1; b=2"),
        "the pieces are put together"
    );
    assert_eq!(seen.value("via"), Some("2 sluice"));
    assert_eq!(seen.value("te"), None);
    assert!(seen.value("transfer-encoding").is_none() && seen.value("content-length").is_none());
    let [line] = &gw.log_lines(1)[..] else {
        panic!("one line")
    };
    assert!(line.contains("HTTP/2.0"), "{line}");
}

#[test]
fn head_has_no_body_and_says_how_long_it_would_be() {
    let origin = Origin::new().on("/a", reply(200).body("the page"));
    let gw = Gateway::start(&all_to(&origin));

    let got = run(async { Client::open(gw.address()).await.ask(request("HEAD", "/a")).await });
    got.expect(200, "");
    assert_eq!(got.value("content-length"), Some("8"));
}

#[test]
fn bodies_go_both_ways_with_a_length_and_without() {
    let origin = Origin::new().otherwise(reply(200).echo());
    let gw = Gateway::start(&all_to(&origin));
    let body: Bytes = Pattern::new(300_000).block().unwrap().to_vec().into();

    run(async {
        let client = Client::open(gw.address()).await;
        let mut announced = request("POST", "/known");
        announced
            .headers_mut()
            .insert("content-length", body.len().to_string().parse().unwrap());
        for asked in [announced, request("POST", "/chunked"), request("PUT", "/put")] {
            let got = client.post(asked, body.clone()).await;
            assert_eq!((got.status, got.body == body), (200, true));
        }
        client.post(request("POST", "/empty"), "").await.expect(200, "");
    });
    assert_eq!(
        origin.only("/known").value("content-length"),
        Some(body.len().to_string().as_str())
    );
    assert_eq!(
        origin.only("/chunked").value("transfer-encoding"),
        Some("chunked")
    );
}

#[test]
fn large_bodies_pass_through_small_windows() {
    const LENGTH: u64 = 3 << 20;
    let origin = Origin::new()
        .on("/down", reply(200).pattern(LENGTH))
        .on("/chunks", reply(200).pattern(LENGTH).chunked())
        .otherwise(reply(200).echo());
    let gw = Gateway::start(&all_to(&origin));

    run(async {
        let mut narrow = Builder::new();
        narrow
            .initial_window_size(1000)
            .initial_connection_window_size(3000);
        let client = Client::open_as(gw.address(), &narrow).await;
        let (a, b) = tokio::join!(client.ask(get("/down")), client.ask(get("/chunks")));
        for got in [a, b] {
            assert_eq!(Body::of(&got.body), Pattern::whole(LENGTH));
        }
        let body = Bytes::from(vec![7; 1 << 20]);
        let got = client.post(request("POST", "/"), body.clone()).await;
        assert_eq!(got.body, body);
    });
}

#[test]
fn a_hundred_streams_at_once_get_each_its_own() {
    let origin = Origin::new().otherwise(reply(200).echo());
    let gw = Gateway::start(&all_to(&origin));

    run(async {
        // They are read one after the other, so all must have room.
        let mut wide = Builder::new();
        wide.initial_connection_window_size(8 << 20);
        let client = Client::open_as(gw.address(), &wide).await;
        let mut streams = Vec::new();
        for n in 0..100_u32 {
            streams.push((n, client.begin(request("POST", &format!("/{n}")), false).await));
        }
        // A piece of each, round and round.
        for round in 0..5 {
            for (n, (_, stream)) in &mut streams {
                let piece = format!("{n}:{round};").repeat(200);
                give(stream, piece.into(), round == 4).await;
            }
        }
        for (n, (answer, _)) in streams {
            let expected: String = (0..5).map(|round| format!("{n}:{round};").repeat(200)).collect();
            whole(answer).await.unwrap().expect(200, &expected);
        }
    });
}

#[test]
fn interim_answers_pass() {
    let script = reply(200)
        .interim(103, &[("Link", "</a.css>; rel=preload")])
        .body("x");
    let origin = Origin::new().on("/a", script);
    let gw = Gateway::start(&all_to(&origin));

    run(async {
        let client = Client::open(gw.address()).await;
        let (mut answer, _) = client.begin(get("/a"), true).await;
        let interim = std::future::poll_fn(|cx| answer.poll_informational(cx)).await;
        let interim = interim.unwrap().unwrap();
        assert_eq!(interim.status(), 103);
        assert_eq!(interim.headers()["link"], "</a.css>; rel=preload");
        whole(answer).await.unwrap().expect(200, "x");
    });
}

#[test]
fn a_hit_is_the_same_answer_by_both_protocols() {
    let lasting = |body: &str| reply(200).header("Cache-Control", "max-age=3600").body(body);
    let large = "0123456789abcdef".repeat(20_000);
    let origin = Origin::new()
        .on(
            "/a",
            lasting("the page").header("ETag", "\"a\"").header("Set-X", "1"),
        )
        .on("/large", lasting(&large));
    let toml = format!(
        "[caches.edge]\nmemory = \"16MiB\"\n{}[routes.cache]\nstore = \"edge\"\n",
        crate::all_to(&origin)
    );
    let gw = Gateway::start_with_manual_clock(&with(&toml));

    run(async {
        let client = Client::open(gw.address()).await;
        client.ask(get("/a")).await.expect(200, "the page");
        client.ask(get("/large")).await.expect(200, &large);
        wait_until("both are stored", || gw.status()["caches"]["edge"]["fills"] == 0);
        let hit = client.ask(get("/a")).await;
        hit.expect(200, "the page");
        let by_1 = gw.get("/a");
        by_1.expect(200).body("the page");
        let said = |fields: &mut dyn Iterator<Item = (String, String)>| {
            let mut said: Vec<_> = fields
                .filter(|(name, _)| !matches!(name.as_str(), "connection" | "x-request-id"))
                .collect();
            said.sort();
            said
        };
        let fields = &mut hit
            .fields
            .iter()
            .map(|(n, v)| (n.to_string(), v.to_str().unwrap().to_owned()));
        assert!(hit.value("cache-status").unwrap().contains("hit"));
        assert_eq!(
            said(fields),
            said(
                &mut by_1
                    .head
                    .fields
                    .iter()
                    .map(|(n, v)| (n.to_ascii_lowercase(), v.to_owned()))
            )
        );
        for _ in 0..3 {
            client.ask(get("/large")).await.expect(200, &large);
        }
        let head = client.ask(request("HEAD", "/a")).await;
        assert_eq!((head.status, head.value("content-length")), (200, Some("8")));
        let mut asked = get("/a");
        asked
            .headers_mut()
            .insert("if-none-match", "\"a\"".parse().unwrap());
        client.ask(asked).await.expect(304, "");
        let mut asked = get("/a");
        asked.headers_mut().insert("range", "bytes=4-".parse().unwrap());
        client.ask(asked).await.expect(206, "page");
    });
    assert_eq!(origin.total(), 2);
}

#[test]
fn a_hit_goes_through_a_window_smaller_than_it() {
    let large = "0123456789abcdef".repeat(20_000);
    let script = reply(200).header("Cache-Control", "max-age=3600").body(&large);
    let origin = Origin::new().on("/large", script);
    let toml = format!(
        "[caches.edge]\nmemory = \"16MiB\"\n{}[routes.cache]\nstore = \"edge\"\n",
        crate::all_to(&origin)
    );
    let gw = Gateway::start_with_manual_clock(&with(&toml));

    run(async {
        let mut narrow = Builder::new();
        narrow.initial_window_size(1000);
        let client = Client::open_as(gw.address(), &narrow).await;
        for _ in 0..3 {
            client.ask(get("/large")).await.expect(200, &large);
        }
        let (a, b) = tokio::join!(client.ask(get("/large")), client.ask(get("/large")));
        a.expect(200, &large);
        b.expect(200, &large);
    });
    assert_eq!(origin.total(), 1);
}

#[test]
fn refusals_are_answers_and_the_connection_goes_on() {
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&all_to(&origin));

    run(async {
        let client = Client::open(gw.address()).await;
        assert_eq!(client.ask(request("TRACE", "/")).await.status, 405);
        assert_eq!(client.ask(get("/%00")).await.status, 400);
        assert_eq!(client.ask(get("/../a")).await.status, 400);
        let long = format!("/{}", "a".repeat(20_000));
        assert_eq!(client.ask(get(&long)).await.status, 414);
        let mut asked = get("/");
        for n in 0..90 {
            let name = http::HeaderName::try_from(format!("x-{n}")).unwrap();
            asked
                .headers_mut()
                .insert(name, "v".repeat(1000).parse().unwrap());
        }
        assert_eq!(client.ask(asked).await.status, 431);
        assert_eq!(client.ask(get("/")).await.status, 200);
    });
    assert_eq!(origin.total(), 1);
}

#[test]
fn a_body_too_large_is_refused_and_the_others_are_served() {
    let origin = Origin::new().otherwise(reply(200).echo());
    let toml = crate::all_to(&origin).replace(
        "upstream = \"origin\"",
        "upstream = \"origin\"\nmax_body = \"1KiB\"",
    );
    let gw = Gateway::start(&with(&toml));

    run(async {
        let client = Client::open(gw.address()).await;
        let got = client.post(request("POST", "/"), vec![1; 500_000]).await;
        assert_eq!(got.status, 413);
        client
            .post(request("POST", "/"), "small")
            .await
            .expect(200, "small");
    });
}

#[test]
fn one_who_is_not_answered_does_not_hold_up_the_others() {
    let origin = Origin::new()
        .on("/never", never())
        .otherwise(reply(200).body("x"));
    let mut gw = Gateway::start(&all_to(&origin));
    gw.may_end_unclean();

    run(async {
        let client = Client::open(gw.address()).await;
        let mut held = Vec::new();
        for _ in 0..20 {
            held.push(client.begin(get("/never"), true).await);
        }
        origin.wait_seen("/never", 20);
        for _ in 0..20 {
            client.ask(get("/")).await.expect(200, "x");
        }
    });
}

#[test]
fn a_body_nobody_reads_does_not_hold_up_another_body() {
    let origin = Origin::new().on("/stuck", never()).otherwise(reply(200).echo());
    let mut gw = Gateway::start(&all_to(&origin));
    gw.may_end_unclean();

    run(async {
        let client = Client::open(gw.address()).await;
        let mut stuck = Vec::new();
        for _ in 0..50 {
            let (answer, mut stream) = client.begin(request("POST", "/stuck"), false).await;
            stream.send_data(vec![0; 1 << 20].into(), true).unwrap();
            stuck.push((answer, stream));
        }
        let body = Bytes::from(vec![3; 1 << 20]);
        let got = client.post(request("POST", "/"), body.clone()).await;
        assert_eq!(got.body, body);
    });
}

#[test]
fn an_answer_that_is_not_read_does_not_hold_up_another() {
    let origin = Origin::new()
        .on("/large", reply(200).pattern(4 << 20))
        .otherwise(reply(200).body("x"));
    let mut gw = Gateway::start(&all_to(&origin));
    gw.may_end_unclean();

    run(async {
        let mut wide = Builder::new();
        wide.initial_window_size(100_000)
            .initial_connection_window_size(8 << 20);
        let client = Client::open_as(gw.address(), &wide).await;
        let mut unread = Vec::new();
        for _ in 0..10 {
            let (answer, _) = client.begin(get("/large"), true).await;
            unread.push(answer.await.unwrap());
        }
        for _ in 0..20 {
            client.ask(get("/")).await.expect(200, "x");
        }
    });
}

#[test]
fn a_websocket_goes_through_a_stream() {
    let origin = Origin::new().on("/chat", upgrade("websocket"));
    let gw = Gateway::start(&all_to(&origin));

    run(async {
        let client = Client::open(gw.address()).await;
        // The server has to say first that it may be asked so.
        client.ask(request("OPTIONS", "*")).await;
        let mut asked = request("CONNECT", "/chat");
        asked
            .extensions_mut()
            .insert(h2::ext::Protocol::from_static("websocket"));
        asked
            .headers_mut()
            .insert("sec-websocket-version", "13".parse().unwrap());
        let (answer, mut stream) = client.begin(asked, false).await;
        let (head, mut answer) = answer.await.unwrap().into_parts();
        assert_eq!(head.status, 200);
        assert!(!head.headers.contains_key("upgrade") && !head.headers.contains_key("connection"));
        give(&mut stream, "hello".into(), true).await;
        let (body, _) = rest(&mut answer).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&body), "hello");
    });
    let seen = origin.only("/chat");
    assert_eq!(
        (seen.method.as_str(), seen.value("upgrade")),
        ("GET", Some("websocket"))
    );
    assert_eq!(seen.value("sec-websocket-key").unwrap().len(), 24);
}

#[test]
fn a_route_s_timeout_does_not_end_a_websocket_in_a_stream() {
    let origin = Origin::new()
        .on("/chat", upgrade("websocket"))
        .on("/never", never());
    let toml = all_to(&origin).replace(
        "path_prefix = \"/\" }",
        "path_prefix = \"/\" }\ntimeout = \"500ms\"",
    );
    assert!(toml.contains("timeout"), "{toml}");
    let gw = Gateway::start(&toml);

    run(async {
        let client = Client::open(gw.address()).await;
        client.ask(request("OPTIONS", "*")).await;
        let mut asked = request("CONNECT", "/chat");
        asked
            .extensions_mut()
            .insert(h2::ext::Protocol::from_static("websocket"));
        asked
            .headers_mut()
            .insert("sec-websocket-version", "13".parse().unwrap());
        let (answer, mut stream) = client.begin(asked, false).await;
        let (head, mut answer) = answer.await.unwrap().into_parts();
        assert_eq!(head.status, 200);
        // Begun later: when its time is over, the conversation's would be too.
        assert_eq!(client.ask(get("/never")).await.status, 504);
        give(&mut stream, "still here".into(), true).await;
        let (body, _) = rest(&mut answer).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&body), "still here");
    });
}

#[test]
fn a_websocket_that_was_answered_otherwise_is_not_open() {
    let origin = Origin::new()
        .on("/page", reply(200).body("the page"))
        .on("/no", reply(403).body("no"))
        .otherwise(reply(200).body("x"));
    let gw = Gateway::start(&all_to(&origin));

    run(async {
        let client = Client::open(gw.address()).await;
        client.ask(request("OPTIONS", "*")).await;
        for (path, status, body) in [("/page", 502, ""), ("/no", 403, "no")] {
            let mut asked = request("CONNECT", path);
            asked
                .extensions_mut()
                .insert(h2::ext::Protocol::from_static("websocket"));
            let (answer, _stream) = client.begin(asked, false).await;
            whole(answer).await.unwrap().expect(status, body);
        }
        client.ask(get("/")).await.expect(200, "x");
    });
}

#[test]
fn as_many_streams_may_be_allowed_as_can_be_written() {
    let origin = Origin::new().otherwise(reply(200).echo());
    let gw = Gateway::start(&format!(
        "[server.limits]\nhttp2_streams = 100000\n{}",
        all_to(&origin)
    ));

    run(async {
        let client = Client::open(gw.address()).await;
        client.post(request("POST", "/"), "x").await.expect(200, "x");
    });
}

#[test]
fn a_head_comes_before_the_body_is_there() {
    let gate = Gate::new();
    let origin = Origin::new().on("/a", reply(200).chunked().body("ab").pause(&gate).body("cd"));
    let gw = Gateway::start(&all_to(&origin));

    run(async {
        let client = Client::open(gw.address()).await;
        let (answer, _) = client.begin(get("/a"), true).await;
        let mut answer = answer.await.unwrap().into_body();
        assert_eq!(answer.data().await.unwrap().unwrap(), "ab");
        gate.open();
        assert_eq!(rest(&mut answer).await.unwrap().0, b"cd");
    });
}
