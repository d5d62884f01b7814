//! How many bytes of disk are in use, and who may take some more.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// Files take whole blocks.
const BLOCK: u64 = 4096;
/// The part of the limit that is kept free, so that who writes seldom waits for who evicts: 2 %.
const SLACK: u64 = 50;

/// The part of the limit that may be written while the folder is walked through: less than 1 %.
const BLIND_SHARE: u64 = 128;
/// Bytes of that at least.
const BLIND_BYTES_MIN: u64 = 1 << 20;
/// Bytes that the folders themselves take: a block for each of the 4,096 that objects are in, and for the 256 above.
const FOLDERS_BYTES: u64 = (4096 + 256) * BLOCK;
/// The part of a small limit that is kept for them at most: it does not hold enough objects for all of them.
const FOLDERS_SHARE: u64 = 8;

/// Bytes on disk, counted before they are written and until they are removed: the limit is never passed, except by what is
/// found there after it was lowered, and by the little that is written before all is found.
#[derive(Default)]
pub struct Space {
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Default)]
struct State {
    /// As configured.
    limit: u64,
    /// What the file system has left for us, the bytes in use included.
    ceiling: u64,
    /// Less than was in use when the file system had no room, until that much is free.
    shrunk: u64,
    used: u64,
    /// Of these, what was found in the folder after a start.
    found: u64,
    /// The most that somebody waits for.
    wanted: u64,
}

impl State {
    fn limit(&self) -> u64 {
        let folders = FOLDERS_BYTES.min(self.limit / FOLDERS_SHARE);
        (self.limit - folders).min(self.ceiling).min(self.shrunk)
    }
}

/// Bytes of disk a file of this length takes.
pub fn rounded(bytes: u64) -> u64 {
    bytes.div_ceil(BLOCK) * BLOCK
}

impl Space {
    /// Sets the limit.
    pub fn resize(&self, limit: u64) {
        let mut state = self.state.lock();
        state.limit = limit;
        (state.ceiling, state.shrunk) = (u64::MAX, u64::MAX);
        self.freed.notify_all();
    }

    /// Leaves so many bytes of the file system free, of which `free` are free now.
    pub fn leave(&self, free: u64, floor: u64) {
        let mut state = self.state.lock();
        state.ceiling = state.used.saturating_add(free).saturating_sub(floor);
    }

    /// The file system has no room for what is counted: less is to be used than now.
    pub fn shrink(&self) {
        let mut state = self.state.lock();
        state.shrunk = state.used.saturating_sub(state.used / SLACK);
    }

    /// Enough was evicted: the file system may be tried again.
    pub fn grow(&self) {
        self.state.lock().shrunk = u64::MAX;
    }

    /// Takes some, or waits until somebody has freed it: not longer than `wait`, and false then. `call` wakes whoever evicts.
    pub fn take(&self, bytes: u64, wait: Duration, call: impl Fn()) -> bool {
        let mut state = self.state.lock();
        if state.used + bytes > state.limit() && !wait.is_zero() && bytes <= state.limit() {
            state.wanted = state.wanted.max(bytes);
            call();
            let is_full = |state: &mut State| state.used + bytes > state.limit();
            self.freed.wait_while_for(&mut state, is_full, wait);
            state.wanted = 0;
        }
        let fits = state.used + bytes <= state.limit();
        if fits {
            state.used += bytes;
        }
        fits
    }

    /// Counts bytes that are there already.
    pub fn add(&self, bytes: u64) {
        self.state.lock().used += bytes;
    }

    /// Counts what was found in the folder.
    pub fn find(&self, bytes: u64) {
        let mut state = self.state.lock();
        state.used += bytes;
        state.found += bytes;
    }

    /// Whether something may be written although nobody knows yet how much is there: a share of the limit too small to
    /// matter.
    pub fn has_blind_room(&self) -> bool {
        let state = self.state.lock();
        state.used.saturating_sub(state.found) < (state.limit / BLIND_SHARE).max(BLIND_BYTES_MIN)
    }

    /// Gives some back.
    pub fn free(&self, bytes: u64) {
        let mut state = self.state.lock();
        state.used = state.used.saturating_sub(bytes);
        self.freed.notify_all();
    }

    /// Counts `is` instead of `was`.
    pub fn correct(&self, was: u64, is: u64) {
        if is > was {
            self.add(is - was);
        } else if was > is {
            self.free(was - is);
        }
    }

    /// Bytes in use.
    pub fn used(&self) -> u64 {
        self.state.lock().used
    }

    /// The limit as configured.
    pub fn limit(&self) -> u64 {
        self.state.lock().limit
    }

    /// Bytes that are to be freed: 0 while the slack is there.
    pub fn excess(&self) -> u64 {
        let state = self.state.lock();
        let limit = state.limit();
        let wanted = state.wanted.max(limit / SLACK);
        (state.used + wanted).saturating_sub(limit).min(state.used)
    }

    /// Whether the slack is half used up: time to evict before anybody waits.
    pub fn is_tight(&self) -> bool {
        let state = self.state.lock();
        state.used + state.limit() / (2 * SLACK) > state.limit()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn nobody_takes_more_than_the_limit_and_who_waits_calls() {
        let space = Space::default();
        space.resize(114_285);
        assert!(space.take(90_000, Duration::ZERO, || panic!("there is room")));
        assert_eq!((space.excess(), space.is_tight()), (0, false));
        let called = Cell::new(0);
        let call = || called.set(called.get() + 1);
        assert!(!space.take(20_000, Duration::from_millis(1), call));
        assert!(
            !space.take(200_000, Duration::from_secs(9), call),
            "can never fit: nobody waits for it"
        );
        assert_eq!((called.get(), space.used()), (1, 90_000));
        assert!(space.take(9_500, Duration::ZERO, call));
        assert!(space.is_tight());
        assert_eq!(space.excess(), 1_500, "back to 98 %");
        space.free(1_500);
        assert_eq!(space.excess(), 0);
        space.correct(8_000, 4_000);
        space.correct(1_000, 2_000);
        assert_eq!(space.used(), 95_000);
    }

    #[test]
    fn a_full_file_system_lowers_the_limit_until_something_was_evicted() {
        let space = Space::default();
        space.resize(1_142_857);
        space.add(500_000);
        space.leave(1_000, 100_000);
        assert!(space.excess() >= 99_000, "the floor is to be restored");
        space.leave(u64::MAX, 0);
        assert_eq!(space.excess(), 0);
        space.shrink();
        assert!(space.excess() >= 10_000);
        assert!(!space.take(1, Duration::ZERO, || {}));
        space.grow();
        assert!(space.take(1, Duration::ZERO, || {}));
    }

    #[test]
    fn before_all_is_found_a_share_of_the_limit_may_be_written_and_no_more() {
        let space = Space::default();
        space.resize(BLIND_BYTES_MIN * BLIND_SHARE * 2);
        space.find(BLIND_BYTES_MIN * 60);
        assert!(space.has_blind_room());
        assert!(space.take(BLIND_BYTES_MIN * 2 - 1, Duration::ZERO, || {}));
        assert!(space.has_blind_room());
        assert!(space.take(1, Duration::ZERO, || {}));
        assert!(!space.has_blind_room());
    }
}
