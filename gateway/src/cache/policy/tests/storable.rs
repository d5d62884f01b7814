//! What is kept and for how long, case by case.

use super::*;
use crate::cache::policy::Unstorable as No;

const FRESH: (&str, &str) = ("Cache-Control", "max-age=60");

fn verdict(asked: &[(&str, &str)], status: u16, lines: &[(&str, &str)]) -> Result<u64, No> {
    with_rule(asked, status, lines, &rule())
}

fn with_rule(
    asked: &[(&str, &str)],
    status: u16,
    lines: &[(&str, &str)],
    rule: &CacheRule,
) -> Result<u64, No> {
    judged(asked, &answer(status, lines), rule).map(|s| s.freshness.lifetime.as_secs())
}

fn ttl(secs: u64) -> CacheRule {
    CacheRule {
        ttl: Some(Duration::from_secs(secs)),
        statuses: vec![
            (301, Duration::from_secs(3600)),
            (404, Duration::from_secs(10)),
            (503, Duration::from_secs(5)),
        ],
        ..rule()
    }
}

fn overriding(secs: u64) -> CacheRule {
    CacheRule {
        overrides: true,
        ..ttl(secs)
    }
}

#[test]
fn only_a_get_with_a_final_whole_answer_is_kept() {
    let of = |method| {
        let request = Request {
            method,
            ..request(&[])
        };
        judge(
            &request,
            &answer(200, &[FRESH]),
            &rule(),
            &Asked::default(),
            times(),
        )
        .map(|_| ())
    };
    use crate::wire::Method;
    assert_eq!(of(Method::Get), Ok(()));
    for other in [Method::Head, Method::Post, Method::Options, Method::Other] {
        assert_eq!(of(other), Err(No::Method));
    }
    assert_eq!(verdict(&[], 206, &[FRESH]), Err(No::Partial));
    assert_eq!(
        verdict(&[], 200, &[FRESH, ("Content-Range", "bytes 0-1/2")]),
        Err(No::Partial)
    );
    for status in [100, 103, 304] {
        assert_eq!(
            verdict(&[], status, &[FRESH]).map(|_| ()),
            Err(No::Status),
            "{status}"
        );
    }
    assert_eq!(
        verdict(&[("Content-Length", "5")], 200, &[FRESH]),
        Err(No::Content)
    );
}

#[test]
fn a_body_whose_end_nobody_announced_is_not_kept() {
    let mut endless = answer(200, &[FRESH]);
    endless.fields.remove("content-length");
    assert_eq!(judged(&[], &endless, &rule()).map(|_| ()), Err(No::Incomplete));
    endless.fields.push(b"Transfer-Encoding", b"chunked");
    assert!(judged(&[], &endless, &rule()).is_ok());
}

#[test]
fn an_explicit_lifetime_keeps_any_status_that_is_about_the_resource() {
    for status in [
        200, 203, 204, 300, 301, 302, 303, 307, 308, 403, 404, 405, 410, 414, 451, 500, 501, 502, 503, 504,
        299, 499, 599,
    ] {
        assert_eq!(verdict(&[], status, &[FRESH]), Ok(60), "{status}");
    }
    for status in [
        226, 400, 401, 407, 408, 412, 413, 416, 417, 421, 425, 428, 429, 431, 511,
    ] {
        assert_eq!(verdict(&[], status, &[FRESH]), Err(No::Status), "{status}");
    }
}

#[test]
fn a_status_about_the_asking_is_kept_where_the_operator_lists_it_and_some_never_are() {
    let listed = |status| CacheRule {
        statuses: vec![(status, secs(7))],
        ..rule()
    };
    assert_eq!(with_rule(&[], 401, &[], &listed(401)), Ok(7));
    assert_eq!(with_rule(&[], 400, &[FRESH], &listed(400)), Ok(60));
    for status in [412, 416, 428, 429, 431, 511] {
        assert_eq!(with_rule(&[], status, &[FRESH], &listed(status)), Err(No::Status));
    }
}

#[test]
fn must_understand_takes_no_store_back_where_the_status_is_understood() {
    let lines = [("Cache-Control", "must-understand, no-store, max-age=60")];
    assert_eq!(verdict(&[], 200, &lines), Ok(60));
    assert_eq!(verdict(&[], 299, &lines), Err(No::Status));
    assert_eq!(
        verdict(&[], 200, &[("Cache-Control", "no-store, max-age=60")]),
        Err(No::NoStore)
    );
}

