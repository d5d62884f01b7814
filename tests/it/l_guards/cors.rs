use std::time::Duration;

use harness::origin::{Script, hang_up, reply};
use harness::{Gateway, Origin, Request, Response};

use super::{ask_from, get_with, guarded, refused};

const APP: &str = "https://app.test";
const SHOP: &str = "https://shop.test";
const EVIL: &str = "https://evil.test";

/// The pages of two origins may read, and see one field more than the plain ones.
const CORS: &str = r#"cors = { origins = ["https://app.test", "https://shop.test"], methods = ["PUT"], headers = ["X-Token"], expose_headers = ["X-Total"], max_age = "10m" }"#;

fn preflight(target: &str, origin: &str, method: &str) -> Request {
    Request::new("OPTIONS", target)
        .header("Origin", origin)
        .header("Access-Control-Request-Method", method)
}

fn from_page(target: &str, origin: &str) -> Request {
    get_with(target, "Origin", origin)
}

/// Fails unless a page of this origin may read the answer, and no cache in between takes it for another's.
#[track_caller]
fn readable_by(response: &Response, origin: &str) {
    response.header("access-control-allow-origin", origin);
    varies_by_origin(response);
}

/// Fails unless no page may read the answer.
#[track_caller]
fn readable_by_none(response: &Response) {
    response
        .no_header("access-control-allow-origin")
        .no_header("access-control-allow-credentials");
    varies_by_origin(response);
}

#[track_caller]
fn varies_by_origin(response: &Response) {
    let varies = response.head.list("vary").iter().any(|name| name == "origin");
    assert!(varies, "no Vary: Origin in:\n{response}");
}

/// An origin that has its own mind about who may read it.
fn opinionated() -> Script {
    reply(200)
        .header("Access-Control-Allow-Origin", "*")
        .header("Access-Control-Allow-Credentials", "true")
        .header("Access-Control-Expose-Headers", "X-Secret")
        .header("Vary", "Accept-Language")
        .body("read me")
}

#[test]
fn a_browser_s_question_is_answered_here_also_where_a_route_is_for_get_alone() {
    let origin = Origin::new().otherwise(reply(200).body("from the origin"));
    let text = guarded(&origin, "", CORS).replace(
        "match = { path_prefix = \"/\" }",
        "match = { path_prefix = \"/\", methods = [\"GET\"] }",
    );
    let gw = Gateway::start(&text);
    let asks = preflight("/a", APP, "GET").header("Access-Control-Request-Headers", "x-token");
    let leave = gw.ask(&asks);
    readable_by(leave.expect(204), APP);
    leave
        .header("access-control-allow-methods", "PUT")
        .header("access-control-allow-headers", "x-token")
        .header("access-control-max-age", "600")
        .no_header("access-control-allow-credentials");
    // No leave is no leave, and no error.
    let none = gw.ask(&preflight("/a", EVIL, "GET"));
    readable_by_none(none.expect(204).body(""));
    none.no_header("access-control-allow-methods");
    assert_eq!(origin.total(), 0);
    gw.get("/a").expect(200).body("from the origin");
    // It is not for PUT, so nobody may be told that he may.
    gw.ask(&preflight("/a", APP, "PUT"))
        .expect(405)
        .no_header("access-control-allow-origin");
    assert_eq!(origin.total(), 1);
}

#[test]
fn who_has_to_say_who_he_is_need_not_say_it_for_the_question() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&with_keys(&origin, folder.path(), ""));
    for _ in 0..3 {
        readable_by(gw.ask(&preflight("/", APP, "PUT")).expect(204), APP);
    }
    let refusal = gw.ask(&from_page("/", APP));
    refused(&refusal, 401, "credentials_missing");
    readable_by(&refusal, APP);
    readable_by(
        gw.ask(&from_page("/", APP).header("X-Api-Key", KEY)).expect(200),
        APP,
    );
    readable_by_none(gw.ask(&from_page("/", EVIL)).expect(401));
    assert_eq!(origin.total(), 1);
}

const KEY: &str = "a-key-of-sixteen-or-more-bytes";

/// A route that asks for a key, with these sections before it.
fn with_keys(origin: &Origin, folder: &std::path::Path, sections: &str) -> String {
    let file = folder.join("keys");
    std::fs::write(&file, format!("client:{KEY}\n")).expect("the play's folder can be written");
    let auth = format!(
        "{sections}\n[auth.keys]\nkeys = {{ file = {:?} }}",
        file.display().to_string()
    );
    guarded(origin, &auth, &format!("auth = \"keys\"\n{CORS}"))
}

#[test]
fn what_an_origin_says_of_it_is_replaced_whoever_asks() {
    let origin = Origin::new().otherwise(opinionated());
    let gw = Gateway::start(&guarded(&origin, "", CORS));
    for page in [APP, SHOP] {
        let response = gw.ask(&from_page("/", page));
        readable_by(response.expect(200).body("read me"), page);
        response
            .no_header("access-control-allow-credentials")
            .header("access-control-expose-headers", "X-Total");
        assert!(
            response.head.list("vary").contains(&"accept-language".to_owned()),
            "{response}"
        );
    }
    for request in [Request::get("/"), from_page("/", EVIL), from_page("/", "null")] {
        let response = gw.ask(&request);
        readable_by_none(response.expect(200));
        response.no_header("access-control-expose-headers");
    }
    // Two origins are none.
    readable_by_none(gw.ask(&from_page("/", APP).header("Origin", SHOP)).expect(200));
    assert_eq!(origin.total(), 6);
}

