//! Plays over real folders. The clock is in the tests' hand; files' times are real unless a test sets them.

mod changes;
mod folders;
mod hostile;
mod precompressed;
mod ranges;

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use super::*;

/// Long after any file's time, so that what is read counts as settled.
const LATE: Duration = Duration::from_secs(4_000_000_000);

/// A folder to publish, below one that is not.
struct Site {
    outside: tempfile::TempDir,
    plan: StaticFiles,
    files: Files,
    now: Now,
}

/// An answer as a client sees it.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    status: u16,
    fields: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Site {
    fn new(change: impl FnOnce(&mut StaticFiles)) -> Self {
        let outside = tempfile::tempdir().unwrap();
        let mut plan = StaticFiles {
            root: outside.path().join("root"),
            index: Some("index.html".to_owned()),
            precompressed: Vec::new(),
            try_files: Vec::new(),
            directory_listing: false,
        };
        std::fs::create_dir(&plan.root).unwrap();
        change(&mut plan);
        let files = Files::new(&plan);
        let now = Now {
            mono: Mono(0),
            wall: LATE,
        };
        Self {
            outside,
            plan,
            files,
            now,
        }
    }

    fn with(files: &[(&str, &str)]) -> Self {
        let site = Self::new(|_| {});
        site.fill(files);
        site
    }

    fn fill(&self, files: &[(&str, &str)]) {
        for (path, content) in files {
            self.write(path, content.as_bytes());
        }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.plan.root.join(path)
    }

    fn write(&self, path: &str, content: &[u8]) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// As deployments do it.
    fn replace(&self, path: &str, content: &[u8]) {
        let beside = self.outside.path().join("beside");
        std::fs::write(&beside, content).unwrap();
        std::fs::rename(beside, self.path(path)).unwrap();
    }

    fn wait(&mut self, ms: u64) {
        self.now.mono = self.now.mono.plus(Duration::from_millis(ms));
    }

    fn ask(&self, method: &str, path: &str, lines: &[(&str, &str)]) -> Seen {
        let mut fields = Fields::default();
        for (name, value) in lines {
            fields.push(name.as_bytes(), value.as_bytes());
        }
        let request = Request {
            method,
            path,
            prefix: "",
            query: "",
            fields: &fields,
        };
        Seen::of(self.files.answer(&request, self.now))
    }

    fn get(&self, path: &str) -> Seen {
        self.ask("GET", path, &[])
    }

    fn get_with(&self, path: &str, name: &str, value: &str) -> Seen {
        self.ask("GET", path, &[(name, value)])
    }
}

