//! What costs the client little and others much is cut off, and another connection is served meanwhile.

use harness::origin::{never, reply};
use harness::{Connection, Gateway, Origin, Request, wait_until};

use super::all_to;
use super::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, GET, HEADERS, PING, PRIORITY,
    REFUSED_STREAM, RST_STREAM, Raw, SETTINGS, WINDOW_UPDATE, block, frame, headers,
};

/// Connections that were cut for this reason.
fn cut(gw: &Gateway, reason: &str) -> f64 {
    gw.metrics()
        .sum("sluice_connections_refused_total", &[("reason", reason)])
}

/// Waits until so many were.
#[track_caller]
fn wait_cut(gw: &Gateway, reason: &str, n: f64) {
    wait_until(&format!("{n} were cut for {reason}"), || cut(gw, reason) == n);
}

/// A gateway whose origin answers only at `/`, and which may be stopped while others wait.
fn stage() -> (Origin, Gateway) {
    let origin = Origin::new()
        .on("/never", never())
        .otherwise(reply(200).body("x"));
    let mut gw = Gateway::start(&all_to(&origin));
    gw.may_end_unclean();
    (origin, gw)
}

/// Sends the frames over and over until the connection ends. Its last word.
#[track_caller]
fn flood(gw: &Gateway, raw: &mut Raw, mut next: impl FnMut(u32) -> Vec<u8>) -> u32 {
    let mut n = 0;
    let mut other = gw.connect();
    while n < 200_000 {
        let burst: Vec<u8> = (n..n + 500).flat_map(&mut next).collect();
        n += 500;
        if !raw.try_send(&burst) {
            break;
        }
        other.ask(&Request::get("/")).expect(200).body("x");
    }
    assert!(n < 200_000, "nobody has put an end to it");
    let word = raw.last_word();
    gw.get("/").expect(200).body("x");
    word
}

fn get_never(stream: u32) -> Vec<u8> {
    let mut fields = GET;
    fields[3].1 = "/never";
    headers(stream, &fields)
}

fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())
}

#[test]
fn rapid_resets() {
    let (origin, gw) = stage();
    let mut raw = Raw::open(gw.address());
    let word = flood(&gw, &mut raw, |n| {
        [get_never(2 * n + 1), reset(2 * n + 1)].concat()
    });
    assert_eq!(word, ENHANCE_YOUR_CALM);
    wait_until("no lease is left", || {
        gw.server("origin", origin.address())["in_flight"] == 0
    });
}

#[test]
fn resets_that_come_after_their_requests_were_taken_in() {
    let (origin, gw) = stage();
    let mut raw = Raw::open(gw.address());
    let asks: Vec<u8> = (0..100).flat_map(|n| get_never(2 * n + 1)).collect();
    raw.send(&asks);
    origin.wait_seen("/never", 100);
    let resets: Vec<u8> = (0..600).flat_map(|n| reset(2 * (n % 100) + 1)).collect();
    raw.send(&resets);
    assert_eq!(raw.last_word(), ENHANCE_YOUR_CALM);
    wait_until("no lease is left", || {
        gw.server("origin", origin.address())["in_flight"] == 0
    });
}

#[test]
fn making_the_gateway_reset() {
    let (origin, gw) = stage();
    let mut raw = Raw::open(gw.address());
    // A window update of nothing is an error of the stream (RFC 9113 §6.9).
    let word = flood(&gw, &mut raw, |n| {
        let stream = 2 * n + 1;
        [get_never(stream), frame(WINDOW_UPDATE, 0, stream, &[0; 4])].concat()
    });
    assert!(word != 0, "{word}");
    wait_until("no lease is left", || {
        gw.server("origin", origin.address())["in_flight"] == 0
    });
}

#[test]
fn continuations_without_end() {
    let (_origin, gw) = stage();
    let mut raw = Raw::open(gw.address());
    raw.send(&frame(HEADERS, END_STREAM, 1, &block(&GET)));
    let word = flood(&gw, &mut raw, |_| {
        frame(CONTINUATION, 0, 1, &block(&[("x", "y")]))
    });
    assert_eq!(word, ENHANCE_YOUR_CALM);
    wait_cut(&gw, "http2_flood", 1.0);
}

#[test]
fn large_heads_without_end() {
    let (_origin, gw) = stage();
    let mut raw = Raw::open(gw.address());
    raw.send(&frame(HEADERS, END_STREAM, 1, &block(&GET)));
    let large = "v".repeat(16_000);
    let word = flood(&gw, &mut raw, |_| {
        frame(CONTINUATION, 0, 1, &block(&[("x", &large)]))
    });
    assert!(word != 0, "{word}");
}

#[test]
fn pings() {
    let (_origin, gw) = stage();
    let mut raw = Raw::open(gw.address());
    let word = flood(&gw, &mut raw, |_| frame(PING, 0, 0, &[0; 8]));
    assert_eq!(word, ENHANCE_YOUR_CALM);
    wait_cut(&gw, "http2_flood", 1.0);
}

