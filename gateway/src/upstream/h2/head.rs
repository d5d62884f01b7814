//! Heads put from the words of HTTP/1.1 into those of HTTP/2, and back. Pure.
//!
//! The requests are our own, written by `upstream::head`. The answers are a stranger's: they are written down here and then
//! read by the strict parser that reads everybody's.

use ::h2::client::ResponseFuture;
use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, TRAILER,
    TRANSFER_ENCODING,
};
use http::uri::PathAndQuery;
use http::{Method, Request, Response, StatusCode, Uri};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::Peer;
use crate::kit::grpc::is_grpc;
use crate::wire::Length;
use crate::wire::edit::write_line;
use crate::wire::http2::is_of_connection;

/// The head of an answer that is still to come.
pub(super) type Coming = ResponseFuture;

/// A request as the frames have it, and how its body follows in the memory. None if HTTP/2 cannot say it.
///
/// The values share the memory of `text`.
pub(super) fn request(text: &Bytes, peer: &Peer) -> Option<(Request<()>, Length)> {
    let mut lines = text
        .split(|b| *b == b'\n')
        .map(|l| l.strip_suffix(b"\r").unwrap_or(l));
    let mut words = lines.next()?.split(|b| *b == b' ');
    let method = Method::from_bytes(words.next()?).ok()?;
    let target = target(text.slice_ref(words.next()?))?;
    let mut fields = HeaderMap::with_capacity(FIELDS_USUAL);
    let mut length = Length::None;
    let mut host = None;
    for line in lines.take_while(|line| !line.is_empty()) {
        let colon = memchr::memchr(b':', line)?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        let value = text.slice_ref(line[colon + 1..].trim_ascii());
        if name == HOST {
            host.get_or_insert(value);
            continue;
        }
        if name == TRANSFER_ENCODING {
            length = Length::Chunked;
        } else if name == CONTENT_LENGTH {
            length = Length::Known(std::str::from_utf8(&value).ok()?.parse().ok()?);
        }
        if is_of_connection(&name) {
            continue;
        }
        let mut value = HeaderValue::from_maybe_shared(value).ok()?;
        // RFC 7541 §7.1.3: on a connection that many share, nobody's secrets go into the table that all are compressed by.
        value.set_sensitive(name == AUTHORIZATION || name == COOKIE);
        fields.try_append(name, value).ok()?;
    }
    let host = host.filter(|host| !host.is_empty());
    let authority = host.unwrap_or_else(|| Bytes::copy_from_slice(peer.authority.as_bytes()));
    // RFC 9113 §8.3.1: "An intermediary that forwards a request ... MAY retain any Host header field" - one is enough.
    let uri = Uri::builder()
        .scheme(peer.scheme)
        .authority(&authority[..])
        .path_and_query(target);
    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = uri.build().ok()?;
    *request.headers_mut() = fields;
    Some((request, length))
}

/// What the `http` crate refuses in a path; `#` it takes for the end.
const REFUSED_IN_PATH: &AsciiSet = &CONTROLS.add(b'#').add(b'<').add(b'>').add(b'`');

/// What it refuses in a query.
const REFUSED_IN_QUERY: &AsciiSet = &CONTROLS.add(b'#').add(b'"').add(b'<').add(b'>');

/// A target as the `http` crate takes it. What RFC 3986 does not allow in one and clients send all the same goes to a server
/// of HTTP/1.1 as it is; here it is percent-encoded, which means the same.
fn target(text: Bytes) -> Option<PathAndQuery> {
    if memchr::memchr(b'#', &text).is_none()
        && let Ok(target) = PathAndQuery::from_maybe_shared(text.clone())
    {
        return Some(target);
    }
    let text = std::str::from_utf8(&text).ok()?;
    let (path, query) = text.split_at(text.find('?').unwrap_or(text.len()));
    let path = utf8_percent_encode(path, REFUSED_IN_PATH);
    let query = utf8_percent_encode(query, REFUSED_IN_QUERY);
    PathAndQuery::try_from(format!("{path}{query}")).ok()
}

/// Room for the fields most requests have.
const FIELDS_USUAL: usize = 24;

/// What an answer is to be taken for where its framing is not its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// HEAD: an answer says how long a body is that does not come.
    pub(super) is_head: bool,
}

/// Appends an answer's head as HTTP/1.1 has it, and says how the body is to follow it. None if it says what HTTP/2 has no
/// place for.
///
/// HTTP/2 does not tell whether trailers come. A body of known length could not have any, so where they are likely it goes
/// in chunks: after gRPC's content types (its status is a trailer), and where the head announces some.
pub(super) fn write_answer(
    out: &mut Vec<u8>,
    answer: &Response<()>,
    asked: Asked,
    is_end: bool,
) -> Option<Length> {
    let fields = answer.headers();
    let announced = fields.get(CONTENT_LENGTH).map(HeaderValue::as_bytes);
    let is_bodiless =
        asked.is_head || matches!(answer.status(), StatusCode::NOT_MODIFIED | StatusCode::NO_CONTENT);
    let has_trailers =
        fields.contains_key(TRAILER) || fields.get(CONTENT_TYPE).is_some_and(|t| is_grpc(t.as_bytes()));
    let length = match announced {
        _ if is_bodiless || answer.status().is_informational() => Length::None,
        _ if is_end => Length::Known(0),
        Some(n) if !has_trailers => Length::Known(std::str::from_utf8(n).ok()?.parse().ok()?),
        Some(_) | None => Length::Chunked,
    };
    write_status_line(out, answer.status());
    for (name, value) in fields {
        if is_of_connection(name) {
            return None;
        }
        if length != Length::Chunked || *name != CONTENT_LENGTH {
            write_line(out, name.as_str().as_bytes(), value.as_bytes());
        }
    }
    match length {
        Length::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Length::Known(0) if announced.is_none() => out.extend_from_slice(b"content-length: 0\r\n"),
        Length::Known(_) | Length::None | Length::UntilClose => {}
    }
    out.extend_from_slice(b"\r\n");
    Some(length)
}

fn write_status_line(out: &mut Vec<u8>, status: StatusCode) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
}
