//! Load: many clients at once, each sending its next request as soon as it has the answer to its last one.
//!
//! Unlike a [`Connection`](crate::Connection), which fails the play at the first fault, a load counts: what matters
//! is whether there was any fault at all in so many requests.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use ::gateway::kit::clock::Clock;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::body::{Body, Collector};
use crate::client::{Connection, Request};
use crate::patience::{patience, wait_until};
use crate::wire::{Fault, Framing, Reader};

/// Faults that are described, of each load; all are counted.
const DESCRIBED_MAX: usize = 20;

/// Where the requests go.
#[derive(Clone, Debug)]
pub enum Target {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A Unix socket's path.
    Unix(PathBuf),
}

/// A GET and the body that must come of it.
#[derive(Clone, Debug)]
pub struct Ask {
    target: String,
    request: Vec<u8>,
    body: Body,
}

/// What has come of a load.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Whole answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Whole answers with 2xx whose body is not the expected one.
    pub wrong_bodies: u64,
    /// What has gone wrong with connections, by kind.
    pub troubles: BTreeMap<Trouble, u64>,
    /// The longest time from a request to its whole answer.
    pub slowest: Duration,
    /// The first faults in words.
    pub described: Vec<String>,
}

/// What may go wrong with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// It could not be made.
    Refused,
    /// It ended after a request and before any byte of its answer.
    Unanswered,
    /// It ended within an answer.
    Torn,
    /// What came is no HTTP.
    Malformed,
    /// Nothing came for as long as patience lasts.
    Late,
}

/// A load under way.
pub struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<Tally>>,
}

struct Shared {
    target: Target,
    asks: Vec<Ask>,
    clock: Clock,
    over: AtomicBool,
    served: AtomicU64,
    connected: AtomicUsize,
}

impl From<SocketAddr> for Target {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl From<PathBuf> for Target {
    fn from(path: PathBuf) -> Self {
        Self::Unix(path)
    }
}

impl Ask {
    /// A GET that must bring this body.
    pub fn get(target: &str, body: impl AsRef<[u8]>) -> Self {
        Self {
            target: target.to_owned(),
            request: Request::get(target).bytes(),
            body: Body::of(body.as_ref()),
        }
    }

    /// A GET that must bring what it brings now when `server` is asked directly.
    #[track_caller]
    pub fn as_from(server: SocketAddr, target: &str) -> Self {
        let response = Connection::open(server).ask(&Request::get(target));
        Self {
            body: response.expect(200).message.body.clone(),
            ..Self::get(target, "")
        }
    }
}

impl Load {
    /// Starts so many clients, which ask one thing after the other, each beginning with another one.
    pub fn start(target: impl Into<Target>, clients: usize, asks: &[Ask]) -> Self {
        assert!(!asks.is_empty(), "a load asks for something");
        let shared = Arc::new(Shared {
            target: target.into(),
            asks: asks.to_vec(),
            clock: Clock::system(),
            over: AtomicBool::new(false),
            served: AtomicU64::new(0),
            connected: AtomicUsize::new(0),
        });
        let client = |nth| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || Client::new(&shared, nth).run())
        };
        let clients = (0..clients).map(client).collect();
        Self { shared, clients }
    }

    /// How many whole answers have come.
    pub fn served(&self) -> u64 {
        self.shared.served.load(Ordering::Acquire)
    }

    /// Waits until so many more answers have come.
    #[track_caller]
    pub fn wait_served(&self, more: u64) {
        let enough = self.served() + more;
        wait_until(&format!("{more} more answers have come"), || {
            self.served() >= enough
        });
    }

    /// Waits until every client has connected at least once.
    #[track_caller]
    pub fn wait_connected(&self) {
        wait_until("all clients are connected", || {
            self.shared.connected.load(Ordering::Acquire) >= self.clients.len()
        });
    }

    /// Lets each client end its last request, and counts.
    pub fn stop(self) -> Tally {
        self.shared.over.store(true, Ordering::Release);
        self.wait()
    }

    /// Waits until every client has been refused a connection, which is when it ends by itself.
    pub fn wait(self) -> Tally {
        let mut sum = Tally::default();
        for client in self.clients {
            match client.join() {
                Ok(tally) => sum.add(tally),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        sum
    }
}

impl Tally {
    /// All whole answers.
    pub fn answers(&self) -> u64 {
        self.statuses.values().sum()
    }

    /// Fails unless every request was answered by a 2xx with the right body.
    #[track_caller]
    pub fn flawless(&self) -> &Self {
        assert!(self.troubles.is_empty(), "{self:#}");
        self.whole()
    }

    /// Fails unless every answer is a 2xx with the right body. Requests may have had none, once nothing listens.
    #[track_caller]
    pub fn whole(&self) -> &Self {
        let is_excused = |t: &Trouble| matches!(t, Trouble::Refused | Trouble::Unanswered);
        assert!(self.troubles.keys().all(is_excused), "{self:#}");
        assert!(self.statuses.keys().all(|s| (200..300).contains(s)), "{self:#}");
        assert_eq!(self.wrong_bodies, 0, "{self:#}");
        assert!(self.answers() > 0, "nothing was asked");
        self
    }

    fn add(&mut self, other: Self) {
        for (status, n) in other.statuses {
            *self.statuses.entry(status).or_default() += n;
        }
        for (trouble, n) in other.troubles {
            *self.troubles.entry(trouble).or_default() += n;
        }
        self.wrong_bodies += other.wrong_bodies;
        self.slowest = self.slowest.max(other.slowest);
        self.described.extend(other.described);
        self.described.truncate(DESCRIBED_MAX);
    }

    fn describe(&mut self, ask: &Ask, what: &str) {
        if self.described.len() < DESCRIBED_MAX {
            self.described.push(format!("{}: {what}", ask.target));
        }
    }

    fn trouble(&mut self, ask: &Ask, trouble: Trouble, what: &str) {
        *self.troubles.entry(trouble).or_default() += 1;
        self.describe(ask, what);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "answers by status {:?}, wrong bodies {}, troubles {:?}, slowest {:?}",
            self.statuses, self.wrong_bodies, self.troubles, self.slowest
        )?;
        // With {:#} in detail.
        let described: &[String] = if f.alternate() { &self.described } else { &[] };
        for line in described {
            write!(f, "\n  {line}")?;
        }
        Ok(())
    }
}

