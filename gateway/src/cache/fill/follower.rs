//! A client that reads a body while it arrives.

use std::future::poll_fn;
use std::task::{Context, Poll};

use bytes::Bytes;

use super::super::sync::{Arc, MutexGuard};
use super::Fill;
use super::course::{Course, FillState, wake};
use super::spill::Spill;

/// Bytes of one step at most: what one write to a socket takes at best, and what a slow client can hold on to.
pub const STEP_BYTES_MAX: usize = 64 * 1024;

/// Reads a fill from a position of its own. Dropping it frees what was kept for it.
#[derive(Debug)]
pub struct Follower {
    fill: Arc<Fill>,
    id: usize,
}

/// What a follower gets next.
#[derive(Debug)]
pub enum Step {
    /// The next bytes; never empty. The follower stands behind them now.
    Bytes(Bytes),
    /// The next bytes are in a file: read any number of them, then say so with [`Follower::advance`].
    ///
    /// If the read fails, the body is broken for this client: treat it as [`Step::Broken`].
    InFile {
        /// Where to read.
        reader: Arc<dyn Spill>,
        /// From where: the follower's position.
        offset: u64,
        /// How many there are; at least one.
        length: u64,
    },
    /// There is nothing more: the body is complete.
    End,
    /// There is nothing more, and the body is *not* complete. A client must not be told that it is.
    Broken,
}

impl Follower {
    pub(super) fn of(fill: Arc<Fill>, id: usize) -> Self {
        Self { fill, id }
    }

    /// What it follows.
    pub fn fill(&self) -> &Arc<Fill> {
        &self.fill
    }

    /// Offset of the byte it wants next.
    pub fn position(&self) -> u64 {
        self.fill.course.lock().audience.position(self.id)
    }

    /// Goes to `offset`, for a range. True if it may be read from there.
    ///
    /// False, and nothing has changed, if bytes from there on have been let go of: that is behind what was read of a fill
    /// that is passed through. An offset beyond the end of the body is found to be one when the body ends.
    pub fn skip_to(&mut self, offset: u64) -> bool {
        let course = self.fill.course.lock();
        let base = course.window.base();
        if offset < base && base > course.file_end {
            return false;
        }
        self.move_to(course, offset);
        true
    }

    /// Goes on by what was read from a file: at most the `length` of the step.
    pub fn advance(&mut self, bytes: u64) {
        let course = self.fill.course.lock();
        let position = course.audience.position(self.id);
        let offset = position.saturating_add(bytes).min(course.file_end);
        self.move_to(course, offset.max(position));
    }

    /// The next step, or a wake-up when there is one.
    ///
    /// Bytes that came before a break are given first. [`Step::End`] and [`Step::Broken`] are given for ever.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Step> {
        let mut course = self.fill.course.lock();
        let position = course.audience.position(self.id);
        if let Some(bytes) = course.window.slice(position, STEP_BYTES_MAX) {
            self.move_to(course, position + bytes.len() as u64);
            return Poll::Ready(Step::Bytes(bytes));
        }
        if position < course.file_end {
            let length = course.file_end - position;
            drop(course);
            return Poll::Ready(self.in_file(position, length));
        }
        let end = course.window.end();
        match course.state {
            // What is neither in memory nor in the file was let go of: rather an error than a short body.
            _ if position < end => Poll::Ready(Step::Broken),
            FillState::Complete => Poll::Ready(Step::End),
            FillState::Broken => Poll::Ready(Step::Broken),
            FillState::Open => {
                course.audience.wait(self.id, end, context.waker());
                Poll::Pending
            }
        }
    }

    /// Waits for the next step. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Step {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// Lets go of what nobody needs any more, and tells the writer.
    fn move_to(&self, mut course: MutexGuard<'_, Course>, position: u64) {
        course.audience.move_to(self.id, position);
        self.fill.let_go(&mut course);
        let room = self.fill.take_room(&mut course);
        drop(course);
        wake(room);
    }

    fn in_file(&self, offset: u64, length: u64) -> Step {
        match &self.fill.spill {
            Some(reader) => Step::InFile {
                reader: Arc::clone(reader),
                offset,
                length,
            },
            None => Step::Broken,
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let mut course = self.fill.course.lock();
        course.audience.leave(self.id);
        self.fill.let_go(&mut course);
        let room = self.fill.take_room(&mut course);
        drop(course);
        wake(room);
    }
}
