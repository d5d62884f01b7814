//! An answer on its way to the client.

use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::time::Duration;

use tokio::task::coop::consume_budget;
use tokio::time::{Sleep, sleep, timeout};

use super::origin::Reader;
use super::upload::write_last_chunk;
use crate::compress::{self, EncodeFault, Encoder};
use crate::stream::{Buffer, COPIED_BYTES_MAX, IoFault, Stream, within};
use crate::wire::chunk::{BodyFault, Step, write_size};
use crate::wire::{Decoder, Fields, Length};

/// How long an origin may pause before what is in the encoder goes out. A flush costs bytes and some of the ratio, and the
/// next packet of a body that is on its way is mostly nearer than this; a client does not notice it.
const PAUSE: Duration = Duration::from_millis(3);

/// How long anything may be held back by an origin that never pauses and never sends much.
const HOLD: Duration = Duration::from_millis(50);

/// Encoded bytes that are written at a time.
const CODED_BYTES: usize = 64 * 1024;

/// Body bytes encoded at a time: about a millisecond's work, after which others have their turn.
const TURN_BYTES: usize = 64 * 1024;

/// An answer's body being relayed.
#[derive(Debug)]
pub struct Download {
    decoder: Decoder,
    /// Whether the client gets chunks.
    is_chunked: bool,
    /// Between two reads from the origin.
    read_timeout: Duration,
    /// For each wait for the client.
    write_timeout: Duration,
    coder: Option<Coder>,
    /// Names of fields that are not to be said in a trailer either.
    withheld: Vec<String>,
    /// Body bytes the client's connection has taken, as they went over it.
    pub sent: u64,
}

/// A body being put into a coding on its way.
#[derive(Debug)]
struct Coder {
    encoder: Encoder,
    /// Whether nothing may be held back, not even for [`PAUSE`].
    is_live: bool,
    /// Encoded and not yet written.
    out: Vec<u8>,
    /// When the encoder is to be flushed at the latest; Some if it was given something since it was.
    held: Option<Pin<Box<Sleep>>>,
    /// Body bytes encoded in this turn.
    turn_bytes: usize,
}

/// Why an answer was not delivered whole. The client must not take what it has for the whole.
#[derive(Debug)]
pub enum DownloadFault {
    /// The client takes nothing more, or too slowly.
    Client(IoFault),
    /// The origin's connection has ended before the body did.
    CutOff,
    /// The origin's body is malformed.
    Malformed(BodyFault),
    /// The origin was too slow.
    OriginTooSlow,
    /// Our own encoder has failed.
    Encoder(EncodeFault),
}

impl Download {
    /// A body of that length, to be sent in chunks or as it is.
    pub fn new(length: Length, is_chunked: bool, read_timeout: Duration, write_timeout: Duration) -> Self {
        Self {
            decoder: Decoder::new(length),
            is_chunked,
            read_timeout,
            write_timeout,
            coder: None,
            withheld: Vec::new(),
            sent: 0,
        }
    }

    /// The same, encoded on its way: then it must go in chunks. `is_live`: its reader wants every byte at once.
    #[must_use]
    pub fn encoded(mut self, encoder: Option<Encoder>, is_live: bool) -> Self {
        self.coder = encoder.map(|encoder| Coder {
            encoder,
            is_live,
            out: Vec::new(),
            held: None,
            turn_bytes: 0,
        });
        self
    }

    /// The same, and the origin's trailers of these names do not go on.
    #[must_use]
    pub fn withhold(mut self, names: Vec<String>) -> Self {
        self.withheld = names;
        self
    }

    /// Sends `head` and then the body until its end.
    pub async fn run(
        &mut self,
        reader: &mut Reader,
        origin: &Stream,
        client: &Stream,
        head: Vec<u8>,
    ) -> Result<(), DownloadFault> {
        if let Some(coder) = self.coder.take() {
            return Box::pin(self.run_encoded(coder, reader, origin, client, head)).await;
        }
        // What is to be written before the next stretch of body: the head, then framing.
        let mut before = head;
        loop {
            let is_done = self.pass_on(reader.buffer(), client, &mut before).await?;
            // A head is sent on at once even while the body is still to come: the client may be waiting for it.
            if !before.is_empty() {
                self.write(client, &mut [IoSlice::new(&before)], 0).await?;
                before.clear();
            }
            if is_done {
                return Ok(());
            }
            if !self.read(reader.buffer(), origin, client).await? {
                self.end(&mut before);
                return if before.is_empty() {
                    Ok(())
                } else {
                    self.write(client, &mut [IoSlice::new(&before)], 0).await
                };
            }
        }
    }

