//! A scripted server of the domain name system, over UDP and TCP.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;

/// How often it looks whether it has been dropped.
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);
/// Ports tried until one is free for both protocols.
const PORTS_MAX: usize = 20;

/// Type A.
pub const A: u16 = 1;
/// Type AAAA.
pub const AAAA: u16 = 28;
/// Type SRV.
pub const SRV: u16 = 33;

/// What is said of a name instead of its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// SERVFAIL
    ServFail,
    /// NXDOMAIN
    NxDomain,
    /// Nothing at all.
    Silence,
}

/// A server of names on a port of its own. It knows what the play has told it; all else is NXDOMAIN.
pub struct NameServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    over: AtomicBool,
}

/// Time to live in seconds, and data.
type Record = (u32, Vec<u8>);

#[derive(Default)]
struct State {
    records: HashMap<(String, u16), Vec<Record>>,
    trouble: HashMap<(String, u16), Trouble>,
    truncates: bool,
    asked: HashMap<(String, u16), usize>,
    asked_by_tcp: usize,
}

impl Default for NameServer {
    fn default() -> Self {
        Self::start()
    }
}

impl NameServer {
    /// Starts one that knows nothing.
    pub fn start() -> Self {
        let (udp, tcp) = bind();
        let address = udp.local_addr().expect("it is bound");
        let shared = Arc::new(Shared::default());
        udp.set_read_timeout(Some(BETWEEN_LOOKS))
            .expect("every system knows it");
        tcp.set_nonblocking(true).expect("every system knows it");
        let (for_udp, for_tcp) = (Arc::clone(&shared), Arc::clone(&shared));
        let threads = vec![
            std::thread::spawn(move || serve_udp(&udp, &for_udp)),
            std::thread::spawn(move || serve_tcp(&tcp, &for_tcp)),
        ];
        Self {
            address,
            shared,
            threads,
        }
    }

    /// Where it listens, by both protocols.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A name's addresses of both families, in place of those it had.
    pub fn set_addresses(&self, name: &str, ttl_s: u32, addresses: &[&str]) {
        let parsed: Vec<IpAddr> = addresses.iter().map(|a| a.parse().expect("an address")).collect();
        let of = |is_v4: bool| {
            let these = parsed.iter().filter(move |ip| ip.is_ipv4() == is_v4);
            let data = these.map(|ip| match ip {
                IpAddr::V4(ip) => ip.octets().to_vec(),
                IpAddr::V6(ip) => ip.octets().to_vec(),
            });
            data.map(|data| (ttl_s, data)).collect::<Vec<_>>()
        };
        let mut state = self.shared.state.lock();
        state.records.insert((name.to_owned(), A), of(true));
        state.records.insert((name.to_owned(), AAAA), of(false));
    }

    /// A name's SRV records (priority, weight, port, target), in place of those it had.
    pub fn set_services(&self, name: &str, ttl_s: u32, services: &[(u16, u16, u16, &str)]) {
        let data = |(priority, weight, port, target): &(u16, u16, u16, &str)| {
            let mut data = [*priority, *weight, *port].map(u16::to_be_bytes).concat();
            data.extend(encoded(target));
            (ttl_s, data)
        };
        let records = services.iter().map(data).collect();
        let mut state = self.shared.state.lock();
        state.records.insert((name.to_owned(), SRV), records);
    }

    /// Trouble with these records of a name, or none any more.
    pub fn set_trouble(&self, name: &str, kind: u16, trouble: Option<Trouble>) {
        let mut state = self.shared.state.lock();
        let key = (name.to_owned(), kind);
        match trouble {
            Some(trouble) => _ = state.trouble.insert(key, trouble),
            None => _ = state.trouble.remove(&key),
        }
    }

    /// Whether answers over UDP say only that they would be longer.
    pub fn set_truncates(&self, truncates: bool) {
        self.shared.state.lock().truncates = truncates;
    }

    /// How often it was asked for these records of a name.
    pub fn asked(&self, name: &str, kind: u16) -> usize {
        let state = self.shared.state.lock();
        state.asked.get(&(name.to_owned(), kind)).copied().unwrap_or(0)
    }

    /// How many of all questions came by TCP.
    pub fn asked_by_tcp(&self) -> usize {
        self.shared.state.lock().asked_by_tcp
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            let ended = thread.join();
            assert!(
                ended.is_ok() || std::thread::panicking(),
                "the server of names has failed"
            );
        }
    }
}

/// Both protocols on one port.
fn bind() -> (UdpSocket, TcpListener) {
    for _ in 0..PORTS_MAX {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("the system has a free port");
        let address = udp.local_addr().expect("it is bound");
        if let Ok(tcp) = TcpListener::bind(address) {
            return (udp, tcp);
        }
    }
    panic!("none of {PORTS_MAX} ports is free for UDP and TCP");
}

