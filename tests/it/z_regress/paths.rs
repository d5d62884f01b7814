use harness::origin::reply;
use harness::{Gateway, Origin, Request};

/// "/admin" is kept from everybody, the rest goes to the origin.
fn guarded(origin: &Origin) -> String {
    format!(
        r#"
        [upstreams.origin]
        servers = [{{ address = "{}" }}]

        [[routes]]
        name = "admin"
        match = {{ path_prefix = "/admin" }}
        respond = {{ status = 403, body = "no" }}

        [[routes]]
        name = "projects"
        match = {{ path_prefix = "/projects" }}
        upstream = "origin"

        [[routes]]
        name = "one"
        match = {{ path = "/admin%2Ftext" }}
        upstream = "origin"

        [[routes]]
        name = "all"
        match = {{ path_prefix = "/" }}
        upstream = "origin"
        "#,
        origin.address()
    )
}

#[test]
fn no_spelling_of_a_path_passes_its_route_by() {
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&guarded(&origin));

    for (target, status) in [
        ("//admin/keys", 403),
        ("///admin//keys", 403),
        ("/x/..//admin", 403),
        ("/%61dmin", 403),
        ("/admin%2Fkeys", 400),
        ("/%2fadmin/keys", 400),
        ("/admin%5ckeys", 400),
        ("/admin\\keys", 400),
        ("/x/..%2Fadmin", 400),
        ("/x%2f..%2fadmin", 400),
        ("/x/..;/admin", 400),
        ("/x/..;a=b/admin", 400),
        ("/x/..%3b/admin", 400),
        ("/x\\..\\admin", 400),
        ("/x/..%5Cadmin", 400),
        ("/x/%2e%2e%5cadmin", 400),
    ] {
        let response = gw.get(target);
        assert_eq!(response.status, status, "{target}: {response}");
    }
    assert_eq!(origin.total(), 0);
}

#[test]
fn paths_that_every_reader_takes_by_the_same_route_are_sent_as_they_are() {
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&guarded(&origin));

    for target in [
        "/projects/group%2Fname",
        "/projects//a\\b",
        "//x//y",
        "/admin%2Ftext",
        "/a..b/..c;x/d..",
        "/x?p=/../admin&q=..%2f",
    ] {
        gw.get(target).expect(200);
        assert_eq!(origin.only(target.split('?').next().unwrap()).target, target);
    }
}

#[test]
fn a_rewrite_makes_no_dot_segments() {
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&format!(
        r#"
        [upstreams.origin]
        servers = [{{ address = "{}" }}]

        [[routes]]
        name = "a"
        match = {{ path_regex = "^/a" }}
        upstream = "origin"
        rewrite = {{ regex = "^/a(.*)$", to = "/b/$1" }}
        "#,
        origin.address()
    ));

    gw.get("/a../secret").expect(400);
    gw.get("/a.%2e/secret").expect(400);
    gw.get("/a..%2fsecret").expect(400);
    assert_eq!(origin.total(), 0);
    gw.get("/a..b/c").expect(200);
    assert_eq!(origin.only("/b/..b/c").target, "/b/..b/c");
}

#[test]
fn the_query_of_a_rewrite_and_that_of_the_client_are_one() {
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&format!(
        r#"
        [upstreams.origin]
        servers = [{{ address = "{}" }}]

        [[routes]]
        name = "all"
        upstream = "origin"
        rewrite = {{ regex = "^/find/(.*)$", to = "/search?q=$1" }}
        "#,
        origin.address()
    ));

    gw.get("/find/x").expect(200);
    gw.get("/find/x?y=z").expect(200);
    let targets: Vec<_> = origin
        .requests("/search")
        .into_iter()
        .map(|seen| seen.target)
        .collect();
    assert_eq!(targets, ["/search?q=x", "/search?q=x&y=z"]);
}

#[test]
fn a_redirect_to_a_path_does_not_lead_to_another_host() {
    let gw = Gateway::start(
        r#"
        [[routes]]
        name = "slash"
        match = { path_prefix = "/" }
        redirect = { to = "${path}/" }
        "#,
    );

    for (target, location) in [
        ("//evil.test/x", "/evil.test/x/"),
        ("///evil.test", "/evil.test/"),
        ("/\\evil.test", "/evil.test/"),
        ("/fine", "/fine/"),
    ] {
        gw.get(target).expect(301).header("location", location);
    }
    gw.ask(&Request::get("/")).expect(301).header("location", "/");
}
