//! What is done about servers that fail: active checks, passive ones, further tries.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::matches;
use super::values::{self, Zero};
use crate::config::findings::Findings;
use crate::config::hints;
use crate::config::plan::{HealthCheck, HealthQuestion, OutlierDetection, Protocol, Retries, RetryOn};
use crate::config::raw;
use crate::config::raw::leaf::{At, List, Span};

/// A dead server is found within three of them; a hundred servers cost 20 checks a second.
const INTERVAL: Duration = Duration::from_secs(5);
/// Slower than this it would not serve well either.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);
/// One good answer may be luck.
const HEALTHY_THRESHOLD: u32 = 2;
/// One or two bad ones may be a restart.
const UNHEALTHY_THRESHOLD: u32 = 3;
/// A redirect to a login page comes from a living server.
const EXPECT_STATUS: RangeInclusive<u16> = 200..=399;
/// As many as the active checks need.
const CONSECUTIVE_FAILURES: u32 = 3;
/// A restart takes about so long.
const EJECTION_TIME: Duration = Duration::from_secs(30);
/// When most servers fail the fault is elsewhere, and fewer servers would make it worse.
const MAX_EJECTION_PERCENT: u32 = 50;
/// One that fails again costs one request.
const HALF_OPEN_REQUESTS: NonZeroU32 = NonZeroU32::MIN;
/// Three servers in all: beyond that it is the request that is bad.
const ATTEMPTS: u32 = 2;
/// Statuses of a server that is in trouble rather than of a request that is wrong.
const RETRY_STATUSES: [u16; 4] = [500, 502, 503, 504];
/// RFC 9110 §9.2.2: idempotent, so that doing it twice is doing it once.
const RETRY_METHODS: [&str; 5] = ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"];
/// When more than this fails, further tries only add load.
const BUDGET_PERCENT: u32 = 20;
/// People and most clients give up at about that time.
const RETRIES_TIMEOUT: Duration = Duration::from_secs(15);

/// Longer than any package and service that people write.
const GRPC_SERVICE_BYTES_MAX: usize = 255;

const REASONS: [&str; 4] = ["connect_failure", "timeout", "reset", "invalid_response"];

/// `[upstreams.NAME.health_check]`
pub fn health_check(
    raw: Option<&At<raw::HealthCheck>>,
    protocol: Protocol,
    upstream: &str,
    findings: &mut Findings<'_>,
) -> Option<HealthCheck> {
    let section = raw?;
    let raw = &section.value;
    let path = format!("{upstream}.health_check");
    let mut timeout = |value, key: &str, default| {
        let zero = Zero::Means("take the section out for no checks");
        values::duration(value, &format!("{path}.{key}"), zero, default, findings)
    };
    let interval = timeout(&raw.interval, "interval", INTERVAL);
    let probe_timeout = timeout(&raw.timeout, "timeout", CHECK_TIMEOUT);
    if let Some(expected) = &raw.expect_status
        && raw.path.is_none()
        && findings.is_whole(&section.span)
    {
        let message = match &raw.grpc_service {
            None => "`expect_status` has no effect without `path`: a TCP connection has no status",
            Some(_) => "`expect_status` has no effect with `grpc_service`: only SERVING is healthy",
        };
        let problem = findings.error(&expected.span, &format!("{path}.expect_status"), message);
        problem.help(match &raw.grpc_service {
            None => "add path = \"/health\"",
            Some(_) => "take it out",
        });
    }
    let threshold = |n: u32| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
    Some(HealthCheck {
        question: question(raw, protocol, &path, findings),
        interval,
        timeout: probe_timeout,
        healthy_threshold: threshold(
            raw.healthy_threshold
                .as_ref()
                .map_or(HEALTHY_THRESHOLD, |n| n.value.u32()),
        ),
        unhealthy_threshold: threshold(
            raw.unhealthy_threshold
                .as_ref()
                .map_or(UNHEALTHY_THRESHOLD, |n| n.value.u32()),
        ),
        expect_status: expect_status(&raw.expect_status, &format!("{path}.expect_status"), findings),
    })
}

/// What is asked, by one of the two keys that say it.
fn question(
    raw: &raw::HealthCheck,
    protocol: Protocol,
    path: &str,
    findings: &mut Findings<'_>,
) -> Option<HealthQuestion> {
    let Some(service) = &raw.grpc_service else {
        let asked = raw.path.as_ref()?;
        return target(asked, path, findings).map(HealthQuestion::Path);
    };
    let at = format!("{path}.grpc_service");
    if raw.path.is_some() {
        let problem = findings.error(
            &service.span,
            &at,
            "`grpc_service` and `path` ask two questions at once",
        );
        problem.help("take one of them out");
    }
    if !protocol.is_http2() {
        let problem = findings.error(
            &service.span,
            &at,
            "`grpc_service` needs HTTP/2, and `protocol` is \"http1\"",
        );
        problem.help("write protocol = \"h2c\" beside `servers`, or \"http2\" with `tls`");
    }
    let name = &service.value;
    if name.len() > GRPC_SERVICE_BYTES_MAX || !name.bytes().all(|b| b.is_ascii_graphic()) {
        let problem = findings.error(
            &service.span,
            &at,
            format!("{name:?} cannot be the name of a gRPC service"),
        );
        problem.help("write it as in the .proto file, \"package.Service\"; \"\" asks for the whole server");
    }
    Some(HealthQuestion::Grpc(name.clone()))
}

