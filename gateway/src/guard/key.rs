//! What a request is counted under: the value a limit's key names, hashed.

use std::net::IpAddr;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::config::plan::LimitKey;
use crate::facts::Facts;
use crate::guard::shared::Part;

/// The hash of whatever a request is counted under, seeded anew in each process.
///
/// 64 bits stand for the whole value, which is kept nowhere. Two of a million keys share a hash with a chance of one
/// in 37 million, and what they then share is a budget. To bring that about on purpose takes the seed, which nobody is
/// told and no answer shows; whoever would spend another's budget by a field of the client's choice can send that
/// other's value in the first place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash(pub u64);

/// What the hashed bytes are: a field's value that spells an address has another hash than the address.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Everybody = 0,
    Unix = 1,
    V4 = 2,
    V6 = 3,
    Cookie = 4,
    Header = 5,
    Claim = 6,
    Route = 7,
}

/// What a request is counted under by this key.
///
/// `claim` is the value of the claim that a [`LimitKey::JwtClaim`] names; no other key looks at it. A value that is
/// not there, is empty, or is there more than once stands for nobody: such a request is counted by its client's
/// address. Were it not counted, leaving the field out would be the way around the limit; were it counted by one of
/// two values, the other one could be what the origin goes by.
pub fn hash(key: &LimitKey, facts: &Facts<'_>, claim: Option<&str>, seed: u64) -> KeyHash {
    let kind = match key {
        LimitKey::ClientIp => Kind::Unix,
        LimitKey::Cookie(_) => Kind::Cookie,
        LimitKey::Global => Kind::Everybody,
        LimitKey::Header(_) => Kind::Header,
        LimitKey::JwtClaim(_) => Kind::Claim,
        LimitKey::Route => Kind::Route,
    };
    match part(key, facts, claim) {
        Part::Address(ip) => address(ip, seed),
        Part::Everything if matches!(key, LimitKey::Global) => of(Kind::Everybody, b"", seed),
        Part::Everything => of(Kind::Unix, b"", seed),
        Part::Value(value) => of(kind, value, seed),
    }
}

/// The same for whoever counts for several gateways, who hashes it itself. Clients of a Unix socket have no address and share
/// one budget.
pub fn part<'a>(key: &'a LimitKey, facts: &Facts<'a>, claim: Option<&'a str>) -> Part<'a> {
    let fields = &facts.request.fields;
    let named = |value: Option<&'a [u8]>| match value {
        Some(value) if !value.is_empty() => Part::Value(value),
        Some(_) | None => facts.client_ip.map_or(Part::Everything, Part::Address),
    };
    match key {
        LimitKey::ClientIp => named(None),
        LimitKey::Cookie(name) => named(only(fields.cookies(name))),
        LimitKey::Global => Part::Everything,
        LimitKey::Header(name) => named(only(fields.values_of(name))),
        LimitKey::JwtClaim(_) => named(claim.map(str::as_bytes)),
        LimitKey::Route => Part::Value(facts.route.as_bytes()),
    }
}

/// IPv6 by /64, which is what one customer has at the least: by single addresses each had 2^64 budgets.
fn address(ip: IpAddr, seed: u64) -> KeyHash {
    match ip.to_canonical() {
        IpAddr::V4(ip) => of(Kind::V4, &ip.octets(), seed),
        IpAddr::V6(ip) => of(Kind::V6, &ip.octets()[..8], seed),
    }
}

/// The kind goes into the seed by a hash of its own and not by an addition: for values of a few bytes the hash is
/// little more than the value XOR the seed, and seeds with a known difference could be evened out by a chosen value.
fn of(kind: Kind, value: &[u8], seed: u64) -> KeyHash {
    let seed = xxh3_64_with_seed(&[kind as u8], seed);
    KeyHash(xxh3_64_with_seed(value, seed))
}

