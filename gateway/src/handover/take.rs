//! The new process's side: finds the link, and takes what it wants.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::net::sockopt::{socket_acceptconn, socket_domain, socket_peercred};
use rustix::net::{AddressFamily, getsockname};

use super::link::{Deadline, Link, LinkFault};
use super::message::{FORMAT, FoundServers, Item, Offer, Reply, Role, StandingOrder, Word};
use crate::config::plan::SocketSpec;
use crate::kit::clock::Clock;
use crate::listen::{Bound, Listening};
use crate::tls::TicketKeys;

/// For the offer, which the old process makes at once; and for the word to go.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where a listener is configured to be, and which of those it is.
type Key = (SocketSpec, usize);

/// What this process was given by the one before it.
#[derive(Debug)]
pub struct Heritage {
    link: Link,
    clock: Clock,
    offer: Offer,
    doors: HashMap<Key, Bound>,
    admin: Option<(SocketSpec, Bound)>,
}

/// Why nothing can be taken over.
#[derive(Debug)]
pub enum TakeFault {
    /// Standard input is not a link to the process that has started this one.
    NoLink(String),
    /// The other process speaks in another format.
    Format(String),
    /// The link.
    Link(LinkFault),
    /// A socket is not what it was said to be.
    Socket(String),
}

impl fmt::Display for TakeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLink(why) => write!(
                f,
                "{} is set, but standard input is no link to a gateway that hands over ({why}): unset it",
                super::VARIABLE
            ),
            Self::Format(theirs) => write!(
                f,
                "the running gateway hands over in format {theirs}, and this one takes over in format {FORMAT}: restart it instead"
            ),
            Self::Link(fault) => write!(f, "nothing was handed over: {fault}"),
            Self::Socket(what) => write!(f, "the socket for {what} is none that listens there"),
        }
    }
}

impl std::error::Error for TakeFault {}

impl From<LinkFault> for TakeFault {
    fn from(fault: LinkFault) -> Self {
        Self::Link(fault)
    }
}

impl Heritage {
    /// Takes what standard input has, if `format`, the value of [`VARIABLE`](super::VARIABLE), says that there is something.
    ///
    /// # Errors
    /// The old process has been told, as far as it can be.
    pub fn from_stdin(format: Option<String>, clock: Clock) -> Result<Option<Self>, TakeFault> {
        let Some(format) = format else {
            return Ok(None);
        };
        let end = stdin_link().map_err(TakeFault::NoLink)?;
        Self::from_link(Link::of(end), &format, clock).map(Some)
    }

    fn from_link(link: Link, format: &str, clock: Clock) -> Result<Self, TakeFault> {
        let deadline = Deadline::after(&clock, PATIENCE);
        let received = receive(&link, format, &deadline);
        let (offer, sockets) = match received {
            Ok(received) => received,
            Err(fault) => {
                decline(&link, &fault.to_string(), &deadline);
                return Err(fault);
            }
        };
        let (mut doors, mut admin) = (HashMap::<Key, Bound>::new(), None);
        for (item, socket) in offer.sockets.iter().zip(sockets) {
            let Some((configured, address)) = specs(item) else {
                // It is closed, and the old process keeps its own.
                continue;
            };
            let Some(socket) = listening(&address, socket) else {
                let fault = TakeFault::Socket(item.address.clone());
                decline(&link, &fault.to_string(), &deadline);
                return Err(fault);
            };
            let new = || Bound {
                address,
                sockets: Vec::new(),
            };
            match item.role {
                Role::Listener => doors.entry((configured, item.nth)).or_insert_with(new),
                Role::Admin => &mut admin.get_or_insert_with(|| (configured, new())).1,
            }
            .sockets
            .push(socket);
        }
        Ok(Self {
            link,
            clock,
            offer,
            doors,
            admin,
        })
    }

    /// The sockets of listeners, by where they are configured to be.
    pub fn take_doors(&mut self) -> HashMap<Key, Bound> {
        std::mem::take(&mut self.doors)
    }

    /// The socket of the admin address, if it is configured to be there. Else it is closed.
    pub fn take_admin(&mut self, configured: Option<&SocketSpec>) -> Option<Bound> {
        let (its, bound) = self.admin.take()?;
        (Some(&its) == configured).then_some(bound)
    }

    /// What opens the sessions of clients that come back.
    pub fn tickets(&self) -> Option<&TicketKeys> {
        self.offer.tickets.as_ref()
    }

    /// What operators have told of servers.
    pub fn orders(&self) -> &[StandingOrder] {
        &self.offer.orders
    }

