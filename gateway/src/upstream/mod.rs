//! The servers behind the gateway: connections to them, what they are sent, what is learnt about them.

pub mod budget;
pub mod changes;
pub mod circuit;
pub mod connect;
pub mod h2;
pub mod head;
pub mod health;
pub mod idle;
pub mod outlier;
pub mod proxy_line;
pub mod seat;
pub mod server;

pub use budget::{Retry, Running, RunningRequest};
pub use changes::Changes;
pub use circuit::{Breaker, Epoch, Probing, Ticket};
pub use connect::Names;
pub use health::Health;
pub use idle::Idle;
pub use outlier::{Ejection, Failure, Shift};
pub use seat::{Order, Seat};
pub use server::{Load, Server};
