//! A strict reader of HTTP/1.1 messages.
//!
//! It is deliberately not the gateway's: two readers that agree by being one prove nothing.

use std::fmt;
use std::io::{self, Read};

use crate::body::{Body, Collector};

/// A head longer than this is no head.
const HEAD_BYTES: usize = 256 << 10;

/// A chunk's size line longer than this is none.
const LINE_BYTES: usize = 8 << 10;

/// Why a message could not be read.
#[derive(Debug)]
pub enum Fault {
    /// The other side ended within a message; what was awaited.
    Ended(String),
    /// The socket failed: a reset, or patience has run out.
    Io(io::Error),
    /// It breaks the grammar; how.
    Syntax(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended(what) => write!(f, "the connection ended within {what}"),
            Self::Io(error) => write!(f, "{error}"),
            Self::Syntax(how) => write!(f, "malformed: {how}"),
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A head: its first line and its fields, values without white space around them.
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// Request line or status line.
    pub start: String,
    /// Names as they came, and values.
    pub fields: Vec<(String, String)>,
    /// Every byte of it.
    pub raw: Vec<u8>,
}

impl Head {
    /// The values of a field, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields
            .iter()
            .filter(move |(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_str())
    }

    /// The value of a field that may stand once; fails if it stands twice.
    pub fn one(&self, name: &str) -> Option<&str> {
        let mut values = self
            .fields
            .iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_str());
        let value = values.next();
        assert!(values.next().is_none(), "{name} stands twice in {self}");
        value
    }

    /// The elements of a comma-separated field in lower case.
    pub fn list(&self, name: &str) -> Vec<String> {
        let elements = self.all(name).flat_map(|v| v.split(','));
        elements
            .map(|e| e.trim().to_ascii_lowercase())
            .filter(|e| !e.is_empty())
            .collect()
    }

    /// What the fields say about the body; None where they say nothing.
    pub fn framing(&self) -> Result<Option<Framing>, Fault> {
        let lengths: Vec<_> = self.all("content-length").collect();
        let codings: Vec<_> = self.all("transfer-encoding").collect();
        match (&lengths[..], &codings[..]) {
            ([], []) => Ok(None),
            ([length], []) if !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit()) => length
                .parse()
                .map(|n| Some(Framing::Length(n)))
                .map_err(|_| Fault::Syntax(format!("Content-Length: {length}"))),
            ([], ["chunked"]) => Ok(Some(Framing::Chunked)),
            _ => Err(Fault::Syntax(format!(
                "Content-Length {lengths:?} and Transfer-Encoding {codings:?}"
            ))),
        }
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.raw))
    }
}

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// By chunks.
    Chunked,
    /// By its length in bytes.
    Length(u64),
    /// By the end of the connection.
    UntilClose,
}

/// A body and what came with it.
#[derive(Clone, Debug, Default)]
pub struct Message {
    /// The body.
    pub body: Body,
    /// Trailer fields.
    pub trailers: Vec<(String, String)>,
    /// Sizes of the chunks, the last one (zero) left out.
    pub chunks: Vec<u64>,
}

/// Reads messages from a stream, and never a byte past what it was asked for into a message.
pub struct Reader<R> {
    stream: R,
    buffer: Vec<u8>,
}

impl<R: Read> Reader<R> {
    /// A reader that has read nothing yet.
    pub fn new(stream: R) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    /// The stream below.
    pub fn stream(&self) -> &R {
        &self.stream
    }

