//! From the text an operator writes to a [`Plan`].

pub mod plan;

pub use plan::Plan;
