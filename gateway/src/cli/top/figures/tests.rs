use proptest::prelude::*;

use super::*;

const STATUS: &str = r#"{ "version": "0.1.0", "config": { "path": "a.toml", "last_reload": { "ok": false } },
    "upstreams": { "app": { "servers": [ { "address": "b:80", "state": "up", "in_flight": 3, "latency_ms": 1.5 } ] } },
    "caches": { "edge": { "objects": 5, "memory_bytes": 10, "memory_limit_bytes": 20, "disk_fault": "full" } },
    "rate_limits": { "pc": { "keys": 7 } }, "concurrency_limits": { "one": { "in_use": 1, "waiting": 2 } } }"#;

fn reading(page: &str, at_s: u64) -> Reading {
    Reading::of(page.as_bytes(), STATUS.as_bytes(), Duration::from_secs(at_s)).unwrap()
}

fn page(n: u64) -> String {
    format!(
        "sluice_requests_total{{route=\"api\",method=\"GET\",status=\"200\"}} {ok}\n\
         sluice_requests_total{{route=\"api\",method=\"GET\",status=\"503\"}} {n}\n\
         sluice_request_duration_seconds_bucket{{route=\"api\",le=\"0.01\"}} {n}\n\
         sluice_request_duration_seconds_bucket{{route=\"api\",le=\"0.1\"}} {ok}\n\
         sluice_request_duration_seconds_bucket{{route=\"api\",le=\"+Inf\"}} {all}\n\
         sluice_request_duration_seconds_count{{route=\"api\"}} {all}\n\
         sluice_response_bytes_total{{route=\"api\"}} {n}000\n\
         sluice_requests_in_flight 4\nsluice_connections{{listener=\"a\",state=\"idle\"}} 1\n\
         sluice_connections{{listener=\"a\",state=\"active\"}} 2\nprocess_cpu_seconds_total {n}\n\
         process_resident_memory_bytes 1024\n\
         sluice_upstream_requests_total{{upstream=\"app\",server=\"b:80\",result=\"ok\"}} {ok}\n\
         sluice_upstream_requests_total{{upstream=\"app\",server=\"b:80\",result=\"timeout\"}} {n}\n\
         sluice_cache_requests_total{{cache=\"edge\",result=\"hit\"}} {ok}\n\
         sluice_cache_requests_total{{cache=\"edge\",result=\"miss\"}} {n}\n\
         sluice_rate_limited_total{{limit=\"pc\"}} {n}\n\
         sluice_concurrency_refused_total{{limit=\"one\",reason=\"timeout\"}} {n}\n",
        ok = 3 * n,
        all = 4 * n
    )
}

#[test]
fn rates_are_differences_by_the_time_between() {
    let figures = between(&reading(&page(10), 100), &reading(&page(30), 110));
    let expected = Rates {
        per_s: 8.0,
        classes_per_s: [6.0, 0.0, 0.0, 2.0],
        bytes_per_s: 2_000.0,
        // 20 up to 10 ms, 40 more up to 100 ms, 20 beyond.
        quantiles_ms: [Some(55.0), Some(f64::INFINITY), Some(f64::INFINITY)],
    };
    assert_eq!(figures.total.per_s, expected.per_s);
    assert_eq!(figures.total.classes_per_s, expected.classes_per_s);
    assert!((figures.total.quantiles_ms[0].unwrap() - 55.0).abs() < 1e-9);
    assert_eq!(figures.total.quantiles_ms[1..], expected.quantiles_ms[1..]);
    assert_eq!(figures.total.bytes_per_s, expected.bytes_per_s);
    assert_eq!(
        (figures.routes.len(), &figures.routes[0].rates),
        (1, &figures.total)
    );
    assert_eq!(
        (figures.in_flight, figures.connections, figures.memory_bytes),
        (4, 3, 1024)
    );
    assert_eq!(figures.cpu_percent, 200.0);
    assert!(figures.reload_failed && !figures.draining);
    let server = &figures.servers[0];
    assert_eq!(
        (server.per_s, server.failures_per_s, server.in_flight),
        (8.0, 2.0, 3)
    );
    let cache = &figures.caches[0];
    assert_eq!(
        (cache.hit_percent, cache.objects, cache.disk_failed),
        (Some(75.0), 5, true)
    );
    let limits: Vec<_> = figures
        .limits
        .iter()
        .map(|l| (l.kind, l.refused_per_s, l.used, l.waiting))
        .collect();
    assert_eq!(limits, [("rate", 2.0, 7, 0), ("concurrency", 2.0, 1, 2)]);
}

#[test]
fn a_gateway_that_was_restarted_counts_from_nothing() {
    let figures = between(&reading(&page(1_000), 0), &reading(&page(10), 10));
    assert_eq!(figures.total.per_s, 4.0);
    let figures = between(&reading("", 0), &reading(&page(10), 10));
    assert_eq!(figures.total.per_s, 4.0);
}

#[test]
fn nothing_has_no_quantile() {
    let figures = between(&reading(&page(10), 0), &reading(&page(10), 1));
    assert_eq!(figures.total.quantiles_ms, [None; 3]);
    assert_eq!((figures.total.per_s, figures.caches[0].hit_percent), (0.0, None));
    assert_eq!(quantile(&[], 0.5), None);
    assert!(Reading::of(b"", b"no status", Duration::ZERO).is_none());
}

proptest! {
    /// The true quantile lies in the same bucket.
    #[test]
    fn a_quantile_is_in_the_bucket_of_the_request_it_stands_for(
        times in prop::collection::vec(0_u32..120, 1..50),
        q in 0.01_f64..0.99,
    ) {
        let bounds = [10.0, 20.0, 50.0, 100.0, f64::INFINITY];
        let buckets = bounds.map(|bound| {
            (bound, times.iter().filter(|t| f64::from(**t) <= bound).count() as f64)
        });
        let mut sorted = times.clone();
        sorted.sort_unstable();
        let at = ((q * times.len() as f64).ceil() as usize).clamp(1, times.len()) - 1;
        let place = |t: f64| bounds.iter().position(|b| t <= *b);
        let found = quantile(&buckets, q).expect("there are requests");
        prop_assert_eq!(place(found), place(f64::from(sorted[at])));
    }
}
