//! W3C Trace Context: the trace a request belongs to, as `traceparent` says it.

use std::fmt;

/// Bytes of a `traceparent` of version 00; later versions may be longer.
const LENGTH: usize = 55;

/// The bit of the flags that says that the caller keeps its part of the trace.
const SAMPLED: u8 = 1;

/// Names a trace: 16 bytes, never all zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceId(u128);

/// Names a span within its trace: 8 bytes, never all zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SpanId(u64);

/// What `traceparent` says: the trace, the caller's span, and whether the caller keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace.
    pub trace: TraceId,
    /// The span of whoever sends it.
    pub span: SpanId,
    /// Whether that span is kept.
    pub is_sampled: bool,
}

impl TraceId {
    /// Out of random bits; those that would name nothing name the first trace.
    pub fn of(bits: u128) -> Self {
        Self(bits.max(1))
    }

    /// Reads 32 hexadecimal digits in lower case; None for others, and for all zeros.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let digits = text.first_chunk::<32>().filter(|_| text.len() == 32)?;
        let id = digits
            .iter()
            .try_fold(0_u128, |id, digit| Some(id << 4 | u128::from(value_of(*digit)?)))?;
        (id != 0).then_some(Self(id))
    }
}

impl SpanId {
    /// Out of random bits; those that would name nothing name the first span.
    pub fn of(bits: u64) -> Self {
        Self(bits.max(1))
    }

    /// Reads 16 hexadecimal digits in lower case; None for others, and for all zeros.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let digits = text.first_chunk::<16>().filter(|_| text.len() == 16)?;
        let id = digits
            .iter()
            .try_fold(0_u64, |id, digit| Some(id << 4 | u64::from(value_of(*digit)?)))?;
        (id != 0).then_some(Self(id))
    }
}

impl TraceParent {
    /// Reads a field's value; None if it is not to be believed.
    ///
    /// Of a version that is not known yet the part is read that version 00 has (W3C Trace Context §4.3: "it SHOULD
    /// attempt to parse the trace-id, parent-id, and sampled flag").
    pub fn parse(value: &[u8]) -> Option<Self> {
        let head = value.first_chunk::<LENGTH>()?;
        let version = byte(&head[..2])?;
        let flags = byte(&head[53..])?;
        let has_dashes = [2, 35, 52].iter().all(|at| head[*at] == b'-');
        let is_end = match value.get(LENGTH) {
            None => true,
            Some(next) => version > 0 && *next == b'-',
        };
        // §3.2.2.1: "Version ff is invalid".
        if !has_dashes || !is_end || version == 0xff {
            return None;
        }
        Some(Self {
            trace: TraceId::parse(&head[3..35])?,
            span: SpanId::parse(&head[36..52])?,
            is_sampled: flags & SAMPLED != 0,
        })
    }
}

fn byte(text: &[u8]) -> Option<u8> {
    let [high, low] = *text.first_chunk::<2>()?;
    Some(value_of(high)? << 4 | value_of(low)?)
}

/// §3.2.1: digits are in lower case.
const fn value_of(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl TraceParent {
    /// The field's value, of version 00.
    pub fn text(&self) -> [u8; LENGTH] {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        write_digits(&mut text[3..35], self.trace.0);
        write_digits(&mut text[36..52], self.span.0.into());
        text[54] += u8::from(self.is_sampled);
        text
    }
}

/// Fills the place with the last digits of a number.
fn write_digits(place: &mut [u8], mut n: u128) {
    for digit in place.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(n & 0xf) as usize];
        n >>= 4;
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WHOLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    /// The same by another way: split on dashes and look at each part.
    fn naive(text: &str) -> Option<(String, String, bool)> {
        let parts: Vec<&str> = text.splitn(5, '-').collect();
        let is_hex = |part: &str, length: usize| {
            let digit = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
            part.len() == length && part.chars().all(digit)
        };
        let [version, trace, span, flags, rest @ ..] = parts.as_slice() else {
            return None;
        };
        let is_whole = is_hex(version, 2) && is_hex(trace, 32) && is_hex(span, 16) && is_hex(flags, 2);
        let is_fit = *version != "ff" && (rest.is_empty() || *version != "00");
        let is_name = |part: &str| part.chars().any(|c| c != '0');
        let is_sampled = u8::from_str_radix(flags, 16).ok()? & 1 == 1;
        (is_whole && is_fit && is_name(trace) && is_name(span))
            .then(|| ((*trace).to_owned(), (*span).to_owned(), is_sampled))
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_a_naive_reader_reads(
            version in "(00|01|cc|ff|0g|0)",
            trace in "(0{32}|[0-9a-f]{32}|[0-9a-fA-F]{32}|[0-9a-f]{31,33})",
            span in "(0{16}|[0-9a-f]{16}|[0-9a-f]{15})",
            flags in "([0-9a-f]{2}|0x|1)",
            rest in "(|-|-what|x)",
        ) {
            let text = format!("{version}-{trace}-{span}-{flags}{rest}");
            let read = TraceParent::parse(text.as_bytes());
            let read = read.map(|p| (p.trace.to_string(), p.span.to_string(), p.is_sampled));
            prop_assert_eq!(read, naive(&text), "{}", text);
        }

        #[test]
        fn one_strange_byte_anywhere_is_found(at in 0..LENGTH, byte: u8) {
            let mut bytes = WHOLE.as_bytes().to_vec();
            bytes[at] = byte;
            let expected = std::str::from_utf8(&bytes).ok().and_then(naive).is_some();
            prop_assert_eq!(TraceParent::parse(&bytes).is_some(), expected, "{:?}", bytes);
            prop_assert_eq!(TraceParent::parse(&bytes[..at]), None);
        }

        #[test]
        fn what_is_written_is_read_again(trace: u128, span: u64, is_sampled: bool) {
            let parent = TraceParent { trace: TraceId::of(trace), span: SpanId::of(span), is_sampled };
            prop_assert_eq!(TraceParent::parse(&parent.text()), Some(parent));
            let parts = format!("00-{}-{}-0{}", parent.trace, parent.span, u8::from(is_sampled));
            prop_assert_eq!(parts.as_bytes(), parent.text());
        }
    }

    #[test]
    fn the_example_of_the_standard_is_read() {
        let parent = TraceParent::parse(WHOLE.as_bytes()).unwrap();
        assert!(parent.is_sampled);
        assert_eq!(parent.text(), WHOLE.as_bytes());
    }

    #[test]
    fn ids_of_zeros_name_nothing() {
        assert_eq!(TraceId::parse(&[b'0'; 32]), None);
        assert_eq!(SpanId::parse(&[b'0'; 16]), None);
        assert_eq!(SpanId::of(0).to_string(), "0000000000000001");
        assert_eq!(TraceId::of(0).to_string().len(), 32);
    }
}
