use harness::origin::{Script, hang_up, never, raw, reply, reset, upgrade};
use harness::{Gateway, Origin, Request};

use super::guarded;

fn asks(guard: &Origin, origin: &Origin, more: &str) -> String {
    let auth = format!(
        "forward = {{ url = \"http://{}/verify?by=edge\"{more} }}",
        guard.address()
    );
    guarded(origin, &auth, "")
}

const COPIES: &str = ", copy_headers = [\"X-User-Id\", \"X-Roles\", \"Authorization\"]";

#[test]
fn who_passes_takes_the_copied_fields_along_and_none_of_his_own_of_those_names() {
    let pass = reply(204)
        .header("X-User-Id", "ann")
        .header("X-Roles", "a")
        .header("x-roles", "b")
        .header("X-Secret", "of the guard")
        .header("Set-Cookie", "a=b");
    let guard = Origin::new()
        .on("/verify", pass)
        .then("/verify", reply(200).body("in"));
    let origin = Origin::new().otherwise(reply(200).body("page"));
    let gw = Gateway::start(&asks(&guard, &origin, COPIES));
    let mut client = gw.connect();
    for _ in 0..2 {
        let request = Request::get("/page")
            .header("X-User-Id", "eve")
            .header("x-user-id", "mallory")
            .header("X_User_Id", "eve")
            .header("x.roles", "admin")
            .header("X-Roles", "admin")
            .header("Authorization", "Bearer of the client")
            .header("Connection", "X-User-Id");
        let answer = client.ask(&request);
        answer
            .expect(200)
            .body("page")
            .no_header("set-cookie")
            .no_header("x-secret");
    }
    let told = |at: usize| {
        let seen = origin.requests("/page").swap_remove(at);
        let fold = |name: &str| name.to_ascii_lowercase().replace(['_', '.'], "-");
        let ours = ["x-user-id", "x-roles", "authorization", "x-secret", "set-cookie"];
        let mut lines = seen.head.fields;
        lines.retain(|(name, _)| ours.contains(&&*fold(name)));
        lines
    };
    let line = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut first = told(0);
    first.iter_mut().for_each(|(name, _)| name.make_ascii_lowercase());
    assert_eq!(
        first,
        [
            line("x-user-id", "ann"),
            line("x-roles", "a"),
            line("x-roles", "b")
        ]
    );
    // What the second answer does not say is said by nobody.
    assert_eq!(told(1), []);
    assert_eq!((guard.total(), guard.connections()), (2, 1));
    assert_eq!(
        guard.requests("/verify")[0].value("authorization"),
        Some("Bearer of the client")
    );
}

#[test]
fn the_question_is_about_the_real_request_whatever_it_says_of_itself() {
    let guard = Origin::new().otherwise(reply(200));
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&asks(&guard, &origin, ""));
    let request = Request::post("/a%2fb/../c?d=e", "body")
        .header("Cookie", "a=b")
        .header("Cookie", "c=d")
        .header("X-Forwarded-For", "10.0.0.1")
        .header("X-Forwarded-Method", "GET")
        .header("X-Forwarded-Uri", "/open")
        .header("X_Forwarded_Uri", "/open")
        .header("X-Forwarded-Host", "evil.test")
        .header("X-Forwarded-Proto", "https")
        .header("X-Real-IP", "10.0.0.1")
        .header("X-Request-ID", "mine")
        .header("Forwarded", "for=10.0.0.1")
        .header("Content-Type", "text/plain")
        .header("If-None-Match", "\"a\"")
        .header("Range", "bytes=0-0");
    gw.ask(&request).expect(200);
    let asked = guard.only("/verify");
    assert_eq!(
        (asked.method.as_str(), asked.target.as_str()),
        ("GET", "/verify?by=edge")
    );
    for (name, value) in [
        ("x-forwarded-method", "POST"),
        ("x-forwarded-uri", "/c?d=e"),
        ("x-forwarded-host", "a.test"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-real-ip", "127.0.0.1"),
    ] {
        assert_eq!(asked.value(name), Some(value), "{name}");
    }
    assert_ne!(asked.value("x-request-id"), Some("mine"));
    let seen = origin.only("/c");
    assert_eq!(asked.value("x-request-id"), seen.value("x-request-id"));
    for name in [
        "x_forwarded_uri",
        "forwarded",
        "content-type",
        "content-length",
        "if-none-match",
        "range",
    ] {
        assert!(!asked.has(name), "{name}");
    }
    let cookies: Vec<_> = asked.head.all("cookie").collect();
    assert_eq!(cookies, ["a=b", "c=d"]);
    assert_eq!((asked.body.length, seen.body.text().as_ref()), (0, "body"));
}

