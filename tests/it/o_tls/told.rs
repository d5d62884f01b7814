use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use harness::origin::reply;
use harness::{Connection, Gateway, Origin, Request, wait_until};
use parking_lot::Mutex;

/// A server that reads bytes as they are; it answers each head, and goes on.
struct Raw {
    address: SocketAddr,
    connections: Arc<Mutex<Vec<Heard>>>,
}

#[derive(Clone, Default)]
struct Heard {
    bytes: Vec<u8>,
    has_ended: bool,
}

impl Raw {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is to be had");
        let address = listener.local_addr().expect("a bound socket has an address");
        let connections = Arc::<Mutex<Vec<Heard>>>::default();
        let all = Arc::clone(&connections);
        // They end with the process: nobody waits for them.
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let mut connections = all.lock();
                let n = connections.len();
                connections.push(Heard::default());
                let all = Arc::clone(&all);
                std::thread::spawn(move || hear(socket, &all, n));
            }
        });
        Self { address, connections }
    }

    fn heard(&self) -> Vec<Heard> {
        self.connections.lock().clone()
    }

    /// An upstream of this name for it, at a route of its own.
    fn upstream(&self, name: &str, lines: &str) -> String {
        format!(
            "[upstreams.{name}]\nservers = [{{ address = \"{}\" }}]\n{lines}\n\
             [[routes]]\nname = \"{name}\"\nmatch = {{ path_prefix = \"/{name}\" }}\nupstream = \"{name}\"\n",
            self.address
        )
    }
}

fn hear(mut socket: TcpStream, all: &Mutex<Vec<Heard>>, n: usize) {
    let mut space = [0; 4_096];
    let mut answered = 0;
    while let Ok(read @ 1..) = socket.read(&mut space) {
        let heads = {
            let heard = &mut all.lock()[n];
            heard.bytes.extend_from_slice(&space[..read]);
            heads(&heard.bytes)
        };
        for _ in answered..heads {
            let _ = socket.write_all(
                b"HTTP/1.1 200 OK\r\nDate: Sat, 01 Jan 2000 00:00:00 GMT\r\nContent-Length: 2\r\n\r\nok",
            );
        }
        answered = heads;
        // A handshake: nothing that could be answered.
        if contains(&all.lock()[n].bytes, b"\r\n\x16\x03\x01") {
            break;
        }
    }
    all.lock()[n].has_ended = true;
}

/// Requests without bodies that are whole.
fn heads(bytes: &[u8]) -> usize {
    let lines = bytes.windows(4).filter(|w| *w == b"\r\n\r\n").count();
    // Version 2 begins with an empty line of its own.
    lines - usize::from(bytes.starts_with(b"\r\n\r\n"))
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|w| w == part)
}

/// Every connection began for its client, carried one request, and has ended.
fn told_each_time(version: &str, begins: impl Fn(&[u8], [u8; 4], u16) -> bool) {
    let raw = Raw::new();
    let gw = Gateway::start(&format!(
        "[server]\nthreads = 1\ndrain_timeout = \"5s\"\n{}{}",
        raw.upstream("told", &format!("send_proxy_protocol = {version:?}")),
        raw.upstream("plain", "")
    ));

    // An idle connection that was opened without a word lies there for the others to find.
    gw.get("/plain").expect(200);
    let mut expected = Vec::new();
    for last in [2, 3, 2] {
        let mut client = Connection::open_from([127, 0, 0, last].into(), gw.address());
        for _ in 0..2 {
            client.ask(&Request::get("/told")).expect(200).body("ok");
            expected.push([127, 0, 0, last]);
        }
    }
    gw.get("/plain").expect(200);
    let heard = raw.heard();
    let (plain, told) = heard.split_first().expect("there is one");
    assert!(plain.bytes.starts_with(b"GET /plain "));
    assert_eq!(heads(&plain.bytes), 2, "and it is used again");
    assert_eq!(told.len(), expected.len(), "a connection for each request");
    for (heard, client) in told.iter().zip(expected) {
        let text = String::from_utf8_lossy(&heard.bytes);
        assert!(
            begins(&heard.bytes, client, gw.address().port()),
            "{client:?}: {text}"
        );
        assert_eq!(heads(&heard.bytes), 1, "{text}");
    }
    wait_until("none of them is kept", || {
        raw.heard().iter().skip(1).all(|heard| heard.has_ended)
    });
}

