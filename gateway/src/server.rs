//! A running gateway: puts together what the other modules are, and takes it apart again in order.

mod taken;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::LocalSet;

use crate::admin;
use crate::beside::Beside;
use crate::config::changes::Changes;
use crate::config::plan::{Listener, Plan, SocketSpec};
use crate::config::{Document, Problems};
use crate::doors::{self, Doors, Prepared, Wares};
use crate::handover::{Heritage, Launch, Role, TakeFault};
use crate::health::Prober;
use crate::kit::clock::Clock;
use crate::listen::{BindFault, Bound};
use crate::observe::{LogFault, LogWriter, Metrics, Target};
use crate::reload::{Control, Parts, Report, Upgrades, environment, look_after};
use crate::snapshot::Snapshot;
use crate::state::State;
use crate::workers::{Handle, Order, Seed};
use crate::{VERSION, watch as file_watch};

use taken::{Taken, take_up, take_up_rosters};

/// How long the access log may take to write what is left when everything else has ended.
const LOG_PATIENCE: Duration = Duration::from_secs(5);

/// How long a collector may take for the last spans.
const TRACES_PATIENCE: Duration = Duration::from_secs(5);

/// A running gateway. Dropped without [`Gateway::stop`] it ends at once.
pub struct Gateway {
    control: Option<Arc<Control>>,
    admin: Option<SocketSpec>,
    end: watch::Sender<Phase>,
    beside: Option<JoinHandle<()>>,
    /// Threads that hand over, or have tried to.
    upgrades: Mutex<Vec<JoinHandle<()>>>,
}

/// How a process has come to start a gateway.
#[derive(Debug, Default)]
pub struct Beginning {
    /// How it was started itself, so that it can be upgraded.
    pub launch: Option<Launch>,
    /// What the process before it hands over.
    pub heritage: Option<Heritage>,
}

/// Where in its life the gateway is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The doors are not open yet.
    Starting,
    /// Serving.
    Running,
    /// Ending; admin still answers.
    Draining,
    /// Ended.
    Ended,
}

/// Why a gateway did not start.
#[derive(Debug)]
pub enum StartError {
    /// The configuration.
    Config(Problems),
    /// An address.
    Bind(BindFault),
    /// The access log.
    Log(LogFault),
    /// The admin token.
    Admin(admin::TokenFault),
    /// The operating system would give no thread or event queue.
    System(io::Error),
    /// The process that hands over.
    Handover(TakeFault),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(problems) => problems.fmt(f),
            Self::Bind(fault) => fault.fmt(f),
            Self::Log(fault) => fault.fmt(f),
            Self::Admin(fault) => fault.fmt(f),
            Self::Handover(fault) => fault.fmt(f),
            Self::System(error) => write!(f, "the system gives no thread: {error}"),
        }
    }
}

impl StartError {
    /// For somebody who may not read the configuration: its lines may hold secrets.
    fn without_excerpts(&self) -> String {
        let Self::Config(problems) = self else {
            return self.to_string();
        };
        let mut problems = problems.clone();
        problems.0.iter_mut().for_each(|problem| problem.excerpt = None);
        problems.to_string()
    }
}

impl std::error::Error for StartError {}

impl From<io::Error> for StartError {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl Gateway {
    /// Starts a gateway by a configuration's file. It serves when this returns.
    ///
    /// # Errors
    /// Nothing runs then, and no address is taken.
    pub fn start(path: &Path, clock: Clock) -> Result<Self, StartError> {
        Self::start_by(Document::File(path.to_owned()), clock)
    }

    /// Starts a gateway by a configuration from anywhere. It serves when this returns.
    ///
    /// # Errors
    /// Nothing runs then, and no address is taken.
    pub fn start_by(document: Document, clock: Clock) -> Result<Self, StartError> {
        Self::start_from(document, clock, Beginning::default())
    }

