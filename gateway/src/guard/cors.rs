//! CORS (Fetch standard §3.2): pages of which origins may read answers, said at the edge.
//!
//! What is said here replaces what an origin server says of the same: two answers to one question are none to a browser.

use crate::config::plan::{Cors, Origins};
use crate::wire::edit::write_line;
use crate::wire::{Fields, Name};

/// Fields of answers that are ours to say where a route has CORS.
pub const SAID_HERE: [&str; 3] = [
    "access-control-allow-origin",
    "access-control-allow-credentials",
    "access-control-expose-headers",
];

/// The longest list of fields that a browser's question is answered for, in bytes.
const ASKED_BYTES_MAX: usize = 4096;

/// The method a browser asks leave for; None if the request is no such question.
///
/// Fetch §3.2.2: "A CORS-preflight request is a CORS request that checks to see if the CORS protocol is understood. It
/// uses `OPTIONS` as method". Without either of the two fields it is an OPTIONS like any other.
pub fn asked_method(fields: &Fields) -> Option<&str> {
    fields.first(Name::Origin)?;
    let method = fields.first_of("access-control-request-method")?;
    std::str::from_utf8(method).ok().filter(|m| !m.is_empty())
}

/// What a browser's question is answered with. An origin that may not ask is told nothing, which means no.
pub fn preflight(cors: &Cors, fields: &Fields) -> Vec<(&'static str, String)> {
    let mut reply = vec![(
        "Vary",
        "Origin, Access-Control-Request-Method, Access-Control-Request-Headers".to_owned(),
    )];
    let Some(allowed) = allowed_origin(cors, fields) else {
        return reply;
    };
    reply.push(("Access-Control-Allow-Origin", allowed.to_owned()));
    if cors.credentials {
        reply.push(("Access-Control-Allow-Credentials", "true".to_owned()));
    }
    reply.push(("Access-Control-Allow-Methods", cors.methods.join(", ")));
    if let Some(headers) = allowed_headers(cors, fields) {
        reply.push(("Access-Control-Allow-Headers", headers));
    }
    if !cors.max_age.is_zero() {
        reply.push(("Access-Control-Max-Age", cors.max_age.as_secs().to_string()));
    }
    reply
}

/// Appends the lines of an answer to anything else.
pub fn write(cors: &Cors, fields: &Fields, out: &mut Vec<u8>) {
    // The answer differs with the origin even where nothing is said to it: a cache in between has to know.
    if cors.origins != Origins::Any {
        write_line(out, b"Vary", b"Origin");
    }
    let Some(allowed) = allowed_origin(cors, fields) else {
        return;
    };
    write_line(out, b"Access-Control-Allow-Origin", allowed.as_bytes());
    if cors.credentials {
        write_line(out, b"Access-Control-Allow-Credentials", b"true");
    }
    if !cors.expose_headers.is_empty() {
        let exposed = cors.expose_headers.join(", ");
        write_line(out, b"Access-Control-Expose-Headers", exposed.as_bytes());
    }
}

/// What Access-Control-Allow-Origin says; None where it is not said.
fn allowed_origin<'a>(cors: &Cors, fields: &'a Fields) -> Option<&'a str> {
    // "*" to everybody, asked or not: nothing here says `Vary: Origin`, so a cache may hand one answer to all.
    let Origins::Listed(listed) = &cors.origins else {
        return Some("*");
    };
    let mut sent = fields.values(Name::Origin);
    let origin = std::str::from_utf8(sent.next()?).ok()?;
    // Two origins are none (RFC 6454 §7.3: "MUST NOT contain more than one").
    if sent.next().is_some() {
        return None;
    }
    listed.iter().any(|l| is_match(l, origin)).then_some(origin)
}

/// Whether an origin is meant by one of the list. Browsers send scheme and host in lower case.
fn is_match(listed: &str, origin: &str) -> bool {
    let Some((scheme, below)) = listed.split_once("://*.") else {
        return listed == origin;
    };
    let Some(host) = origin.strip_prefix(scheme).and_then(|o| o.strip_prefix("://")) else {
        return false;
    };
    // "https://*.example.com" is for names below it, not for "https://badexample.com" nor for itself.
    let name = host.strip_suffix(below).and_then(|name| name.strip_suffix('.'));
    let is_label = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    name.is_some_and(|name| !name.is_empty() && name.bytes().all(is_label))
}

