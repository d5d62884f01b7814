//! The listening sockets of the gateway, and which worker has which.
//!
//! The control side keeps a handle of every socket: so that a listener whose settings change goes on with the
//! same socket, and no connection that waits in it is lost.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::config::plan::{Certificate, Listener, ListenerTls, SocketSpec};
use crate::corridor::worker::DoorCounts;
use crate::kit::clock::Now;
use crate::listen::{self, BindFault, Bound, Listening};
use crate::tls::{Resumption, ServerSide, Slot};
use crate::workers::{Handle, Order};

/// A listener's identity: where it is configured to be, and which of those it is (several may ask for port 0).
pub type Key = (SocketSpec, usize);

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

/// Sockets bound for a configuration that is not in use yet, and the workers' copies of all that they are to open. Dropping
/// them unbinds them.
pub struct Prepared {
    bound: HashMap<Key, Bound>,
    copies: HashMap<Key, Vec<Listening>>,
}

/// Sockets that another process had open, by where they are configured to be.
pub type Inherited = HashMap<Key, Bound>;

/// What TLS of listeners is made of.
#[derive(Clone, Copy)]
pub struct Wares<'a> {
    /// Of the plan.
    pub certificates: &'a [Arc<Certificate>],
    /// Of those that are ordered, in the same order.
    pub slots: &'a [Option<Arc<Slot>>],
    /// What clients that come back are recognised by.
    pub resumption: &'a Resumption,
    /// The time.
    pub now: Now,
}

impl Wares<'_> {
    fn side(&self, tls: &ListenerTls) -> Arc<ServerSide> {
        ServerSide::new(tls, self.certificates, self.slots, self.resumption, self.now.wall)
    }
}

impl Doors {
    /// Binds what a list of listeners needs beyond what is open and what was inherited. Changes nothing that is in use.
    ///
    /// # Errors
    /// The first address that cannot be had, or the first socket that cannot be copied to the workers.
    pub fn prepare(
        &self,
        listeners: &[Listener],
        workers: usize,
        mut inherited: Inherited,
    ) -> Result<Prepared, BindFault> {
        let (mut bound, mut copies) = (HashMap::new(), HashMap::new());
        for (key, listener) in keyed(listeners) {
            match self.find(&key) {
                Some(door) if settings_are(&door.listener, listener) => {}
                Some(door) => {
                    let its = listen::copies(&door.listener.address, &door.sockets)?;
                    copies.insert(key, its);
                }
                None => {
                    let new = match inherited.remove(&key) {
                        Some(inherited) => inherited.fit(workers)?,
                        None => Bound::new(&key.0, workers)?,
                    };
                    copies.insert(key.clone(), new.copies()?);
                    bound.insert(key, new);
                }
            }
        }
        Ok(Prepared { bound, copies })
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
                        side.replace(tls, wares.certificates, wares.slots, wares.now.wall);
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
                            side.replace(tls, wares.certificates, wares.slots, wares.now.wall);
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
                        copies: prepared.copies.remove(&key).unwrap_or_default(),
                    };
                    self.admit(key, new, workers);
                    retire(door, workers);
                }
                None => {
                    if let Some(bound) = prepared.bound.remove(&key) {
                        if let Err(error) = bound.listen() {
                            log::error!("not all sockets listen on {}: {error}", bound.address);
                        }
                        let new = Admitted {
                            listener,
                            address: bound.address,
                            counts: Arc::default(),
                            tls: listener.tls.as_ref().map(|tls| wares.side(tls)),
                            sockets: bound.sockets,
                            copies: prepared.copies.remove(&key).unwrap_or_default(),
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

    /// Gives up the sockets on this side, which comes before the workers are told to drain: see [`retire`]. Of those that
    /// another process has, their doors' ids come back: nothing else about them changes.
    pub fn release(&mut self, handed_over: &HashSet<Key>) -> HashSet<u64> {
        let (left, closed) = self
            .open
            .drain(..)
            .partition::<Vec<_>, _>(|door| handed_over.contains(&door.key));
        closed.iter().for_each(remove_path);
        left.iter().map(|door| door.id).collect()
    }

    /// Another handle of each socket, for another process.
    ///
    /// # Errors
    /// There is no descriptor left.
    pub fn copies(&self) -> Result<Vec<(&Key, &SocketSpec, Listening)>, BindFault> {
        let mut all = Vec::new();
        for door in &self.open {
            // All workers take from the one queue of a path: its other sockets are handles of the first.
            let n = match door.listener.address {
                SocketSpec::Tcp(_) => door.sockets.len(),
                SocketSpec::Unix(_) => 1,
            };
            let its = listen::copies(&door.listener.address, &door.sockets[..n])?;
            let named = |socket| (&door.key, &door.listener.address, socket);
            all.extend(its.into_iter().map(named));
        }
        Ok(all)
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
            copies,
        } = new;
        let listener = Listener {
            address,
            ..listener.clone()
        };
        self.next_id += 1;
        let id = self.next_id;
        let mut shares: Vec<Vec<Listening>> = workers.iter().map(|_| Vec::new()).collect();
        for (nth, socket) in copies.into_iter().enumerate() {
            shares[nth % workers.len()].push(socket);
        }
        for (worker, sockets) in workers.iter().zip(shares) {
            worker.order(Order::Open {
                id,
                listener: listener.clone(),
                counts: Arc::clone(&counts),
                tls: tls.clone(),
                sockets,
            });
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
    /// The workers' handles of them.
    copies: Vec<Listening>,
}

/// What the listeners are told apart by.
pub fn keys(listeners: &[Listener]) -> HashSet<Key> {
    keyed(listeners).map(|(key, _)| key).collect()
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
