//! What the two processes say to each other. Versions differ: a member more or less is no error, another format is.

use serde::{Deserialize, Serialize};

use crate::config::plan::SocketSpec;
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

    #[test]
    fn what_another_version_adds_or_lacks_is_no_error() {
        let text = r#"{"format":1,"generation":3,"colour":"red","sockets":[
            {"role":"listener","configured":"127.0.0.1:0","nth":1,"address":"127.0.0.1:80","worker":7}]}"#;
        let offer: Offer = serde_json::from_str(text).unwrap();
        let spec = |text| SocketSpec::parse(text).unwrap();
        let item = Item::new(Role::Listener, &spec("127.0.0.1:0"), 1, &spec("127.0.0.1:80"));
        assert_eq!((offer.generation, offer.sockets), (3, vec![item]));
        assert!(offer.tickets.is_none() && offer.orders.is_empty());
    }
}
