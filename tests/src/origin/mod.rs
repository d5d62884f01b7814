//! Scripted origins: each on a port of its own, answering as the play says and writing down what it saw.

mod script;
mod serve;

use std::collections::HashMap;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use socket2::{Domain, SockRef, Socket, Type};

pub use script::{Script, hang_up, never, raw, reply, reset, upgrade};

use crate::body::Body;
use crate::patience::wait_for;
use crate::wire::Head;

/// More connections than any play holds open at once.
const BACKLOG: i32 = 1024;

/// An origin. Dropping it ends its connections, and fails the play if the gateway sent it anything malformed.
pub struct Origin {
    shared: Arc<Shared>,
    /// Nobody else gets the port while the origin is down.
    reservation: Reservation,
    listening: Mutex<Option<Listening>>,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its head.
    pub head: Head,
    /// From the request line.
    pub method: String,
    /// From the request line.
    pub target: String,
    /// Its body, once it has ended or broken.
    pub body: Body,
    /// How many bytes of the body have come so far.
    pub received: Arc<AtomicU64>,
    /// Sizes of its chunks, if it had any.
    pub chunks: Vec<u64>,
    /// Its trailer fields.
    pub trailers: Vec<(String, String)>,
    /// Whether it was read to its end.
    pub complete: bool,
    /// On which connection it came, counted from 0.
    pub connection: usize,
}

/// What an origin does with a new connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Greeting {
    /// It is closed before anything is read.
    HangUp,
    /// It stays open, and nothing is ever read from it.
    Ignore,
    /// Requests are served.
    #[default]
    Serve,
}

/// A port of its own: bound, and never listening. Who binds it too (with SO_REUSEPORT) can listen on it.
pub struct Reservation {
    address: SocketAddr,
    _socket: Socket,
}

struct Listening {
    listener: Arc<TcpListener>,
    acceptor: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    scripts: HashMap<String, Sequence>,
    otherwise: Option<Script>,
    greeting: Greeting,
    seen: Vec<Seen>,
    opened: usize,
    live: HashMap<usize, Live>,
    threads: Vec<JoinHandle<()>>,
    complaints: Vec<String>,
}

/// The scripts of one path: each serves once, and the last one from then on.
#[derive(Default)]
struct Sequence {
    scripts: Vec<Script>,
    served: usize,
}

struct Live {
    stream: TcpStream,
    killed: Arc<AtomicBool>,
}

impl Default for Origin {
    fn default() -> Self {
        Self::new()
    }
}

impl Origin {
    /// An origin that listens, and answers 404 to what no script is for.
    pub fn new() -> Self {
        let origin = Self {
            shared: Arc::default(),
            reservation: Reservation::new(),
            listening: Mutex::default(),
        };
        origin.revive();
        origin
    }

    /// An origin that is down; [`Origin::revive`] brings it up.
    pub fn down() -> Self {
        let origin = Self::new();
        origin.kill();
        origin
    }

    /// Serves a path (without query) by this script from now on.
    #[must_use]
    pub fn on(self, path: &str, script: Script) -> Self {
        self.set(path, script);
        self
    }

    /// Once the scripts before have served, this one does.
    #[must_use]
    pub fn then(self, path: &str, script: Script) -> Self {
        let mut state = self.shared.state.lock();
        state
            .scripts
            .entry(path.to_owned())
            .or_default()
            .scripts
            .push(script);
        drop(state);
        self
    }

    /// Serves every path without a script of its own by this one.
    #[must_use]
    pub fn otherwise(self, script: Script) -> Self {
        self.shared.state.lock().otherwise = Some(script);
        self
    }

    /// Like [`Origin::on`], for an origin that runs already.
    pub fn set(&self, path: &str, script: Script) {
        let sequence = Sequence {
            scripts: vec![script],
            served: 0,
        };
        self.shared.state.lock().scripts.insert(path.to_owned(), sequence);
    }

    /// Treats new connections like this.
    pub fn greet(&self, greeting: Greeting) {
        self.shared.state.lock().greeting = greeting;
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.reservation.address
    }

    /// How many requests for this path have arrived.
    pub fn seen(&self, path: &str) -> usize {
        let state = self.shared.state.lock();
        state.seen.iter().filter(|s| path_of(&s.target) == path).count()
    }

    /// How many requests have arrived.
    pub fn total(&self) -> usize {
        self.shared.state.lock().seen.len()
    }

    /// The requests for this path, in order of arrival.
    pub fn requests(&self, path: &str) -> Vec<Seen> {
        let state = self.shared.state.lock();
        let of_path = state.seen.iter().filter(|s| path_of(&s.target) == path);
        of_path.cloned().collect()
    }

