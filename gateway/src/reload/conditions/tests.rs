use proptest::prelude::*;

use super::*;
use crate::observe::BUCKETS;

const WINDOW: Duration = Duration::from_secs(60);

fn conditions(text: &str) -> Vec<Condition> {
    Condition::parse_all(text).unwrap()
}

/// A request as the naive model sees it: the first digit of its status, and the bucket of its time.
type Seen = (u8, usize);

fn totals(requests: &[Seen]) -> RouteTotals {
    let mut totals = RouteTotals::default();
    for (class, bucket) in requests {
        totals.statuses[usize::from(*class)] += 1;
        totals.durations[*bucket] += 1;
    }
    totals
}

fn answers(ok: u64, failed: u64) -> RouteTotals {
    let mut totals = RouteTotals::default();
    (totals.statuses[2], totals.statuses[5]) = (ok, failed);
    totals.durations[2] = ok + failed;
    totals
}

fn of(routes: &[(&str, RouteTotals)]) -> Routes {
    routes
        .iter()
        .map(|(name, totals)| ((*name).to_owned(), *totals))
        .collect()
}

fn goes_back(before: &Routes, after: &Routes, text: &str) -> bool {
    let verdict = judge(before, after, &conditions(text), Duration::ZERO, WINDOW);
    matches!(verdict, Verdict::GoBack(_))
}

#[test]
fn conditions_are_read_and_told_as_people_write_them() {
    for text in ["5xx>2x", "5xx>5%", "4xx>1.5x", "p95>3x", "p99>500ms", "p50>2s"] {
        assert_eq!(conditions(text)[0].to_string(), text);
    }
    let several: Vec<String> = conditions(" 5xx > 2x ,p95>3x")
        .iter()
        .map(Condition::to_string)
        .collect();
    assert_eq!(several, ["5xx>2x", "p95>3x"]);
    assert_eq!(conditions(DEFAULT).len(), 2);
    for text in [
        "",
        "5xx",
        "5xx>",
        "5xx>2",
        "5xx>-2x",
        "5xx>1e3x",
        "5xx>0.5x",
        "5xx>100%",
        "5xx>500ms",
        "p95>5%",
        "p90>2x",
        "p95>10s",
        "5xx>2x,",
        "5xx<2x",
        "5xx>nanx",
        "5xx>.x",
    ] {
        assert!(Condition::parse_all(text).is_err(), "{text}");
    }
    assert!(Condition::parse_all(&["5xx>2x"; CONDITIONS_MAX + 1].join(",")).is_err());
}

#[test]
fn a_few_requests_and_a_few_errors_are_no_reason() {
    let past = of(&[("a", answers(1_000, 0))]);
    assert!(!goes_back(&past, &of(&[("a", answers(2, 1))]), "5xx>2x,5xx>5%"));
    assert!(!goes_back(
        &past,
        &of(&[("a", answers(0, REQUESTS_MIN - 1))]),
        "5xx>2x,5xx>5%"
    ));
    assert!(!goes_back(
        &past,
        &of(&[("a", answers(96, ANSWERS_MIN - 1))]),
        "5xx>2x"
    ));
    assert!(!goes_back(&past, &of(&[("a", answers(999, 5))]), "5xx>2x"));
    assert!(goes_back(&past, &of(&[("a", answers(95, 5))]), "5xx>2x"));
}

#[test]
fn a_route_is_held_to_its_own_past_and_a_new_one_to_that_of_all() {
    let past = of(&[("flaky", answers(50, 50)), ("solid", answers(10_000, 0))]);
    assert!(!goes_back(
        &past,
        &of(&[("flaky", answers(40, 40)), ("solid", answers(9_000, 0))]),
        "5xx>2x"
    ));
    assert!(goes_back(
        &past,
        &of(&[("flaky", answers(50, 50)), ("solid", answers(90, 10))]),
        "5xx>2x"
    ));
    assert!(goes_back(
        &past,
        &of(&[("solid", answers(900, 0)), ("new", answers(90, 10))]),
        "5xx>2x"
    ));
    let broken = of(&[("flaky", answers(50, 50))]);
    assert!(!goes_back(&broken, &of(&[("new", answers(50, 50))]), "5xx>2x"));
    // Without any past there is nothing to compare with but perfection.
    assert!(goes_back(
        &Routes::new(),
        &of(&[("new", answers(50, 50))]),
        "5xx>2x"
    ));
}

#[test]
fn the_reason_names_the_route_and_the_condition() {
    let past = of(&[("api", answers(1_000, 1))]);
    let after = of(&[("api", answers(30, 30)), ("web", answers(500, 0))]);
    let verdict = judge(&past, &after, &conditions("5xx>2x"), Duration::ZERO, WINDOW);
    let reason = "route \"api\": 5xx is 50.0 % of 60 requests, 0.1 % before (5xx>2x)";
    assert_eq!(verdict, Verdict::GoBack(reason.to_owned()));
}

