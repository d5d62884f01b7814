//! Whether an answer may be compressed on its way.

use crate::config::plan::{Coding, Compression};
use crate::wire::{Fields, Method, Name};

use super::choice::choose;

/// Fields that a changed body makes untrue and that nobody but their author can make true again.
///
/// RFC 9530 §2 and §3: Content-Digest is computed over the content and Repr-Digest over the representation with its
/// content coding. Someone wants these bytes proven end to end; dropping the proof to save bytes is not ours to decide,
/// so such an answer is left as it is. The same holds for their predecessors (RFC 3230, RFC 1864), for
/// message signatures (RFC 9421), which may cover the very fields that would change, and for deltas (RFC 3229).
const PROOFS: [&str; 6] = [
    "content-digest",
    "repr-digest",
    "digest",
    "content-md5",
    "signature-input",
    "im",
];

/// What is known of an answer before its body: of an origin, of a cache, or our own.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// The request's method.
    pub method: Method,
    /// The final status.
    pub status: u16,
    /// The answer's fields as its author wrote them.
    pub fields: &'a Fields,
    /// Bytes of the body, or of the one a GET would get; None where only its end will tell.
    pub length: Option<u64>,
}

/// What is to be done with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// Compress it, and say so in its head: [`edit`](super::edit).
    Yes(Coding),
    /// Send it as it is, but another client would get it compressed: [`says_vary`](super::says_vary).
    Varies,
    /// Leave it alone.
    No,
}

/// Whether this client gets this answer compressed, and how. `request` is the client's head.
pub fn fits(candidate: &Candidate<'_>, request: &Fields, rule: &Compression) -> Fit {
    if candidate.is_part_of_compressible(rule) {
        return Fit::Varies;
    }
    if !candidate.is_compressible(rule) {
        return Fit::No;
    }
    wants(request, rule).map_or(Fit::Varies, Fit::Yes)
}

/// The coding a client gets compressible answers in; None = as they are.
pub fn wants(request: &Fields, rule: &Compression) -> Option<Coding> {
    // RFC 9111 §5.2.1.6: no-transform in a request asks intermediaries "to avoid transforming the content".
    choose(request, &rule.algorithms).filter(|_| !forbids_transforming(request))
}

/// Whether an answer is read as it comes in, so that nothing of it may be held back, not for a moment.
pub fn is_read_live(fields: &Fields) -> bool {
    media(fields).is_some_and(is_live)
}

impl Candidate<'_> {
    /// Whether some client may get it compressed. Says nothing about a client, so a cache can ask once for all.
    pub fn is_compressible(&self, rule: &Compression) -> bool {
        has_whole_content(self.method, self.status)
            && self.fields.first(Name::ContentRange).is_none()
            && self.is_of_compressible(rule, self.length)
    }

    /// Whether it is a part of what some client may get compressed. RFC 9110 §15.3.7: a 206 carries the Vary "that would
    /// have been sent in a 200 (OK) response to the same request".
    fn is_part_of_compressible(&self, rule: &Compression) -> bool {
        self.status == 206
            && self.fields.values(Name::ContentRange).count() == 1
            && self.is_of_compressible(rule, self.whole_length())
    }

    /// Bytes of what this is a part of, or of it itself; None where it is not known.
    pub fn whole_length(&self) -> Option<u64> {
        let Some(range) = self.fields.first(Name::ContentRange) else {
            return self.length;
        };
        // RFC 9110 §14.4: "bytes 0-9/100", or "/*" where the whole is not known.
        let (_, whole) = range.split_at(range.iter().rposition(|b| *b == b'/')? + 1);
        std::str::from_utf8(whole).ok()?.parse().ok()
    }

    fn is_of_compressible(&self, rule: &Compression, length: Option<u64>) -> bool {
        !rule.algorithms.is_empty()
            && length.is_none_or(|l| l >= rule.min_size.max(1))
            && media(self.fields).is_some_and(|m| is_listed(m, &rule.types))
            && !forbids_transforming(self.fields)
            && !is_bound_to_its_bytes(self.fields)
            && !drops_what_is_added(self.fields)
    }
}

