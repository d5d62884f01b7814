use std::collections::HashMap;

use gateway::guard::shared::SCRIPT;
use harness::{RedisServer, Reply, wait_until};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

/// 2023-11-14T22:13:20Z, in µs.
const EPOCH_US: i64 = 1_700_000_000_000_000;
const HOUR_NS: i64 = 3_600_000_000_000;
/// Doubles are exact up to here.
const EXACT_NS: i64 = 1 << 53;

/// One limit of a question: its key, interval in ns, burst.
type Limit = (usize, i64, i64);

/// Asks as the gateway does.
fn eval(server: &RedisServer, script: &str, limits: &[Limit], more: &[i64]) -> Vec<i64> {
    let mut words = vec!["EVAL".to_owned(), script.to_owned(), limits.len().to_string()];
    words.extend(limits.iter().map(|(key, ..)| format!("key-{key}")));
    words.extend(
        limits
            .iter()
            .flat_map(|(_, interval, burst)| [interval.to_string(), burst.to_string()]),
    );
    words.extend(more.iter().map(i64::to_string));
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    server.ask(&words).numbers()
}

/// The script with its time as an argument, and keys that outlive the play: nothing passes but the play's own time.
fn script_by_hand() -> String {
    let replace = |text: &str, from: &str, to: &str| {
        assert_eq!(text.matches(from).count(), 1, "{from} in the script");
        text.replace(from, to)
    };
    let timed = replace(SCRIPT, "redis.call('TIME')", "{ ARGV[#ARGV - 1], ARGV[#ARGV] }");
    replace(&timed, "math.ceil(ahead / 1e6) + 1", "3600000")
}

fn eval_at(server: &RedisServer, script: &str, limits: &[Limit], now_us: i64) -> Vec<i64> {
    eval(server, script, limits, &[now_us / 1_000_000, now_us % 1_000_000])
}

/// When all that was spent is back, in ns, by key. No seconds, no doubles.
#[derive(Default)]
struct Model(HashMap<usize, i128>);

impl Model {
    fn admit(&mut self, limits: &[Limit], now_us: i64) -> Vec<i64> {
        let now = i128::from(now_us) * 1_000;
        let aheads: Vec<_> = limits
            .iter()
            .map(|(key, interval, burst)| {
                let back = self.0.get(key).copied().unwrap_or(0);
                (back - now).clamp(0, i128::from(interval * burst))
            })
            .collect();
        let waits = limits
            .iter()
            .zip(&aheads)
            .map(|((_, interval, burst), ahead)| ahead + i128::from(interval - interval * burst));
        let mut refusing = (0, 0);
        for (index, wait) in waits.enumerate() {
            if wait > refusing.1 {
                refusing = (index as i64 + 1, wait);
            }
        }
        let mut answer = vec![refusing.0, refusing.1 as i64];
        for ((key, interval, _), ahead) in limits.iter().zip(aheads) {
            let ahead = if refusing.0 == 0 {
                ahead + i128::from(*interval)
            } else {
                ahead
            };
            if refusing.0 == 0 {
                self.0.insert(*key, now + ahead);
            }
            answer.push(ahead as i64);
        }
        answer
    }
}

prop_compose! {
    /// From a thousand million in a second to one in three hours; bursts from one to all that is exact.
    fn any_rate()(magnitude in 0u32..13, digits in 1i64..11, bits in 0u32..40, burst in 1i64..1_000) -> (i64, i64) {
        let interval = digits * 10_i64.pow(magnitude);
        let burst = (burst + (1 << bits)).min(EXACT_NS / interval);
        (interval, burst.max(1))
    }
}

/// Which of the three limits ask, and how much later: a share of the first one's interval, or backwards.
fn any_step() -> impl Strategy<Value = (u8, f64)> {
    (
        1u8..8,
        prop_oneof![4 => Just(0.0), 4 => 0.0..3.0, 1 => -100.0..0.0, 1 => 0.0..1e6],
    )
}

#[test]
fn the_script_counts_as_a_naive_model_does() {
    let server = RedisServer::start();
    let script = script_by_hand();
    let play = (
        prop::array::uniform3(any_rate()),
        prop::collection::vec(any_step(), 1..40),
    );
    let mut runner = TestRunner::new(ProptestConfig::with_cases(100));
    let judged = runner.run(&play, |(rates, steps)| {
        server.flush();
        let mut model = Model::default();
        let mut now_us = EPOCH_US;
        for (mask, later) in steps {
            let limits: Vec<Limit> = (0..3)
                .filter(|key| mask & (1 << key) != 0)
                .map(|key| (key, rates[key].0, rates[key].1))
                .collect();
            // No further than a year, whatever the interval.
            let by_us = (later * limits[0].1 as f64 / 1_000.0).clamp(-1e12, 3e13);
            now_us = (now_us + by_us as i64).max(0);
            let answer = eval_at(&server, &script, &limits, now_us);
            prop_assert_eq!(
                answer,
                model.admit(&limits, now_us),
                "{:?} at {} µs",
                limits,
                now_us
            );
        }
        Ok(())
    });
    judged.unwrap();
}

