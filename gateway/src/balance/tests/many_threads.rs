//! The same promises with several workers at once.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::*;
use crate::upstream::{Breaker, Order};

const THREADS: usize = 8;
const PICKS: usize = 4_000;

/// Runs this on each thread with draws of its own.
fn hammer(work: impl Fn(u64) + Sync) {
    std::thread::scope(|threads| {
        for thread in 0..THREADS {
            let work = &work;
            threads.spawn(move || {
                draws(PICKS * THREADS)
                    .skip(thread * PICKS)
                    .take(PICKS)
                    .for_each(work)
            });
        }
    });
}

#[test]
fn max_conns_is_never_exceeded_and_every_place_is_given_back() {
    for policy in ALL_POLICIES {
        let rig = Rig::with(policy.clone(), &[3, 2, 1], |_, s| s.max_conns = 2);
        let (most, refused) = (AtomicU32::new(0), AtomicU32::new(0));
        hammer(|draw| {
            let ask = Ask {
                hash: Some(draw),
                ..Ask::default()
            };
            let Some(lease) = rig.pool.pick(&ask, draw, at(1)) else {
                refused.fetch_add(1, Ordering::Relaxed);
                return;
            };
            most.fetch_max(lease.server().in_flight(), Ordering::Relaxed);
            std::thread::yield_now();
        });
        assert!(most.into_inner() <= 2, "{}", policy.name());
        assert_eq!(rig.in_flight(), [0, 0, 0]);
        let served: u64 = rig.cells.iter().map(|c| c.server.requests()).sum();
        assert_eq!(served + u64::from(refused.into_inner()), (PICKS * THREADS) as u64);
    }
}

#[test]
fn round_robin_loses_and_doubles_no_turn() {
    let rig = Rig::new(LoadBalancing::RoundRobin, &[5, 2, 1]);
    hammer(|draw| drop(rig.pool.pick(&Ask::default(), draw, at(1))));
    for (cells, weight) in rig.cells.iter().zip([5u64, 2, 1]) {
        let fair = (PICKS * THREADS) as u64 * weight / 8;
        assert!(
            cells.server.requests().abs_diff(fair) <= 1,
            "{} of {fair}",
            cells.server.requests()
        );
    }
}

#[test]
fn requests_taken_by_many_workers_at_once_and_held_stand_by_weight() {
    let rig = Rig::new(LoadBalancing::LeastConn, &[3, 2, 1]);
    let held = parking_lot::Mutex::new(Vec::new());
    hammer(|draw| {
        let lease = rig.pool.pick(&Ask::default(), draw, at(1)).unwrap();
        held.lock().push(lease);
    });
    let sixth = u32::try_from(PICKS * THREADS / 6).unwrap();
    for (got, weight) in rig.in_flight().into_iter().zip([3, 2, 1]) {
        // A place is checked against the load of its own server only; another's may have fallen or risen meanwhile.
        assert!(
            got.abs_diff(sixth * weight) <= 2 * THREADS as u32,
            "{:?}",
            rig.in_flight()
        );
    }
    drop(held);
    assert_eq!(rig.in_flight(), [0, 0, 0]);
}

#[test]
fn standing_may_change_at_any_moment_and_the_last_word_holds() {
    for policy in ALL_POLICIES {
        let rig = Rig::new(policy, &[1, 2, 3, 4]);
        let round = AtomicU32::new(0);
        hammer(|draw| {
            let now = at(u64::from(round.fetch_add(1, Ordering::Relaxed)) / 100);
            let index = usize::try_from(draw % 3).unwrap();
            match draw % 64 {
                0 => rig.cells[index].seat.command(Order::Down, now),
                1 => rig.cells[index].seat.command(Order::Up, now),
                2 => rig.probe(index, false),
                3 => rig.probe(index, true),
                _ => {
                    let ask = Ask {
                        hash: Some(draw),
                        ..Ask::default()
                    };
                    let lease = rig.pool.pick(&ask, draw, now).expect("server 3 is always there");
                    // Of server 3 nothing bad is said, or it might be out when the others are.
                    match draw % 5 {
                        0 if rig.index(&lease) != 3 => _ = lease.failed(Failure::Reset, now),
                        1 => _ = lease.succeeded(Duration::from_millis(1), now),
                        _ => {}
                    }
                }
            }
        });
        assert_eq!(rig.in_flight(), [0; 4]);
        for index in 0..3 {
            rig.cells[index].seat.command(Order::Down, at(2_000));
        }
        assert_eq!(rig.serve(50, at(2_000)), [0, 0, 0, 50]);
    }
}

#[test]
fn a_down_that_was_acknowledged_is_obeyed_by_all_workers() {
    let rig = Rig::new(LoadBalancing::LeastConn, &[1, 1]);
    let acknowledged = AtomicBool::new(false);
    hammer(|draw| {
        if draw % 1_000 == 0 {
            rig.cells[0].seat.command(Order::Down, at(1));
            acknowledged.store(true, Ordering::SeqCst);
        }
        let must = acknowledged.load(Ordering::SeqCst);
        let lease = rig.pool.pick(&Ask::default(), draw, at(1)).unwrap();
        assert!(!must || rig.index(&lease) == 1);
    });
    assert!(acknowledged.into_inner());
}

