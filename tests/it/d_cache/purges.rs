//! An operator's word that something is not to be used any more: in effect for the very next look-up.

use harness::origin::{Script, hang_up, reply};
use harness::{Gate, Gateway, Origin, Request};

use super::{
    date, forwarded, get_with, hit, kept, kept_in, lasting, purge, said, secs, settle, wait_waiting,
};

/// A page under each of these paths, on two hosts, tagged by its first segment.
struct Site {
    origin: Origin,
    gw: Gateway,
}

const PATHS: [&str; 6] = ["/", "/shop", "/shop/a", "/shop/a/b", "/shopping", "/news?page=1"];

impl Site {
    fn stored() -> Self {
        let tagged = |tags: &str| lasting("x").header("Cache-Tag", tags);
        let origin = Origin::new()
            .otherwise(lasting("x"))
            .on("/shop", tagged("goods, all pages"))
            .on("/shop/a", tagged("goods").header("Surrogate-Key", "deep old"))
            .on(
                "/shop/a/b",
                lasting("x").header("Cache-Groups", "\"goods\", \"deep\""),
            );
        let gw = Gateway::start(&kept(&origin, ""));
        let site = Self { origin, gw };
        site.missing();
        site
    }

    /// Asks for all, and says which of them, with their hosts, were not there.
    #[track_caller]
    fn missing(&self) -> Vec<String> {
        let mut client = self.gw.connect();
        let mut missing = Vec::new();
        for host in ["a.test", "b.test"] {
            for path in PATHS {
                let response = client.ask(&Request::get(path).host(host));
                if !said(response.expect(200)).starts_with("hit") {
                    missing.push(format!("{host}{path}"));
                }
            }
        }
        settle(&self.gw);
        missing
    }

    /// Fails unless exactly these go by this order, and as many are told.
    #[track_caller]
    fn goes(&self, order: &str, expected: &[&str]) {
        let told = purge(&self.gw, order);
        assert_eq!(self.missing(), expected, "{order}");
        assert_eq!(told["objects"], expected.len(), "{order}: {told:#}");
        assert_eq!(told["caches"]["edge"], expected.len(), "{told:#}");
        assert_eq!(self.missing(), [""; 0], "they are back");
    }
}

