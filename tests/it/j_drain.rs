use harness::client::chunk;
use harness::origin::{never, reply};
use harness::{Connection, Gate, Gateway, Origin, Request, wait_until};

use crate::all_to;

#[test]
fn a_stop_waits_for_what_runs_and_closes_what_idles() {
    let gate = Gate::new();
    let origin = Origin::new()
        .on("/held", reply(200).after(&gate).body("whole"))
        .otherwise(reply(200));
    let gw = Gateway::start(&all_to(&origin));
    let address = gw.address();

    let mut idle = gw.connect();
    idle.ask(&Request::get("/")).expect(200);
    let running = gw.ask_apart(&Request::get("/held"));
    origin.wait_seen("/held", 1);

    let stopping = gw.stop_apart();
    idle.expect_closed();
    wait_until("new connections are refused", || {
        Connection::try_open(address).is_err()
    });
    assert!(!stopping.is_done() && !running.is_done());
    gate.open();
    assert!(
        running.response().expect(200).body("whole").closes(),
        "it was the connection's last answer"
    );
    assert!(stopping.wait(), "every request has ended by itself");
}

#[test]
fn a_stop_with_nothing_running_is_clean() {
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&all_to(&origin));

    let mut client = gw.connect();
    client.ask(&Request::get("/")).expect(200);
    assert!(gw.stop());
    client.expect_closed();
}

#[test]
fn an_upload_that_is_under_way_is_finished() {
    let origin = Origin::new().on("/", reply(200).echo());
    let gw = Gateway::start(&all_to(&origin));

    let mut client = gw.connect();
    client.send(
        Request::new("POST", "/")
            .header("Transfer-Encoding", "chunked")
            .head_bytes(),
    );
    client.send(chunk(b"begun "));
    origin.wait_seen("/", 1);
    let address = gw.address();
    let stopping = gw.stop_apart();
    wait_until("it drains", || Connection::try_open(address).is_err());
    client.send(chunk(b"and finished")).send("0\r\n\r\n");
    client.response().expect(200).body("begun and finished");
    assert!(stopping.wait());
}

#[test]
fn a_request_that_outlives_the_drain_timeout_is_cut_and_reported() {
    let origin = Origin::new().on("/", never());
    let gw = Gateway::start(&format!(
        "[server]\ndrain_timeout = \"50ms\"\n{}",
        all_to(&origin)
    ));

    let mut client = gw.connect();
    client.send(Request::get("/").bytes());
    origin.wait_seen("/", 1);
    assert!(!gw.stop(), "a request was cut off");
    client.expect_closed();
}

#[test]
fn no_line_of_the_log_is_lost_in_a_stop() {
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&all_to(&origin));

    let mut client = gw.connect();
    for _ in 0..100 {
        client.ask(&Request::get("/")).expect(200);
    }
    let log = gw.log_file();
    // The folder goes with the gateway; a second name keeps the file.
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("access.log");
    wait_until("the log is there", || std::fs::hard_link(&log, &kept).is_ok());
    assert!(gw.stop());
    assert_eq!(std::fs::read_to_string(kept).unwrap().lines().count(), 100);
}

#[test]
fn readiness_ends_when_the_drain_begins() {
    let gate = Gate::new();
    let origin = Origin::new().on("/", reply(200).after(&gate));
    let gw = Gateway::start(&all_to(&origin));
    let (address, admin) = (gw.address(), gw.admin());

    let running = gw.ask_apart(&Request::get("/"));
    origin.wait_seen("/", 1);
    let stopping = gw.stop_apart();
    wait_until("it drains", || Connection::try_open(address).is_err());
    // The admin address serves until the end: somebody will want to know.
    let ask = |path| Connection::open(admin).ask(&Request::get(path).host(&admin.to_string()));
    ask("/readyz").expect(503);
    ask("/healthz").expect(200);
    let status: serde_json::Value = serde_json::from_str(&ask("/status").text()).unwrap();
    assert_eq!(status["draining"], true);
    gate.open();
    running.response().expect(200);
    assert!(stopping.wait());
}