fn serve_udp(socket: &UdpSocket, shared: &Shared) {
    let mut buffer = [0; 1_500];
    while !shared.over.load(Ordering::Acquire) {
        let Ok((length, from)) = socket.recv_from(&mut buffer) else {
            continue;
        };
        if let Some(reply) = shared.reply(&buffer[..length], false) {
            // Who has gone meanwhile misses nothing.
            let _ = socket.send_to(&reply, from);
        }
    }
}

fn serve_tcp(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut threads = Vec::new();
    while !shared.over.load(Ordering::Acquire) {
        match listener.accept() {
            Ok((stream, _)) => {
                let shared = Arc::clone(shared);
                threads.push(std::thread::spawn(move || converse(stream, &shared)));
            }
            Err(_) => std::thread::park_timeout(BETWEEN_LOOKS),
        }
    }
    threads
        .into_iter()
        .for_each(|thread| thread.join().expect("a conversation does not fail"));
}

/// Each message has its length before it (RFC 1035 §4.2.2).
fn converse(mut stream: TcpStream, shared: &Shared) {
    let is_set =
        stream.set_nonblocking(false).is_ok() && stream.set_read_timeout(Some(BETWEEN_LOOKS)).is_ok();
    let mut read = |bytes: &mut [u8]| {
        let mut at = 0;
        while is_set && at < bytes.len() && !shared.over.load(Ordering::Acquire) {
            match stream.read(&mut bytes[at..]) {
                Ok(0) => return None,
                Ok(length) => at += length,
                Err(e)
                    if matches!(
                        e.kind(),
                        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                    ) => {}
                Err(_) => return None,
            }
        }
        (at == bytes.len()).then_some(())
    };
    let mut length = [0; 2];
    let mut message = Vec::new();
    if read(&mut length).is_some() {
        message.resize(usize::from(u16::from_be_bytes(length)), 0);
    }
    // One question a connection is what plays need.
    if read(&mut message).is_none() || message.is_empty() {
        return;
    }
    if let Some(reply) = shared.reply(&message, true) {
        let length = u16::try_from(reply.len()).expect("answers of plays are short");
        let _ = stream.write_all(&[&length.to_be_bytes()[..], &reply].concat());
    }
}

impl Shared {
    /// The answer to a question (RFC 1035 §4.1), if there is to be one.
    fn reply(&self, message: &[u8], is_tcp: bool) -> Option<Vec<u8>> {
        let (name, kind, end) = question(message);
        let mut state = self.state.lock();
        *state.asked.entry((name.clone(), kind)).or_default() += 1;
        state.asked_by_tcp += usize::from(is_tcp);
        let key = (name.clone(), kind);
        let is_known = state
            .records
            .iter()
            .any(|((n, _), records)| *n == name && !records.is_empty());
        let code: u16 = match state.trouble.get(&key) {
            Some(Trouble::Silence) => return None,
            Some(Trouble::ServFail) => 2,
            Some(Trouble::NxDomain) => 3,
            None if !is_known => 3,
            None => 0,
        };
        let none = Vec::new();
        let records = state.records.get(&key).filter(|_| code == 0).unwrap_or(&none);
        let is_cut = state.truncates && !is_tcp && code == 0;
        let records = if is_cut { &none } else { records };
        // An answer, recursion asked for and had; perhaps cut off.
        let flags = 0x8180 | code | if is_cut { 0x0200 } else { 0 };
        let count = u16::try_from(records.len()).expect("plays have few records");
        let mut reply = message[..2].to_vec();
        reply.extend([flags, 1, count, 0, 0].map(u16::to_be_bytes).concat());
        reply.extend(&message[12..end]);
        for (ttl_s, data) in records {
            // A pointer to the name of the question.
            reply.extend([0xc00c, kind, 1].map(u16::to_be_bytes).concat());
            reply.extend(ttl_s.to_be_bytes());
            reply.extend(u16::try_from(data.len()).expect("short").to_be_bytes());
            reply.extend(data);
        }
        Some(reply)
    }
}

/// The name in lower case, the type, and where the question ends.
#[track_caller]
fn question(message: &[u8]) -> (String, u16, usize) {
    assert!(
        message.len() > 12 && message[4..6] == [0, 1],
        "one question: {message:?}"
    );
    let mut labels = Vec::new();
    let mut at = 12;
    while message[at] != 0 {
        let end = at + 1 + usize::from(message[at]);
        labels.push(String::from_utf8_lossy(&message[at + 1..end]).to_ascii_lowercase());
        at = end;
    }
    let kind = u16::from_be_bytes([message[at + 1], message[at + 2]]);
    (labels.join("."), kind, at + 5)
}

fn encoded(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        bytes.push(u8::try_from(label.len()).expect("labels are short"));
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}
