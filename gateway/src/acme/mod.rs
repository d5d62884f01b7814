//! Certificates that come by themselves (ACME, RFC 8555): when they are ordered, what proves our names, where they lie.
//!
//! What talks to the authority is beside the requests, in `ordering`; here is what it decides by and what it shares with
//! them.

pub mod challenges;
pub mod renewal;
pub mod standing;
pub mod storage;

pub use challenges::{Challenges, Posted};
pub use renewal::{Course, Validity, Window, due};
pub use standing::{Phase, Report, Standing};
pub use storage::{Lock, Storage, StorageFault};
