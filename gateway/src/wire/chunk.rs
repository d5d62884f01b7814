//! Chunked bodies (RFC 9112 §7.1), decoded as they arrive.

use super::fields::Fields;
use super::head::parse_fields;
use super::syntax;

/// Bytes of all extensions of one chunk; nobody uses them, and they must not be a way to send for ever.
const EXTENSION_BYTES_MAX: u32 = 1024;
/// Digits of a size: as many as the largest number has. Zeros before them would be another way to send for ever.
const SIZE_DIGITS_MAX: u8 = 16;
/// Bytes of a trailer section.
const TRAILER_BYTES_MAX: usize = 16 * 1024;
/// Lines of a trailer section.
const TRAILER_FIELDS_MAX: usize = 64;

/// A body that is not what it claims to be. The text says how, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyFault(pub &'static str);

/// Where in a chunked body we are.
#[derive(Clone, Debug, Default)]
pub struct ChunkDecoder {
    state: State,
    trailer_bytes: Vec<u8>,
    /// The trailer fields, complete once the body is.
    pub trailers: Fields,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    SizeStart,
    Size {
        size: u64,
        digits: u8,
    },
    Extension {
        size: u64,
        bytes: u32,
    },
    SizeLf(u64),
    Data(u64),
    DataCr,
    DataLf,
    Trailers,
    Done,
}

/// What a step has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Body bytes at these positions of the input; go on behind them.
    Data {
        /// First byte.
        start: usize,
        /// Behind the last byte.
        end: usize,
    },
    /// Input used up; more must arrive.
    More,
    /// The body is whole; what follows this position is not of it.
    Done {
        /// Behind the body's last byte.
        end: usize,
    },
}

impl ChunkDecoder {
    /// Reads on in `input` from `from`. Never reads a byte twice; `More` means all of it was taken.
    pub fn step(&mut self, input: &[u8], from: usize) -> Result<Step, BodyFault> {
        let mut at = from;
        while at < input.len() {
            match self.state {
                State::Data(left) => {
                    let take = usize::try_from(left).unwrap_or(usize::MAX).min(input.len() - at);
                    let left = left - take as u64;
                    self.state = if left == 0 {
                        State::DataCr
                    } else {
                        State::Data(left)
                    };
                    return Ok(Step::Data {
                        start: at,
                        end: at + take,
                    });
                }
                State::Trailers => match self.take_trailers(&input[at..])? {
                    Some(used) => {
                        self.state = State::Done;
                        return Ok(Step::Done { end: at + used });
                    }
                    None => return Ok(Step::More),
                },
                State::Done => return Ok(Step::Done { end: at }),
                state => self.state = next(state, input[at])?,
            }
            at += 1;
        }
        Ok(if self.state == State::Done {
            Step::Done { end: at }
        } else {
            Step::More
        })
    }

    /// Bytes of the present chunk that are announced and have not come.
    pub fn announced(&self) -> u64 {
        match self.state {
            State::Data(left) => left,
            State::SizeStart
            | State::Size { .. }
            | State::Extension { .. }
            | State::SizeLf(_)
            | State::DataCr
            | State::DataLf
            | State::Trailers
            | State::Done => 0,
        }
    }

    /// Collects lines until the empty one. Some(bytes used) when it has come.
    fn take_trailers(&mut self, input: &[u8]) -> Result<Option<usize>, BodyFault> {
        for (i, byte) in input.iter().enumerate() {
            self.trailer_bytes.push(*byte);
            if *byte != b'\n' {
                continue;
            }
            if !self.trailer_bytes.ends_with(b"\r\n") {
                return Err(BodyFault("a trailer line ends in LF without CR"));
            }
            if self.trailer_bytes == b"\r\n" || self.trailer_bytes.ends_with(b"\r\n\r\n") {
                parse_fields(&self.trailer_bytes, &mut self.trailers, TRAILER_FIELDS_MAX)
                    .map_err(|_| BodyFault("the trailer section"))?;
                return Ok(Some(i + 1));
            }
        }
        if self.trailer_bytes.len() > TRAILER_BYTES_MAX {
            return Err(BodyFault("a trailer section that is too long"));
        }
        Ok(None)
    }
}

