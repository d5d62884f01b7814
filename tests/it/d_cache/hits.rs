//! What is stored and fresh is answered without the origin, as the origin answered it.

use harness::origin::reply;
use harness::{Gate, Gateway, Origin, Request};

use super::{end_to_end, forwarded, get_with, hit, kept, lasting, said, secs, settle};

#[test]
fn the_second_get_is_the_first_answer_with_its_age_and_the_origin_hears_of_one() {
    let script = lasting("the page")
        .header("Content-Type", "text/plain")
        .header("ETag", "\"a\"")
        .header("X-Own", "1")
        .header("X-Own", "2")
        .header("Link", "</a>; rel=next");
    let origin = Origin::new().on("/a", script);
    let gw = Gateway::start_with_manual_clock(&kept(&origin, ""));

    let first = gw.get("/a");
    first.expect(200).body("the page").no_header("age");
    assert_eq!(said(&first), "fwd=uri-miss; stored");
    gw.advance(secs(5));
    let second = gw.get("/a");
    assert_eq!(hit(second.expect(200).body("the page")), 5);
    assert_eq!(said(&second), "hit; ttl=3595");
    assert_eq!(end_to_end(&second), end_to_end(&first));
    assert_eq!(
        second.value("date"),
        first.value("date"),
        "Date is when it was made"
    );
    assert_ne!(second.value("x-request-id"), first.value("x-request-id"));
    assert_eq!(origin.seen("/a"), 1);
}

#[test]
fn get_and_head_answer_for_each_other() {
    let origin = Origin::new().otherwise(lasting("the page").header("ETag", "\"a\""));
    let gw = Gateway::start_with_manual_clock(&kept(&origin, ""));

    for (target, [first, second]) in [("/get", ["GET", "HEAD"]), ("/head", ["HEAD", "GET"])] {
        let mut client = gw.connect();
        let first = client.ask(&Request::new(first, target));
        forwarded(first.expect(200).header("content-length", "8"), "uri-miss");
        settle(&gw);
        let second = client.ask(&Request::new(second, target));
        hit(second.expect(200).header("content-length", "8"));
        assert_eq!(end_to_end(&first), end_to_end(&second));
        client.ask(&Request::get(target)).expect(200).body("the page");
        assert_eq!(
            origin.only(target).method,
            "GET",
            "what is kept was asked for by GET"
        );
    }
}

#[test]
fn a_head_is_answered_when_the_head_is_there_and_the_body_is_kept_behind_it() {
    let gate = Gate::new();
    let script = reply(200)
        .header("Cache-Control", "max-age=60")
        .body("ab")
        .pause(&gate)
        .body("cd");
    let origin = Origin::new().on("/a", script);
    let gw = Gateway::start(&kept(&origin, ""));

    let mut client = gw.connect();
    client
        .ask(&Request::head("/a"))
        .expect(200)
        .header("content-length", "4");
    gate.open();
    client.ask(&Request::get("/a")).expect(200).body("abcd");
    client.ask(&Request::get("/a")).expect(200).body("abcd");
    assert_eq!(origin.seen("/a"), 1);
}

#[test]
fn a_head_whose_answer_is_not_kept_gets_the_head_alone_and_its_connection_goes_on() {
    let gate = Gate::new();
    let script = reply(200)
        .header("Cache-Control", "no-store")
        .body("ab")
        .pause(&gate)
        .body("cd");
    let origin = Origin::new().on("/a", script).on("/b", lasting("b"));
    let gw = Gateway::start(&kept(&origin, ""));

    let mut client = gw.connect();
    for _ in 0..2 {
        let head = client.ask(&Request::head("/a"));
        head.expect(200)
            .header("content-length", "4")
            .header("cache-control", "no-store");
        client.ask(&Request::get("/b")).expect(200).body("b");
    }
    gate.open();
    client.ask(&Request::get("/a")).expect(200).body("abcd");
}

#[test]
fn pipelined_requests_get_their_own_answers_in_order_hits_and_misses_alike() {
    let origin = Origin::new();
    for target in ["/a", "/b", "/c"] {
        origin.set(
            target,
            lasting(&format!("this is {target}")).header("ETag", "\"e\""),
        );
    }
    let gw = Gateway::start(&kept(&origin, ""));
    gw.get("/a").expect(200);
    gw.get("/b").expect(200);

    let requests = [
        Request::get("/a"),
        Request::head("/b"),
        Request::get("/c"),
        get_with("/a", "If-None-Match", "\"e\""),
        get_with("/b", "Range", "bytes=8-"),
        Request::head("/none"),
        Request::get("/b"),
        Request::get("/c"),
    ];
    let mut client = gw.connect();
    client.send(requests.iter().flat_map(Request::bytes).collect::<Vec<_>>());
    client.response().expect(200).body("this is /a");
    client
        .response_to("HEAD")
        .expect(200)
        .header("content-length", "10")
        .body("");
    client.response().expect(200).body("this is /c");
    client.response().expect(304).body("");
    client.response().expect(206).body("/b");
    client.response_to("HEAD").expect(404);
    client.response().expect(200).body("this is /b");
    client.response().expect(200).body("this is /c");
    assert_eq!(["/a", "/b", "/c"].map(|path| origin.seen(path)), [1, 1, 1]);
}

