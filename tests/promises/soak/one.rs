//! Clients of HTTP/1.1, in clear text and over TLS.

use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::Arc;

use gateway::kit::clock::Mono;
use harness::Request;
use harness::body::Collector;
use harness::patience::patience;
use harness::wire::{Fault, Framing, Head, Reader};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::wish::{Asker, Got, Wish};
use super::world::{Cause, World};

/// What a client that gives up reads of a body.
const TASTE_BYTES: u64 = 20_000;
/// Requests of a connection at most.
const KEPT_REQUESTS: usize = 40;

/// How it speaks.
#[derive(Clone)]
pub enum Over {
    /// Clear text.
    Plain,
    /// TLS.
    Tls(Arc<ClientConfig>),
}

enum Pipe {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// Both halves: the reader keeps one, requests are written by the other.
#[derive(Clone)]
struct Wire(Rc<RefCell<Pipe>>);

/// A connection.
pub struct Line {
    wire: Wire,
    reader: Reader<Wire>,
    /// When it was last known to be whole.
    pub alive: Mono,
}

/// How an exchange ended that brought no whole answer.
pub enum End {
    /// The client went.
    GaveUp,
    /// The connection broke; what had come of an answer.
    Broken(String, Got),
    /// What came is no HTTP.
    Wrong(String),
}

impl Read for Wire {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match &mut *self.0.borrow_mut() {
            Pipe::Plain(stream) => stream.read(buf),
            Pipe::Tls(stream) => stream.read(buf),
        }
    }
}

impl Wire {
    fn send(&self, bytes: &[u8]) -> io::Result<()> {
        match &mut *self.0.borrow_mut() {
            Pipe::Plain(stream) => stream.write_all(bytes),
            Pipe::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        }
    }
}

impl Line {
    /// Connects.
    pub fn open(to: SocketAddr, over: &Over, now: Mono) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&to, patience())?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience()))?;
        stream.set_write_timeout(Some(patience()))?;
        let pipe = match over {
            Over::Plain => Pipe::Plain(stream),
            Over::Tls(config) => {
                let name = ServerName::try_from("a.test").expect("it is a name");
                let session = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
                Pipe::Tls(Box::new(StreamOwned::new(session, stream)))
            }
        };
        let wire = Wire(Rc::new(RefCell::new(pipe)));
        Ok(Self {
            reader: Reader::new(wire.clone()),
            wire,
            alive: now,
        })
    }

    /// Sends these bytes and reads a whole answer, and whether the connection ends with it.
    pub fn ask(&mut self, wish: &Wish, bytes: &[u8], gives_up: bool) -> Result<(Got, bool), End> {
        let sent = match gives_up && !wish.body.is_empty() {
            true => &bytes[..bytes.len() - wish.body.len() / 2],
            false => bytes,
        };
        // If it fails, an answer may have come before; and if none has, reading says so too.
        let _sent = self.wire.send(sent);
        if sent.len() < bytes.len() {
            return Err(End::GaveUp);
        }
        let mut got = Got::default();
        let head = match self.reader.head() {
            Ok(Some(head)) => head,
            Ok(None) => return Err(End::Broken("closed before an answer".to_owned(), got)),
            Err(fault) => return Err(broken(fault, got)),
        };
        got.status = status_of(&head).ok_or_else(|| End::Wrong(head.to_string()))?;
        got.fields.clone_from(&head.fields);
        let framing = match head.framing() {
            Ok(_) if matches!(got.status, 204 | 304) || wish.method == "HEAD" => Framing::Length(0),
            Ok(Some(framing)) => framing,
            Ok(None) => Framing::UntilClose,
            Err(fault) => return Err(broken(fault, got)),
        };
        let mut seen = Collector::default();
        if let (true, Framing::Length(length)) = (gives_up, framing) {
            let taste = Framing::Length(length.min(TASTE_BYTES));
            let tasted = self.reader.body(taste, &mut seen);
            got.body = seen.finish();
            return Err(tasted.map_or_else(|fault| broken(fault, got.clone()), |_| End::GaveUp));
        }
        if let Err(fault) = self.reader.body(framing, &mut seen) {
            got.body = seen.finish();
            return Err(broken(fault, got));
        }
        got.body = seen.finish();
        let closes = framing == Framing::UntilClose || head.list("connection").iter().any(|o| o == "close");
        Ok((got, closes))
    }
}

fn broken(fault: Fault, got: Got) -> End {
    match fault {
        Fault::Ended(_) | Fault::Io(_) => End::Broken(fault.to_string(), got),
        Fault::Syntax(how) => End::Wrong(how),
    }
}

