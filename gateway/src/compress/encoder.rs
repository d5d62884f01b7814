//! A body in a content coding, piece by piece.

use std::fmt;
use std::rc::Rc;

use crate::config::plan::Coding;

use super::engine::{Broken, Engine};
use super::pool::Pool;

/// How much work a byte is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// For a body that is sent once, while it comes in.
    Fast,
    /// For one that is kept and sent many times.
    Best,
}

/// Writes one body in one coding. What comes out is appended to the vector that is passed; nothing is held back
/// after [`Encoder::flush`]. Dropped before its end it leaves an incomplete stream, which every decoder notices.
pub struct Encoder {
    /// Some until it is dropped.
    engine: Option<Engine>,
    home: Option<Rc<Pool>>,
}

/// The library behind a coding has failed, out of memory or by a defect of its own.
///
/// What was sent cannot be completed: the answer must be broken off as if its origin had gone, without an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncodeFault(pub Coding);

impl Encoder {
    /// One that belongs to nobody. `expected` is the body's length if it is known: a hint, which may be wrong.
    ///
    /// # Errors
    /// If the library has no memory.
    pub fn new(coding: Coding, effort: Effort, expected: Option<u64>) -> Result<Self, EncodeFault> {
        let engine = Engine::new(coding, effort, expected).map_err(|Broken| EncodeFault(coding))?;
        Ok(Self {
            engine: Some(engine),
            home: None,
        })
    }

    /// One that goes back to `home` by dropping.
    pub(super) fn lent(engine: Engine, home: Rc<Pool>) -> Self {
        Self {
            engine: Some(engine),
            home: Some(home),
        }
    }

    /// Which coding it writes.
    pub fn coding(&self) -> Coding {
        self.engine
            .as_ref()
            .expect("it is taken out by dropping only")
            .coding()
    }

    /// Takes all of `input`; appends what has come out of it so far, which may be nothing.
    ///
    /// # Errors
    /// If the library fails; the encoder is of no use then.
    pub fn write(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeFault> {
        self.with(|engine| engine.write(input, out))
    }

    /// Appends what is missing so that the receiver can decode all that was written, for answers that come in drips.
    ///
    /// It costs a few bytes and some of the ratio: to be called when no more input is at hand, not after each piece.
    /// With nothing written since the last one it appends little or nothing.
    ///
    /// # Errors
    /// If the library fails; the encoder is of no use then.
    pub fn flush(&mut self, out: &mut Vec<u8>) -> Result<(), EncodeFault> {
        self.with(|engine| engine.flush(out))
    }

    /// Appends the end. Only for a body that is known to be complete.
    ///
    /// # Errors
    /// If the library fails.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<(), EncodeFault> {
        self.with(|engine| engine.finish(out))
    }

    fn with(&mut self, work: impl FnOnce(&mut Engine) -> Result<(), Broken>) -> Result<(), EncodeFault> {
        let engine = self.engine.as_mut().expect("it is taken out by dropping only");
        work(engine).map_err(|Broken| EncodeFault(engine.coding()))
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        if let (Some(engine), Some(home)) = (self.engine.take(), self.home.take()) {
            home.take_back(engine);
        }
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Encoder").field(&self.coding()).finish()
    }
}

impl fmt::Display for EncodeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the encoder for content coding \"{}\" failed: the answer is broken off; if it happens again, look at the \
             machine's free memory, or take \"{}\" out of compression.algorithms",
            self.0.name(),
            self.0.name()
        )
    }
}

impl std::error::Error for EncodeFault {}

#[cfg(test)]
mod tests;
