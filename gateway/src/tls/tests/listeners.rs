//! What a listener shows and asks for.

use proptest::collection::btree_set;
use proptest::prelude::*;
use rustls::sign::CertifiedKey;

use super::*;
use crate::secrets::Staple;
use crate::tls::names::{ByName, Entry};

#[test]
fn the_name_a_client_asks_for_takes_the_certificate() {
    let authority = Authority::new("test");
    let certificates = [
        authority.certificate(&["other.test"]),
        authority.certificate(&["example.test", "*.example.test"]),
        authority.certificate(&["www.example.test"]),
    ];
    let mut tls = listener_tls(3);
    let side = ServerSide::new(&tls, &certificates, &[], &resumption(), now());
    let mut client = authority.client(None);
    client.resumption = rustls::client::Resumption::disabled();
    let client = Arc::new(client);
    for (name, expected) in [
        ("example.test", 1),
        ("EXAMPLE.test", 1),
        ("a.example.test", 1),
        ("www.example.test", 2),
        ("other.test", 0),
    ] {
        let pair = Pair::meet(&client, name, side.config()).unwrap();
        assert_eq!(pair.shown(), first_of(&certificates[expected]), "{name}");
    }
    // Whatever is not listed gets the default, and it is for the client to refuse that.
    assert!(Pair::meet(&client, "a.b.example.test", side.config()).is_err());
    tls.default_certificate = CertificateId(1);
    side.replace(&tls, &certificates, &[], now());
    let anything = Arc::new(trusting());
    let pair = Pair::meet(&anything, "127.0.0.1", side.config()).unwrap();
    assert_eq!(pair.shown(), first_of(&certificates[1]));
}

/// A client that takes any certificate.
fn trusting() -> ClientConfig {
    let tls = crate::config::plan::UpstreamTls {
        sni: None,
        verify: crate::config::plan::Verify::Nothing,
        client: None,
    };
    ClientConfig::clone(&ClientSide::new(&tls, &SystemAuthorities::load()).config())
}

#[test]
fn a_swap_shows_the_new_certificate_and_cuts_nobody() {
    let authority = Authority::new("test");
    let old = [authority.certificate(&["example.test"])];
    let new = [authority.certificate(&["example.test"])];
    let tls = listener_tls(1);
    let side = ServerSide::new(&tls, &old, &[], &resumption(), now());
    let mut before = Pair::meet(&Arc::new(authority.client(None)), "example.test", side.config()).unwrap();
    side.replace(&tls, &new, &[], now());
    before.echo();
    let after = Pair::meet(&Arc::new(authority.client(None)), "example.test", side.config()).unwrap();
    assert_eq!(before.shown(), first_of(&old[0]));
    assert_eq!(after.shown(), first_of(&new[0]));
    assert_ne!(after.shown(), before.shown());
}

#[test]
fn protocols_and_versions_are_those_of_the_plan() {
    let authority = Authority::new("test");
    let certificates = [authority.certificate(&["example.test"])];
    let agreed = |http2: bool, offered: &[&str]| {
        let tls = ListenerTls {
            http2,
            ..listener_tls(1)
        };
        let side = ServerSide::new(&tls, &certificates, &[], &resumption(), now());
        let mut client = authority.client(None);
        client.alpn_protocols = offered.iter().map(|p| p.as_bytes().to_vec()).collect();
        let pair = Pair::meet(&Arc::new(client), "example.test", side.config());
        pair.map(|pair| {
            pair.server
                .alpn_protocol()
                .map(|p| String::from_utf8_lossy(p).into_owned())
        })
    };
    assert_eq!(agreed(true, &["http/1.1", "h2"]).unwrap().as_deref(), Some("h2"));
    assert_eq!(
        agreed(false, &["http/1.1", "h2"]).unwrap().as_deref(),
        Some("http/1.1")
    );
    assert_eq!(agreed(true, &[]).unwrap(), None);
    assert!(agreed(false, &["h2"]).is_err());

    let version = |min_version, client: &'static rustls::SupportedProtocolVersion| {
        let tls = ListenerTls {
            min_version,
            ..listener_tls(1)
        };
        let side = ServerSide::new(&tls, &certificates, &[], &resumption(), now());
        let client = authority.client_of(&[client], Tls12Resumption::SessionIdOrTickets, None);
        let pair = Pair::meet(&Arc::new(client), "example.test", side.config());
        pair.map(|pair| pair.server.protocol_version().unwrap())
    };
    use rustls::ProtocolVersion::{TLSv1_2, TLSv1_3};
    use rustls::version::{TLS12, TLS13};
    assert_eq!(version(TlsVersion::V1_2, &TLS12).unwrap(), TLSv1_2);
    assert_eq!(version(TlsVersion::V1_2, &TLS13).unwrap(), TLSv1_3);
    assert_eq!(version(TlsVersion::V1_3, &TLS13).unwrap(), TLSv1_3);
    assert!(version(TlsVersion::V1_3, &TLS12).is_err());
}

