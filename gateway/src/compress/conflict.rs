//! What a route does to its answers' heads that a coding cannot be reconciled with.

use crate::config::plan::Edits;
use crate::wire::Name;

/// Fields that compressing decides by or changes: a route that sets or removes one of them would have the last word, and
/// the head would not be that of the body any more.
const OURS: [Name; 6] = [
    Name::ContentEncoding,
    Name::ContentLength,
    Name::ContentRange,
    Name::ContentType,
    Name::Etag,
    Name::Vary,
];

/// The first field by which a route's edits forbid to compress its answers; None where they do not.
///
/// To decide for once and all of its answers: an edit is not known to an answer's author, so no look at the answer finds
/// it. A Vary that is added stands beside ours, and both are one list (RFC 9110 §5.3); of the others a second line is as
/// wrong as another one.
pub fn conflict(edits: &Edits) -> Option<&str> {
    let is_ours = |name: &str| {
        let known = Name::of(name.as_bytes());
        OURS.contains(&known) || super::fit::is_proof(name.as_bytes())
    };
    let is_vary = |name: &str| Name::of(name.as_bytes()) == Name::Vary;
    let removed = edits.remove.iter().map(String::as_str).find(|name| is_ours(name));
    let set = || {
        edits
            .set
            .iter()
            .map(|(name, _)| name.as_str())
            .find(|name| is_ours(name))
    };
    let added = || {
        let mut names = edits.add.iter().map(|(name, _)| name.as_str());
        names.find(|name| is_ours(name) && !is_vary(name))
    };
    let forbidding = || {
        let says_so = |text: &str| text.to_ascii_lowercase().contains("no-transform");
        let mut lines = edits.set.iter().chain(&edits.add);
        lines
            .find(|(name, value)| Name::of(name.as_bytes()) == Name::CacheControl && says_so(value.text()))
            .map(|(name, _)| name.as_str())
    };
    removed.or_else(set).or_else(added).or_else(forbidding)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::template::Template;

    fn edits(remove: &[&str], set: &[(&str, &str)], add: &[(&str, &str)]) -> Edits {
        let lines = |lines: &[(&str, &str)]| {
            let line = |(name, value): &(&str, &str)| ((*name).to_owned(), Template::parse(value).unwrap());
            lines.iter().map(line).collect()
        };
        Edits {
            remove: remove.iter().map(|name| (*name).to_owned()).collect(),
            set: lines(set),
            add: lines(add),
        }
    }

    #[test]
    fn what_a_coding_changes_or_is_chosen_by_is_not_for_edits_to_change() {
        assert_eq!(conflict(&Edits::default()), None);
        let harmless = [("Cache-Control", "max-age=60"), ("X-Frame-Options", "DENY")];
        assert_eq!(conflict(&edits(&["server"], &harmless, &harmless)), None);
        assert_eq!(conflict(&edits(&["etag"], &[], &[])), Some("etag"));
        for name in [
            "Content-Type",
            "content-encoding",
            "ETag",
            "Content-MD5",
            "Repr-Digest",
        ] {
            assert_eq!(conflict(&edits(&[], &[(name, "x")], &[])), Some(name));
            assert_eq!(conflict(&edits(&[], &[], &[(name, "x")])), Some(name));
        }
    }

    #[test]
    fn a_vary_may_be_added_but_not_set_or_removed() {
        let vary = [("Vary", "Origin")];
        assert_eq!(conflict(&edits(&[], &[], &vary)), None);
        assert_eq!(conflict(&edits(&[], &vary, &[])), Some("Vary"));
        assert_eq!(conflict(&edits(&["vary"], &[], &[])), Some("vary"));
    }

    #[test]
    fn an_operator_s_own_no_transform_is_obeyed() {
        let told = [("Cache-Control", "public, No-Transform")];
        assert_eq!(conflict(&edits(&[], &told, &[])), Some("Cache-Control"));
        assert_eq!(conflict(&edits(&[], &[], &told)), Some("Cache-Control"));
    }
}
