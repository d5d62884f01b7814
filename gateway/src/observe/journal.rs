//! One worker's end of the access log.

use std::sync::Arc;

use super::format::Format;
use super::line::Line;
use super::queue::{Queue, line_count};
use super::timestamp::TimeCache;

/// A buffer this full goes to the writer: about a hundred lines a hand-over, and one write call for them.
pub const HAND_OVER_BYTES: usize = 32 * 1024;

/// Room beyond [`HAND_OVER_BYTES`] for the line that reaches it, so that a usual one grows nothing.
const LAST_LINE_BYTES: usize = 8 * 1024;

/// Collects a worker's lines and hands them over in whole buffers. Never waits for the target.
///
/// While the writer is so far behind that it takes nothing, the lines collected so far are kept, and new
/// ones are dropped and counted. Dropping the journal hands over what is left.
pub struct Journal {
    queue: Arc<Queue>,
    buffer: Vec<u8>,
    times: TimeCache,
}

impl Journal {
    pub(super) fn new(queue: Arc<Queue>) -> Self {
        Self {
            queue,
            buffer: Vec::new(),
            times: TimeCache::default(),
        }
    }

    /// Whether lines go nowhere, so that there is no need to put their facts together.
    pub fn is_off(&self) -> bool {
        self.queue.is_off()
    }

    /// Writes one request down.
    pub fn write(&mut self, format: &Format, line: &Line<'_>) {
        if self.is_off() {
            return;
        }
        if self.is_full() && !self.hand_over() {
            self.queue.tally.dropped.inc();
            return;
        }
        self.buffer
            .reserve_exact((HAND_OVER_BYTES + LAST_LINE_BYTES).saturating_sub(self.buffer.len()));
        format.write(&mut self.buffer, line, &mut self.times);
        if self.is_full() {
            self.hand_over();
        }
    }

    /// Hands over what there is; for the worker's tick, and for when it has nothing else to do.
    ///
    /// What the writer does not take stays for the next time.
    pub fn flush(&mut self) {
        if !self.buffer.is_empty() {
            self.hand_over();
        }
    }

    fn is_full(&self) -> bool {
        self.buffer.len() >= HAND_OVER_BYTES
    }

    fn hand_over(&mut self) -> bool {
        self.queue.offer(&mut self.buffer)
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.flush();
        self.queue.tally.dropped.inc_by(line_count(&self.buffer));
    }
}
