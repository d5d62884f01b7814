//! Between the workers and the writer: whole buffers, in order, bounded in bytes.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::target::Target;
use super::writer::Tally;

/// Memory that waiting lines may hold, all workers together: some 50,000 lines, or a second of a busy
/// gateway with a stuck disk. Beyond it lines are dropped and counted.
pub(super) const QUEUE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Emptied buffers kept for the workers; a burst's others are freed.
const SPARE_BUFFERS_MAX: usize = 32;

/// A buffer that one huge line has made larger than this is freed.
const SPARE_BYTES_MAX: usize = 128 * 1024;

/// The lock is held for a push or a pop, never for a write, so a worker never waits for the target.
pub(super) struct Queue {
    state: Mutex<State>,
    /// The writer has something to do.
    work: Condvar,
    /// Something other than lines: heard by a writer that waits out a failure, too.
    order: Condvar,
    ended: Condvar,
    off: AtomicBool,
    pub(super) tally: Tally,
}

struct State {
    entries: VecDeque<Entry>,
    /// Capacity of all buffers in `entries` and of the one being written.
    bytes: usize,
    spare: Vec<Vec<u8>>,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Running,
    /// Nothing is taken any more; what is there is written.
    Stopping,
    /// Patience has run out; the writer ends as soon as it can.
    Abandoned,
    Ended,
}

/// What the writer does next.
pub(super) enum Entry {
    /// Whole lines.
    Lines(Vec<u8>),
    /// Everything after this goes here.
    Switch(Target),
}

/// What came while the writer waited after a failure.
pub(super) enum Pause {
    Over,
    Switch(Target),
    Abandoned,
}

impl Queue {
    pub(super) fn new(tally: Tally, off: bool) -> Self {
        Self {
            state: Mutex::new(State {
                entries: VecDeque::new(),
                bytes: 0,
                spare: Vec::new(),
                stage: Stage::Running,
            }),
            work: Condvar::new(),
            order: Condvar::new(),
            ended: Condvar::new(),
            off: AtomicBool::new(off),
            tally,
        }
    }

    /// Whether lines would go nowhere, so that they need not be written.
    pub(super) fn is_off(&self) -> bool {
        self.off.load(Ordering::Relaxed)
    }

    /// Takes the lines out of `buffer` and leaves it empty; false, and untouched, when there is no room.
    pub(super) fn offer(&self, buffer: &mut Vec<u8>) -> bool {
        let mut state = self.state.lock();
        if state.stage != Stage::Running || !state.take(buffer) {
            return false;
        }
        drop(state);
        self.work.notify_one();
        true
    }

    pub(super) fn switch(&self, target: Target) {
        self.off.store(target.is_off(), Ordering::Relaxed);
        let mut state = self.state.lock();
        // Nothing would be written to the one before: a stuck writer's queue holds at most one of these in a row.
        if matches!(state.entries.back(), Some(Entry::Switch(_))) {
            state.entries.pop_back();
        }
        state.entries.push_back(Entry::Switch(target));
        drop(state);
        self.notify();
    }

    /// Waits for something to do; None when the writer shall end.
    pub(super) fn next(&self) -> Option<Entry> {
        let mut state = self.state.lock();
        loop {
            match (state.stage, state.entries.pop_front()) {
                (Stage::Abandoned | Stage::Ended, _) | (Stage::Stopping, None) => return None,
                (Stage::Running | Stage::Stopping, Some(entry)) => return Some(entry),
                (Stage::Running, None) => self.work.wait(&mut state),
            }
        }
    }

    /// Takes back a buffer that has been written.
    pub(super) fn give_back(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        let mut state = self.state.lock();
        state.bytes -= buffer.capacity();
        if state.spare.len() < SPARE_BUFFERS_MAX && buffer.capacity() <= SPARE_BYTES_MAX {
            state.spare.push(buffer);
        }
    }

    /// Waits after a failed write. A new target that waits behind any lines is brought forward: with the
    /// old one failing, the lines before it would never make way.
    pub(super) fn pause(&self, pause: Duration) -> Pause {
        let mut state = self.state.lock();
        if state.stage != Stage::Abandoned && !state.has_switch() {
            self.order.wait_for(&mut state, pause);
        }
        if state.stage == Stage::Abandoned {
            return Pause::Abandoned;
        }
        state.take_switch().map_or(Pause::Over, Pause::Switch)
    }

    /// No more lines are taken; the writer ends when it has written what there is.
    pub(super) fn stop(&self) {
        let mut state = self.state.lock();
        if state.stage == Stage::Running {
            state.stage = Stage::Stopping;
        }
        drop(state);
        self.notify();
    }

    /// Waits until the writer has ended; false when it had not after `patience`, and its lines are lost.
    pub(super) fn await_end(&self, patience: Duration) -> bool {
        let mut state = self.state.lock();
        self.ended
            .wait_while_for(&mut state, |s| s.stage != Stage::Ended, patience);
        if state.stage == Stage::Ended {
            return true;
        }
        state.stage = Stage::Abandoned;
        let lost = state.entries.drain(..).map(|e| e.lines()).sum();
        drop(state);
        self.tally.dropped.inc_by(lost);
        self.notify();
        false
    }

    pub(super) fn end(&self) {
        self.state.lock().stage = Stage::Ended;
        self.ended.notify_all();
    }

    fn notify(&self) {
        self.work.notify_one();
        self.order.notify_one();
    }
}

impl State {
    fn take(&mut self, buffer: &mut Vec<u8>) -> bool {
        // Small buffers join the last one while it has room: fewer writes, and no memory held for nothing.
        if let Some(Entry::Lines(last)) = self.entries.back_mut()
            && last.capacity() - last.len() >= buffer.len()
        {
            last.append(buffer);
            return true;
        }
        if self.bytes + buffer.capacity() > QUEUE_BYTES_MAX {
            return false;
        }
        self.bytes += buffer.capacity();
        let spare = self.spare.pop().unwrap_or_default();
        self.entries
            .push_back(Entry::Lines(std::mem::replace(buffer, spare)));
        true
    }

    fn has_switch(&self) -> bool {
        self.entries.iter().any(|e| matches!(e, Entry::Switch(_)))
    }

    fn take_switch(&mut self) -> Option<Target> {
        let at = self.entries.iter().position(|e| matches!(e, Entry::Switch(_)))?;
        match self.entries.remove(at)? {
            Entry::Switch(target) => Some(target),
            Entry::Lines(_) => None,
        }
    }
}

impl Entry {
    fn lines(&self) -> u64 {
        match self {
            Self::Lines(buffer) => line_count(buffer),
            Self::Switch(_) => 0,
        }
    }
}

/// Lines that end in this text.
pub(super) fn line_count(text: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', text).count() as u64
}
