use harness::origin::{hang_up, never, reply};
use harness::{Gate, Gateway, Origin, Request};

/// All requests go to one origin, and copies of them to another.
fn mirrored(origin: &Origin, mirror: &Origin, lines: &str) -> String {
    format!(
        r#"
        [upstreams.app]
        servers = [{{ address = "{}" }}]
        [upstreams.shadow]
        servers = [{{ address = "{}" }}]
        [[routes]]
        name = "all"
        upstream = "app"
        mirror = "shadow"
        {lines}
        "#,
        origin.address(),
        mirror.address()
    )
}

#[track_caller]
fn wait_mirrored(gw: &Gateway, result: &str, n: f64) {
    gw.wait_metrics(&format!("{n} copies came to: {result}"), |m| {
        m.sum(
            "sluice_mirrored_total",
            &[("upstream", "shadow"), ("result", result)],
        ) >= n
    });
}

#[test]
fn a_copy_is_the_same_request_with_a_word_that_it_is_one() {
    let origin = Origin::new().otherwise(reply(200).body("the answer"));
    let mirror = Origin::new().otherwise(reply(200).body("another answer"));
    let gw = Gateway::start(&mirrored(&origin, &mirror, "rewrite = { add_prefix = \"/v2\" }"));
    let request = Request::post("/a?b=c", "the body").header("Authorization", "Bearer x");
    gw.ask(&request).expect(200).body("the answer");
    gw.ask(&Request::get("/a?b=c")).expect(200).body("the answer");
    wait_mirrored(&gw, "ok", 2.0);

    let copies = mirror.requests("/v2/a");
    for copy in &copies {
        let seen = origin.requests("/v2/a");
        let seen = seen.iter().find(|seen| seen.method == copy.method).unwrap();
        assert_eq!((&copy.target, &copy.body), (&seen.target, &seen.body));
        for name in ["host", "authorization", "x-forwarded-for", "x-request-id"] {
            assert_eq!(copy.value(name), seen.value(name), "{name}");
        }
        assert_eq!(copy.value("x-sluice-mirror"), Some("1"));
        assert!(!seen.has("x-sluice-mirror"));
    }
    assert_eq!(copies.len(), 2);
}

#[test]
fn what_says_that_it_is_a_copy_is_not_copied_whoever_sends_it() {
    let origin = Origin::new().otherwise(reply(200));
    let mirror = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&mirrored(&origin, &mirror, ""));
    for request in [Request::get("/marked"), Request::post("/marked", "x")] {
        gw.ask(&request.header("X-Sluice-Mirror", "mine")).expect(200);
    }
    gw.get("/plain").expect(200);
    wait_mirrored(&gw, "ok", 1.0);
    assert_eq!((mirror.seen("/marked"), mirror.seen("/plain")), (0, 1));
    let seen = origin.requests("/marked");
    assert!(
        seen.iter().all(|seen| !seen.has("x-sluice-mirror")),
        "a client cannot say it to an origin"
    );
}

#[test]
fn a_body_in_chunks_is_copied_with_its_length() {
    let origin = Origin::new().otherwise(reply(200).echo());
    let mirror = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&mirrored(&origin, &mirror, ""));
    gw.ask(&Request::new("PATCH", "/").chunked(["in ", "chunks"]))
        .expect(200)
        .body("in chunks");
    wait_mirrored(&gw, "ok", 1.0);
    let copy = mirror.only("/");
    assert_eq!(copy.body.kept, b"in chunks");
    assert_eq!(copy.value("content-length"), Some("9"));
}

#[test]
fn a_mirror_that_fails_hangs_up_or_is_away_changes_nothing_for_clients() {
    for mirror in [
        Origin::down(),
        Origin::new().otherwise(hang_up()),
        Origin::new().otherwise(reply(500)),
    ] {
        let origin = Origin::new().otherwise(reply(200).body("fine"));
        let gw = Gateway::start(&mirrored(&origin, &mirror, ""));
        for _ in 0..3 {
            gw.get("/").expect(200).body("fine");
        }
        wait_mirrored(&gw, "error", 3.0);
        assert_eq!(origin.seen("/"), 3);
    }
}

