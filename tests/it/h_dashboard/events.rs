use std::time::Duration;

use harness::origin::reply;
use harness::{Connection, Gate, Gateway, Origin, Request, Response, wait_for, wait_until};
use serde_json::Value;

use super::with_token;
use crate::all_to;

/// As many as there may be at once.
const STREAMS_MAX: usize = 32;

/// A stream of events of a gateway.
struct Stream(Connection);

impl Stream {
    /// Asks for one; its status, and the stream if that is 200.
    fn ask(gw: &Gateway) -> (u16, Self) {
        let mut connection = Connection::open(gw.admin());
        let request = Request::get("/events").host(&gw.admin().to_string());
        connection.send(request.bytes());
        let (status, _) = connection.response_head();
        (status, Self(connection))
    }

    #[track_caller]
    fn open(gw: &Gateway) -> Self {
        let (status, stream) = Self::ask(gw);
        assert_eq!(status, 200);
        stream
    }

    /// What comes until this mark, which is left out.
    fn until(&mut self, mark: &str) -> String {
        let mut got = Vec::new();
        while !got.ends_with(mark.as_bytes()) {
            got.extend(self.0.bytes(1));
        }
        got.truncate(got.len() - mark.len());
        String::from_utf8(got).expect("events are UTF-8")
    }

    fn next(&mut self) -> Value {
        let size = self.until("\r\n");
        let size = usize::from_str_radix(&size, 16).unwrap_or_else(|e| panic!("{e}: chunk of {size:?}"));
        let chunk = String::from_utf8(self.0.bytes(size)).expect("events are UTF-8");
        assert_eq!(self.0.bytes(2), b"\r\n");
        let line = chunk.strip_prefix("data: ").and_then(|l| l.strip_suffix("\n\n"));
        let line = line.unwrap_or_else(|| panic!("no event: {chunk:?}"));
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line:?}"))
    }

    /// The first event of which this is true.
    #[track_caller]
    fn wait(&mut self, fact: &str, holds: impl Fn(&Value) -> bool) -> Value {
        wait_for(fact, || Some(self.next()).filter(&holds))
    }
}

fn gateway() -> (Gateway, Origin) {
    let origin = Origin::new().otherwise(reply(200).body("hello"));
    (Gateway::start(&all_to(&origin)), origin)
}

fn json(response: &Response) -> Value {
    serde_json::from_str(&response.expect(200).text()).expect("it is JSON")
}

#[test]
fn events_tell_what_was_counted_and_the_status() {
    let (gw, origin) = gateway();
    let mut stream = Stream::open(&gw);
    let first = stream.next();
    assert_eq!(first["status"]["version"], gw.status()["version"]);
    (0..5).for_each(|_| _ = gw.get("/").expect(200));

    let event = stream.wait("five requests are counted", |e| e["routes"][0]["total"] == 5);
    assert_eq!(event["routes"][0]["name"], "all");
    let server = &event["status"]["upstreams"]["origin"]["servers"][0];
    assert_eq!(server["address"], origin.address().to_string());
    assert_eq!((&server["requests"], &server["order"]), (&5.into(), &"up".into()));

    let event = stream.wait("they are a rate", |e| {
        e["figures"]["requests_per_s"].as_f64() > Some(0.0)
    });
    let figures = &event["figures"];
    assert_eq!(figures["requests_per_s"], figures["status_2xx_per_s"]);
    assert!(figures["latency_p50_ms"].as_f64() <= figures["latency_p99_ms"].as_f64());
    assert!(figures["memory_bytes"].as_f64() > Some(1e6), "{figures}");
}

#[test]
fn a_refusal_is_told_with_its_reason() {
    let gw = Gateway::start(&all_to(&Origin::down()));
    gw.get("/").expect(502);
    let mut stream = Stream::open(&gw);
    let event = stream.wait("the refusal is counted", |e| {
        e["refusals"].as_array().is_some_and(|r| !r.is_empty())
    });
    assert_eq!(event["refusals"][0]["total"], 1, "{event:#}");
}

#[test]
fn the_history_has_a_value_for_each_five_seconds() {
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start_with_manual_clock(&all_to(&origin));
    let history = || json(&gw.ask_admin(&Request::get("/history")));
    let values = |n: usize| {
        wait_for(&format!("there are {n} values"), || {
            let told = history();
            let all = told["figures"]["requests_per_s"].as_array()?.clone();
            (all.len() == n).then_some((told, all))
        })
    };
    values(1);
    (0..10).for_each(|_| _ = gw.get("/").expect(200));
    wait_until("they are counted", || {
        gw.metrics().sum("sluice_requests_total", &[]) == 10.0
    });
    gw.advance(Duration::from_secs(5));
    let (told, all) = values(2);
    assert_eq!(all[1], 2.0, "{told}");
    assert_eq!((&told["slot"], &told["step_s"]), (&1.into(), &5.into()));

    gw.advance(Duration::from_secs(3600));
    let (told, all) = values(720);
    assert_eq!((&told["slot"], &all[0]), (&721.into(), &Value::Null));
    assert!(
        told["figures"]
            .as_object()
            .unwrap()
            .values()
            .all(|v| v.as_array().unwrap().len() == 720)
    );
}