#[test]
fn only_those_fields_are_shown_that_were_asked_for() {
    let guard = Origin::new().otherwise(reply(200));
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&asks(&guard, &origin, ", request_headers = [\"cookie\"]"));
    let request = Request::get("/")
        .header("COOKIE", "a=b")
        .header("Authorization", "x")
        .header("Accept", "y");
    gw.ask(&request).expect(200);
    let asked = guard.only("/verify");
    assert_eq!(asked.value("cookie"), Some("a=b"));
    assert!(!asked.has("authorization") && !asked.has("accept"));
    assert_eq!(asked.value("x-forwarded-uri"), Some("/"));
}

#[test]
fn a_refusal_goes_to_the_client_as_it_is() {
    let refusals = [
        reply(401)
            .header("WWW-Authenticate", "Custom realm=\"a\"")
            .header("Set-Cookie", "a=b")
            .header("Set-Cookie", "c=d")
            .header("Content-Type", "text/plain")
            .body("who are you?"),
        reply(403)
            .header("Content-Type", "text/html")
            .header("Cache-Control", "private")
            .body("no")
            .chunked(),
        reply(302).header("Location", "https://login.test/?to=%2F"),
        reply(404).body("nothing here").until_close(),
        reply(429).header("Retry-After", "7").body("slower"),
        reply(400).body(""),
    ];
    let guard = Origin::new();
    let origin = Origin::new();
    let gw = Gateway::start(&asks(&guard, &origin, ""));
    let expected = [
        (401, "who are you?"),
        (403, "no"),
        (302, ""),
        (404, "nothing here"),
        (429, "slower"),
        (400, ""),
    ];
    let mut client = gw.connect();
    for (script, (status, body)) in refusals.into_iter().zip(expected) {
        guard.set("/verify", script);
        client.ask(&Request::get("/")).expect(status).body(body);
        client
            .ask(&Request::post("/", "a body nobody reads"))
            .expect(status)
            .body(body);
        let head = client.ask(&Request::head("/"));
        head.expect(status).body("");
        let cached = if status == 403 { "private" } else { "no-store" };
        head.header("Cache-Control", cached);
        match status {
            401 => {
                head.header("WWW-Authenticate", "Custom realm=\"a\"")
                    .header("Content-Type", "text/plain");
                let cookies: Vec<_> = head.head.all("set-cookie").collect();
                assert_eq!(cookies, ["a=b", "c=d"]);
            }
            302 => drop(head.header("Location", "https://login.test/?to=%2F")),
            429 => drop(head.header("Retry-After", "7")),
            _ => {}
        }
    }
    assert_eq!(origin.total(), 0);
}

