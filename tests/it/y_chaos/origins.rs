//! Origins that take their time, or leave in the wrong moment.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use harness::origin::reply;
use harness::{Gateway, Origin, Request, wait_until};

use crate::all_to;

/// Reads a head, sends a beginning, and then the same piece again and again until nobody takes it any more.
struct Dripping {
    address: SocketAddr,
    pieces: Arc<AtomicUsize>,
    /// Connections on which it still drips.
    open: Arc<AtomicUsize>,
}

impl Dripping {
    fn start(beginning: &'static str, piece: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("the system has a free port");
        let address = listener.local_addr().expect("it is bound");
        let (pieces, open) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let (its_pieces, its_open) = (Arc::clone(&pieces), Arc::clone(&open));
        // Its threads end with the process: nothing tells a blocked accept to.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (pieces, open) = (Arc::clone(&its_pieces), Arc::clone(&its_open));
                std::thread::spawn(move || {
                    open.fetch_add(1, Ordering::AcqRel);
                    drip(stream, beginning, piece, &pieces);
                    open.fetch_sub(1, Ordering::AcqRel);
                });
            }
        });
        Self {
            address,
            pieces,
            open,
        }
    }

    fn toml(&self, lines: &str) -> String {
        format!(
            r#"
            [upstreams.dripping]
            servers = [{{ address = "{}" }}]
            {lines}

            [[routes]]
            name = "dripping"
            match = {{ path = "/drip" }}
            upstream = "dripping"
            "#,
            self.address
        )
    }

    fn dripped(&self) -> usize {
        self.pieces.load(Ordering::Acquire)
    }

    fn wait_over(&self) {
        wait_until("it drips for nobody", || self.open.load(Ordering::Acquire) == 0);
    }
}

fn drip(mut stream: TcpStream, beginning: &str, piece: &str, pieces: &AtomicUsize) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            Ok(_) | Err(_) => return,
        }
    }
    if stream.write_all(beginning.as_bytes()).is_ok() {
        harness::slow::drip(&mut stream, piece.as_bytes(), pieces);
    }
}

#[test]
fn a_head_that_comes_drop_by_drop_without_end_is_not_waited_for_drop_by_drop() {
    for beginning in ["HTTP/1.1 200 OK\r\nX-Drip: ", "HTTP/1.1 200 "] {
        let origin = Dripping::start(beginning, "0");
        let gw = Gateway::start(&origin.toml("read_timeout = \"300ms\""));
        gw.get("/drip").expect(504).problem();
        assert!(origin.dripped() > 0);
        origin.wait_over();
    }
}

#[test]
fn interim_answers_that_come_one_by_one_without_end_are_given_up() {
    let origin = Dripping::start("", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n");
    let gw = Gateway::start(&origin.toml("read_timeout = \"5s\""));
    gw.get("/drip").expect(502).problem();
    assert!((10..100).contains(&origin.dripped()), "{}", origin.dripped());
    origin.wait_over();
}

#[test]
fn a_body_that_comes_drop_by_drop_without_end_holds_nobody_up_and_ends_with_its_client() {
    let origin = Dripping::start(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "1\r\nx\r\n",
    );
    let other = Origin::new().otherwise(reply(200).body("other"));
    let gw = Gateway::start(&format!(
        "[server]\nthreads = 1\ndrain_timeout = \"5s\"\n{}{}",
        origin.toml(""),
        all_to(&other)
    ));

    let mut clients: Vec<_> = (0..10).map(|_| gw.connect()).collect();
    for client in &mut clients {
        client.send(Request::get("/drip").bytes());
        client.response_head();
        client.bytes(4);
    }
    for _ in 0..20 {
        gw.get("/").expect(200).body("other");
    }
    assert_eq!(gw.server("dripping", origin.address)["in_flight"], 10);
    clients.into_iter().for_each(harness::Connection::reset);
    origin.wait_over();
    wait_until("no lease is left", || {
        gw.server("dripping", origin.address)["in_flight"] == 0
    });
    assert_eq!(other.total(), 20);
}

#[test]
fn in_the_race_with_an_origin_that_closes_after_each_answer_no_post_arrives_twice_and_no_get_fails() {
    let origin = Origin::new().otherwise(reply(200).echo().hang_up());
    let gw = Gateway::start(&all_to(&origin));
    let mut answered = HashSet::new();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|number| {
                let gw = &gw;
                scope.spawn(move || {
                    let mut client = gw.connect();
                    let mut answered = Vec::new();
                    for turn in 0..150 {
                        let mark = format!("{number}.{turn}");
                        let response = client.ask(&Request::post("/post", &mark));
                        match response.status {
                            200 => {
                                response.body(&mark);
                                answered.push(mark);
                            }
                            _ => _ = response.expect(502).problem(),
                        }
                        client.ask(&Request::get("/get")).expect(200);
                    }
                    answered
                })
            })
            .collect();
        for client in clients {
            answered.extend(client.join().expect("a client does not panic"));
        }
    });
    let posts: Vec<_> = origin
        .requests("/post")
        .iter()
        .map(|seen| seen.body.text().into_owned())
        .collect();
    let once: HashSet<_> = posts.iter().cloned().collect();
    assert_eq!(once.len(), posts.len(), "a POST has arrived twice");
    assert!(answered.is_subset(&once));
    assert!(answered.len() > 100, "{}", answered.len());
}
