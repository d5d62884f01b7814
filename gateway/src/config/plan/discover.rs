//! `upstreams.*.discover`

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Servers that a source may give one upstream; more is a mistake, and a list nobody can watch over.
pub const DISCOVERED_MAX: usize = 1_000;

/// All weights of a list of servers, so that products with requests in flight stay far from overflow.
pub const WEIGHT_TOTAL_MAX: u64 = 10_000_000;

/// Where servers are found that the configuration does not name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discover {
    /// Who says which servers there are.
    pub source: DiscoverSource,
    /// Longest time between two questions; of no effect where changes are told.
    pub interval: Duration,
    /// For servers that have none of their own.
    pub slow_start: Duration,
    /// For servers that have none of their own; 0 = no limit.
    pub max_conns: u32,
}

/// Who says which servers there are. Equal ones give the same answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DiscoverSource {
    /// A service of Consul.
    Consul(Consul),
    /// The domain name system.
    Dns {
        /// What is asked for.
        name: DiscoverName,
        /// Who is asked; None = whom the system asks.
        resolver: Option<SocketAddr>,
    },
    /// A file with a list of servers.
    File(PathBuf),
}

/// What is asked of the domain name system. Names are in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DiscoverName {
    /// Each address of this name, at this port.
    Host {
        /// Name.
        name: String,
        /// Port.
        port: u16,
    },
    /// Targets of the SRV records of this name, each with its port.
    Service(String),
}

/// `discover.consul`
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Consul {
    /// The agent: scheme and authority, and a path where it is behind one; without a slash at the end.
    pub address: String,
    /// The service.
    pub service: String,
    /// Only instances with this tag.
    pub tag: Option<String>,
    /// The datacenter; None = the agent's own.
    pub datacenter: Option<String>,
    /// Holds the token; read for each question.
    pub token_file: Option<PathBuf>,
    /// Whether only instances count whose checks all pass.
    pub passing_only: bool,
}

/// As logs and `/status` name it.
impl fmt::Display for DiscoverSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Consul(consul) => write!(f, "service {} of consul at {}", consul.service, consul.address),
            Self::Dns { name, resolver: None } => write!(f, "dns {name}"),
            Self::Dns {
                name,
                resolver: Some(resolver),
            } => write!(f, "dns {name} at {resolver}"),
            Self::File(path) => write!(f, "file {}", path.display()),
        }
    }
}

/// As it is written.
impl fmt::Display for DiscoverName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host { name, port } => write!(f, "{name}:{port}"),
            Self::Service(name) => f.write_str(name),
        }
    }
}
