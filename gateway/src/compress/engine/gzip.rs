//! gzip (RFC 1952).

use flate2::{Compress, Compression, FlushCompress, Status};

use super::super::encoder::Effort;
use super::{Broken, ROOM_BYTES};

const FAST_LEVEL: u32 = 5;
const BEST_LEVEL: u32 = 8;

/// 32 KiB, the largest of the format; a smaller one saves little of the 272 KiB.
const WINDOW_LOG: u8 = 15;

/// An encoder for one body after the other.
pub struct Gzip(Compress);

impl Gzip {
    /// A new one.
    pub fn new(effort: Effort) -> Self {
        let level = match effort {
            Effort::Fast => FAST_LEVEL,
            Effort::Best => BEST_LEVEL,
        };
        Self(Compress::new_gzip(Compression::new(level), WINDOW_LOG))
    }

    /// See [`super::Engine::renew`].
    pub fn renew(mut self) -> Self {
        self.0.reset();
        self
    }

    /// See [`super::Engine::write`].
    pub fn write(&mut self, mut input: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
        while !input.is_empty() {
            let step = self.step(input, out, FlushCompress::None)?;
            if !step.has_moved {
                return Err(Broken);
            }
            input = input.get(step.taken..).ok_or(Broken)?;
        }
        Ok(())
    }

    /// See [`super::Engine::flush`].
    pub fn flush(&mut self, out: &mut Vec<u8>) -> Result<(), Broken> {
        // Room that is left says that nothing is pending.
        while self.step(&[], out, FlushCompress::Sync)?.has_filled {}
        Ok(())
    }

    /// See [`super::Engine::finish`].
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Broken> {
        loop {
            let step = self.step(&[], out, FlushCompress::Finish)?;
            match step.status {
                Status::StreamEnd => return Ok(()),
                Status::Ok | Status::BufError if step.has_moved => {}
                Status::Ok | Status::BufError => return Err(Broken),
            }
        }
    }

    fn step(&mut self, input: &[u8], out: &mut Vec<u8>, flush: FlushCompress) -> Result<Step, Broken> {
        out.reserve(ROOM_BYTES);
        let (taken_before, length_before) = (self.0.total_in(), out.len());
        let status = self.0.compress_vec(input, out, flush).map_err(|_| Broken)?;
        let taken = usize::try_from(self.0.total_in() - taken_before).map_err(|_| Broken)?;
        Ok(Step {
            taken,
            has_moved: taken > 0 || out.len() > length_before,
            has_filled: out.len() == out.capacity(),
            status,
        })
    }
}

/// What one call of the library has done.
struct Step {
    /// Bytes of input.
    taken: usize,
    /// Whether anything was taken or written.
    has_moved: bool,
    /// Whether the output has no room left.
    has_filled: bool,
    status: Status,
}
