//! What a limit promises, one promise at a time. Arithmetic against models is in `model`, threads in `threads`.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::config::plan::{LimitKey, OnRedisError, RateLimit};
use crate::kit::clock::Mono;

mod model;
mod table;
mod threads;

pub const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

pub fn plan(count: u32, period: Duration, burst: u32) -> RateLimit {
    RateLimit {
        name: "per_client".into(),
        key: LimitKey::ClientIp,
        count: NonZeroU32::new(count).unwrap(),
        period,
        burst: NonZeroU32::new(burst).unwrap(),
        max_keys: 1_000,
        shared: false,
        on_redis_error: OnRedisError::Local,
    }
}

pub fn over(table: &Arc<Table>, count: u32, period: Duration, burst: u32) -> Limiter {
    Limiter::new(Arc::new(plan(count, period, burst)), table.clone())
}

pub fn limiter(count: u32, period: Duration, burst: u32) -> Limiter {
    over(&Arc::new(Table::new(1_000)), count, period, burst)
}

/// Hashes as even as those of real keys.
pub fn key(n: u64) -> KeyHash {
    KeyHash(xxhash_rust::xxh3::xxh3_64(&n.to_le_bytes()))
}

pub fn is_admitted(limiter: &Limiter, key: KeyHash, now: Mono) -> bool {
    matches!(admit(&[(limiter, key)], now), Verdict::Admitted(_))
}

/// How many one after the other at this moment, of at most a thousand.
pub fn admitted(limiter: &Limiter, key: KeyHash, now: Mono) -> usize {
    (0..1_000).take_while(|_| is_admitted(limiter, key, now)).count()
}

fn wait(limiter: &Limiter, key: KeyHash, now: Mono) -> Option<Duration> {
    match admit(&[(limiter, key)], now) {
        Verdict::Admitted(_) => None,
        Verdict::Refused { retry_after, .. } => Some(retry_after),
    }
}

fn at(ms: u64) -> Mono {
    Mono(ms * 1_000_000)
}

#[test]
fn a_burst_is_admitted_at_once_and_then_as_many_as_the_rate_says() {
    let limit = limiter(10, SECOND, 20);
    assert_eq!(admitted(&limit, key(1), at(0)), 20);
    assert_eq!(admitted(&limit, key(1), at(0)), 0, "time stands still");
    assert_eq!(admitted(&limit, key(1), at(99)), 0);
    assert_eq!(admitted(&limit, key(1), at(100)), 1);
    assert_eq!(admitted(&limit, key(1), at(1_100)), 10);
    assert_eq!(admitted(&limit, key(1), at(3_099)), 19);
}

#[test]
fn after_a_long_pause_it_is_one_burst_and_not_more() {
    let limit = limiter(10, SECOND, 20);
    assert_eq!(admitted(&limit, key(1), at(0)), 20);
    assert_eq!(admitted(&limit, key(1), at(1_000_000_000)), 20);
}

#[test]
fn keys_are_counted_apart() {
    let limit = limiter(1, SECOND, 1);
    assert!((0..100).all(|n| is_admitted(&limit, key(n), at(0))));
    assert!((0..100).all(|n| !is_admitted(&limit, key(n), at(0))));
}

#[test]
fn who_waits_as_told_is_admitted_and_not_a_nanosecond_before() {
    let limit = limiter(3, SECOND, 2);
    assert_eq!(admitted(&limit, key(1), at(7)), 2);
    let wait = wait(&limit, key(1), at(7)).unwrap();
    let then = at(7).plus(wait);
    assert!(!is_admitted(&limit, key(1), Mono(then.0 - 1)));
    assert!(is_admitted(&limit, key(1), then));
}

#[test]
fn refused_requests_are_not_charged() {
    let limit = limiter(1, SECOND, 1);
    assert!(is_admitted(&limit, key(1), at(0)));
    assert!((0..1_000).all(|ms| !is_admitted(&limit, key(1), at(ms))));
    assert!(is_admitted(&limit, key(1), at(1_000)));
}

#[test]
fn one_a_day_is_one_a_day() {
    let limit = limiter(1, DAY, 1);
    assert_eq!(admitted(&limit, key(1), at(0)), 1);
    assert_eq!(wait(&limit, key(1), at(1)), Some(DAY - Duration::from_millis(1)));
    assert!(!is_admitted(&limit, key(1), Mono(86_400_000_000_000 - 1)));
    assert!(is_admitted(&limit, key(1), Mono(86_400_000_000_000)));
}

