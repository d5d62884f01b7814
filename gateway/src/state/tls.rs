//! What TLS remembers from one reload to the next.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::Mutex;

use crate::config::plan::{Protocol, UpstreamTls};
use crate::kit::clock::Mono;
use crate::tls::{ClientSide, Resumption, SystemAuthorities, TicketKeys};

/// Sessions of clients that take no tickets, of all listeners together.
const SESSIONS_MAX: usize = 20_000;

/// All cells of TLS.
#[derive(Default)]
pub struct TlsCells {
    resumption: OnceLock<Resumption>,
    system: OnceLock<SystemAuthorities>,
    clients: Mutex<Vec<Held>>,
    ids: AtomicU64,
}

/// Our side towards an upstream, for as long as somebody uses it.
struct Held {
    upstream: String,
    tls: UpstreamTls,
    protocol: Protocol,
    side: Weak<Outward>,
}

/// Our side of TLS towards the servers of an upstream.
#[derive(Debug)]
pub struct Outward {
    /// What servers are greeted with.
    pub side: ClientSide,
    /// Unique in the process: connections are kept apart by it.
    pub id: u64,
}

impl TlsCells {
    /// What clients that come back are recognised by; made for the first listener that has TLS.
    pub fn resumption(&self, now: Mono) -> &Resumption {
        self.resumption.get_or_init(|| {
            Resumption::new(SESSIONS_MAX, now).expect("every system this runs on has a source of random bits")
        })
    }

    /// Goes on with the keys of the process before this one. To be called before anything else.
    pub fn inherit(&self, keys: &TicketKeys, now: Mono) {
        if let Ok(resumption) = Resumption::of(SESSIONS_MAX, keys, now) {
            // If there are keys already, they stay: somebody may hold tickets of them.
            let _ = self.resumption.set(resumption);
        }
    }

    /// The keys of tickets; None before the first listener with TLS.
    pub fn ticket_keys(&self, now: Mono) -> Option<TicketKeys> {
        self.resumption
            .get()
            .map(|resumption| resumption.ticket_keys(now))
    }

    /// Takes new keys for tickets if it is time.
    pub fn turn(&self, now: Mono) {
        if let Some(resumption) = self.resumption.get() {
            resumption.turn(now);
        }
    }

    /// Our side towards that upstream: the one there is, unless it was asked for something else.
    pub fn outward(&self, upstream: &str, tls: &UpstreamTls, protocol: Protocol) -> Arc<Outward> {
        let mut clients = self.clients.lock();
        clients.retain(|held| held.side.strong_count() > 0);
        let is_it = |held: &&Held| held.upstream == upstream && held.tls == *tls && held.protocol == protocol;
        if let Some(side) = clients.iter().find(is_it).and_then(|held| held.side.upgrade()) {
            return side;
        }
        let system = self.system.get_or_init(SystemAuthorities::load);
        let side = ClientSide::new(tls, system);
        let outward = Arc::new(Outward {
            side: match protocol {
                Protocol::Http2 => side.for_http2(),
                Protocol::Http1 | Protocol::H2c => side,
            },
            id: self.ids.fetch_add(1, Ordering::Relaxed) + 1,
        });
        clients.push(Held {
            upstream: upstream.to_owned(),
            tls: tls.clone(),
            protocol,
            side: Arc::downgrade(&outward),
        });
        outward
    }
}
