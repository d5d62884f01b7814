//! The keys a token is judged by, and what tells one list of them from another.

use crate::kit::clock::Mono;
use crate::secrets::TokenKey;

/// A list of keys at one moment.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    /// The keys; empty while none have been fetched.
    pub list: Vec<TokenKey>,
    /// Counts the lists an issuer has had; a fetch that brought the same list does not count.
    pub generation: u64,
    /// When they were last fetched; None for keys that are given or were not fetched yet.
    pub fetched_at: Option<Mono>,
    digest: [u8; 32],
}

impl Keys {
    /// Keys from a file.
    pub fn given(list: &[TokenKey]) -> Self {
        Self {
            list: list.to_vec(),
            generation: 0,
            fetched_at: None,
            digest: TokenKey::digest(list),
        }
    }

    /// What follows upon these when a fetch has brought that list.
    pub(super) fn followed_by(&self, list: Vec<TokenKey>, now: Mono) -> Self {
        let is_same = self.list == list && self.fetched_at.is_some();
        Self {
            generation: if is_same {
                self.generation
            } else {
                self.generation + 1
            },
            fetched_at: Some(now),
            digest: TokenKey::digest(&list),
            list,
        }
    }

    /// The same for equal lists only, whoever's they are.
    pub(super) fn digest(&self) -> &[u8; 32] {
        &self.digest
    }
}
