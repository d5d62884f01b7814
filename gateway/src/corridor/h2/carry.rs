//! One stream that walks the corridor: its frames become the bytes of a connection of its own, and back.
//!
//! ```text
//! DATA ─► up ─► memory ─► the corridor
//! HEADERS, DATA ◄─ down ◄─ memory ◄──┘
//! ```
//!
//! What waits between the two is limited: a window of what the client sends, the memory's own [`PIPE_BYTES`] each way, as
//! much again taken out of it, and what `h2` holds for the client.
//!
//! [`PIPE_BYTES`]: crate::stream::memory::PIPE_BYTES

use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::io::{self, IoSlice};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use ::h2::server::SendResponse;
use ::h2::{Reason, RecvStream, SendStream};
use bytes::{Buf, Bytes, BytesMut};

use super::head::{self, Inbound};
use crate::corridor::worker::{Counted, Door, Worker};
use crate::corridor::{Verdict, Visit};
use crate::exchange::{Exchange, Heads};
use crate::reply::Refusal;
use crate::stream::{Buffer, Memory, Stream};
use crate::wire::chunk::{Step, write_size};
use crate::wire::{Answer, Decoder, HeadLimits, HeadScan, Length, Method, framing};

/// Limits of heads that the corridor itself writes: what an origin may send, and what is added to it.
const ANSWER_LIMITS: HeadLimits = HeadLimits {
    bytes_max: 1 << 20,
    fields_max: 4096,
    target_bytes_max: 1 << 20,
    leading_lines_max: 0,
};

/// How long a tunnel's client may take nothing: as long as the corridor lets a tunnel be silent.
const TUNNEL_TIMEOUT: Duration = Duration::from_secs(600);

/// A request that has been taken in, and what was decided of it.
pub(super) struct Taken {
    pub(super) worker: Rc<Worker>,
    pub(super) door: Rc<Door>,
    pub(super) x: Exchange,
    pub(super) served: u64,
    pub(super) buffer: Buffer,
    /// The corridor's end.
    pub(super) near: Stream,
    pub(super) decided: Result<Verdict, Refusal>,
    /// It was looked for in memory, and not found.
    pub(super) is_cold: bool,
}

/// The frames' side of it.
pub(super) struct Frames {
    pub(super) body: RecvStream,
    pub(super) respond: SendResponse<Bytes>,
    pub(super) inbound: Inbound,
}

/// Why an answer is not ended: what the client is told by the reset.
struct Cut(Reason);

impl From<::h2::Error> for Cut {
    /// The stream has been reset, or its connection is gone: nobody is told anything any more.
    fn from(_: ::h2::Error) -> Self {
        Self(Reason::CANCEL)
    }
}

/// Serves one stream to its end.
pub(super) async fn carry(taken: Taken, far: Memory, frames: Frames) {
    let Frames {
        mut body,
        mut respond,
        inbound,
    } = frames;
    let limit = match inbound {
        Inbound::Tunnel => TUNNEL_TIMEOUT,
        Inbound::Nothing | Inbound::Plain | Inbound::Chunked => {
            taken.x.snapshot.plan.server.limits.body_timeout
        }
    };
    let method = match inbound {
        Inbound::Tunnel => Method::Get,
        Inbound::Nothing | Inbound::Plain | Inbound::Chunked => taken.x.request.method,
    };
    let walk = walk(taken);
    let down = async {
        let mut down = Down {
            far: &far,
            inbox: BytesMut::new(),
            limit,
            is_tunnel: inbound == Inbound::Tunnel,
        };
        if let Err(Cut(reason)) = down.run(&mut respond, method).await {
            // A reset goes before whatever has not been written. What came of the answer may tell the client more.
            tokio::task::yield_now().await;
            respond.send_reset(reason);
            far.break_off();
        }
    };
    let up = async {
        if let Err(Left) = up(&far, &mut body, inbound).await {
            far.break_off();
        }
        pending::<Infallible>().await
    };
    tokio::select! {
        biased;
        _ = async { tokio::join!(walk, down) } => {}
        never = up => match never {},
    }
    // A body that is still coming is not wanted any more. Dropping its stream says so: by RST_STREAM with NO_ERROR where
    // the answer was whole (RFC 9113 §8.1).
}

