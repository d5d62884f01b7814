//! Bodies that come in pieces, end early, or pause.

use harness::origin::reply;
use harness::wire::Framing;
use harness::{Connection, Gate, Origin};

use super::coding::{decoded_so_far, try_decoded};
use super::{accepting, coded, compressing, page, text};

const CODINGS: [&str; 3] = ["gzip", "br", "zstd"];

/// Reads chunks until what they hold decodes to `awaited`; the connection's patience ends a wait in vain.
#[track_caller]
fn read_until(client: &mut Connection, coding: &str, seen: &mut Vec<u8>, awaited: &str) {
    while decoded_so_far(coding, seen) != awaited.as_bytes() {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.extend(client.bytes(1));
        }
        let size = String::from_utf8_lossy(&line);
        let size = usize::from_str_radix(size.trim_end(), 16).expect("a chunk begins with its size");
        assert_ne!(size, 0, "the body has ended");
        seen.extend(client.bytes(size));
        assert_eq!(client.bytes(2), b"\r\n");
    }
}

#[test]
fn an_event_is_with_its_client_before_the_next_one_happens() {
    for coding in CODINGS {
        let gates = [Gate::new(), Gate::new()];
        let script = reply(200)
            .header("Content-Type", "text/event-stream")
            .chunked()
            .body("data: one\n\n")
            .pause(&gates[0])
            .body("data: two\n\n")
            .pause(&gates[1]);
        let origin = Origin::new().on("/", script);
        let gw = compressing(&origin, "", "[compression]\ntypes = [\"text/event-stream\"]");

        let mut client = gw.connect();
        client.send(accepting("/", coding).bytes());
        assert_eq!(client.response_head(), (200, Framing::Chunked));
        let mut seen = Vec::new();
        read_until(&mut client, coding, &mut seen, "data: one\n\n");
        gates[0].open();
        read_until(&mut client, coding, &mut seen, "data: one\n\ndata: two\n\n");
        gates[1].open();
        let rest = client.response_body(Framing::Chunked);
        seen.extend(rest.body.kept);
        let whole = try_decoded(coding, &seen).unwrap();
        assert_eq!(whole, b"data: one\n\ndata: two\n\n");
    }
}

#[test]
fn nothing_is_held_back_while_an_origin_pauses_and_its_head_not_for_its_body() {
    for coding in CODINGS {
        let (gate, end) = (Gate::new(), Gate::new());
        let body = text(30_000);
        let script = reply(200)
            .header("Content-Type", "text/html")
            .claims(body.len() as u64)
            .pause(&gate)
            .body(&body[..20_000])
            .pause(&end)
            .body(&body[20_000..]);
        let origin = Origin::new().on("/", script);
        let gw = compressing(&origin, "", "");

        let mut client = gw.connect();
        client.send(accepting("/", coding).bytes());
        assert_eq!(client.response_head(), (200, Framing::Chunked));
        gate.open();
        let mut seen = Vec::new();
        read_until(&mut client, coding, &mut seen, &body[..20_000]);
        end.open();
        read_until(&mut client, coding, &mut seen, &body);
    }
}

#[test]
fn an_end_is_written_only_where_the_origin_has_one() {
    let body = text(200_000);
    let cut = |n: usize| &body[..n];
    let origin = Origin::new()
        .on("/short", page(cut(50_000)).claims(100_000).hang_up())
        .on("/reset", page(cut(50_000)).claims(100_000).reset())
        .on("/chunks", page(cut(50_000)).chunked().unfinished().hang_up());
    let mut gw = compressing(&origin, "", "");
    gw.may_end_unclean();

    for path in ["/short", "/reset", "/chunks"] {
        for coding in CODINGS {
            let mut client = gw.connect();
            client.send(accepting(path, coding).bytes());
            assert!(client.try_response().is_err(), "{path}: taken for the whole");
        }
    }
    // What comes on the next connection is not of those bodies.
    let whole = text(30_000);
    origin.set("/whole", page(&whole));
    for coding in CODINGS {
        let response = gw.ask(&accepting("/whole", coding));
        assert_eq!(coded(&response, coding), whole.as_bytes());
    }
}

#[test]
fn a_body_that_ends_with_its_connection_has_an_end_of_its_own_and_trailers_pass_if_true() {
    let body = text(30_000);
    let trailing = page(&body)
        .chunked()
        .trailer("X-Sum", "1")
        .trailer("Content-Digest", "sha-256=:AA==:");
    let origin = Origin::new()
        .on("/close", page(&body).until_close())
        .on("/old", page(&body).http10())
        .on("/trailers", trailing);
    let gw = compressing(&origin, "", "");

    let mut client = gw.connect();
    for path in ["/close", "/old", "/trailers"] {
        let response = client.ask(&accepting(path, "br"));
        assert_eq!(coded(response.expect(200), "br"), body.as_bytes(), "{path}");
        let expected = [("X-Sum".to_owned(), "1".to_owned())];
        let count = usize::from(path == "/trailers");
        assert_eq!(response.message.trailers, expected[..count]);
    }
}

#[test]
fn a_client_that_goes_away_holds_no_encoder() {
    let gate = Gate::new();
    let body = text(30_000);
    let script = page(&body).claims(60_000).pause(&gate).body(&body);
    let origin = Origin::new().on("/", script).on("/whole", page(&body));
    let mut gw = compressing(&origin, "", "");
    gw.may_end_unclean();

    // More than a worker lends at once.
    for round in 1..=3 {
        let clients: Vec<_> = (0..100)
            .map(|_| {
                let mut client = gw.connect();
                client.send(accepting("/", "gzip").bytes());
                client
            })
            .collect();
        origin.wait_seen("/", round * 100);
        clients.into_iter().for_each(Connection::reset);
        gw.wait_metrics("nobody is served", |m| {
            m.sum("sluice_requests_in_flight", &[]) < 0.5
        });
    }
    let response = gw.ask(&accepting("/whole", "gzip"));
    assert_eq!(coded(&response, "gzip"), body.as_bytes());
    gate.open();
}
