//! Clients that want the goods, and look at each byte they are given.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::ops::{AddAssign, Range};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use harness::Request;
use harness::patience::patience;
use harness::wire::{Fault, Framing, Head, Reader};

use super::goods::{Goods, Object};

/// Clients of one life of the gateway.
pub struct Visitors<'a> {
    /// What they want.
    pub goods: &'a Goods,
    /// Where they ask.
    pub gateway: SocketAddr,
    /// The next look-up, of all lives.
    pub next: &'a AtomicU64,
    /// Whether there are no more look-ups, from which on.
    pub until: u64,
    /// The look-ups whose hits are counted apart.
    pub window: Range<u64>,
    /// Set before the gateway is killed: from then on a connection may break.
    pub killed: AtomicBool,
    /// Set when a client has failed: the others need not go on.
    pub failed: AtomicBool,
}

/// What they have seen.
#[derive(Debug, Default)]
pub struct Tally {
    /// Whole answers.
    pub answers: u64,
    /// Of these, those that the gateway says are from its cache.
    pub hits: u64,
    /// Whole answers within the window.
    pub window_answers: u64,
    /// Hits within the window.
    pub window_hits: u64,
    /// Look-ups that were not answered whole because the gateway was killed.
    pub lost: u64,
    /// Bytes of bodies that were compared.
    pub bytes: u64,
    /// What has gone wrong.
    pub faults: Vec<String>,
}

/// Why a conversation has ended.
enum End {
    /// The gateway has said that it closes the connection.
    Closed,
    /// There is nothing more to ask.
    Over,
    /// The connection broke.
    Broken(String),
    /// An answer is not what it has to be.
    Wrong(String),
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.answers += other.answers;
        self.hits += other.hits;
        self.window_answers += other.window_answers;
        self.window_hits += other.window_hits;
        self.lost += other.lost;
        self.bytes += other.bytes;
        self.faults.extend(other.faults);
    }
}

impl Tally {
    /// The share of hits in the window, in percent.
    pub fn window_percent(&self) -> f64 {
        100.0 * self.window_hits as f64 / self.window_answers.max(1) as f64
    }
}

impl Visitors<'_> {
    /// One client: asks one thing after the other until all is asked, the gateway is killed, or something is wrong.
    pub fn visit(&self) -> Tally {
        let mut tally = Tally::default();
        loop {
            match self.converse(&mut tally) {
                End::Closed if !self.failed.load(Ordering::Acquire) => {}
                End::Closed | End::Over => break,
                End::Broken(_) if self.killed.load(Ordering::Acquire) => break,
                End::Broken(how) | End::Wrong(how) => {
                    self.failed.store(true, Ordering::Release);
                    tally.faults.push(how);
                    break;
                }
            }
        }
        tally
    }

    /// Asks until the connection ends.
    fn converse(&self, tally: &mut Tally) -> End {
        let stream = match self.connect() {
            Ok(stream) => stream,
            Err(error) => return End::Broken(format!("no connection: {error}")),
        };
        let mut reader = Reader::new(&stream);
        loop {
            let look = self.next.fetch_add(1, Ordering::AcqRel);
            if look >= self.until || self.failed.load(Ordering::Acquire) {
                return End::Over;
            }
            let object = self.goods.wanted(look);
            let head = match ask(&stream, &mut reader, object, tally) {
                Ok(head) => head,
                Err(end) => {
                    tally.lost += 1;
                    return end;
                }
            };
            let is_hit = u64::from(is_hit(&head));
            tally.answers += 1;
            tally.hits += is_hit;
            if self.window.contains(&look) {
                tally.window_answers += 1;
                tally.window_hits += is_hit;
            }
            if head.list("connection").iter().any(|option| option == "close") {
                return End::Closed;
            }
        }
    }

    fn connect(&self) -> std::io::Result<TcpStream> {
        let stream = TcpStream::connect_timeout(&self.gateway, patience())?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience()))?;
        stream.set_write_timeout(Some(patience()))?;
        Ok(stream)
    }
}

/// Asks for an object and compares the answer with it; what came of a body that broke off is compared too.
fn ask(
    mut stream: &TcpStream,
    reader: &mut Reader<&TcpStream>,
    object: Object<'_>,
    tally: &mut Tally,
) -> Result<Head, End> {
    let target = format!("/goods/{}", object.number);
    let wrong = |how: String| End::Wrong(format!("{target}: {how}"));
    let broken = |fault: Fault| match fault {
        Fault::Syntax(how) => wrong(how),
        Fault::Ended(_) | Fault::Io(_) => End::Broken(format!("{target}: {fault}")),
    };
    let sent = stream.write_all(&Request::get(&target).bytes());
    sent.map_err(|error| broken(error.into()))?;
    let head = reader.head().map_err(broken)?;
    let head = head.ok_or_else(|| broken(Fault::Ended("an answer that had not begun".into())))?;
    let is_whole = head.start.starts_with("HTTP/1.1 200 ")
        && head.framing().map_err(broken)? == Some(Framing::Length(object.length))
        && head.all("etag").eq([object.etag().as_str()]);
    if !is_whole {
        return Err(wrong(format!(
            "not {} of {} bytes:\n{head}",
            object.etag(),
            object.length
        )));
    }
    let mut check = object.check();
    while check.seen() < object.length {
        let piece = reader.some().map_err(broken)?;
        if piece.is_empty() {
            let how = format!("a body, after {} of {} bytes", check.seen(), object.length);
            return Err(broken(Fault::Ended(how)));
        }
        check
            .push(&piece)
            .map_err(|byte| wrong(format!("{byte}, after:\n{head}")))?;
        tally.bytes += piece.len() as u64;
    }
    Ok(head)
}

/// RFC 9211 §2: a member for each cache on the way; `hit` says that nobody else was asked.
fn is_hit(head: &Head) -> bool {
    let members = head.all("cache-status").flat_map(|value| value.split(','));
    let ours = |member: &str| {
        let mut parts = member.split(';').map(str::trim);
        parts.next() == Some("sluice") && parts.any(|parameter| parameter == "hit")
    };
    members.into_iter().any(ours)
}
