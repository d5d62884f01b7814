//! What servers of an upstream are greeted with.

use super::*;
use crate::config::plan::{Address, UpstreamTls, Verify};

fn plan(verify: Verify, sni: Option<&str>, client: Option<Arc<Identity>>) -> UpstreamTls {
    UpstreamTls {
        sni: sni.map(str::to_owned),
        verify,
        client: client.map(|identity| ClientCertificate {
            cert_file: PathBuf::from("a.crt"),
            key_file: PathBuf::from("a.key"),
            identity,
        }),
    }
}

fn by(authority: &Authority) -> Verify {
    Verify::Authorities {
        file: PathBuf::from("ca.pem"),
        authorities: authority.authorities(),
    }
}

/// The handshake with the server at an address that shows a certificate of an authority.
fn meet(tls: &UpstreamTls, address: &str, server: &Arc<ServerSide>) -> Result<Pair, Error> {
    let side = ClientSide::new(tls, &SystemAuthorities::load());
    let name = side.name(&Address::parse(address).unwrap()).unwrap();
    Pair::with(
        ClientConnection::new(side.config(), name).unwrap(),
        server.config(),
    )
}

#[test]
fn a_server_must_be_certified_for_its_name_by_whom_the_plan_believes() {
    let (authority, stranger) = (Authority::new("test"), Authority::new("stranger"));
    let certificate = authority.certificate(&["app.internal"]);
    let server = ServerSide::new(&listener_tls(1), &[certificate], &[], &resumption(), now());
    let is_met = |verify: Verify, sni: Option<&str>, address: &str| {
        meet(&plan(verify, sni, None), address, &server).is_ok()
    };
    assert!(is_met(by(&authority), None, "app.internal:443"));
    assert!(is_met(by(&authority), Some("app.internal"), "10.0.0.1:443"));
    assert!(!is_met(by(&authority), None, "10.0.0.1:443"));
    assert!(!is_met(by(&authority), None, "[::1]:443"));
    assert!(!is_met(
        by(&authority),
        Some("other.internal"),
        "app.internal:443"
    ));
    assert!(!is_met(by(&stranger), None, "app.internal:443"));
    assert!(!is_met(Verify::System, None, "app.internal:443"));
    assert!(is_met(Verify::Nothing, None, "10.0.0.1:443"));
    assert!(is_met(Verify::Nothing, Some("whatever"), "other.internal:443"));
}

#[test]
fn an_address_is_verified_as_such() {
    let authority = Authority::new("test");
    let certificate = Certificate {
        source: of_files(authority.sign(&["10.0.0.1", "::1"], "server"), None),
        ..Certificate::clone(&authority.certificate(&["app.internal"]))
    };
    let server = ServerSide::new(
        &listener_tls(1),
        &[Arc::new(certificate)],
        &[],
        &resumption(),
        now(),
    );
    for (address, is_met) in [
        ("10.0.0.1:443", true),
        ("[::1]:443", true),
        ("10.0.0.2:443", false),
    ] {
        let met = meet(&plan(by(&authority), None, None), address, &server);
        assert_eq!(met.is_ok(), is_met, "{address}");
    }
}

#[test]
fn a_server_that_asks_who_we_are_is_told_and_speaks_http_1() {
    let authority = Authority::new("test");
    let certificate = authority.certificate(&["app.internal"]);
    let tls = ListenerTls {
        client_auth: Some(authority.auth(true)),
        ..listener_tls(1)
    };
    let server = ServerSide::new(&tls, &[certificate], &[], &resumption(), now());
    assert!(meet(&plan(by(&authority), None, None), "app.internal:443", &server).is_err());
    let gateway = authority.sign(&["gateway.internal"], "gateway");
    let pair = meet(
        &plan(by(&authority), None, Some(gateway)),
        "app.internal:443",
        &server,
    )
    .unwrap();
    let visitor = server
        .visitor(pair.server.peer_certificates().unwrap(), now())
        .unwrap();
    assert_eq!(&*visitor.unwrap().subject, "CN=gateway");
    assert_eq!(pair.client.alpn_protocol(), Some(&b"http/1.1"[..]));
}

#[test]
fn the_second_connection_goes_on_with_the_session_of_the_first() {
    let authority = Authority::new("test");
    let server = ServerSide::new(
        &listener_tls(1),
        &[authority.certificate(&["app.internal"])],
        &[],
        &resumption(),
        now(),
    );
    let side = ClientSide::new(&plan(by(&authority), None, None), &SystemAuthorities::load());
    let name = side.name(&Address::parse("app.internal:443").unwrap()).unwrap();
    let resumed = [(); 2].map(|()| {
        let client = ClientConnection::new(side.config(), name.clone()).unwrap();
        Pair::with(client, server.config()).unwrap().is_resumed()
    });
    assert_eq!(resumed, [false, true]);
}

#[test]
fn a_socket_of_the_file_system_has_no_name_of_its_own() {
    let address = Address::parse("unix:/run/app.sock").unwrap();
    let name =
        |sni| ClientSide::new(&plan(Verify::Nothing, sni, None), &SystemAuthorities::load()).name(&address);
    assert!(name(None).is_none());
    assert_eq!(name(Some("app.internal")).unwrap().to_str(), "app.internal");
}
