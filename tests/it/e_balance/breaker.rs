//! A server that was ejected comes back by one request at a time, until one has succeeded.

use std::time::Duration;

use harness::origin::{never, reply, reset};
use harness::{Gate, Gateway, Origin, Request, wait_until};
use serde_json::Value;

use super::{all_are_served, app, servers, totals};

/// Two servers in turns; 30 seconds after the third failure in a row.
fn pair(a: &Origin, b: &Origin) -> String {
    app(&format!(
        r#"
        load_balancing = "round_robin"
        sticky_cookie = "srv"
        {}
        [upstreams.app.outlier_detection]
        consecutive_failures = 3
        ejection_time = "30s"
        "#,
        servers(&[(a, 1), (b, 1)])
    ))
}

/// What `/status` says of a server: its state and its breaker.
fn standing(gw: &Gateway, origin: &Origin) -> [String; 2] {
    let row = gw.server("app", origin.address());
    ["state", "breaker"].map(|field| row[field].as_str().unwrap_or_default().to_owned())
}

fn breaker_metric(gw: &Gateway, origin: &Origin) -> f64 {
    let address = origin.address().to_string();
    let labels = [("upstream", "app"), ("server", address.as_str())];
    gw.metrics().sum("sluice_upstream_breaker_state", &labels)
}

/// Asks one after the other; each has to be served, if need be by a further try.
fn ask(gw: &Gateway, n: usize) {
    let mut client = gw.connect();
    for _ in 0..n {
        client.ask(&Request::get("/")).expect(200);
    }
}

/// A gateway whose server a, which resets, has just become half-open.
fn with_half_open(a: &Origin, b: &Origin) -> Gateway {
    a.set("/", reset());
    let gw = Gateway::start_with_manual_clock(&pair(a, b));
    ask(&gw, 20);
    assert_eq!(totals([a]), [3]);
    gw.advance(Duration::from_secs(30));
    gw
}

#[test]
fn a_server_is_ejected_then_probed_by_one_request_while_the_rest_goes_elsewhere_and_closed_by_its_success() {
    let gate = Gate::new();
    let [a, b] = [(); 2].map(|()| Origin::new().otherwise(reply(200)));
    a.set("/", reset());
    let gw = Gateway::start_with_manual_clock(&pair(&a, &b));
    assert_eq!(
        (standing(&gw, &a), breaker_metric(&gw, &a)),
        (["up", "closed"].map(str::to_owned), 0.0)
    );
    ask(&gw, 20);
    assert_eq!(totals([&a, &b]), [3, 20]);
    assert_eq!(
        (standing(&gw, &a), breaker_metric(&gw, &a)),
        (["ejected", "open"].map(str::to_owned), 2.0)
    );

    gw.advance(Duration::from_secs(30));
    assert_eq!(
        (standing(&gw, &a), breaker_metric(&gw, &a)),
        (["up", "half_open"].map(str::to_owned), 1.0)
    );
    a.set("/", reply(200).after(&gate));
    let herd = gw.get_many(20, "/");
    wait_until("all but one are served", || {
        herd.iter().filter(|p| p.is_done()).count() == 19
    });
    assert_eq!((gate.waiting(), totals([&a, &b])), (1, [4, 39]));
    ask(&gw, 10);
    assert_eq!(
        totals([&a, &b]),
        [4, 49],
        "while it is tried nobody else is sent there"
    );
    gw.advance(Duration::from_secs(1_000));
    assert_eq!(standing(&gw, &a)[1], "half_open", "time alone closes nothing");

    gate.open();
    all_are_served(herd);
    assert_eq!(
        (standing(&gw, &a), breaker_metric(&gw, &a)),
        (["up", "closed"].map(str::to_owned), 0.0)
    );
    ask(&gw, 10);
    assert!((8..=10).contains(&a.total()), "{:?}", totals([&a, &b]));
    assert_eq!(gw.metrics().sum("sluice_upstream_ejections_total", &[]), 1.0);
}

