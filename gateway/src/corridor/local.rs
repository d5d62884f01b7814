//! Answers of our own: how they are made, and how they leave.

use std::sync::Arc;

use super::worker::Door;
use super::{Next, Verdict, Visit, coded};
use crate::config::plan::{Edits, PathPattern, Route};
use crate::exchange::Exchange;
use crate::files::{self, Files};
use crate::kit::template::{RequestVariable, Template};
use crate::relay::local::send;
use crate::reply::head::{Announced, Delivery, write_reply};
use crate::reply::{Body, Refusal, Reply, Segment};
use crate::snapshot::Site;
use crate::stream::{Buffer, Stream, within};
use crate::wire::chunk::Step;
use crate::wire::edit::defuse;
use crate::wire::{Decoder, Length, Method, Name};

/// A request body nobody wants is read up to here so that its connection can go on; a longer one ends it.
const DISCARD_BYTES_MAX: u64 = 64 * 1024;

impl Visit<'_> {
    /// Sends an answer of our own.
    pub(super) async fn reply(&mut self, mut reply: Reply) -> Next {
        if let Some(status) = self.x.cache_status {
            let mut text = Vec::new();
            status.write(&mut text);
            let text = String::from_utf8_lossy(&text).into_owned();
            reply.fields.push(("Cache-Status", text));
        }
        let body_is_gone = self.discard_body().await;
        coded::of_ours(self.worker, &self.x, &mut reply);
        let x = &mut self.x;
        let closes = !x.keeps || !body_is_gone || self.door.is_closing();
        let head = self.head_of(&reply, closes);
        let x = &mut self.x;
        x.status = reply.stands_for.unwrap_or(reply.status);
        // What an origin may have said before is not what the client is told.
        x.answer.fields.clear();
        x.stored = None;
        reply
            .fields
            .iter()
            .for_each(|(name, value)| x.answer.fields.push(name.as_bytes(), value.as_bytes()));
        let now = self.worker.mono();
        x.timings.first_byte = Some(now.since(x.began.mono));
        x.cache_is_done(now);
        let nothing = Body::default();
        let body = if x.request.method == Method::Head {
            &nothing
        } else {
            &reply.body
        };
        let limit = x.snapshot.plan.server.limits.body_timeout;
        let (sent, outcome) = send(self.stream, &head, body, limit).await;
        x.bytes_sent = sent;
        match outcome {
            Err(fault) => {
                self.x.cut_off(&fault);
                // Whatever has arrived is not the whole.
                self.stream.close_by_reset();
                Next::Abandon
            }
            Ok(()) if !body_is_gone => Next::Linger,
            Ok(()) if closes => Next::Close,
            Ok(()) => Next::Keep,
        }
    }

    fn head_of(&self, reply: &Reply, closes: bool) -> Vec<u8> {
        // RFC 9110 §15.4.5 and §8.6: neither says how long it is not.
        let length = match reply.status {
            204 | 304 => Announced::Nothing,
            _ => Announced::Length(reply.body.length()),
        };
        let nothing = Edits::default();
        let edits = self.x.site.as_ref().map_or(&nothing, |s| &s.response_headers);
        let mut head = Vec::with_capacity(512);
        let mut date = self.worker.date.borrow_mut();
        write_reply(
            &mut head,
            reply,
            &self.x.facts(),
            edits,
            Delivery { length, closes },
            &mut date,
        );
        head
    }

    /// Reads away a short body. Whether the connection stands at the next request's first byte.
    ///
    /// A client that waits for 100 has not sent its body, and may or may not do so (RFC 9110 §10.1.1): the
    /// only way to know where its next request begins is not to have one.
    async fn discard_body(&mut self) -> bool {
        let x = &mut self.x;
        match x.length {
            Length::None | Length::Known(0) => return true,
            Length::Known(n) if n > DISCARD_BYTES_MAX => return false,
            Length::UntilClose => return false,
            Length::Known(_) | Length::Chunked => {}
        }
        // Where each request has a stream of its own, no other one begins behind its body.
        if x.request.is_http2 || x.request.fields.first(Name::Expect).is_some() {
            return false;
        }
        let limit = x.snapshot.plan.server.limits.body_timeout;
        let discarding = discard(
            self.stream,
            self.buffer,
            Decoder::new(x.length),
            &mut x.bytes_received,
        );
        within(limit, discarding).await.unwrap_or(false)
    }
}

