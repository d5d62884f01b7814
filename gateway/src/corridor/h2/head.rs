//! Heads put from the words of HTTP/2 into those of HTTP/1.1, and back. Pure.
//!
//! What a request says is not believed because the `h2` crate has read it: it is written as HTTP/1.1, and then read by the
//! strict parser that reads everybody's. So a rule that holds for one protocol holds for the other.

use ::h2::ext::Protocol;
use bytes::Bytes;
use http::header::{
    CONTENT_LENGTH, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT,
    SEC_WEBSOCKET_KEY, TE,
};
use http::request::Parts;
use http::{Response, StatusCode};

use crate::wire::HeadFault;
use crate::wire::edit::write_line;
use crate::wire::http2::is_of_connection;
pub(super) use crate::wire::http2::{trailers, write_last_chunk};

/// How the body of a request reaches the corridor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inbound {
    /// There is none.
    Nothing,
    /// As it is: its length was announced.
    Plain,
    /// In chunks.
    Chunked,
    /// Bytes of another protocol.
    Tunnel,
}

const fn malformed(rule: &'static str) -> HeadFault {
    HeadFault::Malformed(rule)
}

/// Appends a request's head as HTTP/1.1 has it. `key` makes the random part of a WebSocket's handshake.
///
/// RFC 9113 §8.3.1 and §8.2.3 say how the two are related, §8.2.2 what must not be there.
pub(super) fn write_request(
    out: &mut Vec<u8>,
    parts: &Parts,
    has_body: bool,
    key: impl FnOnce() -> String,
) -> Result<Inbound, HeadFault> {
    let inbound = match parts.extensions.get::<Protocol>() {
        // RFC 8441 §5: what HTTP/1.1 asks for by GET and Upgrade is a CONNECT with a protocol here.
        Some(protocol) if protocol.as_str() == "websocket" => Inbound::Tunnel,
        Some(_) => return Err(malformed("a :protocol that is not spoken here")),
        None if !has_body => Inbound::Nothing,
        None if parts.headers.contains_key(CONTENT_LENGTH) => Inbound::Plain,
        None => Inbound::Chunked,
    };
    write_request_line(out, parts, inbound)?;
    write_host(out, parts)?;
    write_fields(out, &parts.headers)?;
    match inbound {
        Inbound::Nothing | Inbound::Plain => {}
        Inbound::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Inbound::Tunnel => {
            out.extend_from_slice(b"connection: upgrade\r\nupgrade: websocket\r\n");
            write_line(out, b"sec-websocket-key", key().as_bytes());
        }
    }
    out.extend_from_slice(b"\r\n");
    Ok(inbound)
}

fn write_request_line(out: &mut Vec<u8>, parts: &Parts, inbound: Inbound) -> Result<(), HeadFault> {
    let method = match inbound {
        Inbound::Tunnel => "GET",
        Inbound::Nothing | Inbound::Plain | Inbound::Chunked => parts.method.as_str(),
    };
    let is_connect = method == "CONNECT";
    if let Some(scheme) = parts.uri.scheme_str()
        && !matches!(scheme, "http" | "https")
    {
        return Err(malformed("a :scheme that is not spoken here"));
    }
    let target = match (is_connect, parts.uri.path_and_query()) {
        (true, _) => parts.uri.authority().map_or("", |a| a.as_str()),
        (false, Some(path)) => path.as_str(),
        (false, None) => "",
    };
    // RFC 9113 §8.3.1: a path begins with a slash, but for the asterisk of OPTIONS. The forms with an authority that a
    // request line may have are no paths.
    if !is_connect && !target.starts_with('/') && target != "*" {
        return Err(malformed("a :path that does not begin with a slash"));
    }
    out.extend_from_slice(method.as_bytes());
    out.push(b' ');
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    Ok(())
}

/// RFC 9113 §8.3.1: whoever converts a request "MUST" make a Host of the :authority. A Host that says something else is
/// refused, as the two hosts of an absolute form are.
fn write_host(out: &mut Vec<u8>, parts: &Parts) -> Result<(), HeadFault> {
    let mut fields = parts.headers.get_all(HOST).iter();
    let field = fields.next().map(HeaderValue::as_bytes);
    if fields.next().is_some() {
        return Err(malformed("more than one Host"));
    }
    let authority = parts.uri.authority().map(|a| a.as_str().as_bytes());
    if let (Some(authority), Some(field)) = (authority, field)
        && !authority.eq_ignore_ascii_case(field)
    {
        return Err(malformed("the :authority is not the Host field's"));
    }
    if let Some(host) = authority.or(field) {
        write_line(out, b"host", host);
    }
    Ok(())
}