#[test]
fn what_an_order_names_goes_and_nothing_else() {
    let site = Site::stored();
    assert_eq!(site.origin.total(), 12);
    site.goes(r#"{"urls":["http://a.test/shop"]}"#, &["a.test/shop"]);
    site.goes(r#"{"urls":["http://a.test/"]}"#, &["a.test/"]);
    site.goes(
        r#"{"urls":["HTTP://A.test:80/news?page=1"]}"#,
        &["a.test/news?page=1"],
    );
    site.goes(
        r#"{"urls":["http://a.test/news","https://a.test/shop","http://a.test:81/shop"]}"#,
        &[],
    );
    site.goes(
        r#"{"prefixes":["http://a.test/shop/"]}"#,
        &["a.test/shop", "a.test/shop/a", "a.test/shop/a/b"],
    );
    site.goes(
        r#"{"prefixes":["http://b.test/shop/a"]}"#,
        &["b.test/shop/a", "b.test/shop/a/b"],
    );
    let all_of_b: Vec<_> = PATHS.map(|path| format!("b.test{path}")).to_vec();
    let all_of_b: Vec<_> = all_of_b.iter().map(String::as_str).collect();
    site.goes(r#"{"prefixes":["http://b.test/"]}"#, &all_of_b);
    site.goes(r#"{"hosts":["B.test"]}"#, &all_of_b);
    site.goes(r#"{"hosts":["b.test:80"]}"#, &all_of_b);
    site.goes(r#"{"hosts":["b.test:8080","c.test","test"]}"#, &[]);
    site.goes(r#"{"tags":["all pages"]}"#, &["a.test/shop", "b.test/shop"]);
    site.goes(
        r#"{"tags":["goods"]}"#,
        &[
            "a.test/shop",
            "a.test/shop/a",
            "a.test/shop/a/b",
            "b.test/shop",
            "b.test/shop/a",
            "b.test/shop/a/b",
        ],
    );
    site.goes(r#"{"tags":["old"]}"#, &["a.test/shop/a", "b.test/shop/a"]);
    site.goes(r#"{"tags":["Goods","go","all","/shop"]}"#, &[]);
    let told = purge(
        &site.gw,
        r#"{"urls":["http://a.test/shop","http://a.test/"],"tags":["all pages"]}"#,
    );
    assert_eq!(site.missing(), ["a.test/", "a.test/shop", "b.test/shop"]);
    // One that several targets name may count for each of them.
    assert!(
        told["objects"].as_u64().is_some_and(|n| (3..=4).contains(&n)),
        "{told:#}"
    );
    let told = purge(&site.gw, r#"{"all":true}"#);
    assert_eq!(told["objects"], 12);
    assert_eq!(site.missing().len(), 12);
}

#[test]
fn purges_are_counted_by_what_they_name() {
    let site = Site::stored();
    for order in [
        r#"{"urls":["http://a.test/","http://a.test/x"]}"#,
        r#"{"prefixes":["http://a.test/"]}"#,
        r#"{"hosts":["a.test"]}"#,
        r#"{"tags":["goods"],"soft":true}"#,
        r#"{"all":true}"#,
    ] {
        purge(&site.gw, order);
    }
    let metrics = site.gw.metrics();
    for (kind, n) in [
        ("url", 2.0),
        ("prefix", 1.0),
        ("host", 1.0),
        ("tag", 1.0),
        ("all", 1.0),
    ] {
        let labels = [("cache", "edge"), ("kind", kind)];
        assert_eq!(
            metrics.sum("sluice_cache_purges_total", &labels),
            n,
            "{kind} in {}",
            metrics.text
        );
    }
}

#[test]
fn an_order_that_names_nothing_or_nonsense_is_refused_and_does_nothing() {
    let site = Site::stored();
    let many = format!(r#"{{"tags":[{}]}}"#, vec!["\"t\""; 10_001].join(","));
    for order in [
        "",
        "{}",
        "[]",
        "nonsense",
        r#"{"urls":[]}"#,
        r#"{"all":false}"#,
        r#"{"soft":true}"#,
        r#"{"url":["http://a.test/"]}"#,
        r#"{"urls":"http://a.test/"}"#,
        r#"{"urls":["/shop"]}"#,
        r#"{"urls":["a.test/shop"]}"#,
        r#"{"urls":["ftp://a.test/"]}"#,
        r#"{"urls":["http:///x"]}"#,
        r#"{"prefixes":["/shop"]}"#,
        r#"{"prefixes":["http://a.test/shop?x"]}"#,
        r#"{"hosts":["http://a.test"]}"#,
        r#"{"hosts":["a test"]}"#,
        r#"{"hosts":[""]}"#,
        r#"{"tags":[""]}"#,
        r#"{"urls":["http://a.test/","nonsense"]}"#,
        r#"{"all":true,"tags":[""]}"#,
        &many,
    ] {
        let refused = site.gw.ask_admin(&Request::post("/purge", order));
        let refused = refused.expect(400).text();
        let problem: serde_json::Value = serde_json::from_str(&refused).expect("a problem document");
        assert!(
            problem["detail"].as_str().is_some_and(|d| d.len() > 20),
            "{order}: {refused}"
        );
    }
    site.gw.ask_admin(&Request::get("/purge")).expect(405);
    assert_eq!(site.missing(), [""; 0]);
    // What the client's listener is asked is not the operator's word.
    site.gw.ask(&Request::post("/purge", r#"{"all":true}"#));
    site.gw.ask(&Request::new("PURGE", "/nowhere"));
    assert_eq!(site.missing(), [""; 0]);
}

#[test]
fn a_soft_purge_makes_stale_what_may_then_be_used_as_stale_answers_may() {
    let script = |control: &str, body: &str| -> Script {
        reply(200)
            .header("Cache-Control", control)
            .header("ETag", "\"a\"")
            .body(body)
    };
    let origin = Origin::new()
        .on("/plain", script("max-age=3600", "old"))
        .then("/plain", reply(304))
        .on(
            "/behind",
            script("max-age=3600, stale-while-revalidate=60", "old"),
        )
        .then("/behind", script("max-age=3600", "new"))
        .on("/dead", script("max-age=3600, stale-if-error=60", "old"))
        .then("/dead", reply(503));
    let gw = Gateway::start_with_manual_clock(&kept(&origin, ""));
    let targets = ["/plain", "/behind", "/dead"];
    for target in targets {
        gw.get(target).expect(200);
    }
    gw.advance(secs(5));
    let told = purge(&gw, r#"{"hosts":["a.test"],"soft":true}"#);
    assert_eq!((&told["objects"], &told["soft"]), (&3.into(), &true.into()));

    // Not even a client that takes stale ones gets it unasked: the operator has spoken.
    let plain = gw.ask(&get_with("/plain", "Cache-Control", "max-stale"));
    assert_eq!(
        said(plain.expect(200).body("old")),
        "fwd=stale; fwd-status=304; stored"
    );
    hit(gw.get("/plain").expect(200).body("old"));
    let behind = gw.get("/behind");
    assert!(said(behind.expect(200).body("old")).ends_with("detail=stale-while-revalidate"));
    origin.wait_seen("/behind", 2);
    settle(&gw);
    hit(gw.get("/behind").expect(200).body("new"));
    let dead = gw.get("/dead");
    assert!(said(dead.expect(200).body("old")).ends_with("detail=stale-if-error"));
    assert_eq!(origin.requests("/plain")[1].value("if-none-match"), Some("\"a\""));

    purge(&gw, r#"{"all":true,"soft":true}"#);
    purge(&gw, r#"{"all":true}"#);
    gw.get("/dead").expect(503);
}

#[test]
fn a_purge_reaches_a_fill_in_flight_before_its_head_has_come() {
    for order in [
        r#"{"urls":["http://a.test/a"]}"#,
        r#"{"prefixes":["http://a.test/"]}"#,
        r#"{"hosts":["a.test"]}"#,
        r#"{"tags":["t"]}"#,
        r#"{"all":true}"#,
    ] {
        let gate = Gate::new();
        let origin = Origin::new()
            .on("/a", lasting("old").header("Cache-Tag", "t").after(&gate))
            .then("/a", lasting("new"));
        let gw = Gateway::start(&kept(&origin, ""));
        let before = gw.ask_apart(&Request::get("/a"));
        origin.wait_seen("/a", 1);
        purge(&gw, order);
        gate.open();
        before.response().expect(200).body("old");
        settle(&gw);
        gw.get("/a").expect(200).body("new");
        settle(&gw);
        hit(gw.get("/a").expect(200).body("new"));
    }
}

#[test]
fn a_purge_reaches_a_fill_in_flight_whose_body_comes_and_nobody_new_joins_it() {
    for order in [r#"{"urls":["http://a.test/a"]}"#, r#"{"tags":["t"]}"#] {
        let gate = Gate::new();
        let slow = reply(200)
            .header("Cache-Control", "max-age=60")
            .header("Cache-Tag", "t");
        let slow = slow.body("o").pause(&gate).body("ld");
        let origin = Origin::new().on("/a", slow).then("/a", lasting("new"));
        let gw = Gateway::start(&kept(&origin, ""));
        let mut before = gw.connect();
        before.send(Request::get("/a").bytes());
        let (_, framing) = before.response_head();
        purge(&gw, order);
        gw.get("/a").expect(200).body("new");
        gate.open();
        assert_eq!(before.response_body(framing).body.text(), "old");
        settle(&gw);
        hit(gw.get("/a").expect(200).body("new"));
        assert_eq!(origin.seen("/a"), 2, "{order}");
    }
}

#[test]
fn who_waits_for_a_purged_fill_still_gets_an_answer_and_who_comes_after_gets_a_new_one() {
    let gate = Gate::new();
    let origin = Origin::new()
        .on("/a", lasting("old").after(&gate))
        .then("/a", lasting("new"));
    let gw = Gateway::start(&kept(&origin, ""));
    let leader = gw.ask_apart(&Request::get("/a"));
    origin.wait_seen("/a", 1);
    let waiting = gw.get_many(3, "/a");
    wait_waiting(&gw, 3);
    purge(&gw, r#"{"urls":["http://a.test/a"]}"#);
    gw.get("/a").expect(200).body("new");
    gate.open();
    leader.response().expect(200).body("old");
    for pending in waiting {
        let text = pending.response().expect(200).text();
        assert!(["old", "new"].contains(&text.as_str()), "{text}");
    }
    settle(&gw);
    hit(gw.get("/a").expect(200).body("new"));
    assert_eq!(origin.seen("/a"), 2);
}

#[test]
fn a_purge_reaches_what_is_being_confirmed() {
    let gate = Gate::new();
    let first = reply(200)
        .header("Cache-Control", "max-age=10")
        .header("ETag", "\"a\"")
        .body("old");
    let origin = Origin::new()
        .on("/a", first)
        .then("/a", reply(304).after(&gate))
        .then("/a", lasting("new"));
    let gw = Gateway::start_with_manual_clock(&kept(&origin, ""));
    gw.get("/a").expect(200);
    gw.advance(secs(20));
    let confirmed = gw.ask_apart(&Request::get("/a"));
    origin.wait_seen("/a", 2);
    purge(&gw, r#"{"urls":["http://a.test/a"]}"#);
    gate.open();
    confirmed.response().expect(200).body("old");
    settle(&gw);
    gw.get("/a").expect(200).body("new");
    assert!(!origin.requests("/a")[2].has("if-none-match"));
}

#[test]
fn what_is_purged_while_its_origin_fails_is_not_served_instead() {
    // An answer of the origin's goes to each for himself, where nothing covers it.
    for (failure, status, asked) in [(reply(503).body("broken"), 503, 5), (hang_up(), 502, 2)] {
        let gate = Gate::new();
        let first = reply(200)
            .header("Cache-Control", "max-age=10, stale-if-error=600")
            .header("ETag", "\"a\"")
            .body("old")
            .close();
        let origin = Origin::new().on("/a", first).then("/a", failure.after(&gate));
        let gw = Gateway::start_with_manual_clock(&kept(&origin, ""));
        gw.get("/a").expect(200).body("old");
        settle(&gw);
        gw.advance(secs(20));
        let leader = gw.ask_apart(&Request::get("/a"));
        origin.wait_seen("/a", 2);
        let waiting = gw.get_many(3, "/a");
        wait_waiting(&gw, 3);
        purge(&gw, r#"{"urls":["http://a.test/a"]}"#);
        gate.open();
        leader.response().expect(status);
        for pending in waiting {
            pending.response().expect(status);
        }
        assert_eq!(origin.seen("/a"), asked);
    }
}

#[test]
fn a_purge_holds_after_a_restart_for_what_is_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let cache = format!(
        "memory = \"4MiB\"\ndisk = \"64MiB\"\npath = {:?}",
        folder.path().join("cache")
    );
    let origin = Origin::new().otherwise(lasting("x").header("Cache-Tag", "t"));
    let toml = kept_in(&cache, &origin, "");
    let targets = ["/hard", "/soft", "/kept"];

    let gw = Gateway::start(&toml);
    for target in targets {
        origin.set(
            target,
            lasting("x")
                .header("ETag", "\"a\"")
                .header("Cache-Tag", &target[1..]),
        );
        gw.get(target).expect(200);
    }
    super::wait_on_disk(&gw, 3);
    purge(&gw, r#"{"tags":["hard"]}"#);
    purge(&gw, r#"{"tags":["soft"],"soft":true}"#);
    gw.stop();

    let gw = Gateway::start(&toml);
    super::wait_rebuilt(&gw);
    hit(gw.get("/kept").expect(200));
    forwarded(gw.get("/hard").expect(200), "uri-miss");
    forwarded(gw.get("/soft").expect(200), "stale");
    assert!(!origin.requests("/hard")[1].has("if-none-match"));
    assert!(origin.requests("/soft")[1].has("if-none-match"));
    settle(&gw);
    gw.stop();

    // What was fetched after the purge is newer than it, for ever.
    let gw = Gateway::start(&toml);
    super::wait_rebuilt(&gw);
    for target in targets {
        hit(gw.get(target).expect(200));
    }
}

#[test]
fn an_object_reached_under_several_queries_goes_by_its_path() {
    let origin = Origin::new().on("/a", lasting("x").header("Last-Modified", &date(-1)));
    let gw = Gateway::start(&kept(&origin, "key = { query = \"none\" }"));
    gw.get("/a?x=1").expect(200);
    for (url, goes) in [
        ("http://a.test/a", true),
        ("http://a.test/a?y=2", true),
        ("http://a.test/b?x=1", false),
        ("http://a.test/a?z", true),
    ] {
        settle(&gw);
        let told = purge(&gw, &format!(r#"{{"urls":["{url}"]}}"#));
        assert_eq!(told["objects"], usize::from(goes), "{url}");
        settle(&gw);
        let response = gw.get("/a?z");
        assert_eq!(said(response.expect(200)).starts_with("fwd"), goes, "{url}");
    }
}
