//! A configuration of nginx as one of Sluice, and a report of what became of each directive.
//!
//! Pure: texts in, a text and a report out. What Sluice does not do is told and never passed over; what kept clients out and
//! could not be translated leaves the route closed.

mod access;
mod caching;
mod conditions;
mod fault;
mod glob;
mod globals;
mod headers;
mod known;
mod lexer;
mod locations;
mod model;
mod parse;
mod report;
mod returns;
mod routes;
mod scope;
mod sockets;
mod statics;
mod tls;
mod toml_text;
mod tree;
mod upstreams;
mod values;
mod work;
mod write;

#[cfg(test)]
mod tests;

use std::path::Path;

pub use fault::{Fault, FaultKind};
pub use glob::matches;
pub use parse::{Files, read_text};
pub use report::{Entry, Outcome, Report};
pub use tree::{Body, Directive, Place, print};

/// What comes of an import.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The configuration of Sluice, in TOML.
    pub toml: String,
    /// What became of each directive.
    pub report: Report,
}

/// Reads a configuration of nginx and what it includes, and translates it.
pub fn import(files: &dyn Files, main: &Path) -> Result<Imported, Fault> {
    let tree = parse::read(files, main)?;
    let (toml, report) = work::translate(&tree);
    Ok(Imported { toml, report })
}
