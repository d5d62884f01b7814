//! Telling from its first bytes which protocol a client speaks that was not asked.

use std::io;

use crate::config::plan::Limits;
use crate::stream::{Buffer, IoFault, Stream, within};

/// What a client of HTTP/2 begins with (RFC 9113 §3.4). No request of HTTP/1.1 does.
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a connection begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// The preface of HTTP/2; its bytes are still there.
    Http2,
    /// Something else, to be read as HTTP/1.1.
    Other,
    /// It may become either.
    Unclear,
}

/// What these bytes begin with.
pub fn look(bytes: &[u8]) -> Opening {
    let n = bytes.len().min(PREFACE.len());
    match bytes[..n] == PREFACE[..n] {
        false => Opening::Other,
        true if n == PREFACE.len() => Opening::Http2,
        true => Opening::Unclear,
    }
}

/// Reads on until it is clear what the connection begins with. An error is a client that has left, or that takes longer
/// for these few bytes than for a whole head.
pub async fn opening(stream: &Stream, buffer: &mut Buffer, limits: &Limits) -> Result<Opening, IoFault> {
    let reading = async {
        loop {
            match look(buffer.unread()) {
                Opening::Unclear => {}
                clear => return Ok(clear),
            }
            if buffer.fill(stream).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    };
    within(limits.header_timeout, reading).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_preface_is_one() {
        for n in 0..PREFACE.len() {
            assert_eq!(look(&PREFACE[..n]), Opening::Unclear);
            let mut other = PREFACE[..=n].to_vec();
            other[n] ^= 1;
            assert_eq!(look(&other), Opening::Other);
        }
        assert_eq!(look(PREFACE), Opening::Http2);
        assert_eq!(look(&[&PREFACE[..], b"\0\0"].concat()), Opening::Http2);
        assert_eq!(look(b"POST / HTTP/1.1"), Opening::Other);
        assert_eq!(look(b"PRI * HTTP/1.1"), Opening::Other);
    }
}
