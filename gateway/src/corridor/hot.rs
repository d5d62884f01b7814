//! cache: the short way. A fresh answer in memory goes out without a wait, an allocation or a lock of ours.
//!
//! It decides by the same functions as the long way and writes the same bytes; whatever it is not made for it leaves to
//! that, untouched. A play asks both ways the same questions and compares.

use std::io::IoSlice;
use std::ops::Range;
use std::sync::Arc;

use super::cached::passes_by;
use super::stored::{shown, write_hit_lines};
use super::worker::Scratch;
use super::{Next, Visit};
use crate::cache::policy::{self, Asked, CacheStatus, Reuse, Selected, vary};
use crate::cache::store::{Hit, LookUp, Store};
use crate::cache::{Body, Key, Meta, Object};
use crate::exchange::{Exchange, Stored};
use crate::observe::CacheResult;
use crate::reply::head::{Announced, Delivery, finish, write_stored};
use crate::wire::Method;

/// Bodies up to here are copied behind their head: one piece costs the system less than two.
const COPIED_BYTES_MAX: usize = 4 * 1024;

/// How far the short way has led.
pub(super) enum Hot {
    /// To the end.
    Done(Next),
    /// The client's connection takes no more for now.
    Rest(Rest),
    /// Nowhere: nothing has happened yet.
    Cold,
}

/// What is still to be sent of an answer.
pub(super) struct Rest {
    head: Vec<u8>,
    object: Arc<Object>,
    body: Range<usize>,
    closes: bool,
}

/// A fresh answer and what of it goes out.
struct Fresh {
    object: Arc<Object>,
    age_secs: u64,
    has_body: bool,
    is_304: bool,
}

impl Visit<'_> {
    /// Answers from memory, if that is all it takes.
    pub(super) fn hot(&mut self) -> Hot {
        let Some(mut scratch) = self.worker.scratch() else {
            return Hot::Cold;
        };
        let Some(fresh) = find(&self.x, &mut scratch) else {
            return Hot::Cold;
        };
        self.send_fresh(fresh, &mut scratch.head)
    }

    fn send_fresh(&mut self, fresh: Fresh, out: &mut Vec<u8>) -> Hot {
        let x = &mut self.x;
        let closes = !x.keeps || self.door.is_closing();
        let status = CacheStatus::hit(policy::ttl_secs(&fresh.object.meta.freshness, x.began.unix_ms()));
        x.cache_result = Some(CacheResult::Hit);
        x.cache_status = Some(status);
        x.status = if fresh.is_304 {
            304
        } else {
            fresh.object.meta.status
        };
        out.clear();
        write_head(out, x, &fresh, status, closes);
        let head_length = out.len();
        let Body::Memory(bytes) = &fresh.object.body else {
            return Hot::Cold;
        };
        let body = if fresh.has_body { &bytes[..] } else { &[] };
        let is_copied = body.len() <= COPIED_BYTES_MAX;
        if is_copied {
            out.extend_from_slice(body);
        }
        let rest = if is_copied { &[] } else { body };
        let written = match rest {
            [] => self.stream.try_write(&[IoSlice::new(out)]),
            rest => self.stream.try_write(&[IoSlice::new(out), IoSlice::new(rest)]),
        };
        x.timings.first_byte = Some(self.worker.mono().since(x.began.mono));
        let Ok(written) = written else {
            // A broken connection breaks again where somebody waits for it.
            return self.leave(fresh, out, head_length, 0, closes);
        };
        if written < head_length + body.len() {
            return self.leave(fresh, out, head_length, written, closes);
        }
        x.bytes_sent = body.len() as u64;
        x.stored = Some(Stored::Object(fresh.object));
        Hot::Done(if closes { Next::Close } else { Next::Keep })
    }

    /// Leaves the rest to somebody who can wait.
    fn leave(&mut self, fresh: Fresh, out: &[u8], head_length: usize, written: usize, closes: bool) -> Hot {
        let body = if fresh.has_body {
            fresh.object.body.length()
        } else {
            0
        };
        let length = usize::try_from(body).unwrap_or(usize::MAX);
        let of_body = written.saturating_sub(head_length);
        self.x.stored = Some(Stored::Object(Arc::clone(&fresh.object)));
        self.x.bytes_sent = of_body as u64;
        Hot::Rest(Rest {
            head: out[written.min(head_length)..head_length].to_vec(),
            object: fresh.object,
            body: of_body..length,
            closes,
        })
    }

    /// Sends what the connection had no room for.
    pub(super) async fn send_rest(&mut self, rest: Rest) -> Next {
        let Body::Memory(bytes) = &rest.object.body else {
            return Next::Abandon;
        };
        let body = &bytes[rest.body];
        let limit = self.x.snapshot.plan.server.limits.body_timeout;
        let mut pieces = [IoSlice::new(&rest.head), IoSlice::new(body)];
        if self.stream.write_all(&mut pieces, limit).await.is_err() {
            self.stream.close_by_reset();
            return Next::Abandon;
        }
        self.x.bytes_sent += body.len() as u64;
        if rest.closes { Next::Close } else { Next::Keep }
    }
}

