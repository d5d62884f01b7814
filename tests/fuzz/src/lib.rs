//! What holds for any bytes whatever: one function per parser that reads what strangers, or disks, have written.
//!
//! Each function takes bytes and panics where a promise is broken. `tests/replay.rs` calls them with the corpus and with
//! what becomes of it by chance, in every `make test`; `cargo-fuzz/` calls the same functions under libFuzzer.

#![forbid(unsafe_code)]

pub mod bodies;
pub mod caching;
pub mod certificates;
pub mod configuration;
pub mod heads;
pub mod jwt;
pub mod mutate;
pub mod networks;
pub mod nginx;
pub mod paths;
pub mod proxy;
pub mod ranges;
pub mod routes;
pub mod secrets;
pub mod stored;
pub mod values;

/// What is tried with bytes; panics where a promise is broken.
pub type Target = fn(&[u8]);

/// All targets, by the name of their folder in the corpus.
pub const TARGETS: &[(&str, Target)] = &[
    ("answer", heads::answer),
    ("caching", caching::target),
    ("certificate", certificates::target),
    ("chunks", bodies::target),
    ("configuration", configuration::target),
    ("journal", stored::journal),
    ("jwt", jwt::target),
    ("meta", stored::meta),
    ("networks", networks::target),
    ("nginx", nginx::target),
    ("object", stored::object),
    ("path", paths::target),
    ("proxy", proxy::target),
    ("range", ranges::target),
    ("request", heads::request),
    ("routes", routes::target),
    ("secrets", secrets::target),
    ("structured", caching::structured),
    ("values", values::target),
];

/// The first byte as a number, and the rest: what decides how the rest is used.
fn chooser(data: &[u8]) -> (u8, &[u8]) {
    data.split_first()
        .map_or((0, data), |(first, rest)| (*first, rest))
}
