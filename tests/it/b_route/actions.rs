use harness::origin::{never, reply, upgrade};
use harness::{Gate, Gateway, Origin, Request};

use super::route_of;

/// A route with these lines for everything.
fn with_lines(origin: &Origin, lines: &str) -> String {
    format!(
        r#"
        [upstreams.origin]
        servers = [{{ address = "{}" }}]

        [[routes]]
        name = "all"
        match = {{ path_prefix = "/" }}
        upstream = "origin"
        {lines}
        "#,
        origin.address()
    )
}

#[test]
fn a_route_may_answer_by_itself() {
    let gw = Gateway::start(
        r#"
        [[routes]]
        name = "health"
        match = { path = "/health" }
        respond = { status = 200, body = "OK\n", content_type = "text/plain" }

        [[routes]]
        name = "gone"
        match = { path = "/gone" }
        respond = { status = 410 }
        "#,
    );

    let mut client = gw.connect();
    for _ in 0..2 {
        let response = client.ask(&Request::get("/health"));
        response
            .expect(200)
            .header("content-type", "text/plain")
            .body("OK\n");
    }
    client
        .ask(&Request::head("/health"))
        .expect(200)
        .header("content-length", "3");
    client.ask(&Request::get("/gone")).expect(410).body("");
}

#[test]
fn a_redirect_is_filled_in_from_the_request() {
    let gw = Gateway::start(
        r#"
        [[routes]]
        name = "moved"
        match = { path = "/old" }
        redirect = { to = "https://${host}/new${query}", status = 301 }

        [[routes]]
        name = "elsewhere"
        match = { path_prefix = "/x" }
        redirect = { to = "https://b.test${uri}", status = 308 }
        "#,
    );

    gw.get("/old")
        .expect(301)
        .header("location", "https://a.test/new");
    gw.ask(&Request::get("/old?a=b&c").host("c.test:81"))
        .expect(301)
        .header("location", "https://c.test/new?a=b&c");
    gw.get("/x/%0d%0aSet-Cookie:a=b?c")
        .expect(308)
        .header("location", "https://b.test/x/%0d%0aSet-Cookie:a=b?c")
        .no_header("set-cookie");
}

#[test]
fn a_listener_may_send_everyone_to_https() {
    let gw = Gateway::start(
        r#"
        [[listeners]]
        address = "127.0.0.1:0"
        redirect_to_https = true

        [[routes]]
        name = "all"
        match = { path_prefix = "/" }
        respond = { status = 200 }
        "#,
    );

    let response = gw.get("/a?b");
    assert!(matches!(response.status, 301 | 308), "{response}");
    response.header("location", "https://a.test/a?b");

    // Nobody knows where to send a client that names no host.
    let mut old = gw.connect();
    old.send("GET /a HTTP/1.0\r\n\r\n");
    let response = old.response();
    assert!(
        response
            .value("location")
            .is_none_or(|l| !l.starts_with("https:///")),
        "{response}"
    );
}

#[test]
fn a_prefix_is_stripped_or_added_and_the_query_stays() {
    let origin = Origin::new().otherwise(reply(200));
    let server = origin.address();
    let gw = Gateway::start(&format!(
        r#"
        [upstreams.origin]
        servers = [{{ address = "{server}" }}]

        [[routes]]
        name = "strip"
        match = {{ path_prefix = "/api/" }}
        upstream = "origin"
        rewrite = {{ strip_prefix = "/api" }}

        [[routes]]
        name = "add"
        match = {{ path_prefix = "/plain" }}
        upstream = "origin"
        rewrite = {{ add_prefix = "/v2" }}

        [[routes]]
        name = "regex"
        match = {{ path_prefix = "/v1" }}
        upstream = "origin"
        rewrite = {{ regex = "^/v1/(.*)$", to = "/old/$1" }}
        "#
    ));

    for (asked, sent) in [
        ("/api/users?a=b", "/users?a=b"),
        ("/api/a%2Fb", "/a%2Fb"),
        ("/api/", "/"),
        ("/api", "/"),
        ("/plain/x?y", "/v2/plain/x?y"),
        ("/v1/x/y?z", "/old/x/y?z"),
    ] {
        let before = origin.total();
        gw.get(asked).expect(200);
        let path = sent.split('?').next().unwrap();
        let last = origin.requests(path).pop();
        let last = last.unwrap_or_else(|| panic!("{asked} did not become {sent}"));
        assert_eq!(
            (last.target.as_str(), origin.total()),
            (sent, before + 1),
            "{asked}"
        );
    }
}