impl Seen {
    fn of(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Refuse { status, fields } => Self {
                status,
                fields,
                body: Vec::new(),
            },
            Verdict::Answer(answer) => {
                let length = answer.length();
                let body: Vec<u8> = answer.pieces.iter().flat_map(read).collect();
                assert_eq!(body.len() as u64, length);
                assert!(answer.pieces.iter().all(|p| p.length() > 0));
                Self {
                    status: answer.status,
                    fields: answer.fields,
                    body,
                }
            }
        }
    }

    fn field(&self, name: &str) -> Option<&str> {
        let mut values = self
            .fields
            .iter()
            .filter(|(n, _)| *n == name)
            .map(|(_, v)| v.as_str());
        let first = values.next();
        assert_eq!(values.next(), None, "{name} twice");
        first
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

fn read(piece: &Piece) -> Vec<u8> {
    match piece {
        Piece::Bytes(bytes) => bytes.to_vec(),
        Piece::File { file, offset, length } => {
            let mut bytes = vec![0; usize::try_from(*length).unwrap()];
            file.read_exact_at(&mut bytes, *offset).unwrap();
            bytes
        }
    }
}

fn set_modified(path: &Path, secs: u64, ns: u32) {
    let file = File::options().write(true).open(path).unwrap();
    file.set_modified(UNIX_EPOCH + Duration::new(secs, ns)).unwrap();
}

const NOVEMBER: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const NOVEMBER_SECS: u64 = 784_111_777;

#[test]
fn a_file_comes_whole_with_its_type_and_its_validators() {
    let site = Site::with(&[("a/page.html", "<p>hello")]);
    set_modified(&site.path("a/page.html"), NOVEMBER_SECS, 5);
    let seen = site.get("/a/page.html");
    assert_eq!((seen.status, seen.text()), (200, "<p>hello"));
    assert_eq!(seen.field("Content-Type"), Some("text/html; charset=utf-8"));
    assert_eq!(seen.field("Last-Modified"), Some(NOVEMBER));
    assert_eq!(seen.field("Accept-Ranges"), Some("bytes"));
    assert_eq!(seen.field("X-Content-Type-Options"), Some("nosniff"));
    assert_eq!(seen.field("Vary"), None);
    let etag = seen.field("ETag").unwrap();
    assert!(etag.starts_with('"') && etag.ends_with('"') && etag.len() > 10);
}

#[test]
fn head_gets_the_fields_and_the_length_of_get() {
    let site = Site::with(&[("a.txt", "hello")]);
    site.write("big.bin", &vec![7; 200_000]);
    for path in ["/a.txt", "/big.bin"] {
        assert_eq!(site.ask("HEAD", path, &[]), site.get(path));
        assert_eq!(site.ask("HEAD", path, &[("Range", "bytes=0-1")]), site.get(path));
    }
}

#[test]
fn other_methods_are_told_what_is_allowed() {
    let site = Site::with(&[("a.txt", "hello")]);
    for method in ["POST", "PUT", "DELETE", "PATCH", "get", "TRACE"] {
        let seen = site.ask(method, "/a.txt", &[]);
        assert_eq!(
            (seen.status, seen.field("Allow")),
            (405, Some(ALLOWED)),
            "{method}"
        );
    }
    let seen = site.ask("OPTIONS", "/a.txt", &[]);
    assert_eq!((seen.status, seen.field("Allow")), (204, Some(ALLOWED)));
    assert!(seen.body.is_empty());
}

#[test]
fn an_empty_file_is_an_answer_without_bytes() {
    let site = Site::with(&[("empty.css", "")]);
    let seen = site.get("/empty.css");
    assert_eq!((seen.status, seen.text()), (200, ""));
    assert_eq!(site.get_with("/empty.css", "Range", "bytes=0-").status, 416);
    assert_eq!(site.get_with("/empty.css", "Range", "bytes=-1").status, 200);
}

#[test]
fn names_are_bytes_and_are_decoded_once() {
    let site = Site::with(&[
        ("a b&c.txt", "1"),
        ("é.txt", "2"),
        ("%41.txt", "3"),
        ("a+b.txt", "4"),
    ]);
    for (path, body) in [
        ("/a%20b%26c.txt", "1"),
        ("/%C3%A9.txt", "2"),
        ("/é.txt", "2"),
        ("/%2541.txt", "3"),
        ("/a+b.txt", "4"),
    ] {
        assert_eq!(site.get(path).text(), body, "{path}");
    }
    assert_eq!(site.get("/%41.txt").status, 404);
}

#[test]
fn conditions_are_answered_with_304_and_412() {
    let mut site = Site::with(&[("a.txt", "hello")]);
    site.write("big.bin", &vec![7; 200_000]);
    for path in ["/a.txt", "/big.bin"] {
        set_modified(&site.path(&path[1..]), NOVEMBER_SECS, 5);
        site.wait(1000);
        let etag = site.get(path).field("ETag").unwrap().to_owned();
        let seen = site.get_with(path, "If-None-Match", &format!("\"x\", W/{etag}"));
        assert_eq!(seen.status, 304);
        assert_eq!(seen.fields, [("ETag", etag.clone())]);
        assert!(seen.body.is_empty());
        assert_eq!(site.get_with(path, "If-Modified-Since", NOVEMBER).status, 304);
        assert_eq!(site.ask("HEAD", path, &[("If-None-Match", "*")]).status, 304);
        assert_eq!(site.get_with(path, "If-Match", "\"x\"").status, 412);
        assert_eq!(site.get_with(path, "If-Match", &etag).status, 200);
        let old = "Sun, 06 Nov 1994 08:49:36 GMT";
        assert_eq!(site.get_with(path, "If-Unmodified-Since", old).status, 412);
    }
    assert_eq!(site.get_with("/gone", "If-Match", "\"x\"").status, 404);
}

#[test]
fn a_time_in_the_future_is_sent_as_now() {
    let mut site = Site::with(&[("a.txt", "hello")]);
    set_modified(&site.path("a.txt"), NOVEMBER_SECS + 500, 0);
    site.now.wall = Duration::from_secs(NOVEMBER_SECS);
    assert_eq!(site.get("/a.txt").field("Last-Modified"), Some(NOVEMBER));
}

#[test]
fn a_file_of_an_image_built_without_times_has_no_date_and_a_tag_only_of_its_content() {
    let site = Site::with(&[("a.txt", "hello")]);
    site.write("big.bin", &vec![7; 200_000]);
    for name in ["a.txt", "big.bin"] {
        set_modified(&site.path(name), 1, 0);
    }
    let (small, big) = (site.get("/a.txt"), site.get("/big.bin"));
    assert_eq!(
        (small.field("Last-Modified"), big.field("Last-Modified")),
        (None, None)
    );
    assert!(small.field("ETag").is_some() && big.field("ETag").is_none());
}

#[test]
fn a_tag_is_of_the_content_so_that_gateways_with_copies_agree() {
    let (one, two) = (
        Site::with(&[("a.txt", "hello")]),
        Site::with(&[("b.txt", "hello")]),
    );
    assert_eq!(one.get("/a.txt").field("ETag"), two.get("/b.txt").field("ETag"));
    for site in [&one, &two] {
        site.write("big.bin", &vec![7; 200_000]);
        set_modified(&site.path("big.bin"), NOVEMBER_SECS, 5);
    }
    assert_eq!(
        one.get("/big.bin").field("ETag"),
        two.get("/big.bin").field("ETag")
    );
    one.write("a.txt", b"hello!");
    let later = Now {
        mono: Mono(2_000_000_000),
        ..one.now
    };
    let later = Site { now: later, ..one };
    assert_ne!(later.get("/a.txt").field("ETag"), two.get("/b.txt").field("ETag"));
}

#[test]
fn faults_of_the_file_system_are_told_apart() {
    for (errno, status) in [
        (Errno::NOENT, 404),
        (Errno::XDEV, 404),
        (Errno::NAMETOOLONG, 404),
        (Errno::ACCESS, 403),
        (Errno::MFILE, 503),
        (Errno::NFILE, 503),
        (Errno::AGAIN, 503),
        (Errno::IO, 500),
        (Errno::STALE, 500),
    ] {
        assert_eq!(Fault::from(errno).status(), status, "{errno}");
    }
    let site = Site::with(&[]);
    assert_eq!(site.get(&format!("/{}", "a".repeat(300))).status, 404);
    assert_eq!(site.get(&"/a".repeat(5000)).status, 404);
}
