//! Tokens that were verified, so that the same one costs a look-up the next time.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use ring::digest;

use super::compact::TOKEN_BYTES_MAX;
use super::{Claims, Keys, TokenFault, judge};
use crate::config::plan::Jwt;

/// Bytes of claims that count as one entry. Larger ones count as several, so that the entries bound the memory.
const ENTRY_BYTES: usize = 2 * 1024;

/// A policy and what tells it from others.
#[derive(Clone, Debug)]
pub struct Terms {
    policy: Jwt,
    digest: [u8; 32],
}

impl Terms {
    /// Of a policy. Costs a digest: made once, when a configuration is wired.
    pub fn new(policy: Jwt) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        let mut feed = |bytes: &[u8]| {
            context.update(&(bytes.len() as u64).to_le_bytes());
            context.update(bytes);
        };
        // Not the leeway: times are judged anew at each use.
        feed(&(policy.algorithms.len() as u64).to_le_bytes());
        for algorithm in &policy.algorithms {
            feed(algorithm.jose_name().as_bytes());
        }
        feed(&[u8::from(policy.issuer.is_some())]);
        feed(policy.issuer.as_deref().unwrap_or_default().as_bytes());
        for audience in &policy.audience {
            feed(audience.as_bytes());
        }
        let digest = array(&context.finish());
        Self { policy, digest }
    }

    /// The policy.
    pub fn policy(&self) -> &Jwt {
        &self.policy
    }

    /// Equal only for policies that are, but for what does not show in a verdict on a signature and its claims.
    #[cfg(test)]
    pub(super) fn digest(&self) -> [u8; 32] {
        self.digest
    }
}

/// What was verified under which terms: a digest of the terms, the keys and the token's text.
///
/// Who changes keys or policy finds nothing of before, and one cache may serve every policy.
type Mark = [u8; 32];

/// The cell: bounded, shared by all workers.
pub struct Verified {
    cache: Cache<Mark, Arc<Claims>, Weight>,
}

#[derive(Clone)]
struct Weight;

impl Weighter<Mark, Arc<Claims>> for Weight {
    fn weight(&self, _: &Mark, claims: &Arc<Claims>) -> u64 {
        1 + (claims.bytes() / ENTRY_BYTES) as u64
    }
}

impl Verified {
    /// Remembers so many tokens, fewer if they are large; those that are asked for least are forgotten.
    pub fn new(entries_max: usize) -> Self {
        Self {
            cache: Cache::with_weighter(entries_max.max(1), entries_max.max(1) as u64, Weight),
        }
    }

    /// Judges a token, which is cheap if it was verified before. Its times are judged in any case.
    ///
    /// # Errors
    /// The first thing that is wrong with it. Faults are not remembered: a key may come, and a time.
    pub fn judge(
        &self,
        text: &[u8],
        keys: &Keys,
        terms: &Terms,
        now_unix: Duration,
    ) -> Result<Arc<Claims>, TokenFault> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err(TokenFault::TooLong);
        }
        let mark = mark(text, keys, terms);
        let Some(claims) = self.cache.get(&mark) else {
            let claims = Arc::new(judge(text, &keys.list, &terms.policy, now_unix)?);
            self.cache.insert(mark, Arc::clone(&claims));
            return Ok(claims);
        };
        let verdict = claims.check_times(terms.policy.leeway, now_unix);
        if verdict == Err(TokenFault::Expired) {
            self.cache.remove(&mark);
        }
        verdict.map(|()| claims)
    }

    /// The verdict of [`judge`](Self::judge), which leaves no trace: nothing is looked up, nothing remembered.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn peek(
        text: &[u8],
        keys: &Keys,
        terms: &Terms,
        now_unix: Duration,
    ) -> Result<Arc<Claims>, TokenFault> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err(TokenFault::TooLong);
        }
        judge(text, &keys.list, &terms.policy, now_unix).map(Arc::new)
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.cache.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.cache.is_empty()
    }
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

fn mark(text: &[u8], keys: &Keys, terms: &Terms) -> Mark {
    let mut context = digest::Context::new(&digest::SHA256);
    // Both have a fixed length, so the text is whatever follows.
    context.update(&terms.digest);
    context.update(keys.digest());
    context.update(text);
    array(&context.finish())
}

fn array(digest: &digest::Digest) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest.as_ref());
    out
}
