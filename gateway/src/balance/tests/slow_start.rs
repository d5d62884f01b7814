//! A server that comes (back) up gets its share by and by.

use super::*;
use crate::upstream::Order;

const RAMP: Duration = Duration::from_secs(60);

fn rig() -> Rig {
    Rig::with(LoadBalancing::RoundRobin, &[1, 1], |i, s| {
        s.slow_start = if i == 0 { RAMP } else { Duration::ZERO }
    })
}

/// Server 0's share of traffic from `begin` on, in tenths of its ramp and two more.
fn shares(rig: &Rig, begin: u64) -> Vec<usize> {
    (0..12)
        .map(|tenth| rig.serve(1_000, at(begin + tenth * 6))[0])
        .collect()
}

fn assert_ramps(rig: &Rig, begin: u64) {
    let shares = shares(rig, begin);
    assert!(shares[0] < 20, "{shares:?}");
    assert!(shares[..11].windows(2).all(|w| w[1] > w[0]), "{shares:?}");
    assert!(shares[5].abs_diff(333) < 10, "half its weight: {shares:?}");
    assert!(shares[10..].iter().all(|n| n.abs_diff(500) <= 1), "{shares:?}");
}

#[test]
fn at_the_start_of_the_process_nobody_ramps() {
    assert_eq!(rig().serve(100, at(0)), [50, 50]);
}

#[test]
fn a_server_added_to_a_running_gateway_ramps() {
    let rig = rig();
    let mut cells = rig.cells.clone();
    let address = cells[0].server.address().clone();
    cells[0].server = Arc::new(Server::new(0, address, Some(at(100)), rig.changes.clone()));
    let servers = rig.pool.members().iter().map(|m| m.plan().clone()).collect();
    let upstream = plan_upstream(LoadBalancing::RoundRobin, servers);
    let pool = wire(&upstream, &rig.running, &rig.changes, &cells);
    assert_ramps(&Rig { pool, cells, ..rig }, 100);
}

#[test]
fn a_server_that_its_probes_bring_back_ramps() {
    let rig = rig();
    rig.probe(0, false);
    assert_eq!(rig.serve(10, at(10)), [0, 10]);
    rig.probe(0, true);
    rig.cells[0].server.came_up(at(200));
    assert_ramps(&rig, 200);
}

#[test]
fn a_server_that_was_ejected_ramps_from_when_its_circuit_closes() {
    let rig = rig();
    rig.eject(0, at(10));
    assert_eq!(rig.serve(10, at(39)), [0, 10]);
    assert_eq!(rig.serve(10, at(100)), [5, 5], "half-open it takes its turns");
    let probe = rig.pick_at(0, at(100));
    probe.succeeded(Duration::from_millis(1), at(100));
    drop(probe);
    assert_ramps(&rig, 100);
}

#[test]
fn a_server_that_the_operator_lets_back_in_ramps_but_not_one_that_only_drained() {
    let rig = rig();
    rig.cells[0].seat.command(Order::Drain, at(10));
    rig.cells[0].seat.command(Order::Up, at(20));
    assert_eq!(rig.serve(100, at(20)), [50, 50]);
    rig.cells[0].seat.command(Order::Down, at(30));
    rig.cells[0].seat.command(Order::Up, at(40));
    assert_ramps(&rig, 40);
}

#[test]
fn a_ramping_server_is_not_flooded_while_the_others_are_busy() {
    let rig = Rig::with(LoadBalancing::LeastConn, &[1, 1, 1], |_, s| s.slow_start = RAMP);
    rig.cells[0].server.came_up(at(10));
    let held: Vec<Lease> = (0..100).map(|_| rig.pick(at(10)).unwrap()).collect();
    assert_eq!(rig.in_flight(), [0, 50, 50]);
    assert_eq!(
        rig.index(&rig.pick(at(40)).unwrap()),
        0,
        "half up it is owed half of theirs"
    );
    drop(held);
}
