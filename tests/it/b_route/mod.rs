mod actions;
mod specificity;

use harness::origin::reply;
use harness::{Gateway, Origin, Request};

/// Which route has answered: each says its name.
#[track_caller]
fn route_of(gw: &Gateway, request: &Request) -> String {
    let response = gw.ask(request);
    match response.status {
        200 => response.text(),
        status => status.to_string(),
    }
}

#[test]
fn a_path_matches_as_a_whole() {
    let gw = Gateway::start(
        r#"
        [[routes]]
        name = "exact"
        match = { path = "/a" }
        respond = { status = 200, body = "exact" }
        "#,
    );
    let of = |target| route_of(&gw, &Request::get(target));

    assert_eq!(of("/a"), "exact");
    assert_eq!(of("/a?b"), "exact");
    assert_eq!(of("/%61"), "exact");
    assert_eq!(of("/x/../a"), "exact");
    assert_eq!(of("/a/"), "404");
    assert_eq!(of("/ab"), "404");
    assert_eq!(of("/A"), "404");
}

#[test]
fn a_prefix_ends_on_a_segment() {
    let gw = Gateway::start(
        r#"
        [[routes]]
        name = "with"
        match = { path_prefix = "/with/" }
        respond = { status = 200, body = "with" }

        [[routes]]
        name = "without"
        match = { path_prefix = "/without" }
        respond = { status = 200, body = "without" }
        "#,
    );
    let of = |target| route_of(&gw, &Request::get(target));

    assert_eq!(of("/with/"), "with");
    assert_eq!(of("/with/a/b"), "with");
    assert_eq!(of("/with"), "with");
    assert_eq!(of("/without/a"), "without");
    assert_eq!(of("/without"), "without");
    assert_eq!(of("/withouta"), "404");
    assert_eq!(of("/withx"), "404");
    // An escaped slash is no segment's end.
    assert_eq!(of("/with%2Fa"), "404");
}

#[test]
fn an_expression_matches_where_it_is_found() {
    let gw = Gateway::start(
        r#"
        [[routes]]
        name = "first"
        match = { path_regex = "^/u/[0-9]+$" }
        respond = { status = 200, body = "first" }

        [[routes]]
        name = "second"
        match = { path_regex = "\\.php$" }
        respond = { status = 200, body = "second" }

        [[routes]]
        name = "third"
        match = { path_regex = "^/u/" }
        respond = { status = 200, body = "third" }
        "#,
    );
    let of = |target| route_of(&gw, &Request::get(target));

    assert_eq!(of("/u/12"), "first");
    assert_eq!(of("/u/12/x.php"), "second");
    assert_eq!(of("/u/x"), "third");
    assert_eq!(of("/U/12"), "404");
}

#[test]
fn a_host_matches_exactly_then_by_wildcard_then_any() {
    let gw = Gateway::start(
        r#"
        [[routes]]
        name = "any"
        match = { path = "/" }
        respond = { status = 200, body = "any" }

        [[routes]]
        name = "wild"
        match = { host = "*.example.com", path = "/" }
        respond = { status = 200, body = "wild" }

        [[routes]]
        name = "wilder"
        match = { host = "*.b.example.com", path = "/" }
        respond = { status = 200, body = "wilder" }

        [[routes]]
        name = "exact"
        match = { host = "a.example.com", path = "/" }
        respond = { status = 200, body = "exact" }
        "#,
    );
    let of = |host| route_of(&gw, &Request::get("/").host(host));

    assert_eq!(of("a.example.com"), "exact");
    assert_eq!(of("A.Example.COM"), "exact");
    assert_eq!(of("a.example.com:8080"), "exact");
    assert_eq!(of("a.example.com."), "exact");
    assert_eq!(of("x.example.com"), "wild");
    assert_eq!(of("x.b.example.com"), "wilder");
    assert_eq!(of("b.example.com"), "wild");
    assert_eq!(of("example.com"), "any");
    assert_eq!(of("xexample.com"), "any");
    assert_eq!(of("[::1]:80"), "any");
}

#[test]
fn methods_headers_and_query_must_all_match() {
    let gw = Gateway::start(
        r#"
        [[routes]]
        name = "picky"
        match = { path = "/a", methods = ["POST"], headers = { X-Version = "2", X-Any = "*" }, query = { debug = "1" } }
        respond = { status = 200, body = "picky" }

        [[routes]]
        name = "plain"
        match = { path = "/a" }
        respond = { status = 200, body = "plain" }
        "#,
    );
    let picky = || Request::post("/a?x&debug=1", "").header("X-Any", "v");

    assert_eq!(route_of(&gw, &picky().header("x-version", "2")), "picky");
    assert_eq!(route_of(&gw, &picky().header("X-Version", "3")), "plain");
    assert_eq!(route_of(&gw, &picky()), "plain");
    let other_query = Request::post("/a?debug=2", "")
        .header("X-Any", "v")
        .header("X-Version", "2");
    assert_eq!(route_of(&gw, &other_query), "plain");
    let other_method = Request::get("/a?debug=1")
        .header("X-Any", "v")
        .header("X-Version", "2");
    assert_eq!(route_of(&gw, &other_method), "plain");
}

#[test]
fn a_path_known_for_other_methods_is_405_and_an_unknown_one_404() {
    let gw = Gateway::start(
        r#"
        [[routes]]
        name = "read"
        match = { path = "/a", methods = ["GET"] }
        respond = { status = 200, body = "read" }

        [[routes]]
        name = "write"
        match = { path_prefix = "/a", methods = ["PUT", "DELETE"] }
        respond = { status = 200, body = "write" }
        "#,
    );

    gw.ask(&Request::head("/a")).expect(200);
    assert_eq!(route_of(&gw, &Request::new("DELETE", "/a")), "write");
    let refused = gw.ask(&Request::post("/a", "x"));
    let mut allowed = refused.expect(405).problem().head.list("allow");
    allowed.sort();
    assert_eq!(allowed, ["delete", "get", "head", "put"]);
    gw.get("/b").expect(404).problem().no_header("allow");
}

#[test]
fn a_route_may_be_for_one_listener_only() {
    let gw = Gateway::start(
        r#"
        [[listeners]]
        name = "public"
        address = "127.0.0.1:0"

        [[listeners]]
        name = "internal"
        address = "127.0.0.1:0"

        [[routes]]
        name = "secret"
        match = { listener = "internal", path = "/" }
        respond = { status = 200, body = "secret" }

        [[routes]]
        name = "open"
        match = { listener = "public", path = "/" }
        respond = { status = 200, body = "open" }
        "#,
    );

    let of = |at: usize| {
        harness::Connection::open(gw.addresses()[at])
            .ask(&Request::get("/"))
            .text()
    };
    assert_eq!((of(0), of(1)), ("open".to_owned(), "secret".to_owned()));
}

#[test]
fn a_request_no_route_is_for_is_404() {
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&format!(
        r#"
        [upstreams.origin]
        servers = [{{ address = "{}" }}]

        [[routes]]
        name = "one"
        match = {{ host = "a.test", path_prefix = "/a" }}
        upstream = "origin"
        "#,
        origin.address()
    ));

    gw.get("/b").expect(404).problem();
    gw.ask(&Request::get("/a").host("b.test")).expect(404);
    assert_eq!(origin.total(), 0);
}
