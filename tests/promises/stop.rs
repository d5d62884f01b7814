use std::path::Path;

use harness::gateway::lines_of;
use harness::origin::reply;
use harness::process::wait_refused;
use harness::{Ask, Connection, Gate, Load, Origin, Request, Sluice, Workouts, wait_until};

/// Requests that are under way when the stop comes, for as long as the test likes.
const HELD: usize = 8;

fn config(workouts: &Workouts, origin: &Origin, socket: &Path) -> String {
    format!(
        r#"
        [server]
        threads = 2
        drain_timeout = "60s"

        [[listeners]]
        address = "127.0.0.1:0"

        [[listeners]]
        address = "unix:{}"

        [upstreams.workouts]
        servers = [{{ address = "{}" }}]

        [upstreams.slow]
        servers = [{{ address = "{}" }}]

        [[routes]]
        name = "slow"
        match = {{ path = "/slow" }}
        upstream = "slow"

        [[routes]]
        name = "all"
        upstream = "workouts"
        "#,
        socket.display(),
        workouts.address,
        origin.address()
    )
}

#[test]
fn a_stop_under_load_answers_whole_what_it_answers_and_exits_with_0() {
    let _turn = crate::turn();
    let folder = tempfile::tempdir().expect("a temporary folder is to be had");
    let workouts = Workouts::start(folder.path());
    let gate = Gate::new();
    let origin = Origin::new().on("/slow", reply(200).after(&gate).body("worth waiting for"));
    let socket = folder.path().join("public.sock");
    let mut sluice = Sluice::start(&config(&workouts, &origin, &socket));
    let log = sluice.folder().join("access.log");
    let asks = ["/exercises/1", "/exercises?per_page=50", "/workouts", "/splits"];
    let asks = asks.map(|target| Ask::as_from(workouts.address, target));

    let held: Vec<_> = (0..HELD)
        .map(|_| Connection::open(sluice.address()).ask_apart(Request::get("/slow")))
        .collect();
    origin.wait_seen("/slow", HELD);
    let by_tcp = Load::start(sluice.address(), 16, &asks);
    let by_unix = Load::start(socket.clone(), 16, &asks);
    by_tcp.wait_served(200);
    by_unix.wait_served(200);

    sluice.process.terminate();
    wait_refused(sluice.address());
    wait_until("the Unix socket is gone", || !socket.exists());
    let (by_tcp, by_unix) = (by_tcp.wait(), by_unix.wait());
    assert!(sluice.process.is_running(), "it waits for what it has begun");
    assert!(held.iter().all(|pending| !pending.is_done()));
    gate.open();
    for pending in held {
        let response = pending.response();
        response.expect(200).body("worth waiting for");
        assert!(response.closes(), "it was the connection's last answer");
    }
    let status = sluice.process.wait();
    let said = sluice.process.said();
    assert_eq!(status.code(), Some(0), "{said:#?}");
    assert_eq!(said.last().map(String::as_str), Some("stopped"), "{said:#?}");

    eprintln!("stop: by TCP {by_tcp}\nby Unix socket {by_unix}");
    by_tcp.whole();
    by_unix.whole();
    // What the gateway says it has answered is what the clients have.
    let answers = by_tcp.answers() + by_unix.answers() + HELD as u64;
    lines_of(&log, answers as usize);
}
