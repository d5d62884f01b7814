//! A worker's connections to servers that speak HTTP/2, and who gets a place on them.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;

use super::link::{Link, PACE, Room};
use super::{LINKS_MAX, Peer, STREAMS_MAX};
use crate::kit::clock::Mono;
use crate::stream::{IoFault, Stream};

/// What connections are found again by: the number of the server and that of what it was greeted with, 0 for nothing.
pub type Key = (u64, u64);

/// So many connections that all refuse requests show that it is the server: then none is opened for one more try.
const LINKS_COMPARED: usize = 2;

/// A worker's connections.
#[derive(Debug, Default)]
pub struct Links {
    groups: RefCell<HashMap<Key, Rc<Group>>>,
}

/// Those to one server.
#[derive(Debug)]
struct Group {
    peer: Rc<Peer>,
    links: RefCell<Vec<Rc<Link>>>,
    /// Being opened.
    opening: Cell<usize>,
    /// Requests that have no place yet, those that open a connection among them.
    waiting: Cell<usize>,
    /// What the last connection has taken at once.
    capacity: Cell<usize>,
    /// How many could not be opened, and why the last one could not.
    faults: Cell<u64>,
    last_fault: RefCell<Option<IoFault>>,
    idle_timeout: Cell<Duration>,
    /// A place has become free, or a connection has come or failed to.
    changed: Rc<Notify>,
}

impl Links {
    /// A place for a request: on a connection there is, or on one that `open` brings. Takes as long as `open` does, or as
    /// long as there is no place: the limit is the caller's. `peer` is asked for where there is no connection yet.
    /// `is_wary`: on a connection that has just refused one, only if another one refuses them too.
    pub async fn room(
        &self,
        key: Key,
        peer: impl FnOnce() -> Peer,
        (idle_timeout, is_wary): (Duration, bool),
        open: impl Future<Output = Result<Stream, IoFault>>,
    ) -> Result<Room, IoFault> {
        let group = self.group(key, peer);
        group.idle_timeout.set(idle_timeout);
        if let Some(room) = group.room(is_wary) {
            return Ok(room);
        }
        let mut room = group.wait(is_wary, open).await?;
        room.was_awaited = true;
        Ok(room)
    }

    /// Closes what has had nothing to do for too long; called about once a second.
    pub fn sweep(&self, now: Mono) {
        self.groups.borrow_mut().retain(|_, group| {
            let mut links = group.links.borrow_mut();
            for link in links.iter() {
                link.grow_old(group.idle_timeout.get(), now);
            }
            links.retain(|link| link.is_open());
            !links.is_empty() || group.waiting.get() > 0
        });
    }

    /// How many take requests.
    pub fn len(&self) -> usize {
        let groups = self.groups.borrow();
        groups.values().map(|group| group.links.borrow().len()).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn group(&self, key: Key, peer: impl FnOnce() -> Peer) -> Rc<Group> {
        let mut groups = self.groups.borrow_mut();
        let group = groups.entry(key).or_insert_with(|| {
            Rc::new(Group {
                peer: Rc::new(peer()),
                links: RefCell::default(),
                opening: Cell::default(),
                waiting: Cell::default(),
                capacity: Cell::new(STREAMS_MAX),
                faults: Cell::default(),
                last_fault: RefCell::default(),
                idle_timeout: Cell::default(),
                changed: Rc::default(),
            })
        });
        Rc::clone(group)
    }
}

impl Group {
    /// A place that there is not yet.
    async fn wait(
        self: &Rc<Self>,
        is_wary: bool,
        open: impl Future<Output = Result<Stream, IoFault>>,
    ) -> Result<Room, IoFault> {
        let _waiting = Counted::new(self, |group| &group.waiting);
        let faults = self.faults.get();
        let opening = loop {
            let changed = self.changed.notified();
            if let Some(room) = self.room(is_wary) {
                return Ok(room);
            }
            if self.faults.get() != faults {
                return Err(self.fault());
            }
            if self.may_open() {
                break Counted::new(self, |group| &group.opening);
            }
            changed.await;
        };
        let opened = match open.await {
            Ok(stream) => Link::open(stream, Rc::clone(&self.peer), PACE, Rc::clone(&self.changed))
                .await
                .map_err(IoFault::Broken),
            Err(fault) => Err(fault),
        };
        // Whoever waits for it is told by the end of the count.
        let link = opened.inspect_err(|fault| self.note(fault))?;
        self.capacity.set(link.capacity().max(1));
        self.links.borrow_mut().push(Rc::clone(&link));
        drop(opening);
        // A server may say goodbye with its first word.
        link.room()
            .ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionAborted).into())
    }

    /// A place on a connection there is, the youngest first: the others may then grow old and go. Those that have refused a
    /// request come last, and not at all for a wary one while there is no other to compare with.
    fn room(&self, is_wary: bool) -> Option<Room> {
        let mut links = self.links.borrow_mut();
        let willing = links.iter().rev().filter(|link| !link.is_refusing());
        let room = willing.into_iter().find_map(Link::room);
        let room = room.or_else(|| match is_wary && links.len() < LINKS_COMPARED {
            true => None,
            false => links.iter().rev().find_map(Link::room),
        });
        links.retain(|link| link.is_open());
        room
    }

    /// Whether another connection is wanted: those on their way will not have places for all who wait.
    fn may_open(&self) -> bool {
        let opening = self.opening.get();
        let all = self.links.borrow().len() + opening;
        all < LINKS_MAX && opening.saturating_mul(self.capacity.get()) < self.waiting.get()
    }

    fn note(&self, fault: &IoFault) {
        self.faults.set(self.faults.get() + 1);
        *self.last_fault.borrow_mut() = Some(again(fault));
    }

    fn fault(&self) -> IoFault {
        self.last_fault.borrow().as_ref().map_or(IoFault::TimedOut, again)
    }
}

/// The same fault for one more who has waited.
fn again(fault: &IoFault) -> IoFault {
    match fault {
        IoFault::TimedOut => IoFault::TimedOut,
        IoFault::Broken(error) => IoFault::Broken(match error.raw_os_error() {
            Some(number) => io::Error::from_raw_os_error(number),
            None => io::Error::new(error.kind(), error.to_string()),
        }),
    }
}

/// Counts one for as long as it lives, and tells those who wait when it ends.
struct Counted {
    group: Rc<Group>,
    count: fn(&Group) -> &Cell<usize>,
}

impl Counted {
    fn new(group: &Rc<Group>, count: fn(&Group) -> &Cell<usize>) -> Self {
        count(group).set(count(group).get() + 1);
        Self {
            group: Rc::clone(group),
            count,
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let count = (self.count)(&self.group);
        count.set(count.get() - 1);
        self.group.changed.notify_waiters();
    }
}
