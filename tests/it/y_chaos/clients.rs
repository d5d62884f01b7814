//! Clients that leave, all at once and in every moment.

use harness::origin::reply;
use harness::{Gateway, Origin, Request};

use crate::all_to;

#[test]
fn a_client_that_ends_its_half_anywhere_within_a_request_has_not_sent_it() {
    let origin = Origin::new().otherwise(reply(200).echo());
    let gw = Gateway::start(&all_to(&origin));
    for request in [
        Request::post("/", "hello"),
        Request::new("POST", "/").chunked(["he", "llo"].iter().map(|s| s.as_bytes())),
    ] {
        let bytes = request.bytes();
        for at in 0..bytes.len() {
            let mut client = gw.connect();
            client.send(&bytes[..at]).finish();
            let rest = client.rest().expect("the connection ends");
            let said = String::from_utf8_lossy(&rest);
            assert!(
                said.is_empty() || said.starts_with("HTTP/1.1 4"),
                "{at}: {said:?}"
            );
        }
        let mut client = gw.connect();
        client.send(&bytes).finish();
        client.response().expect(200).body("hello");
        client.expect_closed();
    }
    let whole = origin.requests("/").iter().filter(|seen| seen.complete).count();
    assert_eq!(whole, 2);
}

#[test]
fn a_storm_of_resets_costs_nobody_else_an_answer_and_leaves_nothing_behind() {
    const STORMS: usize = 6;
    const EACH: usize = 100;
    const GOOD: usize = 200;
    let origin = Origin::new()
        .on("/large", reply(200).pattern(1 << 20))
        .on("/good", reply(200).echo())
        .otherwise(reply(200));
    let gw = Gateway::start(&all_to(&origin));
    let upload = Request::new("POST", "/")
        .header("Content-Length", "1000")
        .head_bytes();
    std::thread::scope(|scope| {
        for storm in 0..STORMS {
            let (gw, upload) = (&gw, &upload);
            scope.spawn(move || {
                for turn in 0..EACH {
                    let mut client = gw.connect();
                    let large = Request::get("/large").bytes();
                    match (storm + turn) % 5 {
                        0 => {}
                        1 => _ = client.try_send(&large[..10]),
                        2 => _ = client.try_send(upload),
                        3 => _ = client.try_send(large.repeat(20)),
                        _ => {
                            client.send(&large);
                            client.response_head();
                        }
                    }
                    client.reset();
                }
            });
        }
        let mut client = gw.connect();
        for turn in 0..GOOD {
            let body = format!("{turn}|").repeat(100);
            client
                .ask(&Request::new("PUT", "/good").body(&body))
                .expect(200)
                .body(&body);
        }
    });
    gw.wait_metrics("no connection and no request is left", |m| {
        m.sum("sluice_connections", &[]) == 0.0 && m.sum("sluice_requests_in_flight", &[]) == 0.0
    });
    assert_eq!(gw.server("origin", origin.address())["in_flight"], 0);
    assert_eq!(origin.seen("/good"), GOOD);
}
