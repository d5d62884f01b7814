//! Servers that go down, are watched, and come back.

use std::time::Duration;

use harness::origin::{never, reply, reset};
use harness::{Gateway, Origin, Request, wait_until};

use super::{app, servers, totals};

/// Probes as fast as they go: each verdict counts.
const PROBED: &str = r#"
    [upstreams.app.health_check]
    path = "/health"
    interval = "20ms"
    timeout = "1s"
    healthy_threshold = 1
    unhealthy_threshold = 1
"#;

fn healthy() -> Origin {
    Origin::new().on("/health", reply(200)).otherwise(reply(200))
}

#[test]
fn the_backup_serves_only_while_all_primaries_are_down() {
    let [a, b, c, spare] = [(); 4].map(|()| healthy());
    let gw = Gateway::start(&app(&format!(
        r#"
        servers = [
          {{ address = "{}", weight = 3 }},
          {{ address = "{}", weight = 3 }},
          {{ address = "{}", weight = 2 }},
          {{ address = "{}", backup = true }},
        ]
        {PROBED}
        "#,
        a.address(),
        b.address(),
        c.address(),
        spare.address()
    )));
    let ask = |n: usize| (0..n).for_each(|_| _ = gw.get("/").expect(200));

    ask(8);
    for origin in [&a, &b] {
        origin.kill();
        gw.wait_state("app", origin.address(), "down");
    }
    ask(8);
    assert_eq!(spare.seen("/"), 0, "one primary is left");

    c.kill();
    gw.wait_state("app", c.address(), "down");
    ask(8);
    assert_eq!(spare.seen("/"), 8);

    a.revive();
    gw.wait_state("app", a.address(), "up");
    ask(8);
    assert_eq!(spare.seen("/"), 8, "the backup rests again");
}

#[test]
fn a_server_whose_probe_fails_gets_nothing_until_it_succeeds() {
    let [a, b] = [(); 2].map(|()| healthy());
    let gw = Gateway::start(&app(&format!("{}\n{PROBED}", servers(&[(&a, 1), (&b, 1)]))));

    a.set("/health", reply(500));
    gw.wait_state("app", a.address(), "down");
    let before = a.seen("/");
    for _ in 0..6 {
        gw.get("/").expect(200);
    }
    assert_eq!((a.seen("/"), b.seen("/")), (before, 6));
    assert_eq!(
        gw.metrics()
            .sum("sluice_upstream_up", &[("server", &a.address().to_string())]),
        0.0
    );

    a.set("/health", reply(204));
    gw.wait_state("app", a.address(), "up");
    for _ in 0..6 {
        gw.get("/").expect(200);
    }
    assert!(a.seen("/") > before);
    assert_eq!(
        gw.metrics()
            .sum("sluice_upstream_up", &[("server", &a.address().to_string())]),
        1.0
    );
}

#[test]
fn a_probe_counts_by_its_expected_status_and_its_thresholds() {
    let a = Origin::new().on("/health", reply(418)).otherwise(reply(200));
    let gw = Gateway::start(&app(&format!(
        r#"
        {}
        [upstreams.app.health_check]
        path = "/health"
        interval = "10ms"
        timeout = "1s"
        healthy_threshold = 2
        unhealthy_threshold = 3
        expect_status = ["418"]
        "#,
        servers(&[(&a, 1)])
    )));

    a.wait_seen("/health", 5);
    assert_eq!(gw.server("app", a.address())["state"], "up");
    a.set("/health", reply(200));
    gw.wait_state("app", a.address(), "down");
    a.set("/health", reply(418));
    gw.wait_state("app", a.address(), "up");
}

#[test]
fn a_probe_that_is_not_answered_in_time_has_failed() {
    let [a, b] = [
        Origin::new().on("/health", never()).otherwise(reply(200)),
        healthy(),
    ];
    let gw = Gateway::start(&app(&format!(
        "{}\n{}",
        servers(&[(&a, 1), (&b, 1)]),
        PROBED.replace("\"1s\"", "\"500ms\"")
    )));

    gw.wait_state("app", a.address(), "down");
    gw.get("/").expect(200);
    assert_eq!(gw.server("app", b.address())["state"], "up");
}

#[test]
fn a_probe_without_path_is_a_connection() {
    let [a, b] = [(); 2].map(|()| Origin::new().otherwise(reply(200)));
    let probe =
        "[upstreams.app.health_check]\ninterval = \"20ms\"\nhealthy_threshold = 1\nunhealthy_threshold = 1";
    let gw = Gateway::start(&app(&format!("{}\n{probe}", servers(&[(&a, 1), (&b, 1)]))));

    a.kill();
    gw.wait_state("app", a.address(), "down");
    a.revive();
    gw.wait_state("app", a.address(), "up");
    assert_eq!(totals([&a, &b]), [0, 0]);
}

