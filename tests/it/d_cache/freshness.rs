//! For how long an answer may be used without asking, and which answers may never be (RFC 9111 §3, §4.2).

use harness::origin::{Script, reply};
use harness::{Gateway, Origin, Request};

use super::{date, forwarded, get_with, hit, kept, said, secs};

/// Fails unless an answer is used for so many seconds, and not for one more.
#[track_caller]
fn lasts(expected: u64, rule: &str, script: Script) {
    let origin = Origin::new().on("/a", script.clone());
    let gw = Gateway::start_with_manual_clock(&kept(&origin, rule));
    let told = format!("{script:?} with {rule}");

    gw.get("/a");
    if expected == 0 {
        gw.get("/a");
        assert_eq!(origin.seen("/a"), 2, "it was used without asking: {told}");
        return;
    }
    let second = gw.get("/a");
    let ttl = format!("hit; ttl={expected}");
    assert_eq!(said(&second), ttl, "{told}");
    gw.advance(secs(expected - 1));
    hit(&gw.get("/a"));
    assert_eq!(origin.seen("/a"), 1, "one second before its end: {told}");
    gw.advance(secs(1));
    gw.get("/a");
    assert_eq!(origin.seen("/a"), 2, "at its end: {told}");
}

fn with(fields: &[(&str, &str)]) -> Script {
    let add = |script: Script, (name, value): &(&str, &str)| script.header(name, value);
    fields.iter().fold(reply(200).body("x"), add)
}

fn control(value: &str) -> Script {
    with(&[("Cache-Control", value)])
}

#[test]
fn s_maxage_comes_before_max_age_and_that_before_expires() {
    let expires = date(30);
    let expires = ("Expires", expires.as_str());
    lasts(
        10,
        "",
        with(&[("Cache-Control", "max-age=20, s-maxage=10"), expires]),
    );
    lasts(20, "", with(&[("Cache-Control", "max-age=20"), expires]));
    lasts(30, "", with(&[expires]));
    lasts(30, "", with(&[expires, ("Date", &date(0))]));
    // Two clocks: how long is a matter of theirs, how old of both.
    lasts(20, "", with(&[expires, ("Date", &date(10))]));
    lasts(0, "", with(&[("Expires", "0")]));
    lasts(0, "", with(&[("Expires", &date(-5))]));
    lasts(60, "", with(&[("Cache-Control", "MAX-AGE=\"60\"")]));
}

#[test]
fn what_is_said_to_caches_of_our_kind_comes_before_what_is_said_to_all() {
    let max_age = ("Cache-Control", "max-age=5, s-maxage=6");
    lasts(50, "", with(&[max_age, ("CDN-Cache-Control", "max-age=50")]));
    lasts(
        50,
        "",
        with(&[("Cache-Control", "no-store"), ("CDN-Cache-Control", "max-age=50")]),
    );
    lasts(
        0,
        "",
        with(&[("Cache-Control", "max-age=5"), ("CDN-Cache-Control", "no-store")]),
    );
    lasts(6, "", with(&[max_age, ("CDN-Cache-Control", "max-age=;;")]));
    lasts(40, "", with(&[max_age, ("Surrogate-Control", "max-age=40")]));
}

#[test]
fn the_time_an_answer_has_spent_on_its_way_counts() {
    lasts(40, "", with(&[("Cache-Control", "max-age=60"), ("Age", "20")]));
    lasts(
        45,
        "",
        with(&[("Cache-Control", "max-age=60"), ("Date", &date(-15))]),
    );
    lasts(
        30,
        "",
        with(&[
            ("Cache-Control", "max-age=60"),
            ("Date", &date(-15)),
            ("Age", "30"),
        ]),
    );
    lasts(0, "", with(&[("Cache-Control", "max-age=60"), ("Age", "60")]));

    let origin = Origin::new().on("/a", with(&[("Cache-Control", "max-age=60"), ("Age", "20")]));
    let gw = Gateway::start_with_manual_clock(&kept(&origin, ""));
    gw.get("/a").expect(200).header("age", "20");
    gw.advance(secs(7));
    assert_eq!(hit(&gw.get("/a")), 27);
}

