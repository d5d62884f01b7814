//! What can be read two ways is refused, and the origin sees nothing of it (RFC 9112 §11.2: request smuggling).

use harness::origin::reply;
use harness::{Gateway, Origin, Request};

use crate::all_to;

/// Follows every case: who takes it for a request of its own has been smuggled past.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n";

/// Each case gets this status and a closed connection, and the origin sees nothing.
#[track_caller]
fn refuses<H: AsRef<[u8]>>(status: u16, cases: &[H]) {
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&all_to(&origin));
    for case in cases {
        let case = case.as_ref();
        let shown = String::from_utf8_lossy(case).into_owned();
        let mut client = gw.connect();
        client.send([case, SMUGGLED.as_bytes()].concat());
        let response = client.response();
        assert_eq!(response.status, status, "{shown:?} got:\n{response}");
        assert!(response.closes(), "{shown:?} got no close:\n{response}");
        client.expect_closed();
        assert_eq!(origin.total(), 0, "the origin has seen {shown:?}");
    }
}

/// A POST with these field lines and a body that both framings could mean.
fn with_fields(lines: &[&str]) -> Vec<String> {
    let head = |line| format!("POST / HTTP/1.1\r\nHost: a.test\r\n{line}\r\n\r\n0\r\n\r\n");
    lines.iter().map(head).collect()
}

#[test]
fn a_body_with_two_lengths_is_refused() {
    let cases = with_fields(&[
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Transfer-Encoding: chunked\r\nContent-Length: 0",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 5",
        "Content-Length: 5,6",
        "content-length: 5\r\nX: y\r\nCONTENT-LENGTH: 0",
    ]);
    refuses(400, &cases);
}

#[test]
fn a_content_length_that_is_no_plain_number_is_refused() {
    let cases = with_fields(&[
        "Content-Length: +5",
        "Content-Length: -5",
        "Content-Length: -0",
        "Content-Length: 0x5",
        "Content-Length: 5h",
        "Content-Length: 5.0",
        "Content-Length: 5e0",
        "Content-Length: 5_0",
        "Content-Length:",
        "Content-Length: 5 5",
        "Content-Length: \"5\"",
        "Content-Length: 5;",
        "Content-Length: \u{665}",
        "Content-Length: 18446744073709551616",
        "Content-Length: 18446744073709551621",
        "Content-Length: 99999999999999999999999999999999999999",
    ]);
    refuses(400, &cases);
}

#[test]
fn a_transfer_encoding_that_is_not_plainly_chunked_is_refused() {
    let cases = with_fields(&[
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: identity, chunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunkedx",
        "Transfer-Encoding: chunk",
        "Transfer-Encoding: chunked;q=1",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding:",
        "Transfer-Encoding: ,",
        "Transfer-Encoding: \u{b}chunked",
        "Transfer-Encoding: chunked\u{b}",
        "Transfer-Encoding: \0chunked",
        "Transfer-Encoding:\r\n chunked",
        "Transfer-Encoding: chunked\r\n ,x",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\t: chunked",
        " Transfer-Encoding: chunked",
        "X: y\rTransfer-Encoding: chunked",
        "X: y\nTransfer-Encoding: chunked",
        "X: y\n\rTransfer-Encoding: chunked",
    ]);
    refuses(400, &cases);
}

#[test]
fn a_coding_that_is_not_spoken_here_is_501() {
    refuses(
        501,
        &with_fields(&[
            "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: deflate,chunked",
        ]),
    );
}

