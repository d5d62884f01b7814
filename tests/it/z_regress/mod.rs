//! Plays that failed once. Their names say what must hold, and where they stand what it is about.

/// How connections end, and what is left on them.
mod ends;
/// Fields that must not be believed.
mod hops;
/// Paths that two programs read in two ways.
mod paths;
/// Reloads and stops at the wrong moment.
mod turnover;