#[test]
fn the_rule_s_ttl_is_for_answers_that_say_nothing() {
    lasts(0, "", with(&[]));
    lasts(30, "ttl = \"30s\"", with(&[]));
    lasts(10, "ttl = \"30s\"", control("max-age=10"));
    lasts(
        10,
        "ttl = \"30s\"\nstatuses = { \"200\" = \"20s\" }",
        control("max-age=10"),
    );
    lasts(20, "ttl = \"30s\"\nstatuses = { \"200\" = \"20s\" }", with(&[]));
    lasts(0, "ttl = \"30s\"", control("no-cache"));
    lasts(0, "ttl = \"30s\"", control("no-store"));
    lasts(0, "ttl = \"30s\"", control("private"));
    lasts(0, "ttl = \"0s\"", with(&[("Last-Modified", &date(-100_000))]));
}

#[test]
fn each_status_may_have_its_time() {
    let rule = "ttl = \"30s\"\nstatuses = { \"404\" = \"10s\", \"301\" = \"1h\", \"503\" = \"2s\", \"302\" = \"5s\" }";
    let status = |status: u16| reply(status).header("Location", "/b").body("x");
    lasts(10, rule, status(404));
    lasts(3600, rule, status(301));
    lasts(2, rule, status(503));
    lasts(5, rule, status(302));
    lasts(30, rule, status(410));
    // Those that are not for all by their nature, or that nobody has listed.
    for unlisted in [307, 400, 403, 500, 502] {
        lasts(0, rule, status(unlisted));
    }
    for never in [206, 412, 416, 429] {
        lasts(
            0,
            "ttl = \"30s\"",
            status(never).header("Cache-Control", "max-age=60"),
        );
    }
    lasts(60, "", status(302).header("Cache-Control", "max-age=60"));
    lasts(60, "", status(404).header("Cache-Control", "max-age=60"));
}

#[test]
fn a_rule_that_overrides_holds_against_the_origin_but_not_against_privacy() {
    let rule = "ttl = \"30s\"\noverride = true";
    lasts(30, rule, control("max-age=5"));
    lasts(30, rule, control("max-age=500, s-maxage=700, must-revalidate"));
    lasts(30, rule, control("no-cache"));
    lasts(30, rule, with(&[("Expires", "0")]));
    lasts(30, rule, with(&[("Pragma", "no-cache")]));
    for private in ["private", "no-store", "private, max-age=60"] {
        lasts(0, rule, control(private));
    }
    lasts(0, rule, with(&[("Set-Cookie", "a=b")]));
    lasts(0, rule, with(&[("Vary", "*")]));
}

#[test]
fn without_a_word_a_tenth_of_its_rest_is_a_guess_for_a_day_at_most() {
    lasts(10, "", with(&[("Last-Modified", &date(-100))]));
    lasts(86_400, "", with(&[("Last-Modified", &date(-100_000_000))]));
    lasts(0, "", with(&[("Last-Modified", &date(100))]));
    lasts(0, "", with(&[("Last-Modified", "yesterday")]));
    lasts(
        0,
        "",
        reply(302)
            .header("Location", "/b")
            .header("Last-Modified", &date(-100)),
    );
    lasts(7, "ttl = \"7s\"", with(&[("Last-Modified", &date(-100))]));
}

#[test]
fn what_is_for_one_user_is_asked_for_each_time() {
    for fields in [
        &[("Cache-Control", "private, max-age=60")][..],
        &[("Cache-Control", "no-store")],
        &[("Cache-Control", "max-age=60"), ("Cache-Control", "no-store")],
        &[("Cache-Control", "max-age=60"), ("Set-Cookie", "id=1")],
        &[("Cache-Control", "max-age=60"), ("Vary", "*")],
        &[("Cache-Control", "max-age=nonsense")],
        &[("Cache-Control", "max-age=60, max-age=30, s-maxage=-1")],
    ] {
        lasts(0, "", with(fields));
    }
    lasts(
        60,
        "",
        with(&[
            ("Cache-Control", "max-age=60, no-cache=\"Set-Cookie\""),
            ("Set-Cookie", "id=1"),
        ]),
    );
}

#[test]
fn a_field_that_is_for_one_user_is_not_for_the_next() {
    let script = with(&[
        (
            "Cache-Control",
            "max-age=60, private=\"X-User, Set-Cookie\", no-cache=X-Token",
        ),
        ("Set-Cookie", "id=1"),
        ("X-User", "one"),
        ("X-Token", "t"),
        ("X-All", "1"),
    ]);
    let origin = Origin::new().on("/a", script);
    let gw = Gateway::start_with_manual_clock(&kept(&origin, ""));

    gw.get("/a").expect(200).header("x-all", "1");
    let second = gw.get("/a");
    hit(second.expect(200).header("x-all", "1"));
    second
        .no_header("x-user")
        .no_header("x-token")
        .no_header("set-cookie");
}

