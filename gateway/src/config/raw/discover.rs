//! `upstreams.NAME.discover`, and the file of servers it may name.

use schemars::JsonSchema;
use serde::Deserialize;

use super::leaf::{Duration, Flag, Int, List, Maybe};
use super::upstream::{CONNS_MAX, UpstreamServer};

/// Where servers are found that the configuration does not name; exactly one of dns, file and consul.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Discover {
    /// A name and a port, whose addresses are the servers; or a name of SRV records, "_http._tcp.app.internal".
    pub dns: Maybe<String>,
    /// Who is asked about the name, "ADDRESS:PORT"; left out, whom the system asks.
    pub resolver: Maybe<String>,
    /// Longest time between two questions; the records' own time to live may make it shorter. Default `"10s"`.
    pub interval: Maybe<Duration>,
    /// A file, TOML or JSON, with a list `servers` as an upstream has it; read again when it changes.
    pub file: Maybe<String>,
    /// A service of Consul.
    pub consul: Maybe<Consul>,
    /// For servers of which the source says nothing else: after one has come up its share grows for this long. Default `"0s"`.
    pub slow_start: Maybe<Duration>,
    /// For servers of which the source says nothing else: requests in flight; 0 sets no limit. Default `0`.
    pub max_conns: Maybe<Int<0, CONNS_MAX>>,
}

/// A service of Consul.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Consul {
    /// The agent: an http or https URL. Default `"http://127.0.0.1:8500"`.
    pub address: Maybe<String>,
    /// The name of the service.
    pub service: Maybe<String>,
    /// Only instances with this tag; "" takes all. Default `""`.
    pub tag: Maybe<String>,
    /// The datacenter that is asked; "" is the agent's own. Default `""`.
    pub datacenter: Maybe<String>,
    /// A file that holds the token, read for each question; "" sends none. Default `""`.
    pub token_file: Maybe<String>,
    /// Whether only instances count whose checks all pass. Default `true`.
    pub passing_only: Maybe<Flag>,
}

/// A file of servers.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServersFile {
    /// The servers, one line each.
    pub servers: List<UpstreamServer>,
}
