use std::sync::Arc;

use harness::origin::reply;
use harness::{Gateway, Origin, Request, wait_until};
use rustls::ClientConfig;

use super::client::{Authority, Leaf, TlsClient};
use super::{authority_and_leaf, certificate, refused, tls_before, wait_refused};

fn shown_for(gw: &Gateway, client: &Arc<ClientConfig>, name: &str) -> Vec<u8> {
    TlsClient::open(gw.address(), client, name).shown().to_vec()
}

fn answering() -> Origin {
    Origin::new().otherwise(reply(200).body("hello"))
}

#[test]
fn the_name_a_client_asks_for_chooses_the_certificate() {
    let authority = Authority::new("Authority");
    let exact = authority.sign(&["www.b.test"]);
    let wild = authority.sign(&["*.b.test"]);
    let other = authority.sign(&["d.test", "else.test", "x.y.b.test", "127.0.0.1"]);
    let origin = answering();
    let gw = Gateway::start(&format!(
        "{}{}{}\n[[listeners]]\naddress = \"127.0.0.1:0\"\ncertificates = [\"wild\", \"exact\", \"other\"]\n\
         default_certificate = \"other\"\n{}",
        certificate("exact", &exact, "\"www.b.test\""),
        certificate("wild", &wild, "\"*.b.test\""),
        certificate("other", &other, "\"d.test\""),
        crate::all_to(&origin)
    ));

    let client = Arc::new(authority.client());
    let rows: [(&str, &Leaf); 7] = [
        ("www.b.test", &exact),
        ("WWW.B.test", &exact),
        ("any.b.test", &wild),
        ("d.test", &other),
        ("else.test", &other),
        ("x.y.b.test", &other),
        // No name at all: RFC 6066 §3 has none for addresses.
        ("127.0.0.1", &other),
    ];
    for (name, leaf) in rows {
        assert!(shown_for(&gw, &client, name) == leaf.der.to_vec(), "for {name}");
    }
    TlsClient::open(gw.address(), &client, "any.b.test")
        .get("/")
        .expect(200);
}

#[test]
fn an_origin_is_told_that_the_client_came_by_https() {
    let (authority, leaf) = authority_and_leaf();
    let origin = answering();
    let gw = Gateway::start(&tls_before(&origin, &leaf, ""));

    let mut client = TlsClient::open(gw.address(), &Arc::new(authority.client()), "a.test");
    let request = Request::get("/one").header("X-Forwarded-Proto", "http");
    assert_eq!(client.ask(&request).expect(200).body, "hello");
    assert_eq!(client.get("/two").expect(200).body, "hello");
    for path in ["/one", "/two"] {
        let seen = origin.only(path);
        assert_eq!(seen.value("x-forwarded-proto"), Some("https"));
        assert_eq!(seen.value("x-forwarded-for"), Some("127.0.0.1"));
    }
}

#[test]
fn a_client_that_speaks_plainly_to_tls_is_told_so() {
    let (_authority, leaf) = authority_and_leaf();
    let origin = answering();
    let gw = Gateway::start(&tls_before(&origin, &leaf, ""));

    let mut client = gw.connect();
    client.send(Request::get("/").bytes());
    let answer = String::from_utf8(client.rest().expect("the connection ends")).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 400 "), "{answer}");
    let head = head.to_ascii_lowercase();
    assert!(head.contains("\r\ncontent-type: text/plain"), "{answer}");
    assert!(head.contains("\r\nconnection: close"), "{answer}");
    let length = format!("\r\ncontent-length: {}", body.len());
    assert!(head.contains(&length), "{} bytes have come: {answer}", body.len());
    assert_eq!(origin.total(), 0);
    wait_refused(&gw, "handshake_failed", 1);
}

