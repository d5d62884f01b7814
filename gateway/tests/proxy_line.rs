//! What one room writes of the PROXY protocol, another reads.

#![allow(clippy::unwrap_used, reason = "a test may fail by it")]

use std::net::{IpAddr, SocketAddr};

use gateway::config::plan::SendProxyProtocol;
use gateway::listen::proxy_line::{Parsed, parse};
use gateway::upstream::proxy_line::{OnBehalf, ProxyLine};
use proptest::prelude::*;

fn address() -> impl Strategy<Value = SocketAddr> {
    let ip = prop_oneof![
        any::<[u8; 4]>().prop_map(IpAddr::from),
        any::<[u8; 16]>().prop_map(IpAddr::from),
        any::<[u8; 4]>().prop_map(|v4| std::net::Ipv4Addr::from(v4).to_ipv6_mapped().into()),
    ];
    (ip, any::<u16>()).prop_map(|(ip, port)| SocketAddr::new(ip, port))
}

fn behalf() -> impl Strategy<Value = OnBehalf> {
    prop_oneof![
        4 => (address(), address()).prop_map(|(source, destination)| OnBehalf::Client { source, destination }),
        1 => Just(OnBehalf::Nameless),
        1 => Just(OnBehalf::Ourselves),
    ]
}

/// In whichever form an address is written, it is this one.
fn canonical(address: Option<SocketAddr>) -> Option<SocketAddr> {
    address.map(|a| SocketAddr::new(a.ip().to_canonical(), a.port()))
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(is_binary: bool, behalf in behalf(), rest: Vec<u8>) {
        let protocol = if is_binary { SendProxyProtocol::V2 } else { SendProxyProtocol::V1 };
        let line = ProxyLine::new(protocol, behalf).unwrap();
        let expected = match behalf {
            OnBehalf::Client { source, destination } => (Some(source), Some(destination)),
            OnBehalf::Nameless | OnBehalf::Ourselves => (None, None),
        };
        let Parsed::Done { consumed, source, destination } = parse(&[line.bytes(), &rest].concat()) else {
            panic!("{:?}", line.bytes());
        };
        prop_assert_eq!(consumed, line.bytes().len());
        prop_assert_eq!(canonical(source), canonical(expected.0));
        prop_assert_eq!(canonical(destination), canonical(expected.1));
        for length in 0..consumed {
            prop_assert_eq!(parse(&line.bytes()[..length]), Parsed::Partial);
        }
    }
}
