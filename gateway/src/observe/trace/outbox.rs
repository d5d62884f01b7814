//! Between the workers and whoever sends the spans: bounded, counted, and never a wait.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::Trace;

/// Spans sent at once. What is sent then is some hundred kilobytes before it is compressed.
pub const BATCH_SPANS_MAX: usize = 512;

/// Why spans are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// So many wait already.
    QueueFull,
    /// More requests failed or were slow in this second than a worker keeps.
    TooMany,
    /// The collector will not have them.
    Refused,
    /// The collector was away for too long.
    Unreachable,
}

impl Dropped {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::QueueFull, Self::TooMany, Self::Refused, Self::Unreachable];

    /// The label's value.
    pub const fn word(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::TooMany => "too_many",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
        }
    }
}

/// Where finished traces wait. Shared by all workers; no lock, and nothing is woken but by the first span, by a full batch and
/// by what has no place.
#[derive(Debug)]
pub struct Outbox {
    sender: UnboundedSender<Trace>,
    queued: AtomicUsize,
    /// A whole batch is there, or no more has a place.
    pub full: Notify,
    exported: AtomicU64,
    /// In the order of [`Dropped::ALL`].
    dropped: [AtomicU64; Dropped::ALL.len()],
}

/// The other end.
#[derive(Debug)]
pub struct Inbox(UnboundedReceiver<Trace>);

impl Outbox {
    /// An empty one, and its other end.
    pub fn new() -> (Self, Inbox) {
        let (sender, receiver) = unbounded_channel();
        let outbox = Self {
            sender,
            queued: AtomicUsize::new(0),
            full: Notify::new(),
            exported: AtomicU64::new(0),
            dropped: Default::default(),
        };
        (outbox, Inbox(receiver))
    }

    /// Takes a trace, if no more than so many spans wait with it.
    pub fn offer(&self, trace: Trace, queue_max: usize) {
        let spans = trace.spans.len();
        let before = self.queued.fetch_add(spans, Ordering::AcqRel);
        if before + spans > queue_max || self.sender.send(trace).is_err() {
            self.queued.fetch_sub(spans, Ordering::AcqRel);
            // A queue shorter than a batch may be full long before its time has come.
            self.full.notify_one();
            return self.drop_spans(Dropped::QueueFull, spans);
        }
        let enough = BATCH_SPANS_MAX.min(queue_max);
        if before < enough && before + spans >= enough {
            self.full.notify_one();
        }
    }

    /// Counts spans that were lost.
    pub fn drop_spans(&self, why: Dropped, spans: usize) {
        self.dropped[why as usize].fetch_add(spans as u64, Ordering::Relaxed);
    }

    /// Counts spans that the collector has.
    pub fn export_spans(&self, spans: usize) {
        self.exported.fetch_add(spans as u64, Ordering::Relaxed);
    }

    /// Spans that wait.
    pub fn queued(&self) -> usize {
        self.queued.load(Ordering::Acquire)
    }

    /// Spans that the collector has.
    pub fn exported(&self) -> u64 {
        self.exported.load(Ordering::Relaxed)
    }

    /// Spans lost, in the order of [`Dropped::ALL`].
    pub fn dropped(&self) -> [u64; Dropped::ALL.len()] {
        std::array::from_fn(|at| self.dropped[at].load(Ordering::Relaxed))
    }
}

impl Inbox {
    /// Waits for a trace.
    pub async fn next(&mut self, outbox: &Outbox) -> Option<Trace> {
        let trace = self.0.recv().await?;
        outbox.queued.fetch_sub(trace.spans.len(), Ordering::AcqRel);
        Some(trace)
    }

    /// Adds what waits to `batch`, up to a whole batch.
    pub fn fill(&mut self, outbox: &Outbox, batch: &mut Vec<Trace>) {
        let mut spans: usize = batch.iter().map(|trace| trace.spans.len()).sum();
        while spans < BATCH_SPANS_MAX {
            let Ok(trace) = self.0.try_recv() else { return };
            outbox.queued.fetch_sub(trace.spans.len(), Ordering::AcqRel);
            spans += trace.spans.len();
            batch.push(trace);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::trace_context::{SpanId, TraceId};
    use crate::observe::trace::{Span, SpanKind};
    use proptest::prelude::*;
    use std::time::Duration;

    fn trace(spans: usize) -> Trace {
        let span = Span {
            id: SpanId::of(1),
            parent: None,
            is_parent_remote: false,
            kind: SpanKind::Internal,
            name: "a".into(),
            began: Duration::ZERO,
            ended: Duration::ZERO,
            attributes: Vec::new(),
            error: None,
        };
        Trace {
            id: TraceId::of(1),
            is_sampled: true,
            state: None,
            spans: vec![span; spans],
        }
    }

    proptest! {
        /// Offers and takings in any order, against a list.
        #[test]
        fn what_is_taken_out_was_put_in_and_the_rest_is_counted(
            steps in proptest::collection::vec((1..40usize, any::<bool>()), 0..100),
            queue_max in 1..200usize,
        ) {
            let (outbox, mut inbox) = Outbox::new();
            let (mut waiting, mut lost) = (Vec::new(), 0);
            for (spans, takes) in steps {
                outbox.offer(trace(spans), queue_max);
                match waiting.iter().sum::<usize>() + spans > queue_max {
                    true => lost += spans as u64,
                    false => waiting.push(spans),
                }
                prop_assert!(outbox.queued() <= queue_max);
                if takes {
                    let mut batch = Vec::new();
                    inbox.fill(&outbox, &mut batch);
                    let taken: Vec<usize> = batch.iter().map(|t| t.spans.len()).collect();
                    prop_assert_eq!(&taken, &waiting);
                    waiting.clear();
                }
                prop_assert_eq!(outbox.queued(), waiting.iter().sum::<usize>());
                prop_assert_eq!(outbox.dropped(), [lost, 0, 0, 0]);
            }
        }
    }

    #[test]
    fn a_batch_ends_with_the_trace_that_makes_it_whole() {
        let (outbox, mut inbox) = Outbox::new();
        (0..6).for_each(|_| outbox.offer(trace(100), usize::MAX));
        let mut batch = vec![trace(12)];
        inbox.fill(&outbox, &mut batch);
        assert_eq!((batch.len(), outbox.queued()), (6, 100));
    }

    /// Whether somebody who waits for it has been woken since this was last asked.
    fn is_rung(outbox: &Outbox) -> bool {
        let rung = std::pin::pin!(outbox.full.notified());
        let mut nobody = std::task::Context::from_waker(std::task::Waker::noop());
        rung.poll(&mut nobody).is_ready()
    }

    #[test]
    fn who_empties_it_is_woken_by_a_batch_and_by_a_queue_that_is_full_before() {
        for (queue_max, offers) in [
            (usize::MAX, &[(511, false), (1, true), (1, false)][..]),
            (100, &[(60, false), (40, true), (1, true), (1, true)]),
            (100, &[(60, false), (41, true), (39, false), (1, true)]),
            (1, &[(3, true)]),
        ] {
            let (outbox, _inbox) = Outbox::new();
            for (spans, rings) in offers {
                outbox.offer(trace(*spans), queue_max);
                assert_eq!(is_rung(&outbox), *rings, "{spans} of {offers:?}");
            }
        }
    }

    #[test]
    fn without_anybody_at_the_other_end_all_is_lost_and_counted() {
        let (outbox, inbox) = Outbox::new();
        drop(inbox);
        outbox.offer(trace(3), 100);
        assert_eq!((outbox.queued(), outbox.dropped()), (0, [3, 0, 0, 0]));
    }
}