#[test]
fn rates_beyond_one_in_a_nanosecond_are_limits_still() {
    for count in [1_000_000_000, u32::MAX] {
        let limit = limiter(count, SECOND, 3);
        assert_eq!(admitted(&limit, key(1), Mono(5)), 3);
        assert_eq!(admitted(&limit, key(1), Mono(6)), 1);
        assert_eq!(admitted(&limit, key(1), Mono(8)), 2);
    }
}

#[test]
fn a_rate_that_is_no_whole_nanosecond_is_never_exceeded() {
    let limit = limiter(7, SECOND, 1);
    let last = Mono(1_000_000_000 / 7);
    assert!(is_admitted(&limit, key(1), Mono(0)));
    assert!(!is_admitted(&limit, key(1), last));
    assert!(is_admitted(&limit, key(1), Mono(last.0 + 1)));
}

#[test]
fn the_largest_numbers_do_not_overflow_into_no_limit() {
    for (period, burst, most) in [
        (Duration::MAX, u32::MAX, 1),
        (Duration::MAX, 1, 1),
        (Duration::from_nanos(gcra::DEBT_NS_MAX / 2), u32::MAX, 2),
        (Duration::from_nanos(u64::MAX), 5, 1),
        (DAY, 999, 999),
    ] {
        for now in [0, gcra::TIME_NS_MAX, u64::MAX - 1, u64::MAX] {
            let limit = limiter(1, period, burst);
            assert_eq!(
                admitted(&limit, key(1), Mono(now)),
                most,
                "{period:?} {burst} {now}"
            );
            assert!(!is_admitted(&limit, key(1), Mono(now.saturating_add(1))));
        }
    }
    let pace = gcra::Pace::of(&plan(1, DAY, u32::MAX));
    assert_eq!(u64::from(pace.burst()), gcra::DEBT_NS_MAX / 86_400_000_000_000);
}

#[test]
fn a_clock_that_goes_back_admits_no_more() {
    let limit = limiter(10, SECOND, 5);
    assert_eq!(admitted(&limit, key(1), at(10_000)), 5);
    assert_eq!(admitted(&limit, key(1), at(0)), 0);
    assert_eq!(admitted(&limit, key(1), at(10_000)), 0);
}

#[test]
fn the_standing_is_of_the_limit_nearest_to_its_end() {
    let (a, b) = (limiter(10, SECOND, 20), limiter(1, SECOND, 3));
    let limits = [(&a, key(1)), (&b, key(1))];
    let standing = |remaining, reset_ms| {
        Verdict::Admitted(Standing {
            limit: 1,
            remaining,
            reset: Duration::from_millis(reset_ms),
        })
    };
    assert_eq!(admit(&limits, at(0)), standing(2, 1_000));
    assert_eq!(admit(&limits, at(200)), standing(1, 800));
    assert_eq!(admit(&limits, at(200)), standing(0, 800));
    let refused = admit(&limits, at(500));
    let left = Duration::from_millis(500);
    assert_eq!(
        refused,
        Verdict::Refused {
            limit: 1,
            retry_after: left,
            standing: Standing {
                limit: 1,
                remaining: 0,
                reset: left,
            }
        }
    );
}

#[test]
fn no_limit_is_charged_when_one_refuses_and_the_longest_wait_is_told() {
    let (a, b, c) = (limiter(1, SECOND, 1), limiter(1, DAY, 1), limiter(10, SECOND, 7));
    assert!(is_admitted(&a, key(1), at(0)));
    assert!(is_admitted(&b, key(1), at(0)));
    let mut limits = [(&a, key(1)), (&b, key(1)), (&c, key(1))];
    for _ in 0..3 {
        for _ in 0..100 {
            let Verdict::Refused {
                limit, retry_after, ..
            } = admit(&limits, at(0))
            else {
                panic!("two of three are spent")
            };
            assert!(std::ptr::eq(limits[limit].0, &b));
            assert_eq!(retry_after, DAY);
        }
        limits.rotate_left(1);
    }
    assert_eq!(admitted(&c, key(1), at(0)), 7);
}