/// One byte of framing. Sizes are hexadecimal digits and nothing else: no sign, no prefix, no white space
/// (RFC 9112 §7.1.1 knows "bad" white space before an extension; bad it stays).
fn next(state: State, byte: u8) -> Result<State, BodyFault> {
    let digit = (byte as char).to_digit(16).map(u64::from);
    match (state, byte) {
        (State::SizeStart, _) => digit
            .map(|size| State::Size { size, digits: 1 })
            .ok_or(BodyFault("a chunk without size")),
        (State::Size { size, .. }, b'\r') => Ok(State::SizeLf(size)),
        (State::Size { size, .. }, b';') => Ok(State::Extension { size, bytes: 0 }),
        (State::Size { size, digits }, _) => {
            let digit = digit.ok_or(BodyFault("a chunk size that is no number"))?;
            // The top bits must be free before four more come in at the bottom.
            let is_small = size >> 59 == 0 && digits < SIZE_DIGITS_MAX;
            let grown = is_small.then_some(State::Size {
                size: size << 4 | digit,
                digits: digits + 1,
            });
            grown.ok_or(BodyFault("a chunk size beyond all measure"))
        }
        (State::Extension { size, .. }, b'\r') => Ok(State::SizeLf(size)),
        (State::Extension { size, bytes }, _)
            if syntax::is_value_byte(byte) && bytes < EXTENSION_BYTES_MAX =>
        {
            Ok(State::Extension {
                size,
                bytes: bytes + 1,
            })
        }
        (State::Extension { .. }, _) => Err(BodyFault("a chunk extension")),
        (State::SizeLf(0), b'\n') => Ok(State::Trailers),
        (State::SizeLf(size), b'\n') => Ok(State::Data(size)),
        (State::DataCr, b'\r') => Ok(State::DataLf),
        (State::DataLf, b'\n') => Ok(State::SizeStart),
        (State::SizeLf(_) | State::DataCr | State::DataLf, _) => {
            Err(BodyFault("a chunk that does not end in CRLF"))
        }
        (State::Data(_) | State::Trailers | State::Done, _) => {
            Err(BodyFault("a state without framing bytes"))
        }
    }
}

/// Appends `size` as a chunk's first line.
pub fn write_size(out: &mut Vec<u8>, size: usize) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let nibbles = (usize::BITS - size.leading_zeros()).div_ceil(4).max(1);
    for i in (0..nibbles).rev() {
        out.push(DIGITS[size >> (i * 4) & 0xf]);
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Feeds the pieces one after the other: (body, bytes behind it) or the fault.
    fn decode(pieces: &[&[u8]]) -> Result<(Vec<u8>, usize, ChunkDecoder), BodyFault> {
        let (mut decoder, mut body) = (ChunkDecoder::default(), Vec::new());
        for (i, piece) in pieces.iter().enumerate() {
            let mut at = 0;
            loop {
                match decoder.step(piece, at)? {
                    Step::Data { start, end } => {
                        body.extend_from_slice(&piece[start..end]);
                        at = end;
                    }
                    Step::More => break,
                    Step::Done { end } => {
                        let behind =
                            piece.len() - end + pieces[i + 1..].iter().map(|p| p.len()).sum::<usize>();
                        return Ok((body, behind, decoder));
                    }
                }
            }
        }
        Err(BodyFault("not whole"))
    }

    #[test]
    fn chunks_extensions_and_trailers_are_read_wherever_they_are_split() {
        let text = b"5;a=\"b\"\r\nhello\r\n00000A\r\n, world!!!\r\n0\r\nX: y\r\nZ:\r\n\r\nNEXT";
        for split in 0..text.len() {
            let (body, behind, decoder) = decode(&[&text[..split], &text[split..]]).unwrap();
            assert_eq!(
                (body.as_slice(), behind),
                (&b"hello, world!!!"[..], 4),
                "split at {split}"
            );
            assert_eq!(decoder.trailers.first_of("x"), Some(&b"y"[..]));
        }
    }

    #[test]
    fn what_is_not_a_chunk_is_a_fault() {
        let long = format!("5;{}\r\nhello\r\n0\r\n\r\n", "a".repeat(2000));
        for bad in [
            "g\r\n",
            "\r\n",
            "-5\r\nhello\r\n",
            "+5\r\nhello\r\n",
            " 5\r\nhello\r\n",
            "5 \r\nhello\r\n",
            "0x5\r\nhello\r\n",
            "5\nhello\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "5\r\nhelloX\r\n",
            "5\r\nhello0\r\n",
            "FFFFFFFFFFFFFFFFF\r\n",
            "00000000000000005\r\nhello\r\n",
            "5;a\nb\r\nhello",
            "5;\rX",
            "0\r\nX\r\n\r\n",
            "0\r\n X: y\r\n\r\n",
            "0\r\n\n",
            "0\r\nX : y\r\n\r\n",
            &long,
        ] {
            let got = decode(&[bad.as_bytes()]);
            assert!(
                got.as_ref().is_err_and(|f| f.0 != "not whole"),
                "{bad:?} gave {got:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_written_in_chunks_is_read_back(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..200), 0..10), cut: prop::sample::Index
        ) {
            let mut text = Vec::new();
            for chunk in &chunks {
                write_size(&mut text, chunk.len());
                text.extend_from_slice(chunk);
                text.extend_from_slice(b"\r\n");
            }
            text.extend_from_slice(b"0\r\n\r\n");
            let cut = cut.index(text.len());
            let (body, behind, _) = decode(&[&text[..cut], &text[cut..]]).unwrap();
            prop_assert_eq!(body, chunks.concat());
            prop_assert_eq!(behind, 0);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = decode(&[&bytes]);
        }
    }
}
