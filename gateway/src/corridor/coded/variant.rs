//! cache: coded forms of stored answers, each made once and kept beside the plain one.
//!
//! ```text
//! plain object ─► which coding? ─► look up its form ─┬─ there, and made from this very object ─► serve it
//!                                                    ├─ there, and the mark "no gain" ─────────► serve the plain one
//!                                                    └─ not there ─► serve the plain one, make the form behind
//! ```
//!
//! A form is an object of the same store: the same key text and facets, so that whatever purges the plain one purges
//! it too, and a variance that no request has. That text ends with the identity of what it was made from. A plain object
//! that was fetched or validated anew has another identity, so an old form never goes with it; if only its head is new,
//! the old form gets the new head and keeps its bytes.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_128;

use super::super::Visit;
use super::super::stored::{Chosen, Source};
use super::super::worker::Worker;
use crate::cache::disk::encode_meta;
use crate::cache::flight::{Began, Joined};
use crate::cache::policy::vary;
use crate::cache::store::{Loaded, Look, LookUp, Store};
use crate::cache::{Body, Key, Meta, Object};
use crate::compress::{self, Candidate, WHOLE_BYTES_MAX, compress_whole};
use crate::config::plan::Coding;
use crate::exchange::Exchange;
use crate::relay::fetch::off_thread;
use crate::snapshot::Snapshot;
use crate::state::Zone;
use crate::wire::{Fields, Method, Name, Version};

/// Stands before a coding and an identity in a variance: a control byte, which no name and no value of a field has, nor
/// what separates them in the variance of a request.
const MARK: u8 = 0x02;

/// How long a form that could not be stored is not tried again: it was work for nothing.
const REST: Duration = Duration::from_secs(60);

/// Judged, in [`Notes::judged`](crate::cache::object::Notes): the snapshot's serial, then these.
const IS_FIT: u64 = 1;
const SAYS_VARY: u64 = 2;
const FLAGS: u32 = 2;

/// Bytes of an identity: a hash of the head, and one of the body.
const IDENTITY_BYTES: usize = 32;

/// Which form of which object.
#[derive(Clone)]
pub(in crate::corridor) struct Form {
    plain: Arc<Object>,
    coding: Coding,
    key: Key,
}

impl Visit<'_> {
    /// A stored answer in the form that this client gets.
    pub(in crate::corridor) async fn in_form(&self, chosen: Chosen) -> Chosen {
        let (chosen, missing) = form_for(&self.x, chosen, Look::Use).await;
        let zone = self.x.site.as_ref().and_then(|site| site.zone.as_ref());
        if let (Some(form), Some(zone)) = (missing, zone) {
            form.make_behind(self.worker, zone);
        }
        chosen
    }
}

/// A stored answer in the form that this request gets, and the form that should be there and is not.
pub(in crate::corridor) async fn form_for(
    x: &Exchange,
    mut chosen: Chosen,
    look: Look,
) -> (Chosen, Option<Form>) {
    let Some(site) = x.site.as_ref().filter(|site| site.compresses) else {
        return (chosen, None);
    };
    let flags = match &chosen.source {
        Source::Object(object) => judged(object, &x.snapshot),
        Source::Fill(_) => judge(chosen.meta(), chosen.size(), &x.snapshot),
    };
    if flags & IS_FIT == 0 {
        return (chosen, None);
    }
    chosen.varies = flags & SAYS_VARY == 0;
    let (Source::Object(plain), Some(zone)) = (&chosen.source, &site.zone) else {
        return (chosen, None);
    };
    let plain = Arc::clone(plain);
    let mut missing = None;
    if let Some(coding) = wanted(x) {
        let form = Form::of(&plain, coding, &zone.store);
        match form.find(&zone.store, look).await {
            Some(found) if found.meta.status != 0 => {
                chosen.varies = false;
                chosen.source = Source::Object(found);
                return (chosen, None);
            }
            Some(_) => {}
            None => missing = Some(form),
        }
    }
    if let Some(mended) = mended(&plain, &x.request.fields) {
        chosen.varies = false;
        chosen.source = Source::Object(mended);
    }
    (chosen, missing)
}