#[test]
fn a_limit_named_twice_counts_once_and_two_keys_of_one_count_both() {
    let limit = limiter(1, SECOND, 4);
    let twice = [(&limit, key(1)), (&limit, key(1))];
    assert!(matches!(admit(&twice, at(0)), Verdict::Admitted(s) if s.remaining == 3));
    refund(&twice, at(0), at(0));
    assert_eq!(admitted(&limit, key(1), at(0)), 4);

    let both = [(&limit, key(2)), (&limit, key(3))];
    assert!(matches!(admit(&both, at(0)), Verdict::Admitted(_)));
    assert_eq!(admitted(&limit, key(2), at(0)), 3);
    assert_eq!(admitted(&limit, key(3), at(0)), 3);

    // So it is with what is given back.
    let limit = limiter(1, SECOND, 4);
    let twice = [(&limit, key(1)), (&limit, key(1))];
    assert!(matches!(admit(&twice, at(0)), Verdict::Admitted(_)) && is_admitted(&limit, key(1), at(0)));
    refund(&twice, at(0), at(0));
    assert_eq!(admitted(&limit, key(1), at(0)), 3);
    let others = [(&limit, key(4)), (&limit, key(5))];
    assert!(matches!(admit(&others, at(0)), Verdict::Admitted(_)));
    refund(&others, at(0), at(0));
    assert_eq!(admitted(&limit, key(4), at(0)), 4);
    assert_eq!(admitted(&limit, key(5), at(0)), 4);
}

#[test]
fn without_limits_everybody_is_admitted() {
    assert!(matches!(admit(&[], at(0)), Verdict::Admitted(s) if s.remaining == u32::MAX));
    refund(&[], at(0), at(0));
}

#[test]
fn a_refund_at_once_gives_everything_back() {
    let limit = limiter(10, SECOND, 20);
    for _ in 0..100 {
        assert!(is_admitted(&limit, key(1), at(5)));
        refund(&[(&limit, key(1))], at(5), at(5));
    }
    assert_eq!(admitted(&limit, key(1), at(5)), 20);
    refund(&[(&limit, key(1))], at(5), at(5));
    assert_eq!(admitted(&limit, key(1), at(5)), 1);
}

#[test]
fn a_late_refund_gives_back_what_is_left_and_nothing_on_top_of_the_limit() {
    let limit = limiter(10, SECOND, 2);
    assert!(is_admitted(&limit, key(1), at(0)));
    assert!(is_admitted(&limit, key(1), at(5_000)));
    refund(&[(&limit, key(1))], at(0), at(5_000));
    assert_eq!(
        admitted(&limit, key(1), at(5_000)),
        1,
        "the charge had long been made good"
    );

    let limit = limiter(10, SECOND, 1);
    assert!(is_admitted(&limit, key(1), at(0)));
    refund(&[(&limit, key(1))], at(0), at(60));
    assert_eq!(admitted(&limit, key(1), at(60)), 1);
    assert_eq!(admitted(&limit, key(1), at(159)), 0);
}

#[test]
fn a_refund_for_an_unknown_key_changes_nothing() {
    let limit = limiter(10, SECOND, 2);
    refund(&[(&limit, key(1))], at(0), at(0));
    assert_eq!(limit.table.keys(), 0);
    assert_eq!(admitted(&limit, key(1), at(0)), 2);
}

#[test]
fn another_rate_keeps_what_was_spent_in_requests() {
    let table = Arc::new(Table::new(1_000));
    let old = over(&table, 10, SECOND, 10);
    assert_eq!((0..7).filter(|_| is_admitted(&old, key(1), at(0))).count(), 7);

    let slow = over(&table, 1, Duration::from_secs(60), 10);
    assert_eq!(admitted(&slow, key(1), at(0)), 3);
    assert_eq!(wait(&slow, key(1), at(0)), Some(Duration::from_secs(60)));

    let fast = over(&table, 1_000, SECOND, 10);
    assert_eq!(admitted(&fast, key(1), at(0)), 0);
    assert_eq!(wait(&fast, key(1), at(0)), Some(Duration::from_millis(1)));
}

#[test]
fn what_was_made_good_before_a_reload_stays_made_good() {
    let table = Arc::new(Table::new(1_000));
    let old = over(&table, 10, SECOND, 10);
    assert_eq!(admitted(&old, key(1), at(0)), 10);
    let new = over(&table, 1, DAY, 10);
    assert_eq!(admitted(&new, key(1), at(500)), 5);
}

