//! What a 304 and a HEAD make of a stored answer.

use super::*;
use crate::cache::policy::Purge;
use crate::cache::policy::reuse::age_secs;
use crate::cache::policy::tests::{NOW, at, meta, rule, secs, times};
use crate::kit::http_date;

const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const LATER: &str = "Mon, 07 Nov 1994 08:49:37 GMT";

fn stored(lines: &[(&str, &str)]) -> Meta {
    let date = http_date::format(NOW - 1000);
    let mut all = vec![
        ("Date", date.as_str()),
        ("Cache-Control", "max-age=60"),
        ("X-A", "old"),
        ("X-B", "1"),
    ];
    all.extend_from_slice(lines);
    meta(200, &all)
}

fn answer(lines: &[(&str, &str)]) -> Answer {
    let mut answer = Answer {
        status: 304,
        ..Answer::default()
    };
    for (name, value) in lines {
        answer.fields.push(name.as_bytes(), value.as_bytes());
    }
    answer
}

fn after(old: &Meta, lines: &[(&str, &str)], asked_with: &[(&str, &str)]) -> Freshened {
    let request = crate::cache::policy::tests::request(asked_with);
    let rule = rule();
    let exchange = Revalidation {
        request: &request,
        resource: &Resource::of("https", &request),
        rule: &rule,
        asked: &Asked::of(&request),
        times: times(),
        serial: 7,
    };
    freshen(old, &answer(lines), &exchange)
}

fn updated(old: &Meta, lines: &[(&str, &str)]) -> Meta {
    match after(old, lines, &[]) {
        Freshened::Updated(meta) => *meta,
        other => panic!("{other:?}"),
    }
}

fn value<'a>(meta: &'a Meta, name: &'a str) -> Vec<&'a str> {
    meta.fields
        .values_of(name)
        .map(|v| std::str::from_utf8(v).unwrap())
        .collect()
}

#[test]
fn all_fields_are_replaced_but_those_that_are_about_the_bytes() {
    let old = stored(&[
        ("ETag", "\"a\""),
        ("Content-Encoding", "br"),
        ("Content-Type", "text/plain"),
        ("x-a", "older"),
    ]);
    let new = updated(
        &old,
        &[
            ("ETag", "\"a\""),
            ("Cache-Control", "max-age=90"),
            ("x-a", "new"),
            ("X-C", "3"),
            ("Content-Encoding", "gzip"),
            ("Content-Length", "5"),
            ("Content-Type", "text/html"),
            ("Connection", "X-Hop"),
            ("X-Hop", "1"),
            ("Content-Digest", "sha-256=:YQ==:"),
        ],
    );
    assert_eq!(value(&new, "x-a"), ["new"]);
    assert_eq!((value(&new, "x-b"), value(&new, "x-c")), (vec!["1"], vec!["3"]));
    assert_eq!(
        (value(&new, "content-encoding"), value(&new, "content-type")),
        (vec!["br"], vec!["text/html"])
    );
    for gone in ["content-length", "connection", "x-hop", "content-digest"] {
        assert!(value(&new, gone).is_empty(), "{gone}");
    }
    assert_eq!(
        (new.freshness.lifetime, new.serial, new.status),
        (secs(90), 7, 200)
    );
}

#[test]
fn it_is_as_young_as_the_304() {
    let old = stored(&[("ETag", "\"a\"")]);
    let new = updated(&old, &[]);
    assert_eq!(value(&new, "date"), [http_date::format(NOW)]);
    assert_eq!(age_secs(&new.freshness, NOW * 1000), 0);
    let date = http_date::format(NOW - 10);
    let new = updated(&old, &[("Date", &date), ("Age", "20")]);
    assert_eq!(age_secs(&new.freshness, NOW * 1000), 20);
    assert!(value(&new, "age").is_empty());
    assert_eq!(at(NOW).unix_ms(), new.freshness.received_ms);
}

