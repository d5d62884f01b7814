use harness::origin::{raw, reply};
use harness::{Gate, Gateway, Origin, Request};

use super::{attribute, collector, parts, requests, spans_at, traced, tries};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";

fn with_parent(path: &str, flags: &str) -> Request {
    let parent = format!("00-{TRACE}-{SPAN}-{flags}");
    Request::get(path)
        .header("traceparent", &parent)
        .header("tracestate", "vendor=1")
}

const TRUSTING: &str = "[server]\ntrusted_proxies = [\"127.0.0.1\"]\nthreads = 2\ndrain_timeout = \"5s\"\n";

#[test]
fn a_trace_goes_on_and_a_trusted_proxy_decides_whether_it_is_kept() {
    let (origin, collector) = (Origin::new().otherwise(reply(200)), collector());
    let gw = Gateway::start(&format!(
        "{TRUSTING}{}",
        traced(&origin, &collector, "sample = 0")
    ));
    gw.ask(&with_parent("/kept", "01")).expect(200);
    gw.ask(&with_parent("/left", "00")).expect(200);
    assert!(gw.stop());

    let spans = spans_at(&collector);
    let [request] = requests(&spans)[..] else {
        panic!("one request is kept: {spans:#?}")
    };
    assert_eq!(request["traceId"], TRACE);
    assert_eq!(request["parentSpanId"], SPAN);
    assert_eq!(request["traceState"], "vendor=1");
    assert_eq!(attribute(request, "url.path"), "/kept");
    for (path, flags) in [("/kept", "01"), ("/left", "00")] {
        let seen = origin.only(path);
        let [trace, span, said] = parts(seen.value("traceparent").unwrap());
        assert_eq!((trace, said), (TRACE, flags));
        assert_ne!(span, SPAN, "this gateway's try stands between");
        assert_eq!(seen.value("tracestate"), Some("vendor=1"));
    }
    assert_eq!(
        parts(origin.only("/kept").value("traceparent").unwrap())[1],
        tries(&spans)[0]["spanId"]
    );
}

#[test]
fn a_state_that_is_longer_than_usual_goes_to_the_origin_and_not_into_every_span() {
    let (origin, collector) = (Origin::new().otherwise(reply(200)), collector());
    let gw = Gateway::start(&traced(&origin, &collector, "sample = 1"));
    let (usual, longer) = (format!("v={}", "x".repeat(510)), format!("v={}", "x".repeat(511)));
    for (path, state) in [("/usual", &usual), ("/longer", &longer)] {
        let parent = format!("00-{TRACE}-{SPAN}-01");
        let asked = Request::get(path).header("traceparent", &parent);
        gw.ask(&asked.header("tracestate", state)).expect(200);
        assert_eq!(origin.only(path).value("tracestate"), Some(state.as_str()));
    }
    assert!(gw.stop());

    for request in requests(&spans_at(&collector)) {
        match attribute(request, "url.path").as_str() {
            Some("/usual") => assert_eq!(request["traceState"], usual.as_str()),
            _ => assert_eq!(request.get("traceState"), None),
        }
    }
}

#[test]
fn a_stranger_cannot_have_its_requests_kept() {
    let (origin, collector) = (Origin::new().otherwise(reply(200)), collector());
    let gw = Gateway::start(&traced(&origin, &collector, "sample = 0"));
    gw.ask(&with_parent("/a", "01")).expect(200);
    assert!(gw.stop());

    assert_eq!(collector.total(), 0);
    let seen = origin.only("/a");
    let [trace, _, flags] = parts(seen.value("traceparent").unwrap());
    assert_eq!((trace, flags), (TRACE, "00"), "its trace goes on all the same");
}

#[test]
fn a_parent_that_cannot_be_read_is_replaced_and_its_state_dropped() {
    let (origin, collector) = (Origin::new().otherwise(reply(200)), collector());
    let gw = Gateway::start(&traced(&origin, &collector, "sample = 1"));
    let bad = format!("00-{}-{SPAN}-01", "0".repeat(32));
    gw.ask(
        &Request::get("/zeros")
            .header("traceparent", &bad)
            .header("tracestate", "x=y"),
    )
    .expect(200);
    let twice = Request::get("/twice")
        .header("traceparent", &format!("00-{TRACE}-{SPAN}-01"))
        .header("traceparent", &format!("00-{TRACE}-{SPAN}-01"));
    gw.ask(&twice).expect(200);
    assert!(gw.stop());

    for path in ["/zeros", "/twice"] {
        let seen = origin.only(path);
        let [trace, ..] = parts(seen.value("traceparent").expect("exactly one"));
        assert!(trace != TRACE && trace.bytes().any(|b| b != b'0'), "{trace}");
        assert!(!seen.has("tracestate"));
    }
    let spans = spans_at(&collector);
    assert!(
        requests(&spans)
            .iter()
            .all(|request| request.get("parentSpanId").is_none())
    );
}

