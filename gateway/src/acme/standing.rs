//! How it stands with an ordered certificate, for whoever looks.

use std::time::Duration;

use parking_lot::Mutex;

/// What is going on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Nothing is to be done before the next attempt.
    #[default]
    Waiting,
    /// An order is under way.
    Ordering,
    /// Another process that shares the folder is at it.
    Elsewhere,
}

impl Phase {
    /// As `/status` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Ordering => "ordering",
            Self::Elsewhere => "ordered by another process",
        }
    }
}

/// What is told of one certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What is going on.
    pub phase: Phase,
    /// Why the last attempt failed; None after one that did not.
    pub fault: Option<String>,
    /// When the next attempt is made, since the Unix epoch; None before that is known.
    pub next_attempt: Option<Duration>,
    /// Orders that have brought a certificate, since the start.
    pub brought: u64,
    /// Attempts that have not.
    pub failed: u64,
}

/// The cell in which it stands; it outlives reloads.
#[derive(Debug, Default)]
pub struct Standing {
    report: Mutex<Report>,
}

impl Standing {
    /// Something has happened.
    pub fn change(&self, change: impl FnOnce(&mut Report)) {
        change(&mut self.report.lock());
    }

    /// How it stands.
    pub fn report(&self) -> Report {
        self.report.lock().clone()
    }
}
