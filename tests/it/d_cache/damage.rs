//! What a disk has made of what was written to it: never a wrong byte, and fetched again.

use std::fs;
use std::path::PathBuf;

use harness::body::Pattern;
use harness::origin::reply;
use harness::wire::Framing;
use harness::{Gateway, Origin, Request};

use super::disk::{Disk, LARGE, edge, large};
use super::{forwarded, get_with, hit, lasting, secs, settle, wait_on_disk, wait_rebuilt};

#[test]
fn a_body_with_a_flipped_bit_is_fetched_again_and_counted() {
    const TARGETS: [&str; 4] = ["/a", "/b", "/c", "/d"];
    let disk = Disk::new(Origin::new().otherwise(lasting("a body of some bytes").header("ETag", "\"a\"")));
    disk.stock(&TARGETS);
    disk.change(|n, bytes| bytes[64 + 5 * n] ^= 0x10);
    let gw = disk.start();
    for target in TARGETS {
        forwarded(
            gw.get(target).expect(200).body("a body of some bytes"),
            "uri-miss",
        );
        assert_eq!(disk.origin.seen(target), 2);
        assert!(!disk.origin.requests(target)[1].has("if-none-match"));
    }
    settle(&gw);
    assert_eq!(edge(&gw, "damaged"), 4);
    assert_eq!(
        gw.metrics()
            .sum("sluice_cache_damaged_total", &[("cache", "edge")]),
        4.0
    );
    for target in TARGETS {
        hit(&gw.get(target));
    }
}

#[test]
fn a_file_that_is_damaged_anywhere_never_gives_a_wrong_byte() {
    const FILES: usize = 600;
    let disk = Disk::new(Origin::new().otherwise(lasting("0123456789").header("X-Kind", "kept")));
    let targets: Vec<_> = (0..FILES).map(|n| format!("/{n}")).collect();
    disk.stock(&targets.iter().map(String::as_str).collect::<Vec<_>>());
    // Each file is damaged somewhere else, until all places have had their turn.
    disk.change(|n, bytes| {
        let at = n % bytes.len();
        bytes[at] ^= 1 << (n % 8);
    });
    let gw = disk.start();
    let mut client = gw.connect();
    for target in &targets {
        let response = client.ask(&Request::get(target));
        response.expect(200).body("0123456789").header("x-kind", "kept");
    }
    let seen = targets
        .iter()
        .filter(|target| disk.origin.seen(target) == 2)
        .count();
    // Not every byte of a file is needed, but most are.
    assert!(seen > FILES / 2, "{seen}");
}

#[test]
fn a_file_that_was_cut_short_or_emptied_or_grew_is_fetched_again() {
    const CUTS: [fn(&mut Vec<u8>); 5] = [
        |bytes| bytes.truncate(bytes.len() - 1),
        |bytes| bytes.truncate(bytes.len() / 2),
        |bytes| bytes.truncate(70),
        Vec::clear,
        |bytes| bytes.extend_from_slice(&[0; 200]),
    ];
    let disk = Disk::new(Origin::new());
    let targets: Vec<_> = (0..10).map(|n| format!("/{n}")).collect();
    let length = |n: u64| if n < 5 { 100_000 } else { LARGE };
    for (n, target) in targets.iter().enumerate() {
        disk.origin.set(
            target,
            reply(200)
                .header("Cache-Control", "max-age=3600")
                .pattern(length(n as u64)),
        );
    }
    disk.stock(&targets.iter().map(String::as_str).collect::<Vec<_>>());
    // By length first: each cut is made to a small one and to a large one.
    let files = disk.files();
    let is_small = |file: &PathBuf| fs::metadata(file).unwrap().len() < LARGE;
    let (small, large): (Vec<_>, Vec<_>) = files.into_iter().partition(is_small);
    for (files, n) in [(small, 5), (large, 5)] {
        assert_eq!(files.len(), n);
        for (file, cut) in files.iter().zip(CUTS) {
            let mut bytes = fs::read(file).unwrap();
            cut(&mut bytes);
            fs::write(file, bytes).unwrap();
        }
    }
    let gw = disk.start();
    for (n, target) in targets.iter().enumerate() {
        assert!(gw.get(target).expect(200).message.body == Pattern::whole(length(n as u64)));
        settle(&gw);
        hit(&gw.get(target));
        assert_eq!(disk.origin.seen(target), 2, "{target}");
    }
}

#[test]
fn a_large_body_that_is_damaged_in_the_middle_breaks_off_and_is_fetched_anew() {
    let disk = Disk::new(Origin::new().on("/a", large()));
    disk.stock(&["/a"]);
    let at = 1_500_000;
    disk.change(|_, bytes| bytes[64 + at] ^= 1);
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
fn a_part_before_the_damage_is_served_and_damage_found_in_time_costs_the_client_nothing() {
    let disk = Disk::new(Origin::new().on("/a", large()));
    disk.stock(&["/a"]);
    disk.change(|_, bytes| bytes[64 + 1_500_000] ^= 1);
    let gw = disk.start();

    let part = |first: u64| gw.ask(&get_with("/a", "Range", &format!("bytes={first}-{}", first + 7)));
    let good = part(0);
    hit(good.expect(206));
    assert_eq!(good.message.body.kept, Pattern::new(8).block().unwrap());
    // Nothing of it has been sent when the damage is found: the origin has it.
    let fetched = part(1_500_000);
    forwarded(fetched.expect(206), "uri-miss");
    settle(&gw);
    let again = part(1_500_000);
    hit(&again);
    assert_eq!(again.message.body, fetched.message.body);
    assert_eq!(disk.origin.seen("/a"), 2);
}

#[test]
fn a_damaged_body_that_its_origin_confirms_for_one_alone_is_asked_for_once_more_and_no_oftener() {
    let body = || reply(200).header("ETag", "\"big\"").pattern(LARGE);
    let disk = Disk::new(
        Origin::new()
            .on("/a", body())
            .then("/a", reply(304))
            .then("/a", body()),
    );
    let toml = disk
        .toml("")
        .replace("store = \"edge\"", "store = \"edge\"\nttl = \"10s\"");
    let gw = Gateway::start_with_manual_clock(&toml);
    wait_rebuilt(&gw);
    gw.get("/a").expect(200);
    settle(&gw);
    wait_on_disk(&gw, 1);
    disk.change(|_, bytes| bytes[64] ^= 1);
    gw.advance(secs(20));

    let response = gw.ask(&get_with("/a", "Cookie", "session=1"));
    assert!(response.expect(200).message.body == Pattern::whole(LARGE));
    let asked = disk.origin.requests("/a");
    let conditions: Vec<_> = asked.iter().map(|asked| asked.has("if-none-match")).collect();
    assert_eq!(conditions, [false, true, false]);
    assert_eq!(edge(&gw, "damaged"), 1);
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
