//! An answer's body on its way from its origin into the cache.

use std::io;
use std::time::Duration;

use bytes::Bytes;

use super::origin::{Origin, Reader};
use crate::cache::fill::{Fill, FillError, FillWriter, Pushed, SpillJob};
use crate::kit::clock::Mono;
use crate::stream::{IoFault, Stream, within};
use crate::wire::Decoder;
use crate::wire::chunk::{BodyFault, Step};

/// What a body that nobody follows has to bring in which time. A trickle would hold its connection, its server's place and
/// its key for as long as its origin likes, and nobody would miss it.
const ALONE_TIME: Duration = Duration::from_secs(60);
const ALONE_BYTES_MIN: u64 = 256 * 1024;

/// Why a body did not come whole.
#[derive(Debug)]
pub enum FetchFault {
    /// The origin's connection has ended before the body did.
    CutOff,
    /// The origin's body is malformed.
    Malformed(BodyFault),
    /// The origin was too slow.
    OriginTooSlow,
    /// Nobody reads it any more, and it cannot be stored, or not in good time.
    Unheard,
    /// The fill takes nothing more.
    Refused(FillError),
}

/// Reads the body to its end. The fill's end is for the caller to say.
pub async fn fetch(
    origin: &mut Origin,
    mut decoder: Decoder,
    read_timeout: Duration,
    writer: &mut FillWriter,
    now: impl Fn() -> Mono,
) -> Result<(), FetchFault> {
    let (reader, stream) = origin.split();
    let mut alone = Alone::default();
    loop {
        if take(reader, &mut decoder, writer).await? {
            return Ok(());
        }
        if !alone.is_worth_it(writer.fill(), now()) {
            return Err(FetchFault::Unheard);
        }
        if !read(reader, stream, &decoder, read_timeout).await? {
            return Ok(());
        }
    }
}

/// Since when nobody has followed a body, and how much of it was there then; begun anew with each [`ALONE_TIME`].
#[derive(Default)]
struct Alone(Option<(Mono, u64)>);

impl Alone {
    fn is_worth_it(&mut self, fill: &Fill, now: Mono) -> bool {
        if fill.followers() > 0 {
            self.0 = None;
            return true;
        }
        let received = fill.received();
        let (since, before) = *self.0.get_or_insert((now, received));
        if now.since(since) < ALONE_TIME {
            return true;
        }
        self.0 = Some((now, received));
        received - before >= ALONE_BYTES_MIN
    }
}

/// Takes what lies in the buffer. Whether the body has ended.
async fn take(
    reader: &mut Reader,
    decoder: &mut Decoder,
    writer: &mut FillWriter,
) -> Result<bool, FetchFault> {
    let buffer = reader.buffer();
    loop {
        match decoder.step(buffer.unread(), 0).map_err(FetchFault::Malformed)? {
            Step::Data { start, end } => {
                let bytes = Bytes::copy_from_slice(&buffer.unread()[start..end]);
                buffer.consume(end);
                push(writer, bytes).await?;
            }
            Step::More => {
                let used = buffer.unread().len();
                buffer.consume(used);
                return Ok(false);
            }
            Step::Done { end } => {
                buffer.consume(end);
                return Ok(true);
            }
        }
    }
}

async fn push(writer: &mut FillWriter, bytes: Bytes) -> Result<(), FetchFault> {
    writer.room().await;
    match writer.push(bytes).map_err(FetchFault::Refused)? {
        Pushed::Kept => Ok(()),
        Pushed::Unheard => Err(FetchFault::Unheard),
        Pushed::Spill(job) => {
            // Not awaited: the origin is read on, and the fill itself says when there is no room.
            tokio::task::spawn_blocking(move || told(job));
            Ok(())
        }
    }
}

/// Runs a job; a failed one is no fault of the body: those who follow it miss nothing.
fn told(job: SpillJob) {
    if let Err(error) = job.run() {
        log::warn!("an answer too large for memory could not be put on disk and is not kept: {error}");
    }
}

/// Reads on. False when the connection has ended and the body with it.
async fn read(
    reader: &mut Reader,
    stream: &Stream,
    decoder: &Decoder,
    read_timeout: Duration,
) -> Result<bool, FetchFault> {
    let buffer = reader.buffer();
    buffer.grow_if_filled();
    match within(read_timeout, buffer.fill(stream)).await {
        Ok(0) if decoder.ends_with_connection() => Ok(false),
        Ok(0) | Err(IoFault::Broken(_)) => Err(FetchFault::CutOff),
        Ok(_) => Ok(true),
        Err(IoFault::TimedOut) => Err(FetchFault::OriginTooSlow),
    }
}

/// Runs work that may wait for a disk, away from the worker's thread.
pub async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    // It fails only when the runtime ends, or by a panic, which its own message tells of.
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| io::ErrorKind::Interrupted.into())
}
