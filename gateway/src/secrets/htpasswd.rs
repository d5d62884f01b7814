//! htpasswd files: users and what their passwords are hashed to.

use std::collections::BTreeMap;

/// The users of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Users {
    /// The hash as written, by name.
    hashes: BTreeMap<String, String>,
}

impl Users {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.hashes.len()
    }
}