#[test]
fn one_failure_of_a_half_open_server_ejects_it_again_for_twice_the_time() {
    let [a, b] = [(); 2].map(|()| Origin::new().otherwise(reply(200)));
    let gw = with_half_open(&a, &b);
    for (seen, time) in [(4, 60), (5, 120), (6, 240)] {
        ask(&gw, 10);
        assert_eq!((a.total(), standing(&gw, &a)[1].as_str()), (seen, "open"));
        gw.advance(Duration::from_secs(time - 1));
        ask(&gw, 4);
        assert_eq!((a.total(), standing(&gw, &a)[1].as_str()), (seen, "open"));
        gw.advance(Duration::from_secs(1));
        assert_eq!(standing(&gw, &a)[1], "half_open");
    }
    assert_eq!(gw.metrics().sum("sluice_upstream_ejections_total", &[]), 4.0);
}

#[test]
fn a_client_that_leaves_frees_the_place_and_decides_nothing() {
    let [a, b] = [(); 2].map(|()| Origin::new().otherwise(reply(200)));
    let gw = with_half_open(&a, &b);
    a.set("/", never());
    for round in 1..=3 {
        // Of two in a row one has its turn; b answers at once.
        for _ in 0..2 {
            let before = totals([&a, &b]);
            let mut client = gw.connect();
            client.send(Request::get("/").bytes());
            wait_until("it has arrived", || totals([&a, &b]) != before);
            if totals([&b]) == [before[1]] {
                client.reset();
                break;
            }
            client.response().expect(200);
        }
        assert_eq!(a.total(), 3 + round);
        wait_until("the place is free", || {
            gw.server("app", a.address())["in_flight"] == 0
        });
        assert_eq!(standing(&gw, &a)[1], "half_open");
    }
    a.set("/", reply(200));
    ask(&gw, 4);
    assert_eq!(standing(&gw, &a)[1], "closed");
}

