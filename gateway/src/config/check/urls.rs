//! URLs that the gateway asks itself.

use crate::config::findings::Findings;
use crate::config::raw::leaf::At;
use crate::kit::host::{self, HostPattern};

/// An http or https URL as written; None with a problem told. `example` is one that fits.
pub fn http(written: &At<String>, example: &str, path: &str, findings: &mut Findings<'_>) -> Option<String> {
    let text = written.value.as_str();
    let (message, help) = match fault(text) {
        None => return Some(text.to_owned()),
        Some(Fault::NoUrl) => (
            format!("\"{text}\" is not an http or https URL"),
            format!("write \"{example}\""),
        ),
        Some(Fault::Fragment) => (
            format!("\"{text}\" has a fragment, which is never sent"),
            "take off what begins with \"#\"".to_owned(),
        ),
        // Such a URL holds a password: no message repeats it.
        Some(Fault::User) => (
            "a URL that is asked holds no user and no password".to_owned(),
            format!("take off what ends with \"@\": \"{example}\""),
        ),
    };
    findings.error(&written.span, path, message).help(help);
    None
}

enum Fault {
    Fragment,
    NoUrl,
    User,
}

fn fault(text: &str) -> Option<Fault> {
    let rest = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"));
    let Some(rest) = rest.filter(|r| r.bytes().all(|b| b.is_ascii_graphic())) else {
        // Whatever it is, it may hold a password.
        return Some(if text.contains('@') {
            Fault::User
        } else {
            Fault::NoUrl
        });
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Some(Fault::User);
    }
    if rest.contains('#') {
        return Some(Fault::Fragment);
    }
    let is_host = |name| matches!(HostPattern::parse(name), Some(HostPattern::Exact(_)));
    match host::split_port(authority) {
        Some((name, port)) if is_host(name) && port != Some(0) => None,
        _ => Some(Fault::NoUrl),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_can_be_asked_are_told_from_those_that_cannot() {
        for good in [
            "http://auth:9000/verify",
            "https://id.example.com/.well-known/jwks.json?x=1",
            "http://[::1]:80",
            "https://10.0.0.1",
            "https://a/b@c",
        ] {
            assert!(fault(good).is_none(), "{good}");
        }
        for bad in [
            "",
            "auth:9000",
            "//auth",
            "ftp://a",
            "http://",
            "http:///a",
            "http://a:0",
            "http://a:b",
            "http://a b",
            "http://*.a",
            "https://ä",
        ] {
            assert!(matches!(fault(bad), Some(Fault::NoUrl)), "{bad}");
        }
        assert!(matches!(fault("https://u:p@host/"), Some(Fault::User)));
        assert!(matches!(fault("ftp://u:p@host/"), Some(Fault::User)));
        assert!(matches!(fault("https://host/#a"), Some(Fault::Fragment)));
    }
}
