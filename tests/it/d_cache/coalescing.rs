//! Many want the same at once: the origin is asked by one of them, and nobody waits for what is not for him.

use harness::client::Pending;
use harness::origin::{Script, hang_up, never, reply};
use harness::wire::Framing;
use harness::{Connection, Gate, Gateway, Origin, Request, wait_until};

use super::{get_with, hit, kept, kept_in, lasting, said, settle, wait_waiting};

#[track_caller]
fn all_get(herd: Vec<Pending>, body: &str) {
    for pending in herd {
        pending.response().expect(200).body(body);
    }
}

/// A connection on which a GET was sent and no more.
fn asking(gw: &Gateway, target: &str) -> Connection {
    let mut client = gw.connect();
    client.send(Request::get(target).bytes());
    client
}

/// "ab", then a pause, then "cd".
fn halves(gate: &Gate) -> Script {
    reply(200)
        .header("Cache-Control", "max-age=3600")
        .body("ab")
        .pause(gate)
        .body("cd")
}

#[test]
fn a_hundred_who_ask_at_once_cost_the_origin_one_request() {
    let gate = Gate::new();
    let origin = Origin::new().on("/a", lasting("shared").after(&gate));
    let gw = Gateway::start(&kept(&origin, ""));

    let herd = gw.get_many(100, "/a");
    wait_waiting(&gw, 99);
    gate.open();
    let responses: Vec<_> = herd.into_iter().map(Pending::response).collect();
    let collapsed = responses
        .iter()
        .filter(|r| said(r.expect(200).body("shared")).ends_with("collapsed"));
    assert_eq!(collapsed.count(), 99);
    assert_eq!(origin.seen("/a"), 1);
    let edge = &gw.status()["caches"]["edge"];
    assert_eq!(
        (&edge["collapsed"], &edge["waiting"], &edge["misses"]),
        (&99.into(), &0.into(), &100.into())
    );
    assert_eq!(
        gw.metrics()
            .sum("sluice_cache_collapsed_total", &[("cache", "edge")]),
        99.0
    );
}

#[test]
fn all_get_the_bytes_while_they_arrive_those_who_come_late_too() {
    let gate = Gate::new();
    let origin = Origin::new().on("/a", halves(&gate));
    let gw = Gateway::start(&kept(&origin, ""));

    let mut early: Vec<_> = (0..10).map(|_| asking(&gw, "/a")).collect();
    let half = |client: &mut Connection| {
        assert_eq!(client.response_head(), (200, Framing::Length(4)));
        assert_eq!(client.bytes(2), b"ab");
    };
    early.iter_mut().for_each(half);
    let mut late: Vec<_> = (0..10).map(|_| asking(&gw, "/a")).collect();
    late.iter_mut().for_each(half);
    assert_eq!(origin.seen("/a"), 1);
    gate.open();
    for client in early.iter_mut().chain(&mut late) {
        assert_eq!(client.bytes(2), b"cd");
        client.ask(&Request::get("/a")).expect(200).body("abcd");
    }
    assert_eq!(origin.seen("/a"), 1);
}

#[test]
fn chunks_without_a_length_arrive_while_they_are_made() {
    let gates = [(); 3].map(|()| Gate::new());
    let script = reply(200).header("Cache-Control", "max-age=3600").chunked();
    let script = gates
        .iter()
        .fold(script, |script, gate| script.body("part;").pause(gate));
    let origin = Origin::new().on("/a", script);
    let gw = Gateway::start(&kept(&origin, ""));

    let mut clients: Vec<_> = (0..4).map(|_| asking(&gw, "/a")).collect();
    for client in &mut clients {
        assert_eq!(client.response_head(), (200, Framing::Chunked));
    }
    for gate in &gates {
        for client in &mut clients {
            assert_eq!(client.bytes(10), b"5\r\npart;\r\n");
        }
        gate.open();
    }
    for client in &mut clients {
        assert_eq!(client.bytes(5), b"0\r\n\r\n");
    }
    settle(&gw);
    hit(gw.get("/a").expect(200).body("part;part;part;"));
}

#[test]
fn an_answer_that_cannot_be_shared_lets_all_go_at_its_head() {
    let [gate, body] = [(); 2].map(|()| Gate::new());
    let mine = reply(200)
        .header("Cache-Control", "no-store")
        .after(&gate)
        .body("mi")
        .pause(&body)
        .body("ne");
    let origin = Origin::new().on("/a", mine);
    let gw = Gateway::start(&kept(&origin, ""));

    let leader = gw.ask_apart(&Request::get("/a"));
    origin.wait_seen("/a", 1);
    let herd = gw.get_many(10, "/a");
    wait_waiting(&gw, 10);
    gate.open();
    // Nobody's body has ended, and all of them are at the origin.
    wait_until("each has asked for itself", || {
        origin.seen("/a") == 11 && body.waiting() == 11
    });
    assert!(!leader.is_done() && herd.iter().all(|pending| !pending.is_done()));
    // Nor does anybody who comes later wait for them.
    let later = gw.get_many(5, "/a");
    wait_until("the later ones too", || body.waiting() == 16);
    assert_eq!(gw.status()["caches"]["edge"]["waiting"], 0);
    body.open();
    leader.response().expect(200).body("mine");
    all_get(herd, "mine");
    for pending in later {
        assert_eq!(
            said(pending.response().expect(200).body("mine")),
            "fwd=uri-miss; detail=known-uncacheable"
        );
    }
}

