//! A body taken in.
//!
//! Pingora writes a body and reads it for its own client in one task, and waits for each write. So a write must never wait
//! for a reader: it may wait for the disk, which moves on its own. Where a body cannot be kept whole and its slowest reader
//! is behind, what comes is queued, up to a limit for the whole storage.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ::pingora::Result;
use ::pingora::cache::storage::{HandleMiss, MissFinishType};
use ::pingora::cache::{CacheKey, CacheMeta};
use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use super::listed::Listed;
use super::record::Slot;
use super::{Asked, PingoraStorage, fault, off_thread};
use crate::cache::Meta;
use crate::cache::fill::{
    Fill, FillError, FillPlan, FillWriter, Finished, Pushed, Spill, SpillJob, SpillProgress,
};
use crate::cache::store::{DraftSpill, NotKept, Store};

/// Bytes that may wait for slow readers of bodies that are not kept, all of a storage together. Beyond it a write fails, as
/// one beyond Pingora's own limit for the length of a file does.
const LAG_BYTES_MAX: usize = 64 << 20;

/// One body on its way. Dropped without `finish` it breaks the fill: whoever follows it gets an error, not a short body.
pub struct Intake {
    course: Course,
    /// The last job for the disk: while it is out there may be no room.
    job: Option<JoinHandle<Option<SpillProgress>>>,
    lag: Arc<AtomicUsize>,
    keeping: Keeping,
}

/// How bytes come into the fill.
enum Course {
    Direct(FillWriter),
    /// By a task that waits for readers where we must not.
    Queued(UnboundedSender<Piece>),
}

/// A piece that waits for room, or the end.
enum Piece {
    Bytes(Bytes, Lag),
    End,
}

/// Bytes that are counted while they wait.
struct Lag(Arc<AtomicUsize>, usize);

impl Drop for Lag {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, Ordering::Relaxed);
    }
}

/// What it takes to store it. The fill is followed until this is dropped, which is after it was stored.
struct Keeping {
    store: Arc<Store>,
    fill: Arc<Fill>,
    spill: Option<Arc<DraftSpill>>,
    listed: Listed,
    _asked: Asked,
}

impl Intake {
    pub fn begin(storage: &PingoraStorage, key: &CacheKey, meta: &CacheMeta, asked: Asked) -> Result<Self> {
        let slot = Slot::of(key);
        let length = announced(meta);
        let store = &storage.store;
        let plan = store.plan_fill(slot.key, length).map_err(|reason| {
            fault(match reason {
                NotKept::TooLarge => "an answer is not kept: it is larger than an object may be",
                NotKept::TooSeldom => "an answer is not kept: it is asked for too seldom to go to disk",
            })
        })?;
        let spill = plan
            .may_spill
            .then(|| Arc::new(DraftSpill::new(Arc::clone(store))));
        let (fill, writer) = Fill::begin(FillPlan {
            key: slot.key,
            meta: Arc::new(slot.meta(key, meta, asked.0.serial())?),
            length,
            memory_bytes_max: usize::try_from(plan.memory_bytes_max).unwrap_or(usize::MAX),
            object_bytes_max: plan.length_max,
            spill: spill.clone().map(|s| s as Arc<dyn Spill>),
            budget: Some(Arc::clone(&storage.budget)),
        });
        Ok(Self {
            course: Course::Direct(writer),
            job: None,
            lag: Arc::clone(&storage.lag),
            keeping: Keeping {
                store: Arc::clone(store),
                listed: storage.fills.enter(&fill),
                fill,
                spill,
                _asked: asked,
            },
        })
    }

    /// There is no room for `bytes`.
    async fn make_room(&mut self) -> Result<()> {
        if let Some(job) = &mut self.job {
            // Its end is either room, or a fill that is passed through. A panic of it is told by its own message.
            _ = job.await;
            self.job = None;
            return Ok(());
        }
        let (sender, pieces) = unbounded_channel();
        let Course::Direct(writer) = std::mem::replace(&mut self.course, Course::Queued(sender)) else {
            return Err(fault("a body is queued already"));
        };
        tokio::spawn(pump(writer, pieces));
        Ok(())
    }
}

/// What the answer says of its length: a body that is not as long is not kept, and those who follow it are told.
fn announced(meta: &CacheMeta) -> Option<u64> {
    let length = meta.headers().get("content-length")?;
    length.to_str().ok()?.trim().parse().ok()
}