fn allowed_headers(cors: &Cors, fields: &Fields) -> Option<String> {
    if cors.headers != ["*"] {
        return Some(cors.headers.join(", ")).filter(|headers| !headers.is_empty());
    }
    // "*" does not cover Authorization, and nothing at all with credentials (Fetch §3.2.3): what is asked for is named.
    let asked = fields.first_of("access-control-request-headers")?;
    let is_list = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~, ".contains(b);
    let is_fit = !asked.is_empty() && asked.len() <= ASKED_BYTES_MAX && asked.iter().all(is_list);
    is_fit.then(|| String::from_utf8(asked.to_vec()).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn cors(origins: &[&str]) -> Cors {
        Cors {
            origins: match origins {
                ["*"] => Origins::Any,
                listed => Origins::Listed(listed.iter().map(|o| (*o).to_owned()).collect()),
            },
            methods: vec!["GET".into(), "PUT".into()],
            headers: vec!["x-token".into()],
            expose_headers: vec!["ETag".into()],
            credentials: false,
            max_age: Duration::from_secs(600),
        }
    }

    fn asked(lines: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::default();
        for (name, value) in lines {
            fields.push(name.as_bytes(), value.as_bytes());
        }
        fields
    }

    fn lines(cors: &Cors, origin: &str) -> String {
        let mut out = Vec::new();
        write(cors, &asked(&[("Origin", origin)]), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_listed_origin_is_told_its_own_name_and_another_one_nothing() {
        let cors = cors(&["https://app.example.com"]);
        assert_eq!(
            lines(&cors, "https://app.example.com"),
            "Vary: Origin\r\nAccess-Control-Allow-Origin: https://app.example.com\r\nAccess-Control-Expose-Headers: ETag\r\n"
        );
        for other in [
            "https://evil.example",
            "http://app.example.com",
            "https://app.example.com:8443",
            "null",
            "https://app.example.com.evil.example",
            "https://xapp.example.com",
            "",
        ] {
            assert_eq!(lines(&cors, other), "Vary: Origin\r\n", "{other}");
        }
    }

    #[test]
    fn two_origins_are_none() {
        let twice = asked(&[
            ("Origin", "https://app.example.com"),
            ("Origin", "https://evil.example"),
        ]);
        let mut out = Vec::new();
        write(&cors(&["https://app.example.com"]), &twice, &mut out);
        assert_eq!(out, b"Vary: Origin\r\n");
    }

    #[test]
    fn a_wildcard_is_for_names_below_it_alone() {
        let cors = cors(&["https://*.example.com"]);
        let is_told = |origin| lines(&cors, origin).contains("Allow-Origin");
        assert!(is_told("https://a.example.com") && is_told("https://a.b.example.com"));
        for other in [
            "https://example.com",
            "https://badexample.com",
            "https://.example.com",
            "https://evil.example/.example.com",
            "https://evil.example?.example.com",
            "https://user@a.example.com",
            "http://a.example.com",
            "https://a.example.com:444",
        ] {
            assert!(!is_told(other), "{other}");
        }
    }

    #[test]
    fn anybody_is_told_the_same_thing() {
        let cors = cors(&["*"]);
        assert_eq!(
            lines(&cors, "null"),
            "Access-Control-Allow-Origin: *\r\nAccess-Control-Expose-Headers: ETag\r\n"
        );
        let mut out = Vec::new();
        write(&cors, &Fields::default(), &mut out);
        let out = String::from_utf8(out).unwrap();
        assert_eq!(
            out,
            lines(&cors, "null"),
            "a cache may give it to somebody who asks across origins"
        );
    }

    #[test]
    fn a_question_is_answered_with_all_that_may_be_done() {
        let question = asked(&[
            ("Origin", "https://app.example.com"),
            ("Access-Control-Request-Method", "PUT"),
            ("Access-Control-Request-Headers", "x-token"),
        ]);
        assert_eq!(asked_method(&question), Some("PUT"));
        let cors = Cors {
            credentials: true,
            ..cors(&["https://app.example.com"])
        };
        let reply = preflight(&cors, &question);
        let said = |name| reply.iter().find(|(n, _)| *n == name).map(|(_, v)| v.as_str());
        assert_eq!(
            said("Access-Control-Allow-Origin"),
            Some("https://app.example.com")
        );
        assert_eq!(said("Access-Control-Allow-Credentials"), Some("true"));
        assert_eq!(said("Access-Control-Allow-Methods"), Some("GET, PUT"));
        assert_eq!(said("Access-Control-Allow-Headers"), Some("x-token"));
        assert_eq!(said("Access-Control-Max-Age"), Some("600"));
    }

    #[test]
    fn an_options_request_without_a_question_is_none() {
        assert_eq!(asked_method(&asked(&[("Origin", "https://a.example")])), None);
        assert_eq!(
            asked_method(&asked(&[("Access-Control-Request-Method", "GET")])),
            None
        );
    }

    #[test]
    fn whichever_fields_a_browser_asks_for_are_named_unless_they_are_no_names() {
        let cors = Cors {
            headers: vec!["*".into()],
            ..cors(&["*"])
        };
        let named = |headers: &str| {
            let question = asked(&[("Origin", "null"), ("Access-Control-Request-Headers", headers)]);
            allowed_headers(&cors, &question)
        };
        assert_eq!(named("authorization, x-a").as_deref(), Some("authorization, x-a"));
        assert_eq!(named("a\"b"), None);
        assert_eq!(named(&"a".repeat(ASKED_BYTES_MAX + 1)), None);
    }
}
