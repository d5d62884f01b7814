//! A scripted Consul: one service, and questions that are held back until it changes.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// How often a question that is held back looks whether who asks has gone.
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// A Consul on a port of its own.
pub struct Consul {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    index: u64,
    body: String,
    /// In place of 200.
    status: Option<u16>,
    heads: Vec<String>,
    held: usize,
    over: bool,
}

impl Default for Consul {
    fn default() -> Self {
        Self::start()
    }
}

impl Consul {
    /// Starts one whose service has no instance.
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("the system has a free port");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared::default());
        shared.state.lock().index = 1;
        "[]".clone_into(&mut shared.state.lock().body);
        let its_shared = Arc::clone(&shared);
        let acceptor = std::thread::spawn(move || accept(&listener, &its_shared));
        Self {
            address,
            shared,
            acceptor: Some(acceptor),
        }
    }

    /// What stands in `address` of `consul`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Another state of the service: who waits for a change of the index is answered.
    pub fn set(&self, index: u64, instances: &[SocketAddr]) {
        let instance = |address: &SocketAddr| {
            format!(
                r#"{{ "Node": {{ "Address": "{0}" }}, "Service": {{ "Address": "", "Port": {1} }}, "Checks": [] }}"#,
                address.ip(),
                address.port()
            )
        };
        let instances: Vec<_> = instances.iter().map(instance).collect();
        self.change(|state| {
            state.index = index;
            state.body = format!("[{}]", instances.join(","));
        });
    }

    /// A status in place of 200, for who waits too; None answers as before.
    pub fn set_status(&self, status: Option<u16>) {
        self.change(|state| state.status = status);
    }

    /// The heads of all questions.
    pub fn heads(&self) -> Vec<String> {
        self.shared.state.lock().heads.clone()
    }

    /// Questions that are held back at this moment.
    pub fn held(&self) -> usize {
        self.shared.state.lock().held
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.shared.state.lock());
        self.shared.changed.notify_all();
    }
}

impl Drop for Consul {
    fn drop(&mut self) {
        self.change(|state| state.over = true);
        // Wakes the acceptor.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let ended = acceptor.join();
            assert!(
                ended.is_ok() || std::thread::panicking(),
                "the scripted Consul has failed"
            );
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut threads = Vec::new();
    for stream in listener.incoming().flatten() {
        if shared.state.lock().over {
            break;
        }
        let shared = Arc::clone(shared);
        threads.push(std::thread::spawn(move || serve(stream, &shared)));
    }
    threads
        .into_iter()
        .for_each(|thread| thread.join().expect("a question does not fail"));
}

/// One question a connection.
fn serve(mut stream: TcpStream, shared: &Shared) {
    let mut head = String::new();
    let mut reader = BufReader::new(&stream);
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap_or(0) == 0 {
            return;
        }
    }
    let asked = parameter(&head, "index").and_then(|index| index.parse::<u64>().ok());
    let mut state = shared.state.lock();
    state.heads.push(head);
    if let Some(asked) = asked.filter(|index| *index > 0) {
        state.held += 1;
        while !state.over && state.status.is_none() && state.index == asked {
            shared.changed.wait_for(&mut state, BETWEEN_LOOKS);
        }
        state.held -= 1;
    }
    let status = state.status.unwrap_or(200);
    let body = if status == 200 { state.body.as_str() } else { "no" };
    let reply = format!(
        "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nX-Consul-Index: {}\r\nConnection: close\r\n\r\n{body}",
        body.len(),
        state.index
    );
    drop(state);
    // Who has gone meanwhile misses nothing.
    let _ = stream.write_all(reply.as_bytes());
}

/// The value of a parameter of the request line.
fn parameter<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let target = head.split(' ').nth(1)?;
    let (_, query) = target.split_once('?')?;
    query
        .split('&')
        .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}
