use std::collections::BTreeSet;
use std::fs;

use harness::gateway::lines_of;
use harness::origin::{never, reply};
use harness::{Gate, Gateway, Origin, Request, wait_until};

use crate::all_to;

#[test]
fn a_request_is_one_line_of_json() {
    let origin = Origin::new().on("/a", reply(200).body("hello"));
    let gw = Gateway::start(&all_to(&origin));

    let request = Request::post("/a?b=\"c", "12345").header("User-Agent", "a \"quoted\" \\ one");
    let response = gw.ask(&request);
    response.expect(200);

    let line = gw.log_objects(1).remove(0);
    for (key, value) in [
        ("method", "POST"),
        ("path", "/a"),
        ("query", "b=\"c"),
        ("host", "a.test"),
        ("scheme", "http"),
        ("protocol", "HTTP/1.1"),
        ("client_ip", "127.0.0.1"),
        ("route", "all"),
        ("upstream", "origin"),
        ("server", &origin.address().to_string()),
        ("user_agent", "a \"quoted\" \\ one"),
    ] {
        assert_eq!(line[key], value, "{key} in {line:#}");
    }
    assert_eq!(line["status"], 200, "{line:#}");
    assert_eq!(
        (&line["bytes_sent"], &line["bytes_received"]),
        (&5.into(), &5.into()),
        "{line:#}"
    );
    assert_eq!(
        (&line["tries"], &line["refusal"]),
        (&1.into(), &serde_json::Value::Null),
        "{line:#}"
    );
    assert_eq!(
        line["request_id"].as_str(),
        response.value("x-request-id"),
        "{line:#}"
    );
}

#[test]
fn the_combined_format_is_apache_s() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("combined.log");
    let origin = Origin::new().on("/a", reply(200).body("hello"));
    let gw = Gateway::start(&format!(
        "[access_log]\npath = {log:?}\nformat = \"combined\"\n{}",
        all_to(&origin)
    ));

    let request = Request::get("/a")
        .header("User-Agent", "agent \"x\"")
        .header("Referer", "http://b.test/");
    gw.ask(&request).expect(200);

    let line = lines_of(&log, 1).remove(0);
    assert!(line.starts_with("127.0.0.1 - - ["), "{line}");
    assert!(
        line.contains("] \"GET /a HTTP/1.1\" 200 5 \"http://b.test/\" \"agent "),
        "{line}"
    );
    assert!(
        !line.contains("\"x\""),
        "a quote within a quoted field is escaped: {line}"
    );
}

#[test]
fn a_line_may_be_the_operator_s_own() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("own.log");
    let origin = Origin::new().on("/a", reply(204).header("X-Cache", "cold"));
    let gw = Gateway::start(&format!(
        r#"
        [access_log]
        path = {log:?}
        format = "${{method}} ${{uri}} ${{status}} ${{upstream}} ${{tries}} ${{refusal}} ${{response_header:x-cache}} ${{header:x-in}}"
        {}
        "#,
        all_to(&origin)
    ));

    // One connection is one worker's, and its lines come in order.
    let mut client = gw.connect();
    client.ask(&Request::get("/a?q").header("X-In", "in")).expect(204);
    client
        .ask(&Request::get("/a").header("Content-Length", "x"))
        .expect(400);

    let lines = lines_of(&log, 2);
    assert_eq!(lines[0], "GET /a?q 204 origin 1 - cold in");
    assert!(
        lines[1].contains(" 400 ") && lines[1].contains("bad_request"),
        "{}",
        lines[1]
    );
}

#[test]
fn no_request_can_write_a_line_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("own.log");
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&format!(
        "[access_log]\npath = {log:?}\nformat = \"${{uri}}|${{header:user-agent}}\"\n{}",
        all_to(&origin)
    ));

    gw.ask(&Request::get("/%0a127.0.0.1").header("User-Agent", "a\u{1b}b"))
        .expect(400);
    gw.ask(&Request::get("/x").header("User-Agent", "a\tb"))
        .expect(200);
    assert!(
        lines_of(&log, 2)
            .iter()
            .all(|line| !line.contains(['\u{1b}', '\r']))
    );
}

#[test]
fn a_refused_request_is_logged_with_its_reason() {
    let origin = Origin::down();
    let gw = Gateway::start(&all_to(&origin));

    let mut client = gw.connect();
    client.ask(&Request::get("/")).expect(502);
    client.send("nonsense\r\n\r\n");
    client.response().expect(400);

    let lines = gw.log_objects(2);
    assert_eq!(
        (&lines[0]["status"], &lines[0]["refusal"]),
        (&502.into(), &"connect_failed".into())
    );
    assert_eq!(
        (&lines[1]["status"], &lines[1]["refusal"]),
        (&400.into(), &"bad_request".into())
    );
}

#[test]
fn a_request_that_was_cut_off_is_logged_too() {
    let origin = Origin::new().on("/", never());
    let gw = Gateway::start(&all_to(&origin));

    let mut client = gw.connect();
    client.send(Request::get("/").bytes());
    origin.wait_seen("/", 1);
    client.reset();
    assert_eq!(gw.log_objects(1)[0]["status"], 0, "the client was told nothing");
}

