mod beside;
mod certificates;
mod gone;
mod guards;
mod process;
mod samples;

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::kit::clock::{Mono, Now};
use crate::observe::names::{ALL, Kind};
use crate::observe::{CacheResult, MethodLabel, PurgeKind};
use samples::sample;

const VERSION: &str = "1.2.3";
const OPEN_METRICS: &[u8] = b"application/openmetrics-text; version=1.0.0";

fn now() -> Now {
    Now {
        mono: Mono(0),
        wall: Duration::from_millis(1_795_178_096_123),
    }
}

/// Metrics in which everything has happened.
fn busy() -> Metrics {
    let metrics = Metrics::new(VERSION);
    metrics.loaded(now());
    metrics.reloaded(now());
    metrics.reload_failed();
    metrics.inherit_upgrades(2, 3);
    metrics.upgrade_failed();
    metrics.cache("edge").count(CacheResult::Hit);
    metrics.cache("edge").purged(PurgeKind::Tag);
    metrics.route("api").record(Duration::from_millis(3), 100, true);
    metrics
        .status_counters()
        .count(&metrics.route("api"), MethodLabel::Get, 200);
    metrics.refusals(&["no_server", "bad_request"]).count("no_server");
    metrics
        .connections_refused(&["max_connections"])
        .count("max_connections");
    metrics.upstream("app").record(Duration::from_millis(2));
    metrics.upstream("app").retry(RetryReason::Reset);
    metrics.mirror("app").count(Mirrored::Busy);
    metrics
        .server("app", "10.0.0.1:8000")
        .count(ServerResult::Timeout);
    metrics.server("app", "10.0.0.1:8000").ejected();
    metrics.access_log().dropped.inc_by(7);
    metrics
}

fn text(metrics: &Metrics) -> String {
    page(metrics, None)
}

fn page(metrics: &Metrics, accept: Option<&[u8]>) -> String {
    String::from_utf8(metrics.exposition(&sample(), accept).1).unwrap()
}

/// A page as a scraper understands it; panics where a strict one would refuse it.
struct Scrape {
    /// Name and type.
    families: Vec<(String, String)>,
    /// Series and value.
    samples: Vec<(String, f64)>,
}

impl Scrape {
    fn of(page: &str, form_is_open: bool) -> Self {
        let body = match page.strip_suffix("# EOF\n") {
            Some(body) => {
                assert!(form_is_open, "an EOF mark in plain text");
                body
            }
            None => {
                assert!(!form_is_open, "no EOF mark");
                page
            }
        };
        let mut scrape = Self {
            families: Vec::new(),
            samples: Vec::new(),
        };
        let mut help = String::new();
        for line in body.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                help = rest.split_once(' ').expect("a help text").0.to_owned();
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect("a type");
                assert_eq!(name, help);
                assert!(
                    scrape.families.iter().all(|(n, _)| n != name),
                    "{name} stands twice"
                );
                scrape.families.push((name.to_owned(), kind.to_owned()));
            } else {
                scrape.sample(line, form_is_open);
            }
        }
        let series: BTreeSet<_> = scrape.samples.iter().map(|(series, _)| series).collect();
        assert_eq!(series.len(), scrape.samples.len(), "a series stands twice");
        scrape
    }

    fn sample(&mut self, line: &str, form_is_open: bool) {
        let (series, value) = line.rsplit_once(' ').expect("a value");
        let name = series.split('{').next().unwrap();
        let (family, kind) = self.families.last().expect("a type before the first sample");
        let suffixes: &[&str] = match (kind.as_str(), form_is_open) {
            ("counter", true) => &["_total"],
            ("counter" | "gauge", _) => &[""],
            ("histogram", _) => &["_bucket", "_sum", "_count"],
            (other, _) => panic!("type {other}"),
        };
        let suffix = name
            .strip_prefix(family.as_str())
            .expect("a sample of its family");
        assert!(suffixes.contains(&suffix), "{line}");
        assert_labels(&series[name.len()..]);
        self.samples
            .push((series.to_owned(), value.parse().expect("a number")));
    }

    fn value(&self, series: &str) -> Option<f64> {
        self.samples
            .iter()
            .find(|(s, _)| s == series)
            .map(|(_, value)| *value)
    }
}

