//! The act of handing over to a new process, and the report of the last one.

use std::collections::HashSet;
use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::Control;
use crate::config::plan::SocketSpec;
use crate::doors;
use crate::handover::{
    Course, Deadline, FORMAT, FoundServers, GiveFault, Heritage, Item, Launch, Link, Offer, Role,
    StandingOrder, Successor, hand_over,
};
use crate::kit::clock::Now;
use crate::listen::{BindFault, Bound};
use crate::upstream::Order;

/// Servers of all sources together that are handed over: some MiB, which fit into what the processes say to each other.
/// The new process asks the sources of the others before it knows theirs, and is upgraded to all the same.
const FOUND_SERVERS_MAX: usize = 20_000;

/// How the process was started, and how its upgrades went.
pub struct Upgrades {
    launch: Option<Launch>,
    /// Upgrades that have led to this process.
    pub generation: u64,
    is_under_way: AtomicBool,
    has_missed_reload: AtomicBool,
    link: Mutex<Option<Arc<Link>>>,
    last: Mutex<Option<LastUpgrade>>,
    stage: Mutex<Stage>,
    /// What another process has taken over.
    pub handed_over: watch::Sender<Option<Handed>>,
    /// The admin address as it is configured, and the control side's handle of its socket.
    admin: Mutex<Option<(SocketSpec, Bound)>>,
}

/// How an upgrade went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastUpgrade {
    /// When.
    pub at: Now,
    /// Why it came to nothing; None for the one that has led to this process.
    pub problem: Option<String>,
}

/// What another process has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handed {
    /// The listeners.
    pub doors: HashSet<doors::Key>,
    /// Whether it has the admin address.
    pub has_admin: bool,
    /// Its id.
    pub pid: u32,
}

enum Stage {
    Serving,
    HandedOver(HashSet<doors::Key>),
    Stopping,
}

/// Why there was no upgrade. Nothing has changed.
#[derive(Debug)]
pub enum UpgradeFault {
    /// This gateway is a part of some other program.
    NoProgram,
    /// Its end would be the end of the container.
    FirstProcess,
    /// There is one already.
    UnderWay,
    /// It stops, or has handed over already.
    Stopping,
    /// An applied configuration is being watched, and the new process would start by the one before it.
    Applying,
    /// A socket cannot be copied.
    Sockets(BindFault),
    /// The new process.
    Give(GiveFault),
}

impl fmt::Display for UpgradeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoProgram => f.write_str("this gateway is part of another program"),
            Self::FirstProcess => f.write_str(
                "this is the first process of its container, which ends with it: replace the container instead",
            ),
            Self::UnderWay => f.write_str("an upgrade is under way already"),
            Self::Stopping => f.write_str("the gateway is stopping"),
            Self::Applying => f.write_str(
                "an applied configuration is being watched: wait until it is kept or has gone, see sluice status",
            ),
            Self::Sockets(fault) => fault.fmt(f),
            Self::Give(fault) => fault.fmt(f),
        }
    }
}

impl std::error::Error for UpgradeFault {}

impl Upgrades {
    /// Of a process that was started so, and perhaps by another one.
    pub fn new(
        launch: Option<Launch>,
        heritage: Option<&Heritage>,
        admin: Option<(SocketSpec, Bound)>,
    ) -> Self {
        Self {
            launch,
            generation: heritage.map_or(0, |heritage| heritage.generation().0),
            is_under_way: AtomicBool::new(false),
            has_missed_reload: AtomicBool::new(false),
            link: Mutex::default(),
            last: Mutex::default(),
            stage: Mutex::new(Stage::Serving),
            handed_over: watch::Sender::new(None),
            admin: admin.into(),
        }
    }

    /// How the last one went.
    pub fn last(&self) -> Option<LastUpgrade> {
        self.last.lock().clone()
    }

    /// This process is what an upgrade has led to.
    pub fn arrived(&self, at: Now) {
        *self.last.lock() = Some(LastUpgrade { at, problem: None });
    }

