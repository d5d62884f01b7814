//! gateway/src/cache/flight.rs without its own tests, which know nothing of a scheduler.

#[path = "../../gateway/src/cache/flight/leader.rs"]
mod leader;
#[path = "../../gateway/src/cache/flight/table.rs"]
mod table;
#[path = "../../gateway/src/cache/flight/waiting.rs"]
mod waiting;

pub use leader::Leader;
pub use table::{Began, Flights, Joined};
pub use waiting::{Landed, Waiting};
