//! Stale answers: while a newer one is fetched, and while the origin fails (RFC 5861).

use harness::origin::{Greeting, Script, hang_up, never, raw, reply, reset};
use harness::{Gate, Gateway, Origin, Request};

use super::{get_with, hit, kept, lasting, said, secs, settle, wait_waiting};

const WHILE_REVALIDATING: &str = "hit; ttl=-20; detail=stale-while-revalidate";
const ON_ERROR: &str = "hit; ttl=-20; detail=stale-if-error";

/// It closes the connection: on a new one a failure is a failure, and not an idle connection that has ended.
fn old(control: &str) -> Script {
    reply(200)
        .header("Cache-Control", control)
        .header("ETag", "\"a\"")
        .body("old")
        .close()
}

/// The same, where the origin may be silent for a moment only.
fn impatient(origin: &Origin, rule: &str) -> String {
    kept(origin, rule).replace(
        "[upstreams.origin]",
        "[upstreams.origin]\nread_timeout = \"1500ms\"",
    )
}

/// "old" is stored, and thirty seconds old: twenty more than it is fresh.
#[track_caller]
fn aged(toml: &str) -> Gateway {
    let gw = Gateway::start_with_manual_clock(toml);
    gw.get("/a").expect(200).body("old");
    settle(&gw);
    gw.advance(secs(30));
    gw
}

#[test]
fn a_stale_answer_is_served_at_once_and_one_fetch_runs_behind_it() {
    for (rule, control) in [
        ("", "max-age=10, stale-while-revalidate=60"),
        ("stale_while_revalidate = \"60s\"", "max-age=10"),
        (
            "stale_while_revalidate = \"1s\"",
            "max-age=10, stale-while-revalidate=60",
        ),
    ] {
        let gate = Gate::new();
        let origin = Origin::new()
            .on("/a", old(control))
            .then("/a", lasting("new").after(&gate));
        let gw = aged(&kept(&origin, rule));

        for n in 0..10 {
            let response = gw.get("/a");
            assert_eq!(said(response.expect(200).body("old")), WHILE_REVALIDATING);
            assert_eq!(hit(&response), 30, "{n}");
        }
        origin.wait_seen("/a", 2);
        for pending in gw.get_many(10, "/a") {
            pending.response().expect(200).body("old");
        }
        gate.open();
        settle(&gw);
        hit(gw.get("/a").expect(200).body("new"));
        assert_eq!(origin.seen("/a"), 2, "{rule} {control}");
        let edge = &gw.status()["caches"]["edge"];
        assert_eq!(
            (&edge["stale"], &edge["misses"], &edge["hits"]),
            (&20.into(), &1.into(), &1.into())
        );
    }
}

#[test]
fn the_fetch_behind_asks_with_conditions_and_a_304_renews() {
    let origin = Origin::new()
        .on("/a", old("max-age=10, stale-while-revalidate=60"))
        .then("/a", reply(304).header("ETag", "\"a\"").header("X-New", "1"));
    let gw = aged(&kept(&origin, ""));

    gw.ask(&get_with("/a", "If-None-Match", "\"a\"")).expect(304);
    origin.wait_seen("/a", 2);
    settle(&gw);
    assert_eq!(origin.requests("/a")[1].value("if-none-match"), Some("\"a\""));
    let renewed = gw.get("/a");
    assert_eq!(
        said(renewed.expect(200).body("old").header("x-new", "1")),
        "hit; ttl=10"
    );
}

#[test]
fn beyond_its_time_a_stale_answer_waits_for_the_origin() {
    let origin = Origin::new()
        .on("/a", old("max-age=10, stale-while-revalidate=60"))
        .then("/a", lasting("new"));
    let gw = aged(&kept(&origin, ""));
    gw.advance(secs(40));
    gw.get("/a").expect(200).body("new");
}

#[test]
fn a_client_that_wants_it_fresh_does_not_get_it_stale() {
    for wish in ["max-age=60", "min-fresh=1", "no-cache"] {
        let origin = Origin::new()
            .on("/a", old("max-age=10, stale-while-revalidate=60"))
            .then("/a", lasting("new"));
        let gw = aged(&kept(&origin, ""));
        gw.ask(&get_with("/a", "Cache-Control", wish))
            .expect(200)
            .body("new");
    }
}

