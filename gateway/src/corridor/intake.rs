//! cache: a body on its way from its origin into the store, whoever follows it.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::bring::{Asking, Brought};
use super::deliver;
use super::stored::{Chosen, How};
use super::worker::Worker;
use crate::balance::Lease;
use crate::cache::fill::{Fill, FillError, FillPlan, FillWriter, Finished, Spill, SpillJob, SpillProgress};
use crate::cache::flight::{Landing, Leader};
use crate::cache::policy::{Storable, Times};
use crate::cache::store::{self, DraftSpill, FillMark, LookUp, NotKept, Store};
use crate::cache::{Facets, Key, Meta};
use crate::exchange::Exchange;
use crate::guard::adaptive::Permit;
use crate::relay::Origin;
use crate::relay::fetch::{FetchFault, fetch, off_thread};
use crate::reply::Refusal;
use crate::snapshot::Service;
use crate::upstream::Failure;
use crate::wire::{Decoder, Length, Method, framing};

/// How often a body that is on its way during a stop is asked whether anybody follows it.
const STOP_LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// An answer that may be kept, and the connection its body comes on.
pub(super) struct Arrival<'a> {
    pub(super) storable: &'a Storable,
    pub(super) times: Times,
    pub(super) mark: FillMark,
    pub(super) origin: Origin,
    pub(super) lease: Lease,
}

/// What is decided before the first byte of a body is taken in.
struct Prospect {
    length: Length,
    announced: Option<u64>,
    plan: store::FillPlan,
    meta: Arc<Meta>,
}

/// Begins to store an answer: from here on all who want it follow it, the one who asked among them.
pub(super) fn begin_fill(
    x: &mut Exchange,
    asking: &mut Asking<'_, '_>,
    leader: Leader<Refusal>,
    arrival: Arrival<'_>,
) -> Brought {
    let prospect = match prospect(x, asking, &arrival) {
        Ok(prospect) => prospect,
        Err(reason) => {
            leader.pass();
            return Brought::Alone(arrival.origin, arrival.lease, reason);
        }
    };
    let store = Arc::clone(&asking.question.zone.store);
    let spill = prospect
        .plan
        .may_spill
        .then(|| Arc::new(DraftSpill::new(Arc::clone(&store))));
    let (fill, writer) = Fill::begin(FillPlan {
        key: asking.question.key,
        meta: prospect.meta,
        length: prospect.announced,
        memory_bytes_max: usize::try_from(prospect.plan.memory_bytes_max).unwrap_or(usize::MAX),
        object_bytes_max: prospect.plan.length_max,
        spill: spill.clone().map(|s| s as Arc<dyn Spill>),
        budget: Some(Arc::clone(&asking.question.zone.filling)),
    });
    let follower = fill
        .follow()
        .expect("nobody has broken a fill that has just begun");
    let intake = Intake {
        worker: Rc::clone(asking.worker),
        service: Arc::clone(asking.service),
        store,
        keeps_alive: asking.upload.is_sent() && x.answer.allows_keep_alive(),
        request_id: x.request_id.clone(),
        // Newcomers are not shown what is too old for them.
        landing: Some(leader.filling(Arc::clone(&fill))).filter(|_| arrival.storable.is_kept),
        length: prospect.length,
        origin: arrival.origin,
        lease: arrival.lease,
        room: x.guarded.room.take(),
        fill,
        spill,
        _mark: arrival.mark,
    };
    asking.worker.run_errand(intake.run(writer));
    Brought::Filling(Chosen::fill(
        follower,
        arrival.times.received_at.unix_ms(),
        How::Miss,
    ))
}

/// How an answer would be taken in, or why it is not.
fn prospect(
    x: &Exchange,
    asking: &mut Asking<'_, '_>,
    arrival: &Arrival<'_>,
) -> Result<Prospect, &'static str> {
    let Ok(length) = framing::of_answer(&x.answer, Method::Get) else {
        return Err("framing");
    };
    let announced = match length {
        Length::None => Some(0),
        Length::Known(n) => Some(n),
        Length::Chunked | Length::UntilClose => None,
    };
    let question = &mut *asking.question;
    // The next one asks under this key: he does not know either what the answer varies by.
    let asked = question.key;
    question.vary_by(&arrival.storable.vary, x);
    let plan = question
        .zone
        .store
        .plan_fill(question.key, announced)
        .map_err(|reason| {
            // One too large will be so again: nobody need wait to be told.
            if reason == NotKept::TooLarge {
                question.remember_uncacheable_as(asked, asking.worker.mono());
            }
            not_kept(reason)
        })?;
    let expected = announced.unwrap_or(0).min(plan.memory_bytes_max);
    let expected = usize::try_from(expected).unwrap_or(usize::MAX);
    if !plan.may_spill && !question.zone.filling.has_room_for(expected) {
        return Err("crowded");
    }
    let serial = arrival.mark.serial();
    let meta = question
        .meta(x, asking.rule, arrival.storable, arrival.times, serial)
        .map_err(|reason| reason.word())?;
    Ok(Prospect {
        length,
        announced,
        plan,
        meta: Arc::new(meta),
    })
}

