//! The workers: a thread each, with a runtime, listening sockets and connections of its own.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustix::net::{SocketFlags, accept_with, acceptfrom_with};
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::LocalOptions;
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::config::plan;
use crate::corridor::arrival;
use crate::corridor::worker::{Door, DoorCounts, Load, TICK, Worker};
use crate::kit::clock::Clock;
use crate::listen::{Admission, Listening};
use crate::observe::{Journal, Metrics};
use crate::snapshot::Snapshot;
use crate::stream::Stream;
use crate::tls::ServerSide;

/// Ticks between two looks at idle connections.
const TICKS_PER_SWEEP: u32 = 10;
/// How long accepting pauses when the system has no descriptor left: some will have been closed by then.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Connections taken from a socket that closes. More than can wait in it, and yet an end where they keep coming.
const WAITING_MAX: usize = 8192;

/// What the control side wants of a worker.
pub enum Order {
    /// Take connections from a socket.
    Open {
        /// Names the door in `Close`.
        id: u64,
        /// As configured.
        listener: plan::Listener,
        /// Shared by the workers' doors of that listener.
        counts: Arc<DoorCounts>,
        /// What handshakes are answered with; None is plain HTTP.
        tls: Option<Arc<ServerSide>>,
        /// This worker's sockets: more than one if another process had more workers.
        sockets: Vec<Listening>,
    },
    /// Take no more connections there, and let those there are end within `drain_timeout`.
    Close {
        /// As it was opened.
        id: u64,
    },
    /// Close all doors, wait that long for running requests, and end.
    Drain {
        /// For running requests.
        patience: Duration,
        /// Doors whose sockets another process has: what waits in them is left to it.
        handed_over: Arc<HashSet<u64>>,
    },
}

/// What a worker starts with.
pub struct Seed {
    /// What it serves by.
    pub current: Arc<ArcSwap<Snapshot>>,
    /// Where the time comes from.
    pub clock: Clock,
    /// Its part of the access log.
    pub journal: Journal,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Counts connections of all workers.
    pub admission: Arc<Admission>,
}

/// A running worker, as the control side holds it. Dropping it ends the worker at once.
pub struct Handle {
    orders: UnboundedSender<Order>,
    thread: Mutex<Option<JoinHandle<bool>>>,
    /// What it is busy with.
    pub load: Arc<Load>,
}

impl Handle {
    /// Starts a worker that has no door yet.
    pub fn start(number: usize, seed: Seed) -> io::Result<Self> {
        let (orders, inbox) = unbounded_channel();
        let load = Arc::<Load>::default();
        let its_load = Arc::clone(&load);
        let (started, has_started) = std::sync::mpsc::sync_channel(1);
        let work = move || {
            // Made where it runs, because it cannot move. A LocalSet on a runtime would queue and wake everything twice.
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build_local(LocalOptions::default());
            let (runtime, fault) =
                runtime.map_or_else(|fault| (None, Err(fault)), |made| (Some(made), Ok(())));
            _ = started.send(fault);
            let life = async move { obey(Rc::new(Crew::new(seed, its_load)), inbox).await };
            runtime.is_some_and(|runtime| runtime.block_on(life))
        };
        let thread = Builder::new().name(format!("worker-{number}")).spawn(work)?;
        has_started.recv().map_err(io::Error::other)??;
        Ok(Self {
            orders,
            thread: Mutex::new(Some(thread)),
            load,
        })
    }

    /// Gives an order. One that has ended obeys none, and needs none.
    pub fn order(&self, order: Order) {
        let _ = self.orders.send(order);
    }

    /// Waits for its end, after an order to drain. Whether every request had ended by itself.
    pub fn join(&self) -> bool {
        let thread = self.thread.lock().take();
        thread.is_none_or(|thread| thread.join().unwrap_or(false))
    }
}

/// What the tasks of one worker share.
struct Crew {
    worker: Rc<Worker>,
    admission: Arc<Admission>,
    connections: Cell<usize>,
    one_ended: Notify,
}

