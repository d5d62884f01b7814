//! What tells one stored answer from another: route, host, port, path, and what the rule says of query, fields and cookies.

use harness::origin::{Script, reply};
use harness::{Connection, Gateway, Origin, Request};

use super::{forwarded, get_with, hit, kept, lasting, said};

/// Each request gets another body.
fn numbered(origin: Origin, path: &str, n: usize) -> Origin {
    (1..=n).fold(origin, |origin, n| {
        origin.then(path, lasting(&format!("answer {n}")))
    })
}

/// Fails unless each target is answered by the answer of this number.
#[track_caller]
fn answers(rule: &str, expected: &[(&str, usize)]) {
    let origin = numbered(Origin::new(), "/a", expected.len());
    let gw = Gateway::start(&kept(&origin, rule));
    let mut client = gw.connect();
    for (target, n) in expected {
        let response = client.ask(&Request::get(target));
        assert_eq!(
            response.expect(200).text(),
            format!("answer {n}"),
            "{target} with {rule}"
        );
    }
    let asked = expected.iter().map(|(_, n)| *n).max();
    assert_eq!(Some(origin.seen("/a")), asked);
}

#[test]
fn all_of_the_query_counts_as_it_was_sent() {
    for rule in ["", "key = { query = \"all\" }"] {
        answers(
            rule,
            &[
                ("/a", 1),
                ("/a?", 2),
                ("/a?x=1", 3),
                ("/a?x=2", 4),
                ("/a?x=1", 3),
                ("/a?x=1&y", 5),
                ("/a?y&x=1", 6),
                ("/a", 1),
            ],
        );
    }
}

#[test]
fn none_of_the_query_counts() {
    answers(
        "key = { query = \"none\" }",
        &[("/a?x=1", 1), ("/a", 1), ("/a?x=2&y", 1), ("/a?", 1)],
    );
}

#[test]
fn only_some_parameters_count_in_any_order() {
    answers(
        "key = { query = [\"page\", \"sort_*\"] }",
        &[
            ("/a?page=1&x=1", 1),
            ("/a?x=2&page=1", 1),
            ("/a?page=2", 2),
            ("/a", 3),
            ("/a?x", 3),
            ("/a?sort_by=a&page=1", 4),
            ("/a?page=1&sort_by=a&z", 4),
            ("/a?page=1&sort_by=b", 5),
            // The same name for an origin that decodes.
            ("/a?p%61ge=7", 6),
            ("/a?page=7", 7),
        ],
    );
}

#[test]
fn all_but_some_parameters_count() {
    answers(
        "key = { query = { except = [\"utm_*\", \"fbclid\"] } }",
        &[
            ("/a?x=1&utm_source=mail", 1),
            ("/a?x=1", 1),
            ("/a?utm_medium=web&x=1&fbclid=abc", 1),
            ("/a?y=2&x=1", 2),
            ("/a?x=1&y=2", 2),
            ("/a?fbclid=1", 3),
            ("/a", 3),
            ("/a?fbclid2=1", 4),
            ("/a?x=1&x=2", 5),
            ("/a?x=2&x=1", 6),
        ],
    );
}

#[test]
fn the_origin_gets_the_query_whole_whatever_counts() {
    let origin = numbered(Origin::new(), "/a", 1);
    let gw = Gateway::start(&kept(&origin, "key = { query = \"none\" }"));
    gw.get("/a?x=1&y").expect(200);
    assert_eq!(origin.only("/a").target, "/a?x=1&y");
}

#[test]
fn fields_and_cookies_of_the_rule_count_and_no_others() {
    let origin = numbered(Origin::new(), "/a", 9);
    let gw = Gateway::start(&kept(
        &origin,
        "key = { headers = [\"X-Device\"], cookies = [\"theme\"] }",
    ));
    let mut client = gw.connect();
    for (fields, n) in [
        (&[][..], 1),
        (&[("X-Device", "phone")], 2),
        (&[("x-device", "phone"), ("X-Other", "1")], 2),
        (&[("X-Device", "")], 3),
        (&[("Cookie", "theme=dark")], 4),
        (&[("Cookie", "a=b; theme=dark; session=1")], 4),
        (&[("Cookie", "session=2"), ("Cookie", "theme=dark")], 4),
        (&[("Cookie", "theme=light")], 5),
        (&[("Cookie", "Theme=dark")], 1),
        (&[("Cookie", "theme=dark"), ("X-Device", "phone")], 6),
        (&[("Cookie", "session=1")], 1),
        (&[], 1),
    ] {
        let add = |request: Request, (name, value): &(&str, &str)| request.header(name, value);
        let response = client.ask(&fields.iter().fold(Request::get("/a"), add));
        assert_eq!(response.expect(200).text(), format!("answer {n}"), "{fields:?}");
    }
    assert_eq!(origin.seen("/a"), 6);
}

