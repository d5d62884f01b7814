//! What a client may ask of the cache (RFC 9111 §5.2.1): wishes, and heard.

use harness::origin::{Script, reply};
use harness::{Gateway, Origin, Request, Response};

use super::{forwarded, get_with, hit, kept, lasting, said, secs, settle};

/// "v1" is stored, a hundred seconds fresh and forty seconds old; the origin has another answer by now.
struct Shelf {
    origin: Origin,
    gw: Gateway,
}

impl Shelf {
    fn stocked(control: &str, age: u64) -> Self {
        let version =
            |n: u32| -> Script { reply(200).header("Cache-Control", control).body(format!("v{n}")) };
        let origin = Origin::new().on("/a", version(1)).then("/a", version(2));
        let gw = Gateway::start_with_manual_clock(&kept(&origin, ""));
        gw.get("/a").expect(200).body("v1");
        gw.advance(secs(age));
        Self { origin, gw }
    }

    #[track_caller]
    fn ask(&self, control: &str) -> Response {
        self.gw.ask(&get_with("/a", "Cache-Control", control))
    }
}

#[test]
fn who_wants_no_stored_answer_gets_a_new_one_and_so_do_all_after() {
    for (name, value) in [
        ("Cache-Control", "no-cache"),
        ("Cache-Control", "max-age=0"),
        ("Cache-Control", "max-age=39"),
        ("Cache-Control", "min-fresh=61"),
        ("Cache-Control", "max-age=nonsense"),
        ("Pragma", "no-cache"),
    ] {
        let shelf = Shelf::stocked("max-age=100", 40);
        let response = shelf.gw.ask(&get_with("/a", name, value));
        forwarded(response.expect(200).body("v2"), "request");
        settle(&shelf.gw);
        hit(shelf.gw.get("/a").expect(200).body("v2"));
        assert_eq!(shelf.origin.seen("/a"), 2, "{name}: {value}");
    }
}

#[test]
fn a_wish_that_is_met_costs_the_origin_nothing() {
    for value in [
        "max-age=40",
        "max-age=100",
        "min-fresh=60",
        "max-stale",
        "only-if-cached",
        "no-store",
        "x=y",
    ] {
        let shelf = Shelf::stocked("max-age=100", 40);
        assert_eq!(hit(shelf.ask(value).expect(200).body("v1")), 40, "{value}");
        assert_eq!(shelf.origin.seen("/a"), 1, "{value}");
    }
}

#[test]
fn who_takes_stale_answers_gets_them_within_its_bounds() {
    for (value, takes) in [
        ("max-stale", true),
        ("max-stale=30", true),
        ("max-stale=20", true),
        ("max-stale=19", false),
        ("max-stale=30, max-age=119", false),
        ("max-stale=30, max-age=120", true),
        ("max-stale=30, min-fresh=1", false),
        ("max-stale, no-cache", false),
    ] {
        let shelf = Shelf::stocked("max-age=100", 120);
        let response = shelf.ask(value);
        let expected = if takes { "v1" } else { "v2" };
        response.expect(200).body(expected);
        if takes {
            assert_eq!(said(&response), "hit; ttl=-20; detail=max-stale", "{value}");
            assert_eq!(hit(&response), 120);
        }
        assert_eq!(shelf.origin.seen("/a"), if takes { 1 } else { 2 }, "{value}");
    }
}

#[test]
fn no_client_can_have_stale_what_the_origin_wants_asked() {
    for control in [
        "max-age=100, must-revalidate",
        "max-age=100, proxy-revalidate",
        "s-maxage=100",
    ] {
        let shelf = Shelf::stocked(control, 120);
        shelf.ask("max-stale").expect(200).body("v2");
    }
}

#[test]
fn only_if_cached_never_reaches_the_origin() {
    let shelf = Shelf::stocked("max-age=100", 40);
    let only = |target: &str| shelf.gw.ask(&get_with(target, "Cache-Control", "only-if-cached"));

    hit(only("/a").expect(200).body("v1"));
    only("/b").expect(504).problem();
    shelf.gw.advance(secs(100));
    only("/a").expect(504).problem();
    shelf
        .gw
        .ask(&get_with("/a", "Cache-Control", "only-if-cached, no-cache"))
        .expect(504);
    shelf
        .gw
        .ask(&get_with("/a", "Cache-Control", "only-if-cached, max-stale"))
        .expect(200)
        .body("v1");
    let mut client = shelf.gw.connect();
    client
        .ask(&Request::head("/b").header("Cache-Control", "only-if-cached"))
        .expect(504);
    client.ask(&Request::get("/a")).expect(200).body("v2");
    assert_eq!((shelf.origin.seen("/a"), shelf.origin.seen("/b")), (2, 0));
}

#[test]
fn what_a_client_does_not_want_stored_is_not() {
    let origin = Origin::new().on("/a", lasting("x"));
    let gw = Gateway::start_with_manual_clock(&kept(&origin, ""));

    for n in 1..4 {
        let response = gw.ask(&get_with("/a", "Cache-Control", "no-store"));
        assert_eq!(
            said(response.expect(200).body("x")),
            "fwd=uri-miss; detail=request-no-store"
        );
        assert_eq!(origin.seen("/a"), n);
    }
    // One client's wish is not the next one's.
    forwarded(&gw.get("/a"), "uri-miss");
    hit(&gw.get("/a"));
    assert_eq!(origin.seen("/a"), 4);
}

#[test]
fn a_request_with_a_body_is_the_origin_s_affair() {
    let origin = Origin::new().on("/a", reply(200).header("Cache-Control", "max-age=60").echo());
    let gw = Gateway::start_with_manual_clock(&kept(&origin, ""));

    let mut client = gw.connect();
    for body in ["one", "two"] {
        let asked = Request::get("/a").body(body);
        assert_eq!(
            said(client.ask(&asked).expect(200).body(body)),
            "fwd=bypass; detail=request-content"
        );
        client
            .ask(&Request::get("/a").chunked([body, body]))
            .expect(200)
            .body(body.repeat(2));
    }
    client.ask(&Request::get("/a").body("")).expect(200).body("");
    hit(client.ask(&Request::get("/a")).expect(200).body(""));
    assert_eq!(origin.seen("/a"), 5);
}

#[test]
fn another_protocol_is_not_a_stored_answer() {
    let origin = Origin::new()
        .on("/a", lasting("x"))
        .then("/a", harness::origin::upgrade("echo"));
    let gw = Gateway::start_with_manual_clock(&kept(&origin, ""));
    gw.get("/a").expect(200);

    let mut client = gw.connect();
    let asked = Request::get("/a")
        .header("Connection", "upgrade")
        .header("Upgrade", "echo");
    client.ask(&asked).expect(101);
    client.send("hello");
    assert_eq!(client.bytes(5), b"hello");
    drop(client);
    hit(gw.get("/a").expect(200).body("x"));
}

#[test]
fn only_get_and_head_are_answered_from_what_is_stored() {
    let origin = Origin::new().on("/a", lasting("x"));
    let gw = Gateway::start_with_manual_clock(&kept(&origin, ""));
    gw.get("/a").expect(200);

    for (n, method) in ["OPTIONS", "POST", "PUT", "DELETE", "PATCH", "FROBNICATE", "get"]
        .iter()
        .enumerate()
    {
        let response = gw.ask(&Request::new(method, "/a"));
        forwarded(response.expect(200), "method");
        assert_eq!(origin.requests("/a").last().unwrap().method, *method);
        assert_eq!(origin.seen("/a"), n + 2);
    }
}
