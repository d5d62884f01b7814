//! Sets of networks that answer in logarithmic time: trusted proxies, and later access lists.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Subnets};

/// Length of the prefix ::ffff:0:0 that IPv4-mapped addresses share.
const MAPPED_BITS: u8 = 96;

/// A set of IPv4 and IPv6 networks.
///
/// Kept as sorted, disjoint ranges of addresses in IPv6 form, so that a look-up is one binary search.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks {
    ranges: Vec<(u128, u128)>,
}

impl Networks {
    /// The set that holds every address of the given networks.
    pub fn new(networks: impl IntoIterator<Item = IpNet>) -> Self {
        let mut ranges: Vec<_> = networks
            .into_iter()
            .map(|n| (number(n.network()), number(n.broadcast())))
            .collect();
        ranges.sort_unstable();
        let mut merged: Vec<(u128, u128)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match merged.last_mut() {
                Some(previous) if first <= previous.1.saturating_add(1) => previous.1 = previous.1.max(last),
                _ => merged.push((first, last)),
            }
        }
        Self { ranges: merged }
    }

    /// Whether `address` lies in one of the networks.
    pub fn contains(&self, address: IpAddr) -> bool {
        let n = number(address);
        let after = self.ranges.partition_point(|(first, _)| *first <= n);
        after > 0 && n <= self.ranges[after - 1].1
    }

    /// The fewest networks that hold the same addresses, IPv4 as such.
    pub fn networks(&self) -> Vec<IpNet> {
        self.ranges
            .iter()
            .flat_map(|(first, last)| Ipv6Subnets::new((*first).into(), (*last).into(), 0))
            .map(|n| match n.addr().to_ipv4_mapped() {
                Some(v4) if n.prefix_len() >= MAPPED_BITS => {
                    Ipv4Net::new_assert(v4, n.prefix_len() - MAPPED_BITS).into()
                }
                _ => n.into(),
            })
            .collect()
    }

    /// Whether there is no network in it.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }
}

/// Reads "10.0.0.0/8", "::1/128" or one bare address.
pub fn parse(text: &str) -> Option<IpNet> {
    text.parse::<IpNet>()
        .ok()
        .or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

/// IPv4 takes its place as an IPv4-mapped IPv6 address, where a dual-stack socket shows it anyway.
fn number(address: IpAddr) -> u128 {
    let v6: Ipv6Addr = match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    };
    u128::from(v6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_answers_as_a_naive_scan_does(
            nets in prop::collection::vec((any::<u32>(), 0u8..=32), 0..40), probe: u32
        ) {
            let nets: Vec<IpNet> =
                nets.into_iter().map(|(a, l)| Ipv4Net::new(a.into(), l).unwrap().into()).collect();
            let probe = IpAddr::V4(probe.into());
            let naive = nets.iter().any(|n| n.contains(&probe));
            prop_assert_eq!(Networks::new(nets).contains(probe), naive);
        }
    }

    proptest! {
        #[test]
        fn its_networks_are_the_same_set(
            v4 in prop::collection::vec((any::<u32>(), 0u8..=32), 0..8),
            v6 in prop::collection::vec((any::<u128>(), 0u8..=128), 0..4),
        ) {
            let v4 = v4.into_iter().map(|(a, l)| Ipv4Net::new_assert(a.into(), l).into());
            let v6 = v6.into_iter().map(|(a, l)| ipnet::Ipv6Net::new_assert(a.into(), l).into());
            let set = Networks::new(v4.chain(v6));
            prop_assert_eq!(Networks::new(set.networks()), set);
        }
    }

    #[test]
    fn networks_are_told_as_they_were_written() {
        let written = ["10.0.0.0/8", "192.168.1.1/32", "fd00::/8"];
        let set = Networks::new(written.iter().map(|n| parse(n).unwrap()));
        let mut told: Vec<String> = set.networks().iter().map(IpNet::to_string).collect();
        told.sort();
        assert_eq!(told, written);
    }

    #[test]
    fn a_mapped_address_is_the_address_it_maps() {
        let set = Networks::new([parse("10.0.0.0/8").unwrap(), parse("::1").unwrap()]);
        assert!(set.contains("::ffff:10.1.2.3".parse().unwrap()));
        assert!(set.contains("::1".parse().unwrap()));
        assert!(!set.contains("11.0.0.1".parse().unwrap()));
    }
}
