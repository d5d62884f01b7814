//! The same decisions as governor, and as a model that remembers every request.

use std::collections::HashMap;

use governor::clock::FakeRelativeClock;
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use proptest::prelude::*;

use super::*;

/// Rates from one an hour to 10^9 a second, with bursts that a test can spend.
fn rates() -> impl Strategy<Value = (u32, Duration, u32)> {
    let periods = prop_oneof![Just(1), Just(60), Just(3_600)].prop_map(Duration::from_secs);
    let counts = prop_oneof![1..20u32, 1..2_000u32, Just(1_000_000_000)];
    (counts, periods, 1..12u32)
}

/// Steps of time in eighths of an interval and single nanoseconds: close to where decisions turn.
fn steps(most: usize) -> impl Strategy<Value = Vec<(u64, u64, u64)>> {
    let eighths = prop_oneof![4 => Just(0), 4 => 0..10u64, 1 => 0..200u64];
    prop::collection::vec((eighths, 0..3u64, 0..3u64), 1..most)
}

/// Every admitted request of one key, and the rate in whole numbers.
struct Window {
    admitted_ns: Vec<u128>,
    interval_ns: u128,
    burst: u128,
}

impl Window {
    fn new(count: u32, period: Duration, burst: u32) -> Self {
        Self {
            admitted_ns: Vec::new(),
            interval_ns: period.as_nanos().div_ceil(count.into()),
            burst: burst.into(),
        }
    }

    /// Whether no window that ends now would have more than burst + rate × time with one more.
    fn has_room(&self, now_ns: u128) -> bool {
        let count = self.admitted_ns.len();
        (0..count).all(|i| {
            let (in_window, length_ns) = ((count - i + 1) as u128, now_ns - self.admitted_ns[i]);
            in_window * self.interval_ns <= self.burst * self.interval_ns + length_ns
        })
    }
}

