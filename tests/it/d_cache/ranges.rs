//! Parts of what is stored, or of what is on its way there (RFC 9110 §14).

use harness::body::{Body, Collector, Pattern};
use harness::origin::{Script, reply};
use harness::{Gate, Gateway, Origin, Request, wait_until};

use super::{date, end_to_end, forwarded, get_with, hit, kept, kept_in, lasting, said, secs, settle};

fn digits() -> Script {
    lasting("0123456789")
        .header("ETag", "\"a\"")
        .header("Content-Type", "text/plain")
        .header("Last-Modified", &date(-1000))
}

/// A stretch of a pattern, both ends included.
fn stretch(length: u64, first: u64, last: u64) -> Body {
    let (mut pattern, mut at, mut collector) = (Pattern::new(length), 0, Collector::default());
    while let Some(block) = pattern.block() {
        let (from, until) = (first.max(at), (last + 1).min(at + block.len() as u64));
        if from < until {
            let place = |n: u64| usize::try_from(n - at).expect("it lies within a block");
            collector.push(&block[place(from)..place(until)]);
        }
        at += block.len() as u64;
    }
    collector.finish()
}

#[test]
fn one_range_is_a_206_with_its_place() {
    let origin = Origin::new().on("/a", digits());
    let gw = Gateway::start_with_manual_clock(&kept(&origin, ""));
    gw.get("/a").expect(200);

    let mut client = gw.connect();
    for (range, place, body) in [
        ("bytes=0-0", "bytes 0-0/10", "0"),
        ("bytes=2-5", "bytes 2-5/10", "2345"),
        ("bytes=5-", "bytes 5-9/10", "56789"),
        ("bytes=-3", "bytes 7-9/10", "789"),
        ("bytes=-30", "bytes 0-9/10", "0123456789"),
        ("bytes=8-100", "bytes 8-9/10", "89"),
        ("Bytes=1-1", "bytes 1-1/10", "1"),
        ("bytes=20-30, 3-4", "bytes 3-4/10", "34"),
    ] {
        let part = client.ask(&get_with("/a", "Range", range));
        hit(part.expect(206).header("content-range", place).body(body));
        part.header("etag", "\"a\"").header("content-type", "text/plain");
    }
    for nonsense in [
        "bytes=5-2",
        "bytes=",
        "lines=1-2",
        "bytes=a-b",
        "bytes",
        "bytes=0-5,3-8",
    ] {
        let whole = client.ask(&get_with("/a", "Range", nonsense));
        hit(whole.expect(200).body("0123456789").no_header("content-range"));
    }
    assert_eq!(origin.seen("/a"), 1);
}

#[test]
fn several_ranges_are_parts_of_one_answer() {
    let origin = Origin::new().on("/a", digits());
    let gw = Gateway::start_with_manual_clock(&kept(&origin, ""));
    gw.get("/a").expect(200);

    let parts = gw.ask(&get_with("/a", "Range", "bytes=8-9, 0-1, -4"));
    // Two of them overlap: all of it, or the parts, but never something else.
    parts.expect(200).body("0123456789");
    let parts = gw.ask(&get_with("/a", "Range", "bytes=8-9, 0-1"));
    parts
        .expect(206)
        .no_header("content-range")
        .header("etag", "\"a\"");
    let kind = parts.value("content-type").unwrap();
    let boundary = kind.strip_prefix("multipart/byteranges; boundary=").unwrap();
    let expected = format!(
        "--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes 8-9/10\r\n\r\n89\r\n\
         --{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/10\r\n\r\n01\r\n--{boundary}--\r\n"
    );
    parts.body(expected);
    assert_eq!(origin.seen("/a"), 1);
}

