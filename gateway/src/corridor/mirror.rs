//! mirror: a copy of a request for an upstream whose answer nobody waits for.
//!
//! It is sent by an errand of the worker, with a diary of its own: whatever becomes of it, the request itself knows nothing
//! of it. A request without body is copied when its route's action begins, after the guards and before the cache; one with
//! a body when all of it has come.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::attempt::upgrade_of;
use super::deliver::park;
use super::proxy::{try_servers, upload_limits};
use super::worker::Worker;
use crate::exchange::Exchange;
use crate::observe::Mirrored;
use crate::relay::upload::REPLAY_BYTES_MAX;
use crate::relay::{Origin, Upload};
use crate::snapshot::{Mirror, Service, Site};
use crate::stream::within;
use crate::upstream::head::MIRROR_NAME;
use crate::wire::chunk::Step;
use crate::wire::edit::is_alike;
use crate::wire::{Decoder, Length, framing};

/// Bytes of a body that are copied: as many as are kept anyway, to be sent once more to another server.
pub const MIRROR_BODY_BYTES_MAX: usize = REPLAY_BYTES_MAX;

/// Copies of one worker on their way at once: 16 MiB of bodies. A mirror that cannot keep up is left out.
pub const MIRRORS_MAX: usize = 256;

/// How long a copy may take on a route without a timeout of its own.
const MIRROR_TIME_MAX: Duration = Duration::from_secs(60);

/// Bytes of an answer that are read away so that the connection can be used again; a longer answer ends it.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// A place among the copies on their way.
struct Place(Rc<Cell<usize>>);

impl Place {
    fn take(worker: &Worker) -> Option<Self> {
        let taken = worker.mirrors.get();
        (taken < MIRRORS_MAX).then(|| {
            worker.mirrors.set(taken + 1);
            Self(Rc::clone(&worker.mirrors))
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// A request with a body that is to be copied when it has come.
pub(super) struct Copying<'a> {
    worker: &'a Rc<Worker>,
    /// None when there is nothing to be done any more.
    site: Option<Arc<Site>>,
}

/// Copies a request that has no body.
pub(super) fn copy(worker: &Rc<Worker>, x: &Exchange, site: &Site) {
    if let Some(mirror) = &site.mirror
        && is_wanted(x)
        && !has_body(x)
    {
        send(worker, x, mirror, Vec::new());
    }
}

/// Whether the request's body is to be kept for a copy.
pub(super) fn wants_body(x: &Exchange) -> bool {
    mirror_of(x).is_some() && is_wanted(x) && has_body(x)
}

fn mirror_of(x: &Exchange) -> Option<&Mirror> {
    x.site.as_ref()?.mirror.as_ref()
}

fn has_body(x: &Exchange) -> bool {
    !matches!(x.length, Length::None | Length::Known(0))
}

/// Whether the request is one of those that are copied. A tunnel cannot be, and a copy is not copied again: two gateways that
/// mirror to each other could send it to and fro for ever. Anybody is believed that it is one: two such gateways need not be
/// among each other's trusted proxies, and whoever says it of itself is only left out of the mirror.
pub(super) fn is_wanted(x: &Exchange) -> bool {
    let mut fields = x.request.fields.iter();
    let is_copy = fields.any(|f| is_alike(f.name, MIRROR_NAME.as_bytes()));
    !x.is_behind && !is_copy && upgrade_of(x).is_none()
}

impl<'a> Copying<'a> {
    /// Begins to wait for the body, where it is to be copied.
    pub(super) fn of(worker: &'a Rc<Worker>, x: &Exchange) -> Self {
        Self {
            worker,
            site: x.site.as_ref().filter(|_| wants_body(x)).cloned(),
        }
    }

    /// Copies the request if its body has come.
    pub(super) fn take(&mut self, x: &Exchange, upload: &Upload<'_>) {
        let Some(site) = self.site.take_if(|_| upload.is_received()) else {
            return;
        };
        let Some(mirror) = &site.mirror else { return };
        match upload.whole() {
            Some(body) if body.len() <= MIRROR_BODY_BYTES_MAX => send(self.worker, x, mirror, body.to_vec()),
            _ => mirror.metrics.count(Mirrored::TooLarge),
        }
    }
}

/// Also when the request is given up while its body comes.
impl Drop for Copying<'_> {
    fn drop(&mut self) {
        if let Some(mirror) = self.site.as_ref().and_then(|site| site.mirror.as_ref()) {
            mirror.metrics.count(Mirrored::Unfinished);
        }
    }
}

fn send(worker: &Rc<Worker>, x: &Exchange, mirror: &Mirror, body: Vec<u8>) {
    let Some(place) = Place::take(worker) else {
        return mirror.metrics.count(Mirrored::Busy);
    };
    let mut own = x.behind(worker.now());
    own.is_mirrored = true;
    own.service = Some(Arc::clone(&mirror.service));
    if !body.is_empty() {
        own.length = Length::Known(body.len() as u64);
    }
    let (service, metrics) = (Arc::clone(&mirror.service), mirror.metrics.clone());
    let patience = x.site.as_ref().and_then(|site| site.route.timeout);
    let patience = patience.unwrap_or(MIRROR_TIME_MAX).min(MIRROR_TIME_MAX);
    let worker = Rc::clone(worker);
    worker.clone().run_errand(async move {
        let _place = place;
        let asking = tokio::time::timeout(patience, ask(&worker, &mut own, &service, body));
        // A stop does not wait for it.
        let result = tokio::select! {
            biased;
            result = asking => result.unwrap_or(Mirrored::Aborted),
            () = worker.stopping() => Mirrored::Aborted,
        };
        metrics.count(result);
    });
}

/// Sends a copy, by the rules of its upstream, and reads the answer away.
async fn ask(worker: &Rc<Worker>, own: &mut Exchange, service: &Arc<Service>, body: Vec<u8>) -> Mirrored {
    let mut nothing = worker.shelf.lend();
    let mut upload = Upload::of_whole(&mut nothing, body, upload_limits(own, service));
    let _running = service.pool.running().enter();
    let Ok((mut origin, lease)) = try_servers(worker, own, service, &mut upload).await else {
        return Mirrored::Error;
    };
    let is_drained = drain(own, &mut origin, service.plan.read_timeout).await;
    if is_drained && upload.is_sent() && origin.is_drained() && own.answer.allows_keep_alive() {
        park(worker, service, &lease, origin);
    }
    match own.answer.status {
        500.. => Mirrored::Error,
        _ => Mirrored::Ok,
    }
}

/// Reads an answer's body away. Whether the connection stands behind it.
async fn drain(own: &Exchange, origin: &mut Origin, read_timeout: Duration) -> bool {
    let Ok(length) = framing::of_answer(&own.answer, own.request.method) else {
        return false;
    };
    let mut decoder = Decoder::new(length);
    let (reader, stream) = origin.split();
    let buffer = reader.buffer();
    let mut dropped = 0;
    loop {
        match decoder.step(buffer.unread(), 0) {
            Ok(Step::Data { start, end }) => {
                dropped += (end - start) as u64;
                buffer.consume(end);
                if dropped > ANSWER_BYTES_MAX {
                    return false;
                }
            }
            Ok(Step::Done { end }) => {
                buffer.consume(end);
                return length != Length::UntilClose;
            }
            Ok(Step::More) => {
                let used = buffer.unread().len();
                buffer.consume(used);
                if !matches!(within(read_timeout, buffer.fill(stream)).await, Ok(n) if n > 0) {
                    return false;
                }
            }
            Err(_) => return false,
        }
    }
}