fn assert_labels(text: &str) {
    let Some(mut rest) = text.strip_prefix('{') else {
        return assert_eq!(text, "");
    };
    loop {
        let (name, value) = rest.split_once("=\"").expect("a label");
        assert!(
            name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'),
            "{text}"
        );
        let mut escaped = false;
        let end = value.bytes().position(|b| {
            let is_end = b == b'"' && !escaped;
            escaped = b == b'\\' && !escaped;
            is_end
        });
        rest = &value[end.expect("a closing quote") + 1..];
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None => return assert_eq!(rest, "}", "{text}"),
        }
    }
}

#[test]
fn every_described_metric_is_exported_as_described_and_no_other_is() {
    let metrics = busy();
    for (accept, is_open) in [(None, false), (Some(OPEN_METRICS), true)] {
        let scrape = Scrape::of(&page(&metrics, accept), is_open);
        let expected: Vec<(String, String)> = ALL
            .iter()
            .map(|d| {
                let name = d.name.strip_suffix("_total").filter(|_| is_open);
                let kind = match d.kind {
                    Kind::Counter => "counter",
                    Kind::Gauge => "gauge",
                    Kind::Histogram => "histogram",
                };
                (name.unwrap_or(d.name).to_owned(), kind.to_owned())
            })
            .collect();
        assert_eq!(scrape.families, expected);
    }
}

#[track_caller]
fn assert_exported(metrics: &Metrics, expected: &[(&str, f64)]) {
    let scrape = Scrape::of(&text(metrics), false);
    for (series, value) in expected {
        assert_eq!(scrape.value(series), Some(*value), "{series}");
    }
}

