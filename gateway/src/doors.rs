//! The listening sockets of the gateway, and which worker has which.
//!
//! The control side keeps a handle of every socket: so that a listener whose settings change goes on with the
//! same socket, and no connection that waits in it is lost.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use crate::config::plan::{Certificate, Listener, ListenerTls, SocketSpec};
use crate::corridor::worker::DoorCounts;
use crate::kit::clock::Now;
use crate::listen::{BindFault, Bound, Listening};
use crate::tls::{Resumption, ServerSide};
use crate::workers::{Handle, Order};

/// A listener's identity: where it is configured to be, and which of those it is (several may ask for port 0).
type Key = (SocketSpec, usize);

/// All open listeners.
#[derive(Default)]
pub struct Doors {
    open: Vec<OpenDoor>,
    next_id: u64,
}

/// One open listener.
pub struct OpenDoor {
    key: Key,
    id: u64,
    /// As configured, with its real address.
    pub listener: Listener,
    /// Its connections.
    pub counts: Arc<DoorCounts>,
    /// What handshakes are answered with.
    pub tls: Option<Arc<ServerSide>>,
    sockets: Vec<Listening>,
}

/// Sockets bound for a configuration that is not in use yet. Dropping them unbinds them.
pub struct Prepared {
    bound: HashMap<Key, Bound>,
}

/// What TLS of listeners is made of.
#[derive(Clone, Copy)]
pub struct Wares<'a> {
    /// Of the plan.
    pub certificates: &'a [Arc<Certificate>],
    /// What clients that come back are recognised by.
    pub resumption: &'a Resumption,
    /// The time.
    pub now: Now,
}

impl Wares<'_> {
    fn side(&self, tls: &ListenerTls) -> Arc<ServerSide> {
        ServerSide::new(tls, self.certificates, self.resumption, self.now.wall)
    }
}

impl Doors {
    /// Binds what a list of listeners needs beyond what is open. Changes nothing that is in use.
    ///
    /// # Errors
    /// The first address that cannot be had.
    pub fn prepare(&self, listeners: &[Listener], workers: usize) -> Result<Prepared, BindFault> {
        let missing = keyed(listeners).filter(|(key, _)| self.find(key).is_none());
        let bound = missing.map(|(key, _)| Ok((key.clone(), Bound::new(&key.0, workers)?)));
        Ok(Prepared {
            bound: bound.collect::<Result<_, BindFault>>()?,
        })
    }

    /// Makes a list of listeners the open ones: new ones first, then those that go.
    pub fn apply(
        &mut self,
        listeners: &[Listener],
        mut prepared: Prepared,
        workers: &[Handle],
        wares: Wares<'_>,
    ) {
        let mut before = std::mem::take(&mut self.open);
        for (key, listener) in keyed(listeners) {
            let old = before
                .iter()
                .position(|d| d.key == key)
                .map(|at| before.remove(at));
            match old {
                // Another certificate needs no other door: handshakes from now on are answered with it.
                Some(mut door) if settings_are(&door.listener, listener) => {
                    if let (Some(side), Some(tls)) = (&door.tls, &listener.tls) {
                        side.replace(tls, wares.certificates, wares.now.wall);
                    }
                    door.listener.tls.clone_from(&listener.tls);
                    self.open.push(door);
                }
                // Its sockets go on.
                Some(mut door) => {
                    let address = door.listener.address.clone();
                    let counts = Arc::clone(&door.counts);
                    let sockets = std::mem::take(&mut door.sockets);
                    let side = listener.tls.as_ref().map(|tls| match &door.tls {
                        Some(side) => {
                            side.replace(tls, wares.certificates, wares.now.wall);
                            Arc::clone(side)
                        }
                        None => wares.side(tls),
                    });
                    let new = Admitted {
                        listener,
                        address,
                        counts,
                        tls: side,
                        sockets,
                    };
                    self.admit(key, new, workers);
                    retire(door, workers);
                }
                None => {
                    if let Some(bound) = prepared.bound.remove(&key) {
                        let new = Admitted {
                            listener,
                            address: bound.address,
                            counts: Arc::default(),
                            tls: listener.tls.as_ref().map(|tls| wares.side(tls)),
                            sockets: bound.sockets,
                        };
                        self.admit(key, new, workers);
                    }
                }
            }
        }
        for door in before {
            remove_path(&door);
            retire(door, workers);
        }
    }

