//! From a file that was found to the answer: validators, conditions, ranges.

use std::sync::Arc;

use bytes::Bytes;

use super::opened::{Content, Opened};
use super::{Answer, Piece, Request, Verdict};
use crate::config::plan::Coding;
use crate::kit::byteranges::{Byteranges, content_range};
use crate::kit::clock::Now;
use crate::kit::http_date;
use crate::kit::range::{self, ByteRange, Selection};
use crate::wire::condition::{self, Outcome, Validators};
use crate::wire::name::Name;

/// What is sent, if the conditions let it be.
#[derive(Debug)]
pub(super) struct Representation {
    /// The bytes.
    pub file: Arc<Opened>,
    /// Content-Type of the original.
    pub media: String,
    /// None: the original.
    pub coding: Option<Coding>,
    /// Whether another Accept-Encoding might have got another one.
    pub varies: bool,
}

/// Answers a GET or HEAD. For HEAD there are the same fields and pieces; the lane sends no body.
pub(super) fn respond(representation: &Representation, request: &Request<'_>, now: Now) -> Verdict {
    let etag = representation.etag();
    let now_secs = now.wall.as_secs();
    let current = Validators {
        etag: etag.as_deref(),
        // RFC 9110 §8.8.2.1: a date in the future MUST be replaced with the date of the message.
        modified_secs: representation
            .file
            .stamp
            .modified_secs()
            .map(|at| at.min(now_secs)),
        now_secs,
    };
    match condition::evaluate(request.fields, current) {
        Outcome::Failed => return Verdict::refuse(412, representation.vary()),
        Outcome::NotModified => return Verdict::Answer(representation.not_modified(current)),
        Outcome::Proceed => {}
    }
    let size = representation.file.stamp.size;
    match selected(request, current, size) {
        Selection::Whole => {
            let mut answer = representation.describe(200, current);
            answer.set("Content-Type", representation.media.clone());
            answer.pieces.extend(representation.piece(0, size));
            Verdict::Answer(answer)
        }
        Selection::Ranges(ranges) => Verdict::Answer(match ranges[..] {
            [range] => representation.part(range, current),
            _ => representation.parts(&ranges, current),
        }),
        // RFC 9110 §15.5.17: Content-Range with the current length.
        Selection::Unsatisfiable => {
            let length = ("Content-Range", format!("bytes */{size}"));
            Verdict::refuse(416, representation.vary().into_iter().chain([length]))
        }
    }
}

/// RFC 9110 §14.2: "A server MUST ignore a Range header field received with a request method that is unrecognized or for
/// which range handling is not defined. For this specification, GET is the only method".
fn selected(request: &Request<'_>, current: Validators<'_>, size: u64) -> Selection {
    let mut lines = request.fields.values(Name::Range);
    match (lines.next(), lines.next()) {
        (Some(value), None)
            if request.method == "GET" && condition::range_counts(request.fields, current) =>
        {
            range::select(value, size)
        }
        _ => Selection::Whole,
    }
}

impl Representation {
    /// Strong, and another one for each coding (RFC 9110 §8.8.3.3).
    fn etag(&self) -> Option<String> {
        let tag = self.file.tag.as_deref()?;
        Some(match self.coding {
            None => format!("\"{tag}\""),
            Some(coding) => format!("\"{tag}-{}\"", coding.name()),
        })
    }

    fn vary(&self) -> Option<(&'static str, String)> {
        self.varies.then(|| ("Vary", "Accept-Encoding".to_owned()))
    }

    /// RFC 9110 §15.4.5: the fields a cache updates by, and no others; the date only where there is no tag.
    fn not_modified(&self, current: Validators<'_>) -> Answer {
        let mut answer = Answer::empty(304);
        match (current.etag, current.modified_secs) {
            (Some(etag), _) => answer.set("ETag", etag.to_owned()),
            (None, Some(at)) => answer.set("Last-Modified", http_date::format(at)),
            (None, None) => {}
        }
        answer.fields.extend(self.vary());
        answer
    }

    /// All fields but Content-Type, and no body.
    fn describe(&self, status: u16, current: Validators<'_>) -> Answer {
        let mut answer = Answer::empty(status);
        if let Some(coding) = self.coding {
            answer.set("Content-Encoding", coding.name().to_owned());
        }
        if let Some(etag) = current.etag {
            answer.set("ETag", etag.to_owned());
        }
        if let Some(at) = current.modified_secs {
            answer.set("Last-Modified", http_date::format(at));
        }
        answer.set("Accept-Ranges", "bytes".to_owned());
        answer.fields.extend(self.vary());
        answer.set("X-Content-Type-Options", "nosniff".to_owned());
        answer
    }

    fn part(&self, range: ByteRange, current: Validators<'_>) -> Answer {
        let mut answer = self.describe(206, current);
        answer.set("Content-Type", self.media.clone());
        answer.set("Content-Range", self.content_range(range));
        answer.pieces.extend(self.piece(range.first, range.length()));
        answer
    }

    /// RFC 9110 §14.6: multipart/byteranges; §15.3.7.2: Content-Range stands in each part and not in the head.
    fn parts(&self, ranges: &[ByteRange], current: Validators<'_>) -> Answer {
        let identity = format!("{:?} {:?}", current.etag, current.modified_secs);
        let frame = Byteranges::new(ranges, self.file.stamp.size, Some(&self.media), &identity);
        let mut answer = self.describe(206, current);
        answer.set("Content-Type", frame.media());
        for (head, range) in frame.parts {
            answer.pieces.push(Piece::Bytes(head.into()));
            answer.pieces.extend(self.piece(range.first, range.length()));
        }
        answer.pieces.push(Piece::Bytes(frame.end.into()));
        answer
    }

    fn content_range(&self, range: ByteRange) -> String {
        content_range(range, self.file.stamp.size)
    }

    /// A stretch of the content; None where it is empty.
    fn piece(&self, offset: u64, length: u64) -> Option<Piece> {
        match &self.file.content {
            _ if length == 0 => None,
            Content::Kept(bytes) => Some(Piece::Bytes(slice(bytes, offset, length))),
            Content::OnDisk(file) => Some(Piece::File {
                file: Arc::clone(file),
                offset,
                length,
            }),
        }
    }
}

fn slice(bytes: &Bytes, offset: u64, length: u64) -> Bytes {
    let at = |n| usize::try_from(n).expect("a range lies inside of what is in memory");
    bytes.slice(at(offset)..at(offset + length))
}
