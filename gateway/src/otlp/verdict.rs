//! What an answer of the collector means.

use std::time::Duration;

use serde::Deserialize;

use crate::kit::clock::Now;
use crate::kit::http_date;
use crate::outbound::{Answer, OutboundFault};

/// Longest piece of somebody else's text in a line of ours, in characters.
const SHOWN_MAX: usize = 200;

/// What has come of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It has arrived, but so many spans of it are not wanted; the text says why.
    Arrived {
        /// Spans.
        rejected: u64,
        /// Why.
        message: String,
    },
    /// It may go better the next time, not before so long if the collector has said.
    Again {
        /// What went wrong.
        fault: String,
        /// What the collector asks for.
        after: Option<Duration>,
    },
    /// It will never be taken.
    Refused(String),
}

/// The part of an answer that says what was not taken. Numbers of 64 bits are written as texts, by some as numbers.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Told {
    partial_success: Partial,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Partial {
    rejected_spans: serde_json::Value,
    error_message: String,
}

/// Judges by the rules of OTLP/HTTP: 429, 502, 503 and 504 may be sent once more, other failures may not.
pub fn verdict(outcome: Result<Answer, OutboundFault>, now: Now) -> Verdict {
    let answer = match outcome {
        Ok(answer) => answer,
        Err(fault) if fault.is_passing() => {
            let fault = shown(&fault.to_string());
            return Verdict::Again { fault, after: None };
        }
        Err(fault) => return Verdict::Refused(shown(&fault.to_string())),
    };
    match answer.status {
        200..=299 => arrived(&answer.body),
        429 | 502..=504 => Verdict::Again {
            fault: format!("it answers {}", answer.status),
            after: retry_after(&answer, now),
        },
        status => {
            let text = String::from_utf8_lossy(&answer.body);
            let fault = format!(
                "it answers {status}, see otlp_endpoint and headers in [tracing]: {}",
                shown(&text)
            );
            Verdict::Refused(fault)
        }
    }
}

/// An answer that cannot be read says nothing against the batch: some answer in another form, or not at all.
fn arrived(body: &[u8]) -> Verdict {
    let told: Told = serde_json::from_slice(body).unwrap_or_default();
    let Partial {
        rejected_spans: rejected,
        error_message,
    } = told.partial_success;
    let as_text = || rejected.as_str()?.parse().ok();
    Verdict::Arrived {
        rejected: rejected.as_u64().or_else(as_text).unwrap_or_default(),
        message: shown(&error_message),
    }
}

/// RFC 9110 §10.2.3: a number of seconds, or a date.
fn retry_after(answer: &Answer, now: Now) -> Option<Duration> {
    let value = answer.headers.first_of("retry-after")?;
    let seconds = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
    let until = || Some(http_date::parse(value)?.saturating_sub(now.wall.as_secs()));
    seconds.or_else(until).map(Duration::from_secs)
}

/// Somebody else's words, made fit for a line.
fn shown(text: &str) -> String {
    text.trim()
        .chars()
        .take(SHOWN_MAX)
        .flat_map(char::escape_debug)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::clock::Clock;
    use crate::wire::Fields;
    use bytes::Bytes;

    fn judged(status: u16, retry_after: Option<&str>, body: &str) -> Verdict {
        let mut headers = Fields::default();
        if let Some(value) = retry_after {
            headers.push(b"retry-after", value.as_bytes());
        }
        let answer = Answer {
            status,
            headers,
            body: Bytes::copy_from_slice(body.as_bytes()),
        };
        verdict(
            Ok(answer),
            Clock::manual(Duration::from_secs(1_000_000_000)).now(),
        )
    }

    fn rejected(body: &str) -> u64 {
        match judged(200, None, body) {
            Verdict::Arrived { rejected, .. } => rejected,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_was_not_taken_is_read_in_each_form_it_is_written_in() {
        assert_eq!(
            rejected(r#"{"partialSuccess":{"rejectedSpans":"3","errorMessage":"old"}}"#),
            3
        );
        assert_eq!(rejected(r#"{"partialSuccess":{"rejectedSpans":4}}"#), 4);
        for whole in [
            "{}",
            "",
            r#"{"partialSuccess":{}}"#,
            "\u{a}\u{0}",
            "[]",
            "{\"partialSuccess\":7}",
        ] {
            assert_eq!(rejected(whole), 0, "{whole:?}");
        }
    }

    #[test]
    fn only_what_may_pass_is_sent_once_more() {
        for status in [429, 502, 503, 504] {
            assert!(
                matches!(judged(status, None, ""), Verdict::Again { after: None, .. }),
                "{status}"
            );
        }
        for status in [301, 400, 401, 403, 404, 413, 500, 501, 505] {
            assert!(
                matches!(judged(status, Some("5"), "why"), Verdict::Refused(_)),
                "{status}"
            );
        }
        let fault = |fault| verdict(Err(fault), Clock::manual(Duration::ZERO).now());
        assert!(matches!(
            fault(OutboundFault::Connect("refused".into())),
            Verdict::Again { .. }
        ));
        assert!(matches!(
            fault(OutboundFault::Url("it is no URL")),
            Verdict::Refused(_)
        ));
    }

    #[test]
    fn a_collector_may_say_when() {
        let after = |value| match judged(503, Some(value), "") {
            Verdict::Again { after, .. } => after.map(|d| d.as_secs()),
            other => panic!("{other:?}"),
        };
        assert_eq!(after("7"), Some(7));
        // 2001-09-09T01:46:40Z is the test's now.
        assert_eq!(after("Sun, 09 Sep 2001 01:46:52 GMT"), Some(12));
        assert_eq!(after("Sun, 09 Sep 2001 01:46:00 GMT"), Some(0));
        assert_eq!(after("soon"), None);
    }

    #[test]
    fn somebody_else_s_words_are_one_short_line() {
        let Verdict::Refused(fault) = judged(400, None, &format!("a\r\n{}", "x".repeat(10_000))) else {
            panic!("400 is refused")
        };
        assert!(
            fault.contains("a\\r\\nxxx") && fault.len() < 3 * SHOWN_MAX,
            "{fault}"
        );
    }
}
