//! Barriers: an actor waits at a gate until the play opens it.

use std::sync::Arc;
use std::time::Duration;

use ::gateway::kit::clock::Clock;
use parking_lot::{Condvar, Mutex};

use crate::patience::patience;

/// How often a waiting actor looks whether it has been given up.
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// A barrier. Clones are the same gate. It starts closed.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<Barrier>);

#[derive(Debug, Default)]
struct Barrier {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    open: bool,
    /// How many may pass although it is closed.
    permits: usize,
    waiting: usize,
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets everyone through, now and later.
    pub fn open(&self) {
        self.0.state.lock().open = true;
        self.0.changed.notify_all();
    }

    /// Holds up whoever comes from now on.
    pub fn close(&self) {
        self.0.state.lock().open = false;
    }

    /// Lets so many through that wait now or come later.
    pub fn let_through(&self, n: usize) {
        self.0.state.lock().permits += n;
        self.0.changed.notify_all();
    }

    /// How many are held up at this moment.
    pub fn waiting(&self) -> usize {
        self.0.state.lock().waiting
    }

    /// Returns true once the gate lets the caller through, and false when `given_up` holds first.
    ///
    /// Panics when patience has run out: a play that forgets to open a gate must fail, not hang.
    pub fn pass_unless(&self, given_up: impl Fn() -> bool) -> bool {
        let clock = Clock::system();
        let began = clock.now().mono;
        let mut state = self.0.state.lock();
        state.waiting += 1;
        while !state.open && state.permits == 0 && !given_up() {
            // Twice the play's own patience, so that its message comes first.
            let waited = clock.now().mono.since(began);
            assert!(waited < patience() * 2, "nobody has opened this gate");
            self.0.changed.wait_for(&mut state, BETWEEN_LOOKS);
        }
        state.waiting -= 1;
        if !state.open && state.permits == 0 {
            return false;
        }
        if !state.open {
            state.permits -= 1;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patience::wait_until;

    #[test]
    fn a_permit_lets_one_through_and_opening_lets_all() {
        let gate = Gate::new();
        let actors: Vec<_> = (0..3)
            .map(|_| {
                let gate = gate.clone();
                std::thread::spawn(move || gate.pass_unless(|| false))
            })
            .collect();
        wait_until("three wait", || gate.waiting() == 3);
        gate.let_through(1);
        wait_until("one has passed", || gate.waiting() == 2);
        gate.open();
        assert!(actors.into_iter().all(|a| a.join().unwrap()));
    }

    #[test]
    fn who_is_given_up_does_not_pass() {
        assert!(!Gate::new().pass_unless(|| true));
    }
}
