//! A request that failed at one server may succeed at another; sometimes it must not even be tried.

use harness::origin::{Greeting, hang_up, never, raw, reply, reset};
use harness::{Gate, Gateway, Origin, Request, wait_until};

use super::{app, servers, totals};

/// Two servers that take turns, a first, with these lines about retries; ejection would hide what retries do.
fn pair(a: &Origin, b: &Origin, retries: &str) -> String {
    app(&format!(
        r#"
        load_balancing = "round_robin"
        {}
        [upstreams.app.outlier_detection]
        consecutive_failures = 0
        [upstreams.app.retries]
        {retries}
        "#,
        servers(&[(a, 1), (b, 1)])
    ))
}

#[test]
fn a_refused_connection_is_tried_elsewhere_whatever_the_method_and_the_body_arrives_whole() {
    let a = Origin::down();
    let b = Origin::new().otherwise(reply(200).echo());
    let gw = Gateway::start(&pair(&a, &b, ""));

    for _ in 0..2 {
        gw.get("/").expect(200);
        gw.ask(&Request::post("/", "known length"))
            .expect(200)
            .body("known length");
        gw.ask(&Request::new("PATCH", "/").chunked(["in ", "chunks"]))
            .expect(200)
            .body("in chunks");
    }
    assert_eq!(b.total(), 6);
    assert!(
        gw.metrics()
            .sum("sluice_upstream_retries_total", &[("upstream", "app")])
            >= 3.0
    );
}

#[test]
fn a_request_that_may_be_sent_twice_is_when_the_connection_breaks() {
    for method in ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"] {
        let a = Origin::new().otherwise(reset());
        let b = Origin::new().otherwise(reply(204));
        let gw = Gateway::start(&pair(&a, &b, ""));

        gw.ask(&Request::new(method, "/")).expect(204);
        assert_eq!(totals([&a, &b]), [1, 1], "{method}");
    }
}

#[test]
fn a_request_that_may_not_be_sent_twice_is_not() {
    for (method, body) in [("POST", "x"), ("POST", ""), ("PATCH", ""), ("FROBNICATE", "")] {
        let a = Origin::new().otherwise(reset());
        let b = Origin::new().otherwise(reply(204));
        let gw = Gateway::start(&pair(&a, &b, ""));

        let mut statuses = [(); 2].map(|()| gw.ask(&Request::new(method, "/").body(body)).status);
        statuses.sort_unstable();
        assert_eq!(statuses, [204, 502], "{method}");
        assert_eq!(totals([&a, &b]), [1, 1], "{method}");
    }
}

#[test]
fn a_put_is_sent_again_with_its_whole_body() {
    let a = Origin::new().otherwise(reset());
    let b = Origin::new().otherwise(reply(200).echo());
    let gw = Gateway::start(&pair(&a, &b, ""));

    gw.ask(&Request::new("PUT", "/").body("all of it"))
        .expect(200)
        .body("all of it");
    assert_eq!(totals([&a, &b]), [1, 1]);
}

#[test]
fn an_error_status_is_tried_elsewhere_if_it_is_listed_and_the_method_may() {
    let a = Origin::new().otherwise(reply(503).body("busy"));
    let b = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&pair(&a, &b, ""));

    gw.get("/").expect(200);
    assert_eq!(totals([&a, &b]), [1, 1]);

    // A POST gets what its one server says.
    let mut statuses = [(); 2].map(|()| gw.ask(&Request::post("/post", "x")).status);
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 503]);
    assert_eq!((a.seen("/post"), b.seen("/post")), (1, 1));
}

#[test]
fn a_status_of_4xx_that_is_listed_is_tried_elsewhere_and_is_no_failure_of_its_server() {
    let a = Origin::new().otherwise(reply(404).body("not here"));
    let b = Origin::new().otherwise(reply(200));
    let toml = pair(&a, &b, "retry_on = [\"404\"]");
    let gw = Gateway::start(&toml.replace("consecutive_failures = 0", "consecutive_failures = 1"));

    for _ in 0..4 {
        gw.get("/").expect(200);
    }
    assert!(a.total() > 1, "it is still asked");
    assert_eq!(gw.server("app", a.address())["failures"], 0);

    // Where all say so, it is the answer, and each is asked once.
    b.set("/nowhere", reply(404).body("nor here"));
    gw.get("/nowhere").expect(404);
    assert_eq!((a.seen("/nowhere"), b.seen("/nowhere")), (1, 1));
    b.set("/other", reply(410).body("gone"));
    gw.get("/other").expect(410).body("gone");
}

#[test]
fn a_status_that_is_not_listed_is_an_answer() {
    let a = Origin::new().otherwise(reply(501));
    let b = Origin::new().otherwise(reply(501));
    let gw = Gateway::start(&pair(&a, &b, ""));

    gw.get("/").expect(501);
    assert_eq!(a.total() + b.total(), 1);
}

#[test]
fn the_last_answer_is_passed_on_when_no_try_is_left() {
    let [a, b] = [(); 2].map(|()| Origin::new().otherwise(reply(503).header("X-Own", "1").body("busy")));
    let gw = Gateway::start(&pair(&a, &b, ""));

    gw.get("/").expect(503).header("x-own", "1").body("busy");
    assert_eq!(totals([&a, &b]), [1, 1], "each server is tried once");
}

#[test]
fn an_answer_that_is_no_http_is_tried_elsewhere() {
    let a = Origin::new().otherwise(raw("ICY 200 OK\r\n\r\n"));
    let b = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&pair(&a, &b, ""));

    gw.get("/").expect(200);
    assert_eq!(totals([&a, &b]), [1, 1]);
}

