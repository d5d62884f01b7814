//! How fast: rate limits by GCRA, the algorithm of the governor crate, over a bounded table of our own.
//!
//! [`gcra`] is the arithmetic of one decision, [`Table`] remembers what each key owes, a [`Limiter`] is one limit of
//! one configuration over a table, [`admit`] asks several of them at once, and [`fields`] tells the client.

mod admit;
pub mod fields;
pub(super) mod gcra;
mod limiter;
mod shard;
mod table;

#[cfg(test)]
mod tests;

pub use self::admit::{Outlook, Standing, Verdict, admit, peek, refund};
pub use self::limiter::Limiter;
pub use self::table::Table;
pub use super::key::KeyHash;
