//! In the place of gateway/src/cache/sync.rs and gateway/src/guard/concurrency/sync.rs: the same names, each use of which is a point where another thread may go on.

pub use shuttle::sync::Arc;
pub use shuttle::sync::MutexGuard;
pub use shuttle::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// A lock that nobody poisons, as the gateway's.
#[derive(Debug, Default)]
pub struct Mutex<T>(shuttle::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub fn new(value: T) -> Self {
        Self(shuttle::sync::Mutex::new(value))
    }

    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().expect("a model's panic ends the model")
    }

    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.0.try_lock().ok()
    }
}