/// The word for Cache-Status.
fn not_kept(reason: NotKept) -> &'static str {
    match reason {
        NotKept::TooLarge => "too-large",
        NotKept::TooSeldom => "too-seldom",
    }
}

/// A body being taken in.
struct Intake {
    worker: Rc<Worker>,
    service: Arc<Service>,
    store: Arc<Store>,
    origin: Origin,
    lease: Lease,
    /// The upstream's place: taken until the body has come, whether whoever asked is still there, or has long not read it.
    room: Option<Permit>,
    length: Length,
    fill: Arc<Fill>,
    spill: Option<Arc<DraftSpill>>,
    /// Whether the origin's connection may carry another request.
    keeps_alive: bool,
    request_id: String,
    /// Newcomers are sent to the fill until it is dropped, which is after the object was stored.
    ///
    /// None for a body that is for those who have waited for it, and is not stored.
    landing: Option<Landing<Refusal>>,
    _mark: FillMark,
}

impl Intake {
    async fn run(mut self, mut writer: FillWriter) {
        let decoder = Decoder::new(self.length);
        let read_timeout = self.service.plan.read_timeout;
        let worker = Rc::clone(&self.worker);
        let fetched = fetch(&mut self.origin, decoder, read_timeout, &mut writer, || {
            worker.mono()
        });
        let fetched = tokio::select! {
            biased;
            fetched = fetched => fetched,
            () = unneeded(&worker, &self.fill) => Err(FetchFault::Unheard),
        };
        match fetched {
            Ok(()) => self.keep(writer).await,
            Err(fault) => {
                drop(writer);
                self.broke_off(&fault);
            }
        }
    }

    async fn keep(self, writer: FillWriter) {
        let finished = writer.finish();
        let Self {
            worker,
            service,
            origin,
            lease,
            room,
            landing,
            ..
        } = self;
        if self.keeps_alive && origin.is_drained() {
            deliver::park(&worker, &service, &lease, origin);
        }
        lease.ended(|| worker.mono());
        // The server is done; what is left is our own work.
        drop((lease, room));
        match finished {
            Ok(_) if landing.is_none() => {}
            Ok(Finished::InMemory(body)) => {
                admit_mark(&self.store, &self.fill.meta, self.fill.key);
                self.store
                    .admit(self.fill.key, Meta::clone(&self.fill.meta), body);
            }
            Ok(Finished::Spilled(job)) => {
                admit_mark(&self.store, &self.fill.meta, self.fill.key);
                let (store, fill, spill) = (self.store, self.fill, self.spill);
                // It fails only with the runtime.
                let _ = off_thread(move || admit_spilled(&store, &fill, spill, job)).await;
            }
            Ok(Finished::NotStorable) => {}
            Err(fault) => told(&fault, &self.request_id),
        }
        drop(landing);
    }

    fn broke_off(&self, fault: &FetchFault) {
        let failure = match fault {
            FetchFault::CutOff => Failure::Reset,
            FetchFault::Malformed(_) => Failure::InvalidResponse,
            FetchFault::OriginTooSlow => Failure::Timeout,
            FetchFault::Unheard => return,
            FetchFault::Refused(fault) => return told(fault, &self.request_id),
        };
        let (server, pool) = (self.lease.member().address(), self.lease.pool().name());
        log::warn!(
            "upstream {pool}: {server} broke off an answer ({}), request {}",
            failure.name(),
            self.request_id
        );
        self.service.note_break(&self.lease, failure, self.worker.mono());
    }
}

/// Resolves when the gateway stops and nobody follows: no client waits for what a stop would wait for then.
async fn unneeded(worker: &Worker, fill: &Fill) {
    worker.stopping().await;
    while fill.followers() > 0 {
        tokio::time::sleep(STOP_LOOK_INTERVAL).await;
    }
}

fn told(fault: &FillError, request_id: &str) {
    log::warn!("an answer was not kept: {fault}, request {request_id}");
}

/// Says by which fields the answers of a key vary, so that the next request is asked for its own.
fn admit_mark(store: &Arc<Store>, meta: &Meta, key: Key) {
    if meta.vary.is_empty() {
        return;
    }
    let plain = Key { variance: 0, ..key };
    let same = |mark: &Meta| mark.status == 0 && mark.key_text == meta.key_text && mark.vary == meta.vary;
    if matches!(store.look_up(plain, same), LookUp::Hit(_)) {
        return;
    }
    let mark = Meta {
        variance: Box::default(),
        status: 0,
        reason: Box::default(),
        fields: crate::wire::Fields::default(),
        facets: Facets::default(),
        ..meta.clone()
    };
    store.admit(plain, mark, bytes::Bytes::new());
}

fn admit_spilled(store: &Arc<Store>, fill: &Fill, spill: Option<Arc<DraftSpill>>, job: SpillJob) {
    match job.run() {
        Ok(SpillProgress::Whole) => {
            if let Some(draft) = spill.and_then(|spill| spill.opened()) {
                store.admit_draft(fill.key, Meta::clone(&fill.meta), &draft);
            }
        }
        Ok(SpillProgress::Partial | SpillProgress::Unwanted) => {}
        Err(error) => {
            log::warn!("an answer too large for memory could not be put on disk and is not kept: {error}")
        }
    }
}