#[test]
fn a_fetch_behind_that_fails_is_tried_again_by_the_next_and_costs_nobody_anything() {
    let origin = Origin::new()
        .on("/a", old("max-age=10, stale-while-revalidate=600"))
        .then("/a", hang_up())
        .then("/a", reply(500).body("broken"))
        .then(
            "/a",
            reply(200)
                .header("Cache-Control", "max-age=60")
                .claims(9)
                .body("half")
                .hang_up(),
        )
        .then("/a", lasting("new"));
    let gw = aged(&kept(&origin, ""));

    for n in 2..6 {
        gw.get("/a").expect(200).body("old");
        origin.wait_seen("/a", n);
        settle(&gw);
    }
    hit(gw.get("/a").expect(200).body("new"));
    assert_eq!(origin.seen("/a"), 5);
}

#[test]
fn a_fetch_behind_whose_answer_is_not_for_all_takes_the_old_one_away() {
    let origin = Origin::new()
        .on("/a", old("max-age=10, stale-while-revalidate=600"))
        .then("/a", reply(200).header("Cache-Control", "private").body("mine"));
    let gw = aged(&kept(&origin, ""));

    gw.get("/a").expect(200).body("old");
    origin.wait_seen("/a", 2);
    settle(&gw);
    gw.get("/a").expect(200).body("mine");
}

#[test]
fn a_failing_origin_is_covered_by_what_is_stored() {
    let failures: [(&str, Script); 8] = [
        ("500", reply(500).body("broken")),
        ("502", reply(502)),
        ("503", reply(503).header("Retry-After", "5")),
        ("504", reply(504)),
        ("an end", hang_up()),
        ("a reset", reset()),
        ("nonsense", raw("nonsense\r\n\r\n")),
        ("silence", never()),
    ];
    for (rule, control) in [
        ("", "max-age=10, stale-if-error=60"),
        ("stale_if_error = \"60s\"", "max-age=10"),
    ] {
        for (how, failure) in &failures {
            let origin = Origin::new().on("/a", old(control)).then("/a", failure.clone());
            let gw = aged(&impatient(&origin, rule));

            let response = gw.get("/a");
            assert_eq!(said(response.expect(200).body("old")), ON_ERROR, "{how}");
            assert_eq!(hit(&response), 30);
            assert_eq!(origin.seen("/a"), 2, "{how}: it was asked, and once");
        }
    }
}

#[test]
fn a_dead_origin_is_covered_by_what_is_stored_for_as_long_as_it_may() {
    let origin = Origin::new()
        .on("/a", old("max-age=10, stale-if-error=60"))
        .on("/fresh", lasting("fresh"));
    let gw = aged(&kept(&origin, ""));
    gw.get("/fresh").expect(200);
    origin.kill();

    gw.advance(secs(39));
    hit(gw.get("/a").expect(200).body("old"));
    hit(gw.ask(&get_with("/a", "If-None-Match", "\"a\"")).expect(304));
    hit(gw
        .ask(&get_with("/a", "Range", "bytes=1-"))
        .expect(206)
        .body("ld"));
    for pending in gw.get_many(20, "/a") {
        hit(pending.response().expect(200).body("old"));
    }
    gw.advance(secs(1));
    gw.get("/a").expect(502).problem();
    gw.get("/never").expect(502).problem();
    hit(gw.get("/fresh").expect(200).body("fresh"));

    origin.revive();
    gw.get("/a").expect(200).body("old");
    assert_eq!(origin.seen("/a"), 2);
}

#[test]
fn an_origin_that_takes_connections_and_says_nothing_is_covered_too() {
    let origin = Origin::new().on("/a", old("max-age=10, stale-if-error=60"));
    let gw = aged(&impatient(&origin, ""));
    origin.kill();
    origin.greet(Greeting::Ignore);
    origin.revive();

    hit(gw.get("/a").expect(200).body("old"));
    gw.get("/b").expect(504).problem();
}

#[test]
fn other_errors_are_answers() {
    for status in [400, 404, 410, 501] {
        let origin = Origin::new()
            .on("/a", old("max-age=10, stale-if-error=60"))
            .then("/a", reply(status).body("no"));
        let gw = aged(&kept(&origin, ""));
        gw.get("/a").expect(status).body("no");
    }
}

