//! Which directives are read from which field.

use super::*;
use crate::cache::policy::control::Expires;

fn control(lines: &[(&str, &str)]) -> AnswerControl {
    AnswerControl::of(&fields(lines))
}

fn cache_control(value: &str) -> AnswerControl {
    control(&[("Cache-Control", value)])
}

fn lifetime(lines: &[(&str, &str)]) -> Option<u64> {
    control(lines).lifetime(NOW).map(|d| d.as_secs())
}

#[test]
fn directives_are_read_in_any_case_and_unknown_ones_ignored() {
    let read = cache_control(
        "PUBLIC, Max-Age=60, foo=bar, must-Revalidate, stale-while-revalidate=30, stale-if-error=\"90\"",
    );
    let expected = AnswerControl {
        public: true,
        is_for_all: true,
        must_revalidate: true,
        max_age: Delta::Seconds(60),
        stale_while_revalidate: Delta::Seconds(30),
        stale_if_error: Delta::Seconds(90),
        ..AnswerControl::default()
    };
    assert_eq!(read, expected);
    assert_eq!(
        cache_control("immutable, no-transform, community=\"UCI\""),
        AnswerControl::default()
    );
}

#[test]
fn the_first_of_s_maxage_max_age_and_expires_counts() {
    let later = http_date::format(NOW + 30);
    for (lines, expected) in [
        (vec![], None),
        (vec![("Expires", later.as_str())], Some(30)),
        (
            vec![("Expires", later.as_str()), ("Cache-Control", "max-age=60")],
            Some(60),
        ),
        (
            vec![
                ("Expires", later.as_str()),
                ("Cache-Control", "max-age=60, s-maxage=90"),
            ],
            Some(90),
        ),
        (
            vec![("Expires", later.as_str()), ("Cache-Control", "max-age=x")],
            Some(0),
        ),
        (vec![("Cache-Control", "max-age=60, s-maxage")], Some(0)),
        (vec![("Expires", "0")], Some(0)),
        (vec![("Expires", "")], Some(0)),
        (vec![("Expires", "Thu, 01 Jan 1970 00:00:00 GMT")], Some(0)),
        (
            vec![("Expires", later.as_str()), ("Expires", later.as_str())],
            Some(30),
        ),
        (vec![("Expires", later.as_str()), ("Expires", "0")], Some(0)),
    ] {
        assert_eq!(lifetime(&lines), expected, "{lines:?}");
    }
}

#[test]
fn invalid_and_conflicting_lifetimes_are_stale() {
    for value in [
        "max-age=-1",
        "max-age=1.5",
        "max-age",
        "max-age=",
        "max-age=\"\"",
        "max-age=60s",
        "max-age= 60",
        "max-age='60'",
        "max-age=60, max-age=120",
        "max-age=60, max-age=x",
        "s-maxage=60, s-maxage=0",
    ] {
        assert_eq!(lifetime(&[("Cache-Control", value)]), Some(0), "{value}");
    }
    assert_eq!(
        lifetime(&[("Cache-Control", "max-age=60"), ("Cache-Control", "max-age=120")]),
        Some(0)
    );
    assert_eq!(lifetime(&[("Cache-Control", "max-age=60, max-age=60")]), Some(60));
    assert_eq!(lifetime(&[("Cache-Control", "max-age=\"60\"")]), Some(60));
    assert_eq!(
        lifetime(&[("Cache-Control", "max-age=99999999999999999999")]),
        Some(1 << 31)
    );
}

#[test]
fn a_directive_in_quotes_is_none() {
    let read = cache_control("foo=\"no-store, private\", max-age=60");
    assert!(!read.no_store && !read.private && read.max_age == Delta::Seconds(60));
}

#[test]
fn a_quote_that_never_closes_hides_no_prohibition_and_grants_nothing() {
    let read = cache_control("public, foo=\"bar, no-store, max-age=60");
    assert!(read.no_store && !read.public && !read.is_for_all);
    assert_eq!(read.lifetime(NOW), Some(Duration::ZERO));
}

#[test]
fn qualified_forms_withhold_fields_and_unreadable_ones_everything() {
    let read = cache_control("private=\"Set-Cookie, X-A\", no-cache=X-B");
    assert!(!read.private && !read.no_cache);
    assert!(
        read.withholds(b"set-cookie")
            && read.withholds(b"x-a")
            && read.withholds(b"X-B")
            && !read.withholds(b"x")
    );
    for value in [
        "private",
        "private=\"\"",
        "private=",
        "private=\"a b\"",
        "private=\"a\", private",
        "private=\"a",
    ] {
        assert!(cache_control(value).private, "{value}");
    }
    for value in [
        "no-cache",
        "no-cache=\"\"",
        "no-cache=\" , \"",
        "no-cache=\"a;b\"",
        "no-cache = x y",
    ] {
        assert!(cache_control(value).no_cache, "{value}");
    }
}

