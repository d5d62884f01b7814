use super::{assert_exported, busy};
use crate::observe::{BreakerState, CacheSample, DiscoverySample, Sample, ServerSample};

pub fn sample() -> Sample<'static> {
    Sample {
        spans: Some(super::beside::SPANS),
        disks: vec![super::beside::DISK],
        certificates: vec![("example", 1_800_000_000)],
        orders: super::certificates::orders(),
        guards: super::guards::sample(),
        discovery: vec![DiscoverySample {
            upstream: "app",
            servers: 2,
            errors: 3,
            is_up: true,
            succeeded_at: Some(1_700_000_000),
        }],
        caches: vec![CacheSample {
            cache: "edge",
            bytes: [1_000, 2_000],
            objects: [10, 20],
            evictions: [1, 2],
            collapsed: 5,
            damaged: 3,
            writes_skipped: 4,
            is_disk_up: Some(true),
        }],
        requests_in_flight: 3,
        snapshots_alive: 2,
        workers: 8,
        listeners: vec![super::beside::LISTENER],
        servers: vec![
            ServerSample {
                upstream: "app",
                server: "10.0.0.1:8000",
                in_flight: 6,
                is_up: Some(true),
                is_ejected: false,
                breaker: BreakerState::HalfOpen,
            },
            ServerSample {
                upstream: "app",
                server: "10.0.0.2:8000",
                in_flight: 0,
                is_up: Some(false),
                is_ejected: true,
                breaker: BreakerState::Open,
            },
            ServerSample {
                upstream: "app",
                server: "10.0.0.3:8000",
                in_flight: 0,
                is_up: None,
                is_ejected: false,
                breaker: BreakerState::Closed,
            },
        ],
    }
}

#[test]
fn how_it_goes_with_a_source_is_exported_as_it_is() {
    assert_exported(
        &busy(),
        &[
            ("sluice_discovery_servers{upstream=\"app\"}", 2.0),
            ("sluice_discovery_errors_total{upstream=\"app\"}", 3.0),
            ("sluice_discovery_up{upstream=\"app\"}", 1.0),
            (
                "sluice_discovery_last_success_timestamp_seconds{upstream=\"app\"}",
                1_700_000_000.0,
            ),
        ],
    );
}

#[test]
fn a_server_that_the_configuration_turns_off_is_neither_up_nor_down() {
    let page = super::text(&busy());
    assert!(
        page.contains(r#"sluice_upstream_in_flight{upstream="app",server="10.0.0.3:8000"} 0"#),
        "{page}"
    );
    assert!(
        !page.contains(r#"sluice_upstream_up{upstream="app",server="10.0.0.3:8000"}"#),
        "{page}"
    );
}
