//! Those who wait, in the order they came.

use std::collections::VecDeque;
use std::task::Waker;

/// What asking for a place would come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// A place.
    Inside,
    /// A place in line.
    Line,
    /// Nothing.
    Full,
}

/// A first-in, first-out line out of which anybody may step at any time.
///
/// Each who joins gets a ticket, one higher than the last. Whoever is served has a ticket below [`Line::served`], and all
/// others who still wait have not: so one number tells each of them, and being served needs no record of its own.
#[derive(Debug, Default)]
pub struct Line {
    /// By ticket, ascending. The first and the last have not left, or it is empty.
    entries: VecDeque<Waiter>,
    waiting: usize,
    next: u64,
    served: u64,
}

#[derive(Debug)]
struct Waiter {
    ticket: u64,
    waker: Option<Waker>,
    has_left: bool,
}

impl Line {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Steps into the line, at its end.
    pub fn join(&mut self) -> u64 {
        let ticket = self.next;
        self.next += 1;
        self.waiting += 1;
        self.entries.push_back(Waiter {
            ticket,
            waker: None,
            has_left: false,
        });
        ticket
    }

    /// Whether this one's turn has come. Asked only by those who have not left.
    pub fn is_served(&self, ticket: u64) -> bool {
        ticket < self.served
    }

    /// Whom to wake when this one's turn comes. What is returned is to be dropped without the lock: a waker's last drop may
    /// run anything.
    #[must_use]
    pub fn listen(&mut self, ticket: u64, waker: &Waker) -> Option<Waker> {
        let at = self.position(ticket)?;
        let kept = &mut self.entries[at].waker;
        match kept {
            Some(same) if same.will_wake(waker) => None,
            _ => kept.replace(waker.clone()),
        }
    }

    /// Serves the one who has waited longest; None if nobody waits. The waker is to be woken without the lock, and is not
    /// there if this one has not been polled yet.
    pub fn serve(&mut self) -> Option<Option<Waker>> {
        let first = self.entries.pop_front()?;
        self.served = first.ticket + 1;
        self.waiting -= 1;
        self.trim();
        Some(first.waker)
    }

    /// Steps out of the line before being served. What is returned is to be dropped without the lock.
    #[must_use]
    pub fn leave(&mut self, ticket: u64) -> Option<Waker> {
        let at = self.position(ticket)?;
        let entry = &mut self.entries[at];
        entry.has_left = true;
        let waker = entry.waker.take();
        self.waiting -= 1;
        self.trim();
        // Holes in the middle cost nothing until they are the most of it. Each is then moved over once: leaving costs the
        // same however long the line is, also when thousands time out at once.
        if self.entries.len() > 2 * self.waiting + HOLES_MIN {
            self.entries.retain(|e| !e.has_left);
        }
        waker
    }

    fn position(&self, ticket: u64) -> Option<usize> {
        self.entries.binary_search_by_key(&ticket, |e| e.ticket).ok()
    }

    /// Those who left at either end are forgotten.
    fn trim(&mut self) {
        while self.entries.front().is_some_and(|e| e.has_left) {
            self.entries.pop_front();
        }
        while self.entries.back().is_some_and(|e| e.has_left) {
            self.entries.pop_back();
        }
    }
}

/// Holes that are always allowed: a short line is not worth being moved.
const HOLES_MIN: usize = 16;
