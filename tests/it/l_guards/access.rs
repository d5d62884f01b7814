use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::net::UnixStream;

use harness::origin::reply;
use harness::wire::Reader;
use harness::{Gateway, Origin, Request};

use super::{ask_from, get_with, guarded, refused};

/// Everything goes to this origin by a route with these lists; 127.0.0.1 is a proxy of ours.
fn with_lists(origin: &Origin, lists: &str) -> String {
    guarded(
        origin,
        "[server]\ntrusted_proxies = [\"127.0.0.1\"]\nthreads = 2",
        lists,
    )
}

fn served() -> Origin {
    Origin::new().otherwise(reply(200))
}

#[track_caller]
fn denied(gw: &Gateway, last: u8) {
    refused(&ask_from(gw, last, &Request::get("/")), 403, "denied");
}

#[test]
fn who_is_not_among_those_that_are_allowed_stays_out() {
    let origin = served();
    let gw = Gateway::start(&with_lists(&origin, "allow = [\"127.0.0.2\", \"127.0.0.4/31\"]"));
    for last in [2, 4, 5] {
        ask_from(&gw, last, &Request::get("/")).expect(200);
    }
    assert_eq!(origin.total(), 3);
    for last in [1, 3, 6] {
        denied(&gw, last);
        ask_from(&gw, last, &Request::head("/")).expect(403);
        ask_from(&gw, last, &Request::post("/", "body")).expect(403);
        ask_from(&gw, last, &Request::new("OPTIONS", "/")).expect(403);
    }
    assert_eq!(origin.total(), 3);
    gw.wait_metrics("they are counted", |m| {
        m.sum("sluice_refusals_total", &[("reason", "denied")]) == 12.0
    });
}

#[test]
fn who_is_denied_stays_out_and_deny_wins() {
    let origin = served();
    let gw = Gateway::start(&with_lists(&origin, "deny = [\"127.0.0.2\"]"));
    denied(&gw, 2);
    ask_from(&gw, 3, &Request::get("/")).expect(200);
    gw.reload(&with_lists(
        &origin,
        "allow = [\"127.0.0.2\", \"127.0.0.3\"]\ndeny = [\"127.0.0.2/31\"]",
    ))
    .unwrap();
    for last in [2, 3, 4] {
        denied(&gw, last);
    }
    gw.reload(&with_lists(
        &origin,
        "allow = [\"127.0.0.0/8\"]\ndeny = [\"127.0.0.2\"]",
    ))
    .unwrap();
    denied(&gw, 2);
    ask_from(&gw, 3, &Request::get("/")).expect(200);
    assert_eq!(origin.total(), 2);
}

#[test]
fn a_refusal_says_nothing_of_the_lists_and_keeps_the_connection() {
    let origin = served();
    let gw = Gateway::start(&with_lists(&origin, "allow = [\"198.51.100.0/24\"]"));
    let mut client = gw.connect();
    for _ in 0..3 {
        let refusal = client.ask(&Request::post("/", "a body"));
        refused(&refusal, 403, "denied");
        refusal.no_header("retry-after").no_header("ratelimit");
        let text = format!("{}{}", refusal.head, refusal.text());
        assert!(
            !text.contains("198.51") && !text.contains("127.0.0.1"),
            "{refusal}"
        );
    }
    let page = client.ask(&get_with("/", "Accept", "text/html"));
    page.expect(403)
        .header("content-type", "text/html; charset=utf-8");
    assert_eq!(origin.total(), 0);
}

#[test]
fn a_client_is_where_our_proxies_say_and_nobody_else_says() {
    let origin = served();
    let gw = Gateway::start(&with_lists(
        &origin,
        "allow = [\"192.0.2.0/24\", \"2001:db8::/32\"]\ndeny = [\"192.0.2.66\"]",
    ));
    let by_proxy = |chain: &str| ask_from(&gw, 1, &get_with("/", "X-Forwarded-For", chain)).status;
    for inside in [
        "192.0.2.1",
        "198.51.100.1, 192.0.2.1",
        "192.0.2.66, 192.0.2.1, 127.0.0.1",
        "2001:db8::1",
        "::ffff:192.0.2.1",
    ] {
        assert_eq!(by_proxy(inside), 200, "{inside}");
    }
    for outside in [
        "198.51.100.1",
        "192.0.2.1, 198.51.100.1",
        "192.0.2.66",
        "::ffff:192.0.2.66",
        "192.0.2.1, unknown",
        "2001:db9::1",
    ] {
        assert_eq!(by_proxy(outside), 403, "{outside}");
    }
    // Whoever is no proxy of ours is where it is.
    assert_eq!(
        ask_from(&gw, 2, &get_with("/", "X-Forwarded-For", "192.0.2.1")).status,
        403
    );
    let others = get_with("/", "X-Real-IP", "192.0.2.1").header("Forwarded", "for=192.0.2.1");
    assert_eq!(ask_from(&gw, 1, &others).status, 403);
    assert_eq!(origin.total(), 5);
}

