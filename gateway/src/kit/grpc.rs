//! The words of gRPC over HTTP/2: content types, statuses, times. Pure.

use std::time::Duration;

/// Digits of a time at most: "TimeoutValue → {positive integer as ASCII string of at most 8 digits}".
const TIME_DIGITS_MAX: usize = 8;

/// Whether a content type is one of gRPC's: `application/grpc`, alone or with a format (`+proto`), or its variant for
/// browsers (`application/grpc-web`).
pub fn is_grpc(content_type: &[u8]) -> bool {
    const TYPE: &[u8] = b"application/grpc";
    let Some((start, rest)) = content_type.split_at_checked(TYPE.len()) else {
        return false;
    };
    start.eq_ignore_ascii_case(TYPE) && matches!(rest.first(), None | Some(b'+' | b'-' | b';' | b' '))
}

/// The time that `grpc-timeout` gives a call: digits and a unit. None for anything else.
pub fn timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    let is_number =
        !digits.is_empty() && digits.len() <= TIME_DIGITS_MAX && digits.iter().all(u8::is_ascii_digit);
    let n: u64 = is_number
        .then(|| std::str::from_utf8(digits).ok()?.parse().ok())
        .flatten()?;
    Some(match unit {
        b'H' => Duration::from_secs(n * 3600),
        b'M' => Duration::from_secs(n * 60),
        b'S' => Duration::from_secs(n),
        b'm' => Duration::from_millis(n),
        b'u' => Duration::from_micros(n),
        b'n' => Duration::from_nanos(n),
        _ => return None,
    })
}

/// A status of gRPC, as far as a gateway has to say one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Nothing better is known.
    Unknown = 2,
    /// The deadline has passed.
    DeadlineExceeded = 4,
    /// Who asks may not.
    PermissionDenied = 7,
    /// There is no such method, as far as HTTP knows.
    Unimplemented = 12,
    /// Somebody in between has broken a rule.
    Internal = 13,
    /// Worth another try.
    Unavailable = 14,
    /// Who asks did not say who it is.
    Unauthenticated = 16,
}

impl Status {
    /// What a client takes an HTTP status for that comes without a gRPC status: gRPC's own table ("HTTP to gRPC Status
    /// Code Mapping").
    pub const fn of_http(status: u16) -> Self {
        match status {
            400 => Self::Internal,
            401 => Self::Unauthenticated,
            403 => Self::PermissionDenied,
            404 => Self::Unimplemented,
            429 | 502 | 503 | 504 => Self::Unavailable,
            _ => Self::Unknown,
        }
    }

    /// As `grpc-status` has it.
    pub const fn number(self) -> u8 {
        self as u8
    }
}

/// Writes a text as `grpc-message` has it: what is neither visible ASCII nor a space is percent-encoded, and so is "%".
pub fn message(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'%' | ..b' ' | 0x7f.. => out.push_str(&format!("%{byte:02X}")),
            _ => out.push(char::from(byte)),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types_of_grpc_are_told_from_others() {
        for yes in [
            "application/grpc",
            "Application/gRPC+proto",
            "application/grpc;x=1",
            "application/grpc-web+json",
        ] {
            assert!(is_grpc(yes.as_bytes()), "{yes}");
        }
        for no in ["application/grp", "application/grpcx", "application/json", ""] {
            assert!(!is_grpc(no.as_bytes()), "{no}");
        }
    }

    #[test]
    fn a_time_is_digits_and_a_unit_and_nothing_else() {
        let cases = [
            ("1H", Some(Duration::from_secs(3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("99999999S", Some(Duration::from_secs(99_999_999))),
            ("5m", Some(Duration::from_millis(5))),
            ("7u", Some(Duration::from_micros(7))),
            ("0n", Some(Duration::ZERO)),
        ];
        for (text, time) in cases {
            assert_eq!(timeout(text.as_bytes()), time, "{text}");
        }
        for bad in ["", "S", "1", "1s", "+1S", "123456789S", "1 S", "1.5S", "-1S"] {
            assert_eq!(timeout(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn a_message_is_one_line_of_ascii() {
        assert_eq!(message("100% né\n"), "100%25 n%C3%A9%0A");
        assert_eq!(message("Too many."), "Too many.");
    }

    #[test]
    fn an_http_status_stands_for_one_of_grpc() {
        let of = |status| Status::of_http(status).number();
        let mapped = [400, 401, 403, 404, 429, 500, 502, 503, 504].map(of);
        assert_eq!(mapped, [13, 16, 7, 12, 14, 2, 14, 14, 14]);
    }
}
