use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::kit::clock::{Mono, Now};
use crate::wire::fields::Fields;

/// 2026-11-20T12:34:56.123Z
const START: Now = Now {
    mono: Mono(0),
    wall: Duration::from_millis(1_795_178_096_123),
};

fn fields(lines: &[(&str, &[u8])]) -> Fields {
    let mut fields = Fields::default();
    for (name, value) in lines {
        fields.push(name.as_bytes(), value);
    }
    fields
}

/// A proxied request with everything there is to say.
fn full(request: &Fields) -> Line<'_> {
    Line {
        start: START,
        duration: Duration::from_micros(12_345),
        client_ip: Some(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9))),
        method: b"GET",
        host: b"example.com",
        path: b"/api/items",
        query: Some(b"page=2"),
        scheme: "https",
        port: 443,
        protocol: "HTTP/1.1",
        status: 200,
        bytes_sent: 1234,
        bytes_received: 0,
        user: None,
        route: Some("api"),
        upstream: Some("app"),
        server: Some("10.0.0.1:8000"),
        tries: 2,
        upstream_time: Some(Duration::from_micros(11_000)),
        cache: None,
        refusal: None,
        request_id: b"01HX",
        request,
        response: &(),
        slow: None,
    }
}

/// What is left when the head was not understood.
fn bare(request: &Fields) -> Line<'_> {
    Line {
        client_ip: None,
        method: b"",
        host: b"",
        path: b"",
        query: None,
        protocol: "",
        status: 400,
        bytes_sent: 0,
        user: None,
        route: None,
        upstream: None,
        server: None,
        tries: 0,
        upstream_time: None,
        refusal: Some("bad_request"),
        request_id: b"",
        ..full(request)
    }
}

fn written(format: &Format, line: &Line<'_>) -> String {
    let mut out = Vec::new();
    format.write(&mut out, line, &mut TimeCache::default());
    String::from_utf8(out).unwrap()
}

fn template(text: &str) -> Format {
    Format::new(&LogFormat::Template(Template::parse(text).unwrap()))
}

#[test]
fn a_json_line_has_its_keys_in_a_fixed_order() {
    let request = fields(&[("User-Agent", b"curl/8.5"), ("Referer", b"https://a.example/")]);
    assert_eq!(
        written(&Format::Json, &full(&request)),
        concat!(
            r#"{"time":"2026-11-20T12:34:56.123Z","request_id":"01HX","client_ip":"203.0.113.9","#,
            r#""method":"GET","scheme":"https","host":"example.com","path":"/api/items","query":"page=2","#,
            r#""protocol":"HTTP/1.1","status":200,"bytes_sent":1234,"bytes_received":0,"#,
            r#""duration_ms":12.345,"route":"api","upstream":"app","server":"10.0.0.1:8000","#,
            r#""tries":2,"upstream_ms":11.000,"user_agent":"curl/8.5","referer":"https://a.example/"}"#,
            "\n"
        )
    );
}

#[test]
fn a_json_line_leaves_out_what_is_not_known() {
    let request = Fields::default();
    assert_eq!(
        written(&Format::Json, &bare(&request)),
        concat!(
            r#"{"time":"2026-11-20T12:34:56.123Z","scheme":"https","status":400,"bytes_sent":0,"#,
            r#""bytes_received":0,"duration_ms":12.345,"refusal":"bad_request"}"#,
            "\n"
        )
    );
}

#[test]
fn a_slow_request_says_so_and_where_its_time_went() {
    let request = Fields::default();
    let line = Line {
        slow: Some(Timings {
            head: Some(Duration::from_millis(1)),
            guard: Some(Duration::from_millis(2)),
            cache: Some(Duration::from_millis(3)),
            queue: None,
            connect: None,
            first_byte: Some(Duration::from_micros(1_500_250)),
            body: Some(Duration::from_millis(4)),
        }),
        ..full(&request)
    };
    let text = written(&Format::Json, &line);
    assert!(text.ends_with(
        "\"upstream_ms\":11.000,\"slow\":true,\"head_ms\":1.000,\"guard_ms\":2.000,\"cache_ms\":3.000,\
             \"first_byte_ms\":1500.250,\"body_ms\":4.000}\n"
    ));
}

