mod together;

use std::time::Duration;

use harness::origin::reply;
use harness::{Gateway, Origin, Request, Response};

use super::{ask_from, get_with, guarded, limited};

const TRUSTED: &str = "[server]\ntrusted_proxies = [\"127.0.0.1\"]\nthreads = 2";

/// One limit with these lines, on the route for everything.
fn with_limit(origin: &Origin, lines: &str) -> String {
    guarded(
        origin,
        &format!("{TRUSTED}\n[rate_limits.limit]\n{lines}"),
        "rate_limits = [\"limit\"]",
    )
}

fn served() -> Origin {
    Origin::new().otherwise(reply(200).body("served"))
}

/// How many of these requests, one after the other, are admitted; the others are refused by the limit.
#[track_caller]
fn admitted(gw: &Gateway, requests: impl IntoIterator<Item = Request>) -> usize {
    let mut client = gw.connect();
    let mut count = 0;
    for request in requests {
        let response = client.ask(&request);
        match response.status {
            200 => count += 1,
            _ => limited(&response, "limit"),
        }
    }
    count
}

/// So many times the same.
fn times(n: usize, request: Request) -> impl Iterator<Item = Request> {
    std::iter::repeat_n(request, n)
}

fn from(address: &str) -> Request {
    get_with("/", "X-Forwarded-For", address)
}

/// Fails unless a limited route says so, with as many requests left.
#[track_caller]
fn stands(response: &Response, policy: &str, remaining: u32) {
    response.header("ratelimit-policy", policy);
    let standing = response.value("ratelimit").unwrap_or_default();
    let name = policy.split(';').next().unwrap_or_default();
    assert!(
        standing.starts_with(&format!("{name};r={remaining};t=")),
        "{response}"
    );
}

#[test]
fn a_burst_is_admitted_and_then_one_in_each_interval() {
    let origin = served();
    let gw = Gateway::start_with_manual_clock(&with_limit(&origin, "rate = \"1/10s\"\nburst = 3"));
    let mut client = gw.connect();
    for remaining in [2, 1, 0] {
        let response = client.ask(&Request::get("/"));
        stands(
            response.expect(200).body("served"),
            "\"limit\";q=3;w=30",
            remaining,
        );
        response.no_header("retry-after");
    }
    let refusal = client.ask(&Request::get("/"));
    limited(&refusal, "limit");
    refusal
        .header("retry-after", "10")
        .header("ratelimit", "\"limit\";r=0;t=10");
    stands(&refusal, "\"limit\";q=3;w=30", 0);

    gw.advance(Duration::from_millis(9_999));
    client
        .ask(&Request::get("/"))
        .expect(429)
        .header("retry-after", "1");
    gw.advance(Duration::from_millis(1));
    client.ask(&Request::get("/")).expect(200);
    client
        .ask(&Request::get("/"))
        .expect(429)
        .header("retry-after", "10");
    gw.advance(Duration::from_secs(86_400));
    assert_eq!(admitted(&gw, times(9, Request::get("/"))), 3);
    assert_eq!(origin.total(), 7);
}

#[test]
fn a_browser_is_told_in_a_page() {
    let origin = served();
    let gw = Gateway::start_with_manual_clock(&with_limit(&origin, "rate = \"1/s\"\nburst = 1"));
    gw.get("/").expect(200);
    let page = gw.ask(&get_with(
        "/",
        "Accept",
        "text/html,application/xhtml+xml,*/*;q=0.8",
    ));
    page.expect(429)
        .header("content-type", "text/html; charset=utf-8")
        .header("retry-after", "1")
        .header("ratelimit", "\"limit\";r=0;t=1");
    assert!(page.text().contains("<h1>Too Many Requests</h1>"), "{page}");
}

#[test]
fn all_workers_count_together_to_the_request() {
    let origin = served();
    let gw = Gateway::start_with_manual_clock(&with_limit(&origin, "rate = \"1/h\"\nburst = 100"));
    let clients: Vec<_> = (0..16)
        .map(|_| {
            let mut client = gw.connect();
            let count = move || {
                (0..20)
                    .filter(|_| client.ask(&Request::get("/")).status == 200)
                    .count()
            };
            std::thread::spawn(count)
        })
        .collect();
    let counts: usize = clients.into_iter().map(|client| client.join().unwrap()).sum();
    assert_eq!((counts, origin.total()), (100, 100));
}

