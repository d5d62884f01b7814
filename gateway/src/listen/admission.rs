//! How many connections may be open, in all and of one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::config::plan::Limits;

/// The count of open connections, shared by all workers; a cell that outlives reloads.
#[derive(Debug, Default)]
pub struct Admission {
    open: AtomicUsize,
    by_address: Mutex<HashMap<IpAddr, usize>>,
    handshakes: AtomicUsize,
}

/// One open connection; given back by dropping.
#[derive(Debug)]
pub struct Slot {
    admission: Arc<Admission>,
    address: Option<IpAddr>,
}

/// A handshake in flight; given back by dropping.
#[derive(Debug)]
pub struct Handshake(Arc<Admission>);

impl Slot {
    /// The same place counted for another address: who is connected turns out to speak for somebody.
    ///
    /// # Errors
    /// That address has as many as it may.
    pub fn again(self, address: Option<IpAddr>, limits: &Limits) -> Result<Self, Full> {
        let admission = Arc::clone(&self.admission);
        // Given back first: this is not one more.
        drop(self);
        admission.admit(address, limits)
    }

    /// Takes a place among the handshakes in flight, of which there may be so many.
    pub fn begin_handshake(&self, max: usize) -> Option<Handshake> {
        let below = |n| (n < max).then_some(n + 1);
        let handshakes = &self.admission.handshakes;
        let taken = handshakes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, below);
        taken.is_ok().then(|| Handshake(Arc::clone(&self.admission)))
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.0.handshakes.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Why a connection is not taken, or is cut; the text is the metric's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// `max_connections` are open.
    Connections,
    /// This address has `connections_per_ip` open.
    Address,
    /// `handshakes` are in flight.
    Handshakes,
    /// Its TLS handshake came to nothing.
    HandshakeFailed,
    /// It did not begin with the PROXY header that it must begin with, or that of somebody who is not trusted.
    ProxyHeader,
    /// Over HTTP/2, it sent too much of what costs it little.
    Flooded,
    /// Over HTTP/2, it was too slow with a head, or took nothing of what there was for it.
    Stalled,
}

impl Full {
    /// Every reason.
    pub const ALL: [Self; 7] = [
        Self::Connections,
        Self::Address,
        Self::Handshakes,
        Self::HandshakeFailed,
        Self::ProxyHeader,
        Self::Flooded,
        Self::Stalled,
    ];

    /// The metric's label.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Connections => "max_connections",
            Self::Address => "connections_per_ip",
            Self::Handshakes => "handshakes",
            Self::HandshakeFailed => "handshake_failed",
            Self::ProxyHeader => "proxy_header",
            Self::Flooded => "http2_flood",
            Self::Stalled => "http2_stalled",
        }
    }
}

impl Admission {
    /// Takes a place for a connection from `address`.
    pub fn admit(self: &Arc<Self>, address: Option<IpAddr>, limits: &Limits) -> Result<Slot, Full> {
        let below = |n| (n < limits.max_connections).then_some(n + 1);
        if self
            .open
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, below)
            .is_err()
        {
            return Err(Full::Connections);
        }
        // The slot exists before the second question, so that a refusal there gives the place back.
        let mut slot = Slot {
            admission: Arc::clone(self),
            address: None,
        };
        if let Some(address) = address.filter(|_| limits.connections_per_ip > 0) {
            // An IPv6 client has at least a /64 to take addresses from.
            let address = network(address);
            let mut by_address = self.by_address.lock();
            let count = by_address.entry(address).or_insert(0);
            if *count >= limits.connections_per_ip {
                return Err(Full::Address);
            }
            *count += 1;
            slot.address = Some(address);
        }
        Ok(slot)
    }

    /// Connections open now.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.admission.open.fetch_sub(1, Ordering::Relaxed);
        let Some(address) = self.address else { return };
        let mut by_address = self.admission.by_address.lock();
        if let Some(count) = by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(&address);
            }
        }
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) >> 64 << 64).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(all: usize, per_ip: usize) -> Limits {
        Limits {
            max_connections: all,
            connections_per_ip: per_ip,
            ..Limits::default()
        }
    }

    #[test]
    fn places_are_counted_and_given_back() {
        let admission = Arc::new(Admission::default());
        let first = admission.admit(None, &limits(1, 0)).unwrap();
        assert_eq!(
            admission.admit(None, &limits(1, 0)).unwrap_err(),
            Full::Connections
        );
        drop(first);
        assert!(admission.admit(None, &limits(1, 0)).is_ok());
        assert_eq!(admission.open(), 0);
    }

    #[test]
    fn an_address_and_an_ipv6_network_have_their_own_limit() {
        let admission = Arc::new(Admission::default());
        let admit = |ip: &str| admission.admit(Some(ip.parse().unwrap()), &limits(10, 1));
        let held = (admit("10.0.0.1").unwrap(), admit("2001:db8::1").unwrap());
        assert_eq!(admit("10.0.0.1").unwrap_err(), Full::Address);
        assert_eq!(admit("2001:db8::2").unwrap_err(), Full::Address);
        assert!(admit("10.0.0.2").is_ok() && admit("2001:db8:0:1::1").is_ok());
        drop(held);
        assert!(admission.by_address.lock().is_empty());
    }
}