#[test]
fn a_hundred_pipelined_hits_are_a_hundred_answers() {
    let origin = Origin::new().on("/a", lasting("a").pattern(10_000));
    let gw = Gateway::start(&kept(&origin, ""));
    let first = gw.get("/a");

    let mut client = gw.connect();
    let all = Request::get("/a").bytes().repeat(100);
    client.send(all);
    for _ in 0..100 {
        let response = client.response();
        hit(response.expect(200));
        assert_eq!(response.message.body, first.message.body);
    }
    assert_eq!(origin.total(), 1);
}

#[test]
fn an_http_1_0_client_gets_hits_and_misses_whose_end_it_can_tell() {
    let chunked = reply(200)
        .header("Cache-Control", "max-age=60")
        .chunked()
        .body("ab")
        .body("cd");
    let origin = Origin::new()
        .on("/known", lasting("abcd"))
        .on("/unknown", chunked);
    let gw = Gateway::start(&kept(&origin, ""));

    for target in ["/known", "/unknown"] {
        for _ in 0..2 {
            let mut client = gw.connect();
            client
                .ask(&Request::get(target).http10())
                .expect(200)
                .body("abcd");
            client.expect_closed();
        }
        settle(&gw);
        hit(&gw.get(target));
        assert_eq!(origin.seen(target), 1, "{target}");
    }
    let mut client = gw.connect();
    let keeping = Request::get("/known").http10().header("Connection", "keep-alive");
    for _ in 0..2 {
        hit(client.ask(&keeping).expect(200).body("abcd"));
    }
}

#[test]
fn hits_are_logged_and_counted_like_everything_else() {
    let origin = Origin::new()
        .on("/a", lasting("hello").header("X-Kind", "kept"))
        .on("/b", reply(200).header("Cache-Control", "no-store"));
    let gw = Gateway::start(&kept(&origin, "bypass = { headers = [\"X-By\"] }"));

    let mut client = gw.connect();
    client.ask(&Request::get("/a")).expect(200);
    client.ask(&Request::get("/a?")).expect(200);
    let hit = client.ask(&Request::get("/a"));
    client.ask(&get_with("/a", "If-None-Match", "*")).expect(304);
    client.ask(&Request::get("/b")).expect(200);
    client.ask(&get_with("/a", "X-By", "1")).expect(200);
    client.ask(&Request::post("/a", "x")).expect(200);

    let lines = gw.log_objects(7);
    let results: Vec<_> = lines
        .iter()
        .map(|line| line["cache"].as_str().unwrap_or("-"))
        .collect();
    assert_eq!(
        results,
        ["miss", "miss", "hit", "hit", "uncacheable", "bypass", "bypass"]
    );
    for (key, value) in [("route", "all"), ("method", "GET"), ("path", "/a")] {
        assert_eq!(lines[2][key], value, "{key} of {:#}", lines[2]);
    }
    assert_eq!(
        (&lines[2]["status"], &lines[2]["bytes_sent"]),
        (&200.into(), &5.into())
    );
    assert_eq!(
        (&lines[3]["status"], &lines[3]["bytes_sent"]),
        (&304.into(), &0.into())
    );
    assert_eq!(lines[2]["request_id"].as_str(), hit.value("x-request-id"));
    let metrics = gw.metrics();
    for (result, n) in [("hit", 2.0), ("miss", 2.0), ("uncacheable", 1.0), ("bypass", 2.0)] {
        let labels = [("cache", "edge"), ("result", result)];
        assert_eq!(metrics.sum("sluice_cache_requests_total", &labels), n, "{result}");
    }
    let ok = [("route", "all"), ("method", "GET"), ("status", "200")];
    assert_eq!(metrics.sum("sluice_requests_total", &ok), 5.0);
    let edge = &gw.status()["caches"]["edge"];
    assert_eq!((&edge["hits"], &edge["misses"]), (&2.into(), &2.into()));
}

#[test]
fn a_log_line_of_a_hit_has_the_fields_of_what_was_stored() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("own.log");
    let origin = Origin::new().on("/a", lasting("hello").header("X-Kind", "kept"));
    let gw = Gateway::start(&format!(
        "[access_log]\npath = {log:?}\nformat = \"${{cache}} ${{status}} ${{response_header:x-kind}} ${{bytes_sent}}\"\n{}",
        kept(&origin, "")
    ));

    let mut client = gw.connect();
    for _ in 0..2 {
        client.ask(&Request::get("/a")).expect(200);
    }
    let lines = harness::gateway::lines_of(&log, 2);
    assert_eq!(lines, ["miss 200 kept 5", "hit 200 kept 5"]);
}