impl Crew {
    fn new(seed: Seed, load: Arc<Load>) -> Self {
        let mut worker = Worker::new(seed.current, seed.clock, seed.journal, &seed.metrics);
        worker.load = load;
        Self {
            worker: Rc::new(worker),
            admission: seed.admission,
            connections: Cell::new(0),
            one_ended: Notify::new(),
        }
    }
}

/// The worker's own life. Whether all requests had ended by themselves.
async fn obey(crew: Rc<Crew>, mut inbox: UnboundedReceiver<Order>) -> bool {
    let mut doors: HashMap<u64, Rc<Door>> = HashMap::new();
    let mut ticks = tokio::time::interval(TICK);
    let mut until_sweep = TICKS_PER_SWEEP;
    let (patience, handed_over) = loop {
        tokio::select! {
            order = inbox.recv() => match order {
                None => return false,
                Some(Order::Open { id, listener, counts, tls, sockets }) => {
                    let door = Rc::new(Door::new(listener, counts, tls));
                    doors.insert(id, Rc::clone(&door));
                    for socket in sockets {
                        tokio::task::spawn_local(take_connections(Rc::clone(&crew), Rc::clone(&door), socket));
                    }
                }
                Some(Order::Close { id }) => {
                    if let Some(door) = doors.remove(&id) {
                        door.close();
                        let patience = crew.worker.pin().plan.server.drain_timeout;
                        tokio::task::spawn_local(cut_after(patience, door));
                    }
                }
                Some(Order::Drain { patience, handed_over }) => break (patience, handed_over),
            },
            at = ticks.tick() => {
                crew.worker.tick(at);
                until_sweep -= 1;
                if until_sweep == 0 {
                    until_sweep = TICKS_PER_SWEEP;
                    crew.worker.sweep();
                }
            }
        }
    };
    for (id, door) in &doors {
        match handed_over.contains(id) {
            true => door.hand_over(),
            false => door.close(),
        }
    }
    crew.worker.stop();
    // The tasks that take connections close after what the system had already taken for them.
    tokio::task::yield_now().await;
    let ended = tokio::time::timeout(patience, all_ended(&crew)).await.is_ok();
    crew.worker.flush();
    ended
}

async fn cut_after(patience: Duration, door: Rc<Door>) {
    tokio::time::sleep(patience).await;
    door.cut();
}

async fn all_ended(crew: &Crew) {
    while crew.connections.get() > 0 {
        crew.one_ended.notified().await;
    }
    // Clients of other workers may follow what this one fetches.
    crew.worker.errands_done().await;
}

/// A listening socket as the runtime knows it.
enum Acceptor {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Acceptor {
    fn new(socket: Listening) -> io::Result<Self> {
        Ok(match socket {
            Listening::Tcp(listener) => Self::Tcp(TcpListener::from_std(listener)?),
            Listening::Unix(listener) => Self::Unix(UnixListener::from_std(listener)?),
        })
    }

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Stream, Option<IpAddr>)>> {
        match self {
            Self::Tcp(listener) => listener.poll_accept(cx).map_ok(tcp),
            Self::Unix(listener) => listener
                .poll_accept(cx)
                .map_ok(|(stream, _)| (Stream::Unix(stream), None)),
        }
    }

    /// Takes one of the connections that wait, by asking the system itself: the runtime says that there are none until
    /// it has been told of them.
    fn take_waiting(&self) -> io::Result<(Stream, Option<IpAddr>)> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        match self {
            Self::Tcp(listener) => {
                let (socket, peer) = acceptfrom_with(listener, flags)?;
                let stream = tokio::net::TcpStream::from_std(socket.into())?;
                let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
                // accept(2) names the peer of whatever it accepts.
                Ok(tcp((stream, peer.ok_or(io::ErrorKind::ConnectionAborted)?)))
            }
            Self::Unix(listener) => {
                let socket = accept_with(listener, flags)?;
                Ok((
                    Stream::Unix(tokio::net::UnixStream::from_std(socket.into())?),
                    None,
                ))
            }
        }
    }
}

