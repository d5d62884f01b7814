//! What compressing an answer changes in its head.

use crate::config::plan::Coding;
use crate::kit::etag::{self, Comparison, EntityTag};
use crate::wire::{Fields, Name};

/// Makes the head of an answer that of its compressed form. The body must follow in that coding.
///
/// * Content-Encoding names the coding.
/// * Vary names Accept-Encoding.
/// * Content-Length goes: it would be that of other bytes. So does Accept-Ranges: they would be ranges of other bytes.
/// * A strong ETag becomes weak. RFC 9110 §8.8.3.3: tags of two codings of one resource must differ if they are strong,
///   or parts of both would be put together. Weak, If-None-Match still finds it (§13.1.2 compares weakly), and If-Match
///   and If-Range fail, as they must. One that is no entity tag goes: nobody can tell what it promises.
///
/// All other fields stay, Content-Type among them.
pub fn edit(fields: &mut Fields, coding: Coding) {
    fields.remove(Name::ContentLength.text());
    fields.remove(Name::AcceptRanges.text());
    fields.push(b"Content-Encoding", coding.name().as_bytes());
    says_vary(fields);
    weaken(fields);
}

/// Adds Accept-Encoding to Vary: for an answer in plain form that another client would get compressed.
///
/// RFC 9110 §12.5.5: without it a cache on the way gives either form to everybody. `*` says more already.
pub fn says_vary(fields: &mut Fields) {
    let mut names = Vec::new();
    for name in fields.tokens(Name::Vary) {
        if name == b"*" || name.eq_ignore_ascii_case(b"accept-encoding") {
            return;
        }
        names.extend_from_slice(name);
        names.extend_from_slice(b", ");
    }
    names.extend_from_slice(b"Accept-Encoding");
    fields.remove(Name::Vary.text());
    fields.push(b"Vary", &names);
}

/// Mends a 304 for a client that holds a compressed form: one that asked by the weak tag it was given.
///
/// RFC 9111 §4.3.4: a 304 with a strong tag freshens only what was stored under that tag, so the client would have to
/// throw away what it has. `request` is the client's head. Any other 304 stays as it is: nothing tells which form the
/// client holds, or that there is another.
pub fn not_modified(fields: &mut Fields, request: &Fields) {
    let holds = |how| {
        let current = fields.first(Name::Etag).and_then(EntityTag::parse);
        current.is_some() && etag::any_matches(request.values(Name::IfNoneMatch), current, how)
    };
    if holds(Comparison::Weak) && !holds(Comparison::Strong) {
        weaken(fields);
        says_vary(fields);
    }
}

