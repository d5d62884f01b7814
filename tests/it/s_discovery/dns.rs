//! By the domain name system.

use harness::names::{A, AAAA, NameServer, SRV, Trouble};
use harness::origin::{reply, reset};
use harness::{Gate, Gateway, Origin, wait_until};

use super::{SERVICE, addresses, app, by_dns, origins, set_services, wait_addresses, wait_source};

#[test]
fn servers_come_and_go_and_what_runs_on_them_ends_there() {
    let gate = Gate::new();
    let [a, b] = [(); 2].map(|()| {
        Origin::new()
            .on("/held", reply(200).after(&gate))
            .otherwise(reply(200))
    });
    let names = NameServer::start();
    set_services(&names, &[(&a, 0)]);
    let gw = Gateway::start(&app(&by_dns(&names)));
    wait_addresses(&gw, &[a.address()]);

    let herd = gw.get_many(3, "/held");
    wait_until("three are held", || a.seen("/held") == 3);
    set_services(&names, &[(&a, 0), (&b, 0)]);
    wait_addresses(&gw, &[a.address(), b.address()]);
    assert_eq!(
        gw.server("app", a.address())["in_flight"],
        3,
        "the count outlives the change"
    );
    for _ in 0..3 {
        gw.get("/").expect(200);
    }
    assert_eq!((a.seen("/"), b.seen("/")), (0, 3), "the new server has room");

    set_services(&names, &[(&b, 0)]);
    wait_addresses(&gw, &[b.address()]);
    gw.get("/").expect(200);
    assert_eq!((a.seen("/"), b.seen("/")), (0, 4));
    gate.open();
    herd.into_iter().for_each(|held| _ = held.response().expect(200));
    gw.wait_metrics("no older snapshot is left", |m| {
        m.sum("sluice_snapshots_alive", &[]) == 1.0
    });
}

#[test]
fn before_the_first_answer_requests_are_told_so_and_the_start_is_not_held_up() {
    let [a] = origins();
    let names = NameServer::start();
    set_services(&names, &[(&a, 0)]);
    names.set_trouble(SERVICE, SRV, Some(Trouble::ServFail));
    let gw = Gateway::start(&app(&by_dns(&names)));

    names_was_asked(&names, 1);
    let refused = gw.get("/");
    assert!(
        refused.expect(503).problem().text().contains("not_discovered"),
        "{refused}"
    );
    wait_source(&gw, "waiting");
    names.set_trouble(SERVICE, SRV, None);
    wait_addresses(&gw, &[a.address()]);
    gw.get("/").expect(200);
    wait_source(&gw, "ok");
}

#[track_caller]
fn names_was_asked(names: &NameServer, times: usize) {
    wait_until("the name was asked for", || names.asked(SERVICE, SRV) >= times);
}

#[test]
fn a_source_that_fails_or_says_that_there_is_none_keeps_the_last_servers() {
    let [a, b] = origins();
    let names = NameServer::start();
    set_services(&names, &[(&a, 0)]);
    let gw = Gateway::start(&app(&by_dns(&names)));
    wait_addresses(&gw, &[a.address()]);

    for trouble in [Trouble::ServFail, Trouble::NxDomain] {
        names.set_trouble(SERVICE, SRV, Some(trouble));
        wait_source(&gw, "failing");
        names_was_asked(&names, names.asked(SERVICE, SRV) + 3);
        assert_eq!(addresses(&gw).len(), 1, "{trouble:?}");
        gw.get("/").expect(200);
        names.set_trouble(SERVICE, SRV, None);
        wait_source(&gw, "ok");
    }
    names.set_services(SERVICE, 0, &[]);
    wait_source(&gw, "failing");
    gw.get("/").expect(200);
    let of_app = [("upstream", "app")];
    let metrics = gw.metrics();
    assert!(metrics.sum("sluice_discovery_errors_total", &of_app) >= 3.0);
    assert_eq!(metrics.sum("sluice_discovery_servers", &of_app), 1.0);
    assert_eq!(metrics.sum("sluice_discovery_up", &of_app), 0.0);
    assert!(metrics.sum("sluice_discovery_last_success_timestamp_seconds", &of_app) > 0.0);

    set_services(&names, &[(&b, 0)]);
    wait_addresses(&gw, &[b.address()]);
    gw.get("/").expect(200);
    assert_eq!(b.seen("/"), 1);
}

#[test]
fn a_target_that_cannot_be_resolved_any_more_keeps_its_address() {
    let [a, b] = origins();
    let names = NameServer::start();
    names.set_addresses("a.internal", 0, &["127.0.0.1"]);
    names.set_addresses("b.internal", 0, &["127.0.0.1"]);
    let [port_a, port_b] = [&a, &b].map(|o| o.address().port());
    names.set_services(SERVICE, 0, &[(0, 1, port_a, "a.internal")]);
    let gw = Gateway::start(&app(&by_dns(&names)));
    wait_addresses(&gw, &[a.address()]);

    names.set_trouble("a.internal", A, Some(Trouble::ServFail));
    names.set_services(
        SERVICE,
        0,
        &[(0, 1, port_a, "a.internal"), (0, 1, port_b, "b.internal")],
    );
    wait_addresses(&gw, &[a.address(), b.address()]);
    wait_source(&gw, "failing");
}

