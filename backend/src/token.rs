//! Access tokens: JWT (RFC 7519) signed with HMAC-SHA-256, and no other kind.
//!
//! The header of a token is one constant. A token with any other header is refused before anything in it is read, so
//! `alg` is not for the sender to choose (RFC 8725, section 3.1).

use base64ct::{Base64UrlUnpadded, Encoding};
use ring::hmac;
use ring::rand::SystemRandom;
use serde::{Deserialize, Serialize};

use crate::calendar::Timestamp;

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// The user's id.
    pub sub: i64,
    /// The user's name.
    pub name: String,
    /// When it was issued, in seconds since the epoch.
    pub iat: i64,
    /// From when on it is worthless, in seconds since the epoch.
    pub exp: i64,
}

/// Signs tokens, and recognises its own.
pub struct Key(hmac::Key);

/// Why a token is refused; the sender learns no more than that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not of the form that this service issues.
    Malformed,
    /// Not signed with this key.
    Forged,
    /// Its time is over.
    Expired,
}

/// RFC 7518, section 3.2: "A key of the same size as the hash output … or larger MUST be used".
pub const KEY_BYTES_MIN: usize = 32;

/// `{"alg":"HS256","typ":"JWT"}`
const HEADER: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";

impl Key {
    /// A key that dies with this process. Fails if the machine has no randomness.
    pub fn random() -> Option<Key> {
        hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .ok()
            .map(Key)
    }

    /// A key shared by all that know `secret`, if that is long enough.
    pub fn from_secret(secret: &[u8]) -> Option<Key> {
        (secret.len() >= KEY_BYTES_MIN).then(|| Key(hmac::Key::new(hmac::HMAC_SHA256, secret)))
    }

    /// A token that says `claims`.
    pub fn sign(&self, claims: &Claims) -> String {
        let claims = serde_json::to_vec(claims).expect("numbers and text are always JSON");
        let signed = format!("{HEADER}.{}", Base64UrlUnpadded::encode_string(&claims));
        let signature = hmac::sign(&self.0, signed.as_bytes());
        format!(
            "{signed}.{}",
            Base64UrlUnpadded::encode_string(signature.as_ref())
        )
    }

    /// What a token says, if it is ours and still good at `now`. The signature is compared in constant time, and before
    /// the claims are read.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Claims, Refusal> {
        let (signed, signature) = token.rsplit_once('.').ok_or(Refusal::Malformed)?;
        let claims = signed
            .strip_prefix(HEADER)
            .and_then(|rest| rest.strip_prefix('.'))
            .ok_or(Refusal::Malformed)?;
        let signature = Base64UrlUnpadded::decode_vec(signature).map_err(|_| Refusal::Malformed)?;
        hmac::verify(&self.0, signed.as_bytes(), &signature).map_err(|_| Refusal::Forged)?;
        let claims = Base64UrlUnpadded::decode_vec(claims).map_err(|_| Refusal::Malformed)?;
        let claims: Claims = serde_json::from_slice(&claims).map_err(|_| Refusal::Malformed)?;
        // RFC 7519, section 4.1.4: "the current date/time MUST be before the expiration date/time".
        if now.unix() < claims.exp {
            Ok(claims)
        } else {
            Err(Refusal::Expired)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::from_unix(1_000);

    fn key() -> Key {
        Key::from_secret(b"a secret of thirty-two bytes or so").unwrap()
    }

    fn claims() -> Claims {
        Claims {
            sub: 7,
            name: "ada".to_owned(),
            iat: 900,
            exp: 1_001,
        }
    }

    #[test]
    fn a_token_says_what_was_signed_until_it_expires() {
        let token = key().sign(&claims());
        assert_eq!(key().verify(&token, NOW), Ok(claims()));
        assert_eq!(
            key().verify(&token, Timestamp::from_unix(1_001)),
            Err(Refusal::Expired)
        );
    }

    #[test]
    fn the_header_is_the_one_that_is_documented() {
        let header = Base64UrlUnpadded::decode_vec(HEADER).unwrap();
        assert_eq!(header, br#"{"alg":"HS256","typ":"JWT"}"#);
    }

    #[test]
    fn another_key_or_another_algorithm_is_refused() {
        let other = Key::from_secret(&[7; KEY_BYTES_MIN]).unwrap();
        assert_eq!(key().verify(&other.sign(&claims()), NOW), Err(Refusal::Forged));

        let token = key().sign(&claims());
        let (_, payload_and_signature) = token.split_once('.').unwrap();
        for header in [
            r#"{"alg":"none"}"#,
            r#"{"alg":"HS512","typ":"JWT"}"#,
            r#"{"typ":"JWT","alg":"HS256"}"#,
        ] {
            let header = Base64UrlUnpadded::encode_string(header.as_bytes());
            assert_eq!(
                key().verify(&format!("{header}.{payload_and_signature}"), NOW),
                Err(Refusal::Malformed)
            );
        }
        let (signed, _) = token.rsplit_once('.').unwrap();
        assert_eq!(key().verify(&format!("{signed}."), NOW), Err(Refusal::Forged));
    }

    #[test]
    fn a_short_secret_makes_no_key() {
        assert!(Key::from_secret(&[7; KEY_BYTES_MIN - 1]).is_none());
    }

    proptest! {
        #[test]
        fn a_token_with_any_one_byte_changed_is_refused(at in any::<prop::sample::Index>(), byte in 0x21u8..0x7f) {
            let token = key().sign(&claims());
            let mut forged = token.into_bytes();
            let at = at.index(forged.len());
            prop_assume!(forged[at] != byte);
            forged[at] = byte;
            prop_assert!(key().verify(std::str::from_utf8(&forged).unwrap(), NOW).is_err());
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in ".*") {
            prop_assert!(key().verify(&text, NOW).is_err());
        }
    }
}