    /// Relays what lies in the buffer. Whether the body has ended.
    async fn pass_on(
        &mut self,
        buffer: &mut Buffer,
        client: &Stream,
        before: &mut Vec<u8>,
    ) -> Result<bool, DownloadFault> {
        loop {
            let unread = buffer.unread();
            match self.decoder.step(unread, 0).map_err(DownloadFault::Malformed)? {
                Step::Data { start, end } if self.is_chunked => {
                    write_size(before, end - start);
                    before.extend_from_slice(&unread[start..end]);
                    before.extend_from_slice(b"\r\n");
                    self.sent += (end - start) as u64;
                    buffer.consume(end);
                }
                Step::Data { start, end } if !before.is_empty() && end - start <= COPIED_BYTES_MAX => {
                    before.extend_from_slice(&unread[start..end]);
                    self.sent += (end - start) as u64;
                    buffer.consume(end);
                }
                Step::Data { start, end } => {
                    let mut pieces = [IoSlice::new(before), IoSlice::new(&unread[start..end])];
                    self.write(client, &mut pieces, (end - start) as u64).await?;
                    before.clear();
                    buffer.consume(end);
                }
                Step::More => {
                    let used = unread.len();
                    buffer.consume(used);
                    return Ok(false);
                }
                Step::Done { end } => {
                    buffer.consume(end);
                    self.end(before);
                    return Ok(true);
                }
            }
        }
    }

    /// Reads on. False when the connection has ended and the body with it.
    ///
    /// An origin may pause for long within an answer; a client that has gone meanwhile must not hold it.
    async fn read(
        &self,
        buffer: &mut Buffer,
        origin: &Stream,
        client: &Stream,
    ) -> Result<bool, DownloadFault> {
        buffer.grow_if_filled();
        let filling = pin!(buffer.fill(origin));
        let read = tokio::select! {
            biased;
            read = within(self.read_timeout, filling) => read,
            gone = client.broken() => return Err(DownloadFault::Client(IoFault::Broken(gone))),
        };
        self.judge(read)
    }

    fn judge(&self, read: Result<usize, IoFault>) -> Result<bool, DownloadFault> {
        match read {
            Ok(0) if self.decoder.ends_with_connection() => Ok(false),
            Ok(0) | Err(IoFault::Broken(_)) => Err(DownloadFault::CutOff),
            Ok(_) => Ok(true),
            Err(IoFault::TimedOut) => Err(DownloadFault::OriginTooSlow),
        }
    }

    fn end(&self, out: &mut Vec<u8>) {
        if self.is_chunked {
            let trailers = self.decoder.trailers();
            match self.withheld.is_empty() {
                true => write_last_chunk(out, trailers),
                false => write_last_chunk(out, trailers.map(|t| self.passing(t, |_| true)).as_ref()),
            }
        }
    }

    /// The trailers that are not withheld, and of which `is_true` says the same.
    fn passing(&self, trailers: &Fields, is_true: impl Fn(&[u8]) -> bool) -> Fields {
        let is_withheld = |name: &[u8]| {
            self.withheld
                .iter()
                .any(|n| n.as_bytes().eq_ignore_ascii_case(name))
        };
        let mut passing = Fields::default();
        for field in trailers.iter() {
            if is_true(field.name) && !is_withheld(field.name) {
                passing.push(field.name, field.value);
            }
        }
        passing
    }