#[test]
fn a_server_that_does_not_answer_in_time_is_tried_elsewhere() {
    let a = Origin::new().otherwise(never());
    let b = Origin::new().otherwise(reply(200));
    let toml = pair(&a, &b, "").replace("load_balancing", "read_timeout = \"500ms\"\nload_balancing");
    let gw = Gateway::start(&toml);

    gw.get("/").expect(200);
    assert_eq!(totals([&a, &b]), [1, 1]);
}

#[test]
fn an_answer_that_has_begun_is_never_tried_again() {
    let script = reply(200).claims(100).body("part").hang_up();
    let [a, b] = [(); 2].map(|()| Origin::new().otherwise(script.clone()));
    let gw = Gateway::start(&pair(&a, &b, ""));

    let mut client = gw.connect();
    client.send(Request::get("/").bytes());
    assert!(
        client.try_response().is_err(),
        "half an answer may not look whole"
    );
    assert_eq!(a.total() + b.total(), 1);
}

#[test]
fn retries_may_be_switched_off() {
    let [a, b] = [
        Origin::new().otherwise(reset()),
        Origin::new().otherwise(reply(200)),
    ];
    let gw = Gateway::start(&pair(&a, &b, "attempts = 0"));

    let mut statuses = [(); 4].map(|()| gw.get("/").status);
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 502, 502]);
    assert_eq!(totals([&a, &b]), [2, 2]);
}

#[test]
fn there_are_no_more_tries_than_attempts_allow() {
    let origins = [(); 5].map(|()| Origin::new().otherwise(reset()));
    let weighted: Vec<_> = origins.iter().map(|o| (o, 1)).collect();
    let gw = Gateway::start(&app(&format!(
        "{}\n[upstreams.app.retries]\nattempts = 2",
        servers(&weighted)
    )));

    gw.get("/").expect(502);
    assert_eq!(origins.iter().map(Origin::total).sum::<usize>(), 3);
    assert!(
        origins.iter().all(|o| o.total() <= 1),
        "each try goes to another server"
    );
}

#[test]
fn only_the_listed_reasons_and_methods_are_tried_again() {
    let [a, b] = [
        Origin::new().otherwise(reset()),
        Origin::new().otherwise(reply(200)),
    ];
    let gw = Gateway::start(&pair(&a, &b, "retry_on = [\"503\"]"));
    let mut statuses = [(); 2].map(|()| gw.get("/").status);
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 502]);

    gw.reload(&pair(&a, &b, "methods = [\"POST\"]")).unwrap();
    for _ in 0..2 {
        gw.ask(&Request::post("/post", "x")).expect(200);
    }
    let mut statuses = [(); 2].map(|()| gw.get("/").status);
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 502]);
}

#[test]
fn a_connection_that_is_closed_at_once_is_tried_elsewhere() {
    let [a, b] = [Origin::new(), Origin::new().otherwise(reply(200))];
    a.greet(Greeting::HangUp);
    let gw = Gateway::start(&pair(&a, &b, ""));

    for _ in 0..4 {
        gw.get("/").expect(200);
    }
    assert_eq!(b.total(), 4);
}

#[test]
fn without_any_server_that_connects_it_is_502() {
    let [a, b] = [Origin::down(), Origin::down()];
    let gw = Gateway::start(&pair(&a, &b, ""));

    gw.get("/").expect(502).problem();
    gw.ask(&Request::post("/", "hello")).expect(502);
}

#[test]
fn a_sick_upstream_is_not_sent_a_multiple_of_its_traffic() {
    let gate = Gate::new();
    let a = Origin::new().otherwise(reset());
    let b = Origin::new().otherwise(reply(200).after(&gate));
    let gw = Gateway::start(&pair(&a, &b, "budget_percent = 0"));

    // Three further tries are always allowed; while they last, there is no fourth.
    let herd = gw.get_many(20, "/");
    let refused = || herd.iter().filter(|p| p.is_done()).count();
    wait_until("all are refused or held", || refused() + gate.waiting() == 20);
    assert_eq!(
        a.total() - refused(),
        3,
        "of {} that met the sick server",
        a.total()
    );
    assert!(refused() > 0);
    let refused = refused();
    gate.open();
    let statuses: Vec<_> = herd.into_iter().map(|p| p.response().status).collect();
    let bad = statuses.iter().filter(|s| **s == 502).count();
    assert_eq!(bad, refused, "{statuses:?}");
    let told = gw
        .metrics()
        .sum("sluice_upstream_retries_refused_total", &[("upstream", "app")]);
    assert_eq!(told, refused as f64);
}

#[test]
fn a_server_that_dies_with_many_kept_connections_fails_no_request() {
    let gate = Gate::new();
    let a = Origin::new().on("/held", reply(200).after(&gate));
    let spare = Origin::new().otherwise(reply(200).body("spare"));
    let gw = Gateway::start(&format!(
        "[server]\nthreads = 1\ndrain_timeout = \"5s\"\n{}",
        app(&format!(
            "servers = [{{ address = \"{}\" }}, {{ address = \"{}\", backup = true }}]",
            a.address(),
            spare.address()
        ))
    ));

    // The gateway keeps four connections to it, and each of them breaks with the next request.
    let herd = gw.get_many(4, "/held");
    wait_until("all are held", || gate.waiting() == 4);
    gate.open();
    herd.into_iter().for_each(|p| _ = p.response().expect(200));
    a.set("/", hang_up());
    gw.get("/").expect(200).body("spare");
    assert_eq!(a.seen("/"), 2, "once on a kept connection and once on a new one");
}
