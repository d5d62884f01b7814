//! Asking the origin whether what is stored still holds, and answering the clients' own conditions (RFC 9111 §4.3).

use harness::origin::{Script, reply};
use harness::{Gate, Gateway, Origin, Request};

use super::{date, end_to_end, forwarded, get_with, hit, kept, lasting, said, secs, settle, wait_waiting};

/// Fresh for ten seconds, with both validators.
fn old(body: &str) -> Script {
    reply(200)
        .header("Cache-Control", "max-age=10")
        .header("ETag", "\"a\"")
        .header("Last-Modified", &date(-1000))
        .header("X-Version", "1")
        .header("X-Only-Old", "1")
        .header("Content-Type", "text/plain")
        .body(body)
}

#[test]
fn the_origin_is_asked_with_the_validators_and_a_304_renews_all_fields() {
    let renewed = reply(304)
        .header("Cache-Control", "max-age=20")
        .header("ETag", "\"a\"")
        .header("X-Version", "2")
        .header("X-New", "1")
        .header("Content-Type", "text/html");
    let origin = Origin::new().on("/a", old("stored")).then("/a", renewed);
    let gw = Gateway::start_with_manual_clock(&kept(&origin, ""));
    gw.get("/a").expect(200);
    gw.advance(secs(10));

    let confirmed = gw.get("/a");
    confirmed.expect(200).body("stored").header("content-length", "6");
    assert_eq!(said(&confirmed), "fwd=stale; fwd-status=304; stored");
    let asked = &origin.requests("/a")[1];
    assert_eq!(asked.value("if-none-match"), Some("\"a\""));
    assert_eq!(asked.value("if-modified-since"), Some(date(-1000).as_str()));

    let next = gw.get("/a");
    assert_eq!(said(&next), "hit; ttl=20");
    for response in [&confirmed, &next] {
        response
            .header("x-version", "2")
            .header("x-new", "1")
            .header("x-only-old", "1");
        response
            .header("cache-control", "max-age=20")
            .header("content-type", "text/html");
        response
            .header("last-modified", &date(-1000))
            .header("date", &date(10));
        response.body("stored");
    }
    assert_eq!(origin.seen("/a"), 2);
}

#[test]
fn a_200_takes_the_place_of_what_was_stored() {
    let new = lasting("a new one").header("ETag", "\"b\"");
    let origin = Origin::new().on("/a", old("stored")).then("/a", new);
    let gw = Gateway::start_with_manual_clock(&kept(&origin, ""));
    gw.get("/a").expect(200);
    gw.advance(secs(10));

    let replaced = gw.get("/a");
    assert_eq!(said(replaced.expect(200).body("a new one")), "fwd=stale; stored");
    let next = gw.get("/a");
    hit(next
        .expect(200)
        .body("a new one")
        .header("etag", "\"b\"")
        .no_header("x-version"));
    assert_eq!(end_to_end(&next), end_to_end(&replaced));
    assert_eq!(gw.status()["caches"]["edge"]["objects"], 1);
}

#[test]
fn an_answer_that_may_not_be_kept_ends_what_was_stored() {
    let origin = Origin::new()
        .on("/a", old("stored"))
        .then(
            "/a",
            reply(200).header("Cache-Control", "no-store").body("private"),
        )
        .then(
            "/a",
            reply(200).header("Cache-Control", "no-store").body("another"),
        );
    let gw = Gateway::start_with_manual_clock(&kept(&origin, ""));
    gw.get("/a").expect(200);
    gw.advance(secs(10));

    gw.get("/a").expect(200).body("private");
    gw.ask(&get_with("/a", "Cache-Control", "max-stale"))
        .expect(200)
        .body("another");
    assert_eq!(gw.status()["caches"]["edge"]["objects"], 0);
}

#[test]
fn a_304_without_a_word_renews_by_what_was_said_before() {
    let origin = Origin::new().on("/a", old("stored")).then("/a", reply(304));
    let gw = Gateway::start_with_manual_clock(&kept(&origin, ""));
    gw.get("/a").expect(200);
    for n in 1..4 {
        gw.advance(secs(10));
        forwarded(
            gw.get("/a").expect(200).body("stored").header("x-version", "1"),
            "stale",
        );
        gw.advance(secs(9));
        assert_eq!(hit(gw.get("/a").expect(200).body("stored")), 9);
        gw.advance(secs(1));
        assert_eq!(origin.seen("/a"), n + 1);
        // The next round finds it ten seconds old again, or more.
    }
}

