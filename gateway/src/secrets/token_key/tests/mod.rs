//! Keys from each form that is read, and the signatures that others have published.

mod hostile;
mod sets;

use serde_json::{Value, json};

use super::samples::{self, der};
use super::*;

/// RFC 7515 appendix A: what is signed in A.1, A.2 and A.3 behind the header, and the keys.
const CLAIMS: &str =
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
const A1_KEY: &str = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
const A2_N: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
const A2_SIGNATURE: &str = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
const A3_X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
const A3_Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
/// RFC 8037 appendix A.
const ED25519_X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

fn base64url(text: &str) -> Vec<u8> {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(text)
        .unwrap()
}

fn base64url_of(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

fn set(keys: &[Value]) -> Result<Vec<TokenKey>, Fault> {
    TokenKey::jwks(&json!({ "keys": keys }).to_string())
}

#[track_caller]
fn one(key: Value) -> TokenKey {
    let mut keys = set(&[key]).unwrap();
    assert_eq!(keys.len(), 1);
    keys.remove(0)
}

#[track_caller]
fn verifies_only_its_own(key: &TokenKey, algorithm: TokenAlgorithm, message: &str, signature: &str) {
    let signature = base64url(signature);
    assert!(key.verifies(algorithm, message.as_bytes(), &signature));
    assert!(!key.verifies(algorithm, format!("{message}x").as_bytes(), &signature));
    for other in TokenAlgorithm::ALL
        .into_iter()
        .filter(|other| *other != algorithm)
    {
        assert!(!key.verifies(other, message.as_bytes(), &signature), "{other:?}");
    }
}

#[test]
fn the_examples_of_rfc_7515_verify() {
    let key = one(json!({"kty": "oct", "k": A1_KEY}));
    let message = format!("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{CLAIMS}");
    verifies_only_its_own(
        &key,
        TokenAlgorithm::Hs256,
        &message,
        "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    );

    let key = one(json!({"kty": "RSA", "n": A2_N, "e": "AQAB"}));
    verifies_only_its_own(
        &key,
        TokenAlgorithm::Rs256,
        &format!("eyJhbGciOiJSUzI1NiJ9.{CLAIMS}"),
        A2_SIGNATURE,
    );

    let key = one(json!({"kty": "EC", "crv": "P-256", "x": A3_X, "y": A3_Y}));
    verifies_only_its_own(
        &key,
        TokenAlgorithm::Es256,
        &format!("eyJhbGciOiJFUzI1NiJ9.{CLAIMS}"),
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
    );
}

#[test]
fn the_example_of_rfc_8037_verifies() {
    let key = one(json!({"kty": "OKP", "crv": "Ed25519", "x": ED25519_X}));
    verifies_only_its_own(
        &key,
        TokenAlgorithm::EdDsa,
        "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
    );
}

#[test]
fn each_algorithm_verifies_with_its_key_and_no_other() {
    for algorithm in TokenAlgorithm::ALL {
        let signature = samples::sign(algorithm, b"message");
        for owner in TokenAlgorithm::ALL {
            let key = samples::public(owner);
            let is_its_own = key == samples::public(algorithm);
            assert_eq!(key.fits(algorithm), is_its_own, "{algorithm:?} {owner:?}");
            assert_eq!(
                key.verifies(algorithm, b"message", &signature),
                is_its_own,
                "{algorithm:?} {owner:?}"
            );
        }
    }
}

#[test]
fn names_of_algorithms_are_read_in_exactly_their_letters() {
    for algorithm in TokenAlgorithm::ALL {
        assert_eq!(
            TokenAlgorithm::of_jose_name(algorithm.jose_name()),
            Some(algorithm)
        );
    }
    assert_eq!(
        TokenAlgorithm::of_jose_name("Ed25519"),
        Some(TokenAlgorithm::EdDsa)
    );
    for name in [
        "", "none", "None", "NONE", "rs256", "Rs256", "RS256 ", "ES512", "ES256K", "Ed448", "PS384",
        "RSA-OAEP",
    ] {
        assert_eq!(TokenAlgorithm::of_jose_name(name), None, "{name}");
    }
    assert!(TokenAlgorithm::ALL.is_sorted());
}

#[test]
fn one_line_end_behind_a_secret_is_not_part_of_it() {
    let secret = [b's'; 32];
    let plain = TokenKey::of_secret(&secret).unwrap();
    for end in ["\n", "\r\n"] {
        assert_eq!(
            TokenKey::of_secret(&[&secret[..], end.as_bytes()].concat()).unwrap(),
            plain
        );
    }
    for more in ["\n\n", " \n", "x"] {
        assert_ne!(
            TokenKey::of_secret(&[&secret[..], more.as_bytes()].concat()).unwrap(),
            plain,
            "{more:?}"
        );
    }
}

#[test]
fn a_secret_is_as_long_as_its_algorithm_asks() {
    let fits = |bytes: usize| {
        let key = TokenKey::of_secret(&vec![1; bytes]).unwrap();
        [
            TokenAlgorithm::Hs256,
            TokenAlgorithm::Hs384,
            TokenAlgorithm::Hs512,
        ]
        .map(|algorithm| key.fits(algorithm))
    };
    assert_eq!(fits(32), [true, false, false]);
    assert_eq!(fits(47), [true, false, false]);
    assert_eq!(fits(48), [true, true, false]);
    assert_eq!(fits(64), [true, true, true]);
    for bytes in [0, 1, 31] {
        let message = TokenKey::of_secret(&vec![1; bytes]).unwrap_err().message;
        assert!(
            message.contains(&format!("{bytes} bytes")) && message.contains("32"),
            "{message}"
        );
    }
    assert!(TokenKey::of_secret(&[&[1; 31][..], b"\n"].concat()).is_err());
    assert!(TokenKey::of_secret(&vec![1; FILE_BYTES_MAX + 1]).is_err());
}

#[test]
fn a_public_key_is_not_taken_for_a_secret() {
    for pem in [
        samples::RSA,
        samples::P256,
        samples::P256_CERTIFICATE,
        samples::RSA_PRIVATE,
    ] {
        assert!(
            TokenKey::of_secret(pem)
                .unwrap_err()
                .message
                .contains("public_key_file")
        );
    }
}

#[test]
fn the_same_key_is_read_from_each_form() {
    let rsa = TokenKey::of_pem(samples::RSA).unwrap();
    assert_eq!(TokenKey::of_pem(samples::RSA_PKCS1).unwrap(), rsa);
    let ec = TokenKey::of_pem(samples::P256).unwrap();
    assert_eq!(TokenKey::of_pem(samples::P256_CERTIFICATE).unwrap(), ec);
    let crlf = String::from_utf8(samples::RSA.to_vec())
        .unwrap()
        .replace('\n', "\r\n");
    let explained = format!("Subject: someone\r\n\r\n{crlf}\r\nand so on\r\n");
    assert_eq!(TokenKey::of_pem(explained.as_bytes()).unwrap(), rsa);
    // A P-256 SubjectPublicKeyInfo ends with the point.
    let point = &der(samples::P256)[26..];
    let (x, y) = point[1..].split_at(32);
    assert_eq!(
        one(json!({"kty": "EC", "crv": "P-256", "x": base64url_of(x), "y": base64url_of(y)})),
        ec
    );
}

#[test]
fn what_is_no_public_key_is_refused_with_its_line() {
    let text = |pem: &[u8]| String::from_utf8(pem.to_vec()).unwrap();
    let rsa = text(samples::RSA);
    let cut = rsa.lines().take(4).collect::<Vec<_>>().join("\n");
    let cases: Vec<(String, usize, &str)> = vec![
        (text(samples::RSA_PRIVATE), 1, "private key"),
        (
            format!("{rsa}{}", text(samples::RSA_OTHER_PRIVATE)),
            10,
            "private key",
        ),
        (rsa.replace("PUBLIC KEY", "RSA PRIVATE KEY"), 1, "private key"),
        (
            rsa.replace("PUBLIC KEY", "ENCRYPTED PRIVATE KEY"),
            1,
            "private key",
        ),
        (rsa.replace("PUBLIC KEY", "OPENSSH PRIVATE KEY"), 1, "private key"),
        (rsa.replace("PUBLIC KEY", "SSH2 KEY"), 1, "not supported"),
        (text(samples::RSA_1024), 1, "1024 bits"),
        (text(samples::P521), 1, "P-256 and P-384"),
        (format!("\n{rsa}{rsa}"), 11, "second"),
        (cut, 1, "cut short"),
        (
            format!("#\n{}", rsa.replace("-----END PUBLIC KEY-----\n", "")),
            2,
            "cut short",
        ),
        (
            rsa.replace("-----END PUBLIC", "-----END RSA PUBLIC"),
            9,
            "no beginning",
        ),
        (rsa.replacen('M', "!", 1), 1, "Base64"),
        (rsa.replace("PUBLIC KEY", "RSA PUBLIC KEY"), 1, "damaged"),
        (rsa.replace("PUBLIC KEY", "CERTIFICATE"), 1, "damaged"),
        (
            "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n".to_owned(),
            1,
            "damaged",
        ),
        (String::new(), 1, "BEGIN PUBLIC KEY"),
        ("ssh-rsa AAAA".to_owned(), 1, "BEGIN PUBLIC KEY"),
    ];
    for (text, line, why) in cases {
        let fault = TokenKey::of_pem(text.as_bytes()).unwrap_err();
        assert!(
            fault.message.contains(why) && fault.line == line,
            "{why}: {fault:?}"
        );
    }
    assert!(
        TokenKey::of_pem(&der(samples::RSA))
            .unwrap_err()
            .message
            .contains("PEM")
    );
    assert!(TokenKey::of_pem(&vec![b'\n'; FILE_BYTES_MAX + 1]).is_err());
}

#[test]
fn an_rsa_key_has_numbers_that_can_be_one() {
    let n = base64url(A2_N);
    let is_key = |n: &[u8], e: &[u8]| Material::rsa(n, e).is_ok();
    assert!(is_key(&n, &[1, 0, 1]));
    assert!(
        is_key(&[&[0, 0], &n[..]].concat(), &[0, 1, 0, 1]),
        "zeros in front change no number"
    );
    assert!(is_key(&n, &[3]));
    assert!(is_key(&n, &[1, 0, 0, 0, 1]));
    for e in [
        &[][..],
        &[0],
        &[1],
        &[0, 1],
        &[2],
        &[1, 0, 0],
        &[2, 0, 0, 0, 1],
        &[1, 0, 0, 0, 0, 1],
    ] {
        assert!(!is_key(&n, e), "{e:?}");
    }
    let even = [&n[..n.len() - 1], &[2]].concat();
    assert!(!is_key(&even, &[3]));
    assert!(!is_key(&n[1..], &[3]));
    assert!(is_key(&[255; 1024], &[3]));
    assert!(!is_key(&[255; 1025], &[3]));
    let halved = [&[n[0] >> 1], &n[1..]].concat();
    assert!(!is_key(&halved, &[3]), "2047 bits");
}

#[test]
fn nothing_secret_is_shown() {
    let secret = "supersecret-supersecret-supersecret";
    let keys = [
        TokenKey::of_secret(secret.as_bytes()).unwrap(),
        one(json!({"kty": "oct", "kid": "a", "k": base64url_of(secret.as_bytes())})),
    ];
    let shown = format!("{keys:?}");
    assert!(
        !shown.contains("supersecret") && !shown.contains("115, 117"),
        "{shown}"
    );
    assert!(shown.contains("Some(\"a\")"), "{shown}");
    let fault = set(&[json!({"kty": "oct", "k": "supersecret"})]).unwrap_err();
    assert!(!format!("{fault:?}").contains("supersecret"));
}

#[test]
fn a_digest_tells_lists_apart() {
    let rsa = TokenKey::of_pem(samples::RSA).unwrap();
    let named = |id: &str| TokenKey {
        id: Some(id.to_owned()),
        ..rsa.clone()
    };
    let bound = TokenKey {
        bound: Some(TokenAlgorithm::Rs256),
        ..rsa.clone()
    };
    let ec = TokenKey::of_pem(samples::P256).unwrap();
    let lists: Vec<Vec<TokenKey>> = vec![
        vec![],
        vec![rsa.clone()],
        vec![rsa.clone(), rsa.clone()],
        vec![named("")],
        vec![named("a")],
        vec![named("b")],
        vec![bound],
        vec![ec.clone()],
        vec![ec.clone(), rsa.clone()],
        vec![rsa, ec],
    ];
    for (at, one) in lists.iter().enumerate() {
        for (other_at, other) in lists.iter().enumerate() {
            assert_eq!(
                TokenKey::digest(one) == TokenKey::digest(other),
                at == other_at,
                "{at} {other_at}"
            );
        }
    }
}
