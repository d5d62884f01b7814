//! Our store as a storage of pingora-cache: for a proxy built on Pingora's own walk that wants its answers in our tiers.
//!
//! The gateway's own walk does not come through here: pingora-cache decides about freshness in ways that RFC 9111 does not
//! allow, so the gateway has a state machine of its own. Use this where such a proxy, with its own rules for what may be
//! kept and under which key, needs a place that is bounded in memory, survives a restart, and can be purged.
//!
//! `record` turns Pingora's keys and metas into ours and back, `miss` takes a body in, `listed` finds it on its way, `hit`
//! gives one out.
//!
//! ```text
//!  lookup ───────────► fills in flight ──► store          (a body that is on its way is followed, as MemCache does)
//!  get_miss_handler ─► fill ──► followers, store           (finished: admitted; dropped: whoever follows gets an error)
//!  purge, expire ────► a facet of the entry's own          (journalled, and it reaches fills in flight too)
//! ```

mod hit;
mod listed;
mod miss;
mod record;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use ::pingora::cache::key::CompactCacheKey;
use ::pingora::cache::storage::{HitHandler, MissHandler, PurgeOutcome, PurgeTarget, PurgeType, Storage};
use ::pingora::cache::trace::SpanHandle;
use ::pingora::cache::{CacheKey, CacheMeta};
use ::pingora::{Error, ErrorType, Result};
use async_trait::async_trait;

use self::hit::Reading;
use self::listed::InFlight;
use self::miss::Intake;
use self::record::Slot;
use super::fill::{Budget, Follower};
use super::store::{FillMark, Hit, Loaded, LookUp, Store};
use super::{Key, Meta, Object};
use crate::kit::clock::Clock;

/// The least that bodies on their way may hold in memory: a cache with little memory and much disk has many of them too.
const FILLING_BYTES_MIN: u64 = 64 << 20;

/// A store as Pingora's caches see it. One per zone, made once and leaked, because Pingora holds storages for ever:
///
/// ```text
/// let storage: &'static PingoraStorage = Box::leak(Box::new(PingoraStorage::new(store)));
/// session.cache.enable(storage, None, None, None, None);
/// ```
///
/// Being leaked, it does not end with its proxy: what waits to be written to disk when the process ends is fetched again.
///
/// The store evicts by itself, by weight: an eviction manager of Pingora's is not needed. Reload its limits with
/// [`Store::resize`]. Do not share the store with a route of the gateway: neither would ever find what the other keeps.
///
/// Keys with different user tags are different entries. Two primary texts that are given the same hash, by accident or by
/// `set_primary_bin_override`, are never taken for each other: one replaces the other.
pub struct PingoraStorage {
    store: Arc<Store>,
    clock: Clock,
    fills: Arc<InFlight>,
    budget: Arc<Budget>,
    /// Bytes that wait for slow followers of bodies that are not kept, of all of them.
    lag: Arc<AtomicUsize>,
}

/// When the origin was asked, for purges: one that comes later reaches what it answers.
///
/// Put [`PingoraStorage::asked`] into the key's extensions before the request goes out. Without it a purge that comes
/// before the answer's head does not reach the answer.
#[derive(Clone)]
pub struct Asked(Arc<FillMark>);

/// Which body a meta was read with.
#[derive(Clone, Copy)]
struct Found {
    id: u64,
    generation: u64,
}

impl Found {
    fn of(object: &Object) -> Self {
        Self {
            id: object.mark.id,
            generation: object.mark.generation,
        }
    }

    /// An object that is read from its file again has a new number and the same file.
    fn is(self, object: &Object) -> bool {
        let Self { id, generation } = Self::of(object);
        self.id == id || self.generation != 0 && self.generation == generation
    }
}

/// The URL an answer is for: it can then be purged by URL, prefix and host too. To be put into the key's extensions wherever
/// the key is made, because a validation looks for it again. An answer for what is no URL is not kept.
///
/// Tags are read from the answer's Cache-Tag, Surrogate-Key and Cache-Groups in any case.
#[derive(Clone, Debug)]
pub struct AskedUrl(pub String);

