use harness::origin::reply;
use harness::{Origin, Request};

use super::pair::{Ask, Pair};
use super::why;
use harness::tls::Authority;

const STATUSES: [u16; 16] = [
    200, 201, 202, 301, 302, 307, 400, 401, 403, 404, 405, 410, 418, 422, 429, 451,
];

/// What is asked for without TLS.
const SENT_AWAY: [&str; 7] = [
    "/",
    "/a/b",
    "/a?b=c&d",
    "/a%20b",
    "/ws/",
    "/health",
    "/%C3%A9?x=%2F",
];

fn origin() -> Origin {
    let mut origin =
        Origin::new().otherwise(reply(200).header("Content-Type", "text/plain").body("whatever"));
    for status in STATUSES {
        let script = reply(status)
            .header("Content-Type", "text/html; charset=utf-8")
            .header("Cache-Control", "no-cache")
            .header("Location", "https://app.test/there")
            .header("Set-Cookie", "a=1; Secure")
            .header("Vary", "Cookie")
            .body(format!("<p>{status}</p>"));
        origin = origin.on(&format!("/s/{status}"), script);
    }
    origin.on("/echo", reply(200).echo())
}

#[test]
fn an_edge_redirects_answers_and_passes_on_as_nginx_does() {
    let authority = Authority::new("plays");
    let leaf = authority.sign(&["app.test"]);
    let (cert, key) = leaf.files();
    let change = |text: String| {
        text.replace("/etc/ssl/app.test.crt", &cert)
            .replace("/etc/ssl/app.test.key", &key)
    };
    let sockets = ["127.0.0.1:8080", "127.0.0.1:8443"];
    let mut pair = Pair::start("edge", &sockets, origin, 2, &change);
    pair.view = vec!["host", "x-own", "cookie"];
    let config = std::sync::Arc::new(authority.client());
    let plain = |request: Request| Ask::new(request.host("app.test")).at_origin("/nowhere");
    let tls = |request: Request, path: &str| {
        Ask::new(request.host("app.test"))
            .by_tls(&config, "app.test")
            .at_origin(path)
    };
    let mut asked = 0;
    let mut ask = |pair: &mut Pair, one: Ask| {
        asked += 1;
        pair.ask(&one);
    };
    for target in SENT_AWAY {
        ask(&mut pair, plain(Request::get(target)));
    }
    ask(&mut pair, plain(Request::post("/form", "a=b")));
    ask(
        &mut pair,
        plain(Request::head("/")).differs("content-type", why::NOTE),
    );
    ask(&mut pair, Ask::new(Request::get("/x").host("stranger.test")));
    for status in STATUSES {
        let path = format!("/s/{status}");
        ask(&mut pair, tls(Request::get(&path), &path));
    }
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        ask(
            &mut pair,
            tls(Request::new(method, "/echo").body("a body"), "/echo"),
        );
    }
    for target in ["/q?a=1", "/q?", "/a%20b/%C3%A9", "/deep/er/path/", "/wsx"] {
        let path = target.split('?').next().unwrap_or(target);
        ask(&mut pair, tls(Request::get(target), path));
    }
    ask(&mut pair, tls(Request::get("/health"), "/nowhere"));
    ask(&mut pair, tls(Request::post("/health", "x"), "/nowhere"));
    ask(&mut pair, tls(Request::get("/health/"), "/health/"));
    ask(&mut pair, tls(Request::get("/ws"), "/nowhere"));
    for target in ["/ws/", "/ws/chat", "/ws/chat?room=1"] {
        let path = target.split('?').next().unwrap_or(target);
        ask(&mut pair, tls(Request::get(target), path));
    }
    let fields = Request::get("/fields")
        .header("X-Own", "kept")
        .header("Cookie", "a=1");
    ask(&mut pair, tls(fields, "/fields"));
    pair.view = vec!["host", "x-real-ip", "x-forwarded-for", "x-forwarded-proto"];
    for target in ["/told", "/told/more", "/", "/index.html", "/last", "/very/last"] {
        ask(&mut pair, tls(Request::get(target), target));
    }
    assert!(asked >= 50, "{asked} were asked");
    pair.end(asked);
}
