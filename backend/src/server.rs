//! The process's sockets: they open once the database is ready, and close after the last answer.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::HeaderValue;
use fastrand::Rng;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{sleep, timeout};

use crate::app::App;
use crate::calendar::Timestamp;
use crate::chaos::Chaos;
use crate::clock::Clock;
use crate::http::router;
use crate::password::{self, Cost, Vault};
use crate::store::{self, Store, seed, users};
use crate::token::Key;

/// All that a server has to be told.
pub struct Config {
    /// Where to listen; port 0 is any free port.
    pub listen: Vec<SocketAddr>,
    /// The SQLite file.
    pub database: PathBuf,
    /// Signs access tokens.
    pub key: Key,
    /// How long an access token is good for.
    pub token_lifetime: Duration,
    /// What a password hash costs.
    pub password_cost: Cost,
    /// Whether missing sample data is added first.
    pub seed: bool,
    /// A user who is made an admin first.
    pub admin: Option<String>,
    /// How long a stop waits for running requests.
    pub drain_timeout: Duration,
    /// Trouble on purpose, and the chance it follows.
    pub chaos: Option<(Chaos, Rng)>,
    /// What tells the time.
    pub clock: Clock,
}

/// Why a server did not start.
#[derive(Debug)]
pub enum StartError {
    /// The address cannot be listened on.
    Listen(SocketAddr, std::io::Error),
    /// The database cannot be opened, or not be prepared.
    Database(PathBuf, store::Error),
    /// Passwords cannot be hashed on this machine.
    Password(password::Error),
    /// `--admin` names nobody.
    UnknownAdmin(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Listen(address, error) => write!(f, "cannot listen on {address}: {error}"),
            StartError::Database(path, error) => write!(f, "cannot use {}: {error}", path.display()),
            StartError::Password(error) => write!(f, "cannot hash passwords: {error:?}"),
            StartError::UnknownAdmin(name) => {
                write!(f, "no user is named {name}: register it first (POST /users)")
            }
        }
    }
}

impl std::error::Error for StartError {}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Every request was answered.
    Drained,
    /// Some were still running when their time was over.
    CutOff,
}

/// A server that accepts connections.
pub struct Server {
    app: Arc<App>,
    addresses: Vec<SocketAddr>,
    stop: watch::Sender<bool>,
    listeners: JoinSet<Stopped>,
}

/// Connections of the whole process, which are what its memory grows with. More wait in the kernel's queue. A client
/// that never reads its answer keeps its place: writing has no deadline here, the gateway in front has one.
const CONNECTIONS_MAX: usize = 4096;
/// From the end of one response to the end of the next request's head. Longer than the gateway in front keeps idle
/// connections (60 s), so that it is not us who closes one just as a request comes in.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// The pause after accept(2) failed: then the machine is out of sockets or memory, and trying at once helps nobody.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

impl Server {
    /// Opens the database and all sockets, then accepts on all of them.
    pub async fn start(config: Config) -> Result<Server, StartError> {
        let Config {
            listen,
            database,
            key,
            token_lifetime,
            password_cost,
            seed,
            admin,
            drain_timeout,
            chaos,
            clock,
        } = config;
        let prepare = move || prepare(database, password_cost, seed, admin, clock());
        let (store, vault) = spawn_blocking(prepare)
            .await
            .expect("the preparation does not panic")?;
        let chaos = chaos.map(|(chaos, rng)| (chaos, Mutex::new(rng)));
        let stopping = AtomicBool::new(false);
        let app = Arc::new(App {
            store,
            vault,
            key,
            token_lifetime,
            clock,
            chaos,
            stopping,
        });

        // All are bound before any accepts: a server that lacks one address serves on none.
        let mut bound = Vec::new();
        for address in listen {
            let error = |error| StartError::Listen(address, error);
            let listener = TcpListener::bind(address).await.map_err(error)?;
            bound.push((listener.local_addr().map_err(error)?, listener));
        }
        let (stop, stopped) = watch::channel(false);
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut listeners = JoinSet::new();
        let mut addresses = Vec::new();
        for (address, listener) in bound {
            let instance = HeaderValue::try_from(address.to_string()).expect("an address is visible ASCII");
            let router = router(Arc::clone(&app), instance);
            listeners.spawn(listen_on(
                listener,
                router,
                Arc::clone(&places),
                stopped.clone(),
                drain_timeout,
            ));
            addresses.push(address);
        }
        Ok(Server {
            app,
            addresses,
            stop,
            listeners,
        })
    }

