use std::sync::atomic::Ordering;

use bytes::Bytes;
use h2::Reason;
use harness::{Gateway, Request, wait_until};

use super::all_to;
use super::origin::{Answer, Bare, Call, Framed, bare_answer, head, push};
use crate::m_http2::client::{Client, get, give, request, run, soon, whole};
use crate::m_http2::frames::frame;

/// GOAWAY with nothing begun, or begun up to the first stream.
fn go_away(last: u32) -> Vec<u8> {
    frame(7, 0, 0, &[last.to_be_bytes(), 0u32.to_be_bytes()].concat())
}

#[test]
fn what_a_server_has_not_begun_when_it_leaves_is_asked_again_by_any_method() {
    // The first connection says goodbye before it begins with what was sent.
    let origin = Bare::new(vec![|_| go_away(0), bare_answer]);
    let gw = Gateway::start(&all_to(&[origin.address], ""));
    gw.ask(&Request::post("/", "precious")).expect(200);
    assert_eq!(origin.connections(), 2);
}

#[test]
fn what_a_server_has_begun_when_it_leaves_is_answered_there() {
    let origin = Bare::new(vec![|stream| [go_away(1), bare_answer(stream)].concat()]);
    let gw = Gateway::start(&all_to(&[origin.address], ""));
    for n in 1..4 {
        gw.ask(&Request::post("/", "precious")).expect(200);
        assert_eq!(origin.connections(), n);
    }
}

#[test]
fn a_refused_stream_is_asked_again_by_any_method() {
    let origin = Bare::new(vec![bare_answer]);
    let busy = Bare::new(vec![|stream| frame(3, 0, stream, &7u32.to_be_bytes())]);
    let gw = Gateway::start(&all_to(&[busy.address, origin.address], ""));
    for _ in 0..6 {
        gw.ask(&Request::post("/", "precious")).expect(200);
    }
    assert!(busy.connections() > 0);
}

#[test]
fn a_refused_stream_is_asked_again_at_the_only_server_over_another_connection_and_once() {
    let refuse: Answer = |stream| frame(3, 0, stream, &7u32.to_be_bytes());
    let origin = Bare::new(vec![refuse, bare_answer]);
    let gw = Gateway::start(&all_to(&[origin.address], ""));
    for _ in 0..3 {
        gw.ask(&Request::post("/", "precious")).expect(200);
    }
    assert_eq!(origin.connections(), 2);

    let origin = Bare::new(vec![refuse]);
    let gw = Gateway::start(&all_to(&[origin.address], ""));
    for _ in 0..3 {
        gw.ask(&Request::post("/", "precious")).expect(502).problem();
    }
    assert_eq!(origin.connections(), 2);
}

#[test]
fn a_stream_that_is_reset_otherwise_may_have_been_acted_upon() {
    let reset: Answer = |stream| frame(3, 0, stream, &2u32.to_be_bytes());
    let origin = Bare::new(vec![reset, bare_answer]);
    let gw = Gateway::start(&all_to(&[origin.address], ""));
    gw.ask(&Request::post("/", "precious")).expect(502).problem();
    let origin = Bare::new(vec![reset]);
    let other = Bare::new(vec![bare_answer]);
    let gw = Gateway::start(&all_to(&[origin.address, other.address], ""));
    for _ in 0..4 {
        gw.get("/").expect(200);
    }
}