impl PingoraStorage {
    /// A storage whose answers are kept in `store`.
    pub fn new(store: Arc<Store>) -> Self {
        let filling = store.status().memory_limit.max(FILLING_BYTES_MIN);
        Self {
            store,
            clock: Clock::system(),
            fills: Arc::default(),
            budget: Arc::new(Budget::new(usize::try_from(filling).unwrap_or(usize::MAX))),
            lag: Arc::default(),
        }
    }

    /// The store behind it, for purges by facet and for its limits.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// For the extensions of a key, before its origin is asked.
    pub fn asked(&self) -> Asked {
        Asked(Arc::new(self.store.begin_fill()))
    }

    /// What is stored; waits for the disk on a thread for that.
    async fn find(&self, key: Key, is_it: impl Fn(&Meta) -> bool + Send + 'static) -> Result<Option<Hit>> {
        let ticket = match self.store.look_up(key, &is_it) {
            LookUp::Hit(hit) => return Ok(Some(hit)),
            LookUp::Nothing => return Ok(None),
            LookUp::OnDisk(ticket) => ticket,
        };
        let loaded = match self.store.load(&ticket, false, &is_it) {
            Loaded::WouldWait => {
                let store = Arc::clone(&self.store);
                off_thread(move || store.load(&ticket, true, is_it)).await?
            }
            loaded => loaded,
        };
        Ok(match loaded {
            Loaded::Hit(hit) => Some(hit),
            Loaded::Nothing | Loaded::WouldWait => None,
        })
    }

    /// A hit as Pingora takes it; None if its meta is not one that this process can read: it is fetched again.
    fn hand_out(&self, hit: &Hit) -> Option<(CacheMeta, HitHandler)> {
        let Some(mut meta) = record::cache_meta(&hit.object.meta) else {
            self.store.remove_if(&hit.object);
            return None;
        };
        if hit.is_soft_purged {
            // Reached by a purge whose instant is not noted with it. The windows for stale answers are measured from the last
            // moment it was known to be good: rather too short than held open for ever.
            let updated = meta.updated();
            meta.expire_at(updated);
        }
        // Pingora hands extensions on to the meta of a validation: which body was validated, and when the origin was asked.
        meta.extensions_mut().insert(Found::of(&hit.object));
        if !meta.is_fresh(self.clock.now().system_time()) {
            meta.extensions_mut().insert(self.asked());
        }
        let reading = Reading::object(Arc::clone(&hit.object), Arc::clone(&self.store));
        Some((meta, Box::new(reading)))
    }

    fn follow(follower: Follower) -> Option<(CacheMeta, HitHandler)> {
        let meta = record::cache_meta(&follower.fill().meta)?;
        Some((meta, Box::new(Reading::fill(follower))))
    }

    /// What is stored of a target, of which no text is known.
    async fn find_target(&self, key: &CompactCacheKey) -> Result<Option<Hit>> {
        let (place, facet) = record::place_of(key);
        self.find(place, move |meta| meta.facets.0.contains(&facet)).await
    }
}

#[async_trait]
impl Storage for PingoraStorage {
    async fn lookup(
        &'static self,
        key: &CacheKey,
        _trace: &SpanHandle,
    ) -> Result<Option<(CacheMeta, HitHandler)>> {
        let slot = Slot::of(key);
        // Fills first: one leaves their list only after it is in the store.
        if let Some(follower) = self.fills.newest(&slot, &self.store) {
            return Ok(Self::follow(follower));
        }
        let found = self.find(slot.key, move |meta| slot.is(meta)).await?;
        Ok(found.and_then(|hit| self.hand_out(&hit)))
    }

    async fn lookup_streaming_write(
        &'static self,
        key: &CacheKey,
        streaming_write_tag: Option<&[u8]>,
        trace: &SpanHandle,
    ) -> Result<Option<(CacheMeta, HitHandler)>> {
        let Some(tag) = streaming_write_tag else {
            return self.lookup(key, trace).await;
        };
        let follower = self.fills.tagged(&Slot::of(key), tag);
        Ok(follower.and_then(Self::follow))
    }

