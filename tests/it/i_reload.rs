use harness::origin::{Reservation, reply};
use harness::{Ask, Connection, Gate, Gateway, Load, Origin, Request, wait_until};

use crate::all_to;

/// A route for everything that says this.
fn saying(what: &str) -> String {
    format!(
        r#"
        [[routes]]
        name = "all"
        match = {{ path_prefix = "/" }}
        respond = {{ status = 200, body = "{what}" }}
        "#
    )
}

#[test]
fn a_kept_connection_sees_the_new_routes_at_its_next_request() {
    let gw = Gateway::start(&saying("old"));

    let mut client = gw.connect();
    client.ask(&Request::get("/")).expect(200).body("old");
    gw.reload(&saying("new")).unwrap();
    client.ask(&Request::get("/")).expect(200).body("new");
}

#[test]
fn a_running_request_ends_as_it_began() {
    let gate = Gate::new();
    let origin = Origin::new().on("/", reply(200).after(&gate).body("old"));
    let gw = Gateway::start(&all_to(&origin));

    let running = gw.ask_apart(&Request::get("/"));
    origin.wait_seen("/", 1);
    gw.reload(&saying("new")).unwrap();
    gw.get("/").expect(200).body("new");
    gate.open();
    running.response().expect(200).body("old");
    gw.wait_metrics("the old snapshot is gone", |m| {
        m.sum("sluice_snapshots_alive", &[]) == 1.0
    });
}

#[test]
fn an_upgraded_connection_survives_the_end_of_its_route() {
    let origin = Origin::new().on("/chat", harness::origin::upgrade("websocket"));
    let gw = Gateway::start(&all_to(&origin));

    let mut client = gw.connect();
    let request = Request::get("/chat")
        .header("Connection", "upgrade")
        .header("Upgrade", "websocket");
    client.ask(&request).expect(101);
    gw.reload(&saying("new")).unwrap();
    client.send("still here");
    assert_eq!(client.bytes(10), b"still here");
}

#[test]
fn servers_come_and_go_and_their_counts_stay() {
    let gate = Gate::new();
    let [a, b] = [(); 2].map(|()| {
        Origin::new()
            .on("/held", reply(200).after(&gate))
            .otherwise(reply(200))
    });
    let with = |servers: &[&Origin]| {
        let lines: Vec<_> = servers
            .iter()
            .map(|o| format!("{{ address = \"{}\" }}", o.address()))
            .collect();
        format!(
            r#"
            [upstreams.app]
            servers = [{}]

            [[routes]]
            name = "all"
            match = {{ path_prefix = "/" }}
            upstream = "app"
            "#,
            lines.join(", ")
        )
    };
    let gw = Gateway::start(&with(&[&a]));

    let herd = gw.get_many(3, "/held");
    wait_until("three are held", || a.seen("/held") == 3);
    gw.reload(&with(&[&a, &b])).unwrap();
    assert_eq!(
        gw.server("app", a.address())["in_flight"],
        3,
        "the count outlives the reload"
    );
    for _ in 0..3 {
        gw.get("/").expect(200);
    }
    assert_eq!((a.seen("/"), b.seen("/")), (0, 3), "the new server has room");

    gw.reload(&with(&[&b])).unwrap();
    gw.get("/").expect(200);
    assert_eq!((a.seen("/"), b.seen("/")), (0, 4));
    gate.open();
    herd.into_iter().for_each(|p| _ = p.response().expect(200));
}

#[test]
fn what_is_open_behind_a_listener_that_goes_has_as_long_as_a_stop_would_give_it() {
    let origin = Origin::new().on("/chat", harness::origin::upgrade("websocket"));
    let with = |listeners: &str| {
        let all = all_to(&origin);
        format!("[server]\nthreads = 2\ndrain_timeout = \"100ms\"\n{listeners}{all}")
    };
    let listener = "[[listeners]]\naddress = \"127.0.0.1:0\"\n";
    let gw = Gateway::start(&with(&listener.repeat(2)));
    let chat = |address| {
        let mut client = Connection::open(address);
        let request = Request::get("/chat")
            .header("Connection", "upgrade")
            .header("Upgrade", "websocket");
        client.ask(&request).expect(101);
        client
    };
    let [stays, goes] = gw.addresses()[..] else {
        panic!("two listeners")
    };
    let (mut stays, mut goes) = (chat(stays), chat(goes));
    gw.reload(&with(listener)).unwrap();
    goes.expect_closed();
    stays.send("still here");
    assert_eq!(stays.bytes(10), b"still here");
}