#[test]
fn a_log_that_is_renamed_and_reopened_loses_no_line() {
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&all_to(&origin));
    let ask = |n: usize| {
        let mut client = gw.connect();
        (0..n).for_each(|i| _ = client.ask(&Request::get(&format!("/{i}"))).expect(200));
    };

    ask(50);
    gw.log_lines(50);
    let old = gw.folder().join("access.log.1");
    fs::rename(gw.log_file(), &old).unwrap();
    ask(25);
    gw.reopen_logs();
    wait_until("there is a new log", || gw.log_file().exists());
    ask(50);

    let count = || {
        let lines = |file: &std::path::Path| fs::read_to_string(file).unwrap_or_default().lines().count();
        (lines(&old), lines(&gw.log_file()))
    };
    wait_until("all lines are written", || {
        let (before, after) = count();
        before + after == 125
    });
    let (before, after) = count();
    assert!(before >= 50 && after >= 50, "{before} + {after}");
}

#[test]
fn requests_are_counted_by_route_method_and_status() {
    let origin = Origin::new()
        .on("/a", reply(200).body("hello"))
        .on("/b", reply(503));
    let gw = Gateway::start(&all_to(&origin));

    gw.get("/a").expect(200);
    gw.ask(&Request::post("/a", "x")).expect(200);
    gw.get("/b").expect(503);
    let counted = |labels: &[(&str, &str)]| gw.metrics().sum("sluice_requests_total", labels);

    wait_until("all are counted", || counted(&[("route", "all")]) == 3.0);
    assert_eq!(counted(&[("method", "GET"), ("status", "200")]), 1.0);
    assert_eq!(counted(&[("method", "POST"), ("status", "200")]), 1.0);
    assert_eq!(counted(&[("status", "503")]), 1.0);
    let metrics = gw.metrics();
    assert_eq!(
        metrics.sum("sluice_request_duration_seconds_count", &[("route", "all")]),
        3.0
    );
    assert_eq!(
        metrics.sum("sluice_response_bytes_total", &[("route", "all")]),
        10.0
    );
    let server = origin.address().to_string();
    assert_eq!(
        metrics.sum(
            "sluice_upstream_requests_total",
            &[("upstream", "origin"), ("server", &server)]
        ),
        3.0
    );
    assert_eq!(
        metrics.sum(
            "sluice_upstream_duration_seconds_count",
            &[("upstream", "origin")]
        ),
        3.0
    );
}

#[test]
fn what_is_running_is_seen_and_then_gone() {
    let gate = Gate::new();
    let origin = Origin::new().on("/", reply(200).after(&gate));
    let gw = Gateway::start(&all_to(&origin));

    let herd = gw.get_many(3, "/");
    gw.wait_metrics("three are in flight", |m| {
        m.sum("sluice_requests_in_flight", &[]) == 3.0
    });
    assert_eq!(
        gw.metrics()
            .sum("sluice_upstream_in_flight", &[("upstream", "origin")]),
        3.0
    );
    gate.open();
    herd.into_iter().for_each(|p| _ = p.response().expect(200));
    gw.wait_metrics("none is", |m| {
        m.sum("sluice_requests_in_flight", &[]) == 0.0 && m.sum("sluice_upstream_in_flight", &[]) == 0.0
    });
    gw.wait_metrics("no connection is left", |m| {
        m.sum("sluice_connections", &[]) == 0.0
    });
}

#[test]
fn refusals_are_counted_by_reason() {
    let origin = Origin::down();
    let gw = Gateway::start(&all_to(&origin));

    gw.get("/").expect(502);
    gw.ask(&Request::get("/").header("Expect", "tea")).expect(417);
    let refused = |reason| gw.metrics().sum("sluice_refusals_total", &[("reason", reason)]);
    wait_until("both are counted", || {
        refused("connect_failed") == 1.0 && refused("expectation_failed") == 1.0
    });
}

#[test]
fn the_promised_metrics_are_there_from_the_start() {
    let origin = Origin::new();
    let gw = Gateway::start(&all_to(&origin));
    let metrics = gw.metrics();
    let names: BTreeSet<_> = metrics.series().iter().map(|s| s.name.as_str()).collect();

    for name in [
        "sluice_requests_in_flight",
        "sluice_connections",
        "sluice_upstream_in_flight",
        "sluice_upstream_up",
        "sluice_config_last_reload_successful",
        "sluice_config_loaded_timestamp_seconds",
        "sluice_snapshots_alive",
        "sluice_build_info",
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
        "process_open_fds",
    ] {
        assert!(names.contains(name), "{name} is not among {names:#?}");
    }
}

