use super::*;

fn totals(requests: u64) -> Totals {
    let route = RouteTotals {
        statuses: [0, 0, requests, 0, 0, 0],
        ..RouteTotals::default()
    };
    Totals {
        routes: [("r".to_owned(), route)].into(),
        ..Totals::default()
    }
}

fn at_ms(ms: u64) -> Mono {
    Mono(ms * 1_000_000)
}

#[test]
fn rates_are_of_the_last_five_seconds_however_often_somebody_looks() {
    for step_ms in [50, 500, 1_000, 1_010, 5_000] {
        let mut sampler = Sampler::default();
        // Ten requests a second from the first moment on.
        for ms in (0..60_000).step_by(step_ms) {
            let now = at_ms(ms);
            let (growth, _) = sampler.look(now, &totals(ms / 100), Gauges::default());
            let enough = growth.window_s >= 4.0 && growth.window_s <= 6.0;
            assert!(
                enough || ms < 5_000,
                "{} s at {ms} of {step_ms} ms",
                growth.window_s
            );
            if let Some(rate) = growth
                .per_s(growth.all_routes().requests())
                .filter(|_| ms >= 5_000)
            {
                assert!((rate - 10.0).abs() < 0.3, "{rate} at {ms} of {step_ms} ms");
            }
            assert!(sampler.looks.len() < 15, "{} looks are kept", sampler.looks.len());
        }
    }
}

#[test]
fn a_slot_of_the_history_is_due_once() {
    let mut sampler = Sampler::default();
    assert!(sampler.is_due(at_ms(0)));
    sampler.look(at_ms(0), &totals(0), Gauges::default());
    assert!(!sampler.is_due(at_ms(4_999)) && sampler.is_due(at_ms(5_000)));
}

#[test]
fn events_are_framed_as_chunks_or_by_the_end() {
    let framed = |is_chunked| {
        let mut out = Vec::new();
        append(&mut out, b"{\"a\": 12345678}", is_chunked);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(framed(false), "data: {\"a\": 12345678}\n\n");
    assert_eq!(framed(true), "17\r\ndata: {\"a\": 12345678}\n\n\r\n");
}

#[test]
fn the_busiest_routes_come_first() {
    let routes = |names: &[(&str, u64)]| -> BTreeMap<String, RouteTotals> {
        let row = |(name, n): &(&str, u64)| ((*name).to_owned(), totals(*n).routes["r"]);
        names.iter().map(row).collect()
    };
    let all = routes(&[("a", 5), ("b", 90), ("c", 7), ("d", 5)]);
    let now = routes(&[("a", 0), ("b", 1), ("c", 3), ("d", 0)]);
    let names: Vec<_> = busiest(&all, &now).into_iter().map(|(name, ..)| name).collect();
    assert_eq!(names, ["c", "b", "a", "d"]);
}