/// The same without a wait: a stored answer in this client's form, and whether its head has to say that others get another.
/// None where that takes longer to find out.
pub(in crate::corridor) fn form_in_memory(
    x: &Exchange,
    zone: &Zone,
    plain: &Arc<Object>,
) -> Option<(Arc<Object>, bool)> {
    let flags = judged(plain, &x.snapshot);
    if flags & IS_FIT == 0 {
        return Some((Arc::clone(plain), false));
    }
    let as_it_is = Some((Arc::clone(plain), flags & SAYS_VARY == 0));
    let Some(coding) = wanted(x) else {
        let may_be_mended = x.request.fields.first(Name::IfNoneMatch).is_some();
        return as_it_is.filter(|_| !may_be_mended);
    };
    let identity = identity(plain)?;
    let form = Form::of(plain, coding, &zone.store);
    match zone.store.look_up(form.key, |meta| form.is_of(meta, &identity)) {
        LookUp::Hit(hit) if hit.object.meta.status != 0 => Some((hit.object, false)),
        LookUp::Hit(_) if x.request.fields.first(Name::IfNoneMatch).is_none() => as_it_is,
        LookUp::Hit(_) | LookUp::OnDisk(_) | LookUp::Nothing => None,
    }
}

/// The coding a request gets a whole stored answer in. Ranges are of the plain form, and so are strong tags.
fn wanted(x: &Exchange) -> Option<Coding> {
    let fields = &x.request.fields;
    let is_about_plain = x.request.version == Version::Http10
        || fields.first(Name::Range).is_some()
        || fields.first(Name::IfMatch).is_some();
    if is_about_plain {
        return None;
    }
    compress::wants(fields, &x.snapshot.plan.compression)
}

/// The flags of an object. Looked at once for each configuration, not by each hit.
fn judged(object: &Object, snapshot: &Snapshot) -> u64 {
    let known = object.notes.judged.load(Ordering::Relaxed);
    if known >> FLAGS == snapshot.serial {
        return known;
    }
    let flags = judge(&object.meta, Some(object.body.length()), snapshot);
    let known = snapshot.serial << FLAGS | flags;
    object.notes.judged.store(known, Ordering::Relaxed);
    known
}

fn judge(meta: &Meta, length: Option<u64>, snapshot: &Snapshot) -> u64 {
    let candidate = Candidate {
        method: Method::Get,
        status: meta.status,
        fields: &meta.fields,
        length,
    };
    let is_fit = length.is_none_or(|length| length <= WHOLE_BYTES_MAX as u64)
        && candidate.is_compressible(&snapshot.plan.compression);
    let mut names = meta.fields.tokens(Name::Vary);
    let says_vary = names.any(|name| name == b"*" || name.eq_ignore_ascii_case(b"accept-encoding"));
    let flag = |is_so: bool, flag: u64| if is_so { flag } else { 0 };
    flag(is_fit, IS_FIT) | flag(says_vary, SAYS_VARY)
}

/// The plain object as a client is told of it that asks by the weak tag of a coded form, while there is none.
fn mended(plain: &Arc<Object>, request: &Fields) -> Option<Arc<Object>> {
    request.first(Name::IfNoneMatch)?;
    let mut fields = plain.meta.fields.clone();
    compress::not_modified(&mut fields, request);
    if fields.first(Name::Etag) == plain.meta.fields.first(Name::Etag) {
        return None;
    }
    let meta = Meta {
        fields,
        ..plain.meta.clone()
    };
    Some(Arc::new(Object::new(plain.key, meta, plain.body.clone())))
}

/// What tells an object from any other: its head, and its bytes. None if nobody has looked at the bytes yet, which is not
/// for a worker's thread.
fn identity(object: &Object) -> Option<[u8; IDENTITY_BYTES]> {
    match &object.body {
        Body::Memory(_) => object.notes.identity.get().copied(),
        Body::File(file) => {
            // No two files of a folder have the same generation.
            let place = file.location();
            let text = [place.generation.to_le_bytes(), place.body_length.to_le_bytes()].concat();
            identity_of(&object.meta, xxh3_128(&text))
        }
    }
}

fn identity_of(meta: &Meta, body: u128) -> Option<[u8; IDENTITY_BYTES]> {
    let mut identity = [0; IDENTITY_BYTES];
    let head = xxh3_128(&encode_meta(meta)?);
    identity[..16].copy_from_slice(&head.to_le_bytes());
    identity[16..].copy_from_slice(&body.to_le_bytes());
    Some(identity)
}

