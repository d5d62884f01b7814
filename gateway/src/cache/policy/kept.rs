//! Which fields of an answer are kept (RFC 9111 §3.1).

use super::age;
use super::control::AnswerControl;
use crate::kit::clock::Now;
use crate::kit::http_date;
use crate::wire::edit::Passage;
use crate::wire::{Answer, Field, Fields, Name};

/// Whether a field of that name may be kept at all, whatever the answer says.
///
/// Not kept are the fields of one connection, what we write anew for each client, what is about one exchange, and what
/// is for one user. Of the targeted fields CDN-Cache-Control stays: RFC 9213 §3: "CDN caches that use CDN-Cache-Control
/// will typically forward this header so that downstream CDN caches can use it as well." Surrogate-Control goes: the
/// Edge Architecture note has each surrogate that obeys it take it off. Cache-Status stays: RFC 9211 §2 has caches
/// "preserve the existing field value", to which ours is added.
pub fn may_keep(field: &Field<'_>) -> bool {
    match field.known {
        Name::Age
        | Name::ContentLength
        | Name::SetCookie
        | Name::SurrogateControl
        | Name::Traceparent
        | Name::Trailer
        | Name::XRequestId => false,
        // RFC 9111 §3.1: specific to the proxy that was asked, "MUST NOT be stored".
        Name::Other => !["proxy-authentication-info", "set-cookie2"]
            .iter()
            .any(|n| field.name.eq_ignore_ascii_case(n.as_bytes())),
        known => !known.is_hop_by_hop(),
    }
}

/// The fields to keep, in order, with a Date.
///
/// RFC 9110 §6.6.1: a recipient with a clock that receives a response without a Date "MUST record the time it was
/// received and append a corresponding Date header field to the message's header section if it is cached", and may
/// replace one that is invalid.
pub fn kept_fields(answer: &Answer, control: &AnswerControl, received_at: Now) -> Fields {
    let passage = Passage::new(&answer.fields);
    let has_date = age::date(&answer.fields).is_some();
    let mut kept = Fields::default();
    for field in answer.fields.iter() {
        let is_bad_date = field.known == Name::Date && !has_date;
        if passage.allows(&field) && may_keep(&field) && !control.withholds(field.name) && !is_bad_date {
            kept.push(field.name, field.value);
        }
    }
    if !has_date {
        kept.push(b"Date", http_date::format(received_at.wall.as_secs()).as_bytes());
    }
    kept
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::kit::clock::Mono;

    const NOW: Now = Now {
        mono: Mono(0),
        wall: Duration::from_secs(784_111_777),
    };

    fn kept(lines: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut answer = Answer::default();
        for (name, value) in lines {
            answer.fields.push(name.as_bytes(), value.as_bytes());
        }
        let control = AnswerControl::of(&answer.fields);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        kept_fields(&answer, &control, NOW)
            .iter()
            .map(|f| (text(f.name), text(f.value)))
            .collect()
    }

    const DATE: (&str, &str) = ("Date", "Sun, 06 Nov 1994 08:49:37 GMT");

    fn names(lines: &[(&str, &str)]) -> Vec<String> {
        kept(lines).into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn what_is_about_one_exchange_or_one_user_is_left_out() {
        let lines = [
            DATE,
            ("Connection", "close, X-Hop"),
            ("X-Hop", "1"),
            ("Keep-Alive", "timeout=5"),
            ("Transfer-Encoding", "chunked"),
            ("Trailer", "X-Sum"),
            ("Content-Length", "5"),
            ("Age", "7"),
            ("Set-Cookie", "a=1"),
            ("Set-Cookie2", "a=1"),
            ("X-Request-ID", "abc"),
            ("Proxy-Authenticate", "Basic"),
            ("Proxy-Authentication-Info", "x"),
            ("Surrogate-Control", "max-age=60"),
            (
                "Cache-Control",
                "private=\"X-User\", no-cache=\"x-token, X-Other\"",
            ),
            ("x-user", "1"),
            ("X-Token", "1"),
            ("CDN-Cache-Control", ""),
            ("Cache-Status", "far; hit"),
            ("Content-Encoding", "br"),
            ("ETag", "\"a\""),
        ];
        // Surrogate-Control rules here, and Cache-Control's word on what is private holds all the same.
        let expected = [
            "Date",
            "Cache-Control",
            "CDN-Cache-Control",
            "Cache-Status",
            "Content-Encoding",
            "ETag",
        ];
        assert_eq!(names(&lines), expected);
    }

    #[test]
    fn there_is_always_a_date_and_a_good_one_stays() {
        assert_eq!(kept(&[("A", "b")]).last().unwrap().1, DATE.1);
        assert_eq!(
            kept(&[("Date", "yesterday")]),
            [(DATE.0.to_owned(), DATE.1.to_owned())]
        );
        let other = "Mon, 07 Nov 1994 08:49:37 GMT";
        assert_eq!(kept(&[("date", other)]), [("date".to_owned(), other.to_owned())]);
        assert_eq!(kept(&[DATE, ("Date", other)]).len(), 1);
    }
}
