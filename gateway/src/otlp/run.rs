//! The task: gathers a batch, sends it, and tries again where that may help.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::sleep;

use super::Inner;
use super::encode::{Resource, compressed, encode};
use super::pace::{RETRY_TIME_MAX, pause};
use super::verdict::{Verdict, verdict};
use crate::config::plan::Tracing;
use crate::observe::trace::{BATCH_SPANS_MAX, Dropped, Inbox, Trace};
use crate::outbound::{Client, Post};
use crate::wire::Fields;

/// How long the first span of a batch waits for others.
const BATCH_TIME: Duration = Duration::from_secs(5);

/// Tries of a batch when the gateway ends: a collector that is busy may have room a moment later, one that is away is not
/// waited for.
const LAST_TRIES: u32 = 3;

/// Bytes of a collector's answer. It has next to nothing to say.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Who carries spans to the collector.
pub(super) struct Courier {
    pub(super) inner: Arc<Inner>,
    pub(super) inbox: Inbox,
    pub(super) client: Client,
    pub(super) to: watch::Receiver<Arc<Tracing>>,
    pub(super) stop: watch::Receiver<bool>,
    pub(super) jitter: fastrand::Rng,
}

impl Courier {
    /// Runs until it is stopped and has sent what was there.
    pub(super) async fn run(mut self) {
        let host_name = host_name();
        while let Some(batch) = self.gather().await {
            self.deliver(&batch, &host_name).await;
        }
    }

    fn is_stopping(&self) -> bool {
        *self.stop.borrow()
    }

    /// The next batch; None when there will be none.
    async fn gather(&mut self) -> Option<Vec<Trace>> {
        let Self {
            inner, inbox, stop, ..
        } = self;
        let outbox = &inner.outbox;
        let mut batch = Vec::new();
        let first = tokio::select! {
            first = inbox.next(outbox) => Some(first?),
            // Its sender gone says the same as its word.
            _ = stop.wait_for(|stop| *stop) => None,
        };
        let is_waited_for = first.is_some();
        batch.extend(first);
        if is_waited_for && outbox.queued() < BATCH_SPANS_MAX {
            tokio::select! {
                () = sleep(BATCH_TIME) => {}
                () = outbox.full.notified() => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
        }
        inbox.fill(outbox, &mut batch);
        (!batch.is_empty()).then_some(batch)
    }

    /// Sends a batch until it has arrived or nothing helps.
    async fn deliver(&mut self, batch: &[Trace], host_name: &str) {
        let spans: usize = batch.iter().map(|trace| trace.spans.len()).sum();
        let began = self.inner.clock.mono();
        let (mut failures, mut last_tries) = (0, 0);
        loop {
            let to = Arc::clone(&self.to.borrow_and_update());
            let outcome = self.send(batch, &to, host_name).await;
            let (fault, after) = match outcome {
                Verdict::Arrived { rejected, message } => {
                    return self.arrived(&to, spans, rejected, &message);
                }
                Verdict::Refused(fault) => {
                    self.inner.failed(&to.url, &fault);
                    return self.inner.outbox.drop_spans(Dropped::Refused, spans);
                }
                Verdict::Again { fault, after } => (fault, after),
            };
            self.inner.failed(&to.url, &fault);
            let is_stopping = self.is_stopping();
            last_tries += u32::from(is_stopping);
            let spent = self.inner.clock.mono().since(began);
            if last_tries >= LAST_TRIES || spent >= RETRY_TIME_MAX {
                return self.inner.outbox.drop_spans(Dropped::Unreachable, spans);
            }
            let pause = pause(failures, after, self.jitter.f64());
            failures += 1;
            tokio::select! {
                () = sleep(pause) => {}
                // Another collector may be there.
                Ok(()) = self.to.changed() => {}
                _ = self.stop.wait_for(|stop| *stop), if !is_stopping => failures = 0,
            }
        }
    }

    fn arrived(&self, to: &Tracing, spans: usize, rejected: u64, message: &str) {
        let rejected = usize::try_from(rejected).unwrap_or(usize::MAX).min(spans);
        self.inner.outbox.export_spans(spans - rejected);
        if rejected == 0 {
            return self.inner.arrived(&to.url);
        }
        self.inner.outbox.drop_spans(Dropped::Refused, rejected);
        let fault = format!("it has refused {rejected} of {spans} spans: {message}");
        self.inner.failed(&to.url, &fault);
    }

    async fn send(&self, batch: &[Trace], to: &Tracing, host_name: &str) -> Verdict {
        let resource = Resource {
            service_name: &to.service_name,
            host_name,
        };
        let mut headers = Fields::default();
        headers.push(b"Content-Type", b"application/json");
        headers.push(b"Content-Encoding", b"gzip");
        for (name, value) in &to.headers {
            headers.push(name.as_bytes(), value.as_bytes());
        }
        let post = Post {
            url: &to.url,
            headers: &headers,
            content: Bytes::from(compressed(&encode(batch, resource))),
            timeout: to.timeout,
            body_max: ANSWER_BYTES_MAX,
        };
        let outcome = self.client.post(post).await;
        verdict(outcome, self.inner.clock.now())
    }
}

/// The machine's name; empty where the system does not say.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname");
    name.map(|name| name.trim().to_owned()).unwrap_or_default()
}
