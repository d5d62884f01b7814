//! gateway/src/cache/fill.rs without its own tests, which know nothing of a scheduler.

#[path = "../../gateway/src/cache/fill/audience.rs"]
mod audience;
#[path = "../../gateway/src/cache/fill/budget.rs"]
mod budget;
#[path = "../../gateway/src/cache/fill/course.rs"]
mod course;
#[path = "../../gateway/src/cache/fill/follower.rs"]
mod follower;
#[path = "../../gateway/src/cache/fill/spill.rs"]
mod spill;
#[path = "../../gateway/src/cache/fill/window.rs"]
mod window;
#[path = "../../gateway/src/cache/fill/writer.rs"]
mod writer;

pub use course::{Fill, FillPlan, FillState};
pub use follower::{Follower, Step};
pub use spill::{Spill, SpillProgress};
pub use writer::{FillWriter, Finished, Pushed};