proptest! {
    #[test]
    fn decisions_and_waits_are_governors((count, period, burst) in rates(), steps in steps(80)) {
        let ours = limiter(count, period, burst);
        let interval_ns = (period.as_nanos() as u64).div_ceil(count.into());
        let quota = Quota::with_period(Duration::from_nanos(interval_ns)).unwrap();
        let quota = quota.allow_burst(NonZeroU32::new(burst).unwrap());
        let clock = FakeRelativeClock::default();
        let store = HashMapStateStore::<u64>::default();
        let theirs = RateLimiter::<_, _, _, StateInformationMiddleware>::new(quota, store, clock.clone());
        let mut now = Mono(0);
        for (eighths, nanos, n) in steps {
            let step = Duration::from_nanos(interval_ns * eighths / 8 + nanos);
            clock.advance(step);
            now = now.plus(step);
            let there = theirs.check_key(&n);
            match admit(&[(&ours, key(n))], now) {
                Verdict::Admitted(standing) => {
                    let snapshot = there.expect("governor admits");
                    prop_assert_eq!(standing.remaining, snapshot.remaining_burst_capacity());
                }
                Verdict::Refused { retry_after, .. } => {
                    let until = there.expect_err("governor refuses");
                    prop_assert_eq!(retry_after, until.wait_time_from(now.0.into()));
                }
            }
        }
    }

    #[test]
    fn what_is_admitted_is_what_no_window_has_too_much_of(
        (count, period, burst) in rates(),
        steps in steps(80),
    ) {
        let limit = limiter(count, period, burst);
        let mut models = HashMap::new();
        let mut now = Mono(0);
        for (eighths, nanos, n) in steps {
            let model = models.entry(n).or_insert_with(|| Window::new(count, period, burst));
            now = Mono(now.0 + model.interval_ns as u64 * eighths / 8 + nanos);
            let expected = model.has_room(now.0.into());
            prop_assert_eq!(is_admitted(&limit, key(n), now), expected);
            if expected {
                model.admitted_ns.push(now.0.into());
            }
        }
    }

    #[test]
    fn a_look_says_what_admission_would_say_and_changes_nothing(
        rates in prop::collection::vec(rates(), 1..4),
        steps in steps(60),
        reload in any::<prop::sample::Index>(),
    ) {
        let tables: Vec<_> = rates.iter().map(|_| Arc::new(Table::new(1_000))).collect();
        let over_all = |shift: u32| -> Vec<Limiter> {
            let of = |(table, &(c, p, b)): (&Arc<Table>, &(u32, Duration, u32))| over(table, c, p, b + shift);
            tables.iter().zip(&rates).map(of).collect()
        };
        let (old, new) = (over_all(0), over_all(2));
        let reload = reload.index(steps.len());
        let mut now = Mono(0);
        for (i, (eighths, nanos, n)) in steps.into_iter().enumerate() {
            let limiters = if i < reload { &old } else { &new };
            let asked: Vec<_> = limiters.iter().enumerate().map(|(l, at)| (at, key(n >> l))).collect();
            let interval_ns = asked[i % asked.len()].0.pace.interval_ns();
            now = Mono(now.0 + interval_ns * eighths / 8 + nanos);
            let held: Vec<usize> = tables.iter().map(|table| table.keys()).collect();
            let seen = peek(&asked, now);
            prop_assert_eq!(&seen, &peek(&asked, now));
            prop_assert_eq!(held, tables.iter().map(|table| table.keys()).collect::<Vec<_>>());
            for (outlook, one) in seen.1.iter().zip(&asked) {
                prop_assert_eq!(outlook.left == 0, matches!(peek(&[*one], now).0, Verdict::Refused { .. }));
            }
            prop_assert_eq!(seen.0, admit(&asked, now));
        }
    }

    #[test]
    fn several_limits_admit_together_or_charge_nothing(
        rates in prop::collection::vec(rates(), 1..4),
        steps in steps(60),
    ) {
        let limiters: Vec<Limiter> = rates.iter().map(|&(c, p, b)| limiter(c, p, b)).collect();
        let mut models = HashMap::new();
        let mut now = Mono(0);
        for (i, (eighths, nanos, n)) in steps.into_iter().enumerate() {
            // Each limit has its own notion of who this is: by one, by two, everybody.
            let keys: Vec<u64> = (0..limiters.len() as u64).map(|l| n >> l).collect();
            let asked: Vec<_> = limiters.iter().zip(&keys).map(|(l, k)| (l, key(*k))).collect();
            let interval_ns = asked[i % asked.len()].0.pace.interval_ns();
            now = Mono(now.0 + interval_ns * eighths / 8 + nanos);
            let mut rooms = Vec::new();
            for (l, k) in keys.iter().enumerate() {
                let (count, period, burst) = rates[l];
                let model = models.entry((l, *k)).or_insert_with(|| Window::new(count, period, burst));
                rooms.push(model.has_room(now.0.into()));
            }
            let expected = rooms.iter().all(|room| *room);
            match admit(&asked, now) {
                Verdict::Admitted(_) => prop_assert!(expected),
                Verdict::Refused { limit, .. } => prop_assert!(!rooms[limit]),
            }
            for (l, k) in keys.into_iter().enumerate().filter(|_| expected) {
                models.get_mut(&(l, k)).unwrap().admitted_ns.push(now.0.into());
            }
        }
    }

    /// Refunds come late and in any order; what was refunded has not been.
    #[test]
    fn refunds_never_admit_more_than_the_limit(
        (count, period, burst) in rates(),
        steps in prop::collection::vec((0..20u64, 0..3u64, any::<prop::sample::Index>()), 1..120),
    ) {
        let limit = limiter(count, period, burst);
        let interval_ns = limit.pace.interval_ns();
        let mut admitted: Vec<Mono> = Vec::new();
        let mut now = Mono(0);
        for (eighths, what, which) in steps {
            now = Mono(now.0 + interval_ns * eighths / 8);
            if what == 0 && !admitted.is_empty() {
                let back = admitted.remove(which.index(admitted.len()));
                refund(&[(&limit, key(1))], back, now);
            } else if is_admitted(&limit, key(1), now) {
                admitted.push(now);
            }
        }
        for (i, from) in admitted.iter().enumerate() {
            for (j, to) in admitted.iter().enumerate().skip(i) {
                let counted = (j - i + 1) as u64 * interval_ns;
                prop_assert!(counted <= u64::from(burst) * interval_ns + (to.0 - from.0));
            }
        }
    }

    #[test]
    fn a_changed_rate_keeps_the_debt_in_requests(
        (c1, p1, burst) in rates(),
        (c2, p2, _) in rates(),
        spent in 0..12u32,
        elapsed in 0..3u64,
    ) {
        let table = Arc::new(Table::new(100));
        let (old, new) = (over(&table, c1, p1, burst), over(&table, c2, p2, burst));
        let spent = spent.min(burst);
        for _ in 0..spent {
            prop_assert!(is_admitted(&old, key(1), Mono(0)));
        }
        let now = Mono(old.pace.interval_ns() * elapsed);
        let owed = u64::from(spent).saturating_sub(elapsed);
        prop_assert_eq!(admitted(&new, key(1), now) as u64, u64::from(burst) - owed);
    }
}
