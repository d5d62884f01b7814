use harness::origin::{never, reply};
use harness::{Connection, Gate, Gateway, Origin, Request, wait_until};

use super::all_to;
use super::client::{Client, get, give, request, run, soon, whole};
use super::frames::{GET, GOAWAY, HEADERS, PING, Raw, frame, headers};

#[test]
fn an_answer_that_breaks_off_is_reset() {
    let origin = Origin::new()
        .on(
            "/length",
            reply(200).claims(10).body("half").unfinished().hang_up(),
        )
        .on(
            "/chunks",
            reply(200).chunked().body("half").unfinished().hang_up(),
        )
        .otherwise(reply(200).body("x"));
    let gw = Gateway::start(&all_to(&origin));

    run(async {
        let client = Client::open(gw.address()).await;
        for path in ["/length", "/chunks"] {
            let error = client.try_ask(get(path)).await.unwrap_err();
            assert_eq!(error.reason(), Some(h2::Reason::INTERNAL_ERROR), "{path}");
        }
        client.ask(get("/")).await.expect(200, "x");
    });
}

#[test]
fn a_stream_the_client_resets_is_given_up_and_the_others_go_on() {
    let gate = Gate::new();
    let origin = Origin::new()
        .on("/never", never())
        .on("/held", reply(200).after(&gate).body("held"))
        .otherwise(reply(200).echo());
    let gw = Gateway::start(&all_to(&origin));

    run(async {
        let client = Client::open(gw.address()).await;
        let (held, _) = client.begin(get("/held"), true).await;
        let (_answer, mut waits) = client.begin(get("/never"), true).await;
        let (_answer, mut sends) = client.begin(request("POST", "/"), false).await;
        give(&mut sends, "begun".into(), false).await;
        origin.wait_seen("/never", 1);
        origin.wait_received("/", 5);
        waits.send_reset(h2::Reason::CANCEL);
        sends.send_reset(h2::Reason::CANCEL);
        client
            .post(request("POST", "/other"), "other")
            .await
            .expect(200, "other");
        wait_until("two leases are back", || {
            gw.server("origin", origin.address())["in_flight"] == 1
        });
        gate.open();
        whole(held).await.unwrap().expect(200, "held");
    });
    wait_until("the origin was told", || !origin.only("/").complete);
}

#[test]
fn an_early_answer_ends_the_upload_without_an_error() {
    let origin = Origin::new().otherwise(reply(200).body("x"));
    let toml = all_to(&origin).replace(
        "upstream = \"origin\"",
        "respond = { status = 403, body = \"no\" }",
    );
    let gw = Gateway::start(&toml);

    run(async {
        let client = Client::open(gw.address()).await;
        let (answer, mut stream) = client.begin(request("POST", "/"), false).await;
        give(&mut stream, vec![0; 200_000].into(), false).await;
        whole(answer).await.unwrap().expect(403, "no");
        let reset = std::future::poll_fn(|cx| stream.poll_reset(cx)).await.unwrap();
        assert_eq!(reset, h2::Reason::NO_ERROR);
        assert_eq!(client.ask(get("/")).await.status, 403);
    });
}

#[test]
fn a_stop_lets_streams_end_and_says_goodbye() {
    let gate = Gate::new();
    let origin = Origin::new()
        .on("/held", reply(200).after(&gate).body("whole"))
        .otherwise(reply(200));
    let gw = Gateway::start(&all_to(&origin));
    let address = gw.address();

    run(async {
        let idle = Client::open(address).await;
        idle.ask(get("/")).await;
        let busy = Client::open(address).await;
        let (held, _) = busy.begin(get("/held"), true).await;
        soon("it has come", async {
            while origin.seen("/held") < 1 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let stopping = gw.stop_apart();
        soon("the idle one ends", idle.connection).await.unwrap().unwrap();
        soon("no request is taken any more", async {
            while busy.is_open().await {
                tokio::task::yield_now().await;
            }
        })
        .await;
        assert!(!stopping.is_done());
        gate.open();
        whole(held).await.unwrap().expect(200, "whole");
        soon("the busy one ends", busy.connection).await.unwrap().unwrap();
        assert!(
            tokio::task::spawn_blocking(move || stopping.wait())
                .await
                .unwrap(),
            "every request has ended by itself"
        );
    });
    assert!(Connection::try_open(address).is_err());
}

#[test]
fn a_client_that_hears_no_goodbye_is_left_all_the_same() {
    let origin = Origin::new().otherwise(reply(200).body("x"));
    let gw = Gateway::start(&all_to(&origin));
    let mut raw = Raw::open(gw.address());
    raw.send(&headers(1, &GET));
    raw.find(HEADERS);
    let stopping = gw.stop_apart();
    // It confirms nothing, and asks on.
    let first = raw.find(GOAWAY);
    assert_eq!(
        (first.payload[..4] == [0x7f, 0xff, 0xff, 0xff], first.code()),
        (true, 0)
    );
    raw.send(&headers(3, &GET));
    assert_eq!(raw.find(HEADERS).stream, 3, "it was on its way");
    assert_eq!(raw.last_word(), 0);
    drop(raw);
    assert!(stopping.wait());
}

#[test]
fn a_connection_has_its_requests_and_its_quiet_limited() {
    let origin = Origin::new().otherwise(reply(200).body("x"));
    let gw = Gateway::start(&format!(
        "[server.limits]\nkeepalive_requests = 3\nkeepalive_timeout = \"300ms\"\n{}",
        all_to(&origin)
    ));

    run(async {
        let client = Client::open(gw.address()).await;
        for _ in 0..3 {
            client.ask(get("/")).await.expect(200, "x");
        }
        soon("it ends after three", client.connection)
            .await
            .unwrap()
            .unwrap();
        let quiet = Client::open(gw.address()).await;
        quiet.ask(get("/")).await.expect(200, "x");
        soon("it ends when nothing is asked", quiet.connection)
            .await
            .unwrap()
            .unwrap();
    });
}

#[test]
fn a_client_that_goes_in_the_middle_leaves_nothing_behind() {
    let origin = Origin::new().otherwise(never());
    let gw = Gateway::start(&all_to(&origin));
    let mut raw = Raw::open(gw.address());
    for n in 0..20 {
        raw.send(&headers(2 * n + 1, &GET));
    }
    origin.wait_seen("/", 20);
    drop(raw);
    wait_until("no lease is left", || {
        gw.server("origin", origin.address())["in_flight"] == 0
    });
}

#[test]
fn http_1_1_is_spoken_at_the_same_door() {
    let origin = Origin::new().otherwise(reply(200).body("x"));
    let gw = Gateway::start(&all_to(&origin));
    gw.get("/").expect(200).body("x");
    let mut client = gw.connect();
    // It begins as the other one does.
    for piece in ["P", "U", "T / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"] {
        client.send(piece);
    }
    client.response().expect(200).body("x");
    client.ask(&Request::get("/")).expect(200).body("x");
    // And once it has begun, there is no other.
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    client.response().expect(505);
    let mut raw = Raw::open(gw.address());
    raw.send(&frame(PING, 0, 0, &[7; 8]));
    assert_eq!(raw.find(PING).payload, [7; 8]);
}
