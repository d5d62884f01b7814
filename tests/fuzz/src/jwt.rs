//! Tokens: none holds that was not signed with the key, and what was signed is judged by what it says.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gateway::config::plan::{Jwt, TokenKeys};
use gateway::guard::token::{Keys, Terms, Verified, judge};
use gateway::secrets::{TokenAlgorithm, TokenKey};
use ring::hmac;

const SECRET: &[u8] = b"a secret of sixty-four bytes, which is what HS512 asks for, no less";
const NOW: Duration = Duration::from_secs(1_700_000_000);

/// The bytes as a token, and as header and payload (parted by a line end) of one that is signed as it should be.
pub fn target(data: &[u8]) {
    let key = TokenKey::of_secret(SECRET).expect("a secret that is long enough");
    let terms = Terms::new(policy(&key));
    as_token(data, &key, &terms);
    let (header, payload) = match data.iter().position(|b| *b == b'\n') {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (&br#"{"alg":"HS256"}"#[..], data),
    };
    let token = signed(header, payload);
    if as_token(&token, &key, &terms) {
        // Another bit anywhere, and it holds no more.
        for at in [0, token.len() / 3, token.len() / 2, token.len() - 2] {
            let mut other = token.clone();
            other[at] = if other[at] == b'A' { b'Q' } else { b'A' };
            assert!(judge(&other, std::slice::from_ref(&key), terms.policy(), NOW).is_err());
        }
    }
}

/// Whether it holds; if so, the signature is right by another reading, and it is not over.
fn as_token(text: &[u8], key: &TokenKey, terms: &Terms) -> bool {
    let keys = std::slice::from_ref(key);
    let verdict = judge(text, keys, terms.policy(), NOW);
    let verified = Verified::new(16);
    let kept = Keys::given(keys);
    for _ in 0..2 {
        let again = verified.judge(text, &kept, terms, NOW);
        assert_eq!(again.as_ref().map(|_| ()), verdict.as_ref().map(|_| ()));
    }
    let Ok(claims) = verdict else { return false };
    let parts: Vec<&[u8]> = text.split(|b| *b == b'.').collect();
    let [header, payload, signature] = parts[..] else {
        panic!("a token of {} parts", parts.len())
    };
    let message = [header, b".", payload].concat();
    let signature = URL_SAFE_NO_PAD
        .decode(signature)
        .expect("a signature that was checked");
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), &message, &signature)
        .expect("signed with the key");
    let payload = URL_SAFE_NO_PAD.decode(payload).expect("a payload that was read");
    let said: serde_json::Value = serde_json::from_slice(&payload).expect("claims are JSON");
    assert!(
        said["exp"].as_f64().is_some_and(|exp| exp >= NOW.as_secs_f64()),
        "{said}"
    );
    assert!(said["iss"] == "issuer" && claims.expires_at() >= NOW, "{said}");
    for (name, value) in said.as_object().into_iter().flatten() {
        let told = claims.text(name);
        assert!(
            told.is_none_or(|t| t.bytes().all(|b| (b' '..=b'~').contains(&b))
                && t.trim() == t
                && !t.is_empty())
        );
        assert!(
            told.is_none() || !(value.is_object() || value.is_null()),
            "{name}"
        );
    }
    true
}

fn signed(header: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut token = URL_SAFE_NO_PAD.encode(header);
    token.push('.');
    token.push_str(&URL_SAFE_NO_PAD.encode(payload));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), token.as_bytes());
    token.push('.');
    token.push_str(&URL_SAFE_NO_PAD.encode(tag));
    token.into_bytes()
}

fn policy(key: &TokenKey) -> Jwt {
    Jwt {
        keys: TokenKeys::Given {
            file: PathBuf::from("hmac.secret"),
            keys: Arc::new(vec![key.clone()]),
        },
        algorithms: vec![TokenAlgorithm::of_jose_name("HS256").expect("a name of RFC 7518")],
        issuer: Some("issuer".to_owned()),
        audience: Vec::new(),
        leeway: Duration::ZERO,
        cookie: None,
        forward_claims: [("sub", "x-user"), ("a", "x-a"), ("exp", "x-exp")]
            .map(|(claim, field)| (claim.to_owned(), field.to_owned()))
            .to_vec(),
    }
}
