//! A server that was ejected is let back in by a few requests, and by no more.

use proptest::prelude::*;

use super::*;
use crate::upstream::Order;

const QUICK: Duration = Duration::from_millis(1);

/// Whom a request with this key goes to, whatever the policy.
fn pick_by(rig: &Rig, draw: u64, now: Mono) -> Option<Lease> {
    let ask = Ask {
        hash: Some(draw),
        ..Ask::default()
    };
    rig.pool.pick(&ask, draw, now)
}

/// Policies under which a server fails often enough to be ejected; see the ejection tests for the one left out.
fn policies() -> impl Iterator<Item = LoadBalancing> {
    ALL_POLICIES
        .into_iter()
        .filter(|policy| *policy != LoadBalancing::LeastTime)
}

#[test]
fn a_half_open_server_is_given_one_request_in_its_turn_and_the_rest_goes_elsewhere() {
    for policy in ALL_POLICIES {
        let rig = Rig::new(policy.clone(), &[1, 1, 1]);
        rig.eject(1, at(1));
        assert_eq!(rig.breakers(at(30)), ["closed", "open", "closed"]);
        assert_eq!(rig.breakers(at(31)), ["closed", "half_open", "closed"]);
        assert_eq!(rig.states(at(31)), ["up"; 3], "it gets requests");
        let held: Vec<Lease> = draws(60)
            .map(|draw| pick_by(&rig, draw, at(31)).unwrap())
            .collect();
        let at_1: Vec<&Lease> = held.iter().filter(|l| rig.index(l) == 1).collect();
        assert_eq!(at_1.len(), 1, "{}", policy.name());
        assert!(at_1[0].is_probing() && held.iter().filter(|l| l.is_probing()).count() == 1);
    }
}

#[test]
fn it_has_its_turn_also_beside_idle_servers_and_with_requests_from_before_hanging_there() {
    for policy in ALL_POLICIES {
        let rig = Rig::new(policy.clone(), &[1, 1, 1]);
        let stragglers: Vec<Lease> = (0..20).map(|_| rig.pick_at(1, at(1))).collect();
        for lease in &stragglers[..3] {
            lease.failed(Failure::Timeout, at(1));
        }
        assert_eq!(rig.serve(20, at(30))[1], 0);
        assert!(rig.serve(100, at(31))[1] > 0, "{}", policy.name());
    }
}

#[test]
fn the_first_success_closes_the_circuit_also_while_its_answer_is_under_way() {
    let rig = Rig::new(LoadBalancing::LeastConn, &[1, 1]);
    rig.eject(0, at(1));
    let probe = rig.pick_at(0, at(31));
    assert_eq!(probe.succeeded(QUICK, at(31)), Some(Shift::Closed));
    assert_eq!(probe.succeeded(QUICK, at(31)), None, "told once");
    assert_eq!(rig.breakers(at(31)), ["closed"; 2]);
    let held: Vec<Lease> = (0..9).map(|_| rig.pick(at(31)).unwrap()).collect();
    assert_eq!(rig.in_flight(), [5, 5]);
    assert!(held.iter().all(|lease| !lease.is_probing()));
}

#[test]
fn a_failure_opens_it_at_once_for_twice_the_time() {
    let rig = Rig::new(LoadBalancing::RoundRobin, &[1, 1]);
    rig.eject(0, at(1));
    let mut now = 31;
    for time in [60, 120, 240, 300, 300] {
        let shift = rig.pick_at(0, at(now)).failed(Failure::Connect, at(now));
        let Some(Shift::Opened(ejection)) = shift else {
            panic!("{shift:?}")
        };
        assert_eq!(
            (ejection.time.as_secs(), rig.states(at(now))[0]),
            (time, "ejected")
        );
        assert_eq!(rig.serve(10, at(now + time - 1)), [0, 10]);
        now += time;
    }
}

#[test]
fn a_probe_that_ends_in_silence_frees_its_place_and_decides_nothing() {
    let rig = Rig::new(LoadBalancing::LeastConn, &[1, 1]);
    rig.eject(0, at(1));
    for _ in 0..10 {
        let probe = rig.pick_at(0, at(31));
        assert!((0..10).all(|_| rig.index(&rig.pick(at(31)).unwrap()) == 1));
        drop(probe);
        assert_eq!(rig.breakers(at(31))[0], "half_open");
    }
}

