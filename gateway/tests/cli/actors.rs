//! Who takes part: the binary, a folder with its configuration, an origin behind it, a client in front.

#![expect(
    clippy::unwrap_used,
    reason = "all of this is test code, where a surprise may panic"
)]

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use socket2::{Domain, Socket, Type};

/// How long a fact may take to come about before the test gives up.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A folder that holds `sluice.toml`.
pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new(text: &str) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write(text);
        folder
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn config(&self) -> PathBuf {
        self.path().join("sluice.toml")
    }

    /// By renaming, so that nobody reads half of it.
    pub fn write(&self, text: &str) {
        let next = self.path().join("next");
        std::fs::write(&next, text).unwrap();
        std::fs::rename(next, self.config()).unwrap();
    }
}

/// A call of the binary.
pub struct Call(pub Command);

/// The binary with these words, and nothing of the environment that could change what it does.
pub fn command(words: &[&str]) -> Call {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    for name in ["SLUICE_LOG", "SLUICE_ADMIN_TOKEN", "NOTIFY_SOCKET"] {
        command.env_remove(name);
    }
    command.args(words).stdin(Stdio::null());
    Call(command)
}

/// Runs a command that ends by itself, with the folder's configuration.
pub fn sluice(folder: &Folder, words: &[&str]) -> Done {
    let mut call = command(words);
    if !words.contains(&"-c") {
        call.0.arg("-c").arg(folder.config());
    }
    call.done()
}

/// How a command ended.
#[derive(Debug)]
pub struct Done {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Call {
    pub fn done(self) -> Done {
        let mut running = Sluice::begin(self);
        let err = running.rest();
        Done {
            code: running.code(),
            out: running.out(),
            err,
        }
    }
}

/// A running gateway, killed when the test is over.
pub struct Sluice {
    child: Child,
    out: Receiver<String>,
    err: Receiver<String>,
    listener: Option<SocketAddr>,
    admin: Option<SocketAddr>,
}

impl Sluice {
    /// With the folder's configuration and a few variables.
    pub fn start(folder: &Folder, words: &[&str], variables: &[(&str, &OsStr)]) -> Self {
        let mut call = command(words);
        call.0.arg("-c").arg(folder.config());
        call.0.envs(variables.iter().copied());
        Self::spawn(call)
    }

    /// Returns when it is ready.
    pub fn spawn(call: Call) -> Self {
        let mut sluice = Self::begin(call);
        let address = |line: &str, what: &str| {
            line.strip_prefix(what)?
                .strip_prefix("http://")?
                .trim_end()
                .parse()
                .ok()
        };
        loop {
            let line = sluice.line();
            sluice.listener = sluice.listener.or(address(&line, "listening on "));
            sluice.admin = sluice.admin.or(address(&line, "admin on "));
            if line.starts_with("ready: ") {
                return sluice;
            }
        }
    }

    /// Returns at once.
    pub fn begin(mut call: Call) -> Self {
        call.0.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = call.0.spawn().unwrap();
        let out = lines(child.stdout.take().unwrap());
        let err = lines(child.stderr.take().unwrap());
        Self {
            child,
            out,
            err,
            listener: None,
            admin: None,
        }
    }

    pub fn listener(&self) -> SocketAddr {
        self.listener.expect("it has printed its listener")
    }

    pub fn admin(&self) -> SocketAddr {
        self.admin.expect("it has printed its admin address")
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for a line on stderr that has this text.
    pub fn told(&self, text: &str) {
        while !self.line().contains(text) {}
    }

    /// The next line on stdout.
    pub fn said(&self) -> String {
        self.out.recv_timeout(PATIENCE).expect("another line on stdout")
    }

    /// Waits for its end.
    pub fn code(&mut self) -> i32 {
        self.rest();
        self.child.wait().unwrap().code().expect("no signal has ended it")
    }

    /// All of stdout, after its end.
    pub fn out(&self) -> String {
        until_end(&self.out)
    }

    fn rest(&self) -> String {
        until_end(&self.err)
    }

    fn line(&self) -> String {
        self.err.recv_timeout(PATIENCE).expect("another line on stderr")
    }
}

impl Drop for Sluice {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines of a stream as they come.
fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (tell, lines) = channel();
    thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        while stream.read_line(&mut line).is_ok_and(|n| n > 0) {
            if tell.send(std::mem::take(&mut line)).is_err() {
                return;
            }
        }
    });
    lines
}

fn until_end(lines: &Receiver<String>) -> String {
    let mut text = String::new();
    loop {
        match lines.recv_timeout(PATIENCE) {
            Ok(line) => text.push_str(&line),
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return text,
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => panic!("it does not end; so far: {text}"),
        }
    }
}

/// A server that answers every request alike, or never.
pub struct Origin {
    pub address: SocketAddr,
    requests: Receiver<()>,
}

impl Origin {
    pub fn answering(body: &'static str) -> Self {
        Self::new(Some(body))
    }

    pub fn silent() -> Self {
        Self::new(None)
    }

    pub fn wait_for_a_request(&self) {
        self.requests
            .recv_timeout(PATIENCE)
            .expect("a request at the origin");
    }

    fn new(body: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, requests) = channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let tell = tell.clone();
                thread::spawn(move || {
                    let mut stream = BufReader::new(stream.unwrap());
                    let mut line = String::new();
                    while stream.read_line(&mut line).is_ok_and(|n| n > 0) {
                        if line.ends_with("\r\n\r\n") {
                            line.clear();
                            let _ = tell.send(());
                            let Some(body) = body else { continue };
                            let length = body.len();
                            let _ = write!(
                                stream.get_mut(),
                                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}"
                            );
                        }
                    }
                });
            }
        });
        Self { address, requests }
    }
}

/// Sends a request and does not wait for the answer.
pub fn ask(address: SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    stream
}

/// The body of an answer.
pub fn got(address: SocketAddr, path: &str) -> String {
    let mut text = String::new();
    ask(address, path).read_to_string(&mut text).unwrap();
    let (_, body) = text.split_once("\r\n\r\n").expect("a whole head");
    body.to_owned()
}

/// An address at which nobody listens, nor can while the socket lives: it is bound and does not listen.
pub fn closed_port() -> (SocketAddr, Socket) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket
        .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
        .unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (address, socket)
}
