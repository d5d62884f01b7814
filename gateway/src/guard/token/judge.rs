//! Whether a token holds. The signature is checked before anything of the claims is read.

use std::time::Duration;

use super::compact::Compact;
use super::{Claims, TokenFault};
use crate::config::plan::Jwt;
use crate::secrets::TokenKey;

/// Keys a signature is tried with: more than one only where the token or the keys have no name, or a name is shared.
/// Each costs a worker tens of microseconds, on P-384 hundreds, and anybody can send a token that fits none.
const KEYS_TRIED_MAX: usize = 8;

/// Judges a token by these keys and this policy; `now_unix` is the time since the Unix epoch.
///
/// [`Verified::judge`](super::Verified::judge) does the same and remembers.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn judge(text: &[u8], keys: &[TokenKey], policy: &Jwt, now_unix: Duration) -> Result<Claims, TokenFault> {
    let token = Compact::read(text)?;
    if !policy.algorithms.contains(&token.algorithm) {
        return Err(TokenFault::Algorithm);
    }
    check_signature(&token, keys)?;
    let claims = Claims::read(&token.payload()?, policy)?;
    claims.check_times(policy.leeway, now_unix)?;
    Ok(claims)
}

fn check_signature(token: &Compact<'_>, keys: &[TokenKey]) -> Result<(), TokenFault> {
    let id = token.key_id.as_deref();
    let is_named = |key: &TokenKey| key.id.is_some() && key.id.as_deref() == id;
    let has_named = keys.iter().any(is_named);
    // Where no key has the token's name, it may be by one that has none; and a token without a name by any.
    let is_candidate = |key: &&TokenKey| match has_named {
        true => is_named(key),
        false => id.is_none() || key.id.is_none(),
    };
    let fitting = keys
        .iter()
        .filter(is_candidate)
        .filter(|key| key.fits(token.algorithm));
    let mut fitting = fitting.take(KEYS_TRIED_MAX).peekable();
    let has_fitting = fitting.peek().is_some();
    if fitting.any(|key| key.verifies(token.algorithm, token.signed, &token.signature)) {
        return Ok(());
    }
    // The issuer may have a key of that name by now, although one without a name was tried.
    let may_be_new = id.is_some() && keys.iter().any(|key| key.id.is_some());
    Err(match (has_named, has_fitting) {
        (true, false) => TokenFault::Algorithm,
        (true, true) => TokenFault::Signature,
        (false, true) if !may_be_new => TokenFault::Signature,
        (false, _) => TokenFault::UnknownKey,
    })
}
