//! The head of an answer as the client gets it.

use std::time::{Duration, UNIX_EPOCH};

use super::Reply;
use crate::config::plan::Edits;
use crate::facts::{Facts, write_number};
use crate::wire::edit::{Passage, defuse, write_field, write_line};
use crate::wire::{Answer, Fields, Length, Name, Version};

/// How the body is framed towards the client, and what becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// What the head announces. `UntilClose` announces nothing.
    pub length: Announced,
    /// Whether the connection ends with this answer.
    pub closes: bool,
}

/// What a head says of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announced {
    /// Nothing: there is no body, or it ends with the connection.
    Nothing,
    /// Content-Length.
    Length(u64),
    /// Transfer-Encoding: chunked.
    Chunked,
}

/// The `Date` line of the current second, written once a second.
#[derive(Debug, Default)]
pub struct DateLine {
    second: u64,
    line: Vec<u8>,
}

impl DateLine {
    /// The whole line for that time since the Unix epoch.
    pub fn at(&mut self, wall: Duration) -> &[u8] {
        if self.second != wall.as_secs() || self.line.is_empty() {
            self.second = wall.as_secs();
            let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(self.second));
            self.line.clear();
            write_line(&mut self.line, b"Date", date.as_bytes());
        }
        &self.line
    }
}

/// An origin's answer, just received or stored.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// Status code.
    pub status: u16,
    /// The text behind the status.
    pub reason: &'a [u8],
    /// The origin's version.
    pub version: Version,
    /// Its fields.
    pub fields: &'a Fields,
    /// Fields that are not said, because they are not true of what is sent.
    pub hides: &'a [Name],
}

impl<'a> From<&'a Answer> for Shown<'a> {
    fn from(answer: &'a Answer) -> Self {
        Self {
            status: answer.status,
            reason: &answer.reason,
            version: answer.version,
            fields: &answer.fields,
            hides: &[],
        }
    }
}

/// Appends the head of an origin's answer; `extra` lines are written as they are.
pub fn write_answer(
    out: &mut Vec<u8>,
    answer: Shown<'_>,
    facts: &Facts<'_>,
    edits: &Edits,
    delivery: Delivery,
    extra: &[u8],
    date: &mut DateLine,
) {
    write_status_line(out, answer.status, answer.reason);
    let keeps_trailer = delivery.length == Announced::Chunked;
    write_fields(out, answer, edits, keeps_trailer);
    // RFC 9110 §6.6.1: "A recipient with a clock that receives a response message without a Date ... MUST ... append" one.
    if answer.fields.first(Name::Date).is_none() && !is_edited(edits, b"date") {
        out.extend_from_slice(date.at(facts.began.wall));
    }
    if !is_edited(edits, b"via") {
        write_via(out, answer);
    }
    out.extend_from_slice(extra);
    finish(out, facts, edits, delivery);
}

/// Appends the part of a stored answer's head that is the same for every client: to be followed by lines of the moment,
/// and by [`finish`]. A stored answer has a Date and no Trailer.
pub fn write_stored(out: &mut Vec<u8>, answer: Shown<'_>, edits: &Edits) {
    write_status_line(out, answer.status, answer.reason);
    write_fields(out, answer, edits, false);
    if !is_edited(edits, b"via") {
        write_via(out, answer);
    }
}

fn write_fields(out: &mut Vec<u8>, answer: Shown<'_>, edits: &Edits, keeps_trailer: bool) {
    let passage = Passage::new(answer.fields);
    for field in answer.fields.iter() {
        let is_ours = match field.known {
            Name::ContentLength | Name::Via | Name::XRequestId => true,
            Name::Trailer => !keeps_trailer,
            known => answer.hides.contains(&known),
        };
        if !is_ours && passage.allows(&field) && !is_edited(edits, field.name) {
            write_field(out, &field);
        }
    }
}

