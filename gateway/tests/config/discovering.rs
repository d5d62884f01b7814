//! Sources of servers drawn at random.

use std::time::Duration;

use gateway::config::plan::{Consul, Discover, DiscoverName, DiscoverSource};
use proptest::option;
use proptest::prelude::*;

use crate::plans::{duration, path};

pub fn discover() -> impl Strategy<Value = Discover> {
    (source(), duration(0), 0u32..9).prop_map(|((source, interval), slow_start, max_conns)| Discover {
        source,
        interval,
        slow_start,
        max_conns,
    })
}

/// With the interval, which only DNS has.
fn source() -> impl Strategy<Value = (DiscoverSource, Duration)> {
    let name = prop_oneof![
        ("[a-z_]{1,5}\\.internal", 1u16..9).prop_map(|(name, port)| DiscoverName::Host { name, port }),
        "_[a-z]{1,5}\\._tcp\\.internal".prop_map(DiscoverName::Service),
    ];
    let resolver = prop::sample::select(vec!["127.0.0.1:53", "[::1]:5353"]).prop_map(|a| a.parse().unwrap());
    let dns = (name, option::of(resolver), duration(1));
    let file = (path(), prop::sample::select(vec!["json", "toml"]));
    let at_default = |source| (source, Duration::from_secs(10));
    prop_oneof![
        dns.prop_map(|(name, resolver, interval)| (DiscoverSource::Dns { name, resolver }, interval)),
        file.prop_map(move |(path, ending)| at_default(DiscoverSource::File(
            format!("{path}.{ending}").into()
        ))),
        consul().prop_map(move |consul| at_default(DiscoverSource::Consul(consul))),
    ]
}

fn consul() -> impl Strategy<Value = Consul> {
    let address = prop::sample::select(vec!["http://127.0.0.1:8500", "https://consul.internal/behind"]);
    let text = || option::of("[a-z${}\"]{1,5}");
    (
        address,
        "[a-z${}\" /]{1,5}",
        text(),
        text(),
        option::of(path()),
        any::<bool>(),
    )
        .prop_map(
            |(address, service, tag, datacenter, token_file, passing_only)| Consul {
                address: address.to_owned(),
                service,
                tag,
                datacenter,
                token_file: token_file.map(Into::into),
                passing_only,
            },
        )
}
