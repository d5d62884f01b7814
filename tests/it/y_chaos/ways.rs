//! Between clients, the gateway and origins: what is cut, held back, late or in pieces.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use harness::origin::{Script, never, reply};
use harness::{Connection, Fault, Gateway, Origin, Relay, Request, wait_until};

/// Everything goes to the server behind this way, once, with these lines in its upstream.
fn by(relay: &Relay, lines: &str) -> String {
    format!(
        r#"
        [upstreams.origin]
        servers = [{{ address = "{}" }}]
        {lines}
        [upstreams.origin.retries]
        attempts = 0
        [upstreams.origin.outlier_detection]
        consecutive_failures = 0

        [[routes]]
        name = "all"
        match = {{ path_prefix = "/" }}
        upstream = "origin"
        "#,
        relay.address()
    )
}

/// Asks over a way that breaks after each number of bytes, until one number is enough for all of the answer.
fn broken_at_each_byte(script: Script, fault: fn(u64) -> Fault) {
    const ENOUGH: u64 = 500;
    let origin = Origin::new().on("/", script);
    let relay = Relay::to(origin.address());
    let gw = Gateway::start(&by(&relay, ""));
    let (mut asked, mut told, mut torn) = (0, 0, 0);
    let whole = (0..ENOUGH).find(|bytes| {
        relay.set(fault(*bytes));
        let mut client = gw.connect();
        client.send(Request::get("/").bytes());
        asked += 1;
        match client.try_response() {
            Ok(response) if response.status == 200 => {
                response.body("0123456789");
                return true;
            }
            Ok(response) => {
                response.expect(502).problem();
                told += 1;
            }
            Err(_) => {
                client.expect_closed();
                torn += 1;
            }
        }
        false
    });
    assert!(whole.is_some(), "{ENOUGH} bytes are enough for it");
    // Before the head was whole it could be told in plain words, and within the body no more.
    assert!(told > 10 && torn > 0, "{told} {torn}");
    assert_eq!(origin.seen("/"), asked);
}

#[test]
fn an_answer_that_is_cut_off_at_any_byte_is_never_taken_for_whole() {
    let (head, tail) = ("01234", "56789");
    let scripts = [
        reply(200).body(head).body(tail),
        reply(200).chunked().body(head).body(tail),
        reply(200)
            .chunked()
            .body(head)
            .body(tail)
            .trailer("X-After", "all"),
    ];
    for script in scripts {
        broken_at_each_byte(script.clone(), Fault::CutAfter);
        broken_at_each_byte(script, Fault::EndAfter);
    }
}

/// One client of many on a bad way: bodies of its own, by a method that may be sent twice and by one that may not.
fn echoes(gw: &Gateway, number: usize) {
    let mut client = gw.connect();
    for turn in 0..40 {
        let mark = format!("{number}.{turn}|");
        let (method, path) = [("PUT", "/put"), ("POST", "/post")][turn % 2];
        let body = mark.repeat(1 + turn * 50);
        client.send(Request::new(method, path).body(&body).bytes());
        match client.try_response() {
            Ok(response) if response.status == 200 => _ = response.body(&body),
            Ok(response) => {
                assert!(matches!(response.status, 502 | 503), "{response}");
                response.problem();
            }
            Err(_) => client = gw.connect(),
        }
    }
}

#[test]
fn on_a_way_that_is_cut_again_and_again_each_answer_is_the_right_one_or_none() {
    const CLIENTS: usize = 6;
    let echo = || reply(200).echo();
    let origin = Origin::new().on("/put", echo()).on("/post", echo().chunked());
    let relay = Relay::to(origin.address());
    let toml = by(&relay, "").replace("attempts = 0", "attempts = 3");
    let gw = Gateway::start(&toml);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let cutter = scope.spawn(|| {
            // As often as there is something to cut: after every third request that has arrived.
            let (mut cut_at, mut cuts) = (0, 0);
            while !is_over.load(Ordering::Acquire) {
                if origin.total() >= cut_at + 3 {
                    (cut_at, cuts) = (origin.total(), cuts + 1);
                    relay.cut_once();
                }
                std::thread::yield_now();
            }
            cuts
        });
        let clients: Vec<_> = (0..CLIENTS)
            .map(|n| {
                scope.spawn({
                    let gw = &gw;
                    move || echoes(gw, n)
                })
            })
            .collect();
        let ended: Vec<_> = clients.into_iter().map(|client| client.join()).collect();
        is_over.store(true, Ordering::Release);
        assert!(cutter.join().expect("it does not panic") > 10);
        assert!(ended.iter().all(Result::is_ok));
    });
    let mut posts: Vec<_> = origin
        .requests("/post")
        .into_iter()
        .map(|seen| seen.body.text().into_owned())
        .collect();
    posts.retain(|body| body.contains('|'));
    let marks: std::collections::HashSet<_> =
        posts.iter().filter_map(|body| body.split('|').next()).collect();
    assert_eq!(marks.len(), posts.len(), "a POST has arrived twice");
    gw.ask(&Request::post("/post", "at last"))
        .expect(200)
        .body("at last");
    wait_until("no lease is left", || {
        gw.server("origin", relay.address())["in_flight"] == 0
    });
}