#[test]
fn servers_are_told_the_client_by_a_line_on_a_connection_of_its_own() {
    told_each_time("v1", |bytes, [a, b, c, d], port| {
        let text = String::from_utf8_lossy(bytes);
        let (line, rest) = text.split_once("\r\n").unwrap();
        let parts: Vec<_> = line.split(' ').collect();
        parts.len() == 6
            && parts[..3] == ["PROXY", "TCP4", &format!("{a}.{b}.{c}.{d}")]
            && parts[5] == port.to_string()
            && rest.starts_with("GET /told HTTP/1.1\r\n")
    });
}

#[test]
fn servers_are_told_the_client_by_a_header_on_a_connection_of_its_own() {
    told_each_time("v2", |bytes, client, port| {
        bytes.starts_with(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c")
            && bytes[16..20] == client
            && bytes[26..28] == port.to_be_bytes()
            && bytes[28..].starts_with(b"GET /told HTTP/1.1\r\n")
    });
}

#[test]
fn the_word_comes_before_the_handshake() {
    let raw = Raw::new();
    let lines = "send_proxy_protocol = \"v1\"\ntls = { verify = false }";
    let gw = Gateway::start(&raw.upstream("told", lines));

    gw.get("/told").expect(502).problem();
    let heard = raw.heard();
    let text = String::from_utf8_lossy(&heard[0].bytes);
    let (line, rest) = text.split_once("\r\n").expect("a line");
    assert!(line.starts_with("PROXY TCP4 127.0.0.1 "), "{line}");
    assert!(
        rest.as_bytes().first() == Some(&0x16),
        "a handshake follows: {rest:?}"
    );
}

#[test]
fn a_client_that_was_introduced_is_passed_on() {
    let raw = Raw::new();
    let gw = Gateway::start(&format!(
        "[server]\nthreads = 1\ndrain_timeout = \"5s\"\ntrusted_proxies = [\"127.0.0.1/32\"]\n\
         [[listeners]]\naddress = \"127.0.0.1:0\"\nproxy_protocol = true\n{}",
        raw.upstream("told", "send_proxy_protocol = \"v1\"")
    ));

    let mut client = gw.connect();
    client.send(b"PROXY TCP4 203.0.113.7 198.51.100.1 4711 443\r\n");
    client.ask(&Request::get("/told")).expect(200);
    let heard = raw.heard();
    let text = String::from_utf8_lossy(&heard[0].bytes);
    assert!(text.starts_with("PROXY TCP4 203.0.113.7 "), "{text}");
}

#[test]
fn a_server_that_demands_a_word_gets_it_from_probes_too() {
    for version in ["v1", "v2"] {
        let origin = Origin::new().otherwise(reply(200));
        // A server as others run it: whoever does not begin with PROXY is not served.
        let strict = Gateway::start(&format!(
            "[server]\nthreads = 1\ndrain_timeout = \"5s\"\ntrusted_proxies = [\"127.0.0.1/32\"]\n\
             [[listeners]]\naddress = \"127.0.0.1:0\"\nproxy_protocol = true\n{}",
            crate::all_to(&origin)
        ));
        let gw = Gateway::start(&format!(
            "[upstreams.told]\nservers = [{{ address = \"{}\" }}]\nsend_proxy_protocol = {version:?}\n\
             [upstreams.told.health_check]\npath = \"/health\"\ninterval = \"20ms\"\ntimeout = \"2s\"\n\
             healthy_threshold = 1\nunhealthy_threshold = 1\n[[routes]]\nupstream = \"told\"\n",
            strict.address()
        ));

        // A probe that ended well, or one that was refused for want of a word: what comes first decides.
        wait_until("a probe has ended", || {
            origin.seen("/health") > 0 || super::refused(&strict, "proxy_header") > 0.0
        });
        assert_eq!(
            super::refused(&strict, "proxy_header"),
            0.0,
            "{version}: a probe said no word"
        );
        gw.get("/").expect(200);
        // On nobody's behalf: the peer itself is the client.
        assert_eq!(
            origin.requests("/health")[0].value("x-real-ip"),
            Some("127.0.0.1")
        );
    }
}
