//! Access lists: by the network a client is in.

use std::net::IpAddr;

use crate::config::plan::Guards;

/// Whether a client at that address may come in; what is denied is not allowed by anything.
///
/// `client` is None for a request over a Unix socket that no proxy has named a client for: it is in no network, so a
/// list of those who may come in does not hold it.
pub fn admits(guards: &Guards, client: Option<IpAddr>) -> bool {
    let is_denied = client.is_some_and(|ip| guards.deny.contains(ip));
    let is_allowed = || match &guards.allow {
        Some(allow) => client.is_some_and(|ip| allow.contains(ip)),
        None => true,
    };
    !is_denied && is_allowed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::networks::{Networks, parse};
    use proptest::prelude::*;

    fn networks(texts: &[&str]) -> Networks {
        Networks::new(texts.iter().map(|t| parse(t).unwrap()))
    }

    fn guards(allow: Option<&[&str]>, deny: &[&str]) -> Guards {
        Guards {
            allow: allow.map(networks),
            deny: networks(deny),
            ..Guards::default()
        }
    }

    fn is_admitted(guards: &Guards, client: &str) -> bool {
        admits(guards, client.parse().ok())
    }

    #[test]
    fn without_lists_everybody_comes_in() {
        assert!(is_admitted(&Guards::default(), "192.0.2.1"));
        assert!(is_admitted(&Guards::default(), "nobody knows"));
    }

    #[test]
    fn a_denied_address_inside_an_allowed_network_stays_out() {
        let lists = guards(Some(&["10.0.0.0/8", "2001:db8::/32"]), &["10.1.0.0/16"]);
        assert!(is_admitted(&lists, "10.0.0.1"));
        assert!(
            is_admitted(&lists, "::ffff:10.0.0.1"),
            "the same address over IPv6"
        );
        assert!(is_admitted(&lists, "2001:db8::7"));
        assert!(!is_admitted(&lists, "10.1.2.3"));
        assert!(!is_admitted(&lists, "::ffff:10.1.2.3"));
        assert!(!is_admitted(&lists, "192.0.2.1"));
        assert!(!is_admitted(&lists, "nobody knows"));
    }

    #[test]
    fn denied_networks_alone_let_all_others_in() {
        let lists = guards(None, &["198.51.100.0/24"]);
        assert!(is_admitted(&lists, "192.0.2.1") && is_admitted(&lists, "nobody knows"));
        assert!(!is_admitted(&lists, "198.51.100.9"));
        let nobody = guards(Some(&[]), &[]);
        assert!(!is_admitted(&nobody, "192.0.2.1"), "an empty list is a list");
    }

    proptest! {
        #[test]
        fn deny_wins_whatever_else_is_said(
            ip in any::<u32>(), allow in proptest::collection::vec((any::<u32>(), 0u8..=32), 0..20),
            deny in proptest::collection::vec((any::<u32>(), 0u8..=32), 0..20),
        ) {
            let net = |(ip, bits): &(u32, u8)| parse(&format!("{}/{bits}", std::net::Ipv4Addr::from(*ip))).unwrap();
            let holds = |list: &[(u32, u8)]| list.iter().any(|n| net(n).contains(&IpAddr::from(ip.to_be_bytes())));
            let lists = Guards {
                allow: Some(Networks::new(allow.iter().map(net))),
                deny: Networks::new(deny.iter().map(net)),
                ..Guards::default()
            };
            let expected = holds(&allow) && !holds(&deny);
            prop_assert_eq!(admits(&lists, Some(IpAddr::from(ip.to_be_bytes()))), expected);
        }
    }
}