#[test]
fn must_revalidate_forbids_it_whatever_the_rule_says() {
    let rule = "stale_while_revalidate = \"60s\"\nstale_if_error = \"60s\"";
    for control in [
        "max-age=10, must-revalidate",
        "max-age=10, proxy-revalidate",
        "no-cache, max-age=10",
    ] {
        let origin = Origin::new()
            .on("/a", old(control))
            .then("/a", reply(503).body("broken"));
        let gw = aged(&kept(&origin, rule));
        gw.get("/a").expect(503).body("broken");
        origin.kill();
        gw.get("/a").expect(502).problem();
    }
}

#[test]
fn what_is_written_beside_s_maxage_holds() {
    for (rule, control) in [
        ("", "s-maxage=10, stale-if-error=60"),
        ("stale_if_error = \"60s\"", "s-maxage=10"),
    ] {
        let origin = Origin::new().on("/a", old(control)).then("/a", reply(503));
        let gw = aged(&kept(&origin, rule));
        assert_eq!(said(gw.get("/a").expect(200).body("old")), ON_ERROR);
    }
}

#[test]
fn who_reloads_by_force_sees_the_error() {
    let control = "max-age=100, stale-if-error=60";
    let origin = Origin::new()
        .on("/a", old(control))
        .then("/a", reply(503).body("broken"));
    let gw = aged(&kept(&origin, ""));
    gw.ask(&get_with("/a", "Cache-Control", "no-cache"))
        .expect(503)
        .body("broken");
    hit(gw.get("/a").expect(200).body("old"));
}

#[test]
fn all_who_wait_for_a_failure_get_the_stale_answer() {
    for failure in [reply(503), hang_up()] {
        let gate = Gate::new();
        let origin = Origin::new()
            .on("/a", old("max-age=10, stale-if-error=60"))
            .then("/a", failure.after(&gate));
        let gw = aged(&kept(&origin, ""));
        let herd = gw.get_many(10, "/a");
        wait_waiting(&gw, 9);
        gate.open();
        for pending in herd {
            assert_eq!(said(pending.response().expect(200).body("old")), ON_ERROR);
        }
        assert_eq!(origin.seen("/a"), 2);
    }
}

#[test]
fn a_route_s_own_time_is_a_failure_too() {
    let origin = Origin::new()
        .on("/a", old("max-age=10, stale-if-error=60"))
        .then("/a", never());
    let toml = kept(&origin, "").replace("[routes.cache]", "timeout = \"1500ms\"\n[routes.cache]");
    let gw = aged(&toml);
    hit(gw.get("/a").expect(200).body("old"));
}

#[test]
fn a_server_that_is_taken_out_is_an_origin_that_fails() {
    let origin = Origin::new().on("/a", old("max-age=10, stale-if-error=60"));
    let gw = aged(&kept(&origin, ""));
    gw.set_server("origin", origin.address(), r#"{"state":"down"}"#);

    hit(gw.get("/a").expect(200).body("old"));
    gw.get("/b").expect(503).problem();
    assert_eq!(origin.total(), 1);
}

#[test]
fn stale_answers_are_told_apart_in_the_log() {
    let origin = Origin::new()
        .on(
            "/a",
            old("max-age=10, stale-while-revalidate=60, stale-if-error=600"),
        )
        .then("/a", reply(503));
    let gw = aged(&kept(&origin, ""));
    let mut client = gw.connect();
    client.ask(&Request::get("/a")).expect(200);
    origin.wait_seen("/a", 2);
    settle(&gw);
    gw.advance(secs(100));
    client.ask(&Request::get("/a")).expect(200);
    let lines = gw.log_objects(3);
    let mut results: Vec<_> = lines.iter().map(|line| line["cache"].as_str().unwrap()).collect();
    // Lines of different workers come in any order.
    results.sort_unstable();
    assert_eq!(results, ["miss", "stale", "stale"]);
    assert_eq!(
        gw.metrics()
            .sum("sluice_cache_requests_total", &[("result", "stale")]),
        2.0
    );
}
