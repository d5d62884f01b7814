//! Folders, their index and listing, and what is served when nothing is found.

use super::*;

fn redirected(site: &Site, prefix: &str, path: &str, query: &str) -> Seen {
    let fields = Fields::default();
    let request = Request {
        method: "GET",
        path,
        prefix,
        query,
        fields: &fields,
    };
    Seen::of(site.files.answer(&request, site.now))
}

#[test]
fn a_folder_is_its_index_and_is_sent_to_its_slash_first() {
    let site = Site::with(&[("index.html", "top"), ("a b/index.html", "docs")]);
    assert_eq!(site.get("/").text(), "top");
    assert_eq!(site.get("/a%20b/").text(), "docs");
    for (prefix, path, query, to) in [
        ("", "/a%20b", "", "/a%20b/"),
        ("/docs", "/a%20b", "x=1&y=/", "/docs/a%20b/?x=1&y=/"),
        ("/docs/", "/a%20b", "", "/docs/a%20b/"),
        ("/docs", "", "", "/docs/"),
        ("", "//a%20b", "", "/a%20b/"),
        ("//evil.example", "//a%20b", "", "/evil.example/a%20b/"),
    ] {
        let seen = redirected(&site, prefix, path, query);
        assert_eq!(
            (seen.status, seen.field("Location")),
            (301, Some(to)),
            "{prefix} {path}"
        );
    }
}

#[test]
fn a_redirect_never_leads_to_another_host() {
    let site = Site::with(&[("evil.example/index.html", "x")]);
    for path in [
        "//evil.example",
        "///evil.example",
        "/%2fevil.example",
        "/\\evil.example",
        "/%09/evil.example",
    ] {
        let seen = site.get(path);
        let to = seen.field("Location").unwrap_or("/none");
        assert!(to.starts_with('/') && !to.starts_with("//"), "{path}: {to}");
        assert!(!to.contains('\\'));
    }
}

#[test]
fn a_folder_without_anything_to_show_is_not_there() {
    let site = Site::with(&[("assets/a.css", "a")]);
    assert_eq!(site.get("/assets/a.css").status, 200);
    for path in ["/assets", "/assets/", "/"] {
        assert_eq!(site.get(path).status, 404, "{path}");
    }
}

#[test]
fn a_listing_shows_what_can_be_had_and_nothing_else() {
    let site = Site::new(|plan| plan.directory_listing = true);
    site.fill(&[
        ("d/b.txt", "12"),
        ("d/<a>&.txt", "1"),
        ("d/.hidden", ""),
        ("d/sub/x", ""),
        ("d/a\\b", ""),
    ]);
    std::fs::write(site.outside.path().join("secret"), "secret").unwrap();
    for (to, name) in [
        ("../../secret", "out"),
        ("b.txt", "link"),
        ("../d", "around"),
        ("nowhere", "dangling"),
    ] {
        std::os::unix::fs::symlink(to, site.path("d").join(name)).unwrap();
    }
    set_modified(&site.path("d/b.txt"), NOVEMBER_SECS, 0);
    assert_eq!(site.get("/d").field("Location"), Some("/d/"));
    let page = site.get("/d/");
    assert_eq!(page.field("Content-Type"), Some("text/html; charset=utf-8"));
    assert_eq!((page.status, page.field("Vary")), (200, Some("Accept")));
    let links: Vec<_> = page
        .text()
        .split("href=\"")
        .skip(1)
        .map(|s| s.split('"').next().unwrap())
        .collect();
    assert_eq!(
        links,
        [
            "../",
            "./around/",
            "./sub/",
            "./%3Ca%3E%26.txt",
            "./b.txt",
            "./link"
        ]
    );
    assert!(page.text().contains("Index of /d/") && page.text().contains(NOVEMBER));
    let json = site.get_with("/d/", "Accept", "application/json");
    assert_eq!(
        json.field("Content-Type"),
        Some("application/json; charset=utf-8")
    );
    assert!(
        json.text()
            .contains("{\"name\":\"b.txt\",\"type\":\"file\",\"size\":2,\"mtime\":")
    );
    assert_eq!(site.get("/d/b.txt/").status, 404);
    assert_eq!(site.get("/nope/").status, 404);
    assert!(!site.get("/").text().contains("../"), "nothing is above the root");
}

#[test]
fn a_listing_ends_at_its_limit_and_says_so() {
    let site = Site::new(|plan| plan.directory_listing = true);
    for n in 0..=listing::LISTED_MAX {
        site.write(&format!("{n}"), b"");
    }
    let json = site.get_with("/", "Accept", "application/json");
    assert_eq!(json.text().lines().count(), listing::LISTED_MAX + 1);
    assert!(json.text().ends_with("{\"type\":\"truncated\"}]\n"));
}

fn with_entries(entries: &[&str]) -> Site {
    let entry = |text: &&str| match text.strip_prefix('=') {
        Some(status) => TryFile::Status(status.parse().unwrap()),
        None => TryFile::Path((*text).to_owned()),
    };
    let site = Site::new(|plan| plan.try_files = entries.iter().map(entry).collect());
    site.fill(&[
        ("index.html", "app"),
        ("about.html", "about"),
        ("docs/x/index.html", "docs"),
        ("assets/a.css", "a"),
    ]);
    site
}

#[test]
fn a_single_page_application_answers_for_every_path_that_is_no_file() {
    let site = with_entries(&["/index.html"]);
    assert_eq!(site.get("/assets/a.css").text(), "a");
    for path in [
        "/users/7",
        "/users/a%2Fb",
        "/assets",
        "/assets/",
        "/assets/gone.css",
    ] {
        let seen = site.get(path);
        assert_eq!((seen.status, seen.text()), (200, "app"), "{path}");
        assert_eq!(seen.field("Content-Type"), Some("text/html; charset=utf-8"));
    }
    assert_eq!(site.get("/.env").status, 404);
    assert_eq!(site.get("/a%00").status, 400);
    let etag = site.get("/x").field("ETag").unwrap().to_owned();
    assert_eq!(site.get_with("/y", "If-None-Match", &etag).status, 304);
}

#[test]
fn entries_are_tried_in_order_and_a_status_ends_them() {
    let site = with_entries(&["${path}.html", "/docs${path}/", "=410", "/index.html"]);
    assert_eq!(site.get("/about").text(), "about");
    assert_eq!(site.get("/about/").text(), "about");
    assert_eq!(site.get("/x").text(), "docs");
    assert_eq!(site.get("/gone").status, 410);
    assert_eq!(site.get("/a%2Fb").status, 410);
    assert_eq!(with_entries(&["=204"]).get("/gone").status, 204);
    assert_eq!(
        with_entries(&["/gone.html", "/assets", "/../x"])
            .get("/gone")
            .status,
        404
    );
}