#[test]
fn a_client_is_who_our_proxies_say_and_nobody_else_says() {
    let origin = served();
    let gw = Gateway::start_with_manual_clock(&with_limit(&origin, "rate = \"1/h\"\nburst = 2"));
    assert_eq!(admitted(&gw, times(5, from("192.0.2.1"))), 2);
    // What stands to the left is the client's own word.
    let claims = (0..5).map(|i| from(&format!("198.51.100.{i}, 192.0.2.1")));
    assert_eq!(admitted(&gw, claims), 0);
    let lines = (0..5).map(|i| from(&format!("198.51.100.{i}")).header("X-Forwarded-For", "192.0.2.1"));
    assert_eq!(admitted(&gw, lines), 0);
    assert_eq!(admitted(&gw, times(5, from("192.0.2.1, 127.0.0.1"))), 0);
    assert_eq!(admitted(&gw, times(5, from("192.0.2.2"))), 2);

    // From a peer that is no proxy of ours, whatever it says; and the last one takes nothing from 192.0.2.3.
    let spoofed = |i: u8| ask_from(&gw, 9, &from(&format!("192.0.2.{i}"))).status;
    assert_eq!([3, 4, 5, 6].map(spoofed), [200, 200, 429, 429]);
    assert_eq!(admitted(&gw, times(5, from("192.0.2.3"))), 2);
    assert_eq!(origin.total(), 8);
}

#[test]
fn clients_of_ipv6_are_told_apart_by_64_bits() {
    let origin = served();
    let gw = Gateway::start_with_manual_clock(&with_limit(&origin, "rate = \"1/h\"\nburst = 2"));
    let of_one = (0..10).map(|i| from(&format!("2001:db8:0:1::{i}")));
    assert_eq!(admitted(&gw, of_one), 2);
    assert_eq!(admitted(&gw, times(5, from("2001:db8:0:2::1"))), 2);
    // An IPv4 address is no /64, however it is written.
    assert_eq!(admitted(&gw, times(5, from("::ffff:192.0.2.1"))), 2);
    assert_eq!(admitted(&gw, times(5, from("192.0.2.1"))), 0);
    assert_eq!(admitted(&gw, times(5, from("192.0.2.2"))), 2);
}

#[test]
fn a_key_in_a_field_counts_apart_and_without_one_the_address_does() {
    let origin = served();
    let lines = "rate = \"1/h\"\nburst = 2\nkey = \"header:X-Api-Key\"";
    let gw = Gateway::start_with_manual_clock(&with_limit(&origin, lines));
    let with = |key: &str| get_with("/", "x-api-KEY", key);
    assert_eq!(admitted(&gw, times(4, with("a"))), 2);
    assert_eq!(admitted(&gw, times(4, with("b"))), 2);
    assert_eq!(admitted(&gw, times(4, with("A"))), 2);
    // Another address with the same key spends of the same.
    assert_eq!(
        admitted(&gw, times(4, from("192.0.2.1").header("X-Api-Key", "a"))),
        0
    );

    // Missing, empty, twice: one count, the address's.
    let none = [
        Request::get("/"),
        with(""),
        with("c").header("X-Api-Key", "d"),
        with(" "),
    ];
    assert_eq!(admitted(&gw, none), 2);
    let fresh = (0..9).map(|i| with(&i.to_string()).header("X-Api-Key", "d"));
    assert_eq!(admitted(&gw, fresh), 0);
    assert_eq!(admitted(&gw, times(4, from("192.0.2.2"))), 2);
}

#[test]
fn a_cookie_counts_apart_and_without_one_the_address_does() {
    let origin = served();
    let lines = "rate = \"1/h\"\nburst = 2\nkey = \"cookie:sid\"";
    let gw = Gateway::start_with_manual_clock(&with_limit(&origin, lines));
    let with = |cookies: &str| get_with("/", "Cookie", cookies);
    assert_eq!(
        admitted(&gw, [with("sid=a"), with("x=1; sid=a"), with("sid=a; y=2")]),
        2
    );
    assert_eq!(admitted(&gw, times(4, with("sid=b"))), 2);
    let none = [with("x=1"), with("sid="), with("sid=c; sid=d"), Request::get("/")];
    assert_eq!(admitted(&gw, none), 2);
}

