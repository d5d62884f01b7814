use super::{assert_exported, busy};
use crate::observe::{GuardSample, LoadSample, PlaceSample, RateSample, RedisSample};

pub fn sample() -> GuardSample<'static> {
    GuardSample {
        rates: vec![RateSample {
            limit: "per_client",
            refused: 7,
            keys: 8,
            forgotten: 9,
        }],
        places: vec![PlaceSample {
            limit: "reports",
            in_use: 11,
            waiting: 12,
            refused: [13, 14, 15],
        }],
        upstreams: vec![LoadSample {
            upstream: "app",
            limit: Some(16),
            waiting: 17,
            shed: [18, 19],
        }],
        redis: Some(RedisSample {
            is_up: true,
            asks: 20,
            failures: [21, 22, 23],
        }),
    }
}

#[test]
fn what_the_guards_count_is_exported_as_it_is() {
    assert_exported(
        &busy(),
        &[
            (r#"sluice_rate_limited_total{limit="per_client"}"#, 7.0),
            (r#"sluice_rate_limit_keys{limit="per_client"}"#, 8.0),
            (r#"sluice_rate_limit_forgotten_total{limit="per_client"}"#, 9.0),
            (r#"sluice_concurrency_in_use{limit="reports"}"#, 11.0),
            (r#"sluice_concurrency_waiting{limit="reports"}"#, 12.0),
            (
                r#"sluice_concurrency_refused_total{limit="reports",reason="keys_full"}"#,
                14.0,
            ),
            (
                r#"sluice_concurrency_refused_total{limit="reports",reason="timeout"}"#,
                15.0,
            ),
            (r#"sluice_upstream_limit{upstream="app"}"#, 16.0),
            (r#"sluice_upstream_waiting{upstream="app"}"#, 17.0),
            (
                r#"sluice_upstream_shed_total{upstream="app",reason="full"}"#,
                18.0,
            ),
            ("sluice_redis_up", 1.0),
            ("sluice_redis_asks_total", 20.0),
            (r#"sluice_redis_failures_total{reason="timeout"}"#, 22.0),
        ],
    );
}