/// The one there is; None if there are more.
fn only<'a>(mut values: impl Iterator<Item = &'a [u8]>) -> Option<&'a [u8]> {
    let first = values.next()?;
    values.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::clock::Clock;
    use crate::wire::Request;
    use std::time::Duration;

    const SEED: u64 = 7;

    /// The hash for a request with these lines, from this address.
    fn hashed(key: &LimitKey, lines: &[(&str, &str)], ip: Option<&str>, claim: Option<&str>) -> KeyHash {
        hashed_on(key, lines, ip, claim, "one", SEED)
    }

    fn hashed_on(
        key: &LimitKey,
        lines: &[(&str, &str)],
        ip: Option<&str>,
        claim: Option<&str>,
        route: &str,
        seed: u64,
    ) -> KeyHash {
        let mut request = Request::default();
        for (name, value) in lines {
            request.fields.push(name.as_bytes(), value.as_bytes());
        }
        let ip = ip.map(|ip| ip.parse().expect("an address"));
        let facts = Facts {
            request: &request,
            client_ip: ip,
            peer_ip: ip,
            is_peer_trusted: false,
            scheme: "http",
            port: 80,
            request_id: "",
            route,
            began: Clock::manual(Duration::ZERO).now(),
            told_names: &[],
            told: &[],
            guard_lines: b"",
        };
        hash(key, &facts, claim, seed)
    }

    fn by_ip(ip: &str) -> KeyHash {
        hashed(&LimitKey::ClientIp, &[], Some(ip), None)
    }

    fn header() -> LimitKey {
        LimitKey::Header("x-api-key".into())
    }

    #[test]
    fn addresses_are_told_apart_ipv6_by_64_bits_and_mapped_ones_are_ipv4() {
        assert_ne!(by_ip("192.0.2.1"), by_ip("192.0.2.2"));
        assert_eq!(by_ip("::ffff:192.0.2.1"), by_ip("192.0.2.1"));
        assert_eq!(
            by_ip("2001:db8:0:1::1"),
            by_ip("2001:db8:0:1:ffff:ffff:ffff:ffff")
        );
        assert_ne!(by_ip("2001:db8:0:1::1"), by_ip("2001:db8:0:2::1"));
    }

    #[test]
    fn clients_without_an_address_share_one_count_that_no_address_has() {
        let unix = hashed(&LimitKey::ClientIp, &[], None, None);
        assert_eq!(unix, hashed(&header(), &[], None, None));
        assert_ne!(unix, by_ip("0.0.0.0"));
        assert_ne!(unix, by_ip("::"));
        assert_ne!(unix, hashed(&LimitKey::Global, &[], None, None));
    }

    #[test]
    fn a_value_decides_whatever_the_address_and_whatever_the_case_of_its_name() {
        let a = hashed(&header(), &[("X-API-Key", "a")], Some("192.0.2.1"), None);
        assert_eq!(
            a,
            hashed(&header(), &[("x-api-key", "a")], Some("192.0.2.2"), None)
        );
        assert_ne!(
            a,
            hashed(&header(), &[("x-api-key", "b")], Some("192.0.2.1"), None)
        );

        let cookie = LimitKey::Cookie("s".into());
        let a = hashed(&cookie, &[("Cookie", "t=1; s=a")], Some("192.0.2.1"), None);
        assert_eq!(
            a,
            hashed(&cookie, &[("Cookie", "s=a;t=2")], Some("192.0.2.2"), None)
        );
        assert_ne!(a, hashed(&cookie, &[("Cookie", "s=b")], Some("192.0.2.1"), None));

        let claim = LimitKey::JwtClaim("sub".into());
        let a = hashed(&claim, &[], Some("192.0.2.1"), Some("a"));
        assert_eq!(a, hashed(&claim, &[], Some("192.0.2.2"), Some("a")));
        assert_ne!(a, hashed(&claim, &[], Some("192.0.2.1"), Some("b")));
    }

    #[test]
    fn what_is_missing_empty_or_there_twice_counts_by_the_address() {
        let ip = by_ip("192.0.2.1");
        let cookie = LimitKey::Cookie("s".into());
        let claim = LimitKey::JwtClaim("sub".into());
        let none: &[(&str, &str)] = &[];
        for (key, lines) in [
            (&header(), none),
            (&header(), &[("x-api-key", "")]),
            (&header(), &[("x-api-key", "a"), ("X-Api-Key", "b")]),
            (&cookie, none),
            (&cookie, &[("cookie", "s=")]),
            (&cookie, &[("cookie", "s")]),
            (&cookie, &[("cookie", "S=a")]),
            (&cookie, &[("cookie", "s=a; s=b")]),
            (&cookie, &[("cookie", "s=a"), ("cookie", "s=a")]),
            (&claim, none),
        ] {
            assert_eq!(
                hashed(key, lines, Some("192.0.2.1"), None),
                ip,
                "{key:?} {lines:?}"
            );
        }
        assert_eq!(hashed(&claim, &[], Some("192.0.2.1"), Some("")), ip);
    }

    #[test]
    fn a_value_that_spells_an_address_does_not_share_its_count() {
        for ip in ["192.0.2.1", "2001:db8::1", "49.50.51.52"] {
            assert_ne!(hashed(&header(), &[("x-api-key", ip)], Some(ip), None), by_ip(ip));
        }
        // "1234" has the bytes of 49.50.51.52.
        let bytes = hashed(&header(), &[("x-api-key", "1234")], None, None);
        assert_ne!(bytes, by_ip("49.50.51.52"));
        let cookie = hashed(&LimitKey::Cookie("s".into()), &[("cookie", "s=1234")], None, None);
        assert_ne!(bytes, cookie);
        assert_ne!(bytes, hashed_on(&LimitKey::Route, &[], None, None, "1234", SEED));
    }

    #[test]
    fn routes_are_told_apart_and_everybody_is_one() {
        let route = |name| hashed_on(&LimitKey::Route, &[], Some("192.0.2.1"), None, name, SEED);
        assert_ne!(route("a"), route("b"));
        assert_eq!(
            hashed(&LimitKey::Global, &[], Some("192.0.2.1"), None),
            hashed(&LimitKey::Global, &[("x", "y")], Some("192.0.2.2"), Some("z"))
        );
    }

    #[test]
    fn long_values_count_to_their_last_byte_and_the_seed_counts() {
        let (mut a, mut b) = ("a".repeat(8 << 10), "a".repeat(8 << 10));
        a.push('1');
        b.push('2');
        let of = |v: &str| hashed(&header(), &[("x-api-key", v)], None, None);
        assert_ne!(of(&a), of(&b));
        assert_ne!(
            hashed_on(&LimitKey::ClientIp, &[], Some("192.0.2.1"), None, "", 1),
            hashed_on(&LimitKey::ClientIp, &[], Some("192.0.2.1"), None, "", 2)
        );
    }
}