#[test]
fn alone_it_gets_its_places_and_the_others_are_refused_until_it_has_answered() {
    for policy in policies() {
        let rig = Rig::new(policy, &[1, 1]);
        rig.eject(0, at(1));
        rig.probe(1, false);
        let probe = pick_by(&rig, 1, at(31)).unwrap();
        assert!(draws(20).all(|draw| pick_by(&rig, draw, at(31)).is_none()));
        probe.succeeded(QUICK, at(31));
        assert!(draws(20).all(|draw| pick_by(&rig, draw, at(31)).is_some()));
    }
}

#[test]
fn a_lone_half_open_server_that_fails_stays_half_open_as_the_last_is_never_ejected() {
    let rig = Rig::new(LoadBalancing::LeastConn, &[1, 1]);
    rig.eject(0, at(1));
    rig.probe(1, false);
    for _ in 0..10 {
        assert_eq!(rig.pick(at(31)).unwrap().failed(Failure::Connect, at(31)), None);
        assert_eq!(rig.breakers(at(31))[0], "half_open");
    }
}

#[test]
fn with_nobody_else_left_an_ejected_server_is_half_open_before_its_time() {
    let rig = Rig::new(LoadBalancing::LeastConn, &[1, 1]);
    rig.eject(0, at(1));
    rig.cells[1].seat.command(Order::Down, at(2));
    let failing = rig.pick(at(2)).unwrap();
    assert!(rig.pick(at(2)).is_none(), "no more than its places");
    assert_eq!(failing.failed(Failure::Connect, at(2)), None, "it is out already");
    let well = rig.pick(at(3)).unwrap();
    assert_eq!(well.succeeded(QUICK, at(3)), Some(Shift::Closed));
    assert!(rig.pick(at(3)).is_some() && rig.states(at(3))[0] == "up");
}

#[test]
fn half_open_servers_count_as_out_and_one_always_stays_closed() {
    let rig = Rig::new(LoadBalancing::RoundRobin, &[1, 1, 1, 1]);
    rig.eject(0, at(1));
    rig.eject(1, at(1));
    let fail = |index: usize, now| rig.pick_at(index, now).failed(Failure::Reset, now);
    assert!((0..10).all(|_| fail(2, at(31)).is_none()), "two of four are out");
    assert!(fail(0, at(31)).is_some(), "who is half-open may be put out again");
    rig.pick_at(1, at(31)).succeeded(QUICK, at(31));
    assert!(fail(2, at(31)).is_some(), "a place has become free");
}

#[test]
fn a_bound_client_and_a_key_go_elsewhere_while_no_place_is_free() {
    let rig = Rig::new(LoadBalancing::Hash(HashBy::Path), &[1, 1, 1]);
    let value = rig.pool.members()[1].sticky_value().to_owned();
    let bound = Ask {
        sticky: Some(value.as_bytes()),
        ..Ask::default()
    };
    let key = draws(100)
        .find(|draw| rig.index(&pick_by(&rig, *draw, at(1)).unwrap()) == 1)
        .unwrap();
    rig.eject(1, at(1));
    for ask in [
        bound,
        Ask {
            hash: Some(key),
            ..Ask::default()
        },
    ] {
        let home = || rig.pool.pick(&ask, 7, at(31)).unwrap();
        let probe = home();
        assert!(rig.index(&probe) == 1 && probe.is_probing());
        assert_ne!(rig.index(&home()), 1);
        drop(probe);
        assert_eq!(rig.index(&home()), 1);
    }
}

#[test]
fn a_draining_half_open_server_takes_bound_clients_as_far_as_its_places_go() {
    let rig = Rig::new(LoadBalancing::LeastConn, &[1, 1]);
    rig.eject(0, at(1));
    rig.cells[0].seat.command(Order::Drain, at(1));
    let value = rig.pool.members()[0].sticky_value().to_owned();
    let bound = || {
        let ask = Ask {
            sticky: Some(value.as_bytes()),
            ..Ask::default()
        };
        rig.pool.pick(&ask, 0, at(31)).unwrap()
    };
    assert_eq!((rig.states(at(31))[0], rig.serve(10, at(31))[0]), ("drain", 0));
    let probe = bound();
    assert_eq!((rig.index(&probe), rig.index(&bound())), (0, 1));
    probe.succeeded(QUICK, at(31));
    assert_eq!(rig.index(&bound()), 0);
}

