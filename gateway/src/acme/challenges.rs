//! What an authority may ask us for right now (RFC 8555 §8.3).

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::RwLock;

/// Where an authority asks.
const PREFIX: &str = "/.well-known/acme-challenge/";

/// Answers at once: ten orders of a hundred names.
const ANSWERS_MAX: usize = 1_000;

/// Bytes of a token. Authorities send 43.
const TOKEN_BYTES_MAX: usize = 256;

/// The answers that are expected of us; empty but for some seconds every other month.
#[derive(Default)]
pub struct Challenges {
    /// How many there are, so that requests need no lock to find none.
    pending: AtomicUsize,
    answers: RwLock<HashMap<Box<str>, Answer>>,
}

struct Answer {
    text: Arc<str>,
    /// Orders that wait for it: of two for the same name an authority may ask the same.
    holders: usize,
}

/// An answer that can be had for as long as this lives.
pub struct Posted {
    challenges: Arc<Challenges>,
    token: Box<str>,
}

impl Challenges {
    /// Answers a token with a text. None if it is no token, or there are too many.
    pub fn post(self: &Arc<Self>, token: &str, text: &str) -> Option<Posted> {
        // §8.1: "It MUST NOT contain any characters outside the base64url alphabet".
        let is_of_token = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        if token.is_empty() || token.len() > TOKEN_BYTES_MAX || !token.bytes().all(is_of_token) {
            return None;
        }
        let mut answers = self.answers.write();
        if answers.len() >= ANSWERS_MAX && !answers.contains_key(token) {
            return None;
        }
        let answer = answers.entry(token.into()).or_insert_with(|| Answer {
            text: text.into(),
            holders: 0,
        });
        answer.holders += 1;
        self.pending.store(answers.len(), Ordering::Release);
        Some(Posted {
            challenges: Arc::clone(self),
            token: token.into(),
        })
    }

    /// What is answered at a path. One atomic is read while nothing is expected of us.
    pub fn find(&self, path: &str) -> Option<Arc<str>> {
        if self.pending.load(Ordering::Acquire) == 0 {
            return None;
        }
        let token = path.strip_prefix(PREFIX)?;
        let answers = self.answers.read();
        answers.get(token).map(|answer| Arc::clone(&answer.text))
    }
}

impl Drop for Posted {
    fn drop(&mut self) {
        let mut answers = self.challenges.answers.write();
        if let Some(answer) = answers.get_mut(&self.token) {
            answer.holders -= 1;
            if answer.holders == 0 {
                answers.remove(&self.token);
            }
        }
        self.challenges.pending.store(answers.len(), Ordering::Release);
    }
}

impl fmt::Debug for Challenges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Challenges")
            .field("pending", &self.pending.load(Ordering::Relaxed))
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Posted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Posted").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(challenges: &Challenges, token: &str) -> Option<String> {
        challenges
            .find(&format!("{PREFIX}{token}"))
            .map(|text| text.to_string())
    }

    #[test]
    fn an_answer_can_be_had_by_its_exact_path_while_somebody_holds_it() {
        let challenges = Arc::new(Challenges::default());
        assert_eq!(asked(&challenges, "abc"), None);
        let posted = challenges.post("abc", "abc.thumb").unwrap();
        let again = challenges.post("abc", "abc.thumb").unwrap();
        let other = challenges.post("other", "other.thumb").unwrap();
        assert_eq!(asked(&challenges, "abc").as_deref(), Some("abc.thumb"));
        for path in ["abcd", "ab", "", "abc/", "x/../abc", "ABC"] {
            assert_eq!(asked(&challenges, path), None, "{path}");
        }
        assert_eq!(challenges.find("/abc"), None);
        drop(posted);
        assert!(asked(&challenges, "abc").is_some());
        drop(again);
        assert_eq!(asked(&challenges, "abc"), None);
        assert!(asked(&challenges, "other").is_some());
        drop(other);
        assert_eq!(challenges.pending.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_is_no_token_is_not_taken_nor_more_than_fit() {
        let challenges = Arc::new(Challenges::default());
        for token in ["", "a/b", "a.b", "ä", "a b", &"a".repeat(TOKEN_BYTES_MAX + 1)] {
            assert!(challenges.post(token, "x").is_none(), "{token}");
        }
        let held: Vec<_> = (0..ANSWERS_MAX)
            .map(|n| challenges.post(&n.to_string(), "x").unwrap())
            .collect();
        assert!(challenges.post("more", "x").is_none());
        assert!(challenges.post("0", "x").is_some());
        drop(held);
        assert!(challenges.post("more", "x").is_some());
    }
}
