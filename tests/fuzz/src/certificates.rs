//! Certificates, keys and answers about them: DER that anybody may have written, and the PEM around it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gateway::secrets::TokenKey;
use gateway::secrets::certificate::{Authorities, Chain, PrivateKey, Staple, not_after, subject};

const KNOWN: &[u8] = include_bytes!("../../../gateway/src/secrets/token_key/samples/p256.certificate.pem");

/// The bytes as DER, as DER in PEM, and as a file of PEM.
pub fn target(data: &[u8]) {
    der(data);
    file(data);
}

fn der(der: &[u8]) {
    let end = not_after(der);
    if let Some(subject) = subject(der) {
        assert!(
            subject.bytes().all(|b| b.is_ascii_graphic() || b == b' '),
            "{subject}"
        );
    }
    let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
    for line in STANDARD.encode(der).as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    file(pem.as_bytes());
    if let Ok(chain) = Chain::parse(pem.as_bytes()) {
        let leaf = chain.leaf();
        assert_eq!(Some(leaf.not_after), end);
        assert!(leaf.serial().len() <= der.len());
        for name in leaf.names.iter().filter(|name| !name.starts_with("*.")) {
            assert!(leaf.covers(name), "{name}");
        }
    }
    let known = Chain::parse(KNOWN).expect("the sample can be read");
    if let Ok(staple) = Staple::parse(der, &known) {
        assert_eq!(staple.der(), der);
    }
}

fn file(file: &[u8]) {
    let lines = file.iter().filter(|b| **b == b'\n').count() + 1;
    let told = [
        Chain::parse(file).err(),
        PrivateKey::parse(file).err(),
        Authorities::parse(file).err(),
        TokenKey::of_pem(file).err(),
        TokenKey::of_secret(file).err(),
        std::str::from_utf8(file)
            .ok()
            .and_then(|text| TokenKey::jwks(text).err()),
    ];
    for fault in told.into_iter().flatten() {
        assert!(
            (1..=lines).contains(&fault.line) && !fault.message.is_empty(),
            "{fault:?} of {lines} lines"
        );
    }
}
