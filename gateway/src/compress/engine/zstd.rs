//! zstd (RFC 8878).

use zstd::stream::raw::{CParameter, Encoder, InBuffer, Operation, OutBuffer};

use super::super::encoder::Effort;
use super::{Broken, ROOM_BYTES};

/// The library's own least.
const WINDOW_LOG_MIN: u32 = 10;

/// What an effort means here. RFC 9659 §3: for this coding a decoder need not support a window above 8 MiB, 2^23, and
/// browsers do not.
struct Settings {
    level: i32,
    /// Bytes of the window, as a power of two.
    window_log_max: u32,
    /// Entries of the two hash tables, as powers of two; None leaves them to the level.
    tables: Option<(u32, u32)>,
}

/// The level's own tables would be twice as large, and the output smaller by a tenth of a percent of HTML, by nothing
/// of JSON.
const FAST: Settings = Settings {
    level: 3,
    window_log_max: 18,
    tables: Some((16, 15)),
};

const BEST: Settings = Settings {
    level: 9,
    window_log_max: 20,
    tables: None,
};

/// An encoder for one body after the other.
pub struct Zstd {
    encoder: Encoder<'static>,
    window_log_max: u32,
}

impl Zstd {
    /// A new one; for an `expected` short body it has less to clear.
    pub fn new(effort: Effort, expected: Option<u64>) -> Result<Self, Broken> {
        let settings = match effort {
            Effort::Fast => FAST,
            Effort::Best => BEST,
        };
        let mut encoder = Encoder::new(settings.level).map_err(|_| Broken)?;
        if let Some((long, short)) = settings.tables {
            for parameter in [CParameter::HashLog(long), CParameter::ChainLog(short)] {
                encoder.set_parameter(parameter).map_err(|_| Broken)?;
            }
        }
        let mut zstd = Self {
            encoder,
            window_log_max: settings.window_log_max,
        };
        zstd.expect(expected)?;
        Ok(zstd)
    }

    /// See [`super::Engine::renew`].
    pub fn renew(mut self) -> Result<Self, Broken> {
        self.encoder.reinit().map_err(|_| Broken)?;
        Ok(self)
    }

    /// A window that holds the whole body is enough, and the library makes its tables fit it. Only between bodies.
    pub fn expect(&mut self, expected: Option<u64>) -> Result<(), Broken> {
        let fitting = expected.map_or(u32::MAX, |bytes| {
            u64::BITS - bytes.saturating_sub(1).leading_zeros()
        });
        let window_log = fitting.clamp(WINDOW_LOG_MIN, self.window_log_max);
        self.encoder
            .set_parameter(CParameter::WindowLog(window_log))
            .map_err(|_| Broken)
    }

    /// See [`super::Engine::write`].
    pub fn write(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
        let mut input = InBuffer::around(input);
        while input.pos() < input.src.len() {
            out.reserve(ROOM_BYTES);
            let (taken, length) = (input.pos(), out.len());
            self.encoder
                .run(&mut input, &mut OutBuffer::around_pos(out, length))
                .map_err(|_| Broken)?;
            if input.pos() == taken && out.len() == length {
                return Err(Broken);
            }
        }
        Ok(())
    }

    /// See [`super::Engine::flush`].
    pub fn flush(&mut self, out: &mut Vec<u8>) -> Result<(), Broken> {
        drain(out, |room| self.encoder.flush(room))
    }

    /// See [`super::Engine::finish`].
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Broken> {
        drain(out, |room| self.encoder.finish(room, true))
    }
}

/// Calls until nothing is left to write.
fn drain(
    out: &mut Vec<u8>,
    mut step: impl FnMut(&mut OutBuffer<'_, Vec<u8>>) -> std::io::Result<usize>,
) -> Result<(), Broken> {
    loop {
        out.reserve(ROOM_BYTES);
        let length = out.len();
        let left = step(&mut OutBuffer::around_pos(out, length)).map_err(|_| Broken)?;
        if left == 0 {
            return Ok(());
        }
        if out.len() == length {
            return Err(Broken);
        }
    }
}
