/// Where spans go, and what happens when they cannot.
mod export;
/// What a trace consists of.
mod spans;
/// Which requests' spans are kept, and whose word counts.
mod told;

use std::io::Read;

use harness::Origin;
use harness::origin::reply;
use serde_json::Value;

use crate::all_to;

/// A collector that takes everything.
fn collector() -> Origin {
    Origin::new().on("/v1/traces", reply(200).body("{}"))
}

/// Everything goes to this origin, and spans to that collector.
fn traced(origin: &Origin, collector: &Origin, lines: &str) -> String {
    format!(
        "[tracing]\notlp_endpoint = \"http://{}\"\n{lines}\n{}",
        collector.address(),
        all_to(origin)
    )
}

/// The spans a collector was sent, in order of arrival.
#[track_caller]
pub fn spans_at(collector: &Origin) -> Vec<Value> {
    let mut spans = Vec::new();
    for seen in collector.requests("/v1/traces") {
        assert_eq!(seen.method, "POST");
        assert_eq!(seen.value("content-type"), Some("application/json"));
        assert_eq!(seen.value("content-encoding"), Some("gzip"));
        let mut text = String::new();
        let mut unpacked = flate2::read::GzDecoder::new(&seen.body.kept[..]);
        unpacked.read_to_string(&mut text).expect("it is gzip");
        let json: Value = serde_json::from_str(&text).expect("it is JSON");
        let batch = &json["resourceSpans"][0]["scopeSpans"][0]["spans"];
        spans.extend(batch.as_array().expect("a batch has spans").iter().cloned());
    }
    spans
}

/// What an attribute of a span says, whichever type it has.
pub fn attribute<'s>(span: &'s Value, key: &str) -> &'s Value {
    let attributes = span["attributes"].as_array().expect("a span has attributes");
    let found = attributes.iter().find(|a| a["key"] == key);
    let value = found.and_then(|a| a["value"].as_object()?.values().next());
    value.unwrap_or(&Value::Null)
}

/// The spans of clients' requests.
fn requests(spans: &[Value]) -> Vec<&Value> {
    spans.iter().filter(|span| span["kind"] == 2).collect()
}

/// The spans of tries.
pub fn tries(spans: &[Value]) -> Vec<&Value> {
    spans.iter().filter(|span| span["kind"] == 3).collect()
}

/// Trace, span and flags of a `traceparent`.
fn parts(traceparent: &str) -> [&str; 3] {
    let parts: Vec<&str> = traceparent.split('-').collect();
    assert_eq!((parts.len(), parts[0]), (4, "00"), "{traceparent}");
    [parts[1], parts[2], parts[3]]
}