/// Appends the head of an interim answer (1xx): what it says, and nothing of ours.
pub fn write_interim(out: &mut Vec<u8>, answer: &Answer) {
    write_status_line(out, answer.status, &answer.reason);
    let passage = Passage::new(&answer.fields);
    for field in answer
        .fields
        .iter()
        .filter(|f| passage.allows(f) && f.known != Name::ContentLength)
    {
        write_field(out, &field);
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends the head of a 101: the one answer whose Connection and Upgrade do pass.
pub fn write_switch(out: &mut Vec<u8>, answer: &Answer, facts: &Facts<'_>, edits: &Edits) {
    write_status_line(out, answer.status, &answer.reason);
    let passage = Passage::new(&answer.fields);
    for field in answer
        .fields
        .iter()
        .filter(|f| passage.allows(f) && !is_edited(edits, f.name))
    {
        write_field(out, &field);
    }
    write_line(out, b"Connection", b"Upgrade");
    for protocol in answer.fields.values(Name::Upgrade) {
        write_line(out, b"Upgrade", protocol);
    }
    write_via(out, Shown::from(answer));
    out.extend_from_slice(facts.guard_lines);
    write_edits(out, facts, edits);
    out.extend_from_slice(b"\r\n");
}

/// Appends the head of a reply of our own.
pub fn write_reply(
    out: &mut Vec<u8>,
    reply: &Reply,
    facts: &Facts<'_>,
    edits: &Edits,
    delivery: Delivery,
    date: &mut DateLine,
) {
    write_status_line(out, reply.status, reason(reply.status).as_bytes());
    if !is_edited(edits, b"server") {
        out.extend_from_slice(b"Server: sluice\r\n");
    }
    out.extend_from_slice(date.at(facts.began.wall));
    for (name, value) in &reply.fields {
        if !is_edited(edits, name.as_bytes()) {
            write_line(out, name.as_bytes(), value.as_bytes());
        }
    }
    for field in reply.relayed.iter().flat_map(|fields| fields.iter()) {
        let is_ours = matches!(field.known, Name::Date | Name::Server | Name::XRequestId);
        if !is_ours && !is_edited(edits, field.name) {
            write_field(out, &field);
        }
    }
    finish(out, facts, edits, delivery);
}

/// How a body of that length goes to a client of that version.
///
/// RFC 9112 §6.1: never Transfer-Encoding to a 1.0 client; what has no length then ends with the connection.
pub fn deliver(length: Length, version: Version, keeps: bool, bodiless: Option<Announced>) -> Delivery {
    let (length, must_close) = match (length, version) {
        (Length::None, _) => (bodiless.unwrap_or(Announced::Nothing), false),
        (Length::Known(n), _) => (Announced::Length(n), false),
        (Length::Chunked | Length::UntilClose, Version::Http11) => (Announced::Chunked, false),
        (Length::Chunked | Length::UntilClose, Version::Http10) => (Announced::Nothing, true),
    };
    Delivery {
        length,
        closes: must_close || !keeps,
    }
}

/// Appends what comes last in every head: the request's id, the route's own fields, framing, and the empty line.
pub fn finish(out: &mut Vec<u8>, facts: &Facts<'_>, edits: &Edits, delivery: Delivery) {
    if !facts.request_id.is_empty() && !is_edited(edits, b"x-request-id") {
        write_line(out, b"X-Request-ID", facts.request_id.as_bytes());
    }
    out.extend_from_slice(facts.guard_lines);
    write_edits(out, facts, edits);
    match delivery.length {
        Announced::Nothing => {}
        Announced::Length(n) => {
            out.extend_from_slice(b"Content-Length: ");
            write_number(n, out);
            out.extend_from_slice(b"\r\n");
        }
        Announced::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
    }
    if delivery.closes {
        out.extend_from_slice(b"Connection: close\r\n");
    } else if facts.request.version == Version::Http10 {
        // An old client that asked for it must be told that it got it.
        out.extend_from_slice(b"Connection: keep-alive\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

fn write_edits(out: &mut Vec<u8>, facts: &Facts<'_>, edits: &Edits) {
    for (name, value) in edits.set.iter().chain(&edits.add) {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        let start = out.len();
        value.render(out, |variable, out| facts.write(variable, out));
        defuse(&mut out[start..]);
        out.extend_from_slice(b"\r\n");
    }
}

fn write_via(out: &mut Vec<u8>, answer: Shown<'_>) {
    out.extend_from_slice(b"Via: ");
    for value in answer.fields.values(Name::Via) {
        out.extend_from_slice(value);
        out.extend_from_slice(b", ");
    }
    out.extend_from_slice(if answer.version == Version::Http11 {
        b"1.1 sluice\r\n"
    } else {
        b"1.0 sluice\r\n"
    });
}

fn write_status_line(out: &mut Vec<u8>, status: u16, reason: &[u8]) {
    out.extend_from_slice(b"HTTP/1.1 ");
    write_number(status.into(), out);
    out.push(b' ');
    out.extend_from_slice(reason);
    out.extend_from_slice(b"\r\n");
}

/// Whether the route's edits take fields of that name out, or replace them.
pub fn is_edited(edits: &Edits, name: &[u8]) -> bool {
    edits
        .remove
        .iter()
        .any(|n| n.as_bytes().eq_ignore_ascii_case(name))
        || edits
            .set
            .iter()
            .any(|(n, _)| n.as_bytes().eq_ignore_ascii_case(name))
}

/// The usual text of a status.
fn reason(status: u16) -> &'static str {
    http::StatusCode::from_u16(status)
        .ok()
        .and_then(|s| s.canonical_reason())
        .unwrap_or("")
}
