use std::num::NonZeroU32;

use proptest::prelude::*;

use super::*;
use crate::guard::rate::gcra::DEBT_NS_MAX;

fn limit(name: &str, key: LimitKey, count: u32, period: Duration, burst: u32) -> Arc<RateLimit> {
    Arc::new(RateLimit {
        name: name.to_owned(),
        key,
        count: NonZeroU32::new(count).unwrap(),
        period,
        burst: NonZeroU32::new(burst).unwrap(),
        max_keys: 1,
        shared: true,
        on_redis_error: OnRedisError::Local,
    })
}

fn per_client() -> Arc<RateLimit> {
    limit("api", LimitKey::ClientIp, 10, Duration::from_secs(1), 20)
}

fn asked(limit: &Arc<RateLimit>) -> Asked {
    Asked {
        limit: Arc::clone(limit),
        key: SharedKey::of(limit, Part::Everything),
    }
}

fn address(text: &str) -> Part<'_> {
    Part::Address(text.parse().unwrap())
}

#[test]
fn a_name_in_redis_is_the_same_for_ever() {
    // Were it another one with the next version, an update gateway by gateway would count everything twice over.
    let limit = per_client();
    let key = SharedKey::of(&limit, address("192.0.2.1"));
    let asked = Asked { limit, key };
    assert_eq!(asked.key_name(), "sluice:rl:api:5c87661811c0382c7634c1d8c7dbca3f");
}

#[test]
fn an_address_counts_as_its_network_and_however_it_is_written() {
    let limit = per_client();
    let key = |text| SharedKey::of(&limit, address(text));
    assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:1:2:3"));
    assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
    assert_eq!(key("192.0.2.1"), key("::ffff:192.0.2.1"));
    assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
}

#[test]
fn kinds_of_keys_are_counted_apart() {
    let kinds = [
        LimitKey::ClientIp,
        LimitKey::Cookie("x".to_owned()),
        LimitKey::Global,
        LimitKey::Header("x".to_owned()),
        LimitKey::Header("y".to_owned()),
        LimitKey::JwtClaim("x".to_owned()),
        LimitKey::Route,
    ];
    let parts = [
        Part::Everything,
        address("192.0.2.1"),
        Part::Value(b"192.0.2.1"),
        Part::Value(&[192, 0, 2, 1]),
        Part::Value(b""),
    ];
    let limits = kinds.map(|kind| limit("api", kind, 1, Duration::from_secs(1), 1));
    let all = limits
        .iter()
        .flat_map(|limit| parts.map(|part| SharedKey::of(limit, part)));
    let distinct: std::collections::HashSet<_> = all.collect();
    assert_eq!(distinct.len(), limits.len() * parts.len());
}

#[test]
fn what_a_closed_a_local_and_an_open_limit_make_of_a_fault() {
    use OnRedisError::{Closed, Local, Open};
    let of = |policies: &[OnRedisError]| rule(policies.iter().copied(), Err(SharedFault::Late));
    assert_eq!(of(&[Open]), Ruling::Open);
    assert_eq!(of(&[Open, Local, Open]), Ruling::Local);
    assert_eq!(of(&[Local, Open, Closed]), Ruling::Closed { limit: 2 });
}

#[test]
fn an_answer_is_awaited_wherever_it_comes_from() {
    let fault = || Err(SharedFault::Failed);
    let mut cx = Context::from_waker(std::task::Waker::noop());
    let mut known = Pending::known(fault());
    assert_eq!(Pin::new(&mut known).poll(&mut cx), Poll::Ready(fault()));
    let mut open = Pending::of(async move { fault() });
    assert_eq!(Pin::new(&mut open).poll(&mut cx), Poll::Ready(fault()));
}

fn any_policy() -> impl Strategy<Value = OnRedisError> {
    prop_oneof![
        Just(OnRedisError::Closed),
        Just(OnRedisError::Local),
        Just(OnRedisError::Open)
    ]
}

fn any_fault() -> impl Strategy<Value = SharedFault> {
    prop_oneof![
        Just(SharedFault::Failed),
        Just(SharedFault::Garbled),
        Just(SharedFault::Late),
        Just(SharedFault::Unavailable)
    ]
}

prop_compose! {
    /// From the slowest to rates that have no whole nanosecond between two requests.
    fn any_limit()(count in 1..=u32::MAX, period_ns in 1..=u64::MAX, burst in 1..=u32::MAX) -> Arc<RateLimit> {
        limit("any", LimitKey::Global, count, Duration::from_nanos(period_ns), burst)
    }
}

