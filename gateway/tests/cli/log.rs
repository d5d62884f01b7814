//! `sluice log`: which lines it shows, from where, and what it says of those it cannot read.

#![expect(
    clippy::unwrap_used,
    reason = "all of this is test code, where a surprise may panic"
)]

use std::fs::File;
use std::io::Write;
use std::process::Stdio;

use rustix::process::Signal;

use super::actors::{self, Folder, Sluice, got, sluice};

fn line(path: &str, status: u16, ms: f64) -> String {
    format!(
        r#"{{"time":"2026-11-20T12:34:56.789Z","client_ip":"10.0.0.1","method":"GET","host":"example.com","path":"{path}","status":{status},"duration_ms":{ms},"route":"api","upstream":"app","server":"10.0.0.1:80","cache":"miss"}}"#
    )
}

fn folder(lines: &[String]) -> Folder {
    let folder = Folder::new("");
    std::fs::write(folder.path().join("access.log"), lines.join("\n") + "\n").unwrap();
    folder
}

fn log(folder: &Folder, words: &[&str]) -> actors::Done {
    let file = folder.path().join("access.log").display().to_string();
    let words = [&["log", "-f", &file], words].concat();
    actors::command(&words).done()
}

#[test]
fn the_lines_that_match_are_shown_as_a_table_or_as_they_are() {
    let lines = [
        line("/a", 200, 1.0),
        line("/b", 503, 150.0),
        line("/c", 500, 50.0),
    ];
    let folder = folder(&lines);
    let query = r#"status>=500 and route="api" and duration_ms>100"#;
    let done = log(&folder, &["-q", query]);
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    let rows: Vec<Vec<&str>> = done
        .out
        .lines()
        .map(|row| row.split_whitespace().collect())
        .collect();
    assert_eq!(rows.len(), 2, "{}", done.out);
    assert_eq!(rows[0][..3], ["TIME", "STATUS", "METHOD"]);
    assert_eq!(
        rows[1],
        [
            "2026-11-20T12:34:56.789Z",
            "503",
            "GET",
            "example.com/b",
            "150.0",
            "app/10.0.0.1:80",
            "miss"
        ]
    );
    let done = log(&folder, &["-q", query, "--json"]);
    assert_eq!(done.out, format!("{}\n", lines[1]));
    let done = log(&folder, &["--json", "--last", "2"]);
    assert_eq!(done.out, format!("{}\n{}\n", lines[1], lines[2]));
    let done = log(&folder, &["-q", "status=404"]);
    assert_eq!(
        (done.code, done.out.as_str(), done.err.as_str()),
        (0, "", "sluice: no line matches, of 3\n")
    );
}

#[test]
fn what_is_no_line_of_it_is_counted_and_told() {
    let folder = folder(&[
        line("/a", 200, 1.0),
        "10.0.0.1 - - [x] \"GET / HTTP/1.1\" 200 5".into(),
        "{\"cut".into(),
    ]);
    let done = log(&folder, &["--json"]);
    assert_eq!((done.code, done.out.lines().count()), (0, 1));
    assert_eq!(
        done.err,
        "sluice: 2 of 3 lines are not of an access log in JSON, and passed over\n"
    );
    std::fs::write(folder.path().join("access.log"), "a\nb\n").unwrap();
    let done = log(&folder, &[]);
    assert_eq!((done.code, done.out.as_str()), (1, ""));
    assert!(
        done.err
            .contains("none of 2 lines is of an access log in JSON\nhelp: "),
        "{}",
        done.err
    );
}

#[test]
fn a_query_that_is_none_is_pointed_at() {
    let done = log(&folder(&[]), &["-q", "statsu>=500"]);
    assert_eq!((done.code, done.out.as_str()), (2, ""));
    let expected = "sluice: error: the query: the access log has no statsu\n  statsu>=500\n  ^^^^^^\n\
                    help: did you mean status? ";
    assert!(done.err.starts_with(expected), "{}", done.err);
}

#[test]
fn what_is_piped_in_is_read_and_what_was_compressed_too() {
    let folder = folder(&[line("/a", 200, 1.0), line("/b", 404, 1.0)]);
    let path = folder.path().join("access.log");
    let mut piped = actors::command(&["log", "-q", "status=404", "--json"]);
    piped.0.stdin(Stdio::from(File::open(&path).unwrap()));
    let done = piped.done();
    assert_eq!(done.out, format!("{}\n", line("/b", 404, 1.0)), "{}", done.err);

    let plain = std::fs::read(&path).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(File::create(&path).unwrap(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    gzip.finish().unwrap();
    let done = log(&folder, &["-q", "path=\"/a\"", "--json"]);
    assert_eq!(done.out, format!("{}\n", line("/a", 200, 1.0)), "{}", done.err);
    let done = actors::command(&["log", "-f", "/nowhere/access.log"]).done();
    assert_eq!(done.code, 1);
    assert!(
        done.err.contains("/nowhere/access.log cannot be read"),
        "{}",
        done.err
    );
}

#[test]
fn a_running_gateways_log_is_found_by_its_configuration_and_followed_when_it_is_rotated() {
    let text = "[access_log]\npath = \"${LOG}/access.log\"\n[[listeners]]\naddress = \"127.0.0.1:0\"\n\
                [[routes]]\nname = \"one\"\nrespond = { body = \"one\" }\n";
    let folder = Folder::new(text);
    let variable = ("LOG", folder.path().as_os_str());
    let gateway = Sluice::start(&folder, &["run"], &[variable]);
    got(gateway.listener(), "/first");

    let mut call = actors::command(&[
        "log",
        "-q",
        "path!~\"hidden\"",
        "--follow",
        "--last",
        "1",
        "--json",
    ]);
    call.0.arg("-c").arg(folder.config()).envs([variable]);
    let mut follower = Sluice::begin(call);
    assert!(follower.said().contains("\"/first\""));
    got(gateway.listener(), "/hidden");
    got(gateway.listener(), "/second");
    assert!(follower.said().contains("\"/second\""));
    std::fs::rename(folder.path().join("access.log"), folder.path().join("old.log")).unwrap();
    got(gateway.listener(), "/third");
    let third = follower.said();
    assert!(third.contains("\"/third\""), "{third}");
    gateway.signal(Signal::USR1);
    gateway.told("access log reopened");
    got(gateway.listener(), "/fourth");
    let fourth = follower.said();
    assert!(fourth.contains("\"/fourth\""), "{fourth}");
    follower.signal(Signal::INT);
    assert_eq!(follower.code(), 0);
}

#[test]
fn a_log_that_cannot_be_filtered_says_what_to_change() {
    let with = |log: &str| {
        let text = format!(
            "[access_log]\n{log}\n[[listeners]]\naddress = \"127.0.0.1:0\"\n[[routes]]\nname = \"r\"\nrespond = {{}}\n"
        );
        sluice(&Folder::new(&text), &["log"])
    };
    for (log, words, help) in [
        ("path = \"off\"", "writes no access log", "name a file: -f FILE"),
        ("path = \"stdout\"", "to the gateway's output", "pipe it in: "),
        (
            "path = \"/tmp/x.log\"\nformat = \"combined\"",
            "that is not JSON",
            "format = \"json\"",
        ),
    ] {
        let done = with(log);
        assert_eq!(done.code, 2, "{done:?}");
        assert!(
            done.err.contains(words) && done.err.contains(help),
            "{}",
            done.err
        );
    }
}
