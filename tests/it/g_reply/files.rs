use std::fs;
use std::os::unix::fs::symlink;

use harness::{Gateway, Request};
use tempfile::TempDir;

/// A folder with these files.
fn site(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder is to be had");
    for (path, text) in files {
        let file = folder.path().join(path);
        fs::create_dir_all(file.parent().expect("it is below the folder"))
            .expect("the folder can be written");
        fs::write(file, text).expect("the folder can be written");
    }
    folder
}

/// The folder under /s/, with these lines.
fn serving(folder: &TempDir, lines: &str) -> Gateway {
    Gateway::start(&format!(
        r#"
        [[routes]]
        name = "files"
        match = {{ path_prefix = "/s/" }}
        static_files = {{ root = "{}"{lines} }}
        "#,
        folder.path().display()
    ))
}

#[test]
fn a_file_is_served_with_its_type_and_validators() {
    let folder = site(&[("a.css", "body {}"), ("b/c.html", "<p>"), ("d", "plain")]);
    let gw = serving(&folder, "");

    let mut client = gw.connect();
    let css = client.ask(&Request::get("/s/a.css"));
    css.expect(200).body("body {}");
    assert!(
        css.value("content-type").unwrap().starts_with("text/css"),
        "{css}"
    );
    assert!(
        css.value("etag").is_some() && css.value("last-modified").is_some(),
        "{css}"
    );
    assert_eq!(css.value("accept-ranges"), Some("bytes"));
    let html = client.ask(&Request::get("/s/b/c.html"));
    assert!(
        html.expect(200)
            .value("content-type")
            .unwrap()
            .starts_with("text/html")
    );
    client
        .ask(&Request::head("/s/a.css"))
        .expect(200)
        .header("content-length", "7");
    client.ask(&Request::get("/s/d")).expect(200).body("plain");
    client.ask(&Request::get("/s/none")).expect(404);
    client.ask(&Request::get("/s/a.css/")).expect(404);
}

#[test]
fn a_file_that_has_not_changed_is_not_sent_again() {
    let folder = site(&[("a.txt", "one")]);
    let gw = serving(&folder, "");

    let first = gw.get("/s/a.txt");
    let etag = first.expect(200).value("etag").unwrap().to_owned();
    let date = first.value("last-modified").unwrap().to_owned();
    let with = |name: &str, value: &str| gw.ask(&Request::get("/s/a.txt").header(name, value));

    with("If-None-Match", &etag).expect(304).header("etag", &etag);
    with("If-None-Match", &format!("\"x\", {etag}")).expect(304);
    with("If-None-Match", "*").expect(304);
    with("If-None-Match", "\"x\"").expect(200).body("one");
    with("If-Modified-Since", &date).expect(304);
    with("If-Modified-Since", "Sun, 06 Nov 1994 08:49:37 GMT").expect(200);
    with("If-Match", "\"x\"").expect(412);
    with("If-Unmodified-Since", "Sun, 06 Nov 1994 08:49:37 GMT").expect(412);
}

#[test]
fn a_part_of_a_file_may_be_asked_for() {
    let folder = site(&[("a.txt", "0123456789")]);
    let gw = serving(&folder, "");
    let part = |range: &str| gw.ask(&Request::get("/s/a.txt").header("Range", range));

    part("bytes=2-4")
        .expect(206)
        .header("content-range", "bytes 2-4/10")
        .body("234");
    part("bytes=7-")
        .expect(206)
        .header("content-range", "bytes 7-9/10")
        .body("789");
    part("bytes=-3")
        .expect(206)
        .header("content-range", "bytes 7-9/10")
        .body("789");
    part("bytes=0-99").expect(206).body("0123456789");
    part("bytes=10-")
        .expect(416)
        .header("content-range", "bytes */10");
    part("bytes=5-2").expect(200).body("0123456789");
    part("pages=1-2").expect(200).body("0123456789");

    let etag = gw.get("/s/a.txt").value("etag").unwrap().to_owned();
    let ranged = Request::get("/s/a.txt").header("Range", "bytes=2-4");
    gw.ask(&ranged.clone().header("If-Range", &etag))
        .expect(206)
        .body("234");
    gw.ask(&ranged.header("If-Range", "\"other\""))
        .expect(200)
        .body("0123456789");
}

