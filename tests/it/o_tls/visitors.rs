use std::sync::Arc;

use harness::origin::reply;
use harness::{Gateway, Origin, Request};
use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};

use super::client::{Authority, Leaf, TlsClient};
use super::{authority_and_leaf, tls_before, wait_refused};

/// Whether a request gets through, for a client with this certificate.
fn gets_in(
    gw: &Gateway,
    authority: &Authority,
    version: &'static SupportedProtocolVersion,
    shows: Option<&Leaf>,
) -> bool {
    let client = Arc::new(authority.client_of(&[version], shows));
    // In TLS 1.3 a client's side of a handshake ends before the server has seen its certificate.
    TlsClient::try_open(gw.address(), &client, "a.test", b"").is_ok_and(|mut connection| {
        connection
            .try_ask(&Request::get("/"))
            .is_ok_and(|a| a.status == 200)
    })
}

#[test]
fn a_listener_that_demands_certificates_serves_only_who_has_a_good_one() {
    let (authority, leaf) = authority_and_leaf();
    let (friends, strangers) = (Authority::new("Friends"), Authority::new("Strangers"));
    let (friend, stranger) = (friends.sign(&["friend"]), strangers.sign(&["stranger"]));
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&tls_before(
        &origin,
        &leaf,
        &format!("client_ca_file = {:?}", friends.file()),
    ));

    let mut refused = 0;
    for version in [&TLS12, &TLS13] {
        assert!(gets_in(&gw, &authority, version, Some(&friend)));
        assert!(!gets_in(&gw, &authority, version, None));
        assert!(!gets_in(&gw, &authority, version, Some(&stranger)));
        refused += 2;
        wait_refused(&gw, "handshake_failed", refused);
    }
    assert_eq!(origin.total(), 2);
}

#[test]
fn where_certificates_are_optional_none_is_let_in_and_a_bad_one_is_not() {
    let (authority, leaf) = authority_and_leaf();
    let (friends, strangers) = (Authority::new("Friends"), Authority::new("Strangers"));
    let (friend, stranger) = (friends.sign(&["friend"]), strangers.sign(&["stranger"]));
    let origin = Origin::new().otherwise(reply(200));
    let lines = format!(
        "client_ca_file = {:?}\nclient_auth = \"optional\"",
        friends.file()
    );
    let gw = Gateway::start(&tls_before(&origin, &leaf, &lines));

    for version in [&TLS12, &TLS13] {
        assert!(gets_in(&gw, &authority, version, Some(&friend)));
        assert!(gets_in(&gw, &authority, version, None));
        assert!(!gets_in(&gw, &authority, version, Some(&stranger)));
    }
    assert_eq!(origin.total(), 4);
    let question = Request::post("/explain", r#"{ "url": "https://a.test/" }"#);
    let explained = gw.ask_admin(&question).text();
    assert!(
        explained.contains("the TLS handshake is taken to go well"),
        "{explained}"
    );
}
