//! The link to Redis: limits that several gateways count together.
//!
//! A task on the control runtime holds one connection and sends what workers ask, many questions at a time. A worker
//! waits for its answer no longer than the deadline, on its own runtime: whatever happens to the task, the connection or
//! Redis, no request is held longer. While Redis is away, or slow, workers are answered at once and nobody is asked.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use redis::{ConnectionInfo, IntoConnectionInfo};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use self::fault::LinkFault;
use self::gauge::Gauge;
pub use self::gauge::{Counts, Phase};
use self::serve::Question;
use crate::config::plan;
use crate::guard::shared::{Answer, Ask, Pending, Shared, SharedFault};
use crate::kit::clock::Clock;
use crate::kit::outage::Outage;
use crate::state::Cells;

mod fault;
mod gauge;
mod open;
mod pace;
mod serve;

/// Questions that wait until the task takes them. It takes them as fast as it runs, so more means that it does not.
const QUEUE_MAX: usize = 4_096;

/// All links of one gateway, each found again by its URL; one lives as long as somebody holds it.
pub struct Links {
    runtime: Handle,
    clock: Clock,
    jitter: Mutex<fastrand::Rng>,
    cells: Cells<String, Link>,
}

impl Links {
    /// No link yet; their tasks will run on `runtime`, which must drive I/O and time.
    ///
    /// `seed` spreads their tries to connect: gateways with different ones do not try in the same moments.
    pub fn new(runtime: Handle, clock: Clock, seed: u64) -> Self {
        Self {
            runtime,
            clock,
            jitter: Mutex::new(fastrand::Rng::with_seed(seed)),
            cells: Cells::default(),
        }
    }

    /// The link to that URL: the one that lives, or a new one. Either way its deadline is that of `redis` from now on.
    pub fn claim(&self, redis: &plan::Redis) -> Arc<Link> {
        let make = || {
            let seed = self.jitter.lock().u64(..);
            Link::start(redis, &self.runtime, self.clock.clone(), seed)
        };
        let link = self.cells.claim(&redis.url, make);
        link.set_timeout(redis.timeout);
        link
    }
}

/// A link to one Redis. Dropping it ends its task and closes its connection.
pub struct Link {
    inner: Arc<Inner>,
    inbox: mpsc::Sender<Question>,
    task: Option<AbortHandle>,
}

/// How a link is, for `/status` and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Where it leads: host and port or a path, and never a password.
    pub address: String,
    /// Whether it asks.
    pub phase: Phase,
    /// Why it does not, or did not the last time.
    pub fault: Option<String>,
    /// What was asked, and what came of it.
    pub counts: Counts,
}

/// What the task and the answers on their way share.
struct Inner {
    address: String,
    clock: Clock,
    gauge: Gauge,
    outage: Mutex<Outage>,
}

impl Link {
    /// Begins to connect, on `runtime`, which must drive I/O and time. It is down until it has; see [`Links::new`] for
    /// `seed`.
    pub fn start(redis: &plan::Redis, runtime: &Handle, clock: Clock, seed: u64) -> Self {
        let info = redis.url.as_str().into_connection_info();
        let address = info.as_ref().map_or_else(
            |_| "an address that cannot be read".to_owned(),
            |info| info.addr().to_string(),
        );
        let inner = Arc::new(Inner {
            address,
            clock,
            gauge: Gauge::new(redis.timeout),
            outage: Mutex::default(),
        });
        let (inbox, questions) = mpsc::channel(QUEUE_MAX);
        let task = match info {
            Ok(info) => Some(inner.spawn(info, questions, runtime, seed)),
            Err(error) => {
                inner.goes_down(&LinkFault::Url(fault::shown(&error)));
                None
            }
        };
        Self { inner, inbox, task }
    }

    /// Another deadline, for questions from now on.
    pub fn set_timeout(&self, timeout: Duration) {
        self.inner.gauge.set_timeout(timeout);
    }

    /// Whether it asks.
    pub fn is_up(&self) -> bool {
        self.inner.gauge.phase() == Phase::Up
    }

    /// How it is.
    pub fn status(&self) -> Status {
        Status {
            address: self.inner.address.clone(),
            phase: self.inner.gauge.phase(),
            fault: self.inner.outage.lock().last_fault().map(str::to_owned),
            counts: self.inner.gauge.counts(),
        }
    }
}

impl Shared for Link {
    /// The deadline runs from the first poll, which must be on a runtime that drives time.
    fn admit(&self, ask: Ask) -> Pending {
        let gauge = &self.inner.gauge;
        gauge.asked();
        let (tell, told) = oneshot::channel();
        let is_sent = gauge.phase() == Phase::Up && self.inbox.try_send(Question { ask, tell }).is_ok();
        if !is_sent {
            let answer = Err(SharedFault::Unavailable);
            gauge.answered(&answer);
            return Pending::known(answer);
        }
        Pending::of(wait(Arc::clone(&self.inner), told))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// The answer, or the deadline. It is here that lateness is noticed, because the task may be what is late.
async fn wait(
    inner: Arc<Inner>,
    told: oneshot::Receiver<Result<Answer, SharedFault>>,
) -> Result<Answer, SharedFault> {
    let answer = match tokio::time::timeout(inner.gauge.timeout(), told).await {
        Ok(Ok(answer)) => answer,
        // The connection was lost with the question on it.
        Ok(Err(_)) => Err(SharedFault::Unavailable),
        Err(_) => Err(SharedFault::Late),
    };
    inner.gauge.answered(&answer);
    answer
}

impl Inner {
    fn spawn(
        self: &Arc<Self>,
        info: ConnectionInfo,
        questions: mpsc::Receiver<Question>,
        runtime: &Handle,
        seed: u64,
    ) -> AbortHandle {
        let jitter = fastrand::Rng::with_seed(seed);
        let life = serve::run(Arc::clone(self), info, questions, jitter);
        runtime.spawn(life).abort_handle()
    }

    /// One line when it comes back, however often it was tried.
    fn comes_up(&self) {
        self.gauge.set_phase(Phase::Up);
        match self.outage.lock().ends(self.clock.mono()) {
            None => log::info!("redis at {} counts for all gateways", self.address),
            Some(away) => log::info!("redis at {} is back after {away:.1?}", self.address),
        }
    }

    fn goes_down(&self, fault: &LinkFault) {
        self.gauge.set_phase(Phase::Down);
        self.note(fault);
    }

    /// One line when it goes, and one for each further reason until it is back.
    fn note(&self, fault: &LinkFault) {
        let fault = fault.to_string();
        if self.outage.lock().goes_on(&fault, self.clock.mono()) {
            log::warn!("redis at {} is away, on_redis_error holds: {fault}", self.address);
        }
    }
}
