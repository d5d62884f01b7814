//! A signature that is not the key's.

use super::*;

#[test]
fn a_signature_is_of_its_own_token() {
    let other = token(Hs256, &with("sub", json!("mallory")));
    let (message, _) = other.rsplit_once('.').unwrap();
    let sound = sound();
    let (sound_message, signature) = sound.rsplit_once('.').unwrap();
    let forgeries = [
        ("nothing", format!("{sound_message}.").into_bytes()),
        (
            "that of another token",
            format!("{message}.{signature}").into_bytes(),
        ),
        (
            "half of it",
            made(json!({"alg": "HS256"}), |m| {
                samples::sign(Hs256, m)[..16].to_vec()
            }),
        ),
        (
            "all but a byte",
            made(json!({"alg": "HS256"}), |m| {
                samples::sign(Hs256, m)[..31].to_vec()
            }),
        ),
    ];
    refused(TokenFault::Signature, forgeries);
}

#[test]
fn an_elliptic_signature_has_its_form_and_numbers_that_can_be_some() {
    let es256 = |sign: &dyn Fn(&[u8]) -> Vec<u8>| made(json!({"alg": "ES256"}), sign);
    let swapped = |message: &[u8]| {
        let signature = samples::sign(Es256, message);
        [&signature[32..], &signature[..32]].concat()
    };
    let one = [&[0; 31][..], &[1]].concat();
    let p384 = json!({"alg": "ES384", "kid": "p384"});
    let forgeries = [
        ("nothing", forged(json!({"alg": "ES256"}), [])),
        ("zeros", forged(json!({"alg": "ES256"}), [0; 64])),
        ("zeros on P-384", forged(p384, [0; 96])),
        (
            "r and s of one",
            forged(json!({"alg": "ES256"}), [&one[..], &one].concat()),
        ),
        ("all bits", forged(json!({"alg": "ES256"}), [255; 64])),
        ("the ASN.1 form", es256(&samples::ecdsa_asn1)),
        ("too short", es256(&|m| samples::sign(Es256, m)[..63].to_vec())),
        (
            "too long",
            es256(&|m| [&samples::sign(Es256, m)[..], &[0]].concat()),
        ),
        (
            "a zero in front",
            es256(&|m| [&[0], &samples::sign(Es256, m)[..]].concat()),
        ),
        ("s before r", es256(&swapped)),
        ("an EdDSA of zeros", forged(json!({"alg": "EdDSA"}), [0; 64])),
        (
            "an EdDSA that is too short",
            made(json!({"alg": "EdDSA"}), |m| {
                samples::sign(EdDsa, m)[..32].to_vec()
            }),
        ),
    ];
    refused(TokenFault::Signature, forgeries);
}

#[test]
fn an_rsa_signature_is_as_long_as_the_key() {
    let header = || json!({"alg": "RS256", "kid": "rsa"});
    let rs256 = |sign: &dyn Fn(&[u8]) -> Vec<u8>| made(header(), sign);
    let forgeries = [
        ("nothing", forged(header(), [])),
        ("one", forged(header(), [1])),
        ("zeros", forged(header(), [0; 256])),
        ("all bits", forged(header(), [255; 256])),
        ("too short", rs256(&|m| samples::sign(Rs256, m)[1..].to_vec())),
        (
            "a zero in front",
            rs256(&|m| [&[0], &samples::sign(Rs256, m)[..]].concat()),
        ),
        (
            "a zero behind",
            rs256(&|m| [&samples::sign(Rs256, m)[..], &[0]].concat()),
        ),
    ];
    refused(TokenFault::Signature, forgeries);
}
