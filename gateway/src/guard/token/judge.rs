//! Whether a token holds. The signature is checked before anything of the claims is read.

use std::time::Duration;

use super::compact::Compact;
use super::{Claims, TokenFault};
use crate::config::plan::Jwt;
use crate::secrets::TokenKey;

/// Keys a signature is tried with. More than one only if the token or the keys have no name; 8 checks take less than a
/// millisecond.
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
    let is_named = |key: &&TokenKey| key.id.is_some() && key.id.as_deref() == id;
    // A token without a name may be by any key, and a key without a name may be the one of any token.
    let is_possible = |key: &&TokenKey| id.is_none() || key.id.is_none();
    let candidates = keys
        .iter()
        .filter(is_named)
        .chain(keys.iter().filter(is_possible));
    let mut fitting = candidates
        .filter(|key| key.fits(token.algorithm))
        .take(KEYS_TRIED_MAX)
        .peekable();
    let has_fitting = fitting.peek().is_some();
    if fitting.any(|key| key.verifies(token.algorithm, token.signed, &token.signature)) {
        return Ok(());
    }
    Err(match (id, keys.iter().any(|key| is_named(&key))) {
        (Some(_), true) if !has_fitting => TokenFault::Algorithm,
        (Some(_), true) => TokenFault::Signature,
        // The issuer may have a key of that name by now, also where a nameless one was tried.
        (Some(_), false) if keys.iter().any(|key| key.id.is_some()) || !has_fitting => TokenFault::UnknownKey,
        (None, _) if !has_fitting => TokenFault::UnknownKey,
        (Some(_), false) | (None, _) => TokenFault::Signature,
    })
}
