//! Who may be chosen at all.

use super::*;
use crate::upstream::Order;

/// Which servers get requests, over all policies alike.
fn used(rig: &Rig, now: Mono) -> Vec<bool> {
    rig.serve(400, now).into_iter().map(|n| n > 0).collect()
}

#[test]
fn a_server_written_down_never_serves_and_no_order_changes_that() {
    for policy in ALL_POLICIES {
        let rig = Rig::with(policy, &[1, 1], |i, s| s.down = i == 0);
        assert_eq!(used(&rig, at(1)), [false, true]);
        rig.cells[0].seat.command(Order::Up, at(2));
        rig.probe(0, true);
        assert_eq!(used(&rig, at(3)), [false, true]);
        assert_eq!(rig.states(at(3)), ["off", "up"]);
    }
}

#[test]
fn a_server_whose_probes_fail_is_left_out_until_they_pass() {
    for policy in ALL_POLICIES {
        let rig = Rig::new(policy, &[1, 1]);
        assert_eq!(used(&rig, at(1)), [true, true]);
        rig.probe(1, false);
        assert_eq!(
            (used(&rig, at(1)), rig.states(at(1))),
            (vec![true, false], vec!["up", "down"])
        );
        rig.probe(1, true);
        assert_eq!(used(&rig, at(1)), [true, true]);
    }
}

#[test]
fn an_operators_word_holds_from_the_next_pick_on() {
    for policy in ALL_POLICIES {
        let rig = Rig::new(policy, &[1, 1]);
        let seat = rig.pool.seat(rig.cells[0].server.address()).unwrap();
        for (order, serves) in [
            (Order::Down, false),
            (Order::Up, true),
            (Order::Drain, false),
            (Order::Up, true),
        ] {
            seat.command(order, at(1));
            assert_eq!(used(&rig, at(1)), [serves, true], "{order:?}");
            assert_eq!(rig.states(at(1))[0], order.name());
        }
    }
}

#[test]
fn an_operators_weight_replaces_the_configured_one() {
    let rig = Rig::new(LoadBalancing::RoundRobin, &[1, 1]);
    rig.cells[0].seat.reweigh(NonZeroU32::new(3));
    assert_eq!(rig.serve(400, at(1)), [300, 100]);
    assert_eq!(rig.pool.status(at(1))[0].weight, 3);
    rig.cells[0].seat.reweigh(None);
    assert_eq!(rig.serve(400, at(1)), [200, 200]);
}

#[test]
fn each_further_try_goes_elsewhere_until_nobody_is_left() {
    for policy in ALL_POLICIES {
        let rig = Rig::with(policy, &[1, 1, 1, 1], |i, s| s.backup = i == 3);
        let mut tried = Vec::new();
        for draw in draws(4) {
            let ask = Ask {
                hash: Some(7),
                tried: &tried,
                sticky: None,
            };
            let lease = rig.pool.pick(&ask, draw, at(1)).unwrap();
            assert!(!tried.contains(&lease.server().id()));
            assert_eq!(lease.member().backup(), tried.len() == 3, "the backup comes last");
            tried.push(lease.server().id());
        }
        let ask = Ask {
            hash: Some(7),
            tried: &tried,
            sticky: None,
        };
        assert!(rig.pool.pick(&ask, 1, at(1)).is_none());
    }
}

#[test]
fn backups_serve_only_while_no_primary_can() {
    for policy in ALL_POLICIES {
        let rig = Rig::with(policy, &[1, 1, 1], |i, s| s.backup = i == 2);
        assert_eq!(used(&rig, at(1)), [true, true, false]);
        rig.probe(0, false);
        assert_eq!(used(&rig, at(1)), [false, true, false]);
        rig.probe(1, false);
        assert_eq!(used(&rig, at(1)), [false, false, true]);
        rig.probe(0, true);
        assert_eq!(used(&rig, at(1)), [true, false, false]);
    }
}