#[test]
fn alone_it_gets_one_request_and_the_others_are_refused_until_that_is_answered() {
    let gate = Gate::new();
    let [a, b] = [(); 2].map(|()| Origin::new().otherwise(reply(200)));
    let gw = with_half_open(&a, &b);
    gw.set_server("app", b.address(), r#"{"state":"down"}"#);
    a.set("/", reply(200).after(&gate));
    let probe = gw.ask_apart(&Request::get("/"));
    wait_until("it is tried", || gate.waiting() == 1);
    for _ in 0..5 {
        gw.get("/").expect(503).problem();
    }
    assert_eq!(a.total(), 4);
    gate.open();
    probe.response().expect(200);
    ask(&gw, 5);
    assert_eq!(a.total(), 9);
}

#[test]
fn the_last_server_is_not_ejected_again_but_tried_by_one_request_after_the_other() {
    let [a, b] = [(); 2].map(|()| Origin::new().otherwise(reply(200)));
    let gw = with_half_open(&a, &b);
    gw.set_server("app", b.address(), r#"{"state":"down"}"#);
    for seen in 4..9 {
        gw.get("/").expect(502);
        assert_eq!((a.total(), standing(&gw, &a)[1].as_str()), (seen, "half_open"));
    }
    a.set("/", reply(200));
    ask(&gw, 5);
    assert_eq!(standing(&gw, &a)[1], "closed");
}

#[test]
fn what_began_before_the_ejection_does_not_decide_after_it() {
    let gate = Gate::new();
    let [a, b] = [(); 2].map(|()| {
        Origin::new()
            .on("/slow", reply(200).after(&gate).close())
            .otherwise(reply(200))
    });
    a.set("/", reset());
    let gw = Gateway::start_with_manual_clock(&pair(&a, &b));
    let slow = gw.get_many(2, "/slow");
    wait_until("each holds one", || a.seen("/slow") == 1 && b.seen("/slow") == 1);
    ask(&gw, 20);
    assert_eq!(a.seen("/"), 3);
    gw.advance(Duration::from_secs(30));
    gate.open();
    all_are_served(slow);
    assert_eq!(standing(&gw, &a)[1], "half_open");
    ask(&gw, 2);
    assert_eq!((a.seen("/"), standing(&gw, &a)[1].as_str()), (4, "open"));
}

#[test]
fn a_bound_client_goes_elsewhere_while_its_half_open_server_is_tried() {
    let gate = Gate::new();
    let [a, b] = [(); 2].map(|()| Origin::new().otherwise(reply(200)));
    let gw = Gateway::start_with_manual_clock(&pair(&a, &b));
    let first = gw.get("/");
    let cookie = first.value("set-cookie").expect("a cookie is set").to_owned();
    let bound = Request::get("/").header("Cookie", cookie.split(';').next().unwrap());
    let (home, other) = if a.total() == 1 { (&a, &b) } else { (&b, &a) };
    home.set("/", reset());
    for _ in 0..3 {
        gw.ask(&bound).expect(200);
    }
    assert_eq!((totals([other]), standing(&gw, home)[1].as_str()), ([3], "open"));

    gw.advance(Duration::from_secs(30));
    home.set("/", reply(200).after(&gate));
    let before = home.total();
    let probe = gw.ask_apart(&bound);
    wait_until("it is tried", || gate.waiting() == 1);
    gw.ask(&bound).expect(200);
    assert_eq!(totals([home, other]), [before + 1, 4]);
    gate.open();
    probe.response().expect(200).no_header("set-cookie");
}

/// Four servers, one worker so that what is counted does not hang on which of two was quicker.
fn four(origins: &[Origin; 4]) -> String {
    let weighted: Vec<_> = origins.iter().map(|o| (o, 1)).collect();
    format!(
        "[server]\nthreads = 1\ndrain_timeout = \"5s\"\n{}",
        app(&format!(
            "load_balancing = \"round_robin\"\n{}",
            servers(&weighted)
        ))
    )
}

const HERD: usize = 200;

#[test]
fn an_upstream_that_fails_as_a_whole_is_sent_a_fifth_more_and_not_a_multiple() {
    let [first, further] = [Gate::new(), Gate::new()];
    let origins = [(); 4].map(|()| {
        let mut origin = Origin::new().on("/", reply(503).after(&first));
        for _ in 1..HERD / 4 {
            origin = origin.then("/", reply(503).after(&first));
        }
        origin.then("/", reply(503).after(&further))
    });
    let gw = Gateway::start(&four(&origins));
    let sent = || origins.iter().map(Origin::total).sum::<usize>();

    let herd = gw.get_many(HERD, "/");
    wait_until("each has had its first try", || first.waiting() == HERD);
    first.open();
    let refused = || herd.iter().filter(|p| p.is_done()).count();
    wait_until("all are answered or tried again", || {
        refused() + further.waiting() == HERD
    });
    assert_eq!((sent(), further.waiting()), (HERD * 6 / 5, HERD / 5));

    further.open();
    herd.into_iter().for_each(|p| _ = p.response().expect(503));
    assert!(sent() <= HERD * 6 / 5 + 3, "{} were sent", sent());
}

#[test]
fn an_upstream_that_refuses_connections_is_not_stormed_with_them() {
    let origins = [(); 4].map(|()| Origin::down());
    let gw = Gateway::start(&four(&origins));
    let rows = || -> Vec<(u64, bool)> {
        let row = |row: &Value| {
            (
                row["requests"].as_u64().unwrap_or_default(),
                row["state"] == "ejected",
            )
        };
        gw.desk().servers("app").iter().map(row).collect()
    };
    let tries = |rows: &[(u64, bool)]| rows.iter().map(|(requests, _)| *requests).sum::<u64>();
    let herd = || {
        let herd = gw.get_many(HERD, "/");
        herd.into_iter().for_each(|p| _ = p.response().expect(502));
    };

    // No budget holds these back, but the attempts do, and soon half of the servers are left alone.
    herd();
    let before = rows();
    assert!(tries(&before) <= HERD as u64 * 3, "{before:?}");
    assert_eq!(
        before.iter().filter(|(_, is_ejected)| *is_ejected).count(),
        2,
        "{before:?}"
    );

    herd();
    let after = rows();
    assert_eq!(
        tries(&after) - tries(&before),
        HERD as u64 * 2,
        "two servers, each once"
    );
    for (before, after) in before.iter().zip(&after) {
        assert!(!before.1 || before.0 == after.0, "an ejected server is not asked");
    }
}