#[test]
fn running_requests_end_where_they_are_when_a_server_leaves() {
    let origin = Framed::new(|mut call: Call| async move {
        if call.path() == "/held" {
            call.log.pass().await;
        }
        call.reply("whole").await;
    });
    let gw = Gateway::start(&all_to(&[origin.address], ""));

    run(async {
        let client = Client::open(gw.address()).await;
        let (held, _) = client.begin(get("/held"), true).await;
        soon("it has come", async {
            while origin.running() < 1 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        origin.leave();
        soon("another connection is used", async {
            while origin.connections() < 2 {
                client.ask(get("/")).await.expect(200, "whole");
            }
        })
        .await;
        origin.log.gate.add_permits(64);
        whole(held).await.unwrap().expect(200, "whole");
    });
}

#[test]
fn a_client_that_leaves_takes_its_stream_with_it() {
    let origin = Framed::new(|mut call: Call| async move {
        match call.path().as_str() {
            "/waits" => call.wait_reset().await,
            "/sends" => {
                let _ = call.read().await;
                call.wait_reset().await;
            }
            "/reads" => {
                let mut stream = call.begin(head(200, &[]));
                call.log.wait_reset(&mut stream).await;
            }
            _ => call.reply("x").await,
        }
    });
    let gw = Gateway::start(&all_to(&[origin.address], ""));

    run(async {
        let client = Client::open(gw.address()).await;
        let (_waiting, mut waits) = client.begin(get("/waits"), true).await;
        let (_sending, mut sends) = client.begin(request("POST", "/sends"), false).await;
        give(&mut sends, "begun".into(), false).await;
        let (reading, mut reads) = client.begin(request("POST", "/reads"), false).await;
        let _body = reading.await.unwrap();
        soon("all have come", async {
            while origin.running() < 3 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        for stream in [&mut waits, &mut sends, &mut reads] {
            stream.send_reset(Reason::CANCEL);
        }
        soon("all were told", async {
            while origin.running() > 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        client.ask(get("/")).await.expect(200, "x");
    });
    assert!(
        origin
            .log
            .resets
            .lock()
            .iter()
            .all(|reason| *reason == Reason::CANCEL)
    );
    assert_eq!(origin.connections(), 1);
    // One of HTTP/1.1 has only its connection to give up.
    let mut leaving = gw.connect();
    leaving.send("GET /waits HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_until("it has come", || origin.running() == 1);
    leaving.reset();
    wait_until("it was told", || origin.running() == 0);
}

#[test]
fn an_answer_that_breaks_off_is_never_whole() {
    let origin = Framed::new(|mut call: Call| async move {
        let length = [("content-length", "10")];
        let named = if call.path() == "/length" {
            &length[..]
        } else {
            &[]
        };
        let mut stream = call.begin(head(200, named));
        let _ = push(&mut stream, "half".into(), false).await;
        // A reset goes before whatever has not been written.
        call.log.pass().await;
        stream.send_reset(Reason::INTERNAL_ERROR);
    });
    let gw = Gateway::start(&all_to(&[origin.address], ""));

    run(async {
        let client = Client::open(gw.address()).await;
        for path in ["/length", "/chunks"] {
            let mut body = client.begin(get(path), true).await.0.await.unwrap().into_body();
            assert_eq!(body.data().await.unwrap().unwrap(), "half");
            origin.log.gate.add_permits(1);
            body.data().await.unwrap().unwrap_err();
        }
    });
    for path in ["/length", "/chunks"] {
        let mut client = gw.connect();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        client.response_head();
        origin.log.gate.add_permits(1);
        let rest = client.rest().unwrap_or_default();
        assert!(rest.len() < 10 || path == "/chunks" && !rest.ends_with(b"0\r\n\r\n"));
    }
}

#[test]
fn a_body_that_is_not_as_long_as_announced_is_never_whole() {
    let origin = Framed::new(|mut call: Call| async move {
        let mut stream = call.begin(head(200, &[("content-length", "10")]));
        let body = if call.path() == "/short" {
            "short"
        } else {
            "much too long"
        };
        let _ = push(&mut stream, Bytes::from(body), true).await;
    });
    let gw = Gateway::start(&all_to(&[origin.address], ""));
    run(async {
        let client = Client::open(gw.address()).await;
        // It may be found out before anything is passed on.
        if let Ok(got) = client.try_ask(get("/short")).await {
            assert_eq!(got.status, 502);
        }
        if let Ok(got) = client.try_ask(get("/long")).await {
            assert!(got.status == 502 || got.body == b"much too l", "{got:?}");
        }
    });
}

#[test]
fn an_early_answer_reaches_a_client_that_is_still_sending() {
    let origin = Framed::new(|mut call: Call| async move {
        let _first = call.body.data().await;
        call.end(head(403, &[]));
    });
    let gw = Gateway::start(&all_to(&[origin.address], ""));

    run(async {
        let client = Client::open(gw.address()).await;
        for _ in 0..5 {
            let (answer, mut stream) = client.begin(request("POST", "/"), false).await;
            give(&mut stream, vec![0; 200_000].into(), false).await;
            whole(answer).await.unwrap().expect(403, "");
            let reset = std::future::poll_fn(|cx| stream.poll_reset(cx)).await.unwrap();
            assert_eq!(reset, Reason::NO_ERROR);
        }
    });
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_server_that_is_killed_takes_what_runs_with_it_and_nothing_else() {
    let origin = Framed::new(|mut call: Call| async move {
        if call.path() == "/held" {
            call.wait_reset().await;
        }
        call.reply("x").await;
    });
    let gw = Gateway::start(&all_to(&[origin.address], ""));

    run(async {
        let client = Client::open(gw.address()).await;
        client.ask(get("/")).await.expect(200, "x");
        let mut held = Vec::new();
        for _ in 0..5 {
            let (answer, mut stream) = client.begin(request("POST", "/held"), false).await;
            give(&mut stream, "precious".into(), true).await;
            held.push(answer);
        }
        soon("all have come", async {
            while origin.running() < 5 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        origin.cut();
        for answer in held {
            assert_eq!(whole(answer).await.unwrap().status, 502);
        }
        origin.serve();
        for _ in 0..5 {
            client.ask(get("/")).await.expect(200, "x");
        }
    });
    let calls = origin.log.calls.load(Ordering::SeqCst);
    assert_eq!((calls, origin.connections()), (11, 2));
    let address = origin.address.to_string();
    let failed = [("server", address.as_str()), ("result", "error")];
    assert_eq!(gw.metrics().sum("sluice_upstream_requests_total", &failed), 5.0);
}

#[test]
fn what_may_be_repeated_is_asked_once_more_when_the_only_server_has_cut_it_off() {
    let origin = Framed::new(|mut call: Call| async move {
        if call.path() == "/held" && call.log.connections.load(Ordering::SeqCst) == 1 {
            return call.wait_reset().await;
        }
        call.reply("x").await;
    });
    let gw = Gateway::start(&all_to(&[origin.address], ""));

    run(async {
        let client = Client::open(gw.address()).await;
        client.ask(get("/")).await.expect(200, "x");
        let mut held = Vec::new();
        for n in 1..=4 {
            held.push(client.begin(get("/held"), true).await.0);
            soon("it has come", async {
                while origin.running() < n {
                    tokio::task::yield_now().await;
                }
            })
            .await;
        }
        origin.cut();
        for answer in held {
            whole(answer).await.unwrap().expect(200, "x");
        }
    });
    assert_eq!(origin.connections(), 2);
    // The first one may have met a connection that had grown old. The others were not alone on it.
    let address = origin.address.to_string();
    let failed = [("server", address.as_str()), ("result", "error")];
    assert_eq!(gw.metrics().sum("sluice_upstream_requests_total", &failed), 3.0);
}

#[test]
fn a_connection_with_nothing_to_do_is_closed_in_time() {
    let origin = Framed::new(|mut call| async move { call.reply("x").await });
    let gw = Gateway::start_with_manual_clock(&all_to(&[origin.address], "idle_timeout = \"1h\""));
    gw.get("/").expect(200);
    assert_eq!(origin.open(), 1);
    let counted = |gw: &Gateway| {
        gw.metrics()
            .sum("sluice_upstream_http2_connections", &[("upstream", "origin")])
    };
    assert_eq!(counted(&gw), 1.0);
    wait_until("it is closed", || {
        gw.advance(std::time::Duration::from_secs(3600));
        origin.open() == 0
    });
    wait_until("it is counted no more", || counted(&gw) == 0.0);
    gw.get("/").expect(200);
    assert_eq!(origin.connections(), 2);
}