fn weaken(fields: &mut Fields) {
    let mut lines = fields.values(Name::Etag);
    let weak = match (lines.next(), lines.next()) {
        (None, _) => return,
        (Some(line), None) => match EntityTag::parse(line) {
            Some(tag) if tag.weak => return,
            Some(_) => Some([b"W/", line].concat()),
            None => None,
        },
        // Two tags are none: clients differ in which they take.
        (Some(_), Some(_)) => None,
    };
    drop(lines);
    fields.remove(Name::Etag.text());
    if let Some(weak) = weak {
        fields.push(b"ETag", &weak);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fields(lines: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::default();
        for (name, value) in lines {
            fields.push(name.as_bytes(), value.as_bytes());
        }
        fields
    }

    fn text(fields: &Fields) -> Vec<String> {
        let line = |f: crate::wire::Field<'_>| [f.name, b": ", f.value].concat();
        fields
            .iter()
            .map(|f| String::from_utf8(line(f)).unwrap())
            .collect()
    }

    #[test]
    fn the_head_of_the_compressed_form() {
        let mut f = fields(&[
            ("Content-Type", "text/html; charset=utf-8"),
            ("content-length", "5000"),
            ("ETag", "\"abc\""),
            ("Accept-Ranges", "bytes"),
            ("Vary", "Origin"),
            ("Cache-Control", "max-age=60"),
        ]);
        edit(&mut f, Coding::Brotli);
        assert_eq!(
            text(&f),
            [
                "Content-Type: text/html; charset=utf-8",
                "Cache-Control: max-age=60",
                "Content-Encoding: br",
                "Vary: Origin, Accept-Encoding",
                "ETag: W/\"abc\"",
            ]
        );
    }

    #[test]
    fn vary_is_merged_and_never_doubled() {
        for (before, after) in [
            (&[][..], "Accept-Encoding"),
            (&["Origin"], "Origin, Accept-Encoding"),
            (
                &["Origin", "Accept ,, X-A"],
                "Origin, Accept, X-A, Accept-Encoding",
            ),
            (&["", ","], "Accept-Encoding"),
            (&["X-Accept-Encoding"], "X-Accept-Encoding, Accept-Encoding"),
        ] {
            let mut f = Fields::default();
            before.iter().for_each(|v| f.push(b"vary", v.as_bytes()));
            says_vary(&mut f);
            says_vary(&mut f);
            assert_eq!(text(&f), [format!("Vary: {after}")]);
        }
        for kept in ["*", "Origin, *", "accept-encoding", "Origin,Accept-Encoding"] {
            let mut f = fields(&[("Vary", kept)]);
            says_vary(&mut f);
            assert_eq!(text(&f), [format!("Vary: {kept}")]);
        }
    }

    #[test]
    fn a_tag_becomes_weak_once_and_one_that_is_none_goes() {
        for (before, after) in [
            (&[][..], None),
            (&["\"a\""], Some("W/\"a\"")),
            (&["\"\""], Some("W/\"\"")),
            (&["W/\"a\""], Some("W/\"a\"")),
            (&["a"], None),
            (&["w/\"a\""], None),
            (&["\"a\"b"], None),
            (&["\"a\", \"b\""], None),
            (&["\"a\"", "\"a\""], None),
        ] {
            let mut f = Fields::default();
            before.iter().for_each(|v| f.push(b"ETag", v.as_bytes()));
            edit(&mut f, Coding::Gzip);
            let tag = f
                .first(Name::Etag)
                .map(|t| String::from_utf8(t.to_vec()).unwrap());
            assert_eq!(tag.as_deref(), after, "{before:?}");
        }
    }

    #[test]
    fn conditions_see_the_compressed_form_as_the_same_but_not_byte_for_byte() {
        let mut f = fields(&[("ETag", "\"a\"")]);
        edit(&mut f, Coding::Zstd);
        let held = f.first(Name::Etag).unwrap();
        let origin = EntityTag::parse(b"\"a\"");
        let asks = |how| etag::any_matches(std::iter::once(held), origin, how);
        assert!(asks(Comparison::Weak), "If-None-Match: 304 is right");
        assert!(!asks(Comparison::Strong), "If-Match, If-Range: never");
    }

    #[test]
    fn a_304_is_mended_only_for_who_holds_the_compressed_form() {
        for (asked, tag, after) in [
            ("W/\"a\"", "\"a\"", "W/\"a\""),
            ("\"x\", W/\"a\"", "\"a\"", "W/\"a\""),
            ("\"a\"", "\"a\"", "\"a\""),
            ("W/\"a\", \"a\"", "\"a\"", "\"a\""),
            ("*", "\"a\"", "\"a\""),
            ("W/\"b\"", "\"a\"", "\"a\""),
            ("", "\"a\"", "\"a\""),
        ] {
            let mut f = fields(&[("ETag", tag)]);
            not_modified(&mut f, &fields(&[("If-None-Match", asked)]));
            assert_eq!(f.first(Name::Etag).unwrap(), after.as_bytes(), "{asked}");
            assert_eq!(f.first(Name::Vary).is_some(), after != tag, "{asked}");
        }
        let mut f = fields(&[("Date", "x")]);
        not_modified(&mut f, &fields(&[("If-None-Match", "*")]));
        assert_eq!(f.len(), 1);
    }

    proptest! {
        #[test]
        fn editing_keeps_every_line_it_is_not_about(
            lines in proptest::collection::vec(("(X-[A-C]|ETag|Vary|Content-Length|Link)", "[a-z\"*/W, ]{0,8}"), 0..8)
        ) {
            let lines: Vec<_> = lines.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            let kept = |f: &Fields| {
                let mut kept = text(f);
                kept.retain(|l| l.starts_with("X-") || l.starts_with("Link"));
                kept
            };
            let mut f = fields(&lines);
            let before = kept(&f);
            edit(&mut f, Coding::Gzip);
            prop_assert_eq!(kept(&f), before);
            prop_assert!(f.first(Name::ContentLength).is_none());
            prop_assert!(f.values(Name::Etag).count() <= 1);
            prop_assert!(f.first(Name::Etag).is_none_or(|t| t.starts_with(b"W/\"")));
            let covers = |n: &[u8]| n == b"*" || n.eq_ignore_ascii_case(b"accept-encoding");
            prop_assert_eq!(f.tokens(Name::Vary).any(covers), true);
        }
    }
}
