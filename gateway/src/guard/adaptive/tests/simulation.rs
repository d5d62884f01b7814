//! The whole of it against simulated upstreams: what is promised, in numbers.

use std::time::Duration;

use super::super::learn::LIMIT_START;
use super::simulator::{Outcome, Scenario, Service, Upstream, run};
use crate::config::plan::Overload;

const SERVICES: [Service; 4] = [
    Service::Constant,
    Service::Exponential,
    Service::Outliers,
    Service::TwoKinds,
];

/// Places and milliseconds: a few slow ones, many quick ones, and what is between.
const SIZES: [(u32, f64); 4] = [(4, 10.0), (10, 20.0), (32, 50.0), (100, 100.0)];

fn policy(adaptive: bool, max_requests: u32, queue: u32) -> Overload {
    Overload {
        max_requests,
        queue,
        queue_timeout: Duration::from_secs(1),
        adaptive,
    }
}

fn learns() -> Overload {
    policy(true, 0, 0)
}

fn scenario(upstream: Upstream, load: f64, policy: Overload) -> Scenario {
    Scenario {
        upstream: vec![(0.0, upstream)],
        offered: vec![(0.0, upstream.capacity() * load)],
        policy,
        client_timeout_ms: 20.0 * upstream.mean_ms(),
        measured_s: (15.0, 27.0),
        seed: 7,
    }
}

/// Each in a thread of its own: they share nothing.
fn for_all(upstreams: Vec<Upstream>, check: impl Fn(Upstream) + Sync) {
    std::thread::scope(|threads| {
        for upstream in upstreams {
            let check = &check;
            threads.spawn(move || check(upstream));
        }
    });
}

fn all() -> Vec<Upstream> {
    let of = |(places, service_ms)| {
        SERVICES.map(|service| Upstream {
            places,
            service_ms,
            service,
        })
    };
    SIZES.into_iter().flat_map(of).collect()
}

/// The share below which a latency is compared. One in a hundred is the slow one of [`Service::Outliers`]: its 99th percentile is
/// either kind by chance, so there it is the ordinary ones that must not be late, and the slow ones by themselves.
fn shares(service: Service) -> &'static [f64] {
    match service {
        Service::Constant | Service::Exponential | Service::TwoKinds => &[0.99],
        Service::Outliers => &[0.98, 0.995],
    }
}

fn assert_holds(upstream: Upstream, full: &Outcome, what: &str) {
    let idle = run(&Scenario {
        measured_s: (0.0, 200_000.0 / upstream.capacity()),
        ..scenario(upstream, 0.1, learns())
    });
    let goodput = full.answered / upstream.capacity();
    assert!(
        goodput >= 0.9,
        "{upstream:?} {what}: goodput {goodput:.3} {:?}",
        full.limits
    );
    for share in shares(upstream.service) {
        let (loaded, unloaded) = (full.latency(*share), idle.latency(*share));
        assert!(
            loaded <= 3.0 * unloaded,
            "{upstream:?} {what}: p{} {loaded:.1} ms of {unloaded:.1} ms {:?}",
            share * 100.0,
            full.limits
        );
    }
}

#[test]
fn three_times_what_it_can_do_leaves_it_its_throughput_and_its_latency() {
    for_all(all(), |upstream| {
        for seed in [1, 2, 7] {
            let full = run(&Scenario {
                seed,
                ..scenario(upstream, 3.0, learns())
            });
            assert_holds(upstream, &full, "under 3 times the load");
        }
    });
}

#[test]
fn a_slow_upstream_takes_minutes_to_be_known_and_is_known_then() {
    let slow = |service| Upstream {
        places: 8,
        service_ms: 1_000.0,
        service,
    };
    for_all(SERVICES.map(slow).to_vec(), |upstream| {
        let full = run(&Scenario {
            measured_s: (240.0, 900.0),
            ..scenario(upstream, 3.0, learns())
        });
        assert_holds(upstream, &full, "slowly");
    });
}

#[test]
fn what_it_can_do_is_never_refused_for_long_and_a_light_load_never() {
    for_all(all(), |upstream| {
        for load in [0.05, 0.3, 0.7] {
            let outcome = run(&scenario(upstream, load, learns()));
            assert!(
                outcome.limit.0 >= LIMIT_START,
                "{upstream:?} {load}: {:?}",
                outcome.limits
            );
            assert!(outcome.refused == 0.0, "{upstream:?} {load}: {}", outcome.refused);
        }
        let nearly = run(&scenario(upstream, 0.9, learns()));
        let refused = nearly.refused / (nearly.refused + nearly.answered);
        assert!(refused < 0.05, "{upstream:?}: {refused}");
    });
}

