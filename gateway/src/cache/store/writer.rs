//! The thread that brings objects to disk.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::queue::Job;
use super::shared::{Shared, count};
use super::space::rounded;
use super::tier::Tier;
use crate::cache::disk::{AppendFault, BLOCK, DiskFault, Location, RewriteFault};
use crate::cache::object::{Body, Meta, Object};

/// Bytes of a file besides body and meta record, for header, tail and roundings.
const FRAME: u64 = 256;

/// Bytes of disk that a file will take at most.
pub fn estimate(body: u64, meta: &Meta) -> u64 {
    let table = body.div_ceil(BLOCK as u64) * 8;
    // Texts are counted at least once in the weight, and numbers and lengths fit into what it adds.
    rounded(body + table + meta.weight() + FRAME)
}

/// Works until the queue is closed and empty.
pub fn run(shared: &Shared) {
    while let Some(job) = shared.queue.next() {
        shared.work(&job);
    }
}

impl Shared {
    /// Does one job.
    pub fn work(&self, job: &Job) {
        let (Job::Write(object) | Job::Renew(object)) = job;
        // A purge that reaches it is not forgotten before its file is written and removed again.
        let _flight = self.flight(object.meta.serial);
        let known = self
            .index
            .find(object.key)
            .filter(|known| known.id == object.mark.id);
        let Some((known, tier)) = known.zip(self.writable()) else {
            self.give_up(job);
            return;
        };
        let result = match (known.location, &object.body) {
            (None, Body::Memory(body)) => self.write(&tier, object, body),
            (Some(location), _) => self.renew(&tier, object, &location),
            (None, Body::File(_)) => Err(None),
        };
        if let Err(error) = result {
            match error {
                Some(error) => self.note_failed(&error),
                None => count(&self.counters.skipped_writes),
            }
            self.give_up(job);
        }
    }

    fn note_failed(&self, error: &std::io::Error) {
        if DiskFault::of(error) != DiskFault::TooLarge {
            count(&self.counters.failed_writes);
        }
        self.pause(error);
    }

    /// The error is None if there is no room.
    fn write(&self, tier: &Tier, object: &Arc<Object>, body: &[u8]) -> Result<(), Option<std::io::Error>> {
        let estimate = estimate(body.len() as u64, &object.meta);
        if !self.space.take(estimate, self.room_wait(), || self.bell.ring()) {
            return Err(None);
        }
        match tier.write(object.key, &object.meta, body) {
            Ok(location) => {
                self.space.correct(estimate, rounded(location.file_length));
                self.settle(object, location, None);
                Ok(())
            }
            Err(error) => {
                self.space.free(estimate);
                Err(Some(error))
            }
        }
    }

    /// Gives a file its new head, or makes a new file if the old one has had too many.
    fn renew(&self, tier: &Tier, object: &Arc<Object>, old: &Location) -> Result<(), Option<std::io::Error>> {
        match tier.folder.append_meta(object.key, old, &object.meta) {
            Ok(location) => {
                self.space
                    .correct(rounded(old.file_length), rounded(location.file_length));
                self.settle(object, location, Some(old));
                Ok(())
            }
            Err(AppendFault::Crowded) => self.rewrite(tier, object, old),
            // Only this thread appends; whoever did otherwise knows better than we do.
            Err(AppendFault::Outdated) => Err(None),
            Err(AppendFault::Disk(error)) => Err(Some(error)),
            Err(AppendFault::Stored(fault)) => {
                self.note_unreadable(&fault);
                // The file is of no use; what is in memory may be written anew when it is filled again.
                Err(None)
            }
        }
    }

    fn rewrite(
        &self,
        tier: &Tier,
        object: &Arc<Object>,
        old: &Location,
    ) -> Result<(), Option<std::io::Error>> {
        if let Body::Memory(body) = &object.body {
            return self.write(tier, object, body);
        }
        let estimate = estimate(old.body_length, &object.meta);
        if !self.space.take(estimate, self.room_wait(), || self.bell.ring()) {
            return Err(None);
        }
        match tier
            .folder
            .rewrite(object.key, old, tier.next_generation(), &object.meta)
        {
            Ok((location, _)) => {
                self.space.correct(estimate, rounded(location.file_length));
                self.settle(object, location, None);
                Ok(())
            }
            Err(fault) => {
                self.space.free(estimate);
                match fault {
                    RewriteFault::Disk(error) => Err(Some(error)),
                    RewriteFault::Stored(fault) => {
                        self.note_unreadable(&fault);
                        Err(None)
                    }
                }
            }
        }
    }

    /// Tells the index of a file; `appended` is what it was before, if it is the same.
    fn settle(&self, object: &Object, location: Location, appended: Option<&Location>) {
        if !self.is_paused.load(Ordering::Relaxed)
            && let Some(fault) = self.fault.lock().take()
        {
            log::info!("cache {}: writes to disk work again after: {fault}", self.name);
        }
        let _hold = self.hold();
        match self.index.stored(object.key, object.mark.id, location) {
            Ok(Some(old)) if old.generation != location.generation => self.dispose_file(object.key, &old),
            Ok(_) => {}
            Err(()) => match appended {
                None => self.dispose_file(object.key, &location),
                // Who has forgotten it has freed, or will free, what it took before.
                Some(old) => self
                    .space
                    .correct(rounded(location.file_length), rounded(old.file_length)),
            },
        }
        if self.space.is_tight() {
            self.bell.ring();
        }
    }
}
