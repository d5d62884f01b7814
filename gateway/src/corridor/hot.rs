//! cache: the short way. A fresh answer in memory goes out without a wait, an allocation or a lock of ours.
//!
//! It decides by the same functions as the long way and writes the same bytes; whatever it is not made for it leaves to
//! that, untouched. A play asks both ways the same questions and compares.

use std::fs::File;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::cached::passes_by;
use super::coded::form_in_memory;
use super::stored::{shown, write_hit_lines};
use super::worker::Scratch;
use super::{Next, Visit};
use crate::cache::policy::{self, Asked, CacheStatus, Reuse, Selected, vary};
use crate::cache::store::{Hit, LookUp, Store};
use crate::cache::{Body, Key, Meta, Object};
use crate::exchange::{Exchange, Stored};
use crate::observe::CacheResult;
use crate::reply::head::{Announced, Delivery, finish, write_stored};
use crate::stream::{COPIED_BYTES_MAX, IoFault, within};
use crate::wire::Method;

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
    /// Others get it in another form.
    varies: bool,
}

impl Visit<'_> {
    /// Answers from memory, if that is all it takes.
    pub(super) fn hot(&mut self) -> Hot {
        // Purges go to another process; see `passes_by`.
        if self.door.is_handed_over() {
            return Hot::Cold;
        }
        let Some(mut scratch) = self.worker.scratch() else {
            return Hot::Cold;
        };
        let Some(fresh) = find(&self.x, &mut scratch) else {
            return Hot::Cold;
        };
        self.send_fresh(fresh, &mut scratch.head)
    }

    /// The same where somebody else frames it: `take` is given the head's text and the body, which is empty where none is
    /// sent. None if that is not all it takes; then nothing has happened yet.
    pub(super) fn hot_by<T>(&mut self, take: impl FnOnce(&[u8], Bytes) -> T) -> Option<T> {
        if self.door.is_handed_over() {
            return None;
        }
        let mut scratch = self.worker.scratch()?;
        let fresh = find(&self.x, &mut scratch)?;
        let Body::Memory(bytes) = &fresh.object.body else {
            return None;
        };
        let body = if fresh.has_body {
            bytes.clone()
        } else {
            Bytes::new()
        };
        self.compose(&fresh, &mut scratch.head);
        let x = &mut self.x;
        x.timings.first_byte = Some(self.worker.mono().since(x.began.mono));
        x.bytes_sent = body.len() as u64;
        x.stored = Some(Stored::Object(fresh.object));
        Some(take(&scratch.head, body))
    }

    /// Writes the head, and into the diary what is answered. Whether the connection ends with it.
    fn compose(&mut self, fresh: &Fresh, out: &mut Vec<u8>) -> bool {
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
        write_head(out, x, fresh, status, closes);
        closes
    }

    fn send_fresh(&mut self, fresh: Fresh, out: &mut Vec<u8>) -> Hot {
        let Body::Memory(bytes) = &fresh.object.body else {
            return Hot::Cold;
        };
        let closes = self.compose(&fresh, out);
        let x = &mut self.x;
        let head_length = out.len();
        let body = if fresh.has_body { &bytes[..] } else { &[] };
        let is_copied = body.len() <= COPIED_BYTES_MAX;
        if is_copied {
            out.extend_from_slice(body);
        }
        let store = x
            .site
            .as_ref()
            .and_then(|site| site.zone.as_ref())
            .map(|zone| &zone.store);
        let staged = store
            .filter(|_| !is_copied)
            .and_then(|store| store.staged(&fresh.object));
        let written = match staged {
            Some(staged) => self.send_staged(out, &staged.file, body.len()),
            None if is_copied => self.stream.try_write(&[IoSlice::new(out)]),
            None => self.stream.try_write(&[IoSlice::new(out), IoSlice::new(body)]),
        };
        let x = &mut self.x;
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

    /// Writes a head, and hands the body over without a copy. How many bytes the connection has taken.
    fn send_staged(&self, head: &[u8], file: &File, length: usize) -> io::Result<usize> {
        let mut written = self.stream.try_write(&[IoSlice::new(head)])?;
        while (head.len()..head.len() + length).contains(&written) {
            let at = written - head.len();
            match self.stream.try_send_file(file, at as u64, length - at) {
                Ok(n) if n > 0 => written += n,
                Ok(_) | Err(_) => break,
            }
        }
        Ok(written)
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
        let limit = self.x.snapshot.plan.server.limits.body_timeout;
        match self.write_rest(&rest, limit).await {
            Ok(()) if rest.closes => Next::Close,
            Ok(()) => Next::Keep,
            Err(fault) => {
                self.x.cut_off(&fault);
                self.stream.close_by_reset();
                Next::Abandon
            }
        }
    }

    async fn write_rest(&mut self, rest: &Rest, limit: Duration) -> Result<(), IoFault> {
        let Body::Memory(bytes) = &rest.object.body else {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        };
        let Some(staged) = rest.object.staged.get() else {
            let body = &bytes[rest.body.clone()];
            let mut pieces = [IoSlice::new(&rest.head), IoSlice::new(body)];
            self.stream.write_all(&mut pieces, limit).await?;
            self.x.bytes_sent += body.len() as u64;
            return Ok(());
        };
        self.stream
            .write_all(&mut [IoSlice::new(&rest.head)], limit)
            .await?;
        let mut at = rest.body.start;
        while at < rest.body.end {
            let send = self.stream.send_file(&staged.file, at as u64, rest.body.end - at);
            let taken = within(limit, send).await?;
            if taken == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            at += taken;
            self.x.bytes_sent += taken as u64;
        }
        Ok(())
    }
}

/// The fresh answer in memory for that request, if it can go out as it is.
fn find(x: &Exchange, scratch: &mut Scratch) -> Option<Fresh> {
    let site = x.site.as_ref()?;
    let (zone, rule) = (site.zone.as_ref()?, site.route.cache.as_ref()?);
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
    let (object, varies) = match site.compresses {
        true => form_in_memory(x, zone, &hit.object)?,
        false => (hit.object, false),
    };
    select(x, object, hit.is_soft_purged, varies)
}

fn look_up(store: &Store, key: Key, text: &[u8], variance: &[u8]) -> Option<Hit> {
    let is_it = |meta: &Meta| *meta.key_text == *text && *meta.variance == *variance;
    match store.look_up(key, is_it) {
        LookUp::Hit(hit) => Some(hit),
        LookUp::OnDisk(_) | LookUp::Nothing => None,
    }
}

fn select(x: &Exchange, object: Arc<Object>, is_soft_purged: bool, varies: bool) -> Option<Fresh> {
    let asked = Asked::of(&x.request);
    let freshness = &object.meta.freshness;
    let Reuse::Fresh { age_secs } = policy::reuse(freshness, &asked, is_soft_purged, x.began.unix_ms())
    else {
        return None;
    };
    if object.meta.status == 204 {
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
        varies,
        object,
    })
}

fn write_head(out: &mut Vec<u8>, x: &Exchange, fresh: &Fresh, status: CacheStatus, closes: bool) {
    let Some(site) = &x.site else { return };
    let edits = &site.response_headers;
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
    if fresh.varies {
        out.extend_from_slice(b"Vary: Accept-Encoding\r\n");
    }
    finish(out, &x.facts(), edits, delivery);
}
