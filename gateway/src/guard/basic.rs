//! Users who show a name and a password: RFC 7617.

mod checks;
mod successes;

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::secrets::htpasswd::NAME_BYTES_MAX;
use crate::wire::{Fields, Name};

pub use checks::{CHECKS_AT_ONCE_MAX, CHECKS_WAITING_MAX, Checked, Checks};
pub use successes::{Login, SUCCESS_LIFETIME, SUCCESSES_MAX, Successes};

/// Bytes of a password. No person types more, and hashing takes time for each of them.
pub const PASSWORD_BYTES_MAX: usize = 1024;

/// Letters of name, colon and password in base64.
const ENCODED_BYTES_MAX: usize = (NAME_BYTES_MAX + 1 + PASSWORD_BYTES_MAX).div_ceil(3) * 4;

/// Why a request shows no name and password. All of them are answered with the challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BasicFault {
    /// There is no Authorization: nobody has asked the user yet.
    Missing,
    /// There are several, and each reader would believe another one.
    Repeated,
    /// Authorization is of another scheme.
    Scheme,
    /// Which rule was broken.
    Malformed(&'static str),
}

impl fmt::Display for BasicFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "no Authorization",
            Self::Repeated => "more than one Authorization",
            Self::Scheme => "an Authorization of another scheme than Basic",
            Self::Malformed(rule) => rule,
        })
    }
}

/// The name and the password of the one Authorization field.
///
/// Both are UTF-8, as the challenge asks for, and hold no control characters. The name has 1 to 255 bytes and no colon,
/// the password up to [`PASSWORD_BYTES_MAX`].
pub fn credentials(fields: &Fields) -> Result<(String, String), BasicFault> {
    let mut values = fields.values(Name::Authorization);
    let value = values.next().ok_or(BasicFault::Missing)?;
    if values.next().is_some() {
        return Err(BasicFault::Repeated);
    }
    let text = decode(encoded(value)?)?;
    // RFC 7617 §2: a name with a colon in it is invalid, "as the first colon ... separates" the two.
    let (name, password) = text
        .split_once(':')
        .ok_or(BasicFault::Malformed("no colon behind the user's name"))?;
    if name.is_empty() {
        return Err(BasicFault::Malformed("no user's name"));
    }
    if name.len() > NAME_BYTES_MAX || password.len() > PASSWORD_BYTES_MAX {
        return Err(BasicFault::Malformed("a longer name or password than there is"));
    }
    Ok((name.to_owned(), password.to_owned()))
}

/// What stands behind the scheme. RFC 9110 §11.4: the scheme has no case, and one space or more separate it.
fn encoded(value: &[u8]) -> Result<&[u8], BasicFault> {
    let end = value.iter().position(|b| *b == b' ').unwrap_or(value.len());
    let (scheme, rest) = value.split_at(end);
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return Err(BasicFault::Scheme);
    }
    Ok(rest.trim_ascii_start())
}

fn decode(encoded: &[u8]) -> Result<String, BasicFault> {
    if encoded.len() > ENCODED_BYTES_MAX {
        return Err(BasicFault::Malformed("a longer name or password than there is"));
    }
    let bytes = STANDARD
        .decode(encoded)
        .map_err(|_| BasicFault::Malformed("credentials that are not base64"))?;
    let text =
        String::from_utf8(bytes).map_err(|_| BasicFault::Malformed("credentials that are not UTF-8"))?;
    // RFC 7617 §2: "The user-id and password MUST NOT contain any control characters".
    if text.chars().any(char::is_control) {
        return Err(BasicFault::Malformed("a control character in a name or password"));
    }
    Ok(text)
}

/// Appends the value of WWW-Authenticate that asks for a name and a password.
pub fn challenge(realm: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"Basic realm=\"");
    for byte in realm.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            byte if byte.is_ascii_control() => out.push(b' '),
            byte => out.push(byte),
        }
    }
    // RFC 7617 §2.1: how names and passwords are to be encoded, for those clients that ask.
    out.extend_from_slice(b"\", charset=\"UTF-8\"");
}

#[cfg(test)]
mod tests;
