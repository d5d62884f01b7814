//! One URL, several answers: chosen by fields of the request (RFC 9111 §4.1).

use harness::origin::{Script, reply};
use harness::{Gate, Gateway, Origin, Request};

use super::{forwarded, get_with, hit, kept, lasting, said, secs, settle, wait_waiting};

fn by(vary: &str, body: &str) -> Script {
    lasting(body).header("Vary", vary)
}

#[test]
fn each_language_has_its_own_and_is_found_again() {
    let origin = Origin::new()
        .on("/a", by("Accept-Language", "deutsch"))
        .then("/a", by("Accept-Language", "english"))
        .then("/a", by("Accept-Language", "neither"));
    let gw = Gateway::start_with_manual_clock(&kept(&origin, ""));
    let ask = |language: &str| gw.ask(&get_with("/a", "Accept-Language", language));

    forwarded(ask("de").expect(200).body("deutsch"), "uri-miss");
    forwarded(ask("en").expect(200).body("english"), "vary-miss");
    forwarded(gw.get("/a").expect(200).body("neither"), "vary-miss");
    for _ in 0..2 {
        hit(ask("de")
            .expect(200)
            .body("deutsch")
            .header("vary", "Accept-Language"));
        hit(ask("en").expect(200).body("english"));
        hit(gw.get("/a").expect(200).body("neither"));
        // The same language in another spelling.
        hit(ask("DE").expect(200).body("deutsch"));
    }
    assert_eq!(origin.seen("/a"), 3);
    gw.ask(&Request::head("/a").header("Accept-Language", "en"))
        .expect(200)
        .header("content-length", "7");
    let mine = get_with("/a", "Accept-Language", "de").header("Range", "bytes=-3");
    hit(gw.ask(&mine).expect(206).body("sch"));
}

#[test]
fn the_origin_is_asked_for_codings_in_one_of_few_forms() {
    let origin = Origin::new();
    let gw = Gateway::start_with_manual_clock(&kept(&origin, ""));

    for (n, (client, expected)) in [
        (Some("gzip, deflate, br, zstd"), "zstd, br, gzip"),
        (Some("GZIP;q=0.3"), "gzip"),
        (Some("br;q=0.9, gzip;q=1.0"), "br, gzip"),
        (Some("*"), "zstd, br, gzip"),
        (Some("deflate, x-unknown"), "identity"),
        (Some(""), "identity"),
        (Some("gzip;q=0"), "identity"),
        (None, "identity"),
    ]
    .into_iter()
    .enumerate()
    {
        let target = format!("/{n}");
        origin.set(&target, lasting("x"));
        match client {
            Some(client) => gw.ask(&get_with(&target, "Accept-Encoding", client)),
            None => gw.get(&target),
        };
        let asked = origin.only(&target);
        assert_eq!(
            asked.head.list("accept-encoding").join(", "),
            expected,
            "{client:?}"
        );
    }
}

#[test]
fn a_coded_answer_goes_only_to_those_who_take_it() {
    let coded = by("Accept-Encoding", "\u{1f}zipped")
        .header("Content-Encoding", "gzip")
        .header("ETag", "\"z\"");
    let plain = by("Accept-Encoding", "plain").header("ETag", "\"p\"");
    let origin = Origin::new().on("/a", coded).then("/a", plain);
    let gw = Gateway::start_with_manual_clock(&kept(&origin, ""));
    let ask = |codings: &str| gw.ask(&get_with("/a", "Accept-Encoding", codings));

    ask("gzip")
        .expect(200)
        .body("\u{1f}zipped")
        .header("content-encoding", "gzip");
    for refusing in ["", "identity", "gzip;q=0", "deflate"] {
        ask(refusing)
            .expect(200)
            .body("plain")
            .no_header("content-encoding");
    }
    gw.get("/a")
        .expect(200)
        .body("plain")
        .no_header("content-encoding");
    for taking in ["gzip", "gzip;q=0.5", "x-gzip", "GZip, deflate"] {
        hit(ask(taking)
            .expect(200)
            .body("\u{1f}zipped")
            .header("content-encoding", "gzip"));
    }
    assert_eq!(origin.seen("/a"), 2);
    // A tag of the one is no tag of the other.
    let zipped = get_with("/a", "Accept-Encoding", "gzip").header("If-None-Match", "\"p\"");
    hit(gw.ask(&zipped).expect(200));
}