#[test]
fn a_range_beyond_the_end_is_a_416_that_says_how_long_it_is() {
    let origin = Origin::new().on("/a", digits()).on("/empty", lasting(""));
    let gw = Gateway::start_with_manual_clock(&kept(&origin, ""));
    gw.get("/a").expect(200);
    gw.get("/empty").expect(200);

    let mut client = gw.connect();
    for range in ["bytes=10-", "bytes=99-100", "bytes=-0"] {
        client
            .ask(&get_with("/a", "Range", range))
            .expect(416)
            .header("content-range", "bytes */10");
    }
    client
        .ask(&get_with("/empty", "Range", "bytes=0-"))
        .expect(416)
        .header("content-range", "bytes */0");
    client.ask(&Request::get("/a")).expect(200).body("0123456789");
}

#[test]
fn if_range_lets_the_part_go_only_if_it_is_of_the_same_whole() {
    let origin = Origin::new()
        .on("/a", digits())
        .on("/weak", digits_with_tag("W/\"a\""))
        .on("/new", lasting("0123456789").header("Last-Modified", &date(0)));
    let gw = Gateway::start_with_manual_clock(&kept(&origin, ""));
    for target in ["/a", "/weak", "/new"] {
        gw.get(target).expect(200);
    }
    gw.advance(secs(60));

    let mut client = gw.connect();
    for (target, condition, is_part) in [
        ("/a", "\"a\"".to_owned(), true),
        ("/a", "\"b\"".to_owned(), false),
        ("/a", "W/\"a\"".to_owned(), false),
        ("/weak", "W/\"a\"".to_owned(), false),
        ("/a", date(-1000), true),
        ("/a", date(-999), false),
        ("/a", date(0), false),
        // It may have changed again within that second.
        ("/new", date(0), false),
        ("/a", "nonsense".to_owned(), false),
    ] {
        let request = get_with(target, "Range", "bytes=0-1").header("If-Range", &condition);
        let response = client.ask(&request);
        let (status, body) = if is_part { (206, "01") } else { (200, "0123456789") };
        assert_eq!(
            (response.status, response.text().as_str()),
            (status, body),
            "{target}: If-Range: {condition}"
        );
    }
}

fn digits_with_tag(tag: &str) -> Script {
    lasting("0123456789").header("ETag", tag)
}

#[test]
fn ranges_are_for_get_and_for_200() {
    let origin = Origin::new().on("/a", digits()).on(
        "/404",
        reply(404).header("Cache-Control", "max-age=60").body("none"),
    );
    let gw = Gateway::start_with_manual_clock(&kept(&origin, ""));
    gw.get("/a").expect(200);
    gw.get("/404").expect(404);

    let mut client = gw.connect();
    let head = Request::head("/a").header("Range", "bytes=0-1");
    client
        .ask(&head)
        .expect(200)
        .header("content-length", "10")
        .no_header("content-range");
    hit(client
        .ask(&get_with("/404", "Range", "bytes=0-1"))
        .expect(404)
        .body("none"));
    let two = get_with("/a", "Range", "bytes=0-1").header("Range", "bytes=4-5");
    client.ask(&two).expect(200).body("0123456789");
}

#[test]
fn a_part_of_what_is_not_stored_has_the_whole_fetched_once() {
    let origin = Origin::new().on("/a", digits());
    let gw = Gateway::start_with_manual_clock(&kept(&origin, ""));

    let part = gw.ask(&get_with("/a", "Range", "bytes=2-3").header("If-Range", "\"a\""));
    forwarded(
        part.expect(206)
            .body("23")
            .header("content-range", "bytes 2-3/10"),
        "uri-miss",
    );
    let asked = origin.only("/a");
    assert!(!asked.has("range") && !asked.has("if-range"), "{}", asked.head);
    settle(&gw);
    hit(gw.get("/a").expect(200).body("0123456789"));
}