#[test]
fn settings() {
    let (_origin, gw) = stage();
    let mut raw = Raw::open(gw.address());
    let word = flood(&gw, &mut raw, |_| frame(SETTINGS, 0, 0, &[]));
    assert_eq!(word, ENHANCE_YOUR_CALM);
}

#[test]
fn priorities_and_frames_nobody_knows() {
    let (_origin, gw) = stage();
    for kind in [PRIORITY, 0x33] {
        let mut raw = Raw::open(gw.address());
        let word = flood(&gw, &mut raw, |_| frame(kind, 0, 1, &[0, 0, 0, 0, 7]));
        assert_eq!(word, ENHANCE_YOUR_CALM);
    }
}

#[test]
fn empty_data() {
    let (_origin, gw) = stage();
    let mut raw = Raw::open(gw.address());
    let mut fields = GET;
    fields[0].1 = "POST";
    raw.send(&frame(HEADERS, END_HEADERS, 1, &block(&fields)));
    let word = flood(&gw, &mut raw, |_| frame(DATA, 0, 1, &[]));
    assert_eq!(word, ENHANCE_YOUR_CALM);
}

#[test]
fn more_streams_than_allowed_are_refused_and_may_be_asked_for_again() {
    let (origin, gw) = stage();
    let mut raw = Raw::open(gw.address());
    for n in 0..128 {
        raw.send(&get_never(2 * n + 1));
    }
    raw.send(&headers(257, &GET));
    let refused = raw.find(RST_STREAM);
    assert_eq!((refused.stream, refused.code()), (257, REFUSED_STREAM));
    origin.wait_seen("/never", 128);
    raw.send(&reset(1)).send(&headers(259, &GET));
    assert_eq!(raw.find(HEADERS).stream, 259);
}

#[test]
fn a_head_that_takes_its_time() {
    let origin = Origin::new()
        .on("/never", never())
        .otherwise(reply(200).body("x"));
    let mut gw = Gateway::start(&format!(
        "[server.limits]\nheader_timeout = \"200ms\"\n{}",
        all_to(&origin)
    ));
    gw.may_end_unclean();
    let mut raw = Raw::open(gw.address());
    // A stream that is waited for does not buy time for another one's head.
    raw.send(&get_never(1));
    raw.send(&frame(HEADERS, END_STREAM, 3, &block(&GET)));
    assert_eq!(raw.last_word(), ENHANCE_YOUR_CALM);
    wait_cut(&gw, "http2_stalled", 1.0);
    assert_eq!(cut(&gw, "http2_flood"), 0.0);
    let mut raw = Raw::silent(gw.address());
    raw.send(b"PRI * HTTP/2.0\r\n\r\nSM");
    assert!(raw.rest().is_empty());
}

#[test]
fn a_client_that_reads_nothing_holds_nothing() {
    let origin = Origin::new()
        .on("/large", reply(200).pattern(64 << 20))
        .otherwise(reply(200).body("x"));
    let gw = Gateway::start(&format!(
        "[server.limits]\nbody_timeout = \"200ms\"\n{}",
        all_to(&origin)
    ));
    let ask = |raw: &mut Raw, streams: std::ops::Range<u32>| {
        let mut fields = GET;
        fields[3].1 = "/large";
        for n in streams {
            raw.send(&headers(2 * n + 1, &fields));
        }
    };
    // One opens no window, the other opens them wide and does not read.
    let mut shut = Raw::open(gw.address());
    ask(&mut shut, 0..10);
    let mut deaf = Raw::open(gw.address());
    let wide = (1_u32 << 30).to_be_bytes();
    deaf.send(&frame(SETTINGS, 0, 0, &[&[0, 4][..], &wide].concat()));
    deaf.send(&frame(WINDOW_UPDATE, 0, 0, &wide));
    ask(&mut deaf, 0..10);
    origin.wait_seen("/large", 20);
    for _ in 0..20 {
        gw.get("/").expect(200).body("x");
    }
    wait_until("no lease is left", || {
        gw.server("origin", origin.address())["in_flight"] == 0
    });
    let _ = Connection::open(gw.address());
    let cut = shut.find(RST_STREAM);
    assert!(cut.code() != 0);
}

#[test]
fn windows_that_are_shut_behind_an_answer_hold_no_connection() {
    const STREAMS: u32 = 120;
    let origin = Origin::new()
        .on("/part", reply(200).pattern(60_000))
        .otherwise(reply(200).body("x"));
    let gw = Gateway::start(&format!(
        "[server.limits]\nbody_timeout = \"1s\"\n{}",
        all_to(&origin)
    ));
    let mut raw = Raw::open(gw.address());
    raw.send(&frame(WINDOW_UPDATE, 0, 0, &(1_u32 << 30).to_be_bytes()));
    let mut fields = GET;
    fields[3].1 = "/part";
    for n in 0..STREAMS {
        raw.send(&headers(2 * n + 1, &fields));
    }
    // It reads nothing, so that the frames of most answers wait when all of them are done with.
    gw.log_lines(STREAMS as usize);
    raw.try_send(&frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]));
    raw.rest();
    wait_cut(&gw, "http2_stalled", 1.0);
}
