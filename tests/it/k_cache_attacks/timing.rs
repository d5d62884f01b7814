use std::time::Duration;

use harness::origin::reply;
use harness::{Gate, Gateway, Origin, Request, wait_for};

use super::{busy, cached};

#[test]
fn who_asks_after_a_purge_by_a_tag_gets_nothing_that_was_asked_for_before() {
    let gate = Gate::new();
    let tagged = || {
        reply(200)
            .header("Cache-Control", "max-age=60")
            .header("Cache-Tag", "t")
    };
    let origin = Origin::new()
        .on("/", tagged().body("before").after(&gate))
        .then("/", tagged().body("after"));
    let gw = Gateway::start(&cached(&origin, "", ""));
    let before = gw.ask_apart(&Request::get("/"));
    origin.wait_seen("/", 1);
    gw.ask_admin(&Request::post("/purge", r#"{"tags": ["t"]}"#))
        .expect(200);
    let after = gw.ask_apart(&Request::get("/"));
    wait_for("the second waits for the first", || {
        (busy(&gw, "waiting") == 1).then_some(())
    });
    gate.open();
    before.response().body("before");
    after.response().body("after");
}

#[test]
fn a_body_that_takes_longer_than_its_answer_is_fresh_takes_in_nobody_who_comes_then() {
    let gate = Gate::new();
    let answer = || reply(200).header("Cache-Control", "max-age=5").chunked();
    let origin = Origin::new()
        .on("/", answer().body("old ").pause(&gate).body("end"))
        .then("/", answer().body("new"));
    let gw = Gateway::start_with_manual_clock(&cached(&origin, "", ""));
    let first = gw.ask_apart(&Request::get("/"));
    wait_for("a body is on its way", || (gate.waiting() == 1).then_some(()));
    gw.advance(Duration::from_secs(6));
    gw.get("/").body("new");
    gate.open();
    first.response().body("old end");
    assert_eq!(origin.total(), 2);
}

/// A body of which more comes with each step, for ever.
fn trickle(gate: &Gate) -> harness::Script {
    let answer = reply(200).header("Cache-Control", "max-age=31536000").chunked();
    (0..100).fold(answer, |answer, _| answer.body("x").pause(gate))
}

#[test]
fn a_trickle_that_nobody_follows_is_given_up() {
    let gate = Gate::new();
    let origin = Origin::new()
        .on("/", trickle(&gate))
        .then("/", reply(200).body("new"));
    let gw = Gateway::start_with_manual_clock(&cached(&origin, "", ""));
    let mut client = gw.connect();
    client.send(Request::get("/").bytes());
    client.response_head();
    client.reset();
    gate.let_through(1);
    // The clock stands still until the gateway has seen that nobody follows.
    wait_for("the trickle is given up", || {
        gw.advance(Duration::from_secs(10));
        gate.let_through(1);
        (busy(&gw, "fills") == 0).then_some(())
    });
    gw.get("/").body("new");
    gate.open();
}

#[test]
fn a_stop_does_not_wait_for_a_body_that_nobody_follows() {
    let gate = Gate::new();
    let origin = Origin::new().on("/", trickle(&gate));
    let gw = Gateway::start(&format!(
        "[server]\ndrain_timeout = \"1h\"\n{}",
        cached(&origin, "", "")
    ));
    let mut client = gw.connect();
    client.send(Request::get("/").bytes());
    client.response_head();
    client.reset();
    assert!(gw.stop(), "no request was cut off");
    assert_eq!(gate.waiting(), 1, "the origin has not gone on by itself");
    gate.open();
}

#[test]
fn a_stop_does_not_wait_for_a_refresh_behind_a_stale_answer() {
    let gate = Gate::new();
    let stale = "max-age=1, stale-while-revalidate=600";
    let origin = Origin::new()
        .on("/", reply(200).header("Cache-Control", stale).body("old"))
        .then("/", reply(200).after(&gate));
    let gw = Gateway::start_with_manual_clock(&format!(
        "[server]\ndrain_timeout = \"1h\"\n{}",
        cached(&origin, "", "")
    ));
    gw.get("/").body("old");
    gw.advance(Duration::from_secs(2));
    gw.get("/").body("old");
    origin.wait_seen("/", 2);
    assert!(gw.stop(), "no request was cut off");
    assert_eq!(gate.waiting(), 1, "the origin has not gone on by itself");
    gate.open();
}

#[test]
fn those_who_lose_patience_do_not_ask_in_each_others_place() {
    let gate = Gate::new();
    let keep = || reply(200).header("Cache-Control", "max-age=600");
    let origin = Origin::new().otherwise(keep().body("at last").after(&gate));
    let gw = Gateway::start(&cached(&origin, "", ""));
    let mut clients: Vec<_> = (0..6)
        .map(|n| {
            let mut client = gw.connect();
            client.send(Request::get("/").bytes());
            origin.wait_seen("/", 1);
            wait_for("it leads or waits", || (busy(&gw, "waiting") == n).then_some(()));
            client
        })
        .collect();
    clients.remove(0).reset();
    origin.wait_seen("/", 2);
    for (gone, client) in (1..).zip(clients) {
        client.reset();
        wait_for("it waits no more", || {
            (busy(&gw, "waiting") == 5 - gone).then_some(())
        });
    }
    gate.open();
    wait_for("it is kept", || (busy(&gw, "objects") == 1).then_some(()));
    gw.get("/").body("at last");
    assert_eq!(origin.total(), 2, "once with the first client, once without any");
}