#[test]
fn combined_is_what_nginx_writes() {
    let request = fields(&[
        ("Referer", b""),
        ("User-Agent", b"Mozilla \"5\\0\"\xc3\xa9\x7f\t"),
    ]);
    let cases = [
        (
            full(&request),
            concat!(
                r#"203.0.113.9 - - [20/Nov/2026:12:34:56 +0000] "GET /api/items?page=2 HTTP/1.1" 200 1234 "#,
                r#""" "Mozilla \x225\x5C0\x22\xC3\xA9\x7F\x09""#,
                "\n"
            ),
        ),
        (
            Line {
                request: &Fields::default(),
                ..full(&request)
            },
            "203.0.113.9 - - [20/Nov/2026:12:34:56 +0000] \"GET /api/items?page=2 HTTP/1.1\" 200 1234 \"-\" \"-\"\n",
        ),
        (
            Line {
                request: &Fields::default(),
                status: 0,
                ..bare(&request)
            },
            "unix: - - [20/Nov/2026:12:34:56 +0000] \"-\" 000 0 \"-\" \"-\"\n",
        ),
    ];
    for (line, expected) in cases {
        assert_eq!(written(&Format::Combined, &line), expected);
    }
}

#[test]
fn a_template_can_name_every_variable() {
    let request = fields(&[("Cookie", b"sid=a\"b"), ("X-One", b"1\n2")]);
    let response = fields(&[("content-type", b"text/plain")]);
    let line = Line {
        response: &response,
        ..full(&request)
    };
    for (text, expected) in [
        (
            "${client_ip} ${method} ${uri} ${status}",
            "203.0.113.9 GET /api/items?page=2 200",
        ),
        (
            "${scheme}://${host}:${port}${path}${query}",
            "https://example.com:443/api/items?page=2",
        ),
        (
            "${time} ${time_ms} [${time_local}]",
            "2026-11-20T12:34:56.123Z 1795178096123 [20/Nov/2026:12:34:56 +0000]",
        ),
        (
            "${bytes_sent} ${bytes_received} ${duration_ms} ${upstream_ms}",
            "1234 0 12.345 11.000",
        ),
        (
            "${route} ${upstream} ${server} ${tries} ${refusal}",
            "api app 10.0.0.1:8000 2 -",
        ),
        (
            "${protocol} ${request_id} ${cookie:sid} ${cookie:no}",
            r"HTTP/1.1 01HX a\x22b -",
        ),
        (
            "${header:X-One} ${response_header:Content-Type} ${response_header:etag}",
            r"1\x0A2 text/plain -",
        ),
    ] {
        assert_eq!(written(&template(text), &line), format!("{expected}\n"));
    }
}

#[test]
fn a_template_writes_a_dash_for_what_is_not_known() {
    let request = Fields::default();
    let all = "${client_ip} ${method} ${host} ${path} ${query} ${uri} ${protocol} ${route} ${upstream} ${server} ${upstream_ms} ${request_id}";
    assert_eq!(
        written(&template(all), &bare(&request)),
        "unix: - - -  - - - - - - -\n"
    );
}

#[test]
fn addresses_are_written_in_their_canonical_form() {
    let request = Fields::default();
    for (ip, text) in [
        (IpAddr::V4(Ipv4Addr::new(255, 0, 10, 100)), "255.0.10.100"),
        (IpAddr::V6(Ipv6Addr::LOCALHOST), "::1"),
        (
            IpAddr::V6(Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped()),
            "192.0.2.1",
        ),
    ] {
        let line = Line {
            client_ip: Some(ip),
            ..full(&request)
        };
        assert_eq!(written(&template("${client_ip}"), &line), format!("{text}\n"));
    }
}