#[test]
fn the_lowest_priority_serves_and_the_others_are_backups() {
    let [a, spare] = origins();
    let names = NameServer::start();
    set_services(&names, &[(&spare, 20), (&a, 10)]);
    let gw = Gateway::start(&app(&by_dns(&names)));
    wait_addresses(&gw, &[a.address(), spare.address()]);

    assert_eq!(gw.server("app", spare.address())["backup"], true);
    (0..4).for_each(|_| _ = gw.get("/").expect(200));
    assert_eq!((a.total(), spare.total()), (4, 0));
    a.kill();
    gw.get("/").expect(200);
    assert_eq!(spare.total(), 1);
}

#[test]
fn each_address_of_a_name_is_a_server_in_both_families() {
    let [a] = origins();
    let port = a.address().port();
    let names = NameServer::start();
    names.set_addresses("app.internal", 0, &["127.0.0.1"]);
    let discover = format!(
        r#"discover = {{ dns = "app.internal:{port}", resolver = "{}", interval = "20ms" }}"#,
        names.address()
    );
    let gw = Gateway::start(&app(&discover));
    wait_addresses(&gw, &[a.address()]);
    gw.get("/").expect(200);

    names.set_addresses("app.internal", 0, &["127.0.0.1", "127.0.0.2", "::1"]);
    let others = [format!("127.0.0.2:{port}"), format!("[::1]:{port}")].map(|a| a.parse().unwrap());
    wait_addresses(&gw, &[a.address(), others[0], others[1]]);
    // One family fails: it is not taken for one that is gone.
    names.set_trouble("app.internal", AAAA, Some(Trouble::ServFail));
    names.set_addresses("app.internal", 0, &["127.0.0.1"]);
    wait_addresses(&gw, &[a.address(), others[1]]);
    names.set_trouble("app.internal", AAAA, None);
    wait_addresses(&gw, &[a.address()]);
}

#[test]
fn an_answer_that_is_cut_off_is_asked_for_by_tcp() {
    let [a] = origins();
    let names = NameServer::start();
    names.set_truncates(true);
    set_services(&names, &[(&a, 0)]);
    let gw = Gateway::start(&app(&by_dns(&names)));

    wait_addresses(&gw, &[a.address()]);
    assert!(names.asked_by_tcp() > 0);
}

#[test]
fn the_time_to_live_says_when_a_name_is_asked_for_again() {
    let [a] = origins();
    let port = a.address().port();
    let names = NameServer::start();
    names.set_addresses("short.internal", 1, &["127.0.0.1"]);
    names.set_addresses("long.internal", 3_600, &["127.0.0.1"]);
    let upstream = |name: &str| {
        format!(
            "[upstreams.{name}]\ndiscover = {{ dns = \"{name}.internal:{port}\", resolver = \"{}\", interval = \"1h\" }}\n",
            names.address()
        )
    };
    let _gw = Gateway::start(&format!(
        "{}{}{}",
        app(&by_dns(&names)),
        upstream("short"),
        upstream("long")
    ));

    wait_until("the short one was asked for three times", || {
        names.asked("short.internal", A) >= 3
    });
    assert_eq!(names.asked("long.internal", A), 1);
}

#[test]
fn without_a_resolver_the_names_of_this_machine_hold() {
    let [a] = origins();
    let discover = format!(r#"discover = {{ dns = "localhost:{}" }}"#, a.address().port());
    let gw = Gateway::start(&app(&discover));

    wait_until("localhost is known", || {
        addresses(&gw).contains(&a.address().to_string())
    });
    wait_until("it serves", || gw.get("/").status == 200);
}

#[test]
fn an_ejected_server_stays_ejected_when_others_come() {
    let a = Origin::new().otherwise(reset());
    let [b, c] = origins();
    let names = NameServer::start();
    set_services(&names, &[(&a, 0), (&b, 0)]);
    let gw = Gateway::start(&app(&format!(
        "{}\n[upstreams.app.outlier_detection]\nconsecutive_failures = 1\nejection_time = \"1h\"",
        by_dns(&names)
    )));
    wait_addresses(&gw, &[a.address(), b.address()]);

    wait_until("one is ejected", || {
        gw.get("/").expect(200);
        gw.server("app", a.address())["state"] == "ejected"
    });
    set_services(&names, &[(&a, 0), (&b, 0), (&c, 0)]);
    wait_addresses(&gw, &[a.address(), b.address(), c.address()]);
    assert_eq!(gw.server("app", a.address())["state"], "ejected");
    assert_eq!(gw.metrics().sum("sluice_upstream_ejections_total", &[]), 1.0);
}

#[test]
fn a_new_server_is_probed_and_one_that_has_gone_is_not() {
    let [a, b] = [(); 2].map(|()| Origin::new().on("/health", reply(200)).otherwise(reply(200)));
    b.set("/health", reply(500));
    let names = NameServer::start();
    set_services(&names, &[(&a, 0)]);
    let gw = Gateway::start(&app(&format!(
        "{}\n[upstreams.app.health_check]\npath = \"/health\"\ninterval = \"20ms\"\nunhealthy_threshold = 1",
        by_dns(&names)
    )));
    wait_addresses(&gw, &[a.address()]);

    set_services(&names, &[(&a, 0), (&b, 0)]);
    wait_addresses(&gw, &[a.address(), b.address()]);
    gw.wait_state("app", b.address(), "down");
    let before = b.seen("/");
    (0..4).for_each(|_| _ = gw.get("/").expect(200));
    assert_eq!(b.seen("/"), before);

    set_services(&names, &[(&a, 0)]);
    wait_addresses(&gw, &[a.address()]);
    let (of_a, of_b) = (a.seen("/health"), b.seen("/health"));
    wait_until("the one that stays is probed on", || a.seen("/health") > of_a + 5);
    assert!(b.seen("/health") <= of_b + 1, "one may have been under way");
}
