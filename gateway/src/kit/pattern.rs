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

    /// The first group that `to` names and this expression does not have. A name without braces goes on for as long as there
    /// are letters, digits and underscores: `$1_old` is the group "1_old".
    pub fn unknown_group<'t>(&self, to: &'t str) -> Option<&'t str> {
        named_groups(to).find(|name| !self.has_group(name))
    }

    /// Whether there is a group of this number or name.
    pub fn has_group(&self, name: &str) -> bool {
        match name.parse::<usize>() {
            Ok(number) => number < self.0.captures_len(),
            Err(_) => self.0.capture_names().flatten().any(|known| known == name),
        }
    }

    /// All groups, as `to` names them: "${1}", "${name}". The first one is the whole match.
    pub fn groups(&self) -> Vec<String> {
        let names = self.0.capture_names().enumerate();
        names
            .map(|(number, name)| {
                name.map_or_else(|| format!("${{{number}}}"), |name| format!("${{{name}}}"))
            })
            .collect()
    }

    /// `haystack` with the first match replaced by `to`, in which `$1` or `${name}` is a group; None without a match.
    pub fn rewrite(&self, haystack: &str, to: &str) -> Option<String> {
        self.0
            .is_match(haystack)
            .then(|| self.0.replace(haystack, to).into_owned())
    }
}

/// What is replaced in `to`, by the rules of the regex crate: `$$` is a dollar, and so is one that nothing fit follows.
fn named_groups(to: &str) -> impl Iterator<Item = &str> {
    let mut rest = to;
    std::iter::from_fn(move || {
        loop {
            let (_, after) = rest.split_once('$')?;
            rest = after;
            if let Some(after) = rest.strip_prefix('$') {
                rest = after;
                continue;
            }
            let named = match rest.strip_prefix('{') {
                Some(braced) => braced.split_once('}'),
                None => {
                    let is_of_name = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
                    let length = rest.bytes().take_while(is_of_name).count();
                    Some(rest.split_at(length)).filter(|(name, _)| !name.is_empty())
                }
            };
            if let Some((name, after)) = named {
                rest = after;
                return Some(name);
            }
        }
    })
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Eq for Pattern {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_group_that_the_expression_does_not_have_is_found() {
        let pattern = Pattern::parse("^/(?<first>[a-z]+)/(.*)$").unwrap();
        assert_eq!(pattern.groups(), ["${0}", "${first}", "${2}"]);
        for (to, unknown) in [
            ("/$0/$1/$2/${first}/$first", None),
            ("/$1_old", Some("1_old")),
            ("/${1}_old", None),
            ("/$3", Some("3")),
            ("/${last}", Some("last")),
            ("/$$3/$/${3", None),
            ("/$$$3", Some("3")),
            ("/${}", Some("")),
            ("/$firsts", Some("firsts")),
            ("/${1}$2/${$first}", Some("$first")),
        ] {
            assert_eq!(pattern.unknown_group(to), unknown, "{to}");
        }
    }

    proptest! {
        #[test]
        fn what_is_said_to_be_named_is_what_is_replaced(to in "[$${}12a_/]{0,12}") {
            // Every group has the same text here; what is named and not there becomes nothing.
            let pattern = Pattern::parse("^(?<a>(=))").unwrap();
            let replaced = pattern.rewrite("=", &to).unwrap();
            let found = named_groups(&to).filter(|name| pattern.has_group(name)).count();
            prop_assert_eq!(replaced.matches('=').count(), found);
        }
    }
}
