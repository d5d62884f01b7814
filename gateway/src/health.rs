//! Active health: each server is asked how it is, as its upstream's `health_check` says, and its cell is told.

mod framed;
mod probe;
mod sealed;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::{MissedTickBehavior, interval, sleep};

use self::probe::{Bad, Probe};
pub use self::sealed::Via;
use crate::config::plan::{Address, HealthCheck};
use crate::kit::clock::Clock;
use crate::snapshot::Snapshot;
use crate::upstream::health::Thresholds;
use crate::upstream::{Health, Server};

/// Runs the probes a configuration wants, one task each; dropping it ends them all.
#[derive(Debug)]
pub struct Prober {
    runtime: Handle,
    clock: Clock,
    jitter: Mutex<fastrand::Rng>,
    running: Mutex<HashMap<Key, Running>>,
    /// Whether there have been probes to start: what comes from then on comes to a gateway that serves.
    has_begun: AtomicBool,
}

/// One probe that shall run.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Who is asked.
    pub address: Address,
    /// How.
    pub check: HealthCheck,
    /// What it is met with before.
    pub via: Via,
    /// Who is told.
    pub cell: Arc<Health>,
    /// Starts slowly when it comes back.
    pub server: Arc<Server>,
}

/// What a probe is found again by; two upstreams that ask the same of the same server share it.
type Key = (Address, HealthCheck, u64);

/// A running probe; dropping it ends it, between two awaits.
#[derive(Debug)]
struct Running {
    task: AbortHandle,
    wanted: Wanted,
}

/// The probes of a snapshot. A server written down is left in peace: whatever it answered, it would not serve.
pub fn wanted(snapshot: &Snapshot) -> Vec<Wanted> {
    let of_service = |service: &Arc<crate::snapshot::Service>| {
        let check = service.plan.health_check.clone();
        let via = Via {
            tls: service.tls.clone(),
            proxy: service.plan.send_proxy_protocol,
            protocol: service.plan.protocol,
        };
        let pool = Arc::clone(&service.pool);
        (0..pool.members().len()).filter_map(move |index| {
            let member = &pool.members()[index];
            let (check, cell) = check.clone().zip(member.health().cloned())?;
            (!member.plan().down).then(|| Wanted {
                address: member.address().clone(),
                check,
                via: via.clone(),
                cell,
                server: Arc::clone(pool.server(index)),
            })
        })
    };
    snapshot.services.iter().flat_map(of_service).collect()
}

impl Prober {
    /// Runs nothing yet; its tasks will run on `runtime`, which must drive I/O and time.
    pub fn new(runtime: Handle, clock: Clock) -> Self {
        Self {
            runtime,
            clock,
            jitter: Mutex::new(fastrand::Rng::new()),
            running: Mutex::default(),
            has_begun: AtomicBool::new(false),
        }
    }

    /// Starts what is wanted and not running, ends what is running and not wanted, leaves the rest alone.
    pub fn reconcile(&self, wanted: Vec<Wanted>) {
        let mut running = self.running.lock();
        let is_late = self.has_begun.swap(true, Ordering::Relaxed);
        let mut next = HashMap::with_capacity(wanted.len());
        for wanted in wanted {
            let key = (wanted.address.clone(), wanted.check.clone(), wanted.via.id());
            if next.contains_key(&key) {
                continue;
            }
            let kept = running.remove(&key).filter(|running| running.tells(&wanted));
            next.insert(key, kept.unwrap_or_else(|| self.start(wanted, is_late)));
        }
        *running = next;
    }

    fn start(&self, wanted: Wanted, is_late: bool) -> Running {
        // Spread over one interval: a hundred servers are not asked in the same moment, nor by every gateway at once.
        let place = wanted.check.interval.mul_f64(self.jitter.lock().f64());
        let task = self
            .runtime
            .spawn(watch(wanted.clone(), place, is_late, self.clock.clone()));
        Running {
            task: task.abort_handle(),
            wanted,
        }
    }
}

impl Running {
    /// A cell that was forgotten and made anew is another one, though it is found by the same key.
    fn tells(&self, wanted: &Wanted) -> bool {
        Arc::ptr_eq(&self.wanted.cell, &wanted.cell) && Arc::ptr_eq(&self.wanted.server, &wanted.server)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Shortest time between two probes of a server, whatever was configured.
const INTERVAL_MIN: Duration = Duration::from_millis(1);

/// Asks for ever, from its place within the interval on. A probe that takes longer than the interval delays the next one: they
/// never pile up. Who comes to a gateway that serves is asked at once, as it has requests from now on.
async fn watch(wanted: Wanted, place: Duration, is_late: bool, clock: Clock) {
    let probe = match Probe::new(&wanted.address, &wanted.check, &wanted.via) {
        Ok(probe) => probe,
        Err(bad) => return log::error!("{} cannot be probed and counts as up: {bad}", wanted.address),
    };
    let mut is_unable = false;
    if is_late {
        ask(&probe, &wanted, &mut is_unable, &clock).await;
    }
    sleep(place).await;
    let mut ticks = interval(wanted.check.interval.max(INTERVAL_MIN));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        ask(&probe, &wanted, &mut is_unable, &clock).await;
    }
}

/// One probe. `is_unable` = the last one could not be made.
async fn ask(probe: &Probe, wanted: &Wanted, is_unable: &mut bool, clock: &Clock) {
    let result = probe.ask().await;
    // No probe at all: a machine without descriptors would take down all of its servers at once.
    if let Err(Bad::Ours(error)) = &result {
        if !std::mem::replace(is_unable, true) {
            log::warn!("{} cannot be probed and stays as it is: {error}", wanted.address);
        }
        return;
    }
    *is_unable = false;
    tell(wanted, &result, clock);
}

/// One line in the log for each change of verdict, none for each probe.
fn tell(wanted: &Wanted, result: &Result<(), Bad>, clock: &Clock) {
    let thresholds = Thresholds {
        healthy: wanted.check.healthy_threshold,
        unhealthy: wanted.check.unhealthy_threshold,
    };
    // Before the verdict, so that no pick finds it up with all of its weight.
    if result.is_ok() && !wanted.cell.up() {
        wanted.server.came_up(clock.now().mono);
    }
    if wanted.cell.observe(result.is_ok(), thresholds).is_none() {
        return;
    }
    match result {
        Ok(()) => log::info!(
            "{} is up: {} good probes in a row",
            wanted.address,
            thresholds.healthy
        ),
        Err(bad) => log::warn!(
            "{} is down: its first probe, or {} in a row, bad; the last one: {bad}",
            wanted.address,
            thresholds.unhealthy
        ),
    }
}

#[cfg(test)]
mod tests;
