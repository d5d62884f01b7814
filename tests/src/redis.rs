//! A real redis-server, as limits that several gateways share need one.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};
use socket2::{Domain, Socket, Type};

use crate::patience::{patience, wait_for, wait_until};
use crate::process::Process;

/// How many ports are tried: a program that does not share its port may have the first.
const PORTS_MAX: usize = 10;

/// A redis-server on a port and in a folder of its own. Dropping it kills it.
///
/// What was written outlives [`kill`](Self::kill) and [`restart`](Self::restart), scripts do not. The port is kept while
/// it is down: nobody else gets it, and connections are refused.
///
/// The first one of a play fails it if the machine has no redis-server; `deploy/tools.sh redis-server=redis` installs it.
pub struct RedisServer {
    process: Option<Process>,
    address: SocketAddr,
    password: Option<String>,
    folder: tempfile::TempDir,
    /// Bound and never listening: the port stays taken between a kill and a restart.
    _port: Socket,
}

/// What a server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// `+OK` and bulk strings.
    Text(String),
    /// An integer.
    Number(i64),
    /// An error, with its code.
    Error(String),
    /// Nothing there.
    Nil,
    /// Several of them.
    List(Vec<Reply>),
}

impl RedisServer {
    /// Starts one that lets everybody in, and waits until it answers.
    #[track_caller]
    pub fn start() -> Self {
        Self::start_with(None)
    }

    /// Starts one that asks for a password, and waits until it answers.
    #[track_caller]
    pub fn start_with_password(password: &str) -> Self {
        Self::start_with(Some(password.to_owned()))
    }

    #[track_caller]
    fn start_with(password: Option<String>) -> Self {
        for _ in 0..PORTS_MAX {
            let port = reserve();
            let mut server = Self {
                process: None,
                address: local_address(&port),
                password: password.clone(),
                folder: tempfile::tempdir().expect("a temporary folder is to be had"),
                _port: port,
            };
            if server.run() {
                return server;
            }
        }
        panic!("redis-server has found none of {PORTS_MAX} ports to its liking");
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What stands in `url` of `[redis]`.
    pub fn url(&self) -> String {
        match &self.password {
            None => format!("redis://{}/0", self.address),
            Some(password) => format!("redis://:{password}@{}/0", self.address),
        }
    }

    /// Stops it where it stands, as SIGSTOP does: connections are taken by the system, and nothing is answered.
    pub fn stop(&self) {
        self.signal(Signal::STOP);
        wait_until("redis-server stands still", || self.state() == 'T');
    }

    /// Lets it go on after [`stop`](Self::stop). What was asked meanwhile is answered now.
    pub fn cont(&self) {
        self.signal(Signal::CONT);
    }

    /// Ends it at once. Connections are reset, and new ones refused.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// Starts it again after [`kill`](Self::kill), on the same port and with what was written, and waits until it answers.
    #[track_caller]
    pub fn restart(&mut self) {
        self.kill();
        assert!(self.run(), "redis-server does not start on its own port");
    }

    /// Forgets all keys, and no script.
    #[track_caller]
    pub fn flush(&self) {
        self.ask(&["FLUSHALL"]);
    }

    /// Asks one question over a connection of its own; fails the play if that is answered by an error.
    #[track_caller]
    pub fn ask(&self, words: &[&str]) -> Reply {
        let reply = self
            .try_ask(words)
            .unwrap_or_else(|error| panic!("redis-server does not answer {words:?}: {error}"));
        assert!(!matches!(reply, Reply::Error(_)), "{words:?}: {reply:?}");
        reply
    }

    fn try_ask(&self, words: &[&str]) -> std::io::Result<Reply> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(patience()))?;
        let mut reader = BufReader::new(stream.try_clone()?);
        if let Some(password) = &self.password {
            stream.write_all(&packed(&["AUTH", password]))?;
            read_reply(&mut reader)?;
        }
        stream.write_all(&packed(words))?;
        read_reply(&mut reader)
    }

    /// Whether it runs and answers; not if its port was somebody else's.
    fn run(&mut self) -> bool {
        let port = self.address.port().to_string();
        let mut command = Command::new("redis-server");
        command
            .args(["--port", &port, "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "yes", "--appendfsync", "no"])
            .args(["--daemonize", "no"])
            .current_dir(self.folder.path());
        if let Some(password) = &self.password {
            command.args(["--requirepass", password]);
        }
        assert!(
            Command::new("redis-server").arg("--version").output().is_ok(),
            "this play needs a redis-server, and the machine has none: run deploy/tools.sh redis-server=redis"
        );
        let mut process = Process::start(command);
        let is_running = wait_for("redis-server answers", || {
            if !process.is_running() {
                return Some(false);
            }
            let pong = self.try_ask(&["PING"]).ok()?;
            (pong == Reply::Text("PONG".to_owned())).then_some(true)
        });
        self.process = is_running.then_some(process);
        is_running
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("it is our child, and it runs");
    }

    /// The letter of `/proc/PID/stat`: `T` stands still.
    fn state(&self) -> char {
        let path = format!("/proc/{}/stat", self.pid().as_raw_nonzero());
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let after_name = text.rsplit_once(") ").expect("a name stands in brackets").1;
        after_name.chars().next().expect("a state follows the name")
    }

    fn pid(&self) -> Pid {
        let process = self.process.as_ref().expect("it was not killed");
        let id = i32::try_from(process.id()).expect("the system's ids are small");
        Pid::from_raw(id).expect("no process has the id 0")
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // One that stands still dies of SIGKILL as any other.
        self.kill();
    }
}

/// A port that is bound and not listened on. Another socket may listen on it only if, as redis-server's, it asks for the
/// address to be reused; the system gives it to nobody who asks for just any port.
pub fn reserve() -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("the system has sockets");
    socket.set_reuse_address(true).expect("every system knows it");
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    socket.bind(&any.into()).expect("the system has a free port");
    socket
}