#[test]
fn what_is_neither_tls_nor_http_is_closed_without_a_word() {
    let (_authority, leaf) = authority_and_leaf();
    let origin = answering();
    let gw = Gateway::start(&tls_before(&origin, &leaf, ""));

    let mut client = gw.connect();
    client.send(b"\0\x01\x02 nothing known");
    let words = client.rest().expect("the connection ends");
    assert!(!words.starts_with(b"HTTP"), "{words:?}");
    wait_refused(&gw, "handshake_failed", 1);
}

#[test]
fn whoever_agrees_to_http_2_and_says_nothing_is_let_go_and_counted() {
    let (authority, leaf) = authority_and_leaf();
    let origin = answering();
    let limits = "[server.limits]\nheader_timeout = \"1s\"\n";
    let gw = Gateway::start(&format!("{limits}{}", tls_before(&origin, &leaf, "")));

    let mut config = authority.client();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let _silent = TlsClient::open(gw.address(), &Arc::new(config), "a.test");
    wait_refused(&gw, "http2_stalled", 1);
    TlsClient::open(gw.address(), &Arc::new(authority.client()), "a.test")
        .get("/")
        .expect(200);
}

#[test]
fn a_replaced_certificate_is_shown_at_the_next_handshake_and_no_connection_notices() {
    let (authority, leaf) = authority_and_leaf();
    let next = authority.sign(&["a.test"]);
    let origin = answering();
    let gw = Gateway::start(&tls_before(&origin, &leaf, ""));
    let client = Arc::new(authority.forgetful_client());

    let mut open = TlsClient::open(gw.address(), &client, "a.test");
    open.get("/").expect(200);
    assert_eq!(open.shown(), leaf.der);
    leaf.become_as(&next);
    wait_until("the next certificate is shown", || {
        shown_for(&gw, &client, "a.test") == next.der.to_vec()
    });
    open.get("/").expect(200);
    assert_eq!(gw.status()["config"]["last_reload"]["ok"], true);
    let mut after = TlsClient::open(gw.address(), &client, "a.test");
    after.get("/").expect(200);
    assert_eq!(origin.total(), 3);
    assert_eq!(refused(&gw, "handshake_failed"), 0.0);
}

#[test]
fn a_broken_certificate_leaves_the_old_one_and_the_status_says_so() {
    let (authority, leaf) = authority_and_leaf();
    let next = authority.sign(&["a.test"]);
    let origin = answering();
    let gw = Gateway::start(&tls_before(&origin, &leaf, ""));
    let client = Arc::new(authority.forgetful_client());
    let last_reload = || gw.status()["config"]["last_reload"].clone();

    let mut open = TlsClient::open(gw.address(), &client, "a.test");
    open.get("/").expect(200);
    leaf.break_certificate();
    wait_until("the broken file is reported", || last_reload()["ok"] == false);
    let problems = last_reload()["problems"].to_string();
    assert!(problems.contains("leaf.crt"), "{problems}");
    assert!(shown_for(&gw, &client, "a.test") == leaf.der.to_vec());
    open.get("/").expect(200);

    leaf.become_as(&next);
    wait_until("the repaired file is in use", || {
        shown_for(&gw, &client, "a.test") == next.der.to_vec()
    });
    wait_until("nothing is wrong any more", || last_reload()["ok"] == true);
    open.get("/").expect(200);
}

#[test]
fn a_version_older_than_allowed_is_refused() {
    let (authority, leaf) = authority_and_leaf();
    let origin = answering();
    let gw = Gateway::start(&tls_before(&origin, &leaf, "min_version = \"1.3\""));

    let old = Arc::new(authority.client_of(&[&rustls::version::TLS12], None));
    assert!(TlsClient::try_open(gw.address(), &old, "a.test", b"").is_err());
    wait_refused(&gw, "handshake_failed", 1);
    let new = Arc::new(authority.client_of(&[&rustls::version::TLS13], None));
    TlsClient::open(gw.address(), &new, "a.test").get("/").expect(200);
    assert_eq!(origin.total(), 1);
}
