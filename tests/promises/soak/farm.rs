//! The origins: they have everything in its newest version, and are not always well.

use std::collections::HashMap;
use std::io::{self, BufWriter, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use harness::body::Collector;
use harness::wire::{Framing, Head, Reader};
use parking_lot::Mutex;
use socket2::{Domain, SockRef, Socket, Type};

use super::goods::Thing;
use super::world::World;

const BACKLOG: i32 = 1024;
/// Bytes written at once, and those of a chunk.
const BLOCK_BYTES: u64 = 64 << 10;
/// A gateway that takes nothing for so long is none.
const STUCK: Duration = Duration::from_secs(60);

/// How an origin feels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// It answers.
    Sound,
    /// It takes connections and resets them when it has read a request.
    Resets,
    /// It breaks off in the middle of each body.
    Tears,
    /// It does not listen, and what was open is reset.
    Gone,
}

/// One origin.
pub struct Origin {
    /// Where it listens.
    pub address: SocketAddr,
    /// Holds the port while nobody listens.
    _held: Socket,
    listening: Mutex<Option<Listening>>,
    shared: Arc<Shared>,
}

struct Listening {
    listener: Arc<TcpListener>,
    acceptor: JoinHandle<()>,
}

struct Shared {
    world: Arc<World>,
    mood: AtomicU8,
    next: AtomicU64,
    open: Mutex<HashMap<u64, (TcpStream, Arc<AtomicBool>)>>,
}

/// What an origin says to a request.
struct Reply {
    status: &'static str,
    fields: String,
    body: Vec<u8>,
    is_chunked: bool,
}

impl Origin {
    /// Opens one on a port of its own.
    pub fn open(world: &Arc<World>) -> Self {
        let held = bound((Ipv4Addr::LOCALHOST, 0).into());
        let address = held.local_addr().ok().and_then(|address| address.as_socket());
        let origin = Self {
            address: address.expect("a bound socket has an address"),
            _held: held,
            listening: Mutex::default(),
            shared: Arc::new(Shared {
                world: Arc::clone(world),
                mood: AtomicU8::new(Mood::Sound as u8),
                next: AtomicU64::new(0),
                open: Mutex::default(),
            }),
        };
        origin.listen();
        origin
    }

    /// Changes how it feels.
    pub fn feel(&self, mood: Mood) {
        self.shared.mood.store(mood as u8, Ordering::Release);
        match mood {
            Mood::Sound => self.listen(),
            Mood::Resets | Mood::Tears => {}
            Mood::Gone => self.kill(),
        }
    }

    fn listen(&self) {
        let mut listening = self.listening.lock();
        if listening.is_some() {
            return;
        }
        let socket = bound(self.address);
        socket.listen(BACKLOG).expect("the port is ours");
        let listener = Arc::new(TcpListener::from(socket));
        let (accepting, shared) = (Arc::clone(&listener), Arc::clone(&self.shared));
        let acceptor = std::thread::spawn(move || {
            while let Ok((stream, _)) = accepting.accept() {
                let shared = Arc::clone(&shared);
                // It ends with its connection, and all gateways end before the origins do.
                std::thread::spawn(move || shared.converse(stream));
            }
        });
        *listening = Some(Listening { listener, acceptor });
    }

