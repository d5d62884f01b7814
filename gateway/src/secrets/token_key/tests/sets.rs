//! JWK sets: which keys are used, and which are passed over.

use super::*;

/// A key that is passed over leaves a set of it alone without one.
#[track_caller]
fn refused(key: Value, why: &str) {
    let message = set(std::slice::from_ref(&key)).unwrap_err().message;
    assert!(message.contains(why), "{message}");
    let usable = json!({"kty": "OKP", "crv": "Ed25519", "x": ED25519_X, "kid": "usable"});
    let keys = set(&[key, usable]).unwrap();
    assert_eq!(keys.len(), 1);
    assert_eq!(keys[0].id.as_deref(), Some("usable"));
}

#[test]
fn keys_that_are_for_something_else_are_passed_over() {
    let with = |name: &str, value: Value| {
        let mut key = json!({"kty": "RSA", "n": A2_N, "e": "AQAB"});
        key[name] = value;
        key
    };
    refused(with("use", json!("enc")), "use");
    refused(with("use", json!(1)), "use");
    refused(with("key_ops", json!(["sign", "encrypt"])), "key_ops");
    refused(with("key_ops", json!("verify")), "key_ops");
    refused(with("kty", json!("AKP")), "kty");
    refused(with("kty", Value::Null), "kty");
    refused(with("alg", json!("RSA-OAEP")), "alg");
    refused(with("alg", json!("none")), "alg");
    refused(with("alg", json!("HS256")), "fit");
    refused(with("alg", json!("ES256")), "fit");
    refused(with("kid", json!(7)), "kid");
    refused(with("d", json!("AAAA")), "private");
    refused(with("e", json!("AQ")), "numbers");
    refused(with("n", json!("AQAB")), "bits");
    refused(with("n", json!(format!("{A2_N}=="))), "base64url");
    refused(with("n", json!(format!("{A2_N} "))), "base64url");
    refused(json!({"kty": "RSA", "e": "AQAB"}), "it has no \"n\"");
    refused(json!({"kty": "EC", "crv": "P-256", "x": A3_X}), "it has no \"y\"");
    refused(json!({"kty": "EC", "crv": "P-521", "x": A3_X, "y": A3_Y}), "crv");
    refused(
        json!({"kty": "EC", "crv": "secp256k1", "x": A3_X, "y": A3_Y}),
        "crv",
    );
    refused(json!({"kty": "EC", "crv": "P-384", "x": A3_X, "y": A3_Y}), "48");
    refused(
        json!({"kty": "EC", "crv": "P-256", "x": base64url_of(&[1; 31]), "y": A3_Y}),
        "31",
    );
    refused(json!({"kty": "OKP", "crv": "X25519", "x": ED25519_X}), "crv");
    refused(json!({"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}), "32");
    refused(json!({"kty": "oct", "k": base64url_of(&[1; 31])}), "31 bytes");
    refused(
        json!({"kty": "oct", "alg": "HS512", "k": base64url_of(&[1; 63])}),
        "fit",
    );
    refused(json!("key"), "object");
    assert_eq!(
        one(with("use", json!("sig"))),
        one(with("key_ops", json!(["verify"])))
    );
}

#[test]
fn the_algorithm_of_a_key_binds_it() {
    let key = one(json!({"kty": "RSA", "n": A2_N, "e": "AQAB", "alg": "RS384", "kid": "a"}));
    let fitting: Vec<_> = TokenAlgorithm::ALL.into_iter().filter(|a| key.fits(*a)).collect();
    assert_eq!(fitting, [TokenAlgorithm::Rs384]);
    let message = format!("eyJhbGciOiJSUzI1NiJ9.{CLAIMS}");
    assert!(!key.verifies(
        TokenAlgorithm::Rs256,
        message.as_bytes(),
        &base64url(A2_SIGNATURE)
    ));
}

#[test]
fn what_is_no_set_of_keys_is_refused() {
    let key = json!({"kty": "OKP", "crv": "Ed25519", "x": ED25519_X});
    assert_eq!(set(&vec![key.clone(); 256]).unwrap().len(), 256);
    assert!(set(&vec![key.clone(); 257]).unwrap_err().message.contains("257"));
    for text in [
        "",
        "[]",
        "null",
        "{}",
        "{\"keys\": {}}",
        "{\"keys\": []}",
        "{\"keys\": [1]}",
        "{\"keys\": []} x",
    ] {
        assert!(TokenKey::jwks(text).is_err(), "{text}");
    }
    assert!(
        TokenKey::jwks(&key.to_string())
            .unwrap_err()
            .message
            .contains("\"keys\"")
    );
    let twice = format!("{{\"keys\": [{key}],\n \"keys\": [{key}]}}");
    let fault = TokenKey::jwks(&twice).unwrap_err();
    assert!(fault.message.contains("twice") && fault.line == 2, "{fault:?}");
    let padded = format!("{{\"keys\": [{key}]}}{}", " ".repeat(1024 * 1024));
    assert!(TokenKey::jwks(&padded).unwrap_err().message.contains("1048576"));
}
