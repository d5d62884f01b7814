//! What is kept: an answer's head, its body, and what is known about both.

use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;

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
    /// Never used when stale, whatever a request allows (must-revalidate, proxy-revalidate, s-maxage).
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
}

/// The bytes of an object.
#[derive(Debug)]
pub enum Body {
    /// In memory, in one piece.
    Memory(Bytes),
}

impl Body {
    /// Length in bytes.
    pub fn length(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
        }
    }
}