#[test]
fn latency_is_compared_with_the_past_of_the_same_route_only() {
    let slow = |n| totals(&vec![(2, 9); n]);
    let quick = |n| totals(&vec![(2, 1); n]);
    assert!(goes_back(
        &of(&[("a", quick(100))]),
        &of(&[("a", slow(100))]),
        "p95>3x"
    ));
    assert!(!goes_back(
        &of(&[("a", slow(100))]),
        &of(&[("a", slow(100))]),
        "p95>3x"
    ));
    assert!(!goes_back(
        &of(&[("b", slow(500)), ("a", quick(9))]),
        &of(&[("a", slow(100))]),
        "p95>3x"
    ));
    assert!(goes_back(&Routes::new(), &of(&[("a", slow(100))]), "p95>200ms"));
    // From half a millisecond to three is six times as long, and nothing anybody sees.
    let (tiny, small) = (totals(&[(2, 0); 100]), totals(&[(2, 3); 100]));
    assert!(!goes_back(&of(&[("a", tiny)]), &of(&[("a", small)]), "p95>3x"));
}

fn requests(max: usize) -> impl Strategy<Value = Vec<Seen>> {
    let class = prop_oneof![6 => Just(2_u8), 1 => Just(4_u8), 2 => Just(5_u8), 1 => Just(0_u8)];
    proptest::collection::vec((class, 0..BUCKETS), 0..max)
}

/// The same question asked of the requests one by one.
fn naive_share_holds(before: &[Seen], after: &[Seen], factor: f64) -> bool {
    let failed = |of: &[Seen]| of.iter().filter(|(class, _)| *class == 5).count();
    let (n, bad) = (after.len(), failed(after));
    if n < 20 || bad < 5 || (bad as f64) < 0.01 * n as f64 {
        return false;
    }
    let then = if before.len() < 20 {
        0.0
    } else {
        failed(before) as f64 / before.len() as f64
    };
    bad as f64 / n as f64 > factor * then
}

proptest! {
    #[test]
    fn of_one_route_it_is_what_a_naive_count_says(
        before in requests(200), after in requests(200), factor in 1_u8..5,
    ) {
        let told = goes_back(
            &of(&[("a", totals(&before))]), &of(&[("a", totals(&after))]), &format!("5xx>{factor}x"),
        );
        prop_assert_eq!(told, naive_share_holds(&before, &after, factor.into()));
    }

    #[test]
    fn more_of_the_same_is_never_a_reason(
        past in proptest::collection::btree_map("[a-d]", requests(60), 0..4), times in 1_u64..5,
    ) {
        let before: Routes = past.iter().map(|(name, seen)| (name.clone(), totals(seen))).collect();
        let after = before.iter().map(|(name, one)| {
            let mut more = *one;
            more.durations.iter_mut().chain(&mut more.statuses).for_each(|n| *n *= times);
            (name.clone(), more)
        }).collect();
        // Where a past is long enough to be known. (A quantile is a fraction of a fraction, and exact to the last bit but one.)
        prop_assume!(before.values().all(|route| route.requests() >= REQUESTS_MIN));
        prop_assert!(!goes_back(&before, &after, "5xx>1x,4xx>1x,p50>1.01x,p95>1.01x,p99>1.01x"));
    }

    #[test]
    fn another_error_never_turns_a_bad_verdict_into_a_good_one(
        before in requests(100), after in requests(100),
    ) {
        let past = of(&[("a", totals(&before))]);
        let judged = |seen: &[Seen]| goes_back(&past, &of(&[("a", totals(seen))]), "5xx>2x,5xx>5%");
        let mut worse = after.clone();
        worse.push((5, 0));
        prop_assert!(!judged(&after) || judged(&worse));
    }

    #[test]
    fn without_a_reason_it_waits_to_the_end_and_then_keeps(
        before in requests(100), after in requests(100), elapsed_s in 0_u64..120,
    ) {
        let (before, after) = (of(&[("a", totals(&before))]), of(&[("a", totals(&after))]));
        let all = conditions("5xx>2x,p95>3x");
        let elapsed = Duration::from_secs(elapsed_s);
        match judge(&before, &after, &all, elapsed, WINDOW) {
            Verdict::Wait => prop_assert!(elapsed < WINDOW),
            Verdict::Keep => prop_assert!(elapsed >= WINDOW),
            Verdict::GoBack(_) => prop_assert!(goes_back(&before, &after, "5xx>2x,p95>3x")),
        }
    }

    #[test]
    fn what_has_grown_and_what_was_there_are_what_is_there(then in requests(50), more in requests(50)) {
        let both: Vec<Seen> = then.iter().chain(&more).copied().collect();
        let told = grown(&of(&[("a", totals(&then))]), &of(&[("a", totals(&both)), ("b", totals(&more))]));
        prop_assert_eq!(told, of(&[("a", totals(&more)), ("b", totals(&more))]));
    }
}