#[test]
fn a_smaller_burst_is_at_most_spent_and_a_larger_one_adds_its_difference() {
    let table = Arc::new(Table::new(1_000));
    assert_eq!(admitted(&over(&table, 10, SECOND, 100), key(1), at(0)), 100);
    let small = over(&table, 10, SECOND, 5);
    assert_eq!(wait(&small, key(1), at(0)), Some(Duration::from_millis(100)));
    assert_eq!(admitted(&small, key(1), at(500)), 5);
    assert_eq!(admitted(&over(&table, 10, SECOND, 8), key(1), at(500)), 3);
}

#[test]
fn a_limit_that_was_wired_and_never_asked_changes_nothing() {
    let table = Arc::new(Table::new(1_000));
    let old = over(&table, 10, SECOND, 10);
    assert_eq!(admitted(&old, key(1), at(0)), 10);
    let _given_up = over(&table, 1, DAY, 1);
    assert_eq!(admitted(&old, key(1), at(300)), 3);
}

#[test]
fn requests_of_the_configuration_before_are_judged_by_the_newest() {
    let table = Arc::new(Table::new(1_000));
    let (old, new) = (over(&table, 10, SECOND, 100), over(&table, 1, DAY, 5));
    assert_eq!(admitted(&new, key(1), at(0)), 5);
    assert_eq!(admitted(&old, key(1), at(3_000)), 0);
    assert_eq!(wait(&new, key(1), at(3_000)), Some(DAY - 3 * SECOND));
}

#[test]
fn a_refund_across_a_change_of_rate_gives_nothing_back() {
    let table = Arc::new(Table::new(1_000));
    let old = over(&table, 1, SECOND, 2);
    assert!(is_admitted(&old, key(1), at(0)));
    let new = over(&table, 1, DAY, 2);
    assert!(is_admitted(&new, key(1), at(999)));
    refund(&[(&new, key(1))], at(0), at(999));
    assert_eq!(admitted(&new, key(1), at(999)), 0);
}

#[test]
fn the_fields_say_burst_and_the_time_that_makes_it_good() {
    let text = |count, period, burst| {
        let mut out = Vec::new();
        fields::write_policy([&limiter(count, period, burst)], &mut out);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(text(10, SECOND, 20), "\"per_client\";q=20;w=2");
    assert_eq!(text(3, SECOND, 3), "\"per_client\";q=3;w=1");
    assert_eq!(text(100, SECOND, 20), "\"per_client\";q=20;w=1");
    assert_eq!(text(100, SECOND, 250), "\"per_client\";q=250;w=3");
    assert_eq!(text(1, DAY, 1), "\"per_client\";q=1;w=86400");
    assert_eq!(text(1, Duration::MAX, 1), "\"per_client\";q=1;w=999999999999999");

    let (a, b) = (limiter(10, SECOND, 20), limiter(1, SECOND, 6));
    let mut out = b"x".to_vec();
    fields::write_policy([&a, &b], &mut out);
    assert_eq!(out, b"x\"per_client\";q=20;w=2, \"per_client\";q=6;w=6");

    let mut out = Vec::new();
    let standing = Standing {
        limit: 0,
        remaining: 5,
        reset: Duration::from_millis(1),
    };
    fields::write_standing(&a, &standing, &mut out);
    assert_eq!(out, b"\"per_client\";r=5;t=1");
}

#[test]
fn retry_after_is_whole_seconds_never_too_early_and_never_zero() {
    for (wait, s) in [
        (Duration::ZERO, 1),
        (Duration::from_nanos(1), 1),
        (SECOND, 1),
        (SECOND + Duration::from_nanos(1), 2),
        (DAY, 86_400),
        (Duration::MAX, 999_999_999_999_999),
    ] {
        assert_eq!(fields::retry_after_s(wait), s, "{wait:?}");
    }
}

#[test]
#[should_panic(expected = "names of limits")]
fn a_name_that_had_to_be_escaped_is_not_written() {
    let mut plan = plan(1, SECOND, 1);
    plan.name = "a\"b".into();
    Limiter::new(Arc::new(plan), Arc::new(Table::new(1)));
}
