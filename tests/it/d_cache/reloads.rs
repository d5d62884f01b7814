//! Another configuration under a cache at work.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use harness::body::Pattern;
use harness::origin::reply;
use harness::{Gate, Gateway, Origin, Request, wait_until};

use super::{end_to_end, forwarded, get_with, hit, kept, kept_in, lasting, purge, settle, wait_on_disk};

#[test]
fn what_is_kept_outlives_a_reload_and_another_rule_holds_from_then_on() {
    let origin = Origin::new()
        .on("/a", lasting("a"))
        .on("/b", reply(200).body("b"));
    let gw = Gateway::start_with_manual_clock(&kept(&origin, ""));
    let first = gw.get("/a");
    gw.get("/b").expect(200);
    gw.reload(&kept(&origin, "ttl = \"60s\"")).unwrap();
    let again = gw.get("/a");
    hit(&again);
    assert_eq!(end_to_end(&again), end_to_end(&first));
    gw.get("/b").expect(200);
    gw.get("/b").expect(200);
    settle(&gw);
    hit(&gw.get("/b"));
    assert_eq!(origin.seen("/a"), 1);

    gw.reload(&kept(&origin, "bypass = { headers = [\"X-By\"] }"))
        .unwrap();
    gw.ask(&get_with("/a", "X-By", "1")).expect(200);
    assert_eq!(origin.seen("/a"), 2);
}

#[test]
fn another_key_finds_nothing_that_was_kept_under_the_old_one() {
    let origin = Origin::new()
        .on("/a", lasting("of x"))
        .then("/a", lasting("of nothing"))
        .then("/a", lasting("of y"));
    let gw = Gateway::start(&kept(&origin, "key = { query = \"none\" }"));
    gw.get("/a?x").expect(200).body("of x");
    hit(gw.get("/a?y").expect(200).body("of x"));
    gw.reload(&kept(&origin, "")).unwrap();
    forwarded(gw.get("/a").expect(200).body("of nothing"), "uri-miss");
    forwarded(gw.get("/a?y").expect(200).body("of y"), "uri-miss");
}

#[test]
fn a_refused_reload_leaves_the_cache_as_it_was() {
    let origin = Origin::new().on("/a", lasting("a"));
    let gw = Gateway::start(&kept(&origin, ""));
    gw.get("/a").expect(200);
    gw.reload(&kept(&origin, "ttl = \"soon\"")).unwrap_err();
    gw.reload(&kept(&origin, "").replace("store = \"edge\"", "store = \"egde\""))
        .unwrap_err();
    hit(&gw.get("/a"));
}

#[test]
fn a_smaller_memory_lets_go_of_what_does_not_fit_and_a_larger_one_keeps_all() {
    const LENGTH: u64 = 50_000;
    let origin = Origin::new().otherwise(reply(200).header("Cache-Control", "max-age=3600").pattern(LENGTH));
    let gw = Gateway::start(&kept_in("memory = \"16MiB\"", &origin, ""));
    let mut client = gw.connect();
    let mut ask_all = || {
        for n in 0..60 {
            let response = client.ask(&Request::get(&format!("/{n}")));
            assert!(response.expect(200).message.body == Pattern::whole(LENGTH));
        }
    };
    ask_all();
    gw.reload(&kept_in("memory = \"1MiB\"", &origin, "")).unwrap();
    wait_until("the limit holds", || {
        gw.status()["caches"]["edge"]["memory_bytes"].as_u64() <= Some(1 << 20)
    });
    let edge = &gw.status()["caches"]["edge"];
    assert!(
        edge["objects"].as_u64().is_some_and(|n| (5..30).contains(&n)),
        "{edge:#}"
    );
    gw.reload(&kept_in("memory = \"16MiB\"", &origin, "")).unwrap();
    ask_all();
    let seen = origin.total();
    assert!((90..=115).contains(&seen), "{seen}");
    ask_all();
    assert_eq!(origin.total(), seen);
}

