use std::sync::Arc;

use harness::origin::reply;
use harness::{Gateway, Origin, wait_until};
use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};

use super::client::TlsClient;
use super::{authority_and_leaf, certificate, tls_before};

const FOUR_WORKERS: &str = "[server]\nthreads = 4\ndrain_timeout = \"5s\"\n";

fn comes_back(version: &'static SupportedProtocolVersion) {
    let (authority, leaf) = authority_and_leaf();
    let origin = Origin::new().otherwise(reply(200));
    let config = format!("{FOUR_WORKERS}{}", tls_before(&origin, &leaf, ""));
    let gw = Gateway::start(&config);
    let client = Arc::new(authority.client_of(&[version], None));
    let comes_back = || {
        let mut connection = TlsClient::open(gw.address(), &client, "a.test");
        connection.get("/").expect(200);
        connection.is_resumed()
    };

    assert!(!comes_back(), "nobody knows it yet");
    let resumed = (0..40).filter(|_| comes_back()).count();
    assert_eq!(resumed, 40, "each worker knows it");
    gw.reload(&format!("{config}\n[server.limits]\nhandshakes = 77\n"))
        .expect("it is a good configuration");
    let resumed = (0..40).filter(|_| comes_back()).count();
    assert_eq!(resumed, 40, "after a reload too");
    assert_eq!(origin.total(), 81);
}

#[test]
fn a_client_of_tls_1_3_resumes_at_every_worker() {
    comes_back(&TLS13);
}

#[test]
fn a_client_of_tls_1_2_resumes_at_every_worker() {
    comes_back(&TLS12);
}

/// Two listeners, the second of which demands certificates: a session of the first is worth nothing there.
fn no_way_in(version: &'static SupportedProtocolVersion) {
    let (authority, leaf) = authority_and_leaf();
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&format!(
        "{}\n[[listeners]]\naddress = \"127.0.0.1:0\"\ncertificates = [\"a\"]\n\
         [[listeners]]\naddress = \"127.0.0.1:0\"\ncertificates = [\"a\"]\nclient_ca_file = {:?}\n{}",
        certificate("a", &leaf, "\"a.test\""),
        authority.file(),
        crate::all_to(&origin)
    ));
    let [open, closed] = gw.addresses()[..] else {
        panic!("two listeners")
    };
    let client = Arc::new(authority.client_of(&[version], None));

    for _ in 0..4 {
        TlsClient::open(open, &client, "a.test").get("/").expect(200);
        let came_in = TlsClient::try_open(closed, &client, "a.test", b"")
            .is_ok_and(|mut connection| connection.try_ask(&harness::Request::get("/in")).is_ok());
        assert!(!came_in);
    }
    assert_eq!(origin.seen("/in"), 0);
}

#[test]
fn a_session_of_tls_1_3_opens_no_listener_that_demands_certificates() {
    no_way_in(&TLS13);
}

#[test]
fn a_session_of_tls_1_2_opens_no_listener_that_demands_certificates() {
    no_way_in(&TLS12);
}

/// A listener that begins to demand certificates, or those of another authority, has no old friends.
fn no_old_friends(version: &'static SupportedProtocolVersion) {
    let (authority, leaf) = authority_and_leaf();
    let others = super::Authority::new("Others");
    let origin = Origin::new().otherwise(reply(200));
    let demands = |file: &str| tls_before(&origin, &leaf, &format!("client_ca_file = {file:?}"));
    let gw = Gateway::start(&tls_before(&origin, &leaf, ""));
    let comes_in = |client: &Arc<rustls::ClientConfig>, path: &str| {
        TlsClient::try_open(gw.address(), client, "a.test", b"")
            .is_ok_and(|mut connection| connection.try_ask(&harness::Request::get(path)).is_ok())
    };

    let nobody = Arc::new(authority.client_of(&[version], None));
    assert!(comes_in(&nobody, "/"));
    gw.reload(&demands(&authority.file()))
        .expect("it is a good configuration");
    assert!(!comes_in(&nobody, "/in"), "it has never shown a certificate");

    let friend = Arc::new(authority.client_of(&[version], Some(&authority.sign(&["friend"]))));
    assert!(comes_in(&friend, "/"));
    gw.reload(&demands(&others.file()))
        .expect("it is a good configuration");
    assert!(
        !comes_in(&friend, "/in"),
        "its authority is not believed any more"
    );
    assert_eq!(origin.seen("/in"), 0);
    let new = Arc::new(authority.client_of(&[version], Some(&others.sign(&["new"]))));
    wait_until("the other authority's are let in", || comes_in(&new, "/"));
}

#[test]
fn a_session_of_tls_1_3_does_not_outlive_what_it_was_opened_by() {
    no_old_friends(&TLS13);
}

#[test]
fn a_session_of_tls_1_2_does_not_outlive_what_it_was_opened_by() {
    no_old_friends(&TLS12);
}
