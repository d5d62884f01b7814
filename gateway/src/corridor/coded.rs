//! reply: content codings, of answers on their way and of our own. For stored ones see `variant`.

mod variant;

pub(super) use variant::{form_for, form_in_memory};

use super::worker::Worker;
use crate::compress::{self, Candidate, Encoder, Fit, fits};
use crate::exchange::Exchange;
use crate::kit::etag::EntityTag;
use crate::reply::{Body, Reply, Segment};
use crate::snapshot::Site;
use crate::wire::{Fields, Length, Method, Name, Version, framing};

/// Bytes of the largest answer of ours that is compressed, anew for each request: about a millisecond's work. It is what
/// the shelf of small files keeps in memory.
const OWN_BYTES_MAX: u64 = 64 * 1024;

/// Makes the head of an origin's answer that of the form this client gets. Some if its body is to go through an encoder.
///
/// Called before the head is written; `length` is the body's as the origin frames it.
pub(super) fn of_answer(worker: &Worker, x: &mut Exchange, length: Length) -> Option<Encoder> {
    if !x.site.as_ref().is_some_and(|site| site.compresses) {
        return None;
    }
    if x.answer.status == 304 {
        compress::not_modified(&mut x.answer.fields, &x.request.fields);
        return None;
    }
    // Not the length of the body at hand: a HEAD has none, and is judged like the GET it stands for.
    let announced = framing::content_length(&x.answer.fields).ok().flatten();
    let candidate = Candidate {
        method: x.request.method,
        status: x.answer.status,
        fields: &x.answer.fields,
        length: announced,
    };
    let coding = match fit(&candidate, x) {
        Fit::No => return None,
        Fit::Varies => None,
        Fit::Yes(coding) => Some(coding),
    };
    if x.request.method == Method::Head
        && let Some(coding) = coding
    {
        compress::edit(&mut x.answer.fields, coding);
        return None;
    }
    let encoder = coding
        .filter(|_| length != Length::None)
        .and_then(|coding| worker.encoders.lend(coding, announced));
    match &encoder {
        Some(encoder) => compress::edit(&mut x.answer.fields, encoder.coding()),
        None => compress::says_vary(&mut x.answer.fields),
    }
    encoder
}

/// Puts a short answer of our own, all of it in memory, into the form this client gets.
pub(super) fn of_ours(worker: &Worker, x: &Exchange, reply: &mut Reply) {
    let length = reply.body.length();
    let is_fit = x.site.as_ref().is_some_and(|site| site.compresses)
        && (matches!(reply.status, 206 | 304) || length >= x.snapshot.plan.compression.min_size);
    if !is_fit || length > OWN_BYTES_MAX {
        return;
    }
    let mut fields = Fields::default();
    for (name, value) in &reply.fields {
        fields.push(name.as_bytes(), value.as_bytes());
    }
    if reply.status == 304 {
        compress::not_modified(&mut fields, &x.request.fields);
        return take_over(reply, &fields);
    }
    let candidate = Candidate {
        method: x.request.method,
        status: reply.status,
        fields: &fields,
        length: Some(length),
    };
    if reply.status == 206 {
        let is_short = candidate
            .whole_length()
            .is_some_and(|whole| whole <= OWN_BYTES_MAX);
        if is_short && fit(&candidate, x) == Fit::Varies {
            compress::says_vary(&mut fields);
            take_over(reply, &fields);
        }
        return;
    }
    let Some(plain) = in_memory(&reply.body) else {
        return;
    };
    let coded = match fit(&candidate, x) {
        Fit::No => return,
        Fit::Varies => None,
        Fit::Yes(coding) => worker.encoders.lend(coding, Some(length)),
    };
    let coded = coded.and_then(|encoder| {
        let coding = encoder.coding();
        whole(encoder, &plain).map(|bytes| (coding, bytes))
    });
    match coded {
        Some((coding, bytes)) => {
            compress::edit(&mut fields, coding);
            reply.body.segments = vec![Segment::Bytes(bytes.into())];
        }
        None => compress::says_vary(&mut fields),
    }
    take_over(reply, &fields);
}

/// Takes the Range out of a request that would continue, by date, what may have been sent in a coding.
///
/// RFC 9110 §13.1.5 lets a date stand for the bytes a client has. Plain and coded ones have the same date, and not one
/// range in common; an entity tag is weak where a coding was sent, and fails by itself. Without Range the client gets the
/// whole, which §14.2 allows for any request.
pub(super) fn forget_part(x: &mut Exchange, site: &Site) {
    let fields = &x.request.fields;
    if !site.compresses || fields.first(Name::Range).is_none() || fields.first(Name::IfRange).is_none() {
        return;
    }
    let is_by_tag = fields
        .values(Name::IfRange)
        .all(|v| EntityTag::parse(v).is_some());
    if is_by_tag || compress::wants(fields, &x.snapshot.plan.compression).is_none() {
        return;
    }
    x.request.fields.remove(Name::Range.text());
    x.request.fields.remove(Name::IfRange.text());
}

/// The verdict of [`fits`]. An HTTP/1.0 client gets the plain form: it cannot read chunks, so a coded body would have to end
/// with its connection, where few such clients tell a reset from an end.
fn fit(candidate: &Candidate<'_>, x: &Exchange) -> Fit {
    match fits(candidate, &x.request.fields, &x.snapshot.plan.compression) {
        Fit::Yes(_) if x.request.version == Version::Http10 => Fit::Varies,
        fit => fit,
    }
}

fn in_memory(body: &Body) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    for segment in &body.segments {
        match segment {
            Segment::Bytes(bytes) => whole.extend_from_slice(bytes),
            Segment::File { .. } => return None,
        }
    }
    Some(whole)
}

/// A body in a coding; None if that is no gain.
fn whole(mut encoder: Encoder, plain: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(plain.len() / 2);
    encoder.write(plain, &mut out).ok()?;
    encoder.finish(&mut out).ok()?;
    (out.len() < plain.len()).then_some(out)
}

/// Gives a reply the fields of its new form; only these are touched by a coding.
fn take_over(reply: &mut Reply, fields: &Fields) {
    const TOUCHED: [(Name, &str); 4] = [
        (Name::AcceptRanges, "Accept-Ranges"),
        (Name::ContentEncoding, "Content-Encoding"),
        (Name::Etag, "ETag"),
        (Name::Vary, "Vary"),
    ];
    let is_touched = |name: &str| TOUCHED.iter().any(|(_, text)| name.eq_ignore_ascii_case(text));
    reply.fields.retain(|(name, _)| !is_touched(name));
    for (known, name) in TOUCHED {
        for value in fields.values(known) {
            reply
                .fields
                .push((name, String::from_utf8_lossy(value).into_owned()));
        }
    }
}
