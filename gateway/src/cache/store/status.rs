//! What a store tells about itself.

use std::sync::atomic::{AtomicU64, Ordering};

use super::shared::Shared;

/// How a store is doing: levels of now, and numbers that only grow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreStatus {
    /// Bytes of the objects in memory, with what they cost besides their bodies.
    pub memory_bytes: u64,
    /// The limit of that.
    pub memory_limit: u64,
    /// Bytes on disk, in blocks of 4 KiB, with drafts in progress and files that are about to be removed.
    pub disk_bytes: u64,
    /// The limit of that.
    pub disk_limit: u64,
    /// Objects in all.
    pub objects: u64,
    /// Objects in memory.
    pub objects_memory: u64,
    /// Objects on disk.
    pub objects_disk: u64,
    /// Objects that had to leave memory for others.
    pub evictions_memory: u64,
    /// Objects that had to leave the disk for others.
    pub evictions_disk: u64,
    /// Files that were not as they were written, or gone.
    pub damaged: u64,
    /// Files that the system could not read.
    pub failed_reads: u64,
    /// Objects that were not written because the disk was too slow, had no room, or rests after a fault.
    pub skipped_writes: u64,
    /// Objects that could not be written.
    pub failed_writes: u64,
    /// Bytes that wait to be written.
    pub queued_bytes: u64,
    /// Hard purges that were asked for.
    pub hard_purges: u64,
    /// Soft ones.
    pub soft_purges: u64,
    /// Records of purges that are kept because an object may be older.
    pub purge_records: u64,
    /// What is on disk is not all known yet.
    pub is_rebuilding: bool,
    /// Why the disk is not used, not written to, or not freed of what is to go, and what to do.
    pub disk_fault: Option<String>,
}

pub fn status(shared: &Shared) -> StoreStatus {
    let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let counters = &shared.counters;
    StoreStatus {
        memory_bytes: shared.memory.bytes() + shared.stages.bytes(),
        memory_limit: of(&shared.limits.memory),
        disk_bytes: shared.space.used(),
        disk_limit: of(&shared.limits.disk),
        objects: shared.index.objects(),
        objects_memory: shared.memory.objects(),
        objects_disk: shared.index.on_disk(),
        evictions_memory: of(&counters.evicted_memory),
        evictions_disk: of(&counters.evicted_disk),
        damaged: of(&counters.damaged),
        failed_reads: of(&counters.failed_reads),
        skipped_writes: of(&counters.skipped_writes),
        failed_writes: of(&counters.failed_writes),
        queued_bytes: shared.queue.bytes(),
        hard_purges: of(&counters.hard_purges),
        soft_purges: of(&counters.soft_purges),
        purge_records: shared.purges.records() as u64,
        is_rebuilding: shared.tier.load().is_some() && !shared.is_complete.load(Ordering::Relaxed),
        disk_fault: shared.fault.lock().clone().or_else(|| shared.unlinks.fault()),
    }
}