    /// The open listeners, in the configuration's order.
    pub fn iter(&self) -> impl Iterator<Item = &OpenDoor> {
        self.open.iter()
    }

    /// Gives up the sockets on this side, which comes before the workers are told to drain: see [`retire`].
    pub fn release(&mut self) {
        self.open.drain(..).for_each(|door| remove_path(&door));
    }

    fn find(&self, key: &Key) -> Option<&OpenDoor> {
        self.open.iter().find(|d| d.key == *key)
    }

    fn admit(&mut self, key: Key, new: Admitted<'_>, workers: &[Handle]) {
        let Admitted {
            listener,
            address,
            counts,
            tls,
            sockets,
        } = new;
        let listener = Listener {
            address,
            ..listener.clone()
        };
        self.next_id += 1;
        let id = self.next_id;
        for (worker, socket) in workers.iter().zip(&sockets) {
            match copy(socket) {
                Ok(socket) => {
                    worker.order(Order::Open {
                        id,
                        listener: listener.clone(),
                        counts: Arc::clone(&counts),
                        tls: tls.clone(),
                        socket,
                    });
                }
                Err(error) => log::error!("a worker cannot listen on {}: {error}", listener.address),
            }
        }
        self.open.push(OpenDoor {
            key,
            id,
            listener,
            counts,
            tls,
            sockets,
        });
    }
}

/// A door to be opened.
struct Admitted<'a> {
    listener: &'a Listener,
    address: SocketSpec,
    counts: Arc<DoorCounts>,
    tls: Option<Arc<ServerSide>>,
    sockets: Vec<Listening>,
}

fn keyed(listeners: &[Listener]) -> impl Iterator<Item = (Key, &Listener)> {
    listeners.iter().enumerate().map(|(i, listener)| {
        let nth = listeners[..i]
            .iter()
            .filter(|l| l.address == listener.address)
            .count();
        ((listener.address.clone(), nth), listener)
    })
}

fn settings_are(open: &Listener, wanted: &Listener) -> bool {
    let timeout = |listener: &Listener| listener.tls.as_ref().map(|tls| tls.handshake_timeout);
    // Whoever is no longer let in must not stay because it was in before.
    let asked = |listener: &Listener| listener.tls.as_ref().and_then(|tls| tls.client_auth.clone());
    open.name == wanted.name
        && open.redirect_to_https == wanted.redirect_to_https
        && open.h2c == wanted.h2c
        && open.proxy_protocol == wanted.proxy_protocol
        && timeout(open) == timeout(wanted)
        && asked(open) == asked(wanted)
}

fn copy(socket: &Listening) -> io::Result<Listening> {
    Ok(match socket {
        Listening::Tcp(listener) => Listening::Tcp(listener.try_clone()?),
        Listening::Unix(listener) => Listening::Unix(listener.try_clone()?),
    })
}

/// Lets workers take what still waits at a listener, and no more; on this side it ends first.
///
/// A worker serves the connections that wait in its socket and then closes it. Were there a handle of it here as well,
/// the system would go on completing connections for it, and reset them when that handle goes.
fn retire(door: OpenDoor, workers: &[Handle]) {
    drop(door.sockets);
    workers
        .iter()
        .for_each(|worker| worker.order(Order::Close { id: door.id }));
}

/// A Unix socket's name outlives its socket, and a client that finds it would not know.
fn remove_path(door: &OpenDoor) {
    if let SocketSpec::Unix(path) = &door.listener.address {
        let _ = std::fs::remove_file(path);
    }
}