    /// Starts a gateway by a configuration from anywhere, as a program that can be upgraded, or as what another process is
    /// upgraded to. It serves when this returns.
    ///
    /// # Errors
    /// Nothing runs then, and no address is taken; the other process goes on, and has been told why.
    pub fn start_from(document: Document, clock: Clock, beginning: Beginning) -> Result<Self, StartError> {
        let Beginning { launch, heritage } = beginning;
        let mut heritage = heritage;
        let started = Self::begin(document, clock, launch, heritage.as_mut());
        if let (Err(error), Some(heritage)) = (&started, &heritage) {
            heritage.decline(&error.without_excerpts());
        }
        started
    }

    fn begin(
        document: Document,
        clock: Clock,
        launch: Option<Launch>,
        mut heritage: Option<&mut Heritage>,
    ) -> Result<Self, StartError> {
        let loaded = document.load(&environment).map_err(StartError::Config)?;
        let plan = &loaded.plan;
        let metrics = Arc::new(Metrics::new(VERSION));
        let state = State::new(Arc::clone(&metrics), clock.clone());
        let token = admin::Token::of(plan.admin.as_ref()).map_err(StartError::Admin)?;
        let taken = Taken::of(plan, heritage.as_deref_mut()).map_err(StartError::Bind)?;
        let target = Target::open(&plan.access_log.target).map_err(StartError::Log)?;
        let log = LogWriter::start(target, metrics.access_log()).map_err(StartError::Log)?;

        let now = clock.now();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let for_guards = Beside::new(runtime.handle(), &clock);
        let shared = for_guards.shared(&loaded.plan);
        let _held = heritage
            .as_deref()
            .map(|heritage| take_up_rosters(heritage, &loaded.plan, &state));
        let mut snapshot = Snapshot::wire(loaded.plan, loaded.hash, &state, shared.as_ref(), now, None);
        if let Some(heritage) = heritage.as_deref() {
            take_up(heritage, &snapshot, &state, now);
        }
        snapshot.tracer = for_guards.tracer(&snapshot.plan, || state.guards.trust().clone());
        let current = Arc::new(ArcSwap::from_pointee(snapshot));
        let workers = start_workers(&current.load().plan, &current, &clock, &log, &state)?;
        metrics.loaded(now);

        let (end, phase) = watch::channel(Phase::Starting);
        let prober = Prober::new(runtime.handle().clone(), clock.clone());
        let upgrades = Upgrades::new(launch, heritage.as_deref(), taken.admin_at_control);
        let control = Arc::new(Control::new(Parts {
            document,
            clock,
            state,
            current,
            workers,
            doors: Doors::default(),
            log,
            prober,
            beside: for_guards,
            warnings: loaded.warnings,
            upgrades,
        }));
        let admin = taken.admin.as_ref().map(|bound| bound.address.clone());
        let its_control = Arc::clone(&control);
        let work = move || {
            let work = beside(its_control, taken.admin, token, loaded.files, phase);
            LocalSet::new().block_on(&runtime, work);
        };
        let beside = std::thread::Builder::new()
            .name("control".to_owned())
            .spawn(work)?;
        let gateway = Self {
            control: Some(control),
            admin,
            end,
            beside: Some(beside),
            upgrades: Mutex::default(),
        };
        gateway.open(taken.doors, heritage.as_deref())?;
        Ok(gateway)
    }

    /// Opens the doors. What can fail has been done before; only the process that hands over may not want it any more.
    fn open(&self, prepared: Prepared, heritage: Option<&Heritage>) -> Result<(), StartError> {
        let control = self.control();
        let snapshot = control.snapshot();
        if let Some(heritage) = heritage {
            let listeners = doors::keys(&snapshot.plan.listeners);
            let admin = snapshot.plan.admin.as_ref().map(|admin| &admin.address);
            let keeps = |role, configured: &SocketSpec, nth| match role {
                Role::Listener => listeners.contains(&(configured.clone(), nth)),
                Role::Admin => admin == Some(configured),
            };
            heritage.prepared(keeps).map_err(StartError::Handover)?;
        }
        let now = control.clock.now();
        let wares = Wares {
            certificates: &snapshot.plan.certificates,
            slots: &snapshot.slots(),
            resumption: control.state.tls.resumption(now.mono),
            now,
        };
        let listeners = &snapshot.plan.listeners;
        control
            .doors()
            .apply(listeners, prepared, control.workers(), wares);
        let _ = self.end.send(Phase::Running);
        if let Some(heritage) = heritage {
            control.upgrades.arrived(now);
            heritage.ready();
        }
        Ok(())
    }

