//! API keys: whose they are, by the digest of each.

/// The keys of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiKeys {
    /// SHA-256 of a key and the name of its owner, sorted.
    keys: Vec<([u8; 32], String)>,
}

impl ApiKeys {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.keys.len()
    }
}
