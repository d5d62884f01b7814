use harness::origin::{never, reply};
use harness::{Gateway, Origin, Request};

use super::{collector, requests, spans_at, traced};
use crate::all_to;

const ALL: &str = "sample = 1";

#[test]
fn what_is_left_is_sent_at_the_end_and_a_collector_that_was_busy_is_asked_again() {
    let origin = Origin::new().otherwise(reply(200));
    let collector = Origin::new()
        .on("/v1/traces", reply(503).header("Retry-After", "0"))
        .then("/v1/traces", reply(200).body("{}"));
    let gw = Gateway::start(&traced(&origin, &collector, ALL));
    let mut client = gw.connect();
    for _ in 0..20 {
        client.ask(&Request::get("/a")).expect(200);
    }
    drop(client);
    assert!(gw.stop());

    assert_eq!(collector.seen("/v1/traces"), 2);
    let spans = spans_at(&collector);
    assert_eq!(requests(&spans).len(), 2 * 20, "both times all of it");
}

#[test]
fn a_whole_batch_does_not_wait_for_the_end() {
    let (origin, collector) = (Origin::new().otherwise(reply(200)), collector());
    let gw = Gateway::start(&traced(&origin, &collector, ALL));
    let mut client = gw.connect();
    for _ in 0..300 {
        client.ask(&Request::get("/a")).expect(200);
    }
    let exported = |m: &harness::metrics::Metrics| m.sum("sluice_spans_exported_total", &[]);
    gw.wait_metrics("a batch has arrived", |m| exported(m) >= 512.0);
    drop(client);
    assert_eq!(gw.status()["tracing"]["state"], "up");
    assert_eq!(gw.status()["tracing"]["dropped"], 0);
    assert!(gw.stop());
    assert_eq!(requests(&spans_at(&collector)).len(), 300);
}

#[test]
fn a_collector_that_is_silent_delays_nobody_and_what_does_not_fit_is_counted() {
    let origin = Origin::new().otherwise(reply(200));
    let collector = Origin::new().otherwise(never());
    let lines = "sample = 1\nmax_queue = 1\ntimeout = \"1s\"";
    let gw = Gateway::start(&traced(&origin, &collector, lines));
    for _ in 0..3 {
        gw.get("/a").expect(200);
    }
    let metrics = gw.wait_metrics("no span fits", |m| {
        m.sum("sluice_spans_dropped_total", &[("reason", "queue_full")]) >= 9.0
    });
    assert_eq!(metrics.sum("sluice_spans_exported_total", &[]), 0.0);
    assert_eq!(origin.seen("/a"), 3);
}

#[test]
fn spans_that_the_collector_refuses_are_counted_and_its_reason_is_in_the_status() {
    let origin = Origin::new().otherwise(reply(200));
    let collector = Origin::new().on("/v1/traces", reply(401).body("who are you?"));
    let gw = Gateway::start(&traced(&origin, &collector, ALL));
    let mut client = gw.connect();
    for _ in 0..300 {
        client.ask(&Request::get("/a")).expect(200);
    }
    drop(client);
    gw.wait_metrics("a batch was refused", |m| {
        m.sum("sluice_spans_dropped_total", &[("reason", "refused")]) >= 512.0
    });
    let status = gw.status();
    assert_eq!(status["tracing"]["state"], "down");
    let fault = status["tracing"]["fault"].as_str().unwrap();
    assert!(fault.contains("401") && fault.contains("who are you?"), "{fault}");
}

#[test]
fn a_reload_sends_to_another_collector_with_other_fields_and_loses_nothing() {
    let (origin, first, second) = (Origin::new().otherwise(reply(200)), collector(), collector());
    let gw = Gateway::start(&traced(&origin, &first, ALL));
    gw.get("/before").expect(200);
    let lines = "sample = 1\nheaders = { X-Tenant = \"opensesame\" }";
    gw.reload(&traced(&origin, &second, lines)).unwrap();
    gw.get("/after").expect(200);
    assert!(gw.stop());

    let spans = [spans_at(&first), spans_at(&second)].concat();
    assert_eq!(requests(&spans).len(), 2, "{spans:#?}");
    let sent = second.requests("/v1/traces");
    assert!(!sent.is_empty());
    assert!(
        sent.iter()
            .all(|seen| seen.value("x-tenant") == Some("opensesame"))
    );
}

#[test]
fn a_reload_turns_tracing_off_and_what_was_waiting_still_arrives() {
    let (origin, collector) = (Origin::new().otherwise(reply(200)), collector());
    let gw = Gateway::start(&traced(&origin, &collector, ALL));
    gw.get("/before").expect(200);
    gw.reload(&all_to(&origin)).unwrap();
    gw.get("/after").expect(200);
    assert!(gw.status().get("tracing").is_none());
    assert!(gw.stop());

    assert_eq!(requests(&spans_at(&collector)).len(), 1);
}
