//! An origin that breaks off in the middle: nobody takes a part for the whole, and nothing of it is kept.

use harness::body::Pattern;
use harness::origin::{Script, raw, reply};
use harness::wire::Fault;
use harness::{Connection, Gate, Gateway, Origin, Request, wait_until};

use super::{get_with, hit, kept, kept_in, lasting, secs, settle, wait_waiting};

/// Ways to break off after "half", once the gate is open.
fn breaks(gate: &Gate) -> [(&'static str, Script); 6] {
    let half = || {
        reply(200)
            .header("Cache-Control", "max-age=3600")
            .body("half")
            .pause(gate)
    };
    // A chunk whose data does not end where its size says.
    let head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=3600\r\nTransfer-Encoding: chunked\r\n\r\n";
    [
        ("a length and an end", half().claims(8).hang_up()),
        ("a length and a reset", half().claims(8).reset()),
        ("chunks and an end", half().chunked().unfinished().hang_up()),
        ("chunks and a reset", half().chunked().unfinished().reset()),
        (
            "a chunk that is none",
            raw(format!("{head}4\r\nhalf\r\n4\r\nhalfandmore\r\n")).after(gate),
        ),
        ("a length and silence", half().claims(8).linger()),
    ]
}

/// Its origin may be silent for a moment only.
fn impatient(origin: &Origin) -> String {
    kept(origin, "").replace("[upstreams.origin]", "[upstreams.origin]\nread_timeout = \"2s\"")
}

/// So many connections on each of which a GET was sent.
fn asking(gw: &Gateway, n: usize) -> Vec<Connection> {
    let ask = |_| {
        let mut client = gw.connect();
        client.send(Request::get("/a").bytes());
        client
    };
    (0..n).map(ask).collect()
}

/// Fails if what comes looks like a whole answer.
#[track_caller]
fn is_broken(client: &mut Connection, how: &str) {
    match client.try_response() {
        Err(Fault::Ended(_) | Fault::Io(_)) => {}
        Err(fault) => panic!("{how}: {fault}"),
        // Whoever was sent nothing yet may be told of an error, or get what another try has brought.
        Ok(response) if response.status == 200 => _ = response.body("whole"),
        Ok(response) => assert!(response.status >= 500, "{how}:\n{response}"),
    }
}

#[test]
fn every_follower_gets_an_error_and_never_a_short_body_that_looks_whole() {
    let gate = Gate::new();
    for (how, script) in breaks(&gate) {
        gate.close();
        let origin = Origin::new().on("/a", script).then("/a", lasting("whole"));
        let gw = Gateway::start(&impatient(&origin));
        let clients = asking(&gw, 6);
        // Of one of them the head comes together with what is wrong.
        let has_begun = how != "a chunk that is none";
        if has_begun {
            wait_until("they follow", || gw.status()["caches"]["edge"]["collapsed"] == 5);
        } else {
            wait_waiting(&gw, 5);
        }
        gate.open();
        for mut client in clients {
            is_broken(&mut client, how);
        }
        settle(&gw);
        if has_begun {
            assert_eq!(origin.seen("/a"), 1, "{how}");
            assert_eq!(gw.status()["caches"]["edge"]["objects"], 0, "{how}");
        }
        gw.get("/a").expect(200).body("whole");
        settle(&gw);
        hit(gw.get("/a").expect(200).body("whole"));
    }
}

#[test]
fn an_http_1_0_client_is_reset_when_the_end_cannot_be_told_otherwise() {
    let gate = Gate::new();
    let script = reply(200)
        .header("Cache-Control", "max-age=3600")
        .chunked()
        .body("half")
        .pause(&gate);
    let origin = Origin::new().on("/a", script.unfinished().hang_up());
    let gw = Gateway::start(&kept(&origin, ""));

    let mut client = gw.connect();
    client.send(Request::get("/a").http10().bytes());
    assert_eq!(client.response_head().0, 200);
    assert_eq!(client.bytes(4), b"half");
    gate.open();
    client.expect_reset();
}

#[test]
fn a_part_that_had_come_before_the_break_is_whole() {
    let gate = Gate::new();
    let script = reply(200)
        .header("Cache-Control", "max-age=3600")
        .body("half")
        .pause(&gate);
    let origin = Origin::new().on("/a", script.claims(8).hang_up());
    let gw = Gateway::start(&kept(&origin, ""));

    let mut whole = asking(&gw, 1).remove(0);
    assert_eq!(whole.response_head().0, 200);
    let mut part = gw.connect();
    part.ask(&get_with("/a", "Range", "bytes=1-2"))
        .expect(206)
        .body("al");
    let mut later = gw.connect();
    later.send(get_with("/a", "Range", "bytes=2-6").bytes());
    assert_eq!(later.response_head().0, 206);
    assert_eq!(later.bytes(2), b"lf");
    gate.open();
    for client in [&mut whole, &mut later] {
        assert!(client.rest().is_some_and(|rest| rest.len() < 5));
    }
    part.ask(&Request::get("/none")).expect(404);
}

#[test]
fn a_large_body_that_breaks_off_on_its_way_to_disk_leaves_nothing_there() {
    const LENGTH: u64 = 6 << 20;
    let folder = tempfile::tempdir().unwrap();
    let cache = format!(
        "memory = \"4MiB\"\ndisk = \"64MiB\"\npath = {:?}",
        folder.path().join("cache")
    );
    let gate = Gate::new();
    let half = reply(200)
        .header("Cache-Control", "max-age=3600")
        .pattern(LENGTH / 2)
        .pause(&gate);
    let whole = reply(200).header("Cache-Control", "max-age=3600").pattern(LENGTH);
    for broken in [
        half.clone().claims(LENGTH).hang_up(),
        half.chunked().unfinished().hang_up(),
    ] {
        gate.close();
        let origin = Origin::new().on("/a", broken).then("/a", whole.clone());
        let gw = Gateway::start(&kept_in(&cache, &origin, ""));
        let mut clients = asking(&gw, 3);
        for client in &mut clients {
            assert_eq!(client.response_head().0, 200);
        }
        gate.open();
        for client in &mut clients {
            let rest = client.rest().expect("the connection ends");
            assert!(
                (rest.len() as u64) < LENGTH && !rest.ends_with(b"0\r\n\r\n"),
                "{} bytes",
                rest.len()
            );
        }
        settle(&gw);
        wait_until("the draft has gone", || {
            gw.status()["caches"]["edge"]["disk_bytes"] == 0
        });
        assert!(gw.get("/a").expect(200).message.body == Pattern::whole(LENGTH));
        settle(&gw);
        hit(&gw.get("/a"));
        assert_eq!(origin.seen("/a"), 2);
        super::purge(&gw, r#"{"all":true}"#);
    }
}

#[test]
fn what_was_stored_before_survives_a_break_of_its_successor() {
    let gate = Gate::new();
    gate.open();
    for (how, script) in breaks(&gate) {
        let origin = Origin::new()
            .on("/a", reply(200).header("Cache-Control", "max-age=10").body("old"))
            .then("/a", script)
            .then("/a", lasting("new"));
        let gw = Gateway::start_with_manual_clock(&impatient(&origin));
        gw.get("/a").expect(200).body("old");
        gw.advance(secs(20));

        is_broken(&mut asking(&gw, 1).remove(0), how);
        settle(&gw);
        // The old one is there for whoever takes it.
        hit(gw
            .ask(&get_with("/a", "Cache-Control", "max-stale"))
            .expect(200)
            .body("old"));
        gw.get("/a").expect(200).body("new");
    }
}

#[test]
fn more_than_was_announced_is_not_part_of_it_and_the_connection_is_not_used_again() {
    let long = reply(200)
        .header("Cache-Control", "max-age=3600")
        .claims(4)
        .body("fourHTTP/1.1 200 OK\r\n\r\n");
    let origin = Origin::new().on("/a", long).on("/b", lasting("b"));
    let gw = Gateway::start(&kept(&origin, ""));

    let mut client = gw.connect();
    client.ask(&Request::get("/a")).expect(200).body("four");
    settle(&gw);
    client.ask(&Request::get("/b")).expect(200).body("b");
    hit(client.ask(&Request::get("/a")).expect(200).body("four"));
    assert_eq!(origin.connections(), 2);
}

#[test]
fn a_client_that_stops_reading_is_cut_off_and_the_object_is_kept() {
    const LENGTH: u64 = 8 << 20;
    let origin = Origin::new().on(
        "/a",
        reply(200).header("Cache-Control", "max-age=60").pattern(LENGTH),
    );
    let toml = kept_in("memory = \"128MiB\"", &origin, "");
    let gw = Gateway::start(&format!("[server.limits]\nbody_timeout = \"500ms\"\n{toml}"));

    let mut stuck = Connection::open_narrow(gw.address());
    stuck.send(Request::get("/a").bytes());
    assert_eq!(stuck.response_head().0, 200);
    wait_until("it is given up", || {
        gw.status()["listeners"][0]["connections"] == 0
    });
    settle(&gw);
    let response = gw.get("/a");
    hit(&response);
    assert!(response.message.body == Pattern::whole(LENGTH));
}

#[test]
fn a_server_that_breaks_answers_off_is_ejected_and_each_ejection_is_counted() {
    for rule in ["", "bypass = { headers = [\"X-Alone\"] }"] {
        let [a, b] = [(); 2].map(|()| Origin::new().otherwise(reply(200).body("half").claims(8).hang_up()));
        let second = format!("}}, {{ address = \"{}\" }}]", b.address());
        let toml = kept(&a, rule)
            .replace("}]", &second)
            .replace("consecutive_failures = 0", "consecutive_failures = 1");
        let gw = Gateway::start_with_manual_clock(&toml);
        let mut client = gw.connect();
        client.send(get_with("/a", "X-Alone", "1").bytes());
        is_broken(&mut client, rule);
        gw.wait_metrics("it is ejected", |m| {
            m.sum("sluice_upstream_ejections_total", &[]) == 1.0
        });
    }
}
