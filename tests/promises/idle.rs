use std::net::TcpStream;

use std::io::Write;

use harness::process::raise_descriptor_limit;
use harness::wire::Reader;
use harness::{Request, Sluice, wait_until};

use crate::size;

/// The budget. Half of it was seen: the future that waits, a timer, and what the runtime keeps of a socket.
const BYTES_EACH_MAX: u64 = 4 << 10;

const DESCRIPTORS_BESIDE: u64 = 200;

const CONFIG: &str = r#"
    [server.limits]
    keepalive_timeout = "10m"

    [[routes]]
    name = "all"
    respond = { body = "here" }
"#;

/// Connects, asks once, and says nothing more. Only the socket is kept.
#[track_caller]
fn idle(sluice: &Sluice) -> TcpStream {
    let mut stream = TcpStream::connect(sluice.address()).expect("the gateway takes connections");
    stream
        .write_all(&Request::get("/").bytes())
        .expect("and requests");
    let mut reader = Reader::new(&stream);
    let head = reader.head().expect("it answers").expect("with a head");
    assert!(head.start.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!(reader.bytes(4).expect("and a body"), b"here");
    stream
}

#[test]
fn an_idle_connection_costs_little_memory() {
    let _turn = crate::turn();
    let connections = size("TEST_IDLE_CONNECTIONS", 2_000);
    raise_descriptor_limit(connections as u64 + DESCRIPTORS_BESIDE);
    let sluice = Sluice::start(CONFIG);
    let wait_idle = |n: usize| {
        wait_until("all connections are idle", || {
            let listener = &sluice.admin().status()["listeners"][0];
            listener["idle"] == n && listener["connections"] == n
        });
    };
    // What the first connections take is taken once.
    let mut held: Vec<_> = (0..100).map(|_| idle(&sluice)).collect();
    wait_idle(held.len());
    let before = sluice.process.memory_kib("VmRSS");
    held.extend((0..connections).map(|_| idle(&sluice)));
    wait_idle(held.len());
    let after = sluice.process.memory_kib("VmRSS");

    let each = after.saturating_sub(before) * 1024 / connections as u64;
    eprintln!("idle: {connections} connections, {before} KiB before, {after} KiB after, {each} bytes each");
    assert!(each < BYTES_EACH_MAX, "{each} bytes each");
    // They are all still of use.
    for mut stream in held {
        stream.write_all(&Request::get("/").bytes()).expect("it is open");
        let head = Reader::new(&stream)
            .head()
            .expect("it answers")
            .expect("with a head");
        assert!(head.start.starts_with("HTTP/1.1 200 "), "{head}");
    }
}