impl Form {
    fn of(plain: &Arc<Object>, coding: Coding, store: &Store) -> Self {
        let key = Key {
            variance: variance_hash(&plain.meta.variance, coding, store.seed()),
            ..plain.key
        };
        Self {
            plain: Arc::clone(plain),
            coding,
            key,
        }
    }

    /// The variance of the form of an object with this identity.
    fn variance(&self, identity: &[u8; IDENTITY_BYTES]) -> Box<[u8]> {
        let coding = self.coding.name().as_bytes();
        [&*self.plain.meta.variance, &[MARK], coding, &[MARK], identity]
            .concat()
            .into()
    }

    /// Whether an object is this form, made from an object whose identity has this end.
    fn is_of(&self, meta: &Meta, identity: &[u8]) -> bool {
        let coding = self.coding.name().as_bytes();
        let rest = || {
            let rest = meta.variance.strip_prefix(&*self.plain.meta.variance)?;
            let rest = rest.strip_prefix(&[MARK])?.strip_prefix(coding)?;
            rest.strip_prefix(&[MARK])
        };
        meta.key_text == self.plain.meta.key_text
            && rest().is_some_and(|rest| rest.len() == IDENTITY_BYTES && rest.ends_with(identity))
    }

    /// The form that was made from this very object, or the mark that there is no gain in one.
    async fn find(&self, store: &Arc<Store>, look: Look) -> Option<Arc<Object>> {
        let identity = identity(&self.plain)?;
        let is_it = |meta: &Meta| self.is_of(meta, &identity);
        let ticket = match store.look(self.key, look, is_it) {
            LookUp::Hit(hit) => return Some(hit.object),
            LookUp::Nothing => return None,
            LookUp::OnDisk(ticket) => ticket,
        };
        let loaded = match store.load(&ticket, false, is_it) {
            Loaded::WouldWait => {
                let (store, form) = (Arc::clone(store), self.clone());
                off_thread(move || store.load(&ticket, true, |meta| form.is_of(meta, &identity)))
                    .await
                    .ok()?
            }
            loaded => loaded,
        };
        match loaded {
            Loaded::Hit(hit) => Some(hit.object),
            Loaded::Nothing | Loaded::WouldWait => None,
        }
    }

    /// Makes the form without anybody waiting for it: one at a time on behalf of each worker, and each form once.
    fn make_behind(self, worker: &Rc<Worker>, zone: &Arc<Zone>) {
        if worker.is_coding.get() || zone.passes.contains(&self.key, worker.mono()) {
            return;
        }
        let began = || Began {
            serial: zone.store.serial(),
            facets: self.plain.meta.facets.clone(),
        };
        let Joined::Lead(leader) = zone.flights.join(self.key, began, |_| false) else {
            return;
        };
        let turn = Turn::take(worker);
        let (zone, worker) = (Arc::clone(zone), Rc::clone(worker));
        worker.clone().run_errand(async move {
            let _turn = turn;
            let (store, key) = (Arc::clone(&zone.store), self.key);
            let made = off_thread(move || self.make(&store)).await;
            if !matches!(made, Ok(Some(()))) {
                zone.passes.insert(key, worker.mono().plus(REST));
            }
            leader.look_again();
        });
    }

    /// Makes the form, or gives an older one of the same bytes the new head. None if nothing of it is stored.
    fn make(&self, store: &Arc<Store>) -> Option<()> {
        // Held until the form is stored: a purge from here on reaches it.
        let mark = store.begin_fill();
        let body = self.body()?;
        let identity = self.identity(&body)?;
        if !self.is_current(store, &identity) {
            return Some(());
        }
        let meta = |status| self.meta(status, &identity, mark.serial());
        if let Some(old) = look_up(store, self.key, |meta| self.is_of(meta, &identity[16..])) {
            if !self.is_of(&old.meta, &identity) {
                let status = if old.meta.status == 0 {
                    0
                } else {
                    self.plain.meta.status
                };
                store.freshen(&old, meta(status));
            }
            return Some(());
        }
        match compress_whole(&body, self.coding) {
            Some(coded) => admit(store, self.key, meta(self.plain.meta.status), coded.into()),
            None => admit(store, self.key, meta(0), Bytes::new()),
        }
    }

