//! cache: what an origin's answer makes of what is stored.

use std::sync::Arc;

use super::judge::{is_about_asking, is_for_one, is_known};
use super::{Asking, Brought};
use crate::balance::Lease;
use crate::cache::flight::Leader;
use crate::cache::policy::{self, AnswerControl, Freshened, Resource, Revalidation, Times, Unstorable};
use crate::cache::store::{FillMark, Hit};
use crate::cache::Object;
use crate::corridor::attempt::TryFault;
use crate::corridor::deliver;
use crate::exchange::Exchange;
use crate::relay::Origin;
use crate::reply::Refusal;

/// An answer that may not be kept replaces what was, and its key is remembered, so that nobody queues for it again.
pub(super) fn forget(x: &Exchange, asking: &Asking<'_, '_>, reason: Unstorable, status: u16) {
    // A failing origin says nothing of what it would say otherwise.
    if status >= 500 {
        return;
    }
    let zone = &asking.question.zone;
    if let Some(hit) = asking.found.filter(|_| !is_about_asking(status)) {
        zone.store.remove_if(&hit.object);
    }
    // Where everybody has to say who it is, all requests are alike in that.
    if is_known(x) || !reason.is_about_request() {
        asking.question.remember_uncacheable(asking.worker.mono());
    }
}

/// The origin says that what is stored holds (RFC 9111 §4.3.4).
pub(super) fn confirm(
    x: &Exchange,
    asking: &Asking<'_, '_>,
    leader: Leader<Refusal>,
    mark: &FillMark,
    times: Times,
    (origin, lease): (Origin, Lease),
) -> Brought {
    if asking.upload.is_sent() && origin.is_drained() && x.answer.allows_keep_alive() {
        deliver::park(asking.worker, asking.service, &lease, origin);
    }
    // Where there is no validator the origin was not asked whether anything holds, whatever it says.
    let has_conditions = |hit: &&Hit| !policy::conditions(&hit.object.meta).is_empty();
    let Some(hit) = asking.found.filter(has_conditions) else {
        leader.fail(Refusal::InvalidAnswer);
        return Brought::Failed(TryFault::of_answer());
    };
    let old = &hit.object;
    let store = &asking.question.zone.store;
    let freshened = policy::freshen(
        &old.meta,
        &x.answer,
        &Revalidation {
            request: &x.request,
            resource: &Resource::of(x.scheme, &x.request),
            rule: asking.rule,
            asked: &asking.question.asked,
            times,
            serial: mark.serial(),
        },
    );
    let freshened = match freshened {
        // It was for all, and the origin says so no more.
        Freshened::Updated(meta) if is_for_one(x, &AnswerControl::of(&meta.fields)) => Freshened::Once {
            meta,
            why: Unstorable::Authorization,
        },
        as_it_is => as_it_is,
    };
    match freshened {
        // What it varies by is part of its key: under another one it is to be fetched anew.
        Freshened::Updated(meta) if meta.vary == old.meta.vary && meta.variance == old.meta.variance => {
            let object = store.freshen(old, *meta);
            leader.look_again();
            Brought::Confirmed(object)
        }
        Freshened::Updated(meta) => {
            store.remove_if(old);
            leader.look_again();
            Brought::Confirmed(Arc::new(Object::new(old.key, *meta, old.body.clone())))
        }
        Freshened::Once { meta, why } => {
            forget(x, asking, why, old.meta.status);
            leader.pass();
            Brought::Confirmed(Arc::new(Object::new(old.key, *meta, old.body.clone())))
        }
        Freshened::Mismatch => {
            store.remove_if(old);
            Brought::Mismatch
        }
    }
}
