//! The disk tier: what outlives a restart, and what the disk has made of it meanwhile.

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
const LARGE: u64 = (3 << 20) + 17;

/// A folder for a cache, and the origin of what is in it.
struct Disk {
    folder: tempfile::TempDir,
    origin: Origin,
}

impl Disk {
    fn new(origin: Origin) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder is to be had");
        Self { folder, origin }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    fn toml(&self, lines: &str) -> String {
        let cache = format!(
            "memory = \"4MiB\"\ndisk = \"64MiB\"\npath = {:?}\n{lines}",
            self.path()
        );
        kept_in(&cache, &self.origin, "")
    }

    fn start(&self) -> Gateway {
        let gw = Gateway::start(&self.toml(""));
        wait_rebuilt(&gw);
        gw
    }

    /// Stores these and stops.
    fn stock(&self, targets: &[&str]) {
        let gw = self.start();
        for target in targets {
            gw.get(target).expect(200);
        }
        settle(&gw);
        wait_on_disk(&gw, targets.len() as u64);
        assert!(gw.stop());
    }

    /// The files of objects.
    fn files(&self) -> Vec<PathBuf> {
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

    fn change(&self, change: impl Fn(&mut Vec<u8>)) {
        let files = self.files();
        assert!(!files.is_empty(), "there is something to change");
        for file in files {
            let mut bytes = fs::read(&file).expect("it is there");
            change(&mut bytes);
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

fn large() -> Script {
    reply(200)
        .header("Cache-Control", "max-age=3600")
        .header("ETag", "\"big\"")
        .pattern(LARGE)
}

fn edge(gw: &Gateway, name: &str) -> u64 {
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
fn a_body_with_a_flipped_bit_is_fetched_again_and_counted() {
    for at in [64, 66, 80] {
        let disk =
            Disk::new(Origin::new().otherwise(lasting("a body of some bytes").header("ETag", "\"a\"")));
        disk.stock(&["/a", "/b"]);
        disk.change(|bytes| bytes[at] ^= 0x10);
        let gw = disk.start();
        for target in ["/a", "/b"] {
            forwarded(
                gw.get(target).expect(200).body("a body of some bytes"),
                "uri-miss",
            );
            assert_eq!(disk.origin.seen(target), 2);
            assert!(!disk.origin.requests(target)[1].has("if-none-match"));
        }
        settle(&gw);
        assert_eq!(edge(&gw, "damaged"), 2);
        assert_eq!(
            gw.metrics()
                .sum("sluice_cache_damaged_total", &[("cache", "edge")]),
            2.0
        );
        hit(&gw.get("/a"));
    }
}

#[test]
fn a_file_that_is_damaged_anywhere_never_gives_a_wrong_byte() {
    let disk = Disk::new(Origin::new().otherwise(lasting("0123456789").header("X-Kind", "kept")));
    disk.stock(&["/a"]);
    let length = fs::read(&disk.files()[0]).unwrap().len();
    // Some of them: each costs a restart.
    for at in (0..length).step_by(23).chain([length - 1]) {
        disk.change(|bytes| {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 0xff;
            }
        });
        let gw = disk.start();
        let response = gw.get("/a");
        response.expect(200).body("0123456789").header("x-kind", "kept");
        settle(&gw);
        wait_on_disk(&gw, 1);
        assert!(gw.stop());
    }
}

#[test]
fn a_file_that_was_cut_short_or_emptied_or_grew_is_fetched_again() {
    let cuts: [fn(&mut Vec<u8>); 5] = [
        |bytes| bytes.truncate(bytes.len() - 1),
        |bytes| bytes.truncate(bytes.len() / 2),
        |bytes| bytes.truncate(70),
        Vec::clear,
        |bytes| bytes.extend_from_slice(&[0; 200]),
    ];
    for cut in cuts {
        let disk = Disk::new(
            Origin::new()
                .on("/a", lasting("0123456789"))
                .on("/large", large()),
        );
        disk.stock(&["/a", "/large"]);
        disk.change(cut);
        let gw = disk.start();
        gw.get("/a").expect(200).body("0123456789");
        assert!(gw.get("/large").expect(200).message.body == Pattern::whole(LARGE));
        settle(&gw);
        for target in ["/a", "/large"] {
            hit(&gw.get(target));
            assert_eq!(disk.origin.seen(target), 2, "{target}");
        }
    }
}

#[test]
fn a_large_body_that_is_damaged_in_the_middle_breaks_off_and_is_fetched_anew() {
    let disk = Disk::new(Origin::new().on("/a", large()));
    disk.stock(&["/a"]);
    let at = 1_500_000;
    disk.change(|bytes| bytes[64 + at] ^= 1);
    let gw = disk.start();

    let mut client = gw.connect();
    client.send(Request::get("/a").bytes());
    assert_eq!(client.response_head(), (200, Framing::Length(LARGE)));
    let got = client.rest().expect("the connection ends");
    assert!(got.len() <= at, "not a byte of the damaged block: {}", got.len());
    let whole = Pattern::new(LARGE).block().expect("it is not empty").to_vec();
    assert_eq!(
        got[..whole.len().min(got.len())],
        whole[..whole.len().min(got.len())]
    );
    assert!(gw.get("/a").expect(200).message.body == Pattern::whole(LARGE));
    assert_eq!(disk.origin.seen("/a"), 2);
    assert_eq!(edge(&gw, "damaged"), 1);
}

#[test]
fn a_part_before_the_damage_is_served_and_one_within_it_is_not() {
    let disk = Disk::new(Origin::new().on("/a", large()));
    disk.stock(&["/a"]);
    disk.change(|bytes| bytes[64 + 1_500_000] ^= 1);
    let gw = disk.start();

    let good = gw.ask(&get_with("/a", "Range", "bytes=0-7"));
    hit(good.expect(206));
    assert_eq!(good.message.body.kept, Pattern::new(8).block().unwrap());
    let mut client = gw.connect();
    client.send(get_with("/a", "Range", "bytes=1500000-1500007").bytes());
    assert_eq!(client.response_head().0, 206);
    assert_eq!(client.rest().expect("the connection ends").len(), 0);
    forwarded(&gw.get("/a"), "uri-miss");
}

#[test]
fn the_file_of_another_object_is_not_this_one_s() {
    let disk = Disk::new(
        Origin::new()
            .on("/a", lasting("this is a"))
            .on("/b", lasting("this is b")),
    );
    disk.stock(&["/a", "/b"]);
    let files = disk.files();
    let [one, two] = &files[..] else {
        panic!("{files:?}")
    };
    let [first, second] = [one, two].map(|file| fs::read(file).unwrap());
    fs::write(one, second).unwrap();
    fs::write(two, first).unwrap();

    let gw = disk.start();
    gw.get("/a").expect(200).body("this is a");
    gw.get("/b").expect(200).body("this is b");
    assert_eq!((disk.origin.seen("/a"), disk.origin.seen("/b")), (2, 2));
}

#[test]
fn strange_files_in_the_folder_do_no_harm() {
    let disk = Disk::new(Origin::new().on("/a", lasting("this is a")));
    disk.stock(&["/a"]);
    let file = disk.files().remove(0);
    let folder = file.parent().expect("it lies in a folder").to_owned();
    let name = file
        .file_name()
        .and_then(|name| name.to_str())
        .expect("its name is hex")
        .to_owned();
    fs::write(disk.path().join("notes.txt"), "mine").unwrap();
    fs::write(folder.join("notes.txt"), "mine").unwrap();
    fs::write(folder.join(name.replace(&name[40..42], "zz")), "sluiceO\n").unwrap();
    fs::write(
        folder.join(format!("{}f", &name[..name.len() - 1])),
        vec![7; 5000],
    )
    .unwrap();
    fs::create_dir_all(folder.join("folder/in/it")).unwrap();
    fs::create_dir_all(disk.path().join("zz/z")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", folder.join(name.replace(&name[..2], "00"))).unwrap();

    let gw = disk.start();
    hit(gw.get("/a").expect(200).body("this is a"));
    gw.get("/b").expect(404);
    assert!(fs::read("/etc/passwd").is_ok());
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