/// The corridor's part.
async fn walk(taken: Taken) {
    let Taken {
        worker,
        door,
        x,
        served,
        mut buffer,
        near,
        decided,
        is_cold,
    } = taken;
    let _running = Counted::new(&worker.load.requests);
    let mut visit = Visit {
        worker: &worker,
        door: &door,
        stream: &near,
        buffer: &mut buffer,
        x,
        served,
    };
    match decided {
        Ok(Verdict::Pass(service)) if is_cold => Box::pin(visit.pass_on(&service)).await,
        decided => visit.conclude(decided).await,
    };
    worker.tell(&visit.x);
    give_back(&worker, visit.x);
}

/// Takes the heads of a finished request back.
pub(super) fn give_back(worker: &Worker, x: Exchange) {
    let Exchange {
        request,
        answer,
        request_id,
        guarded,
        ..
    } = x;
    worker.take_back(Heads {
        request,
        answer,
        request_id,
        lines: guarded.lines,
    });
}

/// The client has left, or broken a rule.
struct Left;

/// The request's body on its way into the corridor. Ok if nothing more is to be done.
async fn up(far: &Memory, body: &mut RecvStream, inbound: Inbound) -> Result<(), Left> {
    if inbound == Inbound::Nothing {
        return Ok(());
    }
    let is_chunked = inbound == Inbound::Chunked;
    let mut size = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.map_err(|_| Left)?;
        size.clear();
        let mut end: &[u8] = b"";
        // An empty chunk would be the last one.
        if is_chunked && !data.is_empty() {
            write_size(&mut size, data.len());
            end = b"\r\n";
        }
        if write(far, &mut [&size[..], &data[..], end].map(IoSlice::new))
            .await
            .is_err()
        {
            // The corridor wants no more of it. What the client goes on to send fills its window and then waits.
            return Ok(());
        }
        body.flow_control()
            .release_capacity(data.len())
            .map_err(|_| Left)?;
    }
    match inbound {
        Inbound::Chunked => {
            let trailers = body.trailers().await.map_err(|_| Left)?;
            let mut last = Vec::new();
            head::write_last_chunk(&mut last, trailers.as_ref());
            let _ = write(far, &mut [IoSlice::new(&last)]).await;
        }
        Inbound::Tunnel => far.finish_sending(),
        Inbound::Nothing | Inbound::Plain => {}
    }
    Ok(())
}

