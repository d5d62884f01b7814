use http::Request as Asked;
use proptest::prelude::*;

use super::*;
use crate::wire::{Fields, HeadLimits, Request};

const LIMITS: HeadLimits = HeadLimits {
    bytes_max: 1 << 20,
    fields_max: 1000,
    target_bytes_max: 1 << 16,
    leading_lines_max: 0,
};

fn asked(method: &str, uri: &str, fields: &[(&str, &str)]) -> Parts {
    let mut asked = Asked::builder().method(method).uri(uri);
    for (name, value) in fields {
        asked = asked.header(*name, *value);
    }
    asked.body(()).unwrap().into_parts().0
}

fn write(parts: &Parts, has_body: bool) -> Result<(String, Inbound), HeadFault> {
    let mut out = Vec::new();
    let inbound = write_request(&mut out, parts, has_body, || "key".to_owned())?;
    Ok((String::from_utf8(out).unwrap(), inbound))
}

#[test]
fn a_request_is_written_as_http_1_1_has_it() {
    let parts = asked(
        "POST",
        "https://a.test:8443/a?b",
        &[
            ("x", "1"),
            ("cookie", "a=1"),
            ("x", "2"),
            ("cookie", "b=2"),
            ("te", "trailers"),
        ],
    );
    assert_eq!(
        write(&parts, true).unwrap(),
        (
            "POST /a?b HTTP/1.1\r\nhost: a.test:8443\r\nx: 1\r\nx: 2\r\nte: trailers\r\ncookie: a=1; b=2\r\n\
             transfer-encoding: chunked\r\n\r\n"
                .to_owned(),
            Inbound::Chunked
        )
    );
    let of = |fields: &[_], has_body| write(&asked("PUT", "http://a/", fields), has_body).unwrap().1;
    assert_eq!(of(&[("content-length", "3")], true), Inbound::Plain);
    assert_eq!(of(&[("content-length", "0")], false), Inbound::Nothing);
    assert_eq!(of(&[], false), Inbound::Nothing);
}

#[test]
fn the_host_is_the_authority_or_alone() {
    let lines = |uri: &str, fields: &[_]| write(&asked("GET", uri, fields), false).map(|(text, _)| text);
    assert_eq!(
        lines("http://A.test/", &[("host", "a.test")]).unwrap(),
        "GET / HTTP/1.1\r\nhost: A.test\r\n\r\n"
    );
    assert_eq!(
        lines("/", &[("host", "a.test")]).unwrap(),
        "GET / HTTP/1.1\r\nhost: a.test\r\n\r\n"
    );
    assert!(lines("http://a.test/", &[("host", "b.test")]).is_err());
    assert!(lines("/", &[("host", "a.test"), ("host", "a.test")]).is_err());
}

#[test]
fn what_has_no_place_is_refused() {
    for (uri, fields) in [
        ("http://a/", &[("connection", "close")][..]),
        ("http://a/", &[("upgrade", "h2c")]),
        ("http://a/", &[("transfer-encoding", "chunked")]),
        ("http://a/", &[("keep-alive", "1")]),
        ("http://a/", &[("proxy-connection", "close")]),
        ("http://a/", &[("te", "gzip")]),
        ("http://a/", &[("x", " 1")]),
        ("http://a/", &[("x", "1\t")]),
        ("ftp://a/", &[]),
    ] {
        assert!(
            write(&asked("GET", uri, fields), false).is_err(),
            "{uri} {fields:?}"
        );
    }
}

#[test]
fn a_websocket_becomes_an_upgrade() {
    let mut parts = asked("CONNECT", "http://a/chat", &[("sec-websocket-key", "theirs")]);
    parts.extensions.insert(Protocol::from_static("websocket"));
    let (text, inbound) = write(&parts, true).unwrap();
    assert_eq!(inbound, Inbound::Tunnel);
    assert_eq!(
        text,
        "GET /chat HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: key\r\n\r\n"
    );
    parts.extensions.insert(Protocol::from_static("other"));
    assert!(write(&parts, true).is_err());
    assert_eq!(websocket_key([0, u64::MAX]), "AAAAAAAAAAD//////////w==");
}

#[test]
fn an_answer_is_read_without_what_is_about_a_connection() {
    let text = Bytes::from_static(
        b"HTTP/1.1 203 Other Words\r\nX-A: 1\r\nSet-Cookie: a=b\r\nSet-Cookie: c\r\nConnection: close\r\nX-E:\r\n\
          Transfer-Encoding: chunked\r\nKeep-Alive: 5\r\n\r\n",
    );
    let answer = answer(&text).unwrap();
    assert_eq!(answer.status(), 203);
    let lines: Vec<_> = answer
        .headers()
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_bytes()))
        .collect();
    assert_eq!(
        lines,
        [
            ("x-a", &b"1"[..]),
            ("set-cookie", b"a=b"),
            ("set-cookie", b"c"),
            ("x-e", b"")
        ]
    );
    for bad in [
        "",
        "HTTP/1.1 ",
        "HTTP/1.1 2x0 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
    ] {
        assert!(super::answer(&Bytes::from(bad)).is_none(), "{bad:?}");
    }
}

#[test]
fn trailers_say_nothing_that_should_have_come_first() {
    let mut fields = HeaderMap::new();
    for name in ["x-sum", "host", "content-length"] {
        fields.insert(name, HeaderValue::from_static("1"));
    }
    let mut out = Vec::new();
    write_last_chunk(&mut out, Some(&fields));
    assert_eq!(out, b"0\r\nx-sum: 1\r\n\r\n");
    let mut theirs = Fields::default();
    theirs.push(b"X-Sum", b"1");
    theirs.push(b"Set-Cookie", b"1");
    let back = trailers(&theirs);
    assert_eq!(back.len(), 1);
    assert_eq!(back["x-sum"], "1");
}

proptest! {
    /// Whatever `h2` hands over, the one parser that counts reads what was meant, or refuses it.
    #[test]
    fn what_is_written_is_read_back(
        path in "/[!-~]{0,20}",
        fields in prop::collection::vec(("[a-z][a-z0-9-]{0,8}", prop::collection::vec(any::<u8>(), 0..20)), 0..8),
        has_body: bool,
    ) {
        let mut map = HeaderMap::new();
        for (name, value) in &fields {
            if let Ok(value) = HeaderValue::from_bytes(value) {
                map.append(HeaderName::try_from(name.as_str()).unwrap(), value);
            }
        }
        let Ok(uri) = http::Uri::try_from(format!("http://a.test{path}")) else { return Ok(()) };
        let mut parts = asked("PUT", "/", &[]);
        (parts.uri, parts.headers) = (uri, map);
        let mut out = Vec::new();
        if write_request(&mut out, &parts, has_body, String::new).is_err() {
            return Ok(());
        }
        let mut request = Request::default();
        if request.parse(&out, LIMITS).is_err() {
            return Ok(());
        }
        prop_assert_eq!(&request.host, "a.test");
        let target = parts.uri.path_and_query().unwrap().as_str();
        let query = request.query.as_ref().map(|q| format!("?{q}")).unwrap_or_default();
        prop_assert_eq!(format!("{}{query}", request.raw_path), target);
        for name in parts.headers.keys().filter(|name| **name != COOKIE && **name != SEC_WEBSOCKET_KEY) {
            let meant: Vec<_> = parts.headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
            let read: Vec<_> = request.fields.values_of(name.as_str()).collect();
            prop_assert_eq!(read, meant);
        }
        let added = request.fields.len() - parts.headers.len();
        prop_assert!(added <= 2, "{} fields were added", added);
    }
}