    /// Fails if the answer is known to be too large, or too large for memory and asked for too seldom: Pingora then passes it
    /// on without the cache.
    async fn get_miss_handler(
        &'static self,
        key: &CacheKey,
        meta: &CacheMeta,
        _trace: &SpanHandle,
    ) -> Result<MissHandler> {
        let asked = key.extensions.get::<Asked>().cloned();
        let asked = asked.unwrap_or_else(|| self.asked());
        Ok(Box::new(Intake::begin(self, key, meta, asked)?))
    }

    async fn purge(
        &'static self,
        target: PurgeTarget<'_>,
        purge_type: PurgeType,
        _trace: &SpanHandle,
    ) -> Result<PurgeOutcome> {
        if is_foreign(target) {
            return Ok(PurgeOutcome::NotFound);
        }
        let (key, facet) = record::place_of(target.key());
        let reached = match purge_type {
            PurgeType::Eviction => 0,
            // What is removed only might come back after a crash; what is purged does not, nor does a fill bring it back.
            PurgeType::Invalidation => self.purge_facet(facet, false),
        };
        match self.store.remove(key) || reached > 0 {
            true => Ok(PurgeOutcome::Purged(None)),
            false => Ok(PurgeOutcome::NotFound),
        }
    }

    /// Noted twice: as a soft purge, which holds after a restart and for whatever comes of fills in flight, and in the
    /// entry's meta, where the instant is kept from which its windows for stale answers are measured.
    async fn expire(&'static self, target: PurgeTarget<'_>, _trace: &SpanHandle) -> Result<PurgeOutcome> {
        if is_foreign(target) {
            return Ok(PurgeOutcome::NotFound);
        }
        let (_, facet) = record::place_of(target.key());
        self.purge_facet(facet, true);
        let asked = self.asked();
        let Some(hit) = self.find_target(target.key()).await? else {
            return Ok(PurgeOutcome::NotFound);
        };
        if let Some(mut meta) = record::cache_meta(&hit.object.meta) {
            meta.expire_at(self.clock.now().system_time());
            let renewed = record::renewed(&hit.object.meta, &meta, asked.0.serial())?;
            self.store.freshen(&hit.object, renewed);
        }
        Ok(PurgeOutcome::Expired)
    }

    async fn update_meta(
        &'static self,
        key: &CacheKey,
        meta: &CacheMeta,
        _trace: &SpanHandle,
    ) -> Result<bool> {
        let slot = Slot::of(key);
        let place = slot.key;
        let known = slot.clone();
        let Some(hit) = self.find(place, move |meta| known.is(meta)).await? else {
            return Ok(false);
        };
        let found = meta.extensions().get::<Found>();
        if found.is_some_and(|found| !found.is(&hit.object)) {
            // Another fill came first: what was validated is not what is stored now.
            return Ok(false);
        }
        let asked = meta.extensions().get::<Asked>();
        let asked = asked.or_else(|| key.extensions.get()).cloned();
        let asked = asked.unwrap_or_else(|| self.asked());
        let fresh = slot.meta(key, meta, asked.0.serial())?;
        self.store.freshen(&hit.object, fresh);
        Ok(true)
    }

    fn support_streaming_partial_write(&self) -> bool {
        true
    }

    fn as_any(&self) -> &(dyn Any + Send + Sync + 'static) {
        self
    }
}

impl PingoraStorage {
    /// How many objects it reached.
    fn purge_facet(&self, facet: u64, is_soft: bool) -> u64 {
        let purged = self.store.purge(&[facet], is_soft);
        if let Some(fault) = purged.fault {
            log::warn!("a purge would be lost with the process: {fault}");
        }
        purged.objects
    }
}

/// Entries have no numbers of ours: a target that names one is not here.
fn is_foreign(target: PurgeTarget<'_>) -> bool {
    match target {
        PurgeTarget::Active(_) => false,
        PurgeTarget::Exact(entry) => entry.entry_id().is_some(),
    }
}

/// Runs work that may wait for a disk, away from the thread that serves. Fails only with the runtime, or by a panic.
async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| fault(format!("the disk's thread has ended: {error}")))
}

fn fault(text: impl Into<String>) -> Box<Error> {
    Error::explain(ErrorType::InternalError, text.into())
}
