//! A request on its way to an origin: its head, then its body as the client sends it.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::pin;
use std::time::Duration;

use crate::stream::buffer::LARGE_BYTES;
use crate::stream::{Buffer, IoFault, Stream, within};
use crate::wire::chunk::{BodyFault, Step, write_size};
use crate::wire::{Decoder, Fields, Length, edit};

/// Body bytes kept so that a request can be sent again to another server. A longer body is sent once.
pub const REPLAY_BYTES_MAX: usize = 64 * 1024;

/// Pieces written before whoever waits for the answer has a turn. A body that comes and goes without a wait would use up
/// all that a task may do at a time, and an early answer be seen after its end. A piece is up to 64 KiB, some ten
/// microseconds' work; a turn costs one.
const PIECES_IN_A_TURN: u32 = 4;

/// Room for a head as browsers send it, so that it is not moved while it is written.
const HEAD_BYTES_USUAL: usize = 1024;

/// A request being sent. Survives the server it is being sent to: [`Upload::restart`] begins anew.
#[derive(Debug)]
pub struct Upload<'a> {
    client: Option<&'a Stream>,
    inbound: &'a mut Buffer,
    decoder: Decoder,
    length: Length,
    body_max: u64,
    body_timeout: Duration,
    /// Body bytes received from the client.
    received: u64,
    is_received: bool,
    kept: Vec<u8>,
    is_kept_whole: bool,
    /// Names of fields that the client may not say in a trailer either.
    withheld: Vec<String>,
    /// Encoded bytes not yet written, and how far they have been.
    wire: Vec<u8>,
    written: usize,
    replayed: usize,
    /// Whether the request's end has been put into `wire`.
    is_encoded: bool,
}

/// Why a request could not be sent on.
#[derive(Debug)]
pub enum UploadFault {
    /// The client's body is larger than it may be.
    TooLarge,
    /// The client's body is malformed.
    Malformed(BodyFault),
    /// The client was too slow.
    ClientTooSlow,
    /// The client has gone.
    ClientGone,
    /// The origin takes nothing more.
    Origin(IoFault),
}

/// Limits of one upload.
#[derive(Clone, Copy, Debug)]
pub struct UploadLimits {
    /// Bytes of body.
    pub body_max: u64,
    /// Between two reads from the client.
    pub body_timeout: Duration,
    /// Whether the body may be needed again.
    pub keeps: bool,
}

impl<'a> Upload<'a> {
    /// A request whose body, of that length, begins in `inbound`.
    ///
    /// Without a client the request is one of our own, which has no body.
    pub fn new(
        client: Option<&'a Stream>,
        inbound: &'a mut Buffer,
        length: Length,
        limits: UploadLimits,
    ) -> Self {
        let is_received = matches!(length, Length::None | Length::Known(0));
        Self {
            client,
            inbound,
            decoder: Decoder::new(length),
            length,
            body_max: limits.body_max,
            body_timeout: limits.body_timeout,
            received: 0,
            is_received,
            kept: Vec::new(),
            is_kept_whole: limits.keeps || is_received,
            withheld: Vec::new(),
            wire: Vec::new(),
            written: 0,
            replayed: 0,
            is_encoded: false,
        }
    }

    /// A request whose whole body is at hand; `inbound` is empty.
    pub fn of_whole(inbound: &'a mut Buffer, body: Vec<u8>, limits: UploadLimits) -> Self {
        let mut upload = Self::new(None, inbound, Length::None, limits);
        if !body.is_empty() {
            upload.length = Length::Known(body.len() as u64);
        }
        upload.received = body.len() as u64;
        upload.kept = body;
        upload
    }

    /// The body, if all of it has come and is still at hand: no longer than [`REPLAY_BYTES_MAX`], and kept.
    pub fn whole(&self) -> Option<&[u8]> {
        (self.is_received && self.is_kept_whole).then_some(&*self.kept)
    }

    /// The same, and the client's trailers of these names do not go on, nor those that many take for them.
    #[must_use]
    pub fn withhold(mut self, names: Vec<String>) -> Self {
        self.withheld = names;
        self
    }

    /// Begins to send to another connection. The new head is what `write_head` appends.
    pub fn restart(&mut self, write_head: impl FnOnce(&mut Vec<u8>)) {
        self.wire.clear();
        self.wire.reserve(HEAD_BYTES_USUAL);
        self.written = 0;
        self.replayed = 0;
        self.is_encoded = false;
        write_head(&mut self.wire);
    }

    /// Whether all that the client has sent so far can be sent once more.
    pub fn can_restart(&self) -> bool {
        self.received == 0 || self.is_kept_whole
    }

    /// Whether the whole request has been written to the origin, to its last byte: what is still in `wire` when an
    /// early answer ends the sending would make the connection's next request the rest of this one.
    pub fn is_sent(&self) -> bool {
        self.is_encoded && self.written == self.wire.len()
    }

    /// Whether the client's body has been read to its end, so that the connection can carry another request.
    pub fn is_received(&self) -> bool {
        self.is_received
    }

