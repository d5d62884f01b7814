//! Whether what is stored may be used now (RFC 9111 §4). Runs for each look-up that finds something.

use std::time::Duration;

use super::asked::Asked;
use crate::cache::object::Freshness;

/// What may be done with a stored answer. Ages are what its Age field is to say, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// It is fresh.
    Fresh {
        /// Its age.
        age_secs: u64,
    },
    /// It is stale and may be used, while a newer one is fetched behind the client's back (RFC 5861 §3).
    StaleWhileRevalidate {
        /// Its age.
        age_secs: u64,
    },
    /// It is stale and this client takes it (max-stale).
    StaleAllowed {
        /// Its age.
        age_secs: u64,
    },
    /// Not without asking the origin.
    Validate,
}

/// Decides. `is_soft_purged`: a purge has declared it stale.
///
/// After a soft purge it is stale whatever its lifetime. It may then still be used while a newer one is fetched, if it
/// ever may; a client's max-stale is no match for the operator's purge.
pub fn reuse(freshness: &Freshness, asked: &Asked, is_soft_purged: bool, now_ms: u64) -> Reuse {
    let age = age(freshness, now_ms);
    let age_secs = age.as_secs();
    // RFC 9111 §4.2: "response_is_fresh = (freshness_lifetime > current_age)".
    let is_fresh = freshness.lifetime > age && !is_soft_purged;
    if is_fresh && !freshness.no_cache && asked.is_plain() {
        return Reuse::Fresh { age_secs };
    }
    // RFC 9111 §4: "the stored response does not contain the no-cache directive, unless it is successfully validated".
    if freshness.no_cache || asked.no_cache {
        return Reuse::Validate;
    }
    let is_young = asked.max_age.is_none_or(|max| age <= max);
    let fresh_for = freshness.lifetime.saturating_sub(age);
    if is_fresh {
        let suits = is_young && fresh_for >= asked.min_fresh;
        return if suits {
            Reuse::Fresh { age_secs }
        } else {
            Reuse::Validate
        };
    }
    stale(freshness, asked, is_soft_purged, age, is_young)
}

fn stale(freshness: &Freshness, asked: &Asked, is_soft_purged: bool, age: Duration, is_young: bool) -> Reuse {
    let age_secs = age.as_secs();
    // The windows are closed where the origin forbids stale use altogether. RFC 9111 §5.2.1.1: unless max-stale is there too, who says max-age "does not wish to receive a stale response".
    // Nor does who says min-fresh.
    if asked.is_plain() && is_within(freshness, freshness.stale_while_revalidate, age) {
        return Reuse::StaleWhileRevalidate { age_secs };
    }
    let stale_for = age.saturating_sub(freshness.lifetime);
    let is_allowed = !freshness.must_revalidate && asked.max_stale.is_some_and(|max| stale_for <= max);
    if is_allowed && is_young && asked.min_fresh.is_zero() && !is_soft_purged {
        return Reuse::StaleAllowed { age_secs };
    }
    Reuse::Validate
}

/// Its age in seconds, if it may be used because the origin cannot be asked or answers with 500, 502, 503 or 504 (RFC
/// 5861 §4).
///
/// "regardless of other freshness information": a client's max-age and min-fresh do not count here. Its no-cache does:
/// who reloads by force wants to see the error.
pub fn may_serve_on_error(
    freshness: &Freshness,
    asked: &Asked,
    is_soft_purged: bool,
    now_ms: u64,
) -> Option<u64> {
    let age = age(freshness, now_ms);
    let is_forbidden = freshness.no_cache || asked.no_cache;
    // One that is fresh comes here when the client wanted it validated, or when the origin was asked for another reason.
    let is_fresh = freshness.lifetime > age && !is_soft_purged;
    let is_stale_allowed = is_within(freshness, freshness.stale_if_error, age);
    (!is_forbidden && (is_fresh || is_stale_allowed)).then_some(age.as_secs())
}

/// Its age in whole seconds, as the Age field says it.
pub fn age_secs(freshness: &Freshness, now_ms: u64) -> u64 {
    age(freshness, now_ms).as_secs()
}

/// For how many seconds it will still be fresh, negative when it is stale: `ttl` of Cache-Status.
pub fn ttl_secs(freshness: &Freshness, now_ms: u64) -> i64 {
    let secs = |d: Duration| i64::try_from(d.as_secs()).unwrap_or(i64::MAX);
    let age = age(freshness, now_ms);
    match freshness.lifetime.checked_sub(age) {
        Some(left) => secs(left),
        None => -secs(age - freshness.lifetime),
    }
}

/// RFC 9111 §4.2.3: "current_age = corrected_initial_age + resident_time".
///
/// A clock that was set back would make the time negative. How far it was set back is then the best guess at how long
/// the answer has been here: too old is harmless, and the next answer has the new clock's time.
fn age(freshness: &Freshness, now_ms: u64) -> Duration {
    let resident = Duration::from_millis(now_ms.abs_diff(freshness.received_ms));
    freshness.age_at_receipt.saturating_add(resident)
}

fn is_within(freshness: &Freshness, window: Duration, age: Duration) -> bool {
    !window.is_zero() && age < freshness.lifetime.saturating_add(window)
}