/// Whether there is a body, and all of it: error pages and redirects are as compressible as any other.
///
/// A HEAD is judged like the GET it stands for (RFC 9110 §9.3.2: "the server SHOULD send the same header fields").
/// 206 is a part of other bytes (§15.3.7), 226 a change to other bytes; the rest of those left out have no content.
/// What a status above 599 would mean is not known.
fn has_whole_content(method: Method, status: u16) -> bool {
    let is_tunnel = method == Method::Connect && (200..300).contains(&status);
    (200..600).contains(&status) && !matches!(status, 204 | 205 | 206 | 226 | 304) && !is_tunnel
}

/// The media type without parameters; None where there is none, or more than one line of them: what is
/// not clear is not touched.
fn media(fields: &Fields) -> Option<&[u8]> {
    let mut lines = fields.values(Name::ContentType);
    let line = lines.next()?;
    if lines.next().is_some() {
        return None;
    }
    let media = line.split(|b| *b == b';').next()?.trim_ascii();
    media.contains(&b'/').then_some(media)
}

/// Whether the operator's list covers a media type.
fn is_listed(media: &[u8], types: &[String]) -> bool {
    if is_never_compressed(media) {
        return false;
    }
    let is_live = is_live(media);
    types
        .iter()
        .map(String::as_bytes)
        .any(|t| match t.strip_suffix(b"*") {
            Some(b"*/") => !is_live,
            Some(kind) => !is_live && starts_with(media, kind),
            None => media.eq_ignore_ascii_case(t),
        })
}

/// What has codings of its own (gRPC compresses each message and its trailers matter), or is made of ranges of bytes.
fn is_never_compressed(media: &[u8]) -> bool {
    starts_with(media, b"application/grpc") || media.eq_ignore_ascii_case(b"multipart/byteranges")
}

/// What is read as it comes in. `text/*` does not mean these: an operator who wants them compressed writes them out,
/// because each event then costs a flush, and software that sits between may hold back what it cannot read.
fn is_live(media: &[u8]) -> bool {
    media.eq_ignore_ascii_case(b"text/event-stream")
        || media.eq_ignore_ascii_case(b"multipart/x-mixed-replace")
}

/// RFC 9111 §5.2.2.6: "The no-transform response directive indicates that an intermediary ... MUST NOT transform the
/// content". A coding is such a transformation (RFC 9110 §7.7).
fn forbids_transforming(fields: &Fields) -> bool {
    fields
        .elements(Name::CacheControl)
        .any(|directive| directive.eq_ignore_ascii_case(b"no-transform"))
}

/// Whether its author has already chosen a coding, or vouches for these bytes and no others.
fn is_bound_to_its_bytes(fields: &Fields) -> bool {
    let binds = fields.iter().any(|f| match f.known {
        Name::ContentEncoding => true,
        Name::Other => is_proof(f.name),
        _ => false,
    });
    // RFC 9110 §6.6.2: a digest can be promised for the end.
    binds || fields.tokens(Name::Trailer).any(is_proof)
}

/// Whether the answer's Connection names a field that compressing adds. Such fields end here (RFC 9110 §7.6.1), and
/// a coded body would arrive without the line that says so.
fn drops_what_is_added(fields: &Fields) -> bool {
    fields.has_option(Name::ContentEncoding.text()) || fields.has_option(Name::Vary.text())
}

/// Whether a trailer may follow a body that was compressed here: one that proves the bytes of before may not.
pub fn may_trail(name: &[u8]) -> bool {
    !is_proof(name)
}

/// Whether a field of that name is one of [`PROOFS`].
pub(super) fn is_proof(name: &[u8]) -> bool {
    PROOFS.iter().any(|p| name.eq_ignore_ascii_case(p.as_bytes()))
}

fn starts_with(text: &[u8], prefix: &[u8]) -> bool {
    text.get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

#[cfg(test)]
mod tests;
