//! Stored answers: plain once, and each coded form once.

use std::time::Duration;

use harness::origin::reply;
use harness::{Gate, Gateway, Origin, Request, Response, wait_for, wait_until};

use super::{accepting, coded, page, plain_but_varies, text};

/// Every request goes to this origin; its answers are kept and compressed.
fn config(origin: &Origin, cache: &str, compression: bool) -> String {
    format!(
        r#"
        [caches.edge]
        memory = "64MiB"
        {cache}

        [upstreams.origin]
        servers = [{{ address = "{}" }}]

        [[routes]]
        name = "all"
        match = {{ path_prefix = "/" }}
        upstream = "origin"
        compression = {compression}
        cache = {{ store = "edge" }}
        "#,
        origin.address()
    )
}

fn caching(origin: &Origin) -> Gateway {
    Gateway::start(&config(origin, "disk = \"0\"", true))
}

/// How many objects the cache has, once nothing is being brought into it.
fn objects(gw: &Gateway) -> u64 {
    let cache = wait_for("nothing is on its way into the cache", || {
        let cache = gw.status()["caches"]["edge"].clone();
        (cache["fills"] == 0).then_some(cache)
    });
    cache["objects"].as_u64().expect("objects are counted")
}

/// Asks until the answer is in this coding.
#[track_caller]
fn until_coded(gw: &Gateway, path: &str, coding: &str) -> Response {
    wait_for("the coded form is there", || {
        let response = gw.ask(&accepting(path, coding));
        response.value("content-encoding").is_some().then_some(response)
    })
}

fn fresh(body: impl AsRef<[u8]>) -> harness::Script {
    page(body).header("Cache-Control", "max-age=60")
}

#[test]
fn a_stored_answer_is_compressed_once_for_each_coding() {
    let body = text(100_000);
    let origin = Origin::new().on("/", fresh(&body).header("ETag", "\"a\""));
    let gw = caching(&origin);

    let first = gw.ask(&accepting("/", "gzip"));
    plain_but_varies(first.expect(200).header("etag", "\"a\"").body(&body));
    for (n, coding) in ["gzip", "br", "zstd"].into_iter().enumerate() {
        let response = until_coded(&gw, "/", coding);
        assert_eq!(coded(response.expect(200), coding), body.as_bytes());
        let length = response.message.body.length.to_string();
        response
            .header("etag", "W/\"a\"")
            .header("content-length", &length);
        assert_eq!(objects(&gw), 2 + n as u64);
        for _ in 0..3 {
            let again = gw.ask(&accepting("/", coding));
            assert!(again.message.body == response.message.body);
        }
        let head = gw.ask(&Request::head("/").header("Accept-Encoding", coding));
        head.expect(200)
            .header("content-encoding", coding)
            .header("content-length", &length);
    }
    assert_eq!(objects(&gw), 4);
    plain_but_varies(gw.get("/").expect(200).body(&body));
    assert_eq!(origin.seen("/"), 1);
}

#[test]
fn conditions_and_ranges_of_a_stored_answer_are_of_the_form_they_are_about() {
    let body = text(100_000);
    let script = fresh(&body)
        .header("ETag", "\"a\"")
        .header("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT");
    let origin = Origin::new().on("/", script);
    let gw = caching(&origin);
    gw.get("/").expect(200);
    // No coded form yet: who holds one from before is answered by its tag.
    let with = |name: &str, value: &str| gw.ask(&accepting("/", "gzip").header(name, value));
    let early = with("If-None-Match", "W/\"a\"");
    early.expect(304).header("etag", "W/\"a\"");
    until_coded(&gw, "/", "gzip");

    with("If-None-Match", "W/\"a\"")
        .expect(304)
        .header("etag", "W/\"a\"")
        .header("vary", "Accept-Encoding");
    with("If-None-Match", "\"a\"").expect(304);
    with("If-None-Match", "\"b\"")
        .expect(200)
        .header("content-encoding", "gzip");
    plain_but_varies(with("If-Match", "\"a\"").expect(200).body(&body));
    let part = with("Range", "bytes=5-9");
    part.expect(206)
        .no_header("content-encoding")
        .header("vary", "Accept-Encoding")
        .header("etag", "\"a\"")
        .header("content-range", &format!("bytes 5-9/{}", body.len()))
        .body(&body[5..10]);
    let continued = |condition: &str| {
        let request = accepting("/", "gzip").header("Range", "bytes=5-9");
        gw.ask(&request.header("If-Range", condition))
    };
    continued("\"a\"").expect(206).body(&body[5..10]);
    continued("W/\"a\"").expect(200);
    let by_date = continued("Sun, 06 Nov 1994 08:49:37 GMT");
    assert_eq!(coded(by_date.expect(200), "gzip"), body.as_bytes());
    assert_eq!(origin.seen("/"), 1);
}