#[test]
fn a_server_that_fails_is_ejected_for_a_while() {
    let a = Origin::new().otherwise(reset());
    let b = Origin::new().otherwise(reply(200));
    let gw = Gateway::start_with_manual_clock(&app(&format!(
        r#"
        load_balancing = "round_robin"
        {}
        [upstreams.app.outlier_detection]
        consecutive_failures = 3
        ejection_time = "30s"
        "#,
        servers(&[(&a, 1), (&b, 1)])
    )));

    let mut client = gw.connect();
    let mut ask = |n: usize| (0..n).for_each(|_| _ = client.ask(&Request::get("/")).expect(200));
    ask(20);
    assert_eq!(a.total(), 3);
    assert_eq!(gw.server("app", a.address())["state"], "ejected");
    assert_eq!(gw.metrics().sum("sluice_upstream_ejections_total", &[]), 1.0);

    gw.advance(Duration::from_secs(29));
    ask(4);
    assert_eq!(a.total(), 3);

    // It has recovered; it gets its share again.
    a.set("/", reply(200));
    gw.advance(Duration::from_secs(2));
    ask(6);
    assert!(a.total() > 4, "{}", a.total());
    assert_eq!(gw.server("app", a.address())["state"], "up");
}

#[test]
fn a_server_that_breaks_its_answers_off_is_ejected_though_each_has_begun_well() {
    for cache in [
        "",
        "[routes.cache]\nstore = \"edge\"\nttl = \"1h\"\n[caches.edge]\nmemory = \"1MiB\"",
    ] {
        let a = Origin::new().otherwise(reply(200).claims(100).body("part").hang_up());
        let b = Origin::new().otherwise(reply(200));
        let gw = Gateway::start_with_manual_clock(&format!(
            r#"
            [upstreams.app]
            load_balancing = "round_robin"
            {}
            [upstreams.app.outlier_detection]
            consecutive_failures = 3

            [[routes]]
            name = "all"
            upstream = "app"
            {cache}
            "#,
            servers(&[(&a, 1), (&b, 1)])
        ));

        for nth in 0..20 {
            let mut client = gw.connect();
            client.send(Request::get(&format!("/{nth}")).bytes());
            // Nothing can be made good any more once an answer has begun.
            let _whole_or_not = client.try_response();
        }
        assert_eq!(a.total(), 3, "{cache}");
        assert_eq!(gw.server("app", a.address())["state"], "ejected");
    }
}

#[test]
fn a_repeat_offender_is_ejected_for_longer() {
    let a = Origin::new().otherwise(reset());
    let b = Origin::new().otherwise(reply(200));
    let gw = Gateway::start_with_manual_clock(&app(&format!(
        r#"
        load_balancing = "round_robin"
        {}
        [upstreams.app.outlier_detection]
        consecutive_failures = 1
        ejection_time = "30s"
        "#,
        servers(&[(&a, 1), (&b, 1)])
    )));

    let mut client = gw.connect();
    let mut ask = |n: usize| (0..n).for_each(|_| _ = client.ask(&Request::get("/")).expect(200));
    ask(4);
    assert_eq!(a.total(), 1);
    gw.advance(Duration::from_secs(31));
    ask(4);
    assert_eq!(a.total(), 2);
    gw.advance(Duration::from_secs(31));
    ask(4);
    assert_eq!(a.total(), 2, "the second ejection takes 60 s");
    gw.advance(Duration::from_secs(31));
    ask(4);
    assert_eq!(a.total(), 3);
}

#[test]
fn no_more_than_the_allowed_share_is_ejected_at_once() {
    let [a, b] = [(); 2].map(|()| Origin::new().otherwise(reset()));
    let gw = Gateway::start(&app(&format!(
        r#"
        {}
        [upstreams.app.outlier_detection]
        consecutive_failures = 1
        max_ejection_percent = 50
        "#,
        servers(&[(&a, 1), (&b, 1)])
    )));

    for _ in 0..6 {
        gw.get("/").expect(502).problem();
    }
    let states = [&a, &b].map(|o| {
        gw.server("app", o.address())["state"]
            .as_str()
            .unwrap()
            .to_owned()
    });
    let ejected = states.iter().filter(|s| *s == "ejected").count();
    assert_eq!(ejected, 1, "{states:?}");
}

#[test]
fn a_lone_server_is_never_ejected() {
    let a = Origin::new().otherwise(reset());
    let gw = Gateway::start(&app(&servers(&[(&a, 1)])));

    for _ in 0..10 {
        gw.get("/").expect(502);
    }
    assert_eq!(a.total(), 10);
    a.set("/", reply(200));
    gw.get("/").expect(200);
}

#[test]
fn a_server_that_is_killed_under_load_loses_no_request_that_may_be_sent_again() {
    let [a, b] = [(); 2].map(|()| Origin::new().otherwise(reply(200)));
    let gw = Gateway::start(&app(&servers(&[(&a, 1), (&b, 1)])));

    let mut client = gw.connect();
    for n in 0..40 {
        match n {
            10 => a.kill(),
            25 => a.revive(),
            _ => {}
        }
        client.ask(&Request::get("/")).expect(200);
    }
    assert_eq!(a.seen("/") + b.seen("/"), 40);
    wait_until("no lease is left", || {
        [&a, &b]
            .iter()
            .all(|o| gw.server("app", o.address())["in_flight"] == 0)
    });
}