#[test]
fn a_route_counts_apart_and_everybody_counts_together() {
    let origin = served();
    let text = |key: &str| {
        let route = "rate_limits = [\"limit\"]\n[[routes]]\nname = \"other\"\nmatch = { path = \"/other\" }\n\
                     upstream = \"origin\"\nrate_limits = [\"limit\"]";
        let limit = format!("{TRUSTED}\n[rate_limits.limit]\nrate = \"1/h\"\nburst = 2\nkey = \"{key}\"");
        guarded(&origin, &limit, route)
    };
    let all = || (0..3).map(|i| from(&format!("192.0.2.{i}")));
    let other = || (0..3).map(|i| get_with("/other", "X-Forwarded-For", &format!("192.0.2.{i}")));

    let gw = Gateway::start_with_manual_clock(&text("route"));
    assert_eq!(
        [admitted(&gw, all()), admitted(&gw, other()), admitted(&gw, all())],
        [2, 2, 0]
    );
    let gw = Gateway::start_with_manual_clock(&text("global"));
    assert_eq!(
        [
            admitted(&gw, other()),
            admitted(&gw, all()),
            admitted(&gw, other())
        ],
        [2, 0, 0]
    );
}

#[test]
fn of_several_limits_none_is_charged_when_one_refuses() {
    let origin = served();
    let limits = "[rate_limits.wide]\nrate = \"1/h\"\nburst = 4\n\
                  [rate_limits.narrow]\nrate = \"1/h\"\nburst = 1\nkey = \"header:X-Api-Key\"";
    for order in ["[\"wide\", \"narrow\"]", "[\"narrow\", \"wide\"]"] {
        let gw =
            Gateway::start_with_manual_clock(&guarded(&origin, limits, &format!("rate_limits = {order}")));
        let ask = |key: &str| gw.ask(&get_with("/", "X-Api-Key", key));
        let first = ask("a");
        first.expect(200);
        assert_eq!(first.head.list("ratelimit-policy").len(), 2, "{first}");
        // The one that is nearest to its end.
        first.header("ratelimit", "\"narrow\";r=0;t=3600");
        for _ in 0..9 {
            limited(&ask("a"), "narrow");
        }
        for key in ["b", "c", "d"] {
            ask(key).expect(200);
        }
        limited(&ask("e"), "wide");
        // So the narrow one is not charged for e: when the wide one has one more, e has its first.
        gw.advance(Duration::from_secs(3_600));
        ask("e").expect(200);
        limited(&ask("f"), "wide");
    }
}

#[test]
fn what_comes_from_the_cache_is_counted_and_says_so() {
    let origin = Origin::new().on(
        "/a",
        reply(200)
            .header("Cache-Control", "max-age=3600")
            .header("ETag", "\"e\"")
            .body("a"),
    );
    let sections = "[caches.edge]\nmemory = \"16MiB\"\n[rate_limits.limit]\nrate = \"1/60s\"\nburst = 5";
    let text = guarded(
        &origin,
        sections,
        "rate_limits = [\"limit\"]\ncache = { store = \"edge\" }",
    );
    let gw = Gateway::start_with_manual_clock(&text);
    let mut client = gw.connect();
    let policy = "\"limit\";q=5;w=300";
    stands(client.ask(&Request::get("/a")).expect(200), policy, 4);
    harness::wait_until("it is stored", || gw.status()["caches"]["edge"]["objects"] == 1);
    let hit = client.ask(&Request::get("/a"));
    stands(hit.expect(200).body("a"), policy, 3);
    assert!(
        hit.value("cache-status").is_some_and(|s| s.contains("hit")),
        "{hit}"
    );
    let confirmed = client.ask(&get_with("/a", "If-None-Match", "\"e\""));
    stands(confirmed.expect(304), policy, 2);
    let range = client.ask(&get_with("/a", "Range", "bytes=0-0"));
    stands(range.expect(206), policy, 1);
    stands(client.ask(&Request::head("/a")).expect(200), policy, 0);
    let refusal = client.ask(&Request::get("/a"));
    limited(&refusal, "limit");
    refusal.no_header("age");
    gw.advance(Duration::from_secs(60));
    stands(client.ask(&Request::get("/a")).expect(200).body("a"), policy, 0);
    assert_eq!(origin.total(), 1);
}

