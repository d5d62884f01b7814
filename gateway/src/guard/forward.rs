//! Asking somebody else who may come in: what is shown of a request, and what the answer means.
//!
//! As nginx's `auth_request` and Traefik's `forwardAuth` do it: a GET without a body, whose 2xx lets the request pass and
//! whose other answers go to the client.

use std::fmt;

use bytes::Bytes;

use crate::config::plan::Forward;
use crate::facts::{Facts, write_ip};
use crate::outbound::{Answer, OutboundFault};
use crate::wire::edit::{Passage, is_alike};
use crate::wire::{Field, Fields, Name, syntax};

/// Bytes of an answer's body: a page that says why, or asks for a password.
pub const BODY_BYTES_MAX: usize = 256 * 1024;

/// Bytes of the fields that go on to an origin, names and values. Most servers take 8 KiB or 16 KiB of fields.
pub const COPIED_BYTES_MAX: usize = 8 * 1024;

/// What an answer means for the request.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// It may pass, and these fields go on with it: names as the policy writes them.
    Pass {
        /// Name and value; every value may stand in a field.
        copied: Vec<(String, String)>,
    },
    /// It may not, and this goes to the client.
    Refuse(Refusal),
    /// There is no answer to go by. Nobody passes (503).
    Broken(ForwardFault),
}

/// An answer that goes to the client as it is. Whoever relays it writes the framing.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// 300 to 499.
    pub status: u16,
    /// Its fields without those of the connection and the framing.
    pub fields: Fields,
    /// Its body, whole.
    pub body: Bytes,
}

/// Why there is no verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForwardFault {
    /// No answer came.
    NoAnswer(OutboundFault),
    /// It has a status that says nothing about the request.
    Status(u16),
    /// A value of this field, which should go on, is not UTF-8 or holds a control character.
    Value(String),
    /// The fields that should go on are longer than [`COPIED_BYTES_MAX`].
    TooMuch,
}

impl fmt::Display for ForwardFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAnswer(fault) => write!(f, "{fault}"),
            Self::Status(status) => write!(
                f,
                "it answers {status}, which is no verdict: 2xx lets pass, 3xx and 4xx refuse"
            ),
            Self::Value(name) => write!(
                f,
                "its field {name:?} cannot go on: it is not UTF-8 or holds a control character"
            ),
            Self::TooMuch => write!(
                f,
                "the fields of `copy_headers` have more than {COPIED_BYTES_MAX} bytes in its answer"
            ),
        }
    }
}

/// The fields of the question.
///
/// What is asked about stands in X-Forwarded-Method, -Proto, -Host, -Uri and -For, X-Real-IP and X-Request-ID, which are
/// always written here. Of the client's own fields go those that the policy names, or all but those of the connection, of
/// the body, and of the preconditions: the question has no body, and is about the request and not about a stored answer.
pub fn question(facts: &Facts<'_>, policy: &Forward) -> Fields {
    let mut out = Fields::default();
    let passage = Passage::new(&facts.request.fields);
    for field in facts.request.fields.iter() {
        if passage.allows(&field) && may_show(&field, facts.is_peer_trusted) && is_wanted(&field, policy) {
            out.push(field.name, field.value);
        }
    }
    write_forwarding(&mut out, facts);
    out
}

/// Whether the policy takes fields of this name from the answer, so that a client's own must not reach the origin.
///
/// Spelled as an origin reads it: `X_User_Id` is `X-User-Id` to many.
pub fn is_copied(name: &[u8], policy: &Forward) -> bool {
    policy
        .copy_headers
        .iter()
        .any(|copied| is_alike(copied.as_bytes(), name))
}

/// What an answer, or that there is none, means. Closed in doubt: only a 2xx lets a request pass.
pub fn verdict(answer: Result<Answer, OutboundFault>, policy: &Forward) -> Verdict {
    let answer = match answer {
        Ok(answer) => answer,
        Err(fault) => return Verdict::Broken(ForwardFault::NoAnswer(fault)),
    };
    match answer.status {
        200..=299 => match copied(&answer.headers, policy) {
            Ok(copied) => Verdict::Pass { copied },
            Err(fault) => Verdict::Broken(fault),
        },
        // None of them is about the request: 304 answers a precondition, and there was none; 407 and 408 are between the
        // gateway and the one it asked.
        304 | 407 | 408 => Verdict::Broken(ForwardFault::Status(answer.status)),
        300..=499 => Verdict::Refuse(refusal(answer)),
        status => Verdict::Broken(ForwardFault::Status(status)),
    }
}

fn is_wanted(field: &Field<'_>, policy: &Forward) -> bool {
    if policy.request_headers.is_empty() {
        return !is_of_body(field.name);
    }
    let is_it = |name: &String| name.as_bytes().eq_ignore_ascii_case(field.name);
    policy.request_headers.iter().any(is_it)
}

fn is_of_body(name: &[u8]) -> bool {
    const PREFIX: &[u8] = b"content-";
    let start = name.get(..PREFIX.len());
    start.is_some_and(|start| is_alike(start, PREFIX))
        || is_alike(name, b"repr-digest")
        || is_alike(name, b"digest")
}

