//! Entity tags (RFC 9110 §8.8.3) and the lists of them in If-Match and If-None-Match.

/// One entity tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntityTag<'a> {
    /// Whether it came with `W/`.
    pub weak: bool,
    /// What stands between the quotes.
    pub opaque: &'a [u8],
}

/// How two tags are compared (RFC 9110 §8.8.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// Equal, and neither is weak.
    Strong,
    /// Equal, weak or not.
    Weak,
}

impl<'a> EntityTag<'a> {
    /// Reads exactly one tag, without anything around it.
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let (tag, rest) = first(text)?;
        rest.is_empty().then_some(tag)
    }

    /// Whether both stand for the same representation.
    pub fn matches(self, other: Self, how: Comparison) -> bool {
        match how {
            Comparison::Strong => !self.weak && !other.weak && self.opaque == other.opaque,
            Comparison::Weak => self.opaque == other.opaque,
        }
    }
}

/// Whether the values of If-Match or If-None-Match name the current representation, or "*" for any.
///
/// `current` is None where the representation has no tag; "*" matches it all the same, because it exists.
pub fn any_matches<'v>(
    values: impl Iterator<Item = &'v [u8]>,
    current: Option<EntityTag<'_>>,
    how: Comparison,
) -> bool {
    let names = |tag: EntityTag<'_>| current.is_some_and(|c| c.matches(tag, how));
    values
        .into_iter()
        .any(|value| value.trim_ascii() == b"*" || tags(value).any(names))
}

/// The tags of a list. It ends at the first thing that is none: what follows cannot be told apart any more.
///
/// A general list splitter would not do: a tag may hold a comma, and a backslash in it escapes nothing.
fn tags(value: &[u8]) -> impl Iterator<Item = EntityTag<'_>> {
    let mut rest = value;
    std::iter::from_fn(move || {
        let separators = rest.iter().take_while(|b| matches!(**b, b',' | b' ' | b'\t'));
        rest = &rest[separators.count()..];
        let (tag, after) = first(rest)?;
        rest = after.trim_ascii_start();
        matches!(rest.first(), None | Some(b',')).then_some(tag)
    })
}

/// RFC 9110 §8.8.3: `entity-tag = [ weak ] opaque-tag`, `etagc = %x21 / %x23-7E / obs-text`.
fn first(text: &[u8]) -> Option<(EntityTag<'_>, &[u8])> {
    let (weak, quoted) = match text.strip_prefix(b"W/") {
        Some(quoted) => (true, quoted),
        None => (false, text),
    };
    let body = quoted.strip_prefix(b"\"")?;
    let end = body.iter().position(|b| *b == b'"')?;
    let (opaque, rest) = (&body[..end], &body[end + 1..]);
    let legal = opaque.iter().all(|b| *b > 0x20 && *b != 0x7f);
    legal.then_some((EntityTag { weak, opaque }, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(value: &str, current: &str, how: Comparison) -> bool {
        let current = EntityTag::parse(current.as_bytes());
        any_matches(std::iter::once(value.as_bytes()), current, how)
    }

    #[test]
    fn the_table_of_the_rfc_holds() {
        // RFC 9110 §8.8.3.2, its four examples in order: left, right, strong, weak.
        for (left, right, strong, weak) in [
            ("W/\"1\"", "W/\"1\"", false, true),
            ("W/\"1\"", "W/\"2\"", false, false),
            ("W/\"1\"", "\"1\"", false, true),
            ("\"1\"", "\"1\"", true, true),
        ] {
            assert_eq!(matches(left, right, Comparison::Strong), strong, "{left} {right}");
            assert_eq!(matches(left, right, Comparison::Weak), weak, "{left} {right}");
        }
    }

    #[test]
    fn a_tag_is_found_in_a_list_whatever_else_the_tags_hold() {
        for list in [
            "\"a\"",
            " , \"x\" ,\"a\"",
            "\"x,\\\", \"a\"",
            "W/\"\", \"a\",",
            "*",
        ] {
            assert!(matches(list, "\"a\"", Comparison::Strong), "{list}");
        }
        for list in ["", "a", "\"a", "w/\"a\"", "\"a\"x", "\"b\" \"a\"", "\"A\"", "**"] {
            assert!(!matches(list, "\"a\"", Comparison::Weak), "{list}");
        }
    }

    #[test]
    fn a_star_matches_even_what_has_no_tag() {
        assert!(any_matches(std::iter::once(&b"*"[..]), None, Comparison::Strong));
        assert!(!any_matches(
            std::iter::once(&b"\"a\""[..]),
            None,
            Comparison::Weak
        ));
    }

    proptest! {
        #[test]
        fn a_list_matches_when_one_of_its_tags_does(
            list in proptest::collection::vec("(W/)?\"[a-c,\\\\]{0,2}\"", 1..5),
            current in "\"[a-c,\\\\]{0,2}\"",
        ) {
            let strong = list.contains(&current);
            let weak = list.iter().any(|tag| tag.trim_start_matches("W/") == current);
            let joined = list.join(", ");
            prop_assert_eq!(matches(&joined, &current, Comparison::Strong), strong);
            prop_assert_eq!(matches(&joined, &current, Comparison::Weak), weak);
        }
    }
}