#[test]
fn a_304_about_something_else_is_not_believed() {
    for strange in [
        reply(304).header("ETag", "\"other\""),
        reply(304).header("Last-Modified", &date(-1)),
    ] {
        let origin = Origin::new()
            .on("/a", old("stored"))
            .then("/a", strange)
            .then("/a", lasting("anew").header("ETag", "\"c\""));
        let gw = Gateway::start_with_manual_clock(&kept(&origin, ""));
        gw.get("/a").expect(200);
        gw.advance(secs(10));

        gw.get("/a").expect(200).body("anew");
        hit(gw.get("/a").expect(200).body("anew").header("etag", "\"c\""));
        let asked = origin.requests("/a");
        assert_eq!(asked.len(), 3);
        assert!(!asked[2].has("if-none-match") && !asked[2].has("if-modified-since"));
    }
}

#[test]
fn an_origin_that_only_ever_says_304_to_nothing_is_a_bad_gateway() {
    let origin = Origin::new().on("/a", reply(304));
    let gw = Gateway::start(&kept(&origin, ""));

    let mut client = gw.connect();
    client.ask(&Request::get("/a")).expect(502).problem();
    client.ask(&Request::get("/a")).expect(502).problem();
    assert_eq!(origin.seen("/a"), 2);
}

#[test]
fn a_304_that_forbids_to_keep_serves_this_client_and_no_other() {
    for (name, value) in [
        ("Cache-Control", "no-store"),
        ("Cache-Control", "private"),
        ("Set-Cookie", "id=1"),
    ] {
        let origin = Origin::new()
            .on("/a", old("stored"))
            .then("/a", reply(304).header("ETag", "\"a\"").header(name, value))
            .then("/a", lasting("anew"));
        let gw = Gateway::start_with_manual_clock(&kept(&origin, ""));
        gw.get("/a").expect(200);
        gw.advance(secs(10));

        gw.get("/a").expect(200).body("stored");
        gw.get("/a").expect(200).body("anew");
        assert!(!origin.requests("/a")[2].has("if-none-match"), "{name}: {value}");
    }
}

#[test]
fn a_client_s_condition_is_answered_from_what_is_stored() {
    let origin = Origin::new()
        .on("/a", old("stored"))
        .on("/weak", lasting("w").header("ETag", "W/\"a\""));
    let gw = Gateway::start_with_manual_clock(&kept(&origin, ""));
    let whole = gw.get("/a");
    gw.get("/weak").expect(200);

    let mut client = gw.connect();
    for (target, name, value, status) in [
        ("/a", "If-None-Match", "\"a\"".to_owned(), 304),
        ("/a", "If-None-Match", "W/\"a\"".to_owned(), 304),
        ("/a", "If-None-Match", "\"x\", \"a\"".to_owned(), 304),
        ("/a", "If-None-Match", "*".to_owned(), 304),
        ("/a", "If-None-Match", "\"b\"".to_owned(), 200),
        ("/weak", "If-None-Match", "\"a\"".to_owned(), 304),
        ("/a", "If-Modified-Since", date(-1000), 304),
        ("/a", "If-Modified-Since", date(-1), 304),
        ("/a", "If-Modified-Since", date(-1001), 200),
        ("/a", "If-Modified-Since", "nonsense".to_owned(), 200),
        ("/a", "If-Match", "\"a\"".to_owned(), 200),
        ("/a", "If-Unmodified-Since", date(-1000), 200),
    ] {
        for method in ["GET", "HEAD"] {
            let response = client.ask(&Request::new(method, target).header(name, &value));
            hit(response.expect(status));
            if status == 304 {
                let tag = if target == "/a" { "\"a\"" } else { "W/\"a\"" };
                response
                    .header("etag", tag)
                    .no_header("content-type")
                    .no_header("content-length")
                    .body("");
                assert_eq!(response.head.all("cache-control").count(), 1);
            } else if method == "GET" {
                response.body("stored");
                assert_eq!(end_to_end(&response), end_to_end(&whole), "{name}: {value}");
            }
        }
    }
    let both = Request::get("/a")
        .header("If-None-Match", "\"b\"")
        .header("If-Modified-Since", &date(-1));
    client.ask(&both).expect(200).body("stored");
    assert_eq!((origin.seen("/a"), origin.seen("/weak")), (1, 1));
}