#[test]
fn a_purge_reaches_the_coded_forms() {
    let (old, new) = (text(50_000), text(60_000));
    let origin = Origin::new()
        .on("/", fresh(&old))
        .then("/", fresh(&new))
        .on("/other", fresh(&old));
    let gw = caching(&origin);
    let purge = |target: &str| {
        let request = Request::post("/purge", format!("{{\"urls\":[\"http://a.test{target}\"]}}"));
        gw.ask_admin(&request.header("Content-Type", "application/json"))
            .expect(200);
    };
    gw.get("/").expect(200);
    until_coded(&gw, "/", "br");
    // An older purge of something else is no reason not to make forms of what it has not reached.
    gw.get("/other").expect(200);
    purge("/none");
    until_coded(&gw, "/other", "gzip");

    purge("/");
    plain_but_varies(gw.ask(&accepting("/", "br")).expect(200).body(&new));
    assert_eq!(coded(&until_coded(&gw, "/", "br"), "br"), new.as_bytes());
    let other = gw.ask(&accepting("/other", "gzip"));
    assert_eq!(coded(&other, "gzip"), old.as_bytes());
}

#[test]
fn a_newer_answer_never_goes_with_an_older_one_s_form() {
    let (old, new) = (text(50_000), text(50_000).replace("line", "LINE"));
    // Neither tag nor date nor length tells them apart, and the clock stands still but for the lifetime.
    let origin = Origin::new().on("/", fresh(&old)).then("/", fresh(&new));
    let gw = Gateway::start_with_manual_clock(&config(&origin, "disk = \"0\"", true));
    gw.get("/").expect(200);
    assert_eq!(coded(&until_coded(&gw, "/", "zstd"), "zstd"), old.as_bytes());

    gw.advance(Duration::from_secs(61));
    plain_but_varies(gw.ask(&accepting("/", "zstd")).expect(200).body(&new));
    assert_eq!(coded(&until_coded(&gw, "/", "zstd"), "zstd"), new.as_bytes());
    assert_eq!((objects(&gw), origin.seen("/")), (2, 2));
}

#[test]
fn an_answer_that_was_validated_keeps_the_bytes_of_its_forms_under_its_new_head() {
    let body = text(50_000);
    let validated = reply(304)
        .header("ETag", "\"a\"")
        .header("Cache-Control", "max-age=60")
        .header("X-Round", "2");
    let origin = Origin::new()
        .on("/", fresh(&body).header("ETag", "\"a\"").header("X-Round", "1"))
        .then("/", validated);
    let gw = Gateway::start_with_manual_clock(&config(&origin, "disk = \"0\"", true));
    gw.get("/").expect(200);
    let before = until_coded(&gw, "/", "gzip");
    before.header("x-round", "1");

    gw.advance(Duration::from_secs(61));
    gw.ask(&accepting("/", "gzip")).expect(200).header("x-round", "2");
    let after = until_coded(&gw, "/", "gzip");
    after.header("x-round", "2").header("etag", "W/\"a\"");
    assert!(after.message.body == before.message.body);
    assert_eq!((objects(&gw), origin.seen("/")), (2, 2));
}

#[test]
fn what_does_not_shrink_is_remembered_and_sent_as_it_is() {
    let mut word = 1_u64;
    let mut noise = || {
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (word >> 56) as u8
    };
    let body: Vec<u8> = (0..50_000).map(|_| noise()).collect();
    let origin = Origin::new().on("/", fresh(&body));
    let gw = caching(&origin);
    for _ in 0..20 {
        let response = gw.ask(&accepting("/", "gzip"));
        plain_but_varies(response.expect(200));
        assert!(response.message.body.kept == body);
    }
    wait_until("the mark is there", || objects(&gw) == 2);
    plain_but_varies(gw.ask(&accepting("/", "gzip")).expect(200));
    assert_eq!((objects(&gw), origin.seen("/")), (2, 1));
}