#[test]
fn a_full_server_is_passed_over_and_when_all_are_full_there_is_none() {
    for policy in ALL_POLICIES {
        let rig = Rig::with(policy, &[5, 1, 1], |i, s| (s.backup, s.max_conns) = (i == 2, 3));
        let ask = Ask {
            hash: Some(9),
            ..Ask::default()
        };
        let held: Vec<Lease> = draws(9)
            .map(|draw| rig.pool.pick(&ask, draw, at(1)).unwrap())
            .collect();
        assert_eq!(rig.in_flight(), [3, 3, 3]);
        assert!(
            held[..6].iter().all(|l| !l.member().backup()),
            "the backup only when primaries are full"
        );
        assert!(rig.pool.pick(&ask, 1, at(1)).is_none());
        drop(held);
        assert!(rig.pool.pick(&ask, 1, at(1)).is_some());
    }
}

#[test]
fn a_bound_client_stays_while_its_server_is_well_also_while_it_drains() {
    let rig = Rig::new(LoadBalancing::LeastConn, &[1, 1, 1]);
    let value = rig.pool.members()[1].sticky_value().to_owned();
    let home = |tried: &[u64]| {
        let ask = Ask {
            sticky: Some(value.as_bytes()),
            tried,
            hash: None,
        };
        rig.index(&rig.pool.pick(&ask, 0, at(1)).unwrap())
    };
    assert!((0..10).all(|_| home(&[]) == 1));
    assert_ne!(home(&[1]), 1, "but not for a further try");
    rig.cells[1].seat.command(Order::Drain, at(1));
    assert!((0..10).all(|_| home(&[]) == 1));
    assert_eq!(rig.serve(10, at(1))[1], 0, "nobody new");
    rig.probe(1, false);
    assert!((0..10).all(|_| home(&[]) != 1));
    rig.probe(1, true);
    rig.cells[1].seat.command(Order::Down, at(1));
    assert!((0..10).all(|_| home(&[]) != 1));
}

#[test]
fn a_sticky_value_is_opaque_and_a_foreign_one_is_ignored() {
    let rig = Rig::new(LoadBalancing::RoundRobin, &[1, 1]);
    let lease = rig.pick(at(1)).unwrap();
    assert_eq!(lease.sticky_value().len(), 16);
    assert!(!lease.sticky_value().contains("10.0.0"));
    for foreign in [
        &b""[..],
        b"10.0.0.1:80",
        b"zzzzzzzzzzzzzzzz",
        b"0000000000000000",
        &[0xff; 5000],
    ] {
        let ask = Ask {
            sticky: Some(foreign),
            ..Ask::default()
        };
        assert!(rig.pool.pick(&ask, 0, at(1)).is_some());
    }
}

#[test]
fn a_bound_client_is_not_let_into_a_full_server() {
    let rig = Rig::with(LoadBalancing::RoundRobin, &[1, 1], |_, s| s.max_conns = 1);
    let first = rig.pick(at(1)).unwrap();
    let ask = Ask {
        sticky: Some(first.sticky_value().as_bytes()),
        ..Ask::default()
    };
    let second = rig.pool.pick(&ask, 0, at(1)).unwrap();
    assert_ne!(rig.index(&first), rig.index(&second));
}

#[test]
fn an_empty_pool_has_nobody() {
    for policy in ALL_POLICIES {
        assert!(Rig::new(policy, &[]).pick(at(1)).is_none());
    }
}

#[test]
fn a_status_row_tells_what_the_server_did() {
    let rig = Rig::with(LoadBalancing::LeastConn, &[3, 1], |i, s| s.backup = i == 1);
    let lease = rig.pick(at(1)).unwrap();
    lease.succeeded(Duration::from_millis(20), at(1));
    rig.pick(at(1)).unwrap().failed(Failure::Status(500), at(1));
    let rows = rig.pool.status(at(1));
    let row = &rows[0];
    assert_eq!(
        (row.address.as_str(), row.state, row.weight, row.backup),
        ("10.0.0.0:80", Standing::Up, 3, false)
    );
    assert_eq!((row.in_flight, row.requests, row.failures), (1, 2, 1));
    assert!(row.latency_ms >= 20.0);
    assert!(rows[1].backup);
}