    /// Body bytes received from the client.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// The client's connection; None for a request of our own.
    pub fn client(&self) -> Option<&'a Stream> {
        self.client
    }

    /// What the client has sent beyond what was used.
    pub fn inbound(&mut self) -> &mut Buffer {
        self.inbound
    }

    /// Sends what can be sent without waiting for anybody. Whether that was all of it, as it is with most requests.
    ///
    /// What has come of the body by then goes out with the head, in one piece.
    pub fn run_now(&mut self, origin: &Stream) -> Result<bool, UploadFault> {
        while !self.is_encoded && self.written == 0 && self.wire.len() < LARGE_BYTES {
            if !self.produce_now()? {
                break;
            }
        }
        while self.written < self.wire.len() {
            match origin.try_write(&[IoSlice::new(&self.wire[self.written..])]) {
                Ok(0) => return Err(UploadFault::Origin(io::Error::from(ErrorKind::WriteZero).into())),
                Ok(written) => self.written += written,
                Err(fault) if fault.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(fault) => return Err(UploadFault::Origin(fault.into())),
            }
        }
        Ok(self.is_encoded)
    }

    /// Sends until all is sent. Dropping the future loses nothing: call again to go on.
    pub async fn run(&mut self, origin: &Stream, write_timeout: Duration) -> Result<(), UploadFault> {
        let mut pieces = 0;
        loop {
            if pieces == PIECES_IN_A_TURN {
                pieces = 0;
                tokio::task::yield_now().await;
            }
            while self.written < self.wire.len() {
                let rest = [IoSlice::new(&self.wire[self.written..])];
                let write = pin!(origin.write_some(&rest));
                self.written += within(write_timeout, write).await.map_err(UploadFault::Origin)?;
            }
            if self.is_encoded {
                return Ok(());
            }
            self.wire.clear();
            self.written = 0;
            self.produce().await?;
            pieces += 1;
        }
    }

    /// Puts the next bytes for the origin into `wire`.
    async fn produce(&mut self) -> Result<(), UploadFault> {
        if !self.produce_now()? {
            self.read().await?;
        }
        Ok(())
    }

    /// The same of what is at hand; whether anything was.
    fn produce_now(&mut self) -> Result<bool, UploadFault> {
        if self.replayed < self.kept.len() {
            let replay = std::mem::take(&mut self.kept);
            self.encode(&replay[self.replayed..]);
            self.replayed = replay.len();
            self.kept = replay;
        } else if self.is_received {
            self.encode_end();
            self.is_encoded = true;
        } else {
            return self.decode();
        }
        Ok(true)
    }

    /// Takes what lies in the buffer; whether there was anything.
    fn decode(&mut self) -> Result<bool, UploadFault> {
        let mut any = false;
        while self.wire.len() < LARGE_BYTES {
            match self
                .decoder
                .step(self.inbound.unread(), 0)
                .map_err(UploadFault::Malformed)?
            {
                Step::Data { start, end } => {
                    self.received += (end - start) as u64;
                    if self.received > self.body_max {
                        return Err(UploadFault::TooLarge);
                    }
                    self.keep(start, end);
                    encode(&mut self.wire, self.length, &self.inbound.unread()[start..end]);
                    self.inbound.consume(end);
                    any = true;
                }
                Step::More => {
                    // What is announced will be too much: better told before it is sent.
                    if self.received.saturating_add(self.decoder.announced()) > self.body_max {
                        return Err(UploadFault::TooLarge);
                    }
                    let used = self.inbound.unread().len();
                    self.inbound.consume(used);
                    break;
                }
                Step::Done { end } => {
                    self.inbound.consume(end);
                    self.is_received = true;
                    return Ok(true);
                }
            }
        }
        Ok(any)
    }

    fn keep(&mut self, start: usize, end: usize) {
        if self.is_kept_whole && self.kept.len() + (end - start) <= REPLAY_BYTES_MAX {
            self.kept.extend_from_slice(&self.inbound.unread()[start..end]);
            self.replayed = self.kept.len();
        } else if self.is_kept_whole {
            self.is_kept_whole = false;
            self.kept = Vec::new();
            self.replayed = 0;
        }
    }

    async fn read(&mut self) -> Result<(), UploadFault> {
        let client = self.client.ok_or(UploadFault::ClientGone)?;
        self.inbound.grow_if_filled();
        match within(self.body_timeout, self.inbound.fill(client)).await {
            Ok(0) | Err(IoFault::Broken(_)) => Err(UploadFault::ClientGone),
            Ok(_) => Ok(()),
            Err(IoFault::TimedOut) => Err(UploadFault::ClientTooSlow),
        }
    }

    fn encode(&mut self, data: &[u8]) {
        encode(&mut self.wire, self.length, data);
    }

    fn encode_end(&mut self) {
        if self.length == Length::Chunked {
            let is_withheld = |name: &[u8]| self.withheld.iter().any(|n| edit::is_alike(n.as_bytes(), name));
            let trailers = self.decoder.trailers().map(|trailers| {
                let mut passing = Fields::default();
                let allowed = trailers.iter().filter(|field| !is_withheld(field.name));
                allowed.for_each(|field| passing.push(field.name, field.value));
                passing
            });
            write_last_chunk(&mut self.wire, trailers.as_ref());
        }
    }
}

fn encode(wire: &mut Vec<u8>, length: Length, data: &[u8]) {
    if length == Length::Chunked {
        write_size(wire, data.len());
        wire.extend_from_slice(data);
        wire.extend_from_slice(b"\r\n");
    } else {
        wire.extend_from_slice(data);
    }
}

/// Appends the end of a chunked body with those trailers that may be passed on.
pub fn write_last_chunk(out: &mut Vec<u8>, trailers: Option<&Fields>) {
    out.extend_from_slice(b"0\r\n");
    for field in trailers
        .into_iter()
        .flat_map(Fields::iter)
        .filter(|f| edit::may_trail(f.name))
    {
        edit::write_field(out, &field);
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests;