    /// All of the plain body.
    fn body(&self) -> Option<Bytes> {
        let file = match &self.plain.body {
            Body::Memory(bytes) => return Some(bytes.clone()),
            Body::File(file) => file,
        };
        let length = usize::try_from(self.plain.body.length()).ok()?;
        let mut body = Vec::with_capacity(length);
        let mut index = 0;
        while body.len() < length {
            let block = file.read_block(index, true).ok()??;
            if block.is_empty() {
                return None;
            }
            body.extend_from_slice(&block);
            index += 1;
        }
        Some(body.into())
    }

    fn identity(&self, body: &Bytes) -> Option<[u8; IDENTITY_BYTES]> {
        if let Some(known) = identity(&self.plain) {
            return Some(known);
        }
        let found = identity_of(&self.plain.meta, xxh3_128(body))?;
        Some(*self.plain.notes.identity.get_or_init(|| found))
    }

    /// Whether the plain object is still what its key leads to.
    ///
    /// Asked after the fill has begun: no purge up to the fill's serial has reached the object, so the form may have that
    /// serial. With the object's own it would be taken for older than what purges have been forgotten.
    fn is_current(&self, store: &Store, identity_now: &[u8; IDENTITY_BYTES]) -> bool {
        let plain = &self.plain.meta;
        let is_it = |meta: &Meta| meta.key_text == plain.key_text && meta.variance == plain.variance;
        look_up(store, self.plain.key, is_it).is_some_and(|found| {
            Arc::ptr_eq(&found, &self.plain) || identity(&found).as_ref() == Some(identity_now)
        })
    }

    /// The head of the form; `status` 0 for the mark that there is no gain in it.
    fn meta(&self, status: u16, identity: &[u8; IDENTITY_BYTES], serial: u64) -> Meta {
        let mut meta = Meta {
            variance: self.variance(identity),
            status,
            serial,
            ..self.plain.meta.clone()
        };
        match status {
            0 => meta.fields.clear(),
            _ => compress::edit(&mut meta.fields, self.coding),
        }
        meta
    }
}

/// The hash of a form's variance without the identity, so that a newer form takes the place of an older one.
fn variance_hash(plain: &[u8], coding: Coding, seed: u64) -> u128 {
    // Asked by each hit; most variances are empty or short.
    let mut short = [0; 128];
    let coding = coding.name().as_bytes();
    let length = plain.len() + 1 + coding.len();
    let Some(text) = short.get_mut(..length) else {
        return vary::variance(&[plain, &[MARK], coding].concat(), seed);
    };
    text[..plain.len()].copy_from_slice(plain);
    text[plain.len()] = MARK;
    text[plain.len() + 1..].copy_from_slice(coding);
    vary::variance(text, seed)
}

/// A worker's only turn at having a form made.
struct Turn(Rc<Worker>);

impl Turn {
    fn take(worker: &Rc<Worker>) -> Self {
        worker.is_coding.set(true);
        Self(Rc::clone(worker))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.is_coding.set(false);
    }
}

/// What there is of a key. Waits for the disk.
fn look_up(store: &Store, key: Key, is_it: impl Fn(&Meta) -> bool) -> Option<Arc<Object>> {
    let ticket = match store.look_up(key, &is_it) {
        LookUp::Hit(hit) => return Some(hit.object),
        LookUp::Nothing => return None,
        LookUp::OnDisk(ticket) => ticket,
    };
    match store.load(&ticket, true, &is_it) {
        Loaded::Hit(hit) => Some(hit.object),
        Loaded::Nothing | Loaded::WouldWait => None,
    }
}

/// Stores a form, in memory or on disk as its length says. Waits for the disk.
fn admit(store: &Arc<Store>, key: Key, meta: Meta, body: Bytes) -> Option<()> {
    let length = body.len() as u64;
    let plan = store.plan_fill(key, Some(length)).ok()?;
    if length <= plan.memory_bytes_max {
        return store.admit(key, meta, body).map(drop);
    }
    let draft = store.draft().filter(|_| plan.may_spill)?;
    draft.append(&body).ok()?;
    store.admit_draft(key, meta, &draft).map(drop)
}

#[cfg(test)]
mod tests;
