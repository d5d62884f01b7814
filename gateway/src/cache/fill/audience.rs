//! Who follows a fill, where each of them is, and whom to wake.

use std::collections::{BTreeMap, BTreeSet};
use std::task::Waker;

/// The followers of one fill. There is one per client, so the cap on connections bounds it.
///
/// Invariant: a seat with a waker is in `near`, or in `far` under its position; so a wake-up finds it.
#[derive(Debug, Default)]
pub struct Audience {
    seats: Vec<Seat>,
    vacant: Vec<usize>,
    count: usize,
    /// Who has everything there is: all of them want the next byte. A seat is here once at most.
    near: Vec<usize>,
    /// Who waits for a byte beyond the next: they sleep until it comes.
    far: BTreeSet<(u64, usize)>,
    /// How many followers stand at each position; kept only when what all have read is let go.
    holds: Option<BTreeMap<u64, usize>>,
}

#[derive(Debug, Default)]
struct Seat {
    taken: bool,
    position: u64,
    waker: Option<Waker>,
    queued: Queued,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Queued {
    #[default]
    No,
    Near,
    Far(u64),
}

impl Audience {
    /// How many follow.
    pub fn count(&self) -> usize {
        self.count
    }

    /// A new follower, at the beginning of the body.
    pub fn join(&mut self) -> usize {
        let id = self.vacant.pop().unwrap_or_else(|| {
            self.seats.push(Seat::default());
            self.seats.len() - 1
        });
        let seat = &mut self.seats[id];
        (seat.taken, seat.position) = (true, 0);
        self.count += 1;
        self.hold(0);
        id
    }

    /// A follower goes.
    pub fn leave(&mut self, id: usize) {
        self.leave_far(id);
        let seat = &mut self.seats[id];
        // Its place in `near` stays: the next wake-up clears it, and finds nobody or the seat's next follower.
        seat.waker = None;
        seat.taken = false;
        let position = seat.position;
        self.release(position);
        self.vacant.push(id);
        self.count -= 1;
    }

    /// Where a follower is: the offset of the byte it wants next.
    pub fn position(&self, id: usize) -> u64 {
        self.seats[id].position
    }

    /// A follower goes on, or back.
    pub fn move_to(&mut self, id: usize, position: u64) {
        let before = std::mem::replace(&mut self.seats[id].position, position);
        self.hold(position);
        self.release(before);
    }

    /// Wakes a follower once the body has grown beyond its position; `end` is where it ends now.
    pub fn wait(&mut self, id: usize, end: u64, waker: &Waker) {
        let position = self.seats[id].position;
        if self.seats[id].queued != Queued::Far(position) {
            self.leave_far(id);
        }
        let seat = &mut self.seats[id];
        match &mut seat.waker {
            Some(kept) => kept.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
        if seat.queued != Queued::No {
            return;
        }
        if position <= end {
            seat.queued = Queued::Near;
            self.near.push(id);
        } else {
            seat.queued = Queued::Far(position);
            self.far.insert((position, id));
        }
    }

    /// Takes the wakers of all who have something to read now that the body reaches to `end`.
    pub fn take_reached(&mut self, end: u64, wakers: &mut Vec<Waker>) {
        self.take_near(wakers);
        while self.far.first().is_some_and(|(at, _)| *at < end) {
            self.take_first_far(wakers);
        }
    }

    /// Takes the wakers of all who wait: there will be nothing more.
    pub fn take_all(&mut self, wakers: &mut Vec<Waker>) {
        self.take_near(wakers);
        while !self.far.is_empty() {
            self.take_first_far(wakers);
        }
    }

    fn take_near(&mut self, wakers: &mut Vec<Waker>) {
        for id in self.near.drain(..) {
            let seat = &mut self.seats[id];
            seat.queued = Queued::No;
            wakers.extend(seat.waker.take());
        }
    }

    fn take_first_far(&mut self, wakers: &mut Vec<Waker>) {
        if let Some((_, id)) = self.far.pop_first() {
            let seat = &mut self.seats[id];
            seat.queued = Queued::No;
            wakers.extend(seat.waker.take());
        }
    }

    /// From now on [`slowest`](Self::slowest) is known.
    pub fn begin_holding(&mut self) {
        let mut holds = BTreeMap::new();
        for seat in self.seats.iter().filter(|s| s.taken) {
            *holds.entry(seat.position).or_default() += 1;
        }
        self.holds = Some(holds);
    }

    /// The position that none has left behind; None if nobody follows, or before `begin_holding`.
    pub fn slowest(&self) -> Option<u64> {
        let (position, _) = self.holds.as_ref()?.first_key_value()?;
        Some(*position)
    }

    fn leave_far(&mut self, id: usize) {
        if let Queued::Far(at) = self.seats[id].queued {
            self.far.remove(&(at, id));
            self.seats[id].queued = Queued::No;
        }
    }

    fn hold(&mut self, position: u64) {
        if let Some(holds) = &mut self.holds {
            *holds.entry(position).or_default() += 1;
        }
    }

    fn release(&mut self, position: u64) {
        let Some(holds) = &mut self.holds else {
            return;
        };
        if let Some(count) = holds.get_mut(&position) {
            *count -= 1;
            if *count == 0 {
                holds.remove(&position);
            }
        }
    }
}
