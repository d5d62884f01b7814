use std::fs;

use harness::origin::reply;
use harness::{Origin, Request};

use super::pair::{Ask, Pair};
use super::why;

fn files(folder: &std::path::Path) {
    let text = |lines: usize| "all work and no play, ".repeat(lines);
    for (name, content) in [
        ("static/app.css", text(200)),
        ("static/app.js", text(300)),
        ("static/data.json", text(100)),
        ("static/logo.svg", text(90)),
        ("static/page.html", text(80)),
        ("static/note.txt", text(60)),
        ("static/tiny.css", text(1)),
        ("static/deep/er/style.css", text(70)),
        ("static/with space.txt", "spaced".to_owned()),
        ("static/empty.txt", String::new()),
        ("static/unknown.xyz1", text(70)),
        ("static/site/index.html", text(2)),
        ("media/picture.png", text(100)),
        ("media/photo.jpg", text(100)),
        ("media/film.mp4", text(1000)),
        ("media/font.woff2", text(100)),
    ] {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().expect("it lies in a folder")).expect("the folder can be written");
        fs::write(path, content).expect("the folder can be written");
    }
}

#[test]
fn a_cdn_serves_as_nginx_does() {
    let folder = tempfile::tempdir().expect("a temporary folder is to be had");
    files(folder.path());
    let root = folder.path().display().to_string();
    let nobody = || Origin::new().otherwise(reply(500));
    let mut pair = Pair::start("cdn", &["127.0.0.1:8080"], nobody, 0, &|text| {
        text.replace("/srv/app", &root)
    });
    pair.has_files = true;
    let ask = |request: Request| Ask::new(request.host("cdn.app.test"));
    let asked = found(&mut pair, &ask) + parts(&mut pair, &ask) + refused(&mut pair, &ask);
    pair.end(asked);
    assert!(asked >= 50, "{asked} were asked");
}

/// What is there, plain and coded.
fn found(pair: &mut Pair, ask: &dyn Fn(Request) -> Ask) -> usize {
    let mut asked = 0;
    for name in [
        "app.css",
        "app.js",
        "data.json",
        "logo.svg",
        "page.html",
        "note.txt",
        "tiny.css",
        "deep/er/style.css",
        "with%20space.txt",
        "empty.txt",
        "site/",
    ] {
        for coding in ["", "gzip", "gzip;q=0, identity"] {
            let mut request = Request::get(&format!("/static/{name}"));
            if !coding.is_empty() {
                request = request.header("Accept-Encoding", coding);
            }
            let one = match name {
                "app.js" => ask(request).differs("content-type", why::JAVASCRIPT),
                _ => ask(request),
            };
            pair.ask(&one);
            asked += 1;
        }
    }
    for name in ["picture.png", "photo.jpg", "film.mp4", "font.woff2"] {
        pair.ask(&ask(
            Request::get(&format!("/media/{name}")).header("Accept-Encoding", "gzip")
        ));
        asked += 1;
    }
    pair.ask(&ask(Request::head("/static/app.css")));
    pair.ask(&ask(Request::get("/static/app.css?v=3")));
    pair.ask(&ask(Request::get("/robots.txt")));
    asked + 3
}

/// Conditions and ranges.
fn parts(pair: &mut Pair, ask: &dyn Fn(Request) -> Ask) -> usize {
    let (theirs, ours) = pair.ask(&ask(Request::get("/static/note.txt")));
    let modified = theirs
        .head
        .one("last-modified")
        .expect("files have one")
        .to_owned();
    assert_eq!(ours.head.one("last-modified"), Some(modified.as_str()));
    let note = || Request::get("/static/note.txt");
    for request in [
        note().header("If-Modified-Since", "Wed, 21 Oct 2015 07:28:00 GMT"),
        note().header("If-None-Match", "\"nothing-of-the-kind\""),
        note().header("Range", "lines=1-2"),
        note()
            .header("Range", "bytes=0-9")
            .header("If-Range", "\"nothing-of-the-kind\""),
    ] {
        pair.ask(&ask(request));
    }
    for (name, value) in [("If-Modified-Since", modified.as_str()), ("If-None-Match", "*")] {
        pair.ask(&ask(note().header(name, value)).differs("last-modified", why::NOT_MODIFIED));
    }
    for range in ["bytes=0-9", "bytes=-10", "bytes=100-", "bytes=5-5"] {
        let one = ask(note().header("Range", range));
        pair.ask(&one.differs("accept-ranges", why::PARTS_SAY_RANGES));
    }
    11
}

/// What is not there, or not for everybody.
fn refused(pair: &mut Pair, ask: &dyn Fn(Request) -> Ask) -> usize {
    let edits = |ask: Ask| {
        ask.differs("cache-control", why::EDITS_GO_EVERYWHERE)
            .differs("access-control-allow-origin", why::EDITS_GO_EVERYWHERE)
    };
    for target in [
        "/static/missing.css",
        "/media/missing.png",
        "/static/app.css/more",
    ] {
        pair.ask(&edits(ask(Request::get(target))));
    }
    pair.ask(&edits(ask(Request::get("/static/deep/"))).differs("status", why::FOLDERS_ARE_NOTHING));
    pair.ask(&edits(ask(Request::post("/static/app.css", "x"))).differs("allow", why::METHODS_OF_FILES));
    pair.ask(&ask(
        Request::get("/static/note.txt").header("Range", "bytes=999999-")
    ));
    for target in ["/", "/staticx", "/other/app.css"] {
        pair.ask(&ask(Request::get(target)));
    }
    9
}
