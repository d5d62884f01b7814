//! A request taken in: decided at once, answered at once if it is a hit in memory, and otherwise given a task of its own.

use std::time::Duration;

use ::h2::server::SendResponse;
use ::h2::{Reason, RecvStream};
use bytes::Bytes;
use http::Request;
use tokio::task::JoinSet;

use super::carry::{Frames, Taken, carry, give_back, send_rest};
use super::head::{self, Inbound};
use super::life::Life;
use crate::corridor::{Verdict, Visit, of_head_fault};
use crate::exchange::Exchange;
use crate::listen::head::head_limits;
use crate::stream::{Memory, Stream, memory};
use crate::wire::HeadFault;

impl Life {
    /// Begins a request, and ends it if that needs no wait.
    pub(super) fn take_in(&mut self, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
        let (worker, limit) = (&self.worker, self.body_timeout);
        let (snapshot, now) = (worker.pin(), worker.now());
        let mut x = Exchange::new(snapshot, now, &self.caller, worker.lend_heads());
        x.greeted = self.caller.greeted.filter(|_| self.served == 1);
        let (parts, body) = request.into_parts();
        let read = self.read(&mut x, &parts, !body.is_end_stream());
        let (near, far) = self.spare.take().unwrap_or_else(ends);
        let mut buffer = worker.shelf.lend();
        let mut visit = Visit {
            worker,
            door: &self.door,
            stream: &near,
            buffer: &mut buffer,
            x,
            served: self.served,
        };
        let (inbound, decided) = match read {
            Ok(inbound) => {
                visit.introduce();
                (inbound, visit.decide())
            }
            Err(fault) => (Inbound::Nothing, Err(of_head_fault(fault))),
        };
        let is_sought = matches!(decided, Ok(Verdict::Pass(_))) && inbound == Inbound::Nothing;
        let is_hit = is_sought
            && visit
                .hot_by(|text, content| answer(&mut self.streams, text, content, &mut respond, limit))
                .is_some();
        let x = visit.x;
        if is_hit {
            worker.tell(&x);
            give_back(worker, x);
            debug_assert!(
                far.is_untouched(),
                "a hit is framed here, and not by its own stream"
            );
            self.spare = Some((near, far));
            return;
        }
        let taken = Taken {
            worker: worker.clone(),
            door: self.door.clone(),
            x,
            served: self.served,
            buffer,
            near,
            decided,
            is_cold: is_sought,
        };
        let frames = Frames {
            body,
            respond,
            inbound,
        };
        self.streams.spawn_local(carry(taken, far, frames));
    }

    /// Reads a head as if it had come by HTTP/1.1.
    fn read(
        &self,
        x: &mut Exchange,
        parts: &http::request::Parts,
        has_body: bool,
    ) -> Result<Inbound, HeadFault> {
        let key = || head::websocket_key([self.worker.draw(), self.worker.draw()]);
        let limits = head_limits(&x.snapshot.plan.server.limits);
        let mut scratch = self.worker.scratch();
        let mut own = Vec::new();
        let text = scratch.as_mut().map_or(&mut own, |scratch| &mut scratch.head);
        text.clear();
        let inbound = head::write_request(text, parts, has_body, key)?;
        if text.len() > limits.bytes_max {
            return Err(HeadFault::TooLarge);
        }
        let parsed = x.request.parse(text, limits);
        x.request.is_http2 = true;
        parsed.map(|()| inbound)
    }
}

/// The corridor's end and ours of a stream that walks.
fn ends() -> (Stream, Memory) {
    let (near, far) = memory::pair();
    (Stream::Memory(near), far)
}

/// Answers with what is in memory. What the client's window has no room for is left to a task.
fn answer(
    streams: &mut JoinSet<()>,
    text: &[u8],
    content: Bytes,
    respond: &mut SendResponse<Bytes>,
    limit: Duration,
) {
    let Some(head) = head::answer(&Bytes::copy_from_slice(text)) else {
        return respond.send_reset(Reason::INTERNAL_ERROR);
    };
    // Whatever fails from here on fails because the stream or the connection has ended.
    let Ok(mut stream) = respond.send_response(head, content.is_empty()) else {
        return;
    };
    if content.is_empty() {
        return;
    }
    stream.reserve_capacity(content.len());
    if stream.capacity() >= content.len() {
        let _ = stream.send_data(content, true);
    } else {
        streams.spawn_local(send_rest(stream, content, limit));
    }
}
