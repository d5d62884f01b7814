use std::time::Duration;

use harness::origin::{Script, hang_up, reply, reset, upgrade};
use harness::{Connection, Gate, Gateway, Origin, Request, Response, wait_until};

use super::{get_with, refused, wait_inside};

/// Everything goes to this origin, whose upstream has these lines, by a route with those, and with one worker.
fn with_overload(origin: &Origin, upstream: &str, route: &str) -> String {
    format!(
        r#"
        [server]
        threads = 1
        drain_timeout = "5s"

        [caches.edge]
        memory = "256MiB"

        [upstreams.origin]
        servers = [{{ address = "{}" }}]
        {upstream}

        [[routes]]
        name = "all"
        match = {{ path_prefix = "/" }}
        upstream = "origin"
        {route}
        "#,
        origin.address()
    )
}

const CACHED: &str = "cache = { store = \"edge\" }";

fn held(gate: &Gate) -> Script {
    reply(200).after(gate).body("held")
}

/// Fails unless it is refused because the upstream has enough to do.
#[track_caller]
fn overloaded(response: &Response) {
    refused(response, 503, "overloaded");
    let retry_after = response.value("retry-after").and_then(|v| v.parse::<u64>().ok());
    assert!(retry_after.is_some_and(|seconds| seconds >= 1), "{response}");
}

#[test]
fn no_more_is_asked_of_an_upstream_than_it_may_be_asked() {
    let gate = Gate::new();
    let origin = Origin::new().otherwise(held(&gate));
    let upstream = "overload = { max_requests = 2, queue = 2, queue_timeout = \"60s\" }";
    let gw = Gateway::start(&with_overload(&origin, upstream, ""));
    let mut clients = Vec::new();
    for i in 0..4 {
        clients.push(gw.ask_apart(&Request::get(&format!("/{i}"))));
        wait_inside(&gw, i + 1);
    }
    wait_until("two are at the origin", || gate.waiting() == 2);
    for _ in 0..3 {
        overloaded(&gw.get("/4"));
    }
    assert_eq!(origin.total(), 2);
    for i in [2, 3] {
        gate.let_through(1);
        origin.wait_seen(&format!("/{i}"), 1);
        assert_eq!(origin.total(), i + 1);
        wait_until("no more than two are at the origin", || gate.waiting() == 2);
    }
    gate.open();
    for client in clients {
        client.response().expect(200);
    }
    gw.get("/5").expect(200);
    assert_eq!(origin.seen("/4"), 0);
    gw.wait_metrics("three were refused", |m| {
        m.sum("sluice_refusals_total", &[("reason", "overloaded")]) == 3.0
    });
}

#[test]
fn who_has_waited_long_enough_is_refused_and_takes_nothing() {
    let gate = Gate::new();
    let origin = Origin::new().on("/held", held(&gate)).otherwise(reply(200));
    let upstream = "overload = { max_requests = 1, queue = 5, queue_timeout = \"20ms\" }";
    let gw = Gateway::start(&with_overload(&origin, upstream, ""));
    let inside = gw.ask_apart(&Request::get("/held"));
    origin.wait_seen("/held", 1);
    for _ in 0..3 {
        overloaded(&gw.get("/late"));
    }
    gate.open();
    inside.response().expect(200);
    gw.get("/next").expect(200);
    assert_eq!(origin.seen("/late"), 0);
}

#[test]
fn the_log_tells_how_long_a_client_has_waited_that_went_while_it_did() {
    let gate = Gate::new();
    let origin = Origin::new().otherwise(held(&gate));
    let upstream = "overload = { max_requests = 1, queue = 5, queue_timeout = \"60s\" }";
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    let gw = Gateway::start(&format!(
        "[access_log]\npath = {log:?}\nslow_threshold = \"0s\"\n{}",
        with_overload(&origin, upstream, "")
    ));
    let inside = gw.ask_apart(&Request::get("/held"));
    origin.wait_seen("/held", 1);
    let mut waiting = gw.connect();
    waiting.send(Request::get("/waiting").bytes());
    wait_inside(&gw, 2);
    waiting.reset();
    wait_inside(&gw, 1);
    gate.open();
    inside.response().expect(200);
    assert!(gw.stop());

    let lines = std::fs::read_to_string(&log).unwrap();
    let line = lines.lines().find(|line| line.contains("/waiting")).unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert!(line["queue_ms"].is_number(), "{line:#}");
}