#[test]
fn validators_tell_what_it_is_about() {
    let (tag, weak, both) = (
        stored(&[("ETag", "\"a\"")]),
        stored(&[("ETag", "W/\"a\"")]),
        stored(&[("ETag", "\"a\""), ("Last-Modified", MODIFIED)]),
    );
    let (dated, bare) = (stored(&[("Last-Modified", MODIFIED)]), stored(&[]));
    let is_about =
        |old: &Meta, lines: &[(&str, &str)]| !matches!(after(old, lines, &[]), Freshened::Mismatch);
    let (a, w, b) = (("ETag", "\"a\""), ("ETag", "W/\"a\""), ("ETag", "\"b\""));
    let (same, later) = (("Last-Modified", MODIFIED), ("Last-Modified", LATER));
    for (old, lines, expected) in [
        (&tag, vec![a], true),
        (&tag, vec![b], false),
        (&tag, vec![w], true),
        (&weak, vec![w], true),
        (&weak, vec![a], false),
        (&dated, vec![a], false),
        (&dated, vec![same], true),
        (&dated, vec![later], false),
        (&both, vec![a, later], true),
        (&both, vec![b, same], false),
        (&both, vec![same], true),
        (&both, vec![later], false),
        (&bare, vec![a], false),
        (&tag, vec![], true),
    ] {
        assert_eq!(is_about(old, &lines), expected, "{lines:?}");
    }
}

#[test]
fn what_may_not_be_kept_any_more_answers_once() {
    let old = stored(&[("ETag", "\"a\"")]);
    for (lines, why, about_request) in [
        (("Cache-Control", "no-store"), Unstorable::NoStore, false),
        (("Cache-Control", "private"), Unstorable::Private, false),
        (("Set-Cookie", "a=1"), Unstorable::SetCookie, false),
        (("Vary", "*"), Unstorable::VaryStar, false),
    ] {
        let Freshened::Once { meta, why: found } = after(&old, &[lines], &[]) else {
            panic!("{lines:?}");
        };
        assert_eq!((found, found.is_about_request()), (why, about_request));
        assert!(value(&meta, "set-cookie").is_empty());
    }
    let Freshened::Once { why, .. } = after(&old, &[], &[("Authorization", "x")]) else {
        panic!("kept");
    };
    assert!(why == Unstorable::Authorization && why.is_about_request());
}

#[test]
fn a_new_vary_gives_a_new_variance_and_new_tags_new_facets() {
    let old = stored(&[("ETag", "\"a\""), ("Cache-Tag", "one")]);
    let Freshened::Updated(new) = after(&old, &[("Vary", "X-L"), ("Cache-Tag", "two")], &[("X-L", "de")])
    else {
        panic!("not kept");
    };
    assert_eq!(&*new.vary, &[Box::from("x-l")]);
    assert_eq!(&*new.variance, b"x-l\x01de\n");
    let has = |tag| {
        Purge::Tag(tag)
            .facets()
            .unwrap()
            .iter()
            .all(|f| new.facets.0.contains(f))
    };
    assert!(has("two") && !has("one"));
    let kept = updated(&old, &[]);
    assert!(
        Purge::Tag("one")
            .facets()
            .unwrap()
            .iter()
            .all(|f| kept.facets.0.contains(f))
    );
}

#[test]
fn only_validators_that_can_be_read_are_asked_with() {
    let of = |lines: &[(&str, &str)]| {
        let meta = stored(lines);
        let c = conditions(&meta);
        (
            c.if_none_match.map(<[u8]>::to_vec),
            c.if_modified_since.map(<[u8]>::to_vec),
            c.is_empty(),
        )
    };
    let both = of(&[("ETag", "W/\"a\""), ("Last-Modified", MODIFIED)]);
    assert_eq!(
        both,
        (
            Some(b"W/\"a\"".to_vec()),
            Some(MODIFIED.as_bytes().to_vec()),
            false
        )
    );
    for one in [("ETag", "\"a\""), ("Last-Modified", MODIFIED)] {
        assert!(!of(&[one]).2, "{one:?}");
    }
    assert_eq!(
        of(&[("ETag", "a"), ("Last-Modified", "yesterday")]),
        (None, None, true)
    );
    assert_eq!(of(&[("ETag", "\"a\""), ("ETag", "\"b\"")]), (None, None, true));
}
