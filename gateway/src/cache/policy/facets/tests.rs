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
fn a_place_in_a_storage_for_others_is_reached_by_itself_and_by_what_is_known_of_it() {
    let url = Resource::parse("https://example.com/a?x=1").unwrap();
    let lines = fields(&[("Cache-Tag", "t")]);
    let known = of_slot(b"one", Some(&url), &lines).unwrap();
    let unknown = of_slot(b"one", None, &lines).unwrap();
    for slot in [&known, &unknown] {
        assert!(slot.0.contains(&slot_facet(b"one")) && !slot.0.contains(&slot_facet(b"two")));
        assert!(reaches(Purge::Tag("t"), slot) && reaches(Purge::All, slot));
    }
    assert!(reaches(Purge::Url("https://example.com/a?y=2"), &known));
    assert!(!reaches(Purge::Url("https://example.com/a?x=1"), &unknown));
}

#[test]
fn tags_are_told_as_they_are_written_and_all_of_them() {
    let lines = [
        ("Cache-Tag", "a, b c"),
        ("Surrogate-Key", "f  g"),
        ("Cache-Groups", "\"h i\""),
    ];
    assert_eq!(tags(&fields(&lines)), ["h i", "a", "b c", "f", "g"]);
    assert!(tags(&fields(&[])).is_empty());
}

#[test]
fn an_object_has_no_more_prefixes_than_can_be_asked_for() {
    let of_depth = |n: usize| {
        object(&format!("https://a{}", "/s".repeat(n)), QueryRule::All, &[])
            .0
            .len()
    };
    // All, the URL, the host and the host with its port.
    let others = 4;
    assert_eq!(of_depth(0), others + 1);
    assert_eq!(of_depth(PREFIX_DEPTH_MAX - 1), others + PREFIX_DEPTH_MAX);
    assert_eq!(of_depth(PREFIX_DEPTH_MAX + 5), others + PREFIX_DEPTH_MAX);
}

// They are in the files of objects: with other hashes, no purge would reach what an earlier version has stored.
#[test]
fn hashes_are_the_ones_that_are_on_disk() {
    let one = |purge: Purge<'_>| purge.facets().unwrap();
    let url = Resource::parse("https://example.com/a?x=1").unwrap();
    assert_eq!(one(Purge::All), [0x4dc5_b0cc_826f_6703]);
    let exact = one(Purge::Url("https://example.com/a?x=1"));
    assert_eq!(exact, [0x2716_d6da_68a2_6339, 0x624a_cbd1_187e_a7a4]);
    assert_eq!(
        one(Purge::Prefix("https://example.com/a")),
        [0x5d5b_30dc_0665_f96d]
    );
    assert_eq!(one(Purge::Host("example.com")), [0x914c_174d_2e7c_2503]);
    assert_eq!(one(Purge::Host("example.com:443")), [0x68a0_a119_60d2_8b35]);
    assert_eq!(one(Purge::Tag("t")), [0x6fc5_34e3_f844_8a48]);
    assert_eq!(group_facet(&url, "g"), 0x920c_ee01_dbf5_15d6);
    assert_eq!(slot_facet(b"one"), 0xd7d2_8194_e397_4cb1);
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
