//! The store, without its threads where the order of things matters.

mod book;
mod crowd;
mod disk;
mod memory;
mod model;
mod purging;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::keeper::Keeper;
use super::shared::Shared;
use super::{Hit, Loaded, LookUp, Store};
use crate::cache::object::{Body, Facets, Freshness, Key, Meta, Object};
use crate::config::plan::Cache as Plan;
use crate::kit::clock::Clock;
use crate::wire::{Fields, Version};

pub const MIB: u64 = 1 << 20;

/// A store whose threads are the test.
pub struct Rig {
    pub store: Store,
    pub keeper: Keeper,
    pub clock: Clock,
}

impl Rig {
    pub fn open(plan: &Plan) -> Self {
        let clock = Clock::manual(Duration::from_secs(1_800_000_000));
        let mut shared = Shared::new(plan, 7, clock.clone());
        // Nobody evicts while the test's own thread waits.
        shared.room_wait = Duration::ZERO;
        let shared = Arc::new(shared);
        let mut keeper = Keeper::new(shared.clone());
        keeper.open(false);
        Self {
            store: Store { shared, threads: 0 },
            keeper,
            clock,
        }
    }

    pub fn shared(&self) -> &Shared {
        &self.store.shared
    }

    /// Does all that the threads would do.
    pub fn settle(&mut self) {
        self.clock.advance(Duration::from_secs(60));
        for _ in 0..3 {
            while let Some(job) = self.shared().queue.poll() {
                self.shared().work(&job);
                if self.shared().space.is_tight() {
                    self.keeper.step();
                }
            }
            while self.keeper.step() {}
        }
    }

    /// The object of a number, read from disk if need be.
    pub fn get(&self, n: u64) -> Option<Hit> {
        get(&self.store, n)
    }

    pub fn body(&self, n: u64) -> Option<Vec<u8>> {
        self.get(n).map(|hit| bytes(&hit.object))
    }

    /// Admits an object as a fill would that begins now.
    pub fn put(&self, n: u64, facets: &[u64], body: &[u8]) -> Option<Arc<Object>> {
        let mark = self.store.begin_fill();
        self.store.admit(
            key(n),
            meta(n, facets, mark.serial()),
            Bytes::copy_from_slice(body),
        )
    }
}

pub fn get(store: &Store, n: u64) -> Option<Hit> {
    let is_it = |meta: &Meta| *meta.key_text == n.to_le_bytes();
    match store.look_up(key(n), is_it) {
        LookUp::Hit(hit) => Some(hit),
        LookUp::Nothing => None,
        LookUp::OnDisk(ticket) => match store.load(&ticket, true, is_it) {
            Loaded::Hit(hit) => Some(hit),
            Loaded::Nothing => None,
            Loaded::WouldWait => panic!("it may wait"),
        },
    }
}

/// Keys spread as real ones do.
pub fn key(n: u64) -> Key {
    let hash = u128::from(n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    Key {
        primary: hash << 64 | (hash >> 7) ^ u128::from(n),
        variance: 0,
    }
}

pub fn meta(n: u64, facets: &[u64], serial: u64) -> Meta {
    Meta {
        key_text: n.to_le_bytes().into(),
        variance: Box::default(),
        vary: Box::default(),
        status: 200,
        reason: b"OK".as_slice().into(),
        version: Version::Http11,
        fields: Fields::default(),
        freshness: Freshness::default(),
        facets: Facets(facets.into()),
        serial,
    }
}

pub fn bytes(object: &Object) -> Vec<u8> {
    match &object.body {
        Body::Memory(bytes) => bytes.to_vec(),
        Body::File(file) => {
            let mut all = Vec::new();
            for index in 0.. {
                let block = file.read_block(index, true).unwrap().unwrap();
                if block.is_empty() {
                    break;
                }
                all.extend_from_slice(&block);
            }
            all
        }
    }
}

pub fn plan(memory: u64, disk: Option<(&Path, u64)>) -> Plan {
    Plan {
        name: "edge".to_owned(),
        memory,
        disk: disk.map_or(0, |(_, bytes)| bytes),
        path: disk.map(|(path, _)| path.to_owned()),
        max_object: 64 * MIB,
        min_uses: 1,
    }
}

/// A folder as a killed process leaves it, in another place so that its lock is not held.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => _ = std::fs::copy(entry.path(), target).unwrap(),
        }
    }
}

/// All files of objects and drafts below a folder, with their lengths.
pub fn files(folder: &Path) -> Vec<(std::path::PathBuf, u64)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            all.extend(files(&entry.path()));
        } else if !["sluice-cache", "purges", "purges.new"]
            .iter()
            .any(|n| entry.file_name() == *n)
        {
            all.push((entry.path(), entry.metadata().unwrap().len()));
        }
    }
    all
}

pub fn disk_bytes(folder: &Path) -> u64 {
    files(folder)
        .iter()
        .map(|(_, length)| length.div_ceil(4096) * 4096)
        .sum()
}
