//! Who asks where servers are: a task for each source, on the control runtime.
//!
//! What an answer means is decided in [`discovery`](crate::discovery); here is how it is come by.

mod consul;
mod dns;
mod file;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::config::plan::DiscoverSource;
use crate::discovery::{Answer, Pace, Roster, Say};
use crate::kit::clock::Clock;
use crate::lookout::Lookout;
use crate::outbound::{Client, Trust};
use crate::snapshot::Snapshot;

/// Asks what a configuration wants asked, a task for each source; dropping it ends them all.
pub struct Finder {
    runtime: Handle,
    clock: Clock,
    running: Mutex<Vec<Running>>,
    changed: Arc<Notify>,
}

/// A source that shall be asked.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Who is asked.
    pub source: DiscoverSource,
    /// Longest time between two questions, where it is asked at intervals.
    pub interval: Duration,
    /// Who is told.
    pub roster: Arc<Roster>,
}

/// A task; dropping it ends it, between two awaits.
struct Running {
    task: AbortHandle,
    wanted: Wanted,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Finder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finder")
            .field("running", &self.running.lock().len())
            .finish_non_exhaustive()
    }
}

/// The sources of a snapshot, each once; of two intervals the shorter one.
pub fn wanted(snapshot: &Snapshot) -> Vec<Wanted> {
    let mut found: Vec<Wanted> = Vec::new();
    for service in &snapshot.services {
        let Some((discover, discovered)) = service.plan.discover.as_ref().zip(service.discovered.as_ref())
        else {
            continue;
        };
        match found.iter_mut().find(|w| w.source == discover.source) {
            Some(same) => same.interval = same.interval.min(discover.interval),
            None => found.push(Wanted {
                source: discover.source.clone(),
                interval: discover.interval,
                roster: Arc::clone(&discovered.roster),
            }),
        }
    }
    found
}

impl Finder {
    /// Asks nothing yet; its tasks will run on `runtime`, which must drive I/O and time.
    pub fn new(runtime: Handle, clock: Clock) -> Self {
        Self {
            runtime,
            clock,
            running: Mutex::default(),
            changed: Arc::default(),
        }
    }

    /// Ends when some roster has changed; changes while nobody listened count as one.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Starts what is wanted and not running, ends what is running and not wanted, leaves the rest alone.
    ///
    /// `trust` is for sources that are asked over TLS; without it they are not asked.
    pub fn reconcile(&self, wanted: Vec<Wanted>, trust: Option<&Trust>) {
        let mut running = self.running.lock();
        let mut next = Vec::with_capacity(wanted.len());
        for wanted in wanted {
            let is_it = |r: &Running| {
                let same = Arc::ptr_eq(&r.wanted.roster, &wanted.roster);
                same && r.wanted.source == wanted.source && r.wanted.interval == wanted.interval
            };
            let kept = running.iter().position(is_it).map(|at| running.swap_remove(at));
            next.extend(kept.or_else(|| self.start(wanted, trust)));
        }
        *running = next;
    }

    fn start(&self, wanted: Wanted, trust: Option<&Trust>) -> Option<Running> {
        let (asks, pace) = match &wanted.source {
            DiscoverSource::Consul(plan) => {
                let asker = consul::Asker::new(plan.clone(), Client::new(trust?));
                (Asks::Consul(asker), Pace::told(consul::FALLBACK))
            }
            DiscoverSource::Dns { name, resolver } => {
                let asker = dns::Asker::new(name.clone(), *resolver, wanted.interval);
                (Asks::Dns(asker), Pace::of(wanted.interval))
            }
            DiscoverSource::File(path) => {
                let lookout = Lookout::new("files of servers");
                (Asks::File(path.clone(), lookout), Pace::of(file::AGAIN))
            }
        };
        let search = Search {
            wanted: wanted.clone(),
            clock: self.clock.clone(),
            changed: Arc::clone(&self.changed),
            pace,
        };
        let task = self.runtime.spawn(search.run(asks, fastrand::Rng::new()));
        Some(Running {
            task: task.abort_handle(),
            wanted,
        })
    }
}

/// How a source is asked.
enum Asks {
    Consul(consul::Asker),
    Dns(dns::Asker),
    File(std::path::PathBuf, Lookout),
}

impl Asks {
    async fn ask(&mut self) -> Answer {
        match self {
            Self::Consul(asker) => asker.ask().await,
            Self::Dns(asker) => asker.ask().await,
            Self::File(path, lookout) => {
                // Before it is read: what changes from here on is an event.
                lookout.follow(std::slice::from_ref(path));
                file::read(path)
            }
        }
    }

    async fn rest(&mut self, wait: Duration) {
        match self {
            Self::Consul(_) | Self::Dns(_) => tokio::time::sleep(wait).await,
            Self::File(_, lookout) => lookout.changed().await,
        }
    }
}

/// What a task works with.
struct Search {
    wanted: Wanted,
    clock: Clock,
    changed: Arc<Notify>,
    pace: Pace,
}

impl Search {
    /// Asks for ever, the first time at once.
    async fn run(self, mut asks: Asks, mut draws: fastrand::Rng) {
        loop {
            let answer = asks.ask().await;
            let told = self
                .wanted
                .roster
                .take(answer, self.pace, self.clock.now(), draws.f64());
            told.say.iter().for_each(|say| self.log(say));
            if told.changed {
                self.changed.notify_one();
            }
            asks.rest(told.wait).await;
        }
    }

    fn log(&self, say: &Say) {
        let source = &self.wanted.source;
        if say.is_warning() {
            log::warn!("discovery: {source} {say}");
        } else {
            log::info!("discovery: {source} {say}");
        }
    }
}
