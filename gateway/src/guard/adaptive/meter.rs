//! Where the answers of an upstream are gathered until a window is full.

use std::time::Duration;

use super::learn::{Learnt, Window};
use crate::kit::clock::Mono;

/// The present window, and what the ones before it have taught.
#[derive(Debug, Default)]
pub struct Meter {
    learnt: Learnt,
    window: Option<Window>,
}

impl Meter {
    /// What is known.
    pub fn learnt(&self) -> &Learnt {
        &self.learnt
    }

    /// Takes one more in: an answer and its latency, or a failure. True if the limit may be another one now.
    pub fn add(&mut self, latency: Option<Duration>, in_flight: u32, max: u32, now: Mono) -> bool {
        let window = self.window.get_or_insert(Window {
            since: now,
            ..Window::default()
        });
        window.add(latency, self.learnt.ceiling_ns(), in_flight);
        if !self.learnt.is_due(window, now) {
            return false;
        }
        self.learnt = self.learnt.step(window, max);
        *window = Window {
            since: now,
            ..Window::default()
        };
        true
    }
}
