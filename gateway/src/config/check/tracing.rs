//! `[tracing]`

use std::collections::BTreeMap;
use std::time::Duration;

use super::urls;
use super::values::{self, Zero};
use crate::config::findings::Findings;
use crate::config::plan::Tracing;
use crate::config::raw;
use crate::config::raw::leaf::{At, Maybe};
use crate::wire::{Name, syntax};

/// One request in a hundred: a busy gateway has plenty of them, and a quiet one its errors.
const SAMPLE_PPM: u32 = 10_000;
/// As exporters of OpenTelemetry have it.
const TIMEOUT: Duration = Duration::from_secs(10);
/// About as many megabytes as a large answer.
const QUEUE_SPANS: usize = 16_384;
const SERVICE_NAME: &str = "sluice";
/// What the standard has every collector take traces at.
const PATH: &str = "/v1/traces";
const EXAMPLE: &str = "http://127.0.0.1:4318";

/// Fields for a collector; more is a mistake.
const HEADERS_MAX: usize = 32;

/// `[tracing]`; None without the section, or with a problem told.
pub fn tracing(section: Option<&At<raw::Tracing>>, findings: &mut Findings<'_>) -> Option<Tracing> {
    let section = section?;
    let raw = &section.value;
    let headers = headers(&raw.headers, findings);
    let timeout = values::duration(
        &raw.timeout,
        "tracing.timeout",
        Zero::Means("\"10s\" is what most exporters wait"),
        TIMEOUT,
        findings,
    );
    let service_name = service_name(&raw.service_name, findings);
    let Some(endpoint) = &raw.otlp_endpoint else {
        if findings.is_whole(&section.span) {
            let message = "[tracing] does not say where spans are sent";
            let problem = findings.error(&section.span, "tracing.otlp_endpoint", message);
            problem.help(format!(
                "add otlp_endpoint = \"{EXAMPLE}\", or take the section out"
            ));
        }
        return None;
    };
    let url = endpoint_url(endpoint, findings)?;
    Some(Tracing {
        url,
        sample_ppm: raw.sample.as_ref().map_or(SAMPLE_PPM, |s| s.value.0),
        service_name,
        headers,
        timeout,
        queue_max: raw.max_queue.as_ref().map_or(QUEUE_SPANS, |n| n.value.usize()),
    })
}

fn endpoint_url(written: &At<String>, findings: &mut Findings<'_>) -> Option<String> {
    let url = urls::http(written, EXAMPLE, "tracing.otlp_endpoint", findings)?;
    if url.contains('?') {
        let message = "a collector is not asked with a query, where secrets would be logged";
        let problem = findings.error(&written.span, "tracing.otlp_endpoint", message);
        problem.help("take it off, and put what it says into `headers`");
        return None;
    }
    // Port 4317 speaks gRPC: what is sent there by HTTP is hung up on, without a word that helps.
    if url.trim_end_matches('/').ends_with(":4317") {
        let message = "port 4317 is where collectors speak gRPC";
        let problem = findings.warning(&written.span, "tracing.otlp_endpoint", message);
        problem.help("they take OTLP over HTTP at 4318");
    }
    Some(with_path(&url))
}

/// OTLP's own rule for an endpoint of all signals: the signal's path is put behind it.
fn with_path(url: &str) -> String {
    let base = url.trim_end_matches('/');
    match base.ends_with(PATH) {
        true => base.to_owned(),
        false => format!("{base}{PATH}"),
    }
}

fn service_name(written: &Maybe<String>, findings: &mut Findings<'_>) -> String {
    let Some(written) = written else {
        return SERVICE_NAME.to_owned();
    };
    values::name(written, "tracing.service_name", findings);
    written.value.clone()
}

fn headers(
    written: &Maybe<BTreeMap<At<String>, At<String>>>,
    findings: &mut Findings<'_>,
) -> Vec<(String, String)> {
    let Some(written) = written else {
        return Vec::new();
    };
    if written.value.len() > HEADERS_MAX {
        let message = format!("{} fields are more than a collector is told", written.value.len());
        let problem = findings.error(&written.span, "tracing.headers", message);
        problem.help(format!("write at most {HEADERS_MAX}"));
    }
    let mut found = Vec::new();
    for (name, value) in &written.value {
        let path = format!("tracing.headers.{}", name.value);
        if !syntax::is_token(name.value.as_bytes()) {
            let message = format!("\"{}\" is not the name of a field", name.value);
            findings.error(&name.span, &path, message);
        } else if is_ours(&name.value) {
            let message = format!(
                "\"{}\" is not for you to say: it follows from what is sent",
                name.value
            );
            findings.error(&name.span, &path, message).help("take it out");
        } else if !syntax::is_value(value.value.as_bytes()) {
            // It may be a secret: no message repeats it.
            let message = "the value of a field cannot hold control characters";
            let problem = findings.error(&value.span, &path, message);
            problem.help("a secret read from a file may end with a line break");
        } else {
            found.push((name.value.clone(), value.value.clone()));
        }
    }
    found
}

fn is_ours(name: &str) -> bool {
    let known = Name::of(name.as_bytes());
    known.is_hop_by_hop()
        || matches!(
            known,
            Name::ContentEncoding
                | Name::ContentLength
                | Name::ContentType
                | Name::Expect
                | Name::Host
                | Name::Trailer
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_traces_is_added_once() {
        for (written, sent) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            ("http://127.0.0.1:4318/", "http://127.0.0.1:4318/v1/traces"),
            ("https://a.test/otlp", "https://a.test/otlp/v1/traces"),
            ("https://a.test/v1/traces", "https://a.test/v1/traces"),
            ("https://a.test/v1/traces/", "https://a.test/v1/traces"),
        ] {
            assert_eq!(with_path(written), sent, "{written}");
        }
    }
}
