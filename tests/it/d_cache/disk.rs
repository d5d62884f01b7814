//! The disk tier: what outlives a restart, what it holds, and who may have it.

use std::fs;
use std::path::{Path, PathBuf};

use gateway::kit::clock::Clock;
use harness::body::Pattern;
use harness::origin::{Script, reply};
use harness::wire::Framing;
use harness::{Connection, Gateway, Origin, Request};

use super::{
    START, end_to_end, forwarded, get_with, hit, kept_in, lasting, purge, said, secs, settle, wait_on_disk,
    wait_rebuilt,
};

/// Larger than what memory keeps of a cache with a disk.
pub(super) const LARGE: u64 = (3 << 20) + 17;

/// A folder for a cache, and the origin of what is in it.
pub(super) struct Disk {
    folder: tempfile::TempDir,
    pub(super) origin: Origin,
}

impl Disk {
    pub(super) fn new(origin: Origin) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder is to be had");
        Self { folder, origin }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    pub(super) fn toml(&self, lines: &str) -> String {
        let cache = format!(
            "memory = \"4MiB\"\ndisk = \"64MiB\"\npath = {:?}\n{lines}",
            self.path()
        );
        kept_in(&cache, &self.origin, "")
    }

    pub(super) fn start(&self) -> Gateway {
        let gw = Gateway::start(&self.toml(""));
        wait_rebuilt(&gw);
        gw
    }

    /// Stores these and stops.
    pub(super) fn stock(&self, targets: &[&str]) {
        let gw = Gateway::start(&self.toml(""));
        let mut client = gw.connect();
        for target in targets {
            client.ask(&Request::get(target)).expect(200);
        }
        settle(&gw);
        wait_on_disk(&gw, targets.len() as u64);
        assert!(gw.stop());
    }

    /// The files of objects.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        walk(&self.path(), &mut files);
        let is_object = |file: &PathBuf| {
            file.strip_prefix(self.path())
                .is_ok_and(|rest| rest.components().count() == 3)
        };
        files.retain(is_object);
        files.sort();
        files
    }

    /// Changes the bytes of each file; the first number is its place among them.
    pub(super) fn change(&self, change: impl Fn(usize, &mut Vec<u8>)) {
        let files = self.files();
        assert!(!files.is_empty(), "there is something to change");
        for (n, file) in files.into_iter().enumerate() {
            let mut bytes = fs::read(&file).expect("it is there");
            change(n, &mut bytes);
            fs::write(&file, bytes).expect("it can be written");
        }
    }
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            walk(&path, files);
        } else {
            files.push(path);
        }
    }
}

pub(super) fn large() -> Script {
    reply(200)
        .header("Cache-Control", "max-age=3600")
        .header("ETag", "\"big\"")
        .pattern(LARGE)
}

/// A number of `/status`.
pub(super) fn edge(gw: &Gateway, name: &str) -> u64 {
    let status = gw.status();
    let edge = &status["caches"]["edge"];
    edge[name]
        .as_u64()
        .unwrap_or_else(|| panic!("{name} in {edge:#}"))
}