/// One client of a load.
struct Client<'a> {
    shared: &'a Shared,
    /// Where it is in the list of what is asked.
    at: usize,
    tally: Tally,
}

/// A whole answer.
struct Answer {
    status: u16,
    body: Body,
    closes: bool,
}

impl<'a> Client<'a> {
    fn new(shared: &'a Shared, nth: usize) -> Self {
        Self {
            shared,
            at: nth,
            tally: Tally::default(),
        }
    }

    fn run(mut self) -> Tally {
        let mut connections = 0;
        while !self.is_over() {
            match self.shared.target.connect() {
                Ok(socket) => {
                    if connections == 0 {
                        self.shared.connected.fetch_add(1, Ordering::AcqRel);
                    }
                    connections += 1;
                    self.converse(&socket);
                }
                Err(error) => {
                    let what = format!("no connection: {error}");
                    self.tally.trouble(self.ask(), Trouble::Refused, &what);
                    break;
                }
            }
        }
        self.tally
    }

    fn is_over(&self) -> bool {
        self.shared.over.load(Ordering::Acquire)
    }

    fn ask(&self) -> &'a Ask {
        &self.shared.asks[self.at % self.shared.asks.len()]
    }

    /// Asks until the connection ends.
    fn converse(&mut self, socket: &Socket) {
        let mut reader = Reader::new(socket);
        while !self.is_over() {
            let ask = self.ask();
            let began = self.shared.clock.now().mono;
            let answer = match exchange(socket, &mut reader, ask) {
                Ok(answer) => answer,
                Err((trouble, what)) => return self.tally.trouble(ask, trouble, &what),
            };
            let took = self.shared.clock.now().mono.since(began);
            self.at += 1;
            self.tally.slowest = self.tally.slowest.max(took);
            self.take(ask, &answer);
            if answer.closes {
                return;
            }
        }
    }

    fn take(&mut self, ask: &Ask, answer: &Answer) {
        *self.tally.statuses.entry(answer.status).or_default() += 1;
        let is_good = (200..300).contains(&answer.status);
        if is_good && answer.body != ask.body {
            self.tally.wrong_bodies += 1;
        }
        if !is_good || answer.body != ask.body {
            let body = answer.body.text();
            let what = format!("{} with {} bytes: {body:.200}", answer.status, answer.body.length);
            self.tally.describe(ask, &what);
        }
        self.shared.served.fetch_add(1, Ordering::AcqRel);
    }
}

