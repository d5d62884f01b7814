//! Clients that show a key in a field.

use std::fmt;

use crate::config::plan::Keys;
use crate::secrets::api_keys::KEY_BYTES_MAX;
use crate::wire::Fields;

/// Why nobody is known by a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFault {
    /// There is no such field.
    Missing,
    /// There are several, and each reader would believe another one.
    Repeated,
    /// It is nobody's key.
    Unknown,
}

impl fmt::Display for KeyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "no key",
            Self::Repeated => "more than one key",
            Self::Unknown => "nobody's key",
        })
    }
}

/// Whose key the request shows.
///
/// In the field `authorization` a key may stand behind the word `Bearer`, as most clients can only send it there.
pub fn owner<'a>(fields: &Fields, policy: &'a Keys) -> Result<&'a str, KeyFault> {
    let mut values = fields.values_of(&policy.header);
    let value = values.next().ok_or(KeyFault::Missing)?;
    if values.next().is_some() {
        return Err(KeyFault::Repeated);
    }
    let key = match policy.header.eq_ignore_ascii_case("authorization") {
        true => without_scheme(value),
        false => value,
    };
    if key.is_empty() {
        return Err(KeyFault::Missing);
    }
    // No key is longer, so that a field of many kilobytes need not be hashed.
    if key.len() > KEY_BYTES_MAX {
        return Err(KeyFault::Unknown);
    }
    policy.keys.owner(key).ok_or(KeyFault::Unknown)
}

/// RFC 6750 §2.1; the scheme has no case (RFC 9110 §11.1).
fn without_scheme(value: &[u8]) -> &[u8] {
    const SCHEME: &[u8] = b"bearer ";
    match value.split_at_checked(SCHEME.len()) {
        Some((scheme, key)) if scheme.eq_ignore_ascii_case(SCHEME) => key.trim_ascii(),
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::ApiKeys;
    use proptest::prelude::*;
    use std::path::PathBuf;
    use std::sync::Arc;

    fn policy(header: &str) -> Keys {
        Keys {
            header: header.to_owned(),
            file: PathBuf::from("keys"),
            keys: Arc::new(ApiKeys::parse("alice:0123456789abcdef\nbob:fedcba9876543210").unwrap()),
            forward_name: None,
        }
    }

    fn fields(lines: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::default();
        for (name, value) in lines {
            fields.push(name.as_bytes(), value.as_bytes());
        }
        fields
    }

    #[test]
    fn one_key_in_the_one_field_has_an_owner() {
        let policy = policy("x-api-key");
        let ask = |lines: &[(&str, &str)]| owner(&fields(lines), &policy);
        assert_eq!(ask(&[("X-Api-Key", "0123456789abcdef")]), Ok("alice"));
        assert_eq!(ask(&[("a", "b"), ("x-api-key", "fedcba9876543210")]), Ok("bob"));
        assert_eq!(ask(&[]), Err(KeyFault::Missing));
        assert_eq!(ask(&[("X-Api-Key", "")]), Err(KeyFault::Missing));
        assert_eq!(ask(&[("X-Api-Key", "0123456789abcdeX")]), Err(KeyFault::Unknown));
        assert_eq!(ask(&[("X_Api_Key", "0123456789abcdef")]), Err(KeyFault::Missing));
        assert_eq!(
            ask(&[("X-Api-Key", "Bearer 0123456789abcdef")]),
            Err(KeyFault::Unknown)
        );
        assert_eq!(
            ask(&[("X-Api-Key", &"k".repeat(KEY_BYTES_MAX + 1))]),
            Err(KeyFault::Unknown)
        );
        let twice = [
            ("X-Api-Key", "0123456789abcdef"),
            ("x-api-key", "0123456789abcdef"),
        ];
        assert_eq!(ask(&twice), Err(KeyFault::Repeated));
    }

    #[test]
    fn the_longest_key_there_may_be_is_one() {
        let longest = "k".repeat(KEY_BYTES_MAX);
        let policy = Keys {
            keys: Arc::new(ApiKeys::parse(&format!("carol:{longest}")).unwrap()),
            ..policy("x-api-key")
        };
        assert_eq!(owner(&fields(&[("X-Api-Key", &longest)]), &policy), Ok("carol"));
    }

    #[test]
    fn in_authorization_it_may_stand_behind_bearer() {
        let policy = policy("authorization");
        let ask = |value| owner(&fields(&[("Authorization", value)]), &policy);
        for fine in [
            "0123456789abcdef",
            "Bearer 0123456789abcdef",
            "bearer  0123456789abcdef",
        ] {
            assert_eq!(ask(fine), Ok("alice"), "{fine}");
        }
        assert_eq!(ask("Bearer "), Err(KeyFault::Missing));
        assert_eq!(ask("Basic 0123456789abcdef"), Err(KeyFault::Unknown));
    }

    proptest! {
        #[test]
        fn no_value_makes_it_panic(value: Vec<u8>) {
            let mut fields = Fields::default();
            fields.push(b"Authorization", &value);
            prop_assert!(owner(&fields, &policy("authorization")).is_err());
        }
    }
}
