//! A running gateway: puts together what the other modules are, and takes it apart again in order.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::task::LocalSet;

use crate::admin;
use crate::beside::Beside;
use crate::config::changes::Changes;
use crate::config::plan::{Plan, SocketSpec};
use crate::config::{Document, Problems};
use crate::doors::{Doors, Wares};
use crate::health::Prober;
use crate::kit::clock::Clock;
use crate::listen::{BindFault, Bound};
use crate::observe::{LogFault, LogWriter, Metrics, Target};
use crate::reload::{Control, Parts, Report, environment};
use crate::snapshot::Snapshot;
use crate::state::State;
use crate::workers::{Handle, Order, Seed};
use crate::{VERSION, watch as file_watch};

/// How long the access log may take to write what is left when everything else has ended.
const LOG_PATIENCE: Duration = Duration::from_secs(5);

/// A running gateway. Dropped without [`Gateway::stop`] it ends at once.
pub struct Gateway {
    control: Option<Arc<Control>>,
    admin: Option<SocketSpec>,
    end: watch::Sender<Phase>,
    beside: Option<JoinHandle<()>>,
}

/// Where in its life the gateway is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
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
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(problems) => problems.fmt(f),
            Self::Bind(fault) => fault.fmt(f),
            Self::Log(fault) => fault.fmt(f),
            Self::Admin(fault) => fault.fmt(f),
            Self::System(error) => write!(f, "the system gives no thread: {error}"),
        }
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
        let loaded = document.load(&environment).map_err(StartError::Config)?;
        let plan = &loaded.plan;
        let metrics = Arc::new(Metrics::new(VERSION));
        let state = State::new(Arc::clone(&metrics), clock.clone());
        let token = admin::Token::of(plan.admin.as_ref()).map_err(StartError::Admin)?;
        let prepared = Doors::default()
            .prepare(&plan.listeners, plan.server.threads)
            .map_err(StartError::Bind)?;
        let admin_socket = bind_admin(plan)?;
        let target = Target::open(&plan.access_log.target).map_err(StartError::Log)?;
        let log = LogWriter::start(target, metrics.access_log()).map_err(StartError::Log)?;

        let now = clock.now();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let for_guards = Beside::new(runtime.handle(), &clock);
        let shared = for_guards.shared(&loaded.plan);
        let snapshot = Snapshot::wire(loaded.plan, loaded.hash, &state, shared.as_ref(), now, None);
        let current = Arc::new(ArcSwap::from_pointee(snapshot));
        let snapshot = current.load_full();
        let workers = start_workers(&snapshot.plan, &current, &clock, &log, &state)?;
        let mut doors = Doors::default();
        let wares = Wares {
            certificates: &snapshot.plan.certificates,
            resumption: state.tls.resumption(now.mono),
            now,
        };
        doors.apply(&snapshot.plan.listeners, prepared, &workers, wares);
        metrics.loaded(now);

        let (end, phase) = watch::channel(Phase::Running);
        let prober = Prober::new(runtime.handle().clone(), clock.clone());
        let warnings = loaded.warnings;
        let parts = Parts {
            document,
            clock,
            state,
            current,
            workers,
            doors,
            log,
            prober,
            beside: for_guards,
            warnings,
        };
        let control = Arc::new(Control::new(parts));
        let admin = admin_socket.as_ref().map(|bound| bound.address.clone());
        let its_control = Arc::clone(&control);
        let work = move || {
            let work = beside(its_control, admin_socket, token, loaded.files, phase);
            LocalSet::new().block_on(&runtime, work);
        };
        let beside = std::thread::Builder::new()
            .name("control".to_owned())
            .spawn(work)?;
        Ok(Self {
            control: Some(control),
            admin,
            end,
            beside: Some(beside),
        })
    }

    /// The public TCP addresses in the order of the configuration, with their real ports.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners().into_iter().filter_map(tcp).collect()
    }

    /// All public addresses in the order of the configuration.
    pub fn listeners(&self) -> Vec<SocketSpec> {
        self.control()
            .doors()
            .iter()
            .map(|d| d.listener.address.clone())
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
        control.drain();
        let _ = self.end.send(Phase::Draining);
        control.doors().release();
        control
            .workers()
            .iter()
            .for_each(|worker| worker.order(Order::Drain(patience)));
        let all_ended = control.wait_for_workers();
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

fn bind_admin(plan: &Plan) -> Result<Option<Bound>, StartError> {
    let admin = plan.admin.as_ref().map(|admin| Bound::new(&admin.address, 1));
    admin.transpose().map_err(StartError::Bind)
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
    let mut ended = phase.clone();
    let admin = admin::serve(Arc::clone(&control), admin_socket, token);
    let watch = file_watch::run(Arc::clone(&control), files);
    let turns = turn(Arc::clone(&control));
    let discovery = rediscover(Arc::clone(&control));
    tokio::select! {
        () = discovery => {}
        () = turns => {}
        () = admin => {}
        () = watch => {}
        _ = ended.wait_for(|phase| *phase == Phase::Ended) => {}
    }
}
