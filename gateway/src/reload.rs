//! The act of reloading, and the report of the last one.
//!
//! Everything that can fail comes before the one store that makes the new configuration visible: reading,
//! checking, binding, opening the log, wiring. Until then nothing anybody uses has been touched, so a reload
//! that fails needs no undo.

mod apply;
mod conditions;
mod probation;
mod staged;
mod upgrade;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use crate::beside::Beside;
use crate::config::changes::Changes;
use crate::config::{Document, Loaded, Plan, Problem, Problems, Severity};
use crate::doors::{self, Doors, Inherited, Wares};
use crate::health::{self, Prober};
use crate::kit::clock::{Clock, Now};
use crate::observe::{LogFault, LogWriter, Target};
use crate::snapshot::Snapshot;
use crate::state::State;
use crate::workers::Handle;

pub use apply::{Applies, look_after};
pub use conditions::{Condition, DEFAULT as DEFAULT_CONDITIONS};
pub use probation::{Applied, ApplyFault, GUARD_MAX, GUARD_MIN, Guard, LastApply, Outcome, Wanted};
pub use staged::FileFault;
pub use upgrade::{Handed, LastUpgrade, UpgradeFault, Upgrades};

/// The gateway as the control side sees it: what is in use, and how to change it.
pub struct Control {
    document: Document,
    /// Where the time comes from.
    pub clock: Clock,
    /// What outlives reloads.
    pub state: State,
    current: Arc<ArcSwap<Snapshot>>,
    workers: Vec<Handle>,
    doors: Mutex<Doors>,
    log: LogWriter,
    prober: Prober,
    /// Who counts and fetches for the guards.
    pub beside: Beside,
    report: Mutex<Report>,
    draining: AtomicBool,
    /// Told when somebody asks for a stop.
    pub stop_requested: Arc<Notify>,
    /// What becomes of this process's place.
    pub upgrades: Upgrades,
    /// What is put in use to be watched.
    pub applies: Applies,
    /// One reload at a time, from whichever of the three triggers.
    reloading: Mutex<()>,
}

/// How the last reload went.
#[derive(Clone, Debug)]
pub struct Report {
    /// When.
    pub at: Now,
    /// Whether it took effect.
    pub ok: bool,
    /// Errors if it did not, warnings if it did.
    pub problems: Problems,
}

/// What a control side is made of.
pub struct Parts {
    /// Where the configuration's text comes from.
    pub document: Document,
    /// Where the time comes from.
    pub clock: Clock,
    /// Cells.
    pub state: State,
    /// What the workers serve by.
    pub current: Arc<ArcSwap<Snapshot>>,
    /// The workers.
    pub workers: Vec<Handle>,
    /// The open listeners.
    pub doors: Doors,
    /// The access log.
    pub log: LogWriter,
    /// The probes.
    pub prober: Prober,
    /// Who counts and fetches for the guards.
    pub beside: Beside,
    /// Warnings of the first load.
    pub warnings: Problems,
    /// What becomes of this process's place.
    pub upgrades: Upgrades,
}

impl Control {
    /// Takes over what was started.
    pub fn new(parts: Parts) -> Self {
        let report = Report {
            at: parts.clock.now(),
            ok: true,
            problems: parts.warnings,
        };
        let control = Self {
            document: parts.document,
            clock: parts.clock,
            state: parts.state,
            current: parts.current,
            workers: parts.workers,
            doors: parts.doors.into(),
            log: parts.log,
            prober: parts.prober,
            beside: parts.beside,
            report: report.into(),
            draining: AtomicBool::new(false),
            stop_requested: Arc::default(),
            upgrades: parts.upgrades,
            applies: Applies::default(),
            reloading: Mutex::default(),
        };
        control.prober.reconcile(health::wanted(&control.snapshot()));
        control.beside.reconcile(&control.snapshot());
        control
    }

