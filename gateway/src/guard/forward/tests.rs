use super::*;
use crate::kit::clock::{Mono, Now};
use crate::wire::{HeadLimits, Request};
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

const LIMITS: HeadLimits = HeadLimits {
    bytes_max: 65_536,
    fields_max: 100,
    target_bytes_max: 8192,
    leading_lines_max: 0,
};

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

fn policy(request_headers: &[&str], copy_headers: &[&str]) -> Forward {
    let owned = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
    Forward {
        url: "http://auth/verify".to_owned(),
        timeout: Duration::from_secs(1),
        request_headers: owned(request_headers),
        copy_headers: owned(copy_headers),
    }
}

/// The question as lines, sorted.
fn asked(head: &str, is_peer_trusted: bool, policy: &Forward) -> Vec<String> {
    let mut request = Request::default();
    request.parse(head.as_bytes(), LIMITS).unwrap();
    let facts = Facts {
        told_names: &[],
        told: &[],
        guard_lines: b"",
        request: &request,
        client_ip: Some(CLIENT),
        peer_ip: Some(if is_peer_trusted { PROXY } else { CLIENT }),
        is_peer_trusted,
        scheme: "https",
        port: 443,
        request_id: "id-1",
        route: "r",
        began: Now {
            mono: Mono(0),
            wall: Duration::ZERO,
        },
    };
    let line = |f: Field<'_>| {
        format!(
            "{}: {}",
            String::from_utf8_lossy(f.name),
            String::from_utf8_lossy(f.value)
        )
    };
    let mut lines: Vec<_> = question(&facts, policy).iter().map(line).collect();
    lines.sort();
    lines
}

fn answer(status: u16, lines: &[(&str, &[u8])]) -> Result<Answer, OutboundFault> {
    let mut headers = Fields::default();
    for (name, value) in lines {
        headers.push(name.as_bytes(), value);
    }
    Ok(Answer {
        status,
        headers,
        body: Bytes::from_static(b"no"),
    })
}

const HEAD: &str = "POST /a/../b?x=1 HTTP/1.1\r\nHost: Example.com:8443\r\nAuthorization: Bearer t\r\nCookie: s=1\r\n\
    Content-Type: text/plain\r\nContent-Length: 3\r\nContent_Length: 3\r\nConnection: x-hop\r\nX-Hop: 1\r\nTE: trailers\r\n\
    X-Forwarded-For: 203.0.113.9\r\nX_Forwarded_For: 6.6.6.6\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: other\r\n\
    X-Forwarded-Method: GET\r\nX-Forwarded-Uri: /public\r\nX-Real-IP: 6.6.6.6\r\nX-Request-ID: mine\r\nForwarded: for=6.6.6.6\r\n\
    If-None-Match: \"a\"\r\nRange: bytes=0-1\r\nExpect: 100-continue\r\nProxy: http://evil\r\n\r\n";

#[test]
fn it_is_shown_who_asks_for_what_and_nothing_that_only_the_client_says() {
    let expected = [
        "Authorization: Bearer t",
        "Cookie: s=1",
        "X-Forwarded-For: 192.0.2.7",
        "X-Forwarded-Host: Example.com:8443",
        "X-Forwarded-Method: POST",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Uri: /b?x=1",
        "X-Real-IP: 192.0.2.7",
        "X-Request-ID: id-1",
    ];
    assert_eq!(asked(HEAD, false, &policy(&[], &[])), expected);
}

