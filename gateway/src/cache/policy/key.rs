//! What an object is stored under: the text a request gives, and its hash. On the path of every request.

use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::{bypass, query};
use crate::config::plan::{KeyRule, QueryRule};
use crate::facts::write_number;
use crate::kit::host;
use crate::wire::Fields;

/// Stands before each value of a field or cookie; no value has it.
const VALUE: u8 = 0x01;

/// What of a request may be in its key.
#[derive(Clone, Copy, Debug)]
pub struct KeyFacts<'a> {
    /// Name of the route: two routes may send the same URL to different origins.
    pub route: &'a str,
    /// "http" or "https".
    pub scheme: &'a str,
    /// [`crate::wire::Request::host`]: lower case, without port.
    pub host: &'a str,
    /// [`crate::wire::Request::authority`], for its port.
    pub authority: &'a str,
    /// The path as the origin gets it.
    pub path_sent: &'a str,
    /// Without question mark.
    pub query: Option<&'a str>,
    /// The request's fields.
    pub fields: &'a Fields,
}

/// Appends the key's text. Different texts for whatever the rule tells apart; the method is not in it, because GET and
/// HEAD share their answers (RFC 9110 §9.3.2).
///
/// Its lines end where a byte stands that nothing on the wire has. The rule's own words are in the text too: what was
/// stored while a parameter did not count is not found any more when a reload makes it count.
pub fn write_key(out: &mut Vec<u8>, facts: &KeyFacts<'_>, rule: &KeyRule) {
    write_number(facts.route.len() as u64, out);
    out.push(b':');
    out.extend_from_slice(facts.route.as_bytes());
    out.push(b'\n');
    write_origin(out, facts.scheme, facts.host, facts.authority);
    out.extend_from_slice(facts.path_sent.as_bytes());
    write_query(out, facts.query, &rule.query);
    for name in &rule.headers {
        out.extend_from_slice(b"\n:");
        out.extend_from_slice(name.as_bytes());
        write_values(out, facts.fields.values_of(name));
    }
    for name in &rule.cookies {
        out.extend_from_slice(b"\n;");
        out.extend_from_slice(name.as_bytes());
        // Every one of that name: which of several an origin reads is its own affair.
        let of_name = |(n, value): (&[u8], _)| (n == name.as_bytes()).then_some(value);
        write_values(out, bypass::cookies(facts.fields).filter_map(of_name));
    }
}

/// The hash of a key's text.
pub fn primary(text: &[u8], seed: u64) -> u128 {
    xxh3_128_with_seed(text, seed)
}

/// Appends `https://host:port`, without the port that the scheme means anyway (RFC 9110 §4.2.3).
pub(super) fn write_origin(out: &mut Vec<u8>, scheme: &str, host: &str, authority: &str) {
    out.extend_from_slice(scheme.as_bytes());
    out.extend_from_slice(b"://");
    out.extend_from_slice(host.as_bytes());
    // Nearly always the authority is the host and nothing else.
    let port = (authority.len() != host.len()).then(|| port(authority)).flatten();
    if let Some(port) = port.filter(|p| *p != default_port(scheme)) {
        out.push(b':');
        write_number(port.into(), out);
    }
}

/// The port an authority names.
pub(super) fn port(authority: &str) -> Option<u16> {
    if let Some(name) = host::plain_name(authority) {
        return authority.get(name.len() + 1..)?.parse().ok();
    }
    host::split_port(authority)?.1
}

/// The port a scheme means.
pub(super) fn default_port(scheme: &str) -> u16 {
    if scheme == "https" { 443 } else { 80 }
}

/// Nothing of a value is left out, and none is as good as many empty ones.
fn write_values<'a>(out: &mut Vec<u8>, values: impl Iterator<Item = &'a [u8]>) {
    for value in values {
        out.push(VALUE);
        out.extend_from_slice(value);
    }
}

fn write_query(out: &mut Vec<u8>, query: Option<&str>, rule: &QueryRule) {
    match rule {
        QueryRule::All => {
            if let Some(query) = query {
                out.push(b'?');
                out.extend_from_slice(query.as_bytes());
            }
        }
        QueryRule::None => out.extend_from_slice(b"\n-"),
        QueryRule::Only(names) => {
            write_names(out, b"\n+", names);
            query::write(out, query.unwrap_or_default(), |p| query::may_be_any(p, names));
        }
        QueryRule::Except(names) => {
            write_names(out, b"\n~", names);
            query::write(out, query.unwrap_or_default(), |p| !query::is_any(p, names));
        }
    }
}

