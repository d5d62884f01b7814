//! An origin's connections.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use socket2::SockRef;

use super::script::{Act, Answer, AnswerFraming, End, Piece, Script};
use super::{Greeting, Live, Seen, Shared, path_of};
use crate::body::{Body, Collector, Pattern};
use crate::client::Request;
use crate::wire::{Fault, Framing, Head, Reader};

/// How long a write may be held up before it looks whether the origin was killed.
const HELD_UP: Duration = Duration::from_millis(20);

/// Takes connections until the listener is shut down.
pub(super) fn accept(shared: &Arc<Shared>, listener: &TcpListener) {
    while let Ok((stream, _)) = listener.accept() {
        let mut state = shared.state.lock();
        let id = state.opened;
        state.opened += 1;
        if state.greeting == Greeting::HangUp {
            continue;
        }
        let serves = state.greeting == Greeting::Serve;
        let killed = Arc::new(AtomicBool::new(false));
        let clone = stream.try_clone().expect("descriptors are to be had");
        let live = Live {
            stream: clone,
            killed: Arc::clone(&killed),
        };
        state.live.insert(id, live);
        if serves {
            let shared = Arc::clone(shared);
            let thread = std::thread::spawn(move || Visit::new(&shared, stream, killed, id).run());
            state.threads.push(thread);
        }
    }
}

/// One connection.
struct Visit<'a> {
    shared: &'a Shared,
    reader: Reader<TcpStream>,
    killed: Arc<AtomicBool>,
    id: usize,
}

/// Whether a connection goes on.
enum Next {
    Ended,
    Request,
}

impl<'a> Visit<'a> {
    fn new(shared: &'a Shared, stream: TcpStream, killed: Arc<AtomicBool>, id: usize) -> Self {
        // Both fail only on a connection that has been reset already.
        let _reset = stream.set_nodelay(true);
        let _reset = stream.set_write_timeout(Some(HELD_UP));
        Self {
            shared,
            reader: Reader::new(stream),
            killed,
            id,
        }
    }

    fn run(mut self) {
        loop {
            match self.serve_one() {
                Ok(Next::Request) => {}
                Ok(Next::Ended) | Err(Fault::Io(_) | Fault::Ended(_)) => break,
                Err(Fault::Syntax(how)) => {
                    self.complain(how);
                    break;
                }
            }
        }
        // The connection ends with its last descriptor, and before anybody can see that it is counted out.
        let Self {
            shared, reader, id, ..
        } = self;
        drop(reader);
        drop(shared.state.lock().live.remove(&id));
    }

