//! What is kept of origins' answers: which may be kept and used again, and where they are.
//!
//! `policy` is pure: heads and times in, verdicts out, with RFC 9111 beside the code. `store` holds the objects: an index
//! and a table in memory over files on disk. `fill` and `flight` let many requests share the one that asks the origin.

pub mod disk;
pub mod fill;
pub mod flight;
pub mod object;
pub mod passes;
pub mod pingora;
pub mod policy;
pub mod store;
pub mod sync;

pub use object::{Body, Facets, Freshness, Key, Mark, Meta, Object};
