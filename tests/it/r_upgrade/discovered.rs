use harness::origin::reply;
use harness::{Ask, Consul, Load, Origin, Request, Sluice, wait_until};

use super::{hold_program, upgrade_of};

/// Answers of the load before and after.
const STEP: u64 = 40;

fn config(consul: &Consul, more: &str) -> String {
    format!(
        r#"
        [server]
        threads = 2
        drain_timeout = "5s"

        [[routes]]
        name = "all"
        match = {{ path_prefix = "/" }}
        upstream = "app"

        [upstreams.app]
        discover = {{ consul = {{ address = "{}", service = "app"{more} }} }}
        "#,
        consul.url()
    )
}

/// Waits until `/status` shows so many servers and the source in this state.
#[track_caller]
fn wait_source(sluice: &Sluice, state: &str, servers: u64) {
    wait_until(&format!("the source is {state}"), || {
        let source = sluice.admin().status()["upstreams"]["app"]["discovery"].clone();
        source["state"] == state && source["servers"] == servers
    });
}

#[test]
fn the_new_process_serves_by_what_the_old_one_was_told_and_orders_to_those_servers_hold() {
    let [a, b] = [(); 2].map(|()| Origin::new().otherwise(reply(200).body("proxied")));
    let consul = Consul::start();
    consul.set(7, &[a.address(), b.address()]);
    let sluice = Sluice::start(&config(&consul, ""));
    wait_source(&sluice, "ok", 2);
    let before = sluice.admin().status()["upstreams"]["app"]["discovery"]["last_success"].clone();
    sluice
        .admin()
        .set_server("app", a.address(), r#"{ "state": "drain", "weight": 5 }"#);

    // Whoever asks it from here on is told nothing.
    consul.set_status(Some(500));
    wait_source(&sluice, "failing", 2);
    let asked = a.total();
    let load = Load::start(sluice.address(), 8, &[Ask::get("/", "proxied")]);
    load.wait_served(STEP);
    for generation in 1..=2 {
        sluice.upgrade();
        assert_eq!(upgrade_of(sluice.admin())["generation"], generation);
        load.wait_served(STEP);
    }
    load.stop().flawless();
    assert_eq!(a.total(), asked, "what is drained stays drained");
    let drained = sluice.admin().server("app", a.address());
    assert_eq!(
        (&drained["state"], &drained["weight"]),
        (&"drain".into(), &5.into())
    );
    wait_source(&sluice, "failing", 2);
    let after = sluice.admin().status()["upstreams"]["app"]["discovery"]["last_success"].clone();
    assert_eq!(after, before, "it has given nothing since");

    // The source is asked on, and what it says counts.
    let [c] = [Origin::new().otherwise(reply(200))];
    consul.set(8, &[a.address(), b.address(), c.address()]);
    consul.set_status(None);
    wait_source(&sluice, "ok", 3);
    assert_eq!(sluice.admin().server("app", a.address())["state"], "drain");
}

#[test]
fn servers_of_another_source_are_not_taken_for_those_of_this_one() {
    let origin = Origin::new().otherwise(reply(200));
    let consul = Consul::start();
    consul.set(7, &[origin.address()]);
    let mut sluice = Sluice::start(&config(&consul, ""));
    wait_source(&sluice, "ok", 1);
    consul.set_status(Some(500));
    wait_source(&sluice, "failing", 1);
    let admin = sluice.admin();
    admin.set_server("app", origin.address(), r#"{ "state": "drain" }"#);
    // Held back until its configuration is another one.
    let hold = hold_program(&sluice);
    let upgrade = std::thread::spawn(move || admin.ask(&Request::new("POST", "/upgrade")));
    sluice.process.wait_said("new as ");
    sluice.replace_config(&config(&consul, ", tag = \"v2\""));
    std::fs::write(&hold, "go on\n").unwrap();
    upgrade.join().unwrap().expect(200);
    wait_source(&sluice, "waiting", 0);
    let is_told = |line: &String| line.contains("the order drain for") && line.contains("is forgotten");
    wait_until("the order that holds no more is told of", || {
        sluice.process.said().iter().any(is_told)
    });
}