#[test]
fn whatever_a_route_does_it_is_limited_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.txt"), "a file").unwrap();
    let actions = [
        ("respond = { status = 200, body = \"own\" }".to_owned(), 200),
        ("redirect = { to = \"/new\" }".to_owned(), 302),
        (
            format!(
                "static_files = {{ root = {:?} }}",
                folder.path().display().to_string()
            ),
            200,
        ),
    ];
    for (action, status) in actions {
        let gw = Gateway::start_with_manual_clock(&format!(
            "[rate_limits.limit]\nrate = \"1/s\"\nburst = 2\n[defaults]\nrate_limits = [\"limit\"]\n[[routes]]\n\
             name = \"one\"\nmatch = {{ path_prefix = \"/\" }}\n{action}"
        ));
        for remaining in [1, 0] {
            let response = gw.get("/a.txt");
            let is_as_said =
                response.status == status || (status == 302 && (300..400).contains(&response.status));
            assert!(is_as_said, "{action}: {response}");
            stands(&response, "\"limit\";q=2;w=2", remaining);
        }
        limited(&gw.get("/a.txt"), "limit");
    }
}

#[test]
fn an_empty_list_takes_a_route_out_of_the_defaults() {
    let gw = Gateway::start_with_manual_clock(
        r#"
        [rate_limits.limit]
        rate = "1/h"

        [defaults]
        rate_limits = ["limit"]

        [[routes]]
        name = "health"
        match = { path = "/health" }
        respond = { status = 200 }
        rate_limits = []

        [[routes]]
        name = "all"
        match = { path_prefix = "/" }
        respond = { status = 200 }
        "#,
    );
    for _ in 0..20 {
        gw.get("/health")
            .expect(200)
            .no_header("ratelimit")
            .no_header("ratelimit-policy");
    }
    // Without a burst of its own, a limit admits what it admits in a period.
    gw.get("/").expect(200);
    limited(&gw.get("/"), "limit");
    // Where no route is, there is no limit either.
    gw.get("/health").expect(200);
}

#[test]
fn another_rate_keeps_what_was_spent() {
    let origin = served();
    let text = |lines: &str| with_limit(&origin, lines);
    let gw = Gateway::start_with_manual_clock(&text("rate = \"10/h\"\nburst = 10"));
    let gets = |n| times(n, Request::get("/"));
    assert_eq!(admitted(&gw, gets(7)), 7);
    gw.reload(&text("rate = \"1/s\"\nburst = 10")).unwrap();
    assert_eq!(admitted(&gw, gets(9)), 3);
    // Ten were spent, which at this pace are back in ten seconds.
    gw.advance(Duration::from_secs(2));
    assert_eq!(admitted(&gw, gets(9)), 2);
    gw.reload(&text("rate = \"1/s\"\nburst = 12")).unwrap();
    assert_eq!(admitted(&gw, gets(9)), 2);
    gw.reload(&text("rate = \"1/s\"\nburst = 3")).unwrap();
    assert_eq!(admitted(&gw, gets(9)), 0);
    gw.advance(Duration::from_secs(3));
    assert_eq!(admitted(&gw, gets(9)), 3);

    // Counted by something else, it is another count.
    gw.reload(&text("rate = \"1/s\"\nburst = 3\nkey = \"global\""))
        .unwrap();
    assert_eq!(admitted(&gw, gets(9)), 3);
}

#[test]
fn a_limit_that_is_taken_away_and_given_back_has_forgotten_nothing_that_matters() {
    let origin = served();
    let limit = "[rate_limits.limit]\nrate = \"1/h\"\nburst = 2";
    let on = guarded(&origin, limit, "rate_limits = [\"limit\"]");
    let off = guarded(&origin, limit, "rate_limits = []");
    let gw = Gateway::start_with_manual_clock(&on);
    assert_eq!(admitted(&gw, times(4, Request::get("/"))), 2);
    gw.reload(&off).unwrap();
    gw.get("/").expect(200).no_header("ratelimit");
    gw.reload(&on).unwrap();
    assert_eq!(admitted(&gw, times(4, Request::get("/"))), 0);
}

