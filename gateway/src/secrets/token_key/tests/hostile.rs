//! Texts that nobody should write, and bytes at random.

use proptest::prelude::*;

use super::*;
use crate::secrets::token_key::json::{DEPTH_MAX, Json, object};

type Read = fn(&[u8]) -> Result<Material, Reason>;

#[test]
fn json_is_read_as_written_or_not_at_all() {
    let members =
        object(br#"{"a": -1, "b": 18446744073709551615, "c": 1.5, "\u0064": ["\u00e9", null, true]}"#)
            .unwrap();
    let list = vec![Json::Text("é".to_owned()), Json::Null, Json::Bool(true)];
    let expected = [
        ("a", Json::Whole(-1)),
        ("b", Json::Whole(u64::MAX.into())),
        ("c", Json::Fraction(1.5)),
        ("d", Json::List(list)),
    ];
    assert_eq!(
        members,
        expected.map(|(name, value)| (name.to_owned(), value)).into()
    );
    let refused: [&[u8]; 14] = [
        br#"{"a":1,"a":1}"#,
        br#"{"a":1,"\u0061":2}"#,
        br#"{"x":{"a":1,"a":2}}"#,
        br#"{"x":[{"a":1,"a":2}]}"#,
        br#"{"a":1e400}"#,
        br#"{"a":NaN}"#,
        br#"{"a":01}"#,
        br#"{"a":1,}"#,
        br#"{"a":1}{}"#,
        br#"{"a":"\ud800"}"#,
        b"{\"a\":\"\xff\"}",
        b"{\"a\":\"\0\"}",
        b"\xef\xbb\xbf{}",
        b"7",
    ];
    for text in refused {
        assert!(object(text).is_err(), "{}", text.escape_ascii());
    }
    let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    assert!(object(nested(DEPTH_MAX - 1).as_bytes()).is_ok());
    assert!(object(nested(DEPTH_MAX).as_bytes()).is_err());
    assert!(object(nested(100_000).as_bytes()).is_err());
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in ".{0,200}") {
        _ = TokenKey::of_secret(&bytes);
        _ = TokenKey::of_pem(&bytes);
        _ = TokenKey::jwks(&text);
        for label in ["PUBLIC KEY", "RSA PUBLIC KEY", "CERTIFICATE"] {
            use base64::Engine;
            let inside = base64::engine::general_purpose::STANDARD.encode(&bytes);
            let pem = format!("-----BEGIN {label}-----\n{inside}\n-----END {label}-----\n");
            prop_assert!(TokenKey::of_pem(pem.as_bytes()).is_err());
        }
    }

    #[test]
    fn a_key_with_one_byte_changed_is_refused_or_another(
        which in 0..4usize, at in any::<prop::sample::Index>(), flip in 1..=255u8,
    ) {
        let (pem, read): (&[u8], Read) = match which {
            0 => (samples::RSA, der::public_key),
            1 => (samples::P256, der::public_key),
            2 => (samples::ED25519, der::public_key),
            _ => (samples::RSA_PKCS1, der::rsa_public_key),
        };
        let mut bytes = der(pem);
        let sound = read(&bytes).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        if let Ok(other) = read(&bytes) {
            prop_assert!(other != sound, "byte {at}");
        }
        bytes[at] ^= flip;
        prop_assert!(read(&bytes[..bytes.len() - 1]).is_err());
        bytes.push(0);
        prop_assert!(read(&bytes).is_err());
    }
}
