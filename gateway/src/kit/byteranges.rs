//! Several ranges of one body in one answer: `multipart/byteranges` (RFC 9110 §14.6).

use xxhash_rust::xxh3::xxh3_128;

use super::range::ByteRange;

/// The frame around the ranges: what is sent before each of them, and after the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Byteranges {
    boundary: String,
    /// What is sent before each range, and the range.
    pub parts: Vec<(String, ByteRange)>,
    /// What is sent after the last range.
    pub end: String,
}

impl Byteranges {
    /// The frame for ranges of a body of `size` bytes and that media type; without one the parts name none.
    ///
    /// `identity` is what tells this body from others: the same question gets the same bytes, and a body cannot well
    /// hold a hash of its own identity and of the question.
    pub fn new(ranges: &[ByteRange], size: u64, media: Option<&str>, identity: &str) -> Self {
        let boundary = format!(
            "sluice-{:032x}",
            xxh3_128(format!("{identity} {ranges:?}").as_bytes())
        );
        let kind = media.map_or(String::new(), |m| format!("Content-Type: {m}\r\n"));
        let part = |(at, range): (usize, &ByteRange)| {
            let before = if at == 0 { "" } else { "\r\n" };
            let place = content_range(*range, size);
            let head = format!("{before}--{boundary}\r\n{kind}Content-Range: {place}\r\n\r\n");
            (head, *range)
        };
        Self {
            parts: ranges.iter().enumerate().map(part).collect(),
            end: format!("\r\n--{boundary}--\r\n"),
            boundary,
        }
    }

    /// The Content-Type of the whole.
    pub fn media(&self) -> String {
        format!("multipart/byteranges; boundary={}", self.boundary)
    }

    /// Bytes of frame and ranges together.
    pub fn length(&self) -> u64 {
        let part = |(head, range): &(String, ByteRange)| head.len() as u64 + range.length();
        self.parts.iter().map(part).sum::<u64>() + self.end.len() as u64
    }
}

/// The value of Content-Range for that part of a body of `size` bytes.
pub fn content_range(range: ByteRange, size: u64) -> String {
    format!("bytes {}-{}/{size}", range.first, range.last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_says_what_it_is_and_the_length_is_that_of_all_of_it() {
        let ranges = [ByteRange { first: 0, last: 1 }, ByteRange { first: 8, last: 9 }];
        let frame = Byteranges::new(&ranges, 10, Some("text/plain"), "a");
        let mut sent = String::new();
        for (head, _) in &frame.parts {
            sent += head;
            sent += "xx";
        }
        sent += &frame.end;
        assert_eq!(sent.len() as u64, frame.length());
        let boundary = &frame.media()["multipart/byteranges; boundary=".len()..];
        let expected = format!(
            "--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/10\r\n\r\nxx\r\n\
             --{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes 8-9/10\r\n\r\nxx\r\n--{boundary}--\r\n"
        );
        assert_eq!(sent, expected);
        let other = Byteranges::new(&ranges, 10, None, "b");
        assert_ne!(other.boundary, frame.boundary);
        assert!(!other.parts[0].0.contains("Content-Type"));
    }
}
