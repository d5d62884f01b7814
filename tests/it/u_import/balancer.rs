use harness::origin::reply;
use harness::{Origin, Request};

use super::pair::{Ask, Pair};

/// Statuses that an origin may answer with and nobody asks another server for.
const STATUSES: [u16; 28] = [
    200, 201, 202, 203, 300, 301, 302, 303, 307, 308, 400, 401, 402, 403, 404, 405, 406, 409, 410, 412, 415,
    418, 422, 428, 429, 431, 451, 501,
];

fn origin() -> Origin {
    let mut origin =
        Origin::new().otherwise(reply(200).header("Content-Type", "text/plain").body("whatever"));
    for status in STATUSES {
        let script = reply(status)
            .header("Content-Type", "application/json; charset=utf-8")
            .header("Cache-Control", "private, max-age=5")
            .header("ETag", "\"v1\"")
            .header("Last-Modified", "Wed, 21 Oct 2015 07:28:00 GMT")
            .header("Location", "https://elsewhere.test/a?b=c")
            .header("Retry-After", "120")
            .header("Set-Cookie", "a=1; Path=/")
            .header("Set-Cookie", "b=2; HttpOnly")
            .header("Vary", "Accept, Origin")
            .header("WWW-Authenticate", "Basic realm=\"x\"")
            .header("X-Origin", "yes")
            .body(format!("{{\"status\":{status}}}"));
        origin = origin.on(&format!("/s/{status}"), script);
    }
    origin
        .on("/none", reply(204).header("X-Origin", "yes"))
        .on("/same", reply(304).header("ETag", "\"v1\""))
        .on("/chunks", reply(200).chunked().body("one").body("two"))
        .on("/echo", reply(200).echo())
        .on("/large", reply(200).pattern(300_000))
        .on("/flaky", reply(503).body("not now"))
}

fn to(request: Request, path: &str) -> Ask {
    Ask::new(request.host("app.test")).at_origin(path)
}

#[test]
fn a_balancer_answers_and_asks_as_nginx_does() {
    let mut pair = Pair::start("balancer", &["127.0.0.1:8080"], origin, 4, &|text| text);
    pair.view = vec![
        "host",
        "x-real-ip",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-own",
        "cookie",
        "content-type",
    ];
    for status in STATUSES {
        let path = format!("/s/{status}");
        pair.ask(&to(Request::get(&path), &path));
    }
    for method in ["HEAD", "OPTIONS", "DELETE", "PROPFIND"] {
        pair.ask(&to(Request::new(method, "/s/200"), "/s/200"));
    }
    for method in ["POST", "PUT", "PATCH"] {
        let request = Request::new(method, "/echo")
            .header("Content-Type", "text/x-own")
            .body("a body");
        pair.ask(&to(request, "/echo"));
    }
    pair.ask(&to(Request::post("/echo", ""), "/echo"));
    pair.ask(&to(Request::get("/none"), "/none"));
    pair.ask(&to(
        Request::get("/same").header("If-None-Match", "\"v1\""),
        "/same",
    ));
    pair.ask(&to(Request::get("/chunks"), "/chunks"));
    pair.ask(&to(Request::get("/large"), "/large"));
    for target in [
        "/q?a=1&b=%20c",
        "/q?",
        "/q?a=?b",
        "/%C3%A9/%20b",
        "/a+b;c=d,e@f:g",
        "/under_score~tilde",
    ] {
        let path = target.split('?').next().unwrap_or(target);
        pair.ask(&to(Request::get(target), path));
    }
    let request = Request::get("/fields")
        .header("X-Own", "kept")
        .header("Cookie", "a=1; b=2");
    pair.ask(&to(request, "/fields"));
    pair.ask(&to(
        Request::get("/hop")
            .header("X-Own", "kept")
            .header("TE", "trailers"),
        "/hop",
    ));
    pair.ask(&Ask::new(Request::get("/other-host").host("www.app.test")).at_origin("/other-host"));
    // Nobody's name: the first server of the socket takes it.
    pair.ask(&Ask::new(Request::get("/stranger").host("stranger.test")).at_origin("/stranger"));
    // Three tries, on three servers.
    let (theirs, ours) = pair.ask(&to(Request::get("/flaky"), "/flaky"));
    assert_eq!((theirs.status, ours.status), (503, 503));
    let tries = |origins: &[Origin]| origins.iter().map(|o| o.seen("/flaky")).collect::<Vec<_>>();
    assert_eq!(
        (tries(&pair.theirs), tries(&pair.ours)),
        (vec![1, 1, 1, 0], vec![1, 1, 1, 0])
    );
    pair.ask(&to(Request::post("/flaky", "once"), "/flaky"));
    pair.end(52);
}
