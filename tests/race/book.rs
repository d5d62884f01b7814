//! gateway/src/cache/store/book.rs without the rest of the store, whose threads are real ones.

#[path = "../../gateway/src/cache/store/book.rs"]
mod page;

pub use page::{Book, Ledger};