#[test]
fn going_there_and_back_again_keeps_what_is_in_flight() {
    let gate = Gate::new();
    let origin = Origin::new()
        .on("/held", reply(200).after(&gate))
        .otherwise(reply(200));
    let gw = Gateway::start(&all_to(&origin));

    let herd = gw.get_many(5, "/held");
    origin.wait_seen("/held", 5);
    // The upstream is gone for a while, and its server is used by nobody but the running requests.
    gw.reload(&saying("between")).unwrap();
    gw.get("/").expect(200).body("between");
    gw.reload(&all_to(&origin)).unwrap();
    assert_eq!(gw.server("origin", origin.address())["in_flight"], 5);
    gate.open();
    herd.into_iter().for_each(|p| _ = p.response().expect(200));
    wait_until("all are returned", || {
        gw.server("origin", origin.address())["in_flight"] == 0
    });
}

#[test]
fn idle_connections_to_a_server_outlive_a_reload() {
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&all_to(&origin));

    let mut client = gw.connect();
    client.ask(&Request::get("/")).expect(200);
    let edited = all_to(&origin).replace("upstream = \"origin\"", "upstream = \"origin\"\ntimeout = \"1m\"");
    gw.reload(&edited).unwrap();
    client.ask(&Request::get("/")).expect(200);
    assert_eq!(origin.connections(), 1);
}

#[test]
fn limits_change_under_a_kept_connection() {
    let origin = Origin::new().otherwise(reply(200));
    let limited = |limits: &str| format!("[server.limits]\n{limits}\n{}", all_to(&origin));
    let gw = Gateway::start(&limited("max_body = \"10B\"\nmax_uri = \"64B\""));

    let mut client = gw.connect();
    client.ask(&Request::post("/", "ten bytes!")).expect(200);
    gw.reload(&limited("max_body = \"20B\"\nmax_uri = \"128B\""))
        .unwrap();
    client
        .ask(&Request::post("/", "twenty bytes in here"))
        .expect(200);
    client
        .ask(&Request::get(&format!("/{}", "a".repeat(100))))
        .expect(200);
    gw.reload(&limited("max_body = \"5B\"")).unwrap();
    client.ask(&Request::post("/", "ten bytes!")).expect(413);
}

#[test]
fn a_listener_is_added_and_removed_and_the_others_do_not_notice() {
    let gate = Gate::new();
    let origin = Origin::new()
        .on("/held", reply(200).after(&gate).body("held"))
        .otherwise(reply(200));
    let first = "[[listeners]]\nname = \"first\"\naddress = \"127.0.0.1:0\"\n";
    let gw = Gateway::start(&format!("{first}{}", all_to(&origin)));
    let address = gw.address();
    let reservation = Reservation::new();
    let second = reservation.address();

    let mut kept = gw.connect();
    kept.ask(&Request::get("/")).expect(200);
    let both = format!(
        "{first}[[listeners]]\nname = \"second\"\naddress = \"{second}\"\n{}",
        all_to(&origin)
    );
    gw.reload(&both).unwrap();
    assert_eq!(
        gw.addresses(),
        [address, second],
        "a listener that stays keeps its socket"
    );
    let mut other = Connection::open(second);
    other.ask(&Request::get("/")).expect(200);
    kept.ask(&Request::get("/")).expect(200);

    // Removed: what runs ends, and nobody new gets in.
    let running = other.ask_apart(Request::get("/held"));
    origin.wait_seen("/held", 1);
    gw.reload(&format!("{first}{}", all_to(&origin))).unwrap();
    wait_until("the second listener is closed", || {
        Connection::try_open(second).is_err()
    });
    gate.open();
    assert!(running.response().expect(200).body("held").closes());
    kept.ask(&Request::get("/")).expect(200);
}

#[test]
fn a_unix_socket_whose_listener_is_renamed_stays_in_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("door.sock");
    let listening = |name: &str| {
        let tcp = "[[listeners]]\naddress = \"127.0.0.1:0\"";
        let path = path.display();
        let unix = format!("[[listeners]]\nname = \"{name}\"\naddress = \"unix:{path}\"");
        format!("{tcp}\n{unix}\n{}", saying(name))
    };
    let gw = Gateway::start(&listening("old"));
    let ask = |body: &str| {
        let load = Load::start(path.clone(), 1, &[Ask::get("/", body)]);
        wait_until("it has asked", || load.served() > 0);
        load.stop().flawless();
    };

    ask("old");
    gw.reload(&listening("new")).unwrap();
    ask("new");
    gw.reload(&saying("elsewhere")).unwrap();
    assert!(!path.exists(), "a name that leads nowhere is removed");
}

#[test]
fn a_listener_that_cannot_be_bound_refuses_the_whole_reload() {
    let gw = Gateway::start(&saying("old"));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();

    let bad = format!(
        "[[listeners]]\naddress = \"127.0.0.1:0\"\n[[listeners]]\naddress = \"{}\"\n{}",
        taken.local_addr().unwrap(),
        saying("new")
    );
    let problems = gw.reload(&bad).unwrap_err();
    assert!(!problems.to_string().is_empty());
    gw.get("/").expect(200).body("old");
}