#[test]
fn host_and_port_count_in_whatever_letters() {
    let origin = numbered(Origin::new(), "/a", 9);
    let gw = Gateway::start(&kept(&origin, ""));
    let mut client = gw.connect();
    for (host, n) in [
        ("a.test", 1),
        ("b.test", 2),
        ("A.Test", 1),
        ("a.test:80", 1),
        ("a.test:8080", 3),
        ("a.test.", 1),
        ("127.0.0.1", 4),
        ("b.test", 2),
    ] {
        let response = client.ask(&Request::get("/a").host(host));
        assert_eq!(response.expect(200).text(), format!("answer {n}"), "{host}");
    }
    let absolute = Request::get("http://b.test/a").host("b.test");
    hit(client.ask(&absolute).expect(200).body("answer 2"));
}

#[test]
fn an_origin_that_tells_spellings_of_a_path_apart_is_believed_and_a_purge_does_not() {
    const SPELLINGS: [&str; 8] = [
        "/d/a~b", "/d/%61~b", "/d/a%7Eb", "/d/a~b/", "/D/a~b", "/d/a%2Fb", "/d/a/b", "/d/a%3Fb",
    ];
    let origin = Origin::new();
    for path in SPELLINGS {
        origin.set(path, lasting(path));
    }
    let gw = Gateway::start(&kept(&origin, ""));
    let mut client = gw.connect();
    for path in SPELLINGS {
        client.ask(&Request::get(path)).expect(200).body(path);
    }
    for path in SPELLINGS {
        hit(client.ask(&Request::get(path)).expect(200).body(path));
    }
    // Dots are taken out before anybody sees them.
    for dotted in ["/d/x/../a~b", "/d/./a~b", "/d/x/%2e%2e/a~b"] {
        hit(client.ask(&Request::get(dotted)).expect(200).body("/d/a~b"));
    }
    assert_eq!(origin.total(), SPELLINGS.len());

    super::purge(&gw, r#"{"urls":["http://A.test:80/d/%61~b"]}"#);
    for (path, n) in SPELLINGS.iter().zip([2, 2, 2, 1, 1, 1, 1, 1]) {
        client.ask(&Request::get(path)).expect(200).body(path);
        assert_eq!(origin.seen(path), n, "{path}");
    }
}

#[test]
fn a_request_with_one_of_these_fields_or_cookies_goes_past_and_leaves_nothing() {
    let origin = numbered(Origin::new(), "/a", 9);
    let gw = Gateway::start(&kept(
        &origin,
        "bypass = { headers = [\"Authorization\"], cookies = [\"session\"] }",
    ));
    let mut client = gw.connect();
    for (n, (name, value)) in [
        ("Authorization", "Bearer x"),
        ("Authorization", ""),
        ("Cookie", "session=1"),
        ("Cookie", "a=b; session="),
    ]
    .into_iter()
    .enumerate()
    {
        let response = client.ask(&get_with("/a", name, value));
        assert_eq!(
            said(response.expect(200).body(format!("answer {}", n + 1))),
            "fwd=bypass"
        );
        let asked = origin.requests("/a").remove(n);
        assert_eq!(asked.value(name), Some(value), "it goes on as it came");
    }
    client
        .ask(&get_with("/a", "Cookie", "Session=1; xsession=2"))
        .expect(200)
        .body("answer 5");
    hit(client.ask(&Request::get("/a")).expect(200).body("answer 5"));
    client
        .ask(&get_with("/a", "Cookie", "session=1"))
        .expect(200)
        .body("answer 6");
    hit(client.ask(&Request::get("/a")).expect(200).body("answer 5"));
}

#[test]
fn a_request_past_the_cache_is_the_client_s_own_with_its_conditions_and_range() {
    let part = reply(206)
        .header("Content-Range", "bytes 0-0/9")
        .header("Cache-Control", "max-age=60")
        .body("p");
    let origin = Origin::new().on("/a", part);
    let gw = Gateway::start(&kept(&origin, "bypass = { headers = [\"X-By\"] }"));

    let request = get_with("/a", "X-By", "1")
        .header("Range", "bytes=0-0")
        .header("If-None-Match", "\"x\"");
    gw.ask(&request.header("Accept-Encoding", "deflate, x"))
        .expect(206)
        .body("p");
    let asked = origin.only("/a");
    assert_eq!(asked.value("range"), Some("bytes=0-0"));
    assert_eq!(asked.value("if-none-match"), Some("\"x\""));
    assert_eq!(asked.value("accept-encoding"), Some("deflate, x"));
    assert_eq!(gw.status()["caches"]["edge"]["objects"], 0);
}

#[test]
fn two_routes_with_one_url_do_not_share() {
    let [a, b] = ["of a", "of b"].map(|body| Origin::new().otherwise(lasting(body)));
    let gw = Gateway::start(&format!(
        r#"
        [caches.edge]
        memory = "16MiB"

        [upstreams.a]
        servers = [{{ address = "{}" }}]
        [upstreams.b]
        servers = [{{ address = "{}" }}]

        [[listeners]]
        name = "one"
        address = "127.0.0.1:0"
        [[listeners]]
        name = "two"
        address = "127.0.0.1:0"

        [[routes]]
        name = "first"
        match = {{ path_prefix = "/", listener = "one" }}
        upstream = "a"
        cache = {{ store = "edge" }}
        [[routes]]
        name = "second"
        match = {{ path_prefix = "/", listener = "two" }}
        upstream = "b"
        cache = {{ store = "edge" }}
        "#,
        a.address(),
        b.address()
    ));
    let [one, two] = gw.addresses()[..] else {
        panic!("two listeners")
    };

    for _ in 0..3 {
        Connection::open(one)
            .ask(&Request::get("/x"))
            .expect(200)
            .body("of a");
        Connection::open(two)
            .ask(&Request::get("/x"))
            .expect(200)
            .body("of b");
    }
    assert_eq!((a.total(), b.total()), (1, 1));
    // An address is purged for whoever serves it.
    super::purge(&gw, r#"{"urls":["http://a.test/x"]}"#);
    Connection::open(one).ask(&Request::get("/x")).expect(200);
    Connection::open(two).ask(&Request::get("/x")).expect(200);
    assert_eq!((a.total(), b.total()), (2, 2));
}

#[test]
fn two_caches_do_not_share_and_a_route_without_one_has_none() {
    let origin = Origin::new().otherwise(lasting("x"));
    let gw = Gateway::start(&format!(
        r#"
        [caches.edge]
        memory = "16MiB"
        [caches.other]
        memory = "16MiB"
        [upstreams.origin]
        servers = [{{ address = "{}" }}]
        [defaults]
        cache = {{ store = "edge" }}

        [[routes]]
        name = "default"
        match = {{ path_prefix = "/" }}
        upstream = "origin"
        [[routes]]
        name = "other"
        match = {{ path_prefix = "/other" }}
        upstream = "origin"
        cache = {{ store = "other" }}
        [[routes]]
        name = "none"
        match = {{ path_prefix = "/none" }}
        upstream = "origin"
        cache = {{ store = "" }}
        "#,
        origin.address()
    ));
    let mut client = gw.connect();
    for _ in 0..2 {
        client.ask(&Request::get("/a")).expect(200);
        client.ask(&Request::get("/other")).expect(200);
        client
            .ask(&Request::get("/none"))
            .expect(200)
            .no_header("cache-status");
    }
    assert_eq!(["/a", "/other", "/none"].map(|path| origin.seen(path)), [1, 1, 2]);
    let status = gw.status();
    for cache in ["edge", "other"] {
        assert_eq!(status["caches"][cache]["objects"], 1, "{cache}");
        assert_eq!(status["caches"][cache]["hits"], 1, "{cache}");
    }
}

#[test]
fn a_rewritten_path_is_kept_under_the_name_the_client_knows() {
    let origin = Origin::new().otherwise(lasting("x"));
    let toml = kept(&origin, "").replace(
        "[routes.cache]",
        "rewrite = { add_prefix = \"/inner\" }\n[routes.cache]",
    );
    let gw = Gateway::start(&toml);

    gw.get("/a").expect(200);
    hit(&gw.get("/a"));
    assert_eq!(origin.seen("/inner/a"), 1);
    super::purge(&gw, r#"{"urls":["http://a.test/a"]}"#);
    forwarded(&gw.get("/a"), "uri-miss");
}

#[test]
fn a_canary_s_answer_is_kept_like_any_other() {
    let [a, b] = [(); 2].map(|()| Origin::new().otherwise(lasting("x")));
    let gw = Gateway::start(&format!(
        r#"
        [caches.edge]
        memory = "16MiB"
        [upstreams.a]
        servers = [{{ address = "{}" }}]
        [upstreams.b]
        servers = [{{ address = "{}" }}]
        [[routes]]
        name = "all"
        match = {{ path_prefix = "/" }}
        split = [{{ upstream = "a", weight = 1 }}, {{ upstream = "b", weight = 1 }}]
        cache = {{ store = "edge" }}
        "#,
        a.address(),
        b.address()
    ));
    let mut client = gw.connect();
    for _ in 0..10 {
        client.ask(&Request::get("/a")).expect(200);
    }
    assert_eq!(a.total() + b.total(), 1);
}

#[test]
fn a_cookie_header_as_a_whole_may_be_the_key() {
    let guess = |n: usize| -> Script { reply(200).body(format!("answer {n}")) };
    let origin = Origin::new().on("/a", guess(1)).then("/a", guess(2));
    let gw = Gateway::start(&kept(&origin, "ttl = \"60s\"\nkey = { headers = [\"Cookie\"] }"));
    for (user, n) in [("one", 1), ("two", 2), ("one", 1), ("two", 2)] {
        let response = gw.ask(&get_with("/a", "Cookie", &format!("session={user}")));
        response.expect(200).body(format!("answer {n}"));
    }
}
