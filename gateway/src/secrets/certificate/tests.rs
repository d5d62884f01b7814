//! Files as operators have them, and bytes of no kind.

use proptest::prelude::*;

use super::*;

fn file(name: &str) -> Vec<u8> {
    const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/config/secrets/");
    std::fs::read(format!("{FOLDER}{name}")).unwrap()
}

fn identity(chain: &[u8], key: &[u8]) -> Result<Identity, Fault> {
    Identity::new(Chain::parse(chain)?, PrivateKey::parse(key)?)
}

#[test]
fn a_certificate_says_for_whom_and_how_long_it_holds() {
    let chain = Chain::parse(&file("example.crt")).unwrap();
    let leaf = chain.leaf();
    assert_eq!(leaf.names, ["example.com", "*.example.com"]);
    assert_eq!(leaf.addresses, [std::net::IpAddr::from([127, 0, 0, 1])]);
    assert_eq!(leaf.not_after.as_secs(), 253_402_300_799);
    assert_eq!(chain.stray(), None);
    for (domain, covers) in [
        ("example.com", true),
        ("www.example.com", true),
        ("*.example.com", true),
        ("a.b.example.com", false),
        ("*.www.example.com", false),
        ("com", false),
    ] {
        assert_eq!(leaf.covers(domain), covers, "{domain}");
    }
    assert_eq!(
        subject(&chain.certificates[0]).unwrap(),
        "O=Example,CN=example.com"
    );
}

#[test]
fn every_form_of_a_key_is_read_and_both_may_stand_in_one_file() {
    let chain = file("example.crt");
    let both = [file("example.key"), chain.clone()].concat();
    let pkcs8 = identity(&chain, &file("example.key")).unwrap();
    identity(&chain, &file("example.sec1.key")).unwrap();
    identity(&file("rsa-site.crt"), &file("rsa-site.key")).unwrap();
    assert_eq!(identity(&both, &both).unwrap(), pkcs8);
    assert_ne!(identity(&file("shop.crt"), &file("shop.key")).unwrap(), pkcs8);
}

#[test]
fn a_key_in_its_old_encrypted_form_is_told_as_such() {
    let text = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    let fault = PrivateKey::parse(text.as_bytes()).unwrap_err();
    assert!(
        fault.message.contains("the key is encrypted"),
        "{}",
        fault.message
    );
}

#[test]
fn two_keys_are_one_too_many_and_their_line_is_told() {
    let two = [file("example.key"), file("shop.key")].concat();
    let fault = PrivateKey::parse(&two).unwrap_err();
    let first = file("example.key").iter().filter(|b| **b == b'\n').count();
    assert_eq!(fault.line, first + 1);
}

#[test]
fn authorities_are_compared_by_what_they_are() {
    let read = |name: &str| Authorities::parse(&file(name)).unwrap();
    assert_eq!(read("clients-ca.pem"), read("internal-ca.pem"));
    assert_eq!(read("clients-ca.pem").digest(), read("internal-ca.pem").digest());
    assert_ne!(read("clients-ca.pem").digest(), read("example.crt").digest());
    assert_eq!(
        (read("example.crt").count(), read("example.crt").store().len()),
        (2, 2)
    );
}

#[test]
fn a_staple_is_for_one_certificate() {
    let chain = |name: &str| Chain::parse(&file(name)).unwrap();
    let staple = Staple::parse(&file("example.ocsp"), &chain("example.crt")).unwrap();
    assert!(staple.is_good() && staple.next_update().is_none());
    assert!(
        Staple::parse(&file("shop.ocsp"), &chain("shop.crt"))
            .unwrap()
            .next_update()
            .is_some()
    );
    assert!(Staple::parse(&file("shop.ocsp"), &chain("example.crt")).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn files_with_bytes_changed_are_read_or_refused_and_nothing_panics(
        which in 0usize..4, edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut: prop::sample::Index,
    ) {
        let chain = Chain::parse(&file("example.crt")).unwrap();
        let mut bytes = match which {
            0 => file("example.crt"),
            1 => file("example.key"),
            2 => file("example.ocsp"),
            _ => chain.certificates[0].to_vec(),
        };
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        for bytes in [&bytes[..], &bytes[..cut.index(bytes.len())]] {
            let _ = Chain::parse(bytes);
            let _ = Authorities::parse(bytes);
            let _ = PrivateKey::parse(bytes).map(|key| Identity::new(chain.clone(), key));
            let _ = Staple::parse(bytes, &chain);
            let told = subject(bytes);
            prop_assert!(told.is_none_or(|text| text.bytes().all(|b| (b' '..=b'~').contains(&b))));
        }
    }
}
