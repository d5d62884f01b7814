//! guard: who may come in, how fast, how many.

pub mod access;
pub mod adaptive;
pub mod api_key;
pub mod basic;
pub mod concurrency;
pub mod cors;
pub mod forward;
pub mod key;
pub mod rate;
pub mod shared;
pub mod token;
