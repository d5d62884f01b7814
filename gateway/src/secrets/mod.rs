//! What callers are known by: passwords, keys and the keys of tokens. Parsed and compared here, and nowhere shown.

pub mod api_keys;
mod compare;
pub mod htpasswd;
pub mod token_key;

pub use api_keys::ApiKeys;
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