/// What people have tried to break a log with.
const INJECTIONS: &[&[u8]] = &[
    b"\n127.0.0.1 - - [01/Jan/2026:00:00:00 +0000] \"GET /forged HTTP/1.1\" 200 0 \"-\" \"-\"",
    b"\r\n{\"status\":200,\"path\":\"/forged\"}",
    b"\",\"status\":200,\"x\":\"",
    b"\"}\n{\"status\":200",
    b"\\\",\"status\":200}",
    b"\\",
    b"\" 200 0 \"",
    b"\x1b]0;title\x07\x1b[2J\x1b[1;31mred",
    b"\x00\x08\x0b\x0c\x7f\x85",
    b"\xc2\x9b31m\xc2\x85",
    b"\xe2\x80\xa8\xe2\x80\xa9",
    b"\xff\xfe\xc0\xaf\xed\xa0\x80\xf5",
    b"${jndi:ldap://x} %s%n $(id)",
];

fn from_wire<'a>(text: &'a [u8], request: &'a Fields) -> Line<'a> {
    Line {
        method: text,
        host: text,
        path: text,
        query: Some(text),
        request_id: text,
        ..full(request)
    }
}

fn hostile(text: &[u8]) -> Fields {
    fields(&[("user-agent", text), ("referer", text), ("x-a", text)])
}

#[test]
fn nothing_from_the_wire_forges_a_line_or_a_value() {
    for text in INJECTIONS {
        let request = hostile(text);
        let line = from_wire(text, &request);
        let templated = template("\"${path}\" \"${header:x-a}\" ${method}");
        for format in [&Format::Json, &Format::Combined, &templated] {
            let out = written(format, &line);
            assert_eq!(out.matches('\n').count(), 1, "{out}");
            assert!(!out.trim_end_matches('\n').chars().any(char::is_control), "{out}");
        }
        let combined = written(&Format::Combined, &line);
        assert_eq!(combined.matches('"').count(), 6, "{combined}");
        let json: Value = serde_json::from_str(&written(&Format::Json, &line)).unwrap();
        assert_eq!(json["status"], 200);
        assert_eq!(json["path"], *String::from_utf8_lossy(text));
    }
}

proptest! {
    #[test]
    fn every_json_line_parses_and_says_what_was_sent(
        text: Vec<u8>, us: u64, sent: u64, status in 0u16..1000, ip: IpAddr,
    ) {
        let request = hostile(&text);
        let line = Line {
            duration: Duration::from_micros(us),
            bytes_sent: sent,
            status,
            client_ip: Some(ip),
            ..from_wire(&text, &request)
        };
        let out = written(&Format::Json, &line);
        prop_assert_eq!(out.matches('\n').count(), 1);
        let json: Value = serde_json::from_str(&out).unwrap();
        prop_assert_eq!(&json["user_agent"], &*String::from_utf8_lossy(&text));
        prop_assert_eq!(&json["query"], &*String::from_utf8_lossy(&text));
        prop_assert_eq!(json["bytes_sent"].as_u64(), Some(sent));
        prop_assert_eq!(json["status"].as_u64(), Some(u64::from(status)));
        let said: IpAddr = json["client_ip"].as_str().unwrap().parse().unwrap();
        prop_assert_eq!(said, ip.to_canonical());
    }
}

#[test]
fn response_fields_are_found_in_whichever_way_they_are_held() {
    let request = Fields::default();
    let reply = vec![("Content-Type", "text/html".to_owned())];
    let line = Line {
        response: &reply,
        ..full(&request)
    };
    let format = template("${response_header:content-type} ${response_header:etag}");
    assert_eq!(written(&format, &line), "text/html -\n");
    assert_eq!(written(&format, &full(&request)), "- -\n");
}
