//! What callers are known by: passwords, keys and the keys of tokens. Parsed and compared here, and nowhere shown.

pub mod api_keys;
pub mod htpasswd;
pub mod token_key;

pub use api_keys::ApiKeys;
pub use htpasswd::Users;
pub use token_key::TokenKey;