#[test]
fn what_was_stored_before_a_restart_is_served_after_it_as_it_was() {
    let disk = Disk::new(
        Origin::new()
            .on(
                "/small",
                lasting("small")
                    .header("ETag", "\"s\"")
                    .header("X-Own", "1")
                    .header("X-Own", "2"),
            )
            .on(
                "/404",
                reply(404).header("Cache-Control", "max-age=3600").body("none"),
            )
            .on("/empty", lasting(""))
            .on("/large", large())
            .on("/de", lasting("deutsch").header("Vary", "Accept-Language")),
    );
    let targets = ["/small", "/404", "/empty", "/large", "/de"];
    let ask = |target: &str| get_with(target, "Accept-Language", "de");
    let start = |after: u64| {
        let clock = Clock::manual(secs(START + after));
        Gateway::try_start(&disk.toml(""), clock).expect("the gateway starts")
    };
    let gw = start(0);
    let before = targets.map(|target| gw.ask(&ask(target)));
    settle(&gw);
    // One more: by what the answers of one of them vary.
    wait_on_disk(&gw, 6);
    assert!(gw.stop());
    disk.origin.kill();

    let gw = start(100);
    wait_rebuilt(&gw);
    for (target, before) in targets.iter().zip(&before) {
        for n in 0..2 {
            let after = gw.ask(&ask(target));
            assert_eq!(hit(&after), 100, "{target}");
            assert_eq!(said(&after), "hit; ttl=3500");
            assert_eq!(after.status, before.status, "{target}");
            assert!(after.message.body == before.message.body, "{target}, time {n}");
            assert_eq!(end_to_end(&after), end_to_end(before), "{target}");
            assert_eq!(after.value("date"), before.value("date"));
        }
    }
    gw.ask(&get_with("/small", "If-None-Match", "\"s\"")).expect(304);
    gw.ask(&get_with("/large", "Range", "bytes=-17"))
        .expect(206)
        .header(
            "content-range",
            &format!("bytes {}-{}/{LARGE}", LARGE - 17, LARGE - 1),
        );
    gw.ask(&get_with("/de", "Accept-Language", "en")).expect(502);
    gw.advance(secs(3500));
    gw.get("/small").expect(502);
}

#[test]
fn a_folder_that_is_gone_is_made_anew() {
    let disk = Disk::new(Origin::new().otherwise(lasting("x")));
    disk.stock(&["/a"]);
    fs::remove_dir_all(disk.path()).unwrap();
    let gw = disk.start();
    forwarded(gw.get("/a").expect(200).body("x"), "uri-miss");
    wait_on_disk(&gw, 1);
}

