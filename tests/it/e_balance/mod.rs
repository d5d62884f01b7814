mod breaker;
mod health;
mod retries;

use std::time::Duration;

use harness::client::Pending;
use harness::origin::reply;
use harness::{Gate, Gateway, Origin, Request, wait_until};

/// One upstream "app" with these lines, and everything goes to it.
fn app(lines: &str) -> String {
    format!(
        r#"
        [[routes]]
        name = "all"
        match = {{ path_prefix = "/" }}
        upstream = "app"

        [upstreams.app]
        {lines}
        "#
    )
}

/// `servers = [...]`, each with its weight.
fn servers(weighted: &[(&Origin, u32)]) -> String {
    let line = |(o, w): &(&Origin, u32)| format!("{{ address = \"{}\", weight = {w} }}", o.address());
    let lines: Vec<_> = weighted.iter().map(line).collect();
    format!("servers = [{}]", lines.join(", "))
}

/// How many requests each has seen.
fn totals<const N: usize>(origins: [&Origin; N]) -> [usize; N] {
    origins.map(Origin::total)
}

#[track_caller]
fn all_are_served(herd: Vec<Pending>) {
    for pending in herd {
        pending.response().expect(200);
    }
}

#[test]
fn held_requests_stand_in_proportion_to_the_weights_and_none_at_the_backup() {
    let gate = Gate::new();
    let [a, b, c, spare] = [(); 4].map(|()| Origin::new().otherwise(reply(200).after(&gate)));
    let gw = Gateway::start(&app(&format!(
        r#"
        load_balancing = "least_conn"
        servers = [
          {{ address = "{}", weight = 3 }},
          {{ address = "{}", weight = 3 }},
          {{ address = "{}", weight = 2 }},
          {{ address = "{}", backup = true }},
        ]
        "#,
        a.address(),
        b.address(),
        c.address(),
        spare.address()
    )));

    let herd = gw.get_many(64, "/");
    wait_until("all are held at the origins", || gate.waiting() == 64);
    assert_eq!(totals([&a, &b, &c, &spare]), [24, 24, 16, 0]);
    assert_eq!(gw.server("app", a.address())["in_flight"], 24);
    gate.open();
    all_are_served(herd);

    wait_until("every lease is returned", || {
        [&a, &b, &c].map(|o| gw.server("app", o.address())["in_flight"].as_u64()) == [Some(0); 3]
    });
}

#[test]
fn the_next_request_goes_where_there_is_most_room() {
    let [held, free] = [Gate::new(), Gate::new()];
    let a = Origin::new().otherwise(reply(200).after(&held));
    let b = Origin::new().otherwise(reply(200).after(&free));
    let gw = Gateway::start(&app(&servers(&[(&a, 1), (&b, 1)])));

    let herd = gw.get_many(4, "/");
    wait_until("all are held", || held.waiting() + free.waiting() == 4);
    assert_eq!(totals([&a, &b]), [2, 2]);

    // b becomes free: all that come go there while a is still busy.
    free.open();
    wait_until("b is idle", || gw.server("app", b.address())["in_flight"] == 0);
    for _ in 0..5 {
        gw.get("/").expect(200);
    }
    assert_eq!(totals([&a, &b]), [2, 7]);
    held.open();
    all_are_served(herd);
}

#[test]
fn without_load_least_conn_takes_turns_by_weight() {
    let [a, b] = [(); 2].map(|()| Origin::new().otherwise(reply(200)));
    let gw = Gateway::start(&app(&servers(&[(&a, 2), (&b, 1)])));

    let mut client = gw.connect();
    for _ in 0..30 {
        client.ask(&Request::get("/")).expect(200);
    }
    assert_eq!(totals([&a, &b]), [20, 10]);
}

#[test]
fn round_robin_takes_turns_by_weight_whatever_is_held() {
    let gate = Gate::new();
    let a = Origin::new().otherwise(reply(200).after(&gate));
    let b = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&app(&format!(
        "load_balancing = \"round_robin\"\n{}",
        servers(&[(&a, 2), (&b, 1)])
    )));

    let herd = gw.get_many(30, "/");
    wait_until("all have arrived", || a.total() + b.total() == 30);
    assert_eq!(totals([&a, &b]), [20, 10]);
    gate.open();
    all_are_served(herd);
}

