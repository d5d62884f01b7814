//! One request, five ways to its answer: all of them give the same.

use std::fs;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use harness::client::Pending;
use harness::origin::reply;
use harness::{Gate, Gateway, Origin, Request, Response, wait_until};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::{kept_in, purge, said, settle, wait_on_disk, wait_rebuilt};

/// Larger than what memory keeps of a cache with a disk: it is always read from its file.
const LENGTH: usize = 300_001;

static BODY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    (0..LENGTH)
        .map(|n| b'a' + u8::try_from(n / 7 % 26).expect("it is below 26"))
        .collect()
});

/// A random request for the one file. Validators are told by letters, for they are known only later.
#[derive(Clone, Debug)]
struct Asked {
    is_head: bool,
    is_http10: bool,
    fields: Vec<(&'static str, String)>,
}

/// What the file can be recognised by.
struct Known {
    etag: String,
    modified: String,
}

fn conditions() -> impl Strategy<Value = (&'static str, String)> {
    let tag = || {
        proptest::sample::select(vec![
            "<etag>",
            "W/<etag>",
            "\"other\"",
            "*",
            "\"x\", <etag>",
            "nonsense",
            "",
        ])
    };
    let date = || {
        let dates = [
            "<modified>",
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Fri, 01 Jan 2038 00:00:00 GMT",
            "yesterday",
        ];
        proptest::sample::select(dates.to_vec())
    };
    prop_oneof![
        tag().prop_map(|v| ("If-None-Match", v.to_owned())),
        date().prop_map(|v| ("If-Modified-Since", v.to_owned())),
        tag().prop_map(|v| ("If-Match", v.to_owned())),
        date().prop_map(|v| ("If-Unmodified-Since", v.to_owned())),
        tag().prop_map(|v| ("If-Range", v.to_owned())),
        date().prop_map(|v| ("If-Range", v.to_owned())),
    ]
}

fn range() -> impl Strategy<Value = (&'static str, String)> {
    let place = || {
        prop_oneof![
            Just(0),
            0..20_u64,
            65_000..66_000_u64,
            299_990..300_020_u64,
            Just(u64::MAX)
        ]
    };
    let one = prop_oneof![
        (place(), place()).prop_map(|(first, last)| format!("{first}-{last}")),
        place().prop_map(|first| format!("{first}-")),
        place().prop_map(|last| format!("-{last}")),
        Just("x".to_owned()),
    ];
    let set =
        proptest::collection::vec(one, 1..4).prop_map(|set| ("Range", format!("bytes={}", set.join(", "))));
    // Parts that do not overlap, in any order.
    let apart = Just(vec!["0-9", "100-120", "65530-65540", "140000-149000", "299999-"]).prop_shuffle();
    let several =
        (apart, 2..5_usize).prop_map(|(parts, n)| ("Range", format!("bytes={}", parts[..n].join(","))));
    prop_oneof![8 => set, 4 => several, 1 => Just(("Range", "lines=1-2".to_owned()))]
}

fn others() -> impl Strategy<Value = (&'static str, String)> {
    let fields = [
        ("Accept-Encoding", "gzip, br"),
        ("Accept-Encoding", ""),
        ("Connection", "close"),
        ("Connection", "keep-alive"),
        ("Connection", "X-Own"),
        ("X-Own", "1"),
        ("Accept", "text/html"),
        ("User-Agent", "play"),
        ("Cookie", "a=b"),
    ];
    proptest::sample::select(fields.to_vec()).prop_map(|(name, value)| (name, value.to_owned()))
}

fn asked() -> impl Strategy<Value = Asked> {
    let parts = (
        proptest::bool::weighted(0.3),
        proptest::bool::weighted(0.2),
        proptest::collection::vec(conditions(), 0..3),
        proptest::option::weighted(0.6, range()),
        proptest::collection::vec(others(), 0..3),
    );
    parts.prop_map(|(is_head, is_http10, conditions, range, others)| Asked {
        is_head,
        is_http10,
        fields: conditions.into_iter().chain(range).chain(others).collect(),
    })
}

impl Asked {
    fn takes_back(&self) -> bool {
        self.fields.contains(&("Connection", "X-Own".to_owned()))
    }