async fn write(far: &Memory, mut pieces: &mut [IoSlice<'_>]) -> io::Result<()> {
    IoSlice::advance_slices(&mut pieces, 0);
    while !pieces.is_empty() {
        match far.try_write(pieces) {
            Ok(written) => IoSlice::advance_slices(&mut pieces, written),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => far.writable().await?,
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// An answer on its way to the client.
struct Down<'a> {
    far: &'a Memory,
    /// Taken from the corridor and not sent.
    inbox: BytesMut,
    /// For each wait for the client.
    limit: Duration,
    is_tunnel: bool,
}

impl Down<'_> {
    async fn run(&mut self, respond: &mut SendResponse<Bytes>, method: Method) -> Result<(), Cut> {
        let mut answer = Answer::default();
        loop {
            let text = self.head(respond, &mut answer).await?;
            let head = head::answer(&text).ok_or(Cut(Reason::INTERNAL_ERROR))?;
            match answer.status {
                101 if self.is_tunnel => {
                    let mut stream = respond.send_response(head::switched(head), false)?;
                    return self.body(&mut stream, Decoder::new(Length::UntilClose)).await;
                }
                101 => return Err(Cut(Reason::INTERNAL_ERROR)),
                100..200 => respond.send_informational(head)?,
                // RFC 8441 §5: a 2xx says that the WebSocket is open. Of HTTP/1.1 it says that none is, and that a page comes.
                200..300 if self.is_tunnel => {
                    respond.send_response(head::not_switched(head), true)?;
                    self.far.break_off();
                    return Ok(());
                }
                _ => {
                    let length =
                        framing::of_answer(&answer, method).map_err(|_| Cut(Reason::INTERNAL_ERROR))?;
                    let is_bare = matches!(length, Length::None | Length::Known(0));
                    let mut stream = respond.send_response(head, is_bare)?;
                    return match is_bare {
                        true => Ok(()),
                        false => self.body(&mut stream, Decoder::new(length)).await,
                    };
                }
            }
        }
    }

    /// The next head.
    async fn head(&mut self, respond: &mut SendResponse<Bytes>, answer: &mut Answer) -> Result<Bytes, Cut> {
        const FAULT: Cut = Cut(Reason::INTERNAL_ERROR);
        let mut scan = HeadScan::default();
        loop {
            let found = scan.advance(&self.inbox, ANSWER_LIMITS).map_err(|_| FAULT)?;
            if let Some((_, end)) = found {
                let text = self.inbox.split_to(end).freeze();
                answer.parse(&text, ANSWER_LIMITS).map_err(|_| FAULT)?;
                return Ok(text);
            }
            if !self.receive(&mut |cx| respond.poll_reset(cx)).await? {
                return Err(FAULT);
            }
        }
    }

    async fn body(&mut self, stream: &mut SendStream<Bytes>, mut decoder: Decoder) -> Result<(), Cut> {
        loop {
            match decoder
                .step(&self.inbox, 0)
                .map_err(|_| Cut(Reason::INTERNAL_ERROR))?
            {
                Step::Data { start, end } => {
                    self.inbox.advance(start);
                    let data = self.inbox.split_to(end - start).freeze();
                    let is_last = matches!(decoder, Decoder::Known(0));
                    send(stream, data, is_last, self.limit).await?;
                    if is_last {
                        return Ok(());
                    }
                }
                Step::Done { .. } => {
                    match decoder.trailers().map(head::trailers).filter(|t| !t.is_empty()) {
                        Some(trailers) => stream.send_trailers(trailers)?,
                        None => stream.send_data(Bytes::new(), true)?,
                    }
                    return Ok(());
                }
                Step::More => {
                    self.inbox.clear();
                    if !self.receive(&mut |cx| stream.poll_reset(cx)).await? {
                        if !decoder.ends_with_connection() {
                            return Err(Cut(Reason::INTERNAL_ERROR));
                        }
                        stream.send_data(Bytes::new(), true)?;
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Takes what the corridor has written, waiting for the first byte. False at the end.
    async fn receive(
        &mut self,
        poll_reset: &mut impl FnMut(&mut std::task::Context<'_>) -> Poll<Result<Reason, ::h2::Error>>,
    ) -> Result<bool, Cut> {
        let mut readable = pin!(self.far.readable());
        poll_fn(|cx| {
            if let Poll::Ready(readable) = readable.as_mut().poll(cx) {
                return Poll::Ready(readable.map_err(|_| Cut(Reason::INTERNAL_ERROR)));
            }
            poll_reset(cx).map(|_| Err(Cut(Reason::CANCEL)))
        })
        .await?;
        let bytes = self.far.take();
        if bytes.is_empty() {
            return match self.far.is_finished() {
                true => Ok(false),
                false => Err(Cut(Reason::INTERNAL_ERROR)),
            };
        }
        if self.inbox.is_empty() {
            self.inbox = bytes;
        } else {
            self.inbox.extend_from_slice(&bytes);
        }
        Ok(true)
    }
}

/// Sends a stretch of a body as the client opens its window. Each wait takes at most `limit`.
pub(super) async fn send_rest(mut stream: SendStream<Bytes>, data: Bytes, limit: Duration) {
    if let Err(Cut(reason)) = send(&mut stream, data, true, limit).await {
        stream.send_reset(reason);
    }
}

async fn send(
    stream: &mut SendStream<Bytes>,
    mut data: Bytes,
    is_last: bool,
    limit: Duration,
) -> Result<(), Cut> {
    while !data.is_empty() {
        stream.reserve_capacity(data.len());
        let room = match stream.capacity() {
            0 => room(stream, limit).await?,
            room => room,
        };
        let part = data.split_to(room.min(data.len()));
        stream.send_data(part, is_last && data.is_empty())?;
    }
    Ok(())
}

/// Waits until the client takes something.
async fn room(stream: &mut SendStream<Bytes>, limit: Duration) -> Result<usize, Cut> {
    let opened = poll_fn(|cx| {
        if let Poll::Ready(reset) = stream.poll_reset(cx) {
            return Poll::Ready(reset.and(Err(Reason::CANCEL.into())));
        }
        stream
            .poll_capacity(cx)
            .map(|room| room.unwrap_or_else(|| Err(Reason::CANCEL.into())))
    });
    match tokio::time::timeout(limit, opened).await {
        Ok(room) => Ok(room?),
        Err(_) => Err(Cut(Reason::CANCEL)),
    }
}