    /// The only request for this path. Fails if there were none or more.
    #[track_caller]
    pub fn only(&self, path: &str) -> Seen {
        let mut requests = self.requests(path);
        assert_eq!(requests.len(), 1, "requests for {path}: {requests:#?}");
        requests.remove(0)
    }

    /// How many connections were opened to it.
    pub fn connections(&self) -> usize {
        self.shared.state.lock().opened
    }

    /// How many connections are open. One counts as open until this origin has noticed its end.
    pub fn open_connections(&self) -> usize {
        self.shared.state.lock().live.len()
    }

    /// Waits until so many bytes of the body of the first request for this path have arrived.
    #[track_caller]
    pub fn wait_received(&self, path: &str, bytes: u64) {
        wait_for(
            &format!("{bytes} bytes for {path} have arrived at the origin"),
            || {
                let requests = self.requests(path);
                let received = requests.first()?.received.load(Ordering::Acquire);
                (received >= bytes).then_some(())
            },
        );
    }

    /// Waits until so many requests for this path have arrived.
    #[track_caller]
    pub fn wait_seen(&self, path: &str, n: usize) {
        wait_for(
            &format!("{n} requests for {path} have arrived at the origin"),
            || (self.seen(path) >= n).then_some(()),
        );
    }

    /// Refuses new connections; those that are open stay.
    pub fn stop_listening(&self) {
        if let Some(Listening { listener, acceptor }) = self.listening.lock().take() {
            SockRef::from(&*listener)
                .shutdown(Shutdown::Both)
                .expect("a listening socket can be shut down");
            join(acceptor);
        }
    }

    /// Goes down at once: new connections are refused, the open ones reset.
    pub fn kill(&self) {
        self.stop_listening();
        let threads = {
            let mut state = self.shared.state.lock();
            for (_, live) in state.live.drain() {
                live.kill();
            }
            std::mem::take(&mut state.threads)
        };
        threads.into_iter().for_each(join);
    }

    /// Listens again, on the same port.
    pub fn revive(&self) {
        let mut listening = self.listening.lock();
        assert!(listening.is_none(), "it listens already");
        let socket = bound(self.address());
        socket.listen(BACKLOG).expect("the port is ours");
        let listener = Arc::new(TcpListener::from(socket));
        let shared = Arc::clone(&self.shared);
        let accepting = Arc::clone(&listener);
        let acceptor = std::thread::spawn(move || serve::accept(&shared, &accepting));
        *listening = Some(Listening { listener, acceptor });
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.kill();
        let complaints = std::mem::take(&mut self.shared.state.lock().complaints);
        if !std::thread::panicking() {
            assert!(
                complaints.is_empty(),
                "the gateway sent this origin: {complaints:#?}"
            );
        }
    }
}

impl Default for Reservation {
    fn default() -> Self {
        Self::new()
    }
}

impl Reservation {
    /// Takes a port that is free.
    pub fn new() -> Self {
        let socket = bound(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let address = socket.local_addr().expect("a bound socket has an address");
        Self {
            address: address.as_socket().expect("and it is an IP address"),
            _socket: socket,
        }
    }

    /// The port, on the loopback address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Live {
    /// Shutting down the reading side wakes the thread without a word to the gateway; what its end then says is a reset.
    fn kill(self) {
        self.killed.store(true, Ordering::Release);
        let socket = SockRef::from(&self.stream);
        // Either fails only on a connection that has ended by itself.
        let _ended = socket.set_linger(Some(Duration::ZERO));
        let _ended = socket.shutdown(Shutdown::Read);
    }
}

impl Shared {
    /// The script for a request that has just arrived.
    fn script(&self, path: &str) -> Script {
        let mut state = self.state.lock();
        let State {
            scripts, otherwise, ..
        } = &mut *state;
        match scripts.get_mut(path) {
            Some(sequence) => {
                let at = sequence.served.min(sequence.scripts.len() - 1);
                sequence.served += 1;
                sequence.scripts[at].clone()
            }
            None => match otherwise {
                Some(script) => script.clone(),
                None => reply(404).body("no script"),
            },
        }
    }
}

impl Seen {
    /// The value of a field that may stand once.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.head.one(name)
    }

    /// Whether the field is there.
    pub fn has(&self, name: &str) -> bool {
        self.head.all(name).next().is_some()
    }
}

/// The path a script is found by.
fn path_of(target: &str) -> &str {
    target.split('?').next().unwrap_or(target)
}

fn bound(address: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("sockets are to be had");
    socket.set_reuse_port(true).expect("the option is known");
    // Connections of an earlier life may linger on the port.
    socket.set_reuse_address(true).expect("the option is known");
    socket.bind(&address.into()).expect("port 0, or one we hold");
    socket
}

fn join(thread: JoinHandle<()>) {
    if let Err(panic) = thread.join()
        && !std::thread::panicking()
    {
        std::panic::resume_unwind(panic);
    }
}

#[cfg(test)]
mod tests;