#[test]
fn a_condition_that_what_is_stored_fails_is_the_origin_s_to_judge() {
    let origin = Origin::new()
        .on("/a", old("stored"))
        .then("/a", reply(412).body("changed"));
    let gw = Gateway::start_with_manual_clock(&kept(&origin, ""));
    gw.get("/a").expect(200);

    for (n, (name, value)) in [
        ("If-Match", "\"b\"".to_owned()),
        ("If-Unmodified-Since", date(-1001)),
    ]
    .iter()
    .enumerate()
    {
        let response = gw.ask(&get_with("/a", name, value));
        assert_eq!(
            said(response.expect(412).body("changed")),
            "fwd=request; detail=precondition"
        );
        let asked = origin.requests("/a").remove(n + 1);
        assert_eq!(asked.value(name), Some(value.as_str()));
    }
    hit(gw.get("/a").expect(200).body("stored"));
}

#[test]
fn a_client_s_condition_never_reaches_the_origin_of_what_is_to_be_kept() {
    let origin = Origin::new().on("/a", old("stored"));
    let gw = Gateway::start_with_manual_clock(&kept(&origin, ""));

    let mine = Request::get("/a")
        .header("If-None-Match", "\"a\"")
        .header("If-Modified-Since", &date(0));
    // It is a miss, and still the client need not be sent what it has.
    forwarded(
        gw.ask(&mine).expect(304).body("").header("etag", "\"a\""),
        "uri-miss",
    );
    let asked = origin.only("/a");
    assert!(!asked.has("if-none-match") && !asked.has("if-modified-since"));
    settle(&gw);
    hit(gw.get("/a").expect(200).body("stored"));

    gw.advance(secs(10));
    gw.ask(&get_with("/a", "If-None-Match", "\"mine\""))
        .expect(200)
        .body("stored");
    assert_eq!(origin.requests("/a")[1].value("if-none-match"), Some("\"a\""));
}

#[test]
fn a_confirmed_answer_meets_the_client_s_condition_or_range() {
    let origin = Origin::new().on("/a", old("stored")).then("/a", reply(304));
    let gw = Gateway::start_with_manual_clock(&kept(&origin, ""));
    gw.get("/a").expect(200);

    for (name, value, status, body) in [
        ("If-None-Match", "\"a\"", 304, ""),
        ("Range", "bytes=1-2", 206, "to"),
        ("If-None-Match", "\"x\"", 200, "stored"),
    ] {
        gw.advance(secs(10));
        forwarded(
            gw.ask(&get_with("/a", name, value)).expect(status).body(body),
            "stale",
        );
    }
    assert_eq!(origin.seen("/a"), 4);
}

#[test]
fn many_who_find_it_stale_ask_once() {
    let gate = Gate::new();
    let origin = Origin::new()
        .on("/a", old("stored"))
        .then("/a", reply(304).after(&gate));
    let gw = Gateway::start_with_manual_clock(&kept(&origin, ""));
    gw.get("/a").expect(200);
    gw.advance(secs(10));

    let herd = gw.get_many(20, "/a");
    wait_waiting(&gw, 19);
    gate.open();
    for pending in herd {
        pending.response().expect(200).body("stored");
    }
    assert_eq!(origin.seen("/a"), 2);
}

#[test]
fn what_has_no_validators_is_fetched_anew() {
    let plain = |n: u32| {
        reply(200)
            .header("Cache-Control", "max-age=10")
            .body(format!("v{n}"))
    };
    let origin = Origin::new().on("/a", plain(1)).then("/a", plain(2));
    let gw = Gateway::start_with_manual_clock(&kept(&origin, ""));

    gw.get("/a").expect(200).body("v1");
    gw.advance(secs(10));
    gw.get("/a").expect(200).body("v2");
    assert!(!origin.requests("/a")[1].has("if-none-match"));
    hit(gw.get("/a").expect(200).body("v2"));
}

#[test]
fn an_origin_s_error_is_shown_and_does_not_take_the_place_of_what_is_stored() {
    let origin = Origin::new()
        .on("/a", old("stored"))
        .then("/a", reply(500).body("broken"))
        .then("/a", reply(304));
    let gw = Gateway::start_with_manual_clock(&kept(&origin, ""));
    gw.get("/a").expect(200);
    gw.advance(secs(10));

    gw.get("/a").expect(500).body("broken");
    gw.get("/a").expect(200).body("stored");
    assert_eq!(origin.requests("/a")[2].value("if-none-match"), Some("\"a\""));
}

