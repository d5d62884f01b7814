//! The one place that asks the machine for the time; everything else is told.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::calendar::Timestamp;

/// How a server learns the time: [`system`], or a test's own function.
pub type Clock = fn() -> Timestamp;

/// The wall clock, whole seconds; the epoch itself on a machine set before 1970.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where the wall clock is read"
)]
pub fn system() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix(i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX))
}