    /// Reads the file again and puts it in use, if it can be.
    ///
    /// While an applied configuration is watched, its file holds the text of before: a reload then needs a newer one, which
    /// ends the watch.
    ///
    /// # Errors
    /// All problems; nothing has changed then.
    pub fn reload(&self) -> Result<Changes, Problems> {
        let _one_at_a_time = self.reloading.lock();
        // Asked under the lock under which an upgrade says that it begins and that it is over: it is not missed.
        if self.upgrades.defer_reload() {
            log::info!(
                "an upgrade is under way: the new process reads the configuration, or it is reloaded here afterwards"
            );
            let what =
                "an upgrade is under way, which reads the configuration anew; look at it with: sluice status";
            return Err(self.problem("server", what.to_owned()));
        }
        if self.is_draining() {
            return Err(self.problem("server", "the gateway is stopping".to_owned()));
        }
        if let Some(file) = self.applies.watched()
            && self.applies.holds(self.document.path())
        {
            let file = file.display();
            let what = format!(
                "{file} is being watched, and {} has not changed since; look at it with: sluice status",
                self.document
            );
            log::warn!("not reloaded: {what}");
            return Err(self.problem("server", what));
        }
        let outcome = self.document.load(&environment).and_then(|loaded| {
            let warnings = loaded.warnings.clone();
            let changes = self.install(loaded)?;
            self.supersede_apply();
            Ok((changes, warnings))
        });
        let now = self.clock.now();
        let report = match &outcome {
            Ok((changes, warnings)) => {
                log::info!("configuration reloaded: {}", one_line(changes));
                if !warnings.0.is_empty() {
                    log::warn!("what may not be meant in it:\n{warnings}");
                }
                self.state.metrics.reloaded(now);
                Report {
                    at: now,
                    ok: true,
                    problems: warnings.clone(),
                }
            }
            Err(problems) => {
                log::error!("configuration not reloaded, the old one stays in use:\n{problems}");
                self.state.metrics.reload_failed();
                Report {
                    at: now,
                    ok: false,
                    problems: problems.clone(),
                }
            }
        };
        *self.report.lock() = report;
        outcome.map(|(changes, _)| changes)
    }

    /// Puts the servers in use that sources have given since: the configuration stays, its upstreams get other servers.
    ///
    /// What stays keeps its cells, as in a reload, and what runs on a server that has gone ends there.
    pub fn rediscover(&self) {
        let _one_at_a_time = self.reloading.lock();
        let Some(next) = self.snapshot().rewired(&self.state) else {
            return;
        };
        let next = Arc::new(next);
        self.current.store(Arc::clone(&next));
        self.prober.reconcile(health::wanted(&next));
        self.forget_series(&next);
    }

    /// Opens the access log again, after its file was renamed.
    ///
    /// # Errors
    /// The old file stays in use then.
    pub fn reopen_logs(&self) -> Result<(), LogFault> {
        let outcome = self.log.reopen();
        match &outcome {
            Ok(()) => log::info!("access log reopened"),
            Err(fault) => log::error!("access log not reopened, the old file stays in use: {fault}"),
        }
        outcome
    }

    /// What is in use.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Where the configuration's text comes from.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// How the last reload went.
    pub fn report(&self) -> Report {
        self.report.lock().clone()
    }