async fn discard(
    stream: &Stream,
    buffer: &mut Buffer,
    mut decoder: Decoder,
    received: &mut u64,
) -> std::io::Result<bool> {
    loop {
        match decoder.step(buffer.unread(), 0) {
            Err(_) => return Ok(false),
            Ok(Step::Data { start, end }) => {
                *received += (end - start) as u64;
                buffer.consume(end);
                if *received > DISCARD_BYTES_MAX {
                    return Ok(false);
                }
            }
            Ok(Step::Done { end }) => {
                buffer.consume(end);
                return Ok(true);
            }
            Ok(Step::More) => {
                let used = buffer.unread().len();
                buffer.consume(used);
                if buffer.fill(stream).await? == 0 {
                    return Ok(false);
                }
            }
        }
    }
}

/// What proves to an authority that a name of ours is ours, for as long as one asks (RFC 8555 §8.3). It asks in clear
/// text, knows no password and follows no rule of ours: so it is answered before all of them.
pub(super) fn proof(x: &Exchange, door: &Door) -> Option<Reply> {
    let asks = door.tls.is_none() && matches!(x.request.method, Method::Get | Method::Head);
    let text = x.snapshot.challenges.find(&x.request.path).filter(|_| asks)?;
    Some(Reply::of(200, "application/octet-stream", text.to_string()).with("Cache-Control", "no-store"))
}

/// A redirect with a short note for those who do not follow it.
pub(super) fn redirect(status: u16, location: String) -> Reply {
    Reply::of(status, "text/plain; charset=utf-8", format!("See {location}\n")).with("Location", location)
}

/// Where a redirect leads.
pub(super) fn location(x: &Exchange, to: &Template<RequestVariable>) -> String {
    let mut location = Vec::new();
    to.render(&mut location, |variable, out| x.facts().write(variable, out));
    defuse(&mut location);
    // "${path}" of "//evil.test" would lead to another host, and so would a backslash in a browser.
    let slashes = location.iter().take_while(|b| matches!(b, b'/' | b'\\')).count();
    if location.starts_with(b"/") && !to.text().starts_with("//") {
        location.drain(1..slashes);
    }
    String::from_utf8_lossy(&location).into_owned()
}

/// files: the folder's verdict as one of ours.
pub(super) fn serve_file(x: &Exchange, site: &Site, files: &Files) -> Verdict {
    let (prefix, path) = match &x.rewritten {
        Some(rewritten) => ("", rewritten.as_str()),
        None => split_prefix(&site.route, &x.request.path),
    };
    let request = files::Request {
        method: &x.request.method_text,
        path,
        prefix,
        query: x.request.query.as_deref().unwrap_or_default(),
        fields: &x.request.fields,
    };
    match files.answer(&request, x.began) {
        files::Verdict::Answer(answer) => Verdict::Reply(of_answer(answer)),
        files::Verdict::Refuse { status, fields } => Verdict::Refuse(of_status(status), fields),
    }
}

fn of_status(status: u16) -> Refusal {
    match status {
        400 => Refusal::BadRequest,
        403 => Refusal::Forbidden,
        404 => Refusal::NotFound,
        405 => Refusal::MethodNotAllowed,
        412 => Refusal::PreconditionFailed,
        416 => Refusal::RangeNotSatisfiable,
        500 => Refusal::Internal,
        503 => Refusal::Exhausted,
        other => Refusal::Configured(other),
    }
}

/// What the folder does not see of the path: the prefix a route is for.
fn split_prefix<'a>(route: &'a Route, path: &'a str) -> (&'a str, &'a str) {
    match &route.matches.path {
        PathPattern::Prefix(prefix) => (prefix, path.strip_prefix(prefix.as_str()).unwrap_or(path)),
        PathPattern::Any | PathPattern::Exact(_) | PathPattern::Regex(_) => ("", path),
    }
}

fn of_answer(answer: files::Answer) -> Reply {
    let segments = answer.pieces.into_iter().map(|piece| match piece {
        files::Piece::Bytes(bytes) => Segment::Bytes(bytes),
        files::Piece::File { file, offset, length } => Segment::File {
            file: Arc::clone(&file),
            offset,
            length,
        },
    });
    Reply {
        status: answer.status,
        stands_for: None,
        fields: answer.fields,
        relayed: None,
        body: Body {
            segments: segments.collect(),
        },
    }
}
