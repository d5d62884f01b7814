//! Spans as OTLP's JSON: the protobuf message in JSON's mapping, but with ids in hexadecimal.

use std::fmt::Display;
use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde::{Serialize, Serializer};

use crate::VERSION;
use crate::observe::trace::{Span, Trace, Value};

/// Bits of a span's flags besides those of `traceparent`: it is known whether the parent is somebody else's, and it is.
const KNOWS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;

/// Who sends the spans.
#[derive(Clone, Copy, Debug)]
pub struct Resource<'a> {
    /// The operator's name for the gateway.
    pub service_name: &'a str,
    /// The machine's name; empty where it is not known.
    pub host_name: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    resource_spans: [ResourceSpans<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceSpans<'a> {
    resource: About<'a>,
    scope_spans: [ScopeSpans<'a>; 1],
}

#[derive(Serialize)]
struct About<'a> {
    attributes: Vec<Attribute<'a>>,
}

#[derive(Serialize)]
struct ScopeSpans<'a> {
    scope: Scope,
    spans: Vec<Shown<'a>>,
}

#[derive(Serialize)]
struct Scope {
    name: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    #[serde(serialize_with = "text")]
    trace_id: &'a dyn Display,
    #[serde(serialize_with = "text")]
    span_id: &'a dyn Display,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_state: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_span_id: Option<String>,
    flags: u32,
    name: &'a str,
    kind: u32,
    #[serde(serialize_with = "nanos")]
    start_time_unix_nano: Duration,
    #[serde(serialize_with = "nanos")]
    end_time_unix_nano: Duration,
    attributes: Vec<Attribute<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Failed>,
}

/// The conventions want no text in it where `error.type` says it all.
#[derive(Serialize)]
struct Failed {
    code: u32,
}

const STATUS_ERROR: u32 = 2;

#[derive(Serialize)]
struct Attribute<'a> {
    key: &'a str,
    value: AnyValue<'a>,
}

#[derive(Serialize)]
enum AnyValue<'a> {
    #[serde(rename = "stringValue")]
    Text(&'a str),
    #[serde(rename = "boolValue")]
    Flag(bool),
    #[serde(rename = "doubleValue")]
    Number(f64),
    /// 64 bits are a text in JSON's mapping: not every reader of JSON has numbers that large.
    #[serde(rename = "intValue", serialize_with = "text")]
    Int(&'a i64),
}

fn text<S: Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn nanos<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&value.as_nanos())
}

/// A batch as it is sent.
pub fn encode(batch: &[Trace], resource: Resource<'_>) -> Vec<u8> {
    let about = [
        ("service.name", resource.service_name),
        ("service.version", VERSION),
        ("host.name", resource.host_name),
    ];
    let about = about.into_iter().filter(|(_, value)| !value.is_empty());
    let request = Request {
        resource_spans: [ResourceSpans {
            resource: About {
                attributes: about
                    .map(|(key, value)| Attribute {
                        key,
                        value: AnyValue::Text(value),
                    })
                    .collect(),
            },
            scope_spans: [ScopeSpans {
                scope: Scope {
                    name: "sluice",
                    version: VERSION,
                },
                spans: batch.iter().flat_map(shown).collect(),
            }],
        }],
    };
    serde_json::to_vec(&request).expect("texts and numbers can be written as JSON")
}

fn shown(trace: &Trace) -> impl Iterator<Item = Shown<'_>> {
    trace.spans.iter().map(move |span| Shown {
        trace_id: &trace.id,
        span_id: &span.id,
        trace_state: trace.state.as_deref(),
        parent_span_id: span.parent.map(|parent| parent.to_string()),
        flags: u32::from(trace.is_sampled) | KNOWS_REMOTE | if span.is_parent_remote { IS_REMOTE } else { 0 },
        name: &span.name,
        kind: span.kind as u32,
        start_time_unix_nano: span.began,
        end_time_unix_nano: span.ended,
        attributes: attributes(span),
        status: span.error.as_ref().map(|_| Failed { code: STATUS_ERROR }),
    })
}

fn attributes(span: &Span) -> Vec<Attribute<'_>> {
    let told = span.attributes.iter().map(|(key, value)| Attribute {
        key,
        value: match value {
            Value::Flag(flag) => AnyValue::Flag(*flag),
            Value::Int(n) => AnyValue::Int(n),
            Value::Ms(ms) => AnyValue::Number(*ms),
            Value::Text(text) => AnyValue::Text(text),
        },
    });
    let error = span.error.as_ref().map(|error| Attribute {
        key: "error.type",
        value: AnyValue::Text(error),
    });
    told.chain(error).collect()
}

