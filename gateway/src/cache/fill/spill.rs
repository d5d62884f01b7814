//! The way of a large body into a file, off the threads that serve.

use std::fmt;
use std::io;

use bytes::Bytes;

use super::super::sync::Arc;
use super::Fill;
use super::course::{FillState, Keeping, wake};

/// A file that takes what does not fit into memory, and gives it back.
///
/// Appends come one after the other and never from a worker's thread; reads come at any time from any thread, and only
/// for bytes whose append has returned. After an error nothing is appended any more, and what was before it is still read.
pub trait Spill: Send + Sync {
    /// Writes behind what is there: all of it, or an error.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;

    /// Reads from `offset` of the body on; how many bytes, at least one unless `out` is empty.
    ///
    /// None: they are not in the system's memory and `may_wait` is false. Ask again where waiting harms nobody.
    fn read_at(&self, offset: u64, out: &mut [u8], may_wait: bool) -> io::Result<Option<usize>>;
}

impl fmt::Debug for dyn Spill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Spill")
    }
}

/// Bytes that are to go to the spill. Run it where waiting for a disk harms nobody.
///
/// Jobs of one fill may run in any order and at once: they take turns, and each writes all that is there when its turn
/// comes. One that is dropped without having run counts as a failed one, so that a fill never waits for it.
#[derive(Debug)]
#[must_use = "the fill stops growing until the job has run"]
pub struct SpillJob {
    fill: Arc<Fill>,
    is_over: bool,
}

/// What a job has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpillProgress {
    /// What had come is in the file; more is to come.
    Partial,
    /// The file holds every byte of a complete body: it may be stored.
    Whole,
    /// There was nothing to do: the fill broke, or is passed through. The file is not to be stored.
    Unwanted,
}

impl SpillJob {
    pub(super) fn of(fill: Arc<Fill>) -> Self {
        Self { fill, is_over: false }
    }

    /// Writes to the file; blocks.
    ///
    /// An error is the spill's: the disk is full, say. The fill goes on without storing, and its followers miss nothing.
    pub fn run(self) -> io::Result<SpillProgress> {
        let fill = Arc::clone(&self.fill);
        let Some(spill) = &fill.spill else {
            return Ok(SpillProgress::Unwanted);
        };
        let _turn = fill.disk.lock();
        // Dropped before the turn ends, whatever happens: nobody may append behind half a piece.
        let mut job = self;
        let pieces = job.pieces();
        for piece in &pieces {
            spill.append(piece)?;
        }
        let written = pieces.iter().map(|p| p.len() as u64).sum();
        Ok(job.land(written))
    }

    /// What is to be written now: nothing, if nobody will store it.
    fn pieces(&self) -> Vec<Bytes> {
        let course = self.fill.course.lock();
        match (course.keeping, course.state) {
            (Keeping::Passing, _) | (_, FillState::Broken) => Vec::new(),
            (Keeping::Whole, FillState::Open | FillState::Complete) => {
                course.window.pieces_from(course.file_end)
            }
        }
    }

    /// From here on followers read it from the file.
    fn land(&mut self, written: u64) -> SpillProgress {
        self.is_over = true;
        let mut course = self.fill.course.lock();
        course.job_is_out = false;
        course.file_end += written;
        let file_end = course.file_end;
        course.window.free_below(file_end);
        self.fill.settle(&mut course);
        let room = self.fill.take_room(&mut course);
        let progress = match (course.keeping, course.state) {
            (Keeping::Passing, _) | (_, FillState::Broken) => SpillProgress::Unwanted,
            (Keeping::Whole, FillState::Complete) if file_end == course.window.end() => SpillProgress::Whole,
            (Keeping::Whole, FillState::Open | FillState::Complete) => SpillProgress::Partial,
        };
        drop(course);
        wake(room);
        progress
    }
}

impl Drop for SpillJob {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let mut course = self.fill.course.lock();
        course.job_is_out = false;
        // A later job may have done this one's work already.
        if course.file_end < course.window.end() {
            course.pass();
            self.fill.settle(&mut course);
        }
        let room = self.fill.take_room(&mut course);
        drop(course);
        wake(room);
    }
}