    fn serve_one(&mut self) -> Result<Next, Fault> {
        let Some(head) = self.reader.head()? else {
            return Ok(Next::Ended);
        };
        let (framing, expects) = self.check(&head)?;
        let closing = head.list("connection").iter().any(|o| o == "close");
        let at = self.write_down(head.clone());
        let mut words = head.start.split(' ');
        let method = words.next().unwrap_or_default();
        let script = self.shared.script(path_of(words.next().unwrap_or_default()));
        if expects && script.continues {
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let mut body = Body::default();
        if !script.early {
            body = self.read_body(framing, at)?;
        }
        let killed = Arc::clone(&self.killed);
        let passes = |gate: &crate::Gate| gate.pass_unless(|| killed.load(Ordering::Acquire));
        if !script.gates.iter().all(passes) {
            return Ok(Next::Ended);
        }
        self.act(&script, method, &body, at)?;
        if script.early && script.end == End::Keep {
            self.read_body(framing, at)?;
        }
        self.end(script.end, closing)
    }

    /// What must hold of every request a gateway sends; the rest is the play's.
    fn check(&self, head: &Head) -> Result<(Framing, bool), Fault> {
        let options = head.list("connection");
        let mut wrong = Vec::new();
        if head.all("host").count() != 1 {
            wrong.push("not one Host");
        }
        if !head.start.ends_with(" HTTP/1.1") || head.start.split(' ').count() != 3 {
            wrong.push("no HTTP/1.1 request line");
        }
        for (name, why) in [
            ("upgrade", "Upgrade without its connection option"),
            ("te", "TE without its connection option"),
        ] {
            if head.all(name).next().is_some() && !options.iter().any(|o| o == name) {
                wrong.push(why);
            }
        }
        for (name, why) in [
            ("keep-alive", "Keep-Alive"),
            ("proxy-connection", "Proxy-Connection"),
        ] {
            if head.all(name).next().is_some() {
                wrong.push(why);
            }
        }
        for why in wrong {
            self.complain(format!("{why}, in:\n{head}"));
        }
        let expects = head.list("expect").iter().any(|e| e == "100-continue");
        Ok((head.framing()?.unwrap_or(Framing::Length(0)), expects))
    }

    fn write_down(&self, head: Head) -> usize {
        let mut words = head.start.split(' ').map(str::to_owned);
        let seen = Seen {
            method: words.next().unwrap_or_default(),
            target: words.next().unwrap_or_default(),
            head,
            body: Body::default(),
            received: Arc::default(),
            chunks: Vec::new(),
            trailers: Vec::new(),
            complete: false,
            connection: self.id,
        };
        let mut state = self.shared.state.lock();
        state.seen.push(seen);
        state.seen.len() - 1
    }

    fn read_body(&mut self, framing: Framing, at: usize) -> Result<Body, Fault> {
        let mut collector = Collector::counting(&self.shared.state.lock().seen[at].received);
        let read = self.reader.body(framing, &mut collector);
        let mut state = self.shared.state.lock();
        let seen = &mut state.seen[at];
        seen.body = collector.finish();
        let message = read?;
        seen.trailers = message.trailers;
        seen.chunks = message.chunks;
        seen.complete = true;
        Ok(message.body)
    }

    fn act(&mut self, script: &Script, method: &str, body: &Body, at: usize) -> Result<(), Fault> {
        for interim in &script.interims {
            self.write(interim)?;
        }
        match &script.act {
            Act::Answer(answer) => Ok(self.answer(answer, script.end, method, body)?),
            Act::Nothing => Ok(()),
            Act::Raw(bytes) => Ok(self.write(bytes)?),
            Act::Upgrade { protocol } => self.speak_otherwise(protocol, at),
        }
    }

    fn answer(&self, answer: &Answer, end: End, method: &str, body: &Body) -> io::Result<()> {
        self.write(&answer.head(end, body))?;
        if method == "HEAD" || matches!(answer.status, 204 | 304) {
            return Ok(());
        }
        let chunked = answer.framing == AnswerFraming::Chunked;
        for piece in &answer.pieces {
            match piece {
                Piece::Bytes(bytes) => self.write_piece(bytes, chunked)?,
                Piece::Echo => self.write_piece(&body.kept, chunked)?,
                Piece::Gate(gate) => {
                    if !gate.pass_unless(|| self.killed.load(Ordering::Acquire)) {
                        return Err(io::ErrorKind::BrokenPipe.into());
                    }
                }
                Piece::Pattern(length) => {
                    let mut pattern = Pattern::new(*length);
                    while let Some(block) = pattern.block() {
                        self.write_piece(block, chunked)?;
                    }
                }
            }
        }
        if chunked && answer.finished {
            let last = Request::get("").chunked_with_trailers::<&str>([], &answer.trailers());
            let head = last.head_bytes().len();
            self.write(&last.bytes()[head..])?;
        }
        Ok(())
    }

    fn write_piece(&self, data: &[u8], chunked: bool) -> io::Result<()> {
        match chunked {
            true if data.is_empty() => Ok(()),
            true => self.write(&crate::client::chunk(data)),
            false => self.write(data),
        }
    }

    /// 101, and then every byte goes back where it came from.
    fn speak_otherwise(&mut self, protocol: &str, at: usize) -> Result<(), Fault> {
        let head = format!("HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: {protocol}\r\n\r\n");
        self.write(head.as_bytes())?;
        let mut collector = Collector::default();
        loop {
            let bytes = self.reader.some()?;
            if bytes.is_empty() {
                break;
            }
            collector.push(&bytes);
            self.shared.state.lock().seen[at].body = collector.finish();
            self.write(&bytes)?;
        }
        self.shared.state.lock().seen[at].complete = true;
        Ok(())
    }

    fn end(&self, end: End, closing: bool) -> Result<Next, Fault> {
        match end {
            End::Keep if closing => Ok(Next::Ended),
            End::Keep => Ok(Next::Request),
            End::Close | End::HangUp => Ok(Next::Ended),
            End::Linger => {
                let mut rest = [0; 1024];
                let mut stream = self.reader.stream();
                while stream.read(&mut rest)? > 0 {}
                Ok(Next::Ended)
            }
            End::Reset => {
                SockRef::from(self.reader.stream()).set_linger(Some(Duration::ZERO))?;
                Ok(Next::Ended)
            }
        }
    }

    /// Writes all of it, or fails when the origin is killed.
    fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        let mut stream = self.reader.stream();
        while !bytes.is_empty() {
            if self.killed.load(Ordering::Acquire) {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            match stream.write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if is_held_up(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn complain(&self, how: String) {
        self.shared.state.lock().complaints.push(how);
    }
}

impl Answer {
    fn head(&self, end: End, request: &Body) -> Vec<u8> {
        let mut head = format!("{} {} Scripted\r\n", self.version, self.status);
        for (name, value) in &self.fields {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let bodiless = matches!(self.status, 204 | 304) && self.pieces.is_empty();
        match self.framing {
            AnswerFraming::Chunked => head.push_str("Transfer-Encoding: chunked\r\n"),
            AnswerFraming::Claimed(length) => head.push_str(&format!("Content-Length: {length}\r\n")),
            AnswerFraming::Length if !bodiless => {
                let length: u64 = self.pieces.iter().map(|p| p.length(request)).sum();
                head.push_str(&format!("Content-Length: {length}\r\n"));
            }
            AnswerFraming::Length | AnswerFraming::UntilClose => {}
        }
        if end == End::Close {
            head.push_str("Connection: close\r\n");
        }
        head.push_str("\r\n");
        head.into_bytes()
    }

    fn trailers(&self) -> Vec<(&str, &str)> {
        let pairs = self.trailers.iter();
        pairs.map(|(n, v)| (n.as_str(), v.as_str())).collect()
    }
}

impl Piece {
    fn length(&self, request: &Body) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Echo => request.kept.len() as u64,
            Self::Gate(_) => 0,
            Self::Pattern(length) => *length,
        }
    }
}

fn is_held_up(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    )
}