fn tcp((stream, peer): (tokio::net::TcpStream, SocketAddr)) -> (Stream, Option<IpAddr>) {
    // Without it the end of a small answer waits for the client's acknowledgement of its beginning.
    let _ = stream.set_nodelay(true);
    (Stream::Tcp(stream), Some(peer.ip().to_canonical()))
}

async fn take_connections(crew: Rc<Crew>, door: Rc<Door>, socket: Listening) {
    let acceptor = match Acceptor::new(socket) {
        Ok(acceptor) => acceptor,
        Err(error) => return log::error!("cannot listen on {}: {error}", door.listener.address),
    };
    loop {
        let taken = tokio::select! {
            biased;
            () = door.closed() => break,
            taken = std::future::poll_fn(|cx| acceptor.poll_accept(cx)) => taken,
        };
        match taken {
            Ok((stream, peer)) => welcome(&crew, &door, stream, peer),
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                log::error!("cannot take connections on {}: {error}", door.listener.address);
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    if door.is_handed_over() {
        return;
    }
    // The system has completed these for us: closing the socket would reset them.
    for _ in 0..WAITING_MAX {
        match acceptor.take_waiting() {
            Ok((stream, peer)) => welcome(&crew, &door, stream, peer),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if is_of_one_connection(&error) => {}
            Err(_) => break,
        }
    }
}

/// accept(2): errors of the connection and not of the listening socket.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted, WouldBlock};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted | WouldBlock
    )
}

fn welcome(crew: &Rc<Crew>, door: &Rc<Door>, stream: Stream, peer: Option<IpAddr>) {
    let snapshot = crew.worker.pin();
    let server = &snapshot.plan.server;
    // Whose it is shows when the PROXY header has been read; and a proxy speaks for all of its clients.
    let is_client = |ip: &IpAddr| !door.listener.proxy_protocol && !server.trusted_proxies.contains(*ip);
    let slot = match crew.admission.admit(peer.filter(is_client), &server.limits) {
        Ok(slot) => slot,
        Err(full) => return crew.worker.turn_away(full),
    };
    let present = Present::new(crew);
    let (worker, door) = (Rc::clone(&crew.worker), Rc::clone(door));
    tokio::task::spawn_local(async move {
        let _present = present;
        tokio::select! {
            biased;
            // Begun here: a future that is moved into another takes its room twice, for as long as the connection lasts.
            () = arrival::serve(worker, Rc::clone(&door), stream, peer, slot) => {}
            () = door.has_been_cut() => {}
        }
    });
}

/// One connection of a worker, counted while it lives.
struct Present(Rc<Crew>);

impl Present {
    fn new(crew: &Rc<Crew>) -> Self {
        crew.connections.set(crew.connections.get() + 1);
        Self(Rc::clone(crew))
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.connections.set(self.0.connections.get() - 1);
        self.0.one_ended.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::plan::SocketSpec;
    use crate::listen::Bound;

    #[tokio::test]
    async fn connections_that_the_runtime_has_not_heard_of_are_taken_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("door.sock");
        let tcp = Bound::new(&SocketSpec::Tcp("127.0.0.1:0".parse().unwrap()), 1).unwrap();
        let unix = Bound::new(&SocketSpec::Unix(path.clone()), 1).unwrap();
        let SocketSpec::Tcp(address) = tcp.address else {
            panic!("it was bound as TCP");
        };
        let by_tcp = || drop(std::net::TcpStream::connect(address).unwrap());
        let by_unix = || drop(std::os::unix::net::UnixStream::connect(&path).unwrap());
        for (bound, connect, ip) in [
            (tcp, &by_tcp as &dyn Fn(), Some(address.ip())),
            (unix, &by_unix, None),
        ] {
            let acceptor = Acceptor::new(bound.sockets.into_iter().next().unwrap()).unwrap();
            connect();
            connect();
            for _ in 0..2 {
                assert_eq!(acceptor.take_waiting().unwrap().1, ip);
            }
            let error = acceptor.take_waiting().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        }
    }
}
