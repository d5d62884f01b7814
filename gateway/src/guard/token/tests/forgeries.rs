//! Tokens that an adversary would try, each with the fault that stops it.

use ring::hmac;
use ring::signature;

use super::*;
use crate::secrets::TokenAlgorithm::*;

/// What it is, its text, and why it is refused.
type Forgery = (&'static str, Vec<u8>, TokenFault);

/// Every algorithm is permitted and every key is known, so that only what is wrong can stop a token. The RSA key and
/// the P-384 key have names.
fn keys() -> Vec<TokenKey> {
    let plain = [Hs256, Es256, EdDsa].map(samples::public);
    let with_names = [named(Rs256, "rsa"), named(Es384, "p384")];
    plain.into_iter().chain(with_names).collect()
}

#[track_caller]
fn refused(forgeries: Vec<Forgery>) {
    for (what, text, fault) in forgeries {
        let found = judge(&text, &keys(), &policy(&TokenAlgorithm::ALL), NOW);
        assert_eq!(found.map(|_| ()), Err(fault), "{what}");
    }
}

/// A token whose header and signature are not for each other.
fn forged(header: Value, signature: impl AsRef<[u8]>) -> Vec<u8> {
    let message = format!("{}.{}", encode(header.to_string()), encode(claims().to_string()));
    format!("{message}.{}", encode(signature)).into_bytes()
}

/// A token with a signature that is made from what is signed.
fn made(header: Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let message = format!("{}.{}", encode(header.to_string()), encode(claims().to_string()));
    let signature = sign(message.as_bytes());
    format!("{message}.{}", encode(signature)).into_bytes()
}

fn sound() -> String {
    token(Hs256, &claims())
}

fn of_claims(claims: &Value) -> Vec<u8> {
    token(Hs256, claims).into_bytes()
}

fn of_payload(payload: impl AsRef<[u8]>) -> Vec<u8> {
    signed(Hs256, r#"{"alg":"HS256"}"#, payload).into_bytes()
}

fn of_header(header: &str) -> Vec<u8> {
    signed(Hs256, header, claims().to_string()).into_bytes()
}

#[test]
fn what_the_forgeries_are_made_from_is_believed() {
    let texts = [
        sound().into_bytes(),
        of_claims(&claims()),
        of_payload(claims().to_string()),
        of_header(r#"{"alg":"HS256"}"#),
        made(json!({"alg": "RS256", "kid": "rsa"}), |m| samples::sign(Rs256, m)),
        made(json!({"alg": "ES256"}), |m| samples::sign(Es256, m)),
    ];
    for text in texts {
        assert!(judge(&text, &keys(), &policy(&TokenAlgorithm::ALL), NOW).is_ok());
    }
}

#[test]
fn no_algorithm_of_its_own_choice_lets_a_token_in() {
    use TokenFault::*;
    let none = |name: &str| forged(json!({"alg": name}), b"");
    let hmac_by = |key: &[u8]| made(json!({"alg": "HS256"}), |m| samples::keyed(hmac::HMAC_SHA256, key, m));
    let named_hmac_by = |key: &[u8]| {
        made(json!({"alg": "HS256", "kid": "rsa"}), |m| {
            samples::keyed(hmac::HMAC_SHA256, key, m)
        })
    };
    let rsa_der = samples::der(samples::RSA);
    let modulus = &rsa_der[33..33 + 256];
    refused(vec![
        ("none", none("none"), Algorithm),
        ("None", none("None"), Algorithm),
        ("NONE", none("NONE"), Algorithm),
        ("nOnE", none("nOnE"), Algorithm),
        ("none with a space", none("none "), Algorithm),
        ("none with a NUL", none("none\0"), Algorithm),
        ("an empty algorithm", none(""), Algorithm),
        ("hs256", made(json!({"alg": "hs256"}), |m| samples::sign(Hs256, m)), Algorithm),
        ("an algorithm that is not supported", forged(json!({"alg": "ES512"}), [1; 132]), Algorithm),
        ("no algorithm", made(json!({"typ": "JWT"}), |m| samples::sign(Hs256, m)), Malformed),
        ("an algorithm that is no string", of_header(r#"{"alg":["HS256"]}"#), Malformed),
        ("an algorithm that is null", of_header(r#"{"alg":null}"#), Malformed),
        ("HS256 by the PEM of the RSA key", hmac_by(samples::RSA), Signature),
        ("HS256 by the PEM without its end", hmac_by(samples::RSA.trim_ascii_end()), Signature),
        ("HS256 by the DER of the RSA key", hmac_by(&rsa_der), Signature),
        ("HS256 by the modulus of the RSA key", hmac_by(modulus), Signature),
        ("HS256 by the modulus in base64url", hmac_by(encode(modulus).as_bytes()), Signature),
        ("HS256 by an empty secret", hmac_by(b""), Signature),
        ("HS256 by the PEM, with the name of the RSA key", named_hmac_by(samples::RSA), UnknownKeyOr(Signature)),
        ("EdDSA with the RSA key", made(json!({"alg": "EdDSA", "kid": "rsa"}), |m| samples::sign(Rs256, m)), UnknownKeyOr(Signature)),
        ("ES256 with the P-384 key", made(json!({"alg": "ES256", "kid": "p384"}), |m| samples::sign(Es384, m)), UnknownKeyOr(Signature)),
    ].into_iter().map(|f| f).collect());
}
