//! Shares: who gets how much while all are in service.

use proptest::prelude::*;

use super::*;
use crate::upstream::Epoch;

/// Takes and gives back in a random order; calls `check` before each pick with who is chosen.
fn churn(rig: &Rig, moves: &[(bool, prop::sample::Index)], mut check: impl FnMut(&[u32], usize)) {
    let mut held: Vec<Lease> = Vec::new();
    for (take, which) in moves {
        if *take || held.is_empty() {
            let before = rig.in_flight();
            let lease = rig.pick(at(1)).unwrap();
            check(&before, rig.index(&lease));
            held.push(lease);
        } else {
            held.swap_remove(which.index(held.len()));
        }
        let held_by = |i| held.iter().filter(|l| rig.index(l) == i).count();
        assert!((0..rig.cells.len()).all(|i| rig.in_flight()[i] as usize == held_by(i)));
    }
    drop(held);
    assert!(rig.in_flight().iter().all(|n| *n == 0), "all are given back");
}

#[test]
fn on_a_quiet_site_every_policy_serves_by_weight() {
    for policy in ALL_POLICIES {
        let rig = Rig::new(policy.clone(), &[3, 3, 2]);
        let exact = matches!(policy, LoadBalancing::LeastConn | LoadBalancing::RoundRobin);
        for (got, fair) in rig
            .serve(8_000, at(1))
            .into_iter()
            .zip([3_000usize, 3_000, 2_000])
        {
            let slack = if exact { 1 } else { fair / 5 };
            assert!(got.abs_diff(fair) <= slack, "{}: {got} of {fair}", policy.name());
        }
    }
}

#[test]
fn a_heavy_server_is_interleaved_with_light_ones() {
    for policy in [LoadBalancing::RoundRobin, LoadBalancing::LeastConn] {
        let rig = Rig::new(policy, &[5, 1, 1]);
        let order: Vec<usize> = (0..7).map(|_| rig.index(&rig.pick(at(1)).unwrap())).collect();
        assert_eq!(order, [0, 1, 0, 0, 2, 0, 0]);
    }
}

#[test]
fn least_conn_sends_to_the_smallest_load_per_weight_with_this_request() {
    let rig = Rig::new(LoadBalancing::LeastConn, &[3, 1]);
    let held: Vec<Lease> = (0..40).map(|_| rig.pick(at(1)).unwrap()).collect();
    assert_eq!(rig.in_flight(), [30, 10]);
    let (light, heavy): (Vec<_>, Vec<_>) = held.into_iter().partition(|l| rig.index(l) == 1);
    drop(light);
    assert_eq!(rig.index(&rig.pick(at(1)).unwrap()), 1);
    drop(heavy);
}

#[test]
fn equally_loaded_servers_take_turns_by_weight_also_when_they_are_busy() {
    let rig = Rig::new(LoadBalancing::LeastConn, &[2, 1]);
    let mut held: Vec<Lease> = (0..6).map(|_| rig.pick(at(1)).unwrap()).collect();
    for index in [0, 1] {
        let one = held.iter().position(|l| rig.index(l) == index).unwrap();
        held.swap_remove(one);
    }
    assert_eq!(rig.in_flight(), [3, 1], "(3 + 1) / 2 = (1 + 1) / 1");
    assert_eq!(rig.serve(30, at(1)), [20, 10]);
    drop(held);
}

#[test]
fn least_time_measures_each_server_first_and_sends_one_request_to_do_so() {
    let rig = Rig::new(LoadBalancing::LeastTime, &[1, 1, 1]);
    let first: Vec<Lease> = (0..3).map(|_| rig.pick(at(1)).unwrap()).collect();
    assert_eq!(rig.in_flight(), [1, 1, 1]);
    for lease in first {
        let slow = if rig.index(&lease) == 0 { 10 } else { 100 };
        lease.succeeded(Duration::from_millis(slow), at(1));
    }
    let held: Vec<Lease> = (0..12).map(|_| rig.pick(at(1)).unwrap()).collect();
    assert_eq!(
        rig.in_flight(),
        [10, 1, 1],
        "ten times as quick, ten times as many"
    );
    drop(held);
}

#[test]
fn least_time_does_not_stampede_a_server_of_which_nothing_is_known() {
    let rig = Rig::new(LoadBalancing::LeastTime, &[1, 1]);
    rig.cells[0].server.answered(
        Duration::from_secs(2),
        Epoch::default(),
        rig.pool.outlier_detection(),
        at(1),
    );
    let held: Vec<Lease> = (0..20).map(|_| rig.pick(at(1)).unwrap()).collect();
    assert_eq!(rig.in_flight(), [19, 1]);
    drop(held);
}

#[test]
fn a_server_that_fails_fast_does_not_look_fast() {
    let rig = Rig::new(LoadBalancing::LeastTime, &[1, 1]);
    rig.cells[1].server.answered(
        Duration::from_millis(50),
        Epoch::default(),
        rig.pool.outlier_detection(),
        at(1),
    );
    let lease = rig.pick(at(1)).unwrap();
    assert_eq!(rig.index(&lease), 0, "unmeasured, hence first");
    lease.failed(Failure::Connect, at(1));
    drop(lease);
    assert_eq!(rig.serve(10, at(1)), [0, 10]);
}

#[test]
fn random_two_prefers_the_less_loaded_of_two() {
    let rig = Rig::new(LoadBalancing::RandomTwo, &[1; 10]);
    let held: Vec<Lease> = draws(1_000)
        .filter_map(|d| rig.pool.pick(&Ask::default(), d, at(1)))
        .collect();
    let spread = |loads: &[u32]| loads.iter().max().unwrap() - loads.iter().min().unwrap();
    assert!(spread(&rig.in_flight()) <= 8, "{:?}", rig.in_flight());
    drop(held);
}