#[test]
fn what_a_side_forbids_is_not_kept() {
    assert_eq!(
        verdict(&[("Cache-Control", "no-store")], 200, &[FRESH]),
        Err(No::RequestNoStore)
    );
    assert_eq!(
        verdict(&[], 200, &[("Cache-Control", "private, max-age=60")]),
        Err(No::Private)
    );
    assert_eq!(
        verdict(&[], 200, &[FRESH, ("Set-Cookie", "a=1")]),
        Err(No::SetCookie)
    );
    assert_eq!(
        verdict(&[], 200, &[FRESH, ("Vary", "Accept, *")]),
        Err(No::VaryStar)
    );
    assert_eq!(
        verdict(
            &[],
            200,
            &[
                ("Cache-Control", "private=\"set-cookie\", max-age=60"),
                ("Set-Cookie", "a=1")
            ]
        ),
        Ok(60)
    );
}

#[test]
fn an_answer_to_someone_with_credentials_is_kept_only_if_it_says_that_it_is_for_all() {
    let asked = [("Authorization", "Basic eA==")];
    for (control, expected) in [
        ("max-age=60", Err(No::Authorization)),
        ("max-age=60, proxy-revalidate", Err(No::Authorization)),
        ("max-age=60, public=1", Err(No::Authorization)),
        ("max-age=60, s-maxage=x", Err(No::Authorization)),
        ("max-age=60, public", Ok(60)),
        ("max-age=60, must-revalidate", Ok(60)),
        ("s-maxage=60", Ok(60)),
    ] {
        assert_eq!(
            verdict(&asked, 200, &[("Cache-Control", control)]),
            expected,
            "{control}"
        );
    }
    assert_eq!(
        with_rule(&asked, 200, &[], &overriding(60)),
        Err(No::Authorization)
    );
}

#[test]
fn nothing_that_the_origin_has_not_allowed_is_kept_of_one_who_has_a_cookie() {
    let asked = [("Cookie", "theme=dark; session=5")];
    let keyed = |cookies: &[&str]| {
        let mut rule = ttl(60);
        rule.key.cookies = cookies.iter().map(|c| (*c).to_owned()).collect();
        rule
    };
    assert_eq!(with_rule(&asked, 200, &[], &ttl(60)), Err(No::Cookie));
    assert_eq!(with_rule(&asked, 200, &[], &keyed(&["theme"])), Err(No::Cookie));
    assert_eq!(with_rule(&asked, 200, &[], &keyed(&["session", "theme"])), Ok(60));
    let one = [("Cookie", "theme=dark")];
    assert_eq!(with_rule(&one, 200, &[], &keyed(&["theme"])), Ok(60));
    assert_eq!(with_rule(&one, 200, &[], &keyed(&["session"])), Err(No::Cookie));
    let with_header = |name: &str| {
        let mut rule = ttl(60);
        rule.key.headers = vec![name.to_owned()];
        with_rule(&asked, 200, &[], &rule)
    };
    assert_eq!(
        (with_header("cookie"), with_header("x-a")),
        (Ok(60), Err(No::Cookie))
    );
    assert_eq!(with_rule(&asked, 200, &[], &overriding(60)), Ok(60));
    assert_eq!(with_rule(&asked, 200, &[FRESH], &ttl(5)), Ok(60));
    assert_eq!(
        with_rule(&asked, 200, &[("Cache-Control", "public")], &ttl(5)),
        Ok(5)
    );
    assert_eq!(with_rule(&asked, 200, &[("Vary", "Cookie")], &ttl(5)), Ok(5));
    assert_eq!(verdict(&asked, 200, &[("ETag", "\"a\"")]), Err(No::Cookie));
    let modified = http_date::format(NOW - 1000);
    assert_eq!(
        verdict(&asked, 200, &[("Last-Modified", &modified)]),
        Err(No::Cookie)
    );
}

#[test]
fn the_rule_s_times_hold_where_the_origin_says_nothing() {
    for (status, expected) in [
        (200, Ok(60)),
        (301, Ok(3600)),
        (404, Ok(10)),
        (410, Ok(60)),
        (503, Ok(5)),
        (302, Err(No::NoLifetime)),
        (500, Err(No::NoLifetime)),
        (403, Err(No::NoLifetime)),
    ] {
        assert_eq!(with_rule(&[], status, &[], &ttl(60)), expected, "{status}");
    }
    assert_eq!(
        with_rule(&[], 200, &[("Cache-Control", "max-age=5")], &ttl(60)),
        Ok(5)
    );
    assert_eq!(
        with_rule(
            &[],
            200,
            &[("Cache-Control", "max-age=x"), ("ETag", "\"a\"")],
            &ttl(60)
        ),
        Ok(0)
    );
    assert_eq!(
        with_rule(&[], 404, &[("Cache-Control", "max-age=5")], &ttl(60)),
        Ok(5)
    );
}

