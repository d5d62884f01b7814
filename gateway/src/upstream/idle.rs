//! Connections to servers that wait for the next request, kept by each worker for itself.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use crate::kit::clock::Mono;
use crate::stream::Stream;

/// A worker's idle connections, by the number of the server they lead to and that of what it was greeted with, 0 for nothing.
#[derive(Debug, Default)]
pub struct Idle {
    parked: RefCell<HashMap<(u64, u64), Vec<Parked>>>,
}

#[derive(Debug)]
struct Parked {
    stream: Stream,
    until: Mono,
}

impl Idle {
    /// The connection used last, if it is still good: the others may then grow old and go.
    pub fn take(&self, server: (u64, u64), now: Mono) -> Option<Stream> {
        let mut parked = self.parked.borrow_mut();
        let waiting = parked.get_mut(&server)?;
        // One look at the socket, because its end may not have been reported to us yet: a request written to
        // a closed connection could not be sent again if its method is not idempotent.
        std::iter::from_fn(|| waiting.pop())
            .find(|p| p.until > now && p.stream.is_quiet())
            .map(|p| {
                // The look has found nothing: the wait for the answer need not begin with a read in vain.
                p.stream.note_drained();
                p.stream
            })
    }

    /// Keeps a connection for `timeout`, at most `max` of one server: the oldest gives way.
    pub fn park(&self, server: (u64, u64), stream: Stream, timeout: Duration, max: usize, now: Mono) {
        let mut parked = self.parked.borrow_mut();
        let waiting = parked.entry(server).or_default();
        if waiting.len() >= max {
            if max == 0 {
                return;
            }
            waiting.remove(0);
        }
        waiting.push(Parked {
            stream,
            until: now.plus(timeout),
        });
    }

    /// Closes what has waited too long or was closed by its server; called about once a second.
    pub fn sweep(&self, now: Mono) {
        self.parked.borrow_mut().retain(|_, waiting| {
            waiting.retain(|p| p.until > now && p.stream.is_quiet());
            !waiting.is_empty()
        });
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.parked.borrow().values().map(Vec::len).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