#[test]
fn requests_that_are_answered_by_one_take_one_place() {
    const CLIENTS: u32 = 8;
    let gate = Gate::new();
    let origin = Origin::new()
        .on("/a", held(&gate).header("Cache-Control", "max-age=60"))
        .on("/b", reply(200));
    let gw = Gateway::start(&with_overload(&origin, "overload = { max_requests = 1 }", CACHED));
    let clients: Vec<_> = (0..CLIENTS).map(|_| gw.ask_apart(&Request::get("/a"))).collect();
    origin.wait_seen("/a", 1);
    wait_inside(&gw, CLIENTS);
    overloaded(&gw.get("/b"));
    gate.open();
    for client in clients {
        client.response().expect(200).body("held");
    }
    wait_until("it is stored", || gw.status()["caches"]["edge"]["fills"] == 0);
    gw.get("/b").expect(200);
    assert_eq!(origin.total(), 2);
}

#[test]
fn what_is_stored_needs_no_place() {
    let gate = Gate::new();
    let origin = Origin::new()
        .on(
            "/kept",
            reply(200).header("Cache-Control", "max-age=60").body("kept"),
        )
        .on("/held", held(&gate));
    let gw = Gateway::start(&with_overload(&origin, "overload = { max_requests = 1 }", CACHED));
    gw.get("/kept").expect(200);
    wait_until("it is stored", || gw.status()["caches"]["edge"]["fills"] == 0);
    let inside = gw.ask_apart(&Request::get("/held"));
    origin.wait_seen("/held", 1);
    gw.get("/kept").expect(200).body("kept");
    gw.ask(&get_with("/kept", "Range", "bytes=0-0")).expect(206);
    overloaded(&gw.get("/other"));
    gate.open();
    inside.response().expect(200);
}

