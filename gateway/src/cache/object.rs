//! What is kept: an answer's head, its body, and what is known about both.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;

use super::disk::StoredFile;
use super::store::Staged;
use crate::wire::{Fields, Version};

/// Which object: hashes of the texts in its [`Meta`], which are compared before an object is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Of [`Meta::key_text`].
    pub primary: u128,
    /// Of [`Meta::variance`]; 0 where the answer does not vary.
    pub variance: u128,
}

/// All about an answer besides its body. Written once; a validated answer gets a new one.
#[derive(Clone, Debug)]
pub struct Meta {
    /// What the request was for, as the route's key policy says.
    pub key_text: Box<[u8]>,
    /// The values of the fields named by `vary`, normalised; empty where the answer does not vary.
    pub variance: Box<[u8]>,
    /// Field names in lower case that the origin chose the answer by, sorted.
    pub vary: Box<[Box<str>]>,
    /// Status code; 0 for a mark that only says by which fields the answers of a key vary.
    pub status: u16,
    /// The text behind the status.
    pub reason: Box<[u8]>,
    /// The origin's version, for Via.
    pub version: Version,
    /// The fields that may be kept, in order; no Content-Length, no Age.
    pub fields: Fields,
    /// How long it may be used.
    pub freshness: Freshness,
    /// What a purge can reach it by.
    pub facets: Facets,
    /// The purge serial of its store when the origin was asked: an older purge does not concern it.
    pub serial: u64,
}

/// How long an answer may be used. Times of the wall clock, so that they hold after a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Freshness {
    /// When it was received, in milliseconds since the Unix epoch.
    pub received_ms: u64,
    /// How old it was then.
    pub age_at_receipt: Duration,
    /// How old it may become and be fresh.
    pub lifetime: Duration,
    /// For how long after that it may be used while a newer one is fetched.
    pub stale_while_revalidate: Duration,
    /// For how long after that it may be used when its origin fails.
    pub stale_if_error: Duration,
    /// Never used when stale because a request allows it (must-revalidate, proxy-revalidate, s-maxage).
    pub must_revalidate: bool,
    /// Never used without asking the origin (no-cache).
    pub no_cache: bool,
}

/// Hashes of everything a purge can reach an object by: its URL, host, path prefixes and tags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facets(pub Box<[u64]>);

/// An object in memory, or one whose body is read from its file.
#[derive(Debug)]
pub struct Object {
    /// Which.
    pub key: Key,
    /// All about it.
    pub meta: Meta,
    /// Its bytes.
    pub body: Body,
    /// The part of a client's head that is the same for every hit; made by the first one.
    pub prepared: OnceLock<Box<[u8]>>,
    /// Its body as the system sends it best, where it is large and asked for often.
    pub staged: OnceLock<Staged>,
    /// What those who serve it have found out about it.
    pub notes: Notes,
    /// What its store notes of it.
    pub mark: Mark,
}

/// What is found out about an object once and would else be found out by each hit. A store knows nothing of it.
#[derive(Debug, Default)]
pub struct Notes {
    /// Whether it may be compressed, and by which configuration that was judged; 0 where nobody has.
    pub judged: AtomicU64,
    /// What tells it from any other object, its bytes included: a coded form is only served for what it was made from.
    pub identity: OnceLock<[u8; 32]>,
}

/// What a store notes of an object while it is used. Nobody else writes it.
#[derive(Debug, Default)]
pub struct Mark {
    /// Which object of its store, counted up; 0 for one that is in no store.
    pub(super) id: u64,
    /// Which file of its key it was read from or written to; 0 for none, or none yet.
    pub(super) generation: u64,
    /// [`Object::weight`] when it was taken up.
    pub(super) weight: u64,
    /// The purge serial up to which it was checked, twice; plus one if it is softly purged. One number, so that a hit reads
    /// one word.
    pub(super) checked: AtomicU64,
    /// Used since the disk tier last looked for something to evict.
    pub(super) is_touched: AtomicBool,
    /// Requests for it, counted up to the number that brings it to disk.
    pub(super) uses: AtomicU32,
    /// Hits that would have been better served from a staged body.
    pub(super) wishes: AtomicU32,
    /// Counts its body for as long as anybody has it.
    pub(super) _held: Option<Held>,
}

/// Bytes of a body, in a sum of all of them.
#[derive(Debug)]
pub struct Held {
    sum: Arc<AtomicU64>,
    bytes: u64,
}

impl Held {
    /// Adds so many bytes until it is dropped.
    pub(super) fn new(sum: &Arc<AtomicU64>, bytes: u64) -> Self {
        sum.fetch_add(bytes, Ordering::Relaxed);
        Self {
            sum: Arc::clone(sum),
            bytes,
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.sum.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Bytes of memory an object costs besides its texts and its body: its own struct, its entries in the index, in the memory
/// tier and in the counts of facets, and what the allocator adds to each piece.
const OBJECT_OVERHEAD_BYTES: u64 = 688;
/// Bytes of memory of a field line besides its texts.
const FIELD_OVERHEAD_BYTES: u64 = 24;

impl Object {
    /// An object in no store.
    pub fn new(key: Key, meta: Meta, body: Body) -> Self {
        Self {
            key,
            meta,
            body,
            prepared: OnceLock::new(),
            staged: OnceLock::new(),
            notes: Notes::default(),
            mark: Mark::default(),
        }
    }

    /// Bytes it costs in memory, the head that is prepared later included.
    pub fn weight(&self) -> u64 {
        self.body.memory_bytes() + self.meta.weight()
    }
}

impl Meta {
    /// Bytes it costs in memory; the texts of the fields twice, because the prepared head repeats them.
    pub fn weight(&self) -> u64 {
        let names: usize = self
            .vary
            .iter()
            .map(|name| name.len() + size_of::<Box<str>>())
            .sum();
        let texts = self.key_text.len() + self.variance.len() + self.reason.len() + names;
        let fields = 2 * self.fields.bytes_held() as u64 + FIELD_OVERHEAD_BYTES * self.fields.len() as u64;
        // The facets are in the index once more.
        let facets = 2 * size_of_val(&*self.facets.0) as u64;
        OBJECT_OVERHEAD_BYTES + texts as u64 + fields + facets
    }
}

/// The bytes of an object.
#[derive(Clone, Debug)]
pub enum Body {
    /// In memory, in one piece.
    Memory(Bytes),
    /// On disk, read block by block.
    File(Arc<StoredFile>),
}

impl Body {
    /// Length in bytes.
    pub fn length(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File(file) => file.location().body_length,
        }
    }

    /// Bytes of it that are held in memory.
    pub fn memory_bytes(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File(_) => 0,
        }
    }
}
