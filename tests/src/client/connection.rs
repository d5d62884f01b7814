//! One connection of a client.

use std::io::{self, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;

use socket2::{Domain, SockRef, Socket, Type};

use super::{Request, Response, check};
use crate::body::{Collector, Pattern};
use crate::patience::patience;
use crate::wire::{Fault, Framing, Message, Reader};

/// An open connection. Dropping it closes it.
pub struct Connection {
    reader: Reader<TcpStream>,
    /// Texts that no error may contain.
    secrets: Arc<[String]>,
}

/// A request on its way, on a connection and a thread of its own.
pub struct Pending(JoinHandle<Response>);

impl Connection {
    /// Connects.
    #[track_caller]
    pub fn open(to: SocketAddr) -> Self {
        Self::with(to, |_| Ok(())).unwrap_or_else(|error| panic!("no connection to {to}: {error}"))
    }

    /// Connects from another address of this machine, such as 127.0.0.2.
    #[track_caller]
    pub fn open_from(from: IpAddr, to: SocketAddr) -> Self {
        Self::with(to, |socket| socket.bind(&SocketAddr::new(from, 0).into()))
            .unwrap_or_else(|error| panic!("no connection from {from}: {error}"))
    }

    /// Connects with a small window, so that a client that does not read soon holds the sender up.
    #[track_caller]
    pub fn open_narrow(to: SocketAddr) -> Self {
        const WINDOW_BYTES: usize = 4 << 10;
        Self::with(to, |socket| socket.set_recv_buffer_size(WINDOW_BYTES))
            .unwrap_or_else(|error| panic!("no connection to {to}: {error}"))
    }

    /// Connects, or says why not.
    pub fn try_open(to: SocketAddr) -> io::Result<Self> {
        Self::with(to, |_| Ok(()))
    }

    fn with(to: SocketAddr, prepare: impl FnOnce(&Socket) -> io::Result<()>) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
        prepare(&socket)?;
        socket.connect_timeout(&to.into(), patience())?;
        socket.set_tcp_nodelay(true)?;
        socket.set_read_timeout(Some(patience()))?;
        socket.set_write_timeout(Some(patience()))?;
        Ok(Self {
            reader: Reader::new(socket.into()),
            secrets: Arc::default(),
        })
    }

    /// The same connection, on which no error may contain one of these texts.
    #[must_use]
    pub fn without(mut self, secrets: &Arc<[String]>) -> Self {
        self.secrets = Arc::clone(secrets);
        self
    }

    /// The address it comes from.
    pub fn local_address(&self) -> SocketAddr {
        let address = self.reader.stream().local_addr();
        address.expect("a connected socket has an address")
    }

    /// Sends these bytes, in one write where the system takes them at once.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.try_send(bytes)
            .unwrap_or_else(|error| panic!("the gateway takes no more bytes: {error}"));
        self
    }

    /// Sends these bytes, or says why not.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.reader.stream().write_all(bytes.as_ref())
    }

    /// Sends each byte by itself.
    #[track_caller]
    pub fn send_bytewise(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        for byte in bytes.as_ref() {
            self.send([*byte]);
            std::thread::yield_now();
        }
        self
    }

    /// Sends a pattern of so many bytes.
    #[track_caller]
    pub fn send_pattern(&mut self, length: u64) -> &mut Self {
        let mut pattern = Pattern::new(length);
        while let Some(block) = pattern.block() {
            self.send(block);
        }
        self
    }

    /// Sends the end of the stream and still listens: a half-closed connection.
    pub fn finish(&mut self) -> &mut Self {
        let ended = self.reader.stream().shutdown(Shutdown::Write);
        ended.expect("a connection we have not closed can be half closed");
        self
    }

    /// Like [`Connection::finish`], on a connection that the gateway may have ended already.
    pub fn finish_quietly(&mut self) {
        let _ended = self.reader.stream().shutdown(Shutdown::Write);
    }

    /// Goes away without a goodbye.
    pub fn reset(self) {
        let socket = SockRef::from(self.reader.stream());
        let lingers = socket.set_linger(Some(std::time::Duration::ZERO));
        lingers.expect("a TCP socket can linger for no time");
    }

    /// Sends a request and reads its response.
    #[track_caller]
    pub fn ask(&mut self, request: &Request) -> Response {
        // An early answer may close the connection before all was sent; the response tells.
        let sent = self.try_send(request.bytes());
        self.read(&request.method, request.is_http10())
            .unwrap_or_else(|fault| panic!("no response to {request:?} ({sent:?}): {fault}"))
    }

    /// Reads the response to a GET, or to another method whose response has a body.
    #[track_caller]
    pub fn response(&mut self) -> Response {
        self.response_to("GET")
    }

    /// Reads the response to a request of this method.
    #[track_caller]
    pub fn response_to(&mut self, method: &str) -> Response {
        self.read(method, false)
            .unwrap_or_else(|fault| panic!("no response to a {method}: {fault}"))
    }

    /// Reads a response, which may be broken off; a malformed or leaking one fails all the same.
    #[track_caller]
    pub fn try_response(&mut self) -> Result<Response, Fault> {
        self.read("GET", false)
    }

    /// Reads one 1xx response.
    #[track_caller]
    pub fn interim(&mut self, status: u16) {
        let head = match self.reader.head() {
            Ok(Some(head)) => head,
            other => panic!("awaiting a {status}: {other:?}"),
        };
        let (got, _) = check::head(&head, "GET", false);
        assert_eq!(got, status, "{head}");
    }

    #[track_caller]
    fn read(&mut self, method: &str, http10: bool) -> Result<Response, Fault> {
        let mut interims = Vec::new();
        loop {
            let head = self
                .reader
                .head()?
                .ok_or_else(|| Fault::Ended("no response".into()))?;
            let (status, framing) = check::head(&head, method, http10);
            if (100..200).contains(&status) && status != 101 {
                interims.push(head);
                continue;
            }
            let mut seen = Collector::default();
            let message = self.reader.body(framing, &mut seen);
            if let Err(Fault::Syntax(how)) = &message {
                panic!("{how}, in the body after:\n{head}");
            }
            check::text(status, &head, &seen.finish().text(), &self.secrets);
            return message.map(|message| Response {
                status,
                head,
                message,
                interims,
            });
        }
    }

    /// Reads only a head, and checks it; the body can be read in pieces after it.
    #[track_caller]
    pub fn response_head(&mut self) -> (u16, Framing) {
        match self.reader.head() {
            Ok(Some(head)) => check::head(&head, "GET", false),
            other => panic!("awaiting a response: {other:?}"),
        }
    }

    /// Reads a body whose head was read apart.
    #[track_caller]
    pub fn response_body(&mut self, framing: Framing) -> Message {
        self.reader
            .body(framing, &mut Collector::default())
            .unwrap_or_else(|fault| panic!("the body is broken: {fault}"))
    }

    /// Reads so many raw bytes.
    #[track_caller]
    pub fn bytes(&mut self, n: usize) -> Vec<u8> {
        self.reader
            .bytes(n)
            .unwrap_or_else(|fault| panic!("awaiting {n} bytes: {fault}"))
    }

    /// Fails unless the gateway ends the connection, by end or reset, without another byte.
    #[track_caller]
    pub fn expect_closed(&mut self) {
        match self.reader.some() {
            Ok(bytes) if bytes.is_empty() => {}
            Ok(bytes) => panic!("awaiting the end, got {:?}", String::from_utf8_lossy(&bytes)),
            Err(Fault::Io(error)) if is_end(&error) => {}
            Err(fault) => panic!("the connection is not closed: {fault}"),
        }
    }

    /// Fails unless the connection, whatever came before, ends by a reset: the one way to tell a client
    /// that reads until the end that this was not all.
    #[track_caller]
    pub fn expect_reset(&mut self) {
        loop {
            match self.reader.some() {
                Ok(bytes) if bytes.is_empty() => panic!("the connection has ended as if all were well"),
                Ok(_) => {}
                Err(Fault::Io(error)) if error.kind() == io::ErrorKind::ConnectionReset => return,
                Err(fault) => panic!("the connection is not reset: {fault}"),
            }
        }
    }

    /// Reads all there is until the end of the connection; None if it does not end.
    pub fn rest(&mut self) -> Option<Vec<u8>> {
        let mut all = Vec::new();
        loop {
            match self.reader.some() {
                Ok(bytes) if bytes.is_empty() => return Some(all),
                Ok(bytes) => all.extend(bytes),
                Err(Fault::Io(error)) if is_end(&error) => return Some(all),
                Err(_) => return None,
            }
        }
    }

    /// Sends a request and reads its response on a thread of its own.
    pub fn ask_apart(mut self, request: Request) -> Pending {
        Pending(std::thread::spawn(move || self.ask(&request)))
    }
}

impl Pending {
    /// Waits for the response.
    pub fn response(self) -> Response {
        self.0
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Whether the response is there, or has failed.
    pub fn is_done(&self) -> bool {
        self.0.is_finished()
    }
}

fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe
    )
}
