//! What callers are known by, and we ourselves: passwords, keys, the keys of tokens, certificates. Parsed and compared here, and nowhere shown.

pub mod api_keys;
pub mod certificate;
mod compare;
mod der;
pub mod htpasswd;
mod lines;
mod pem;
pub mod token_key;

pub use api_keys::ApiKeys;
pub use certificate::{Authorities, Identity, Staple};
pub use htpasswd::Users;
pub use token_key::{TokenAlgorithm, TokenKey};

/// Why a file of secrets cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where, counted from 1.
    pub line: usize,
    /// What is wrong and what to do about it. Holds nothing secret.
    pub message: String,
}