    /// Where the server listens, in the order of the configuration, with the ports it was given.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Stops accepting, lets running requests end, and closes the database.
    pub async fn stop(self) -> Stopped {
        let Server {
            app, stop, listeners, ..
        } = self;
        // First /ready, then the sockets: who asks on a connection that is still open is told.
        app.stopping.store(true, Ordering::Relaxed);
        stop.send_replace(true);
        let all = listeners.join_all().await;
        // The last one to know the app closes the database, which blocks.
        spawn_blocking(move || drop(app))
            .await
            .expect("closing does not panic");
        if all.contains(&Stopped::CutOff) {
            Stopped::CutOff
        } else {
            Stopped::Drained
        }
    }
}

fn prepare(
    database: PathBuf,
    password_cost: Cost,
    seed: bool,
    admin: Option<String>,
    now: Timestamp,
) -> Result<(Store, Vault), StartError> {
    let vault = Vault::new(password_cost).map_err(StartError::Password)?;
    let hash_of = |password: &str| {
        vault
            .hash_now(password)
            .map_err(|error| store::Error::Broken(format!("cannot hash a password: {error:?}")))
    };
    let opened = Store::open(&database, |db| {
        if seed {
            seed::plant(db, hash_of, now)?;
        }
        admin.as_ref().map_or(Ok(()), |name| users::promote(db, name))
    });
    match (opened, admin) {
        (Ok(store), _) => Ok((store, vault)),
        (Err(store::Error::NotFound), Some(name)) => Err(StartError::UnknownAdmin(name)),
        (Err(error), _) => Err(StartError::Database(database, error)),
    }
}

/// Accepts until told to stop; then waits for its connections, and cuts off what takes longer than `drain_timeout`.
async fn listen_on(
    listener: TcpListener,
    router: Router,
    places: Arc<Semaphore>,
    mut stop: watch::Receiver<bool>,
    drain_timeout: Duration,
) -> Stopped {
    let mut connections = JoinSet::new();
    let also_told = stop.clone();
    loop {
        let accepted = async {
            let place = Arc::clone(&places)
                .acquire_owned()
                .await
                .expect("the semaphore is never closed");
            (place, listener.accept().await)
        };
        tokio::select! {
            () = told_to_stop(&mut stop) => break,
            // Ended connections are taken out as they end, or the set would grow for ever.
            Some(_) = connections.join_next() => {}
            (place, accepted) = accepted => match accepted {
                Ok((stream, _)) => {
                    let conversation = converse(stream, router.clone(), also_told.clone());
                    connections.spawn(async move {
                        conversation.await;
                        drop(place);
                    });
                }
                Err(error) => {
                    eprintln!("error: cannot accept a connection: {error}");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    if timeout(drain_timeout, ended).await.is_ok() {
        return Stopped::Drained;
    }
    eprintln!(
        "warning: {} connections were still busy after {drain_timeout:?} and are cut off",
        connections.len()
    );
    connections.shutdown().await;
    Stopped::CutOff
}

/// Serves one connection: request after request, until the client leaves or the server stops.
async fn converse(stream: TcpStream, router: Router, mut stop: watch::Receiver<bool>) {
    // Answers are written at once and whole: waiting for more to send only delays them. If it fails, they are late.
    let _ = stream.set_nodelay(true);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(KEEP_ALIVE);
    let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    // How a connection ends is the client's affair: it resets, it times out, it sends what is not HTTP.
    tokio::select! {
        _ = connection.as_mut() => {}
        () = told_to_stop(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

/// Ends when the server is told to stop, or is gone.
async fn told_to_stop(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}
