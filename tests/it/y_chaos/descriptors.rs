//! A process that may open no more files: it takes nobody in for a while, blames no server, and comes back by itself.

use std::net::SocketAddr;

use harness::origin::reply;
use harness::{Admin, Connection, Origin, Request, Sluice, wait_until};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

/// Connections that clients hold. Far more than what is free below.
const CLIENTS: usize = 80;
/// Descriptors that are free when clients begin to take them.
const FREE: u64 = 30;

/// Two upstreams: one whose server was asked before and keeps a connection, and one whose server was not, in front of the
/// same. One failure ejects, and one bad probe takes out of service.
fn toml(known: &Origin, new: &Origin) -> String {
    format!(
        r#"
        [server]
        threads = 1
        drain_timeout = "5s"

        [upstreams.known]
        servers = [{{ address = "{known}" }}]

        [upstreams.new]
        servers = [{{ address = "{new}" }}]
        [upstreams.new.outlier_detection]
        consecutive_failures = 1
        max_ejection_percent = 100
        [upstreams.new.health_check]
        path = "/health"
        interval = "20ms"
        unhealthy_threshold = 1

        [upstreams.either]
        load_balancing = "round_robin"
        servers = [{{ address = "{new}" }}, {{ address = "{known}" }}]
        [upstreams.either.outlier_detection]
        consecutive_failures = 1
        max_ejection_percent = 100
        [upstreams.either.health_check]
        interval = "20ms"
        unhealthy_threshold = 1

        [[routes]]
        name = "known"
        match = {{ path_prefix = "/known" }}
        upstream = "known"

        [[routes]]
        name = "new"
        match = {{ path_prefix = "/new" }}
        upstream = "new"

        [[routes]]
        name = "either"
        match = {{ path_prefix = "/either" }}
        upstream = "either"
        "#,
        known = known.address(),
        new = new.address(),
    )
}

/// The smallest limit that leaves so many free.
fn leave_free(sluice: &Sluice, free: u64) {
    let folder = format!("/proc/{}/fd", sluice.process.id());
    let taken = std::fs::read_dir(&folder).expect("the process runs").count();
    limit(sluice, taken as u64 + free);
}

fn limit(sluice: &Sluice, most: u64) {
    let pid = i32::try_from(sluice.process.id()).ok().and_then(Pid::from_raw);
    let most = Rlimit {
        current: Some(most),
        maximum: Some(most),
    };
    prlimit(pid, Resource::Nofile, most).expect("a limit may be lowered");
}

fn said(sluice: &Sluice, what: &str) -> usize {
    sluice
        .process
        .said()
        .iter()
        .filter(|line| line.contains(what))
        .count()
}

/// What each upstream thinks of a server.
fn states(desk: Admin, address: SocketAddr) -> Vec<String> {
    ["new", "either"]
        .iter()
        .map(|upstream| desk.server(upstream, address)["state"].to_string())
        .collect()
}

#[test]
fn without_descriptors_nobody_is_blamed_and_all_goes_on_when_there_are_some() {
    let known = Origin::new().otherwise(reply(200).body("known"));
    let new = Origin::new()
        .on("/health", reply(200))
        .otherwise(reply(200).body("new"));
    let mut sluice = Sluice::start(&toml(&known, &new));
    let mut client = Connection::open(sluice.address());
    client.ask(&Request::get("/known")).expect(200).body("known");
    leave_free(&sluice, FREE);

    let crowd: Vec<_> = (0..CLIENTS).map(|_| Connection::open(sluice.address())).collect();
    wait_until("clients wait, and probes cannot be made", || {
        said(&sluice, "cannot take connections on") > 0 && said(&sluice, "cannot be probed") > 2
    });
    // Who is inside is served by what is open already, and told the truth about the rest.
    client.ask(&Request::get("/known")).expect(200).body("known");
    let told = client.ask(&Request::get("/new"));
    assert!(told.expect(503).text().contains("exhausted"), "{told}");
    client.ask(&Request::get("/either")).expect(200).body("known");
    client.ask(&Request::get("/either")).expect(200).body("known");
    assert_eq!(new.seen("/new") + new.seen("/either"), 0);

    drop(crowd);
    let mut late = Connection::open(sluice.address());
    late.ask(&Request::get("/new")).expect(200).body("new");
    let address = new.address();
    assert_eq!(states(sluice.admin(), address), ["\"up\"", "\"up\""]);
    assert_eq!(said(&sluice, " is down: "), 0, "{:#?}", sluice.process.said());
    assert_eq!((known.seen("/known"), new.seen("/new")), (2, 1));
    assert!(sluice.process.is_running());
}
