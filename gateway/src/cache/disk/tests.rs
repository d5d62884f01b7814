//! The disk tier against whole, torn, damaged and foreign files.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use super::name::ObjectPath;
use super::{Folder, Found, Location, ReadFault, SHARDS, StoredFile, Tally, encode_meta};
use crate::cache::object::{Facets, Freshness, Key, Meta};
use crate::wire::{Fields, Version};

mod appends;
mod drafts;
mod faults;
mod folders;
mod hostile;
mod journals;
mod metas;
mod objects;
mod scans;

const SEED: u64 = 0x5eed;

/// A folder that goes with the test.
struct Place {
    root: TempDir,
}

impl Place {
    fn new() -> Self {
        Self {
            root: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self) -> PathBuf {
        self.root.path().join("cache")
    }

    /// Each start has another mark, as random numbers would make it.
    fn open(&self, start: u64) -> Folder {
        let mut numbers = [SEED, start].into_iter();
        Folder::open(&self.path(), || numbers.next().unwrap()).unwrap()
    }

    fn file(&self, key: Key, generation: u64) -> PathBuf {
        let path = ObjectPath::new(key, generation);
        self.path().join(std::str::from_utf8(path.whole()).unwrap())
    }

    /// The names of the drafts.
    fn drafts(&self) -> usize {
        fs::read_dir(self.path().join("drafts")).map_or(0, Iterator::count)
    }
}

/// Sixteen keys in a row share a folder.
fn key(number: u128) -> Key {
    Key {
        primary: number << 112 | 0xabc,
        variance: number,
    }
}

fn meta(text: &str) -> Meta {
    let mut fields = Fields::default();
    fields.push(b"Content-Type", b"text/plain");
    fields.push(b"ETag", b"\"1\"");
    Meta {
        key_text: text.as_bytes().into(),
        variance: b"gzip".as_slice().into(),
        vary: ["accept-encoding".into()].into(),
        status: 200,
        reason: b"OK".as_slice().into(),
        version: Version::Http11,
        fields,
        freshness: Freshness {
            received_ms: 1_700_000_000_123,
            age_at_receipt: Duration::from_millis(1500),
            lifetime: Duration::from_secs(60),
            must_revalidate: true,
            ..Freshness::default()
        },
        facets: Facets([1, 2, u64::MAX].into()),
        serial: 7,
    }
}

/// Metas are compared as their records: `Fields` has no equality of its own.
fn record(meta: &Meta) -> Vec<u8> {
    encode_meta(meta).unwrap()
}

/// Bytes that differ from block to block.
fn body(length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| (at % 251) as u8 ^ (at >> 16) as u8)
        .collect()
}

/// Reads an object to its end, block by block, as a hit does.
fn read_all(stored: &StoredFile) -> Result<(Meta, Vec<u8>), ReadFault> {
    let meta = stored.meta(true)?.unwrap();
    let mut body = Vec::new();
    for index in 0.. {
        let block = stored.read_block(index, true)?.unwrap();
        if block.is_empty() {
            break;
        }
        body.extend_from_slice(&block);
    }
    Ok((meta, body))
}

fn open_and_read(folder: &Folder, key: Key, location: &Location) -> Result<(Meta, Vec<u8>), ReadFault> {
    read_all(&folder.open_object(key, location)?)
}

fn scan(folder: &Folder) -> (Tally, Vec<Found>) {
    let mut all = Vec::new();
    let tally = folder.scan(0..SHARDS, |found| {
        all.push(found);
        ControlFlow::Continue(())
    });
    (tally, all)
}

/// Writes at an offset, and makes the file longer where needed.
fn overwrite(path: &Path, at: u64, bytes: &[u8]) {
    use std::os::unix::fs::FileExt;
    fs::OpenOptions::new()
        .write(true)
        .open(path)
        .unwrap()
        .write_all_at(bytes, at)
        .unwrap();
}

/// The life of an object: filled, validated, restarted, read, removed.
#[test]
fn an_object_lives_until_it_is_removed() {
    let place = Place::new();
    let folder = place.open(1);
    let body = body(200_000);
    let draft = folder.draft().unwrap();
    draft.append(&body).unwrap();
    let (location, _) = draft
        .finish(key(1), folder.first_generation(), &meta("new"))
        .unwrap();
    let validated = folder.append_meta(key(1), &location, &meta("validated")).unwrap();
    drop((draft, folder));
    let folder = place.open(2);
    let (tally, found) = scan(&folder);
    assert_eq!(
        tally,
        Tally {
            found: 1,
            ..Tally::default()
        }
    );
    assert_eq!((found[0].key, found[0].location), (key(1), validated));
    let (meta, read) = open_and_read(&folder, key(1), &validated).unwrap();
    assert_eq!((&meta.key_text[..], read), (&b"validated"[..], body));
    assert!(folder.remove(key(1), validated.generation).unwrap());
    assert_eq!(scan(&folder).0, Tally::default());
}

#[test]
fn threads_share_what_is_open() {
    fn shared<T: Send + Sync>() {}
    shared::<Folder>();
    shared::<super::Draft>();
    shared::<StoredFile>();
    shared::<super::Journal>();
}

#[test]
fn a_location_is_small() {
    assert_eq!(size_of::<Location>(), 32);
}
