//! What `load_balancing = "hash"` hashes.

use std::net::IpAddr;

use xxhash_rust::xxh3::xxh3_64;

use crate::config::plan::HashBy;

/// The parts of a request a hash may be taken of.
pub trait HashFacts {
    /// The client, after trusted proxies.
    fn client_ip(&self) -> IpAddr;
    /// The path without query, as the client sent it.
    fn path(&self) -> &[u8];
    /// The first field of this lower-case name.
    fn header(&self, name: &str) -> Option<&[u8]>;
    /// The cookie of this name.
    fn cookie(&self, name: &str) -> Option<&[u8]>;
}

/// The hash of the part that `by` names; None if the request does not have it.
pub fn hash(by: &HashBy, facts: &impl HashFacts) -> Option<u64> {
    match by {
        HashBy::ClientIp => Some(hash_of_ip(facts.client_ip())),
        HashBy::Cookie(name) => facts.cookie(name).map(hash_of),
        HashBy::Header(name) => facts.header(name).map(hash_of),
        HashBy::Path => Some(hash_of(facts.path())),
    }
}

/// The hash of any value: the same in every process, so that several gateways agree.
pub fn hash_of(value: &[u8]) -> u64 {
    xxh3_64(value)
}

/// An IPv4 client is the same client when a dual-stack socket writes it as `::ffff:a.b.c.d`.
fn hash_of_ip(ip: IpAddr) -> u64 {
    match ip.to_canonical() {
        IpAddr::V4(v4) => hash_of(&v4.octets()),
        IpAddr::V6(v6) => hash_of(&v6.octets()),
    }
}