#[test]
fn no_label_comes_from_the_wire() {
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&all_to(&origin));
    let series = || gw.metrics().series().len();

    let strange = |i: usize| {
        Request::new(&format!("BREW{i}"), &format!("/wire{i}"))
            .host(&format!("wire{i}.test"))
            .header("User-Agent", &format!("wire{i}"))
            .header("X-Request-ID", &format!("wire{i}"))
    };
    gw.ask(&strange(0)).expect(200);
    gw.ask(&Request::get("/").host("wire.test")).expect(200);
    wait_until("both are counted", || {
        gw.metrics().sum("sluice_requests_total", &[]) == 2.0
    });
    let before = series();
    for i in 1..20 {
        gw.ask(&strange(i)).expect(200);
    }
    wait_until("all are counted", || {
        gw.metrics().sum("sluice_requests_total", &[]) == 21.0
    });
    assert_eq!(series(), before, "series grow with what clients send");
    assert!(
        !gw.metrics().text.to_lowercase().contains("wire"),
        "{}",
        gw.metrics().text
    );
    assert!(!gw.metrics().text.contains("BREW"), "{}", gw.metrics().text);
}

#[test]
fn the_status_shows_listeners_and_servers() {
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&all_to(&origin));
    gw.get("/").expect(200);

    let status = gw.status();
    assert_eq!(status["draining"], false);
    assert!(
        status["version"].is_string() && status["config"]["hash"].is_string(),
        "{status:#}"
    );
    assert_eq!(status["config"]["last_reload"]["ok"], true, "{status:#}");
    assert_eq!(status["listeners"][0]["address"], gw.address().to_string());
    let server = gw.server("origin", origin.address());
    assert_eq!(server["state"], "up");
    assert_eq!(server["requests"], 1);
    assert_eq!(server["failures"], 0);
    assert_eq!((&server["weight"], &server["backup"]), (&1.into(), &false.into()));
}

#[test]
fn health_and_readiness_are_answered_on_the_admin_address_only() {
    let origin = Origin::new().otherwise(reply(404));
    let gw = Gateway::start(&all_to(&origin));

    gw.ask_admin(&Request::get("/healthz")).expect(200);
    gw.ask_admin(&Request::get("/readyz")).expect(200);
    gw.ask_admin(&Request::get("/nothing")).expect(404);
    for path in ["/metrics", "/status", "/healthz", "/reload"] {
        gw.get(path).expect(404);
    }
    assert_eq!(origin.total(), 4, "they are an origin's paths like any other");
}

#[test]
fn the_admin_address_with_a_token_asks_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    fs::write(&token, "a-long-random-word\n").unwrap();
    let origin = Origin::new();
    let gw = Gateway::start(&format!(
        "[admin]\naddress = \"127.0.0.1:0\"\ntoken_file = {token:?}\n{}",
        all_to(&origin)
    ));

    gw.ask_admin(&Request::get("/status")).expect(401);
    gw.ask_admin(&Request::get("/status").header("Authorization", "Bearer a-long-random-w0rd"))
        .expect(401);
    gw.ask_admin(&Request::get("/status").header("Authorization", "Bearer a-long-random-word"))
        .expect(200);
    gw.ask_admin(&Request::new("POST", "/reload").header("Content-Length", "0"))
        .expect(401);
}

#[test]
fn probes_have_no_token_and_are_told_one_word() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    fs::write(&token, "a-long-random-word\n").unwrap();
    let origin = Origin::new();
    let gw = Gateway::start(&format!(
        "[admin]\naddress = \"127.0.0.1:0\"\ntoken_file = {token:?}\n{}",
        all_to(&origin)
    ));

    gw.ask_admin(&Request::get("/healthz"))
        .expect(200)
        .body("alive\n");
    gw.ask_admin(&Request::get("/readyz")).expect(200).body("ready\n");
    for other in ["/metrics", "/healthz/", "/healthz/../status", "/history"] {
        gw.ask_admin(&Request::get(other)).expect(401);
    }
    let post = Request::new("POST", "/readyz").header("Content-Length", "0");
    gw.ask_admin(&post).expect(401);
    let wrong = Request::get("/readyz").header("Authorization", "Bearer nonsense");
    gw.ask_admin(&wrong).expect(200);
}

#[test]
fn an_unknown_server_or_state_is_refused_by_the_admin_address() {
    let origin = Origin::new();
    let gw = Gateway::start(&all_to(&origin));
    let post = |target: &str, json: &str| gw.ask_admin(&Request::post(target, json)).status;
    let server = origin.address();

    assert_eq!(
        post("/upstreams/none/servers/127.0.0.1:1", r#"{"state":"down"}"#),
        404
    );
    assert_eq!(
        post("/upstreams/origin/servers/127.0.0.1:1", r#"{"state":"down"}"#),
        404
    );
    for json in [
        "",
        "{",
        "[]",
        r#"{"state":"sideways"}"#,
        r#"{"weight":0}"#,
        r#"{"weight":-1}"#,
        r#"{"stat":"up"}"#,
    ] {
        let status = post(&format!("/upstreams/origin/servers/{server}"), json);
        assert!(matches!(status, 400 | 422), "{json} got {status}");
    }
    assert_eq!(gw.server("origin", server)["state"], "up");
}