#[test]
fn stragglers_from_before_the_ejection_decide_nothing() {
    let rig = Rig::new(LoadBalancing::LeastConn, &[1, 1]);
    let stragglers: Vec<Lease> = (0..8).map(|_| rig.pick_at(0, at(1))).collect();
    let (failing, rest) = stragglers.split_at(3);
    failing
        .iter()
        .for_each(|lease| _ = lease.failed(Failure::Reset, at(1)));
    for (lease, now) in rest.iter().zip([2, 2, 31, 31, 31]) {
        assert_eq!(lease.succeeded(QUICK, at(now)), None);
        assert_eq!(lease.failed(Failure::Timeout, at(now)), None);
    }
    assert_eq!(rig.breakers(at(31))[0], "half_open");
    let probe = rig.pick_at(0, at(31));
    assert!(
        probe.failed(Failure::Reset, at(31)).is_some(),
        "but this one is heard"
    );
}

#[test]
fn a_success_that_comes_after_another_probe_has_failed_does_not_close_it() {
    let rig = Rig::of_places(2, LoadBalancing::LeastConn, &[1, 1]);
    rig.eject(0, at(1));
    let [first, second] = [(); 2].map(|()| rig.pick_at(0, at(31)));
    assert!(first.failed(Failure::Reset, at(31)).is_some());
    assert_eq!(second.succeeded(QUICK, at(31)), None);
    assert_eq!(rig.breakers(at(31))[0], "open");
    assert_eq!(rig.breakers(at(91))[0], "half_open");
}

#[test]
fn a_failure_after_another_probe_has_closed_it_is_the_first_of_a_streak() {
    let rig = Rig::of_places(2, LoadBalancing::LeastConn, &[1, 1]);
    rig.eject(0, at(1));
    let [first, second] = [(); 2].map(|()| rig.pick_at(0, at(31)));
    first.succeeded(QUICK, at(31));
    assert_eq!(second.failed(Failure::Reset, at(31)), None);
    assert_eq!(rig.breakers(at(31))[0], "closed");
}

#[test]
fn an_applications_500_closes_it_as_any_answer_does() {
    let rig = Rig::new(LoadBalancing::RoundRobin, &[1, 1]);
    rig.eject(0, at(1));
    let probe = rig.pick_at(0, at(31));
    assert_eq!(probe.failed(Failure::Status(500), at(31)), Some(Shift::Closed));
}

#[test]
fn upstreams_that_share_a_server_share_its_circuit_and_each_keeps_its_own_limit() {
    let rig = Rig::new(LoadBalancing::LeastConn, &[1, 1]);
    let servers = rig.pool.members().iter().map(|m| m.plan().clone()).collect();
    let mut upstream = plan_upstream(LoadBalancing::LeastConn, servers);
    upstream.outlier_detection.half_open_requests = NonZeroU32::new(3).unwrap();
    upstream.outlier_detection.consecutive_failures = 0;
    let other = Rig {
        pool: wire(&upstream, &rig.running, &rig.changes, &rig.cells),
        cells: rig.cells.clone(),
        changes: rig.changes.clone(),
        running: Arc::clone(&rig.running),
    };
    rig.eject(0, at(1));
    assert_eq!(other.serve(10, at(30)), [0, 10], "open for all");
    let probes = [
        rig.pick_at(0, at(31)),
        other.pick_at(0, at(31)),
        other.pick_at(0, at(31)),
    ];
    for full in [&rig, &other] {
        let held: Vec<Lease> = (0..10).map(|_| full.pick(at(31)).unwrap()).collect();
        assert!(held.iter().all(|lease| full.index(lease) == 1));
    }
    drop(probes);
    let one = other.pick_at(0, at(31));
    let held: Vec<Lease> = (0..10).map(|_| rig.pick(at(31)).unwrap()).collect();
    assert!(
        held.iter().all(|l| rig.index(l) == 1),
        "one is as many as this one gives"
    );
    assert_eq!(one.failed(Failure::Reset, at(31)), None, "by its policy, never");
    drop(one);
    let one = other.pick_at(0, at(31));
    assert_eq!(one.succeeded(QUICK, at(31)), Some(Shift::Closed));
    assert_eq!(rig.breakers(at(31)), ["closed"; 2], "closed for all");
}

