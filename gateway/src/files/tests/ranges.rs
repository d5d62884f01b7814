//! Partial answers, from memory and from disk alike.

use super::*;

/// "0123456789" over and over: ten bytes, and as a larger file many.
fn site() -> (Site, Vec<u8>) {
    let site = Site::with(&[("small.txt", "0123456789")]);
    let big: Vec<u8> = (0..100_000u32).map(|n| b'0' + (n % 10) as u8).collect();
    site.write("big.txt", &big);
    (site, big)
}

#[test]
fn a_range_is_cut_out_and_named() {
    let (site, big) = site();
    let seen = site.get_with("/small.txt", "Range", "bytes=2-4");
    assert_eq!((seen.status, seen.text()), (206, "234"));
    assert_eq!(seen.field("Content-Range"), Some("bytes 2-4/10"));
    assert_eq!(seen.field("Content-Type"), Some("text/plain; charset=utf-8"));
    assert_eq!(seen.field("ETag"), site.get("/small.txt").field("ETag"));
    let seen = site.get_with("/big.txt", "Range", "bytes=-7");
    assert_eq!((seen.status, &seen.body[..]), (206, &big[99_993..]));
    assert_eq!(seen.field("Content-Range"), Some("bytes 99993-99999/100000"));
}

#[test]
fn several_ranges_come_as_parts() {
    let (site, _) = site();
    for (path, size) in [("/small.txt", 10), ("/big.txt", 100_000)] {
        let seen = site.get_with(path, "Range", "bytes=0-1,9-9,-0");
        assert_eq!(seen.status, 206);
        assert_eq!(seen.field("Content-Range"), None);
        let boundary = seen.field("Content-Type").unwrap();
        let boundary = boundary.strip_prefix("multipart/byteranges; boundary=").unwrap();
        let part = |range: &str, body: &str| {
            format!(
                "--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\n\
                 Content-Range: bytes {range}/{size}\r\n\r\n{body}\r\n"
            )
        };
        let expected = format!("{}{}--{boundary}--\r\n", part("0-1", "01"), part("9-9", "9"));
        assert_eq!(seen.text(), expected);
        assert_eq!(
            site.get_with(path, "Range", "bytes=0-1,9-9,-0"),
            seen,
            "the same twice"
        );
    }
}

#[test]
fn nothing_of_it_there_is_416_and_anything_odd_is_the_whole_file() {
    let (site, _) = site();
    let seen = site.get_with("/small.txt", "Range", "bytes=10-");
    assert_eq!(
        (seen.status, seen.field("Content-Range")),
        (416, Some("bytes */10"))
    );
    for odd in ["lines=1-2", "bytes=4-2", "bytes=0-5,3-8", "bytes=x"] {
        let seen = site.get_with("/small.txt", "Range", odd);
        assert_eq!((seen.status, seen.text()), (200, "0123456789"), "{odd}");
    }
    let twice = [("Range", "bytes=0-1"), ("Range", "bytes=2-3")];
    assert_eq!(site.ask("GET", "/small.txt", &twice).status, 200);
}

#[test]
fn a_download_goes_on_only_in_the_same_file() {
    let (mut site, _) = site();
    set_modified(&site.path("small.txt"), NOVEMBER_SECS, 0);
    let etag = site.get("/small.txt").field("ETag").unwrap().to_owned();
    let go_on = |site: &Site, condition: &str| {
        let lines = [("Range", "bytes=5-"), ("If-Range", condition)];
        site.ask("GET", "/small.txt", &lines)
    };
    assert_eq!(
        (go_on(&site, &etag).status, go_on(&site, NOVEMBER).status),
        (206, 206)
    );
    site.replace("small.txt", b"abcdefghij");
    site.wait(1000);
    let seen = go_on(&site, &etag);
    assert_eq!((seen.status, seen.text()), (200, "abcdefghij"));
    assert_eq!(go_on(&site, NOVEMBER).status, 200);
}

#[test]
fn a_condition_is_judged_before_the_range() {
    let (site, _) = site();
    let etag = site.get("/small.txt").field("ETag").unwrap().to_owned();
    let ask = |name, value: &str| site.ask("GET", "/small.txt", &[("Range", "bytes=99-"), (name, value)]);
    assert_eq!(ask("If-None-Match", &etag).status, 304);
    assert_eq!(ask("If-Match", "\"x\"").status, 412);
    assert_eq!(ask("If-Match", &etag).status, 416);
}
