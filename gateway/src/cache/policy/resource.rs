//! A URL as purges and invalidations compare it: one spelling for what is one resource.

use std::borrow::Cow;

use super::key::{default_port, port};
use crate::facts::write_number;
use crate::kit::host;
use crate::wire::{Request, target};

/// A URL in its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource<'a> {
    /// "http" or "https".
    pub scheme: &'static str,
    /// Lower case, without trailing dot.
    pub host: Cow<'a, str>,
    /// The one that is named, or that the scheme means.
    pub port: u16,
    /// As [`crate::wire::target::normalise`] spells it.
    pub path: Cow<'a, str>,
    /// Without question mark, as it was sent.
    pub query: Option<Cow<'a, str>>,
}

impl<'a> Resource<'a> {
    /// What a request is for.
    pub fn of(scheme: &'static str, request: &'a Request) -> Self {
        Self {
            scheme,
            host: Cow::Borrowed(&request.host),
            port: port(&request.authority).unwrap_or_else(|| default_port(scheme)),
            path: Cow::Borrowed(&request.path),
            query: request.query.as_deref().map(Cow::Borrowed),
        }
    }

    /// Reads `https://host/path?query`; None if it is no such URL. A fragment is no part of it.
    pub fn parse(text: &str) -> Option<Resource<'static>> {
        let text = text.split('#').next().unwrap_or_default();
        let (scheme, rest) = text.split_once("://")?;
        let scheme = known_scheme(scheme)?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        let (path, query) = split_query(rest);
        let (host, port) = host_and_port(scheme, authority)?;
        Some(Resource {
            scheme,
            host: Cow::Owned(host),
            port,
            path: Cow::Owned(normal(path)?),
            query: query.map(|q| Cow::Owned(q.to_owned())),
        })
    }

    /// The URL a reference in an answer for this resource means (RFC 3986 §5.2.2), if it is of the same origin.
    pub fn same_origin(&self, reference: &str) -> Option<Resource<'static>> {
        let reference = reference.split('#').next().unwrap_or_default();
        let resolved = match reference {
            _ if has_scheme(reference) => Resource::parse(reference)?,
            _ if reference.starts_with("//") => Resource::parse(&format!("{}:{reference}", self.scheme))?,
            _ => self.beside(reference)?,
        };
        let is_same =
            resolved.scheme == self.scheme && resolved.host == self.host && resolved.port == self.port;
        is_same.then_some(resolved)
    }

    /// A reference without scheme and authority.
    fn beside(&self, reference: &str) -> Option<Resource<'static>> {
        let has_path = !reference.is_empty() && !reference.starts_with('?');
        let (path, query) = match reference.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (reference, None),
        };
        // §5.2.3: a relative path takes the place of all behind the last slash.
        let folder = &self.path[..self.path.rfind('/').map_or(0, |at| at + 1)];
        let path = match has_path {
            false => self.path.to_string(),
            true if path.starts_with('/') => normal(path)?,
            true => normal(&format!("{folder}{path}"))?,
        };
        let own_query = || self.query.as_deref().filter(|_| !has_path);
        Some(Resource {
            scheme: self.scheme,
            host: Cow::Owned(self.host.to_string()),
            port: self.port,
            path: Cow::Owned(path),
            query: query.or_else(own_query).map(|q| Cow::Owned(q.to_owned())),
        })
    }

    /// Appends `https://host:port`, without the port that the scheme means anyway.
    pub fn write_origin(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.scheme.as_bytes());
        out.extend_from_slice(b"://");
        out.extend_from_slice(self.host.as_bytes());
        if self.port != default_port(self.scheme) {
            out.push(b':');
            write_number(self.port.into(), out);
        }
    }
}

/// The host as it is compared, and the port that is named or meant.
pub(super) fn host_and_port(scheme: &str, authority: &str) -> Option<(String, u16)> {
    let (name, port) = host::split_port(authority)?;
    host::is_host(name).then(|| (host::normal(name), port.unwrap_or_else(|| default_port(scheme))))
}

fn known_scheme(text: &str) -> Option<&'static str> {
    ["http", "https"]
        .into_iter()
        .find(|s| s.eq_ignore_ascii_case(text))
}

