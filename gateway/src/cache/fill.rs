//! One answer's body on its way into the cache, and the clients that follow it there.
//!
//! One [`FillWriter`] pushes what the origin sends; any number of [`Follower`]s read it, each at its own pace, on their
//! own threads. A body is kept whole as long as it may be stored: in memory up to a limit, then in a file through
//! [`Spill`]. When it cannot be stored after all it is passed through: only what somebody has still to read is kept, nobody
//! new may join, and the writer waits for the slowest. A [`Budget`] bounds what all fills hold together.
//!
//! Nothing in here is asynchronous but two conveniences; nothing blocks but [`SpillJob::run`].

mod audience;
mod budget;
mod course;
mod follower;
mod spill;
#[cfg(test)]
mod tests;
mod window;
mod writer;

pub use budget::{Budget, CROWDED_BYTES_MAX};
pub use course::{Fill, FillPlan, FillState};
pub use follower::{Follower, STEP_BYTES_MAX, Step};
pub use spill::{Spill, SpillJob, SpillProgress};
pub use window::SMALL_CHUNK_BYTES;
pub use writer::{FillError, FillWriter, Finished, Pushed};
