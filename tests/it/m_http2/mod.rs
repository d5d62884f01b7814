//! HTTP/2 towards clients: what a client gets is what it gets by HTTP/1.1, and what harms is cut off.

pub(crate) mod client;
/// How connections end.
mod ends;
/// What is asked and what is answered, in both directions.
mod exchanges;
/// Clients that mean harm.
mod floods;
pub(crate) mod frames;
/// What is malformed is not served.
mod rules;
/// What comes behind a body.
mod trailers;

use harness::Origin;

/// Every request goes to this origin, and the listener takes HTTP/2 without TLS.
fn all_to(origin: &Origin) -> String {
    with(&crate::all_to(origin))
}

/// Any configuration, with a listener that takes HTTP/2 without TLS.
fn with(toml: &str) -> String {
    format!("[[listeners]]\naddress = \"127.0.0.1:0\"\n{H2C}\n{toml}")
}

/// What a listener needs for it.
const H2C: &str = "h2c = true";
