//! `sluice import`: words in, a file, a report and an exit code out.

use std::fs;

use super::actors::{Folder, sluice};

const SMALL: &str = "
events {}
http {
    include sites/*.conf;
    upstream app { server 127.0.0.1:8001; }
}
";
const SITE: &str =
    "server { listen 8080; location / { proxy_pass http://app; proxy_set_header Host $http_host; } }";

/// A folder with a configuration of nginx, of which a site is in a file of its own.
fn folder(site: &str) -> (Folder, String) {
    let folder = Folder::new("");
    let root = folder.config().parent().expect("it lies in a folder").to_owned();
    fs::create_dir(root.join("sites")).expect("the folder can be written");
    fs::write(root.join("sites/a.conf"), site).expect("the folder can be written");
    fs::write(root.join("sites/b.txt"), "no configuration").expect("the folder can be written");
    fs::write(root.join("nginx.conf"), SMALL).expect("the folder can be written");
    let main = root.join("nginx.conf").display().to_string();
    (folder, main)
}

#[test]
fn what_is_translated_is_taken_by_check() {
    let (folder, main) = folder(SITE);
    let out = folder.config().with_file_name("new.toml").display().to_string();
    let done = sluice(&folder, &["import", &main, "-o", &out]);
    assert_eq!((done.code, done.out.as_str()), (0, ""), "{}", done.err);
    assert!(
        done.err.ends_with("0 with a difference, 0 not translated\n"),
        "{}",
        done.err
    );
    let done = sluice(&folder, &["check", "-c", &out]);
    assert_eq!(done.code, 0, "{}", done.err);
    // What is there is not written over.
    let done = sluice(&folder, &["import", &main, "-o", &out]);
    assert_eq!(done.code, 2);
    assert!(done.err.contains("cannot be written"), "{}", done.err);
}

#[test]
fn remarks_say_where_and_what_to_do() {
    let (folder, main) =
        folder("server { listen 8080;\nerror_page 404 /404.html;\nlocation / { proxy_pass http://app; } }");
    let done = sluice(&folder, &["import", &main]);
    assert_eq!(done.code, 1, "{}", done.err);
    assert!(
        done.err
            .contains("sites/a.conf:2: not translated: error_page 404 /404.html\n    "),
        "{}",
        done.err
    );
    assert!(done.out.contains("[upstreams.app]"), "{}", done.out);
    let done = sluice(&folder, &["import", &main, "--json"]);
    let report: serde_json::Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!((done.code, done.err.as_str()), (1, ""));
    assert_eq!(report["ok"], true);
    assert_eq!(report["counts"]["not_translated"], 1);
    let entries = report["directives"].as_array().unwrap();
    let page = entries.iter().find(|e| e["outcome"] == "not_translated").unwrap();
    assert_eq!(page["line"], 2);
}

#[test]
fn what_cannot_be_read_is_told_with_its_place() {
    let (folder, main) = folder("server {\nlisten 80\n}");
    let done = sluice(&folder, &["import", &main]);
    assert_eq!((done.code, done.out.as_str()), (2, ""));
    assert!(
        done.err.contains("sites/a.conf:2: \"listen\" has neither"),
        "{}",
        done.err
    );
    let done = sluice(&folder, &["import", "/nowhere/nginx.conf"]);
    assert_eq!(done.code, 2);
    assert!(
        done.err
            .contains("/nowhere/nginx.conf:1: the file cannot be read"),
        "{}",
        done.err
    );
}
