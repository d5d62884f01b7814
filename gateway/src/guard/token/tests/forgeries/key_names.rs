//! A key of the forger's choice.

use super::*;

fn by_other(header: Value) -> Vec<u8> {
    let padding = &signature::RSA_PKCS1_SHA256;
    made(header, |message| {
        samples::rsa(samples::RSA_OTHER_PRIVATE, padding, message)
    })
}

fn by_own(header: Value) -> Vec<u8> {
    keyed(header, &[7; 32])
}

#[test]
fn no_key_is_believed_that_the_operator_has_not_named() {
    let jwk = json!({"kty": "oct", "k": encode([7; 32])});
    let certificate = json!([encode(samples::P256_CERTIFICATE)]);
    let forgeries = [
        ("another RSA key", by_other(json!({"alg": "RS256", "kid": "rsa"}))),
        (
            "another RSA key without a name",
            by_other(json!({"alg": "RS256"})),
        ),
        (
            "an address of keys",
            by_own(json!({"alg": "HS256", "jku": "http://127.0.0.1/"})),
        ),
        ("a key of its own", by_own(json!({"alg": "HS256", "jwk": jwk}))),
        (
            "an address of a certificate",
            by_own(json!({"alg": "HS256", "x5u": "http://127.0.0.1/"})),
        ),
        (
            "a certificate of its own",
            by_own(json!({"alg": "HS256", "x5c": certificate})),
        ),
    ];
    refused(TokenFault::Signature, forgeries);
}

#[test]
fn a_name_selects_a_key_and_nothing_else() {
    let names = [
        "rsa2",
        "RSA",
        "rsa ",
        "rsa\0",
        "",
        "../../dev/null",
        "/etc/passwd",
        "x' OR '1'='1",
        "|id",
        "*",
    ];
    let of = |name: &str| by_own(json!({"alg": "HS256", "kid": name}));
    refused(TokenFault::UnknownKey, names.map(|name| (name, of(name))));
    let of = |kid: Value| of_header(&json!({"alg": "HS256", "kid": kid}).to_string());
    let forgeries = [
        ("a number", of(json!(1))),
        ("null", of(Value::Null)),
        ("a list", of(json!(["rsa"]))),
        ("two names", of_header(r#"{"alg":"HS256","kid":"a","kid":"rsa"}"#)),
    ];
    refused(TokenFault::Malformed, forgeries);
}

#[test]
fn what_a_token_says_of_other_keys_is_ignored() {
    let extras = [
        json!({"jku": "http://127.0.0.1/jwks"}),
        json!({"jwk": {"kty": "oct", "k": "AAAA"}}),
        json!({"x5u": "http://127.0.0.1/"}),
        json!({"x5c": ["AAAA"]}),
        json!({"b64": true}),
        json!({"typ": 7}),
    ];
    for mut header in extras {
        header["alg"] = json!("HS256");
        let text = of_header(&header.to_string());
        assert!(
            judge(&text, &keys(), &policy(&TokenAlgorithm::ALL), NOW).is_ok(),
            "{header}"
        );
    }
}
