use std::sync::Arc;

use harness::origin::{never, reply};
use harness::{Connection, Gateway, Origin, Request, wait_until};
use proptest::prelude::*;

use crate::all_to;

#[test]
fn many_slow_heads_do_not_hold_up_the_others() {
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&format!(
        "[server.limits]\nheader_timeout = \"1s\"\n{}",
        all_to(&origin)
    ));

    let mut slow: Vec<_> = (0..300).map(|_| gw.connect()).collect();
    for client in &mut slow {
        client.send("GET / HTTP/1.1\r\nHost: a.te");
    }
    let mut quick = gw.connect();
    for _ in 0..20 {
        quick.ask(&Request::get("/")).expect(200);
        // One more byte each does not buy more time: the limit is on the whole head.
        slow.iter_mut().for_each(|client| _ = client.try_send("s"));
    }
    for client in &mut slow {
        let rest = client.rest().expect("a slow head is ended");
        assert!(
            rest.is_empty() || rest.starts_with(b"HTTP/1.1 408 "),
            "{:?}",
            String::from_utf8_lossy(&rest)
        );
    }
    assert_eq!(origin.total(), 20);
}

#[test]
fn a_client_that_does_not_read_holds_up_nobody_and_is_ended() {
    let origin = Origin::new()
        .on("/large", reply(200).pattern(64 << 20))
        .otherwise(reply(200));
    let gw = Gateway::start(&format!(
        "[server.limits]\nbody_timeout = \"200ms\"\n{}",
        all_to(&origin)
    ));

    let mut deaf: Vec<_> = (0..8).map(|_| Connection::open_narrow(gw.address())).collect();
    for client in &mut deaf {
        client.send(Request::get("/large").bytes());
    }
    origin.wait_seen("/large", 8);
    for _ in 0..20 {
        gw.get("/").expect(200);
    }
    wait_until("no lease is left", || {
        gw.server("origin", origin.address())["in_flight"] == 0
    });
    wait_until("why they were ended is counted", || {
        let metrics = gw.metrics();
        metrics.sum("sluice_refusals_total", &[("reason", "reader_timeout")]) == 8.0
    });
}

#[test]
fn a_client_that_has_said_all_still_gets_its_answer() {
    let origin = Origin::new().otherwise(reply(200).echo());
    let gw = Gateway::start(&all_to(&origin));

    let mut client = gw.connect();
    client.send(Request::post("/", "hello").bytes()).finish();
    client.response().expect(200).body("hello");
    client.expect_closed();

    let mut client = gw.connect();
    client
        .send([Request::get("/a").bytes(), Request::get("/b").bytes()].concat())
        .finish();
    client.response().expect(200);
    client.response().expect(200);
    client.expect_closed();
}

#[test]
fn garbage_after_a_request_ends_the_connection_and_only_that() {
    let origin = Origin::new().otherwise(reply(200).body("one"));
    let gw = Gateway::start(&all_to(&origin));

    for garbage in [
        "nonsense\r\n\r\n",
        "\0\0\0\0\r\n\r\n",
        "{\"json\": true}\r\n\r\n",
        "GET / HTTP/1.1\r\nHost a\r\n\r\n",
    ] {
        let mut client = gw.connect();
        client.send([&Request::get("/").bytes(), garbage.as_bytes()].concat());
        client.response().expect(200).body("one");
        client.response().expect(400);
        client.expect_closed();
    }
    assert_eq!(origin.total(), 4);
}

#[test]
fn a_body_that_was_announced_shorter_than_it_is_becomes_no_request() {
    let origin = Origin::new().otherwise(reply(200).echo());
    let gw = Gateway::start(&all_to(&origin));

    let mut client = gw.connect();
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2\r\n\r\nhello world\r\n\r\n");
    client.response().expect(200).body("he");
    client.response().expect(400);
    client.expect_closed();
    assert_eq!(origin.total(), 1);
}

#[test]
fn a_flood_of_pipelined_requests_is_served_one_by_one() {
    let origin = Origin::new().otherwise(reply(200).body("x"));
    let gw = Gateway::start(&all_to(&origin));

    let mut client = gw.connect();
    client.send(Request::get("/").bytes().repeat(500));
    for _ in 0..500 {
        client.response().expect(200).body("x");
    }
    assert_eq!(origin.total(), 500);
}

#[test]
fn a_flood_of_refused_heads_does_not_stop_the_gateway() {
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&all_to(&origin));

    for _ in 0..200 {
        let mut client = gw.connect();
        client.send("x");
        client.reset();
    }
    gw.get("/").expect(200);
}

#[test]
fn clients_that_leave_at_every_moment_leave_nothing_behind() {
    let origin = Origin::new()
        .on("/never", never())
        .otherwise(reply(200).pattern(1 << 20));
    let gw = Gateway::start(&all_to(&origin));

    let request = Request::get("/").bytes();
    for at in 0..request.len() {
        let mut client = gw.connect();
        client.send(&request[..at]);
    }
    for _ in 0..20 {
        gw.connect().send(&request);
        gw.connect().send(&request).finish();
        let mut waiting = gw.connect();
        waiting.send(Request::get("/never").bytes());
        waiting.reset();
    }
    gw.wait_metrics("no connection and no request is left", |m| {
        m.sum("sluice_connections", &[]) == 0.0 && m.sum("sluice_requests_in_flight", &[]) == 0.0
    });
    assert_eq!(gw.server("origin", origin.address())["in_flight"], 0);
}

