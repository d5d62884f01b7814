//! What the two processes say to each other. Versions differ: a member more or less is no error, another format is.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::plan::{Address, DiscoverSource, SocketSpec, UpstreamServer};
use crate::tls::TicketKeys;

/// Counted up when an older process could not make sense of it any more.
pub const FORMAT: u32 = 1;

/// What there is to be had, from the old process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// [`FORMAT`] of the old process.
    pub format: u32,
    /// Upgrades that will have led to the new process.
    pub generation: u64,
    /// Upgrades that have failed on the way.
    #[serde(default)]
    pub failures: u64,
    /// One for each socket, in the order in which these follow.
    pub sockets: Vec<Item>,
    /// What opens the sessions of clients that come back.
    #[serde(default)]
    pub tickets: Option<TicketKeys>,
    /// What operators have told of servers.
    #[serde(default)]
    pub orders: Vec<StandingOrder>,
    /// What sources have given: the new process serves by it until they have answered to it too.
    #[serde(default)]
    pub found: Vec<FoundServers>,
}

/// A listening socket.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Item {
    /// What it is there for.
    pub role: Role,
    /// As the configuration has it.
    pub configured: String,
    /// Which of those that are configured so.
    pub nth: usize,
    /// Where it really is: port 0 has become a number.
    pub address: String,
}

/// What a socket is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Clients.
    Listener,
    /// Operators.
    Admin,
}

/// An operator's word on a server that still holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandingOrder {
    /// The upstream's name.
    pub upstream: String,
    /// The server's address.
    pub server: String,
    /// up, drain, down
    pub state: String,
    /// What replaces the configured weight.
    pub weight: Option<std::num::NonZeroU32>,
}

/// The servers of a source that is asked for them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundServers {
    /// All that is asked and of whom. Where another version writes it otherwise, nothing is taken over.
    pub source: String,
    /// When the source gave them, in milliseconds since the Unix epoch.
    #[serde(default)]
    pub given_at_ms: u64,
    /// In the order in which they are kept.
    pub servers: Vec<FoundServer>,
}

/// A server as a source has described it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundServer {
    /// Its address.
    pub address: String,
    /// Its share.
    pub weight: std::num::NonZeroU32,
    /// Serves only when no primary can.
    #[serde(default)]
    pub backup: bool,
    /// Written down as down.
    #[serde(default)]
    pub down: bool,
    /// Requests in flight; 0 is no limit.
    #[serde(default)]
    pub max_conns: u32,
    /// Ramp of its weight; 0 is none.
    #[serde(default)]
    pub slow_start_ms: u64,
}

/// What the new process says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reply {
    /// It can begin.
    Prepared {
        /// Of its program.
        version: String,
        /// Which of the offered sockets it goes on with, by their place in the offer. It has closed the others.
        taken: Vec<usize>,
    },
    /// It accepts.
    Ready,
    /// It cannot begin, and why.
    Declined(String),
}

/// What the old process says to one that is prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Word {
    /// Begin.
    Go,
}

impl FoundServers {
    /// What a source has given, and when since the Unix epoch.
    pub fn new(source: &DiscoverSource, servers: &[UpstreamServer], given_at: Duration) -> Self {
        let server = |server: &UpstreamServer| FoundServer {
            address: server.address.to_string(),
            weight: server.weight,
            backup: server.backup,
            down: server.down,
            max_conns: server.max_conns,
            slow_start_ms: milliseconds(server.slow_start),
        };
        Self {
            source: identity(source),
            given_at_ms: milliseconds(given_at),
            servers: servers.iter().map(server).collect(),
        }
    }

    /// Whether that source has given them.
    pub fn are_of(&self, source: &DiscoverSource) -> bool {
        self.source == identity(source)
    }

    /// When they were given, since the Unix epoch.
    pub fn given_at(&self) -> Duration {
        Duration::from_millis(self.given_at_ms)
    }

    /// Those whose addresses this version can read.
    pub fn servers(&self) -> Vec<UpstreamServer> {
        let server = |server: &FoundServer| {
            Some(UpstreamServer {
                address: Address::parse(&server.address)?,
                weight: server.weight,
                backup: server.backup,
                down: server.down,
                max_conns: server.max_conns,
                slow_start: Duration::from_millis(server.slow_start_ms),
            })
        };
        self.servers.iter().filter_map(server).collect()
    }
}

/// Equal ones are the same question to the same party; what is shown to people leaves parts of it out.
fn identity(source: &DiscoverSource) -> String {
    format!("{source:?}")
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Item {
    /// A socket of a listener, or of the admin address, that is open at `address`.
    pub fn new(role: Role, configured: &SocketSpec, nth: usize, address: &SocketSpec) -> Self {
        Self {
            role,
            configured: configured.to_string(),
            nth,
            address: address.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::plan::Consul;

    #[test]
    fn what_another_version_adds_or_lacks_is_no_error() {
        let text = r#"{"format":1,"generation":3,"colour":"red","sockets":[
            {"role":"listener","configured":"127.0.0.1:0","nth":1,"address":"127.0.0.1:80","worker":7}]}"#;
        let offer: Offer = serde_json::from_str(text).unwrap();
        let spec = |text| SocketSpec::parse(text).unwrap();
        let item = Item::new(Role::Listener, &spec("127.0.0.1:0"), 1, &spec("127.0.0.1:80"));
        assert_eq!((offer.generation, offer.sockets), (3, vec![item]));
        assert!(offer.tickets.is_none() && offer.orders.is_empty() && offer.found.is_empty());
    }

    #[test]
    fn what_a_source_has_given_arrives_as_it_was_and_only_for_that_source() {
        let consul = |tag: &str| {
            DiscoverSource::Consul(Consul {
                address: "http://127.0.0.1:8500".to_owned(),
                service: "app".to_owned(),
                tag: Some(tag.to_owned()),
                datacenter: None,
                token_file: None,
                passing_only: true,
            })
        };
        let server = |address: &str, backup, slow_start_ms| UpstreamServer {
            address: Address::parse(address).unwrap(),
            weight: std::num::NonZeroU32::new(7).unwrap(),
            backup,
            down: !backup,
            max_conns: 3,
            slow_start: Duration::from_millis(slow_start_ms),
        };
        let servers = [server("10.0.0.1:80", true, 0), server("[::1]:80", false, 1_500)];
        let given_at = Duration::from_millis(1_234_567);
        let found = FoundServers::new(&consul("v1"), &servers, given_at);
        let text = serde_json::to_string(&found).unwrap();
        let mut heard: FoundServers = serde_json::from_str(&text).unwrap();
        assert_eq!((heard.servers(), heard.given_at()), (servers.to_vec(), given_at));
        assert!(heard.are_of(&consul("v1")) && !heard.are_of(&consul("v2")));
        heard.servers[0].address = "what a later version writes".to_owned();
        assert_eq!(heard.servers(), servers[1..]);
    }
}