/// Where a socket is bound.
pub fn local_address(socket: &Socket) -> SocketAddr {
    let address = socket.local_addr().expect("it is bound");
    address.as_socket().expect("it was bound to an address of IPv4")
}

/// A question as Redis reads it.
fn packed(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    bytes
}

fn read_reply(from: &mut impl BufRead) -> std::io::Result<Reply> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    let bad = || std::io::Error::new(std::io::ErrorKind::InvalidData, format!("{line:?} is no answer"));
    let (kind, rest) = line
        .trim_end_matches("\r\n")
        .split_at_checked(1)
        .ok_or_else(bad)?;
    let number = || rest.parse::<i64>().map_err(|_| bad());
    Ok(match kind {
        "+" => Reply::Text(rest.to_owned()),
        "-" => Reply::Error(rest.to_owned()),
        ":" => Reply::Number(number()?),
        "$" => match usize::try_from(number()?) {
            Err(_) => Reply::Nil,
            Ok(length) => {
                let mut text = vec![0; length + 2];
                from.read_exact(&mut text)?;
                text.truncate(length);
                Reply::Text(String::from_utf8_lossy(&text).into_owned())
            }
        },
        "*" => Reply::List(
            (0..number()?)
                .map(|_| read_reply(from))
                .collect::<Result<_, _>>()?,
        ),
        _ => return Err(bad()),
    })
}

impl Reply {
    /// The number it is.
    #[track_caller]
    pub fn number(&self) -> i64 {
        match self {
            Self::Number(number) => *number,
            other => panic!("{other:?} is no number"),
        }
    }

    /// The numbers it is a list of.
    #[track_caller]
    pub fn numbers(&self) -> Vec<i64> {
        match self {
            Self::List(replies) => replies.iter().map(Self::number).collect(),
            other => panic!("{other:?} is no list"),
        }
    }
}

/// Who is where a Redis should be, and is none.
pub struct NoRedis {
    address: SocketAddr,
    /// Keeps a port that nobody listens on.
    _port: Option<Socket>,
}

impl NoRedis {
    /// Answers each question with these bytes, whatever it is.
    pub fn says(bytes: &'static [u8]) -> Self {
        Self::listening(move |stream| {
            let mut stream = stream;
            while stream.read(&mut [0; 4_096]).is_ok_and(|read| read > 0) {
                if stream.write_all(bytes).is_err() {
                    return;
                }
            }
        })
    }

    /// Takes connections and says nothing.
    pub fn silent() -> Self {
        Self::says(b"")
    }

    /// Takes connections and closes them.
    pub fn closing() -> Self {
        Self::listening(drop)
    }

    /// Takes no connections.
    pub fn unreachable() -> Self {
        let port = reserve();
        Self {
            address: local_address(&port),
            _port: Some(port),
        }
    }

    /// What stands in `url` of `[redis]`.
    pub fn url(&self) -> String {
        format!("redis://{}/0", self.address)
    }

    /// Its threads end with the process: nothing tells a blocked accept to.
    fn listening(serve: impl Fn(TcpStream) + Clone + Send + 'static) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("the system has a free port");
        let address = listener.local_addr().expect("it is bound");
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serve = serve.clone();
                std::thread::spawn(move || serve(stream));
            }
        });
        Self { address, _port: None }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_was_written_outlives_a_kill_and_scripts_do_not() {
        let mut server = RedisServer::start_with_password("secret");
        let address = server.address();
        server.ask(&["SET", "a", "1"]);
        let hash = server.ask(&["SCRIPT", "LOAD", "return 1"]);
        let Reply::Text(hash) = hash else {
            panic!("{hash:?}")
        };
        assert_eq!(server.ask(&["SCRIPT", "EXISTS", &hash]).numbers(), [1]);
        server.kill();
        assert!(TcpStream::connect(address).is_err(), "connections are refused");
        server.restart();
        assert_eq!(server.address(), address);
        assert_eq!(server.ask(&["GET", "a"]), Reply::Text("1".to_owned()));
        assert_eq!(server.ask(&["SCRIPT", "EXISTS", &hash]).numbers(), [0]);
        server.flush();
        assert_eq!(server.ask(&["GET", "a"]), Reply::Nil);
    }

    #[test]
    fn one_that_stands_still_takes_connections_and_answers_when_it_goes_on() {
        let server = RedisServer::start();
        server.stop();
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        stream.write_all(b"PING\r\n").unwrap();
        assert!(stream.read(&mut [0; 8]).is_err());
        server.cont();
        stream.set_read_timeout(Some(patience())).unwrap();
        let mut answer = [0; 7];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"+PONG\r\n");
    }
}
