//! Pure tools that know nothing of requests: time, quantities, names, networks, templates.

pub mod clock;
pub mod host;
pub mod networks;
pub mod pattern;
pub mod template;
pub mod units;
