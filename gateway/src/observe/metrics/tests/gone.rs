//! What is in no configuration any more.

use super::*;

#[test]
fn removed_routes_and_servers_leave_the_page_and_the_others_keep_their_counts() {
    let metrics = busy();
    metrics.route("gone").record(Duration::ZERO, 1, true);
    metrics.route(NO_ROUTE).record(Duration::ZERO, 1, true);
    let mut counters = metrics.status_counters();
    counters.count(&metrics.route("gone"), MethodLabel::Get, 200);
    metrics.server("app", "10.0.0.9:8000").ejected();
    metrics.upstream("gone").retry(RetryReason::Status);
    metrics.upstream("gone").retry_refused();
    metrics.server("gone", "10.0.0.1:8000").count(ServerResult::Ok);

    metrics.retain_routes(&["api"]);
    metrics.retain_servers(&[("app", "10.0.0.1:8000")]);

    let page = text(&metrics);
    assert!(!page.contains("gone") && !page.contains("10.0.0.9"), "{page}");
    let scrape = Scrape::of(&page, false);
    for series in [
        r#"sluice_requests_total{route="api",method="GET",status="200"}"#,
        r#"sluice_slow_requests_total{route="api"}"#,
        r#"sluice_slow_requests_total{route="-"}"#,
        r#"sluice_upstream_retries_total{upstream="app",reason="reset"}"#,
        r#"sluice_upstream_ejections_total{upstream="app",server="10.0.0.1:8000"}"#,
    ] {
        assert_eq!(scrape.value(series), Some(1.0), "{series}");
    }
}

#[test]
fn a_route_that_comes_back_counts_from_zero_even_where_a_worker_remembers_it() {
    let metrics = Metrics::new(VERSION);
    let mut counters = metrics.status_counters();
    counters.count(&metrics.route("api"), MethodLabel::Get, 200);
    metrics.retain_routes(&[]);
    let api = metrics.route("api");
    counters.count(&api, MethodLabel::Get, 200);
    counters.count(&api, MethodLabel::Get, 200);
    let scrape = Scrape::of(&text(&metrics), false);
    let series = r#"sluice_requests_total{route="api",method="GET",status="200"}"#;
    assert_eq!(scrape.value(series), Some(2.0));
}
