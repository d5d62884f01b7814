//! A body of any framing, decoded as it arrives.

use super::chunk::{BodyFault, ChunkDecoder, Step};
use super::fields::Fields;
use super::framing::Length;

/// Where in a body we are, whatever its framing.
#[derive(Clone, Debug)]
pub enum Decoder {
    /// So many bytes are still to come.
    Known(u64),
    /// Chunks.
    Chunked(Box<ChunkDecoder>),
    /// Everything until the connection ends.
    UntilClose,
}

impl Decoder {
    /// At the start of a body of that length.
    pub fn new(length: Length) -> Self {
        match length {
            Length::None => Self::Known(0),
            Length::Known(n) => Self::Known(n),
            Length::Chunked => Self::Chunked(Box::default()),
            Length::UntilClose => Self::UntilClose,
        }
    }

    /// Reads on in `input` from `from`.
    pub fn step(&mut self, input: &[u8], from: usize) -> Result<Step, BodyFault> {
        match self {
            Self::Known(0) => Ok(Step::Done { end: from }),
            Self::Known(left) if from < input.len() => {
                let take = usize::try_from(*left)
                    .unwrap_or(usize::MAX)
                    .min(input.len() - from);
                *left -= take as u64;
                Ok(Step::Data {
                    start: from,
                    end: from + take,
                })
            }
            Self::Chunked(chunks) => chunks.step(input, from),
            Self::UntilClose if from < input.len() => Ok(Step::Data {
                start: from,
                end: input.len(),
            }),
            Self::Known(_) | Self::UntilClose => Ok(Step::More),
        }
    }

    /// Whether the end of the connection is the end of the body. Otherwise it has been cut off.
    pub fn ends_with_connection(&self) -> bool {
        matches!(self, Self::UntilClose)
    }

    /// Bytes that are announced and have not come.
    pub fn announced(&self) -> u64 {
        match self {
            Self::Known(left) => *left,
            Self::Chunked(chunks) => chunks.announced(),
            Self::UntilClose => 0,
        }
    }

    /// What followed the last chunk.
    pub fn trailers(&self) -> Option<&Fields> {
        match self {
            Self::Chunked(chunks) if !chunks.trailers.is_empty() => Some(&chunks.trailers),
            Self::Chunked(_) | Self::Known(_) | Self::UntilClose => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_length_ends_where_it_says() {
        let mut decoder = Decoder::new(Length::Known(3));
        assert_eq!(decoder.step(b"ab", 0), Ok(Step::Data { start: 0, end: 2 }));
        assert_eq!(decoder.step(b"", 0), Ok(Step::More));
        assert_eq!(decoder.step(b"cdef", 0), Ok(Step::Data { start: 0, end: 1 }));
        assert_eq!(decoder.step(b"cdef", 1), Ok(Step::Done { end: 1 }));
        assert!(!decoder.ends_with_connection());
    }

    #[test]
    fn an_endless_body_never_says_done() {
        let mut decoder = Decoder::new(Length::UntilClose);
        assert_eq!(decoder.step(b"ab", 0), Ok(Step::Data { start: 0, end: 2 }));
        assert_eq!(decoder.step(b"ab", 2), Ok(Step::More));
        assert!(decoder.ends_with_connection());
    }
}