#[test]
fn an_answer_that_varies_by_everything_is_nobody_else_s() {
    for vary in ["*", "Accept, *", "a b"] {
        let origin = Origin::new().on("/a", by(vary, "x"));
        let gw = Gateway::start_with_manual_clock(&kept(&origin, ""));
        for n in 1..4 {
            let response = gw.get("/a");
            assert!(
                said(response.expect(200)).starts_with("fwd=uri-miss; detail="),
                "{vary}"
            );
            assert_eq!(origin.seen("/a"), n);
        }
    }
}

#[test]
fn several_fields_count_together_and_a_missing_one_is_not_an_empty_one() {
    let origin = Origin::new();
    let gw = Gateway::start_with_manual_clock(&kept(&origin, ""));
    let requests = [
        Request::get("/a"),
        get_with("/a", "X-One", ""),
        get_with("/a", "X-One", "1"),
        get_with("/a", "X-Two", "1"),
        get_with("/a", "X-One", "1").header("X-Two", "1"),
        get_with("/a", "X-One", "1").header("X-One", "2"),
        get_with("/a", "X-One", "1, 2"),
    ];
    for (n, request) in requests.iter().enumerate() {
        origin.set("/a", by("X-Two, x-one", &format!("answer {n}")));
        gw.ask(request).expect(200).body(format!("answer {n}"));
    }
    for (n, request) in requests.iter().enumerate() {
        hit(gw.ask(request).expect(200).body(format!("answer {n}")));
    }
    assert_eq!(origin.seen("/a"), requests.len());
    assert_eq!(
        hit(&gw.ask(&get_with("/a", "X-Three", "1"))),
        0,
        "what is not named does not count"
    );
}

#[test]
fn an_origin_that_changes_its_mind_about_vary_shows_nobody_the_wrong_one() {
    let short = |vary: &str, body: &str| {
        let script = reply(200).header("Cache-Control", "max-age=10").body(body);
        if vary.is_empty() {
            script
        } else {
            script.header("Vary", vary)
        }
    };
    let origin = Origin::new()
        .on("/a", short("Accept-Language", "de by language"))
        .then("/a", short("X-Kind", "k1 by kind"))
        .then("/a", short("X-Kind", "k2 by kind"))
        .then("/a", short("", "for all"));
    let gw = Gateway::start_with_manual_clock(&kept(&origin, ""));
    let ask = |language: &str, kind: &str| {
        gw.ask(&get_with("/a", "Accept-Language", language).header("X-Kind", kind))
    };

    ask("de", "k1").expect(200).body("de by language");
    hit(ask("de", "k2").expect(200).body("de by language"));
    ask("en", "k1").expect(200).body("k1 by kind");
    ask("en", "k2").expect(200).body("k2 by kind");
    hit(ask("fr", "k1").expect(200).body("k1 by kind"));
    gw.advance(secs(10));
    ask("en", "k1").expect(200).body("for all");
    for (language, kind) in [("de", "k1"), ("en", "k2"), ("x", "y")] {
        hit(ask(language, kind).expect(200).body("for all"));
    }
    assert_eq!(origin.seen("/a"), 4);
}