#[test]
fn a_mirror_that_never_answers_delays_neither_a_client_nor_a_stop() {
    let origin = Origin::new().otherwise(reply(200));
    let mirror = Origin::new().otherwise(never());
    let gw = Gateway::start(&mirrored(&origin, &mirror, ""));
    gw.get("/").expect(200);
    mirror.wait_seen("/", 1);
    assert_eq!(
        gw.server("shadow", mirror.address())["in_flight"],
        1,
        "leases count there"
    );
    assert!(gw.stop());
}

#[test]
fn a_request_whose_origin_fails_is_copied_all_the_same() {
    let origin = Origin::new().otherwise(hang_up());
    let mirror = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&mirrored(&origin, &mirror, ""));
    gw.get("/").expect(502);
    gw.ask(&Request::post("/", "body")).expect(502);
    wait_mirrored(&gw, "ok", 2.0);
}

#[test]
fn a_body_that_is_too_large_is_not_copied_and_counted() {
    let origin = Origin::new().otherwise(reply(200));
    let mirror = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&mirrored(&origin, &mirror, ""));
    gw.ask(&Request::post("/", vec![b'x'; 64 * 1024])).expect(200);
    wait_mirrored(&gw, "ok", 1.0);
    gw.ask(&Request::post("/", vec![b'x'; 64 * 1024 + 1])).expect(200);
    wait_mirrored(&gw, "too_large", 1.0);
    assert_eq!(mirror.total(), 1);
}

#[test]
fn a_body_that_does_not_come_whole_is_not_copied_and_counted() {
    let origin = Origin::new().otherwise(reply(200));
    let mirror = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&mirrored(&origin, &mirror, ""));
    let mut client = gw.connect();
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100\r\n\r\nonly so much");
    origin.wait_received("/", 12);
    drop(client);
    wait_mirrored(&gw, "unfinished", 1.0);
    assert_eq!(mirror.total(), 0);
}

#[test]
fn what_the_guards_refuse_is_not_copied_and_what_the_cache_answers_is() {
    let origin = Origin::new().otherwise(reply(200).header("Cache-Control", "max-age=60").body("x"));
    let mirror = Origin::new().otherwise(reply(200));
    let cached = "[routes.cache]\nstore = \"edge\"";
    let gw = Gateway::start(&format!(
        "[caches.edge]\nmemory = \"1MiB\"\n{}",
        mirrored(&origin, &mirror, cached)
    ));
    for _ in 0..3 {
        gw.get("/a").expect(200);
    }
    wait_mirrored(&gw, "ok", 3.0);
    assert_eq!((origin.seen("/a"), mirror.seen("/a")), (1, 3));

    gw.reload(&mirrored(&origin, &mirror, "deny = [\"127.0.0.0/8\"]"))
        .unwrap();
    gw.get("/b").expect(403);
    gw.get("/b").expect(403);
    assert_eq!(mirror.seen("/b"), 0);
}

#[test]
fn copies_beyond_so_many_at_once_are_left_out_and_counted() {
    let gate = Gate::new();
    let origin = Origin::new().otherwise(reply(200));
    let mirror = Origin::new().otherwise(reply(200).after(&gate));
    let mut gw = Gateway::start(&format!(
        "[server]\nthreads = 1\n{}",
        mirrored(&origin, &mirror, "")
    ));
    let mut client = gw.connect();
    for _ in 0..260 {
        client.ask(&Request::get("/")).expect(200);
    }
    wait_mirrored(&gw, "busy", 4.0);
    gate.open();
    wait_mirrored(&gw, "ok", 256.0);
    gw.may_end_unclean();
}