#[test]
fn a_part_of_what_is_on_its_way_is_sent_when_it_is_there() {
    let gate = Gate::new();
    let script = reply(200)
        .header("Cache-Control", "max-age=60")
        .body("01234")
        .pause(&gate)
        .body("56789");
    let origin = Origin::new().on("/a", script);
    let gw = Gateway::start(&kept(&origin, ""));

    let whole = gw.ask_apart(&Request::get("/a"));
    origin.wait_seen("/a", 1);
    // What has come is given out, although the rest has not.
    gw.ask(&get_with("/a", "Range", "bytes=1-3"))
        .expect(206)
        .body("123")
        .header("content-range", "bytes 1-3/10");
    let across = gw.ask_apart(&get_with("/a", "Range", "bytes=3-6"));
    let ahead = gw.ask_apart(&get_with("/a", "Range", "bytes=-2"));
    let several = gw.ask_apart(&get_with("/a", "Range", "bytes=8-8,0-0"));
    wait_until("all of them follow", || {
        gw.status()["caches"]["edge"]["collapsed"] == 4
    });
    gw.ask(&get_with("/a", "Range", "bytes=10-"))
        .expect(416)
        .header("content-range", "bytes */10");
    gate.open();
    across.response().expect(206).body("3456");
    ahead.response().expect(206).body("89");
    let several = several.response();
    let text = several.expect(206).text();
    assert!(
        text.contains("bytes 8-8/10\r\n\r\n8\r\n") && text.contains("bytes 0-0/10\r\n\r\n0\r\n"),
        "{text}"
    );
    whole.response().expect(200).body("0123456789");
    assert_eq!(origin.seen("/a"), 1);
}

#[test]
fn several_parts_of_what_is_on_its_way_are_the_bytes_they_say() {
    const LENGTH: u64 = 300_000;
    let gate = Gate::new();
    let script = reply(200)
        .header("Cache-Control", "max-age=60")
        .header("ETag", "\"a\"")
        .pattern(LENGTH)
        .pause(&gate)
        .body("end");
    let origin = Origin::new().on("/a", script);
    let gw = Gateway::start(&kept(&origin, ""));

    let whole = gw.ask_apart(&Request::get("/a"));
    origin.wait_seen("/a", 1);
    // All that is asked for has come by then.
    gw.ask(&get_with(
        "/a",
        "Range",
        &format!("bytes={}-{}", LENGTH - 1, LENGTH - 1),
    ))
    .expect(206);
    let ranges = [
        "bytes=100-107,0-7",
        "bytes=100000-100007,50-57,0-7",
        "bytes=0-7,200000-200007,8-15",
    ];
    let on_its_way = ranges.map(|ranges| gw.ask(&get_with("/a", "Range", ranges)));
    gate.open();
    whole.response().expect(200);
    settle(&gw);
    for (part, ranges) in on_its_way.iter().zip(ranges) {
        let stored = gw.ask(&get_with("/a", "Range", ranges));
        hit(stored.expect(206));
        assert!(part.expect(206).message.body == stored.message.body, "{ranges}");
    }
}

#[test]
fn what_is_on_its_way_without_a_length_is_sent_whole() {
    let gate = Gate::new();
    let script = reply(200)
        .header("Cache-Control", "max-age=60")
        .chunked()
        .body("01234")
        .pause(&gate)
        .body("56789");
    let origin = Origin::new().on("/a", script);
    let gw = Gateway::start(&kept(&origin, ""));

    let first = gw.ask_apart(&Request::get("/a"));
    origin.wait_seen("/a", 1);
    let part = gw.ask_apart(&get_with("/a", "Range", "bytes=1-2"));
    gate.open();
    first.response().expect(200).body("0123456789");
    let part = part.response();
    assert!(
        (part.status, part.text().as_str()) == (200, "0123456789")
            || (part.status, part.text().as_str()) == (206, "12"),
        "{part}"
    );
    settle(&gw);
    hit(gw
        .ask(&get_with("/a", "Range", "bytes=1-2"))
        .expect(206)
        .body("12")
        .header("content-range", "bytes 1-2/10"));
    assert_eq!(origin.seen("/a"), 1);
}

