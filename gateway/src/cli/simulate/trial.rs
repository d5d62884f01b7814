//! Logged requests against stores of several sizes: the real ones, with their own way of taking up and giving up.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use gateway::cache::policy::{KeyFacts, primary, write_key};
use gateway::cache::store::{LookUp, Store};
use gateway::cache::{Facets, Freshness, Key, Meta};
use gateway::config::plan::{Cache, KeyRule};
use gateway::kit::clock::Clock;
use gateway::wire::{Fields as Head, Version};
use serde::Serialize;

use crate::cli::log::field::{Field, Fields};
use crate::cli::log::line::Line;

/// Keys whose size is remembered: 32 bytes each, and a log that has more is no question for one machine.
const KEYS_MAX: usize = 32 << 20;
/// Bytes of the body that all bodies are slices of, to begin with.
const ZEROS_BYTES: usize = 1 << 20;
/// What keys are hashed with: the same each time, so that two runs agree.
const SEED: u64 = 0x51_1c_e0;
/// What no line says of an answer, with nothing to choose by.
const STATUS_OK: u16 = 200;

/// What comes of a log.
pub struct Trial {
    stores: Vec<Tried>,
    /// Sizes of answers as they were last seen, by key.
    sizes: HashMap<u128, u64>,
    rules: HashMap<String, KeyRule>,
    zeros: Bytes,
    key: Vec<u8>,
    /// What is counted besides.
    pub counts: Counts,
}

/// Lines by what they were good for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Requests that a cache could have answered.
    pub requests: u64,
    /// Bytes of their answers.
    pub bytes: u64,
    /// Requests that no cache answers: another method, an answer that may not be kept, a part of one.
    pub not_cacheable: u64,
    /// Requests of an answer whose size no line has told yet: they count, and bring nothing into a store.
    pub without_size: u64,
    /// Different answers.
    pub keys: u64,
    /// Bytes of all of them together.
    pub key_bytes: u64,
    /// Requests that would find their answer if there were room for everything.
    pub hits_at_best: u64,
    /// Bytes of these.
    pub hit_bytes_at_best: u64,
}

/// A store, and what it did.
struct Tried {
    store: Arc<Store>,
    memory_bytes: u64,
    hits: u64,
    hit_bytes: u64,
}

/// How a size did.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Outcome {
    /// The size.
    pub memory_bytes: u64,
    /// Requests that found their answer.
    pub hits: u64,
    /// Bytes of these.
    pub hit_bytes: u64,
    /// Answers held at the end.
    pub objects: u64,
    /// Bytes in use at the end.
    pub used_bytes: u64,
    /// Answers that had to leave.
    pub evictions: u64,
}

/// A request that a cache could have answered.
struct Request {
    key: Key,
    /// Bytes sent; None where they are not those of the whole answer.
    size: Option<u64>,
}