#[test]
fn what_was_not_to_be_shared_is_shared_again_once_it_may_be() {
    let origin = Origin::new()
        .on("/a", reply(200).header("Cache-Control", "no-store").body("mine"))
        .then("/a", lasting("ours"));
    let gw = Gateway::start_with_manual_clock(&kept(&origin, ""));

    gw.get("/a").expect(200).body("mine");
    // This one goes alone, and its answer says that the next need not.
    gw.get("/a").expect(200).body("ours");
    gw.get("/a").expect(200).body("ours");
    settle(&gw);
    hit(gw.get("/a").expect(200).body("ours"));
    assert_eq!(origin.seen("/a"), 3);
}

#[test]
fn one_user_s_answer_does_not_make_the_page_uncacheable_for_all() {
    let gate = Gate::new();
    let origin = Origin::new().on("/a", lasting("x").after(&gate));
    let gw = Gateway::start(&kept(&origin, ""));

    let own = gw.ask_apart(&get_with("/a", "Authorization", "Basic dTpw"));
    origin.wait_seen("/a", 1);
    gate.open();
    assert_eq!(
        said(own.response().expect(200)),
        "fwd=uri-miss; detail=authorization"
    );
    gate.close();
    let herd = gw.get_many(5, "/a");
    wait_waiting(&gw, 4);
    gate.open();
    all_get(herd, "x");
    assert_eq!(origin.seen("/a"), 2);
}

#[test]
fn a_leader_who_leaves_before_the_head_is_followed_by_another_and_nobody_is_lost() {
    let gate = Gate::new();
    let origin = Origin::new().on("/a", lasting("whole").after(&gate));
    let gw = Gateway::start(&kept(&origin, ""));

    let leader = asking(&gw, "/a");
    origin.wait_seen("/a", 1);
    let herd = gw.get_many(10, "/a");
    wait_waiting(&gw, 10);
    leader.reset();
    origin.wait_seen("/a", 2);
    gate.open();
    all_get(herd, "whole");
    assert_eq!(origin.seen("/a"), 2);
    settle(&gw);
    hit(&gw.get("/a"));
}

#[test]
fn leaders_who_leave_one_after_the_other_leave_the_last_with_an_answer() {
    let gate = Gate::new();
    let origin = Origin::new().on("/a", lasting("whole").after(&gate));
    let gw = Gateway::start(&kept(&origin, ""));

    let mut clients = vec![asking(&gw, "/a")];
    origin.wait_seen("/a", 1);
    for n in 1..6 {
        clients.push(asking(&gw, "/a"));
        wait_waiting(&gw, n);
    }
    let mut last = clients.pop().expect("six have asked");
    clients.into_iter().for_each(Connection::reset);
    wait_until("one is left", || gw.status()["listeners"][0]["connections"] == 1);
    // The question goes on without a client, and is not asked once more by each.
    wait_waiting(&gw, 1);
    gate.open();
    last.response().expect(200).body("whole");
    assert!(origin.seen("/a") <= 6);
}

#[test]
fn a_leader_who_leaves_in_the_middle_of_the_body_does_not_take_it_along() {
    let gate = Gate::new();
    let origin = Origin::new()
        .on("/alone", halves(&gate))
        .on("/herd", halves(&gate));
    let gw = Gateway::start(&kept(&origin, ""));

    let mut leaders = ["/alone", "/herd"].map(|target| asking(&gw, target));
    for leader in &mut leaders {
        assert_eq!(leader.response_head().0, 200);
        assert_eq!(leader.bytes(2), b"ab");
    }
    let herd = gw.get_many(5, "/herd");
    wait_until("they follow", || gw.status()["caches"]["edge"]["collapsed"] == 5);
    leaders.into_iter().for_each(Connection::reset);
    wait_until("the leaders have gone", || {
        gw.status()["listeners"][0]["connections"] == 5
    });
    gate.open();
    all_get(herd, "abcd");
    settle(&gw);
    for target in ["/alone", "/herd"] {
        hit(gw.get(target).expect(200).body("abcd"));
        assert_eq!(origin.seen(target), 1, "{target}");
    }
}