#[test]
fn a_rate_that_changes_keeps_what_was_spent_in_requests() {
    let server = RedisServer::start();
    let script = script_by_hand();
    let rates = (1i64..1_000_000, 1i64..1_000_000, 1i64..50, 0i64..50);
    let mut runner = TestRunner::new(ProptestConfig::with_cases(50));
    let judged = runner.run(&rates, |(before, after, burst, spent)| {
        server.flush();
        let spent = spent.min(burst);
        for _ in 0..spent {
            let answer = eval_at(&server, &script, &[(0, before, burst)], EPOCH_US);
            prop_assert_eq!(answer[0], 0);
        }
        for left in (0..burst - spent).rev() {
            let answer = eval_at(&server, &script, &[(0, after, burst)], EPOCH_US);
            prop_assert_eq!(answer, [0, 0, (burst - left) * after], "{} left", left);
        }
        let refused = eval_at(&server, &script, &[(0, after, burst)], EPOCH_US);
        prop_assert_eq!(refused, [1, after, burst * after]);
        Ok(())
    });
    judged.unwrap();
}

#[test]
fn keys_are_kept_until_all_is_back_and_no_longer() {
    let server = RedisServer::start();
    for requests in 1..=3 {
        assert_eq!(eval(&server, SCRIPT, &[(0, HOUR_NS, 3)], &[])[0], 0);
        let left_ms = server.ask(&["PTTL", "key-0"]).number();
        let most_ms = requests * HOUR_NS / 1_000_000 + 1;
        // Only a play that takes ten minutes would see less.
        assert!(
            (most_ms - 600_000..=most_ms).contains(&left_ms),
            "{left_ms} of {most_ms}"
        );
    }
    // What is refused is not charged, so it keeps nothing longer.
    let before = server.ask(&["GET", "key-0"]);
    assert_eq!(eval(&server, SCRIPT, &[(0, HOUR_NS, 3)], &[])[0], 1);
    assert_eq!(server.ask(&["GET", "key-0"]), before);

    assert_eq!(eval(&server, SCRIPT, &[(1, 1, 1)], &[]), [0, 0, 1]);
    wait_until("a key of a nanosecond is gone", || {
        server.ask(&["EXISTS", "key-1"]).number() == 0
    });
}

#[test]
fn the_clock_is_the_server_s() {
    let server = RedisServer::start();
    let time = || server.ask(&["TIME"]);
    let seconds = |reply: &Reply| match reply {
        Reply::List(parts) => match &parts[0] {
            Reply::Text(seconds) => seconds.parse::<i64>().unwrap(),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    let before = seconds(&time());
    eval(&server, SCRIPT, &[(0, HOUR_NS, 1)], &[]);
    let after = seconds(&time());
    let Reply::Text(held) = server.ask(&["GET", "key-0"]) else {
        panic!("nothing was written")
    };
    let back: i64 = held.split(' ').next().unwrap().parse().unwrap();
    assert!(
        (before + 3_600..=after + 3_601).contains(&back),
        "{before} {back} {after}"
    );
}

#[test]
fn whatever_else_stands_in_a_key_counts_as_nothing_and_is_replaced() {
    let server = RedisServer::start();
    let junk: [&[&str]; 5] = [
        &["SET", "key-0", "junk"],
        &["SET", "key-0", ""],
        &["SET", "key-0", "9999999999 0 0"],
        &["SET", "key-0", "-1 -1 -1"],
        &["RPUSH", "key-0", "a", "b"],
    ];
    for words in junk {
        server.flush();
        server.ask(words);
        let answers = [(); 2].map(|()| eval(&server, SCRIPT, &[(0, HOUR_NS, 1)], &[]));
        assert_eq!(answers[0], [0, 0, HOUR_NS], "{words:?}");
        assert_eq!(answers[1][0], 1, "{words:?}");
    }
}

#[test]
fn the_slowest_limit_there_can_be_is_counted_too() {
    let server = RedisServer::start();
    let script = script_by_hand();
    let slowest = (0, 1 << 62, 1);
    assert_eq!(eval_at(&server, &script, &[slowest], EPOCH_US), [0, 0, 1 << 62]);
    assert_eq!(
        eval_at(&server, &script, &[slowest], EPOCH_US),
        [1, 1 << 62, 1 << 62]
    );
    // With the server's time, so with a real expiry too.
    assert_eq!(eval(&server, SCRIPT, &[(1, 1 << 62, 1)], &[]), [0, 0, 1 << 62]);
}
