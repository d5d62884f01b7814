use harness::origin::reply;
use harness::{Gateway, Origin, Request};

use super::super::tokens::mint::{self, bearer};
use super::super::{Secrets, guarded};
use super::{fortress, good, tell};

/// A target, and the path by which the origin may see it: another one than the guarded.
const TARGETS: [(&str, Option<&str>); 42] = [
    ("/admin", None),
    ("/admin/", None),
    ("/admin?", None),
    ("/admin?/open", None),
    ("/admin/keys", None),
    ("//admin", None),
    ("///admin//keys", None),
    ("/./admin", None),
    ("/%2e/admin", None),
    ("/open/../admin", None),
    ("/open/%2e%2e/admin", None),
    ("/open/.%2E/admin/keys", None),
    ("/open/..//admin", None),
    ("/open//../admin", None),
    ("/open/..%2fadmin", None),
    ("/open%2F..%2Fadmin", None),
    ("/open/..%5cadmin", None),
    ("/open/..\\admin", None),
    ("/open/..;/admin", None),
    ("/open/..;x=y/admin", None),
    ("/open/..%3b/admin", None),
    ("/admin%2F..", None),
    ("/admin%2Fkeys", None),
    ("/admin%2fkeys", None),
    ("/admin%5Ckeys", None),
    ("/admin\\keys", None),
    ("/%2Fadmin", None),
    ("/%2fadmin/keys", None),
    ("\\admin", None),
    ("/%61dmin", None),
    ("/%61%64%6D%69%6e/keys", None),
    ("/admin%00", None),
    ("/admin%", None),
    ("/admin%zz", None),
    ("/admin#", None),
    ("/../admin", None),
    ("admin", None),
    ("*", None),
    // Others by any reading that takes letters for what they are.
    ("/ADMIN", Some("/ADMIN")),
    ("/administrator", Some("/administrator")),
    ("/%2561dmin", Some("/%2561dmin")),
    ("/admin%0d%0aX:y", Some("/admin%0d%0aX:y")),
];

#[test]
fn no_spelling_of_a_target_leads_past_the_route_that_asks_who_it_is() {
    let secrets = Secrets::new();
    let (toml, origin) = fortress(&secrets, "");
    let gw = Gateway::start(&toml);
    let mut passed = 0;
    for (target, path) in TARGETS {
        for (method, form) in [("GET", ""), ("POST", ""), ("GET", "http://a.test"), ("HEAD", "")] {
            let end = if method == "POST" {
                "Content-Length: 0\r\n\r\n"
            } else {
                "\r\n"
            };
            let said = tell(
                &gw,
                format!("{method} {form}{target} HTTP/1.1\r\nHost: a.test\r\n{end}"),
            );
            let status = said.split(' ').nth(1).unwrap_or_default().to_owned();
            match path {
                Some(path) => {
                    passed += 1;
                    assert_eq!(
                        (status.as_str(), origin.total()),
                        ("200", passed),
                        "{target} as {path}: {said}"
                    );
                }
                None => assert!(
                    matches!(&*status, "400" | "401"),
                    "{method} {form}{target}: {said}"
                ),
            }
            assert_eq!(origin.total(), passed, "{method} {form}{target}");
        }
    }
    let others = TARGETS.iter().filter_map(|(_, path)| *path);
    assert_eq!(others.map(|path| origin.seen(path)).sum::<usize>(), passed);
}

