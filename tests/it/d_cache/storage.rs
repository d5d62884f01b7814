//! What memory holds, and what does not fit into it.

use harness::body::Pattern;
use harness::origin::{Script, reply};
use harness::{Gateway, Origin, Request};

use super::{forwarded, get_with, hit, kept_in, said, settle};

fn pattern(length: u64) -> Script {
    reply(200).header("Cache-Control", "max-age=3600").pattern(length)
}

#[test]
fn memory_holds_what_it_may_and_what_leaves_it_is_fetched_again() {
    const OBJECTS: u64 = 60;
    let origin = Origin::new();
    let length = |n: u64| 40_000 + n * 100;
    for n in 0..OBJECTS {
        origin.set(&format!("/{n}"), pattern(length(n)));
    }
    let gw = Gateway::start(&kept_in("memory = \"1MiB\"", &origin, ""));

    let mut client = gw.connect();
    for round in 0..3 {
        for n in 0..OBJECTS {
            let response = client.ask(&Request::get(&format!("/{n}")));
            assert!(
                response.expect(200).message.body == Pattern::whole(length(n)),
                "{n} in round {round}"
            );
        }
        settle(&gw);
        let edge = &gw.status()["caches"]["edge"];
        let told = |name: &str| {
            edge[name]
                .as_u64()
                .unwrap_or_else(|| panic!("{name} in {edge:#}"))
        };
        assert!(told("memory_bytes") <= 1 << 20, "{edge:#}");
        assert_eq!(told("memory_limit_bytes"), 1 << 20);
        assert!((10..30).contains(&told("objects")), "{edge:#}");
        assert!(told("evictions_memory") >= 30, "{edge:#}");
    }
    let metrics = gw.metrics();
    let tier = [("cache", "edge"), ("tier", "memory")];
    assert!(metrics.sum("sluice_cache_bytes", &tier) > 400_000.0);
    assert!(metrics.sum("sluice_cache_objects", &tier) >= 10.0);
    assert!(metrics.sum("sluice_cache_evictions_total", &tier) >= 30.0);
}

#[test]
fn what_is_asked_for_again_and_again_outlives_what_is_asked_for_once() {
    let origin = Origin::new()
        .on("/often", pattern(50_000))
        .otherwise(pattern(50_000));
    let gw = Gateway::start(&kept_in("memory = \"1MiB\"", &origin, ""));
    let mut client = gw.connect();
    for n in 0..100 {
        for target in ["/often".to_owned(), format!("/{n}")] {
            client.ask(&Request::get(&target)).expect(200);
        }
    }
    assert_eq!(origin.seen("/often"), 1);
}

#[test]
fn what_is_larger_than_an_object_may_be_is_passed_on_whole_and_not_kept() {
    let origin = Origin::new()
        .on("/fits", pattern(10_240))
        .on("/known", pattern(10_241))
        .on("/unknown", pattern(30_000).chunked());
    let gw = Gateway::start(&kept_in(
        "memory = \"16MiB\"\nmax_object = \"10KiB\"",
        &origin,
        "",
    ));

    let mut client = gw.connect();
    for (target, length) in [("/fits", 10_240), ("/known", 10_241), ("/unknown", 30_000)] {
        for _ in 0..3 {
            let response = client.ask(&Request::get(target));
            assert!(
                response.expect(200).message.body == Pattern::whole(length),
                "{target}"
            );
            settle(&gw);
        }
    }
    assert_eq!(
        ["/fits", "/known", "/unknown"].map(|path| origin.seen(path)),
        [1, 3, 3]
    );
    assert_eq!(gw.status()["caches"]["edge"]["objects"], 1);
    let lines = gw.log_objects(9);
    let results: Vec<_> = lines
        .iter()
        .map(|line| line["cache"].as_str().unwrap_or("-"))
        .collect();
    assert_eq!(
        results[..6],
        ["miss", "hit", "hit", "uncacheable", "uncacheable", "uncacheable"]
    );
}

