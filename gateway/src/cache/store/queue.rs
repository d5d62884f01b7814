//! What waits to be written to disk: bounded in bytes, never waited for.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use crate::cache::object::Object;

/// Part of the memory tier that may wait to be written, besides what is in the tier: 1/32, so that both stay within 5 % of
/// the limit.
const SHARE: u64 = 32;
/// At least two of the largest objects that are written in one go.
const BYTES_MIN: u64 = 2 << 20;
/// A second's work of a slow disk.
const BYTES_MAX: u64 = 64 << 20;

/// What is to be done with an object.
pub enum Job {
    /// It goes to a file of its own.
    Write(Arc<Object>),
    /// Its file gets a new meta record.
    Renew(Arc<Object>),
}

impl Job {
    fn bytes(&self) -> u64 {
        let (Self::Write(object) | Self::Renew(object)) = self;
        object.mark.weight
    }
}

/// The queue of one writer.
#[derive(Default)]
pub struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    bytes: u64,
    is_closed: bool,
}

impl Queue {
    /// Adds a job; gives it back if there is no room beside a memory tier of so many bytes.
    pub fn push(&self, job: Job, memory: u64) -> Result<(), Job> {
        let room = (memory / SHARE).clamp(BYTES_MIN, BYTES_MAX);
        let mut state = self.state.lock();
        let bytes = job.bytes();
        if state.is_closed || state.bytes + bytes > room {
            return Err(job);
        }
        state.bytes += bytes;
        state.jobs.push_back(job);
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// The next job, waited for; None when the queue is closed and empty.
    pub fn next(&self) -> Option<Job> {
        let mut state = self.state.lock();
        while state.jobs.is_empty() && !state.is_closed {
            self.changed.wait(&mut state);
        }
        Self::take(&mut state)
    }

    /// The next job if there is one.
    #[cfg(test)]
    pub fn poll(&self) -> Option<Job> {
        Self::take(&mut self.state.lock())
    }

    fn take(state: &mut State) -> Option<Job> {
        let job = state.jobs.pop_front()?;
        // Counted until it is taken: the one that is being written is one more.
        state.bytes -= job.bytes();
        Some(job)
    }

    /// Takes no more jobs.
    pub fn close(&self) {
        self.state.lock().is_closed = true;
        self.changed.notify_all();
    }

    /// Whether the store is about to end.
    pub fn is_closed(&self) -> bool {
        self.state.lock().is_closed
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> u64 {
        self.state.lock().bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::object::{Body, Key};
    use crate::cache::store::tests::meta;

    fn job(weight: u64) -> Job {
        let key = Key {
            primary: 1,
            variance: 0,
        };
        let mut object = Object::new(key, meta(1, &[], 1), Body::Memory(bytes::Bytes::new()));
        object.mark.weight = weight;
        Job::Write(Arc::new(object))
    }

    #[test]
    fn there_is_room_for_a_part_of_the_memory_and_none_after_the_end() {
        let queue = Queue::default();
        let memory = 4 * BYTES_MIN * SHARE;
        for _ in 0..4 {
            assert!(queue.push(job(BYTES_MIN), memory).is_ok());
        }
        assert!(queue.push(job(1), memory).is_err());
        assert!(queue.next().is_some());
        assert!(queue.push(job(1), memory).is_ok());
        queue.close();
        assert!(queue.push(job(1), memory).is_err());
        assert_eq!(
            std::iter::from_fn(|| queue.next()).count(),
            4,
            "what waits is still done"
        );
        assert_eq!(queue.bytes(), 0);
    }
}
