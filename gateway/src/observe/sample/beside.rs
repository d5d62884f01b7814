//! What goes on beside the requests, looked at when someone scrapes: spans on their way, room on disks.

use std::path::Path;

use prometheus::proto::MetricFamily;

use super::{Row, family};
use crate::observe::names;
use crate::observe::trace::Dropped;

/// What has become of spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanSample {
    /// Taken by the collector.
    pub exported: u64,
    /// Lost, in the order of [`Dropped::ALL`].
    pub dropped: [u64; Dropped::ALL.len()],
    /// Waiting.
    pub queued: u64,
}

/// The file system that a cache is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskSample<'a> {
    /// Name of the cache.
    pub cache: &'a str,
    /// Bytes that may still be written by whoever is not root.
    pub free: u64,
    /// Bytes in all.
    pub size: u64,
}

impl<'a> DiskSample<'a> {
    /// Asks the system; None where it does not say. A disk that hangs makes it wait.
    pub fn of(cache: &'a str, folder: &Path) -> Option<Self> {
        let found = rustix::fs::statvfs(folder).ok()?;
        Some(Self {
            cache,
            free: found.f_bavail.saturating_mul(found.f_frsize),
            size: found.f_blocks.saturating_mul(found.f_frsize),
        })
    }
}

/// The families of both.
pub(super) fn beside(spans: Option<&SpanSample>, disks: &[DiskSample<'_>]) -> [MetricFamily; 5] {
    let one = |value: fn(&SpanSample) -> u64| spans.map(|s| Row::of([], value(s))).into_iter().collect();
    let lost = |s: &SpanSample| Dropped::ALL.map(|why| Row::of([why.word()], s.dropped[why as usize]));
    let each = |value: fn(&DiskSample<'_>) -> u64| {
        let row = |disk: &DiskSample<'_>| Row::of([disk.cache], value(disk));
        disks.iter().map(row).collect()
    };
    [
        family(&names::SPANS_EXPORTED, one(|s| s.exported)),
        family(&names::SPANS_DROPPED, spans.into_iter().flat_map(lost).collect()),
        family(&names::SPANS_QUEUED, one(|s| s.queued)),
        family(&names::DISK_FREE, each(|d| d.free)),
        family(&names::DISK_SIZE, each(|d| d.size)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_on_a_disk_with_a_size_and_what_is_not_there_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let disk = DiskSample::of("edge", folder.path()).unwrap();
        assert!(disk.size > 0 && disk.free <= disk.size, "{disk:?}");
        assert_eq!(DiskSample::of("edge", &folder.path().join("gone")), None);
    }
}