    /// Whether another process answers at the admin address.
    pub fn has_given_admin(&self) -> bool {
        let handed = self.handed_over.borrow();
        handed.as_ref().is_some_and(|handed| handed.has_admin)
    }

    /// Whether one is under way.
    pub fn is_under_way(&self) -> bool {
        self.is_under_way.load(Ordering::Acquire)
    }

    /// Whether the program's file is another one than at the start.
    pub fn is_due(&self) -> bool {
        self.launch.as_ref().is_some_and(Launch::has_changed)
    }

    /// A reload has to wait for an upgrade. True if there is one. To be asked by whoever holds the lock of reloads.
    pub(super) fn defer_reload(&self) -> bool {
        let defers = self.is_under_way();
        if defers {
            self.has_missed_reload.store(true, Ordering::Release);
        }
        defers
    }

    /// The gateway stops: an upgrade that is under way ends. The listeners that another
    /// process has by then.
    pub(super) fn stop(&self) -> HashSet<doors::Key> {
        let handed = match std::mem::replace(&mut *self.stage.lock(), Stage::Stopping) {
            Stage::HandedOver(handed) => handed,
            Stage::Serving | Stage::Stopping => HashSet::new(),
        };
        if let Some(link) = self.link.lock().take() {
            link.hang_up();
        }
        *self.admin.lock() = None;
        handed
    }

    fn is_serving(&self) -> bool {
        matches!(*self.stage.lock(), Stage::Serving)
    }
}

impl Course for Upgrades {
    fn begun(&self, link: &Arc<Link>) -> bool {
        *self.link.lock() = Some(Arc::clone(link));
        // Asked after the link can be found: whoever stops in between has hung up.
        self.is_serving()
    }

    fn is_wanted(&self) -> bool {
        self.is_serving()
    }
}

impl Control {
    /// Starts the file that is now where this program's was, and hands the sockets over to it. Waits until it serves, for
    /// `upgrade_timeout` at most.
    ///
    /// # Errors
    /// Nothing has changed then, and the gateway serves on.
    pub fn upgrade(&self) -> Result<Successor, UpgradeFault> {
        let upgrades = &self.upgrades;
        if upgrades.is_under_way.swap(true, Ordering::AcqRel) {
            return Err(UpgradeFault::UnderWay);
        }
        // A reload that has begun ends first; those that come from here on see that an upgrade is under way.
        drop(self.reloading.lock());
        let outcome = self.try_upgrade();
        *upgrades.link.lock() = None;
        let has_missed_reload = {
            // A reload is deferred before this and made up for below, or comes after it and is not deferred.
            let _one_at_a_time = self.reloading.lock();
            upgrades.is_under_way.store(false, Ordering::Release);
            upgrades.has_missed_reload.swap(false, Ordering::AcqRel)
        };
        match &outcome {
            Ok(successor) => {
                log::info!(
                    "process {} (sluice {}) has taken over",
                    successor.pid,
                    successor.version
                );
            }
            Err(fault) => {
                log::error!("not upgraded, this process goes on: {fault}");
                self.state.metrics.upgrade_failed();
                let problem = Some(fault.to_string());
                let at = self.clock.now();
                *upgrades.last.lock() = Some(LastUpgrade { at, problem });
                if has_missed_reload && upgrades.is_serving() {
                    // Whichever way it goes is logged.
                    let _ = self.reload();
                }
            }
        }
        outcome
    }