#[test]
fn no_method_host_or_version_leads_past_it_either() {
    let secrets = Secrets::new();
    let (toml, origin) = fortress(&secrets, "");
    let gw = Gateway::start(&toml);
    let methods = [
        "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "get", "FOO", "PRI", "TRACE",
        "CONNECT",
    ];
    let mut attacks: Vec<String> = methods
        .iter()
        .map(|method| format!("{method} /admin HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n"))
        .collect();
    let get = |start: &str, lines: &str| format!("{start}\r\n{lines}\r\n");
    let plain = "GET /admin HTTP/1.1";
    attacks.extend([
        get("GET /admin HTTP/1.0", ""),
        get("GET /admin HTTP/1.0", "Host: a.test\r\nConnection: keep-alive\r\n"),
        get("GET /admin", ""),
        get("GET /admin HTTP/0.9", "Host: a.test\r\n"),
        get("GET /admin HTTP/2.0", "Host: a.test\r\n"),
        get("GET  /admin HTTP/1.1", "Host: a.test\r\n"),
        get("GET\t/admin HTTP/1.1", "Host: a.test\r\n"),
        get("GET /admin HTTP/1.1 /open", "Host: a.test\r\n"),
        get("GET /open /admin HTTP/1.1", "Host: a.test\r\n"),
        get("GET /admin\u{a0}HTTP/1.1", "Host: a.test\r\n"),
        get(plain, ""),
        get(plain, "Host: a.test\r\nHost: b.test\r\n"),
        get(plain, "Host: a.test, b.test\r\n"),
        get(plain, "Host: a.test/open\r\n"),
        get(plain, "Host: \r\n"),
        get(plain, "Host: b.test\r\n"),
        get(plain, "Host: a.test:80\r\n"),
        get(plain, "Host: A.TEST.\r\n"),
        get("GET http://b.test/admin HTTP/1.1", "Host: a.test\r\n"),
        get("GET HTTP://a.test:80/admin HTTP/1.1", "Host: a.test\r\n"),
        get("GET http:///admin HTTP/1.1", "Host: a.test\r\n"),
        get("GET ftp://a.test/admin HTTP/1.1", "Host: a.test\r\n"),
        get("GET http:/admin HTTP/1.1", "Host: a.test\r\n"),
        get("GET http://a.test?/admin HTTP/1.1", "Host: a.test\r\nX: to the root, which is another path\r\nContent-Length: x\r\n"),
        get(plain, "Host: a.test\r\nX-Original-URL: /open\r\nX-Rewrite-URL: /open\r\n"),
        get(plain, "Host: a.test\r\nX-Forwarded-Host: open.test\r\nX-Forwarded-Prefix: /open\r\n"),
        get(plain, "Host: a.test\r\nX-HTTP-Method-Override: OPTIONS\r\nX-Method-Override: HEAD\r\n"),
        get(plain, "Host: a.test\r\nX-User-Id: ann\r\nX-Forwarded-User: ann\r\nRemote-User: ann\r\n"),
        get(plain, "Host: a.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n"),
        get(plain, "Host: a.test\r\nConnection: upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"),
        get(plain, "Host: a.test\r\nRange: bytes=0-0\r\nIf-None-Match: *\r\n"),
        get(plain, "Host: a.test\r\nCache-Control: only-if-cached\r\nMax-Forwards: 0\r\n"),
        get("OPTIONS /admin HTTP/1.1", "Host: a.test\r\nOrigin: http://a.test\r\nAccess-Control-Request-Method: GET\r\n"),
        get("OPTIONS /admin HTTP/1.1", "Host: a.test\r\nMax-Forwards: 1\r\n"),
        get("POST /admin HTTP/1.1", "Host: a.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n"),
        get("PRI * HTTP/2.0", "\r\nSM\r\n"),
    ]);
    for attack in attacks {
        let said = tell(&gw, &attack);
        assert!(
            !said.contains("HTTP/1.1 2") && !said.contains("HTTP/1.1 1"),
            "{attack}\n---\n{said}"
        );
        assert_eq!(origin.total(), 0, "{attack}");
    }
}

#[test]
fn a_question_of_a_browser_opens_nothing_but_itself() {
    let secrets = Secrets::new();
    let (toml, origin) = fortress(&secrets, "");
    let toml = toml.replace(
        "auth = \"users\"\n",
        "auth = \"users\"\ncors = { origins = [\"https://app.test\"] }\n",
    );
    let gw = Gateway::start(&toml);
    let asks = |method: &str, from: &str| {
        let request = Request::new(method, "/admin").header("Origin", from);
        request.header("Access-Control-Request-Method", "GET")
    };
    gw.ask(&asks("OPTIONS", "https://app.test")).expect(204);
    gw.ask(&asks("OPTIONS", "https://evil.test"))
        .expect(204)
        .no_header("Access-Control-Allow-Origin");
    // What only looks like one is a request like any other; and whoever is turned away may read why.
    for request in [
        asks("GET", "https://app.test"),
        asks("POST", "https://app.test"),
        Request::new("OPTIONS", "/admin").header("Origin", "https://app.test"),
        Request::new("OPTIONS", "/admin").header("Access-Control-Request-Method", "GET"),
        Request::new("OPTIONS", "/admin"),
    ] {
        gw.ask(&request).expect(401);
    }
    let refused = gw.ask(&asks("GET", "https://app.test"));
    refused.header("Access-Control-Allow-Origin", "https://app.test");
    assert_eq!(origin.total(), 0);
    gw.ask(&asks("OPTIONS", "https://app.test").header("Authorization", &bearer(&good())))
        .expect(204);
    assert_eq!(origin.total(), 0);
}

/// A route for an inner network, and one that admits each client once, behind these proxies.
fn lists_and_limits(trusted: &str) -> String {
    format!(
        r#"
        [[routes]]
        name = "inner"
        match = {{ path_prefix = "/inner" }}
        upstream = "origin"
        allow = ["10.0.0.0/8"]

        [[routes]]
        name = "limited"
        match = {{ path_prefix = "/limited" }}
        upstream = "origin"
        rate_limits = ["each"]

        [rate_limits.each]
        rate = "1/h"

        [server]
        threads = 2
        drain_timeout = "5s"
        trusted_proxies = [{trusted}]
        "#
    )
}

fn ask(gw: &Gateway, path: &str, lines: &[(&str, &str)]) -> u16 {
    let add = |request: Request, (name, value): &(&str, &str)| request.header(name, value);
    gw.ask(&lines.iter().fold(Request::get(path), add)).status
}