#[test]
fn the_admin_address_has_limits_of_its_own() {
    let origin = Origin::new();
    let gw = Gateway::start(&all_to(&origin));

    let mut client = Connection::open(gw.admin());
    client.send("GET /status HTTP/1.1\r\nHost: a\r\nX: ");
    let _refused = client.try_send("a".repeat(4 << 20));
    let rest = client.rest().expect("an endless head is ended");
    assert!(
        rest.is_empty() || rest.starts_with(b"HTTP/1.1 4"),
        "{:?}",
        String::from_utf8_lossy(&rest)
    );
    gw.status();
}

/// A few simple draws from one number: repeatable, and different for each client.
struct Draws(u64);

impl Draws {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

/// One client: requests of all shapes on kept connections, some of them left in the middle. Each answer has
/// to be its own.
fn mixed_client(gw: &Gateway, number: u64) {
    let mut draws = Draws(number * 2_654_435_761 + 1);
    let mut client = gw.connect();
    for turn in 0..60 {
        let body = format!("{number}.{turn}|").repeat(1 + usize::try_from(draws.below(3_000)).unwrap_or(0));
        let path = ["/known", "/chunked", "/closed"][usize::try_from(draws.below(3)).unwrap_or(0)];
        let request = match draws.below(2) {
            0 => Request::new("PUT", path).body(&body),
            _ => Request::new("PUT", path).chunked(body.as_bytes().chunks(1_000)),
        };
        match draws.below(8) {
            0 => {
                // Gone in the middle of an upload, or of an answer.
                let bytes = request.bytes();
                let cut = usize::try_from(draws.below(bytes.len() as u64 * 2)).unwrap_or(0);
                let _ended = client.try_send(&bytes[..cut.min(bytes.len())]);
                client.reset();
                client = gw.connect();
            }
            1 => {
                client.send([request.bytes(), Request::get("/small").bytes()].concat());
                client.response().expect(200).body(&body);
                client.response().expect(200).body("small");
            }
            _ => _ = client.ask(&request).expect(200).body(&body),
        }
    }
}

#[test]
fn nobody_ever_gets_another_s_bytes() {
    let origin = Origin::new()
        .on("/known", reply(200).echo())
        .on("/chunked", reply(200).chunked().echo())
        .on("/closed", reply(200).until_close().echo())
        .on("/small", reply(200).body("small"));
    let gw = Gateway::start(&all_to(&origin));

    std::thread::scope(|scope| {
        for number in 1..=8 {
            let gw = &gw;
            scope.spawn(move || mixed_client(gw, number));
        }
    });
    // What arrived whole at the origin is one client's and one turn's alone.
    for path in ["/known", "/chunked", "/closed"] {
        for seen in origin.requests(path).iter().filter(|seen| seen.complete) {
            let text = seen.body.text().into_owned();
            let mark = text.split('|').next().unwrap_or_default();
            assert!(
                text.split_terminator('|').all(|piece| piece == mark),
                "{mark} is mixed with others"
            );
        }
    }
}

/// Bytes that look like HTTP now and then.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let words: &[&[u8]] = &[
        b"GET ",
        b"POST ",
        b"/ ",
        b"/a?b ",
        b"* ",
        b"HTTP/1.1",
        b"HTTP/1.0",
        b"\r\n",
        b"\n",
        b"\r",
        b"\r\n\r\n",
        b" ",
        b"\t",
        b"Host: a.test\r\n",
        b"Host:",
        b"Content-Length: ",
        b"Content-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: close\r\n",
        b"Connection: upgrade\r\n",
        b"Upgrade: websocket\r\n",
        b"Expect: 100-continue\r\n",
        b"5\r\nhello\r\n",
        b"0\r\n\r\n",
        b"hello",
        b":",
        b"\0",
        b"\xff\xfe",
        b"%00",
        b"%zz",
        b";",
        b",",
    ];
    let piece = prop_oneof![
        4 => prop::sample::select(words).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..8),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// Every answer on the way is well formed and one of these; then the connection ends.
fn ends_well(mut client: Connection) -> Result<(), String> {
    let all = client.rest().ok_or("the connection does not end")?;
    let mut rest = &all[..];
    while !rest.is_empty() {
        let line = String::from_utf8_lossy(&rest[..rest.len().min(13)]).into_owned();
        let status = line.get(9..12).and_then(|s| s.parse::<u16>().ok());
        if !line.starts_with("HTTP/1.1 ")
            || !status.is_some_and(|s| s == 100 || s == 200 || (400..=505).contains(&s))
        {
            return Err(format!("an answer begins {line:?}"));
        }
        rest = skip_answer(rest)
            .ok_or_else(|| format!("an answer is not whole: {:?}", String::from_utf8_lossy(rest)))?;
    }
    Ok(())
}

/// What follows an answer of known length.
fn skip_answer(answer: &[u8]) -> Option<&[u8]> {
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    answer.get(end + length.unwrap_or(0)..)
}

#[test]
fn no_noise_kills_the_gateway_or_reaches_the_origin_malformed() {
    // The origin of the harness fails on a malformed request.
    let origin = Origin::new().otherwise(reply(200).body("fine"));
    let gw = Arc::new(Gateway::start(&all_to(&origin)));
    let config = ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(bytes in noise())| {
        let mut client = gw.connect();
        let _refused = client.try_send(&bytes);
        client.finish_quietly();
        prop_assert_eq!(ends_well(client), Ok(()), "{:?}", String::from_utf8_lossy(&bytes));
    });
    gw.get("/").expect(200).body("fine");
}
