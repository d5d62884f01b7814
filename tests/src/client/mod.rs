//! HTTP/1.1 clients with control over each byte. Every response they read is checked in full.

mod check;
mod connection;
mod request;
mod response;

pub use connection::{Connection, Pending};
pub use request::{Request, chunk};
pub use response::Response;
