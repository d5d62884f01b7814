//! Entity tags, and the requests that depend on them (RFC 9110, section 13).

use axum::body::Body;
use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_128;

use super::answer::bytes;
use crate::store;

/// A strong entity tag: equal tags, equal bytes.
pub fn etag(body: &[u8]) -> HeaderValue {
    HeaderValue::try_from(format!("\"{:032x}\"", xxh3_128(body)))
        .expect("hexadecimal digits are visible ASCII")
}

/// What a request knows already.
pub struct Conditions {
    if_none_match: Option<Tags>,
}

impl Conditions {
    /// Those of a request.
    pub fn of(request: &Request) -> Conditions {
        Conditions {
            if_none_match: Tags::of(request.headers(), &header::IF_NONE_MATCH),
        }
    }

    /// Leaves out what the client has: 304 instead of 200, with the same headers but those about the bytes. Only answers
    /// to GET and HEAD have an ETag here, so writes pass untouched.
    pub fn apply(&self, mut response: Response) -> Response {
        let (Some(tags), Some(etag)) = (&self.if_none_match, response.headers().get(header::ETAG)) else {
            return response;
        };
        if response.status() != StatusCode::OK || !tags.have(etag, Comparison::Weak) {
            return response;
        }
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = Body::empty();
        response.headers_mut().remove(header::CONTENT_LENGTH);
        response.headers_mut().remove(header::CONTENT_TYPE);
        response
    }
}

/// The versions that a write is for, if the client named any.
pub struct IfMatch(Option<Tags>);

impl IfMatch {
    /// Refuses the write if what is there is not what the client has seen. To be asked within the write's transaction.
    pub fn check(&self, current: &impl Serialize) -> Result<(), store::Error> {
        match &self.0 {
            // Section 13.1.1: "An origin server MUST use the strong comparison function" for If-Match.
            Some(tags) if !tags.have(&etag(&bytes(current)), Comparison::Strong) => Err(store::Error::Stale),
            _ => Ok(()),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<IfMatch, Self::Rejection> {
        Ok(IfMatch(Tags::of(&parts.headers, &header::IF_MATCH)))
    }
}

/// How tags are compared (section 8.8.3.2).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    /// A weak tag is equal to none.
    Strong,
    /// Weakness makes no difference.
    Weak,
}

/// The value of `If-Match` or `If-None-Match`, all lines of it.
struct Tags(Vec<HeaderValue>);

impl Tags {
    fn of(headers: &HeaderMap, name: &HeaderName) -> Option<Tags> {
        let lines: Vec<_> = headers.get_all(name).iter().cloned().collect();
        (!lines.is_empty()).then_some(Tags(lines))
    }

    fn have(&self, etag: &HeaderValue, comparison: Comparison) -> bool {
        self.0
            .iter()
            .any(|line| list_has(line.as_bytes(), etag.as_bytes(), comparison))
    }
}

/// Whether a list of tags, or `*`, has `etag`, which is strong. What is no tag ends the list.
fn list_has(list: &[u8], etag: &[u8], comparison: Comparison) -> bool {
    if list.trim_ascii() == b"*" {
        return true;
    }
    let mut rest = list;
    loop {
        // A tag may contain commas and blanks, so the list cannot be split at them.
        let start = rest
            .iter()
            .position(|byte| !matches!(byte, b',' | b' ' | b'\t'))
            .unwrap_or(rest.len());
        rest = &rest[start..];
        let weak = rest.starts_with(b"W/");
        rest = rest.strip_prefix(b"W/").unwrap_or(rest);
        let Some(opaque) = rest.strip_prefix(b"\"") else {
            return false;
        };
        let Some(end) = opaque.iter().position(|byte| *byte == b'"') else {
            return false;
        };
        let (tag, after) = rest.split_at(end + 2);
        if tag == etag && (comparison == Comparison::Weak || !weak) {
            return true;
        }
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_found_wherever_it_stands() {
        let has = |list: &str| list_has(list.as_bytes(), b"\"a\"", Comparison::Weak);
        for list in [
            "\"a\"",
            "W/\"a\"",
            "*",
            " * ",
            "\"b\", \"a\"",
            "\"b\",,W/\"a\" ,",
            "\"x,y\"\t,\"a\"",
            "\"\", \"a\"",
        ] {
            assert!(has(list), "{list}");
        }
        for list in [
            "",
            "a",
            "\"a",
            "\"b\"",
            "w/\"a\"",
            "\"b, \"a\"",
            "\"A\"",
            "**",
            "W/",
            "\"x\" a \"a\"",
        ] {
            assert!(!has(list), "{list}");
        }
    }

    #[test]
    fn a_write_wants_a_strong_tag() {
        let has = |list: &str| list_has(list.as_bytes(), b"\"a\"", Comparison::Strong);
        assert!(has("\"a\"") && has("W/\"a\", \"a\"") && has("*"));
        assert!(!has("W/\"a\""));
    }
}
