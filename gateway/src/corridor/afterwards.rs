//! cache: what an origin's answer to one request means for what is stored.

use std::sync::Arc;

use super::bring;
use super::worker::Worker;
use crate::cache::policy::{self, Asked, Resource, Times};
use crate::exchange::Exchange;
use crate::kit::clock::Now;
use crate::observe::PurgeKind;
use crate::state::Zone;
use crate::wire::framing;

/// Before the answer goes to the client: whoever has been told of a change finds it.
pub(super) fn told_to_caches(worker: &Worker, x: &Exchange) {
    if policy::invalidate::is_unsafe(x.request.method) {
        // Those of today too: a reload may have begun to keep what this request has changed since.
        let today = worker.pin();
        invalidate(x, &x.snapshot.zones);
        if today.serial != x.snapshot.serial {
            invalidate(x, &today.zones);
        }
    }
    if x.pass_mark.is_some() {
        unmark(x, worker.now());
    }
}

/// RFC 9111 §4.4: what an unsafe request has changed is not to be found any more, in whichever cache it is stored.
fn invalidate(x: &Exchange, zones: &[Arc<Zone>]) {
    if zones.is_empty() {
        return;
    }
    let resource = Resource::of(x.scheme, &x.request);
    let facets = policy::invalidate::facets(&resource, x.request.method, &x.answer);
    if facets.is_empty() {
        return;
    }
    for zone in zones {
        if zone.store.purge(&facets, false).objects > 0 {
            zone.metrics.purged(PurgeKind::Origin);
        }
    }
}

/// A key whose answers were not to be kept, and now one is: the next request is shared again.
fn unmark(x: &Exchange, now: Now) {
    let Some((site, key)) = x.site.as_ref().zip(x.pass_mark) else {
        return;
    };
    let (Some(zone), Some(rule)) = (&site.zone, &site.route.cache) else {
        return;
    };
    let times = Times {
        asked_at: now,
        received_at: now,
    };
    let asked = Asked::of(&x.request);
    let is_storable = bring::judge(x, rule, &asked, times).is_ok_and(|storable| storable.is_kept);
    // What is too large is known to be uncacheable as well. Of a length that nobody knows the mark is kept until it expires.
    let length = framing::content_length(&x.answer.fields).ok().flatten();
    if is_storable && length.is_some_and(|length| zone.store.holds(length)) {
        zone.passes.remove(&key);
    }
}
