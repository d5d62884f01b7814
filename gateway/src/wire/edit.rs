//! Which field lines of a message may pass to the other side.

use super::fields::{Field, Fields};
use super::name::Name;

/// Decides line by line what passes, besides what a side has its own opinion on.
///
/// RFC 9110 §7.6.1: "Intermediaries MUST ... remove any header or trailer field(s) from the message with the
/// same name as the connection-option".
#[derive(Clone, Debug)]
pub struct Passage<'a> {
    nominated: Vec<&'a [u8]>,
}

impl<'a> Passage<'a> {
    /// For the lines of one message.
    pub fn new(fields: &'a Fields) -> Self {
        let names_no_field = |option: &&[u8]| {
            ["close", "keep-alive", "upgrade"]
                .iter()
                .any(|o| option.eq_ignore_ascii_case(o.as_bytes()))
        };
        Self {
            nominated: fields
                .tokens(Name::Connection)
                .filter(|option| !names_no_field(option))
                .collect(),
        }
    }

    /// Whether the line is about more than this connection.
    pub fn allows(&self, field: &Field<'_>) -> bool {
        let is_nominated = self.nominated.iter().any(|n| n.eq_ignore_ascii_case(field.name));
        !field.known.is_hop_by_hop() && !is_nominated
    }
}

/// RFC 9110 §6.5.1: what may not be said in a trailer, because it decides on framing, routing, access or how
/// the content is read, and would come too late or be believed by the wrong one.
pub fn may_trail(name: &[u8]) -> bool {
    const FORBIDDEN: &[&str] = &[
        "authorization",
        "cache-control",
        "connection",
        "content-encoding",
        "content-length",
        "content-range",
        "content-type",
        "cookie",
        "date",
        "expect",
        "expires",
        "forwarded",
        "host",
        "http2-settings",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "keep-alive",
        "location",
        "max-forwards",
        "pragma",
        // A variable of that name sends programs to another proxy, where fields become variables.
        "proxy",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "range",
        "retry-after",
        "set-cookie",
        "te",
        "traceparent",
        "tracestate",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "vary",
        "via",
        "www-authenticate",
        "x-client-cert-subject",
        "x-real-ip",
        "x-request-id",
        "x-sluice-mirror",
    ];
    // Each of them is somebody's word on where a client comes from, and there are more of them than are written here.
    const FORWARDED: &[u8] = b"x-forwarded-";
    let is_forwarded = name
        .get(..FORWARDED.len())
        .is_some_and(|start| is_alike(FORWARDED, start));
    !is_forwarded && !FORBIDDEN.iter().any(|f| is_alike(f.as_bytes(), name))
}

/// Whether an origin that makes variables of field names (CGI, WSGI, PHP) takes two names for the same one: letters
/// have no case there, and whatever is neither letter nor digit is an underscore.
pub fn is_alike(a: &[u8], b: &[u8]) -> bool {
    let folded = |b: &u8| match b {
        b if b.is_ascii_alphanumeric() => b.to_ascii_lowercase(),
        _ => b'_',
    };
    a.len() == b.len() && a.iter().map(folded).eq(b.iter().map(folded))
}

/// A value made of variables can hold what a client wrote; whatever it was, it stays one line.
pub fn defuse(value: &mut [u8]) {
    for byte in value.iter_mut().filter(|b| !super::syntax::is_value_byte(**b)) {
        *byte = b' ';
    }
}

/// Appends a field line.
pub fn write_line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Appends a line that has come, as it came where that is how we would write it.
pub fn write_field(out: &mut Vec<u8>, field: &Field<'_>) {
    match field.line {
        [] => write_line(out, field.name, field.value),
        line => out.extend_from_slice(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::head::parse_fields;

    #[test]
    fn a_line_that_has_come_is_written_with_one_space_and_one_line_end() {
        let came = b"A: b\r\nc:d\r\nE:  f \r\ng:\r\nH: \r\nI:\tj\r\nk: l m\r\n\r\n";
        let mut fields = Fields::default();
        fields.push(b"first", b"1");
        parse_fields(came, &mut fields, 10).unwrap();
        fields.push(b"last", b"2");
        let mut out = Vec::new();
        fields.iter().for_each(|field| write_field(&mut out, &field));
        let written = "first: 1\r\nA: b\r\nc: d\r\nE: f\r\ng: \r\nH: \r\nI: j\r\nk: l m\r\nlast: 2\r\n";
        assert_eq!(String::from_utf8_lossy(&out), written);
        let whole = fields.iter().filter(|field| !field.line.is_empty()).count();
        assert_eq!(whole, 3, "A, H and k");
    }

    #[test]
    fn what_is_about_the_connection_stays_behind() {
        let mut fields = Fields::default();
        for (name, value) in [
            ("Connection", "close, X-Secret"),
            ("x-secret", "1"),
            ("Keep-Alive", "5"),
            ("TE", "trailers"),
            ("X-Open", "2"),
        ] {
            fields.push(name.as_bytes(), value.as_bytes());
        }
        let passage = Passage::new(&fields);
        let passed: Vec<_> = fields
            .iter()
            .filter(|f| passage.allows(f))
            .map(|f| f.name)
            .collect();
        assert_eq!(passed, [b"X-Open"]);
    }

    #[test]
    fn trailers_say_nothing_that_should_have_come_first() {
        assert!(may_trail(b"X-Checksum") && may_trail(b"Server-Timing"));
        assert!(!may_trail(b"X_Forwarded_For") && !may_trail(b"X-Client-Cert_Subject"));
        assert!(!may_trail(b"X-Forwarded-Prefix") && !may_trail(b"x_forwarded-Port"));
        for name in [
            "Proxy",
            "HTTP2-Settings",
            "X-Sluice-Mirror",
            "traceparent",
            "Tracestate",
        ] {
            assert!(!may_trail(name.as_bytes()), "{name}");
        }
        assert!(may_trail(b"X-Forwarded") && may_trail(b"Proxy-Status"));
        assert!(!may_trail(b"Content-Length") && !may_trail(b"host") && !may_trail(b"Set-Cookie"));
    }
}
