//! Siblings that were compressed beforehand.

use super::*;

fn site() -> Site {
    let site = Site::new(|plan| plan.precompressed = vec![Coding::Brotli, Coding::Gzip, Coding::Zstd]);
    let files = [
        ("app.js", "plain"),
        ("app.js.br", "BR"),
        ("app.js.gz", "GZIP"),
        ("lone.css", "lone"),
    ];
    site.fill(&files);
    for (path, _) in files {
        set_modified(&site.path(path), NOVEMBER_SECS, 0);
    }
    site
}

#[test]
fn the_client_gets_the_coding_it_wants_most_of_those_that_are_there() {
    let site = site();
    for (accept, coding, body) in [
        ("gzip, br", Some("br"), "BR"),
        ("gzip, br;q=0.9", Some("gzip"), "GZIP"),
        ("zstd, gzip;q=0.5", Some("gzip"), "GZIP"),
        ("*", Some("br"), "BR"),
        ("*;q=0.5, br;q=0", Some("gzip"), "GZIP"),
        ("br;q=0", None, "plain"),
        ("identity, br;q=0.5", None, "plain"),
        ("zstd", None, "plain"),
        ("", None, "plain"),
        ("identity;q=0", None, "plain"),
    ] {
        let seen = site.get_with("/app.js", "Accept-Encoding", accept);
        assert_eq!(
            (seen.field("Content-Encoding"), seen.text()),
            (coding, body),
            "{accept}"
        );
        assert_eq!(seen.field("Content-Type"), Some("text/javascript; charset=utf-8"));
        assert_eq!(seen.field("Vary"), Some("Accept-Encoding"));
    }
    assert_eq!(site.get("/app.js").text(), "plain");
    let lone = site.get_with("/lone.css", "Accept-Encoding", "br");
    assert_eq!(
        (lone.text(), lone.field("Vary")),
        ("lone", Some("Accept-Encoding"))
    );
}

#[test]
fn each_coding_is_a_representation_of_its_own() {
    let mut site = site();
    site.write("app.js.gz", b"plain");
    set_modified(&site.path("app.js.gz"), NOVEMBER_SECS, 0);
    site.wait(1000);
    let tag = |accept| {
        let seen = site.get_with("/app.js", "Accept-Encoding", accept);
        seen.field("ETag").unwrap().to_owned()
    };
    let (plain, gzip) = (tag("identity"), tag("gzip"));
    assert_ne!(plain, gzip, "even with the same bytes");
    let ask = |tag: &str, accept| {
        let lines = [("If-None-Match", tag), ("Accept-Encoding", accept)];
        site.ask("GET", "/app.js", &lines)
    };
    let seen = ask(&gzip, "gzip");
    assert_eq!((seen.status, seen.field("Vary")), (304, Some("Accept-Encoding")));
    assert_eq!(ask(&plain, "gzip").status, 200);
}

#[test]
fn a_range_is_one_of_the_coded_bytes() {
    let site = site();
    let lines = [("Range", "bytes=1-2"), ("Accept-Encoding", "gzip")];
    let seen = site.ask("GET", "/app.js", &lines);
    assert_eq!((seen.status, seen.text()), (206, "ZI"));
    assert_eq!(seen.field("Content-Encoding"), Some("gzip"));
    assert_eq!(seen.field("Content-Range"), Some("bytes 1-2/4"));
}

#[test]
fn a_sibling_that_is_older_or_no_file_or_hidden_away_is_passed_over() {
    let mut site = site();
    set_modified(&site.path("app.js.br"), NOVEMBER_SECS - 1, 999_999_999);
    std::fs::remove_file(site.path("app.js.gz")).unwrap();
    std::fs::create_dir(site.path("app.js.gz")).unwrap();
    std::fs::write(site.outside.path().join("secret"), "secret").unwrap();
    std::os::unix::fs::symlink("../secret", site.path("app.js.zst")).unwrap();
    let seen = site.get_with("/app.js", "Accept-Encoding", "br, gzip, zstd");
    assert_eq!((seen.field("Content-Encoding"), seen.text()), (None, "plain"));
    set_modified(&site.path("app.js.br"), NOVEMBER_SECS, 1);
    site.wait(1000);
    assert_eq!(site.get_with("/app.js", "Accept-Encoding", "br").text(), "BR");
}

#[test]
fn without_an_original_there_is_nothing_to_negotiate() {
    let mut site = site();
    std::fs::remove_file(site.path("app.js")).unwrap();
    site.wait(1000);
    assert_eq!(site.get_with("/app.js", "Accept-Encoding", "br").status, 404);
    let itself = site.get_with("/app.js.gz", "Accept-Encoding", "gzip");
    assert_eq!((itself.text(), itself.field("Content-Encoding")), ("GZIP", None));
}
