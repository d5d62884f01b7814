use std::time::Duration;

use harness::origin::{reply, reset};
use harness::{Gate, Gateway, Origin, Request, wait_until};

/// Requests go to a in turn with b; a is ejected for 30 seconds after three failures in a row.
fn pair(a: &Origin, b: &Origin, detection: &str) -> String {
    format!(
        r#"
        [server]
        threads = 1

        [upstreams.app]
        load_balancing = "round_robin"
        servers = [{{ address = "{}" }}, {{ address = "{}" }}]
        [upstreams.app.outlier_detection]
        consecutive_failures = 3
        ejection_time = "30s"
        {detection}

        [[routes]]
        name = "all"
        match = {{ path_prefix = "/" }}
        upstream = "app"
        "#,
        a.address(),
        b.address()
    )
}

/// A gateway whose server a has just been let back in for a try.
fn with_half_open(a: &Origin, b: &Origin, detection: &str) -> Gateway {
    a.set("/", reset());
    let gw = Gateway::start_with_manual_clock(&pair(a, b, detection));
    let mut client = gw.connect();
    for _ in 0..20 {
        client.ask(&Request::get("/")).expect(200);
    }
    assert_eq!(a.total(), 3);
    gw.advance(Duration::from_secs(30));
    gw
}

#[test]
fn as_many_requests_try_a_server_at_once_as_the_configuration_says() {
    for (detection, tries) in [("", 1), ("half_open_requests = 3", 3)] {
        let gate = Gate::new();
        let [a, b] = [(); 2].map(|()| Origin::new().otherwise(reply(200)));
        let gw = with_half_open(&a, &b, detection);
        a.set("/", reply(200).after(&gate));
        let at_b = b.total();
        let clients = gw.get_many(12, "/");
        wait_until("the rest is answered by the other server", || {
            b.total() == at_b + 12 - tries && gate.waiting() == tries
        });
        assert_eq!(a.total(), 3 + tries, "{detection}");
        gate.open();
        for client in clients {
            client.response().expect(200);
        }
        gw.wait_state("app", a.address(), "up");
        for _ in 0..8 {
            gw.get("/").expect(200);
        }
        assert!(a.total() >= 3 + tries + 3, "{detection}");
    }
}

#[test]
fn a_reload_changes_how_many_may_try() {
    let gate = Gate::new();
    let [a, b] = [(); 2].map(|()| Origin::new().otherwise(reply(200)));
    let gw = with_half_open(&a, &b, "");
    gw.reload(&pair(&a, &b, "half_open_requests = 2")).unwrap();
    a.set("/", reply(200).after(&gate));
    let at_b = b.total();
    let clients = gw.get_many(8, "/");
    wait_until("two try it", || gate.waiting() == 2 && b.total() == at_b + 6);
    gate.open();
    for client in clients {
        client.response().expect(200);
    }
}