impl Target {
    fn connect(&self) -> io::Result<Socket> {
        let (socket, address) = match self {
            Self::Tcp(address) => (
                Socket::new(Domain::for_address(*address), Type::STREAM, None)?,
                (*address).into(),
            ),
            Self::Unix(path) => (
                Socket::new(Domain::UNIX, Type::STREAM, None)?,
                SockAddr::unix(path)?,
            ),
        };
        socket.connect_timeout(&address, patience())?;
        if let Self::Tcp(_) = self {
            socket.set_tcp_nodelay(true)?;
        }
        socket.set_read_timeout(Some(patience()))?;
        socket.set_write_timeout(Some(patience()))?;
        Ok(socket)
    }
}

fn exchange(
    mut socket: &Socket,
    reader: &mut Reader<&Socket>,
    ask: &Ask,
) -> Result<Answer, (Trouble, String)> {
    // If it fails, an answer may have come before; and if none has, reading says so too.
    let _sent = socket.write_all(&ask.request);
    let head = match reader.head() {
        Ok(Some(head)) => head,
        Ok(None) => return Err((Trouble::Unanswered, "closed".to_owned())),
        Err(fault) => return Err((trouble(&fault, reader.has_unread()), fault.to_string())),
    };
    let torn = |fault: Fault| (trouble(&fault, true), fault.to_string());
    let status = head
        .start
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3)?.parse().ok())
        .ok_or_else(|| (Trouble::Malformed, head.start.clone()))?;
    let framing = match head.framing().map_err(torn)? {
        _ if matches!(status, 204 | 304) => Framing::Length(0),
        Some(framing) => framing,
        None => Framing::UntilClose,
    };
    let message = reader.body(framing, &mut Collector::default()).map_err(torn)?;
    Ok(Answer {
        status,
        body: message.body,
        closes: framing == Framing::UntilClose || head.list("connection").iter().any(|o| o == "close"),
    })
}

fn trouble(fault: &Fault, has_begun: bool) -> Trouble {
    match fault {
        Fault::Io(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
            Trouble::Late
        }
        Fault::Io(_) if !has_begun => Trouble::Unanswered,
        Fault::Io(_) | Fault::Ended(_) => Trouble::Torn,
        Fault::Syntax(_) => Trouble::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::{self, Origin, reply};

    fn load_of(origin: &Origin, body: &str, until: impl Fn(&Load) -> bool) -> Tally {
        let load = Load::start(origin.address(), 2, &[Ask::get("/", body)]);
        wait_until("enough has happened", || until(&load));
        load.stop()
    }

    #[test]
    fn right_answers_are_flawless_whether_connections_are_kept_or_not() {
        let origin = Origin::new()
            .on("/", reply(200).body("right").close())
            .then("/", reply(200).chunked().body("right"));
        let tally = load_of(&origin, "right", |load| load.served() >= 20);
        assert_eq!(tally.flawless().answers(), origin.total() as u64);
    }

    #[test]
    fn wrong_bodies_and_statuses_are_counted() {
        let origin = Origin::new()
            .on("/", reply(200).body("wrong"))
            .then("/", reply(502));
        // One client: of several, any could get the first answer, and what the others describe comes before it.
        let load = Load::start(origin.address(), 1, &[Ask::get("/", "right")]);
        load.wait_served(20);
        let tally = load.stop();
        assert_eq!(tally.wrong_bodies, 1);
        assert_eq!(tally.statuses[&200], 1);
        assert!(tally.statuses[&502] >= 19, "{tally}");
        assert!(tally.described[0].contains("wrong"), "{tally}");
    }

    #[test]
    fn connections_that_end_early_are_told_apart() {
        let origin = Origin::new()
            .on("/", origin::hang_up())
            .then("/", reply(200).body("hal").claims(4).hang_up())
            .then("/", origin::raw("HTTP/1.1 2"))
            .then("/", reply(200).body("half"));
        // The third one is given up only by patience, so it is asked of a server that goes away.
        let load = Load::start(origin.address(), 1, &[Ask::get("/", "half")]);
        origin.wait_seen("/", 3);
        origin.kill();
        let tally = load.wait();
        let expected = [
            (Trouble::Refused, 1),
            (Trouble::Unanswered, 1),
            (Trouble::Torn, 2),
        ];
        assert_eq!(tally.troubles, BTreeMap::from(expected), "{tally}");
        assert!(tally.statuses.is_empty(), "{tally}");
    }
}