#[test]
fn a_bad_file_changes_nothing_and_says_so() {
    let gw = Gateway::start(&saying("old"));
    let bad = r#"
        [[routes]]
        name = "all"
        match = { path_prefix = "/" }
        upstream = "nowhere"
        timout = "5s"
        "#;

    let problems = gw.reload(bad).unwrap_err().to_string();
    assert!(
        problems.contains("nowhere") && problems.contains("timout"),
        "all at once: {problems}"
    );
    gw.get("/").expect(200).body("old");
    let last = gw.status()["config"]["last_reload"].clone();
    assert_eq!(last["ok"], false);
    assert!(
        last["problems"].as_array().is_some_and(|p| p.len() >= 2),
        "{last:#}"
    );
    assert!(
        last["problems"][0]["line"].is_u64() && last["problems"][0]["message"].is_string(),
        "{last:#}"
    );
    assert_eq!(gw.metrics().sum("sluice_config_last_reload_successful", &[]), 0.0);

    gw.reload(&saying("new")).unwrap();
    assert_eq!(gw.status()["config"]["last_reload"]["ok"], true);
    assert_eq!(gw.metrics().sum("sluice_config_last_reload_successful", &[]), 1.0);
    gw.get("/").expect(200).body("new");
}

#[test]
fn text_that_is_no_toml_changes_nothing() {
    let gw = Gateway::start(&saying("old"));

    for bad in ["[[routes]\n", "= 1\n", "name = \u{0}", "routes = 5\n"] {
        assert!(gw.reload(bad).is_err(), "{bad:?}");
        gw.get("/").expect(200).body("old");
    }
}

#[test]
fn a_reload_over_the_admin_address_answers_with_changes_or_problems() {
    let gw = Gateway::start(&saying("old"));
    let reload = || gw.ask_admin(&Request::new("POST", "/reload").header("Content-Length", "0"));

    gw.replace_config(&saying("new"));
    reload().expect(200);
    gw.get("/").expect(200).body("new");
    gw.replace_config("nonsense = true\n");
    let refused = reload();
    assert!(refused.expect(422).text().contains("nonsense"), "{refused}");
    gw.get("/").expect(200).body("new");
}

#[test]
fn a_file_that_is_replaced_by_renaming_is_loaded_by_itself() {
    let gw = Gateway::start(&saying("old"));

    gw.replace_config(&saying("new"));
    wait_until("the new file is in use", || gw.get("/").text() == "new");
    gw.replace_config("nonsense = true\n");
    wait_until("the bad file is reported", || {
        gw.status()["config"]["last_reload"]["ok"] == false
    });
    gw.get("/").expect(200).body("new");
}

#[test]
fn reloads_under_load_lose_no_request() {
    let [a, b] = [(); 2].map(|()| Origin::new().otherwise(reply(200)));
    let gw = Gateway::start(&all_to(&a));
    let over = std::sync::atomic::AtomicBool::new(false);

    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = gw.connect();
                    let mut served = 0;
                    while !over.load(std::sync::atomic::Ordering::Acquire) {
                        client.ask(&Request::get("/")).expect(200);
                        served += 1;
                    }
                    served
                })
            })
            .collect();
        for turn in 0..20 {
            let (origin, before) = if turn % 2 == 0 {
                (&b, b.total())
            } else {
                (&a, a.total())
            };
            gw.reload(&all_to(origin)).unwrap();
            wait_until("requests arrive where they now belong", || {
                origin.total() > before + 5
            });
        }
        over.store(true, std::sync::atomic::Ordering::Release);
        let served: usize = clients.into_iter().map(|c| c.join().unwrap()).sum();
        assert_eq!(served, a.total() + b.total());
    });
}

#[test]
fn what_an_operator_has_set_by_hand_survives_a_reload() {
    let [a, b] = [(); 2].map(|()| Origin::new().otherwise(reply(200)));
    let toml = |route: &str| {
        format!(
            r#"
            [upstreams.app]
            servers = [{{ address = "{}" }}, {{ address = "{}" }}]

            [[routes]]
            name = "{route}"
            match = {{ path_prefix = "/" }}
            upstream = "app"
            "#,
            a.address(),
            b.address()
        )
    };
    let gw = Gateway::start(&toml("one"));

    gw.set_server("app", a.address(), r#"{"state":"drain"}"#);
    gw.reload(&toml("two")).unwrap();
    assert_eq!(gw.server("app", a.address())["state"], "drain");
    for _ in 0..4 {
        gw.get("/").expect(200);
    }
    assert_eq!((a.total(), b.total()), (0, 4));
}
