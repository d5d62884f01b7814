//! A body given out: of an object, or of a fill while it arrives.

use std::any::Any;
use std::sync::Arc;

use ::pingora::Result;
use ::pingora::cache::CacheKey;
use ::pingora::cache::storage::{HandleHit, Storage};
use ::pingora::cache::trace::SpanHandle;
use async_trait::async_trait;
use bytes::Bytes;

use super::{fault, off_thread};
use crate::cache::disk::{BLOCK, StoredFile};
use crate::cache::fill::{Follower, STEP_BYTES_MAX, Spill, Step};
use crate::cache::store::Store;
use crate::cache::{Body, Object};

/// One reader. Dropping a read that has not ended loses nothing: it stands where it stood.
pub struct Reading {
    source: Source,
    /// Offset of the byte that is wanted next.
    at: u64,
    /// Where to stop; `u64::MAX` for the end of the body.
    end: u64,
}

enum Source {
    Object(Arc<Object>, Arc<Store>),
    Fill(Follower),
}

impl Reading {
    pub fn object(object: Arc<Object>, store: Arc<Store>) -> Self {
        Self {
            source: Source::Object(object, store),
            at: 0,
            end: u64::MAX,
        }
    }

    pub fn fill(follower: Follower) -> Self {
        Self {
            source: Source::Fill(follower),
            at: 0,
            end: u64::MAX,
        }
    }

    /// At most [`STEP_BYTES_MAX`] from `at` on; empty behind the last byte of the body.
    async fn read(&mut self) -> Result<Bytes> {
        let (at, wanted) = (self.at, self.end - self.at);
        match &mut self.source {
            Source::Object(object, store) => match &object.body {
                Body::Memory(bytes) => {
                    let from = usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
                    let to = bytes.len().min(from.saturating_add(STEP_BYTES_MAX));
                    Ok(bytes.slice(from..to))
                }
                Body::File(file) => match block(file, at).await {
                    Ok(bytes) => Ok(bytes),
                    Err(error) => {
                        // The next one fetches it again.
                        store.remove_if(object);
                        Err(error)
                    }
                },
            },
            Source::Fill(follower) => step(follower, wanted).await,
        }
    }
}

/// The rest of the block that has this offset.
async fn block(file: &Arc<StoredFile>, at: u64) -> Result<Bytes> {
    let index = at / BLOCK as u64;
    let told = |fault| super::fault(format!("a cached body cannot be read: {fault}"));
    let block = match file.read_block(index, false).map_err(told)? {
        Some(block) => block,
        None => {
            let file = Arc::clone(file);
            let block = off_thread(move || file.read_block(index, true)).await?;
            block.map_err(told)?.unwrap_or_default()
        }
    };
    let skipped = (at % BLOCK as u64) as usize;
    Ok(block.slice(skipped.min(block.len())..))
}

async fn step(follower: &mut Follower, wanted: u64) -> Result<Bytes> {
    match follower.next().await {
        Step::Bytes(bytes) => Ok(bytes),
        Step::InFile {
            reader,
            offset,
            length,
        } => {
            let length = length.min(wanted).min(STEP_BYTES_MAX as u64) as usize;
            let bytes = spilled(reader, offset, length).await?;
            follower.advance(bytes.len() as u64);
            Ok(bytes)
        }
        Step::End => Ok(Bytes::new()),
        Step::Broken => Err(fault(
            "the origin broke off an answer while it was being read from the cache",
        )),
    }
}

/// At least one byte and at most `length` from a body's draft.
async fn spilled(reader: Arc<dyn Spill>, offset: u64, length: usize) -> Result<Bytes> {
    let told = |error| {
        fault(format!(
            "a body on its way cannot be read from its draft: {error}"
        ))
    };
    let mut buffer = vec![0; length];
    let read = match reader.read_at(offset, &mut buffer, false).map_err(told)? {
        Some(read) => read,
        None => {
            let waited = off_thread(move || {
                let read = reader.read_at(offset, &mut buffer, true);
                (read, buffer)
            });
            let (read, filled) = waited.await?;
            buffer = filled;
            read.map_err(told)?.unwrap_or(0)
        }
    };
    if read == 0 {
        return Err(fault("a body's draft is shorter than what was written to it"));
    }
    buffer.truncate(read);
    Ok(Bytes::from(buffer))
}

#[async_trait]
impl HandleHit for Reading {
    async fn read_body(&mut self) -> Result<Option<Bytes>> {
        if self.at >= self.end {
            return Ok(None);
        }
        let mut bytes = self.read().await?;
        let wanted = self.end - self.at;
        if bytes.len() as u64 > wanted {
            bytes.truncate(wanted as usize);
        }
        self.at += bytes.len() as u64;
        Ok((!bytes.is_empty()).then_some(bytes))
    }

    async fn finish(
        self: Box<Self>,
        _storage: &'static (dyn Storage + Sync),
        _key: &CacheKey,
        _trace: &SpanHandle,
    ) -> Result<()> {
        Ok(())
    }

    fn can_seek(&self) -> bool {
        true
    }

    /// Not in a fill: ranges may go back, and what is behind the reader may be let go of at any time.
    fn can_seek_multipart(&self) -> bool {
        matches!(self.source, Source::Object(..))
    }

    fn seek(&mut self, start: usize, end: Option<usize>) -> Result<()> {
        let start = start as u64;
        match &mut self.source {
            Source::Object(object, _) => {
                let length = object.body.length();
                if start >= length {
                    return Err(fault(format!("seek to {start} in a body of {length} bytes")));
                }
            }
            Source::Fill(follower) => {
                if !follower.skip_to(start) {
                    return Err(fault(format!("byte {start} of a body on its way is gone")));
                }
            }
        }
        self.at = start;
        self.end = end.map_or(u64::MAX, |end| end as u64).max(start);
        Ok(())
    }

    /// Those who follow a fill are counted by the one that fills.
    fn should_count_access(&self) -> bool {
        matches!(self.source, Source::Object(..))
    }

    fn get_eviction_weight(&self) -> usize {
        match &self.source {
            Source::Object(object, _) => usize::try_from(object.body.length()).unwrap_or(usize::MAX),
            Source::Fill(_) => 0,
        }
    }

    fn as_any(&self) -> &(dyn Any + Send + Sync) {
        self
    }

    fn as_any_mut(&mut self) -> &mut (dyn Any + Send + Sync) {
        self
    }
}