#[test]
fn an_argument_that_does_not_belong_there_makes_nothing_milder() {
    assert!(cache_control("no-store=0").no_store);
    assert!(!cache_control("public=1").public);
    assert!(
        cache_control("must-revalidate=0").must_revalidate && !cache_control("must-revalidate=0").is_for_all
    );
    assert!(!cache_control("s-maxage=x").is_for_all && cache_control("s-maxage=0").is_for_all);
    assert!(!cache_control("proxy-revalidate").is_for_all);
}

#[test]
fn pragma_counts_without_cache_control_only() {
    assert!(control(&[("Pragma", "no-cache")]).no_cache);
    assert!(!control(&[("Pragma", "no-cache"), ("Cache-Control", "max-age=60")]).no_cache);
}

#[test]
fn a_targeted_field_silences_cache_control_and_expires() {
    let lines = [
        ("CDN-Cache-Control", "max-age=600"),
        ("Cache-Control", "no-store, private"),
        ("Expires", "0"),
    ];
    let read = control(&lines);
    assert!(!read.no_store && !read.private && read.expires == Expires::Absent);
    assert_eq!(read.lifetime(NOW), Some(secs(600)));
    // RFC 9213 §3.1: "none" is no directive, and its presence alone silences the other field.
    let none = control(&[("CDN-Cache-Control", "none"), ("Cache-Control", "no-store")]);
    assert_eq!(none, AnswerControl::default());
}

#[test]
fn a_targeted_field_that_is_empty_or_does_not_parse_is_not_there() {
    for bad in [
        "",
        "max-age=60,",
        "Max-Age=60",
        "max-age=60 no-store",
        "max-age=\"60",
        "max-age=1234567890123456",
    ] {
        let read = control(&[("CDN-Cache-Control", bad), ("Cache-Control", "no-store")]);
        assert!(read.no_store, "{bad}");
    }
}

#[test]
fn values_of_a_targeted_field_have_their_types() {
    let lifetime = |value: &str| {
        control(&[("CDN-Cache-Control", value)])
            .lifetime(NOW)
            .map(|d| d.as_secs())
    };
    assert_eq!(lifetime("max-age=60;x=1"), Some(60));
    assert_eq!(lifetime("max-age=60, max-age=90"), Some(90));
    for bad in [
        "max-age=\"60\"",
        "max-age=60.0",
        "max-age=-60",
        "max-age",
        "max-age=abc",
        "max-age=(60)",
    ] {
        assert_eq!(lifetime(bad), Some(0), "{bad}");
    }
    let read = control(&[("CDN-Cache-Control", "no-store=?0, private=\"X-A\", no-cache=?1")]);
    assert!(!read.no_store && !read.private && read.no_cache && read.withholds(b"x-a"));
    assert!(control(&[("CDN-Cache-Control", "private=token")]).private);
}

#[test]
fn lines_of_a_targeted_field_are_one_dictionary() {
    let read = control(&[
        ("CDN-Cache-Control", "max-age=60"),
        ("cdn-cache-control", "must-revalidate"),
    ]);
    assert!(read.must_revalidate && read.max_age == Delta::Seconds(60));
}

#[test]
fn a_surrogate_control_whose_quotes_do_not_close_makes_nothing_fresh() {
    for broken in ["max-age=600, x=\"y", "x=\"y, max-age=600", "x=\"y"] {
        let read = control(&[("Surrogate-Control", broken)]);
        assert_eq!(read.lifetime(NOW), Some(Duration::ZERO), "{broken}");
    }
    let read = control(&[("Surrogate-Control", "public, max-age=600, x=\"y")]);
    assert!(!read.public && !read.is_for_all);
}

#[test]
fn surrogate_control_sets_times_and_cannot_make_public_what_is_private() {
    let with =
        |surrogate: &str, cache: &str| control(&[("Surrogate-Control", surrogate), ("Cache-Control", cache)]);
    let read = with("max-age=600, content=\"ESI/1.0\"", "no-store, max-age=0");
    assert!(!read.no_store && read.lifetime(NOW) == Some(secs(600)));
    assert!(with("max-age=600", "private").private);
    assert!(with("max-age=600", "public").public && !with("max-age=600", "").public);
    assert!(with("max-age=600", "public").is_for_all && !with("max-age=600", "s-maxage=5").is_for_all);
    assert!(with("max-age=600", "private=\"X-A\"").withholds(b"x-a"));
    assert!(with("no-store", "max-age=60").no_store);
    assert!(with("content=\"ESI/1.0\"", "no-store").no_store);
    assert!(with("max-age=600;other", "no-store").no_store);
    assert_eq!(
        with("max-age=x", "max-age=60").lifetime(NOW),
        Some(Duration::ZERO)
    );
    let extended = with("max-age=60+30", "");
    assert_eq!(
        (extended.max_age, extended.stale_while_revalidate),
        (Delta::Seconds(60), Delta::Seconds(30))
    );
    let both = control(&[
        ("Surrogate-Control", "max-age=600"),
        ("CDN-Cache-Control", "max-age=5"),
    ]);
    assert_eq!(both.lifetime(NOW), Some(secs(5)));
}