    /// What sources of servers have given.
    pub fn found(&self) -> &[FoundServers] {
        &self.offer.found
    }

    /// Upgrades that have led to this process, and those that have failed on the way.
    pub fn generation(&self) -> (u64, u64) {
        (self.offer.generation, self.offer.failures)
    }

    /// Says that nothing can fail any more, and waits for the word to go. All sockets that are not to be kept must have
    /// been closed: `keeps` says of each offered one whether it is.
    ///
    /// # Errors
    /// The old process goes on, or has gone; this one has to end.
    pub fn prepared(&self, keeps: impl Fn(Role, &SocketSpec, usize) -> bool) -> Result<(), TakeFault> {
        let keeps = |item: &Item| {
            let configured = SocketSpec::parse(&item.configured);
            configured.is_some_and(|configured| keeps(item.role, &configured, item.nth))
        };
        let items = self.offer.sockets.iter().enumerate();
        let prepared = Reply::Prepared {
            version: crate::VERSION.to_owned(),
            taken: items.filter(|(_, item)| keeps(item)).map(|(at, _)| at).collect(),
        };
        let deadline = Deadline::after(&self.clock, PATIENCE);
        self.link.tell(&prepared, &deadline)?;
        match self.link.hear(&deadline)? {
            Word::Go => Ok(()),
        }
    }

    /// Says that this process accepts.
    pub fn ready(&self) {
        let deadline = Deadline::after(&self.clock, PATIENCE);
        if let Err(fault) = self.link.tell(&Reply::Ready, &deadline) {
            // It has been told to go, so it serves, alone if need be.
            log::warn!("the process that handed over was not told that this one serves: {fault}");
        }
    }

    /// Says why this process cannot begin.
    pub fn decline(&self, why: &str) {
        decline(&self.link, why, &Deadline::after(&self.clock, PATIENCE));
    }
}

fn decline(link: &Link, why: &str, deadline: &Deadline) {
    // The exit code says it too.
    let _ = link.tell(&Reply::Declined(why.to_owned()), deadline);
}

fn receive(link: &Link, format: &str, deadline: &Deadline) -> Result<(Offer, Vec<OwnedFd>), TakeFault> {
    if format != FORMAT.to_string() {
        return Err(TakeFault::Format(format.to_owned()));
    }
    let offer: Offer = link.hear(deadline)?;
    if offer.format != FORMAT {
        return Err(TakeFault::Format(offer.format.to_string()));
    }
    let sockets = link.take(offer.sockets.len(), deadline)?;
    Ok((offer, sockets))
}

/// A variable may be passed on by mistake: only a socket of the very process that has started this one is a link.
fn stdin_link() -> Result<OwnedFd, String> {
    let stdin = io::stdin();
    let told = |error: rustix::io::Errno| error.to_string();
    if socket_domain(stdin.as_fd()).map_err(told)? != AddressFamily::UNIX {
        return Err("it is a socket of another kind".to_owned());
    }
    let peer = socket_peercred(stdin.as_fd()).map_err(told)?;
    if Some(peer.pid) != rustix::process::getppid() || peer.uid != rustix::process::geteuid() {
        return Err("it belongs to another process".to_owned());
    }
    let end = stdin.as_fd().try_clone_to_owned().map_err(|e| e.to_string())?;
    // A descriptor that stays open in whatever this process starts would hide this process's end.
    let nothing =
        rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(told)?;
    rustix::stdio::dup2_stdin(nothing).map_err(told)?;
    Ok(end)
}

/// None for an address that this version cannot read.
fn specs(item: &Item) -> Option<(SocketSpec, SocketSpec)> {
    Some((
        SocketSpec::parse(&item.configured)?,
        SocketSpec::parse(&item.address)?,
    ))
}

/// None if it does not listen there.
fn listening(address: &SocketSpec, socket: OwnedFd) -> Option<Listening> {
    let name = getsockname(&socket).ok()?;
    let accepts = socket_acceptconn(&socket).is_ok_and(|accepts| accepts);
    match address {
        SocketSpec::Tcp(tcp) => {
            let is_it = std::net::SocketAddr::try_from(name).is_ok_and(|name| name == *tcp);
            (accepts && is_it).then(|| Listening::Tcp(socket.into()))
        }
        SocketSpec::Unix(_) => {
            let is_it = name.address_family() == AddressFamily::UNIX;
            (accepts && is_it).then(|| Listening::Unix(socket.into()))
        }
    }
}

#[cfg(test)]
mod tests;