#[test]
fn what_comes_out_of_a_hole_too_late_is_nobody_elses_answer() {
    let origin = Origin::new()
        .on("/late", reply(200).body("late"))
        .on("/next", reply(200).body("next"));
    let relay = Relay::to(origin.address());
    let gw = Gateway::start(&by(&relay, "read_timeout = \"100ms\""));

    let mut client = gw.connect();
    client.ask(&Request::get("/next")).expect(200);
    relay.set(Fault::HoleBack);
    client.ask(&Request::get("/late")).expect(504).problem();
    relay.wait_held();
    assert_eq!(origin.seen("/late"), 1);
    relay.set(Fault::None);
    for _ in 0..5 {
        client.ask(&Request::get("/next")).expect(200).body("next");
    }
    let late = origin.only("/late").connection;
    assert!(
        origin.requests("/next")[1..]
            .iter()
            .all(|seen| seen.connection != late)
    );
}

#[test]
fn a_server_behind_a_hole_is_left_alone_until_it_is_closed() {
    let [near, far] = ["near", "far"].map(|name| {
        Origin::new()
            .on("/health", reply(200))
            .otherwise(reply(200).body(name))
    });
    let [to_near, to_far] = [&near, &far].map(|origin| Relay::to(origin.address()));
    let toml = by(&to_near, "load_balancing = \"round_robin\"").replace(
        "[upstreams.origin.retries]",
        "[upstreams.origin.health_check]\npath = \"/health\"\ninterval = \"20ms\"\ntimeout = \"1s\"\n\
         healthy_threshold = 1\nunhealthy_threshold = 2\n[upstreams.origin.retries]",
    );
    let both = format!(
        "servers = [{{ address = \"{}\" }}, {{ address = \"{}\" }}]",
        to_near.address(),
        to_far.address()
    );
    let gw = Gateway::start(&toml.replace(
        &format!("servers = [{{ address = \"{}\" }}]", to_near.address()),
        &both,
    ));

    for hole in [Fault::Hole, Fault::HoleBack, Fault::Cut] {
        to_far.set(hole);
        gw.wait_state("origin", to_far.address(), "down");
        let before = (near.seen("/"), far.seen("/"));
        for _ in 0..10 {
            gw.get("/").expect(200).body("near");
        }
        assert_eq!(
            (near.seen("/"), far.seen("/")),
            (before.0 + 10, before.1),
            "{hole:?}"
        );
        to_far.set(Fault::None);
        gw.wait_state("origin", to_far.address(), "up");
        for _ in 0..10 {
            gw.get("/").expect(200);
        }
        assert!(far.seen("/") > before.1, "{hole:?}");
    }
}

#[test]
fn lateness_and_pieces_on_both_ways_change_no_byte() {
    let origin = Origin::new()
        .on("/length", reply(200).echo())
        .on("/chunks", reply(200).chunked().echo().trailer("X-After", "all"));
    let behind = Relay::to(origin.address());
    let gw = Gateway::start(&by(&behind, ""));
    let before = Relay::to(gw.address());
    let bad = [Fault::Bytewise, Fault::Late(Duration::from_millis(2))];
    for (front, back) in [
        (bad[0], bad[0]),
        (bad[0], bad[1]),
        (bad[1], bad[0]),
        (bad[1], bad[1]),
    ] {
        before.set(front);
        behind.set(back);
        let mut client = Connection::open(before.address());
        for (turn, path) in ["/length", "/chunks", "/length"].into_iter().enumerate() {
            let body = format!("{front:?} {back:?} {turn} ").repeat(100);
            let request = Request::new("PUT", path);
            let request = match turn {
                0 => request.body(&body),
                _ => request.chunked(body.as_bytes().chunks(700)),
            };
            client.ask(&request).expect(200).body(&body);
        }
    }
    assert_eq!(origin.total(), 12);
    assert_eq!(before.taken(), 4);
}

#[test]
fn a_client_that_vanishes_without_a_word_is_given_up_wherever_it_was() {
    let origin = Origin::new()
        .on("/large", reply(200).pattern(64 << 20))
        .on("/never", never())
        .otherwise(reply(200).echo());
    let way = Relay::to(origin.address());
    let gw = Gateway::start(&format!(
        "[server.limits]\nheader_timeout = \"1s\"\nbody_timeout = \"1s\"\nkeepalive_timeout = \"1s\"\n{}",
        by(&way, "read_timeout = \"1s\"")
    ));
    let relay = Relay::to(gw.address());

    let mut idle = Connection::open(relay.address());
    idle.ask(&Request::get("/")).expect(200);
    let mut in_head = Connection::open(relay.address());
    in_head.send("GET / HTTP/1.1\r\nHost: a.t");
    let mut in_body = Connection::open(relay.address());
    in_body.send(
        Request::new("POST", "/body")
            .header("Content-Length", "100")
            .head_bytes(),
    );
    in_body.send("half");
    let mut waiting = Connection::open(relay.address());
    waiting.send(Request::get("/never").bytes());
    let mut reading = Connection::open(relay.address());
    reading.send(Request::get("/large").bytes());
    for path in ["/body", "/never", "/large"] {
        origin.wait_seen(path, 1);
    }
    relay.set(Fault::Hole);
    gw.wait_metrics("no connection and no request is left", |m| {
        m.sum("sluice_connections", &[]) == 0.0 && m.sum("sluice_requests_in_flight", &[]) == 0.0
    });
    assert_eq!(gw.server("origin", way.address())["in_flight"], 0);
    assert!(origin.requests("/body").iter().all(|seen| !seen.complete));
    // The five clients are still there and have not been told: nothing gets through.
    assert_eq!(relay.open(), 5);
}
