//! Servers that the configuration does not name: what a source's answers mean, and what is known from the last ones.
//!
//! Nothing here asks. Who asks hands each answer to a [`Roster`], which outlives reloads, and is told when to ask again and
//! what is worth a line in the log. A source that fails, or that says there is no server at all, changes nothing: the last
//! servers stay. A mistake in a zone or a registry that has lost its data must not take a service away that runs.

pub mod consul;
pub mod course;
pub mod dns;
mod roster;

pub use course::{Answer, Pace, Say};
pub use roster::{Given, Roster, RosterStatus, Told};

use crate::config::plan::{Discover, UpstreamServer};

/// The servers that are listed, and those of the source that are not, with what `discover` says of them.
pub fn merged(
    listed: &[UpstreamServer],
    found: &[UpstreamServer],
    discover: &Discover,
) -> Vec<UpstreamServer> {
    let is_new = |server: &&UpstreamServer| listed.iter().all(|other| other.address != server.address);
    let mut servers = listed.to_vec();
    servers.extend(found.iter().filter(is_new).map(|server| UpstreamServer {
        slow_start: if server.slow_start.is_zero() {
            discover.slow_start
        } else {
            server.slow_start
        },
        max_conns: if server.max_conns == 0 {
            discover.max_conns
        } else {
            server.max_conns
        },
        ..server.clone()
    }));
    servers
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use super::*;
    use crate::config::plan::{Address, DiscoverSource};

    #[test]
    fn what_is_listed_holds_and_the_source_adds_to_it() {
        let server = |address: &str, weight, max_conns| UpstreamServer {
            address: Address::parse(address).unwrap(),
            weight: NonZeroU32::new(weight).unwrap(),
            backup: false,
            down: false,
            max_conns,
            slow_start: Duration::ZERO,
        };
        let discover = Discover {
            source: DiscoverSource::File("a.json".into()),
            interval: Duration::ZERO,
            slow_start: Duration::from_secs(3),
            max_conns: 7,
        };
        let listed = [server("a:1", 5, 0)];
        let found = [server("b:1", 1, 0), server("a:1", 9, 9), server("c:1", 1, 2)];
        let merged = merged(&listed, &found, &discover);
        let slow = |server: UpstreamServer| UpstreamServer {
            slow_start: discover.slow_start,
            ..server
        };
        assert_eq!(
            merged,
            [
                server("a:1", 5, 0),
                slow(server("b:1", 1, 7)),
                slow(server("c:1", 1, 2))
            ]
        );
    }
}
