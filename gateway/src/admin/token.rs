//! The bearer token of the admin address.

use std::fmt;
use std::path::PathBuf;

use crate::config::plan;
use crate::wire::{Fields, Name};

/// What a request has to show. None is asked for where only this machine can reach the address.
#[derive(Clone, Debug)]
pub struct Token(Option<Vec<u8>>);

/// A token file that cannot be used.
#[derive(Debug)]
pub struct TokenFault {
    path: PathBuf,
    why: String,
}

impl fmt::Display for TokenFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "admin.token_file {}: {}; put one long random word in it",
            self.path.display(),
            self.why
        )
    }
}

impl std::error::Error for TokenFault {}

/// Shorter ones can be guessed.
const TOKEN_BYTES_MIN: usize = 16;

impl Token {
    /// Reads the token of a configuration.
    ///
    /// # Errors
    /// A file that cannot be read, or that holds no token worth the name.
    pub fn of(admin: Option<&plan::Admin>) -> Result<Self, TokenFault> {
        let Some(path) = admin.and_then(|a| a.token_file.clone()) else {
            return Ok(Self(None));
        };
        let fault = |why: String| TokenFault {
            path: path.clone(),
            why,
        };
        let text = std::fs::read_to_string(&path).map_err(|e| fault(e.to_string()))?;
        let token = text.trim();
        if token.len() < TOKEN_BYTES_MIN || !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(fault(format!(
                "it holds no token of at least {TOKEN_BYTES_MIN} printable characters"
            )));
        }
        Ok(Self(Some(token.as_bytes().to_vec())))
    }

    /// Whether one is asked for.
    pub fn is_asked_for(&self) -> bool {
        self.0.is_some()
    }

    /// Whether a request shows it.
    pub fn admits(&self, fields: &Fields) -> bool {
        let Some(token) = &self.0 else { return true };
        let shown = fields.first(Name::Authorization).unwrap_or_default();
        let is_bearer = shown.len() > 7 && shown[..7].eq_ignore_ascii_case(b"bearer ");
        is_bearer && equal(&shown[7..], token)
    }
}

/// Takes the same time wherever the first difference is.
fn equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differs, (x, y)| differs | (x ^ y)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_admits() {
        let token = Token(Some(b"0123456789abcdef".to_vec()));
        let shown = |value: &str| {
            let mut fields = Fields::default();
            fields.push(b"Authorization", value.as_bytes());
            token.admits(&fields)
        };
        assert!(shown("Bearer 0123456789abcdef") && shown("bearer 0123456789abcdef"));
        assert!(!shown("Bearer 0123456789abcde") && !shown("Basic 0123456789abcdef") && !shown("Bearer "));
        assert!(!token.admits(&Fields::default()));
    }
}
