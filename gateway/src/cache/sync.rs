//! The locks and counters that fills, flights and the book of purges are made of, named in one place.
//!
//! `tests/race` compiles those files against a module of this name whose types let a scheduler choose the order of
//! threads. Whatever is shared between threads there has to come from here, or its races are not looked at.

pub use std::sync::Arc;
pub use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

pub use parking_lot::{Mutex, MutexGuard};
