//! What a client is told of its limits: values of RateLimit-Policy, RateLimit and Retry-After.
//!
//! draft-ietf-httpapi-ratelimit-headers describes a policy by a quota q in a window of w seconds. GCRA has a burst and
//! a rate. The policy of the same meaning is: q, the burst, and w, the time in which a whole burst is made good. 10/s
//! with a burst of 20 is q=20;w=2: no more than 20 at once, and 20 in two seconds again and again. A client that sends
//! q requests in each w is never refused. The other choice, q=10;w=1, would hide the burst from who may use it, and r
//! would be larger than q. w is whole seconds, rounded up and at least 1: who goes by it is at most too slow.
//!
//! t is, since revision 10 of the draft, the time until there is more quota, not until there is all of it. For GCRA
//! that is the next single request; on a refusal it equals Retry-After, which must not be earlier.

use std::time::Duration;

use super::admit::Standing;
use super::limiter::Limiter;
use crate::config::plan::RateLimit;
use crate::facts::write_number;

/// Field name of what [`write_policy`] writes.
pub const POLICY: &str = "RateLimit-Policy";

/// Field name of what [`write_standing`] writes.
pub const STANDING: &str = "RateLimit";

/// Appends the value of RateLimit-Policy: `"per_client";q=20;w=2, "everybody";q=1000;w=1`.
pub fn write_policy<'a>(limits: impl IntoIterator<Item = &'a Limiter>, out: &mut Vec<u8>) {
    for (at, limit) in limits.into_iter().enumerate() {
        if at > 0 {
            out.extend_from_slice(b", ");
        }
        out.extend_from_slice(limit.policy());
    }
}

/// Appends the value of RateLimit: `"per_client";r=5;t=1`. `limit` is the one that the standing is of.
pub fn write_standing(limit: &Limiter, standing: &Standing, out: &mut Vec<u8>) {
    write_name(&limit.plan().name, out);
    out.extend_from_slice(b";r=");
    write_number(standing.remaining.into(), out);
    out.extend_from_slice(b";t=");
    write_number(whole_seconds(standing.reset), out);
}

/// Retry-After in whole seconds (RFC 9110 §10.2.3: delay-seconds), rounded up and at least 1: whoever obeys does not
/// come a moment too early.
pub fn retry_after_s(wait: Duration) -> u64 {
    whole_seconds(wait).max(1)
}

/// A limit's item of RateLimit-Policy.
pub(super) fn write_item(plan: &RateLimit, burst: u32, out: &mut Vec<u8>) {
    // From what is written and not from the interval, whose rounding to nanoseconds would make 3/s one in two seconds.
    let window = (plan.period.as_nanos() * u128::from(burst)).div_ceil(u128::from(plan.count.get()));
    let window_s = window.div_ceil(1_000_000_000).clamp(1, u128::from(INTEGER_MAX));
    write_name(&plan.name, out);
    out.extend_from_slice(b";q=");
    write_number(burst.into(), out);
    out.extend_from_slice(b";w=");
    write_number(u64::try_from(window_s).unwrap_or(INTEGER_MAX), out);
}

/// RFC 9651 §3.3.1: an Integer has 15 digits at the most.
const INTEGER_MAX: u64 = 999_999_999_999_999;

/// A structured field's String (RFC 9651 §3.3.3).
fn write_name(name: &str, out: &mut Vec<u8>) {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    assert!(
        name.bytes().all(is_plain),
        "names of limits are made of letters, digits, '_', '.' and '-'"
    );
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.push(b'"');
}

fn whole_seconds(d: Duration) -> u64 {
    d.as_secs()
        .saturating_add(u64::from(d.subsec_nanos() > 0))
        .min(INTEGER_MAX)
}