#[test]
fn a_304_that_brings_another_vary_makes_nobody_get_what_is_not_theirs() {
    let first = reply(200)
        .header("Cache-Control", "max-age=10")
        .header("ETag", "\"a\"")
        .body("of de");
    let second = reply(304)
        .header("ETag", "\"a\"")
        .header("Vary", "Accept-Language");
    let origin = Origin::new()
        .on("/a", first)
        .then("/a", second)
        .then("/a", by("Accept-Language", "of en"));
    let gw = Gateway::start_with_manual_clock(&kept(&origin, ""));
    let ask = |language: &str| gw.ask(&get_with("/a", "Accept-Language", language));

    ask("de").expect(200).body("of de");
    gw.advance(secs(10));
    ask("de")
        .expect(200)
        .body("of de")
        .header("vary", "Accept-Language");
    ask("en").expect(200).body("of en");
    hit(ask("en").expect(200).body("of en"));
}

#[test]
fn each_variant_is_asked_about_with_its_own_tag() {
    let short = |tag: &str, body: &str| {
        let script = reply(200)
            .header("Cache-Control", "max-age=10")
            .header("Vary", "Accept-Language");
        script.header("ETag", tag).body(body)
    };
    let origin = Origin::new()
        .on("/a", short("\"d\"", "de"))
        .then("/a", short("\"e\"", "en"))
        .then("/a", reply(304));
    let gw = Gateway::start_with_manual_clock(&kept(&origin, ""));
    let ask = |language: &str| gw.ask(&get_with("/a", "Accept-Language", language));
    ask("de").expect(200).body("de");
    ask("en").expect(200).body("en");
    gw.advance(secs(10));

    ask("en").expect(200).body("en");
    ask("de").expect(200).body("de");
    let asked = origin.requests("/a");
    assert_eq!(asked[2].value("if-none-match"), Some("\"e\""));
    assert_eq!(asked[3].value("if-none-match"), Some("\"d\""));
}

#[test]
fn who_waits_for_an_answer_that_turns_out_to_be_another_one_s_asks_for_his_own() {
    let gate = Gate::new();
    let origin = Origin::new()
        .on("/a", by("Accept-Language", "of the first").after(&gate))
        .then("/a", by("Accept-Language", "of the second"));
    let gw = Gateway::start(&kept(&origin, ""));

    let first = gw.ask_apart(&get_with("/a", "Accept-Language", "de"));
    origin.wait_seen("/a", 1);
    let same = gw.ask_apart(&get_with("/a", "Accept-Language", "de"));
    let others: Vec<_> = (0..3)
        .map(|_| gw.ask_apart(&get_with("/a", "Accept-Language", "en")))
        .collect();
    wait_waiting(&gw, 4);
    gate.open();
    first.response().expect(200).body("of the first");
    same.response().expect(200).body("of the first");
    for other in others {
        other.response().expect(200).body("of the second");
    }
    settle(&gw);
    assert_eq!(origin.seen("/a"), 2);
}

#[test]
fn a_purge_of_the_url_takes_all_its_variants() {
    let origin = Origin::new().on("/a", by("Accept-Language", "x"));
    let gw = Gateway::start(&kept(&origin, ""));
    let languages = ["de", "en", "fr"];
    for language in languages {
        gw.ask(&get_with("/a", "Accept-Language", language)).expect(200);
    }

    super::purge(&gw, r#"{"urls":["http://a.test/a"]}"#);
    for language in languages {
        gw.ask(&get_with("/a", "Accept-Language", language)).expect(200);
    }
    assert_eq!(origin.seen("/a"), 6);
}

#[test]
fn a_route_that_sets_what_is_sent_to_the_origin_sets_it_once() {
    let origin = Origin::new().on("/a", by("Accept-Encoding", "x"));
    let toml = kept(&origin, "").replace(
        "[routes.cache]",
        "request_headers = { set = { Accept-Encoding = \"br\" }, remove = [\"If-None-Match\"] }\n[routes.cache]",
    );
    let gw = Gateway::start(&toml);

    gw.ask(&get_with("/a", "Accept-Encoding", "gzip")).expect(200);
    assert_eq!(origin.only("/a").value("accept-encoding"), Some("br"));
}