#[test]
fn what_would_take_too_much_of_memory_is_not_kept_there() {
    let origin = Origin::new()
        .on("/a", pattern(300_000))
        .on("/b", pattern(300_000).chunked());
    let gw = Gateway::start(&kept_in("memory = \"1MiB\"", &origin, ""));
    for target in ["/a", "/b"] {
        for _ in 0..2 {
            assert!(
                gw.get(target).expect(200).message.body == Pattern::whole(300_000),
                "{target}"
            );
            settle(&gw);
        }
        assert_eq!(origin.seen(target), 2);
    }
    assert_eq!(said(&gw.get("/a")), "fwd=uri-miss; detail=known-uncacheable");
}

#[test]
fn what_is_too_large_is_known_to_be_by_the_next_whatever_it_varies_by() {
    let origin = Origin::new().otherwise(pattern(300_000).header("Vary", "Accept-Language"));
    let gw = Gateway::start(&kept_in("memory = \"1MiB\"", &origin, ""));
    let ask = |language: &str| gw.ask(&get_with("/a", "Accept-Language", language));
    assert_eq!(said(&ask("de")), "fwd=uri-miss; detail=too-large");
    // Nobody has to wait for another one's head to be told that: not even who speaks another language.
    for language in ["de", "en"] {
        let known = ask(language);
        assert!(known.expect(200).message.body == Pattern::whole(300_000));
        assert_eq!(
            said(&known),
            "fwd=uri-miss; detail=known-uncacheable",
            "{language}"
        );
    }
    assert_eq!(origin.seen("/a"), 3);
}

#[test]
fn a_part_of_what_is_too_large_to_keep_is_still_an_answer() {
    let origin = Origin::new()
        .on("/a", pattern(300_000))
        .on("/b", pattern(300_000).chunked());
    let gw = Gateway::start(&kept_in("memory = \"1MiB\"", &origin, ""));
    let mut client = gw.connect();
    for target in ["/a", "/b"] {
        for _ in 0..2 {
            let response = client.ask(&Request::get(target).header("Range", "bytes=5-9"));
            match response.status {
                200 => assert!(response.message.body == Pattern::whole(300_000)),
                status => assert_eq!((status, response.message.body.length), (206, 5)),
            }
        }
        client.ask(&Request::head(target)).expect(200);
    }
}

#[test]
fn an_empty_cache_says_so() {
    let origin = Origin::new();
    let gw = Gateway::start(&kept_in("memory = \"16MiB\"", &origin, ""));
    let edge = &gw.status()["caches"]["edge"];
    for name in [
        "memory_bytes",
        "disk_bytes",
        "objects",
        "hits",
        "misses",
        "fills",
        "waiting",
        "damaged",
    ] {
        assert_eq!(edge[name], 0, "{name}");
    }
    assert_eq!(edge["disk_fault"], serde_json::Value::Null);
    let metrics = gw.metrics();
    for result in ["hit", "miss", "stale", "revalidated", "bypass", "uncacheable"] {
        assert!(
            metrics.has(
                "sluice_cache_requests_total",
                &[("cache", "edge"), ("result", result)]
            ),
            "{result}"
        );
    }
}

#[test]
fn every_host_and_path_may_be_kept_at_once() {
    let origin = Origin::new().otherwise(reply(200).header("Cache-Control", "max-age=60").body("x"));
    let gw = Gateway::start(&kept_in("memory = \"16MiB\"", &origin, ""));
    let mut client = gw.connect();
    let ask = |n: usize| Request::get(&format!("/{n}")).host(&format!("h{}.test", n % 7));
    for n in 0..1000 {
        forwarded(&client.ask(&ask(n)), "uri-miss");
    }
    for n in 0..1000 {
        hit(&client.ask(&ask(n)));
    }
    assert_eq!(origin.total(), 1000);
}
