//! cache: what an origin's answer makes of what is stored.

use std::sync::Arc;

use super::judge::{is_about_asking, is_for_one, is_known};
use super::{Asking, Brought};
use crate::balance::Lease;
use crate::cache::flight::Leader;
use crate::cache::policy::{self, AnswerControl, Freshened, Resource, Revalidation, Times, Unstorable};
use crate::cache::store::{FillMark, Hit};
use crate::cache::{Meta, Object};
use crate::corridor::attempt::TryFault;
use crate::corridor::deliver;
use crate::exchange::Exchange;
use crate::relay::Origin;
use crate::reply::Refusal;
use crate::wire::Fields;

/// An answer that may not be kept replaces what was, and its key is remembered, so that nobody queues for it again.
///
/// `fields` are those of the answer as it was judged: after a 304 with what is stored beneath them.
pub(super) fn forget(
    x: &Exchange,
    asking: &Asking<'_, '_>,
    reason: Unstorable,
    status: u16,
    fields: &Fields,
) {
    // A failing origin says nothing of what it would say otherwise.
    if status >= 500 {
        return;
    }
    let zone = &asking.question.zone;
    // Where everybody has to say who it is, all requests are alike in that. Elsewhere a credential or a cookie is the doing of
    // the one who brings it: others may go on sharing what he may not.
    let is_about_all = is_known(x) || !reason.is_about_request();
    let goes = |old: &Meta| !is_about_asking(status) && (is_about_all || takes_back(&old.fields, fields));
    if let Some(hit) = asking.found.filter(|hit| goes(&hit.object.meta)) {
        zone.store.remove_if(&hit.object);
    }
    if is_about_all {
        asking.question.remember_uncacheable(asking.worker.mono());
    }
}

/// Whether the origin has said of what is stored that it is for all, and says so no more.
fn takes_back(old: &Fields, new: &Fields) -> bool {
    let (old, new) = (AnswerControl::of(old), AnswerControl::of(new));
    old.is_for_all && !new.is_for_all || old.public && !new.public
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
            forget(x, asking, why, old.meta.status, &meta.fields);
            leader.pass();
            Brought::Confirmed(Arc::new(Object::new(old.key, *meta, old.body.clone())))
        }
        Freshened::Mismatch => {
            store.remove_if(old);
            Brought::Mismatch
        }
    }
}
