use harness::origin::reply;
use harness::{Gateway, Origin};

use super::{authority_and_leaf, certificate, listener, run, tls_listener, tool};

const REQUESTS: u64 = 20_000;
const BODY_BYTES: u64 = 1_024;

/// `20000` of `20000 total` in the line that begins with this.
#[track_caller]
fn count(said: &str, line: &str, word: &str) -> u64 {
    let found = said.lines().find_map(|l| l.strip_prefix(line));
    let parts = found.unwrap_or_else(|| panic!("no {line:?} in:\n{said}"));
    let part = parts.split(',').find_map(|p| p.trim().strip_suffix(word));
    let number = part.unwrap_or_else(|| panic!("no {word:?} in {parts:?}"));
    number.trim().parse().expect("it is a number")
}

/// Once it is stored, 100 connections with 32 streams each ask for it, and each gets all of it.
#[track_caller]
fn asks(gw: &Gateway, origin: &Origin, url: &str, protocol: &str, more: &[&str]) {
    let mut first = tool("curl", "curl");
    first.args(["-qsSkf", "--noproxy", "*", "-o", "/dev/null", url]);
    run(first, "").well();
    let mut command = tool("h2load", "nghttp2-client");
    let requests = REQUESTS.to_string();
    command
        .args(["-n", &requests, "-c", "100", "-m", "32", "-t", "1", url])
        .args(more);
    let said = run(command, "").well().text();

    assert!(
        said.contains(&format!("Application protocol: {protocol}")),
        "{said}"
    );
    for word in ["total", "started", "done", "succeeded"] {
        assert_eq!(count(&said, "requests:", word), REQUESTS, "{word} of\n{said}");
    }
    for word in ["failed", "errored", "timeout"] {
        assert_eq!(count(&said, "requests:", word), 0, "{word} of\n{said}");
    }
    assert_eq!(count(&said, "status codes:", "2xx"), REQUESTS, "{said}");
    let bytes = said.lines().find_map(|l| l.strip_prefix("traffic:"));
    let data = bytes.and_then(|l| l.rsplit_once('(')?.1.strip_suffix(") data"));
    assert_eq!(data, Some(&*(REQUESTS * BODY_BYTES).to_string()), "{said}");
    assert_eq!(origin.total(), 1, "the others are answered from memory");
    gw.wait_metrics("every request was counted", |metrics| {
        metrics.sum("sluice_requests_total", &[]) == REQUESTS as f64 + 1.0
    });
}

/// A gateway with a memory.
fn caching(listeners: &str) -> (Gateway, Origin) {
    let body = vec![b'x'; BODY_BYTES as usize];
    let origin = Origin::new().otherwise(reply(200).header("Cache-Control", "max-age=600").body(body));
    let gw = Gateway::start(&format!(
        "{listeners}\n[caches.edge]\nmemory = \"8MiB\"\n{}cache = {{ store = \"edge\" }}\n",
        crate::all_to(&origin)
    ));
    (gw, origin)
}

#[test]
fn many_streams_of_many_connections_are_all_served_over_tls() {
    let (_authority, leaf) = authority_and_leaf();
    let (gw, origin) = caching(&format!("{}{}", certificate(&leaf), tls_listener("")));
    let url = format!("https://127.0.0.1:{}/a", gw.address().port());
    asks(&gw, &origin, &url, "h2", &[]);
}

#[test]
fn many_streams_of_many_connections_are_all_served_in_clear_text() {
    let (gw, origin) = caching(&listener("h2c = true"));
    asks(&gw, &origin, &format!("http://{}/a", gw.address()), "h2c", &[]);
}

#[test]
fn requests_one_behind_the_other_are_all_served_by_http_1_1() {
    let (gw, origin) = caching(&listener(""));
    asks(
        &gw,
        &origin,
        &format!("http://{}/a", gw.address()),
        "http/1.1",
        &["--h1"],
    );
}
