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
    use TokenFault::{Algorithm, Malformed, Signature};
    let none = |name: &str| forged(json!({"alg": name}), b"");
    let keyed = |header: Value, secret: &[u8]| made(header, |m| samples::keyed(hmac::HMAC_SHA256, secret, m));
    let hs256 = |secret: &[u8]| keyed(json!({"alg": "HS256"}), secret);
    let rsa_der = samples::der(samples::RSA);
    let modulus = &rsa_der[33..33 + 256];
    refused(vec![
        ("none", none("none"), Algorithm),
        ("None", none("None"), Algorithm),
        ("NONE", none("NONE"), Algorithm),
        ("nOnE", none("nOnE"), Algorithm),
        ("none with a space", none("none "), Algorithm),
        ("none with a NUL", none("none\0"), Algorithm),
        (
            "none with a signature",
            made(json!({"alg": "none"}), |m| samples::sign(Hs256, m)),
            Algorithm,
        ),
        ("an empty algorithm", none(""), Algorithm),
        (
            "hs256",
            made(json!({"alg": "hs256"}), |m| samples::sign(Hs256, m)),
            Algorithm,
        ),
        (
            "one that is not supported",
            forged(json!({"alg": "ES512"}), [1; 132]),
            Algorithm,
        ),
        ("no algorithm", of_header(r#"{"typ":"JWT"}"#), Malformed),
        (
            "a list of algorithms",
            of_header(r#"{"alg":["HS256"]}"#),
            Malformed,
        ),
        ("a null algorithm", of_header(r#"{"alg":null}"#), Malformed),
        (
            "two algorithms",
            of_header(r#"{"alg":"HS256","alg":"HS256"}"#),
            Malformed,
        ),
        (
            "two algorithms, one escaped",
            of_header(r#"{"alg":"none","\u0061lg":"HS256"}"#),
            Malformed,
        ),
        ("HS256 by the RSA key's PEM", hs256(samples::RSA), Signature),
        (
            "HS256 by the PEM without its last line end",
            hs256(samples::RSA.trim_ascii_end()),
            Signature,
        ),
        ("HS256 by the RSA key's DER", hs256(&rsa_der), Signature),
        ("HS256 by the RSA key's modulus", hs256(modulus), Signature),
        (
            "HS256 by the modulus of the JWK",
            hs256(encode(modulus).as_bytes()),
            Signature,
        ),
        ("HS256 by nothing", hs256(b""), Signature),
        (
            "HS256 by the PEM and with the name of the RSA key",
            keyed(json!({"alg": "HS256", "kid": "rsa"}), samples::RSA),
            Algorithm,
        ),
        (
            "HS256 by the secret, with the name of the RSA key",
            made(json!({"alg": "HS256", "kid": "rsa"}), |m| samples::sign(Hs256, m)),
            Algorithm,
        ),
        (
            "EdDSA with the name of the RSA key",
            made(json!({"alg": "EdDSA", "kid": "rsa"}), |m| samples::sign(EdDsa, m)),
            Algorithm,
        ),
        (
            "ES256 with the P-384 key",
            made(json!({"alg": "ES256", "kid": "p384"}), |m| {
                samples::sign(Es384, m)
            }),
            Algorithm,
        ),
        (
            "RS384 signed as RS256",
            made(json!({"alg": "RS384", "kid": "rsa"}), |m| samples::sign(Rs256, m)),
            Signature,
        ),
        (
            "PS256 signed as RS256",
            made(json!({"alg": "PS256", "kid": "rsa"}), |m| samples::sign(Rs256, m)),
            Signature,
        ),
    ]);
}

#[test]
fn no_key_of_its_own_choice_lets_a_token_in() {
    use TokenFault::{Malformed, Signature, UnknownKey};
    let by_other = |header: Value| {
        made(header, |m| {
            samples::rsa(samples::RSA_OTHER_PRIVATE, &signature::RSA_PKCS1_SHA256, m)
        })
    };
    let of_kid = |kid: Value| of_header(&json!({"alg": "HS256", "kid": kid}).to_string());
    let jwk = json!({"kty": "oct", "k": encode([7; 32])});
    let by_own = |header: Value| made(header, |m| samples::keyed(hmac::HMAC_SHA256, &[7; 32], m));
    refused(vec![
        (
            "another RSA key",
            by_other(json!({"alg": "RS256", "kid": "rsa"})),
            Signature,
        ),
        (
            "another RSA key without a name",
            by_other(json!({"alg": "RS256"})),
            Signature,
        ),
        (
            "an unknown name",
            by_other(json!({"alg": "RS256", "kid": "rsa2"})),
            UnknownKey,
        ),
        (
            "the name in upper case",
            by_other(json!({"alg": "RS256", "kid": "RSA"})),
            UnknownKey,
        ),
        (
            "a name that is a path",
            by_own(json!({"alg": "HS256", "kid": "../../dev/null"})),
            UnknownKey,
        ),
        (
            "a name with SQL",
            by_own(json!({"alg": "HS256", "kid": "x' UNION SELECT 'key"})),
            UnknownKey,
        ),
        ("a name that is a number", of_kid(json!(1)), Malformed),
        ("a name that is null", of_kid(Value::Null), Malformed),
        ("a name that is a list", of_kid(json!(["rsa"])), Malformed),
        (
            "two names",
            of_header(r#"{"alg":"HS256","kid":"a","kid":"rsa"}"#),
            Malformed,
        ),
        (
            "an address of keys",
            by_own(json!({"alg": "HS256", "jku": "http://127.0.0.1/jwks"})),
            Signature,
        ),
        (
            "a key of its own",
            by_own(json!({"alg": "HS256", "jwk": jwk})),
            Signature,
        ),
        (
            "an address of a certificate",
            by_own(json!({"alg": "HS256", "x5u": "http://127.0.0.1/"})),
            Signature,
        ),
        (
            "a certificate of its own",
            by_own(json!({"alg": "HS256", "x5c": [encode(samples::P256_CERTIFICATE)]})),
            Signature,
        ),
    ]);
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
        let found = judge(
            &of_header(&header.to_string()),
            &keys(),
            &policy(&TokenAlgorithm::ALL),
            NOW,
        );
        assert!(found.is_ok(), "{header}");
    }
}

#[test]
fn no_signature_but_the_right_one_lets_a_token_in() {
    use TokenFault::{Malformed, Signature};
    let es256 = |sign: &dyn Fn(&[u8]) -> Vec<u8>| made(json!({"alg": "ES256"}), sign);
    let cut = |m: &[u8]| samples::sign(Es256, m)[..63].to_vec();
    let longer = |m: &[u8]| [&samples::sign(Es256, m)[..], &[0]].concat();
    let swapped = |m: &[u8]| {
        let signature = samples::sign(Es256, m);
        [&signature[32..], &signature[..32]].concat()
    };
    let other = token(Hs256, &with("sub", json!("mallory")));
    let (message, _) = other.rsplit_once('.').unwrap();
    let sound = sound();
    let (sound_message, sound_signature) = sound.rsplit_once('.').unwrap();
    let zeros = |header: Value, bytes: usize| forged(header, vec![0; bytes]);
    refused(vec![
        (
            "an empty signature",
            format!("{sound_message}.").into_bytes(),
            Signature,
        ),
        (
            "one of another token",
            format!("{message}.{sound_signature}").into_bytes(),
            Signature,
        ),
        (
            "an HMAC cut short",
            made(json!({"alg": "HS256"}), |m| {
                samples::sign(Hs256, m)[..16].to_vec()
            }),
            Signature,
        ),
        (
            "an empty one for ES256",
            zeros(json!({"alg": "ES256"}), 0),
            Signature,
        ),
        ("r and s of zero", zeros(json!({"alg": "ES256"}), 64), Signature),
        (
            "r and s of zero on P-384",
            zeros(json!({"alg": "ES384", "kid": "p384"}), 96),
            Signature,
        ),
        (
            "r and s of ones",
            forged(json!({"alg": "ES256"}), [255; 64]),
            Signature,
        ),
        (
            "an ES256 in its ASN.1 form",
            es256(&samples::ecdsa_asn1),
            Signature,
        ),
        ("an ES256 that is too short", es256(&cut), Signature),
        ("an ES256 that is too long", es256(&longer), Signature),
        ("s before r", es256(&swapped), Signature),
        (
            "an RSA signature of zeros",
            zeros(json!({"alg": "RS256", "kid": "rsa"}), 256),
            Signature,
        ),
        (
            "an RSA signature of one",
            forged(json!({"alg": "RS256", "kid": "rsa"}), [1]),
            Signature,
        ),
        ("an EdDSA of zeros", zeros(json!({"alg": "EdDSA"}), 64), Signature),
        (
            "a signature that is not base64url",
            format!("{sound_message}.!!!!").into_bytes(),
            Malformed,
        ),
    ]);
}

#[test]
fn no_other_spelling_of_a_token_lets_it_in() {
    use TokenFault::{Critical, Encrypted, Malformed, Signature, TooLong};
    let sound = sound();
    let parts: Vec<_> = sound.split('.').collect();
    let [header, payload, signature] = parts[..] else {
        unreachable!("a token has three parts")
    };
    let text = |text: String| text.into_bytes();
    let crit = |more: Value| {
        let mut header = json!({"alg": "HS256", "crit": ["exp"], "exp": 1});
        header
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        of_header(&header.to_string())
    };
    let mut beyond_ascii = sound.clone().into_bytes();
    beyond_ascii[3] = 0xff;
    refused(vec![
        ("nothing", Vec::new(), Malformed),
        ("dots", b"..".to_vec(), Malformed),
        ("one part", text(header.to_owned()), Malformed),
        ("two parts", text(format!("{header}.{payload}")), Malformed),
        ("four parts", text(format!("{sound}.{signature}")), Malformed),
        (
            "five parts",
            text(format!("{sound}.{payload}.{signature}")),
            Encrypted,
        ),
        (
            "six parts",
            text(format!("{sound}.{payload}.{signature}.x")),
            Malformed,
        ),
        ("a dot behind", text(format!("{sound}.")), Malformed),
        ("padding", text(format!("{sound}=")), Malformed),
        (
            "a padded header",
            text(format!("{header}=.{payload}.{signature}")),
            Malformed,
        ),
        ("a space before", text(format!(" {sound}")), Malformed),
        ("a space behind", text(format!("{sound} ")), Malformed),
        ("a line end behind", text(format!("{sound}\n")), Malformed),
        (
            "a line end inside",
            text(format!(
                "{header}.{payload}.{}\n{}",
                &signature[..9],
                &signature[9..]
            )),
            Malformed,
        ),
        ("a NUL behind", text(format!("{sound}\0")), Malformed),
        (
            "a NUL in the payload",
            text(format!("{header}.{payload}\0.{signature}")),
            Signature,
        ),
        ("a byte beyond ASCII", beyond_ascii, Malformed),
        ("a quoted token", text(format!("\"{sound}\"")), Malformed),
        (
            "the other alphabet",
            text(format!("{header}.{payload}.+/{}", &signature[2..])),
            Malformed,
        ),
        (
            "a last letter with bits to spare",
            text(format!("{}B", &sound[..sound.len() - 1])),
            Malformed,
        ),
        ("crit", crit(json!({})), Critical),
        ("an empty crit", crit(json!({"crit": []})), Critical),
        (
            "crit with b64",
            crit(json!({"crit": ["b64"], "b64": false})),
            Critical,
        ),
        (
            "b64 without crit",
            of_header(r#"{"alg":"HS256","b64":false}"#),
            Critical,
        ),
        (
            "a header with something behind",
            of_header(r#"{"alg":"HS256"}{}"#),
            Malformed,
        ),
        ("a header that is a list", of_header(r#"["HS256"]"#), Malformed),
        (
            "a deep header",
            of_header(&format!(r#"{{"alg":"HS256","x":{}}}"#, nested(5000))),
            Malformed,
        ),
        (
            "a huge one",
            text(format!("{header}.{}.{signature}", "A".repeat(16 * 1024))),
            TooLong,
        ),
    ]);
}

#[test]
fn no_claims_but_sound_ones_let_a_token_in() {
    use TokenFault::{Audience, Expired, Issuer, Malformed, NoExpiry, NotYet};
    let exp = |text: &str| of_payload(claims().to_string().replace(&(NOW_S + 300).to_string(), text));
    let twice = claims()
        .to_string()
        .replacen('{', &format!("{{\"exp\":{},", NOW_S + 900), 1);
    let of = |name: &str, value: Value| of_claims(&with(name, value));
    refused(vec![
        ("its end is past", of("exp", json!(NOW_S - 10)), Expired),
        ("its end is long past", of("exp", json!(1)), Expired),
        ("its end is before 1970", of("exp", json!(-1)), Expired),
        ("its end is before everything", exp("-1e300"), Expired),
        ("its end has a fraction", exp("1799999989.5"), Expired),
        ("it has no end", of("exp", Value::Null), NoExpiry),
        ("its end is null", exp("null"), Malformed),
        (
            "its end is a string",
            exp(&format!("\"{}\"", NOW_S + 300)),
            Malformed,
        ),
        ("its end is a list", exp("[1900000000]"), Malformed),
        ("its end is true", exp("true"), Malformed),
        ("its end is too large", exp("1e400"), Malformed),
        ("its end is no number", exp("NaN"), Malformed),
        ("its end is infinite", exp("Infinity"), Malformed),
        ("two ends", of_payload(&twice), Malformed),
        ("its time has not come", of("nbf", json!(NOW_S + 11)), NotYet),
        ("its time never comes", of("nbf", json!(1e300)), NotYet),
        ("its beginning is a string", of("nbf", json!("0")), Malformed),
        ("it is from far ahead", of("iat", json!(NOW_S + 611)), NotYet),
        ("its date is a string", of("iat", json!("now")), Malformed),
        (
            "another issuer",
            of("iss", json!("https://other.example")),
            Issuer,
        ),
        (
            "the issuer with a slash",
            of("iss", json!(format!("{ISSUER}/"))),
            Issuer,
        ),
        (
            "the issuer in upper case",
            of("iss", json!(ISSUER.to_uppercase())),
            Issuer,
        ),
        ("the issuer in a list", of("iss", json!([ISSUER])), Issuer),
        ("no issuer", of("iss", Value::Null), Issuer),
        ("another audience", of("aud", json!("sluice2")), Audience),
        ("no audience", of("aud", Value::Null), Audience),
        ("other audiences", of("aud", json!(["a", "b"])), Audience),
        ("an empty list of audiences", of("aud", json!([])), Audience),
        ("a list with a number", of("aud", json!([AUDIENCE, 1])), Audience),
        (
            "an audience within an object",
            of("aud", json!({"sluice": true})),
            Audience,
        ),
        ("claims that are a list", of_payload("[]"), Malformed),
        ("claims that are a token", of_payload(sound()), Malformed),
        ("no claims", of_payload(""), Malformed),
        (
            "claims and something behind",
            of_payload(format!("{} x", claims())),
            Malformed,
        ),
        (
            "claims that are not UTF-8",
            of_payload(b"{\"exp\":1900000000,\"x\":\"\xff\"}"),
            Malformed,
        ),
        (
            "claims with a NUL",
            of_payload(format!("{}\0", claims())),
            Malformed,
        ),
        (
            "deep claims",
            of_payload(format!("{{\"exp\":1900000000,\"x\":{}}}", nested(2000))),
            Malformed,
        ),
    ]);
}

fn nested(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}
