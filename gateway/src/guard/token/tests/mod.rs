//! Tokens made here, and what becomes of them.

mod carried;
mod claims;
mod forgeries;
mod issuer;
mod verified;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::config::plan::{Jwt, TokenKeys};
use crate::secrets::token_key::samples;
use crate::secrets::{TokenAlgorithm, TokenKey};

/// The time of all tests.
const NOW_S: u64 = 1_800_000_000;
const NOW: Duration = Duration::from_secs(NOW_S);
const ISSUER: &str = "https://issuer.example";
const AUDIENCE: &str = "sluice";

fn policy(algorithms: &[TokenAlgorithm]) -> Jwt {
    Jwt {
        keys: TokenKeys::Given {
            file: "keys".into(),
            keys: Arc::default(),
        },
        algorithms: algorithms.to_vec(),
        issuer: Some(ISSUER.to_owned()),
        audience: vec!["other".to_owned(), AUDIENCE.to_owned()],
        leeway: Duration::from_secs(10),
        cookie: None,
        forward_claims: Vec::new(),
    }
}

/// Claims that hold.
fn claims() -> Value {
    json!({"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "iat": NOW_S - 5, "nbf": NOW_S - 5, "exp": NOW_S + 300})
}

/// The same with one of them changed; `null` takes it away.
fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    let members = claims.as_object_mut().unwrap();
    match value {
        Value::Null => _ = members.remove(name),
        value => _ = members.insert(name.to_owned(), value),
    }
    claims
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A token of any texts, signed as it should be.
fn signed(algorithm: TokenAlgorithm, header: &str, payload: impl AsRef<[u8]>) -> String {
    let message = format!("{}.{}", encode(header), encode(payload));
    let signature = samples::sign(algorithm, message.as_bytes());
    format!("{message}.{}", encode(signature))
}

/// A token with a plain header.
fn token(algorithm: TokenAlgorithm, claims: &Value) -> String {
    let header = json!({"alg": algorithm.jose_name(), "typ": "JWT"});
    signed(algorithm, &header.to_string(), claims.to_string())
}

/// The sample key under a name.
fn named(algorithm: TokenAlgorithm, id: &str) -> TokenKey {
    renamed(samples::public(algorithm), id)
}

fn renamed(mut key: TokenKey, id: &str) -> TokenKey {
    key.id = Some(id.to_owned());
    key
}

/// What becomes of claims that were signed as they should be.
fn judged(claims: &Value) -> Result<Claims, TokenFault> {
    let algorithm = TokenAlgorithm::Hs256;
    let text = token(algorithm, claims);
    judge(
        text.as_bytes(),
        &[samples::public(algorithm)],
        &policy(&[algorithm]),
        NOW,
    )
}

#[test]
fn a_token_of_each_algorithm_is_believed() {
    for algorithm in TokenAlgorithm::ALL {
        let text = token(algorithm, &claims());
        let keys = [samples::public(algorithm)];
        let found = judge(text.as_bytes(), &keys, &policy(&[algorithm]), NOW).unwrap();
        assert_eq!(found.text("sub"), Some("alice"));
        assert_eq!(found.expires_at(), Duration::from_secs(NOW_S + 300));
        // All algorithms permitted, all keys known: the one that fits is found.
        let all = TokenAlgorithm::ALL.map(samples::public);
        assert_eq!(
            judge(text.as_bytes(), &all, &policy(&TokenAlgorithm::ALL), NOW),
            Ok(found)
        );
        // Neither without the key nor without the permission.
        let others: Vec<_> = TokenAlgorithm::ALL
            .into_iter()
            .filter(|a| *a != algorithm)
            .collect();
        let fault = judge(text.as_bytes(), &keys, &policy(&others), NOW);
        assert_eq!(fault, Err(TokenFault::Algorithm));
        let keys: Vec<_> = all.into_iter().filter(|key| !key.fits(algorithm)).collect();
        let fault = judge(text.as_bytes(), &keys, &policy(&TokenAlgorithm::ALL), NOW);
        assert_eq!(fault, Err(TokenFault::UnknownKey));
    }
}

#[test]
fn the_first_token_of_rfc_7515_is_believed_in_its_time() {
    let text = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let key = json!({"kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"});
    let keys = TokenKey::jwks(&json!({"keys": [key]}).to_string()).unwrap();
    let policy = Jwt {
        issuer: Some("joe".to_owned()),
        audience: Vec::new(),
        leeway: Duration::ZERO,
        ..policy(&[TokenAlgorithm::Hs256])
    };
    let at = |seconds| judge(text.as_bytes(), &keys, &policy, Duration::from_secs(seconds));
    assert_eq!(
        at(1_300_819_379).unwrap().text("http://example.com/is_root"),
        Some("true")
    );
    assert_eq!(at(1_300_819_380), Err(TokenFault::Expired));
}

#[test]
fn the_name_of_a_key_selects_it() {
    let algorithm = TokenAlgorithm::Hs256;
    let policy = policy(&[algorithm]);
    let text = |kid: &str| {
        let header = json!({"alg": "HS256", "kid": kid});
        signed(algorithm, &header.to_string(), claims().to_string())
    };
    let other = TokenKey::of_secret(&[7; 32]).unwrap();
    let wrong = |id: &str| renamed(other.clone(), id);
    let judged = |kid: &str, keys: &[TokenKey]| judge(text(kid).as_bytes(), keys, &policy, NOW).map(|_| ());
    assert_eq!(judged("a", &[named(algorithm, "a"), wrong("b")]), Ok(()));
    assert_eq!(
        judged("b", &[named(algorithm, "a"), wrong("b")]),
        Err(TokenFault::Signature)
    );
    assert_eq!(
        judged("c", &[named(algorithm, "a"), wrong("b")]),
        Err(TokenFault::UnknownKey)
    );
    assert_eq!(judged("A", &[named(algorithm, "a")]), Err(TokenFault::UnknownKey));
    assert_eq!(judged("a", &[]), Err(TokenFault::UnknownKey));
    // RFC 7517 §4.5: two keys may share a name.
    assert_eq!(judged("a", &[wrong("a"), named(algorithm, "a")]), Ok(()));
    // A key without a name is tried for every token, and another fetch may bring the named one.
    assert_eq!(judged("a", &[wrong("b"), samples::public(algorithm)]), Ok(()));
    assert_eq!(
        judged("a", &[wrong("b"), other.clone()]),
        Err(TokenFault::UnknownKey)
    );
    assert_eq!(
        judged("a", std::slice::from_ref(&other)),
        Err(TokenFault::Signature)
    );
    // A named key for another algorithm is not the key.
    assert_eq!(
        judged("a", &[named(TokenAlgorithm::Es256, "a")]),
        Err(TokenFault::Algorithm)
    );
}

#[test]
fn a_token_without_a_name_is_tried_with_so_many_keys() {
    let algorithm = TokenAlgorithm::Hs256;
    let text = token(algorithm, &claims());
    let mut keys: Vec<_> = (0..7).map(|n| TokenKey::of_secret(&[n; 32]).unwrap()).collect();
    // Keys that do not fit cost nothing and do not count.
    keys.extend((0..50).map(|_| samples::public(TokenAlgorithm::Es256)));
    keys.push(named(algorithm, "last"));
    let policy = policy(&TokenAlgorithm::ALL);
    assert!(judge(text.as_bytes(), &keys, &policy, NOW).is_ok());
    keys.insert(0, TokenKey::of_secret(&[8; 32]).unwrap());
    assert_eq!(
        judge(text.as_bytes(), &keys, &policy, NOW),
        Err(TokenFault::Signature)
    );
}

proptest! {
    #[test]
    fn a_token_with_one_byte_changed_is_never_believed(
        which in 0..TokenAlgorithm::ALL.len(), at in any::<prop::sample::Index>(), flip in 1..=255u8,
    ) {
        let algorithm = TokenAlgorithm::ALL[which];
        let mut text = token(algorithm, &claims()).into_bytes();
        let at = at.index(text.len());
        text[at] ^= flip;
        let keys = TokenAlgorithm::ALL.map(samples::public);
        prop_assert!(judge(&text, &keys, &policy(&TokenAlgorithm::ALL), NOW).is_err());
    }

    #[test]
    fn no_bytes_make_the_judge_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        header in "\\PC{0,60}", payload in "\\PC{0,60}",
    ) {
        let keys = TokenAlgorithm::ALL.map(samples::public);
        let policy = policy(&TokenAlgorithm::ALL);
        prop_assert!(judge(&bytes, &keys, &policy, NOW).is_err());
        prop_assert!(judge(signed(TokenAlgorithm::Hs256, &header, &payload).as_bytes(), &keys, &policy, NOW).is_err());
        let plain = r#"{"alg":"HS256"}"#;
        prop_assert!(judge(signed(TokenAlgorithm::Hs256, plain, &bytes).as_bytes(), &keys, &policy, NOW).is_err());
        let odd = format!(r#"{{"alg":"HS256","x":{header:?}}}"#);
        _ = judge(signed(TokenAlgorithm::Hs256, &odd, claims().to_string()).as_bytes(), &keys, &policy, NOW);
    }
}

#[test]
fn each_byte_of_a_short_token_counts() {
    // Every place and every other letter of the alphabet, so that bits that nobody reads cannot hide.
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=. \n+/";
    let algorithm = TokenAlgorithm::Hs256;
    let keys = [samples::public(algorithm)];
    let policy = Jwt {
        issuer: None,
        audience: Vec::new(),
        ..policy(&[algorithm])
    };
    let sound = token(algorithm, &json!({"exp": NOW_S + 300})).into_bytes();
    assert!(judge(&sound, &keys, &policy, NOW).is_ok());
    for at in 0..sound.len() {
        for letter in ALPHABET.iter().filter(|letter| **letter != sound[at]) {
            let mut text = sound.clone();
            text[at] = *letter;
            assert!(judge(&text, &keys, &policy, NOW).is_err(), "{at} {letter}");
        }
        assert!(judge(&sound[..at], &keys, &policy, NOW).is_err(), "{at}");
    }
}