    /// Whether bytes were read that have not been asked for yet.
    pub fn has_unread(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Reads a head; None if the stream ended before its first byte.
    pub fn head(&mut self) -> Result<Option<Head>, Fault> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                let raw: Vec<u8> = self.buffer.drain(..end + 4).collect();
                return parse_head(raw).map(Some);
            }
            if self.buffer.len() > HEAD_BYTES {
                return Err(Fault::Syntax("a head without end".into()));
            }
            if self.fill()? == 0 {
                return match self.buffer.is_empty() {
                    true => Ok(None),
                    false => Err(Fault::Ended(format!("the head {:?}", self.text()))),
                };
            }
        }
    }

    /// Reads a body. What was read before a fault is in `seen` all the same.
    pub fn body(&mut self, framing: Framing, seen: &mut Collector) -> Result<Message, Fault> {
        let mut message = Message::default();
        match framing {
            Framing::Chunked => loop {
                let size = self.chunk_size()?;
                if size == 0 {
                    message.trailers = self.trailers()?;
                    break;
                }
                message.chunks.push(size);
                self.exactly(size, seen)?;
                self.expect_crlf()?;
            },
            Framing::Length(length) => self.exactly(length, seen)?,
            Framing::UntilClose => {
                while !self.buffer.is_empty() || self.fill()? > 0 {
                    seen.push(&std::mem::take(&mut self.buffer));
                }
            }
        }
        message.body = seen.finish();
        Ok(message)
    }

    /// Reads whatever comes next, at most one read's worth; empty at the end of the stream.
    pub fn some(&mut self) -> Result<Vec<u8>, Fault> {
        if self.buffer.is_empty() {
            self.fill()?;
        }
        Ok(std::mem::take(&mut self.buffer))
    }

    /// Reads so many bytes.
    pub fn bytes(&mut self, n: usize) -> Result<Vec<u8>, Fault> {
        while self.buffer.len() < n {
            if self.fill()? == 0 {
                return Err(Fault::Ended(format!("{n} bytes, after {:?}", self.text())));
            }
        }
        Ok(self.buffer.drain(..n).collect())
    }

    fn exactly(&mut self, length: u64, seen: &mut Collector) -> Result<(), Fault> {
        let mut left = length;
        while left > 0 {
            if self.buffer.is_empty() && self.fill()? == 0 {
                return Err(Fault::Ended(format!("a body, {left} bytes before its end")));
            }
            let n = usize::try_from(left).map_or(self.buffer.len(), |left| left.min(self.buffer.len()));
            seen.push(&self.buffer[..n]);
            self.buffer.drain(..n);
            left -= n as u64;
        }
        Ok(())
    }

    /// RFC 9112 §7.1: 1*HEXDIG, then extensions we do not expect, CRLF.
    fn chunk_size(&mut self) -> Result<u64, Fault> {
        let line = self.line()?;
        let digits = line.split(';').next().unwrap_or_default();
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(Fault::Syntax(format!("the chunk size {line:?}")));
        }
        u64::from_str_radix(digits, 16).map_err(|_| Fault::Syntax(format!("the chunk size {line:?}")))
    }

    fn trailers(&mut self) -> Result<Vec<(String, String)>, Fault> {
        let mut trailers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(trailers);
            }
            trailers.push(parse_field(&line)?);
        }
    }

    fn expect_crlf(&mut self) -> Result<(), Fault> {
        match &self.bytes(2)?[..] {
            b"\r\n" => Ok(()),
            other => Err(Fault::Syntax(format!("{other:?} after a chunk"))),
        }
    }

    fn line(&mut self) -> Result<String, Fault> {
        loop {
            if let Some(end) = find(&self.buffer, b"\n") {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                let line = text(&line)?;
                return match line.strip_suffix("\r\n") {
                    Some(line) if !line.contains('\r') => Ok(line.to_owned()),
                    _ => Err(Fault::Syntax(format!("the line {line:?}"))),
                };
            }
            if self.buffer.len() > LINE_BYTES {
                return Err(Fault::Syntax("a line without end".into()));
            }
            if self.fill()? == 0 {
                return Err(Fault::Ended(format!("the line {:?}", self.text())));
            }
        }
    }

    fn fill(&mut self) -> Result<usize, Fault> {
        let start = self.buffer.len();
        self.buffer.resize(start + (64 << 10), 0);
        let read = loop {
            match self.stream.read(&mut self.buffer[start..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.buffer.truncate(start + *read.as_ref().unwrap_or(&0));
        Ok(read?)
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.buffer[..self.buffer.len().min(200)]).into_owned()
    }
}

fn parse_head(raw: Vec<u8>) -> Result<Head, Fault> {
    let whole = text(&raw)?;
    let mut lines = whole[..whole.len() - 4].split("\r\n");
    let start = lines.next().unwrap_or_default().to_owned();
    if start.is_empty() || start.contains(['\r', '\n', '\0']) {
        return Err(Fault::Syntax(format!("the first line {start:?}")));
    }
    let fields = lines.map(parse_field).collect::<Result<_, _>>()?;
    Ok(Head { start, fields, raw })
}

/// RFC 9112 §5: field-name ":" OWS field-value OWS, no white space before the colon, no folding.
fn parse_field(line: &str) -> Result<(String, String), Fault> {
    let fault = || Fault::Syntax(format!("the field line {line:?}"));
    let (name, value) = line.split_once(':').ok_or_else(fault)?;
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(fault());
    }
    if value.bytes().any(|b| b < 0x20 && b != b'\t' || b == 0x7f) {
        return Err(fault());
    }
    Ok((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()))
}