impl Trial {
    /// Stores of these sizes, empty. The rules are by route; others are keyed by the whole URL.
    pub fn new(memory_bytes: &[u64], max_object: Option<u64>, rules: HashMap<String, KeyRule>) -> Self {
        let tried = |memory: &u64| Tried {
            store: Store::open(&plan(*memory, max_object), SEED, Clock::system()),
            memory_bytes: *memory,
            hits: 0,
            hit_bytes: 0,
        };
        Self {
            stores: memory_bytes.iter().map(tried).collect(),
            sizes: HashMap::new(),
            rules,
            zeros: Bytes::from(vec![0; ZEROS_BYTES]),
            key: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// What has to be read of a line.
    pub fn fields() -> Fields {
        Fields::of(&[
            Field::User,
            Field::Method,
            Field::Scheme,
            Field::Host,
            Field::Path,
            Field::Query,
            Field::Status,
            Field::BytesSent,
            Field::Route,
            Field::Cache,
            Field::Refusal,
        ])
    }

    /// One more request.
    pub fn take(&mut self, line: &Line<'_>) {
        let Some(request) = self.request(line) else {
            self.counts.not_cacheable += 1;
            return;
        };
        let known = self.sizes.get(&request.key.primary).copied();
        let size = request.size.or(known);
        self.count(request.key, size, known);
        let Some(size) = size else {
            self.counts.without_size += 1;
            return;
        };
        let body = self.body(size);
        for tried in &mut self.stores {
            tried.take(request.key, &self.key, &body, size);
        }
    }

    fn count(&mut self, key: Key, size: Option<u64>, known: Option<u64>) {
        let counts = &mut self.counts;
        counts.requests += 1;
        counts.bytes += size.unwrap_or(0);
        if known.is_some() {
            counts.hits_at_best += 1;
            counts.hit_bytes_at_best += size.unwrap_or(0);
        }
        if let Some(size) = size
            && (known.is_some() || self.sizes.len() < KEYS_MAX)
        {
            counts.keys += u64::from(known.is_none());
            counts.key_bytes = counts.key_bytes - known.unwrap_or(0) + size;
            self.sizes.insert(key.primary, size);
        }
    }

    /// None where no cache would have been asked, or could have kept the answer.
    fn request(&mut self, line: &Line<'_>) -> Option<Request> {
        let text = |field| line.text(field);
        let method = text(Field::Method)?;
        let status = line.whole(Field::Status)?;
        let cache = text(Field::Cache);
        let is_kept = match cache.as_deref() {
            Some("bypass" | "uncacheable") => false,
            Some(_) => true,
            // Nobody has judged it yet: what was for one user is for nobody else.
            None => line.value(Field::User).is_none() && line.value(Field::Refusal).is_none(),
        };
        let is_whole = is_heuristic(status);
        if !matches!(&*method, "GET" | "HEAD") || !is_kept || !(is_whole || status == 304) {
            return None;
        }
        let (host, path) = (text(Field::Host).unwrap_or_default(), text(Field::Path)?);
        let (route, query) = (text(Field::Route).unwrap_or_default(), text(Field::Query));
        let (scheme, head) = (text(Field::Scheme).unwrap_or("http".into()), Head::default());
        let whole_url = KeyRule::default();
        let facts = KeyFacts {
            route: &route,
            scheme: &scheme,
            host: &host,
            authority: &host,
            path_sent: &path,
            query: query.as_deref(),
            fields: &head,
        };
        self.key.clear();
        write_key(
            &mut self.key,
            &facts,
            self.rules.get(&*route).unwrap_or(&whole_url),
        );
        Some(Request {
            key: Key {
                primary: primary(&self.key, SEED),
                variance: 0,
            },
            size: (is_whole && method == "GET")
                .then(|| line.whole(Field::BytesSent))
                .flatten(),
        })
    }

    /// A body of that length, which costs no memory of its own: all are slices of one, whose pages nobody has written to.
    fn body(&mut self, size: u64) -> Bytes {
        let size = usize::try_from(size)
            .unwrap_or(usize::MAX)
            .min(isize::MAX as usize / 2);
        if size > self.zeros.len() {
            self.zeros = Bytes::from(vec![0; size.next_power_of_two()]);
        }
        self.zeros.slice(..size)
    }

    /// How each size did, in the order they were given.
    pub fn outcomes(&self) -> Vec<Outcome> {
        let outcome = |tried: &Tried| {
            let status = tried.store.status();
            Outcome {
                memory_bytes: tried.memory_bytes,
                hits: tried.hits,
                hit_bytes: tried.hit_bytes,
                objects: status.objects_memory,
                used_bytes: status.memory_bytes,
                evictions: status.evictions_memory,
            }
        };
        self.stores.iter().map(outcome).collect()
    }
}

impl Tried {
    fn take(&mut self, key: Key, text: &[u8], body: &Bytes, size: u64) {
        if let LookUp::Hit(_) = self.store.look_up(key, |meta| *meta.key_text == *text) {
            self.hits += 1;
            self.hit_bytes += size;
            return;
        }
        // As a gateway does it: what is too large is not even begun.
        if self.store.plan_fill(key, Some(size)).is_err() {
            return;
        }
        let fill = self.store.begin_fill();
        let meta = Meta {
            key_text: text.into(),
            variance: Box::default(),
            vary: Box::default(),
            status: STATUS_OK,
            reason: Box::default(),
            version: Version::Http11,
            fields: Head::default(),
            freshness: Freshness::default(),
            facets: Facets::default(),
            serial: fill.serial(),
        };
        self.store.admit(key, meta, body.clone());
    }
}

fn plan(memory: u64, max_object: Option<u64>) -> Cache {
    Cache {
        name: "simulated".to_owned(),
        memory,
        disk: 0,
        path: None,
        max_object: max_object.unwrap_or(memory),
        min_uses: 1,
    }
}

/// RFC 9110 §15.1: statuses that may be reused without being told so; 206 is none here, as parts are not kept.
fn is_heuristic(status: u64) -> bool {
    matches!(
        status,
        200 | 203 | 204 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501
    )
}