#[test]
fn headers_are_removed_set_and_added_both_ways() {
    let answer = reply(200)
        .header("Server", "inner/1.0")
        .header("X-Two", "theirs")
        .header("X-Many", "1");
    let origin = Origin::new().otherwise(answer);
    let gw = Gateway::start(&with_lines(
        &origin,
        r#"
        request_headers = { set = { X-Start = "${method} ${path} ${client_ip}", Host = "inner.test" }, remove = ["X-Debug"] }
        response_headers = { set = { X-Two = "ours" }, add = { X-Many = "2" }, remove = ["Server"] }
        "#,
    ));

    let request = Request::get("/a")
        .header("X-Debug", "1")
        .header("x-start", "forged");
    let response = gw.ask(&request);
    response.expect(200).no_header("server").header("x-two", "ours");
    assert_eq!(response.head.list("x-many"), ["1", "2"]);

    let seen = origin.only("/a");
    assert!(!seen.has("x-debug"));
    assert_eq!(seen.value("x-start"), Some("GET /a 127.0.0.1"));
    assert_eq!(seen.value("host"), Some("inner.test"));
}

#[test]
fn a_variable_cannot_break_out_of_its_line() {
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&with_lines(
        &origin,
        r#"response_headers = { set = { X-Echo = "${header:x-in}|${cookie:c}|${query}" } }"#,
    ));

    let request = Request::get("/?%0d%0aX-Evil:1")
        .header("X-In", "a\tb")
        .header("Cookie", "c=1");
    gw.ask(&request)
        .expect(200)
        .header("x-echo", "a\tb|1|?%0d%0aX-Evil:1")
        .no_header("x-evil");
}

#[test]
fn a_split_follows_its_weights() {
    let stable = Origin::new().otherwise(reply(200).body("stable"));
    let canary = Origin::new().otherwise(reply(200).body("canary"));
    let gw = Gateway::start(&format!(
        r#"
        [upstreams.stable]
        servers = [{{ address = "{}" }}]

        [upstreams.canary]
        servers = [{{ address = "{}" }}]

        [[routes]]
        name = "all"
        match = {{ path_prefix = "/" }}
        split = [{{ upstream = "stable", weight = 3 }}, {{ upstream = "canary", weight = 1 }}]
        "#,
        stable.address(),
        canary.address()
    ));

    let mut client = gw.connect();
    for _ in 0..400 {
        client.ask(&Request::get("/")).expect(200);
    }
    // A draw, not a rota: 100 ± 5 standard deviations.
    let share = canary.total();
    assert!((56..=144).contains(&share), "the canary got {share} of 400");
    assert_eq!(stable.total() + share, 400);
}

#[test]
fn a_split_with_a_single_upstream_takes_all() {
    let only = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&format!(
        r#"
        [upstreams.only]
        servers = [{{ address = "{}" }}]

        [[routes]]
        name = "all"
        match = {{ path_prefix = "/" }}
        split = [{{ upstream = "only", weight = 1 }}]
        "#,
        only.address()
    ));

    gw.get("/").expect(200);
    assert_eq!(only.total(), 1);
}

#[test]
fn a_route_s_timeout_ends_a_request_that_takes_longer() {
    let gate = Gate::new();
    let origin = Origin::new()
        .on("/slow", reply(200).after(&gate))
        .otherwise(reply(200));
    let gw = Gateway::start(&with_lines(&origin, r#"timeout = "500ms""#));

    gw.get("/slow").expect(504).problem();
    assert_eq!(origin.seen("/slow"), 1);
    gw.get("/").expect(200);
}

#[test]
fn a_route_s_timeout_breaks_an_answer_that_has_begun() {
    let gate = Gate::new();
    let origin = Origin::new().otherwise(reply(200).chunked().body("a part").pause(&gate).body("never"));
    let gw = Gateway::start(&with_lines(&origin, r#"timeout = "500ms""#));

    let mut client = gw.connect();
    client.send(Request::get("/").bytes());
    assert!(client.try_response().is_err(), "a cut body may not look whole");
}

#[test]
fn a_route_s_timeout_is_for_an_upgrade_and_not_for_the_conversation_behind_it() {
    let origin = Origin::new().on("/chat", upgrade("websocket")).otherwise(never());
    let gw = Gateway::start(&with_lines(&origin, r#"timeout = "500ms""#));
    let asks = |path| {
        Request::get(path)
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
    };

    let mut chat = gw.connect();
    chat.ask(&asks("/chat")).expect(101);
    // Begun later: when its time is over, the conversation's would be too.
    gw.ask(&asks("/never")).expect(504).problem();
    chat.send("still here");
    assert_eq!(chat.bytes(10), b"still here");
}

#[test]
fn a_route_may_stay_out_of_the_log() {
    let gw = Gateway::start(
        r#"
        [[routes]]
        name = "quiet"
        match = { path = "/quiet" }
        respond = { status = 200, body = "quiet" }
        access_log = false

        [[routes]]
        name = "loud"
        match = { path = "/loud" }
        respond = { status = 200, body = "loud" }
        "#,
    );

    assert_eq!(route_of(&gw, &Request::get("/quiet")), "quiet");
    assert_eq!(route_of(&gw, &Request::get("/loud")), "loud");
    assert!(gw.log_lines(1)[0].contains("/loud"));
}
