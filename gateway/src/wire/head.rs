//! Finding the end of a head, and reading its field lines: shared by requests and answers.

use std::ops::Range;

use super::fields::Fields;
use super::name::Name;
use super::syntax;

/// What a head may take.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// Bytes of the whole head.
    pub bytes_max: usize,
    /// Field lines.
    pub fields_max: usize,
    /// Bytes of the request target; of no meaning for an answer.
    pub target_bytes_max: usize,
    /// Empty lines before the first line. RFC 9112 §2.2 asks servers to forgive "at least one" before a request
    /// line, and nobody to forgive any before a status line.
    pub leading_lines_max: usize,
}

/// Why a head is refused. The text says which rule was broken, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadFault {
    /// A rule of syntax is broken.
    Malformed(&'static str),
    /// More than `bytes_max` bytes.
    TooLarge,
    /// More than `fields_max` lines.
    TooManyFields,
    /// More than `target_bytes_max` bytes of target.
    TargetTooLong,
    /// A version of HTTP that is not spoken here.
    Version,
}

/// Options of all Connection fields. Each is compared with each field line, so that more would buy much work for few
/// bytes; no client has use for as many as there may be lines.
const CONNECTION_OPTIONS_MAX: usize = 64;

/// How much may stand before the target in a request line: a method, which no one makes longer.
const METHOD_BYTES_MAX: usize = 64;

/// Looks for the empty line that ends a head, as bytes arrive; never looks at a byte twice.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeadScan {
    start: usize,
    line: usize,
    seen: usize,
    leading_lines: usize,
}

impl HeadScan {
    /// Looks at what has arrived so far (always from the same first byte). Some((start, end)) once the
    /// head is whole: `start` skips empty lines before it, `end` is behind the empty line that ends it.
    ///
    /// Lines must end in CRLF. RFC 9112 §2.2 lets a recipient take a bare LF for a line's end; that is the
    /// kind of repair others do not make, so it is a fault here.
    pub fn advance(&mut self, bytes: &[u8], limits: HeadLimits) -> Result<Option<(usize, usize)>, HeadFault> {
        while let Some(at) = memchr::memchr(b'\n', &bytes[self.seen..]) {
            let lf = self.seen + at;
            if lf == self.line || bytes[lf - 1] != b'\r' {
                return Err(HeadFault::Malformed("a line ends in LF without CR"));
            }
            let is_empty = lf - 1 == self.line;
            let is_leading = self.line == self.start;
            self.check_size(lf + 1, limits)?;
            (self.line, self.seen) = (lf + 1, lf + 1);
            if is_empty && is_leading {
                self.leading_lines += 1;
                self.start = self.line;
                if self.leading_lines > limits.leading_lines_max {
                    return Err(HeadFault::Malformed("empty lines before the head"));
                }
            } else if is_empty {
                return Ok(Some((self.start, self.line)));
            }
        }
        self.seen = bytes.len();
        self.check_size(bytes.len(), limits)?;
        Ok(None)
    }

    /// Whether anything but empty lines has arrived.
    pub fn has_begun(&self, bytes: &[u8]) -> bool {
        bytes.len() > self.start
    }

    fn check_size(&self, end: usize, limits: HeadLimits) -> Result<(), HeadFault> {
        let is_first_line = self.line == self.start;
        if is_first_line && end - self.start > limits.target_bytes_max.saturating_add(METHOD_BYTES_MAX) {
            return Err(HeadFault::TargetTooLong);
        }
        if end - self.start > limits.bytes_max {
            Err(HeadFault::TooLarge)
        } else {
            Ok(())
        }
    }
}

/// Splits the first line off a whole head: (line without CRLF, the rest).
pub(super) fn first_line(head: &[u8]) -> Result<(&[u8], &[u8]), HeadFault> {
    let lf = memchr::memchr(b'\n', head).ok_or(HeadFault::Malformed("no line"))?;
    Ok((&head[..lf.saturating_sub(1)], &head[lf + 1..]))
}

/// Reads field lines up to the empty line into `fields`, strictly.
pub fn parse_fields(lines: &[u8], fields: &mut Fields, fields_max: usize) -> Result<(), HeadFault> {
    let text = fields.take_text(lines);
    let mut rest = lines;
    loop {
        let (line, after) = first_line(rest)?;
        if line.is_empty() {
            return check_options(fields);
        }
        if fields.len() == fields_max {
            return Err(HeadFault::TooManyFields);
        }
        let at = lines.len() - rest.len();
        let (name, value) = parse_line(line)?;
        fields.push_at(text, at..at + name, at + value.start..at + value.end);
        rest = after;
    }
}

fn check_options(fields: &Fields) -> Result<(), HeadFault> {
    match fields.tokens(Name::Connection).nth(CONNECTION_OPTIONS_MAX) {
        Some(_) => Err(HeadFault::TooManyFields),
        None => Ok(()),
    }
}