/// Compressed: names and attributes repeat themselves from span to span.
pub fn compressed(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(text.len() / 8), Compression::fast());
    encoder.write_all(text).expect("memory takes every write");
    encoder.finish().expect("memory takes every write")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::trace_context::{SpanId, TraceId};
    use crate::observe::trace::SpanKind;
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};
    use std::io::Read;

    const RESOURCE: Resource<'_> = Resource {
        service_name: "edge",
        host_name: "",
    };

    fn span() -> Span {
        Span {
            id: SpanId::of(0xab),
            parent: Some(SpanId::of(0xcd)),
            is_parent_remote: true,
            kind: SpanKind::Server,
            name: "GET api".into(),
            began: Duration::new(1_700_000_000, 5),
            ended: Duration::new(1_700_000_001, 0),
            attributes: vec![
                ("url.path", Value::Text("/\"\n\u{e4}".to_owned())),
                ("http.response.status_code", Value::Int(503)),
                ("sluice.reused", Value::Flag(true)),
                ("sluice.connect_ms", Value::Ms(1.5)),
            ],
            error: Some("no_server".into()),
        }
    }

    fn trace(spans: Vec<Span>) -> Trace {
        Trace {
            id: TraceId::of(0xef),
            is_sampled: true,
            state: Some("vendor=1".to_owned()),
            spans,
        }
    }

    fn encoded(batch: &[Trace]) -> Json {
        serde_json::from_slice(&encode(batch, RESOURCE)).unwrap()
    }

    #[test]
    fn a_span_has_the_members_of_the_protocol() {
        let expected = json!({ "resourceSpans": [{
            "resource": { "attributes": [
                { "key": "service.name", "value": { "stringValue": "edge" } },
                { "key": "service.version", "value": { "stringValue": VERSION } },
            ] },
            "scopeSpans": [{
                "scope": { "name": "sluice", "version": VERSION },
                "spans": [{
                    "traceId": "000000000000000000000000000000ef",
                    "spanId": "00000000000000ab",
                    "traceState": "vendor=1",
                    "parentSpanId": "00000000000000cd",
                    "flags": 0x301,
                    "name": "GET api",
                    "kind": 2,
                    "startTimeUnixNano": "1700000000000000005",
                    "endTimeUnixNano": "1700000001000000000",
                    "attributes": [
                        { "key": "url.path", "value": { "stringValue": "/\"\n\u{e4}" } },
                        { "key": "http.response.status_code", "value": { "intValue": "503" } },
                        { "key": "sluice.reused", "value": { "boolValue": true } },
                        { "key": "sluice.connect_ms", "value": { "doubleValue": 1.5 } },
                        { "key": "error.type", "value": { "stringValue": "no_server" } },
                    ],
                    "status": { "code": 2 },
                }],
            }],
        }] });
        assert_eq!(encoded(&[trace(vec![span()])]), expected);
    }

    #[test]
    fn what_is_not_there_is_not_written() {
        let plain = Span {
            parent: None,
            is_parent_remote: false,
            error: None,
            ..span()
        };
        let trace = Trace {
            state: None,
            is_sampled: false,
            ..trace(vec![plain])
        };
        let span = &encoded(&[trace])["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
        for absent in ["parentSpanId", "traceState", "status"] {
            assert_eq!(span.get(absent), None, "{absent}");
        }
        assert_eq!(span["flags"], 0x100);
    }

    proptest! {
        #[test]
        fn every_span_of_every_trace_is_there_in_order(sizes in proptest::collection::vec(1..5usize, 0..20)) {
            let batch: Vec<Trace> = sizes.iter().map(|n| trace(vec![span(); *n])).collect();
            let json = encoded(&batch);
            let spans = json["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap();
            prop_assert_eq!(spans.len(), sizes.iter().sum::<usize>());
        }

        #[test]
        fn whatever_a_client_says_comes_back_out_of_the_compressed_json(text in ".*") {
            let mut told = span();
            told.attributes = vec![("user_agent.original", Value::text(text.as_bytes()))];
            let packed = compressed(&encode(&[trace(vec![told])], RESOURCE));
            let mut unpacked = Vec::new();
            flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut unpacked).unwrap();
            let json: Json = serde_json::from_slice(&unpacked).unwrap();
            let value = &json["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["attributes"][0]["value"];
            let Value::Text(expected) = Value::text(text.as_bytes()) else { panic!("a text") };
            prop_assert_eq!(value["stringValue"].as_str(), Some(expected.as_str()));
        }
    }
}
