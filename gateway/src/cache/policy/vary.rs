//! By which of a request's fields an answer was chosen (RFC 9111 §4.1).

use xxhash_rust::xxh3::xxh3_128_with_seed;

use crate::kit::accept;
use crate::wire::syntax;
use crate::wire::{Fields, Name};

/// Names in one Vary. Each is looked up in each request for the URL; nobody who means well needs as many.
const NAMES_MAX: usize = 32;

/// Separates a name from the values behind it. No name and no value has it: it is a control byte.
const VALUE: u8 = 0x01;

/// Ends a name and its values.
const END: u8 = b'\n';

/// The codings an origin is told of, in the order in which we like them.
const CODINGS: [&str; 3] = ["zstd", "br", "gzip"];

/// The field names of Vary in lower case, sorted, each once; empty where there is no Vary.
///
/// None where no request can match: RFC 9111 §4.1: "A stored response with a Vary header field value containing a member
/// "*" always fails to match." What is no field name, or too many of them, is treated likewise.
pub fn names(fields: &Fields) -> Option<Box<[Box<str>]>> {
    let mut names: Vec<Box<str>> = Vec::new();
    for name in fields.tokens(Name::Vary) {
        if name == b"*" || !syntax::is_token(name) || names.len() == NAMES_MAX {
            return None;
        }
        names.push(
            String::from_utf8_lossy(name)
                .to_ascii_lowercase()
                .into_boxed_str(),
        );
    }
    names.sort_unstable();
    names.dedup();
    Some(names.into_boxed_slice())
}

/// Appends what a request has in these fields. Two requests match if and only if they give the same bytes.
///
/// §4.1 allows to normalise "in a way that is known to have identical semantics". Accept-Encoding goes further, which
/// is sound because origins are only ever sent the normal form. A field that is not there differs from an empty one.
pub fn write_variance(out: &mut Vec<u8>, names: &[Box<str>], fields: &Fields) {
    for name in names {
        out.extend_from_slice(name.as_bytes());
        match &**name {
            "accept-encoding" => {
                out.push(VALUE);
                out.extend_from_slice(normal_accept_encoding(fields).as_bytes());
            }
            "accept-language" => write_languages(out, fields),
            _ => {
                for value in fields.values_of(name) {
                    out.push(VALUE);
                    out.extend_from_slice(value);
                }
            }
        }
        out.push(END);
    }
}

/// RFC 9110 §12.5.4: language ranges have no case (RFC 4647 §2), and space around commas and semicolons means nothing.
fn write_languages(out: &mut Vec<u8>, fields: &Fields) {
    if fields.first_of("accept-language").is_none() {
        return;
    }
    out.push(VALUE);
    let start = out.len();
    for element in fields.values_of("accept-language").flat_map(syntax::tokens) {
        if out.len() > start {
            out.push(b',');
        }
        let bytes = element.iter().filter(|b| !matches!(b, b' ' | b'\t'));
        out.extend(bytes.map(u8::to_ascii_lowercase));
    }
}

/// The one form of an Accept-Encoding that is compared and sent to the origin.
///
/// It keeps which of zstd, br and gzip the client takes (and does not like less than the plain form), and whether the
/// plain form will do. What is lost is which of them it likes best, and codings no origin should be asked for.
pub fn normal_accept_encoding(fields: &Fields) -> &'static str {
    const FORMS: [&str; 16] = [
        "identity",
        "zstd",
        "br",
        "zstd, br",
        "gzip",
        "zstd, gzip",
        "br, gzip",
        "zstd, br, gzip",
        "identity;q=0",
        "zstd, identity;q=0",
        "br, identity;q=0",
        "zstd, br, identity;q=0",
        "gzip, identity;q=0",
        "zstd, gzip, identity;q=0",
        "br, gzip, identity;q=0",
        "zstd, br, gzip, identity;q=0",
    ];
    if fields.first(Name::AcceptEncoding).is_none() {
        return FORMS[0];
    }
    let taken = accept::codings(fields.tokens(Name::AcceptEncoding), &CODINGS);
    let refuses_plain = usize::from(!taken.identity) << CODINGS.len();
    FORMS[taken.wanted.iter().fold(refuses_plain, |form, at| form | 1 << at)]
}