#[test]
fn several_parts_come_as_one_body_of_parts() {
    let folder = site(&[("a.txt", "0123456789")]);
    let gw = serving(&folder, "");

    let response = gw.ask(&Request::get("/s/a.txt").header("Range", "bytes=0-1,8-9"));
    // RFC 9110 §14.2 lets a server answer with everything instead.
    if response.status == 206 {
        let kind = response.value("content-type").unwrap();
        assert!(kind.starts_with("multipart/byteranges"), "{response}");
        let body = response.text();
        assert!(
            body.contains("bytes 0-1/10") && body.contains("bytes 8-9/10"),
            "{response}"
        );
    } else {
        response.expect(200).body("0123456789");
    }
    // So many parts are an attack, not a wish.
    let many = format!("bytes={}", vec!["0-0"; 1000].join(","));
    let response = gw.ask(&Request::get("/s/a.txt").header("Range", &many));
    assert!(
        response.message.body.length <= 10_000,
        "{}",
        response.message.body.length
    );
}

#[test]
fn a_folder_is_its_index_and_its_name_ends_in_a_slash() {
    let folder = site(&[("index.html", "top"), ("sub/index.html", "below"), ("bare/a", "")]);
    let gw = serving(&folder, ", index = \"index.html\"");

    gw.get("/s/").expect(200).body("top");
    gw.get("/s/sub/").expect(200).body("below");
    gw.get("/s/sub?q").expect(301).header("location", "/s/sub/?q");
    let bare = gw.get("/s/bare/");
    assert!(matches!(bare.status, 403 | 404), "{bare}");
}

#[test]
fn a_folder_is_listed_only_where_that_is_allowed() {
    let folder = site(&[("a.txt", "one"), ("<b>.txt", "two"), ("sub/c", "")]);
    let listing = serving(&folder, ", directory_listing = true").get("/s/");
    let text = listing.expect(200).text();
    assert!(text.contains("a.txt") && text.contains("sub/"), "{text}");
    assert!(!text.contains("<b>"), "a file's name is no markup: {text}");
}

#[test]
fn nothing_outside_of_the_root_is_served() {
    let outer = site(&[("secret", "secret"), ("root/a", "a"), ("root/sub/b", "b")]);
    symlink(outer.path().join("secret"), outer.path().join("root/link")).unwrap();
    symlink(outer.path(), outer.path().join("root/up")).unwrap();
    let gw = Gateway::start(&format!(
        r#"
        [[routes]]
        name = "files"
        match = {{ path_prefix = "/" }}
        static_files = {{ root = "{}" }}
        "#,
        outer.path().join("root").display()
    ));

    gw.get("/a").expect(200).body("a");
    for target in [
        "/../secret",
        "/..%2fsecret",
        "/%2e%2e/secret",
        "/%2e%2e%2fsecret",
        "/sub/..%2f..%2fsecret",
        "/sub/%2e%2e/%2e%2e/secret",
        "/..%5csecret",
        "/..;/secret",
        "//secret",
        "/link",
        "/up/secret",
        "/a%00.html",
        "/%2e%2e%2f%2e%2e%2f%2e%2e%2fetc/passwd",
        "//etc/passwd",
    ] {
        let response = gw.get(target);
        assert!(matches!(response.status, 400 | 403 | 404), "{target}: {response}");
        assert!(!response.text().contains("secret"), "{target}: {response}");
    }
}

#[test]
fn hidden_files_are_not_served() {
    let folder = site(&[
        (".env", "secret"),
        (".git/config", "secret"),
        (".well-known/x", "public"),
    ]);
    let gw = serving(&folder, "");

    for target in ["/s/.env", "/s/.git/config", "/s/%2eenv"] {
        let response = gw.get(target);
        assert!(matches!(response.status, 403 | 404), "{target}: {response}");
    }
    gw.get("/s/.well-known/x").expect(200).body("public");
}

