//! Paths and trees made to reach what is not published.

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use rustix::fs::{CWD, Mode};

use super::*;

/// A secret beside the root, and the same site with and without the kernel's help.
fn sites() -> [Site; 2] {
    [false, true].map(|walks| {
        let mut site = Site::with(&[
            ("a/b/ok.txt", "ok"),
            ("a/.env", "key"),
            (".git/config", "key"),
            ("ok.txt", "ok"),
        ]);
        std::fs::write(site.outside.path().join("secret.txt"), "secret").unwrap();
        if walks {
            site.files.open = OpenFiles::new(Root::without_openat2(&site.plan.root));
        }
        site
    })
}

#[test]
fn no_spelling_of_a_path_leads_out_of_the_root_or_to_a_hidden_file() {
    for site in sites() {
        assert_eq!(site.get("/a/b/ok.txt").text(), "ok");
        for path in [
            "/../secret.txt",
            "/a/../../secret.txt",
            "/%2e%2e/secret.txt",
            "/.%2e/secret.txt",
            "/%2E./secret.txt",
            "/a/%2e%2e/%2e%2e/secret.txt",
            "/..%2fsecret.txt",
            "/a%2f..%2f..%2fsecret.txt",
            "/%252e%252e/secret.txt",
            "/%25%32%65%25%32%65/secret.txt",
            "/..%252fsecret.txt",
            "/..\\secret.txt",
            "/..%5csecret.txt",
            "/%5c..%5csecret.txt",
            "/..%c0%afsecret.txt",
            "/%c0%ae%c0%ae/secret.txt",
            "/%e0%80%ae%e0%80%ae/secret.txt",
            "/..;/secret.txt",
            "/...//secret.txt",
            "/....//secret.txt",
            "/./../secret.txt",
            "//../secret.txt",
            "/a/b/ok.txt/../../../../secret.txt",
            "/secret.txt%00.html",
            "/ok.txt%00",
            "/%00",
            "/ok.txt%0a",
            "/ok.txt%20",
            "/ok.txt.",
            "/ok.txt::$DATA",
            "/ok.txt/",
            "/ok.txt/.",
            "/proc/self/environ",
            "/a/.env",
            "/a/%2eenv",
            "/.git/config",
            "/.git",
            "/.git/",
            "/a/b/../.env",
        ] {
            let seen = site.get(path);
            assert!(matches!(seen.status, 400 | 404), "{path}: {}", seen.status);
            assert!(seen.body.is_empty(), "{path}");
        }
        let absolute = site.outside.path().join("secret.txt");
        assert_eq!(site.get(&format!("/{}", absolute.display())).status, 404);
    }
}

#[test]
fn links_are_followed_while_they_stay_inside() {
    let [site, walking] = sites();
    for site in [&site, &walking] {
        symlink("a/b", site.path("inside")).unwrap();
        symlink("../ok.txt", site.path("a/up.txt")).unwrap();
        symlink("b/../../ok.txt", site.path("a/through.txt")).unwrap();
    }
    for path in ["/inside/ok.txt", "/a/up.txt", "/a/through.txt"] {
        assert_eq!(site.get(path).text(), "ok", "{path}");
        assert_eq!(
            walking.get(path).status,
            404,
            "no link is followed where the kernel cannot vouch for it"
        );
    }
}

#[test]
fn links_that_leave_lead_nowhere() {
    for site in sites() {
        let secret = site.outside.path().join("secret.txt");
        symlink(&secret, site.path("absolute.txt")).unwrap();
        symlink(site.path("ok.txt"), site.path("absolute-inside.txt")).unwrap();
        symlink("../secret.txt", site.path("relative.txt")).unwrap();
        symlink("..", site.path("up")).unwrap();
        symlink("/", site.path("top")).unwrap();
        symlink("/proc/self/root", site.path("magic")).unwrap();
        symlink("a/b/../../../secret.txt", site.path("winding.txt")).unwrap();
        symlink("../root/ok.txt", site.path("out-and-in.txt")).unwrap();
        symlink("relative.txt", site.path("twice.txt")).unwrap();
        symlink("loop", site.path("loop")).unwrap();
        symlink("pong", site.path("ping")).unwrap();
        symlink("ping", site.path("pong")).unwrap();
        symlink("missing", site.path("dangling")).unwrap();
        for path in [
            "/absolute.txt",
            "/absolute-inside.txt",
            "/relative.txt",
            "/up/secret.txt",
            "/up/root/ok.txt",
            "/top/etc/passwd",
            "/magic/etc/passwd",
            "/winding.txt",
            "/out-and-in.txt",
            "/twice.txt",
            "/loop",
            "/ping",
            "/dangling",
        ] {
            assert_eq!(site.get(path).status, 404, "{path}");
        }
    }
}

#[test]
fn a_file_that_becomes_a_link_out_is_not_followed() {
    for mut site in sites() {
        assert_eq!(site.get("/ok.txt").text(), "ok");
        std::fs::remove_file(site.path("ok.txt")).unwrap();
        symlink("../secret.txt", site.path("ok.txt")).unwrap();
        site.wait(1000);
        assert_eq!(site.get("/ok.txt").status, 404);
    }
}

#[test]
fn what_is_no_file_is_not_opened_as_one_and_blocks_nobody() {
    for site in sites() {
        rustix::fs::mkfifoat(CWD, site.path("pipe.txt"), Mode::RWXU).unwrap();
        let _socket = UnixListener::bind(site.path("socket.txt")).unwrap();
        std::fs::create_dir_all(site.path("odd/index.html")).unwrap();
        for path in ["/pipe.txt", "/socket.txt", "/odd/", "/odd", "/odd/index.html"] {
            assert_eq!(site.get(path).status, 404, "{path}");
        }
    }
}

#[test]
fn the_well_known_folder_is_public() {
    let site = Site::with(&[(".well-known/security.txt", "Contact:"), (".well-known/.x", "no")]);
    assert_eq!(site.get("/.well-known/security.txt").status, 200);
    assert_eq!(site.get("/.well-known/.x").status, 404);
}