    fn request(&self, known: &Known) -> Request {
        let request = if self.is_head {
            Request::head("/file.txt")
        } else {
            Request::get("/file.txt")
        };
        let request = if self.is_http10 { request.http10() } else { request };
        self.fields.iter().fold(request, |request, (name, value)| {
            let value = value
                .replace("<etag>", &known.etag)
                .replace("<modified>", &known.modified);
            request.header(name, &value)
        })
    }
}

/// What all ways have to agree upon.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    fields: Vec<(String, String)>,
    body: harness::body::Body,
}

fn answer(response: Response) -> Answer {
    // An error is told in the words of whoever found it.
    let is_own = response.status >= 400;
    let names: &[&str] = match response.status {
        304 => &["etag", "cache-control", "vary", "content-length"],
        416 => &["content-range", "etag"],
        _ if is_own => &[],
        _ => &[
            "etag",
            "cache-control",
            "content-type",
            "content-length",
            "content-range",
            "last-modified",
            "vary",
        ],
    };
    let mut body = response.message.body.clone();
    // The boundary of several parts is as good as any other.
    let boundary = response
        .value("content-type")
        .and_then(|kind| kind.split_once("boundary=").map(|(_, b)| b.to_owned()));
    let plain = |text: &str| match &boundary {
        Some(boundary) => text.replace(boundary.as_str(), "B"),
        None => text.to_owned(),
    };
    if boundary.is_some() {
        body = harness::body::Body::of(plain(&response.text()).as_bytes());
    }
    let value = |name: &&str| {
        response
            .value(name)
            .map(|value| ((*name).to_owned(), plain(value)))
    };
    Answer {
        status: response.status,
        fields: names.iter().filter_map(value).collect(),
        body: if is_own {
            harness::body::Body::default()
        } else {
            body
        },
    }
}

/// The ways.
struct Ways {
    /// Serves a file as origins do, with conditions and ranges of its own.
    origin: Gateway,
    /// The same file, half of it at first.
    slow: Origin,
    gate: Gate,
    memory: Gateway,
    disk: Gateway,
    filling: Gateway,
    known: Known,
    _folder: tempfile::TempDir,
}

/// A gateway in front of that address: it passes by what has X-Past, and keeps the rest.
fn front(cache: &str, address: std::net::SocketAddr) -> String {
    let nowhere = Origin::down();
    let toml = kept_in(cache, &nowhere, "");
    let toml = toml.replace(&nowhere.address().to_string(), &address.to_string());
    format!(
        r#"{toml}
        [[routes]]
        name = "past"
        match = {{ path_prefix = "/", headers = {{ X-Past = "1" }} }}
        upstream = "origin"
        "#
    )
}

