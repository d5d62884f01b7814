//! What must hold of every response, whatever a play is about.

use crate::wire::{Framing, Head};

/// Fields that are between a sender and its next neighbour only (RFC 9110 §7.6.1): a gateway consumes them.
const HOP_BY_HOP: &[&str] = &["keep-alive", "proxy-connection", "te"];

/// What a connection option may say to a client of ours: nothing that an origin has nominated.
const OPTIONS: &[&str] = &["close", "keep-alive", "upgrade"];

/// Words of a program about itself. No client may read them.
const INTERNAL: &[&str] = &[
    "os error",
    "panicked",
    ".rs:",
    "refused",
    "reset by peer",
    "broken pipe",
    "Some(",
    "None",
    "Err(",
];

/// The status and the framing of a response's body.
///
/// Fails on a malformed or ambiguous head, on a missing Date, and on fields that were not for the client.
pub(super) fn head(head: &Head, method: &str, http10: bool) -> (u16, Framing) {
    let status = status(head);
    let interim = (100..200).contains(&status) && status != 101;
    for name in HOP_BY_HOP {
        assert_eq!(head.all(name).next(), None, "{name} has leaked:\n{head}");
    }
    for option in head.list("connection") {
        assert!(
            OPTIONS.contains(&option.as_str()),
            "Connection: {option} has leaked:\n{head}"
        );
    }
    if !matches!(status, 101 | 426) {
        assert_eq!(head.all("upgrade").next(), None, "Upgrade has leaked:\n{head}");
    }
    if status != 101 && !interim {
        let date = head.one("date");
        assert!(date.is_some_and(is_date), "Date is {date:?} in:\n{head}");
    }
    for name in [
        "content-type",
        "location",
        "server",
        "etag",
        "x-request-id",
        "content-location",
    ] {
        head.one(name);
    }
    (status, framing(head, status, method, http10))
}

/// RFC 9112 §6.3, the client's side.
fn framing(head: &Head, status: u16, method: &str, http10: bool) -> Framing {
    let said = head
        .framing()
        .unwrap_or_else(|fault| panic!("{fault} in:\n{head}"));
    if said == Some(Framing::Chunked) {
        assert!(!http10, "chunked, and the client spoke HTTP/1.0:\n{head}");
    }
    if matches!(status, 100..=199 | 204) {
        // RFC 9112 §6.1, RFC 9110 §8.6: a server MUST NOT send either in a 1xx or a 204.
        assert_eq!(said, None, "{status} with a length:\n{head}");
    }
    let empty = matches!(status, 100..=199 | 204 | 304) || method == "HEAD";
    match said {
        _ if empty => Framing::Length(0),
        Some(framing) => framing,
        None => {
            let closes = head.list("connection").iter().any(|o| o == "close");
            assert!(closes, "no length, and no Connection: close:\n{head}");
            Framing::UntilClose
        }
    }
}

/// Fails if an error's text says something of what is behind the gateway.
pub(super) fn text(status: u16, head: &Head, body: &str, secrets: &[String]) {
    if status < 400 {
        return;
    }
    for secret in secrets {
        let leaks =
            body.contains(secret.as_str()) || head.fields.iter().any(|(_, v)| v.contains(secret.as_str()));
        assert!(!leaks, "{secret} has leaked:\n{head}{body}");
    }
    let ours = head.all("content-type").any(|t| t == "application/problem+json");
    for word in INTERNAL.iter().filter(|_| ours) {
        assert!(
            !body.contains(word),
            "an internal text has leaked ({word}):\n{head}{body}"
        );
    }
}

/// RFC 9112 §4: "HTTP/1.1" SP 3DIGIT SP reason-phrase.
fn status(head: &Head) -> u16 {
    let line = &head.start;
    let rest = line.strip_prefix("HTTP/1.1 ");
    let rest = rest.unwrap_or_else(|| panic!("the status line is {line:?}"));
    let (code, reason) = rest.split_once(' ').unwrap_or((rest, "-"));
    let digits = code.len() == 3 && code.bytes().all(|b| b.is_ascii_digit());
    assert!(
        digits && rest.len() > 3,
        "the status line is {line:?}, reason {reason:?}"
    );
    code.parse().expect("three digits are a number")
}

/// RFC 9110 §5.6.7: IMF-fixdate, "Sun, 06 Nov 1994 08:49:37 GMT".
fn is_date(text: &str) -> bool {
    const SHAPE: &[u8] = b"Aaa, 00 Aaa 0000 00:00:00 GMT";
    text.len() == SHAPE.len()
        && text.bytes().zip(SHAPE).all(|(b, shape)| match shape {
            b'A' => b.is_ascii_uppercase(),
            b'a' => b.is_ascii_lowercase(),
            b'0' => b.is_ascii_digit(),
            other => b == *other,
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Reader;

    const DATE: &str = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";

    fn parse(raw: &str) -> Head {
        Reader::new(raw.as_bytes()).head().unwrap().unwrap()
    }

    fn refused(raw: &str) -> bool {
        let parsed = parse(raw);
        std::panic::catch_unwind(|| head(&parsed, "GET", false)).is_err()
    }

    #[test]
    fn a_plain_response_passes() {
        let raw = format!("HTTP/1.1 200 OK\r\n{DATE}Content-Length: 3\r\nConnection: keep-alive\r\n\r\n");
        assert_eq!(head(&parse(&raw), "GET", false), (200, Framing::Length(3)));
        assert_eq!(head(&parse(&raw), "HEAD", false), (200, Framing::Length(0)));
    }

    #[test]
    fn what_was_not_for_the_client_fails() {
        for line in [
            "Keep-Alive: timeout=5",
            "Connection: close, x-secret",
            "Upgrade: h2c",
            "TE: trailers",
            "Content-Length: 0\r\nTransfer-Encoding: chunked",
            "Content-Length: 0",
            "Date: Sun, 06 Nov 1994 08:49:37 GMT",
        ] {
            let raw = format!("HTTP/1.1 200 OK\r\n{DATE}Content-Length: 0\r\n{line}\r\n\r\n");
            assert!(refused(&raw), "{line}");
        }
    }

    #[test]
    fn a_missing_date_a_loose_status_line_and_a_lost_end_fail() {
        assert!(refused("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
        assert!(refused(&format!(
            "HTTP/1.1 2000 OK\r\n{DATE}Content-Length: 0\r\n\r\n"
        )));
        assert!(refused(&format!(
            "HTTP/1.0 200 OK\r\n{DATE}Content-Length: 0\r\n\r\n"
        )));
        assert!(refused(&format!("HTTP/1.1 200 OK\r\n{DATE}\r\n")));
        assert!(refused(&format!(
            "HTTP/1.1 204 No Content\r\n{DATE}Content-Length: 0\r\n\r\n"
        )));
    }

    #[test]
    fn an_address_in_an_error_fails() {
        let raw = format!("HTTP/1.1 502 Bad Gateway\r\n{DATE}Content-Length: 0\r\n\r\n");
        let parsed = parse(&raw);
        let secrets = ["127.0.0.1:9".to_owned()];
        text(502, &parsed, "nothing", &secrets);
        assert!(std::panic::catch_unwind(|| text(502, &parsed, "to 127.0.0.1:9", &secrets)).is_err());
    }
}