#[test]
fn a_compressed_sibling_is_served_to_who_understands_it() {
    let folder = site(&[("a.js", "plain"), ("a.js.gz", "gzipped"), ("a.js.br", "brotli")]);
    let gw = serving(&folder, ", precompressed = [\"br\", \"gzip\"]");
    let ask = |accept: &str| gw.ask(&Request::get("/s/a.js").header("Accept-Encoding", accept));

    let plain = gw.get("/s/a.js");
    plain
        .expect(200)
        .no_header("content-encoding")
        .header("vary", "Accept-Encoding")
        .body("plain");
    let brotli = ask("gzip, br");
    brotli
        .expect(200)
        .header("content-encoding", "br")
        .header("vary", "Accept-Encoding")
        .body("brotli");
    assert!(
        brotli.value("content-type").unwrap().contains("javascript"),
        "{brotli}"
    );
    ask("gzip")
        .expect(200)
        .header("content-encoding", "gzip")
        .body("gzipped");
    ask("br;q=0, gzip;q=0.5")
        .expect(200)
        .header("content-encoding", "gzip");
    ask("deflate")
        .expect(200)
        .no_header("content-encoding")
        .body("plain");
    assert_ne!(
        plain.value("etag"),
        brotli.value("etag"),
        "two representations, two tags"
    );
}

#[test]
fn a_path_that_is_no_file_may_fall_back() {
    let folder = site(&[("app.html", "the app"), ("a.txt", "one"), ("b.html", "two")]);
    let gw = serving(&folder, ", try_files = [\"${path}.html\", \"/app.html\"]");

    gw.get("/s/a.txt").expect(200).body("one");
    gw.get("/s/b").expect(200).body("two");
    let deep = gw.get("/s/users/12");
    deep.expect(200).body("the app");
    assert!(deep.value("content-type").unwrap().starts_with("text/html"));

    let strict = serving(&folder, ", try_files = [\"${path}.html\", \"=410\"]");
    strict.get("/s/none").expect(410);
}

#[test]
fn files_are_only_read() {
    let folder = site(&[("a.txt", "one")]);
    let gw = serving(&folder, "");

    let response = gw.ask(&Request::new("DELETE", "/s/a.txt"));
    let mut allowed = response.expect(405).head.list("allow");
    allowed.sort();
    allowed.retain(|m| m != "options");
    assert_eq!(allowed, ["get", "head"]);
    gw.ask(&Request::post("/s/a.txt", "x")).expect(405);
    assert_eq!(fs::read_to_string(folder.path().join("a.txt")).unwrap(), "one");
}

#[test]
fn a_large_file_arrives_bit_by_bit_as_it_lies() {
    let folder = tempfile::tempdir().unwrap();
    let mut pattern = harness::body::Pattern::new(8 << 20);
    let mut bytes = Vec::new();
    while let Some(block) = pattern.block() {
        bytes.extend_from_slice(block);
    }
    fs::write(folder.path().join("large"), &bytes).unwrap();
    let gw = serving(&folder, "");

    let mut client = gw.connect();
    for _ in 0..2 {
        let response = client.ask(&Request::get("/s/large"));
        assert!(response.expect(200).message.body == harness::body::Pattern::whole(8 << 20));
    }
    let tail = client.ask(&Request::get("/s/large").header("Range", "bytes=8388600-"));
    tail.expect(206).body(&bytes[8_388_600..]);
}

#[test]
fn a_redirect_to_a_folder_never_leaves_the_host() {
    let folder = site(&[("evil.test/x", ""), ("sub/y", "")]);
    let gw = Gateway::start(&format!(
        r#"
        [[routes]]
        name = "files"
        match = {{ path_prefix = "/" }}
        static_files = {{ root = "{}" }}
        "#,
        folder.path().display()
    ));

    // "Location: //evil.test/" would be another host.
    let response = gw.get("//evil.test");
    if let Some(location) = response.value("location") {
        assert!(!location.starts_with("//"), "{response}");
    }
}