#[test]
fn a_place_is_given_back_wherever_the_lease_dies() {
    let rig = Rig::new(LoadBalancing::LeastConn, &[1]);
    let lease = rig.pick(at(1)).unwrap();
    let died = catch_unwind(AssertUnwindSafe(|| {
        let _held = lease;
        assert!(rig.in_flight() == [0], "this does panic");
    }));
    assert!(died.is_err());
    let lease = rig.pick(at(1)).unwrap();
    drop(async move {
        std::future::pending::<()>().await;
        drop(lease);
    });
    let lease = rig.pick(at(1)).unwrap();
    std::thread::scope(|threads| {
        threads.spawn(move || drop(lease));
    });
    assert_eq!(rig.in_flight(), [0]);
}

/// Asks each worker to send its requests to a half-open server beside one that is well.
fn half_open(places: u32, policy: LoadBalancing) -> Rig {
    let rig = Rig::of_places(places, policy, &[1, 1]);
    rig.eject(0, at(1));
    assert_eq!(rig.breakers(at(31))[0], "half_open");
    rig
}

#[test]
fn a_half_open_server_never_has_more_than_its_places_and_no_place_is_lost() {
    for policy in ALL_POLICIES {
        for places in [1, 3] {
            let rig = half_open(places, policy.clone());
            let most = AtomicU32::new(0);
            hammer(|draw| {
                let ask = Ask {
                    hash: Some(draw),
                    ..Ask::default()
                };
                let lease = rig.pool.pick(&ask, draw, at(31)).expect("server 1 is well");
                if rig.index(&lease) == 0 {
                    // All that is in flight there are probes.
                    most.fetch_max(lease.server().in_flight(), Ordering::Relaxed);
                    assert!(lease.is_probing() && lease.server().probes() <= places);
                    std::thread::yield_now();
                }
            });
            let most = most.into_inner();
            assert!(
                (1..=places).contains(&most),
                "{most} of {places}, {}",
                policy.name()
            );
            assert_eq!((rig.in_flight(), rig.cells[0].server.probes()), (vec![0, 0], 0));
            rig.pick_at(0, at(31));
        }
    }
}

#[test]
fn of_many_probes_one_decides_and_the_others_are_stragglers() {
    let rig = half_open(8, LoadBalancing::RoundRobin);
    let (clock, told) = (AtomicU32::new(31_000), parking_lot::Mutex::new(Vec::new()));
    hammer(|draw| {
        // Time goes on past one ejection after the other, up to the longest.
        let now = at(u64::from(clock.fetch_add(1, Ordering::SeqCst)) / 4);
        let lease = rig
            .pool
            .pick(&Ask::default(), draw, now)
            .expect("server 1 is well");
        if rig.index(&lease) == 0
            && let Some(shift) = lease.failed(Failure::Reset, now)
        {
            told.lock().push(shift);
        }
    });
    let mut nths: Vec<u32> = told
        .into_inner()
        .into_iter()
        .map(|shift| match shift {
            Shift::Opened(ejection) => ejection.nth,
            Shift::Closed => panic!("nobody has said anything good"),
        })
        .collect();
    nths.sort_unstable();
    let expected: Vec<u32> = (2..).take(nths.len()).collect();
    assert_eq!(nths, expected, "each opening is told once, and none is skipped");
    assert!(nths.len() > 5);
    assert_eq!(rig.cells[0].server.probes(), 0);
}

#[test]
fn whatever_probes_say_at_once_each_change_is_told_once_and_the_places_come_back() {
    let rig = half_open(2, LoadBalancing::LeastConn);
    let (clock, opened, closed) = (AtomicU32::new(31_000), AtomicU32::new(0), AtomicU32::new(0));
    hammer(|draw| {
        let now = at(u64::from(clock.fetch_add(1, Ordering::SeqCst)) / 4);
        let lease = rig
            .pool
            .pick(&Ask::default(), draw, now)
            .expect("server 1 is well");
        let shift = match (rig.index(&lease), draw % 8) {
            (0, 0..=5) => lease.failed(Failure::Reset, now),
            (_, 7) => None,
            _ => lease.succeeded(Duration::from_millis(1), now),
        };
        match shift {
            Some(Shift::Opened(_)) => opened.fetch_add(1, Ordering::SeqCst),
            Some(Shift::Closed) => closed.fetch_add(1, Ordering::SeqCst),
            None => 0,
        };
    });
    let end = at(1_000_000);
    let (opened, closed) = (opened.into_inner(), closed.into_inner());
    assert!(closed > 0 && opened > closed, "{opened} and {closed}");
    assert_eq!((rig.in_flight(), rig.cells[0].server.probes()), (vec![0, 0], 0));
    let (breaker, epoch) = rig.cells[0].server.circuit(end);
    assert_eq!(epoch.bits(), u64::from(opened) + 1, "the first came before");
    if breaker == Breaker::HalfOpen {
        let probe = rig.pick_at(0, end);
        assert_eq!(
            probe.succeeded(Duration::from_millis(1), end),
            Some(Shift::Closed)
        );
    }
    assert_eq!(rig.breakers(end)[0], "closed");
}