#[test]
fn a_reload_finds_the_circuit_and_its_probes_as_they_were() {
    let rig = Rig::new(LoadBalancing::LeastConn, &[1, 1]);
    rig.eject(0, at(1));
    let probe = rig.pick_at(0, at(31));
    let servers = rig.pool.members().iter().map(|m| m.plan().clone()).collect();
    let upstream = plan_upstream(LoadBalancing::RoundRobin, servers);
    let pool = wire(&upstream, &rig.running, &rig.changes, &rig.cells);
    let rig = Rig { pool, ..rig };
    assert_eq!(rig.serve(10, at(31)), [0, 10]);
    assert_eq!(probe.succeeded(QUICK, at(31)), Some(Shift::Closed));
    assert!((4..=6).contains(&rig.serve(10, at(31))[0]));
}

/// What a step of the property below does; numbers are taken modulo what there is.
#[derive(Clone, Debug)]
enum Act {
    Pick { draw: u64, is_bound: bool },
    End { lease: usize, how: u8 },
    Wait(u64),
    Probe { server: usize, good: bool },
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        6 => (any::<u64>(), prop::bool::weighted(0.3)).prop_map(|(draw, is_bound)| Act::Pick { draw, is_bound }),
        6 => (0usize..64, 0u8..6).prop_map(|(lease, how)| Act::End { lease, how }),
        1 => (0u64..70).prop_map(Act::Wait),
        1 => (0usize..3, prop::bool::weighted(0.7)).prop_map(|(server, good)| Act::Probe { server, good }),
    ];
    proptest::collection::vec(act, 1..300)
}

proptest! {
    #[test]
    fn whatever_happens_nobody_gets_in_but_by_a_place_and_who_is_refused_found_none(
        acts in acts(),
        places in 1u32..3,
        policy in 0usize..5,
    ) {
        let rig = Rig::of_places(places, ALL_POLICIES[policy].clone(), &[1, 2, 1]);
        let (mut held, mut now_s) = (Vec::<Lease>::new(), 1);
        for act in acts {
            let now = at(now_s);
            match act {
                Act::Wait(secs) => now_s += secs,
                Act::Probe { server, good } => rig.probe(server, good),
                Act::End { .. } if held.is_empty() => {}
                Act::End { lease, how } => {
                    let lease = held.swap_remove(lease % held.len());
                    match how {
                        0 => {}
                        1 | 2 => _ = lease.succeeded(QUICK, now),
                        _ => _ = lease.failed(Failure::Timeout, now),
                    }
                }
                Act::Pick { draw, is_bound } => {
                    let before = rig.pool.status(now);
                    let probes: Vec<u32> = rig.cells.iter().map(|c| c.server.probes()).collect();
                    let somebody_up = before.iter().any(|row| row.state == Standing::Up);
                    let may = |i: usize| match (before[i].state, before[i].breaker.name()) {
                        (Standing::Up, "closed") => true,
                        (Standing::Up, "half_open") => probes[i] < places,
                        (Standing::Ejected, "open") => !somebody_up && probes[i] < places,
                        _ => false,
                    };
                    let sticky = is_bound.then(|| rig.pool.members()[1].sticky_value().as_bytes());
                    let ask = Ask { hash: Some(draw), sticky, tried: &[] };
                    let Some(lease) = rig.pool.pick(&ask, draw, now) else {
                        prop_assert!((0..3).all(|i| !may(i)), "refused: {before:?}");
                        continue;
                    };
                    let index = rig.index(&lease);
                    prop_assert!(may(index), "{index} of {before:?}");
                    prop_assert!(!is_bound || index == 1 || !may(1), "the bound client was sent away");
                    prop_assert_eq!(lease.is_probing(), before[index].breaker.name() != "closed");
                    held.push(lease);
                }
            }
            for (i, cells) in rig.cells.iter().enumerate() {
                let probing = held.iter().filter(|l| rig.index(l) == i && l.is_probing()).count();
                prop_assert_eq!(cells.server.probes() as usize, probing);
                prop_assert!(probing <= places as usize);
            }
        }
        drop(held);
        prop_assert_eq!(rig.in_flight(), [0; 3]);
    }
}
