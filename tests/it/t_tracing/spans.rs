use harness::origin::{reply, reset};
use harness::{Gateway, Origin, Request};

use super::{attribute, collector, parts, requests, spans_at, traced, tries};

const ALL: &str = "sample = 1";

#[test]
fn a_request_is_a_span_with_its_try_and_its_reply_below_it() {
    let (origin, collector) = (Origin::new().otherwise(reply(200).body("hello")), collector());
    let gw = Gateway::start(&traced(&origin, &collector, ALL));
    let request = Request::post("/a?token=secret", "12345").header("User-Agent", "one");
    let response = gw.ask(&request);
    response.expect(200);
    let id = response.value("x-request-id").expect("it has one").to_owned();
    assert!(gw.stop());

    let spans = spans_at(&collector);
    let [request] = requests(&spans)[..] else {
        panic!("one request: {spans:#?}")
    };
    assert_eq!(
        request["traceId"],
        id.as_str(),
        "the id in the log leads to the trace"
    );
    assert_eq!(request["name"], "POST all");
    assert_eq!(request.get("parentSpanId"), None);
    assert_eq!(request.get("status"), None);
    for (key, value) in [
        ("http.request.method", "POST"),
        ("http.route", "all"),
        ("url.path", "/a"),
        ("url.scheme", "http"),
        ("server.address", "a.test"),
        ("http.response.status_code", "200"),
        ("client.address", "127.0.0.1"),
        ("user_agent.original", "one"),
        ("network.protocol.version", "1.1"),
        ("http.request.body.size", "5"),
        ("http.response.body.size", "5"),
        ("sluice.kept", "sample"),
    ] {
        assert_eq!(attribute(request, key), value, "{key} in {request:#}");
    }
    let text = serde_json::to_string(&spans).unwrap();
    assert!(!text.contains("secret"), "the query stays here: {text}");

    let [attempt] = tries(&spans)[..] else {
        panic!("one try: {spans:#?}")
    };
    assert_eq!(attempt["parentSpanId"], request["spanId"]);
    assert_eq!(attempt["name"], "POST");
    assert_eq!(attribute(attempt, "server.address"), "127.0.0.1");
    assert_eq!(
        attribute(attempt, "server.port"),
        &origin.address().port().to_string()
    );
    assert_eq!(attribute(attempt, "sluice.result"), "answered");
    assert_eq!(attribute(attempt, "sluice.reused"), false);

    let seen = origin.only("/a");
    let [trace, span, flags] = parts(seen.value("traceparent").expect("origins are told"));
    assert_eq!((trace, flags), (id.as_str(), "01"));
    assert_eq!(attempt["spanId"], span, "what the origin does hangs on the try");
    for span in &spans {
        assert_eq!(span["traceId"], request["traceId"]);
        let time = |key: &str| span[key].as_str().unwrap().parse::<u128>().unwrap();
        assert!(time("startTimeUnixNano") <= time("endTimeUnixNano"), "{span:#}");
    }
    assert!(spans.iter().any(|span| span["name"] == "reply"), "{spans:#?}");
}

#[test]
fn each_try_has_a_span_of_its_own_and_its_server_is_told_that_one() {
    let a = Origin::new().otherwise(reset());
    let b = Origin::new().otherwise(reply(204));
    let collector = collector();
    let gw = Gateway::start(&format!(
        r#"
        [tracing]
        otlp_endpoint = "http://{}/"
        sample = 1.0
        [upstreams.app]
        load_balancing = "round_robin"
        servers = [{{ address = "{}" }}, {{ address = "{}" }}]
        [[routes]]
        name = "app"
        upstream = "app"
        "#,
        collector.address(),
        a.address(),
        b.address(),
    ));
    gw.get("/x").expect(204);
    assert!(gw.stop());

    let spans = spans_at(&collector);
    let request = requests(&spans)[0];
    let [first, second] = tries(&spans)[..] else {
        panic!("two tries: {spans:#?}")
    };
    for (nth, (attempt, origin)) in [(first, &a), (second, &b)].into_iter().enumerate() {
        let seen = origin.only("/x");
        assert_eq!(parts(seen.value("traceparent").unwrap())[1], attempt["spanId"]);
        assert_eq!(attribute(attempt, "sluice.attempt"), &(nth + 1).to_string());
        assert_eq!(attempt["parentSpanId"], request["spanId"]);
    }
    assert_ne!(first["spanId"], second["spanId"]);
    assert_eq!(attribute(first, "error.type"), "reset");
    assert_eq!(first["status"]["code"], 2);
    assert_eq!(attribute(second, "http.request.resend_count"), "1");
    assert_eq!(
        request.get("status"),
        None,
        "it has come to a good end: {request:#}"
    );
}

#[test]
fn what_the_cache_did_is_told_and_a_hit_asks_nobody() {
    let origin = Origin::new().otherwise(reply(200).header("Cache-Control", "max-age=60").body("x"));
    let collector = collector();
    let gw = Gateway::start(&format!(
        "[caches.edge]\nmemory = \"1MiB\"\n{}\n[routes.cache]\nstore = \"edge\"\n",
        traced(&origin, &collector, ALL)
    ));
    gw.get("/a").expect(200);
    gw.get("/a").expect(200);
    assert!(gw.stop());

    let spans = spans_at(&collector);
    let told: Vec<_> = requests(&spans)
        .into_iter()
        .map(|request| attribute(request, "sluice.cache").as_str().unwrap())
        .collect();
    assert_eq!(told.len(), 2, "{spans:#?}");
    assert!(told.contains(&"miss") && told.contains(&"hit"), "{told:?}");
    assert_eq!(tries(&spans).len(), 1);
    assert_eq!(origin.seen("/a"), 1);
}

#[test]
fn a_client_invents_no_names_of_spans() {
    let (origin, collector) = (Origin::new().otherwise(reply(200)), collector());
    let gw = Gateway::start(&traced(&origin, &collector, ALL));
    gw.ask(&Request::new("FROBNICATE", "/some/path")).expect(200);
    assert!(gw.stop());

    let spans = spans_at(&collector);
    let request = requests(&spans)[0];
    assert_eq!(request["name"], "HTTP all");
    assert_eq!(attribute(request, "http.request.method"), "_OTHER");
    assert_eq!(attribute(request, "http.request.method_original"), "FROBNICATE");
}
