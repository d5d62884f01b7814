//! Answers that are no HTTP, or can be read two ways: 502, and their connection is never used again.

use harness::origin::{Script, raw, reply};
use harness::{Gateway, Origin, Request};

use crate::all_to;

/// Each answer becomes a 502, and the next request goes out on another connection.
#[track_caller]
fn refuses<B: AsRef<[u8]>>(answers: &[B]) {
    for answer in answers {
        let shown = String::from_utf8_lossy(answer.as_ref())
            .chars()
            .take(120)
            .collect::<String>();
        // The connection stays open, so that it would be used again if it were not distrusted.
        let origin = Origin::new()
            .on("/bad", raw(answer))
            .on("/ok", reply(200).body("ok"));
        let gw = Gateway::start(&all_to(&origin));

        let mut client = gw.connect();
        let response = client.ask(&Request::get("/bad"));
        assert_eq!(response.status, 502, "{shown:?} became:\n{response}");
        response.problem();
        gw.get("/ok").expect(200).body("ok");
        assert_ne!(
            origin.only("/bad").connection,
            origin.only("/ok").connection,
            "{shown:?}"
        );
    }
}

fn with_fields(lines: &[&str]) -> Vec<String> {
    let answer = |line| format!("HTTP/1.1 200 OK\r\n{line}\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    lines.iter().map(answer).collect()
}

#[test]
fn a_body_with_two_lengths_is_no_answer() {
    refuses(&with_fields(&[
        "Content-Length: 15\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 15",
        "Content-Length: 15\r\nContent-Length: 15",
        "Content-Length: 15\r\nContent-Length: 5",
        "Content-Length: 15, 15",
        "Content-Length: +15",
        "Content-Length: -15",
        "Content-Length: 0xf",
        "Content-Length:",
        "Content-Length: 18446744073709551631",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked;x",
    ]));
    refuses(&["HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"]);
}

#[test]
fn a_loose_head_is_no_answer() {
    refuses(&with_fields(&[
        "Content-Length: 15\r\nX: a\r\n b",
        "Content-Length : 15",
        "Content-Length: 15\nX: y",
        "Content-Length: 15\r\nX: a\rb",
        "Content-Length: 15\r\nX: a\0b",
        "Content-Length: 15\r\n: y",
        "Content-Length: 15\r\nno field",
        " Content-Length: 15",
    ]));
    refuses(&["HTTP/1.1 200 OK\nContent-Length: 2\n\nhi"]);
}

#[test]
fn what_is_no_http_is_no_answer() {
    refuses(&[
        "<html>this is how 0.9 did it</html>\r\n\r\n",
        "ICY 200 OK\r\n\r\n",
        "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        "http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 99 No\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 600 No\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 O\rK\r\nContent-Length: 0\r\n\r\n",
        "\0\0\0\0\r\n\r\n",
        "\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ]);
}

#[test]
fn a_head_without_end_is_no_answer() {
    refuses(&[
        format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "a".repeat(1 << 20)),
        format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(50_000)),
        "a".repeat(1 << 20),
    ]);
}

#[test]
fn a_switch_nobody_asked_for_is_no_answer() {
    refuses(&["HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"]);
}

#[test]
fn interim_answers_without_end_are_no_answer() {
    refuses(&["HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n".repeat(10_000)]);
}

#[test]
fn a_bodiless_status_that_announces_a_body_is_no_answer() {
    refuses(&[
        "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ]);
}

/// What an origin sends beyond its answer is nobody's: not this client's, and least of all the next one's.
#[track_caller]
fn strays_are_dropped(request: &Request, script: Script, status: u16, body: &str) {
    let origin = Origin::new()
        .on("/stray", script)
        .on("/ok", reply(200).body("ok"));
    let gw = Gateway::start(&all_to(&origin));

    let mut client = gw.connect();
    client.ask(request).expect(status).body(body);
    for _ in 0..3 {
        client.ask(&Request::get("/ok")).expect(200).body("ok");
    }
    assert_ne!(
        origin.only("/stray").connection,
        origin.requests("/ok")[0].connection
    );
}

#[test]
fn bytes_after_an_answer_are_not_the_next_one() {
    const EVIL: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    let known = format!("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood{EVIL}");
    strays_are_dropped(&Request::get("/stray"), raw(known), 200, "good");
    let chunked =
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\n\r\n{EVIL}");
    strays_are_dropped(&Request::get("/stray"), raw(chunked), 200, "good");
    strays_are_dropped(
        &Request::get("/stray"),
        raw(format!("HTTP/1.1 204 None\r\n\r\n{EVIL}")),
        204,
        "",
    );
    strays_are_dropped(
        &Request::get("/stray"),
        raw("HTTP/1.1 304 Same\r\nContent-Length: 5\r\n\r\nhello"),
        304,
        "",
    );
    strays_are_dropped(
        &Request::head("/stray"),
        raw("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
        200,
        "",
    );
}

#[test]
fn a_chunk_that_is_none_before_anything_was_sent_is_no_whole_answer() {
    for chunk in [
        "zz\r\nhello\r\n0\r\n\r\n",
        "-1\r\n\r\n",
        "10000000000000000\r\nhello",
        "5\nhello\n0\n\n",
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}");
        let origin = Origin::new().on("/bad", raw(answer)).on("/ok", reply(200));
        let gw = Gateway::start(&all_to(&origin));

        let mut client = gw.connect();
        client.send(Request::get("/bad").bytes());
        if let Ok(response) = client.try_response() {
            assert_eq!(response.status, 502, "{chunk:?} looks whole:\n{response}");
        }
        gw.get("/ok").expect(200);
        assert_ne!(
            origin.only("/bad").connection,
            origin.only("/ok").connection,
            "{chunk:?}"
        );
    }
}