#[test]
fn a_place_is_given_back_however_a_request_ends() {
    let (gate, never_opened) = (Gate::new(), Gate::new());
    let half = reply(200).pattern(1 << 10).pause(&never_opened).pattern(1 << 10);
    let origin = Origin::new()
        .on("/next", reply(200))
        .on("/error", reply(503))
        .on("/hang-up", hang_up())
        .on("/reset", reset())
        .on("/held", held(&gate))
        .on("/half", half)
        .on("/chat", upgrade("websocket"));
    // The line is for whoever was in before and is on its way out; a place that is lost would be waited for in vain.
    let upstream = "overload = { max_requests = 1, queue = 1, queue_timeout = \"60s\" }\n\
                    outlier_detection = { consecutive_failures = 0 }\nretries = { attempts = 2 }";
    let mut gw = Gateway::start(&with_overload(&origin, upstream, ""));
    gw.may_end_unclean();
    for (target, status) in [("/error", 503), ("/hang-up", 502), ("/reset", 502)] {
        gw.get(target).expect(status);
        gw.get("/next").expect(200);
    }
    for target in ["/half", "/held"] {
        let mut gone = gw.connect();
        gone.send(Request::get(target).bytes());
        origin.wait_seen(target, 1);
        gone.reset();
        gw.get("/next").expect(200);
    }
    let mut chat = gw.connect();
    chat.send(
        get_with("/chat", "Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .bytes(),
    );
    assert_eq!(chat.response_head().0, 101);
    let before = origin.seen("/next");
    let next = gw.ask_apart(&Request::get("/next"));
    wait_inside(&gw, 2);
    chat.send("hello");
    assert_eq!(chat.bytes(5), b"hello");
    assert_eq!(origin.seen("/next"), before);
    drop(chat);
    next.response().expect(200);
}

#[test]
fn tunnels_do_not_shut_an_upstream_whose_limit_is_learnt() {
    let origin = Origin::new()
        .on("/chat", upgrade("websocket"))
        .otherwise(reply(200).body("served"));
    let upstream = "overload = { adaptive = true, max_requests = 1 }";
    let gw = Gateway::start(&with_overload(&origin, upstream, ""));
    let asks = get_with("/chat", "Connection", "Upgrade").header("Upgrade", "websocket");
    let mut chats = [(); 5].map(|()| gw.connect());
    for chat in &mut chats {
        chat.send(asks.bytes());
        assert_eq!(chat.response_head().0, 101);
    }
    gw.get("/next").expect(200).body("served");
    for chat in &mut chats {
        chat.send("hello");
        assert_eq!(chat.bytes(5), b"hello");
    }
}

#[test]
fn who_is_served_what_is_stored_because_the_origin_failed_takes_no_place_there() {
    const SIZE: u64 = 16 * 1024 * 1024;
    let old = reply(200).header("Cache-Control", "max-age=10, stale-if-error=600");
    let origin = Origin::new()
        .on("/large", old.pattern(SIZE).close())
        .then("/large", reset())
        .otherwise(reply(200).body("served"));
    let upstream = "overload = { max_requests = 1 }\nretries = { attempts = 0 }\n\
                    outlier_detection = { consecutive_failures = 0 }";
    let gw = Gateway::start_with_manual_clock(&with_overload(&origin, upstream, CACHED));
    assert_eq!(gw.get("/large").expect(200).message.body.length, SIZE);
    wait_until("it is stored", || gw.status()["caches"]["edge"]["fills"] == 0);
    gw.advance(Duration::from_secs(30));

    // More than sockets hold: it stays in the middle of its answer.
    let mut slow = gw.connect();
    slow.send(Request::get("/large").bytes());
    let (status, _) = slow.response_head();
    assert_eq!((status, origin.seen("/large")), (200, 2));
    gw.get("/next").expect(200).body("served");
}

#[test]
fn a_client_that_leaves_the_line_makes_room_in_it_and_is_not_served() {
    let gate = Gate::new();
    let origin = Origin::new().otherwise(held(&gate));
    let upstream = "overload = { max_requests = 1, queue = 1, queue_timeout = \"60s\" }";
    for route in ["", CACHED] {
        gate.close();
        let gw = Gateway::start(&with_overload(&origin, upstream, route));
        let before = origin.total();
        let inside = gw.ask_apart(&Request::get("/inside"));
        wait_until("one is inside", || origin.total() == before + 1);
        for _ in 0..2 {
            let mut leaving = gw.connect();
            leaving.send(Request::get("/leaving").bytes());
            wait_inside(&gw, 2);
            overloaded(&gw.get("/refused"));
            leaving.reset();
            wait_inside(&gw, 1);
        }
        gate.open();
        inside.response().expect(200);
        wait_inside(&gw, 0);
        assert_eq!(
            [origin.seen("/leaving"), origin.seen("/refused")],
            [0, 0],
            "{route}"
        );
    }
}

#[test]
fn an_answer_that_has_left_its_origin_takes_no_place_however_slow_its_client_is() {
    const LENGTH: u64 = 12 << 20;
    let origin = Origin::new()
        .on(
            "/long",
            reply(200).header("Cache-Control", "max-age=60").pattern(LENGTH),
        )
        .on("/next", reply(200));
    let gw = Gateway::start(&with_overload(&origin, "overload = { max_requests = 1 }", CACHED));
    let mut slow = Connection::open_narrow(gw.address());
    slow.send(Request::get("/long").bytes());
    let (status, framing) = slow.response_head();
    assert_eq!(status, 200);
    wait_until("it is stored", || {
        let cache = &gw.status()["caches"]["edge"];
        cache["fills"] == 0 && cache["objects"] == 1
    });
    gw.get("/next").expect(200);
    assert_eq!(slow.response_body(framing).body.length, LENGTH);
}

#[test]
fn an_answer_on_its_way_into_the_cache_keeps_its_place_when_its_client_leaves() {
    let gate = Gate::new();
    let long = reply(200)
        .header("Cache-Control", "max-age=60")
        .pattern(1 << 10)
        .pause(&gate)
        .pattern(1 << 10);
    let origin = Origin::new().on("/long", long).on("/next", reply(200));
    let gw = Gateway::start(&with_overload(&origin, "overload = { max_requests = 1 }", CACHED));
    let mut leaving = gw.connect();
    leaving.send(Request::get("/long").bytes()).response_head();
    leaving.reset();
    wait_inside(&gw, 0);
    assert_eq!(gw.status()["caches"]["edge"]["fills"], 1);
    overloaded(&gw.get("/next"));
    gate.open();
    wait_until("it is stored", || gw.status()["caches"]["edge"]["fills"] == 0);
    gw.get("/next").expect(200);
    assert_eq!([origin.seen("/long"), origin.seen("/next")], [1, 1]);
}

#[test]
fn a_learnt_limit_changes_no_answer_at_light_load() {
    let origin = Origin::new()
        .on("/a", reply(200).header("ETag", "\"a\"").body("a"))
        .on("/b", reply(404).body("b"))
        .on("/c", reply(200).chunked().body("c").body("d"))
        .on("/d", reply(503).header("Retry-After", "7").body("its own"));
    let detection = "outlier_detection = { consecutive_failures = 0 }";
    let answers = |overload: &str| {
        let gw = Gateway::start_with_manual_clock(&with_overload(
            &origin,
            &format!("{overload}\n{detection}"),
            "",
        ));
        let mut client = gw.connect();
        let mut answers = Vec::new();
        for _ in 0..60 {
            for target in ["/a", "/b", "/c", "/d"] {
                let mut answer = client.ask(&Request::get(target));
                answer
                    .head
                    .fields
                    .retain(|(name, _)| !name.eq_ignore_ascii_case("x-request-id"));
                answers.push((answer.status, answer.head.fields.clone(), answer.text()));
            }
        }
        answers
    };
    let without = answers("");
    assert_eq!(without.len(), 240);
    assert!(answers("overload = { adaptive = true }") == without);
    assert!(answers("overload = { max_requests = 1, queue = 1 }") == without);
}

#[test]
fn health_checks_and_the_admin_api_are_answered_while_an_upstream_is_saturated() {
    let gate = Gate::new();
    let origin = Origin::new().on("/health", reply(200)).otherwise(held(&gate));
    let upstream = "overload = { max_requests = 2 }\n\
                    health_check = { path = \"/health\", interval = \"20ms\", healthy_threshold = 1, unhealthy_threshold = 1 }";
    let gw = Gateway::start(&with_overload(&origin, upstream, ""));
    let clients: Vec<_> = (0..2).map(|_| gw.ask_apart(&Request::get("/held"))).collect();
    origin.wait_seen("/held", 2);
    let probes = origin.seen("/health");
    origin.wait_seen("/health", probes + 3);
    overloaded(&gw.get("/more"));
    for target in ["/healthz", "/readyz", "/status", "/metrics"] {
        gw.ask_admin(&Request::get(target)).expect(200);
    }
    assert_eq!(gw.server("origin", origin.address())["state"], "up");
    gate.open();
    for client in clients {
        client.response().expect(200);
    }
}

#[test]
fn an_upstream_s_limit_holds_for_all_its_routes_and_outlives_a_reload() {
    let gate = Gate::new();
    let origin = Origin::new().on("/held", held(&gate)).otherwise(reply(200));
    let text = |places: u32| {
        let second = "[[routes]]\nname = \"second\"\nmatch = { path = \"/second\" }\nupstream = \"origin\"";
        with_overload(
            &origin,
            &format!("overload = {{ max_requests = {places} }}"),
            second,
        )
    };
    let gw = Gateway::start(&text(1));
    let inside = gw.ask_apart(&Request::get("/held"));
    origin.wait_seen("/held", 1);
    overloaded(&gw.get("/second"));
    gw.reload(&text(2)).unwrap();
    gw.get("/second").expect(200);
    gw.reload(&text(1)).unwrap();
    overloaded(&gw.get("/first"));
    gw.reload(&text(0)).unwrap();
    gw.get("/first").expect(200);
    gate.open();
    inside.response().expect(200);
}

#[test]
fn what_is_stale_is_served_where_an_upstream_has_enough_to_do() {
    let gate = Gate::new();
    let origin = Origin::new()
        .on(
            "/a",
            reply(200)
                .header("Cache-Control", "max-age=1, stale-if-error=600")
                .body("kept"),
        )
        .on("/held", held(&gate));
    let gw =
        Gateway::start_with_manual_clock(&with_overload(&origin, "overload = { max_requests = 1 }", CACHED));
    gw.get("/a").expect(200);
    wait_until("it is stored", || gw.status()["caches"]["edge"]["fills"] == 0);
    gw.advance(Duration::from_secs(60));
    let inside = gw.ask_apart(&Request::get("/held"));
    origin.wait_seen("/held", 1);
    gw.get("/a").expect(200).body("kept");
    assert_eq!(origin.seen("/a"), 1);
    gate.open();
    inside.response().expect(200);
}