/// Whatever the policy says, these do not go: they frame a body there is none of, ask for another answer than a verdict, or
/// would be believed although we do not.
fn may_show(field: &Field<'_>, is_peer_trusted: bool) -> bool {
    const OURS: [&[u8]; 7] = [
        b"content-length",
        b"host",
        b"proxy",
        b"trailer",
        b"transfer-encoding",
        b"x-real-ip",
        b"x-request-id",
    ];
    const FORWARDED: &[u8] = b"x-forwarded-";
    let is_ours = OURS.iter().any(|ours| is_alike(field.name, ours));
    let is_forwarded = field
        .name
        .get(..FORWARDED.len())
        .is_some_and(|start| is_alike(start, FORWARDED));
    let is_spoof = !is_peer_trusted && is_alike(field.name, b"forwarded");
    let asks_otherwise = matches!(
        field.known,
        Name::Expect
            | Name::IfMatch
            | Name::IfModifiedSince
            | Name::IfNoneMatch
            | Name::IfRange
            | Name::IfUnmodifiedSince
            | Name::MaxForwards
            | Name::Range
    );
    !is_ours && !is_forwarded && !is_spoof && !asks_otherwise
}

fn write_forwarding(out: &mut Fields, facts: &Facts<'_>) {
    let request = facts.request;
    let believed = |name| {
        facts
            .is_peer_trusted
            .then(|| request.fields.first(name))
            .flatten()
    };
    out.push(b"X-Forwarded-Method", request.method_text.as_bytes());
    out.push(
        b"X-Forwarded-Proto",
        believed(Name::XForwardedProto).unwrap_or(facts.scheme.as_bytes()),
    );
    if !request.authority.is_empty() {
        let host = believed(Name::XForwardedHost).unwrap_or(request.authority.as_bytes());
        out.push(b"X-Forwarded-Host", host);
    }
    // The spelling that goes to the origin, so that both judge the same.
    let mut value = request.path_to_send().as_bytes().to_vec();
    if let Some(query) = &request.query {
        value.push(b'?');
        value.extend_from_slice(query.as_bytes());
    }
    out.push(b"X-Forwarded-Uri", &value);
    write_forwarded_for(out, facts);
    if facts.client_ip.is_some() {
        value.clear();
        write_ip(facts.client_ip, &mut value);
        out.push(b"X-Real-IP", &value);
    }
    out.push(b"X-Request-ID", facts.request_id.as_bytes());
}

/// A chain we do not believe is not passed on, as to origins.
fn write_forwarded_for(out: &mut Fields, facts: &Facts<'_>) {
    let mut value = Vec::new();
    if facts.is_peer_trusted {
        for chain in facts.request.fields.values(Name::XForwardedFor) {
            value.extend_from_slice(chain);
            value.extend_from_slice(b", ");
        }
    }
    match facts.peer_ip {
        Some(_) => write_ip(facts.peer_ip, &mut value),
        None => value.truncate(value.len().saturating_sub(2)),
    }
    if !value.is_empty() {
        out.push(b"X-Forwarded-For", &value);
    }
}

fn copied(headers: &Fields, policy: &Forward) -> Result<Vec<(String, String)>, ForwardFault> {
    let mut copied = Vec::new();
    let mut bytes = 0;
    let may_go = |name: &&String| !is_of_message(Name::of(name.as_bytes()));
    for name in policy.copy_headers.iter().filter(may_go) {
        for value in headers.values_of(name) {
            bytes += name.len() + value.len();
            if bytes > COPIED_BYTES_MAX {
                return Err(ForwardFault::TooMuch);
            }
            let text = std::str::from_utf8(value)
                .ok()
                .filter(|text| syntax::is_value(text.as_bytes()));
            let text = text.ok_or_else(|| ForwardFault::Value(name.clone()))?;
            copied.push((name.clone(), text.to_owned()));
        }
    }
    Ok(copied)
}

/// What belongs to a connection or frames a message, and so cannot be taken into another one.
fn is_of_message(name: Name) -> bool {
    name.is_hop_by_hop()
        || matches!(
            name,
            Name::ContentLength | Name::Expect | Name::Host | Name::Trailer
        )
}

fn refusal(answer: Answer) -> Refusal {
    let mut fields = Fields::default();
    let passage = Passage::new(&answer.headers);
    let passing = answer
        .headers
        .iter()
        .filter(|f| passage.allows(f) && !is_of_message(f.known));
    for field in passing.filter(|f| syntax::is_value(f.value)) {
        fields.push(field.name, field.value);
    }
    // It was said to this client about this request. A 301 or a 404 without a word about it could be kept for others
    // (RFC 9111 §4.2.2), who may be allowed what this one is not.
    if fields.first(Name::CacheControl).is_none() {
        fields.push(b"Cache-Control", b"no-store");
    }
    Refusal {
        status: answer.status,
        fields,
        body: answer.body,
    }
}

#[cfg(test)]
mod tests;
