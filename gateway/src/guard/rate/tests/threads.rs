//! Many workers at once: real threads, a clock turned by all of them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use super::*;

const THREADS: u64 = 8;
const ROUNDS: u64 = 20_000;

/// What each of the threads has seen, run at once.
fn at_once<T: Send>(work: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let work = &work;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|n| scope.spawn(move || work(n))).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    })
}

/// No window has more than burst + rate × time; the times are those the askers had read, in any order.
fn assert_no_window_has_more(mut admitted_ns: Vec<u64>, interval_ns: u64, burst: u64) {
    admitted_ns.sort_unstable();
    // The window from i to j has too many if (j - i + 1 - burst) intervals are longer than it. Of all beginnings the
    // worst for any end is the one with the largest i-th time minus i intervals… which one pass can carry along.
    let mut worst = i128::MIN;
    for (i, ns) in admitted_ns.iter().enumerate() {
        let even = i128::from(*ns) - i as i128 * i128::from(interval_ns);
        worst = worst.max(even);
        assert!(
            worst - even <= i128::from(interval_ns) * i128::from(burst - 1),
            "at {i}"
        );
    }
}

#[test]
fn threads_at_one_key_get_the_burst_and_the_rate_and_no_more() {
    let limit = limiter(1_000, SECOND, 50);
    let clock = AtomicU64::new(0);
    let admitted = at_once(|_| {
        let mut admitted_ns = Vec::new();
        for _ in 0..ROUNDS {
            let now = clock.fetch_add(10_000, Ordering::Relaxed);
            if is_admitted(&limit, key(1), Mono(now)) {
                admitted_ns.push(now);
            }
        }
        admitted_ns
    });
    let admitted: Vec<u64> = admitted.concat();
    // 1.6 s went by: 50 and 1,600, less what askers with an old time were refused.
    assert!(
        admitted.len() >= 50 && admitted.len() <= 1_650,
        "{}",
        admitted.len()
    );
    assert_no_window_has_more(admitted, 1_000_000, 50);
}

#[test]
fn while_time_stands_still_threads_get_exactly_the_burst() {
    let (a, b, c) = (
        limiter(1, SECOND, 700),
        limiter(1, SECOND, 5_000),
        limiter(1, DAY, 900),
    );
    // Each thread has its own order: a deadlock would show here.
    let admitted = at_once(|n| {
        let mut limits = [(&a, key(1)), (&b, key(n % 2)), (&c, key(1))];
        limits.rotate_left(n as usize % 3);
        (0..ROUNDS)
            .filter(|_| matches!(admit(&limits, at(5)), Verdict::Admitted(_)))
            .count()
    });
    assert_eq!(admitted.iter().sum::<usize>(), 700);
    assert_eq!(
        super::admitted(&c, key(1), at(5)),
        200,
        "what one refused was not charged to another"
    );
}

#[test]
fn refunds_beside_admissions_admit_no_more() {
    let limit = limiter(1, DAY, 100);
    let kept = at_once(|n| {
        let mut kept = 0;
        for round in 0..ROUNDS {
            if !is_admitted(&limit, key(1), at(5)) {
                continue;
            }
            if (round + n) % 3 == 0 {
                kept += 1;
            } else {
                refund(&[(&limit, key(1))], at(5), at(5));
            }
        }
        kept
    });
    let left = admitted(&limit, key(1), at(5));
    assert_eq!(kept.iter().sum::<usize>() + left, 100);
}

#[test]
fn a_table_resized_all_the_time_counts_every_request() {
    let table = Arc::new(Table::new(1_000));
    let (a, b) = (over(&table, 1, DAY, 3), limiter(1, DAY, 1_000_000));
    let is_done = AtomicBool::new(false);
    let admitted = thread::scope(|scope| {
        scope.spawn(|| {
            for max_keys in [1_000, 100_000, 5_000, 1_000_000].into_iter().cycle() {
                if is_done.load(Ordering::Relaxed) {
                    break;
                }
                table.resize(max_keys);
            }
        });
        let admitted = at_once(|n| {
            let by_key = |i| {
                usize::from(matches!(
                    admit(
                        &[(&a, key(i % 300)), (&b, key(n)), (&a, key(1_000 + i % 300))],
                        at(5)
                    ),
                    Verdict::Admitted(_)
                ))
            };
            (0..ROUNDS / 4).map(by_key).sum::<usize>()
        });
        is_done.store(true, Ordering::Relaxed);
        admitted
    });
    assert_eq!(admitted.iter().sum::<usize>(), 900);
    assert_eq!((table.keys(), table.forgotten()), (600, 0));
}

#[test]
fn a_rate_changed_under_way_is_the_rate_from_then_on() {
    let table = Arc::new(Table::new(10_000));
    let old = over(&table, 1, SECOND, 20);
    let new = over(&table, 1, DAY, 20);
    let admitted = at_once(|n| {
        let mut admitted = 0;
        for round in 0..ROUNDS {
            // Half of the threads have the new configuration from a moment on, the others never.
            let limit = if n % 2 == 0 && round > ROUNDS / 2 {
                &new
            } else {
                &old
            };
            admitted += usize::from(is_admitted(limit, key(round % 50), at(5)));
        }
        admitted
    });
    assert_eq!(admitted.iter().sum::<usize>(), 50 * 20);
    assert!((0..50).all(|n| !is_admitted(&old, key(n), at(60_000))));
}