#[test]
fn a_304_to_a_question_without_conditions_confirms_nothing() {
    let plain = |control: &str, body: &str| reply(200).header("Cache-Control", control).body(body);
    let origin = Origin::new()
        .on("/a", plain("max-age=10", "old"))
        .then("/a", reply(304).header("Cache-Control", "max-age=3600"))
        .then("/a", plain("max-age=10", "new"))
        .on("/b", plain("max-age=10, stale-if-error=600", "old"))
        .then("/b", reply(304).header("Cache-Control", "max-age=3600"))
        .then("/b", plain("max-age=10", "new"));
    let gw = Gateway::start_with_manual_clock(&kept(&origin, ""));
    gw.get("/a").expect(200).body("old");
    gw.get("/b").expect(200).body("old");
    gw.advance(secs(20));

    gw.get("/a").expect(502).problem();
    assert_eq!(
        said(gw.get("/b").expect(200).body("old")),
        "hit; ttl=-10; detail=stale-if-error"
    );
    for target in ["/a", "/b"] {
        gw.get(target).expect(200).body("new");
        assert_eq!(origin.seen(target), 3);
        assert!(!origin.requests(target)[1].has("if-none-match"));
    }
}

/// Of a route with a time of its own, whose origin says nothing.
fn unsaid(body: &str) -> Script {
    reply(200).header("ETag", "\"a\"").body(body)
}

#[test]
fn one_who_may_not_share_an_answer_does_not_take_it_from_those_who_may() {
    let authorized = ("Authorization", "Basic eDp5");
    for (name, value) in [("Cookie", "session=1"), authorized] {
        for (answer, body) in [(reply(304), "for all"), (unsaid("for one"), "for one")] {
            let origin = Origin::new()
                .on("/a", unsaid("for all"))
                .then("/a", answer)
                .then("/a", reply(304));
            let gw = Gateway::start_with_manual_clock(&kept(&origin, "ttl = \"10s\""));
            gw.get("/a").expect(200);
            gw.advance(secs(20));

            gw.ask(&get_with("/a", name, value)).expect(200).body(body);
            forwarded(gw.get("/a").expect(200).body("for all"), "stale");
            hit(gw.get("/a").expect(200).body("for all"));
            let asked = origin.requests("/a");
            assert_eq!(asked.len(), 3, "{name} {body}");
            assert_eq!(asked[2].value("if-none-match"), Some("\"a\""), "{name} {body}");
        }
    }
}

#[test]
fn one_who_may_not_share_an_answer_leaves_it_to_others_when_it_is_fetched_behind_him() {
    let origin = Origin::new().on("/a", unsaid("for all")).then("/a", reply(304));
    let rule = "ttl = \"10s\"\nstale_while_revalidate = \"600s\"";
    let gw = Gateway::start_with_manual_clock(&kept(&origin, rule));
    gw.get("/a").expect(200);
    gw.advance(secs(20));

    let with_cookie = get_with("/a", "Cookie", "session=1");
    hit(gw.ask(&with_cookie).expect(200).body("for all"));
    origin.wait_seen("/a", 2);
    settle(&gw);
    hit(gw.get("/a").expect(200).body("for all"));
    origin.wait_seen("/a", 3);
    assert_eq!(origin.requests("/a")[2].value("if-none-match"), Some("\"a\""));
}

#[test]
fn what_was_for_all_by_its_origin_s_word_goes_when_the_word_is_taken_back() {
    let authorized = ("Authorization", "Basic eDp5");
    for (name, value) in [("Cookie", "session=1"), authorized] {
        let origin = Origin::new()
            .on("/a", unsaid("for all").header("Cache-Control", "public"))
            .then("/a", reply(304).header("Cache-Control", "max-stale=1"))
            .then("/a", unsaid("anew"));
        let gw = Gateway::start_with_manual_clock(&kept(&origin, "ttl = \"10s\""));
        gw.get("/a").expect(200);
        gw.advance(secs(20));

        gw.ask(&get_with("/a", name, value)).expect(200).body("for all");
        forwarded(gw.get("/a").expect(200).body("anew"), "uri-miss");
        assert!(!origin.requests("/a")[2].has("if-none-match"), "{name}");
    }
}
