//! Orders certificates from authorities and keeps them new, a task for each, beside the requests.
//!
//! `acme` says when; here is who goes and asks. A task reads what is stored, orders what is due, proves the names by what
//! the workers answer, keeps what has come and puts it under the listeners. It never holds anybody up: while there is
//! no certificate, handshakes for its names are refused, and everything else is served.

mod account;
mod clerk;
mod errand;
mod fault;
mod http;

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use self::clerk::Clerk;
use crate::acme::Challenges;
use crate::config::plan::Acme;
use crate::kit::clock::Clock;
use crate::snapshot::Snapshot;
use crate::state::Ordered;

/// Tasks that order what a configuration wants; dropping it ends them all.
pub struct Orders {
    runtime: Handle,
    clock: Clock,
    running: Mutex<Vec<Running>>,
}

/// What is ordered, and how.
#[derive(Clone)]
struct Wanted {
    ordered: Arc<Ordered>,
    acme: Acme,
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

impl Wanted {
    /// Whoever orders the one orders the other too. A cell that was forgotten and made anew is another one.
    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.ordered, &other.ordered) && self.acme == other.acme
    }
}

impl Orders {
    /// Orders nothing yet; its tasks will run on `runtime`, which must drive I/O and time.
    pub fn new(runtime: Handle, clock: Clock) -> Self {
        Self {
            runtime,
            clock,
            running: Mutex::default(),
        }
    }

    /// Starts what is wanted and not running, ends what is running and not wanted, leaves the rest alone: an order that is
    /// under way does not notice a reload that does not change it.
    pub fn reconcile(&self, snapshot: &Snapshot) {
        let certificates = snapshot.plan.certificates.iter().zip(&snapshot.ordered);
        let wanted = certificates.filter_map(|(certificate, ordered)| {
            Some(Wanted {
                ordered: Arc::clone(ordered.as_ref()?),
                acme: certificate.acme()?.clone(),
            })
        });
        let mut running = self.running.lock();
        let mut next = Vec::new();
        for wanted in wanted {
            let kept = running.iter().position(|r| r.wanted.is(&wanted));
            let kept = kept.map(|at| running.swap_remove(at));
            next.push(kept.unwrap_or_else(|| self.start(wanted, &snapshot.challenges)));
        }
        *running = next;
    }

    fn start(&self, wanted: Wanted, challenges: &Arc<Challenges>) -> Running {
        let clerk = Clerk::new(
            wanted.clone(),
            self.clock.clone(),
            Arc::clone(challenges),
            fastrand::Rng::new(),
        );
        let task = self.runtime.spawn(clerk.run());
        Running {
            task: task.abort_handle(),
            wanted,
        }
    }
}

impl fmt::Debug for Orders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Orders")
            .field("running", &self.running.lock().len())
            .finish_non_exhaustive()
    }
}
