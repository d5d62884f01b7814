use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use gateway::kit::clock::Clock;
use harness::origin::{reply, upgrade};
use harness::tls::{Authority, Leaf, TlsClient};
use harness::{Connection, Origin, Request, Sluice, wait_until};
use parking_lot::Mutex;

use crate::size;

/// A gateway of four workers with one TLS listener before this origin.
fn gateway(origin: &Origin, leaf: &Leaf, keepalive: &str) -> String {
    let (cert, key) = leaf.files();
    format!(
        r#"
        [server]
        threads = 4

        [server.limits]
        keepalive_timeout = "{keepalive}"

        [certificates.a]
        domains = ["a.test"]
        cert_file = {cert:?}
        key_file = {key:?}

        [[listeners]]
        address = "127.0.0.1:0"
        certificates = ["a"]

        [upstreams.origin]
        servers = [{{ address = "{}" }}]

        [[routes]]
        name = "all"
        upstream = "origin"
        "#,
        origin.address()
    )
}

#[test]
fn clients_that_come_back_resume_on_whichever_worker_they_land() {
    let _turn = crate::turn();
    let visits = size("TEST_TLS_VISITS", 400);
    let authority = Authority::new("Authority");
    let leaf = authority.sign(&["a.test"]);
    let origin = Origin::new().otherwise(reply(200).body("served"));
    let sluice = Sluice::start(&gateway(&origin, &leaf, "75s"));
    let (resumed, next) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let clock = Clock::system();
    let began = clock.now().mono;
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while next.fetch_add(1, Ordering::Relaxed) < visits {
                    // A client of its own, with a memory of its own, that comes twice.
                    let client = Arc::new(authority.client());
                    for is_back in [false, true] {
                        let mut connection = TlsClient::open(sluice.address(), &client, "a.test");
                        assert_eq!(connection.get("/").expect(200).body, "served");
                        assert!(is_back || !connection.is_resumed(), "nobody knows it yet");
                        resumed.fetch_add(usize::from(connection.is_resumed()), Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let took = clock.now().mono.since(began);
    let resumed = resumed.into_inner();
    println!(
        "{resumed} of {visits} second visits resumed; {:.0} new connections a second",
        2.0 * visits as f64 / took.as_secs_f64()
    );
    assert!(resumed * 100 >= visits * 95);
}

/// Clients that open a connection each time, and what they were shown.
struct Crowd<'a> {
    seen: &'a Mutex<BTreeSet<Vec<u8>>>,
    greeted: &'a AtomicUsize,
    is_over: &'a AtomicBool,
}

impl Crowd<'_> {
    fn come(&self, sluice: &Sluice, authority: &Authority) {
        let client = Arc::new(authority.forgetful_client());
        while !self.is_over.load(Ordering::Acquire) {
            let mut connection = TlsClient::open(sluice.address(), &client, "a.test");
            assert_eq!(connection.get("/").expect(200).body, "served");
            self.seen.lock().insert(connection.shown().to_vec());
            self.greeted.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Ends what waits for it, however the play ends.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

#[test]
fn certificates_are_replaced_under_load_and_no_handshake_fails() {
    let _turn = crate::turn();
    let replacements: usize = size("TEST_CERTIFICATES", 10);
    let authority = Authority::new("Authority");
    let leaf = authority.sign(&["a.test"]);
    let origin = Origin::new().otherwise(reply(200).body("served"));
    let sluice = Sluice::start(&gateway(&origin, &leaf, "75s"));
    let (seen, greeted, is_over) = (Mutex::default(), AtomicUsize::new(0), AtomicBool::new(false));
    let crowd = Crowd {
        seen: &seen,
        greeted: &greeted,
        is_over: &is_over,
    };
    let clock = Clock::system();
    let mut slowest = Duration::ZERO;
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| crowd.come(&sluice, &authority));
        }
        let _over = Over(&is_over);
        for nth in 0..replacements {
            let fresh = authority.sign(&["a.test"]);
            let began = clock.now().mono;
            leaf.become_as(&fresh);
            wait_until(&format!("certificate {nth} is shown"), || {
                seen.lock().contains(&fresh.der.to_vec())
            });
            slowest = slowest.max(clock.now().mono.since(began));
        }
    });
    println!(
        "{replacements} certificates, {} handshakes, none failed; the slowest was shown after {slowest:?}",
        greeted.load(Ordering::Relaxed)
    );
    let shown = seen.lock().len();
    assert!(shown == replacements || shown == replacements + 1, "{shown}");
}