    async fn write(
        &mut self,
        client: &Stream,
        pieces: &mut [IoSlice<'_>],
        body: u64,
    ) -> Result<(), DownloadFault> {
        client
            .write_all(pieces, self.write_timeout)
            .await
            .map_err(DownloadFault::Client)?;
        self.sent += body;
        Ok(())
    }

    /// The same as [`Download::run`] through an encoder, which is finished at the body's true end and nowhere else.
    async fn run_encoded(
        &mut self,
        mut coder: Coder,
        reader: &mut Reader,
        origin: &Stream,
        client: &Stream,
        head: Vec<u8>,
    ) -> Result<(), DownloadFault> {
        let mut before = head;
        let buffer = reader.buffer();
        loop {
            let is_done = self.encode(&mut coder, buffer, client, &mut before).await?
                || !self
                    .read_on(&mut coder, buffer, (origin, client), &mut before)
                    .await?;
            if is_done {
                break;
            }
        }
        let Coder { encoder, mut out, .. } = coder;
        encoder.finish(&mut out).map_err(DownloadFault::Encoder)?;
        let mut end = Vec::new();
        // Not all are as true of an encoded body.
        let trailers = self.decoder.trailers();
        let trailers = trailers.map(|trailers| self.passing(trailers, compress::may_trail));
        write_last_chunk(&mut end, trailers.as_ref());
        self.write_chunk(client, &mut before, &mut out, &end).await
    }

    /// Encodes what lies in the buffer. Whether the body has ended.
    async fn encode(
        &mut self,
        coder: &mut Coder,
        buffer: &mut Buffer,
        client: &Stream,
        before: &mut Vec<u8>,
    ) -> Result<bool, DownloadFault> {
        loop {
            let unread = buffer.unread();
            match self.decoder.step(unread, 0).map_err(DownloadFault::Malformed)? {
                Step::Data { start, end } => {
                    coder.take(&unread[start..end])?;
                    buffer.consume(end);
                    if coder.out.len() >= CODED_BYTES {
                        self.write_chunk(client, before, &mut coder.out, b"").await?;
                    }
                    if coder.turn_bytes >= TURN_BYTES {
                        coder.turn_bytes = 0;
                        tokio::task::yield_now().await;
                    }
                }
                Step::More => {
                    let used = unread.len();
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

    /// Reads on, and has sent all there is before it waits for long. False when connection and body have ended.
    async fn read_on(
        &mut self,
        coder: &mut Coder,
        buffer: &mut Buffer,
        (origin, client): (&Stream, &Stream),
        before: &mut Vec<u8>,
    ) -> Result<bool, DownloadFault> {
        buffer.grow_if_filled();
        let soon = coder.read_soon(buffer, origin).await;
        let soon = soon.map(|read| self.judge(read.map_err(IoFault::Broken)));
        if let Some(Ok(is_more)) = soon {
            return Ok(is_more);
        }
        coder.flush()?;
        // What came before a body broke off is sent all the same, as of any other body: its head above all.
        self.write_chunk(client, before, &mut coder.out, b"").await?;
        match soon {
            Some(fault) => fault,
            None => self.read(buffer, origin, client).await,
        }
    }

    /// Writes what is to come before it, one chunk if there is anything to put into it, and what comes after it.
    async fn write_chunk(
        &mut self,
        client: &Stream,
        before: &mut Vec<u8>,
        out: &mut Vec<u8>,
        after: &[u8],
    ) -> Result<(), DownloadFault> {
        // An empty chunk would be the last one.
        let mut end: &[u8] = b"";
        if !out.is_empty() {
            write_size(before, out.len());
            end = b"\r\n";
        }
        let mut pieces = [before.as_slice(), out, end, after].map(IoSlice::new);
        self.write(client, &mut pieces, out.len() as u64).await?;
        before.clear();
        out.clear();
        Ok(())
    }
}

impl Coder {
    fn take(&mut self, bytes: &[u8]) -> Result<(), DownloadFault> {
        self.held.get_or_insert_with(|| Box::pin(sleep(HOLD)));
        self.turn_bytes += bytes.len();
        let taken = self.encoder.write(bytes, &mut self.out);
        taken.map_err(DownloadFault::Encoder)
    }

    fn flush(&mut self) -> Result<(), DownloadFault> {
        if self.held.take().is_none() {
            return Ok(());
        }
        let flushed = self.encoder.flush(&mut self.out);
        flushed.map_err(DownloadFault::Encoder)
    }

    /// What the origin sends without a longer pause; None if it pauses.
    async fn read_soon(&mut self, buffer: &mut Buffer, origin: &Stream) -> Option<io::Result<usize>> {
        let held = self.held.as_mut().filter(|_| !self.is_live);
        let Some(held) = held else {
            // A head goes out at once, and so does a body that is read as it comes.
            consume_budget().await;
            return match buffer.try_fill(origin) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
                read => Some(read),
            };
        };
        tokio::select! {
            biased;
            () = held => None,
            read = timeout(PAUSE, buffer.fill(origin)) => read.ok(),
        }
    }
}
