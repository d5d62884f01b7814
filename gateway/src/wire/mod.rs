//! HTTP/1.1 as bytes: strict heads, framing, chunks. Pure: bytes in, verdicts out.
//!
//! Where RFC 9112 lets a recipient choose between repairing and rejecting, this module rejects: what two
//! parsers can read in two ways is how requests are smuggled.

pub mod answer;
pub mod body;
pub mod chunk;
pub mod condition;
pub mod edit;
pub mod fields;
pub mod framing;
pub mod head;
pub mod http2;
pub mod name;
pub mod request;
pub mod syntax;
pub mod target;

pub use answer::Answer;
pub use body::Decoder;
pub use fields::{Field, Fields};
pub use framing::Length;
pub use head::{HeadFault, HeadLimits, HeadScan};
pub use name::Name;
pub use request::{Method, Request, Version};