#[test]
fn a_route_s_edits_are_made_for_each_client_and_not_kept() {
    let script = lasting("x")
        .header("X-Gone", "1")
        .header("X-Old", "1")
        .header("X-Both", "theirs");
    let origin = Origin::new().on("/a", script);
    let edited =
        |edits: &str| kept(&origin, "").replace("[routes.cache]", &format!("{edits}\n[routes.cache]"));
    let gw = Gateway::start_with_manual_clock(&edited(
        r#"response_headers = { set = { X-Old = "new", Cache-Control = "no-cache", X-For = "${request_id}" }, add = { X-Both = "ours" }, remove = ["X-Gone"] }"#,
    ));

    for n in 0..3 {
        let response = gw.get("/a");
        response
            .expect(200)
            .body("x")
            .header("x-old", "new")
            .no_header("x-gone");
        response.header("cache-control", "no-cache");
        assert_eq!(
            response.head.all("x-both").collect::<Vec<_>>(),
            ["theirs", "ours"],
            "{n}"
        );
        assert_eq!(
            response.value("x-for"),
            response.value("x-request-id"),
            "each its own"
        );
    }
    assert_eq!(
        origin.seen("/a"),
        1,
        "what the origin said decides, not what the route makes of it"
    );

    gw.reload(&edited(
        "response_headers = { remove = [\"Cache-Status\", \"Age\"] }",
    ))
    .unwrap();
    for request in [
        Request::get("/a"),
        get_with("/a", "Range", "bytes=0-"),
        Request::get("/new"),
    ] {
        let response = gw.ask(&request);
        response.no_header("cache-status").no_header("age");
    }
    let plain = gw.get("/a");
    plain
        .header("x-gone", "1")
        .header("x-old", "1")
        .header("x-both", "theirs")
        .no_header("x-for");
    assert_eq!(origin.seen("/a"), 1);
}

#[test]
fn a_sticky_cookie_is_nobody_else_s() {
    let origin = Origin::new()
        .on("/a", lasting("a"))
        .on("/own", reply(200).header("Cache-Control", "private"));
    let toml = kept(&origin, "").replace(
        "[upstreams.origin]",
        "[upstreams.origin]\nsticky_cookie = \"srv\"",
    );
    let gw = Gateway::start(&toml);

    gw.get("/a").expect(200);
    for method in ["GET", "HEAD"] {
        let response = gw.ask(&Request::new(method, "/a"));
        hit(response.expect(200).no_header("set-cookie"));
    }
    // An answer for one client binds it as always.
    assert!(
        gw.get("/own")
            .value("set-cookie")
            .is_some_and(|c| c.starts_with("srv="))
    );
    assert_eq!(origin.seen("/a"), 1);
}

#[test]
fn a_route_s_time_ends_the_wait_and_what_comes_too_late_is_nobody_s() {
    let gate = Gate::new();
    let origin = Origin::new()
        .on("/a", lasting("late").after(&gate))
        .then("/a", lasting("anew"));
    let toml = kept(&origin, "").replace("[routes.cache]", "timeout = \"1500ms\"\n[routes.cache]");
    let gw = Gateway::start(&toml);

    let mut client = gw.connect();
    client.ask(&Request::get("/a")).expect(504).problem();
    gate.open();
    client.ask(&Request::get("/a")).expect(200).body("anew");
    hit(client.ask(&Request::get("/a")).expect(200).body("anew"));
    assert_eq!(origin.seen("/a"), 2);
}

#[test]
fn an_answer_without_a_body_is_kept_too() {
    let origin = Origin::new()
        .on("/204", reply(204).header("Cache-Control", "max-age=60"))
        .on("/empty", lasting(""))
        .on(
            "/301",
            reply(301)
                .header("Cache-Control", "max-age=60")
                .header("Location", "/b"),
        );
    let gw = Gateway::start(&kept(&origin, ""));

    let mut client = gw.connect();
    for (target, status) in [("/204", 204), ("/empty", 200), ("/301", 301)] {
        let first = client.ask(&Request::get(target));
        for method in ["GET", "HEAD"] {
            let second = client.ask(&Request::new(method, target));
            hit(second.expect(status).body(""));
            assert_eq!(end_to_end(&second), end_to_end(&first), "{target}");
        }
        assert_eq!(origin.seen(target), 1, "{target}");
    }
}

#[test]
fn interim_answers_and_trailers_do_no_harm() {
    let script = lasting("")
        .interim(103, &[("Link", "</style.css>; rel=preload")])
        .chunked()
        .body("ab")
        .body("c")
        .trailer("X-Sum", "9");
    let origin = Origin::new().on("/a", script);
    let gw = Gateway::start(&kept(&origin, ""));

    let mut client = gw.connect();
    let first = client.ask(&Request::get("/a"));
    first.expect(200).body("abc");
    assert_eq!(first.interims.len(), 1);
    let second = client.ask(&Request::get("/a"));
    hit(second.expect(200).body("abc").header("content-length", "3"));
    assert!(second.interims.is_empty());
}

#[test]
fn the_connection_of_an_origin_is_used_again_after_a_fill() {
    let origin = Origin::new().otherwise(lasting("x"));
    let gw = Gateway::start(&kept(&origin, ""));

    let mut client = gw.connect();
    for n in 0..5 {
        client.ask(&Request::get(&format!("/{n}"))).expect(200).body("x");
        settle(&gw);
    }
    assert_eq!((origin.total(), origin.connections()), (5, 1));
}
