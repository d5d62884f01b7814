//! Sends spans to a collector: OTLP over HTTP, as JSON, compressed.
//!
//! One task on the control runtime empties the outbox that the workers fill. It lives as long as the gateway: a reload
//! changes where it sends to and loses nothing. While the collector is away the outbox fills up to its limit, and what
//! comes then is counted and dropped: no request ever waits for it.

mod encode;
mod pace;
mod run;
mod verdict;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::config::plan::Tracing;
use crate::kit::clock::Clock;
use crate::kit::outage::Outage;
use crate::observe::{Outbox, Tracer};
use crate::outbound::{Client, Trust};

/// The sending side of tracing.
pub struct Exporter {
    inner: Arc<Inner>,
    destination: watch::Sender<Arc<Tracing>>,
    stopping: watch::Sender<bool>,
    /// Hears when the task has ended.
    ended: Mutex<Receiver<()>>,
}

/// How it goes, for `/status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Where spans are sent.
    pub url: String,
    /// Whether the last batch has arrived, or none was sent yet.
    pub is_up: bool,
    /// Why it has not, or had not the last time.
    pub fault: Option<String>,
    /// Spans that wait.
    pub queued: u64,
    /// Spans that have arrived.
    pub exported: u64,
    /// Spans lost.
    pub dropped: u64,
}

/// What the task and its owner share.
struct Inner {
    outbox: Arc<Outbox>,
    clock: Clock,
    outage: Mutex<Outage>,
}

impl Exporter {
    /// Begins to empty an outbox of its own, on `runtime`, which must drive I/O and time. `seed` spreads its tries.
    pub fn start(to: &Tracing, runtime: &Handle, clock: &Clock, trust: &Trust, seed: u64) -> Self {
        let (outbox, inbox) = Outbox::new();
        let inner = Arc::new(Inner {
            outbox: Arc::new(outbox),
            clock: clock.clone(),
            outage: Mutex::default(),
        });
        let (destination, to) = watch::channel(Arc::new(to.clone()));
        let (stopping, stop) = watch::channel(false);
        let (tell_end, ended) = channel();
        let courier = run::Courier {
            inner: Arc::clone(&inner),
            inbox,
            client: Client::new(trust),
            to,
            stop,
            jitter: fastrand::Rng::with_seed(seed),
        };
        runtime.spawn(async move {
            courier.run().await;
            // Nobody hears it who does not wait for the end.
            let _ = tell_end.send(());
        });
        Self {
            inner,
            destination,
            stopping,
            ended: Mutex::new(ended),
        }
    }

    /// From now on spans are sent there, those that wait already too.
    pub fn redirect(&self, to: &Tracing) {
        self.destination.send_if_modified(|old| {
            let is_other = **old != *to;
            if is_other {
                *old = Arc::new(to.clone());
            }
            is_other
        });
    }

    /// What a snapshot hands its spans to.
    pub fn tracer(&self, plan: &Tracing) -> Tracer {
        Tracer {
            sample_ppm: plan.sample_ppm,
            queue_max: plan.queue_max,
            outbox: Arc::clone(&self.inner.outbox),
        }
    }

    /// Sends what waits and ends. Blocks, and no longer than that; must not be called on the runtime itself.
    pub fn finish(&self, patience: Duration) {
        // The task has ended where nobody listens.
        let _ = self.stopping.send(true);
        if self.ended.lock().recv_timeout(patience).is_err() {
            let left = self.inner.outbox.queued();
            log::warn!(
                "tracing: the collector did not take the last spans in time, {left} and those on their way are lost"
            );
        }
    }

    /// Counts.
    pub fn outbox(&self) -> &Outbox {
        &self.inner.outbox
    }

    /// How it goes.
    pub fn status(&self) -> Status {
        let outage = self.inner.outage.lock();
        let outbox = &self.inner.outbox;
        Status {
            url: self.destination.borrow().url.clone(),
            is_up: !outage.is_on(),
            fault: outage.last_fault().map(str::to_owned),
            queued: outbox.queued() as u64,
            exported: outbox.exported(),
            dropped: outbox.dropped().iter().sum(),
        }
    }
}

impl Inner {
    /// One line when it goes, however often it is tried.
    fn failed(&self, url: &str, fault: &str) {
        if self.outage.lock().goes_on(fault, self.clock.mono()) {
            log::warn!("tracing: spans do not arrive at {url}: {fault}");
        }
    }

    /// One line when it is back.
    fn arrived(&self, url: &str) {
        if let Some(away) = self.outage.lock().ends(self.clock.mono()) {
            log::info!("tracing: spans arrive at {url} again, after {away:.1?}");
        }
    }
}