#[test]
fn the_rule_s_time_begins_when_the_answer_comes() {
    let date = http_date::format(NOW - 500);
    let lines = [("Date", date.as_str())];
    let kept = judged(&[], &answer(200, &lines), &ttl(60)).unwrap().freshness;
    assert_eq!(
        (kept.age_at_receipt.as_secs(), kept.lifetime.as_secs()),
        (500, 560)
    );
}

#[test]
fn an_overriding_rule_holds_against_all_but_what_is_private() {
    for control in ["max-age=5", "no-cache", "max-age=0", "s-maxage=1", "max-age=x"] {
        let kept = judged(&[], &answer(200, &[("Cache-Control", control)]), &overriding(60))
            .unwrap()
            .freshness;
        assert_eq!(
            (kept.lifetime.as_secs(), kept.no_cache, kept.must_revalidate),
            (60, false, false),
            "{control}"
        );
    }
    assert_eq!(with_rule(&[], 404, &[FRESH], &overriding(60)), Ok(10));
    assert_eq!(
        with_rule(&[], 302, &[("Cache-Control", "max-age=5")], &overriding(60)),
        Ok(5)
    );
    for (lines, why) in [
        (("Cache-Control", "private"), No::Private),
        (("Cache-Control", "no-store"), No::NoStore),
        (("Set-Cookie", "a=1"), No::SetCookie),
        (("Vary", "*"), No::VaryStar),
    ] {
        assert_eq!(with_rule(&[], 200, &[lines], &overriding(60)), Err(why));
    }
}

#[test]
fn a_guess_is_a_tenth_of_the_rest_and_a_day_at_most() {
    let modified = |before: u64| http_date::format(NOW - before);
    let of = |before, status, control: &str| {
        verdict(
            &[],
            status,
            &[("Last-Modified", &modified(before)), ("Cache-Control", control)],
        )
    };
    assert_eq!(of(1000, 200, ""), Ok(100));
    assert_eq!(of(100_000_000, 200, ""), Ok(86_400));
    assert_eq!(of(1000, 302, ""), Err(No::NoLifetime));
    assert_eq!(of(1000, 302, "public"), Ok(100));
    assert_eq!(of(1000, 500, "public"), Err(No::NoLifetime));
    assert_eq!(of(1000, 200, "max-age=5"), Ok(5));
    assert_eq!(of(1000, 200, "max-age=x"), Ok(0));
    let future = http_date::format(NOW + 1000);
    assert_eq!(verdict(&[], 200, &[("Last-Modified", &future)]), Ok(0));
}

#[test]
fn what_is_of_no_use_even_after_asking_is_not_kept() {
    assert_eq!(verdict(&[], 200, &[]), Err(No::NoLifetime));
    assert_eq!(verdict(&[], 200, &[("ETag", "\"a\"")]), Ok(0));
    assert_eq!(verdict(&[], 200, &[("ETag", "a")]), Err(No::NoLifetime));
    for control in [
        "max-age=0",
        "no-cache, max-age=60",
        "max-age=60, s-maxage=0",
        "max-age=x",
        "no-cache, max-age=60, stale-if-error=9",
    ] {
        assert_eq!(
            verdict(&[], 200, &[("Cache-Control", control)]),
            Err(No::Expired),
            "{control}"
        );
        assert!(
            verdict(&[], 200, &[("Cache-Control", control), ("ETag", "W/\"a\"")]).is_ok(),
            "{control}"
        );
    }
    assert_eq!(verdict(&[], 200, &[FRESH, ("Age", "60")]), Err(No::Expired));
    assert_eq!(verdict(&[], 200, &[FRESH, ("Age", "59")]), Ok(60));
    assert_eq!(
        verdict(&[], 200, &[("Cache-Control", "max-age=0, stale-if-error=9")]),
        Ok(0)
    );
    assert_eq!(
        verdict(
            &[],
            200,
            &[("Cache-Control", "max-age=0, stale-if-error=9, must-revalidate")]
        ),
        Err(No::Expired)
    );
}