/// The hash of what [`write_variance`] has written; 0 for nothing, and only for that.
pub fn variance(text: &[u8], seed: u64) -> u128 {
    match text {
        [] => 0,
        _ => xxh3_128_with_seed(text, seed).max(1),
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

    fn named(value: &str) -> Option<Vec<String>> {
        let names = names(&fields(&[("Vary", value)]))?;
        Some(names.iter().map(|n| n.to_string()).collect())
    }

    fn written(name: &str, lines: &[(&str, &str)]) -> Vec<u8> {
        let mut out = Vec::new();
        write_variance(&mut out, &[name.into()], &fields(lines));
        out
    }

    #[test]
    fn names_are_sorted_and_said_once() {
        let expected = ["accept", "cookie", "x-a"].map(str::to_owned).to_vec();
        assert_eq!(named("Cookie, X-A,, accept , COOKIE"), Some(expected));
        assert_eq!(names(&fields(&[("Vary", "b"), ("vary", "A")])).unwrap().len(), 2);
        assert_eq!(names(&fields(&[])), Some(Box::default()));
    }

    #[test]
    fn a_star_or_what_is_no_name_matches_nothing() {
        for bad in ["*", "accept, *", "a b", "\"a\"", "a;b"] {
            assert_eq!(named(bad), None, "{bad}");
        }
        let many: Vec<_> = (0..=NAMES_MAX).map(|n| format!("x-{n}")).collect();
        assert_eq!(named(&many.join(",")), None);
    }

    #[test]
    fn absent_is_not_empty_and_two_lines_are_not_one() {
        let all = [
            written("x", &[]),
            written("x", &[("X", "")]),
            written("x", &[("X", ""), ("X", "")]),
            written("x", &[("X", "a, b")]),
            written("x", &[("X", "a"), ("X", "b")]),
            written("y", &[]),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(all[at + 1..].iter().all(|other| other != one), "{at}");
        }
        assert_eq!(written("accept-language", &[]), b"accept-language\n");
        assert_ne!(
            written("accept-language", &[("Accept-Language", "")]),
            b"accept-language\n"
        );
    }

    #[test]
    fn languages_are_compared_without_case_and_space() {
        let normal = |v: &str| written("accept-language", &[("Accept-Language", v)]);
        assert_eq!(normal("de-DE , en; q=0.5"), normal("DE-de,en;q=0.5"));
        assert_eq!(
            normal("de, en"),
            written(
                "accept-language",
                &[("Accept-Language", "de"), ("accept-language", "en")]
            )
        );
        assert_ne!(normal("de, en"), normal("en, de"));
        // Where one ends and the next begins counts.
        assert_ne!(normal("de, en"), normal("deen"));
        assert_ne!(normal("de, en, fr"), normal("de, enfr"));
        // The bytes are in files on disk, and compared with what a later version writes.
        assert_eq!(
            normal("de-DE , en; q=0.5"),
            b"accept-language\x01de-de,en;q=0.5\n"
        );
    }

    #[test]
    fn encodings_are_compared_in_their_form() {
        let normal = |v: &str| written("accept-encoding", &[("Accept-Encoding", v)]);
        assert_eq!(normal("gzip;q=0.9, deflate, br"), normal("br,gzip"));
        assert_eq!(normal("gzip, br"), b"accept-encoding\x01br, gzip\n");
        assert_eq!(written("accept-encoding", &[]), normal("identity"));
        assert_ne!(normal("gzip"), normal("br"));
    }

    #[test]
    fn accept_encoding_has_sixteen_forms() {
        let form = |v: &str| normal_accept_encoding(&fields(&[("Accept-Encoding", v)]));
        for (value, expected) in [
            ("gzip, deflate, br, zstd", "zstd, br, gzip"),
            ("gzip, deflate", "gzip"),
            ("x-gzip;q=0.5", "gzip"),
            ("br;q=0, gzip", "gzip"),
            ("", "identity"),
            ("deflate", "identity"),
            ("identity, gzip;q=0.5", "identity"),
            ("*", "zstd, br, gzip"),
            ("*;q=0", "identity;q=0"),
            ("br, identity;q=0", "br, identity;q=0"),
            ("gzip, *;q=0", "gzip, identity;q=0"),
        ] {
            assert_eq!(form(value), expected, "{value}");
        }
        assert_eq!(normal_accept_encoding(&fields(&[])), "identity");
    }

    proptest! {
        #[test]
        fn the_normal_form_is_its_own_normal_form(value in "(zstd|br|gzip|identity|\\*|deflate)(;q=(0|1|0\\.5))?(, ?(zstd|br|gzip|identity|\\*)(;q=(0|1|0\\.5))?){0,4}") {
            let once = normal_accept_encoding(&fields(&[("Accept-Encoding", &value)]));
            prop_assert_eq!(normal_accept_encoding(&fields(&[("Accept-Encoding", once)])), once);
        }

        #[test]
        fn only_nothing_has_the_hash_zero(text in proptest::collection::vec(any::<u8>(), 0..20), seed: u64) {
            prop_assert_eq!(variance(&text, seed) == 0, text.is_empty());
        }

        #[test]
        fn different_fields_are_told_apart(a in proptest::collection::vec("[ab, ]{0,3}", 0..3), b in proptest::collection::vec("[ab, ]{0,3}", 0..3)) {
            let lines = |values: &[String]| values.iter().map(|v| ("X", v.trim().to_owned())).collect::<Vec<_>>();
            let text = |values: &[(&str, String)]| written("x", &values.iter().map(|(n, v)| (*n, v.as_str())).collect::<Vec<_>>());
            prop_assert_eq!(text(&lines(&a)) == text(&lines(&b)), lines(&a) == lines(&b));
        }
    }
}