#[test]
fn anybody_may_read_what_is_for_anybody() {
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&guarded(&origin, "", "cors = { origins = [\"*\"] }"));
    for page in [APP, EVIL, "null"] {
        gw.ask(&from_page("/", page))
            .expect(200)
            .header("access-control-allow-origin", "*")
            .no_header("access-control-allow-credentials");
    }
}

#[test]
fn cookies_may_come_along_only_from_who_is_listed() {
    let origin = Origin::new().otherwise(reply(200));
    let lines = "cors = { origins = [\"https://*.app.test\"], credentials = true, headers = [\"*\"] }";
    let gw = Gateway::start(&guarded(&origin, "", lines));
    let page = "https://a.app.test";
    for request in [from_page("/", page), preflight("/", page, "GET")] {
        let response = gw.ask(&request);
        readable_by(&response, page);
        response.header("access-control-allow-credentials", "true");
    }
    let asks = preflight("/", page, "GET").header("Access-Control-Request-Headers", "authorization,x-a");
    gw.ask(&asks)
        .header("access-control-allow-headers", "authorization,x-a");
    for page in [
        APP,
        "https://evilapp.test",
        "http://a.app.test",
        "https://a.app.test.evil.test",
    ] {
        readable_by_none(&gw.ask(&from_page("/", page)));
        readable_by_none(&gw.ask(&preflight("/", page, "GET")));
    }
}

#[test]
fn each_page_is_told_its_own_name_by_what_is_stored() {
    let origin = Origin::new().on(
        "/a",
        opinionated()
            .header("Cache-Control", "max-age=60")
            .header("ETag", "\"e\""),
    );
    let lines = format!("{CORS}\ncache = {{ store = \"edge\" }}");
    let gw = Gateway::start(&guarded(&origin, "[caches.edge]\nmemory = \"16MiB\"", &lines));
    let mut client = gw.connect();
    for round in 0..2 {
        for page in [APP, SHOP, APP] {
            let response = client.ask(&from_page("/a", page));
            readable_by(response.expect(200).body("read me"), page);
            response.no_header("access-control-allow-credentials");
        }
        readable_by_none(client.ask(&from_page("/a", EVIL)).expect(200).body("read me"));
        readable_by_none(client.ask(&Request::get("/a")).expect(200));
        readable_by(
            client
                .ask(&from_page("/a", SHOP).header("If-None-Match", "\"e\""))
                .expect(304),
            SHOP,
        );
        readable_by(
            client
                .ask(&from_page("/a", APP).header("Range", "bytes=0-3"))
                .expect(206),
            APP,
        );
        assert_eq!(origin.total(), 1, "round {round}");
    }
}

#[test]
fn pages_may_read_why_they_are_refused() {
    let origin = Origin::new().on("/", reply(200)).on("/down", hang_up());
    let limit = "[rate_limits.limit]\nrate = \"1/h\"\nburst = 2";
    let lines = format!("deny = [\"127.0.0.9\"]\nrate_limits = [\"limit\"]\n{CORS}");
    let gw = Gateway::start_with_manual_clock(&guarded(&origin, limit, &lines));
    readable_by(gw.ask(&from_page("/", APP)).expect(200), APP);
    readable_by(gw.ask(&from_page("/down", APP)).expect(502), APP);
    let limited = gw.ask(&from_page("/", APP));
    readable_by(limited.expect(429), APP);
    readable_by(ask_from(&gw, 9, &from_page("/", APP)).expect(403), APP);
    readable_by_none(gw.ask(&from_page("/", EVIL)).expect(429));
    // Who may not come in is not told what he might do if he could.
    let denied = ask_from(&gw, 9, &preflight("/", APP, "PUT"));
    refused(&denied, 403, "denied");
    denied.no_header("access-control-allow-methods");
}

#[test]
fn an_options_request_that_asks_nothing_goes_to_the_origin_and_so_do_all_without_cors() {
    let origin = Origin::new().otherwise(reply(200).header("Access-Control-Allow-Origin", "*"));
    let plain = "\n[[routes]]\nname = \"plain\"\nmatch = { path = \"/plain\" }\nupstream = \"origin\"";
    let gw = Gateway::start(&guarded(&origin, "", &format!("{CORS}{plain}")));
    gw.ask(&Request::new("OPTIONS", "/")).expect(200);
    gw.ask(&Request::new("OPTIONS", "/").header("Origin", APP))
        .expect(200);
    assert_eq!(origin.total(), 2);
    for request in [preflight("/plain", APP, "PUT"), from_page("/plain", EVIL)] {
        gw.ask(&request)
            .expect(200)
            .header("access-control-allow-origin", "*");
    }
    assert_eq!(origin.total(), 4);
}

#[test]
fn another_list_holds_for_what_was_stored_before() {
    let origin = Origin::new().on("/", reply(200).header("Cache-Control", "max-age=3600"));
    let text = |cors: &str| {
        let lines = format!("{cors}\ncache = {{ store = \"edge\" }}");
        guarded(&origin, "[caches.edge]\nmemory = \"16MiB\"", &lines)
    };
    let gw = Gateway::start_with_manual_clock(&text(CORS));
    readable_by(gw.ask(&from_page("/", APP)).expect(200), APP);
    gw.reload(&text("cors = { origins = [\"https://evil.test\"] }"))
        .unwrap();
    gw.advance(Duration::from_secs(1));
    readable_by_none(gw.ask(&from_page("/", APP)).expect(200));
    readable_by(gw.ask(&from_page("/", EVIL)).expect(200), EVIL);
    gw.reload(&text("")).unwrap();
    gw.ask(&from_page("/", EVIL))
        .expect(200)
        .no_header("access-control-allow-origin");
    assert_eq!(origin.total(), 1);
}
