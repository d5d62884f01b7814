//! The pure core by itself.

use proptest::prelude::*;

use super::super::learn::{LIMIT_MAX, LIMIT_MIN, LIMIT_START, Learnt, SAMPLES, Window};
use super::*;

fn window(answered: u32, failed: u32, latency_ms: u64, in_flight: u32) -> Window {
    let mut window = Window::default();
    for _ in 0..answered {
        window.add(Some(Duration::from_millis(latency_ms)), u64::MAX, in_flight);
    }
    for _ in 0..failed {
        window.add(None, u64::MAX, in_flight);
    }
    window
}

fn steps(mut learnt: Learnt, windows: u32, of: impl Fn(&Learnt) -> Window) -> Learnt {
    for _ in 0..windows {
        learnt = learnt.step(&of(&learnt), LIMIT_MAX);
    }
    learnt
}

/// After some windows at full load with no sign of a queue; the next one counts.
fn unhurried() -> Learnt {
    steps(Learnt::default(), 13, |l| window(SAMPLES, 0, 10, l.in_force()))
}

#[test]
fn latency_that_stays_lets_it_double_up_to_the_bound() {
    let learnt = unhurried();
    assert!(learnt.limit() >= 16 * LIMIT_START, "{learnt:?}");
    let bounded = learnt.step(&window(SAMPLES, 0, 10, learnt.in_force()), 50);
    assert_eq!(bounded.limit(), 50);
}

#[test]
fn failures_of_a_full_upstream_take_as_much_of_the_limit_as_there_are() {
    let before = unhurried();
    let limit = before.limit();
    let all = before.step(&window(0, SAMPLES, 0, limit), LIMIT_MAX);
    assert_eq!(all.limit(), limit / 2);
    let none = steps(before, 20, |l| window(0, SAMPLES, 0, l.in_force()));
    assert_eq!(none.limit(), LIMIT_MIN);
    let half = before.step(&window(50, 50, 10, limit), LIMIT_MAX);
    assert_eq!(half.limit(), limit * 3 / 4);
}

#[test]
fn failures_under_a_light_load_are_not_the_loads() {
    let before = unhurried();
    let after = steps(before, 100, |_| window(50, 50, 10, 5));
    assert_eq!(after.limit(), before.limit());
}

#[test]
fn latency_that_rises_under_a_light_load_takes_nothing() {
    let before = unhurried();
    let after = steps(before, 100, |_| window(SAMPLES, 0, 5_000, 5));
    assert_eq!(after.limit(), before.limit());
}

#[test]
fn it_grows_again_after_failures_have_ended() {
    let down = steps(Learnt::default(), 20, |l| window(10, SAMPLES, 10, l.in_force()));
    assert_eq!(down.limit(), LIMIT_MIN);
    let up = steps(down, 200, |l| window(SAMPLES, 0, 10, l.in_force()));
    assert!(up.limit() > 100, "{up:?}");
}

#[test]
fn one_answer_that_took_for_ever_counts_no_more_than_the_ceiling() {
    let learnt = steps(Learnt::default(), 1, |l| window(SAMPLES, 0, 10, l.in_force()));
    let mut one = Window::default();
    one.add(Some(Duration::MAX), learnt.ceiling_ns(), 1);
    assert_eq!(one.latency_ns, 80_000_000);
}

fn any_window() -> impl Strategy<Value = Window> {
    let latency = prop_oneof![Just(0), 0..100_000_000_000u64, Just(u64::MAX)];
    (0..300u32, 0..300u32, latency, 0..20_000u32).prop_map(|(answered, failed, latency_ns, in_flight)| {
        Window {
            since: NOW,
            answered,
            failed,
            latency_ns,
            in_flight: u64::from(in_flight) * u64::from(answered + failed),
            in_flight_peak: in_flight,
        }
    })
}

proptest! {
    #[test]
    fn whatever_comes_it_stays_within_bounds(
        windows in proptest::collection::vec(any_window(), 1..200),
        max in 0..20_000u32,
    ) {
        let mut learnt = Learnt::default();
        for window in windows {
            learnt = learnt.step(&window, max);
            let max = max.max(LIMIT_MIN);
            prop_assert!((LIMIT_MIN..=max).contains(&learnt.limit()), "{learnt:?}");
            prop_assert!((LIMIT_MIN..=learnt.limit()).contains(&learnt.in_force()), "{learnt:?}");
        }
    }

    #[test]
    fn a_window_always_ends_once_enough_has_come_for_long_enough(
        windows in proptest::collection::vec(any_window(), 1..50),
        count in 8..100u32,
    ) {
        let mut learnt = Learnt::default();
        for window in windows {
            learnt = learnt.step(&window, LIMIT_MAX);
            let few = window_of(count);
            prop_assert!(learnt.is_due(&few, NOW.plus(Duration::from_secs(10))), "{learnt:?}");
        }
    }
}

fn window_of(count: u32) -> Window {
    Window {
        since: NOW,
        ..window(count, 0, 1, 10_000)
    }
}
