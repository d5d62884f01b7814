//! How much an upstream can do at once: a limit on what is in flight to it, given or learnt, and a short line before it.
//!
//! [`learn`] is the pure core: a window of answers in, the next limit out. A [`Throttle`] is the cell of one upstream: it counts
//! what is in flight, holds those who wait, and gathers the windows.

pub mod learn;
mod meter;
#[cfg(test)]
mod tests;
mod throttle;
mod waiting;

pub use throttle::Throttle;
pub use waiting::{Entry, Permit, Waiting};