    fn try_upgrade(&self) -> Result<Successor, UpgradeFault> {
        let launch = self.upgrades.launch.as_ref().ok_or(UpgradeFault::NoProgram)?;
        if rustix::process::getpid().is_init() {
            return Err(UpgradeFault::FirstProcess);
        }
        if !self.upgrades.is_serving() {
            return Err(UpgradeFault::Stopping);
        }
        // None begins from here on: it would see that an upgrade is under way.
        if self.applies.watched().is_some() {
            return Err(UpgradeFault::Applying);
        }
        let patience = self.snapshot().plan.server.upgrade_timeout;
        let deadline = Deadline::after(&self.clock, patience);
        let (offer, sockets) = self.offer().map_err(UpgradeFault::Sockets)?;
        log::info!("upgrade: {} is started", launch.program().display());
        let successor = hand_over(launch, &offer, sockets, &deadline, &self.upgrades);
        let successor = successor.map_err(UpgradeFault::Give)?;
        let mut stage = self.upgrades.stage.lock();
        if let Stage::Stopping = *stage {
            successor.stop();
            return Err(UpgradeFault::Stopping);
        }
        let handed = handed(&offer, &successor);
        *stage = Stage::HandedOver(handed.doors.clone());
        self.draining.store(true, Ordering::Release);
        self.upgrades.handed_over.send_replace(Some(handed));
        Ok(successor)
    }

    fn offer(&self) -> Result<(Offer, Vec<OwnedFd>), BindFault> {
        let (mut items, mut sockets) = (Vec::new(), Vec::new());
        let mut put = |item, socket: crate::listen::Listening| {
            items.push(item);
            sockets.push(OwnedFd::from(socket));
        };
        for ((configured, nth), address, socket) in self.doors().copies()? {
            put(Item::new(Role::Listener, configured, *nth, address), socket);
        }
        if let Some((configured, bound)) = &*self.upgrades.admin.lock() {
            for socket in bound.copies()? {
                put(Item::new(Role::Admin, configured, 0, &bound.address), socket);
            }
        }
        let offer = Offer {
            format: FORMAT,
            generation: self.upgrades.generation + 1,
            failures: self.state.metrics.upgrades_failed(),
            sockets: items,
            tickets: self.state.tls.ticket_keys(self.clock.mono()),
            orders: self.standing_orders(),
            found: self.found_servers(),
        };
        Ok((offer, sockets))
    }

    /// What is known from each source: the new process has asked none when its doors open.
    fn found_servers(&self) -> Vec<FoundServers> {
        let snapshot = self.snapshot();
        let (mut found, mut told) = (Vec::<FoundServers>::new(), 0);
        for service in &snapshot.services {
            let Some((discover, discovered)) =
                service.plan.discover.as_ref().zip(service.discovered.as_ref())
            else {
                continue;
            };
            let source = &discover.source;
            let given = discovered.roster.given();
            let is_news = given.is_known && !found.iter().any(|other| other.are_of(source));
            if !is_news || told + given.servers.len() > FOUND_SERVERS_MAX {
                continue;
            }
            told += given.servers.len();
            let given_at = discovered.roster.status().succeeded_at.unwrap_or_default();
            found.push(FoundServers::new(source, &given.servers, given_at));
        }
        found
    }

    fn standing_orders(&self) -> Vec<StandingOrder> {
        let snapshot = self.snapshot();
        let of = |service: &crate::snapshot::Service| {
            let seats = service.plan.servers.iter().filter_map(|server| {
                let seat = service.pool.seat(&server.address)?;
                let (order, weight) = (seat.order(), seat.weight());
                (order != Order::Up || weight.is_some()).then(|| StandingOrder {
                    upstream: service.plan.name.clone(),
                    server: server.address.to_string(),
                    state: order.name().to_owned(),
                    weight,
                })
            });
            seats.collect::<Vec<_>>()
        };
        snapshot.services.iter().flat_map(|service| of(service)).collect()
    }
}

fn handed(offer: &Offer, successor: &Successor) -> Handed {
    let mut handed = Handed {
        doors: HashSet::new(),
        has_admin: false,
        pid: successor.pid,
    };
    for item in successor.taken.iter().filter_map(|at| offer.sockets.get(*at)) {
        match item.role {
            Role::Admin => handed.has_admin = true,
            Role::Listener => {
                let configured = SocketSpec::parse(&item.configured);
                handed.doors.extend(configured.map(|spec| (spec, item.nth)));
            }
        }
    }
    handed
}
