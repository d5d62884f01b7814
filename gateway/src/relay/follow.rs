//! Stored bodies, and bodies being stored, on their way to a client.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;

use super::fetch::off_thread;
use super::upload::write_last_chunk;
use crate::cache::disk::{BLOCK, ReadFault, StoredFile};
use crate::cache::fill::{Follower, Spill, Step};
use crate::kit::range::ByteRange;
use crate::stream::{IoFault, Stream};
use crate::wire::chunk::write_size;

/// Bytes read from a file at a time: what one write to a socket takes at best.
const READ_BYTES: usize = 64 * 1024;

/// Why a client has not got the whole. It must not take what it has for it.
#[derive(Debug)]
pub enum FollowFault {
    /// The client takes nothing more, or too slowly.
    Client(IoFault),
    /// The body broke off on its way from the origin.
    Broken,
    /// The file cannot be read, or is not what was written.
    Disk(String),
}

/// One client being sent to.
#[derive(Debug)]
pub struct Outlet<'a> {
    client: &'a Stream,
    /// For each wait for the client.
    write_timeout: Duration,
    /// What is sent before the next body bytes: a head, framing.
    before: Vec<u8>,
    is_chunked: bool,
    /// Whether the client may have got anything.
    pub has_begun: bool,
    /// Body bytes the client's connection has taken.
    pub sent: u64,
}

impl<'a> Outlet<'a> {
    /// Sends `head` first, and then bodies as they are or in chunks.
    pub fn new(client: &'a Stream, head: Vec<u8>, is_chunked: bool, write_timeout: Duration) -> Self {
        Self {
            client,
            write_timeout,
            before: head,
            is_chunked,
            has_begun: false,
            sent: 0,
        }
    }

    /// Has something that is no body sent before what comes next.
    pub fn precede(&mut self, frame: &[u8]) {
        self.before.extend_from_slice(frame);
        self.sent += frame.len() as u64;
    }

    /// Sends body bytes.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<(), FollowFault> {
        let end: &[u8] = if self.is_chunked { b"\r\n" } else { b"" };
        self.has_begun = true;
        if self.is_chunked {
            write_size(&mut self.before, bytes.len());
        }
        let mut pieces = [IoSlice::new(&self.before), IoSlice::new(bytes), IoSlice::new(end)];
        self.client
            .write_all(&mut pieces, self.write_timeout)
            .await
            .map_err(FollowFault::Client)?;
        self.sent += bytes.len() as u64;
        self.before.clear();
        Ok(())
    }

    /// Sends what is still to be sent: a head that no body has followed yet, the end of the chunks.
    pub async fn flush(&mut self) -> Result<(), FollowFault> {
        if self.before.is_empty() {
            return Ok(());
        }
        self.has_begun = true;
        let mut pieces = [IoSlice::new(&self.before)];
        let written = self.client.write_all(&mut pieces, self.write_timeout).await;
        self.before.clear();
        written.map_err(FollowFault::Client)
    }

    /// The body has ended.
    pub async fn end(&mut self) -> Result<(), FollowFault> {
        if self.is_chunked {
            write_last_chunk(&mut self.before, None);
        }
        self.flush().await
    }

    /// Sends a stretch of a file, each block of which is checked before a byte of it goes out.
    pub async fn send_file(&mut self, file: &Arc<StoredFile>, range: ByteRange) -> Result<(), FollowFault> {
        let mut at = range.first;
        while at <= range.last {
            let (start, block) = block_of(file, at).await?;
            let from = usize::try_from(at - start).unwrap_or(usize::MAX);
            let until = usize::try_from(range.last - start + 1)
                .unwrap_or(usize::MAX)
                .min(block.len());
            let Some(bytes) = block.get(from..until).filter(|bytes| !bytes.is_empty()) else {
                return Err(FollowFault::Disk(
                    "a block is shorter than its file says".to_owned(),
                ));
            };
            self.send(bytes).await?;
            at += bytes.len() as u64;
            // A client as fast as the disk would otherwise keep the worker to itself.
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Sends what a follower reads, from `first` to its end, or to `last`.
    pub async fn follow(
        &mut self,
        follower: &mut Follower,
        first: u64,
        last: Option<u64>,
    ) -> Result<(), FollowFault> {
        if follower.position() != first && !follower.skip_to(first) {
            return Err(FollowFault::Broken);
        }
        let mut at = first;
        while last.is_none_or(|last| at <= last) {
            let bytes = match self.next(follower).await? {
                Step::Bytes(bytes) => bytes,
                Step::InFile {
                    reader,
                    offset,
                    length,
                } => {
                    let bytes = in_file(&reader, offset, length).await?;
                    follower.advance(bytes.len() as u64);
                    bytes
                }
                // The end before the last byte asked for cannot be: its place was taken from the announced length.
                Step::End if last.is_some() => return Err(FollowFault::Broken),
                Step::End => return Ok(()),
                Step::Broken => return Err(FollowFault::Broken),
            };
            let wanted = last.map_or(u64::MAX, |last| last - at + 1);
            let wanted = usize::try_from(wanted).unwrap_or(usize::MAX).min(bytes.len());
            self.send(&bytes[..wanted]).await?;
            at += wanted as u64;
        }
        Ok(())
    }

    /// The next step. What is ready to be sent does not wait for it, and neither does the loss of the client.
    async fn next(&mut self, follower: &mut Follower) -> Result<Step, FollowFault> {
        let ready = poll_fn(|cx| match follower.poll_next(cx) {
            Poll::Ready(step) => Poll::Ready(Some(step)),
            Poll::Pending => Poll::Ready(None),
        });
        if let Some(step) = ready.await {
            return Ok(step);
        }
        self.flush().await?;
        tokio::select! {
            biased;
            step = follower.next() => Ok(step),
            gone = self.client.broken() => Err(FollowFault::Client(IoFault::Broken(gone))),
        }
    }
}

/// The block that holds a byte, and where it starts.
async fn block_of(file: &Arc<StoredFile>, at: u64) -> Result<(u64, Bytes), FollowFault> {
    let index = at / BLOCK as u64;
    let told = |fault: ReadFault| FollowFault::Disk(fault.to_string());
    let block = match file.read_block(index, false).map_err(told)? {
        Some(block) => block,
        None => {
            let file = Arc::clone(file);
            let read = off_thread(move || file.read_block(index, true)).await;
            let read = read.map_err(|error| FollowFault::Disk(error.to_string()))?;
            read.map_err(told)?.ok_or(FollowFault::Broken)?
        }
    };
    Ok((index * BLOCK as u64, block))
}

async fn in_file(reader: &Arc<dyn Spill>, offset: u64, length: u64) -> Result<Bytes, FollowFault> {
    let length = usize::try_from(length).unwrap_or(usize::MAX).min(READ_BYTES);
    let mut bytes = vec![0; length];
    let told = |error: io::Error| FollowFault::Disk(error.to_string());
    let read = match reader.read_at(offset, &mut bytes, false).map_err(told)? {
        Some(read) => read,
        None => {
            let reader = Arc::clone(reader);
            let (read, filled) = off_thread(move || {
                let read = reader.read_at(offset, &mut bytes, true);
                (read, bytes)
            })
            .await
            .map_err(told)?;
            bytes = filled;
            read.map_err(told)?.unwrap_or(0)
        }
    };
    if read == 0 {
        return Err(FollowFault::Disk("the file has ended before the body".to_owned()));
    }
    bytes.truncate(read);
    Ok(bytes.into())
}
