//! Where a request carries its token.

use crate::config::plan::Jwt;
use crate::wire::Fields;
use crate::wire::name::Name;

/// Why there is no token to judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoToken {
    /// There is none.
    Missing,
    /// There may be several, and who is behind us may take another than we.
    Ambiguous,
}

impl NoToken {
    /// As logs name it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Ambiguous => "ambiguous",
        }
    }
}

/// The text of the one token: of `Authorization: Bearer`, or of the policy's cookie where there is no Authorization.
///
/// # Errors
/// There is none, or more than one Authorization, or more than one cookie of that name.
pub fn bearer<'a>(fields: &'a Fields, policy: &Jwt) -> Result<&'a [u8], NoToken> {
    match only(fields.values(Name::Authorization)) {
        Ok(credentials) => of_scheme(credentials).ok_or(NoToken::Missing),
        Err(NoToken::Ambiguous) => Err(NoToken::Ambiguous),
        Err(NoToken::Missing) => match &policy.cookie {
            Some(name) => of_cookie(fields, name),
            None => Err(NoToken::Missing),
        },
    }
}

/// RFC 9110 §11.1: the scheme's name has no case, and a space stands behind it.
fn of_scheme(credentials: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = credentials.split_at_checked(b"Bearer ".len())?;
    let token = &rest[rest.iter().take_while(|byte| **byte == b' ').count()..];
    (scheme.eq_ignore_ascii_case(b"Bearer ") && !token.is_empty()).then_some(token)
}

/// RFC 6265 §4.2.2: a client may send two of a name, and nothing says which of them it means. Whoever can set a cookie
/// for a sibling of this host can add one.
fn of_cookie<'a>(fields: &'a Fields, name: &str) -> Result<&'a [u8], NoToken> {
    match only(fields.cookies(name))? {
        [] => Err(NoToken::Missing),
        value => Ok(value),
    }
}

fn only<'a>(mut values: impl Iterator<Item = &'a [u8]>) -> Result<&'a [u8], NoToken> {
    let first = values.next().ok_or(NoToken::Missing)?;
    match values.next() {
        None => Ok(first),
        Some(_) => Err(NoToken::Ambiguous),
    }
}