#[test]
fn errors_are_kept_though_they_were_not_drawn_and_those_of_the_client_are_not() {
    let origin = Origin::new()
        .on("/fails", reply(500))
        .on("/breaks", raw("HTTP/1.1 nonsense\r\n\r\n"))
        .on("/missing", reply(404))
        .on("/good", reply(200));
    let collector = collector();
    let gw = Gateway::start(&traced(&origin, &collector, "sample = 0"));
    for (path, status) in [
        ("/fails", 500),
        ("/breaks", 502),
        ("/missing", 404),
        ("/good", 200),
    ] {
        gw.get(path).expect(status);
    }
    assert!(gw.stop());

    let spans = spans_at(&collector);
    let kept: Vec<_> = requests(&spans)
        .into_iter()
        .map(|request| {
            assert_eq!(request["status"]["code"], 2);
            assert_eq!(attribute(request, "sluice.kept"), "error");
            let text = |key| attribute(request, key).as_str().unwrap().to_owned();
            (text("url.path"), text("error.type"))
        })
        .collect();
    let mut kept: Vec<_> = kept.iter().map(|(path, error)| (&**path, &**error)).collect();
    kept.sort_unstable();
    assert_eq!(kept, [("/breaks", "invalid_answer"), ("/fails", "500")]);
}

#[test]
fn an_answer_that_breaks_off_is_an_error_on_a_route_with_a_cache_and_when_the_routes_time_is_over() {
    let (breaking, never) = (Gate::new(), Gate::new());
    let part = || reply(200).header("Cache-Control", "max-age=60").body("part");
    let origin = Origin::new()
        .on("/breaks", part().pause(&breaking).claims(100).hang_up())
        .on("/late", reply(200).body("part").pause(&never).body("rest"));
    let collector = collector();
    let gw = Gateway::start(&format!(
        "[caches.edge]\nmemory = \"1MiB\"\n{}\n[routes.cache]\nstore = \"edge\"\n\
         [[routes]]\nname = \"late\"\nmatch = {{ path_prefix = \"/late\" }}\nupstream = \"origin\"\ntimeout = \"500ms\"\n",
        traced(&origin, &collector, "sample = 0")
    ));
    for (path, gate) in [("/breaks", Some(&breaking)), ("/late", None)] {
        let mut client = gw.connect();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n\r\n"));
        client.response_head();
        gate.into_iter().for_each(Gate::open);
        let _ = client.rest();
    }
    assert!(gw.stop());

    let spans = spans_at(&collector);
    let mut kept: Vec<_> = requests(&spans)
        .into_iter()
        .map(|request| ["url.path", "sluice.kept", "error.type"].map(|key| attribute(request, key)))
        .collect();
    kept.sort_unstable_by_key(|request| request[0].as_str().map(str::to_owned));
    assert_eq!(
        kept,
        [["/breaks", "error", "reset"], ["/late", "error", "timeout"]]
    );
    never.open();
}

#[test]
fn slow_requests_are_kept_though_they_were_not_drawn() {
    let (origin, collector) = (Origin::new().otherwise(reply(200)), collector());
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    let gw = Gateway::start(&format!(
        "[access_log]\npath = {log:?}\nslow_threshold = \"0s\"\n{}",
        traced(&origin, &collector, "sample = 0")
    ));
    gw.get("/a").expect(200);
    assert!(gw.stop());

    let spans = spans_at(&collector);
    assert_eq!(attribute(requests(&spans)[0], "sluice.kept"), "slow");
    let line = std::fs::read_to_string(&log).unwrap();
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    for key in ["head_ms", "connect_ms", "first_byte_ms", "body_ms"] {
        assert!(line[key].is_number(), "{key} in {line:#}");
    }
}
