//! Tokens that an adversary would try, each with the fault that stops it.

mod algorithms;
mod contents;
mod key_names;
mod signatures;
mod spellings;

use ring::hmac;
use ring::signature;

use super::*;
use crate::secrets::TokenAlgorithm::{EdDsa, Es256, Es384, Hs256, Rs256};

/// What it is, and its text.
type Forgery = (&'static str, Vec<u8>);

/// Every algorithm is permitted and every key is known, so that only what is wrong can stop a token. The RSA key and
/// the P-384 key have names.
fn keys() -> Vec<TokenKey> {
    let plain = [Hs256, Es256, EdDsa].map(samples::public);
    let with_names = [named(Rs256, "rsa"), named(Es384, "p384")];
    plain.into_iter().chain(with_names).collect()
}

#[track_caller]
fn refused(fault: TokenFault, forgeries: impl IntoIterator<Item = Forgery>) {
    for (what, text) in forgeries {
        let found = judge(&text, &keys(), &policy(&TokenAlgorithm::ALL), NOW);
        assert_eq!(found.map(|_| ()), Err(fault), "{what}");
    }
}

/// A token with a signature that is made from what is signed.
fn made(header: Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let message = format!("{}.{}", encode(header.to_string()), encode(claims().to_string()));
    let signature = sign(message.as_bytes());
    format!("{message}.{}", encode(signature)).into_bytes()
}

/// A token with any bytes for a signature.
fn forged(header: Value, signature: impl AsRef<[u8]>) -> Vec<u8> {
    made(header, |_| signature.as_ref().to_vec())
}

/// A token by the sample key of another algorithm than its header says.
fn signed_as(header: Value, algorithm: TokenAlgorithm) -> Vec<u8> {
    made(header, |message| samples::sign(algorithm, message))
}

/// A token by a secret that anybody may know.
fn keyed(header: Value, secret: &[u8]) -> Vec<u8> {
    made(header, |message| {
        samples::keyed(hmac::HMAC_SHA256, secret, message)
    })
}

fn sound() -> String {
    token(Hs256, &claims())
}

fn of_payload(payload: impl AsRef<[u8]>) -> Vec<u8> {
    signed(Hs256, r#"{"alg":"HS256"}"#, payload).into_bytes()
}

fn of_header(header: &str) -> Vec<u8> {
    signed(Hs256, header, claims().to_string()).into_bytes()
}

fn nested(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

#[test]
fn what_the_forgeries_are_made_from_is_believed() {
    let texts = [
        sound().into_bytes(),
        of_payload(claims().to_string()),
        of_header(r#"{"alg":"HS256"}"#),
        signed_as(json!({"alg": "RS256", "kid": "rsa"}), Rs256),
        signed_as(json!({"alg": "ES384", "kid": "p384"}), Es384),
        signed_as(json!({"alg": "ES256"}), Es256),
        signed_as(json!({"alg": "EdDSA"}), EdDsa),
        signed_as(json!({"alg": "Ed25519"}), EdDsa),
    ];
    for text in texts {
        assert!(judge(&text, &keys(), &policy(&TokenAlgorithm::ALL), NOW).is_ok());
    }
}
