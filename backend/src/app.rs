//! What all listeners of a process share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fastrand::Rng;
use parking_lot::Mutex;

use crate::calendar::Timestamp;
use crate::chaos::{Blow, Chaos};
use crate::clock::Clock;
use crate::password::Vault;
use crate::store::Store;
use crate::token::Key;

/// The service behind the sockets.
pub struct App {
    /// Everything that lasts.
    pub store: Store,
    /// Checks passwords.
    pub vault: Vault,
    /// Signs and checks access tokens.
    pub key: Key,
    /// How long a token is good for.
    pub token_lifetime: Duration,
    /// What tells the time.
    pub clock: Clock,
    /// Trouble on purpose.
    pub chaos: Option<(Chaos, Mutex<Rng>)>,
    /// Set once: this process takes no more work.
    pub stopping: AtomicBool,
}

impl App {
    /// The time now.
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// The fate of the next request; nothing happens to it unless chaos was asked for.
    pub fn strike(&self) -> Blow {
        match &self.chaos {
            Some((chaos, rng)) => chaos.strike(&mut rng.lock()),
            None => Blow::NONE,
        }
    }

    /// Whether the process has been told to stop.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}
