//! HTTP/1.1 as bytes: strict heads, framing, chunks. Pure: bytes in, verdicts out.

pub mod fields;
pub mod name;
pub mod syntax;

pub use fields::Fields;
pub use name::Name;
