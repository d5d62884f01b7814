//! A client of HTTP/2 that keeps to no rule: it writes whatever frames a play wants.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use harness::patience::patience;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

pub(crate) const PROTOCOL_ERROR: u32 = 1;
pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

/// One connection.
pub(crate) struct Raw(TcpStream);

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The code of a RST_STREAM, or of a GOAWAY.
    pub(crate) fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(
            self.payload[at..at + 4]
                .try_into()
                .expect("a play's own client and server work"),
        )
    }
}

/// A frame's bytes.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len())
        .expect("a play's own client and server work")
        .to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A header block without compression (RFC 7541 §6.2.2).
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        for text in [name, value] {
            match u8::try_from(text.len()) {
                Ok(n) if n < 127 => bytes.push(n),
                _ => {
                    bytes.push(127);
                    let mut rest = text.len() - 127;
                    while rest >= 128 {
                        bytes.push(
                            u8::try_from(rest % 128).expect("a play's own client and server work") | 128,
                        );
                        rest /= 128;
                    }
                    bytes.push(u8::try_from(rest).expect("a play's own client and server work"));
                }
            }
            bytes.extend(text.bytes());
        }
    }
    bytes
}

/// The pseudo-fields of a GET.
pub(crate) const GET: [(&str, &str); 4] = [
    (":method", "GET"),
    (":scheme", "http"),
    (":authority", "a.test"),
    (":path", "/"),
];

/// A whole request without body.
pub(crate) fn headers(stream: u32, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &block(fields))
}

impl Raw {
    /// Connects, and says what both say at first.
    pub(crate) fn open(address: SocketAddr) -> Self {
        let mut raw = Self::silent(address);
        raw.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        raw.send(&frame(SETTINGS, 0, 0, &[]));
        raw.send(&frame(SETTINGS, ACK, 0, &[]));
        raw
    }

    /// Connects.
    pub(crate) fn silent(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).expect("a play's own client and server work");
        socket
            .set_read_timeout(Some(patience()))
            .expect("a play's own client and server work");
        Self(socket)
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> &mut Self {
        self.0
            .write_all(bytes)
            .expect("a play's own client and server work");
        self
    }

    /// Sends for as long as somebody takes it; false when nobody does.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).is_ok()
    }

    /// The next frame; None at the end.
    pub(crate) fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        if let Err(error) = self.0.read_exact(&mut head) {
            assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "it does not end");
            return None;
        }
        let [a, b, c, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.0.read_exact(&mut payload).ok()?;
        Some(Frame {
            kind,
            flags,
            stream: u32::from_be_bytes(stream),
            payload,
        })
    }

    /// The first frame of that kind.
    #[track_caller]
    pub(crate) fn find(&mut self, kind: u8) -> Frame {
        loop {
            let frame = self.next().expect("the connection goes on");
            if frame.kind == kind {
                return frame;
            }
        }
    }

    /// Everything until the end.
    pub(crate) fn rest(&mut self) -> Vec<Frame> {
        std::iter::from_fn(|| self.next()).collect()
    }

    /// The code of the GOAWAY that the connection ends with.
    #[track_caller]
    pub(crate) fn last_word(&mut self) -> u32 {
        let rest = self.rest();
        let last = rest.iter().rev().find(|frame| frame.kind == GOAWAY);
        last.unwrap_or_else(|| panic!("no GOAWAY among {} frames", rest.len()))
            .code()
    }
}
