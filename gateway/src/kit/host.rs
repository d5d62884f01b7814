//! Host names as a routing table compares them: lower case, without port, exact or below a wildcard.

use std::fmt;

/// Which hosts a rule is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostPattern {
    /// Every host.
    Any,
    /// Every name below a domain: `*.example.com` holds ".example.com". The domain itself is not below itself.
    Below(String),
    /// One name, in lower case and without a trailing dot.
    Exact(String),
}

impl HostPattern {
    /// Reads `*`, `*.example.com` or `example.com`; None if it is none of these.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::Any);
        }
        if let Some(domain) = text.strip_prefix("*.") {
            let domain = normal(domain);
            return is_name(&domain).then(|| Self::Below(format!(".{domain}")));
        }
        let name = normal(text);
        (is_name(&name) || is_ipv6_literal(&name)).then_some(Self::Exact(name))
    }

    /// Whether `host`, as [`normal`] gives it, is meant.
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Below(suffix) => host.len() > suffix.len() && host.ends_with(suffix.as_str()),
            Self::Exact(name) => host == name,
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Below(suffix) => write!(f, "*{suffix}"),
            Self::Exact(name) => f.write_str(name),
        }
    }
}

/// A host as it is compared: lower case, one trailing dot removed (it names the same DNS node).
pub fn normal(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

/// "example.com:8080" → ("example.com", Some(8080)); IPv6 literals keep their brackets. None if the port is no port.
pub fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let name_end = match authority.strip_prefix('[') {
        Some(inner) => inner.find(']')? + 2,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (name, rest) = authority.split_at(name_end);
    match rest.strip_prefix(':') {
        None => rest.is_empty().then_some((name, None)),
        // RFC 3986 §3.2.3: the port may be empty, and then means the scheme's default.
        Some("") => Some((name, None)),
        Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => Some((name, Some(port.parse().ok()?))),
        Some(_) => None,
    }
}

/// The name of `name` or `name:port`, if it is as plain as nearly all are; None means only that it is to be read with care.
pub fn plain_name(authority: &str) -> Option<&str> {
    const LENGTH_MAX: usize = 253;
    let bytes = authority.as_bytes();
    // A label may not be empty, nor may the name.
    let mut before = b'.';
    let end = bytes.iter().position(|&b| {
        let goes_on = b.is_ascii_alphanumeric() || b == b'-' || b == b'_' || b == b'.' && before != b'.';
        before = if goes_on { b } else { before };
        !goes_on
    });
    let end = end.unwrap_or(bytes.len());
    let is_port = match bytes.get(end..)? {
        [] => true,
        // Four digits are below 65,536.
        [b':', port @ ..] => port.len() <= 4 && port.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    (before != b'.' && end <= LENGTH_MAX && is_port).then(|| &authority[..end])
}

/// Whether it is a DNS name or an IP literal, without port.
pub fn is_host(name: &str) -> bool {
    is_name(name.strip_suffix('.').unwrap_or(name)) || is_ipv6_literal(name)
}

/// Letters, digits, hyphens, underscores (which real hosts have) and dots between non-empty labels.
fn is_name(name: &str) -> bool {
    const NAME_BYTES_MAX: usize = 253;
    name.len() <= NAME_BYTES_MAX
        && name.split('.').all(|label| {
            !label.is_empty()
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        })
}

fn is_ipv6_literal(name: &str) -> bool {
    let inner = name.strip_prefix('[').and_then(|n| n.strip_suffix(']'));
    inner.is_some_and(|n| n.parse::<std::net::Ipv6Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn what_is_plain_is_read_the_same_with_care(text in "[a-z0-9.:_\\[\\]-]{0,12}") {
            if let Some(name) = plain_name(&text) {
                let (careful, _) = split_port(&text).unwrap();
                proptest::prop_assert_eq!(name, careful);
                proptest::prop_assert!(is_host(name) && !name.ends_with('.'));
            }
        }
    }

    #[test]
    fn usual_hosts_are_plain() {
        for (text, name) in [
            ("example.com", "example.com"),
            ("127.0.0.1:8080", "127.0.0.1"),
            ("a:", "a"),
        ] {
            assert_eq!(plain_name(text), Some(name));
        }
        for text in ["", ".", "a.", "a..b", "[::1]", "a:65536", "a:x", "a b"] {
            assert_eq!(plain_name(text), None, "{text}");
        }
    }

    #[test]
    fn patterns_are_exact_below_or_any() {
        assert_eq!(HostPattern::parse("*"), Some(HostPattern::Any));
        assert_eq!(
            HostPattern::parse("Example.COM."),
            Some(HostPattern::Exact("example.com".into()))
        );
        assert_eq!(
            HostPattern::parse("[::1]"),
            Some(HostPattern::Exact("[::1]".into()))
        );
        for bad in ["", "*.", "a..b", "*a.com", "a.com:80", "ex ample.com", "a/b"] {
            assert_eq!(HostPattern::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_wildcard_means_every_depth_below_but_not_the_domain_itself() {
        let below = HostPattern::parse("*.example.com").unwrap();
        assert!(below.matches("a.example.com") && below.matches("a.b.example.com"));
        assert!(
            !below.matches("example.com")
                && !below.matches("badexample.com")
                && !below.matches(".example.com")
        );
    }

    #[test]
    fn a_port_is_split_off_and_checked() {
        assert_eq!(split_port("a:80"), Some(("a", Some(80))));
        assert_eq!(split_port("a:"), Some(("a", None)));
        assert_eq!(split_port("[::1]:80"), Some(("[::1]", Some(80))));
        assert_eq!(split_port("[::1]"), Some(("[::1]", None)));
        for bad in ["a:b", "a:99999", "[::1", "[::1]x", "a:8 0", "a:+8"] {
            assert_eq!(split_port(bad), None, "{bad}");
        }
    }
}