/// A WebSocket frame of a client (RFC 6455 §5.2): binary, whole, masked.
fn frame(payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let mut frame = vec![0x82];
    match payload.len() {
        short @ 0..126 => frame.push(0x80 | short as u8),
        middling @ 126..65536 => {
            frame.push(0x80 | 126);
            frame.extend((middling as u16).to_be_bytes());
        }
        long => {
            frame.push(0x80 | 127);
            frame.extend((long as u64).to_be_bytes());
        }
    }
    frame.extend(mask);
    frame.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    frame
}

/// Lengths from a byte to a MiB, as many of each order of magnitude.
fn length(random: &mut Random) -> usize {
    let magnitude = random.below(21) as u32;
    let low = 1 << magnitude;
    if magnitude == 20 {
        low
    } else {
        low + random.below(low as u64) as usize
    }
}

/// Numbers that are the same in every run (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// Says so many messages one after the other, each once the last has come back.
fn converse(sluice: &Sluice, seed: u64, messages: usize, said: &AtomicUsize) -> u64 {
    let mut chat = Connection::open(sluice.address());
    let asks = Request::get("/chat")
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket");
    chat.send(asks.bytes());
    assert_eq!(chat.response_head().0, 101);
    let mut random = Random(seed);
    let mut bytes = 0;
    for nth in 0..messages {
        let length = length(&mut random);
        let payload: Vec<u8> = (0..length).map(|at| (at as u64 ^ random.0) as u8).collect();
        let frame = frame(&payload, (random.next() as u32).to_be_bytes());
        chat.send(&frame);
        assert!(
            chat.bytes(frame.len()) == frame,
            "message {nth} of {length} bytes came back altered"
        );
        bytes += frame.len() as u64;
        said.fetch_add(1, Ordering::Release);
    }
    bytes
}

#[test]
fn a_conversation_goes_on_through_ten_reloads_and_no_message_is_lost_or_altered() {
    const CLIENTS: usize = 4;
    const RELOADS: usize = 10;
    let _turn = crate::turn();
    let messages: usize = size("TEST_MESSAGES", 2_000) / CLIENTS;
    let origin = Origin::new().on("/chat", upgrade("websocket"));
    let text = |nth: usize| {
        format!(
            r#"
            [upstreams.origin]
            servers = [{{ address = "{}" }}]

            [[routes]]
            name = "all"
            upstream = "origin"
            response_headers = {{ set = {{ X-Nth = "{nth}" }} }}
            "#,
            origin.address()
        )
    };
    let sluice = Sluice::start(&text(0));
    let said = AtomicUsize::new(0);
    let bytes = thread::scope(|scope| {
        let talks: Vec<_> = (0..CLIENTS as u64)
            .map(|seed| {
                scope.spawn({
                    let (sluice, said) = (&sluice, &said);
                    move || converse(sluice, seed, messages, said)
                })
            })
            .collect();
        for nth in 1..=RELOADS {
            let due = nth * CLIENTS * messages / (RELOADS + 1);
            wait_until("they talk", || {
                said.load(Ordering::Acquire) >= due || talks.iter().any(|talk| talk.is_finished())
            });
            sluice.replace_config(&text(nth));
            sluice.admin().reload().expect(200);
        }
        let talk = |talk: thread::ScopedJoinHandle<'_, u64>| talk.join().expect("no message is lost");
        talks.into_iter().map(talk).sum::<u64>()
    });
    let said = said.into_inner();
    println!(
        "{said} messages, {} MiB each way, through {RELOADS} reloads",
        bytes >> 20
    );
    assert_eq!(said, CLIENTS * messages);
}