#[test]
fn an_answer_to_a_user_with_credentials_is_theirs_unless_it_says_otherwise() {
    for (value, shared) in [
        ("max-age=60", false),
        ("max-age=60, public", true),
        ("s-maxage=60", true),
        ("max-age=60, must-revalidate", true),
    ] {
        let origin = Origin::new().on("/a", control(value));
        let gw = Gateway::start_with_manual_clock(&kept(&origin, ""));
        gw.ask(&get_with("/a", "Authorization", "Basic dTpw")).expect(200);
        gw.get("/a").expect(200);
        assert_eq!(origin.seen("/a"), if shared { 1 } else { 2 }, "{value}");
        // What was asked for without is for all.
        hit(&gw.ask(&get_with("/a", "Authorization", "Basic dTpw")));
    }
}

#[test]
fn an_answer_to_a_user_with_a_cookie_is_kept_only_if_somebody_has_said_so() {
    let seen_by_two = |rule: &str, script: Script| {
        let origin = Origin::new().on("/a", script);
        let gw = Gateway::start_with_manual_clock(&kept(&origin, rule));
        for user in ["one", "two"] {
            gw.ask(&get_with("/a", "Cookie", &format!("session={user}")))
                .expect(200);
        }
        origin.seen("/a")
    };
    let guess = || with(&[("Last-Modified", &date(-100_000))]);
    assert_eq!(seen_by_two("", guess()), 2, "a guess");
    assert_eq!(seen_by_two("ttl = \"60s\"", with(&[])), 2, "a default");
    assert_eq!(seen_by_two("ttl = \"60s\"\noverride = true", with(&[])), 1);
    assert_eq!(seen_by_two("", control("max-age=60")), 1);
    assert_eq!(seen_by_two("", guess().header("Cache-Control", "public")), 1);
    assert_eq!(
        seen_by_two("key = { cookies = [\"session\"] }\nttl = \"60s\"", with(&[])),
        2,
        "each has his own"
    );
    assert_eq!(
        seen_by_two("", guess().header("Vary", "Cookie")),
        2,
        "each has his own"
    );
}

#[test]
fn no_cache_is_kept_and_asked_about_each_time() {
    let first = control("no-cache, max-age=60").header("ETag", "\"a\"");
    let origin = Origin::new()
        .on("/a", first)
        .then("/a", reply(304).header("ETag", "\"a\""));
    let gw = Gateway::start_with_manual_clock(&kept(&origin, ""));

    gw.get("/a").expect(200).body("x");
    for n in 2..5 {
        forwarded(gw.get("/a").expect(200).body("x"), "stale");
        assert_eq!(origin.seen("/a"), n);
    }
    assert_eq!(origin.requests("/a")[3].value("if-none-match"), Some("\"a\""));
}

#[test]
fn an_answer_whose_end_is_the_connection_s_is_not_kept() {
    let until_close = control("max-age=60").until_close();
    let http10 = control("max-age=60").http10();
    let origin = Origin::new().on("/a", until_close).on("/b", http10);
    let gw = Gateway::start_with_manual_clock(&kept(&origin, ""));

    for target in ["/a", "/b"] {
        for n in 1..4 {
            assert_eq!(
                said(gw.get(target).expect(200).body("x")),
                match n {
                    1 => "fwd=uri-miss; detail=incomplete",
                    _ => "fwd=uri-miss; detail=known-uncacheable",
                }
            );
            assert_eq!(origin.seen(target), n);
        }
    }
}

#[test]
fn a_clock_that_moves_on_makes_old_what_was_young_for_each_at_its_own_time() {
    let origin = Origin::new();
    for n in 1..=9 {
        origin.set(&format!("/{n}"), control(&format!("max-age={}", n * 10)));
    }
    let gw = Gateway::start_with_manual_clock(&kept(&origin, ""));
    let mut client = gw.connect();
    for n in 1..=9 {
        client.ask(&Request::get(&format!("/{n}"))).expect(200);
    }
    gw.advance(secs(45));
    for n in 1..=9 {
        client.ask(&Request::get(&format!("/{n}"))).expect(200);
        let expected = if n <= 4 { 2 } else { 1 };
        assert_eq!(origin.seen(&format!("/{n}")), expected, "/{n}");
    }
}