#[test]
fn tens_of_thousands_of_networks_are_one_list_like_any_other() {
    const NETWORKS: u32 = 30_000;
    let origin = served();
    // 10.0.0.0/30, 10.0.0.8/30, …: between any two there is one that is not listed.
    let mut list = String::from("deny = [");
    for i in 0..NETWORKS {
        let at = (10 << 24) + i * 8;
        write!(list, "\"{}/30\", ", std::net::Ipv4Addr::from(at)).unwrap();
    }
    list.push(']');
    let gw = Gateway::start(&with_lists(&origin, &list));
    let mut client = gw.connect();
    for i in [0, 1, 77, NETWORKS / 2, NETWORKS - 1] {
        for (offset, status) in [(0, 403), (3, 403), (4, 200), (7, 200)] {
            let address = std::net::Ipv4Addr::from((10 << 24) + i * 8 + offset).to_string();
            let response = client.ask(&get_with("/", "X-Forwarded-For", &address));
            assert_eq!(response.status, status, "{address}");
        }
    }
    client
        .ask(&get_with("/", "X-Forwarded-For", "9.255.255.255"))
        .expect(200);
}

#[test]
fn nothing_that_is_stored_is_for_who_is_denied() {
    let origin = Origin::new().on(
        "/",
        reply(200).header("Cache-Control", "max-age=60").body("stored"),
    );
    let sections = "[caches.edge]\nmemory = \"16MiB\"";
    let lines = "deny = [\"127.0.0.2\"]\ncache = { store = \"edge\" }";
    let gw = Gateway::start(&guarded(&origin, sections, lines));
    for _ in 0..2 {
        ask_from(&gw, 1, &Request::get("/")).expect(200).body("stored");
        let refusal = ask_from(&gw, 2, &Request::get("/"));
        refused(&refusal, 403, "denied");
        refusal.no_header("cache-status");
    }
    assert_eq!(origin.total(), 1);
}

#[test]
fn a_route_s_lists_replace_the_defaults_and_files_obey_them_too() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a"), "file").unwrap();
    let gw = Gateway::start(&format!(
        r#"
        [defaults]
        allow = ["127.0.0.2"]

        [[routes]]
        name = "files"
        match = {{ path_prefix = "/" }}
        static_files = {{ root = {:?} }}

        [[routes]]
        name = "health"
        match = {{ path = "/health" }}
        respond = {{ status = 200 }}
        allow = []

        [[routes]]
        name = "moved"
        match = {{ path = "/moved" }}
        redirect = {{ to = "/" }}
        allow = ["127.0.0.3"]
        "#,
        folder.path().display().to_string()
    ));
    let statuses = |target: &str| [1, 2, 3].map(|last| ask_from(&gw, last, &Request::get(target)).status);
    assert_eq!(statuses("/a"), [403, 200, 403]);
    assert_eq!(statuses("/not-there"), [403, 404, 403]);
    assert_eq!(statuses("/health"), [200, 200, 200]);
    assert_eq!(statuses("/moved").map(|s| s / 100), [4, 4, 3]);
}

#[test]
fn a_unix_socket_s_client_is_nowhere_unless_a_proxy_behind_it_says_where() {
    let origin = served();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sluice.sock");
    let listeners = format!(
        "[[listeners]]\naddress = \"127.0.0.1:0\"\n[[listeners]]\naddress = \"unix:{}\"\n",
        path.display()
    );
    let text = |lists: &str| format!("{listeners}{}", with_lists(&origin, lists));
    let ask = |request: &Request| {
        let mut stream = UnixStream::connect(&path).unwrap();
        stream
            .set_read_timeout(Some(harness::patience::patience()))
            .unwrap();
        stream.write_all(&request.bytes()).unwrap();
        let head = Reader::new(stream).head().unwrap().unwrap();
        head.start.split(' ').nth(1).unwrap().to_owned()
    };
    let gw = Gateway::start(&text("allow = [\"192.0.2.0/24\"]\ndeny = [\"192.0.2.66\"]"));
    assert_eq!(ask(&Request::get("/")), "403");
    assert_eq!(ask(&get_with("/", "X-Forwarded-For", "192.0.2.1")), "200");
    assert_eq!(ask(&get_with("/", "X-Forwarded-For", "192.0.2.66")), "403");
    assert_eq!(
        ask(&get_with("/", "X-Forwarded-For", "192.0.2.1, 198.51.100.1")),
        "403"
    );
    gw.reload(&text("deny = [\"192.0.2.66\"]")).unwrap();
    assert_eq!(ask(&Request::get("/")), "200");
    assert_eq!(ask(&get_with("/", "X-Forwarded-For", "192.0.2.66")), "403");
    assert_eq!(origin.total(), 2);
}