#[test]
fn a_transfer_encoding_in_http10_is_refused() {
    // RFC 9112 §6.1: "A server or client that receives an HTTP/1.0 message containing a Transfer-Encoding
    // header field MUST treat the message as if the framing is faulty".
    refuses(
        400,
        &["POST / HTTP/1.0\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
    );
}

#[test]
fn a_head_whose_lines_end_loosely_is_refused() {
    refuses(
        400,
        &[
            "GET / HTTP/1.1\nHost: a.test\n\n",
            "GET / HTTP/1.1\nHost: a.test\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a.test\n\r\n",
            "GET / HTTP/1.1\r\nHost: a.test\r\n\n",
            "GET / HTTP/1.1\r\nHost: a.test\r\n\rX: y\r\n\r\n",
            "GET / HTTP/1.1\rHost: a.test\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a.test\r\nX: a\rb\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a.test\r\nX: y\r\r\n\r\n",
        ],
    );
}

#[test]
fn a_field_line_that_is_none_is_refused() {
    let cases = with_fields(&[
        "X : y",
        "X\t: y",
        ": y",
        " : y",
        "X",
        "X y",
        "X y: z",
        "X(: y",
        "X\u{e9}: y",
        "X\0: y",
        "X: a\0b",
        "X: a\u{7f}b",
        "X: a\u{1}b",
        "X: a\r\n b",
        "X: a\r\n\tb",
        "X: a\r\n ",
    ]);
    refuses(400, &cases);
}

#[test]
fn a_first_line_that_begins_with_space_is_refused() {
    refuses(
        400,
        &[
            "GET / HTTP/1.1\r\n Host: a.test\r\n\r\n",
            "GET / HTTP/1.1\r\n\tX: y\r\nHost: a.test\r\n\r\n",
        ],
    );
}

#[test]
fn a_request_without_one_clear_host_is_refused() {
    refuses(
        400,
        &[
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a.test\r\nHost: a.test\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n",
            "GET / HTTP/1.0\r\nHost: a.test\r\nHost: b.test\r\n\r\n",
            "GET / HTTP/1.1\r\nHost:\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a.test, b.test\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a.test/b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a.test?b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a.test#b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: user@a.test\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a.test:port\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a.test:80:80\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a.test:99999\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: :80\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: ::1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: http://a.test\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a..test\r\n\r\n",
        ],
    );
}

#[test]
fn an_absolute_target_that_disagrees_or_carries_more_than_a_host_is_refused() {
    refuses(
        400,
        &[
            "GET http://a.test/ HTTP/1.1\r\nHost: b.test\r\n\r\n",
            "GET http://user@a.test/ HTTP/1.1\r\nHost: user@a.test\r\n\r\n",
            "GET http://user:pw@a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n",
            "GET http:/// HTTP/1.1\r\nHost: a.test\r\n\r\n",
            "GET ftp://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n",
            "GET http:a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n",
        ],
    );
}

#[test]
fn a_request_line_that_is_none_is_refused() {
    refuses(
        400,
        &[
            "GET /\r\n\r\n",
            "GET / \r\nHost: a.test\r\n\r\n",
            "GET\r\nHost: a.test\r\n\r\n",
            "GET  / HTTP/1.1\r\nHost: a.test\r\n\r\n",
            "GET /  HTTP/1.1\r\nHost: a.test\r\n\r\n",
            "GET / HTTP/1.1 \r\nHost: a.test\r\n\r\n",
            " GET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
            "GET\t/ HTTP/1.1\r\nHost: a.test\r\n\r\n",
            "GET /\tHTTP/1.1\r\nHost: a.test\r\n\r\n",
            "GET /a b HTTP/1.1\r\nHost: a.test\r\n\r\n",
            "G(T / HTTP/1.1\r\nHost: a.test\r\n\r\n",
            "GET\0 / HTTP/1.1\r\nHost: a.test\r\n\r\n",
            "G\u{e9}T / HTTP/1.1\r\nHost: a.test\r\n\r\n",
            "GET foo HTTP/1.1\r\nHost: a.test\r\n\r\n",
            "GET * HTTP/1.1\r\nHost: a.test\r\n\r\n",
            "GET /a#b HTTP/1.1\r\nHost: a.test\r\n\r\n",
            "GET /\0 HTTP/1.1\r\nHost: a.test\r\n\r\n",
            "GET /\u{7f} HTTP/1.1\r\nHost: a.test\r\n\r\n",
            "GET /%zz HTTP/1.1\r\nHost: a.test\r\n\r\n",
            "GET /%0 HTTP/1.1\r\nHost: a.test\r\n\r\n",
            "GET /%00 HTTP/1.1\r\nHost: a.test\r\n\r\n",
            "GET / http/1.1\r\nHost: a.test\r\n\r\n",
            "GET / HTTP/1.\r\nHost: a.test\r\n\r\n",
            "GET / HTTP/11\r\nHost: a.test\r\n\r\n",
            "GET / HTTP/1,1\r\nHost: a.test\r\n\r\n",
            "GET / HTTP/01.1\r\nHost: a.test\r\n\r\n",
            "GET / FTP/1.1\r\nHost: a.test\r\n\r\n",
        ],
    );
}

#[test]
fn another_version_is_505() {
    refuses(
        505,
        &[
            "GET / HTTP/2.0\r\nHost: a.test\r\n\r\n",
            "GET / HTTP/3.0\r\nHost: a.test\r\n\r\n",
            "GET / HTTP/0.9\r\nHost: a.test\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ],
    );
}

#[test]
fn a_tunnel_is_501() {
    refuses(501, &["CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n"]);
}

/// Chunked bodies that are none. A head may have gone on before they came; a whole request never has.
#[test]
fn a_chunk_that_is_none_is_refused_and_no_whole_request_reaches_the_origin() {
    let huge = format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(64 << 10));
    let bodies = [
        "10000000000000000\r\na\r\n0\r\n\r\n",
        "fffffffffffffffff\r\na\r\n0\r\n\r\n",
        "+1\r\na\r\n0\r\n\r\n",
        "-1\r\na\r\n0\r\n\r\n",
        " 1\r\na\r\n0\r\n\r\n",
        "0x1\r\na\r\n0\r\n\r\n",
        "1h\r\na\r\n0\r\n\r\n",
        "g\r\na\r\n0\r\n\r\n",
        "1_0\r\na\r\n0\r\n\r\n",
        "1,1\r\na\r\n0\r\n\r\n",
        "\r\na\r\n0\r\n\r\n",
        ";x\r\na\r\n0\r\n\r\n",
        "1\na\r\n0\r\n\r\n",
        "1\ra\r\n0\r\n\r\n",
        "1\r\na\n0\r\n\r\n",
        "1\r\na0\r\n\r\n",
        "1\r\nab\r\n0\r\n\r\n",
        "1\r\na\r\r\n0\r\n\r\n",
        "1;\nx\r\na\r\n0\r\n\r\n",
        "1;a\rb\r\na\r\n0\r\n\r\n",
        "1;a\0b\r\na\r\n0\r\n\r\n",
        "1\r\na\r\n0\n\r\n",
        "1\r\na\r\n0\r\n\n",
        "1\r\na\r\n0\r\nno trailer\r\n\r\n",
        "1\r\na\r\n0\r\nX : y\r\n\r\n",
        "1\r\na\r\n0\r\n X: y\r\n\r\n",
        "1\r\na\r\n0\r\nX: y\nZ: z\r\n\r\n",
        "1\r\na\r\n0\r\nX: a\0b\r\n\r\n",
        &huge,
    ];
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&all_to(&origin));
    for body in bodies {
        let shown = &body[..body.len().min(40)];
        let head = Request::new("POST", "/")
            .header("Transfer-Encoding", "chunked")
            .head_bytes();
        let mut client = gw.connect();
        client.send([&head, body.as_bytes(), SMUGGLED.as_bytes()].concat());
        let response = client.response();
        assert_eq!(response.status, 400, "{shown:?} got:\n{response}");
        client.expect_closed();
        let whole = origin.requests("/").iter().filter(|seen| seen.complete).count();
        assert_eq!(whole, 0, "a whole request has come of {shown:?}");
    }
    assert_eq!(origin.seen("/smuggled"), 0);
}

#[test]
fn a_body_that_ends_before_its_length_does_not_reach_the_origin_as_whole() {
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&all_to(&origin));

    for framing in [("Content-Length", "10"), ("Transfer-Encoding", "chunked")] {
        let mut client = gw.connect();
        client.send(
            Request::new("POST", "/")
                .header(framing.0, framing.1)
                .head_bytes(),
        );
        client.send("5\r\nhel").finish();
        let rest = client.rest().expect("the connection ends");
        assert!(
            rest.is_empty() || rest.starts_with(b"HTTP/1.1 400 "),
            "{:?}",
            String::from_utf8_lossy(&rest)
        );
    }
    assert!(origin.requests("/").iter().all(|seen| !seen.complete));
}