#[test]
fn so_many_streams_there_may_be_and_one_that_goes_leaves_its_place() {
    let (gw, _origin) = gateway();
    let mut streams: Vec<_> = (0..STREAMS_MAX).map(|_| Stream::open(&gw)).collect();
    assert_eq!(Stream::ask(&gw).0, 503);
    streams.iter_mut().for_each(|s| _ = s.next());
    drop(streams.pop());
    wait_until("there is a place", || Stream::ask(&gw).0 == 200);
}

#[test]
fn a_stream_ends_when_the_gateway_drains_after_saying_so() {
    let gate = Gate::new();
    let origin = Origin::new().on("/", reply(200).after(&gate));
    let gw = Gateway::start(&all_to(&origin));
    let running = gw.ask_apart(&Request::get("/"));
    origin.wait_seen("/", 1);
    let mut stream = Stream::open(&gw);
    assert_eq!(stream.next()["status"]["draining"], false);

    let stopping = gw.stop_apart();
    stream.wait("it drains", |e| e["status"]["draining"] == true);
    assert_eq!(stream.0.rest().as_deref(), Some(&b"0\r\n\r\n"[..]));
    gate.open();
    running.response().expect(200);
    assert!(stopping.wait());
}

#[test]
fn an_older_client_reads_events_until_the_connection_ends() {
    let (gw, _origin) = gateway();
    let mut connection = Connection::open(gw.admin());
    connection.send(
        Request::get("/events")
            .host(&gw.admin().to_string())
            .http10()
            .bytes(),
    );
    connection.response_head();
    let mut stream = Stream(connection);
    assert_eq!(stream.until("data: "), "");
    let event: Value = serde_json::from_str(&stream.until("\n\n")).unwrap();
    assert_eq!(event["status"]["draining"], false);
}

#[test]
fn another_site_s_page_gets_nothing() {
    let (gw, _origin) = gateway();
    let led = [
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
        ("Origin", "http://evil.example"),
        ("Origin", "null"),
    ];
    for path in ["/events", "/history", "/status", "/metrics", "/app.js"] {
        for (name, value) in led {
            gw.ask_admin(&Request::get(path).header(name, value)).expect(403);
        }
    }
    for (name, value) in led {
        let order = Request::post("/purge", r#"{"all": true}"#).header(name, value);
        gw.ask_admin(&order).expect(403);
    }
    // A link may lead to the page itself, which nobody else can read or frame.
    gw.ask_admin(&Request::get("/").header("Sec-Fetch-Site", "cross-site"))
        .expect(200);
    // A name that somebody has made lead to this machine.
    for path in ["/", "/events", "/history", "/app.js"] {
        let mut connection = Connection::open(gw.admin());
        let request = Request::get(path)
            .host("evil.example")
            .header("Connection", "close");
        connection.ask(&request).expect(403);
    }
}

#[test]
fn the_page_may_run_nothing_but_its_own_files() {
    let (gw, _origin) = gateway();
    for (path, content_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/app.js", "text/javascript; charset=utf-8"),
        ("/style.css", "text/css; charset=utf-8"),
        ("/icon.svg", "image/svg+xml"),
    ] {
        let response = gw.ask_admin(&Request::get(path));
        response
            .expect(200)
            .header("content-type", content_type)
            .header("x-content-type-options", "nosniff")
            .header("x-frame-options", "DENY");
        let policy = response.value("content-security-policy").unwrap();
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        gw.ask_admin(&Request::new("POST", path).header("Content-Length", "0"))
            .expect(405);
    }
}

#[test]
fn the_page_needs_no_token_and_what_it_shows_does() {
    let (gw, _folder) = with_token();
    let shown = "Bearer a-long-random-word";
    let page = gw.ask_admin(&Request::get("/"));
    assert!(page.expect(200).text().contains("data-token=\"asked\""));
    gw.ask_admin(&Request::get("/app.js")).expect(200);
    for path in ["/events", "/history", "/status"] {
        gw.ask_admin(&Request::get(path)).expect(401);
    }
    gw.ask_admin(&Request::get("/history").header("Authorization", shown))
        .expect(200);
}
