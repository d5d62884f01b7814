//! RFC 9113 §8: each rule of a request, broken.

use harness::origin::reply;
use harness::{Gateway, Origin};

use super::all_to;
use super::frames::{
    DATA, END_HEADERS, END_STREAM, GET, GOAWAY, HEADERS, PROTOCOL_ERROR, RST_STREAM, Raw, block, frame,
    headers,
};

/// What becomes of a request.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Status(u16),
    Reset(u32),
}

/// A status that was sent as it stands in the static table, or literally.
fn status(block: &[u8]) -> u16 {
    match block {
        [0x88, ..] => 200,
        [0x8b, ..] => 304,
        [0x8c, ..] => 400,
        [0x8d, ..] => 404,
        [0x8e, ..] => 500,
        [0x08, 3, digits @ ..] | [0x48, 3, digits @ ..] => std::str::from_utf8(&digits[..3])
            .expect("a play's own client and server work")
            .parse()
            .expect("a play's own client and server work"),
        // Three digits in Huffman's code take two bytes.
        [0x48, 0x82, _, _, ..] => 0,
        other => panic!("{other:x?}"),
    }
}

fn fate(raw: &mut Raw, stream: u32) -> Fate {
    loop {
        let frame = raw.next().expect("the connection goes on");
        assert_ne!(frame.kind, GOAWAY, "the stream alone is to be blamed: {frame:?}");
        match frame.kind {
            HEADERS if frame.stream == stream => return Fate::Status(status(&frame.payload)),
            RST_STREAM if frame.stream == stream => return Fate::Reset(frame.code()),
            _ => {}
        }
    }
}

/// GET with one of its pseudo-fields in another form, or with other fields behind.
fn with(change: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    let mut fields = GET.to_vec();
    for (name, value) in change {
        match fields.iter_mut().find(|(n, _)| n == name && n.starts_with(':')) {
            Some(field) => field.1 = value,
            None => fields.push((name, value)),
        }
    }
    fields
}

#[test]
fn a_malformed_request_is_refused_alone() {
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&all_to(&origin));
    let without = |name: &str| -> Vec<_> { GET.into_iter().filter(|(n, _)| *n != name).collect() };
    let twice = |name: &str| -> Vec<_> {
        let field = GET.into_iter().find(|(n, _)| *n == name).unwrap();
        [&[field], &GET[..]].concat()
    };
    let behind = |field: (&'static str, &'static str)| [&[("x", "y")], &[field][..]].concat();

    let resets = [
        // §8.3: "Pseudo-header fields MUST NOT appear" twice, behind others, or be unknown here.
        without(":method"),
        without(":scheme"),
        twice(":method"),
        twice(":path"),
        twice(":scheme"),
        twice(":authority"),
        [&without(":path")[..], &behind((":path", "/"))].concat(),
        with(&[(":status", "200")]),
        with(&[(":path", "")]),
        // §8.2.2: what is about a connection.
        with(&[("connection", "close")]),
        with(&[("connection", "x-a"), ("x-a", "1")]),
        with(&[("keep-alive", "5")]),
        with(&[("proxy-connection", "close")]),
        with(&[("transfer-encoding", "chunked")]),
        with(&[("upgrade", "websocket")]),
        with(&[("te", "gzip")]),
        // §8.1.1: a length that is not the body's.
        with(&[("content-length", "5")]),
        with(&[("content-length", "x")]),
        with(&[("content-length", "0"), ("content-length", "1")]),
        // RFC 8441 §4: what a CONNECT with a protocol has to have.
        with(&[(":protocol", "websocket")]),
    ];
    let refused = [
        with(&[("host", "b.test")]),
        with(&[("host", "a.test"), ("host", "a.test")]),
        without(":authority"),
        without(":path"),
        with(&[(":authority", "u@a.test")]),
        with(&[(":path", "a")]),
        with(&[(":path", "*")]),
        with(&[(":path", "http://b.test/")]),
        with(&[(":path", "/%zz")]),
        with(&[(":path", "/../a")]),
        with(&[(":scheme", "ftp")]),
        with(&[("x-a", " b")]),
        with(&[("x-a", "b ")]),
        with(&[("content-length", "0"), ("content-length", "0")]),
    ];
    let mut raw = Raw::open(gw.address());
    let mut stream = 1;
    for fields in &resets {
        raw.send(&headers(stream, fields));
        assert_eq!(fate(&mut raw, stream), Fate::Reset(PROTOCOL_ERROR), "{fields:?}");
        stream += 2;
    }
    for fields in &refused {
        raw.send(&headers(stream, fields));
        let fate = fate(&mut raw, stream);
        let is_refused = matches!(fate, Fate::Status(400) | Fate::Reset(PROTOCOL_ERROR));
        assert!(is_refused, "{fields:?} met with {fate:?}");
        stream += 2;
    }
    assert_eq!(origin.total(), 0, "nothing of all this reaches an origin");
    raw.send(&headers(stream, &GET));
    assert_eq!(fate(&mut raw, stream), Fate::Status(200));
}

#[test]
fn names_in_capitals_end_the_connection() {
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&all_to(&origin));
    for name in ["X-A", "x a", "x:a", ""] {
        let mut raw = Raw::open(gw.address());
        let mut fields = GET.to_vec();
        fields.push((name, "1"));
        raw.send(&headers(1, &fields));
        // The `h2` crate takes it for a fault of the compression, which is the connection's.
        let word = raw.last_word();
        assert!(word != 0, "{name:?}");
    }
    assert_eq!(origin.total(), 0);
}

#[test]
fn a_body_of_another_length_than_announced_is_no_body() {
    let origin = Origin::new().otherwise(reply(200).echo());
    let gw = Gateway::start(&all_to(&origin));
    for (body, ends) in [("hell", true), ("hello!", true), ("hello!", false)] {
        let mut raw = Raw::open(gw.address());
        let mut fields = GET.to_vec();
        fields[0].1 = "POST";
        fields.push(("content-length", "5"));
        raw.send(&frame(HEADERS, END_HEADERS, 1, &block(&fields)));
        raw.send(&frame(
            DATA,
            if ends { END_STREAM } else { 0 },
            1,
            body.as_bytes(),
        ));
        assert_eq!(fate(&mut raw, 1), Fate::Reset(PROTOCOL_ERROR), "{body}");
    }
}

#[test]
fn the_host_alone_will_do() {
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&all_to(&origin));
    let mut raw = Raw::open(gw.address());
    raw.send(&headers(
        1,
        &[
            (":method", "GET"),
            (":scheme", "http"),
            (":path", "/a"),
            ("host", "b.test"),
        ],
    ));
    assert_eq!(fate(&mut raw, 1), Fate::Status(200));
    assert_eq!(origin.only("/a").value("host"), Some("b.test"));
}

#[test]
fn connect_is_not_spoken_here() {
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&all_to(&origin));
    let mut raw = Raw::open(gw.address());
    raw.send(&headers(
        1,
        &[(":method", "CONNECT"), (":authority", "a.test:443")],
    ));
    // 501 is not in the static table.
    assert!(matches!(fate(&mut raw, 1), Fate::Status(0 | 501)));
    assert_eq!(origin.total(), 0);
}