#[test]
fn what_may_not_be_compressed_has_no_forms() {
    let body = text(50_000);
    let kept = |media: &str| {
        let script = reply(200).header("Content-Type", media).body(&body);
        script.header("Cache-Control", "max-age=60")
    };
    let origin = Origin::new()
        .on("/image", kept("image/png"))
        .on("/encoded", kept("text/html").header("Content-Encoding", "br"))
        .on(
            "/transform",
            page(&body).header("Cache-Control", "max-age=60, no-transform"),
        );
    let gw = caching(&origin);
    for path in ["/image", "/encoded", "/transform"] {
        for _ in 0..3 {
            gw.ask(&accepting(path, "gzip"))
                .expect(200)
                .no_header("vary")
                .body(&body);
        }
        assert_eq!(origin.seen(path), 1);
    }
    // Besides the three there is a mark: what came in a coding is for those only who take it.
    assert_eq!(objects(&gw), 4);
}

#[test]
fn who_follows_an_answer_that_is_being_stored_gets_it_plain() {
    let gate = Gate::new();
    let body = text(50_000);
    let script = fresh(&body[..20_000])
        .chunked()
        .pause(&gate)
        .body(&body[20_000..]);
    let origin = Origin::new().on("/", script);
    let gw = caching(&origin);

    let waiting: Vec<_> = (0..3).map(|_| gw.ask_apart(&accepting("/", "gzip"))).collect();
    origin.wait_seen("/", 1);
    gate.open();
    for pending in waiting {
        plain_but_varies(pending.response().expect(200).body(&body));
    }
    assert_eq!(coded(&until_coded(&gw, "/", "gzip"), "gzip"), body.as_bytes());
    assert_eq!(origin.seen("/"), 1);
}

#[test]
fn each_variant_of_an_origin_s_own_has_forms_of_its_own() {
    let (english, german) = (text(30_000), text(40_000));
    let varying = |body: &str| fresh(body).header("Vary", "Accept-Language");
    let origin = Origin::new()
        .on("/", varying(&english))
        .then("/", varying(&german));
    let gw = caching(&origin);
    for (language, body) in [("en", &english), ("de", &german)] {
        let request = accepting("/", "gzip").header("Accept-Language", language);
        let response = wait_for("the coded form is there", || {
            let response = gw.ask(&request);
            response.value("content-encoding").is_some().then_some(response)
        });
        assert_eq!(coded(&response, "gzip"), body.as_bytes());
        let mut vary = response.head.list("vary");
        vary.sort();
        assert_eq!(vary, ["accept-encoding", "accept-language"]);
    }
    assert_eq!(origin.seen("/"), 2);
}

#[test]
fn a_reload_decides_anew_what_is_compressed() {
    let body = text(50_000);
    let origin = Origin::new().on("/", fresh(&body));
    let gw = Gateway::start(&config(&origin, "disk = \"0\"", false));
    for _ in 0..2 {
        let response = gw.ask(&accepting("/", "gzip"));
        response
            .expect(200)
            .no_header("vary")
            .no_header("content-encoding");
    }
    gw.reload(&config(&origin, "disk = \"0\"", true)).unwrap();
    assert_eq!(coded(&until_coded(&gw, "/", "gzip"), "gzip"), body.as_bytes());
    gw.reload(&config(&origin, "disk = \"0\"", false)).unwrap();
    gw.ask(&accepting("/", "gzip"))
        .expect(200)
        .no_header("content-encoding")
        .body(&body);
    assert_eq!(origin.seen("/"), 1);
}

#[test]
fn forms_of_what_is_on_disk_are_on_disk_and_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let disk = format!("disk = \"256MiB\"\npath = \"{}\"", folder.path().display());
    let (small, large) = (text(50_000), text(3 << 20));
    let origin = Origin::new()
        .on("/small", fresh(&small))
        .on("/large", fresh(&large));
    let toml = config(&origin, &disk, true);
    let gw = Gateway::start(&toml);
    for path in ["/small", "/large"] {
        gw.get(path).expect(200);
        let response = until_coded(&gw, path, "gzip");
        let body = coded(&response, "gzip");
        assert!(
            body == if path == "/small" {
                small.as_bytes()
            } else {
                large.as_bytes()
            }
        );
    }
    assert_eq!(objects(&gw), 4);
    wait_until("all is on disk", || {
        let cache = gw.status()["caches"]["edge"].clone();
        cache["disk_bytes"].as_u64().unwrap() > large.len() as u64
    });
    assert!(gw.stop());

    let gw = Gateway::start(&toml);
    wait_until("what is on disk was found", || objects(&gw) == 4);
    for path in ["/small", "/large"] {
        let body = coded(&until_coded(&gw, path, "gzip"), "gzip");
        assert!(
            body == if path == "/small" {
                small.as_bytes()
            } else {
                large.as_bytes()
            }
        );
    }
    assert_eq!(objects(&gw), 4, "none was made anew beside the old ones");
    assert_eq!((origin.seen("/small"), origin.seen("/large")), (1, 1));
}