#[test]
fn other_policies_use_every_server() {
    for policy in ["random_two", "least_time"] {
        let [a, b, c] = [(); 3].map(|()| Origin::new().otherwise(reply(200)));
        let toml = app(&format!(
            "load_balancing = {policy:?}\n{}",
            servers(&[(&a, 1), (&b, 1), (&c, 1)])
        ));
        let gw = Gateway::start(&toml);

        let mut client = gw.connect();
        for _ in 0..60 {
            client.ask(&Request::get("/")).expect(200);
        }
        let totals = totals([&a, &b, &c]);
        assert_eq!(totals.iter().sum::<usize>(), 60);
        assert!(totals.iter().all(|n| *n > 0), "{policy}: {totals:?}");
    }
}

#[test]
fn a_key_stays_with_its_server_and_moves_only_when_that_is_gone() {
    let [a, b, c] = [(); 3].map(|()| Origin::new().otherwise(reply(200)));
    let lines = "load_balancing = \"hash\"\nhash_by = \"header:X-Key\"";
    let gw = Gateway::start(&app(&format!(
        "{lines}\n{}",
        servers(&[(&a, 1), (&b, 1), (&c, 1)])
    )));
    let owner = |key: usize| {
        let before = totals([&a, &b, &c]);
        gw.ask(&Request::get("/").header("X-Key", &format!("k{key}")))
            .expect(200);
        let after = totals([&a, &b, &c]);
        (0..3)
            .find(|i| after[*i] > before[*i])
            .expect("one server got it")
    };

    let first: Vec<_> = (0..40).map(owner).collect();
    assert!((0..3).all(|server| first.contains(&server)), "{first:?}");
    assert_eq!((0..40).map(owner).collect::<Vec<_>>(), first);

    gw.set_server("app", a.address(), r#"{"state":"down"}"#);
    for (key, before) in first.iter().enumerate() {
        let now = owner(key);
        assert!(
            now != 0 && (*before == 0 || now == *before),
            "k{key} moved from {before} to {now}"
        );
    }
}

#[test]
fn max_conns_sends_the_rest_elsewhere_and_then_away() {
    let gate = Gate::new();
    let [a, b] = [(); 2].map(|()| Origin::new().otherwise(reply(200).after(&gate)));
    let gw = Gateway::start(&app(&format!(
        r#"
        servers = [
          {{ address = "{}", weight = 100, max_conns = 1 }},
          {{ address = "{}", max_conns = 2 }},
        ]
        "#,
        a.address(),
        b.address()
    )));

    let herd = gw.get_many(3, "/");
    wait_until("three are held", || gate.waiting() == 3);
    assert_eq!(totals([&a, &b]), [1, 2]);
    gw.get("/").expect(503).problem();
    gate.open();
    all_are_served(herd);
    gw.get("/").expect(200);
}

#[test]
fn a_sticky_cookie_binds_a_client_until_its_server_is_gone() {
    let [a, b] = [(); 2].map(|()| Origin::new().otherwise(reply(200)));
    let gw = Gateway::start(&app(&format!(
        "sticky_cookie = \"srv\"\n{}",
        servers(&[(&a, 1), (&b, 1)])
    )));

    let first = gw.get("/");
    let cookie = first
        .expect(200)
        .value("set-cookie")
        .expect("a cookie is set")
        .to_owned();
    let pair = cookie.split(';').next().unwrap().to_owned();
    assert!(
        pair.starts_with("srv=") && cookie.to_ascii_lowercase().contains("httponly"),
        "{cookie}"
    );
    assert!(!pair.contains("127.0.0.1"), "an address leaks: {pair}");

    let bound = || gw.ask(&Request::get("/").header("Cookie", &format!("x=y; {pair}")));
    let (home, other) = if a.total() == 1 { (&a, &b) } else { (&b, &a) };
    for _ in 0..5 {
        bound().expect(200).no_header("set-cookie");
    }
    assert_eq!(totals([home, other]), [6, 0]);

    gw.set_server("app", home.address(), r#"{"state":"down"}"#);
    let moved = bound();
    assert_ne!(
        moved
            .expect(200)
            .value("set-cookie")
            .expect("another server, another cookie"),
        cookie
    );
    assert_eq!(totals([home, other]), [6, 1]);
}

#[test]
fn a_forged_sticky_cookie_is_no_server() {
    let a = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&app(&format!("sticky_cookie = \"srv\"\n{}", servers(&[(&a, 1)]))));

    for forged in ["", "1", "127.0.0.1:1", "ffffffffffffffff", "../../x", "\"\""] {
        let request = Request::get("/").header("Cookie", &format!("srv={forged}"));
        assert!(
            gw.ask(&request).expect(200).value("set-cookie").is_some(),
            "{forged}"
        );
    }
    assert_eq!(a.total(), 6);
}

#[test]
fn a_server_that_is_written_down_gets_nothing() {
    let [a, b] = [(); 2].map(|()| Origin::new().otherwise(reply(200)));
    let gw = Gateway::start(&app(&format!(
        "servers = [{{ address = \"{}\", down = true }}, {{ address = \"{}\" }}]",
        a.address(),
        b.address()
    )));

    for _ in 0..4 {
        gw.get("/").expect(200);
    }
    assert_eq!(totals([&a, &b]), [0, 4]);
    assert_eq!(gw.server("app", a.address())["state"], "off");
    // Nobody expects it to be up, so it is nothing to alert about.
    let metrics = gw.metrics();
    let has = |o: &Origin| metrics.has("sluice_upstream_up", &[("server", &o.address().to_string())]);
    assert_eq!((has(&a), has(&b)), (false, true));
}

#[test]
fn without_any_server_it_is_503() {
    let a = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&app(&format!(
        "servers = [{{ address = \"{}\", down = true }}]",
        a.address()
    )));

    gw.get("/").expect(503).problem();
    gw.ask(&Request::post("/", "hello")).expect(503);
    assert_eq!(a.total(), 0);
}