#[test]
fn an_upstream_that_changes_is_learnt_anew() {
    let before = |service| Upstream {
        places: 32,
        service_ms: 20.0,
        service,
    };
    for_all(SERVICES.map(before).to_vec(), |before| {
        for (places, service_ms) in [(64, 20.0), (16, 20.0), (32, 10.0), (32, 40.0), (64, 40.0)] {
            let after = Upstream {
                places,
                service_ms,
                ..before
            };
            let offered = 3.0 * before.capacity().max(after.capacity());
            let outcome = run(&Scenario {
                upstream: vec![(0.0, before), (20.0, after)],
                offered: vec![(0.0, offered)],
                measured_s: (30.0, 50.0),
                ..scenario(after, 3.0, learns())
            });
            assert_holds(after, &outcome, "after a change");
        }
    });
}

#[test]
fn a_load_that_comes_after_a_quiet_time_is_met_within_seconds() {
    let upstream = Upstream {
        places: 100,
        service_ms: 20.0,
        service: Service::Exponential,
    };
    let outcome = run(&Scenario {
        offered: vec![
            (0.0, upstream.capacity() * 0.02),
            (30.0, upstream.capacity() * 3.0),
        ],
        measured_s: (33.0, 43.0),
        ..scenario(upstream, 3.0, learns())
    });
    assert_holds(upstream, &outcome, "after quiet");
}

/// What the same load comes to with shedding and without: the table of the two.
#[test]
fn without_shedding_the_same_load_is_the_end() {
    for_all(all(), |upstream| {
        let capacity = upstream.capacity();
        let with = run(&scenario(upstream, 3.0, learns()));
        let early = scenario(upstream, 3.0, policy(false, 0, 0));
        let without = run(&early);
        let later = run(&Scenario {
            measured_s: (27.0, 39.0),
            ..early
        });
        assert!(
            with.useful >= 0.9 * capacity,
            "{upstream:?}: {}",
            with.useful / capacity
        );
        assert!(without.answered >= 0.9 * capacity, "it works as hard");
        assert!(without.useful < 0.5 * capacity, "{upstream:?}: for nobody");
        assert!(
            later.latency(0.99) > 1.25 * without.latency(0.99),
            "{upstream:?}: without bound"
        );
        assert!(without.latency(0.5) > 20.0 * with.latency(0.5), "{upstream:?}");
    });
}

#[test]
fn a_given_limit_protects_as_well_if_it_is_right() {
    for_all(all(), |upstream| {
        let given = policy(false, upstream.places + upstream.places.div_ceil(4), 0);
        let outcome = run(&scenario(upstream, 3.0, given));
        assert_holds(upstream, &outcome, "with a given limit");
    });
}

#[test]
fn a_line_takes_up_a_burst_and_makes_nobody_late_under_a_lasting_overload() {
    for_all(all(), |upstream| {
        let capacity = upstream.capacity();
        let lasting = run(&scenario(upstream, 3.0, policy(true, 0, 10_000)));
        assert!(
            lasting.answered >= 0.9 * capacity,
            "{upstream:?}: {}",
            lasting.answered / capacity
        );
        assert!(lasting.total(0.99) <= 3.0 * lasting.latency(0.99));
        assert!(lasting.total(0.5) <= 3.0 * lasting.latency(0.5));
        assert!(lasting.timed_out == 0.0, "who waits is served");
        // For a moment three times as much as it can do, then a while with little.
        let burst = run(&Scenario {
            offered: vec![
                (0.0, 0.5 * capacity),
                (20.0, 3.0 * capacity),
                (20.2, 0.2 * capacity),
            ],
            measured_s: (19.0, 30.0),
            ..scenario(upstream, 1.0, policy(true, 0, 10_000))
        });
        assert!(burst.refused == 0.0, "{upstream:?}: {}", burst.refused);
    });
}

#[test]
fn a_run_is_the_same_each_time() {
    let upstream = all()[1];
    let [first, second] = [(); 2].map(|()| run(&scenario(upstream, 3.0, learns())));
    assert_eq!(first.limits, second.limits);
    assert_eq!(first.latency_ms, second.latency_ms);
}
