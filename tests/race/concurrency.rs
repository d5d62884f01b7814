//! gateway/src/guard/concurrency without its own tests, which know nothing of a scheduler.

#[path = "../../gateway/src/guard/concurrency/gate.rs"]
mod gate;
#[path = "../../gateway/src/guard/concurrency/line.rs"]
pub mod line;
#[path = "../../gateway/src/guard/concurrency/waiting.rs"]
mod waiting;

pub(super) use super::sync;
pub use gate::Gate;
pub use waiting::{Entry, Permit, Waiting};