impl Ways {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder is to be had");
        let root = folder.path().join("root");
        fs::create_dir(&root).expect("the folder is ours");
        fs::write(root.join("file.txt"), &*BODY).expect("the folder is ours");
        let file = fs::File::options()
            .write(true)
            .open(root.join("file.txt"))
            .expect("it is there");
        let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000);
        file.set_modified(long_ago).expect("the file is ours");
        let origin = Gateway::start(&format!(
            r#"
            [[routes]]
            name = "files"
            match = {{ path_prefix = "/" }}
            static_files = {{ root = {root:?} }}
            response_headers = {{ set = {{ Cache-Control = "max-age=86400" }} }}
            "#
        ));
        let address = origin.address();
        let memory = Gateway::start(&front("memory = \"64MiB\"", address));
        let with_disk = format!(
            "memory = \"4MiB\"\ndisk = \"64MiB\"\npath = {:?}",
            folder.path().join("cache")
        );
        let disk = front(&with_disk, address);
        let stocking = Gateway::start(&disk);
        // Until it knows its folder, which is empty, it writes only a little of what there is room for.
        wait_rebuilt(&stocking);
        // It varies by coding, although this file has but one: two answers, and what they vary by.
        let coded = Request::get("/file.txt").header("Accept-Encoding", "gzip, br");
        for gw in [&stocking, &memory] {
            gw.ask(&coded).expect(200);
            gw.get("/file.txt").expect(200);
            settle(gw);
        }
        wait_on_disk(&stocking, 3);
        assert!(stocking.stop());
        let disk = Gateway::start(&disk);
        wait_rebuilt(&disk);

        let whole = memory.get("/file.txt");
        let field = |name: &str| {
            whole
                .value(name)
                .unwrap_or_else(|| panic!("no {name} in:\n{whole}"))
                .to_owned()
        };
        let known = Known {
            etag: field("etag"),
            modified: field("last-modified"),
        };
        let gate = Gate::new();
        let slow = ["etag", "last-modified", "content-type", "cache-control", "vary"]
            .iter()
            .fold(reply(200), |script, name| script.header(name, &field(name)))
            .body(&BODY[..LENGTH / 2])
            .pause(&gate)
            .body(&BODY[LENGTH / 2..]);
        let slow = Origin::new().on("/file.txt", slow);
        let filling = Gateway::start(&front("memory = \"64MiB\"", slow.address()));
        Self {
            origin,
            slow,
            gate,
            memory,
            disk,
            filling,
            known,
            _folder: folder,
        }
    }

    /// What comes of a request while the answer to another is on its way.
    fn of_fill(&self, request: &Request) -> Response {
        self.gate.close();
        purge(&self.filling, r#"{"all":true}"#);
        settle(&self.filling);
        let mut leader = self.filling.connect();
        leader.send(Request::get("/file.txt").bytes());
        let (_, framing) = leader.response_head();
        let collapsed = || self.filling.status()["caches"]["edge"]["collapsed"].as_u64();
        let (before, seen) = (collapsed(), self.slow.total());
        let pending: Pending = self.filling.ask_apart(request);
        wait_until("it follows, or has its answer, or asks for its own", || {
            collapsed() > before || pending.is_done() || self.slow.total() > seen
        });
        self.gate.open();
        assert_eq!(leader.response_body(framing).body, harness::body::Body::of(&BODY));
        let response = pending.response();
        settle(&self.filling);
        response
    }

    fn ask_all(&self, asked: &Asked) -> Result<(), TestCaseError> {
        let request = asked.request(&self.known);
        let past = |gw: &Gateway| answer(gw.ask(&request.clone().header("X-Past", "1")));
        let expected = past(&self.memory);
        let mut goes_past = false;
        for (way, gw) in [("memory", &self.memory), ("disk", &self.disk)] {
            let response = gw.ask(&request);
            if response.status < 400 {
                let said = said(&response);
                // What takes back a field by Connection goes past the cache, if that field is there.
                let is_past = asked.takes_back() && said.starts_with("fwd=bypass");
                goes_past |= is_past;
                prop_assert!(is_past || said.starts_with("hit"), "{way}:\n{response}");
            }
            prop_assert_eq!(&answer(response), &expected, "from {}: {:?}", way, asked);
        }
        prop_assert_eq!(
            &answer(self.origin.ask(&request)),
            &expected,
            "from the origin: {:?}",
            asked
        );
        // Where the origin itself has to judge, the slow one is too simple for it.
        if expected.status != 412 && !goes_past {
            prop_assert_eq!(
                &answer(self.of_fill(&request)),
                &expected,
                "from a fill: {:?}",
                asked
            );
        }
        Ok(())
    }
}

#[test]
fn the_same_request_has_the_same_answer_from_memory_from_disk_from_a_fill_and_from_the_origin() {
    let ways = Ways::new();
    let config = Config {
        cases: 120,
        failure_persistence: None,
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(&asked(), |asked| ways.ask_all(&asked));
    outcome.unwrap_or_else(|fault| panic!("{fault}"));
    assert!(ways.slow.seen("/file.txt") >= 60, "fills were asked for");
}