#[test]
fn large_objects_come_from_disk_whole_and_in_parts() {
    const LENGTH: u64 = (5 << 20) + 12_345;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cache");
    let script = reply(200)
        .header("Cache-Control", "max-age=3600")
        .header("ETag", "\"big\"");
    let origin = Origin::new()
        .on("/known", script.clone().pattern(LENGTH))
        .on("/unknown", script.chunked().pattern(LENGTH));
    let cache = format!("memory = \"4MiB\"\ndisk = \"64MiB\"\npath = {path:?}");
    let gw = Gateway::start_with_manual_clock(&kept_in(&cache, &origin, ""));

    for target in ["/known", "/unknown"] {
        let first = gw.get(target);
        assert_eq!(first.expect(200).message.body, Pattern::whole(LENGTH));
        settle(&gw);
        let second = gw.get(target);
        hit(second.expect(200).header("content-length", &LENGTH.to_string()));
        assert_eq!(second.message.body, first.message.body, "{target}");
        assert_eq!(
            end_to_end(&second).iter().find(|(n, _)| n == "etag"),
            end_to_end(&first).iter().find(|(n, _)| n == "etag")
        );
        let mut client = gw.connect();
        for (first, last) in [
            (0, 0),
            (65_535, 65_536),
            (1_000_000, 3_000_000),
            (LENGTH - 1, LENGTH - 1),
            (0, LENGTH - 1),
        ] {
            let part = client.ask(&get_with(target, "Range", &format!("bytes={first}-{last}")));
            hit(part
                .expect(206)
                .header("content-range", &format!("bytes {first}-{last}/{LENGTH}")));
            assert_eq!(
                part.message.body,
                stretch(LENGTH, first, last),
                "{target}: {first}-{last}"
            );
        }
        client
            .ask(&Request::head(target))
            .expect(200)
            .header("content-length", &LENGTH.to_string());
        client
            .ask(&get_with(target, "If-None-Match", "\"big\""))
            .expect(304);
        assert_eq!(
            said(&client.ask(&get_with(target, "Range", "bytes=1-2"))),
            "hit; ttl=3600"
        );
        assert_eq!(origin.seen(target), 1);
    }
    let edge = &gw.status()["caches"]["edge"];
    assert_eq!(
        (&edge["objects_disk"], &edge["objects_memory"]),
        (&2.into(), &0.into()),
        "{edge:#}"
    );
}

#[test]
fn a_part_of_a_large_object_on_its_way_may_lie_far_behind_or_ahead() {
    const LENGTH: u64 = 6 << 20;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cache");
    let gate = Gate::new();
    // The pattern begins anew behind the pause.
    let script = reply(200)
        .header("Cache-Control", "max-age=3600")
        .pattern(LENGTH / 2)
        .pause(&gate)
        .pattern(LENGTH / 2);
    let origin = Origin::new().on("/a", script);
    let cache = format!("memory = \"4MiB\"\ndisk = \"64MiB\"\npath = {path:?}");
    let gw = Gateway::start(&kept_in(&cache, &origin, ""));

    let first = gw.ask_apart(&Request::get("/a"));
    origin.wait_seen("/a", 1);
    let near = gw.ask(&get_with("/a", "Range", "bytes=10-1000000"));
    assert_eq!(near.expect(206).message.body, stretch(LENGTH / 2, 10, 1_000_000));
    let ahead = gw.ask_apart(&get_with("/a", "Range", "bytes=-100"));
    gate.open();
    let half = LENGTH / 2;
    assert_eq!(
        ahead.response().expect(206).message.body,
        stretch(half, half - 100, half - 1)
    );
    assert_eq!(first.response().expect(200).message.body.length, LENGTH);
    let again = gw.ask(&get_with("/a", "Range", "bytes=10-1000000"));
    assert_eq!(again.message.body, near.message.body);
    assert_eq!(origin.seen("/a"), 1);
}
