//! An open load: requests fall due by a plan, whether those before them have been answered or not.
//!
//! What is here is pure: when each falls due, where an answer ends, how long answers took, whether that is good enough.
//! The sockets are in `src/bin/openload`.

pub mod answer;
pub mod histogram;
pub mod scenario;

pub use answer::{Answer, Progress};
pub use histogram::Histogram;
pub use scenario::{Scenario, Stage};
