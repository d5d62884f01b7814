//! Requests for one object while its origin is being asked: one leads, the others wait for what it finds.
//!
//! Who asks first leads and says how it ended: the answer is on its way into the cache and may be followed, or it
//! cannot be shared, or an object that was there holds again, or the origin failed. A leader that goes without a word leaves
//! its place to one of those who wait.
//!
//! An object may be stored between a look-up and [`Flights::join`]. So who is told to lead looks once more before it asks.

mod leader;
mod table;
#[cfg(test)]
mod tests;
mod waiting;

pub use leader::{Landing, Leader};
pub use table::{Began, FLIGHTS_MAX, FlightFacts, Flights, Joined};
pub use waiting::{Landed, Waiting};