#[test]
fn no_chain_of_addresses_that_a_client_makes_up_gets_round_a_list_or_a_limit() {
    let secrets = Secrets::new();
    let spoofs: [&[(&str, &str)]; 10] = [
        &[("X-Forwarded-For", "10.0.0.1")],
        &[("X-Forwarded-For", "10.0.0.1, 127.0.0.1")],
        &[("X-Forwarded-For", "10.0.0.1"), ("X-Forwarded-For", "10.0.0.2")],
        &[("x_forwarded_for", "10.0.0.1")],
        &[("X-Real-IP", "10.0.0.1")],
        &[
            ("X-Client-IP", "10.0.0.1"),
            ("True-Client-IP", "10.0.0.1"),
            ("CF-Connecting-IP", "10.0.0.1"),
        ],
        &[("Forwarded", "for=10.0.0.1")],
        &[("X-Forwarded-For", "::ffff:10.0.0.1")],
        &[("X-Forwarded-For", "10.0.0.1"), ("Connection", "X-Forwarded-For")],
        &[("Via", "1.1 10.0.0.1")],
    ];
    let (toml, origin) = fortress(&secrets, &lists_and_limits(""));
    let gw = Gateway::start(&toml);
    assert_eq!(ask(&gw, "/limited", &[]), 200);
    for spoof in spoofs {
        assert_eq!(ask(&gw, "/inner", spoof), 403, "{spoof:?}");
        assert_eq!(ask(&gw, "/limited", spoof), 429, "{spoof:?}");
    }
    assert_eq!(origin.total(), 1);
}

#[test]
fn behind_a_proxy_that_is_believed_the_last_of_a_chain_counts() {
    let secrets = Secrets::new();
    let (toml, origin) = fortress(&secrets, &lists_and_limits("\"127.0.0.1\""));
    let gw = Gateway::start(&toml);
    let behind = |path: &str, chain: &str| ask(&gw, path, &[("X-Forwarded-For", chain)]);
    for chain in [
        "8.8.8.8",
        "10.0.0.1, 8.8.8.8",
        "10.0.0.1,8.8.8.8, 127.0.0.1",
        "10.0.0.1, 8.8.8.8:80",
        "10.0.0.1, ::8",
        "10.0.0.1, x",
        "10.0.0.1, 10.0.0.256",
        "10.0.0.1, 8.8.8.8, ",
    ] {
        assert_eq!(behind("/inner", chain), 403, "{chain}");
    }
    assert_eq!(behind("/inner", "8.8.8.8, 10.0.0.1"), 200);
    assert_eq!(behind("/limited", "1.1.1.1, 8.8.8.8"), 200);
    assert_eq!(behind("/limited", "2.2.2.2, 8.8.8.8"), 429);
    assert_eq!(behind("/limited", "1.1.1.1, 8.8.8.9"), 200);
    assert_eq!(origin.total(), 3);
}

#[test]
fn a_target_that_ends_in_the_guarded_path_by_a_rewrite_is_asked_for_by_its_own_route() {
    let secrets = Secrets::new();
    let more = r#"
        [[routes]]
        name = "stripped"
        match = { path_prefix = "/app" }
        upstream = "origin"
        rewrite = { regex = "^/app(.*)", to = "/pages$1" }
        "#;
    let (toml, origin) = fortress(&secrets, more);
    origin.set("/pages", reply(200));
    let gw = Gateway::start(&toml);
    gw.get("/app").expect(200);
    for target in ["/app/../admin", "/app/..%2fadmin", "/app%2f..%2f..%2fadmin"] {
        let answer = gw.get(target);
        assert!(matches!(answer.status, 400 | 401), "{target}: {answer}");
    }
    assert_eq!((origin.total(), origin.seen("/pages")), (1, 1));
}

#[test]
fn whatever_a_route_does_it_does_for_those_who_are_known() {
    let secrets = Secrets::new();
    secrets.put("index.html", "a page");
    let folder = secrets.path("").display().to_string();
    let actions = [
        "respond = { status = 200, body = \"said\" }".to_owned(),
        "redirect = { to = \"/elsewhere\" }".to_owned(),
        format!("static_files = {{ root = {folder:?}, index = \"index.html\" }}"),
        "split = [{ upstream = \"origin\", weight = 1 }]".to_owned(),
    ];
    for action in actions {
        let origin = Origin::new().otherwise(reply(200));
        let file = secrets.put("secret", mint::SECRET);
        let toml = guarded(&origin, &format!("jwt = {{ secret_file = {file:?} }}"), "");
        let gw = Gateway::start(&toml.replace("upstream = \"origin\"", &action));
        for method in ["GET", "HEAD", "POST", "OPTIONS"] {
            let request = Request::new(method, "/").header("Content-Length", "0");
            gw.ask(&request).expect(401).no_header("Location");
        }
        assert_eq!(origin.total(), 0);
        let known = gw.ask(&Request::get("/").header("Authorization", &bearer(&good())));
        assert!(known.status < 400, "{action}: {known}");
    }
}