    /// The open listeners.
    pub fn doors(&self) -> MutexGuard<'_, Doors> {
        self.doors.lock()
    }

    /// The workers.
    pub fn workers(&self) -> &[Handle] {
        &self.workers
    }

    /// From here on the gateway takes no more work. The listeners that another process goes on with.
    pub fn drain(&self) -> HashSet<doors::Key> {
        self.draining.store(true, Ordering::Release);
        self.upgrades.stop()
    }

    /// Whether it takes no more work.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Waits for the workers' end. Whether every request had ended by itself.
    pub fn wait_for_workers(&self) -> bool {
        // All of them, also when one was cut off.
        self.workers
            .iter()
            .map(Handle::join)
            .filter(|ended| !ended)
            .count()
            == 0
    }

    /// Ends the control side and gives back what is ended last.
    pub fn into_log(self) -> LogWriter {
        self.log
    }

    fn install(&self, loaded: Loaded) -> Result<Changes, Problems> {
        let Loaded { plan, hash, .. } = loaded;
        let before = self.snapshot();
        let changes = Changes::between(&before.plan, &plan);
        if hash == before.hash {
            return Ok(changes);
        }
        // What comes about with the next start only must not look as if it had come about.
        let plan = keep_what_needs_a_restart(plan, &before.plan);
        let mut doors = self.doors.lock();
        // Under the lock under which a stop gives the sockets up: none may be bound again behind its back.
        if self.is_draining() {
            return Err(self.problem("listeners", "the gateway is stopping".to_owned()));
        }
        let prepared = doors.prepare(&plan.listeners, self.workers.len(), Inherited::new());
        let prepared = prepared.map_err(|fault| self.problem("listeners", fault.to_string()))?;
        let target = self.open_log(&plan, &before.plan)?;

        let now = self.clock.now();
        let shared = self.beside.shared(&plan);
        let mut next = Snapshot::wire(plan, hash, &self.state, shared.as_ref(), now, Some(now.mono));
        next.tracer = self
            .beside
            .tracer(&next.plan, || self.state.guards.trust().clone());
        let next = Arc::new(next);
        self.current.store(Arc::clone(&next));

        for (zone, cache) in next.zones.iter().zip(&next.plan.caches) {
            zone.resize(cache);
        }
        for limit in next.watches.limits() {
            limit.cell.table.resize(limit.plan.max_keys);
        }
        self.beside.reconcile(&next);
        let wares = Wares {
            certificates: &next.plan.certificates,
            slots: &next.slots(),
            resumption: self.state.tls.resumption(now.mono),
            now,
        };
        doors.apply(&next.plan.listeners, prepared, &self.workers, wares);
        if let Some(target) = target {
            self.log.retarget(target);
        }
        self.prober.reconcile(health::wanted(&next));
        self.forget_series(&next);
        Ok(changes)
    }

    fn open_log(&self, plan: &Plan, before: &Plan) -> Result<Option<Target>, Problems> {
        if plan.access_log.target == before.access_log.target {
            return Ok(None);
        }
        let target = Target::open(&plan.access_log.target);
        target
            .map(Some)
            .map_err(|fault| self.problem("access_log.path", fault.to_string()))
    }

    /// A problem of the world rather than of the text.
    fn problem(&self, path: &str, message: String) -> Problems {
        Problems(vec![Problem {
            severity: Severity::Error,
            file: self.document.to_string(),
            line: 1,
            column: 1,
            path: path.to_owned(),
            message,
            help: None,
            excerpt: None,
        }])
    }

    fn forget_series(&self, next: &Snapshot) {
        let routes: Vec<_> = next.plan.routes.iter().map(|r| r.name.as_str()).collect();
        self.state.metrics.retain_routes(&routes);
        let servers: Vec<_> = next
            .services
            .iter()
            .flat_map(|u| {
                u.servers
                    .iter()
                    .map(|s| (u.plan.name.as_str(), s.address.as_str()))
            })
            .collect();
        self.state.metrics.retain_servers(&servers);
        let caches: Vec<_> = next.plan.caches.iter().map(|c| c.name.as_str()).collect();
        self.state.metrics.retain_caches(&caches);
    }
}

/// The environment, as configurations are expanded from it.
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn keep_what_needs_a_restart(mut plan: Plan, before: &Plan) -> Plan {
    if plan.server.threads != before.server.threads || plan.admin != before.admin {
        log::warn!("server.threads and [admin] change with the next start only");
    }
    plan.server.threads = before.server.threads;
    plan.admin.clone_from(&before.admin);
    plan
}

fn one_line(changes: &Changes) -> String {
    changes.to_string().trim().lines().collect::<Vec<_>>().join("; ")
}