#[test]
fn a_route_may_get_a_cache_and_lose_it_again() {
    let origin = Origin::new().otherwise(lasting("x"));
    let gw = Gateway::start(&crate::all_to(&origin));
    gw.get("/a").expect(200).no_header("cache-status");
    assert!(
        gw.status()["caches"]
            .as_object()
            .is_some_and(serde_json::Map::is_empty)
    );

    gw.reload(&kept(&origin, "")).unwrap();
    gw.get("/a").expect(200);
    settle(&gw);
    hit(&gw.get("/a"));
    gw.reload(&crate::all_to(&origin)).unwrap();
    gw.get("/a")
        .expect(200)
        .no_header("cache-status")
        .no_header("age");
    assert_eq!(origin.seen("/a"), 3);
}

#[test]
fn a_write_while_the_cache_was_away_is_not_forgotten() {
    let origin = Origin::new()
        .on("/a", lasting("old"))
        .then("/a", reply(204))
        .then("/a", lasting("new"));
    let gw = Gateway::start(&kept(&origin, ""));
    gw.get("/a").expect(200).body("old");
    gw.reload(&crate::all_to(&origin)).unwrap();
    gw.ask(&Request::post("/a", "x")).expect(204);
    gw.reload(&kept(&origin, "")).unwrap();
    gw.get("/a").expect(200).body("new");
}

#[test]
fn a_fill_in_flight_ends_for_its_clients_whatever_becomes_of_the_cache() {
    let gate = Gate::new();
    let slow = || {
        reply(200)
            .header("Cache-Control", "max-age=3600")
            .body("ab")
            .pause(&gate)
            .body("cd")
    };
    let origin = Origin::new().on("/a", slow()).on("/b", slow());
    let gw = Gateway::start(&kept(&origin, ""));
    let begin = |target: &str| {
        let mut client = gw.connect();
        client.send(Request::get(target).bytes());
        let (_, framing) = client.response_head();
        (client, framing)
    };
    let before = [begin("/a"), begin("/b")];
    let follower = begin("/a");
    gw.reload(&kept_in("memory = \"1MiB\"\nmax_object = \"1B\"", &origin, ""))
        .unwrap();
    gw.reload(&crate::all_to(&origin)).unwrap();
    let alone = gw.ask_apart(&Request::get("/a"));
    origin.wait_seen("/a", 2);
    gate.open();
    for (mut client, framing) in before.into_iter().chain([follower]) {
        assert_eq!(client.response_body(framing).body.text(), "abcd");
    }
    alone
        .response()
        .expect(200)
        .body("abcd")
        .no_header("cache-status");
    gw.wait_metrics("the old snapshots are gone", |m| {
        m.sum("sluice_snapshots_alive", &[]) == 1.0
    });
}

#[test]
fn a_fill_that_began_before_a_reload_is_kept_and_found_after_it() {
    let gate = Gate::new();
    let slow = reply(200)
        .header("Cache-Control", "max-age=3600")
        .body("ab")
        .pause(&gate)
        .body("cd");
    let origin = Origin::new().on("/a", slow);
    let gw = Gateway::start(&kept(&origin, ""));
    let first = gw.ask_apart(&Request::get("/a"));
    origin.wait_seen("/a", 1);
    gw.reload(&kept_in("memory = \"8MiB\"", &origin, "ttl = \"1s\""))
        .unwrap();
    let second = gw.ask_apart(&Request::get("/a"));
    wait_until("it follows", || gw.status()["caches"]["edge"]["collapsed"] == 1);
    gate.open();
    for pending in [first, second] {
        pending.response().expect(200).body("abcd");
    }
    settle(&gw);
    hit(&gw.get("/a"));
    assert_eq!(origin.seen("/a"), 1);
}

