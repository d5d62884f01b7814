use super::*;
use crate::observe::{DiskSample, ListenerSample, SpanSample};

pub(super) const SPANS: SpanSample = SpanSample {
    exported: 11,
    dropped: [1, 2, 3, 4],
    queued: 5,
};

pub(super) const DISK: DiskSample<'_> = DiskSample {
    cache: "edge",
    free: 6,
    size: 7,
};

pub(super) const LISTENER: ListenerSample<'_> = ListenerSample {
    listener: "public",
    active: 4,
    idle: 5,
};

#[test]
fn spans_and_disks_are_told_each_with_its_labels() {
    assert_exported(
        &Metrics::new(VERSION),
        &[
            ("sluice_spans_exported_total", 11.0),
            (r#"sluice_spans_dropped_total{reason="queue_full"}"#, 1.0),
            (r#"sluice_spans_dropped_total{reason="too_many"}"#, 2.0),
            (r#"sluice_spans_dropped_total{reason="refused"}"#, 3.0),
            (r#"sluice_spans_dropped_total{reason="unreachable"}"#, 4.0),
            ("sluice_spans_queued", 5.0),
            (r#"sluice_disk_free_bytes{cache="edge"}"#, 6.0),
            (r#"sluice_disk_size_bytes{cache="edge"}"#, 7.0),
        ],
    );
}
