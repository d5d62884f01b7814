use std::time::Duration;

use harness::process::raise_descriptor_limit;
use harness::slow::SlowHeads;
use harness::{Ask, Load, Sluice, Workouts};

use crate::size;

const HEADER_TIMEOUT: Duration = Duration::from_secs(3);

/// Files that everything else takes, here and in the gateway.
const DESCRIPTORS_BESIDE: u64 = 500;

fn config(workouts: &Workouts) -> String {
    format!(
        r#"
        [server.limits]
        header_timeout = "{}s"

        [upstreams.workouts]
        servers = [{{ address = "{}" }}]

        [[routes]]
        name = "all"
        upstream = "workouts"
        "#,
        HEADER_TIMEOUT.as_secs(),
        workouts.address
    )
}

#[test]
fn clients_that_send_a_byte_a_second_are_cut_off_and_nobody_else_notices_them() {
    let _turn = crate::turn();
    let clients = size("TEST_SLOW_CLIENTS", 2_000);
    raise_descriptor_limit(clients as u64 + DESCRIPTORS_BESIDE);
    let folder = tempfile::tempdir().expect("a temporary folder is to be had");
    let workouts = Workouts::start(folder.path());
    let sluice = Sluice::start(&config(&workouts));
    let asks = ["/exercises/1", "/exercises/2", "/workouts"];
    let asks = asks.map(|target| Ask::as_from(workouts.address, target));

    let load = Load::start(sluice.address(), 8, &asks);
    load.wait_served(100);
    let slow = SlowHeads::start(sluice.address(), clients);
    slow.wait_begun();
    load.wait_served(100);
    let cuts = slow.wait();
    load.wait_served(100);
    let tally = load.stop();

    let times = || cuts.iter().map(|cut| cut.after);
    let (first, last) = times().min().zip(times().max()).expect("there were some");
    eprintln!("slow heads: {clients} clients cut off after {first:?} to {last:?}; the others: {tally}");
    assert_eq!(cuts.len(), clients);
    for cut in &cuts {
        assert!(cut.after >= HEADER_TIMEOUT, "too early: {cut:?}");
        assert_eq!(cut.status, Some(408), "{cut:?}");
    }
    tally.flawless();
    let metrics = sluice.admin().metrics();
    let refused = metrics.sum("sluice_refusals_total", &[("reason", "header_timeout")]);
    assert_eq!(refused, clients as f64, "{}", metrics.text);
}