/// Bytes above 0x7f stand for themselves (as in ISO 8859-1): values may hold them.
fn text(raw: &[u8]) -> Result<String, Fault> {
    Ok(raw.iter().map(|b| char::from(*b)).collect())
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|w| w == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(raw: &str) -> Result<Option<Head>, Fault> {
        Reader::new(raw.as_bytes()).head()
    }

    #[test]
    fn a_head_is_its_lines() {
        let head = head("GET / HTTP/1.1\r\nHost: \ta b \r\nX:\r\n\r\n")
            .unwrap()
            .unwrap();
        assert_eq!(head.start, "GET / HTTP/1.1");
        assert_eq!(head.one("host"), Some("a b"));
        assert_eq!(head.one("x"), Some(""));
    }

    #[test]
    fn loose_heads_are_faults() {
        for raw in [
            "A\r\nb : c\r\n\r\n",
            "A\r\n b: c\r\n\r\n",
            "A\r\nb: c\nd: e\r\n\r\n",
            "A\r\nb\r\n\r\n",
        ] {
            assert!(matches!(head(raw), Err(Fault::Syntax(_))), "{raw:?}");
        }
        assert!(matches!(head("A\r\n"), Err(Fault::Ended(_))));
        assert!(matches!(head(""), Ok(None)));
    }

    #[test]
    fn two_ways_to_find_the_end_are_none() {
        for fields in [
            "Content-Length: 1\r\nContent-Length: 1",
            "Content-Length: 1\r\nTransfer-Encoding: chunked",
            "Content-Length: +1",
            "Transfer-Encoding: gzip, chunked",
        ] {
            let head = head(&format!("A\r\n{fields}\r\n\r\n")).unwrap().unwrap();
            assert!(head.framing().is_err(), "{fields}");
        }
    }

    #[test]
    fn chunks_are_read_to_their_trailers_and_no_further() {
        let mut reader = Reader::new(&b"2\r\nab\r\n1\r\nc\r\n0\r\nT: v\r\n\r\nrest"[..]);
        let message = reader.body(Framing::Chunked, &mut Collector::default()).unwrap();
        assert_eq!(message.body, Body::of(b"abc"));
        assert_eq!(message.chunks, [2, 1]);
        assert_eq!(message.trailers, [("T".to_owned(), "v".to_owned())]);
        assert_eq!(reader.some().unwrap(), b"rest");
    }

    #[test]
    fn loose_chunks_are_faults() {
        for raw in [
            "2\nab\r\n0\r\n\r\n",
            "+2\r\nab\r\n0\r\n\r\n",
            "2\r\nabc\r\n0\r\n\r\n",
            "2\r\nab\r\n",
            "\r\n",
        ] {
            let mut seen = Collector::default();
            assert!(
                Reader::new(raw.as_bytes())
                    .body(Framing::Chunked, &mut seen)
                    .is_err(),
                "{raw:?}"
            );
        }
    }
}