#[test]
fn what_is_no_verdict_lets_nobody_in() {
    let broken: [(&str, Script); 13] = [
        ("another protocol", upgrade("h2c")),
        ("an error", reply(500)),
        ("another", reply(503).header("Retry-After", "60")),
        ("a 304", reply(304)),
        ("a 407", reply(407)),
        ("nothing", hang_up()),
        ("a reset", reset()),
        ("a part", reply(200).body("a").claims(10).hang_up()),
        (
            "another part",
            reply(200).body("a").chunked().unfinished().hang_up(),
        ),
        ("no HTTP", raw("nonsense\r\n\r\n").hang_up()),
        (
            "two lengths",
            raw("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 1\r\n\r\na").hang_up(),
        ),
        (
            "too much to copy",
            reply(200).header("X-User-Id", &"a".repeat(9_000)),
        ),
        (
            "a field that is no text",
            raw(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-User-Id: \xff\r\n\r\n").hang_up(),
        ),
    ];
    let guard = Origin::new();
    let origin = Origin::new();
    let gw = Gateway::start(&asks(&guard, &origin, COPIES));
    for (what, script) in broken {
        guard.set("/verify", script);
        let answer = gw.get("/");
        assert_eq!(answer.status, 503, "{what}: {answer}");
        answer
            .problem()
            .header("Retry-After", "5")
            .no_header("WWW-Authenticate");
    }
    guard.kill();
    gw.get("/").expect(503);
    assert_eq!(origin.total(), 0);
    // And it is not kept: whoever comes when there is a verdict again is let in.
    guard.set("/verify", reply(200));
    guard.revive();
    origin.set("/", reply(200));
    gw.get("/").expect(200);
}

#[test]
fn one_who_is_asked_and_never_answers_is_not_waited_for_longer_than_was_said() {
    let guard = Origin::new().on("/verify", never());
    let origin = Origin::new();
    let gw = Gateway::start(&asks(&guard, &origin, ", timeout = \"50ms\""));
    for client in gw.get_many(20, "/") {
        client.response().expect(503).header("Retry-After", "5");
    }
    assert_eq!(origin.total(), 0);
}

#[test]
fn the_body_of_a_request_waits_for_the_verdict_and_reaches_the_origin_whole() {
    let guard = Origin::new().otherwise(reply(200));
    let origin = Origin::new().otherwise(reply(200).echo());
    let gw = Gateway::start(&asks(&guard, &origin, ""));
    let mut client = gw.connect();
    for round in 0..5 {
        let body = format!("a body, {round}");
        client.ask(&Request::post("/", &body)).expect(200).body(&body);
        client
            .ask(&Request::new("PUT", "/").chunked([&body, "!"]))
            .expect(200)
            .body(format!("{body}!"));
        let head = format!(
            "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
            body.len()
        );
        client.send(head).interim(100);
        client.send(&body).response().expect(200).body(&body);
    }
    assert_eq!((guard.seen("/verify"), origin.total()), (15, 15));
    assert!(
        guard
            .requests("/verify")
            .iter()
            .all(|asked| asked.body.length == 0 && !asked.has("expect"))
    );
}

#[test]
fn a_body_that_was_not_sent_yet_is_not_asked_for_when_the_verdict_is_no() {
    let guard = Origin::new().otherwise(reply(403).body("no"));
    let origin = Origin::new();
    let gw = Gateway::start(&asks(&guard, &origin, ""));
    let mut client = gw.connect();
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    let answer = client.response();
    answer.expect(403).body("no");
    assert!(answer.interims.is_empty(), "{answer}");
    assert_eq!(origin.total(), 0);
}

#[test]
fn a_client_that_leaves_before_the_verdict_is_not_served() {
    let gate = harness::Gate::new();
    let guard = Origin::new()
        .on("/verify", reply(200).after(&gate))
        .then("/verify", reply(200));
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&asks(&guard, &origin, ""));
    let mut client = gw.connect();
    client.send(Request::get("/left").bytes());
    guard.wait_seen("/verify", 1);
    client.reset();
    gw.wait_metrics("nobody is served", |m| {
        m.sum("sluice_requests_in_flight", &[]) == 0.0
    });
    gate.open();
    gw.get("/stayed").expect(200);
    assert_eq!((origin.seen("/left"), origin.seen("/stayed")), (0, 1));
}