#[test]
fn more_keys_than_max_keys_are_forgotten_until_a_reload_makes_room() {
    const CLIENTS: usize = 200;
    let origin = served();
    let text = |keys: usize| {
        with_limit(
            &origin,
            &format!("rate = \"1/h\"\nburst = 1\nkey = \"header:X-Api-Key\"\nmax_keys = {keys}"),
        )
    };
    let all = || (0..CLIENTS).map(|i| get_with("/", "X-Api-Key", &format!("client-{i}")));
    let gw = Gateway::start_with_manual_clock(&text(2));
    assert_eq!(admitted(&gw, all()), CLIENTS);
    assert!(admitted(&gw, all()) >= CLIENTS - 2);
    gw.reload(&text(1_000)).unwrap();
    assert!(admitted(&gw, all()) >= CLIENTS - 2);
    assert_eq!(admitted(&gw, all()), 0);
}

#[test]
fn requests_of_all_methods_count_but_what_browsers_ask_before() {
    let origin = served();
    let lines = "rate_limits = [\"limit\"]\ncors = { origins = [\"https://app.test\"], methods = [\"PUT\"] }";
    let limit = "[rate_limits.limit]\nrate = \"1/h\"\nburst = 4";
    let gw = Gateway::start_with_manual_clock(&guarded(&origin, limit, lines));
    let preflight = Request::new("OPTIONS", "/")
        .header("Origin", "https://app.test")
        .header("Access-Control-Request-Method", "PUT");
    for (n, method) in ["HEAD", "OPTIONS", "DELETE", "BREW"].into_iter().enumerate() {
        gw.ask(&preflight).expect(204).no_header("ratelimit");
        gw.ask(&Request::new(method, "/").body("")).expect(200);
        assert_eq!(origin.total(), n + 1);
    }
    for method in ["HEAD", "OPTIONS", "GET", "POST"] {
        let response = gw.ask(&Request::new(method, "/").body(""));
        response.expect(429);
        assert_eq!(response.text().is_empty(), method == "HEAD", "{response}");
    }
    gw.ask(&preflight).expect(204);
    assert_eq!(origin.total(), 4);
}

#[test]
fn a_refused_request_s_body_does_not_break_the_connection() {
    let origin = served();
    let gw = Gateway::start_with_manual_clock(&with_limit(&origin, "rate = \"1/s\"\nburst = 1"));
    let mut client = gw.connect();
    client.ask(&Request::get("/")).expect(200);
    // Read as requests, these bodies would be.
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n";
    limited(&client.ask(&Request::post("/", smuggled)), "limit");
    limited(
        &client.ask(&Request::new("PUT", "/").chunked([smuggled, smuggled])),
        "limit",
    );
    gw.advance(Duration::from_secs(1));
    client.ask(&Request::get("/")).expect(200).body("served");
    assert_eq!((origin.total(), origin.seen("/smuggled")), (2, 0));

    // One that is waited for with 100 is not asked for, and a long one not read to its end.
    let mut waiting = gw.connect();
    let asks = Request::post("/", "hello").header("Expect", "100-continue");
    waiting.send(asks.head_bytes());
    let refusal = waiting.response_to("POST");
    limited(&refusal, "limit");
    assert!(refusal.interims.is_empty() && refusal.closes(), "{refusal}");
    let long = gw.connect().ask(&Request::post("/", "x".repeat(1 << 20)));
    limited(&long, "limit");
    assert!(long.closes(), "{long}");
    assert_eq!(origin.total(), 2);
}

#[test]
fn pipelined_requests_are_counted_one_by_one_and_answered_in_order() {
    let origin = served();
    let gw = Gateway::start_with_manual_clock(&with_limit(&origin, "rate = \"1/h\"\nburst = 3"));
    let mut client = gw.connect();
    let all: Vec<u8> = (0..6)
        .flat_map(|i| Request::get(&format!("/{i}")).bytes())
        .collect();
    client.send(all);
    let statuses: Vec<u16> = (0..6).map(|_| client.response().status).collect();
    assert_eq!(statuses, [200, 200, 200, 429, 429, 429]);
    assert_eq!([0, 1, 2].map(|i| origin.seen(&format!("/{i}"))), [1, 1, 1]);
    assert_eq!(origin.total(), 3);
}
