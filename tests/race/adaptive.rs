//! gateway/src/guard/adaptive without its own tests, which know nothing of a scheduler.

#[path = "../../gateway/src/guard/adaptive/learn.rs"]
pub mod learn;
#[path = "../../gateway/src/guard/adaptive/meter.rs"]
mod meter;
#[path = "../../gateway/src/guard/adaptive/throttle.rs"]
mod throttle;
#[path = "../../gateway/src/guard/adaptive/waiting.rs"]
mod waiting;

pub use throttle::Throttle;
pub use waiting::{Entry, Permit, Waiting};