fn write_names(out: &mut Vec<u8>, sign: &[u8], names: &[String]) {
    out.extend_from_slice(sign);
    for name in names {
        out.extend_from_slice(name.as_bytes());
        out.push(VALUE);
    }
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(lines: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::default();
        for (name, value) in lines {
            fields.push(name.as_bytes(), value.as_bytes());
        }
        fields
    }

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|n| (*n).to_owned()).collect()
    }

    fn facts(fields: &Fields) -> KeyFacts<'_> {
        KeyFacts {
            route: "shop",
            scheme: "https",
            host: "example.com",
            authority: "example.com",
            path_sent: "/a",
            query: None,
            fields,
        }
    }

    fn key(facts: KeyFacts<'_>, rule: &KeyRule) -> Vec<u8> {
        let mut out = Vec::new();
        write_key(&mut out, &facts, rule);
        out
    }

    #[test]
    fn scheme_host_port_path_and_query_are_in_it() {
        let none = Fields::default();
        let rule = KeyRule::default();
        let base = key(facts(&none), &rule);
        assert_eq!(base, b"4:shop\nhttps://example.com/a");
        let same = KeyFacts {
            authority: "Example.COM:443",
            ..facts(&none)
        };
        assert_eq!(key(same, &rule), base);
        for other in [
            KeyFacts {
                route: "shop2",
                ..facts(&none)
            },
            KeyFacts {
                scheme: "http",
                ..facts(&none)
            },
            KeyFacts {
                host: "example.org",
                ..facts(&none)
            },
            KeyFacts {
                authority: "example.com:80",
                ..facts(&none)
            },
            KeyFacts {
                path_sent: "/A",
                ..facts(&none)
            },
            KeyFacts {
                query: Some(""),
                ..facts(&none)
            },
            KeyFacts {
                query: Some("x=1"),
                ..facts(&none)
            },
        ] {
            assert_ne!(key(other, &rule), base, "{other:?}");
        }
    }

    #[test]
    fn the_query_rule_decides_what_of_it_counts() {
        let none = Fields::default();
        let with = |query, rule: QueryRule| {
            let rule = KeyRule {
                query: rule,
                ..KeyRule::default()
            };
            key(
                KeyFacts {
                    query,
                    ..facts(&none)
                },
                &rule,
            )
        };
        assert_eq!(with(Some("a=1"), QueryRule::None), with(None, QueryRule::None));
        assert_ne!(
            with(Some("a=1&b=2"), QueryRule::All),
            with(Some("b=2&a=1"), QueryRule::All)
        );
        let only = || QueryRule::Only(names(&["a", "b"]));
        assert_eq!(
            with(Some("a=1&b=2&c=3"), only()),
            with(Some("c=4&b=2&a=1"), only())
        );
        let except = || QueryRule::Except(names(&["utm_*"]));
        assert_eq!(with(Some("utm_x=1&b=2"), except()), with(Some("b=2"), except()));
        assert_ne!(with(Some("b=2"), only()), with(Some("b=2"), except()));
    }

    #[test]
    fn what_was_stored_under_another_rule_is_not_found() {
        let none = Fields::default();
        let with = |rule| {
            key(
                facts(&none),
                &KeyRule {
                    query: rule,
                    ..KeyRule::default()
                },
            )
        };
        let all = [
            with(QueryRule::All),
            with(QueryRule::None),
            with(QueryRule::Only(names(&["a"]))),
            with(QueryRule::Only(names(&["a", "b"]))),
            with(QueryRule::Except(names(&["a"]))),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(all[at + 1..].iter().all(|other| other != one), "{at}");
        }
    }

    #[test]
    fn fields_and_cookies_count_by_all_their_values_and_absent_is_not_empty() {
        let rule = KeyRule {
            headers: names(&["x-a"]),
            cookies: names(&["c"]),
            ..KeyRule::default()
        };
        let lines: [&[(&str, &str)]; 8] = [
            &[],
            &[("X-A", "")],
            &[("X-A", "1")],
            &[("X-A", "1"), ("x-a", "1")],
            &[("Cookie", "c=")],
            &[("Cookie", "c=1")],
            &[("Cookie", "c=1; c=2")],
            &[("Cookie", "c=2; c=1")],
        ];
        let keys: Vec<_> = lines.iter().map(|l| key(facts(&fields(l)), &rule)).collect();
        for (at, one) in keys.iter().enumerate() {
            assert!(keys[at + 1..].iter().all(|other| other != one), "{at}");
        }
        let noise = fields(&[("Cookie", "b=5; c=1"), ("X-B", "2")]);
        assert_eq!(key(facts(&noise), &rule), keys[5]);
    }

    #[test]
    fn a_route_cannot_pretend_to_be_another() {
        let none = Fields::default();
        let rule = KeyRule::default();
        let odd = KeyFacts {
            route: "shop\nhttps://example.com",
            path_sent: "",
            ..facts(&none)
        };
        assert_ne!(key(odd, &rule), key(facts(&none), &rule));
        assert_ne!(primary(b"a", 1), primary(b"a", 2));
    }

    #[test]
    fn a_buffer_that_is_large_enough_does_not_grow() {
        let lines = fields(&[("Cookie", "c=1"), ("X-A", "1")]);
        let rule = KeyRule {
            query: QueryRule::Except(names(&["utm_*"])),
            headers: names(&["x-a"]),
            cookies: names(&["c"]),
        };
        let mut out = Vec::with_capacity(256);
        let before = out.capacity();
        write_key(
            &mut out,
            &KeyFacts {
                query: Some("b=2&a=1"),
                ..facts(&lines)
            },
            &rule,
        );
        assert_eq!(out.capacity(), before);
    }
}