#[test]
fn a_client_that_has_said_all_it_has_to_say_is_answered() {
    let gate = harness::Gate::new();
    let guard = Origin::new().otherwise(reply(200).after(&gate));
    let origin = Origin::new().otherwise(reply(200).body("page"));
    let gw = Gateway::start(&asks(&guard, &origin, ""));
    let mut client = gw.connect();
    client.send(Request::get("/").bytes()).finish();
    guard.wait_seen("/verify", 1);
    gate.open();
    client.response().expect(200).body("page");
}

#[test]
fn each_request_of_a_connection_is_asked_about() {
    let guard = Origin::new()
        .on("/verify", reply(200))
        .then("/verify", reply(403))
        .then("/verify", reply(200));
    let origin = Origin::new().otherwise(reply(200).echo());
    let gw = Gateway::start(&asks(&guard, &origin, ""));
    let mut client = gw.connect();
    let all = [
        Request::post("/1", "a"),
        Request::post("/2", "GET /4 HTTP/1.1\r\nHost: a.test\r\n\r\n"),
        Request::get("/3"),
    ];
    client.send(all.iter().flat_map(Request::bytes).collect::<Vec<u8>>());
    let statuses = [(); 3].map(|()| client.response().status);
    assert_eq!(statuses, [200, 403, 200]);
    assert_eq!((origin.seen("/1"), origin.seen("/3"), origin.total()), (1, 1, 2));
    let about = guard.requests("/verify");
    let about: Vec<_> = about
        .iter()
        .map(|asked| asked.value("x-forwarded-uri").unwrap())
        .collect();
    assert_eq!(about, ["/1", "/2", "/3"]);
}

#[test]
fn a_guard_that_ends_its_connections_without_a_word_costs_nobody_anything() {
    let guard = Origin::new().otherwise(reply(200).hang_up());
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&asks(&guard, &origin, ""));
    let mut client = gw.connect();
    for _ in 0..100 {
        client.ask(&Request::get("/")).expect(200);
    }
    assert_eq!(origin.total(), 100);
}

#[test]
fn a_stop_waits_for_the_verdict_and_for_what_follows() {
    let gate = harness::Gate::new();
    let guard = Origin::new().otherwise(reply(200).after(&gate));
    let origin = Origin::new().otherwise(reply(200).echo());
    let gw = Gateway::start(&asks(&guard, &origin, ""));
    let running = gw.ask_apart(&Request::post("/", "body"));
    guard.wait_seen("/verify", 1);
    let stopping = gw.stop_apart();
    gate.open();
    running.response().expect(200).body("body");
    assert!(stopping.wait());
}

#[test]
fn a_proxy_that_is_believed_says_host_and_scheme_and_not_what_is_asked_for() {
    let guard = Origin::new().otherwise(reply(200));
    let origin = Origin::new().otherwise(reply(200));
    let trusting = "[server]\nthreads = 2\ntrusted_proxies = [\"127.0.0.1\"]\n";
    let gw = Gateway::start(&(asks(&guard, &origin, "") + trusting));
    let request = Request::new("DELETE", "/real")
        .header("X-Forwarded-For", "8.8.8.8")
        .header("X-Forwarded-Proto", "https")
        .header("X-Forwarded-Host", "front.test")
        .header("X-Forwarded-Method", "GET")
        .header("X-Forwarded-Uri", "/open")
        .header("X-Real-IP", "10.0.0.1");
    gw.ask(&request).expect(200);
    let asked = guard.only("/verify");
    for (name, value) in [
        ("x-forwarded-method", "DELETE"),
        ("x-forwarded-uri", "/real"),
        ("x-forwarded-host", "front.test"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-for", "8.8.8.8, 127.0.0.1"),
        ("x-real-ip", "8.8.8.8"),
    ] {
        assert_eq!(asked.value(name), Some(value), "{name}");
    }
}
