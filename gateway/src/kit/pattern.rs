//! A regular expression that can be compared, because a plan must be.

use regex::{Regex, RegexBuilder};

/// What a compiled expression may take of memory: a route's pattern that needs more is a mistake.
const COMPILED_BYTES_MAX: usize = 1 << 20;

/// A compiled regular expression; two are equal when their texts are.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

impl Pattern {
    /// Compiles the text. The message of a failure is for the operator.
    pub fn parse(text: &str) -> Result<Self, String> {
        let compiled = RegexBuilder::new(text).size_limit(COMPILED_BYTES_MAX).build();
        compiled
            .map(Self)
            .map_err(|e| e.to_string().lines().last().unwrap_or_default().to_owned())
    }

    /// The text as written.
    pub fn text(&self) -> &str {
        self.0.as_str()
    }

    /// Whether it is found in `haystack`.
    pub fn is_match(&self, haystack: &str) -> bool {
        self.0.is_match(haystack)
    }

    /// `haystack` with the first match replaced by `to`, in which `$1` or `${name}` is a group; None without a match.
    pub fn rewrite(&self, haystack: &str, to: &str) -> Option<String> {
        self.0
            .is_match(haystack)
            .then(|| self.0.replace(haystack, to).into_owned())
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Eq for Pattern {}
