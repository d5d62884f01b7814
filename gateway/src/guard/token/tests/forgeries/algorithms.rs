//! An algorithm of the forger's choice.

use super::*;

#[test]
fn no_algorithm_is_believed_that_is_none_or_unknown() {
    let of = |name: &str| forged(json!({"alg": name}), b"");
    let none = ["none", "None", "NONE", "nOnE", "none ", " none", "none\0", ""];
    refused(TokenFault::Algorithm, none.map(|name| (name, of(name))));
    let hs256 = |name: &str| signed_as(json!({"alg": name}), Hs256);
    let spellings = [
        "none", "hs256", "Hs256", "HS256 ", "HS 256", "HS1", "HS257", "SHA256", "dir",
    ];
    refused(TokenFault::Algorithm, spellings.map(|name| (name, hs256(name))));
    let unsupported = ["ES512", "ES256K", "PS384", "PS512", "Ed448", "RSA-OAEP"];
    refused(TokenFault::Algorithm, unsupported.map(|name| (name, of(name))));
    let malformed = [
        ("no algorithm", of_header(r#"{"typ":"JWT"}"#)),
        ("a list of algorithms", of_header(r#"{"alg":["HS256"]}"#)),
        ("a null algorithm", of_header(r#"{"alg":null}"#)),
        ("two algorithms", of_header(r#"{"alg":"HS256","alg":"HS256"}"#)),
        (
            "two, one of them escaped",
            of_header(r#"{"alg":"none","\u0061lg":"HS256"}"#),
        ),
    ];
    refused(TokenFault::Malformed, malformed);
}

#[test]
fn a_public_key_is_no_secret_to_sign_with() {
    let der = samples::der(samples::RSA);
    // A SubjectPublicKeyInfo of 2048 bits ends with the 256 bytes of the modulus and five of the exponent.
    let modulus = &der[der.len() - 261..der.len() - 5];
    let hs256 = |secret: &[u8]| keyed(json!({"alg": "HS256"}), secret);
    let forgeries = [
        ("the PEM", hs256(samples::RSA)),
        (
            "the PEM without its last line end",
            hs256(samples::RSA.trim_ascii_end()),
        ),
        ("the PEM of RFC 8017", hs256(samples::RSA_PKCS1)),
        ("the DER", hs256(&der)),
        ("the modulus", hs256(modulus)),
        ("the modulus of the JWK", hs256(encode(modulus).as_bytes())),
        (
            "the point of the other key",
            hs256(&samples::der(samples::P256)[26..]),
        ),
        ("nothing", hs256(b"")),
    ];
    refused(TokenFault::Signature, forgeries);
    let by_name = keyed(json!({"alg": "HS256", "kid": "rsa"}), samples::RSA);
    refused(
        TokenFault::Algorithm,
        [("the PEM, and the name of the key", by_name)],
    );
}

#[test]
fn a_key_is_used_with_its_own_algorithms() {
    let of = |algorithm: &str, kid: &str, by| signed_as(json!({"alg": algorithm, "kid": kid}), by);
    let forgeries = [
        ("HS256 with the RSA key's name", of("HS256", "rsa", Hs256)),
        ("ES256 with the RSA key's name", of("ES256", "rsa", Es256)),
        ("EdDSA with the RSA key's name", of("EdDSA", "rsa", EdDsa)),
        ("ES256 with the P-384 key", of("ES256", "p384", Es384)),
        ("RS256 with the P-384 key", of("RS256", "p384", Rs256)),
    ];
    refused(TokenFault::Algorithm, forgeries);
    let forgeries = [
        ("RS384 signed as RS256", of("RS384", "rsa", Rs256)),
        ("PS256 signed as RS256", of("PS256", "rsa", Rs256)),
        ("RS256 signed as PS256", of("RS256", "rsa", TokenAlgorithm::Ps256)),
        ("HS384 signed as HS256", signed_as(json!({"alg": "HS384"}), Hs256)),
    ];
    refused(TokenFault::Signature, forgeries);
}