fn write_fields(out: &mut Vec<u8>, fields: &HeaderMap) -> Result<(), HeadFault> {
    for (name, value) in fields {
        if is_of_connection(name) || *name == TE && !value.as_bytes().eq_ignore_ascii_case(b"trailers") {
            return Err(malformed("a field that is about a connection"));
        }
        // RFC 9113 §8.2.1: "A field value MUST NOT start or end with an ASCII whitespace character".
        let (first, last) = (value.as_bytes().first(), value.as_bytes().last());
        if [first, last].into_iter().flatten().any(u8::is_ascii_whitespace) {
            return Err(malformed("white space around a field value"));
        }
        // A key that is not ours would be one too many.
        if *name != HOST && *name != COOKIE && *name != SEC_WEBSOCKET_KEY {
            write_line(out, name.as_str().as_bytes(), value.as_bytes());
        }
    }
    // RFC 9113 §8.2.3: the pieces "MUST be concatenated into a single octet string" with "; " between them.
    let mut cookies = fields.get_all(COOKIE).iter();
    if let Some(first) = cookies.next() {
        out.extend_from_slice(b"cookie: ");
        out.extend_from_slice(first.as_bytes());
        for next in cookies {
            out.extend_from_slice(b"; ");
            out.extend_from_slice(next.as_bytes());
        }
        out.extend_from_slice(b"\r\n");
    }
    Ok(())
}

/// An answer's head, as the corridor has written it, without what is about a connection; None if it is none.
///
/// The values share the memory of `text`.
pub(super) fn answer(text: &Bytes) -> Option<Response<()>> {
    let mut lines = text
        .split(|b| *b == b'\n')
        .map(|l| l.strip_suffix(b"\r").unwrap_or(l));
    let status = StatusCode::from_bytes(lines.next()?.get(9..12)?).ok()?;
    let mut answer = Response::new(());
    *answer.status_mut() = status;
    let fields = answer.headers_mut();
    fields.reserve(FIELDS_USUAL);
    for line in lines.take_while(|line| !line.is_empty()) {
        let colon = memchr::memchr(b':', line)?;
        let is_unique = line[..colon].eq_ignore_ascii_case(REQUEST_ID.as_str().as_bytes());
        let name = match is_unique {
            true => REQUEST_ID.clone(),
            false => HeaderName::from_bytes(&line[..colon]).ok()?,
        };
        if is_of_connection(&name) {
            continue;
        }
        let value = text.slice_ref(line[colon + 1..].trim_ascii());
        let mut value = HeaderValue::from_maybe_shared(value).ok()?;
        value.set_sensitive(is_unique);
        fields.try_append(name, value).ok()?;
    }
    Some(answer)
}

/// Another one in each answer: in HPACK's table it would push out what comes again, and be looked through for nothing. It is
/// kept out by being marked as sensitive (RFC 7541 §6.2.3).
static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Room for the fields most answers have.
const FIELDS_USUAL: usize = 16;

/// The head of an answer that goes over to another protocol: here it is a success (RFC 8441 §5), and what HTTP/1.1 says of
/// the handshake is not said.
pub(super) fn switched(mut answer: Response<()>) -> Response<()> {
    *answer.status_mut() = StatusCode::OK;
    answer.headers_mut().remove(SEC_WEBSOCKET_ACCEPT);
    answer
}

/// The head in place of an answer that is a success without going over: an error, with nothing of the page that was to come
/// but the id by which the request is found again.
pub(super) fn not_switched(mut answer: Response<()>) -> Response<()> {
    let id = answer.headers_mut().remove(&REQUEST_ID);
    let mut refusal = Response::new(());
    *refusal.status_mut() = StatusCode::BAD_GATEWAY;
    refusal
        .headers_mut()
        .extend(id.map(|id| (REQUEST_ID.clone(), id)));
    refusal
}

/// Writes a WebSocket handshake's random part: "a 16-byte value that has been selected at random" in base64 (RFC 6455 §4.1).
pub(super) fn websocket_key(draws: [u64; 2]) -> String {
    use base64::Engine as _;
    let bytes = draws.map(u64::to_be_bytes).concat();
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests;
