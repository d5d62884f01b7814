//! What an origin's answer to an unsafe request makes obsolete (RFC 9111 §4.4, RFC 9875).

use harness::origin::{Script, hang_up, reply};
use harness::{Gate, Gateway, Origin, Request};

use super::{get_with, hit, kept, lasting, settle};

/// Everything is kept, and POST to "/write" is answered like this.
fn written(answer: Script) -> (Origin, Gateway) {
    let origin = Origin::new().otherwise(lasting("x")).on("/write", answer);
    let gw = Gateway::start(&kept(&origin, ""));
    (origin, gw)
}

/// How often the origin has been asked for each after they were all stored, something was done, and they were asked for
/// again.
#[track_caller]
fn asked<const N: usize>(
    origin: &Origin,
    gw: &Gateway,
    targets: [&str; N],
    act: impl FnOnce(),
) -> [usize; N] {
    for target in targets {
        gw.get(target);
    }
    settle(gw);
    let before = targets.map(|target| of_target(origin, target));
    act();
    for target in targets {
        gw.get(target);
    }
    let mut at = 0;
    targets.map(|target| {
        at += 1;
        of_target(origin, target) - before[at - 1]
    })
}

fn of_target(origin: &Origin, target: &str) -> usize {
    let path = target.split('?').next().unwrap_or(target);
    let requests = origin.requests(path);
    requests
        .iter()
        .filter(|seen| seen.target == target && seen.method == "GET")
        .count()
}

#[test]
fn an_unsafe_method_that_succeeds_makes_its_target_obsolete_and_no_other() {
    for method in ["POST", "PUT", "DELETE", "PATCH", "FROBNICATE"] {
        for status in [200, 201, 204, 302] {
            let origin = Origin::new().otherwise(lasting("x"));
            let gw = Gateway::start(&kept(&origin, ""));
            let targets = ["/a", "/a?x", "/a/b", "/b"];
            let seen = asked(&origin, &gw, targets, || {
                origin.set("/a", reply(status));
                gw.ask(&Request::new(method, "/a").body("")).expect(status);
                origin.set("/a", lasting("new"));
            });
            assert_eq!(seen, [1, 0, 0, 0], "{method} {status}");
        }
    }
}

#[test]
fn an_error_or_a_safe_method_makes_nothing_obsolete() {
    for (method, status) in [
        ("POST", 400),
        ("PUT", 404),
        ("DELETE", 409),
        ("POST", 500),
        ("POST", 503),
        ("OPTIONS", 200),
    ] {
        let origin = Origin::new().otherwise(lasting("x"));
        let gw = Gateway::start(&kept(&origin, ""));
        let seen = asked(&origin, &gw, ["/a"], || {
            origin.set("/a", reply(status));
            gw.ask(&Request::new(method, "/a").body("")).expect(status);
        });
        assert_eq!(seen, [0], "{method} {status}");
    }
    let (origin, gw) = written(hang_up());
    let seen = asked(&origin, &gw, ["/a"], || {
        _ = gw.ask(&Request::post("/write", "x")).expect(502)
    });
    assert_eq!(seen, [0], "a write of which nothing is known");
}

#[test]
fn what_the_answer_points_to_on_the_same_origin_is_obsolete_too() {
    let targets = ["/list", "/items/5", "/items/new?x=1", "/other"];
    for (name, value, expected) in [
        ("Location", "/items/5", [0, 1, 0, 0]),
        ("Content-Location", "/items/new?x=1", [0, 0, 1, 0]),
        ("Location", "http://a.test/items/5", [0, 1, 0, 0]),
        ("Location", "http://A.TEST:80/items/%35", [0, 1, 0, 0]),
        ("Location", "items/5", [0, 1, 0, 0]),
        ("Location", "//a.test/items/5", [0, 1, 0, 0]),
        ("Location", "http://b.test/items/5", [0, 0, 0, 0]),
        ("Location", "https://a.test/items/5", [0, 0, 0, 0]),
        ("Location", "http://a.test:8080/items/5", [0, 0, 0, 0]),
        ("Content-Location", "//b.test/items/5", [0, 0, 0, 0]),
        ("Content-Location", "nonsense:/items/5", [0, 0, 0, 0]),
    ] {
        let (origin, gw) = written(reply(201).header(name, value));
        let seen = asked(&origin, &gw, targets, || {
            _ = gw.ask(&Request::post("/write", "x")).expect(201)
        });
        assert_eq!(seen, expected, "{name}: {value}");
    }
    let (origin, gw) = written(
        reply(201)
            .header("Location", "/items/5")
            .header("Content-Location", "/list"),
    );
    let seen = asked(&origin, &gw, targets, || {
        _ = gw.ask(&Request::post("/write", "x"))
    });
    assert_eq!(seen, [1, 1, 0, 0]);
}

