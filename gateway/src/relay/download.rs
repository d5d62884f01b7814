//! An answer on its way to the client.

use std::io::IoSlice;
use std::time::Duration;

use super::origin::Reader;
use super::upload::write_last_chunk;
use crate::stream::{Buffer, IoFault, Stream, within};
use crate::wire::chunk::{BodyFault, Step, write_size};
use crate::wire::{Decoder, Length};

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
    /// Body bytes the client's connection has taken.
    pub sent: u64,
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
}

impl Download {
    /// A body of that length, to be sent in chunks or as it is.
    pub fn new(length: Length, is_chunked: bool, read_timeout: Duration, write_timeout: Duration) -> Self {
        Self {
            decoder: Decoder::new(length),
            is_chunked,
            read_timeout,
            write_timeout,
            sent: 0,
        }
    }

    /// Sends `head` and then the body until its end.
    pub async fn run(
        &mut self,
        reader: &mut Reader,
        origin: &Stream,
        client: &Stream,
        head: Vec<u8>,
    ) -> Result<(), DownloadFault> {
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
        let read = tokio::select! {
            biased;
            read = within(self.read_timeout, buffer.fill(origin)) => read,
            gone = client.broken() => return Err(DownloadFault::Client(IoFault::Broken(gone))),
        };
        match read {
            Ok(0) if self.decoder.ends_with_connection() => Ok(false),
            Ok(0) | Err(IoFault::Broken(_)) => Err(DownloadFault::CutOff),
            Ok(_) => Ok(true),
            Err(IoFault::TimedOut) => Err(DownloadFault::OriginTooSlow),
        }
    }

    fn end(&self, out: &mut Vec<u8>) {
        if self.is_chunked {
            write_last_chunk(out, self.decoder.trailers());
        }
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
}