/// RFC 3986 §3.1: a scheme is letters, digits and `+-.` before a colon that no slash, question mark or hash precedes.
fn has_scheme(reference: &str) -> bool {
    let end = reference.find([':', '/', '?']);
    end.is_some_and(|at| at > 0 && reference[at..].starts_with(':'))
}

fn split_query(rest: &str) -> (&str, Option<&str>) {
    let (path, query) = match rest.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (rest, None),
    };
    (if path.is_empty() { "/" } else { path }, query)
}

fn normal(path: &str) -> Option<String> {
    let is_printable = path.bytes().all(|b| b.is_ascii_graphic());
    let mut out = String::new();
    (is_printable && target::normalise(path, &mut out).is_ok()).then_some(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(resource: &Resource<'_>) -> String {
        let mut out = Vec::new();
        resource.write_origin(&mut out);
        let query = resource.query.as_ref().map_or(String::new(), |q| format!("?{q}"));
        format!("{}{}{query}", String::from_utf8(out).unwrap(), resource.path)
    }

    #[test]
    fn a_url_has_one_spelling() {
        for (written, expected) in [
            (
                "HTTPS://Example.COM.:443/a/%62?q=%61#x",
                "https://example.com/a/b?q=%61",
            ),
            ("http://example.com", "http://example.com/"),
            ("http://example.com?", "http://example.com/?"),
            ("http://example.com:8080/a/../b", "http://example.com:8080/b"),
            ("http://[::1]:80/", "http://[::1]/"),
        ] {
            assert_eq!(
                Resource::parse(written).map(|r| text(&r)).as_deref(),
                Some(expected),
                "{written}"
            );
        }
        for bad in [
            "",
            "/a",
            "example.com/a",
            "ftp://a/b",
            "http://",
            "http://a b/",
            "http://a/ b",
            "http://u@a/",
            "http://a:x/",
            "http://a/%zz",
        ] {
            assert_eq!(Resource::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn references_are_resolved_as_the_rfc_says() {
        // RFC 3986 §5.4.1, with the base's "/b/c/d;p?q".
        let base = Resource::parse("http://a/b/c/d;p?q").unwrap();
        for (reference, expected) in [
            ("g", "http://a/b/c/g"),
            ("./g", "http://a/b/c/g"),
            ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//a/g", "http://a/g"),
            ("?y", "http://a/b/c/d;p?y"),
            ("g?y", "http://a/b/c/g?y"),
            ("#s", "http://a/b/c/d;p?q"),
            ("g#s", "http://a/b/c/g"),
            (";x", "http://a/b/c/;x"),
            ("", "http://a/b/c/d;p?q"),
            (".", "http://a/b/c/"),
            ("..", "http://a/b/"),
            ("../g", "http://a/b/g"),
            ("../../g", "http://a/g"),
            ("HTTP://A:80/x", "http://a/x"),
            // Before its colon stands no scheme.
            (":g", "http://a/b/c/:g"),
        ] {
            assert_eq!(
                base.same_origin(reference).map(|r| text(&r)).as_deref(),
                Some(expected),
                "{reference}"
            );
        }
    }

    #[test]
    fn another_origin_is_never_meant() {
        let base = Resource::parse("https://a/b").unwrap();
        for other in [
            "http://a/b",
            "https://b/b",
            "https://a:8443/b",
            "//b/b",
            "mailto:a@b",
            "g:h",
            "javascript:x",
        ] {
            assert_eq!(base.same_origin(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn no_reference_makes_it_panic(reference in "[a-b:/.?#%;@\\[\\]0-9\u{e9}]{0,16}") {
            let _ = Resource::parse(&reference);
            let _ = Resource::parse("http://a/b/c?d").unwrap().same_origin(&reference);
        }

        #[test]
        fn a_request_and_its_url_are_one_resource(path in "(/[a-c%.]{0,3}){1,4}", query in proptest::option::of("[a-c=&]{0,5}")) {
            let url = format!("http://Example.com{path}{}", query.as_ref().map_or(String::new(), |q| format!("?{q}")));
            if let Some(parsed) = Resource::parse(&url) {
                let mut request = Request { host: "example.com".to_owned(), authority: "Example.com:80".to_owned(), query, ..Request::default() };
                target::normalise(&path, &mut request.path).unwrap();
                prop_assert_eq!(Resource::of("http", &request), parsed);
            }
        }
    }
}
