//! The claims of a token (RFC 7519 §4): who it is for, when it holds, and what it says.

use std::time::Duration;

use super::TokenFault;
use crate::config::plan::Jwt;
use crate::secrets::token_key::json::{self, Json, Members};

/// Bytes of a claim's text. Longer ones are not told: few origins read a longer field.
const CLAIM_TEXT_BYTES_MAX: usize = 8 * 1024;

/// How far ahead `iat` may be beyond the leeway. It decides nothing, and clocks differ; a token that claims to come from
/// much later comes from a clock that is wrong about its end, too.
const ISSUED_AHEAD_MAX: Duration = Duration::from_secs(600);

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// What a token says that was signed, is for us, and is from its issuer. Its times are judged at each use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// Names and texts of what can be told, sorted by name.
    texts: Box<[(Box<str>, Box<str>)]>,
    expires_at: Moment,
    not_before: Option<Moment>,
    issued_at: Option<Moment>,
}

/// RFC 7519 §2, NumericDate, in nanoseconds since the Unix epoch. The limits of the type stand for what lies beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Moment(i128);

impl Claims {
    /// Reads a payload whose signature has been checked.
    pub(super) fn read(payload: &[u8], policy: &Jwt) -> Result<Self, TokenFault> {
        let members = json::object(payload).map_err(|_| TokenFault::Malformed)?;
        check_parties(&members, policy)?;
        let texts = members
            .iter()
            .filter_map(|(name, value)| Some((name.as_str().into(), text_of(value)?.into())));
        Ok(Self {
            texts: texts.collect(),
            expires_at: moment(&members, "exp")?.ok_or(TokenFault::NoExpiry)?,
            not_before: moment(&members, "nbf")?,
            issued_at: moment(&members, "iat")?,
        })
    }

    /// Whether the token's time has come and is not over; `leeway` is how far clocks may differ.
    ///
    /// # Errors
    /// [`TokenFault::Expired`] or [`TokenFault::NotYet`].
    pub fn check_times(&self, leeway: Duration, now_unix: Duration) -> Result<(), TokenFault> {
        let now = Moment::at(now_unix);
        // RFC 7519 §4.1.4: "on or after which the JWT MUST NOT be accepted".
        if now >= self.expires_at.plus(leeway) {
            return Err(TokenFault::Expired);
        }
        // RFC 7519 §4.1.5: "before which the JWT MUST NOT be accepted".
        let latest = now.plus(leeway);
        let is_early = self.not_before.is_some_and(|from| from > latest);
        let is_from_later = self
            .issued_at
            .is_some_and(|at| at > latest.plus(ISSUED_AHEAD_MAX));
        if is_early || is_from_later {
            Err(TokenFault::NotYet)
        } else {
            Ok(())
        }
    }

    /// A claim as a field's value can tell it, and as limits count by it: always visible ASCII, with spaces inside only.
    ///
    /// Strings are as they are, but for `%`, characters beyond ASCII and spaces at the ends, which are percent-encoded:
    /// two claims that differ have texts that differ. Whole numbers and booleans are as in JSON. Lists are joined by
    /// commas, and commas in their elements are percent-encoded. None for a claim that is not there, is empty, `null`, an
    /// object, has control characters, is a number with a fraction or beyond 64 bits, is too long, or is a list with such
    /// an element.
    pub fn text(&self, name: &str) -> Option<&str> {
        let at = self
            .texts
            .binary_search_by(|(other, _)| (**other).cmp(name))
            .ok()?;
        Some(&self.texts[at].1)
    }

    /// When it ends, since the Unix epoch and without leeway.
    pub fn expires_at(&self) -> Duration {
        let ns = u128::try_from(self.expires_at.0).unwrap_or(0);
        // 584 years fit; the cache asks for nothing later.
        u64::try_from(ns).map_or(Duration::MAX, Duration::from_nanos)
    }

    /// Roughly the bytes it holds.
    pub(super) fn bytes(&self) -> usize {
        let texts: usize = self
            .texts
            .iter()
            .map(|(name, text)| name.len() + text.len())
            .sum();
        size_of::<Self>() + size_of_val(&*self.texts) + texts
    }
}

impl Moment {
    fn at(since_epoch: Duration) -> Self {
        Self(i128::try_from(since_epoch.as_nanos()).unwrap_or(i128::MAX))
    }

    fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(Self::at(by).0))
    }
}

/// RFC 7519 §4.1.1 and §4.1.3.
fn check_parties(members: &Members, policy: &Jwt) -> Result<(), TokenFault> {
    if let Some(issuer) = &policy.issuer
        && members.get("iss").and_then(Json::as_text) != Some(issuer)
    {
        return Err(TokenFault::Issuer);
    }
    let is_ours = |value: &Json| {
        value
            .as_text()
            .is_some_and(|aud| policy.audience.iter().any(|ours| ours == aud))
    };
    let is_for_us = match members.get("aud") {
        // One that is no string is no audience, and who writes such a list is not understood.
        Some(Json::List(list)) => list.iter().all(|aud| aud.as_text().is_some()) && list.iter().any(is_ours),
        Some(single) => is_ours(single),
        None => false,
    };
    if policy.audience.is_empty() || is_for_us {
        Ok(())
    } else {
        Err(TokenFault::Audience)
    }
}

fn moment(members: &Members, name: &str) -> Result<Option<Moment>, TokenFault> {
    match members.get(name) {
        None => Ok(None),
        Some(Json::Whole(seconds)) => Ok(Some(Moment(seconds.saturating_mul(1_000_000_000)))),
        // What is too large for the type becomes its limit; JSON has no NaN.
        #[expect(
            clippy::cast_possible_truncation,
            reason = "saturates, which is what is wanted"
        )]
        Some(Json::Fraction(seconds)) => Ok(Some(Moment((seconds * 1e9) as i128))),
        Some(Json::Null | Json::Bool(_) | Json::Text(_) | Json::List(_) | Json::Object(_)) => {
            Err(TokenFault::Malformed)
        }
    }
}

fn text_of(value: &Json) -> Option<String> {
    let mut out = String::new();
    match value {
        Json::List(elements) => {
            for (at, element) in elements.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write(element, true, &mut out)?;
            }
        }
        single => write(single, false, &mut out)?,
    }
    (!out.is_empty() && out.len() <= CLAIM_TEXT_BYTES_MAX).then_some(out)
}

fn write(value: &Json, is_element: bool, out: &mut String) -> Option<()> {
    match value {
        Json::Text(text) => write_string(text, is_element, out),
        Json::Whole(number) => {
            out.push_str(&number.to_string());
            Some(())
        }
        Json::Bool(value) => {
            out.push_str(if *value { "true" } else { "false" });
            Some(())
        }
        // A fraction's text depends on who reads it, and two numbers beyond 64 bits may be one double.
        Json::Null | Json::Fraction(_) | Json::List(_) | Json::Object(_) => None,
    }
}

fn write_string(text: &str, is_element: bool, out: &mut String) -> Option<()> {
    if text.chars().any(char::is_control) {
        return None;
    }
    let last = text.len().saturating_sub(1);
    for (at, byte) in text.bytes().enumerate() {
        let is_plain = match byte {
            // A reader of fields takes spaces off both ends (RFC 9110 §5.5): "a" and "a " would be one user.
            b' ' => at != 0 && at != last,
            b'%' => false,
            b',' => !is_element,
            byte => byte.is_ascii_graphic(),
        };
        if is_plain {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    Some(())
}
