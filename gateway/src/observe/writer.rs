//! The thread that owns the access log's target.

use std::io;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use parking_lot::Mutex;
use prometheus::IntCounter;

use super::journal::Journal;
use super::queue::{Entry, Pause, QUEUE_BYTES_MAX, Queue, line_count};
use super::target::{LogFault, Target};
use crate::config::plan::LogTarget;

/// Between two tries on a target that has failed: a full disk does not empty faster, and a try costs little.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// What went wrong with the access log, counted.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Lines that nobody will read.
    pub dropped: IntCounter,
    /// Writes that failed.
    pub errors: IntCounter,
}

/// The access log: hands out [`Journal`]s, and takes orders from the control thread.
///
/// Orders do not wait for the writer and keep their place among the lines: what was handed over before one
/// goes to the old target, what comes after it to the new one. A write that hangs in the kernel (a FIFO
/// nobody reads) delays orders; a write that fails does not.
pub struct LogWriter {
    queue: Arc<Queue>,
    current: Mutex<LogTarget>,
    thread: Option<JoinHandle<()>>,
}

impl LogWriter {
    /// Starts the thread.
    pub fn start(target: Target, tally: Tally) -> Result<Self, LogFault> {
        Self::start_with(target, tally, RETRY_PAUSE)
    }

    fn start_with(target: Target, tally: Tally, retry_pause: Duration) -> Result<Self, LogFault> {
        let queue = Arc::new(Queue::new(tally, target.is_off()));
        let current = Mutex::new(target.plan().clone());
        let mut pen = Pen {
            queue: queue.clone(),
            target,
            retry_pause,
            failing: false,
        };
        let thread = Builder::new()
            .name("access-log".to_owned())
            .spawn(move || pen.run())
            .map_err(|source| LogFault::Thread { source })?;
        Ok(Self {
            queue,
            current,
            thread: Some(thread),
        })
    }

    /// A worker's end. Journals may outlive the writer; their lines then count as dropped.
    pub fn journal(&self) -> Journal {
        Journal::new(self.queue.clone())
    }

    /// Opens the same path again, after a rename. On an error the old file stays in use.
    pub fn reopen(&self) -> Result<(), LogFault> {
        let current = self.current.lock();
        if matches!(*current, LogTarget::File(_)) {
            self.queue.switch(Target::open(&current)?);
        }
        Ok(())
    }

    /// From here on lines go to this target.
    pub fn retarget(&self, target: Target) {
        let mut current = self.current.lock();
        target.plan().clone_into(&mut current);
        self.queue.switch(target);
    }

    /// Writes what was handed over and ends; false when that took longer than `patience`: the rest is lost,
    /// and counted. Drop or flush the journals first.
    pub fn flush_and_stop(mut self, patience: Duration) -> bool {
        self.queue.stop();
        let ended = self.queue.await_end(patience);
        if ended && let Some(thread) = self.thread.take() {
            return thread.join().is_ok();
        }
        ended
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        self.queue.stop();
    }
}

/// The thread's side.
struct Pen {
    queue: Arc<Queue>,
    target: Target,
    retry_pause: Duration,
    failing: bool,
}

impl Pen {
    fn run(&mut self) {
        while let Some(entry) = self.queue.next() {
            match entry {
                Entry::Lines(buffer) => {
                    self.write(&buffer);
                    self.queue.give_back(buffer);
                }
                Entry::Switch(target) => self.switch(target),
            }
        }
        self.queue.end();
    }

    /// Writes all of it, however long that takes. Meanwhile the queue fills and then refuses.
    fn write(&mut self, text: &[u8]) {
        let mut at = 0;
        while at < text.len() {
            match self.target.write(&text[at..]) {
                Ok(0) => self.failed(&io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    at += n;
                    self.succeeded();
                    continue;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => self.failed(&e),
            }
            match self.queue.pause(self.retry_pause) {
                Pause::Over => {}
                Pause::Switch(target) => {
                    self.switch(target);
                    // The old target may end in half a line; the new one gets it whole.
                    at = memchr::memrchr(b'\n', &text[..at]).map_or(0, |end| end + 1);
                }
                Pause::Abandoned => {
                    self.queue.tally.dropped.inc_by(line_count(&text[at..]));
                    return;
                }
            }
        }
    }

    fn switch(&mut self, target: Target) {
        self.target = target;
        self.failing = false;
    }

    fn failed(&mut self, error: &io::Error) {
        self.queue.tally.errors.inc();
        if std::mem::replace(&mut self.failing, true) {
            return; // told already; told again only after it has worked in between
        }
        let kept_mib = QUEUE_BYTES_MAX >> 20;
        log::error!(
            "access log {}: {error}; trying again, lines beyond {kept_mib} MiB are dropped: make room or reload with another access_log.path",
            self.target
        );
    }

    fn succeeded(&mut self) {
        if std::mem::replace(&mut self.failing, false) {
            log::info!("access log {}: writing again", self.target);
        }
    }
}

#[cfg(test)]
mod tests;
