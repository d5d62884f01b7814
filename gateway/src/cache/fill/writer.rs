//! The one who brings a body in.

use std::fmt;
use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use super::super::sync::Arc;
use super::Fill;
use super::course::{Course, FillState, Keeping};
use super::spill::SpillJob;
use super::window::one_piece;

/// Brings a body in. Dropped without [`finish`](Self::finish), it breaks the fill: its followers get an error.
#[derive(Debug)]
pub struct FillWriter {
    fill: Arc<Fill>,
    /// Kept between pushes, so that waking allocates once.
    wakers: Vec<Waker>,
}

/// What is to be done after a push.
#[derive(Debug)]
pub enum Pushed {
    /// Nothing.
    Kept,
    /// Run this off the worker's thread, and go on.
    Spill(SpillJob),
    /// The body will not be stored and nobody follows it any more: nobody will ever read it. Best to stop.
    Unheard,
}

/// What has become of a body that is there to its end.
#[derive(Debug)]
pub enum Finished {
    /// In memory, in one piece.
    InMemory(Bytes),
    /// In the file, as soon as this job says [`SpillProgress::Whole`](super::SpillProgress::Whole); anything else means
    /// that it is not to be stored. Jobs that are still out need not be waited for.
    Spilled(SpillJob),
    /// It was passed through. Its followers read on; the cache has nothing.
    NotStorable,
}

/// Why a fill does not go on.
#[derive(Debug, PartialEq, Eq)]
pub enum FillError {
    /// The origin sends more than it announced. The fill is broken.
    Overlong {
        /// Bytes announced.
        length: u64,
    },
    /// The origin's body ended before the announced length. The fill is broken.
    Short {
        /// Bytes announced.
        length: u64,
        /// Bytes that came.
        received: u64,
    },
    /// Pushed without asking for room; the bytes come back. The fill is as it was: wait for room and push them again.
    NoRoom(Bytes),
    /// Pushed into a fill that is broken.
    Broken,
}

impl FillWriter {
    pub(super) fn of(fill: Arc<Fill>) -> Self {
        Self {
            fill,
            wakers: Vec::new(),
        }
    }

    /// The fill.
    pub fn fill(&self) -> &Arc<Fill> {
        &self.fill
    }

    /// Adds the body's next bytes and wakes who waits for them.
    ///
    /// A chunk of [`SMALL_CHUNK_BYTES`](super::SMALL_CHUNK_BYTES) or more is kept as it is, with the buffer it is a part of.
    pub fn push(&mut self, bytes: Bytes) -> Result<Pushed, FillError> {
        let fill = Arc::clone(&self.fill);
        let mut course = fill.course.lock();
        if course.state != FillState::Open {
            return Err(FillError::Broken);
        }
        if !fill.has_room(&course) {
            return Err(FillError::NoRoom(bytes));
        }
        let end = course.window.end().saturating_add(bytes.len() as u64);
        if let Some(length) = fill.length.filter(|length| end > *length) {
            course.state = FillState::Broken;
            course.audience.take_all(&mut self.wakers);
            drop(course);
            self.wake();
            return Err(FillError::Overlong { length });
        }
        course.window.append(bytes);
        self.fill.settle(&mut course);
        let budget = self.fill.budget.as_ref();
        course.is_crowded = budget.is_some_and(|budget| !budget.has_room_for(0));
        let pushed = self.place(&mut course);
        self.fill.settle(&mut course);
        course.audience.take_reached(end, &mut self.wakers);
        drop(course);
        self.wake();
        Ok(pushed)
    }

    /// Decides where what is in memory belongs.
    fn place(&self, course: &mut Course) -> Pushed {
        let is_large = course.is_crowded || course.window.length() > self.fill.memory_bytes_max;
        if course.window.end() > self.fill.object_bytes_max || is_large && self.fill.spill.is_none() {
            course.pass();
        }
        match course.keeping {
            Keeping::Passing => {
                course.let_go();
                match course.audience.count() {
                    0 => Pushed::Unheard,
                    _ => Pushed::Kept,
                }
            }
            Keeping::Whole if is_large && !course.job_is_out => {
                course.job_is_out = true;
                Pushed::Spill(SpillJob::of(Arc::clone(&self.fill)))
            }
            Keeping::Whole => Pushed::Kept,
        }
    }

    /// Ready when a push will be taken: a job or the slowest follower has made room.
    pub fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut course = self.fill.course.lock();
        if self.fill.has_room(&course) {
            return Poll::Ready(());
        }
        match &mut course.room {
            Some(kept) => kept.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        Poll::Pending
    }

    /// Waits until a push will be taken. Dropping the future loses nothing.
    pub async fn room(&mut self) {
        poll_fn(|context| self.poll_room(context)).await;
    }

    /// The body has ended as its framing says. Followers that have read it all see its end from here on.
    pub fn finish(mut self) -> Result<Finished, FillError> {
        let fill = Arc::clone(&self.fill);
        let mut course = fill.course.lock();
        if course.state != FillState::Open {
            return Err(FillError::Broken);
        }
        let received = course.window.end();
        if let Some(length) = fill.length.filter(|length| *length != received) {
            // `self` is dropped, which breaks the fill.
            drop(course);
            return Err(FillError::Short { length, received });
        }
        course.state = FillState::Complete;
        course.audience.take_all(&mut self.wakers);
        let is_in_file = course.file_end > 0 || course.job_is_out;
        let finished = match course.keeping {
            Keeping::Passing => Finished::NotStorable,
            Keeping::Whole if is_in_file => Finished::Spilled(SpillJob::of(Arc::clone(&fill))),
            // In a list first: it is put together while followers read on.
            Keeping::Whole => {
                let pieces = course.window.pieces_from(0);
                drop(course);
                self.wake();
                return Ok(Finished::InMemory(flattened(&fill, &pieces)));
            }
        };
        drop(course);
        self.wake();
        Ok(finished)
    }

    /// Without the lock: a waker may run what it wakes.
    fn wake(&mut self) {
        self.wakers.drain(..).for_each(Waker::wake);
    }
}

/// The body in one piece, which followers read from too: it is not in memory twice for longer than the copy takes.
fn flattened(fill: &Fill, pieces: &[Bytes]) -> Bytes {
    let whole = one_piece(pieces);
    if pieces.len() > 1 {
        fill.course.lock().window.flatten(whole.clone());
    }
    whole
}

impl Drop for FillWriter {
    fn drop(&mut self) {
        let mut course = self.fill.course.lock();
        if course.state == FillState::Open {
            course.state = FillState::Broken;
            course.audience.take_all(&mut self.wakers);
        }
        drop(course);
        self.wake();
    }
}

impl fmt::Display for FillError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overlong { length } => write!(
                f,
                "the origin sent more than the {length} bytes it announced: its answer is not used"
            ),
            Self::Short { length, received } => write!(
                f,
                "the origin's body ended after {received} of {length} bytes: its answer is not used"
            ),
            Self::NoRoom(bytes) => write!(
                f,
                "no room for {} bytes of a body: wait for room before the push",
                bytes.len()
            ),
            Self::Broken => f.write_str("the fill is broken: nothing can be added to it"),
        }
    }
}

impl std::error::Error for FillError {}