#[test]
fn a_slow_reader_holds_nobody_up() {
    const LENGTH: u64 = 4 << 20;
    let folder = tempfile::tempdir().unwrap();
    let disk = format!(
        "memory = \"4MiB\"\ndisk = \"64MiB\"\npath = {:?}",
        folder.path().join("cache")
    );
    for cache in ["memory = \"64MiB\"", &disk] {
        let origin = Origin::new().on(
            "/a",
            reply(200).header("Cache-Control", "max-age=60").pattern(LENGTH),
        );
        let gw = Gateway::start(&kept_in(cache, &origin, ""));

        let mut slow = Connection::open_narrow(gw.address());
        slow.send(Request::get("/a").bytes());
        assert_eq!(slow.response_head().0, 200);
        for pending in gw.get_many(4, "/a") {
            assert_eq!(pending.response().expect(200).message.body.length, LENGTH);
        }
        settle(&gw);
        hit(&gw.get("/a"));
        // And gets all of it in its own time.
        let body = slow.response_body(Framing::Length(LENGTH)).body;
        assert!(body == harness::body::Pattern::whole(LENGTH), "{cache}");
        assert_eq!(origin.seen("/a"), 1);
    }
}

#[test]
fn a_refused_connection_is_told_to_all_who_wait_at_once() {
    let origin = Origin::down();
    let gw = Gateway::start(&kept(&origin, ""));

    for pending in gw.get_many(20, "/a") {
        pending.response().expect(502).problem();
    }
    origin.revive();
    origin.set("/a", lasting("again"));
    gw.get("/a").expect(200).body("again");
}

#[test]
fn a_failure_is_told_to_all_who_wait_and_tried_once() {
    let gate = Gate::new();
    let origin = Origin::new().on("/a", hang_up().after(&gate));
    let gw = Gateway::start(&kept(&origin, ""));

    let herd = gw.get_many(20, "/a");
    wait_waiting(&gw, 19);
    gate.open();
    for pending in herd {
        pending.response().expect(502).problem();
    }
    assert_eq!(origin.seen("/a"), 1);
    assert_eq!(gw.status()["caches"]["edge"]["fills"], 0);
}

#[test]
fn an_origin_that_says_nothing_costs_all_who_wait_one_time_out() {
    let origin = Origin::new().on("/a", never());
    let toml = kept(&origin, "").replace(
        "[upstreams.origin]",
        "[upstreams.origin]\nread_timeout = \"2500ms\"",
    );
    let gw = Gateway::start(&toml);

    let herd = gw.get_many(10, "/a");
    wait_waiting(&gw, 9);
    for pending in herd {
        pending.response().expect(504).problem();
    }
    assert_eq!(origin.seen("/a"), 1);
}

#[test]
fn an_error_status_that_is_not_kept_goes_to_each_from_the_origin() {
    let gate = Gate::new();
    let origin = Origin::new().on("/a", reply(500).after(&gate).body("mine"));
    let gw = Gateway::start(&kept(&origin, ""));

    // A failing origin is asked by one again each time: it may have recovered, with an answer for all.
    for seen in [5, 10] {
        gate.close();
        let herd = gw.get_many(5, "/a");
        wait_waiting(&gw, 4);
        gate.open();
        for pending in herd {
            pending.response().expect(500).body("mine");
        }
        assert_eq!(origin.seen("/a"), seen);
    }
}

#[test]
fn head_and_get_wait_for_the_same_answer() {
    let gate = Gate::new();
    let origin = Origin::new().on("/a", lasting("both").after(&gate));
    let gw = Gateway::start(&kept(&origin, ""));

    let head = gw.ask_apart(&Request::head("/a"));
    origin.wait_seen("/a", 1);
    let get = gw.ask_apart(&Request::get("/a"));
    let part = gw.ask_apart(&get_with("/a", "Range", "bytes=1-2"));
    wait_waiting(&gw, 2);
    gate.open();
    head.response().expect(200).header("content-length", "4");
    get.response().expect(200).body("both");
    part.response().expect(206).body("ot");
    assert_eq!(origin.only("/a").method, "GET");
}

#[test]
fn a_waiting_client_s_own_time_is_its_own() {
    let gate = Gate::new();
    let origin = Origin::new().on("/a", lasting("x").after(&gate));
    let toml = kept(&origin, "").replace("[routes.cache]", "timeout = \"1500ms\"\n[routes.cache]");
    let gw = Gateway::start(&toml);

    for pending in gw.get_many(4, "/a") {
        pending.response().expect(504).problem();
    }
    gate.open();
    settle(&gw);
    gw.get("/a").expect(200).body("x");
}

#[test]
fn a_stop_waits_for_a_fill_that_has_no_client_left() {
    let gate = Gate::new();
    let folder = tempfile::tempdir().unwrap();
    let cache = format!(
        "memory = \"4MiB\"\ndisk = \"64MiB\"\npath = {:?}",
        folder.path().join("cache")
    );
    let origin = Origin::new().on("/a", halves(&gate));
    let toml = kept_in(&cache, &origin, "");
    let gw = Gateway::start(&toml);
    let mut leader = asking(&gw, "/a");
    assert_eq!(leader.response_head().0, 200);
    leader.reset();
    wait_until("the leader has gone", || {
        gw.status()["listeners"][0]["connections"] == 0
    });

    let stopping = gw.stop_apart();
    gate.open();
    assert!(stopping.wait(), "nothing was cut off");
    assert_eq!(origin.seen("/a"), 1);
}
