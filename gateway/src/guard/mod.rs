//! guard: who may come in, how fast, how many.

pub mod access;
pub mod adaptive;
pub mod concurrency;
pub mod cors;
pub mod key;
pub mod rate;
pub mod token;
pub mod api_key;
pub mod basic;
pub mod forward;
pub mod shared;
