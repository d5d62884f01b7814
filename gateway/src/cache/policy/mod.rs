//! What may be kept, for how long, under which key, and when it may be used: pure functions, with the RFC beside them.
//!
//! On the way of an answer: [`judge`] → [`kept_fields`], [`facets::of_object`], [`vary::write_variance`]. On the way of a
//! request: [`bypasses`], [`Asked::of`], [`key::write_key`], then [`reuse()`] and [`select`]. When the origin is asked
//! about what is stored: [`conditions`], [`freshen()`]. After an unsafe method: [`invalidate::facets`].

mod age;
mod asked;
mod bypass;
pub mod control;
pub mod directive;
pub mod facets;
mod freshen;
pub mod invalidate;
mod kept;
pub mod key;
mod query;
mod resource;
mod reuse;
mod selection;
mod status;
mod storable;
pub mod structured;
pub mod vary;

pub use age::{Age, Times};
pub use asked::Asked;
pub use bypass::bypasses;
pub use control::AnswerControl;
pub use directive::Delta;
pub use facets::Purge;
pub use freshen::{Conditions, Freshened, Revalidation, conditions, freshen};
pub use kept::{kept_fields, may_keep};
pub use key::{KeyFacts, primary, write_key};
pub use resource::Resource;
pub use reuse::{Reuse, age_secs, may_serve_on_error, reuse, ttl_secs};
pub use selection::{Selected, select};
pub use status::{CacheStatus, Forward};
pub use storable::{Storable, Unstorable, is_shareable, judge, share};

#[cfg(test)]
mod tests;
