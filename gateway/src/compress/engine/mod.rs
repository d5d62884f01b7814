//! The three libraries behind one face: bytes in, bytes appended, and a flush that means the same for all.

mod brotli;
mod gzip;
mod zstd;

use crate::config::plan::Coding;

use super::encoder::Effort;

/// Room that is made in the output before a library is asked to write: a few calls a body, and little to copy when
/// the output has to grow.
const ROOM_BYTES: usize = 4 * 1024;

/// One library's encoder. Its state lies on the heap, so it is cheap to move.
pub enum Engine {
    /// br
    Brotli(brotli::Brotli),
    /// gzip
    Gzip(gzip::Gzip),
    /// zstd
    Zstd(zstd::Zstd),
}

/// The library has reported a failure: out of memory, or a defect. The stream cannot be completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

impl Engine {
    /// A new one for one body.
    pub fn new(coding: Coding, effort: Effort, expected: Option<u64>) -> Result<Self, Broken> {
        Ok(match coding {
            Coding::Brotli => Self::Brotli(brotli::Brotli::new(effort, expected)),
            Coding::Gzip => Self::Gzip(gzip::Gzip::new(effort)),
            Coding::Zstd => Self::Zstd(zstd::Zstd::new(effort, expected)?),
        })
    }

    /// Which coding it writes.
    pub fn coding(&self) -> Coding {
        match self {
            Self::Brotli(_) => Coding::Brotli,
            Self::Gzip(_) => Coding::Gzip,
            Self::Zstd(_) => Coding::Zstd,
        }
    }

    /// The same engine for another body of the same effort, if its library can do that; what was half done is
    /// forgotten.
    pub fn renew(self) -> Option<Self> {
        match self {
            // The library has no way to begin again with the tables it has.
            Self::Brotli(_) => None,
            Self::Gzip(gzip) => Some(Self::Gzip(gzip.renew())),
            Self::Zstd(zstd) => zstd.renew().ok().map(Self::Zstd),
        }
    }

    /// Tells a renewed engine how long its body may be.
    pub fn expect(&mut self, expected: Option<u64>) -> Result<(), Broken> {
        match self {
            Self::Brotli(_) | Self::Gzip(_) => Ok(()),
            Self::Zstd(zstd) => zstd.expect(expected),
        }
    }

    /// Takes all of `input`; appends what has come out of it so far.
    pub fn write(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
        match self {
            Self::Brotli(brotli) => brotli.write(input, out),
            Self::Gzip(gzip) => gzip.write(input, out),
            Self::Zstd(zstd) => zstd.write(input, out),
        }
    }

    /// Appends what is missing to decode all that was taken.
    pub fn flush(&mut self, out: &mut Vec<u8>) -> Result<(), Broken> {
        match self {
            Self::Brotli(brotli) => brotli.flush(out),
            Self::Gzip(gzip) => gzip.flush(out),
            Self::Zstd(zstd) => zstd.flush(out),
        }
    }

    /// Appends the end.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Broken> {
        match self {
            Self::Brotli(brotli) => brotli.finish(out),
            Self::Gzip(gzip) => gzip.finish(out),
            Self::Zstd(zstd) => zstd.finish(out),
        }
    }
}
