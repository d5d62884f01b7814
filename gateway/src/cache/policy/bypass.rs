//! Requests that pass the cache by.

use crate::config::plan::Bypass;
use crate::wire::syntax;
use crate::wire::{Fields, Name, Request};

/// Whether the request is neither answered from the cache nor its answer kept.
///
/// Besides what the rule names, this is a request with content: an origin that reads the content of a GET answers
/// something the key knows nothing of (RFC 9110 §9.3.1 gives it no meaning, and some give it one). So it is with one that
/// takes fields back on its way, or tells the origin to read another request than the one that its line says.
pub fn bypasses(request: &Request, bypass: &Bypass) -> bool {
    let fields = &request.fields;
    let has_header = |name: &String| fields.first_of(name).is_some();
    let has_cookie = || cookie_names(fields).any(|n| bypass.cookies.iter().any(|c| c.as_bytes() == n));
    has_content(fields)
        || takes_back(fields)
        || speaks_for_another(fields)
        || bypass.headers.iter().any(has_header)
        || !bypass.cookies.is_empty() && has_cookie()
}

/// Whether Connection names a field that is there. RFC 9110 §7.6.1 has us take it out, so that the origin answers without
/// it; a key or a Vary that counts it would keep that answer for those who do send it.
fn takes_back(fields: &Fields) -> bool {
    fields.values(Name::Connection).any(|value| {
        let names_no_field = |option: &[u8]| {
            let usual = ["close", "keep-alive", "upgrade"];
            usual.iter().any(|u| option.eq_ignore_ascii_case(u.as_bytes()))
        };
        let is_there = |option: &[u8]| {
            let mut those = fields.iter().filter(|f| !f.known.is_hop_by_hop());
            those.any(|f| f.name.eq_ignore_ascii_case(option))
        };
        syntax::tokens(value).any(|option| !names_no_field(option) && is_there(option))
    })
}

/// Whether a field is there by which frameworks read another method or URL than the request line's. What such a request
/// is answered belongs to no key.
fn speaks_for_another(fields: &Fields) -> bool {
    const NAMES: [&[u8]; 5] = [
        b"x-http-method",
        b"x-http-method-override",
        b"x-method-override",
        b"x-original-url",
        b"x-rewrite-url",
    ];
    let mut others = fields
        .iter()
        .filter(|f| f.known == Name::Other && f.name.len() > 2);
    others.any(|f| f.name[1] == b'-' && NAMES.iter().any(|name| f.name.eq_ignore_ascii_case(name)))
}

/// Whether a body follows the head.
pub(super) fn has_content(fields: &Fields) -> bool {
    let is_zero = |value: &[u8]| value.iter().all(|b| *b == b'0');
    fields.first(Name::TransferEncoding).is_some() || fields.values(Name::ContentLength).any(|v| !is_zero(v))
}

/// The names of all cookies, of each as often as it is there. What has no `=` is a name to be on the safe side.
pub(super) fn cookie_names(fields: &Fields) -> impl Iterator<Item = &[u8]> {
    cookies(fields).map(|(name, _)| name)
}

/// All cookies with their values, quotes kept.
pub(super) fn cookies(fields: &Fields) -> impl Iterator<Item = (&[u8], &[u8])> {
    fields
        .values(Name::Cookie)
        .flat_map(|line| line.split(|b| *b == b';'))
        .map(syntax::trim)
        .filter(|pair| !pair.is_empty())
        .map(|pair| match memchr::memchr(b'=', pair) {
            Some(at) => (syntax::trim(&pair[..at]), syntax::trim(&pair[at + 1..])),
            None => (pair, &[][..]),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(lines: &[(&str, &str)]) -> Request {
        let mut request = Request::default();
        for (name, value) in lines {
            request.fields.push(name.as_bytes(), value.as_bytes());
        }
        request
    }

    #[test]
    fn a_named_field_or_cookie_passes_by_wherever_it_stands() {
        let bypass = Bypass {
            cookies: vec!["session".to_owned()],
            headers: vec!["authorization".to_owned()],
        };
        let passes = |lines: &[_]| bypasses(&request(lines), &bypass);
        assert!(passes(&[("Authorization", "")]));
        assert!(passes(&[("Cookie", "a=1; session=2")]));
        assert!(passes(&[("Cookie", "a=1"), ("cookie", "session")]));
        assert!(passes(&[("Cookie", "session = 2")]));
        assert!(!passes(&[("Cookie", "Session=1; xsession=2; a=session")]));
        assert!(!passes(&[]) && !passes(&[("Content-Length", "0")]));
    }

    #[test]
    fn cookies_are_names_and_values_without_what_separates_them() {
        let request = request(&[("Cookie", "a=1; b ;; =c;d = \"e=f\" "), ("cookie", "a=")]);
        let found: Vec<_> = cookies(&request.fields).collect();
        let expected: [(&[u8], &[u8]); 5] = [
            (b"a", b"1"),
            (b"b", b""),
            (b"", b"c"),
            (b"d", b"\"e=f\""),
            (b"a", b""),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_request_with_content_passes_by() {
        let passes = |lines: &[_]| bypasses(&request(lines), &Bypass::default());
        assert!(passes(&[("Content-Length", "5")]) && passes(&[("Transfer-Encoding", "chunked")]));
    }

    #[test]
    fn a_request_that_takes_a_field_back_or_speaks_for_another_passes_by() {
        let passes = |lines: &[_]| bypasses(&request(lines), &Bypass::default());
        assert!(passes(&[("X-Tenant", "a"), ("Connection", "close, x-tenant")]));
        assert!(passes(&[("Cookie", "a=1"), ("Connection", "Cookie")]));
        assert!(!passes(&[("Connection", "close, X-Tenant")]));
        assert!(!passes(&[("Connection", "keep-alive, TE"), ("TE", "trailers")]));
        assert!(!passes(&[("Connection", "Upgrade"), ("Upgrade", "h2c")]));
        assert!(passes(&[("X-Original-URL", "/admin")]) && passes(&[("x-http-method-override", "POST")]));
        assert!(!passes(&[("X-Original", "1"), ("X-", "2"), ("X", "3")]));
    }
}
