//! Which purge reaches which object.

use proptest::prelude::*;

use super::*;
use crate::cache::policy::tests::rule;

fn fields(lines: &[(&str, &str)]) -> Fields {
    let mut fields = Fields::default();
    for (name, value) in lines {
        fields.push(name.as_bytes(), value.as_bytes());
    }
    fields
}

fn object(url: &str, query: QueryRule, lines: &[(&str, &str)]) -> Facets {
    let mut rule = rule();
    rule.key.query = query;
    of_object(&Resource::parse(url).unwrap(), &rule, &fields(lines)).unwrap()
}

fn reaches(purge: Purge<'_>, object: &Facets) -> bool {
    purge.facets().unwrap().iter().any(|f| object.0.contains(f))
}

#[test]
fn a_url_reaches_its_object_in_any_spelling_and_no_other() {
    let page = object("https://example.com/a/b?x=1", QueryRule::All, &[]);
    for url in [
        "https://example.com/a/b?x=1",
        "HTTPS://EXAMPLE.com:443/a/./%62?x=1#f",
    ] {
        assert!(reaches(Purge::Url(url), &page), "{url}");
    }
    for url in [
        "https://example.com/a/b",
        "https://example.com/a/b?x=2",
        "http://example.com/a/b?x=1",
        "https://example.com:8443/a/b?x=1",
        "https://example.com/a?x=1",
    ] {
        assert!(!reaches(Purge::Url(url), &page), "{url}");
    }
}

#[test]
fn an_object_for_many_queries_is_reached_by_each() {
    for rule in [
        QueryRule::None,
        QueryRule::Only(vec!["a".to_owned()]),
        QueryRule::Except(vec!["utm_*".to_owned()]),
    ] {
        let page = object("https://example.com/a?utm_x=1", rule, &[]);
        assert!(reaches(Purge::Url("https://example.com/a"), &page));
        assert!(reaches(Purge::Url("https://example.com/a?b=2"), &page));
        assert!(!reaches(Purge::Url("https://example.com/b"), &page));
    }
}

#[test]
fn a_prefix_ends_where_a_segment_ends() {
    let page = object("https://example.com/a/b/c?x", QueryRule::All, &[]);
    for url in [
        "https://example.com",
        "https://example.com/",
        "https://example.com/a",
        "https://example.com/a/",
        "https://example.com/a/b",
        "https://example.com/a/b/c",
    ] {
        assert!(reaches(Purge::Prefix(url), &page), "{url}");
    }
    for url in [
        "https://example.com/a/b/c/d",
        "https://example.com/a/bb",
        "https://example.com/b",
        "http://example.com/a",
    ] {
        assert!(!reaches(Purge::Prefix(url), &page), "{url}");
    }
    assert!(reaches(
        Purge::Prefix("https://example.com/a"),
        &object("https://example.com/a/", QueryRule::All, &[])
    ));
}

#[test]
fn a_deep_object_is_reached_by_every_prefix_that_is_accepted() {
    let deep = format!("https://example.com{}", "/s".repeat(PREFIX_DEPTH_MAX + 5));
    let page = object(&deep, QueryRule::All, &[]);
    for depth in 0..PREFIX_DEPTH_MAX {
        assert!(
            reaches(
                Purge::Prefix(&format!("https://example.com{}", "/s".repeat(depth))),
                &page
            ),
            "{depth}"
        );
    }
    let too_deep = format!("https://example.com{}", "/s".repeat(PREFIX_DEPTH_MAX));
    assert!(Purge::Prefix(&too_deep).facets().is_err());
}

#[test]
fn a_host_is_meant_on_every_port_unless_one_is_named() {
    let page = object("https://example.com:8443/", QueryRule::All, &[]);
    assert!(reaches(Purge::Host("Example.com."), &page) && reaches(Purge::Host("example.com:8443"), &page));
    assert!(!reaches(Purge::Host("example.com:443"), &page) && !reaches(Purge::Host("com"), &page));
    let plain = object("https://example.com/", QueryRule::All, &[]);
    assert!(
        reaches(Purge::Host("example.com:443"), &plain) && !reaches(Purge::Host("example.com:80"), &plain)
    );
}

#[test]
fn tags_come_from_three_fields() {
    let lines = [
        ("Cache-Tag", "a, b c ,, d"),
        ("cache-tag", "e"),
        ("Surrogate-Key", "f  g"),
        ("Cache-Groups", "\"h i\", \"j\";x"),
    ];
    let page = object("https://example.com/", QueryRule::All, &lines);
    for tag in ["a", "b c", "d", "e", "f", "g", "h i", "j", " j "] {
        assert!(reaches(Purge::Tag(tag), &page), "{tag}");
    }
    for tag in ["A", "b", "h", "f  g", "example.com"] {
        assert!(!reaches(Purge::Tag(tag), &page), "{tag}");
    }
    assert!(reaches(Purge::All, &page));
}

#[test]
fn a_group_belongs_to_its_origin() {
    let page = object(
        "https://example.com/",
        QueryRule::All,
        &[("Cache-Groups", "\"g\"")],
    );
    let has = |url: &str| page.0.contains(&group_facet(&Resource::parse(url).unwrap(), "g"));
    assert!(has("https://example.com/other"));
    assert!(!has("http://example.com/") && !has("https://example.org/") && !has("https://example.com:8443/"));
}

#[test]
fn a_groups_field_that_does_not_parse_names_nothing() {
    let page = object(
        "https://example.com/",
        QueryRule::All,
        &[("Cache-Groups", "\"g\", h")],
    );
    assert!(!reaches(Purge::Tag("g"), &page));
}

#[test]
fn an_answer_that_could_not_be_purged_by_all_its_tags_is_not_kept() {
    let tags = |n: usize| (0..n).map(|t| t.to_string()).collect::<Vec<_>>().join(",");
    let of = |n| {
        of_object(
            &Resource::parse("https://a/").unwrap(),
            &rule(),
            &fields(&[("Cache-Tag", &tags(n))]),
        )
    };
    assert!(of(TAGS_MAX).is_ok());
    assert_eq!(of(TAGS_MAX + 1), Err(Unstorable::Tags));
}

#[test]
fn what_cannot_be_read_is_answered_with_what_to_write() {
    for (purge, hint) in [
        (Purge::Url("example.com/a"), "https://example.com/path"),
        (Purge::Prefix("/a"), "https://example.com/path"),
        (Purge::Prefix("https://a/b?c"), "question mark"),
        (Purge::Host("a b"), "example.com:8443"),
        (Purge::Host("https://a"), "example.com:8443"),
        (Purge::Tag("  "), "Cache-Tag"),
    ] {
        let message = purge.facets().unwrap_err();
        assert!(message.contains(hint), "{message}");
    }
}

proptest! {
    #[test]
    fn a_prefix_reaches_what_a_naive_reading_reaches(path in "(/[ab]{1,2}){0,4}/?", prefix in "(/[ab]{1,2}){0,4}/?") {
        let page = object(&format!("https://h{path}"), QueryRule::All, &[]);
        let slashed = |p: &str| format!("{}/", p.trim_end_matches('/'));
        let expected = slashed(&path).starts_with(&slashed(&prefix));
        prop_assert_eq!(reaches(Purge::Prefix(&format!("https://h{prefix}")), &page), expected);
    }
}
