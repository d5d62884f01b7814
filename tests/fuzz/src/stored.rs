//! What a disk gives back: records of metadata, files of objects, the journal of purges.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gateway::cache::disk::{BLOCK, Folder, Journal, ReadFault, Record, SHARDS, decode_meta, encode_meta};
use gateway::cache::{Facets, Freshness, Key, Meta};
use gateway::wire::{Fields, Version};
use tempfile::TempDir;

const KEY: Key = Key {
    primary: 1 << 112 | 0xabc,
    variance: 7,
};

/// A record that decodes is what encoding it gives; nothing in it splits an answer.
pub fn meta(data: &[u8]) {
    let Some(meta) = decode_meta(data) else { return };
    let again = encode_meta(&meta).expect("it came from a record");
    assert_eq!(again, data);
    for field in meta.fields.iter() {
        assert!(
            !field.name.is_empty()
                && !field
                    .name
                    .iter()
                    .chain(field.value)
                    .any(|b| matches!(b, b'\r' | b'\n' | 0))
        );
    }
    assert!(!meta.reason.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)));
    assert!(meta.weight() >= meta.fields.bytes_held() as u64);
}

/// A folder that goes with the run, each start with another mark.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder for drafts of tests"))
    }

    fn open(&self, start: u64) -> Folder {
        let mut numbers = [0x5eed, start].into_iter();
        Folder::open(&self.0.path().join("cache"), || numbers.next().unwrap_or(start))
            .expect("a folder of ours")
    }

    fn file(&self) -> PathBuf {
        first_file(&self.0.path().join("cache/00/0")).expect("the object's file")
    }
}

fn first_file(folder: &Path) -> Option<PathBuf> {
    fs::read_dir(folder)
        .ok()?
        .find_map(|entry| Some(entry.ok()?.path()))
}

/// The file of an object with changes: triples of a place (two bytes) and a byte; an odd byte at the end cuts it.
pub fn object(data: &[u8]) {
    let (choice, changes) = super::chooser(data);
    let body: Vec<u8> = (0..usize::from(choice % 4) * (BLOCK / 2) + 100)
        .map(|at| (at % 251) as u8)
        .collect();
    let place = Place::new();
    let folder = place.open(1);
    let location = folder.write(KEY, 1, &sample(), &body).expect("there is room");
    let path = place.file();
    let mut bytes = fs::read(&path).expect("it was written");
    let untouched = bytes.clone();
    for change in changes.chunks_exact(3) {
        let at = usize::from(u16::from_le_bytes([change[0], change[1]]));
        // From the end, where nearly everything but the body is; 64 KiB reach all of the small ones.
        if let Some(at) = bytes.len().checked_sub(at + 1) {
            bytes[at] = change[2];
        }
    }
    match changes.chunks_exact(3).remainder() {
        [] => {}
        [cut] => bytes.truncate(bytes.len() - usize::from(*cut).min(bytes.len())),
        rest => bytes.extend_from_slice(rest),
    }
    fs::write(&path, &bytes).expect("there is room");
    check_reads(&folder, &location, &body);
    drop(folder);
    // A restart finds it as it was, or not at all.
    let folder = place.open(2);
    let mut found = Vec::new();
    let tally = folder.scan(0..SHARDS, |object| {
        found.push(object);
        ControlFlow::Continue(())
    });
    assert_eq!(tally.found, found.len() as u64);
    assert!(bytes != untouched || found.len() == 1);
    for object in found {
        assert!(object.key == KEY && encode_meta(&object.meta) == encode_meta(&sample()));
        check_reads(&folder, &object.location, &body);
    }
}

fn check_reads(folder: &Folder, location: &gateway::cache::disk::Location, body: &[u8]) {
    let lost = |fault: ReadFault| assert!(fault.is_lost(), "{fault:?}");
    let stored = match folder.open_object(KEY, location) {
        Ok(stored) => stored,
        Err(fault) => return lost(fault),
    };
    match stored.meta(true) {
        Ok(meta) => assert_eq!(meta.and_then(|m| encode_meta(&m)), encode_meta(&sample())),
        Err(fault) => lost(fault),
    }
    match stored.read_whole(true) {
        Ok(read) => assert!(read.is_some_and(|(_, whole)| whole == body), "wrong bytes"),
        Err(fault) => lost(fault),
    }
    for index in 0..location.blocks() {
        let at = usize::try_from(index).expect("a small body") * BLOCK;
        match stored.read_block(index, true) {
            Ok(block) => assert!(
                block.is_some_and(|b| b == body[at..body.len().min(at + BLOCK)]),
                "wrong bytes"
            ),
            Err(fault) => lost(fault),
        }
    }
}

/// A journal with two purges and the bytes behind it, or in their place.
pub fn journal(data: &[u8]) {
    let (choice, data) = super::chooser(data);
    let place = Place::new();
    let folder = place.open(1);
    let records = [record(1), record(2)];
    let (mut journal, _) = Journal::open(&folder).expect("a new journal");
    journal.append(&records).expect("there is room");
    drop(journal);
    let path = place.0.path().join("cache/purges");
    let mut bytes = fs::read(&path).expect("it was written");
    bytes.truncate(usize::from(choice));
    bytes.extend_from_slice(data);
    fs::write(&path, &bytes).expect("there is room");
    let (mut journal, contents) = Journal::open(&folder).expect("damage is told, and no error");
    // Nothing is made up, and what is missing is told; a last record that was cut short never counted.
    assert!(records.starts_with(&contents.records), "{contents:?}");
    let is_whole = usize::from(choice) >= 112;
    assert!(
        contents.is_damaged || !is_whole || contents.records == records,
        "{contents:?}"
    );
    journal.append(&[record(9)]).expect("there is room");
    drop(journal);
    let (_, again) = Journal::open(&folder).expect("a journal that was made anew");
    assert!(!again.is_damaged && again.records.len() == contents.records.len() + 1);
    assert_eq!(
        (again.records.last(), again.highest_serial),
        (Some(&record(9)), 9)
    );
}

fn record(serial: u64) -> Record {
    Record {
        facet: serial * 31,
        serial,
        soft: serial == 2,
        at_ms: 1_700_000_000_000 + serial,
    }
}

fn sample() -> Meta {
    let mut fields = Fields::default();
    fields.push(b"Content-Type", b"text/plain");
    fields.push(b"ETag", b"\"1\"");
    Meta {
        key_text: b"key".as_slice().into(),
        variance: b"gzip".as_slice().into(),
        vary: ["accept-encoding".into()].into(),
        status: 200,
        reason: b"OK".as_slice().into(),
        version: Version::Http11,
        fields,
        freshness: Freshness {
            received_ms: 1_700_000_000_123,
            lifetime: Duration::from_secs(60),
            ..Freshness::default()
        },
        facets: Facets([1, 2, u64::MAX].into()),
        serial: 7,
    }
}