proptest! {
    #[test]
    fn an_answer_rules_and_without_one_the_strictest_policy(
        policies in prop::collection::vec(any_policy(), 1..6),
        fault in any_fault(),
    ) {
        let counted = Answer::Admitted(Vec::new());
        let ruling = rule(policies.iter().copied(), Ok(counted.clone()));
        prop_assert_eq!(ruling, Ruling::Counted(counted));
        let expected = if let Some(limit) = policies.iter().position(|p| *p == OnRedisError::Closed) {
            Ruling::Closed { limit }
        } else if policies.contains(&OnRedisError::Local) {
            Ruling::Local
        } else {
            Ruling::Open
        };
        prop_assert_eq!(rule(policies, Err(fault)), expected);
    }

    #[test]
    fn values_never_share_a_key(a in prop::collection::vec(any::<u8>(), 0..40), b in prop::collection::vec(any::<u8>(), 0..40)) {
        let limit = limit("api", LimitKey::Header("x".to_owned()), 1, Duration::from_secs(1), 1);
        let keys = [&a, &b].map(|value| SharedKey::of(&limit, Part::Value(value)));
        prop_assert_eq!(a == b, keys[0] == keys[1]);
    }

    #[test]
    fn a_limit_s_name_and_its_field_s_name_do_not_run_into_each_other(text in "[a-z]{2,8}", cut in 1usize..7) {
        let cut = cut.min(text.len() - 1);
        let (name, field) = text.split_at(cut);
        let one = limit(name, LimitKey::Header(field.to_owned()), 1, Duration::from_secs(1), 1);
        let other = limit(&text, LimitKey::Header(String::new()), 1, Duration::from_secs(1), 1);
        let key = |limit| SharedKey::of(limit, Part::Value(b"v"));
        prop_assert_ne!(key(&one), key(&other));
    }

    #[test]
    fn what_the_script_is_told_fits_in_its_integers(limit in any_limit()) {
        let asked = asked(&limit);
        let exact = limit.period.as_nanos().div_ceil(u128::from(limit.count.get()));
        prop_assert!(asked.interval_ns() >= 1 && asked.burst() >= 1);
        prop_assert_eq!(u128::from(asked.interval_ns()), exact.clamp(1, u128::from(DEBT_NS_MAX)));
        let span = u128::from(asked.interval_ns()) * u128::from(asked.burst());
        prop_assert!(span <= u128::from(DEBT_NS_MAX));
        // The burst is cut only where it must be.
        let wanted = u128::from(asked.interval_ns()) * u128::from(limit.burst.get());
        prop_assert!(span == wanted || span + u128::from(asked.interval_ns()) > u128::from(DEBT_NS_MAX));
    }

    #[test]
    fn numbers_mean_what_a_naive_count_says(
        limits in prop::collection::vec((any_limit(), 0.0..=1.0f64), 1..4),
        refusing in 0usize..4,
        wait_ns in 1i64..i64::MAX,
    ) {
        let ask = Ask { limits: limits.iter().map(|(limit, _)| asked(limit)).collect() };
        let aheads: Vec<_> = limits.iter().zip(&ask.limits).map(|((_, part), asked)| {
            ((asked.interval_ns() * asked.burst()) as f64 * part) as i64
        }).collect();
        let expected: Vec<_> = ask.limits.iter().zip(&aheads).map(|(asked, ahead)| {
            let free = i128::from(asked.interval_ns()) * i128::from(asked.burst()) - i128::from(*ahead);
            Left {
                remaining: u32::try_from(free.max(0) / i128::from(asked.interval_ns())).unwrap(),
                // Until what is free makes one request more than it does now.
                reset: Duration::from_nanos(if *ahead == 0 { 0 } else {
                    let interval = i128::from(asked.interval_ns());
                    u64::try_from((free.max(0) / interval + 1) * interval - free).unwrap()
                }),
            }
        }).collect();

        let admitted = [&[0, 0], aheads.as_slice()].concat();
        prop_assert_eq!(ask.read(&admitted), Ok(Answer::Admitted(expected.clone())));

        let refused = [&[refusing as i64 + 1, wait_ns], aheads.as_slice()].concat();
        let read = ask.read(&refused);
        if refusing < limits.len() {
            let retry_after = Duration::from_nanos(wait_ns as u64);
            prop_assert_eq!(read, Ok(Answer::Refused { limit: refusing, retry_after, left: expected }));
        } else {
            prop_assert_eq!(read, Err(SharedFault::Garbled));
        }
    }

    #[test]
    fn numbers_of_somebody_else_are_no_answer(numbers in prop::collection::vec(any::<i64>(), 0..8)) {
        let ask = Ask { limits: vec![asked(&per_client()), asked(&per_client())] };
        let is_answer = match numbers.as_slice() {
            [0, 0, a, b] => *a >= 0 && *b >= 0,
            [1 | 2, wait, a, b] => *wait > 0 && *a >= 0 && *b >= 0,
            _ => false,
        };
        prop_assert_eq!(ask.read(&numbers).is_ok(), is_answer, "{:?}", numbers);
    }

    #[test]
    fn small_numbers_are_told_apart_too(numbers in prop::collection::vec(-1i64..4, 0..6)) {
        let ask = Ask { limits: vec![asked(&per_client()), asked(&per_client())] };
        let is_answer = match numbers.as_slice() {
            [0, 0, a, b] => *a >= 0 && *b >= 0,
            [1 | 2, wait, a, b] => *wait > 0 && *a >= 0 && *b >= 0,
            _ => false,
        };
        prop_assert_eq!(ask.read(&numbers).is_ok(), is_answer, "{:?}", numbers);
    }
}
