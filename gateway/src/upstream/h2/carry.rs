//! One request on one stream: the bytes of the relay become frames, and back.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use ::h2::{Reason, RecvStream, SendStream};
use bytes::{Buf, Bytes, BytesMut};
use http::Response;

use super::head::{self, Asked, Coming};
use super::link::Room;
use crate::stream::{Memory, memory};
use crate::wire::chunk::{Step, write_size};
use crate::wire::http2::{trailers, write_last_chunk};
use crate::wire::{Decoder, HeadLimits, HeadScan, Length};

/// Limits of a head that the relay itself writes: what a client may send, and what is added to it.
const REQUEST_LIMITS: HeadLimits = HeadLimits {
    bytes_max: 1 << 20,
    fields_max: 4096,
    target_bytes_max: 1 << 20,
    leading_lines_max: 0,
};

/// How long a server may take to say that a body has ended of which all has come. A stream that were reset for that would
/// be counted against us.
const LAST_FRAME_TIME: Duration = Duration::from_secs(1);

/// What became of a request on its stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fate {
    /// It runs, or has ended well.
    #[default]
    Fine,
    /// HTTP/2 has no words for it. Nothing was sent.
    Unspeakable,
    /// The connection was going, or has gone, before the server began with it (RFC 9113 §6.8): nothing was done.
    Untouched,
    /// The server did not begin with it (REFUSED_STREAM, RFC 9113 §8.7): nothing was done.
    Refused,
    /// The connection has ended.
    Gone,
    /// The server has broken it off.
    Reset,
    /// What the server sent breaks a rule.
    Invalid,
}

/// Begins a request: what is written to the memory goes to the server, and its answer is read from there.
///
/// Why an answer has not come is told by the fate, once the memory has broken.
pub fn begin(room: Room) -> (Memory, Rc<Cell<Fate>>) {
    let (near, far) = memory::pair();
    let fate = Rc::<Cell<Fate>>::default();
    tokio::task::spawn_local(carry(far, room, Rc::clone(&fate)));
    (near, fate)
}

async fn carry(far: Memory, room: Room, fate: Rc<Cell<Fate>>) {
    let done = tokio::select! {
        biased;
        done = exchange(&far, &room) => done,
        // Nobody waits for the answer any more. Dropping the stream says so, by CANCEL.
        () = far.abandoned() => return,
    };
    match done {
        Ok(None) => {}
        Ok(Some(rest)) => {
            drop(far);
            let _ = tokio::time::timeout(LAST_FRAME_TIME, last_frame(rest)).await;
        }
        Err(end) => {
            if end == Fate::Refused {
                room.refuse();
            }
            fate.set(end);
            far.break_off();
        }
    }
}

/// The whole of it. A stream is given back if its end is still to come though nothing is missing.
async fn exchange(far: &Memory, room: &Room) -> Result<Option<RecvStream>, Fate> {
    let mut outbox = BytesMut::new();
    let Some(text) = read_head(far, &mut outbox).await else {
        return Ok(None);
    };
    let (request, length) = head::request(&text, room.peer()).ok_or(Fate::Unspeakable)?;
    let asked = Asked {
        is_head: request.method() == http::Method::HEAD,
    };
    let ends = matches!(length, Length::None | Length::Known(0));
    let sender = room.sender().ok_or(Fate::Untouched)?;
    let mut sender = sender.ready().await.map_err(|_| Fate::Untouched)?;
    let (answer, mut stream) = sender.send_request(request, ends).map_err(|_| {
        room.leave();
        Fate::Untouched
    })?;
    drop(sender);
    let is_sent = Cell::new(ends);
    let up = async {
        if !ends {
            match up(far, &mut outbox, &mut stream, Decoder::new(length)).await {
                Some(()) => is_sent.set(true),
                // The server wants no more of it. Its answer says more.
                None => far.stop_reading(),
            }
        }
        pending::<Infallible>().await
    };
    let rest = tokio::select! {
        biased;
        done = down(far, room, answer, asked) => done?,
        never = up => match never {},
    };
    Ok(rest.filter(|_| is_sent.get()))
}

/// The head of the request; None if the relay has gone before.
async fn read_head(far: &Memory, outbox: &mut BytesMut) -> Option<Bytes> {
    let mut scan = HeadScan::default();
    loop {
        if let Some((_, end)) = scan.advance(outbox, REQUEST_LIMITS).ok()? {
            return Some(outbox.split_to(end).freeze());
        }
        receive(far, outbox).await.then_some(())?;
    }
}

/// Takes what the relay has written, waiting for the first byte. False if there will be no more.
async fn receive(far: &Memory, outbox: &mut BytesMut) -> bool {
    if far.readable().await.is_err() {
        return false;
    }
    let bytes = far.take();
    let is_some = !bytes.is_empty();
    match outbox.is_empty() {
        true => *outbox = bytes,
        false => outbox.extend_from_slice(&bytes),
    }
    is_some
}

/// The request's body on its way to the server. None if it did not get there whole.
async fn up(
    far: &Memory,
    outbox: &mut BytesMut,
    stream: &mut SendStream<Bytes>,
    mut decoder: Decoder,
) -> Option<()> {
    loop {
        match decoder.step(outbox, 0).ok()? {
            Step::Data { start, end } => {
                outbox.advance(start);
                let data = outbox.split_to(end - start).freeze();
                let is_last = matches!(decoder, Decoder::Known(0));
                send(stream, data, is_last).await?;
                if is_last {
                    return Some(());
                }
            }
            Step::Done { .. } => {
                return match decoder.trailers().map(trailers).filter(|t| !t.is_empty()) {
                    Some(trailers) => stream.send_trailers(trailers).ok(),
                    None => stream.send_data(Bytes::new(), true).ok(),
                };
            }
            Step::More => {
                outbox.clear();
                if !receive(far, outbox).await {
                    // The relay has broken it off, and what there is must not look whole.
                    return pending().await;
                }
            }
        }
    }
}

