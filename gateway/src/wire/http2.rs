//! What heads and trailers have in common in HTTP/1.1 and in HTTP/2 (RFC 9113 §8). Pure.

use http::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING, UPGRADE};

use super::edit::{may_trail, write_line};
use super::fields::Fields;

/// RFC 9113 §8.2.2: fields that HTTP/2 has no place for. The `h2` crate resets streams that have one; messages of ours have
/// them by HTTP/1.1.
pub fn is_of_connection(name: &HeaderName) -> bool {
    *name == CONNECTION
        || *name == TRANSFER_ENCODING
        || *name == UPGRADE
        || matches!(name.as_str(), "keep-alive" | "proxy-connection")
}

/// Appends the end of a chunked body with those trailers that may be passed on.
pub fn write_last_chunk(out: &mut Vec<u8>, trailers: Option<&HeaderMap>) {
    out.extend_from_slice(b"0\r\n");
    for (name, value) in trailers.into_iter().flatten() {
        if may_trail(name.as_str().as_bytes()) {
            write_line(out, name.as_str().as_bytes(), value.as_bytes());
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// Trailers as the frames have them.
pub fn trailers(fields: &Fields) -> HeaderMap {
    let mut map = HeaderMap::new();
    for field in fields.iter().filter(|field| may_trail(field.name)) {
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(field.name),
            HeaderValue::from_bytes(field.value),
        ) {
            // A map that takes no more has more than anybody sends.
            let _ = map.try_append(name, value);
        }
    }
    map
}