/// Pushes what is queued whenever the readers have made room. Ends without an end: the fill breaks with its writer.
async fn pump(mut writer: FillWriter, mut pieces: UnboundedReceiver<Piece>) {
    while let Some(piece) = pieces.recv().await {
        match piece {
            Piece::Bytes(bytes, _lag) => {
                writer.room().await;
                if writer.push(bytes).is_err() {
                    return;
                }
            }
            Piece::End => {
                // It was never to be kept, and a wrong length has broken it for its readers.
                _ = writer.finish();
                return;
            }
        }
    }
}

fn queue(pieces: &UnboundedSender<Piece>, lag: &Arc<AtomicUsize>, bytes: Bytes) -> Result<()> {
    let length = bytes.len();
    let before = lag.fetch_add(length, Ordering::Relaxed);
    let counted = Lag(Arc::clone(lag), length);
    if before + length > LAG_BYTES_MAX {
        return Err(fault(
            "a body that is too large to be kept comes faster than it is read: set a file size limit, or give the cache a disk",
        ));
    }
    let sent = pieces.send(Piece::Bytes(bytes, counted));
    sent.map_err(|_| fault("the body's length is not the announced one"))
}

#[async_trait]
impl HandleMiss for Intake {
    async fn write_body(&mut self, data: Bytes, _eof: bool) -> Result<()> {
        let mut data = data;
        loop {
            let writer = match &mut self.course {
                Course::Queued(pieces) => return queue(pieces, &self.lag, data),
                Course::Direct(writer) => writer,
            };
            match writer.push(data) {
                // If nobody will ever read it there is no harm in the rest either.
                Ok(Pushed::Kept | Pushed::Unheard) => return Ok(()),
                Ok(Pushed::Spill(job)) => {
                    self.job = Some(tokio::task::spawn_blocking(move || told(job)));
                    return Ok(());
                }
                Err(FillError::NoRoom(back)) => {
                    data = back;
                    self.make_room().await?;
                }
                Err(error) => return Err(fault(error.to_string())),
            }
        }
    }

    /// `Created(0)` says that the body is whole but not kept. An error would make Pingora break off its client's answer.
    async fn finish(self: Box<Self>) -> Result<MissFinishType> {
        let Self { course, keeping, .. } = *self;
        let writer = match course {
            Course::Direct(writer) => writer,
            Course::Queued(pieces) => {
                _ = pieces.send(Piece::End);
                return Ok(MissFinishType::Created(0));
            }
        };
        let is_kept = match writer.finish().map_err(|error| fault(error.to_string()))? {
            Finished::InMemory(body) => {
                let (fill, store) = (&keeping.fill, &keeping.store);
                store.admit(fill.key, Meta::clone(&fill.meta), body).is_some()
            }
            Finished::Spilled(job) => {
                let fill = Arc::clone(&keeping.fill);
                let is_kept = off_thread(move || keeping.admit(job)).await.unwrap_or(false);
                return Ok(created(&fill, is_kept));
            }
            Finished::NotStorable => false,
        };
        Ok(created(&keeping.fill, is_kept))
    }

    fn streaming_write_tag(&self) -> Option<&[u8]> {
        Some(&self.keeping.listed.tag_bytes)
    }
}

fn created(fill: &Fill, is_kept: bool) -> MissFinishType {
    let length = if is_kept { fill.received() } else { 0 };
    MissFinishType::Created(usize::try_from(length).unwrap_or(usize::MAX))
}

impl Keeping {
    /// Writes the rest to disk and stores it. Waits for the disk.
    fn admit(self, job: SpillJob) -> bool {
        let Some(SpillProgress::Whole) = told(job) else {
            return false;
        };
        let draft = self.spill.as_ref().and_then(|spill| spill.opened());
        let meta = Meta::clone(&self.fill.meta);
        draft.is_some_and(|draft| self.store.admit_draft(self.fill.key, meta, &draft).is_some())
    }
}

/// Runs a job; a failed one is no fault of the body: those who follow it miss nothing.
fn told(job: SpillJob) -> Option<SpillProgress> {
    job.run()
        .inspect_err(|error| {
            log::warn!("an answer too large for memory could not be put on disk and is not kept: {error}");
        })
        .ok()
}