#[test]
fn draining_a_server_lets_its_requests_end_and_gives_it_no_new_ones() {
    let gate = Gate::new();
    let a = Origin::new()
        .on("/slow", reply(200).after(&gate))
        .otherwise(reply(200));
    let b = Origin::new()
        .on("/slow", reply(200).after(&gate))
        .otherwise(reply(200));
    let gw = Gateway::start(&app(&servers(&[(&a, 1), (&b, 1)])));

    let herd = gw.get_many(2, "/slow");
    wait_until("each holds one", || a.seen("/slow") == 1 && b.seen("/slow") == 1);
    gw.set_server("app", a.address(), r#"{"state":"drain"}"#);
    assert_eq!(gw.server("app", a.address())["state"], "drain");
    for _ in 0..4 {
        gw.get("/").expect(200);
    }
    assert_eq!((a.seen("/"), b.seen("/")), (0, 4));
    gate.open();
    all_are_served(herd);

    gw.set_server("app", a.address(), r#"{"state":"up"}"#);
    for _ in 0..4 {
        gw.get("/").expect(200);
    }
    assert!(a.seen("/") > 0, "it serves again");
}

#[test]
fn a_weight_may_be_changed_while_it_serves() {
    let [a, b] = [(); 2].map(|()| Origin::new().otherwise(reply(200)));
    let gw = Gateway::start(&app(&servers(&[(&a, 1), (&b, 1)])));

    gw.set_server("app", a.address(), r#"{"weight":3}"#);
    let mut client = gw.connect();
    for _ in 0..40 {
        client.ask(&Request::get("/")).expect(200);
    }
    assert_eq!(totals([&a, &b]), [30, 10]);
}

#[test]
fn a_server_that_comes_up_starts_slowly() {
    let gate = Gate::new();
    let [a, b] = [(); 2].map(|()| Origin::new().otherwise(reply(200).after(&gate)));
    let gw = Gateway::start_with_manual_clock(&app(&format!(
        "servers = [{{ address = \"{}\" }}, {{ address = \"{}\", slow_start = \"100s\" }}]",
        a.address(),
        b.address()
    )));

    gw.set_server("app", b.address(), r#"{"state":"down"}"#);
    gw.set_server("app", b.address(), r#"{"state":"up"}"#);
    gw.advance(Duration::from_secs(25));
    let herd = gw.get_many(20, "/");
    wait_until("all are held", || gate.waiting() == 20);
    // A quarter of the way up it has a quarter of its weight: 1 in 5.
    assert_eq!(totals([&a, &b]), [16, 4]);
    gate.open();
    all_are_served(herd);
}

#[test]
fn a_name_that_does_not_resolve_is_a_server_that_is_down_and_no_more() {
    let a = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&app(&format!(
        "servers = [{{ address = \"nowhere.invalid:80\" }}, {{ address = \"{}\" }}]",
        a.address()
    )));

    for _ in 0..4 {
        gw.get("/").expect(200);
    }
    assert_eq!(a.total(), 4);
}