/// Path and query of a request line: visible ASCII that begins with a slash (RFC 9112 §3.2.1).
fn target(raw: &At<String>, path: &str, findings: &mut Findings<'_>) -> Option<String> {
    let text = &raw.value;
    if text.starts_with('/') && text.bytes().all(|b| b.is_ascii_graphic() && b != b'#') {
        return Some(text.clone());
    }
    let message = format!("\"{text}\" cannot be asked for");
    let problem = findings.error(&raw.span, &format!("{path}.path"), message);
    problem.help("write a path that begins with a slash, other characters percent-encoded: \"/health\"");
    None
}

fn expect_status(raw: &List<String>, path: &str, findings: &mut Findings<'_>) -> Vec<RangeInclusive<u16>> {
    let Some(list) = raw else {
        return vec![EXPECT_STATUS];
    };
    if list.value.is_empty() {
        let message = "no status is good: every server would be down";
        findings
            .error(&list.span, path, message)
            .help("write [\"200-399\"]");
    }
    let mut ranges = Vec::with_capacity(list.value.len());
    for item in &list.value {
        match status_range(&item.value) {
            Some(range) => ranges.push(range),
            None => {
                let message = format!("\"{}\" is no status and no range of them", item.value);
                let problem = findings.error(&item.span, path, message);
                problem.help("write \"204\" or \"200-399\", within 100 and 599");
            }
        }
    }
    ranges
}

/// "204" or "200-399"
fn status_range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (status(first)?, status(last)?);
    (first <= last).then_some(first..=last)
}

fn status(text: &str) -> Option<u16> {
    let digits = text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit());
    let number = digits.then(|| text.parse().ok()).flatten()?;
    (100..=599).contains(&number).then_some(number)
}

/// `[upstreams.NAME.outlier_detection]`
pub fn outlier_detection(
    raw: Option<&At<raw::OutlierDetection>>,
    upstream: &str,
    findings: &mut Findings<'_>,
) -> OutlierDetection {
    let empty = At::default();
    let raw = &raw.unwrap_or(&empty).value;
    OutlierDetection {
        consecutive_failures: raw
            .consecutive_failures
            .as_ref()
            .map_or(CONSECUTIVE_FAILURES, |n| n.value.u32()),
        ejection_time: values::duration(
            &raw.ejection_time,
            &format!("{upstream}.outlier_detection.ejection_time"),
            Zero::Means("`consecutive_failures = 0` turns it off"),
            EJECTION_TIME,
            findings,
        ),
        max_ejection_percent: raw
            .max_ejection_percent
            .as_ref()
            .map_or(MAX_EJECTION_PERCENT, |n| n.value.u32()),
        half_open_requests: raw
            .half_open_requests
            .as_ref()
            .and_then(|n| NonZeroU32::new(n.value.u32()))
            .unwrap_or(HALF_OPEN_REQUESTS),
    }
}

/// `[upstreams.NAME.retries]`
pub fn retries(raw: Option<&At<raw::Retries>>, upstream: &str, findings: &mut Findings<'_>) -> Retries {
    let empty = At::default();
    let raw = &raw.unwrap_or(&empty).value;
    let path = format!("{upstream}.retries");
    Retries {
        attempts: raw.attempts.as_ref().map_or(ATTEMPTS, |n| n.value.u32()),
        retry_on: retry_on(&raw.retry_on, &format!("{path}.retry_on"), findings),
        methods: match &raw.methods {
            None => RETRY_METHODS.map(str::to_owned).to_vec(),
            Some(list) => matches::methods(&list.value, &format!("{path}.methods"), findings),
        },
        budget_percent: raw
            .budget_percent
            .as_ref()
            .map_or(BUDGET_PERCENT, |n| n.value.u32()),
        timeout: values::duration(
            &raw.timeout,
            &format!("{path}.timeout"),
            Zero::Means("`attempts = 0` turns further tries off"),
            RETRIES_TIMEOUT,
            findings,
        ),
    }
}

fn retry_on(raw: &List<String>, path: &str, findings: &mut Findings<'_>) -> RetryOn {
    let Some(list) = raw else {
        return RetryOn {
            connect_failure: true,
            timeout: true,
            reset: true,
            invalid_response: true,
            statuses: RETRY_STATUSES.to_vec(),
        };
    };
    let mut on = RetryOn::default();
    for item in &list.value {
        let text = item.value.as_str();
        match (text, status(text)) {
            ("connect_failure", _) => on.connect_failure = true,
            ("timeout", _) => on.timeout = true,
            ("reset", _) => on.reset = true,
            ("invalid_response", _) => on.invalid_response = true,
            (_, Some(number)) if number >= 400 => on.statuses.push(number),
            (_, number) => unknown_reason(text, number, &item.span, path, findings),
        }
    }
    on.statuses.sort_unstable();
    on.statuses.dedup();
    on
}

fn unknown_reason(text: &str, number: Option<u16>, span: &Span, path: &str, findings: &mut Findings<'_>) {
    let help = match number {
        Some(_) => "only an answer that failed is tried again: \"400\" to \"599\"".to_owned(),
        None => hints::closest(text, REASONS).map_or_else(
            || format!("known: {}, and statuses such as \"503\"", REASONS.join(", ")),
            hints::did_you_mean,
        ),
    };
    let message = format!("`retry_on` does not know \"{text}\"");
    findings.error(span, path, message).help(help);
}
