//! `[rate_limits.NAME]`, and the keys that limits count by

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::values::{self, DURATION_MAX};
use crate::config::findings::Findings;
use crate::config::hints;
use crate::config::plan::{LimitKey, OnRedisError, RateLimit};
use crate::config::raw;
use crate::config::raw::leaf::{At, Maybe};
use crate::kit::units;

/// The clients of a busy day, in about 100 MB.
const MAX_KEYS: usize = 1_000_000;

/// Rate limits by name, in the order of [`crate::config::plan::RateLimitId`]: one for each that is written.
pub fn rate_limits(
    raw: Option<&At<BTreeMap<At<String>, At<raw::RateLimit>>>>,
    has_redis: bool,
    findings: &mut Findings<'_>,
) -> Vec<Arc<RateLimit>> {
    let named = raw.into_iter().flat_map(|section| &section.value);
    named
        .map(|(name, item)| Arc::new(rate_limit(name, item, has_redis, findings)))
        .collect()
}

fn rate_limit(
    name: &At<String>,
    item: &At<raw::RateLimit>,
    has_redis: bool,
    findings: &mut Findings<'_>,
) -> RateLimit {
    let path = format!("rate_limits.{}", name.value);
    values::name(name, &path, findings);
    let raw = &item.value;
    let (count, period) = rate(item, &path, findings).unwrap_or((NonZeroU32::MIN, Duration::from_secs(1)));
    let shared = raw.shared.as_ref().filter(|f| f.value.0);
    if let Some(shared) = shared.filter(|_| !has_redis) {
        let message = "`shared` has nothing to count in: there is no [redis]";
        let problem = findings.error(&shared.span, &format!("{path}.shared"), message);
        problem.help("add [redis] with url = \"redis://127.0.0.1:6379\", or take `shared` out");
    }
    RateLimit {
        name: name.value.clone(),
        key: key(&raw.key, LimitKey::ClientIp, &path, findings),
        count,
        period,
        burst: burst(raw, count, period, &path, findings),
        max_keys: raw.max_keys.as_ref().map_or(MAX_KEYS, |n| n.value.usize()),
        shared: shared.is_some(),
        on_redis_error: on_redis_error(item, &path, findings),
    }
}

/// What a limit counts apart.
pub fn key(raw: &Maybe<String>, default: LimitKey, path: &str, findings: &mut Findings<'_>) -> LimitKey {
    const HELP: &str =
        "write \"client_ip\", \"header:NAME\", \"cookie:NAME\", \"jwt:CLAIM\", \"route\" or \"global\"";
    let Some(written) = raw else { return default };
    LimitKey::parse(&written.value).unwrap_or_else(|| {
        let close = hints::closest(&written.value, ["client_ip", "route", "global"]);
        let help = close.map_or(HELP.to_owned(), hints::did_you_mean);
        let message = format!("`key` does not know \"{}\"", written.value);
        findings
            .error(&written.span, &format!("{path}.key"), message)
            .help(help);
        default
    })
}

fn rate(
    item: &At<raw::RateLimit>,
    path: &str,
    findings: &mut Findings<'_>,
) -> Option<(NonZeroU32, Duration)> {
    let at = format!("{path}.rate");
    let Some(written) = &item.value.rate else {
        if findings.is_whole(&item.span) {
            let problem = findings.error(&item.span, &at, "a rate limit does not say how fast");
            problem.help("add rate = \"10/s\"");
        }
        return None;
    };
    let text = &written.value.0;
    let (message, help) = match units::parse_rate(text) {
        Err(not) => (format!("\"{text}\" is not a rate"), not.0),
        Ok((_, period)) if period > DURATION_MAX => (
            format!("\"{text}\" counts over more than a year"),
            "write at most \"366d\" behind the slash",
        ),
        Ok((_, period)) if period.subsec_nanos() % 1_000_000 != 0 => (
            format!("\"{text}\" counts in less than milliseconds"),
            "timers are exact to 1ms",
        ),
        Ok((count, period)) if u128::from(count.get()) > period.as_nanos() => (
            format!("\"{text}\" is more than one in a nanosecond"),
            "nothing is as fast: write a lower number",
        ),
        Ok(rate) => return Some(rate),
    };
    findings.error(&written.span, &at, message).help(help);
    None
}

/// A burst is spent at once and comes back at the rate, which must happen while somebody still remembers.
fn burst(
    raw: &raw::RateLimit,
    count: NonZeroU32,
    period: Duration,
    path: &str,
    findings: &mut Findings<'_>,
) -> NonZeroU32 {
    let Some(written) = &raw.burst else { return count };
    let burst = NonZeroU32::new(written.value.u32()).unwrap_or(NonZeroU32::MIN);
    let whole_ms = period.as_millis() * u128::from(burst.get()) / u128::from(count.get());
    if whole_ms > DURATION_MAX.as_millis() {
        let message = format!("a burst of {burst} takes longer than a year to come back");
        let problem = findings.error(&written.span, &format!("{path}.burst"), message);
        problem.help("lower `burst`, or raise `rate`");
    }
    burst
}

fn on_redis_error(item: &At<raw::RateLimit>, path: &str, findings: &mut Findings<'_>) -> OnRedisError {
    let raw = &item.value;
    let Some(written) = &raw.on_redis_error else {
        return OnRedisError::default();
    };
    if !raw.shared.as_ref().is_some_and(|f| f.value.0) && findings.is_whole(&item.span) {
        let message = "`on_redis_error` has no effect without `shared = true`";
        let problem = findings.error(&written.span, &format!("{path}.on_redis_error"), message);
        problem.help("add it, or take `on_redis_error` out");
    }
    match written.value {
        raw::OnRedisError::Closed => OnRedisError::Closed,
        raw::OnRedisError::Local => OnRedisError::Local,
        raw::OnRedisError::Open => OnRedisError::Open,
    }
}
