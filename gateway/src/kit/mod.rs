//! Pure tools that know nothing of requests: time, quantities, names, networks, templates, turns.

pub mod clock;
pub mod ewma;
pub mod host;
pub mod networks;
pub mod pattern;
pub mod ring;
pub mod template;
pub mod turns;
pub mod units;