#[test]
fn clients_show_who_they_are_where_they_must_and_are_told_by_their_subject() {
    let (authority, stranger) = (Authority::new("test"), Authority::new("stranger"));
    let certificates = [authority.certificate(&["example.test"])];
    let meet = |required: bool, shows: Option<Arc<Identity>>| {
        let tls = ListenerTls {
            client_auth: Some(authority.auth(required)),
            ..listener_tls(1)
        };
        let side = ServerSide::new(&tls, &certificates, &[], &resumption(), now());
        let pair = Pair::meet(&Arc::new(authority.client(shows)), "example.test", side.config())?;
        let shown = pair.server.peer_certificates().unwrap_or_default();
        let visitor = side.visitor(shown, now()).unwrap();
        let late = visitor
            .as_ref()
            .map(|v| side.visitor(shown, v.not_after + Duration::from_secs(1)));
        assert!(late.is_none_or(|late| matches!(late, Err(VisitorFault::Expired(_)))));
        Ok::<_, Error>(visitor.map(|v| v.subject.into_string()))
    };
    let anna = authority.sign(&["anna.test"], "anna, the \"first\"\n");
    let subject = Some("CN=anna\\, the \\\"first\\\"\\0A".to_owned());
    assert_eq!(meet(true, Some(Arc::clone(&anna))).unwrap(), subject);
    assert_eq!(meet(false, Some(anna)).unwrap(), subject);
    assert!(meet(true, None).is_err());
    assert_eq!(meet(false, None).unwrap(), None);
    for required in [true, false] {
        assert!(meet(required, Some(stranger.sign(&["anna.test"], "anna"))).is_err());
    }
}

#[test]
fn what_an_authority_says_is_handed_on_until_it_is_too_old() {
    const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/config/secrets/");
    let file = |name: &str| std::fs::read(format!("{FOLDER}{name}")).unwrap();
    let chain = Chain::parse(&file("shop.crt")).unwrap();
    let staple = Arc::new(Staple::parse(&file("shop.ocsp"), &chain).unwrap());
    let key = PrivateKey::parse(&file("shop.key")).unwrap();
    let until = staple.next_update().unwrap();
    let certificate = Arc::new(Certificate {
        name: "shop".into(),
        domains: vec![Domain::parse("shop.example.org").unwrap()],
        source: of_files(
            Arc::new(Identity::new(chain, key).unwrap()),
            Some(Ocsp {
                file: "a.ocsp".into(),
                staple: Arc::clone(&staple),
            }),
        ),
    });
    let side = ServerSide::new(&listener_tls(1), &[certificate], &[], &resumption(), until);
    let handed = || {
        let hears = Arc::new(Hears::default());
        let mut client = trusting();
        client
            .dangerous()
            .set_certificate_verifier(Arc::clone(&hears) as _);
        Pair::meet(&Arc::new(client), "shop.example.org", side.config()).unwrap();
        hears.0.lock().clone()
    };
    assert_eq!(handed(), staple.der());
    side.turn(until);
    assert_eq!(handed(), staple.der());
    side.turn(until + Duration::from_secs(1));
    assert!(handed().is_empty());
}

/// A client that notes what is stapled.
#[derive(Debug, Default)]
struct Hears(parking_lot::Mutex<Vec<u8>>);

impl rustls::client::danger::ServerCertVerifier for Hears {
    fn verify_server_cert(
        &self,
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &[rustls::pki_types::CertificateDer<'_>],
        _: &ServerName<'_>,
        ocsp: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, Error> {
        *self.0.lock() = ocsp.to_vec();
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        vec![rustls::SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

/// One label more than the domain and no more, as browsers compare names.
fn is_for(domain: &Domain, name: &str) -> bool {
    let name = name.trim_end_matches('.').to_lowercase();
    match domain {
        Domain::Exact(exact) => *exact == name,
        Domain::Below(above) => name
            .split_once('.')
            .is_some_and(|(label, rest)| !label.is_empty() && rest == above),
    }
}

proptest! {
    #[test]
    fn exact_names_come_before_wildcards_and_those_before_the_default(
        domains in btree_set("(\\*\\.)?[ab](\\.[ab]){0,2}", 0..6),
        name in proptest::option::of("[abAB]?(\\.[abAB]){0,3}\\.?"),
    ) {
        let authority = certified();
        let default = Arc::new(CertifiedKey::clone(&authority));
        let mut names = ByName::new(Entry::Known(Arc::clone(&default)));
        let listed: Vec<(Domain, Arc<CertifiedKey>)> = domains
            .iter()
            .map(|d| (Domain::parse(d).unwrap(), Arc::new(CertifiedKey::clone(&authority))))
            .collect();
        for (domain, certificate) in &listed {
            names.insert(domain, &Entry::Known(Arc::clone(certificate)));
        }
        let name = name.as_deref();
        let of = |exact: bool| listed.iter().find(|(domain, _)| {
            matches!(domain, Domain::Exact(_)) == exact && name.is_some_and(|name| is_for(domain, name))
        });
        let expected = of(true).or_else(|| of(false)).map_or(&default, |(_, certificate)| certificate);
        let found = names.find(name).certified();
        prop_assert!(found.is_some_and(|found| Arc::ptr_eq(&found, expected)), "{:?}", name);
    }
}

fn certified() -> Arc<CertifiedKey> {
    static ONE: std::sync::OnceLock<Arc<CertifiedKey>> = std::sync::OnceLock::new();
    let one = ONE.get_or_init(|| Arc::new(Authority::new("test").sign(&["a.test"], "a").certified(None)));
    Arc::clone(one)
}