/// How long the name is, and where the value lies.
fn parse_line(line: &[u8]) -> Result<(usize, Range<usize>), HeadFault> {
    // RFC 9112 §5.2: a server that receives obs-fold in a request must reject it or replace it.
    if matches!(line[0], b' ' | b'\t') {
        return Err(HeadFault::Malformed("a folded line"));
    }
    let colon = memchr::memchr(b':', line).ok_or(HeadFault::Malformed("a field line without colon"))?;
    let (name, value) = (&line[..colon], syntax::trim(&line[colon + 1..]));
    // RFC 9112 §5.1: "No whitespace is allowed between the field name and colon"; a space is no token byte.
    if !syntax::is_token(name) {
        return Err(HeadFault::Malformed("a field name that is no token"));
    }
    if !syntax::is_value(value) {
        return Err(HeadFault::Malformed("a control byte in a field value"));
    }
    let is_space = |byte: &&u8| matches!(byte, b' ' | b'\t');
    let start = colon + 1 + line[colon + 1..].iter().take_while(is_space).count();
    Ok((colon, start..start + value.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: HeadLimits = HeadLimits {
        bytes_max: 4096,
        fields_max: 10,
        target_bytes_max: 1024,
        leading_lines_max: 4,
    };

    #[test]
    fn the_end_is_found_wherever_the_bytes_are_split() {
        let head = b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\nBODY";
        for split in 0..head.len() {
            let mut scan = HeadScan::default();
            let first = scan.advance(&head[..split], LIMITS).unwrap();
            let found = first.or_else(|| scan.advance(head, LIMITS).unwrap());
            assert_eq!(found, Some((2, head.len() - 4)), "split at {split}");
        }
    }

    #[test]
    fn bare_line_feeds_and_endless_empty_lines_are_faults() {
        for bad in [
            &b"GET / HTTP/1.1\nHost: a\r\n\r\n"[..],
            b"\n",
            b"\r\n\r\n\r\n\r\n\r\n\r\n",
            b"GET / HTTP/1.1\r\n\n",
        ] {
            assert!(
                matches!(
                    HeadScan::default().advance(bad, LIMITS),
                    Err(HeadFault::Malformed(_))
                ),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn limits_hold_before_the_head_is_whole() {
        let long_line = [b'a'; 1200];
        assert_eq!(
            HeadScan::default().advance(&long_line, LIMITS),
            Err(HeadFault::TargetTooLong)
        );
        let mut head = b"GET / HTTP/1.1\r\nA: ".to_vec();
        head.resize(4100, b'a');
        assert_eq!(
            HeadScan::default().advance(&head, LIMITS),
            Err(HeadFault::TooLarge)
        );
    }

    #[test]
    fn field_lines_are_read_strictly() {
        let mut fields = Fields::default();
        parse_fields(b"Host: a \r\nX:\r\n\r\n", &mut fields, 10).unwrap();
        assert_eq!(fields.first_of("host"), Some(&b"a"[..]));
        assert_eq!(fields.first_of("x"), Some(&b""[..]));
        for bad in [
            "a : b",
            " a: b",
            "\tb",
            "a",
            ": b",
            "a: b\rc",
            "a: \0",
            "a: \x7f",
            "a\0: b",
            "a\u{e9}: b",
        ] {
            let lines = format!("Host: a\r\n{bad}\r\n\r\n");
            assert!(
                parse_fields(lines.as_bytes(), &mut Fields::default(), 10).is_err(),
                "{bad:?}"
            );
        }
        assert_eq!(
            parse_fields(b"a: b\r\nc: d\r\n\r\n", &mut Fields::default(), 1),
            Err(HeadFault::TooManyFields)
        );
    }

    #[test]
    fn connection_options_are_limited_over_all_lines() {
        let lines = |n: usize| format!("Connection: {}\r\nConnection: a\r\n\r\n", "a,".repeat(n));
        let parse = |n| parse_fields(lines(n).as_bytes(), &mut Fields::default(), 10);
        assert_eq!(parse(CONNECTION_OPTIONS_MAX - 1), Ok(()));
        assert_eq!(parse(CONNECTION_OPTIONS_MAX), Err(HeadFault::TooManyFields));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            bytes in prop::collection::vec(prop::sample::select(&b"\r\n: \tab\0"[..]), 0..200),
            split: prop::sample::Index,
        ) {
            let mut scan = HeadScan::default();
            let split = split.index(bytes.len() + 1);
            if let Ok(None) = scan.advance(&bytes[..split], LIMITS)
                && let Ok(Some((start, end))) = scan.advance(&bytes, LIMITS)
                && let Ok((_, rest)) = first_line(&bytes[start..end])
            {
                let _ = parse_fields(rest, &mut Fields::default(), 10);
            }
            // Lines that come from elsewhere, such as trailers, were looked through by nobody.
            let lines = [&bytes[..], b"\r\n\r\n"].concat();
            let mut fields = Fields::default();
            if parse_fields(&lines, &mut fields, 10).is_ok() {
                for field in fields.iter() {
                    prop_assert!(field.name.iter().all(|b| matches!(b, b'a' | b'b')), "{:?}", field.name);
                    prop_assert!(field.value.iter().all(|b| !b"\r\n\0".contains(b)), "{:?}", field.value);
                    prop_assert_eq!(field.value.trim_ascii(), field.value);
                }
            }
        }

        /// What is read of lines that keep to the rules is what they say.
        #[test]
        fn lines_that_keep_to_the_rules_are_read(
            lines in prop::collection::vec(("[ab]{1,5}", "[ \t]{0,2}", "([ab:]([ab: \t]{0,5}[ab:])?)?", "[ \t]{0,2}"), 1..10),
        ) {
            let mut bytes = Vec::new();
            for (name, before, value, behind) in &lines {
                bytes.extend_from_slice(format!("{name}:{before}{value}{behind}\r\n").as_bytes());
            }
            bytes.extend_from_slice(b"\r\n");
            let mut fields = Fields::default();
            prop_assert_eq!(parse_fields(&bytes, &mut fields, 10), Ok(()));
            let read: Vec<_> = fields.iter().map(|f| (f.name.to_vec(), f.value.to_vec())).collect();
            let said: Vec<_> = lines.iter().map(|(n, _, v, _)| (n.clone().into_bytes(), v.clone().into_bytes())).collect();
            prop_assert_eq!(read, said);
        }
    }
}
