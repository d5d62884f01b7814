//! Traces: the spans of finished requests, on their way to whoever collects them.
//!
//! A worker decides when a request has ended whether its spans are kept ([`sampling`]) and puts them into the [`Outbox`],
//! which never makes it wait. What empties the outbox is nobody's business here.

mod outbox;
pub mod sampling;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

pub use outbox::{BATCH_SPANS_MAX, Dropped, Inbox, Outbox};
pub use sampling::{Allowance, Why};

use crate::kit::trace_context::{SpanId, TraceId};

/// Bytes of a text in an attribute; the rest is cut off. Paths and names of browsers can be long, and nobody reads the end.
pub const TEXT_BYTES_MAX: usize = 1024;

/// What a configuration has decided about traces.
#[derive(Clone, Debug)]
pub struct Tracer {
    /// Of a million requests, those whose spans are kept.
    pub sample_ppm: u32,
    /// Spans that may wait in the outbox.
    pub queue_max: usize,
    /// Where they wait.
    pub outbox: Arc<Outbox>,
}

/// The spans of one request; the first is its own, the others hang on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// The trace.
    pub id: TraceId,
    /// Whether it was kept by sampling, which is what those before and behind are told, or only here.
    pub is_sampled: bool,
    /// `tracestate` as it came.
    pub state: Option<String>,
    /// Never empty.
    pub spans: Vec<Span>,
}

/// One piece of work, from its begin to its end.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// Its name in the trace.
    pub id: SpanId,
    /// The span it is a part of.
    pub parent: Option<SpanId>,
    /// Whether that is somebody else's.
    pub is_parent_remote: bool,
    /// Whose work.
    pub kind: SpanKind,
    /// One of few: made of methods and names of the configuration, never of what a client says.
    pub name: Cow<'static, str>,
    /// Since the Unix epoch.
    pub began: Duration,
    /// Since the Unix epoch, not before `began`.
    pub ended: Duration,
    /// By the names of OpenTelemetry's conventions, and below `sluice.` our own.
    pub attributes: Vec<(&'static str, Value)>,
    /// Why it has failed; None if it has not.
    pub error: Option<Cow<'static, str>>,
}

/// Whose work a span is, as OTLP counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// A part of our own.
    Internal = 1,
    /// Answering a client.
    Server = 2,
    /// Asking a server.
    Client = 3,
}

/// What an attribute says.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Yes or no.
    Flag(bool),
    /// A number.
    Int(i64),
    /// Milliseconds, with what is behind the point.
    Ms(f64),
    /// A text, no longer than [`TEXT_BYTES_MAX`].
    Text(String),
}

impl Value {
    /// A text, of which what is too long is cut off, and what is no UTF-8 replaced.
    pub fn text(bytes: &[u8]) -> Self {
        let mut text = String::from_utf8_lossy(&bytes[..bytes.len().min(TEXT_BYTES_MAX)]).into_owned();
        // A character that the cut has split became a longer one.
        while text.len() > TEXT_BYTES_MAX {
            text.pop();
        }
        Self::Text(text)
    }

    /// A number.
    pub fn number(n: impl TryInto<i64>) -> Self {
        Self::Int(n.try_into().unwrap_or(i64::MAX))
    }

    /// A time.
    pub fn ms(duration: Duration) -> Self {
        Self::Ms(duration.as_secs_f64() * 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_text_is_short_and_begins_as_what_it_was(bytes in proptest::collection::vec(any::<u8>(), 0..3000)) {
            let Value::Text(text) = Value::text(&bytes) else { panic!("it is a text") };
            prop_assert!(text.len() <= TEXT_BYTES_MAX);
            let whole = String::from_utf8_lossy(&bytes);
            let is_begin = whole.starts_with(text.trim_end_matches('\u{fffd}'));
            prop_assert!(is_begin, "{}", text);
        }
    }

    #[test]
    fn a_number_beyond_the_type_is_its_largest() {
        assert_eq!(Value::number(u64::MAX), Value::Int(i64::MAX));
    }
}