/// Sends a stretch of a body as the server opens its window. How long that may take is the relay's business, which finds
/// no room in the memory meanwhile.
async fn send(stream: &mut SendStream<Bytes>, mut data: Bytes, is_last: bool) -> Option<()> {
    while !data.is_empty() {
        stream.reserve_capacity(data.len());
        let room = poll_fn(|cx| {
            if let Poll::Ready(_reset) = stream.poll_reset(cx) {
                return Poll::Ready(None);
            }
            stream.poll_capacity(cx).map(|room| room.and_then(Result::ok))
        })
        .await?;
        let part = data.split_to(room.min(data.len()));
        stream.send_data(part, is_last && data.is_empty()).ok()?;
    }
    Some(())
}

/// The answer on its way to the relay.
async fn down(
    far: &Memory,
    room: &Room,
    mut coming: Coming,
    asked: Asked,
) -> Result<Option<RecvStream>, Fate> {
    let mut has_begun = false;
    let mut text = Vec::new();
    let (length, mut body) = loop {
        let (answer, body) = match next_head(&mut coming).await {
            Ok(head) => head,
            Err(error) => return Err(fate(&error, has_begun)),
        };
        has_begun = true;
        room.hear();
        text.clear();
        let is_end = body.as_ref().is_some_and(RecvStream::is_end_stream);
        let length = head::write_answer(&mut text, &answer, asked, is_end).ok_or(Fate::Invalid)?;
        write(far, &mut [IoSlice::new(&text)]).await?;
        if let Some(body) = body {
            break (length, body);
        }
    };
    let is_chunked = length == Length::Chunked;
    let mut left = match length {
        Length::Known(n) => n,
        Length::None | Length::UntilClose => 0,
        Length::Chunked => u64::MAX,
    };
    while left > 0 {
        let Some(data) = body.data().await else { break };
        let data = data.map_err(|error| fate(&error, true))?;
        room.hear();
        if !data.is_empty() {
            write_data(far, &data, is_chunked).await?;
            left = left.saturating_sub(data.len() as u64);
        }
        // Only now: what was taken here has been taken there, or has a place in the memory.
        let freed = body.flow_control().release_capacity(data.len());
        freed.map_err(|error| fate(&error, true))?;
    }
    if !is_chunked {
        return Ok((!body.is_end_stream()).then_some(body));
    }
    let trailers = body.trailers().await.map_err(|error| fate(&error, true))?;
    text.clear();
    write_last_chunk(&mut text, trailers.as_ref());
    write(far, &mut [IoSlice::new(&text)]).await?;
    Ok(None)
}

/// The next head of an answer; the last one comes with its body.
async fn next_head(coming: &mut Coming) -> Result<(Response<()>, Option<RecvStream>), ::h2::Error> {
    poll_fn(|cx| {
        if let Poll::Ready(Some(interim)) = coming.poll_informational(cx) {
            return Poll::Ready(interim.map(|head| (head, None)));
        }
        std::pin::Pin::new(&mut *coming).poll(cx).map_ok(|answer| {
            let (parts, body) = answer.into_parts();
            (Response::from_parts(parts, ()), Some(body))
        })
    })
    .await
}

async fn write_data(far: &Memory, data: &[u8], is_chunked: bool) -> Result<(), Fate> {
    if !is_chunked {
        return write(far, &mut [IoSlice::new(data)]).await;
    }
    let mut size = Vec::with_capacity(20);
    write_size(&mut size, data.len());
    write(far, &mut [&size[..], data, b"\r\n"].map(IoSlice::new)).await
}

/// Writes all of it. If nobody reads it any more, that is found out elsewhere.
async fn write(far: &Memory, mut pieces: &mut [IoSlice<'_>]) -> Result<(), Fate> {
    IoSlice::advance_slices(&mut pieces, 0);
    while !pieces.is_empty() {
        match far.try_write(pieces) {
            Ok(written) => IoSlice::advance_slices(&mut pieces, written),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                far.writable().await.map_err(|_| Fate::Fine)?
            }
            Err(_) => return Err(Fate::Fine),
        }
    }
    Ok(())
}

/// Waits for the end of a stream of which all that matters has come.
async fn last_frame(mut body: RecvStream) {
    while let Some(Ok(data)) = body.data().await {
        if !data.is_empty() {
            return;
        }
    }
}

/// What an error says of the request. Whoever has begun to answer has begun with it.
fn fate(error: &::h2::Error, has_begun: bool) -> Fate {
    if error.is_remote() {
        return match error.reason() {
            _ if has_begun => Fate::Reset,
            // The `h2` crate tells it to those streams only that are beyond the last one the server has begun with.
            _ if error.is_go_away() => Fate::Untouched,
            Some(Reason::REFUSED_STREAM) => Fate::Refused,
            _ => Fate::Reset,
        };
    }
    match error.is_library() && error.is_reset() {
        true => Fate::Invalid,
        false => Fate::Gone,
    }
}