/// The fresh answer in memory for that request, if it can go out as it is.
fn find(x: &Exchange, scratch: &mut Scratch) -> Option<Fresh> {
    let site = x.site.as_ref()?;
    let (zone, rule) = (site.zone.as_ref()?, site.route.cache.as_ref()?);
    // Which coding a client gets is for the long way to find out.
    if site.route.compression {
        return None;
    }
    if passes_by(x, rule).is_some() {
        return None;
    }
    let store = &*zone.store;
    let (text, variance) = (&mut scratch.key_text, &mut scratch.variance);
    text.clear();
    policy::write_key(text, &super::bring::key_facts(x), &rule.key);
    let key = Key {
        primary: policy::primary(text, store.seed()),
        variance: 0,
    };
    let mut hit = look_up(store, key, text, &[])?;
    if hit.object.meta.status == 0 {
        variance.clear();
        vary::write_variance(variance, &hit.object.meta.vary, &x.request.fields);
        let key = Key {
            variance: vary::variance(variance, store.seed()),
            ..key
        };
        hit = look_up(store, key, text, variance)?;
    }
    select(x, hit)
}

fn look_up(store: &Store, key: Key, text: &[u8], variance: &[u8]) -> Option<Hit> {
    let is_it = |meta: &Meta| *meta.key_text == *text && *meta.variance == *variance;
    match store.look_up(key, is_it) {
        LookUp::Hit(hit) => Some(hit),
        LookUp::OnDisk(_) | LookUp::Nothing => None,
    }
}

fn select(x: &Exchange, hit: Hit) -> Option<Fresh> {
    let object = hit.object;
    let asked = Asked::of(&x.request);
    let freshness = &object.meta.freshness;
    let Reuse::Fresh { age_secs } = policy::reuse(freshness, &asked, hit.is_soft_purged, x.began.unix_ms())
    else {
        return None;
    };
    if object.meta.status == 204 || !matches!(object.body, Body::Memory(_)) {
        return None;
    }
    let is_304 = match policy::select(
        &object.meta,
        object.body.length(),
        &x.request,
        x.began.wall.as_secs(),
    ) {
        Selected::Whole => false,
        Selected::NotModified => true,
        Selected::PreconditionFailed | Selected::Ranges(_) | Selected::Unsatisfiable => return None,
    };
    Some(Fresh {
        has_body: !is_304 && x.request.method != Method::Head,
        is_304,
        age_secs,
        object,
    })
}

fn write_head(out: &mut Vec<u8>, x: &Exchange, fresh: &Fresh, status: CacheStatus, closes: bool) {
    let Some(site) = &x.site else { return };
    let edits = &site.route.response_headers;
    let meta = &fresh.object.meta;
    let delivery = Delivery {
        length: match fresh.is_304 {
            true => Announced::Nothing,
            false => Announced::Length(fresh.object.body.length()),
        },
        closes,
    };
    // What the route takes out or replaces differs from route to route, and one object may be served by several.
    let is_plain = edits.remove.is_empty() && edits.set.is_empty();
    if !fresh.is_304 && is_plain {
        let prepared = fresh.object.prepared.get_or_init(|| {
            let mut head = Vec::with_capacity(512);
            write_stored(&mut head, shown(meta, false), edits);
            head.into_boxed_slice()
        });
        out.extend_from_slice(prepared);
    } else {
        write_stored(out, shown(meta, fresh.is_304), edits);
    }
    write_hit_lines(out, edits, Some(fresh.age_secs), status);
    finish(out, &x.facts(), edits, delivery);
}
