//! `discover` as it is written.

use super::{duration, plain, table};
use crate::config::plan::{Discover, DiscoverSource};

/// The key and its value.
pub(super) fn discover(discover: &Discover) -> (&'static str, String) {
    let mut pairs = match &discover.source {
        DiscoverSource::File(path) => vec![("file", plain(&path.display().to_string()))],
        DiscoverSource::Dns { name, resolver } => {
            let resolver = resolver.map(|address| ("resolver", plain(&address.to_string())));
            let interval = ("interval", duration(discover.interval));
            let name = ("dns", plain(&name.to_string()));
            [name].into_iter().chain(resolver).chain([interval]).collect()
        }
        DiscoverSource::Consul(consul) => {
            let text = |text: &Option<String>| plain(text.as_deref().unwrap_or(""));
            let token_file = consul.token_file.as_ref().map(|p| p.display().to_string());
            let pairs = [
                ("address", plain(&consul.address)),
                ("service", plain(&consul.service)),
                ("tag", text(&consul.tag)),
                ("datacenter", text(&consul.datacenter)),
                ("token_file", text(&token_file)),
                ("passing_only", consul.passing_only.to_string()),
            ];
            vec![("consul", table(pairs))]
        }
    };
    pairs.push(("slow_start", duration(discover.slow_start)));
    pairs.push(("max_conns", discover.max_conns.to_string()));
    ("discover", table(pairs))
}
