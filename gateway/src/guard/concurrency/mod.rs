//! How many requests of one key are served at once, and how many wait for a place.
//!
//! A [`Gate`] is the cell of one limit: it outlives reloads, and what a reload may change comes with each request. Places are
//! given back by drop. A place that becomes free goes to the one who has waited longest, not to whoever comes first, so
//! nobody is overtaken; and it is handed over under the lock, so none is ever lost between two who leave at once.

mod gate;
pub(super) mod line;
pub(super) mod sync;
#[cfg(test)]
mod tests;
mod waiting;

pub use gate::{Gate, Outlook};
pub use line::Admission;
pub use waiting::{Entry, Permit, Waiting};