#[test]
fn the_same_key_goes_to_the_same_server_and_comes_back_to_it_after_an_absence() {
    let rig = Rig::new(LoadBalancing::Hash(HashBy::Path), &[1; 10]);
    let home = |key| {
        let ask = Ask {
            hash: Some(key),
            ..Ask::default()
        };
        rig.index(&rig.pool.pick(&ask, 0, at(1)).unwrap())
    };
    let before: Vec<usize> = draws(500).map(home).collect();
    rig.probe(3, false);
    let without: Vec<usize> = draws(500).map(home).collect();
    assert!(
        before
            .iter()
            .zip(&without)
            .all(|(was, is)| (was == is) != (*was == 3)),
        "only its keys move"
    );
    rig.probe(3, true);
    assert_eq!(draws(500).map(home).collect::<Vec<_>>(), before);
}

#[test]
fn a_request_without_the_hashed_part_is_spread_and_does_not_pile_up() {
    let rig = Rig::new(LoadBalancing::Hash(HashBy::Cookie("x".into())), &[1; 4]);
    let held: Vec<Lease> = (0..8).map(|_| rig.pick(at(1)).unwrap()).collect();
    assert_eq!(rig.in_flight(), [2; 4]);
    drop(held);
}

#[test]
fn a_reload_keeps_the_rotation_where_it_was() {
    let rig = Rig::new(LoadBalancing::RoundRobin, &[5, 1, 1]);
    let upstream = plan_upstream(
        LoadBalancing::RoundRobin,
        rig.pool.members().iter().map(|m| m.plan().clone()).collect(),
    );
    let order: Vec<usize> = (0..14)
        .map(|_| {
            let pool = wire(&upstream, &rig.running, &rig.changes, &rig.cells);
            rig.index(&pool.pick(&Ask::default(), 0, at(1)).unwrap())
        })
        .collect();
    assert_eq!(order, [0, 1, 0, 0, 2, 0, 0, 0, 1, 0, 0, 2, 0, 0]);
}

proptest! {
    #[test]
    fn least_conn_never_gives_a_server_more_than_its_share_and_one(
        weights in proptest::collection::vec(1u32..20, 1..8),
        moves in proptest::collection::vec((prop::bool::weighted(0.6), any::<prop::sample::Index>()), 1..300),
    ) {
        let rig = Rig::new(LoadBalancing::LeastConn, &weights);
        let (count, total) = (u64::try_from(weights.len()).unwrap(), weights.iter().map(|w| u64::from(*w)).sum::<u64>());
        churn(&rig, &moves, |before, chosen| {
            let running: u64 = before.iter().map(|n| u64::from(*n)).sum();
            let (had, weight) = (u64::from(before[chosen]), u64::from(weights[chosen]));
            // Smallest (n + 1) / w means below the mean of all (n + 1) / w: that is what "its share and one" is exactly,
            // and with equal weights it reads n + 1 <= running / servers + 1.
            assert!(had == 0 || (had + 1) * total <= weight * (running + count), "{before:?} of {weights:?}: {chosen}");
        });
    }

    #[test]
    fn least_conn_chooses_the_smallest_load_per_weight_or_an_idle_server_beside_an_idle_smallest(
        weights in proptest::collection::vec(1u32..20, 1..8),
        moves in proptest::collection::vec((prop::bool::weighted(0.6), any::<prop::sample::Index>()), 1..300),
    ) {
        let rig = Rig::new(LoadBalancing::LeastConn, &weights);
        churn(&rig, &moves, |before, chosen| {
            let load = |i: usize| f64::from(before[i] + 1) / f64::from(weights[i]);
            let least = (0..weights.len()).map(load).fold(f64::MAX, f64::min);
            let idle_is_least = (0..weights.len()).any(|i| before[i] == 0 && load(i) <= least);
            assert!(load(chosen) <= least || (before[chosen] == 0 && idle_is_least), "{before:?} of {weights:?}: {chosen}");
        });
    }

    #[test]
    fn held_requests_stand_exactly_by_weight_after_each_full_lap(
        weights in proptest::collection::vec(1u32..20, 1..8),
        laps in 1u32..5,
        warm_up in 0usize..50,
    ) {
        let rig = Rig::new(LoadBalancing::LeastConn, &weights);
        rig.serve(warm_up, at(1));
        let held: Vec<Lease> = (0..weights.iter().sum::<u32>() * laps).map(|_| rig.pick(at(1)).unwrap()).collect();
        let fair: Vec<u32> = weights.iter().map(|w| w * laps).collect();
        prop_assert_eq!(rig.in_flight(), fair);
        drop(held);
    }

    #[test]
    fn round_robin_serves_by_weight_within_one_in_any_window_of_a_lap(
        weights in proptest::collection::vec(1u32..20, 1..8),
    ) {
        let rig = Rig::new(LoadBalancing::RoundRobin, &weights);
        let lap = weights.iter().sum::<u32>() as usize;
        let order: Vec<usize> = (0..lap * 3).map(|_| rig.index(&rig.pick(at(1)).unwrap())).collect();
        for window in order.windows(lap) {
            for (i, weight) in weights.iter().enumerate() {
                let got = window.iter().filter(|w| **w == i).count();
                prop_assert!(got.abs_diff(*weight as usize) <= 1);
            }
        }
    }
}