    fn kill(&self) {
        if let Some(Listening { listener, acceptor }) = self.listening.lock().take() {
            let woken = SockRef::from(&*listener).shutdown(Shutdown::Both);
            woken.expect("a listening socket can be shut down");
            acceptor.join().expect("an acceptor does not panic");
        }
        for (_, (stream, killed)) in self.shared.open.lock().drain() {
            killed.store(true, Ordering::Release);
            reset(&stream);
            // Wakes its thread; it fails only on a connection that has ended by itself.
            let _ended = stream.shutdown(Shutdown::Read);
        }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Shared {
    fn converse(&self, stream: TcpStream) {
        let number = self.next.fetch_add(1, Ordering::AcqRel);
        let killed = Arc::new(AtomicBool::new(false));
        let Ok(handle) = stream.try_clone() else {
            return;
        };
        self.open.lock().insert(number, (handle, Arc::clone(&killed)));
        let _broken = stream.set_nodelay(true);
        let _broken = stream.set_write_timeout(Some(STUCK));
        // A fault here is a gateway that was killed, or this origin.
        let _broken = self.answer_all(&stream, &killed);
        self.open.lock().remove(&number);
    }

    fn answer_all(&self, stream: &TcpStream, killed: &AtomicBool) -> io::Result<()> {
        let mut reader = Reader::new(stream);
        let mut writer = BufWriter::with_capacity(BLOCK_BYTES as usize, stream);
        while let Ok(Some(head)) = reader.head() {
            let mood = self.mood.load(Ordering::Acquire);
            if mood == Mood::Resets as u8 || mood == Mood::Gone as u8 {
                reset(stream);
                return Ok(());
            }
            let Some(body) = body_of(&mut reader, &head) else {
                return Ok(());
            };
            let Some(reply) = self.reply(&head, body) else {
                self.world.fault(format!("an origin was asked\n{head}"));
                return Ok(());
            };
            let tears = mood == Mood::Tears as u8 && !head.start.starts_with("GET /health ");
            reply.write(&mut writer, head.start.starts_with("HEAD "), tears, killed)?;
            if tears {
                reset(stream);
                return Ok(());
            }
        }
        Ok(())
    }

    fn reply(&self, head: &Head, body: Vec<u8>) -> Option<Reply> {
        let mut words = head.start.split(' ');
        let (method, target) = (words.next()?, words.next()?);
        let who = head.one("x-who").unwrap_or("nobody");
        let plain = |status, fields, body, is_chunked| Reply {
            status,
            fields,
            body,
            is_chunked,
        };
        match (method, target) {
            ("GET", "/health") => Some(plain("200 OK", String::new(), b"well".to_vec(), false)),
            ("POST", "/echo") => {
                let is_chunked = body.len() % 2 == 1;
                let fields = format!("X-Who: {who}\r\nCache-Control: no-store\r\n");
                Some(plain("200 OK", fields, body, is_chunked))
            }
            ("GET" | "HEAD", target) if head.one("host") == Some("a.test") => {
                let thing = Thing::at(target)?;
                Some(self.thing(thing, head, who))
            }
            _ => None,
        }
    }

    fn thing(&self, thing: Thing, head: &Head, who: &str) -> Reply {
        use super::goods::Kind;
        let version = self.world.published(thing);
        let etag = thing.etag(version);
        let kind = match thing.kind {
            Kind::Coded | Kind::Fresh => "text/plain",
            Kind::Kept => "application/octet-stream",
        };
        let mut fields = format!("ETag: {etag}\r\nX-Version: {version}\r\nContent-Type: {kind}\r\n");
        fields += &match thing.kind {
            Kind::Fresh => format!("X-Who: {who}\r\nCache-Control: no-store\r\nAccept-Ranges: bytes\r\n"),
            Kind::Kept | Kind::Coded => format!(
                "Cache-Control: max-age={}\r\nCache-Tag: {}\r\n",
                thing.max_age(),
                thing.tag()
            ),
        };
        let is_chunked = thing.number % 5 == 3;
        let knows = |known: &str| {
            known
                .split(',')
                .any(|one| one.trim().trim_start_matches("W/") == etag)
        };
        if head.all("if-none-match").any(knows) {
            let status = "304 Not Modified";
            return Reply {
                status,
                fields,
                body: Vec::new(),
                is_chunked: false,
            };
        }
        let length = thing.length(version);
        let allowed = head.one("if-range").is_none_or(|known| known == etag);
        match head
            .one("range")
            .filter(|_| allowed)
            .and_then(|r| range_of(r, length))
        {
            Some((first, last)) => Reply {
                status: "206 Partial Content",
                fields: format!("{fields}Content-Range: bytes {first}-{last}/{length}\r\n"),
                body: thing.bytes(version, first..last + 1),
                is_chunked,
            },
            None => Reply {
                status: "200 OK",
                fields,
                body: thing.whole(version),
                is_chunked,
            },
        }
    }
}

impl Reply {
    /// Writes it, or only its first half if it `tears`.
    fn write(
        &self,
        writer: &mut impl Write,
        is_head: bool,
        tears: bool,
        killed: &AtomicBool,
    ) -> io::Result<()> {
        let is_304 = self.status.starts_with("304");
        write!(writer, "HTTP/1.1 {}\r\n{}", self.status, self.fields)?;
        match (self.is_chunked, is_304) {
            (_, true) => write!(writer, "\r\n")?,
            (true, _) => write!(writer, "Transfer-Encoding: chunked\r\n\r\n")?,
            (false, _) => write!(writer, "Content-Length: {}\r\n\r\n", self.body.len())?,
        }
        if is_head || is_304 {
            return writer.flush();
        }
        let sent = if tears {
            self.body.len() / 2
        } else {
            self.body.len()
        };
        for piece in self.body[..sent].chunks(BLOCK_BYTES as usize) {
            if killed.load(Ordering::Acquire) {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            if self.is_chunked {
                write!(writer, "{:x}\r\n", piece.len())?;
            }
            writer.write_all(piece)?;
            if self.is_chunked {
                write!(writer, "\r\n")?;
            }
        }
        if self.is_chunked && !tears {
            write!(writer, "0\r\n\r\n")?;
        }
        writer.flush()
    }
}

/// The body of a request; None if it does not come whole.
fn body_of(reader: &mut Reader<&TcpStream>, head: &Head) -> Option<Vec<u8>> {
    let framing = head.framing().ok()?.unwrap_or(Framing::Length(0));
    let message = reader.body(framing, &mut Collector::default()).ok()?;
    Some(message.body.kept)
}

/// First and last byte of a range, if it is one that can be served.
fn range_of(range: &str, length: u64) -> Option<(u64, u64)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    match (first, last) {
        ("", last) => {
            let n: u64 = last.parse().ok()?;
            (n > 0 && length > 0).then(|| (length.saturating_sub(n), length - 1))
        }
        (first, last) => {
            let first: u64 = first.parse().ok()?;
            let last = last.parse().unwrap_or(u64::MAX).min(length.checked_sub(1)?);
            (first <= last).then_some((first, last))
        }
    }
}

/// What its end says from now on is a reset.
fn reset(stream: &TcpStream) {
    // It fails only on a connection that has ended by itself.
    let _ended = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

fn bound(address: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("sockets are to be had");
    socket.set_reuse_port(true).expect("the option is known");
    // Connections of an earlier life may linger on the port.
    socket.set_reuse_address(true).expect("the option is known");
    socket.bind(&address.into()).expect("port 0, or one we hold");
    socket
}
