use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::observe::BUCKETS;
use crate::observe::names::DURATION_BUCKETS;

fn at(s: u64) -> Mono {
    Mono(s * 1_000_000_000)
}

fn requests(per_s: f64) -> Point {
    let mut point = Point::NONE;
    point.set(Figure::Requests, Some(per_s));
    point
}

fn in_bucket(i: usize, n: u64) -> [u64; BUCKETS] {
    let mut durations = [0; BUCKETS];
    durations[i] = n;
    durations
}

fn route(statuses: [u64; 6], durations: [u64; BUCKETS]) -> Totals {
    let route = RouteTotals {
        durations,
        statuses,
        bytes: 100,
    };
    Totals {
        routes: [("r".to_owned(), route)].into(),
        ..Totals::default()
    }
}

#[test]
fn a_latency_is_interpolated_within_its_bucket() {
    // Four requests between 5 and 10 ms.
    let durations = in_bucket(4, 4);
    for (q, s) in [(0.5, 0.0075), (1.0, 0.01)] {
        let told = quantile_s(&durations, q).unwrap();
        assert!((told - s).abs() < 1e-9, "{told} is not {s}");
    }
    assert_eq!(quantile_s(&[0; BUCKETS], 0.5), None);
}

#[test]
fn what_took_longer_than_the_last_bound_is_told_as_that_bound() {
    assert_eq!(quantile_s(&in_bucket(BUCKETS - 1, 3), 0.5), Some(10.0));
}

proptest! {
    #[test]
    fn a_latency_lies_in_the_bucket_of_the_request_that_has_it(
        mut took_ms in prop::collection::vec(1_u64..20_000, 1..200),
        percent in 1_usize..100,
    ) {
        let mut durations = [0; BUCKETS];
        let bucket = |ms: u64| DURATION_BUCKETS.iter().position(|b| ms as f64 / 1_000.0 <= *b).unwrap_or(BUCKETS - 1);
        took_ms.iter().for_each(|ms| durations[bucket(*ms)] += 1);
        let told = quantile_s(&durations, percent as f64 / 100.0).unwrap();

        took_ms.sort_unstable();
        let rank = (percent * took_ms.len()).div_ceil(100);
        let i = bucket(took_ms[rank - 1]);
        let low = if i == 0 { 0.0 } else { DURATION_BUCKETS[i - 1] };
        let high = DURATION_BUCKETS.get(i).copied().unwrap_or(10.0);
        prop_assert!(low <= told && told <= high, "{told} is not in {low}..{high}");
    }

    #[test]
    fn a_history_is_what_a_list_without_end_would_say_of_the_last_hour(
        steps in prop::collection::vec((0_u64..30_000, 0_u32..1_000), 1..60),
    ) {
        let mut history = History::default();
        let mut model: Vec<(u64, f32)> = Vec::new();
        let mut now = Mono(0);
        let mut s = 7;
        for (wait, value) in steps {
            // Most waits are short, some are longer than the history.
            s += if wait % 10 == 0 { wait / 5 } else { wait % 13 };
            now = now.max(at(s));
            history.put(now, &requests(value.into()));
            model.retain(|(slot, _)| *slot != History::slot(now));
            model.push((History::slot(now), value as f32));
        }
        let newest = History::slot(now);
        let first = model[0].0.max((newest + 1).saturating_sub(SLOTS as u64));
        let expected: Vec<_> = (first..=newest)
            .map(|slot| model.iter().find(|(at, _)| *at == slot).map(|(_, value)| *value))
            .collect();
        prop_assert_eq!(history.values(Figure::Requests).collect::<Vec<_>>(), expected);
        prop_assert_eq!(history.newest(), Some(newest));
    }
}

#[test]
fn a_history_of_nothing_is_empty() {
    assert_eq!(History::default().values(Figure::Memory).count(), 0);
}

#[test]
fn rates_are_of_the_time_that_has_passed() {
    let before = route([0, 0, 10, 0, 0, 0], in_bucket(0, 10));
    let after = route([0, 0, 40, 0, 5, 5], in_bucket(0, 50));
    let point = Growth::between(&before, &after, 5.0).point(Gauges {
        in_flight: 3,
        connections: 4,
    });
    assert_eq!(point.value(Figure::Requests), Some(8.0));
    assert_eq!(point.value(Figure::Status2xx), Some(6.0));
    assert_eq!(point.value(Figure::Status5xx), Some(1.0));
    assert_eq!(point.value(Figure::LatencyP50), Some(0.25));
    assert_eq!(point.value(Figure::InFlight), Some(3.0));
    assert_eq!(point.value(Figure::HitRatio), None);
}

#[test]
fn a_counter_that_has_begun_anew_is_counted_from_its_beginning() {
    let before = route([0, 0, 1_000, 0, 0, 0], in_bucket(0, 1_000));
    let after = route([0, 0, 10, 0, 0, 0], in_bucket(0, 10));
    let growth = Growth::between(&before, &after, 1.0);
    assert_eq!(growth.all_routes().statuses[2], 10);
    assert_eq!(growth.all_routes().durations[0], 10);
    let gone = Growth::between(&before, &Totals::default(), 1.0);
    assert_eq!(gone.all_routes().requests(), 0);
}

#[test]
fn no_figure_is_infinite_when_no_time_has_passed() {
    let totals = route([0, 0, 1, 0, 0, 0], in_bucket(0, 1));
    let point = Growth::between(&Totals::default(), &totals, 0.0).point(Gauges::default());
    let json = serde_json::to_value(point).unwrap();
    assert_eq!(json["requests_per_s"], serde_json::Value::Null);
    assert_eq!(json.as_object().unwrap().len(), Figure::ALL.len());
}

#[test]
fn figures_stand_where_their_number_says_and_have_names_of_their_own() {
    for (i, figure) in Figure::ALL.into_iter().enumerate() {
        assert_eq!(figure as usize, i);
        assert_eq!(
            Figure::ALL.iter().filter(|f| f.name() == figure.name()).count(),
            1
        );
    }
    assert_eq!(
        Duration::from_secs(STEP_S * SLOTS as u64),
        Duration::from_secs(SPAN_S)
    );
}