#[test]
fn a_trusted_proxy_is_believed_about_the_client_but_not_about_what_is_asked_for() {
    let lines = asked(HEAD, true, &policy(&["cookie"], &[]));
    let expected = [
        "Cookie: s=1",
        "X-Forwarded-For: 203.0.113.9, 10.0.0.1",
        "X-Forwarded-Host: other",
        "X-Forwarded-Method: POST",
        "X-Forwarded-Proto: http",
        "X-Forwarded-Uri: /b?x=1",
        "X-Real-IP: 192.0.2.7",
        "X-Request-ID: id-1",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_policy_names_what_is_shown_and_cannot_name_what_would_break_the_question() {
    let all = [
        "content-type",
        "content-length",
        "expect",
        "x-hop",
        "connection",
        "if-none-match",
        "x-forwarded-uri",
        "host",
    ];
    let lines = asked(HEAD, false, &policy(&all, &[]));
    assert!(lines.contains(&"Content-Type: text/plain".to_owned()));
    let own: Vec<_> = lines.iter().filter(|l| !l.starts_with("X-")).collect();
    assert_eq!(own.len(), 1, "{own:?}");
    assert!(lines.contains(&"X-Forwarded-Uri: /b?x=1".to_owned()));
}

#[test]
fn success_takes_the_named_fields_over() {
    let policy = policy(
        &[],
        &[
            "X-User-Id",
            "X-Groups",
            "Connection",
            "Content-Length",
            "X-Absent",
        ],
    );
    let lines: &[(&str, &[u8])] = &[
        ("x-user-id", b"7"),
        ("x-groups", b"a"),
        ("X-Groups", "b, ü".as_bytes()),
        ("x-other", b"no"),
        ("connection", b"close"),
        ("content-length", b"2"),
    ];
    for status in [200, 204, 299] {
        let Verdict::Pass { copied } = verdict(answer(status, lines), &policy) else {
            panic!("{status} lets pass");
        };
        let pairs: Vec<_> = copied.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(
            pairs,
            [("X-User-Id", "7"), ("X-Groups", "a"), ("X-Groups", "b, ü")]
        );
    }
}

#[test]
fn fields_that_cannot_go_on_let_nobody_pass() {
    let policy = policy(&[], &["X-User-Id"]);
    let long = vec![b'a'; COPIED_BYTES_MAX];
    for (value, expected) in [
        (&b"J\xfcrgen"[..], ForwardFault::Value("X-User-Id".to_owned())),
        (b"a\r\nX-Admin: 1", ForwardFault::Value("X-User-Id".to_owned())),
        (&long, ForwardFault::TooMuch),
    ] {
        match verdict(answer(200, &[("x-user-id", value)]), &policy) {
            Verdict::Broken(fault) => assert_eq!(fault, expected),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_refusal_goes_to_the_client_without_what_is_about_the_connection() {
    let lines: &[(&str, &[u8])] = &[
        ("WWW-Authenticate", b"Basic realm=\"x\""),
        ("Location", b"/login"),
        ("Set-Cookie", b"a=1"),
        ("Set-Cookie", b"b=2"),
        ("Connection", b"keep-alive, x-hop"),
        ("X-Hop", b"1"),
        ("Content-Length", b"2"),
        ("Content-Type", b"text/html"),
        ("Proxy-Authenticate", b"Basic"),
    ];
    for status in [302, 303, 307, 400, 401, 403, 404, 429] {
        let Verdict::Refuse(refusal) = verdict(answer(status, lines), &policy(&[], &[])) else {
            panic!("{status} is relayed");
        };
        let names: Vec<_> = refusal
            .fields
            .iter()
            .map(|f| String::from_utf8_lossy(f.name).into_owned())
            .collect();
        assert_eq!(
            names,
            [
                "WWW-Authenticate",
                "Location",
                "Set-Cookie",
                "Set-Cookie",
                "Content-Type",
                "Cache-Control"
            ]
        );
        assert_eq!((refusal.status, &refusal.body[..]), (status, &b"no"[..]));
        assert_eq!(refusal.fields.first(Name::CacheControl), Some(&b"no-store"[..]));
    }
}

#[test]
fn what_a_refusal_says_about_being_kept_stands() {
    let Verdict::Refuse(refusal) =
        verdict(answer(403, &[("cache-control", b"max-age=5")]), &policy(&[], &[]))
    else {
        panic!("it is relayed");
    };
    let values: Vec<_> = refusal.fields.values(Name::CacheControl).collect();
    assert_eq!(values, [b"max-age=5"]);
}

#[test]
fn whatever_is_no_verdict_lets_nobody_pass() {
    for status in [100, 101, 199, 304, 407, 408, 500, 502, 503, 599, 600, 999] {
        match verdict(answer(status, &[]), &policy(&[], &[])) {
            Verdict::Broken(fault) => assert_eq!(fault, ForwardFault::Status(status)),
            other => panic!("{status}: {other:?}"),
        }
    }
    let fault = OutboundFault::Deadline(Duration::from_secs(1));
    match verdict(Err(fault.clone()), &policy(&[], &[])) {
        Verdict::Broken(found) => assert_eq!(found, ForwardFault::NoAnswer(fault)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_clients_own_spelling_of_a_copied_field_is_recognised() {
    let policy = policy(&[], &["X-User-Id"]);
    for name in ["X-User-Id", "x_user_id", "X.USER.ID"] {
        assert!(is_copied(name.as_bytes(), &policy), "{name}");
    }
    assert!(!is_copied(b"X-User", &policy));
}

proptest! {
    #[test]
    fn only_success_lets_pass(status in 0u16..1000, value: Vec<u8>) {
        let verdict = verdict(answer(status, &[("x-user-id", &value)]), &policy(&[], &["X-User-Id"]));
        if let Verdict::Pass { copied } = &verdict {
            prop_assert!((200..300).contains(&status));
            prop_assert!(copied.iter().all(|(_, v)| syntax::is_value(v.as_bytes()) && v.as_bytes() == value));
        }
        if let Verdict::Refuse(refusal) = &verdict {
            prop_assert!(refusal.fields.iter().all(|f| syntax::is_value(f.value)));
        }
    }

    #[test]
    fn no_client_says_what_the_gateway_says(name in "[xX][-_.][fF]orwarded[-_.](for|uri|method|host|proto|port)", trusted: bool) {
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{name}: evil\r\n\r\n");
        let is_known = ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"].contains(&name.to_lowercase().as_str());
        let lines = asked(&head, trusted, &policy(&[], &[]));
        prop_assert!(trusted && is_known || !lines.iter().any(|l| l.contains("evil")), "{lines:?}");
    }
}