fn status_of(head: &Head) -> Option<u16> {
    head.start.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
}

/// The request as it goes on the wire.
fn written(wish: &Wish, closes: bool) -> Vec<u8> {
    let mut request = Request::new(wish.method, &wish.path);
    for (name, value) in &wish.fields {
        request = request.header(name, value);
    }
    if closes {
        request = request.header("Connection", "close");
    }
    match (wish.method, wish.body.len() % 3) {
        ("POST", 1) => request.chunked(wish.body.chunks(10_000)).bytes(),
        ("POST", _) => request.body(&wish.body).bytes(),
        _ => request.bytes(),
    }
}

/// Asks until all is over.
pub fn visit(world: &World, over: &Over, mut asker: Asker) {
    while !world.is_over() {
        world.wait_gateway();
        converse(world, over, &mut asker);
    }
}

/// One connection, until it ends.
fn converse(world: &World, over: &Over, asker: &mut Asker) {
    let place = world.place();
    let to = match over {
        Over::Plain => place.plain,
        Over::Tls(_) => place.tls,
    };
    let began = world.now();
    let mut line = match Line::open(to, over, began) {
        Ok(line) => line,
        Err(error) => return lost(world, began, &format!("{}: no connection: {error}", asker.name)),
    };
    world.count("connections", 1);
    let last = 1 + asker.dice().below(KEPT_REQUESTS);
    for nth in 1..=last {
        if world.is_over() {
            return;
        }
        let wish = asker.next(world);
        let closes = nth == last && asker.dice().percent(50);
        let bytes = written(&wish, closes);
        let began = world.now();
        let answer = line.ask(&wish, &bytes, wish.gives_up);
        let now = world.now();
        match answer {
            Ok((got, closes)) => {
                line.alive = now;
                settle(world, asker, &wish, &got, began);
                if closes {
                    return;
                }
            }
            Err(end) => return ended(world, &line, asker, &wish, end),
        }
    }
}

fn ended(world: &World, line: &Line, asker: &Asker, wish: &Wish, end: End) {
    let told = || format!("{}: {}", asker.name, wish.told());
    match end {
        End::GaveUp => world.explained(Cause::GaveUp),
        End::Wrong(how) => world.fault(format!("{}: no HTTP: {how}", told())),
        End::Broken(how, got) => {
            let begun = got.status != 0;
            torn(
                world,
                line.alive,
                wish,
                &got,
                begun,
                &format!("{}: {how}", told()),
            );
        }
    }
}

/// A whole answer is judged.
pub fn settle(world: &World, asker: &mut Asker, wish: &Wish, got: &Got, began: Mono) {
    world.count("answers", 1);
    world.count("bytes", got.body.length);
    let told = |how: &str| format!("{}: {}: {how}", asker.name, wish.told());
    if got.status >= 500 {
        let was_out = world.origin_out.overlap(began, world.now());
        return match (wish.method, was_out) {
            ("POST", true) => world.explained(Cause::OriginFailedPost),
            _ => world.fault(told(&format!("{} {}", got.status, got.body.text()))),
        };
    }
    match wish.judge(world, got) {
        Ok(cause) => {
            count_kind(world, got);
            asker.remember(wish, got);
            cause.into_iter().for_each(|cause| world.explained(cause));
        }
        Err(how) => world.fault(told(&how)),
    }
}

/// An answer broke off, whose head was seen if it was `begun`; or none came.
pub fn torn(world: &World, alive: Mono, wish: &Wish, got: &Got, begun: bool, how: &str) {
    if let Err(wrong) = wish.judge_part(got) {
        return world.fault(format!("{how}: {wrong}"));
    }
    match begun && world.origin_out.overlap(alive, world.now()) {
        true => world.explained(Cause::OriginTore),
        false => {
            let come = format!("{} bytes had come of {}", got.body.length, got.status);
            lost(world, alive, &format!("{how}; {come}"));
        }
    }
}

/// Nothing but the gateway's death explains it.
pub fn lost(world: &World, since: Mono, how: &str) {
    match world.gateway_out.overlap(since, world.now()) {
        true => world.explained(Cause::GatewayKilled),
        false => world.fault(how.to_owned()),
    }
}

fn count_kind(world: &World, got: &Got) {
    match got.status {
        206 => world.count("206", 1),
        304 => world.count("304", 1),
        _ => {}
    }
    if got.value("content-encoding").is_some() {
        world.count("coded", 1);
    }
    let cache = got.value("cache-status").unwrap_or_default();
    match cache.split(';').any(|word| word.trim() == "hit") {
        true => world.count("hits", 1),
        false if !cache.is_empty() => world.count("not hits", 1),
        false => {}
    }
}
