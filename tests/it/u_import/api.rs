use std::net::{IpAddr, Ipv4Addr};

use harness::client::Connection;
use harness::origin::reply;
use harness::{Origin, Request};

use super::pair::{Ask, Pair};
use super::why;

/// Requests that the limit lets through at once: the one that the rate admits, and the burst.
const AT_ONCE: usize = 21;

/// What origins answer to in different ways.
const KEPT_OR_NOT: [&str; 10] = [
    "/items",
    "/moved",
    "/missing",
    "/private",
    "/fresh",
    "/no-store",
    "/cookie",
    "/teapot",
    "/broken",
    "/",
];

fn origin() -> Origin {
    let json = |status: u16, body: &str| {
        reply(status)
            .header("Content-Type", "application/json")
            .body(body)
    };
    Origin::new()
        .otherwise(json(200, "{}"))
        .on("/items", json(200, "[1,2]"))
        .on(
            "/moved",
            json(301, "").header("Location", "https://api.app.test/elsewhere"),
        )
        .on("/missing", json(404, "{\"error\":\"missing\"}"))
        .on(
            "/private",
            json(200, "{\"who\":1}").header("Cache-Control", "private"),
        )
        .on(
            "/fresh",
            json(200, "{\"n\":1}")
                .header("Cache-Control", "max-age=100")
                .header("ETag", "\"f1\""),
        )
        .on(
            "/no-store",
            json(200, "{\"n\":2}").header("Cache-Control", "no-store"),
        )
        .on("/cookie", json(200, "{\"n\":3}").header("Set-Cookie", "s=1"))
        .on("/echo", reply(200).echo())
        .on("/teapot", json(418, "{}"))
        .on("/broken", json(500, "{\"error\":\"broken\"}"))
}

/// Each request comes from another client, so that limits do not get in the way.
struct Clients(u8);

impl Clients {
    fn next(&mut self) -> IpAddr {
        self.0 += 1;
        Ipv4Addr::new(127, 0, 1, self.0).into()
    }
}

/// Both, each with a cache in a folder of its own.
fn pair() -> (Pair, [tempfile::TempDir; 2]) {
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a temporary folder is to be had"));
    let paths = folders
        .each_ref()
        .map(|f| f.path().join("api").display().to_string());
    let change = |text: String| {
        text.replace("/var/cache/nginx/api", &paths[0])
            .replace("/var/cache/sluice/api", &paths[1])
    };
    let pair = Pair::start("api", &["127.0.0.1:8080"], origin, 3, &change);
    (pair, folders)
}

#[test]
fn an_api_is_limited_cached_and_kept_out_of_as_by_nginx() {
    let (mut pair, _folders) = pair();
    let mut clients = Clients(0);
    let mut asked = 0;
    let mut ask = |pair: &mut Pair, request: Request, path: &str| {
        asked += 1;
        pair.ask(
            &Ask::new(request.host("api.app.test"))
                .from(clients.next())
                .at_origin(path),
        );
    };
    // Twice each: the second time from the cache, where there is something to keep.
    for path in KEPT_OR_NOT {
        for _ in 0..2 {
            ask(&mut pair, Request::get(&format!("/api{path}")), path);
        }
        ask(&mut pair, Request::get(&format!("/api{path}?page=2")), path);
    }
    ask(&mut pair, Request::head("/api/items"), "/items");
    ask(
        &mut pair,
        Request::get("/api/fresh").header("If-None-Match", "\"f1\""),
        "/fresh",
    );
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        ask(
            &mut pair,
            Request::new(method, "/api/echo").body("{\"a\":1}"),
            "/echo",
        );
    }
    ask(
        &mut pair,
        Request::post("/api/echo", "x".repeat(100_000)),
        "/echo",
    );
    for target in ["/api/deep/er/path", "/api/a%20b", "/api/items/"] {
        ask(&mut pair, Request::get(target), &target[4..]);
    }
    for target in [
        "/api",
        "/api?a=b",
        "/old",
        "/internal/",
        "/internal/x",
        "/",
        "/apix",
        "/oldx",
        "/old/",
    ] {
        ask(&mut pair, Request::get(target), "/nowhere");
    }
    ask(&mut pair, Request::post("/old", "x"), "/nowhere");
    assert!(asked >= 50, "{asked} were asked");
    pair.end(asked);
}

#[test]
fn a_burst_is_let_through_as_by_nginx() {
    let (pair, _folders) = pair();
    for address in [pair.nginx.addresses()[0], pair.sluice.address()] {
        // All at once, so that the time between them counts for nothing: a tenth of a second is another one.
        let mut connection = Connection::open(address);
        let many = 4 * AT_ONCE;
        let request = Request::get("/api/items").host("api.app.test").bytes();
        connection.send(request.repeat(many));
        let statuses: Vec<u16> = (0..many).map(|_| connection.response().status).collect();
        assert_eq!(statuses[..AT_ONCE], [200; AT_ONCE], "{address}");
        assert!(statuses.contains(&429), "{address}: {statuses:?}");
    }
    let refused = pair.sluice.ask(&Request::get("/api/items").host("api.app.test"));
    if refused.status == 429 {
        assert!(refused.value("retry-after").is_some(), "{}", why::REFUSED);
    }
    pair.end(0);
}