#[test]
fn a_second_gateway_does_without_the_folder_of_the_first_and_says_so() {
    let disk = Disk::new(Origin::new().otherwise(lasting("x")));
    let first = disk.start();
    first.get("/a").expect(200);
    wait_on_disk(&first, 1);

    let second = Gateway::start(&disk.toml(""));
    let fault = second.status()["caches"]["edge"]["disk_fault"]
        .as_str()
        .map(str::to_owned);
    assert!(fault.is_some_and(|fault| fault.len() > 20));
    assert_eq!(
        second.metrics().sum("sluice_cache_disk_up", &[("cache", "edge")]),
        0.0
    );
    forwarded(second.get("/a").expect(200).body("x"), "uri-miss");
    settle(&second);
    hit(second.get("/a").expect(200).body("x"));
    purge(&second, r#"{"all":true}"#);
    assert_eq!(edge(&second, "disk_bytes"), 0);

    // The first has not noticed.
    hit(&first.get("/a"));
    first.get("/b").expect(200);
    wait_on_disk(&first, 2);
    assert_eq!(
        first.status()["caches"]["edge"]["disk_fault"],
        serde_json::Value::Null
    );
    assert_eq!(
        first.metrics().sum("sluice_cache_disk_up", &[("cache", "edge")]),
        1.0
    );
}

#[test]
fn a_folder_that_cannot_be_one_costs_the_disk_and_nothing_else() {
    let disk = Disk::new(Origin::new().otherwise(lasting("x")).on("/large", large()));
    fs::write(disk.path(), "a file").unwrap();
    let gw = Gateway::start(&disk.toml(""));
    gw.get("/a").expect(200);
    settle(&gw);
    hit(&gw.get("/a"));
    for _ in 0..2 {
        assert!(gw.get("/large").expect(200).message.body == Pattern::whole(LARGE));
    }
    assert!(gw.status()["caches"]["edge"]["disk_fault"].is_string());
    assert_eq!(fs::read_to_string(disk.path()).unwrap(), "a file");
}

#[test]
fn what_is_asked_for_once_stays_off_the_disk() {
    let disk = Disk::new(Origin::new().on("/large", large()).otherwise(lasting("x")));
    let toml = disk.toml("min_uses = 2");
    let gw = Gateway::start(&toml);
    gw.get("/once").expect(200);
    gw.get("/twice").expect(200);
    settle(&gw);
    hit(&gw.get("/twice"));
    wait_on_disk(&gw, 1);
    assert_eq!(said(&gw.get("/large")), "fwd=uri-miss; detail=too-seldom");
    forwarded(&gw.get("/large"), "uri-miss");
    settle(&gw);
    hit(&gw.get("/large"));
    wait_on_disk(&gw, 2);
    gw.stop();

    let gw = Gateway::start(&toml);
    wait_rebuilt(&gw);
    hit(&gw.get("/twice"));
    hit(&gw.get("/large"));
    forwarded(&gw.get("/once"), "uri-miss");
}

#[test]
fn the_disk_holds_what_it_may() {
    const LENGTH: u64 = 700_000;
    let disk = Disk::new(
        Origin::new().otherwise(reply(200).header("Cache-Control", "max-age=3600").pattern(LENGTH)),
    );
    let toml = disk.toml("").replace("disk = \"64MiB\"", "disk = \"8MiB\"");
    let gw = Gateway::start(&toml);
    for n in 0..30 {
        assert!(
            gw.get(&format!("/{n}")).expect(200).message.body == Pattern::whole(LENGTH),
            "{n}"
        );
        settle(&gw);
    }
    harness::wait_until("the limit holds", || edge(&gw, "disk_bytes") <= 8 << 20);
    assert!(edge(&gw, "evictions_disk") >= 15 && edge(&gw, "objects_disk") >= 4);
    let limit = gw.metrics().sum("sluice_cache_bytes", &[("tier", "disk")]);
    assert!(limit > 0.0 && limit <= 8e6 * 1.05);
    for n in 0..30 {
        assert!(
            gw.get(&format!("/{n}")).expect(200).message.body == Pattern::whole(LENGTH),
            "{n}"
        );
    }
}

#[test]
fn a_slow_reader_of_a_purged_object_gets_it_to_its_end() {
    const HUGE: u64 = 12 << 20;
    let script = reply(200).header("Cache-Control", "max-age=3600").pattern(HUGE);
    let disk = Disk::new(Origin::new().on("/a", script).then("/a", lasting("new")));
    disk.stock(&["/a"]);
    let gw = disk.start();

    let mut slow = Connection::open_narrow(gw.address());
    slow.send(Request::get("/a").bytes());
    assert_eq!(slow.response_head(), (200, Framing::Length(HUGE)));
    let told = purge(&gw, r#"{"urls":["http://a.test/a"]}"#);
    assert_eq!(told["objects"], 1);
    gw.get("/a").expect(200).body("new");
    harness::wait_until("its file has gone", || edge(&gw, "disk_bytes") < HUGE);
    assert!(slow.response_body(Framing::Length(HUGE)).body == Pattern::whole(HUGE));
    assert_eq!(disk.origin.seen("/a"), 2);
}

#[test]
fn a_confirmed_answer_is_confirmed_after_a_restart_too() {
    let short = reply(200)
        .header("Cache-Control", "max-age=10")
        .header("ETag", "\"a\"")
        .pattern(LARGE);
    let renewed = reply(304)
        .header("Cache-Control", "max-age=5000")
        .header("X-New", "1");
    let disk = Disk::new(Origin::new().on("/a", short).then("/a", renewed));
    let start = |after: u64| {
        let clock = Clock::manual(secs(START + after));
        let gw = Gateway::try_start(&disk.toml(""), clock).expect("the gateway starts");
        wait_rebuilt(&gw);
        gw
    };
    let gw = start(0);
    gw.get("/a").expect(200);
    settle(&gw);
    wait_on_disk(&gw, 1);
    gw.stop();

    let gw = start(20);
    let confirmed = gw.get("/a");
    forwarded(confirmed.expect(200).header("x-new", "1"), "stale");
    assert!(confirmed.message.body == Pattern::whole(LARGE));
    gw.stop();

    let gw = start(40);
    let again = gw.get("/a");
    assert_eq!(hit(again.expect(200).header("x-new", "1")), 20);
    assert!(again.message.body == Pattern::whole(LARGE));
    assert_eq!(disk.origin.seen("/a"), 2);
}