#[test]
fn an_age_that_cannot_be_read_makes_it_stale() {
    for age in ["5, 6", "-1", "", "x"] {
        assert_eq!(
            verdict(&[], 200, &[FRESH, ("Age", age)]),
            Err(No::Expired),
            "{age}"
        );
        assert_eq!(
            verdict(&[], 200, &[FRESH, ("Age", age), ("ETag", "\"a\"")]),
            Ok(0),
            "{age}"
        );
        let modified = http_date::format(NOW - 1000);
        assert_eq!(
            verdict(&[], 200, &[("Last-Modified", &modified), ("Age", age)]),
            Ok(0),
            "{age}"
        );
    }
}

#[test]
fn stale_use_is_as_the_origin_says_and_else_as_the_rule_says() {
    let rule = CacheRule {
        stale_while_revalidate: secs(30),
        stale_if_error: secs(600),
        ..rule()
    };
    let windows = |control: &str| {
        let f = judged(
            &[],
            &answer(200, &[("Cache-Control", control), ("ETag", "\"a\"")]),
            &rule,
        )
        .unwrap()
        .freshness;
        (f.stale_while_revalidate.as_secs(), f.stale_if_error.as_secs())
    };
    assert_eq!(windows("max-age=60"), (30, 600));
    assert_eq!(windows("max-age=60, stale-while-revalidate=5"), (5, 600));
    assert_eq!(
        windows("max-age=60, stale-while-revalidate=0, stale-if-error=x"),
        (0, 0)
    );
    // Who names both means both; it is a client's max-stale that s-maxage closes the door to.
    assert_eq!(windows("s-maxage=60, stale-while-revalidate=5"), (5, 600));
    for strict in ["must-revalidate", "proxy-revalidate", "no-cache"] {
        assert_eq!(
            windows(&format!("max-age=60, stale-if-error=5, {strict}")),
            (0, 0),
            "{strict}"
        );
    }
}

#[test]
fn a_coded_answer_varies_by_accept_encoding_be_it_said_or_not() {
    let vary = |coding: &str, said: &str| {
        let lines = [FRESH, ("Content-Encoding", coding), ("Vary", said)];
        judged(&[], &answer(200, &lines), &rule()).unwrap().vary
    };
    let names = |list: &[&str]| -> Box<[Box<str>]> { list.iter().map(|n| (*n).into()).collect() };
    assert_eq!(vary("gzip", ""), names(&["accept-encoding"]));
    assert_eq!(
        vary("identity, br", "Accept, Origin"),
        names(&["accept", "accept-encoding", "origin"])
    );
    assert_eq!(vary("gzip", "Accept-Encoding"), names(&["accept-encoding"]));
    assert_eq!(vary("Identity", ""), names(&[]));
    assert_eq!(vary("", "Origin"), names(&["origin"]));
}

#[test]
fn what_came_too_old_to_be_kept_is_shared_only_if_it_is_for_others_at_all() {
    let shared = |control: &str, lines: &[(&str, &str)]| {
        let lines = [&[("Cache-Control", control)], lines].concat();
        let request = request(&[]);
        let all = share(
            &request,
            &answer(200, &lines),
            &rule(),
            &Asked::default(),
            times(),
        );
        all.map(|s| (s.is_kept, is_shareable(&s.freshness)))
    };
    assert_eq!(shared("max-age=60", &[]), Ok((true, true)));
    assert_eq!(shared("max-age=60", &[("Age", "90")]), Ok((false, true)));
    for nobodys in ["max-age=0", "no-cache, max-age=60"] {
        assert_eq!(shared(nobodys, &[]), Err(No::Expired), "{nobodys}");
        let validated = shared(nobodys, &[("ETag", "\"a\"")]);
        assert_eq!(validated, Ok((true, false)), "{nobodys}");
    }
}

#[test]
fn every_reason_has_a_word_of_its_own() {
    let all = [
        No::Method,
        No::Content,
        No::RequestNoStore,
        No::Status,
        No::Partial,
        No::NoStore,
        No::Private,
        No::Authorization,
        No::Cookie,
        No::SetCookie,
        No::VaryStar,
        No::Incomplete,
        No::NoLifetime,
        No::Expired,
        No::Tags,
    ];
    let words: std::collections::BTreeSet<_> = all.iter().map(|w| w.word()).collect();
    assert_eq!(words.len(), all.len());
    assert!(words.iter().all(|w| crate::wire::syntax::is_token(w.as_bytes())));
}