#[test]
fn what_happened_to_requests_is_what_is_exported() {
    assert_exported(
        &busy(),
        &[
            (
                r#"sluice_requests_total{route="api",method="GET",status="200"}"#,
                1.0,
            ),
            (
                r#"sluice_request_duration_seconds_bucket{route="api",le="0.0025"}"#,
                0.0,
            ),
            (
                r#"sluice_request_duration_seconds_bucket{route="api",le="0.005"}"#,
                1.0,
            ),
            (
                r#"sluice_request_duration_seconds_bucket{route="api",le="10"}"#,
                1.0,
            ),
            (
                r#"sluice_request_duration_seconds_bucket{route="api",le="+Inf"}"#,
                1.0,
            ),
            (r#"sluice_request_duration_seconds_sum{route="api"}"#, 0.003),
            (r#"sluice_request_duration_seconds_count{route="api"}"#, 1.0),
            (r#"sluice_response_bytes_total{route="api"}"#, 100.0),
            (r#"sluice_slow_requests_total{route="api"}"#, 1.0),
            (r#"sluice_refusals_total{reason="no_server"}"#, 1.0),
            (r#"sluice_refusals_total{reason="bad_request"}"#, 0.0),
            (
                r#"sluice_connections_refused_total{reason="max_connections"}"#,
                1.0,
            ),
        ],
    );
}

#[test]
fn what_happened_to_servers_is_what_is_exported() {
    assert_exported(
        &busy(),
        &[
            (
                r#"sluice_upstream_requests_total{upstream="app",server="10.0.0.1:8000",result="timeout"}"#,
                1.0,
            ),
            (
                r#"sluice_upstream_requests_total{upstream="app",server="10.0.0.1:8000",result="ok"}"#,
                0.0,
            ),
            (r#"sluice_upstream_duration_seconds_count{upstream="app"}"#, 1.0),
            (
                r#"sluice_upstream_retries_total{upstream="app",reason="reset"}"#,
                1.0,
            ),
            (
                r#"sluice_upstream_ejections_total{upstream="app",server="10.0.0.1:8000"}"#,
                1.0,
            ),
        ],
    );
}

#[test]
fn a_sample_is_exported_as_it_is() {
    assert_exported(
        &busy(),
        &[
            ("sluice_requests_in_flight", 3.0),
            ("sluice_snapshots_alive", 2.0),
            ("sluice_workers", 8.0),
            (r#"sluice_connections{listener="public",state="active"}"#, 4.0),
            (r#"sluice_connections{listener="public",state="idle"}"#, 5.0),
            (
                r#"sluice_upstream_in_flight{upstream="app",server="10.0.0.1:8000"}"#,
                6.0,
            ),
            (
                r#"sluice_upstream_up{upstream="app",server="10.0.0.1:8000"}"#,
                1.0,
            ),
            (
                r#"sluice_upstream_up{upstream="app",server="10.0.0.2:8000"}"#,
                0.0,
            ),
            (
                r#"sluice_upstream_ejected{upstream="app",server="10.0.0.1:8000"}"#,
                0.0,
            ),
            (
                r#"sluice_upstream_ejected{upstream="app",server="10.0.0.2:8000"}"#,
                1.0,
            ),
            (
                r#"sluice_upstream_breaker_state{upstream="app",server="10.0.0.1:8000"}"#,
                1.0,
            ),
            (
                r#"sluice_upstream_breaker_state{upstream="app",server="10.0.0.2:8000"}"#,
                2.0,
            ),
        ],
    );
}

#[test]
fn open_metrics_has_its_own_type_counter_names_bounds_and_end() {
    let (content_type, page) = busy().exposition(&sample(), Some(OPEN_METRICS));
    assert_eq!(
        content_type,
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    let page = String::from_utf8(page).unwrap();
    assert!(page.contains("# TYPE sluice_requests counter\nsluice_requests_total{"));
    assert!(page.contains(r#"_bucket{route="api",le="1.0"}"#));
    assert!(page.ends_with("\n# EOF\n"));
    let (content_type, _) = busy().exposition(&sample(), None);
    assert_eq!(content_type, "text/plain; version=0.0.4; charset=utf-8");
}

#[test]
fn label_values_are_escaped() {
    let metrics = Metrics::new(VERSION);
    metrics.route("a\"b\\c\nd").record(Duration::ZERO, 1, false);
    let page = text(&metrics);
    assert!(
        page.contains(r#"sluice_response_bytes_total{route="a\"b\\c\nd"} 1"#),
        "{page}"
    );
    Scrape::of(&page, false);
}

#[test]
fn two_gateways_in_one_process_share_nothing() {
    let (one, other) = (busy(), Metrics::new(VERSION));
    assert!(Scrape::of(&text(&one), false).value("sluice_access_log_dropped_total") == Some(7.0));
    assert!(Scrape::of(&text(&other), false).value("sluice_access_log_dropped_total") == Some(0.0));
}

#[test]
fn label_values_that_look_alike_when_put_together_are_two_series() {
    let metrics = Metrics::new(VERSION);
    metrics.server("web", "1.example:80").count(ServerResult::Ok);
    let other = metrics.server("web1", ".example:80");
    assert_eq!(other.counted(ServerResult::Ok), 0);
}

#[test]
fn methods_a_client_invents_are_other() {
    for (method, label) in [
        (&b"GET"[..], "GET"),
        (b"PATCH", "PATCH"),
        (b"get", "OTHER"),
        (b"PROPFIND", "OTHER"),
        (b"", "OTHER"),
        (b"GET\"} 1\n", "OTHER"),
    ] {
        assert_eq!(MethodLabel::of(method).text(), label);
    }
    for method in ["CONNECT", "DELETE", "HEAD", "OPTIONS", "POST", "PUT", "TRACE"] {
        assert_eq!(MethodLabel::of(method.as_bytes()).text(), method);
    }
}

#[test]
fn words_of_closed_lists_have_the_place_their_counter_has() {
    for (at, reason) in RetryReason::ALL.into_iter().enumerate() {
        assert_eq!(reason as usize, at);
    }
    for (at, result) in ServerResult::ALL.into_iter().enumerate() {
        assert_eq!(result as usize, at);
    }
}

#[test]
fn workers_count_statuses_into_the_same_series() {
    let metrics = Metrics::new(VERSION);
    let (api, files) = (metrics.route("api"), metrics.route("files"));
    let (mut one, mut two) = (metrics.status_counters(), metrics.status_counters());
    for counters in [&mut one, &mut two] {
        counters.count(&api, MethodLabel::Get, 200);
        counters.count(&api, MethodLabel::Get, 200);
        counters.count(&api, MethodLabel::Post, 503);
        counters.count(&files, MethodLabel::Get, 200);
        counters.forget();
        counters.count(&files, MethodLabel::Other, 0);
    }
    let scrape = Scrape::of(&text(&metrics), false);
    for (series, value) in [
        (
            r#"sluice_requests_total{route="api",method="GET",status="200"}"#,
            4.0,
        ),
        (
            r#"sluice_requests_total{route="api",method="POST",status="503"}"#,
            2.0,
        ),
        (
            r#"sluice_requests_total{route="files",method="GET",status="200"}"#,
            2.0,
        ),
        (
            r#"sluice_requests_total{route="files",method="OTHER",status="0"}"#,
            2.0,
        ),
    ] {
        assert_eq!(scrape.value(series), Some(value), "{series}");
    }
}