#[test]
fn an_origin_s_groups_go_together_and_only_its_own() {
    let [a, b] = ["a.test", "b.test"];
    let grouped = |groups: &str| lasting("x").header("Cache-Groups", groups);
    let origin = Origin::new()
        .on("/one", grouped("\"shop\", \"prices\""))
        .on("/two", grouped("\"shop\""))
        .on("/three", grouped("\"Shop\""))
        .on("/none", lasting("x"))
        .on(
            "/write",
            reply(204).header("Cache-Group-Invalidation", "\"shop\""),
        )
        .on(
            "/failed",
            reply(500).header("Cache-Group-Invalidation", "\"prices\""),
        )
        .on("/wrong", reply(204).header("Cache-Group-Invalidation", "shop"));
    let gw = Gateway::start(&kept(&origin, ""));
    let targets = ["/one", "/two", "/three", "/none"];
    for target in targets {
        gw.ask(&Request::get(target).host(b)).expect(200);
    }
    let write = |path: &str| gw.ask(&Request::post(path, "x").host(a));

    assert_eq!(
        asked(&origin, &gw, targets, || _ = write("/wrong").expect(204)),
        [0, 0, 0, 0]
    );
    assert_eq!(
        asked(&origin, &gw, targets, || _ = write("/write").expect(204)),
        [1, 1, 0, 0]
    );
    // RFC 9875 §3 knows no condition on the status.
    assert_eq!(
        asked(&origin, &gw, targets, || _ = write("/failed").expect(500)),
        [1, 0, 0, 0]
    );
    for target in targets {
        hit(&gw.ask(&Request::get(target).host(b)));
    }
    // A GET's answer that says so is none to obey.
    origin.set("/get", reply(200).header("Cache-Group-Invalidation", "\"shop\""));
    assert_eq!(
        asked(&origin, &gw, targets, || _ = gw.get("/get").expect(200)),
        [0, 0, 0, 0]
    );
    let purges = [("cache", "edge"), ("kind", "origin")];
    assert!(gw.metrics().sum("sluice_cache_purges_total", &purges) >= 2.0);
}

#[test]
fn a_write_is_seen_by_whoever_asks_after_its_answer() {
    let gate = Gate::new();
    let origin = Origin::new()
        .on("/a", lasting("before").after(&gate))
        .then("/a", reply(204))
        .then("/a", lasting("after"));
    let gw = Gateway::start(&kept(&origin, ""));

    // The old answer is on its way when the write is done.
    let old = gw.ask_apart(&Request::get("/a"));
    origin.wait_seen("/a", 1);
    gw.ask(&Request::post("/a", "x")).expect(204);
    let new = gw.ask_apart(&Request::get("/a"));
    new.response().expect(200).body("after");
    gate.open();
    old.response().expect(200).body("before");
    settle(&gw);
    hit(gw.get("/a").expect(200).body("after"));
    assert_eq!(origin.seen("/a"), 3);
}

#[test]
fn a_write_while_the_body_of_the_old_answer_comes_is_seen_too() {
    let gate = Gate::new();
    let slow = reply(200)
        .header("Cache-Control", "max-age=3600")
        .body("be")
        .pause(&gate)
        .body("fore");
    let origin = Origin::new()
        .on("/a", slow)
        .then("/a", reply(204))
        .then("/a", lasting("after"));
    let gw = Gateway::start(&kept(&origin, ""));

    let mut old = gw.connect();
    old.send(Request::get("/a").bytes());
    let (_, framing) = old.response_head();
    gw.ask(&Request::new("DELETE", "/a")).expect(204);
    gw.get("/a").expect(200).body("after");
    gate.open();
    assert_eq!(old.response_body(framing).body.text(), "before");
    settle(&gw);
    hit(gw.get("/a").expect(200).body("after"));
}

#[test]
fn a_write_through_another_route_reaches_what_is_kept() {
    let origin = Origin::new().otherwise(lasting("x")).on("/a", lasting("x"));
    let gw = Gateway::start(&format!(
        r#"
        [caches.edge]
        memory = "16MiB"
        [upstreams.origin]
        servers = [{{ address = "{}" }}]
        [[routes]]
        name = "read"
        match = {{ path_prefix = "/", methods = ["GET", "HEAD"] }}
        upstream = "origin"
        cache = {{ store = "edge" }}
        [[routes]]
        name = "write"
        match = {{ path_prefix = "/" }}
        upstream = "origin"
        "#,
        origin.address()
    ));
    let seen = asked(&origin, &gw, ["/a", "/b"], || {
        _ = gw.ask(&Request::post("/a", "x")).expect(200)
    });
    assert_eq!(seen, [1, 0]);
}

#[test]
fn all_variants_of_a_written_target_go() {
    let origin = Origin::new().on("/a", lasting("x").header("Vary", "Accept-Language"));
    let gw = Gateway::start(&kept(&origin, ""));
    let ask = |language: &str| gw.ask(&get_with("/a", "Accept-Language", language));
    ask("de");
    ask("en");
    settle(&gw);
    gw.ask(&Request::new("PUT", "/a").body("x")).expect(200);
    ask("de");
    ask("en");
    assert_eq!(origin.seen("/a"), 5);
}

#[test]
fn a_write_is_never_answered_from_what_is_kept_nor_kept_itself() {
    let origin = Origin::new().on("/a", reply(200).header("Cache-Control", "max-age=60").echo());
    let gw = Gateway::start(&kept(&origin, ""));
    for n in 1..4 {
        let body = format!("body {n}");
        gw.ask(&Request::post("/a", &body)).expect(200).body(&body);
        assert_eq!(origin.seen("/a"), n);
    }
    gw.get("/a").expect(200).body("");
    assert_eq!(origin.seen("/a"), 4);
}
