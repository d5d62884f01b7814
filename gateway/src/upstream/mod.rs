//! The servers behind the gateway: connections to them, and what they are sent.

pub mod connect;
pub mod head;
pub mod idle;

pub use connect::Names;
pub use idle::Idle;
