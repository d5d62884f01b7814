//! Networks and addresses, one to a line.

use std::net::{IpAddr, Ipv6Addr};

use gateway::kit::networks::{Networks, parse};
use ipnet::IpNet;

/// A set answers as going through its networks would, and the networks it tells are the same set.
pub fn target(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let networks: Vec<IpNet> = text.lines().filter_map(parse).take(64).collect();
    for network in &networks {
        assert_eq!(parse(&network.to_string()), Some(*network));
    }
    let set = Networks::new(networks.iter().copied());
    assert_eq!(set.is_empty(), networks.is_empty());
    let told = set.networks();
    assert!(told.len() <= 256 * networks.len());
    assert_eq!(Networks::new(told), set, "{networks:?}");
    for network in &networks {
        for address in [network.network(), network.broadcast()] {
            let number = u128::from(mapped(address));
            for near in [number, number.wrapping_sub(1), number.wrapping_add(1)] {
                let near = Ipv6Addr::from(near);
                let expected = networks.iter().any(|n| holds(n, near));
                assert_eq!(set.contains(near.into()), expected, "{near} in {networks:?}");
                if let Some(v4) = near.to_ipv4_mapped() {
                    assert_eq!(set.contains(v4.into()), expected);
                }
            }
        }
    }
}

fn holds(network: &IpNet, address: Ipv6Addr) -> bool {
    (mapped(network.network())..=mapped(network.broadcast())).contains(&address)
}

fn mapped(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}
