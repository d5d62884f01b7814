use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use harness::origin::reply;
use harness::{Connection, Gateway, Origin, Request, wait_until};

use super::client::TlsClient;
use super::{authority_and_leaf, certificate, refused, wait_refused};

const TRUSTED: &str = "[server]\nthreads = 2\ndrain_timeout = \"5s\"\ntrusted_proxies = [\"127.0.0.1/32\"]\n";
const V1: &[u8] = b"PROXY TCP4 203.0.113.7 198.51.100.1 4711 443\r\n";
const V1_IPV6: &[u8] = b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 443\r\n";

/// Version 2 for a client of IPv4.
fn v2(client: [u8; 4]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    header.extend(client);
    header.extend([198, 51, 100, 1, 0x12, 0x67, 1, 0xbb]);
    header
}

/// Everything goes to this origin, and clients are introduced.
fn introduced(origin: &Origin) -> String {
    format!(
        "{TRUSTED}\n[[listeners]]\naddress = \"127.0.0.1:0\"\nproxy_protocol = true\n{}",
        crate::all_to(origin)
    )
}

fn answering() -> Origin {
    Origin::new().otherwise(reply(200))
}

#[test]
fn a_client_is_whom_the_header_names() {
    let origin = answering();
    let gw = Gateway::start(&introduced(&origin));

    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
    let rows: [(&[u8], &str); 5] = [
        (V1, "203.0.113.7"),
        (V1_IPV6, "2001:db8::7"),
        (&v2([203, 0, 113, 8]), "203.0.113.8"),
        (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
        (local, "127.0.0.1"),
    ];
    for (n, (header, client)) in rows.into_iter().enumerate() {
        let mut connection = gw.connect();
        let paths = [format!("/{n}/first"), format!("/{n}/second")];
        connection.send([header, &Request::get(&paths[0]).bytes()].concat());
        connection.response().expect(200);
        connection.ask(&Request::get(&paths[1])).expect(200);
        for path in paths {
            let seen = origin.only(&path);
            assert_eq!(seen.value("x-real-ip"), Some(client), "{path}");
            assert_eq!(seen.value("x-forwarded-for"), Some(client), "{path}");
        }
    }
    assert_eq!(refused(&gw, "proxy_header"), 0.0);
}

#[test]
fn a_client_that_is_introduced_is_not_believed_what_it_says_of_others() {
    let origin = answering();
    let gw = Gateway::start(&introduced(&origin));

    let request = Request::get("/").header("X-Forwarded-For", "9.9.9.9");
    gw.connect().send(V1).ask(&request).expect(200);
    let seen = origin.only("/");
    assert_eq!(seen.value("x-real-ip"), Some("203.0.113.7"));
    assert_eq!(seen.value("x-forwarded-for"), Some("203.0.113.7"));
}

#[test]
fn a_header_may_come_in_pieces() {
    let origin = answering();
    let gw = Gateway::start(&introduced(&origin));

    for header in [V1.to_vec(), v2([203, 0, 113, 7])] {
        for cut in [1, 5, 13, header.len() - 1] {
            let mut connection = gw.connect();
            connection.send(&header[..cut]);
            std::thread::yield_now();
            connection.send(&header[cut..]);
            connection.ask(&Request::get("/")).expect(200);
        }
        let mut bytewise = gw.connect();
        bytewise.send_bytewise(&header);
        bytewise.ask(&Request::get("/")).expect(200);
    }
    let seen = origin.requests("/");
    assert_eq!(seen.len(), 10);
    assert!(seen.iter().all(|s| s.value("x-real-ip") == Some("203.0.113.7")));
}

#[test]
fn a_rate_is_counted_for_the_client_that_was_introduced() {
    let origin = answering();
    let gw = Gateway::start_with_manual_clock(&format!(
        "{}\nrate_limits = [\"few\"]\n[rate_limits.few]\nrate = \"1/h\"\nburst = 1\n",
        introduced(&origin)
    ));

    let ask = |client: u8| {
        let mut connection = gw.connect();
        connection.send(v2([203, 0, 113, client]));
        connection.ask(&Request::get("/")).status
    };
    assert_eq!(
        [ask(1), ask(1), ask(2), ask(2), ask(3)],
        [200, 429, 200, 429, 200]
    );
}

#[test]
fn connections_are_counted_for_the_client_that_was_introduced() {
    let origin = answering();
    let gw = Gateway::start(&format!(
        "{}\n[server.limits]\nconnections_per_ip = 1\n",
        introduced(&origin)
    ));

    let open = |client: u8| {
        let mut connection = gw.connect();
        connection.send([v2([203, 0, 113, client]), Request::get("/").bytes()].concat());
        connection
    };
    let mut first = open(1);
    first.response().expect(200);
    let mut other = open(2);
    other.response().expect(200);
    let mut second = open(1);
    let rest = second.rest().expect("it is closed");
    assert!(!rest.starts_with(b"HTTP/1.1 200"));
    wait_refused(&gw, "connections_per_ip", 1);
    assert_eq!(origin.total(), 2);
}

#[test]
fn a_header_of_someone_who_is_not_trusted_closes_the_connection() {
    let origin = answering();
    let gw = Gateway::start(&introduced(&origin));

    let from = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
    let mut connection = Connection::open_from(from, gw.address());
    let _may_be_closed = connection.try_send([V1, &Request::get("/").bytes()].concat());
    connection.expect_closed();
    wait_refused(&gw, "proxy_header", 1);
    assert_eq!(origin.total(), 0);
}

#[test]
fn what_is_no_header_closes_the_connection_and_is_counted() {
    let origin = answering();
    let gw = Gateway::start(&introduced(&origin));

    let get = Request::get("/").bytes();
    let rows: [&[u8]; 6] = [
        &get,
        b"PROXY TCP4 203.0.113.7 nowhere 1 2\r\n",
        b"PROXY TCP4 203.0.113.7 198.51.100.1 4711 443\n",
        b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff",
        &[b'P'; 200],
    ];
    for (n, garbage) in (1..).zip(rows) {
        let mut connection = gw.connect();
        let _may_be_closed = connection.try_send([garbage, &get].concat());
        connection.expect_closed();
        wait_refused(&gw, "proxy_header", n);
    }
    // Half of one, and gone.
    gw.connect().send(&V1[..20]).finish();
    wait_refused(&gw, "proxy_header", 7);
    assert_eq!(origin.total(), 0);
    wait_until("no connection is left", || {
        gw.status()["listeners"][0]["connections"] == 0
    });
}

#[test]
fn a_handshake_may_follow_a_header() {
    let (authority, leaf) = authority_and_leaf();
    let origin = answering();
    let gw = Gateway::start(&format!(
        "{TRUSTED}{}\n[[listeners]]\naddress = \"127.0.0.1:0\"\nproxy_protocol = true\ncertificates = [\"a\"]\n{}",
        certificate("a", &leaf, "\"a.test\""),
        crate::all_to(&origin)
    ));
    let client = Arc::new(authority.client());

    for (path, header) in [("/1", V1.to_vec()), ("/2", v2([203, 0, 113, 7]))] {
        let connection = TlsClient::try_open(gw.address(), &client, "a.test", &header);
        connection.unwrap().get(path).expect(200);
        let seen = origin.only(path);
        assert_eq!(seen.value("x-real-ip"), Some("203.0.113.7"));
        assert_eq!(seen.value("x-forwarded-proto"), Some("https"));
    }
    assert!(TlsClient::try_open(gw.address(), &client, "a.test", b"").is_err());
    wait_refused(&gw, "proxy_header", 1);
    assert_eq!(origin.total(), 2);
}

#[test]
fn a_balancer_is_no_client_whose_connections_are_counted() {
    let origin = answering();
    let gw = Gateway::start(&format!(
        "{}\n[server.limits]\nconnections_per_ip = 1\n",
        introduced(&origin)
    ));

    // They wait for their headers, one after the other from the same balancer.
    let mut waiting = gw.connect();
    waiting.send(&V1[..5]);
    let mut other = gw.connect();
    other.send(v2([203, 0, 113, 8]));
    other.ask(&Request::get("/")).expect(200);
    waiting.send(&V1[5..]);
    waiting.ask(&Request::get("/")).expect(200);
}

#[test]
fn a_balancer_of_ipv4_is_trusted_at_a_socket_of_both_families() {
    let origin = answering();
    let both = introduced(&origin).replace("address = \"127.0.0.1:0\"\nproxy", "address = \"[::]:0\"\nproxy");
    let gw = Gateway::start(&both);

    let address = (Ipv4Addr::LOCALHOST, gw.address().port()).into();
    let mut connection = Connection::open(address);
    connection.send(V1);
    connection.ask(&Request::get("/")).expect(200);
    assert_eq!(origin.only("/").value("x-real-ip"), Some("203.0.113.7"));
}