    /// The public TCP addresses in the order of the configuration, with their real ports.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners()
            .into_iter()
            .filter_map(|(address, _)| tcp(address))
            .collect()
    }

    /// All public addresses in the order of the configuration, each with what is spoken there: `http` or `https`.
    pub fn listeners(&self) -> Vec<(SocketSpec, &'static str)> {
        let scheme = |listener: &Listener| if listener.tls.is_some() { "https" } else { "http" };
        let doors = self.control().doors();
        doors
            .iter()
            .map(|door| (door.listener.address.clone(), scheme(&door.listener)))
            .collect()
    }

    /// The admin address, if it is a TCP one.
    pub fn admin(&self) -> Option<SocketAddr> {
        self.admin.clone().and_then(tcp)
    }

    /// The admin address of any kind.
    pub fn admin_address(&self) -> Option<&SocketSpec> {
        self.admin.as_ref()
    }

    /// Reads the configuration's file again and puts it in use.
    ///
    /// # Errors
    /// All problems; nothing has changed then.
    pub fn reload(&self) -> Result<Changes, Problems> {
        self.control().reload()
    }

    /// Opens the access log again, after its file was renamed.
    ///
    /// # Errors
    /// The old file stays in use then.
    pub fn reopen_logs(&self) -> Result<(), LogFault> {
        self.control().reopen_logs()
    }

    /// What is in use.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.control().snapshot()
    }

    /// How the last reload, or the start, went.
    pub fn report(&self) -> Report {
        self.control().report()
    }

    /// Waits until somebody asks the gateway over the admin address to stop.
    pub fn stop_requested(&self) -> impl Future<Output = ()> + use<> {
        let requested = Arc::clone(&self.control().stop_requested);
        async move { requested.notified().await }
    }

    /// Begins to hand over to the file that is now where the program was. How it ends is logged, and told by
    /// [`Gateway::handed_over`] if it ends well.
    pub fn begin_upgrade(&self) {
        let control = Arc::clone(self.control());
        let thread = std::thread::Builder::new().name("upgrade".to_owned());
        match thread.spawn(move || drop(control.upgrade())) {
            Ok(thread) => {
                let mut upgrades = self.upgrades.lock();
                upgrades.retain(|thread| !thread.is_finished());
                upgrades.push(thread);
            }
            Err(error) => log::error!("not upgraded, this process goes on: no thread: {error}"),
        }
    }

    /// Waits until another process serves at this one's addresses. Its id.
    pub fn handed_over(&self) -> impl Future<Output = u32> + use<> {
        let mut handed_over = self.control().upgrades.handed_over.subscribe();
        async move {
            loop {
                if let Some(handed) = &*handed_over.borrow_and_update() {
                    return handed.pid;
                }
                if handed_over.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        }
    }

    /// Takes no more connections, waits up to `drain_timeout` for running requests, and ends.
    ///
    /// Returns whether every request had ended by itself.
    pub fn stop(mut self) -> bool {
        let patience = self.control().snapshot().plan.server.drain_timeout;
        self.end(patience)
    }

    fn end(&mut self, patience: Duration) -> bool {
        let Some(control) = self.control.take() else {
            return true;
        };
        let handed = control.drain();
        for upgrade in self.upgrades.lock().drain(..) {
            let _ = upgrade.join();
        }
        let _ = self.end.send(Phase::Draining);
        let handed_over = Arc::new(control.doors().release(&handed));
        control.workers().iter().for_each(|worker| {
            let handed_over = Arc::clone(&handed_over);
            worker.order(Order::Drain {
                patience,
                handed_over,
            });
        });
        let all_ended = control.wait_for_workers();
        if let Some(exporter) = control.beside.exporter() {
            exporter.finish(patience.min(TRACES_PATIENCE));
        }
        let _ = self.end.send(Phase::Ended);
        if let Some(beside) = self.beside.take() {
            let _ = beside.join();
        }
        if let Some(control) = Arc::into_inner(control) {
            control.into_log().flush_and_stop(LOG_PATIENCE);
        }
        all_ended
    }

    fn control(&self) -> &Arc<Control> {
        self.control
            .as_ref()
            .expect("only `end` takes it, and `end` is the end")
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.end(Duration::ZERO);
    }
}

