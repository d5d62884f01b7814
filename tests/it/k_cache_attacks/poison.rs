use std::net::{IpAddr, Ipv4Addr};

use harness::origin::reply;
use harness::{Connection, Gateway, Origin, Request, Response};

use super::cached;

/// An answer that may be kept, and was chosen by that field.
fn chosen_by(name: &str, body: &str) -> harness::Script {
    let reply = reply(200).header("Cache-Control", "max-age=60");
    reply.header("Vary", name).body(body)
}

fn ask_from(gw: &Gateway, last: u8, request: &Request) -> Response {
    let from = IpAddr::V4(Ipv4Addr::new(127, 0, 0, last));
    Connection::open_from(from, gw.address()).ask(request)
}

#[test]
fn what_was_chosen_by_a_field_that_only_the_origin_saw_is_for_nobody_else() {
    let edits = r#"request_headers = { set = { X-Client = "${client_ip}", X-Edge = "one" } }"#;
    for name in ["X-Forwarded-For", "X-Real-IP", "X-Request-ID", "x-client"] {
        let origin = Origin::new()
            .on("/", chosen_by(name, "for the first"))
            .then("/", chosen_by(name, "for the second"));
        let gw = Gateway::start(&cached(&origin, edits, ""));
        ask_from(&gw, 1, &Request::get("/")).body("for the first");
        ask_from(&gw, 2, &Request::get("/")).body("for the second");
    }
}

#[test]
fn what_was_chosen_by_what_is_the_same_for_all_is_for_all() {
    let edits = r#"request_headers = { set = { X-Edge = "one" }, remove = ["X-Real-IP"] }"#;
    for name in ["X-Forwarded-Proto", "X-Forwarded-Host", "X-Edge", "X-Real-IP"] {
        let origin = Origin::new().on("/", chosen_by(name, "for all"));
        let gw = Gateway::start(&cached(&origin, edits, ""));
        ask_from(&gw, 1, &Request::get("/")).body("for all");
        ask_from(&gw, 2, &Request::get("/")).body("for all");
        assert_eq!(origin.total(), 1, "{name}");
    }
}

#[test]
fn a_field_that_is_not_passed_on_chooses_nothing() {
    let origin = Origin::new()
        .on("/", chosen_by("X-Forwarded-Proto", "said by a stranger"))
        .then("/", chosen_by("X-Forwarded-Proto", "said by the proxy"));
    let gw = Gateway::start(&format!(
        "[server]\ntrusted_proxies = [\"127.0.0.2\"]\n{}",
        cached(&origin, "", "")
    ));
    let request = Request::get("/").header("X-Forwarded-Proto", "https");
    ask_from(&gw, 1, &request).body("said by a stranger");
    ask_from(&gw, 2, &request).body("said by the proxy");
}

#[test]
fn a_field_taken_back_by_connection_is_in_no_key() {
    let keep = |status: u16, body: &str| reply(status).header("Cache-Control", "max-age=60").body(body);
    let origin = Origin::new()
        .on("/key", keep(404, "no tenant"))
        .then("/key", keep(200, "of a"))
        .on("/vary", chosen_by("X-Tenant", "no tenant"))
        .then("/vary", chosen_by("X-Tenant", "of a"));
    let gw = Gateway::start(&cached(&origin, "", r#"key = { headers = ["X-Tenant"] }"#));
    for path in ["/key", "/vary"] {
        let request = Request::get(path).header("X-Tenant", "a");
        gw.connect()
            .ask(&request.clone().header("Connection", "X-Tenant"))
            .body("no tenant");
        assert!(
            origin.requests(path)[0].head.one("x-tenant").is_none(),
            "it was taken back"
        );
        gw.connect().ask(&request).body("of a");
    }
}

#[test]
fn a_request_that_tells_the_origin_to_read_another_is_kept_for_nobody() {
    let keep = |body: &str| reply(200).header("Cache-Control", "max-age=60").body(body);
    for name in ["X-Original-URL", "X-HTTP-Method-Override"] {
        let origin = Origin::new().on("/", keep("another")).then("/", keep("this"));
        let gw = Gateway::start(&cached(&origin, "", ""));
        gw.ask(&Request::get("/").header(name, "/admin")).body("another");
        gw.get("/").body("this");
        assert_eq!(origin.total(), 2);
    }
}

#[test]
fn a_coding_is_not_for_those_who_do_not_take_it_though_the_origin_forgets_to_say_so() {
    let plain = || reply(200).header("Cache-Control", "max-age=60");
    let origin = Origin::new()
        .on("/", plain().header("Content-Encoding", "gzip").body("coded"))
        .then("/", plain().body("plain"));
    let gw = Gateway::start(&cached(&origin, "", ""));
    gw.ask(&Request::get("/").header("Accept-Encoding", "gzip"))
        .body("coded");
    gw.get("/").body("plain");
}

#[test]
fn who_asks_badly_takes_nothing_away_from_those_who_ask_well() {
    let good = || {
        reply(200)
            .header("Cache-Control", "max-age=60")
            .header("ETag", "\"a\"")
    };
    for status in [400, 401, 413, 429, 431] {
        let origin = Origin::new()
            .on("/", good().body("good"))
            .then("/", reply(status));
        let gw = Gateway::start(&cached(&origin, "", ""));
        gw.get("/").body("good");
        gw.ask(&Request::get("/").header("Cache-Control", "no-cache"))
            .expect(status);
        gw.get("/").body("good");
        assert_eq!(origin.total(), 2, "{status}");
    }
}

#[test]
fn a_host_is_told_in_the_spelling_that_all_share() {
    let keep = || reply(200).header("Cache-Control", "max-age=60");
    let origin = Origin::new().otherwise(keep());
    let gw = Gateway::start(&cached(&origin, "", ""));
    for (path, sent, told) in [
        ("/1", "Example.COM.:80", "example.com"),
        ("/2", "example.com:080", "example.com"),
        ("/3", "EXAMPLE.com:8080", "example.com:8080"),
        ("/4", "[::1]:80", "[::1]"),
    ] {
        gw.ask(&Request::get(path).host(sent)).expect(200);
        let seen = origin.only(path).head;
        assert_eq!(seen.one("host"), Some(told));
        assert_eq!(seen.one("x-forwarded-host"), Some(told));
    }
    // What is not kept is told as it was sent.
    gw.ask(&Request::post("/5", "").host("Example.com:80"))
        .expect(200);
    assert_eq!(origin.only("/5").head.one("host"), Some("Example.com:80"));
}