#[test]
fn a_disk_may_come_and_go_and_a_folder_may_change() {
    let folder = tempfile::tempdir().unwrap();
    let disk = |name: &str| {
        format!(
            "memory = \"4MiB\"\ndisk = \"16MiB\"\npath = {:?}",
            folder.path().join(name)
        )
    };
    let origin = Origin::new().otherwise(lasting("x"));
    let gw = Gateway::start(&kept_in("memory = \"4MiB\"", &origin, ""));
    gw.get("/memory").expect(200);
    for (n, cache) in [
        disk("one"),
        disk("two"),
        "memory = \"4MiB\"".to_owned(),
        disk("one"),
    ]
    .iter()
    .enumerate()
    {
        gw.reload(&kept_in(cache, &origin, "")).unwrap();
        let target = format!("/{n}");
        gw.get(&target).expect(200);
        settle(&gw);
        hit(&gw.get(&target));
        if cache.contains("disk") {
            wait_until("it has gone to disk", || {
                gw.status()["caches"]["edge"]["objects_disk"].as_u64() >= Some(1)
            });
        }
        assert_eq!(
            gw.status()["caches"]["edge"]["disk_fault"],
            serde_json::Value::Null
        );
    }
}

#[test]
fn a_removed_cache_s_folder_may_be_another_s_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let lines = format!(
        "memory = \"4MiB\"\ndisk = \"16MiB\"\npath = {:?}",
        folder.path().join("c")
    );
    let origin = Origin::new().otherwise(lasting("x"));
    let toml = kept_in(&lines, &origin, "");
    let gw = Gateway::start(&toml);
    gw.get("/a").expect(200);
    wait_on_disk(&gw, 1);
    gw.reload(&toml.replace("edge", "other")).unwrap();
    gw.get("/a").expect(200);
    wait_until("the folder is the other's", || {
        let status = gw.status();
        let other = &status["caches"]["other"];
        assert!(status["caches"]["edge"].is_null());
        other["disk_fault"].is_null() && other["objects_disk"].as_u64() >= Some(1)
    });
}

#[test]
fn no_request_is_lost_while_caches_come_change_and_go() {
    const RELOADS: usize = 24;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cache");
    let origin = Origin::new();
    for n in 0..8_u64 {
        let script = reply(200).header("Cache-Control", "max-age=3600");
        origin.set(&format!("/{n}"), script.pattern(1_000 + n * 60_000));
    }
    let disk = |size: &str| format!("memory = \"4MiB\"\ndisk = \"{size}\"\npath = {path:?}");
    let tomls = [
        kept_in("memory = \"16MiB\"", &origin, ""),
        kept_in("memory = \"1MiB\"", &origin, ""),
        kept_in(&disk("16MiB"), &origin, ""),
        crate::all_to(&origin),
        kept_in(&disk("4MiB"), &origin, "key = { query = \"none\" }"),
        kept_in("memory = \"2MiB\"\nmax_object = \"100KiB\"", &origin, "").replace("edge", "other"),
    ];
    let gw = Gateway::start(&tomls[0]);
    let is_over = AtomicBool::new(false);
    let asked: usize = thread::scope(|scope| {
        let clients: Vec<_> = (0..4_u64)
            .map(|client| {
                let (is_over, gw) = (&is_over, &gw);
                scope.spawn(move || {
                    let mut connection = gw.connect();
                    let mut asked = 0;
                    while !is_over.load(Ordering::Acquire) {
                        let n = (asked as u64 * 3 + client) % 8;
                        let response = connection.ask(&Request::get(&format!("/{n}?{client}")));
                        assert!(response.expect(200).message.body == Pattern::whole(1_000 + n * 60_000));
                        asked += 1;
                    }
                    asked
                })
            })
            .collect();
        for n in 1..=RELOADS {
            if n % 3 == 0 {
                purge(&gw, r#"{"all":true}"#);
            }
            gw.reload(&tomls[n % tomls.len()]).unwrap();
            origin.wait_seen("/0", 1);
        }
        is_over.store(true, Ordering::Release);
        clients
            .into_iter()
            .map(|client| client.join().expect("it got its answers"))
            .sum()
    });
    assert!(asked >= 20, "{asked}");
}