fn tcp(address: SocketSpec) -> Option<SocketAddr> {
    match address {
        SocketSpec::Tcp(address) => Some(address),
        SocketSpec::Unix(_) => None,
    }
}

fn start_workers(
    plan: &Plan,
    current: &Arc<ArcSwap<Snapshot>>,
    clock: &Clock,
    log: &LogWriter,
    state: &State,
) -> io::Result<Vec<Handle>> {
    let start = |number| {
        let seed = Seed {
            current: Arc::clone(current),
            clock: clock.clone(),
            journal: log.journal(),
            metrics: Arc::clone(&state.metrics),
            admission: Arc::clone(&state.admission),
        };
        Handle::start(number, seed)
    };
    (0..plan.server.threads).map(start).collect()
}

/// Between two looks at what grows old by itself.
const TURN_PAUSE: Duration = Duration::from_secs(60);

/// What has to be looked at now and then: keys of tickets, and what authorities have said of certificates.
async fn turn(control: Arc<Control>) {
    let mut ticks = tokio::time::interval(TURN_PAUSE);
    loop {
        ticks.tick().await;
        let now = control.clock.now();
        control.state.tls.turn(now.mono);
        control
            .doors()
            .iter()
            .filter_map(|door| door.tls.as_ref())
            .for_each(|side| side.turn(now.wall));
    }
}

/// Between two times that other servers are put in use: a source that says something else every moment does not keep the
/// workers busy with wiring.
const REDISCOVERY_PAUSE: Duration = Duration::from_secs(1);

/// Puts servers in use as they are discovered, for ever. What comes during a pause comes together after it.
async fn rediscover(control: Arc<Control>) {
    loop {
        control.beside.discovered().await;
        control.rediscover();
        tokio::time::sleep(REDISCOVERY_PAUSE).await;
    }
}

/// What goes on beside the requests: admin and the watch over files.
async fn beside(
    control: Arc<Control>,
    admin_socket: Option<Bound>,
    token: admin::Token,
    files: Vec<std::path::PathBuf>,
    phase: watch::Receiver<Phase>,
) {
    let times = admin::Times {
        opens: reached(&phase, |phase| phase != Phase::Starting),
        ends: reached(&phase, |phase| phase == Phase::Ended),
    };
    let admin = admin::serve(Arc::clone(&control), admin_socket, token, times);
    let opened = reached(&phase, |phase| phase != Phase::Starting);
    let its_control = Arc::clone(&control);
    let watch = async move {
        // Until the doors are open their sockets are in nobody's hands whom a reload could ask: it would bind them again.
        opened.await;
        file_watch::run(its_control, files).await;
    };
    let turns = turn(Arc::clone(&control));
    let discovery = rediscover(Arc::clone(&control));
    let applied = look_after(Arc::clone(&control));
    tokio::select! {
        () = discovery => {}
        () = applied => {}
        () = turns => {}
        () = admin => {}
        () = watch => {}
    }
}

/// Resolves when the gateway has come so far.
fn reached(phase: &watch::Receiver<Phase>, is_it: impl Fn(Phase) -> bool) -> impl Future<Output = ()> {
    let mut phase = phase.clone();
    async move {
        // Nobody is left to tell of a phase: then it is the last one.
        let _ = phase.wait_for(|phase| is_it(*phase)).await;
    }
}
